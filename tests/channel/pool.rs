//! Connections of one client that land on several enclaves: each is verified for itself.
//!
//! What moves the connections ends no TLS: it is any load balancer, or an attacker.

use std::net::SocketAddr;
use std::sync::Arc;

use anchorhold::client::exchange::Whole;
use anchorhold::client::{ClientError, Enclave, Endpoint, Question};
use anchorhold::clock::Clock;
use anchorhold_attestation::{Policy, RuleId};
use anchorhold_tests::process::run;
use anchorhold_tests::world::{World, free_address, text};
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Uri};

use crate::caller::{Proxy, question};
use crate::liar::{Build, Desk, GENUINE, Liar, Lie, MODEL, policy, url};
use crate::wire::{Credentials, runtime, switch, tap};
use crate::{binding, genuine};

/// What the library knows of whoever is at `address`.
pub(crate) fn enclave(address: SocketAddr, policy: Policy) -> Arc<Enclave> {
    let endpoint: Endpoint = url(address).parse().unwrap();
    Arc::new(Enclave::new(endpoint, policy, Clock::system()))
}

/// A question as the library takes it.
pub(crate) fn asked(model: &str, stream: bool) -> Question {
    Question {
        method: Method::POST,
        path: Uri::from_static("/v1/chat/completions"),
        headers: HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]),
        body: Bytes::from(question(model, "Say hello.", stream)),
    }
}

/// Asks while an answer is still being read, so that a second connection is needed.
pub(crate) async fn ask_twice(enclave: &Arc<Enclave>, model: &str) -> Result<Whole, ClientError> {
    let first = enclave.ask(asked(model, true)).await.expect("the first enclave");
    let second = enclave.ask(asked(model, false)).await?.whole().await;
    drop(first);
    second
}

#[test]
fn a_second_connection_to_another_genuine_enclave_is_verified_for_itself() {
    let genuine = genuine::shared();
    let between = switch(vec![genuine.address(0), genuine.address(1)]);
    runtime().block_on(async {
        let enclave = enclave(between.address, genuine.policy());
        let boot = *enclave.affirmed().await.unwrap().identity.boot_id();
        let second = ask_twice(&enclave, anchorhold_tests::world::MODEL_NAME)
            .await
            .unwrap();
        assert!(second.receipt.is_some());
        let now = enclave.affirmed().await.unwrap();
        assert_ne!(
            *now.identity.boot_id(),
            boot,
            "the second enclave has its own evidence"
        );
    });
}

#[test]
fn a_second_connection_to_another_affirmed_enclave_brings_evidence_before_the_question() {
    let (one, two) = (Liar::start(), Liar::start());
    let between = switch(vec![one.address, two.address]);
    let answered = runtime().block_on(ask_twice(&enclave(between.address, policy("")), MODEL));
    assert!(answered.unwrap().receipt.is_some());
    assert_eq!((one.questions(), two.questions()), (1, 1));
    assert_eq!((one.attested(), two.attested()), (1, 1));
    // The pin ends the second connection in the handshake: the only one that the second enclave saw completed is
    // the one that asked for its evidence.
    assert_eq!(two.shaken().len(), 1);
    binding::only_nonces(&two.heard()[0].0, &["attestation", "channel"]);
}

#[test]
fn a_second_connection_to_an_enclave_the_policy_denies_carries_nothing() {
    let one = Liar::start();
    let two = Liar::of(Build {
        measurement: 8,
        ..GENUINE
    });
    let between = switch(vec![one.address, two.address]);
    let refused = runtime().block_on(ask_twice(&enclave(between.address, policy("")), MODEL));
    let Err(ClientError::Denied(denial)) = refused else {
        panic!("it must be denied")
    };
    assert_eq!(denial.reasons()[0].rule, RuleId::Measurement);
    assert_eq!((one.questions(), two.questions()), (1, 0));
    for (before, after) in two.heard() {
        assert_eq!(after, "");
        if !before.is_empty() {
            binding::only_nonces(&before, &["attestation"]);
        }
    }
}

/// Status and code of the proxy's refusal once it has noticed that the enclave is gone: a question that was on
/// its way on the old connection is lost, and says so.
fn after_the_end(proxy: &Proxy, body: &str) -> (u16, String) {
    let lost = (503, "enclave_disconnected".to_owned());
    let mut refusals = (0..5).map(|_| proxy.ask(body).refusal());
    refusals.find(|refusal| *refusal != lost).unwrap_or(lost)
}

#[test]
fn a_proxy_that_ends_tls_after_a_while_sees_nothing_but_a_nonce() {
    let (one, two, desk) = (Liar::start(), Liar::start(), Desk::new());
    std::fs::write(desk.path("key"), "canary-api-key").unwrap();
    let tap = tap(two.address, Credentials::own());
    let between = switch(vec![one.address, tap.address]);
    let key = desk.text("key");
    let proxy = Proxy::start(
        &url(between.address),
        &desk.text("policy.toml"),
        &["--api-key-file", &key],
    );
    proxy.ask(&question(MODEL, "canary-one", false)).expect_text();
    // The enclave goes away; from now on the address leads to the tap.
    drop(one);
    for stream in [false, true] {
        let refused = after_the_end(&proxy, &question(MODEL, "canary-two", stream));
        assert_eq!(refused, (502, "channel_not_bound".to_owned()));
    }
    assert_eq!(two.questions(), 0);
    let recorded = tap.recorded();
    assert!(recorded.iter().any(|bytes| !bytes.is_empty()), "it was tried");
    for bytes in recorded.iter().filter(|bytes| !bytes.is_empty()) {
        binding::only_nonces(bytes, &["attestation"]);
    }
}

#[test]
fn a_question_that_was_sent_is_never_sent_again() {
    let (liar, desk) = (Liar::start(), Desk::new());
    let proxy = Proxy::start(&liar.url(), &desk.text("policy.toml"), &[]);
    proxy.ask(&question(MODEL, "q", false)).expect_text();
    // On the connection that is kept, and on a new one.
    liar.tells(Lie::HangUp);
    for questions in [2, 3] {
        let lost = proxy.ask(&question(MODEL, "q", false));
        assert_eq!(lost.refusal(), (503, "enclave_disconnected".to_owned()));
        assert_eq!(liar.questions(), questions);
    }
}

#[test]
fn an_enclave_that_was_restarted_at_the_same_address_is_verified_anew() {
    let mut world = World::new(anchorhold_tests::programs!(), &World::demo_model());
    let place = free_address();
    world.configure(|config| config.replace("api = \"127.0.0.1:0\"", &format!("api = \"{place}\"")));
    let _broker = world.start_broker();
    let first = world.serve();
    let kept = text(&world.path("receipts"));
    let policy = text(&world.path("policy.toml"));
    let proxy = Proxy::start(&format!("https://{place}"), &policy, &["--keep-receipts", &kept]);
    let body = question(anchorhold_tests::world::MODEL_NAME, "Say hello.", false);
    proxy.ask(&body).expect_text();
    first.process.ask_to_end();
    assert_eq!(first.process.finish().code, 0);
    let gone = after_the_end(&proxy, &body);
    assert_eq!(gone, (503, "enclave_unreachable".to_owned()));
    let _second = world.serve();
    proxy.ask(&body).expect_text();
    // Each receipt's file begins with the boot id of its enclave, and holds for the evidence that is in it.
    let mut boots: Vec<String> = Vec::new();
    for file in std::fs::read_dir(&kept).unwrap() {
        let path = file.unwrap().path();
        let file = text(&path);
        let arguments = ["client", "receipt", "verify", &file, "--policy", &policy];
        let judged = run(world.programs.host, &arguments);
        assert_eq!(judged.code, 0, "{judged:?}");
        let name = path.file_name().unwrap().to_str().unwrap();
        boots.push(name[..8].to_owned());
    }
    assert_eq!(boots.len(), 2);
    assert_ne!(boots[0], boots[1]);
}
