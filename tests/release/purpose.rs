//! Evidence made for a broker shown to a client, and evidence made for a client shown to a broker.
//!
//! Why apart: the same machine signs both, and both are genuine.
//!
//! # Invariants
//! The same nonce bytes on both sides: the purpose alone differs.

use anchorhold_attestation::{
    Anchors, Binding, Challenge, DevicesDigest, Endorsements, NonceBatch, Policy, ReceivedIdentity, RuleId,
    Timestamp, verify,
};
use anchorhold_tests::guest::Guest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::tiny_world;

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

#[test]
fn evidence_for_a_broker_is_denied_by_a_client() {
    let world = tiny_world();
    let guest = Guest::of(&world);
    let policy = Policy::from_toml(world.policy.as_bytes()).unwrap();
    let challenge = Challenge::new([0x42; 32], NOW);
    let batch = NonceBatch::collect(vec![*challenge.nonce()]).unwrap();
    let identity = || ReceivedIdentity::parse(&guest.identity.encode()).unwrap();
    let judged = |evidence: &anchorhold_attestation::Evidence| {
        let claims = verify(evidence, &Endorsements::none(), &Anchors::compiled(), NOW).unwrap();
        let binding = Binding::client(&challenge, identity(), &batch.proof(0).unwrap(), evidence);
        policy.appraise(claims, binding, NOW)
    };
    let for_clients = batch.report_data(&identity().digest(), &DevicesDigest::of(&[]));
    assert!(judged(&guest.evidence(&for_clients)).is_ok());
    // A broker that is the client's enemy may choose its nonce: it chooses the client's.
    let nonce = STANDARD.encode(challenge.nonce().as_bytes());
    let denial = judged(&guest.evidence(&guest.report_data(&nonce))).err().unwrap();
    let rules: Vec<RuleId> = denial.reasons().iter().map(|reason| reason.rule).collect();
    assert_eq!(rules, [RuleId::ReportData]);
}

#[test]
fn evidence_for_a_client_is_denied_by_a_broker() {
    let world = tiny_world();
    let mut broker = world.start_broker();
    let guest = Guest::of(&world);
    assert_eq!(guest.obtain().status, 200);
    let session = guest.begin();
    // Whoever holds the session asks the enclave for evidence as a client would, with the broker's nonce.
    let nonce: [u8; 32] = STANDARD.decode(&session.nonce).unwrap().try_into().unwrap();
    let batch = NonceBatch::collect(vec![*Challenge::new(nonce, NOW).nonce()]).unwrap();
    let identity = ReceivedIdentity::parse(&guest.identity.encode()).unwrap();
    let for_clients = batch.report_data(&identity.digest(), &DevicesDigest::of(&[]));
    let message = guest.message(&session.nonce, &guest.evidence(&for_clients));
    assert_eq!(guest.post_evidence(&session.cookie, &message).refused(), "denied");
    broker.says("denied: default/model/demo");
    assert_eq!(world.denied_rules(), ["report-data"]);
}
