//! Each rule alone: a guest that satisfies a strict policy, one change, exactly that rule.

use std::collections::BTreeMap;

use anchorhold_encoding::Digest;

use super::*;
use crate::azure::fake::{VM, guest};
use crate::denial::{Denial, Verdict};
use crate::policy::azure::AzureSection;

/// What no policy can leave out.
const STRICT: &str = "any_vm = true\nroot_thumbprint = [\"none\"]\n";

/// The host's clock of the fake guest.
const NOW: Timestamp = Timestamp::from_unix(1_790_000_000);

/// SHA-256 values as the claims write them.
const SEVENS: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";

fn policy(text: &str) -> AzurePolicy {
    let section: AzureSection = toml::from_str(text).unwrap();
    AzurePolicy::new(section).unwrap()
}

fn values() -> [Digest<32>; 24] {
    std::array::from_fn(|number| Digest::new([u8::try_from(number).unwrap(); 32]))
}

/// A configuration as a strict policy wants it, with one member changed.
fn with(from: &str, to: &str) -> VerifiedGuest {
    let stateless = VM.replace(r#""tpm-persisted":true"#, r#""tpm-persisted":false"#);
    assert!(stateless.contains(from), "{from}");
    guest(&stateless.replacen(from, to, 1), &values())
}

fn strict() -> VerifiedGuest {
    with("", "")
}

fn outcome(rules: Rules) -> Result<Vec<RuleId>, Vec<RuleId>> {
    let reasons =
        |denial: Denial| -> Vec<RuleId> { denial.reasons().iter().map(|reason| reason.rule).collect() };
    let checks = rules.finish().map_err(reasons)?;
    let dangerously = checks
        .iter()
        .filter(|check| check.verdict == Verdict::DangerouslyAccepted);
    Ok(dangerously.map(|check| check.rule).collect())
}

fn judged(guest: &VerifiedGuest, text: &str, now: Timestamp) -> Result<Vec<RuleId>, Vec<RuleId>> {
    let mut rules = Rules::new();
    judge(&mut rules, &policy(text), guest, now);
    outcome(rules)
}

/// Refused by this rule alone; with these lines accepted, dangerously where they say so.
fn refuses(guest: &VerifiedGuest, rule: RuleId, accepting: &str) {
    assert_eq!(judged(guest, STRICT, NOW), Err(vec![rule]));
    let dangerously = accepting.contains("dangerously").then_some(rule);
    let accepted = judged(guest, &format!("{STRICT}{accepting}\n"), NOW);
    assert_eq!(accepted, Ok(dangerously.into_iter().collect()), "{rule}");
}

#[test]
fn a_strict_guest_satisfies_a_strict_policy_and_every_rule_is_judged_in_order() {
    let guest = strict();
    let mut rules = Rules::new();
    judge(&mut rules, &policy(STRICT), &guest, NOW);
    judge_registers(&mut rules, &[&registers(&[4, 7])], guest.registers());
    let checks = rules.finish().unwrap();
    assert!(checks.iter().all(|check| check.verdict == Verdict::Holds));
    let judged: Vec<_> = checks.iter().map(|check| check.rule).collect();
    let named = |rule: &RuleId| rule.name().starts_with("azure-");
    let all: Vec<_> = RuleId::ALL.iter().copied().filter(named).collect();
    assert_eq!(judged, all);
}

#[test]
fn each_switch_has_its_rule() {
    for (from, to, rule, accepting) in [
        (
            r#","console-enabled":false"#,
            r#","console-enabled":true"#,
            RuleId::AzureConsole,
            "dangerously_accept_console = true",
        ),
        (
            r#""interactive-console-enabled":false"#,
            r#""interactive-console-enabled":true"#,
            RuleId::AzureInteractiveConsole,
            "dangerously_accept_interactive_console = true",
        ),
        (
            r#""ipmi-enabled":false"#,
            r#""ipmi-enabled":true"#,
            RuleId::AzureIpmi,
            "dangerously_accept_ipmi = true",
        ),
        (
            r#""secure-boot":true"#,
            r#""secure-boot":false"#,
            RuleId::AzureSecureBoot,
            "dangerously_accept_secure_boot_off = true",
        ),
        (
            r#""tpm-persisted":false"#,
            r#""tpm-persisted":true"#,
            RuleId::AzurePersistedState,
            "dangerously_accept_persisted_state = true",
        ),
        (
            r#""filtered-vpci-devices-allowed":false"#,
            r#""filtered-vpci-devices-allowed":true"#,
            RuleId::AzureFilteredDevices,
            "dangerously_accept_filtered_devices = true",
        ),
        (
            r#""hardware-sealing-policy":"none""#,
            r#""hardware-sealing-policy":"signer""#,
            RuleId::AzureSealing,
            "dangerously_accept_sealing_to_signer = true",
        ),
    ] {
        refuses(&with(from, to), rule, accepting);
    }
    let sealed = with(
        r#""hardware-sealing-policy":"none""#,
        r#""hardware-sealing-policy":"hash""#,
    );
    assert_eq!(judged(&sealed, STRICT, NOW), Ok(vec![]));
    // Nobody can accept a vTPM that is not there: its quote is.
    let without = with(r#""tpm-enabled":true"#, r#""tpm-enabled":false"#);
    assert_eq!(judged(&without, STRICT, NOW), Err(vec![RuleId::AzureTpm]));
}

#[test]
fn what_is_not_reported_is_not_false() {
    for (member, name, rule) in [
        (
            r#","interactive-console-enabled":false"#,
            "interactive-console-enabled",
            RuleId::AzureInteractiveConsole,
        ),
        (r#","ipmi-enabled":false"#, "ipmi-enabled", RuleId::AzureIpmi),
        (
            r#","tpm-persisted":false"#,
            "tpm-persisted",
            RuleId::AzurePersistedState,
        ),
        (
            r#","filtered-vpci-devices-allowed":false"#,
            "filtered-vpci-devices-allowed",
            RuleId::AzureFilteredDevices,
        ),
        (r#","tpm-version":"1.38""#, "tpm-version", RuleId::AzureTpmVersion),
        (
            r#","root-cert-thumbprint":"""#,
            "root-cert-thumbprint",
            RuleId::AzureRootCertificate,
        ),
        (
            r#","hardware-sealing-policy":"none""#,
            "hardware-sealing-policy",
            RuleId::AzureSealing,
        ),
        (
            r#""current-time":1790000000,"#,
            "current-time",
            RuleId::AzureClock,
        ),
    ] {
        let accepting = format!("dangerously_accept_unreported = [\"{name}\"]");
        refuses(&with(member, ""), rule, &accepting);
        // Accepting that it is open accepts that it is said, and no silence.
        let open = "dangerously_accept_interactive_console = true\ndangerously_accept_ipmi = true\n\
                    dangerously_accept_persisted_state = true\ndangerously_accept_filtered_devices = true\n\
                    dangerously_accept_sealing_to_signer = true\n";
        let silent = judged(&with(member, ""), &format!("{STRICT}{open}"), NOW);
        assert_eq!(silent, Err(vec![rule]));
    }
    // And accepting silence accepts no open console.
    let open = with(r#""ipmi-enabled":false"#, r#""ipmi-enabled":true"#);
    let silence = format!("{STRICT}dangerously_accept_unreported = [\"ipmi-enabled\"]\n");
    assert_eq!(judged(&open, &silence, NOW), Err(vec![RuleId::AzureIpmi]));
}

#[test]
fn who_and_what_is_listed() {
    let rooted = with(
        r#""root-cert-thumbprint":"""#,
        &format!(r#""root-cert-thumbprint":"{SEVENS}""#),
    );
    let root = Digest::new([7_u8; 32]);
    assert_eq!(
        judged(&rooted, STRICT, NOW),
        Err(vec![RuleId::AzureRootCertificate])
    );
    let named = format!("any_vm = true\nroot_thumbprint = [\"{root}\"]\n");
    assert_eq!(judged(&rooted, &named, NOW), Ok(vec![]));
    assert_eq!(
        judged(&strict(), &named, NOW),
        Err(vec![RuleId::AzureRootCertificate])
    );

    let ids = |id: &str| format!("vm_unique_ids = [\"{id}\"]\nroot_thumbprint = [\"none\"]\n");
    let own = ids("0123abcd-4567-89ef-0123-456789abcdef");
    assert_eq!(judged(&strict(), &own, NOW), Ok(vec![]));
    let other = ids("0123abcd-4567-89ef-0123-456789abcde0");
    assert_eq!(judged(&strict(), &other, NOW), Err(vec![RuleId::AzureVm]));

    let provisioned = with(
        "{",
        r#"{"vmgs-provisioner":{"id":"6F2626C0-BE6B-4DC4-9D41-990911B067C0","signer":"did:x509"},"#,
    );
    refuses(
        &provisioned,
        RuleId::AzureProvisioner,
        "vmgs_provisioners = [\"6f2626c0-be6b-4dc4-9d41-990911b067c0\"]",
    );
    let released = with("{", &format!(r#"{{"key-release-context-hash":"{root}","#));
    refuses(
        &released,
        RuleId::AzureKeyRelease,
        &format!("key_release_contexts = [\"{root}\"]"),
    );
}

#[test]
fn the_vtpm_has_a_floor_and_the_hosts_clock_is_near() {
    let version = |least: &str| {
        judged(
            &strict(),
            &format!("{STRICT}minimum_tpm_version = \"{least}\"\n"),
            NOW,
        )
    };
    assert_eq!(version("1.38"), Ok(vec![]));
    assert_eq!(version("1.39"), Err(vec![RuleId::AzureTpmVersion]));
    assert_eq!(version("1.16"), Ok(vec![]));
    let old = with("1.38", "1.37");
    assert_eq!(judged(&old, STRICT, NOW), Err(vec![RuleId::AzureTpmVersion]));

    let guest = strict();
    for (seconds, near) in [(0, true), (600, true), (601, false), (-600, true), (-601, false)] {
        let now = Timestamp::from_unix(NOW.unix().checked_add_signed(seconds).unwrap());
        let expected = if near {
            Ok(vec![])
        } else {
            Err(vec![RuleId::AzureClock])
        };
        assert_eq!(judged(&guest, STRICT, now), expected, "{seconds}");
    }
    let wide = format!("{STRICT}clock_difference_seconds = 601\n");
    assert_eq!(judged(&guest, &wide, NOW.plus(601)), Ok(vec![]));
}

/// Registers that are expected as the fake vTPM has them.
fn registers(numbers: &[u8]) -> RegisterValues<32> {
    let each = numbers
        .iter()
        .map(|number| (*number, vec![Digest::new([*number; 32])]));
    RegisterValues::new(each.collect()).unwrap()
}

#[test]
fn registers_are_those_of_one_reference_value() {
    let guest = strict();
    let judged = |candidates: &[&RegisterValues<32>]| {
        let mut rules = Rules::new();
        judge_registers(&mut rules, candidates, guest.registers());
        rules
            .finish()
            .map_err(|denial| denial.reasons()[0].found.clone())
            .map(|checks| checks.len())
    };
    assert_eq!(judged(&[&registers(&[0, 4, 7])]), Ok(1));
    assert_eq!(judged(&[]), Err("none for this paravisor".to_owned()));
    // The configuration's register alone says nothing of what booted.
    assert_eq!(
        judged(&[&registers(&[8])]),
        Err("none for this paravisor".to_owned())
    );
    let wrong = |number: u8, more: &[u8]| {
        let mut map = BTreeMap::from([(number, vec![Digest::new([0xee; 32])])]);
        map.extend(
            more.iter()
                .map(|number| (*number, vec![Digest::new([*number; 32])])),
        );
        RegisterValues::new(map).unwrap()
    };
    assert_eq!(judged(&[&wrong(4, &[7, 11])]), Err("others in 4".to_owned()));
    assert_eq!(judged(&[&wrong(4, &[7]), &registers(&[4, 7])]), Ok(1));
    // Each is right in one of them, and all in none.
    assert!(judged(&[&wrong(4, &[7]), &wrong(7, &[4])]).is_err());
    let any = RegisterValues::new(BTreeMap::from([(
        4,
        vec![Digest::new([0xee; 32]), Digest::new([4; 32])],
    )]));
    assert_eq!(judged(&[&any.unwrap()]), Ok(1));
}
