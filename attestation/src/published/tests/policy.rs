//! Published values in the hands of a policy.

use super::*;
use crate::fixture::{platform, policy_text, simulated_evidence};
use crate::{Anchors, Claims, DevicesDigest, Endorsements, Nonce, NonceBatch, Policy, RuleId, Verified};

/// The fixture's policy, with publishers in place of its own reference values.
fn policy() -> Policy {
    let text = policy_text();
    let (head, _) = text.split_once("[[").unwrap();
    let mut table: toml::Table = head.parse().unwrap();
    let publishers = toml::Value::try_from(trust()).unwrap();
    table.insert("publishers".to_owned(), publishers);
    Policy::from_toml(toml::to_string(&table).unwrap().as_bytes()).unwrap()
}

fn claims() -> Verified<Claims> {
    let batch = NonceBatch::collect(vec![Nonce::from_random([9; 32])]).unwrap();
    let data = batch.report_data(&Digest::new([1; 64]), &DevicesDigest::of(&[]));
    let evidence = simulated_evidence(&platform(), &data);
    crate::verify(&evidence, &Endorsements::none(), &Anchors::compiled(), NOW).unwrap()
}

/// What is published, with `revoked` measurements.
fn published(measurements: &[u8], revoked: &[u8]) -> PublishedValues {
    let mut one = statement(7);
    one.reference_values = measurements.iter().map(|byte| value(*byte)).collect();
    let text = |byte: &u8| Digest::new([*byte; 48]).to_string().parse().unwrap();
    one.revoked.measurements = revoked.iter().map(text).collect();
    let signed = signed(&one, &PUBLISHERS[..2]);
    let mut log = Log::default();
    let index = log.append(&signed);
    let bundle = log.bundle(&signed, index, &WITNESSES, &[]);
    verify(&bundle, &trust(), &Seen::nothing(), NOW).unwrap()
}

fn refused(policy: &Policy, now: Timestamp) -> Vec<RuleId> {
    let judged = policy.judge_machine_alone(claims().get(), now);
    judged.reasons.iter().map(|reason| reason.rule).collect()
}

#[test]
fn a_policy_that_names_publishers_takes_their_values_and_waits_for_them() {
    let mut policy = policy();
    assert_eq!(refused(&policy, NOW), [RuleId::Published, RuleId::Measurement]);
    policy.take(&published(&[0x77], &[])).unwrap();
    assert_eq!(refused(&policy, NOW), []);
    let end = NOW.plus(1000);
    assert_eq!(refused(&policy, Timestamp::from_unix(end.unix() - 1)), []);
    assert_eq!(refused(&policy, end), [RuleId::Published]);
}

#[test]
fn what_publishers_withdraw_is_withdrawn_from_a_policys_own_values() {
    let mut own = Policy::from_toml(policy_text().as_bytes()).unwrap();
    assert_eq!(refused(&own, NOW), []);
    own.take(&published(&[1], &[0x77])).unwrap();
    assert_eq!(refused(&own, NOW), [RuleId::Measurement]);

    // A register of the value is enough.
    let rtmrs = "rtmrs = { 0 = \"RTMR\", 1 = \"RTMR\", 2 = \"LAST\" }"
        .replace("RTMR", &Digest::new([0x31; 48]).to_string())
        .replace("LAST", &Digest::new([0x32; 48]).to_string());
    let domain = policy_text()
        .replace("insecure-simulated", "tdx")
        .replace("minimum_tcb = 7", &rtmrs)
        .replace(
            "chips =",
            &format!("config_sha384 = \"{}\"\nchips =", Digest::new([0x33; 48])),
        );
    let mut own = Policy::from_toml(domain.as_bytes()).unwrap();
    own.take(&published(&[1], &[0x31])).unwrap();
    assert!(own.reference_values.iter().all(|value| value.rtmrs.is_none()));
}
