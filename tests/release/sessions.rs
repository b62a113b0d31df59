//! What a guest may do once: a nonce, a session, a resource.
//!
//! Why apart: the genuine enclave does none of this; a guest made by the test does.
//!
//! # Invariants
//! Each refusal stands beside the same request where it is right.

use std::time::Duration;

use anchorhold_models::wrap::TeeKeyPair;
use anchorhold_tests::guest::Guest;
use anchorhold_tests::process::Process;
use anchorhold_tests::world::World;
use serde_json::json;

use crate::tiny_world;

/// A world, its broker, which lives as long as its value, and a guest that the policy affirms.
fn scene() -> (World, Process, Guest) {
    let world = tiny_world();
    let broker = world.start_broker();
    let guest = Guest::of(&world);
    (world, broker, guest)
}

#[test]
fn a_resource_is_given_once_a_session() {
    let (world, _broker, guest) = scene();
    let session = guest.begin();
    assert_eq!(guest.attest(&session.cookie, &session.nonce).status, 200);
    let first = guest.resource(Some(&session.cookie));
    assert!(first.status == 200 && first.release.is_some(), "{first:?}");
    assert_eq!(guest.resource(Some(&session.cookie)).refused(), "no_session");
    let granted = world.log();
    assert_eq!(
        granted.len(),
        1,
        "the second request released nothing: {granted:#?}"
    );
}

#[test]
fn a_head_request_releases_nothing_and_uses_nothing_up() {
    let (world, _broker, guest) = scene();
    let session = guest.begin();
    assert_eq!(guest.attest(&session.cookie, &session.nonce).status, 200);
    let head = guest.send(
        "HEAD",
        "/kbs/v0/resource/default/model/demo",
        Some(&session.cookie),
        b"",
    );
    assert!(head.status == 404 && head.release.is_none(), "{head:?}");
    assert!(world.log().is_empty());
    assert_eq!(guest.resource(Some(&session.cookie)).status, 200);
}

#[test]
fn a_session_takes_evidence_once() {
    let (_world, _broker, guest) = scene();
    let session = guest.begin();
    assert_eq!(guest.attest(&session.cookie, &session.nonce).status, 200);
    assert_eq!(
        guest.attest(&session.cookie, &session.nonce).refused(),
        "no_session"
    );
    // Evidence that was refused uses the nonce up as well.
    let session = guest.begin();
    let mut message = guest.message(
        &session.nonce,
        &guest.evidence(&guest.report_data(&session.nonce)),
    );
    message["init-data"]["body"] = "other".into();
    assert_eq!(guest.post_evidence(&session.cookie, &message).refused(), "denied");
    assert_eq!(
        guest.attest(&session.cookie, &session.nonce).refused(),
        "no_session"
    );
}

#[test]
fn a_nonce_of_another_session_is_refused() {
    let (_world, _broker, guest) = scene();
    let (used, fresh) = (guest.begin(), guest.begin());
    assert_eq!(
        guest.attest(&fresh.cookie, &used.nonce).refused(),
        "nonce_mismatch"
    );
    // The other session is untouched by that.
    assert_eq!(guest.attest(&used.cookie, &used.nonce).status, 200);
    // Evidence over the old nonce under the new nonce's name: the report says otherwise.
    let again = guest.begin();
    let stale = guest.evidence(&guest.report_data(&used.nonce));
    assert_eq!(
        guest
            .post_evidence(&again.cookie, &guest.message(&again.nonce, &stale))
            .refused(),
        "denied"
    );
}

#[test]
fn a_session_is_known_by_its_cookie_alone() {
    let (_world, _broker, guest) = scene();
    let session = guest.begin();
    assert_eq!(
        guest.resource(Some(&session.cookie)).refused(),
        "no_session",
        "no evidence yet"
    );
    assert_eq!(guest.attest(&session.cookie, &session.nonce).status, 200);
    let digit = if session.cookie.ends_with('0') { "1" } else { "0" };
    let guessed = format!("{}{digit}", &session.cookie[..session.cookie.len() - 1]);
    for cookie in [
        None,
        Some("kbs-session-id="),
        Some("kbs-session-id=../../etc"),
        Some(guessed.as_str()),
    ] {
        assert_eq!(guest.resource(cookie).refused(), "no_session", "{cookie:?}");
    }
    // Another session's cookie, with no evidence behind it.
    assert_eq!(
        guest.resource(Some(&guest.begin().cookie)).refused(),
        "no_session"
    );
    assert_eq!(guest.resource(Some(&session.cookie)).status, 200);
}

#[test]
fn the_key_goes_to_the_tee_key_that_the_evidence_covers() {
    let (world, _broker, guest) = scene();
    let session = guest.begin();
    let evidence = guest.evidence(&guest.report_data(&session.nonce));
    let mut message = guest.message(&session.nonce, &evidence);
    message["runtime-data"]["tee-pubkey"] = TeeKeyPair::generate().public_jwk();
    assert_eq!(guest.post_evidence(&session.cookie, &message).refused(), "denied");
    assert_eq!(world.denied_rules(), ["report-data"]);
    // And is of no use to whoever reads it on the way.
    let released = guest.obtain();
    assert_eq!(released.status, 200);
    let stranger = TeeKeyPair::generate();
    assert!(anchorhold_models::ModelKey::unwrap(&released.body, stranger).is_err());
    assert!(anchorhold_models::ModelKey::unwrap(&released.body, guest.pair).is_ok());
}

#[test]
fn an_altered_report_or_identity_is_denied_by_its_rule() {
    let (world, _broker, mut guest) = scene();
    assert_eq!(guest.obtain().status, 200);

    let session = guest.begin();
    let mut message = guest.message(
        &session.nonce,
        &guest.evidence(&guest.report_data(&session.nonce)),
    );
    let other = serde_json::to_string(&json!({"anchorhold": {"identity": "e30="}})).unwrap();
    message["tee-evidence"]["additional_evidence"] = other.into();
    assert_eq!(
        guest.post_evidence(&session.cookie, &message).refused(),
        "malformed_message"
    );

    let session = guest.begin();
    let mut message = guest.message(
        &session.nonce,
        &guest.evidence(&guest.report_data(&session.nonce)),
    );
    let report = message["tee-evidence"]["primary_evidence"]["report"]
        .as_str()
        .unwrap()
        .to_owned();
    let at = report.len() / 2;
    let letter = if report.as_bytes()[at] == b'A' { "B" } else { "A" };
    message["tee-evidence"]["primary_evidence"]["report"] =
        format!("{}{letter}{}", &report[..at], &report[at + 1..]).into();
    assert_eq!(
        guest.post_evidence(&session.cookie, &message).refused(),
        "evidence_not_verified"
    );
    assert_eq!(world.denied_rules(), ["evidence"]);

    let name_of = |guest: &Guest| {
        let session = guest.begin();
        assert_eq!(guest.attest(&session.cookie, &session.nonce).refused(), "denied");
        world.denied_rules()
    };
    guest.identity.weakened.clear();
    assert_eq!(guest.obtain().status, 200, "less weakened than accepted");
    guest.platform.debug = true;
    assert_eq!(name_of(&guest), ["debug"]);
    guest.platform.debug = false;
    guest.platform.tcb = 0;
    assert_eq!(name_of(&guest), ["tcb"]);
    guest.platform.tcb = 1;
    guest.identity.config_sha256 = anchorhold_encoding::Digest::new([9; 32]);
    assert_eq!(name_of(&guest), ["config-identity"]);
}

#[test]
fn a_session_that_is_slow_to_speak_holds_nothing_up() {
    let (world, _broker, guest) = scene();
    let idle: Vec<_> = (0..64)
        .map(|_| std::net::TcpStream::connect(&world.broker_address).unwrap())
        .collect();
    let started = std::time::Instant::now();
    assert_eq!(guest.obtain().status, 200);
    assert!(started.elapsed() < Duration::from_secs(5));
    drop(idle);
}
