//! Names and hints of rules, texts of parse errors.

use super::*;
use crate::parse::{ParseError, Part};

#[test]
fn names_are_stable_and_hints_are_there() {
    // The first and the last, and some between: no rule may come to mean another.
    let (first, last) = (RuleId::ALL.first().unwrap(), RuleId::ALL.last().unwrap());
    assert_eq!([first.name(), last.name()], ["inclusion-proof", "still-valid"]);
    assert!(RuleId::ALL.is_sorted(), "declared in policy order");
    let page = include_str!("../../../docs/policy.md");
    let mut names: Vec<_> = RuleId::ALL.iter().map(|rule| rule.name()).collect();
    let mut hints: Vec<_> = RuleId::ALL.iter().map(|rule| rule.hint()).collect();
    for name in &names {
        let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(name.chars().all(kebab), "{name}");
        assert!(page.contains(&format!("`{name}`")), "docs/policy.md lacks {name}");
    }
    for list in [&mut names, &mut hints] {
        list.sort_unstable();
        list.dedup();
        assert_eq!(list.len(), RuleId::ALL.len());
    }
    assert_eq!(RuleId::Tcb.to_string(), "tcb");
}

#[test]
fn a_reason_is_one_line() {
    let reason = Reason {
        rule: RuleId::Tcb,
        expected: "7 or newer".to_owned(),
        found: "6".to_owned(),
        hint: RuleId::Tcb.hint(),
    };
    assert_eq!(reason.to_string(), "tcb: expected 7 or newer, found 6");
    assert_eq!(Verdict::Holds.to_string(), "holds");
    assert_eq!(Verdict::DangerouslyAccepted.to_string(), "dangerously accepted");
}

#[test]
fn rules_go_on_after_one_failed() {
    let mut rules = Rules::new();
    rules.demand(RuleId::Tcb, false, 1, 0);
    rules.demand(RuleId::Chip, true, 1, 1);
    rules.demand_unless(RuleId::Debug, false, false, "off", "on");
    let denial = rules.finish().unwrap_err();
    assert_eq!(denial.reasons().len(), 2);

    let mut rules = Rules::new();
    rules.demand_unless(RuleId::Debug, true, true, "off", "off");
    rules.demand_unless(RuleId::Tcb, true, false, "off", "off");
    let checks = rules.finish().unwrap();
    assert_eq!(checks.len(), 2);
    assert!(checks.iter().all(|check| check.verdict == Verdict::Holds));
}

#[test]
fn parse_errors_say_what_and_how() {
    let parts = [
        (Part::Evidence, "evidence"),
        (Part::Device, "device evidence"),
        (Part::Identity, "identity document"),
        (Part::AttestationDocument, "attestation document"),
        (Part::Nonce, "nonce"),
        (Part::RcarNonce, "RCAR nonce"),
        (Part::AdditionalEvidence, "additional evidence"),
        (Part::InitData, "init-data"),
        (Part::LaunchRecord, "launch record"),
        (Part::Receipt, "receipt"),
        (Part::Release, "release header"),
        (Part::KeyId, "key id"),
        (Part::ResourcePath, "resource path"),
    ];
    for (part, name) in parts {
        let errors = [
            (ParseError::TooLarge { part, limit: 5 }, "larger than 5"),
            (ParseError::Shape(part), "not of the expected shape"),
            (ParseError::NotCanonical(part), "not in canonical form"),
            (ParseError::Value(part), "a value out of range"),
        ];
        let mut hints = Vec::new();
        for (error, text) in errors {
            assert_eq!(error.to_string(), format!("{name}: {text}"));
            hints.push(error.hint());
        }
        hints.dedup();
        assert_eq!(hints.len(), 4);
    }
}

#[test]
fn names_of_the_vocabulary() {
    use crate::{Class, Platform, Product, TrustClass, Weakening};
    let json = |value: serde_json::Result<String>| value.unwrap().trim_matches('"').to_owned();
    let simulated = Platform::InsecureSimulated;
    assert_eq!(json(serde_json::to_string(&simulated)), simulated.name());
    assert_eq!(simulated.to_string(), "insecure-simulated");
    assert_eq!(simulated.rcar_tee(), "sample");
    assert_eq!(simulated.class(), Class::Insecure);
    assert_eq!(
        json(serde_json::to_string(&Product::InsecureSimulated)),
        Product::InsecureSimulated.name()
    );
    for class in [Class::Insecure, Class::Real] {
        assert_eq!(json(serde_json::to_string(&class)), class.to_string());
    }
    assert_eq!(Class::Insecure.to_string(), "insecure");
    assert_eq!(TrustClass::Simulated.to_string(), "simulated");
    assert_eq!(
        json(serde_json::to_string(&Weakening::HostTime)),
        Weakening::HostTime.name()
    );
    assert_eq!(Weakening::HostTime.name(), "dangerously_host_time");
}
