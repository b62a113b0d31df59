//! Strict defaults, each key, errors by name.

use super::*;

fn parse(text: &str) -> Result<SnpPolicy, PolicyError> {
    toml::from_str::<Section>(text).unwrap().policy()
}

fn floor(fmc: Option<u8>) -> Floor {
    Floor {
        fmc,
        boot_loader: 2,
        tee: 3,
        snp: 4,
        microcode: 5,
    }
}

#[test]
fn what_is_not_set_is_strict() {
    let strict = SnpPolicy {
        smt: Smt::Off,
        floors: BTreeMap::new(),
        vmpl: vec![0],
        vlek_providers: Vec::new(),
        minimum_guest_svn: None,
        id_keys: vec![Digest::new([0; 48])],
        author_keys: vec![Digest::new([0; 48])],
        family_ids: vec![Digest::new([0; 16])],
        image_ids: vec![Digest::new([0; 16])],
        mitigations: 0,
        accept_unchecked_revocation: false,
        accept_provisional_firmware: false,
        accept_migration: false,
        accept_cxl: false,
        accept_rapl: false,
        accept_visible_ciphertext: false,
        accept_page_swap: false,
        accept_unchecked_aliases: false,
        accept_policy_bits: 0,
        accept_platform_bits: 0,
    };
    assert_eq!(parse("smt = 'off'"), Ok(strict));
    assert_eq!(parse(""), Err(PolicyError::Missing("snp.smt")));
}

#[test]
fn every_key_is_read() {
    let (a, b) = ("ab".repeat(48), "cd".repeat(16));
    let floors = "boot_loader = 2\ntee = 3\nsnp = 4\nmicrocode = 5\n";
    let policy = parse(&format!(
        "smt = 'off-by-host'\nvmpl = [0, 2]\nvlek_providers = ['CN=x']\nid_keys = ['{a}']\nminimum_guest_svn = 7\n\
         author_keys = ['{a}']\nfamily_ids = ['{b}']\nimage_ids = ['{b}']\nmitigations = [1, 63]\n\
         dangerously_accept_unchecked_revocation = true\ndangerously_accept_provisional_firmware = true\n\
         dangerously_accept_migration = true\ndangerously_accept_cxl = true\ndangerously_accept_rapl = true\n\
         dangerously_accept_visible_ciphertext = true\ndangerously_accept_page_swap = true\n\
         dangerously_accept_unchecked_aliases = true\ndangerously_accept_policy_bits = [26]\n\
         dangerously_accept_platform_bits = [6, 8]\n\
         [minimum_tcb.milan-x]\n{floors}[minimum_tcb.turin]\nfmc = 1\n{floors}"
    ));
    let (key, id) = (Digest::new([0xab; 48]), Digest::new([0xcd; 16]));
    let expected = SnpPolicy {
        smt: Smt::OffByHost,
        floors: [(Part::MilanX, floor(None)), (Part::Turin, floor(Some(1)))].into(),
        vmpl: vec![0, 2],
        vlek_providers: vec!["CN=x".to_owned()],
        minimum_guest_svn: Some(7),
        id_keys: vec![key],
        author_keys: vec![key],
        family_ids: vec![id],
        image_ids: vec![id],
        mitigations: 1 << 63 | 2,
        accept_unchecked_revocation: true,
        accept_provisional_firmware: true,
        accept_migration: true,
        accept_cxl: true,
        accept_rapl: true,
        accept_visible_ciphertext: true,
        accept_page_swap: true,
        accept_unchecked_aliases: true,
        accept_policy_bits: 1 << 26,
        accept_platform_bits: 1 << 6 | 1 << 8,
    };
    assert_eq!(policy, Ok(expected));
    let levels = Component::ALL.map(|component| floor(Some(1)).level(component));
    assert_eq!(levels, [1, 2, 3, 4, 5]);
    assert_eq!(floor(None).level(Component::Fmc), 0);
}

#[test]
fn what_cannot_be_is_an_error_by_name() {
    let long = "x".repeat(limits::REFERENCE_NAME + 1);
    let levels = "boot_loader = 2\ntee = 3\nsnp = 4\nmicrocode = 5\n";
    for (text, error) in [
        ("vmpl = []".to_owned(), PolicyError::Empty("snp.vmpl")),
        ("vmpl = [4]".to_owned(), PolicyError::Range("snp.vmpl")),
        (
            "vlek_providers = []".to_owned(),
            PolicyError::Empty("snp.vlek_providers"),
        ),
        (
            format!("vlek_providers = ['{long}']"),
            PolicyError::TooLong("snp.vlek_providers"),
        ),
        (
            "minimum_guest_svn = 1".to_owned(),
            PolicyError::Missing("snp.id_keys"),
        ),
        (
            format!("id_keys = ['{}']", "ab".repeat(48)),
            PolicyError::Missing("snp.minimum_guest_svn"),
        ),
        (
            "minimum_guest_svn = 1\nid_keys = []".to_owned(),
            PolicyError::Empty("snp.id_keys"),
        ),
        (
            "author_keys = []".to_owned(),
            PolicyError::Empty("snp.author_keys"),
        ),
        ("family_ids = []".to_owned(), PolicyError::Empty("snp.family_ids")),
        ("image_ids = []".to_owned(), PolicyError::Empty("snp.image_ids")),
        (
            "mitigations = [64]".to_owned(),
            PolicyError::Range("snp.mitigations"),
        ),
        (
            "dangerously_accept_policy_bits = [64]".to_owned(),
            PolicyError::Range("snp.dangerously_accept_policy_bits"),
        ),
        (
            "dangerously_accept_platform_bits = [99]".to_owned(),
            PolicyError::Range("snp.dangerously_accept_platform_bits"),
        ),
        (
            format!("[minimum_tcb.turin-dense]\n{levels}"),
            PolicyError::Missing("snp.minimum_tcb.fmc"),
        ),
        (
            format!("[minimum_tcb.bergamo]\nfmc = 1\n{levels}"),
            PolicyError::Range("snp.minimum_tcb.fmc"),
        ),
    ] {
        assert_eq!(parse(&format!("smt = 'off'\n{text}")), Err(error), "{text}");
    }
    for text in [
        "smt = 'any'",
        "smt = true",
        "smt = 'off'\nvmpl = 'any'",
        "smt = 'off'\nminimum_tcb = 5",
        "smt = 'off'\n[minimum_tcb.rome]\nboot_loader = 2\ntee = 3\nsnp = 4\nmicrocode = 5",
        "smt = 'off'\n[minimum_tcb.milan]\nboot_loader = 2\ntee = 3\nsnp = 4",
        "smt = 'off'\n[minimum_tcb.milan]\nboot_loader = 2\ntee = 3\nsnp = 4\nmicrocode = 256",
        "smt = 'off'\ndangerously_accept_everything = true",
        "smt = 'off'\naccept_migration = true",
    ] {
        assert!(toml::from_str::<Section>(text).is_err(), "{text}");
    }
}

#[test]
fn the_page_describes_every_key() {
    let page = include_str!("../../../../docs/policy.md");
    let unknown = toml::from_str::<Section>("no_such_key = 1")
        .err()
        .unwrap()
        .to_string();
    let keys: Vec<_> = unknown.split('`').skip(1).step_by(2).skip(1).collect();
    assert!(keys.len() > 15, "{unknown}");
    for key in keys {
        assert!(page.contains(&format!("`{key}")), "docs/policy.md lacks {key}");
    }
}
