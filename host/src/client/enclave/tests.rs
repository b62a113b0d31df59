//! Each lie a peer can tell, and that it is refused; and what an honest peer gets to see.

use std::sync::atomic::Ordering;

use anchorhold_attestation::{ChannelError, ReceiptError, RuleId, VerifyError};
use anchorhold_encoding::Digest;
use bytes::Bytes;
use hyper::header::HeaderMap;
use hyper::{Method, Uri};

use super::*;
use crate::client::connection::Connection;
use crate::client::error::{ReceiptFault, Stage};
use crate::client::exchange::{Piece, Whole};
use crate::client::fake::peers::{generous, impostor};
use crate::client::fake::{Build, Fake, Fault, GENUINE, Hands, at, policy, policy_with, switch, terminating};

mod pool;

/// The policy does not list this code.
const OTHER_CODE: Build = Build {
    measurement: 8,
    ..GENUINE
};
/// The policy does not list this model.
const OTHER_MODEL: Build = Build { model: 8, ..GENUINE };

fn question(stream: bool) -> Question {
    Question {
        method: Method::POST,
        path: Uri::from_static("/v1/chat/completions"),
        headers: HeaderMap::new(),
        body: Bytes::from(format!("{{\"stream\":{stream}}}")),
    }
}

fn enclave(endpoint: Endpoint, hands: &Hands) -> Arc<Enclave> {
    Arc::new(Enclave::new(endpoint, policy(), hands.clock()))
}

/// Verifies over a connection of its own and binds it.
async fn verify_and_bind(endpoint: &Endpoint, hands: &Hands) -> Result<BoundConnection, ClientError> {
    let verification = verify(endpoint, &policy().into(), &hands.clock()).await?;
    bind(
        verification.connection,
        Arc::new(verification.identity),
        &hands.clock(),
    )
    .await
}

async fn pinned(fake: &Fake, hands: &Hands) -> Arc<PinnedIdentity> {
    let verification = verify(&fake.endpoint(), &policy().into(), &hands.clock())
        .await
        .expect("genuine");
    Arc::new(verification.identity)
}

fn error<T>(result: Result<T, ClientError>) -> ClientError {
    match result {
        Ok(_) => panic!("it must be refused"),
        Err(error) => error,
    }
}

fn denied_for(error: &ClientError) -> Vec<RuleId> {
    match error {
        ClientError::Denied(denial) => denial.reasons().iter().map(|reason| reason.rule).collect(),
        other => panic!("{other}"),
    }
}

async fn whole(enclave: &Arc<Enclave>) -> Result<Whole, ClientError> {
    enclave.ask(question(false)).await?.whole().await
}

async fn streamed(enclave: &Arc<Enclave>) -> Result<Vec<Piece>, ClientError> {
    let mut exchange = enclave.ask(question(true)).await?;
    assert!(exchange.is_stream());
    let mut pieces = Vec::new();
    while let Some(piece) = exchange.next_piece().await? {
        pieces.push(piece);
    }
    exchange.finish();
    Ok(pieces)
}

#[tokio::test]
async fn an_honest_enclave_answers_and_its_connections_are_used_again() {
    let (fake, hands) = (Fake::start(GENUINE).await, Hands::new());
    let enclave = enclave(fake.endpoint(), &hands);
    let answer = whole(&enclave).await.unwrap();
    assert!(answer.receipt.is_some());
    assert!(str::from_utf8(&answer.body).unwrap().contains("Paris."));
    let pieces = streamed(&enclave).await.unwrap();
    assert_eq!(pieces.iter().filter(|piece| piece.data.is_some()).count(), 3);
    assert_eq!(pieces.iter().filter(|piece| piece.proof.is_some()).count(), 1);
    assert!(pieces.last().unwrap().raw.ends_with(b"data: [DONE]\n\n"));
    assert_eq!(fake.state.connections.load(Ordering::SeqCst), 1);

    // Two at a time need a second connection, which is bound as well.
    let (one, two) = tokio::join!(enclave.ask(question(true)), enclave.ask(question(true)));
    drop((one.unwrap(), two.unwrap()));
    assert_eq!(fake.state.connections.load(Ordering::SeqCst), 2);
    assert!(
        fake.seen()
            .iter()
            .filter(|seen| seen.path.starts_with("/v1"))
            .all(|seen| seen.bound)
    );
}

#[tokio::test]
async fn before_the_binding_nothing_goes_out_but_nonces() {
    let (fake, hands) = (Fake::start(GENUINE).await, Hands::new());
    let mut question = question(false);
    question
        .headers
        .insert("authorization", "Bearer secret".parse().unwrap());
    let _ = enclave(fake.endpoint(), &hands).ask(question).await.unwrap();
    let seen = fake.seen();
    let unbound: Vec<_> = seen.iter().filter(|seen| !seen.bound).collect();
    assert_eq!(unbound.len(), 2);
    for request in unbound {
        assert!(
            request.path.starts_with("/.well-known/anchorhold/"),
            "{request:?}"
        );
        assert_eq!(request.headers, ["host"]);
        assert!(request.body.is_empty());
    }
    assert_eq!(
        seen.last().unwrap().authorization.as_deref(),
        Some("Bearer secret")
    );
}

#[tokio::test]
async fn replayed_evidence_is_denied() {
    let (fake, hands) = (Fake::start(GENUINE).await, Hands::new());
    let old = fake.state.attestation("00".repeat(32).parse().unwrap());
    fake.set(Fault::Replay(old));
    let error = error(verify_and_bind(&fake.endpoint(), &hands).await);
    assert!(denied_for(&error).contains(&RuleId::ReportData), "{error}");
    assert_eq!(fake.seen().len(), 1, "nothing is sent after a denial");
}

#[tokio::test]
async fn an_altered_identity_a_brokers_evidence_and_a_broken_report_are_refused() {
    let (fake, hands) = (Fake::start(GENUINE).await, Hands::new());
    fake.set(Fault::AlteredIdentity(Digest::new([3; 32])));
    let altered = error(verify_and_bind(&fake.endpoint(), &hands).await);
    assert_eq!(denied_for(&altered), [RuleId::ReportData]);
    fake.set(Fault::RcarEvidence);
    let rcar = error(verify_and_bind(&fake.endpoint(), &hands).await);
    assert_eq!(denied_for(&rcar), [RuleId::ReportData]);
    fake.set(Fault::BrokenReport);
    let broken = error(verify_and_bind(&fake.endpoint(), &hands).await);
    assert!(
        matches!(broken, ClientError::Verify(VerifyError::Signature)),
        "{broken}"
    );
}

#[tokio::test]
async fn another_code_and_another_model_are_denied() {
    let hands = Hands::new();
    let other = Fake::start(OTHER_CODE).await;
    let code = error(verify_and_bind(&other.endpoint(), &hands).await);
    assert_eq!(denied_for(&code), [RuleId::Measurement]);
    let other = Fake::start(OTHER_MODEL).await;
    let model = error(verify_and_bind(&other.endpoint(), &hands).await);
    assert_eq!(denied_for(&model), [RuleId::Manifest]);
}

#[tokio::test]
async fn a_nonce_that_became_stale_or_comes_from_the_future_is_denied() {
    let fake = Fake::start(GENUINE).await;
    for (later, refused) in [
        (0_i64, false),
        (599, false),
        (600, true),
        (3600, true),
        (-1, true),
        (-3600, true),
    ] {
        // The first reading draws the nonce, all others judge.
        let readings = std::sync::atomic::AtomicU64::new(0);
        let clock = Clock::new(move || {
            let first = readings.fetch_add(1, Ordering::SeqCst) == 0;
            let start = crate::client::fake::START;
            Timestamp::from_unix(if first {
                start
            } else {
                start.strict_add_signed(later)
            })
        });
        let found = verify(&fake.endpoint(), &policy().into(), &clock).await;
        assert_eq!(found.is_err(), refused, "{later}");
        if let Err(error) = found {
            assert_eq!(denied_for(&error), [RuleId::NonceAge]);
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_an_hour_off_changes_nothing() {
    let fake = Fake::start(GENUINE).await;
    for off in [-3600_i64, 3600] {
        let now = crate::client::fake::START.strict_add_signed(off);
        let enclave = Arc::new(Enclave::new(
            fake.endpoint(),
            policy(),
            Clock::new(move || Timestamp::from_unix(now)),
        ));
        assert!(whole(&enclave).await.is_ok(), "{off}");
    }
}

#[tokio::test]
async fn a_signature_for_anything_else_binds_nothing() {
    let (fake, hands) = (Fake::start(GENUINE).await, Hands::new());
    for fault in [
        Fault::ExporterLabel,
        Fault::ChannelNonce,
        Fault::ChannelKey,
        Fault::ChannelIdentity,
    ] {
        fake.set(fault);
        let error = error(verify_and_bind(&fake.endpoint(), &hands).await);
        assert!(
            matches!(error, ClientError::Channel(ChannelError::Signature)),
            "{error}"
        );
    }
    fake.set(Fault::ChannelRefused);
    let error = error(verify_and_bind(&fake.endpoint(), &hands).await);
    assert!(
        matches!(error, ClientError::Status(Stage::Channel, 503)),
        "{error}"
    );
    assert_eq!(fake.questions(), 0);
}

#[tokio::test]
async fn a_proxy_that_ends_tls_is_refused_with_its_own_key_and_with_the_enclaves() {
    let (fake, hands) = (Fake::start(GENUINE).await, Hands::new());
    let own = Fake::start(GENUINE).await;
    let (address, _proxy) = terminating(&fake, own.state.certificate.clone(), own.state.key()).await;
    let foreign = error(verify_and_bind(&at(address), &hands).await);
    assert!(
        matches!(foreign, ClientError::Channel(ChannelError::Leaf)),
        "{foreign}"
    );
    let known = pinned(&fake, &hands).await;
    let at_once = error(connect(&at(address), PeerKey::Pinned(*known.tls_spki_sha256())).await);
    assert!(matches!(at_once, ClientError::NotPinned), "{at_once}");

    // Even with the enclave's private key it has two handshakes, and their exporters differ.
    let (address, _proxy) = terminating(&fake, fake.state.certificate.clone(), fake.state.key()).await;
    let stolen = error(verify_and_bind(&at(address), &hands).await);
    assert!(
        matches!(stolen, ClientError::Channel(ChannelError::Signature)),
        "{stolen}"
    );
    assert_eq!(fake.questions(), 0);
}

#[tokio::test]
async fn the_identity_of_one_enclave_binds_no_connection_to_another() {
    let hands = Hands::new();
    let (one, two) = (Fake::start(GENUINE).await, Fake::start(GENUINE).await);
    let identity = pinned(&one, &hands).await;
    let connection: Connection = connect(&two.endpoint(), PeerKey::Unknown).await.unwrap();
    let error = error(bind(connection, identity, &hands.clock()).await);
    assert!(
        matches!(error, ClientError::Channel(ChannelError::Leaf)),
        "{error}"
    );
    assert_eq!(two.seen().len(), 0, "not even a nonce is sent to it");
}

#[tokio::test]
async fn a_second_pooled_connection_that_lands_on_another_enclave_carries_nothing() {
    let hands = Hands::new();
    let (one, two) = (Fake::start(GENUINE).await, Fake::start(OTHER_CODE).await);
    let (address, _switch) = switch(vec![one.address, two.address]).await;
    let enclave = enclave(at(address), &hands);
    let first = enclave.ask(question(true)).await.unwrap();
    let second = error(enclave.ask(question(true)).await);
    assert_eq!(
        denied_for(&second),
        [RuleId::Measurement],
        "the pin failed, so evidence was fetched anew"
    );
    assert_eq!((one.questions(), two.questions()), (1, 0));
    drop(first);
}

#[tokio::test]
async fn a_pooled_connection_that_lands_on_an_affirmed_enclave_is_verified_first() {
    let hands = Hands::new();
    let (one, two) = (Fake::start(GENUINE).await, Fake::start(GENUINE).await);
    let (address, _switch) = switch(vec![one.address, two.address]).await;
    let enclave = enclave(at(address), &hands);
    let first = enclave.ask(question(true)).await.unwrap();
    let second = enclave.ask(question(false)).await.unwrap().whole().await.unwrap();
    assert!(second.receipt.is_some());
    let attested = two
        .seen()
        .iter()
        .filter(|seen| seen.path.ends_with("attestation"))
        .count();
    assert_eq!((attested, two.questions()), (1, 1));
    drop(first);
}

#[tokio::test]
async fn an_enclave_that_was_started_anew_is_verified_anew() {
    let hands = Hands::new();
    let old = Fake::start(GENUINE).await;
    let new = Fake::start(GENUINE).await;
    let (address, _switch) = switch(vec![old.address, new.address]).await;
    let enclave = enclave(at(address), &hands);
    assert!(whole(&enclave).await.is_ok());
    let boot = *enclave.affirmed().await.unwrap().identity.boot_id();
    drop(old);
    // A question on its way when the enclave stops is lost; this one is asked later.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert!(
        whole(&enclave).await.is_ok(),
        "the idle connection broke, the next one was bound anew"
    );
    assert_ne!(*enclave.affirmed().await.unwrap().identity.boot_id(), boot);
}

#[tokio::test]
async fn nothing_is_sent_under_expired_evidence() {
    let (fake, hands) = (Fake::start(GENUINE).await, Hands::new());
    let mut bound = verify_and_bind(&fake.endpoint(), &hands).await.unwrap();
    hands.advance(599);
    assert!(bound.request(&question(false)).await.is_ok());
    let identity = pinned(&fake, &hands).await;
    let mut bound = bind(
        connect(&fake.endpoint(), PeerKey::Unknown).await.unwrap(),
        identity,
        &hands.clock(),
    )
    .await
    .unwrap();
    hands.advance(600);
    let late = bound.request(&question(false)).await.err().unwrap();
    assert!(
        late.unsent && matches!(late.error, ClientError::Expired),
        "{late:?}"
    );
    assert_eq!(fake.questions(), 1);

    let connection = connect(&fake.endpoint(), PeerKey::Unknown).await.unwrap();
    let error = error(bind(connection, Arc::clone(bound.identity()), &hands.clock()).await);
    assert!(
        matches!(error, ClientError::Channel(ChannelError::Expired)),
        "{error}"
    );
}

#[tokio::test]
async fn evidence_is_fetched_anew_before_it_expires_and_old_connections_are_left() {
    let (fake, hands) = (Fake::start(GENUINE).await, Hands::new());
    let enclave = enclave(fake.endpoint(), &hands);
    let attested = || {
        fake.seen()
            .iter()
            .filter(|seen| seen.path.ends_with("attestation"))
            .count()
    };
    assert!(whole(&enclave).await.is_ok());
    hands.advance(479);
    assert!(whole(&enclave).await.is_ok());
    assert_eq!(attested(), 1);
    hands.advance(1);
    assert!(whole(&enclave).await.is_ok());
    assert_eq!(attested(), 2, "four fifths of ten minutes are over");
    assert_eq!(fake.state.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_denial_at_renewal_ends_the_old_identity_and_an_outage_does_not() {
    let (fake, hands) = (Fake::start(GENUINE).await, Hands::new());
    let enclave = enclave(fake.endpoint(), &hands);
    assert!(whole(&enclave).await.is_ok());
    hands.advance(500);
    fake.set(Fault::Replay(b"{}".to_vec()));
    assert!(
        whole(&enclave).await.is_ok(),
        "evidence that cannot be read is an outage"
    );
    hands.advance(11);
    fake.set(Fault::RcarEvidence);
    assert_eq!(denied_for(&error(whole(&enclave).await)), [RuleId::ReportData]);
    fake.set(Fault::Replay(b"{}".to_vec()));
    let after = error(whole(&enclave).await);
    assert!(
        matches!(after, ClientError::Malformed(Stage::Attestation)),
        "{after}"
    );
}

#[tokio::test]
async fn an_outage_lasts_as_long_as_the_old_evidence_at_most() {
    let (fake, hands) = (Fake::start(GENUINE).await, Hands::new());
    let enclave = enclave(fake.endpoint(), &hands);
    assert!(whole(&enclave).await.is_ok());
    fake.set(Fault::Replay(b"{}".to_vec()));
    hands.advance(590);
    for _ in 0..2 {
        assert!(whole(&enclave).await.is_ok());
    }
    let seen = fake.seen();
    let attempts = seen.iter().filter(|seen| seen.path.ends_with("attestation"));
    assert_eq!(attempts.count(), 2, "not with every question");
    hands.advance(10);
    let late = error(whole(&enclave).await);
    assert!(
        matches!(late, ClientError::Malformed(Stage::Attestation)),
        "{late}"
    );
    assert_eq!(fake.questions(), 3);
}

#[tokio::test]
async fn a_policy_with_a_short_age_shortens_everything() {
    let (fake, hands) = (Fake::start(GENUINE).await, Hands::new());
    let policy = policy_with("max_age_seconds = 10");
    let enclave = Arc::new(Enclave::new(fake.endpoint(), policy, hands.clock()));
    assert_eq!(
        enclave.affirmed().await.unwrap().identity.valid_until().unix(),
        crate::client::fake::START + 10
    );
}

#[tokio::test]
async fn an_answer_without_its_very_receipt_is_no_answer() {
    let (fake, hands) = (Fake::start(GENUINE).await, Hands::new());
    let enclave = enclave(fake.endpoint(), &hands);
    let invalid = ReceiptFault::Invalid;
    for (fault, expected) in [
        (Fault::NoReceipt, ReceiptFault::Missing),
        (Fault::TwoReceipts, ReceiptFault::Misplaced),
        (Fault::ReceiptKey, invalid(ReceiptError::Signature)),
        (Fault::ReceiptNonce, invalid(ReceiptError::Connection)),
        (Fault::ReceiptModel, invalid(ReceiptError::Identity)),
        (Fault::ReceiptIdentity, invalid(ReceiptError::Identity)),
        (Fault::ReceiptRequest, invalid(ReceiptError::Request)),
        (Fault::ReceiptAnswer, invalid(ReceiptError::Answer)),
    ] {
        fake.set(fault);
        for found in [error(whole(&enclave).await), error(streamed(&enclave).await)] {
            assert!(
                matches!(found, ClientError::Receipt(fault) if fault == expected),
                "{found} for {expected}"
            );
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_or_goes_on_is_no_answer_and_its_end_mark_is_held_back() {
    let (fake, hands) = (Fake::start(GENUINE).await, Hands::new());
    let enclave = enclave(fake.endpoint(), &hands);
    for (fault, expected) in [
        (Fault::CutStream, ReceiptFault::Unfinished),
        (Fault::DataAfterReceipt, ReceiptFault::Misplaced),
        (Fault::DoneFirst, ReceiptFault::Missing),
        (Fault::OddLine, ReceiptFault::Ambiguous),
    ] {
        fake.set(fault);
        let mut exchange = enclave.ask(question(true)).await.unwrap();
        let found = loop {
            match exchange.next_piece().await {
                Ok(Some(piece)) => assert!(!piece.raw.starts_with(b"data: [DONE]"), "{expected}"),
                Ok(None) => panic!("{expected}"),
                Err(error) => break error,
            }
        };
        assert!(
            matches!(found, ClientError::Receipt(fault) if fault == expected),
            "{found} for {expected}"
        );
    }
}

#[tokio::test]
async fn errors_and_lists_need_no_receipt() {
    let (fake, hands) = (Fake::start(GENUINE).await, Hands::new());
    let enclave = enclave(fake.endpoint(), &hands);
    for (method, path, status) in [
        (Method::GET, "/v1/models", 200),
        (Method::POST, "/v1/nothing", 404),
    ] {
        let question = Question {
            method,
            path: Uri::from_static(path),
            ..question(false)
        };
        let exchange = enclave.ask(question).await.unwrap();
        assert_eq!(exchange.status(), status);
        assert!(exchange.whole().await.unwrap().receipt.is_none());
    }
}

#[tokio::test]
async fn an_address_without_an_enclave_is_an_error_and_no_denial() {
    let hands = Hands::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let down = error(whole(&enclave(at(address), &hands)).await);
    assert!(matches!(down, ClientError::Unreachable(_)), "{down}");
    assert!(!down.is_refusal());
}

#[tokio::test]
async fn a_certificate_without_its_key_is_refused_in_the_handshake() {
    let (fake, hands) = (Fake::start(GENUINE).await, Hands::new());
    let thief = Fake::start(GENUINE).await;
    let address = impostor(fake.state.certificate.clone(), thief.state.key()).await;
    let known = pinned(&fake, &hands).await;
    for peer in [PeerKey::Unknown, PeerKey::Pinned(*known.tls_spki_sha256())] {
        let found = error(connect(&at(address), peer).await);
        assert!(matches!(found, ClientError::Handshake), "{found}");
    }
}

#[tokio::test]
async fn no_session_is_resumed_even_when_the_server_offers_it() {
    let fake = Fake::start(GENUINE).await;
    let (address, kinds) = generous(&fake).await;
    for _ in 0..3 {
        // Answers nothing, so that tickets had their time to arrive.
        let mut connection = connect(&at(address), PeerKey::Unknown).await.unwrap();
        assert!(connection.channel_signature().await.is_err());
    }
    assert_eq!(*kinds.lock().unwrap(), [rustls::HandshakeKind::Full; 3]);
}

#[tokio::test]
async fn more_than_the_limit_is_not_read() {
    let (fake, hands) = (Fake::start(GENUINE).await, Hands::new());
    fake.set(Fault::Replay(vec![b' '; limits::ATTESTATION_BYTES + 1]));
    let found = error(verify_and_bind(&fake.endpoint(), &hands).await);
    assert!(
        matches!(found, ClientError::TooLarge(Stage::Attestation)),
        "{found}"
    );
    fake.set(Fault::Replay(vec![b' '; limits::ATTESTATION_BYTES]));
    let found = error(verify_and_bind(&fake.endpoint(), &hands).await);
    assert!(
        matches!(found, ClientError::Malformed(Stage::Attestation)),
        "{found}"
    );
}

#[tokio::test]
async fn what_follows_the_end_mark_makes_the_answer_none() {
    let (fake, hands) = (Fake::start(GENUINE).await, Hands::new());
    let enclave = enclave(fake.endpoint(), &hands);
    for (fault, expected) in [
        (Fault::DoneTwice, ReceiptFault::Misplaced),
        (Fault::HalfAfterDone, ReceiptFault::Unfinished),
    ] {
        fake.set(fault);
        let found = error(streamed(&enclave).await);
        assert!(
            matches!(found, ClientError::Receipt(fault) if fault == expected),
            "{found} for {expected}"
        );
    }
}

#[tokio::test]
async fn idle_connections_of_older_evidence_are_never_used_again() {
    let (fake, hands) = (Fake::start(GENUINE).await, Hands::new());
    let enclave = enclave(fake.endpoint(), &hands);
    for expected in [2, 4] {
        let (one, two) = tokio::join!(enclave.ask(question(false)), enclave.ask(question(false)));
        let (one, two) = tokio::join!(one.unwrap().whole(), two.unwrap().whole());
        assert!(one.is_ok() && two.is_ok());
        assert_eq!(fake.state.connections.load(Ordering::SeqCst), expected);
        hands.advance(480);
    }
}
