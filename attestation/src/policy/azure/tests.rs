//! The section `[azure]`: what must be there, what may be, and what an unset key means.

use super::*;

/// The least that a section must say.
const LEAST: &str = "any_vm = true\nroot_thumbprint = [\"none\"]\n";

fn parse(text: &str) -> Option<Result<AzurePolicy, PolicyError>> {
    toml::from_str(text).ok().map(AzurePolicy::new)
}

fn refused(text: &str) -> PolicyError {
    parse(text).expect("a section").expect_err("must be refused")
}

#[test]
fn unset_accepts_nothing_weak() {
    let policy = parse(LEAST).unwrap().unwrap();
    assert!(policy.vm_unique_ids.is_none());
    assert_eq!(policy.roots, [RootCertificate::Absent]);
    assert_eq!(
        (policy.minimum_tpm_version, policy.clock_difference_seconds),
        (138, 600)
    );
    assert!(policy.vmgs_provisioners.is_empty() && policy.key_release_contexts.is_empty());
    assert!(policy.accept_unreported.is_empty());
    let weak = [
        policy.accept_console,
        policy.accept_interactive_console,
        policy.accept_ipmi,
        policy.accept_secure_boot_off,
        policy.accept_persisted_state,
        policy.accept_filtered_devices,
        policy.accept_sealing_to_signer,
    ];
    assert_eq!(weak, [false; 7]);
}

#[test]
fn what_has_no_strict_value_must_be_given() {
    let id = "vm_unique_ids = [\"0123abcd-4567-89ef-0123-456789abcdef\"]\n";
    assert_eq!(
        refused("root_thumbprint = [\"none\"]\n"),
        PolicyError::Missing("azure.vm_unique_ids")
    );
    assert_eq!(
        refused("any_vm = true\n"),
        PolicyError::Missing("azure.root_thumbprint")
    );
    assert_eq!(
        refused(&format!("{LEAST}{id}")),
        PolicyError::Range("azure.any_vm")
    );
    let named = parse(&format!(
        "{id}root_thumbprint = [\"{}\"]\n",
        Digest::new([7_u8; 32])
    ));
    let named = named.unwrap().unwrap();
    assert_eq!(named.roots, [RootCertificate::Thumbprint(Digest::new([7; 32]))]);
    assert_eq!(named.vm_unique_ids.map(|list| list.len()), Some(1));
}

#[test]
fn unknown_words_are_no_section() {
    for line in [
        "console = true",
        "dangerously_accept_everything = true",
        "minimum_tpm_version = 1.38",
        "minimum_tpm_version = \"2\"",
        "vmgs_provisioners = [\"someone\"]",
        "key_release_contexts = [\"00\"]",
        "dangerously_accept_unreported = [\"secure-boot\"]",
        "dangerously_accept_unreported = [\"console-enabled\"]",
    ] {
        assert!(parse(&format!("{LEAST}{line}\n")).is_none(), "{line}");
    }
    assert!(parse("any_vm = true\nroot_thumbprint = [\"any\"]\n").is_none());
}

#[test]
fn members_have_the_names_of_the_claims() {
    let names = [
        "interactive-console-enabled",
        "ipmi-enabled",
        "tpm-version",
        "tpm-persisted",
        "filtered-vpci-devices-allowed",
        "root-cert-thumbprint",
        "current-time",
        "hardware-sealing-policy",
    ];
    let list = names.map(|name| format!("\"{name}\"")).join(", ");
    let policy = parse(&format!("{LEAST}dangerously_accept_unreported = [{list}]\n"));
    assert_eq!(policy.unwrap().unwrap().accept_unreported.len(), names.len());
}

#[test]
fn numbers_have_ranges_and_lists_entries() {
    let difference = |seconds: u64| parse(&format!("{LEAST}clock_difference_seconds = {seconds}\n"));
    for (seconds, good) in [(0, false), (1, true), (86_400, true), (86_401, false)] {
        let policy = difference(seconds).unwrap();
        assert_eq!(policy.is_ok(), good, "{seconds}");
    }
    for key in [
        "vmgs_provisioners",
        "key_release_contexts",
        "dangerously_accept_unreported",
    ] {
        let error = refused(&format!("{LEAST}{key} = []\n"));
        assert!(
            matches!(error, PolicyError::Empty(named) if named.ends_with(key)),
            "{error}"
        );
    }
    assert_eq!(
        refused("any_vm = true\nroot_thumbprint = []\n"),
        PolicyError::Empty("azure.root_thumbprint")
    );
    assert_eq!(
        refused("vm_unique_ids = []\n"),
        PolicyError::Empty("azure.vm_unique_ids")
    );
}
