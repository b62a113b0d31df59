//! Strict defaults, no silent keys, errors by line.

use proptest::prelude::*;

use super::*;
use crate::fixture::policy_text;

fn parse(text: &str) -> Result<Policy, PolicyError> {
    Policy::from_toml(text.as_bytes())
}

fn without(line: &str) -> String {
    let text = policy_text();
    let kept: Vec<_> = text.lines().filter(|other| !other.starts_with(line)).collect();
    assert!(kept.len() < text.lines().count());
    kept.join("\n")
}

fn with(line: &str) -> String {
    policy_text().replacen("[[", &format!("{line}\n[["), 1)
}

#[test]
fn what_is_not_set_is_strict() {
    let text = without("max_age").replace("dangerously_accept_simulated = true", "");
    let policy = parse(&text).unwrap();
    assert_eq!(policy.max_age_seconds(), 600);
    assert!(!policy.accepts_simulated());
    assert!(!policy.accept_debug);
    assert!(policy.accept_weakened.is_empty());
    assert_eq!(*policy.id(), sha256(&[text.as_bytes()]));
    let policy = parse(&policy_text()).unwrap();
    assert_eq!(policy.max_age_seconds(), 100);
    assert!(policy.accepts_simulated());
    assert_ne!(*policy.id(), sha256(&[text.as_bytes()]));
}

#[test]
fn what_has_no_strict_default_must_be_given() {
    let missing = |line| parse(&without(line)).unwrap_err();
    assert_eq!(missing("version"), PolicyError::Missing("version"));
    assert_eq!(missing("manifest"), PolicyError::Missing("manifest_sha256"));
    assert_eq!(missing("config"), PolicyError::Missing("config_sha256"));
    assert_eq!(missing("chips"), PolicyError::OneOfChips);
    let text = policy_text();
    let (head, _) = text.split_once("[[").unwrap();
    assert_eq!(parse(head).unwrap_err(), PolicyError::Missing("reference_values"));
    for line in ["name", "platform", "measurement"] {
        assert_eq!(missing(line), PolicyError::KeyOrValue { line: 7 }, "{line}");
    }
    assert_eq!(missing("minimum_tcb"), PolicyError::Missing("minimum_tcb"));
    assert_eq!(
        parse("").unwrap_err(),
        PolicyError::Missing("version"),
        "an empty policy"
    );
}

#[test]
fn empty_lists_accept_nothing_and_are_errors() {
    let digest = anchorhold_encoding::Digest::new([0x44; 32]);
    let manifest = policy_text().replace(&format!("\"{digest}\""), "[]");
    assert_eq!(
        parse(&manifest).unwrap_err(),
        PolicyError::Empty("manifest_sha256")
    );
    let config = format!("config_sha256 = []\n{}", without("config"));
    assert_eq!(parse(&config).unwrap_err(), PolicyError::Empty("config_sha256"));
    let chips = format!("chips = []\n{}", without("chips"));
    assert_eq!(parse(&chips).unwrap_err(), PolicyError::Empty("chips"));
    let any = format!("any_chip_of = []\n{}", without("chips"));
    assert_eq!(parse(&any).unwrap_err(), PolicyError::Empty("any_chip_of"));
    let text = policy_text();
    let (head, _) = text.split_once("[[").unwrap();
    assert_eq!(
        parse(&format!("{head}reference_values = []")).unwrap_err(),
        PolicyError::Empty("reference_values")
    );
}

#[test]
fn lists_and_single_digests_mean_the_same() {
    let digest = anchorhold_encoding::Digest::new([0x44; 32]);
    let list = policy_text().replace(&format!("\"{digest}\""), &format!("[\"{digest}\"]"));
    assert_eq!(parse(&list).unwrap().manifests, [digest]);
    assert_eq!(parse(&policy_text()).unwrap().manifests, [digest]);
}

#[test]
fn chips_are_given_exactly_once() {
    let both = with("any_chip_of = [\"insecure-simulated\"]");
    assert_eq!(parse(&both).unwrap_err(), PolicyError::OneOfChips);
    let any = format!("any_chip_of = [\"insecure-simulated\"]\n{}", without("chips"));
    assert_eq!(
        parse(&any).unwrap().chips,
        Chips::AnyOf(vec![Product::InsecureSimulated])
    );
}

#[test]
fn numbers_have_ranges() {
    let age = |seconds: &str| parse(&format!("max_age_seconds = {seconds}\n{}", without("max_age")));
    assert_eq!(age("1").unwrap().max_age_seconds(), 1);
    assert_eq!(age("86400").unwrap().max_age_seconds(), 86_400);
    for bad in ["0", "86401", "9223372036854775807"] {
        assert_eq!(age(bad).unwrap_err(), PolicyError::Range("max_age_seconds"));
    }
    for version in ["0", "2"] {
        let text = policy_text().replace("version = 1", &format!("version = {version}"));
        assert_eq!(parse(&text).unwrap_err(), PolicyError::Range("version"));
    }
}

#[test]
fn unknown_keys_and_ill_typed_values_are_errors_by_line() {
    let seventh = [
        "dangerously_accept_everything = true",
        "max_age = 5",
        "dangerously_accept_debug = 1",
        "dangerously_accept_debug = \"true\"",
        "dangerously_accept_weakened = [\"dangerously_all\"]",
        "dangerously_accept_weakened = \"dangerously_host_time\"",
    ];
    for line in seventh {
        assert_eq!(
            parse(&with(line)).unwrap_err(),
            PolicyError::KeyOrValue { line: 7 },
            "{line}"
        );
    }
    let digest = anchorhold_encoding::Digest::new([0x44; 32]).to_string();
    for bad in ["", "44", "*", &digest.replace('4', "A")] {
        let text = policy_text().replace(&digest, bad);
        assert_eq!(
            parse(&text).unwrap_err(),
            PolicyError::KeyOrValue { line: 2 },
            "{bad}"
        );
    }
    let unknown = format!("{}color = \"red\"\n", policy_text());
    assert!(matches!(
        parse(&unknown).unwrap_err(),
        PolicyError::KeyOrValue { .. }
    ));
    let negative = policy_text().replace("minimum_tcb = 7", "minimum_tcb = -7");
    assert_eq!(
        parse(&negative).unwrap_err(),
        PolicyError::KeyOrValue { line: 11 }
    );
    let platform = policy_text().replace("insecure-simulated", "sgx");
    assert_eq!(parse(&platform).unwrap_err(), PolicyError::KeyOrValue { line: 9 });
}

#[test]
fn what_is_not_toml_is_an_error_by_line() {
    assert_eq!(
        parse(&with("this is not = = toml")).unwrap_err(),
        PolicyError::Syntax { line: 7 }
    );
    assert_eq!(
        parse(&with("version = 1")).unwrap_err(),
        PolicyError::Syntax { line: 7 },
        "a key given twice"
    );
    assert_eq!(Policy::from_toml(&[0xff]).unwrap_err(), PolicyError::NotText);
}

#[test]
fn everything_has_a_limit() {
    let padded = |length: usize| {
        let text = policy_text();
        let comment = "#".repeat(length - text.len());
        text + &comment
    };
    assert!(parse(&padded(limits::POLICY)).is_ok());
    assert_eq!(
        parse(&padded(limits::POLICY + 1)).unwrap_err(),
        PolicyError::TooLarge
    );
    let list = |count: usize| {
        let digest = anchorhold_encoding::Digest::new([0x44; 32]);
        let entries = vec![format!("\"{digest}\""); count].join(",");
        format!("manifest_sha256 = [{entries}]\n{}", without("manifest"))
    };
    assert!(parse(&list(4096)).is_ok());
    assert_eq!(
        parse(&list(4097)).unwrap_err(),
        PolicyError::TooLong("manifest_sha256")
    );
    let named = |length: usize| policy_text().replace("\"demo\"", &format!("\"{}\"", "n".repeat(length)));
    assert!(parse(&named(128)).is_ok());
    assert_eq!(parse(&named(129)).unwrap_err(), PolicyError::TooLong("name"));
    let (_, entry) = named(1)
        .split_once("[[")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let one_of_two = format!("{}[[{entry}", named(129));
    assert_eq!(parse(&one_of_two).unwrap_err(), PolicyError::TooLong("name"));
}

#[test]
fn errors_have_text_and_a_hint() {
    let table = [
        (PolicyError::TooLarge, "the policy is larger than 1048576 bytes"),
        (PolicyError::NotText, "the policy is not UTF-8"),
        (
            PolicyError::Syntax { line: 3 },
            "line 3 of the policy is not TOML",
        ),
        (
            PolicyError::KeyOrValue { line: 3 },
            "line 3 of the policy: an unknown key or a value it cannot have",
        ),
        (PolicyError::Missing("k"), "the policy does not set k"),
        (PolicyError::Empty("k"), "k in the policy is empty"),
        (PolicyError::TooLong("k"), "k in the policy is too long"),
        (PolicyError::Range("k"), "k in the policy is out of range"),
        (
            PolicyError::OneOfChips,
            "the policy must set exactly one of chips and any_chip_of",
        ),
    ];
    let mut hints = Vec::new();
    for (error, text) in table {
        assert_eq!(error.to_string(), text);
        hints.push(error.hint());
    }
    hints.sort_unstable();
    hints.dedup();
    assert_eq!(hints.len(), 6);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Policy::from_toml(&bytes).is_err());
    }

    #[test]
    fn no_change_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = policy_text().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Policy::from_toml(&bytes);
    }
}
