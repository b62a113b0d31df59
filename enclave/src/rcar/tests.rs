//! A broker of our own making, honest but for one thing.

pub(crate) mod broker;

use std::time::Duration;

use anchorhold_attestation::simulated::LaunchRecord;

use self::broker::{Broker, Fault};
use super::*;
use crate::tls::ServerKey;

/// A client whose configuration pins `broker`.
fn client(broker: &Broker) -> BrokerClient {
    client_of(&broker.configuration())
}

fn client_of(text: &str) -> BrokerClient {
    let config = Arc::new(Config::parse(text.as_bytes()).unwrap());
    let url = &config.broker.url;
    let addresses = vec![(url.host.parse::<std::net::IpAddr>().unwrap(), url.port).into()];
    let clock = Arc::new(Clock::for_tests());
    let config_sha256 = anchorhold_encoding::sha256(&[text.as_bytes()]);
    let tls = ServerKey::generate().unwrap();
    let launch = LaunchRecord {
        measurement: Digest::new([1; 48]),
        host_data: config_sha256,
    };
    let attester = Arc::new(Attester::new(config.platform, &launch).unwrap());
    let confirmed = attester.confirm(text.as_bytes()).unwrap();
    let identity = Arc::new(Identity::create(&config, &confirmed, &tls).unwrap());
    BrokerClient::new(config, addresses, text.to_owned(), identity, attester, clock).unwrap()
}

async fn fails(fault: Fault) -> RcarError {
    let broker = Broker::start(fault).await;
    client(&broker)
        .obtain()
        .await
        .err()
        .expect("the broker misbehaves")
}

#[tokio::test]
async fn an_honest_broker_releases_the_key() {
    let broker = Broker::start(Fault::None).await;
    let client = client(&broker);
    let before = client.clock.now();
    let released = client.obtain().await.ok().unwrap();
    assert_eq!(released.lease_seconds, 3600);
    assert_eq!(released.lease_tokens, 9);
    assert_eq!(released.terms.tokens, Some(9));
    assert_eq!(released.terms.lifetime, Duration::from_secs(3600));
    assert!(released.terms.requested_at >= before);
    assert_eq!(released.broker_time, Timestamp::from_unix(1_800_000_000));
    assert!(
        broker.saw_binding_evidence(),
        "report data covers nonce, key and identity"
    );
    assert!(!client.identity.newest_evidence().is_zero());
}

#[tokio::test]
async fn every_session_has_a_key_of_its_own() {
    let broker = Broker::start(Fault::None).await;
    let client = client(&broker);
    assert!(client.obtain().await.is_ok());
    assert!(client.obtain().await.is_ok());
    let keys = broker.tee_keys();
    assert_eq!(keys.len(), 2);
    assert_ne!(keys[0], keys[1]);
}

#[tokio::test]
async fn a_denial_is_told_by_its_step_and_is_final() {
    for (fault, refusal) in [
        (Fault::RefuseSession, Refusal::Session),
        (Fault::RefuseEvidence, Refusal::Evidence),
        (Fault::RefuseResource, Refusal::Resource),
        (Fault::NoResource, Refusal::UnknownResource),
    ] {
        let error = fails(fault).await;
        assert_eq!(error, RcarError::Denied(refusal));
        assert!(!error.is_transient());
    }
}

#[tokio::test]
async fn a_release_must_be_signed_for_this_session_key_and_body() {
    let signature = RcarError::Release(anchorhold_attestation::ReleaseError::Signature);
    assert_eq!(fails(Fault::Unsigned).await, RcarError::Unsigned);
    assert_eq!(fails(Fault::SignedByOther).await, signature);
    assert_eq!(fails(Fault::OtherNonce).await, signature);
    assert_eq!(fails(Fault::OtherTeeKey).await, signature);
    assert_eq!(fails(Fault::OtherResource).await, signature);
    assert_eq!(fails(Fault::OtherBody).await, signature);
    assert_eq!(fails(Fault::LongerLease).await, signature);
}

#[tokio::test]
async fn a_release_must_be_for_the_configured_key_and_model() {
    let manifest = RcarError::Release(anchorhold_attestation::ReleaseError::Manifest);
    assert_eq!(fails(Fault::OtherManifest).await, manifest);
    assert_eq!(fails(Fault::OtherKeyId).await, RcarError::OtherKey);
    let wrapped = fails(Fault::WrappedForOther).await;
    assert!(matches!(wrapped, RcarError::Wrap(_)), "{wrapped:?}");
}

#[tokio::test]
async fn nothing_in_the_challenge_selects_a_hash_or_a_short_nonce() {
    for fault in [
        Fault::SelectSha256,
        Fault::ShortNonce,
        Fault::NoCookie,
        Fault::NotJson,
    ] {
        assert_eq!(fails(fault).await, RcarError::Protocol, "{fault:?}");
    }
}

#[tokio::test]
async fn the_brokers_own_failures_may_pass() {
    let error = fails(Fault::ServerError).await;
    assert_eq!(error, RcarError::BrokerFailed);
    assert!(error.is_transient());
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    assert_eq!(fails(Fault::HugeBody).await, RcarError::Protocol);
}

#[tokio::test]
async fn a_silent_broker_is_not_waited_for() {
    let broker = Broker::start(Fault::Silent).await;
    let text = broker
        .configuration()
        .replace("resource =", "timeout_seconds = 1\nresource =");
    let error = client_of(&text).obtain().await.err().unwrap();
    assert_eq!(error, RcarError::Unreachable);
    assert!(error.is_transient());
}

#[tokio::test]
async fn another_tls_key_gets_nothing() {
    let (broker, other) = (Broker::start(Fault::None).await, Broker::start(Fault::None).await);
    // The address of one with the pin of the other.
    let text = broker.configuration().replace(&broker.port(), &other.port());
    let error = client_of(&text).obtain().await.err().unwrap();
    assert_eq!(error, RcarError::WrongTlsKey);
    assert!(!error.is_transient());
    assert!(other.tee_keys().is_empty());
}

#[tokio::test]
async fn nobody_listening_is_transient() {
    let broker = Broker::start(Fault::None).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = listener.local_addr().unwrap().port().to_string();
    drop(listener);
    let text = broker.configuration().replace(&broker.port(), &free);
    let error = client_of(&text).obtain().await.err().unwrap();
    assert_eq!(error, RcarError::Unreachable);
}

#[test]
fn only_a_refusal_in_the_protocols_words_is_one() {
    let outcome = |status: StatusCode, body: &str, refusal| {
        let answer = http::Answer {
            status,
            headers: hyper::HeaderMap::new(),
            body: body.to_owned().into(),
        };
        accepted(answer, refusal).err()
    };
    let words = r#"{"type":"https://example/errors/PolicyDeny","detail":"no"}"#;
    let (denied, protocol) = (
        |refusal| Some(RcarError::Denied(refusal)),
        Some(RcarError::Protocol),
    );
    let unauthorized = StatusCode::UNAUTHORIZED;
    assert_eq!(outcome(StatusCode::OK, "", Refusal::Evidence), None);
    assert_eq!(
        outcome(unauthorized, words, Refusal::Evidence),
        denied(Refusal::Evidence)
    );
    assert_eq!(
        outcome(StatusCode::NOT_FOUND, words, Refusal::Resource),
        denied(Refusal::UnknownResource)
    );
    assert_eq!(
        outcome(StatusCode::NOT_FOUND, words, Refusal::Session),
        denied(Refusal::Session)
    );
    // A proxy's page, and a redirection: nobody who knows this protocol has answered.
    assert_eq!(
        outcome(unauthorized, "<html>", Refusal::Evidence),
        protocol.clone()
    );
    assert_eq!(outcome(StatusCode::FOUND, words, Refusal::Evidence), protocol);
    assert_eq!(
        outcome(StatusCode::BAD_GATEWAY, words, Refusal::Evidence),
        Some(RcarError::BrokerFailed)
    );
}
