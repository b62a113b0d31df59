//! Answers to a nonce: the document's one JSON form, whose heavy parts all answers share.

use anchorhold_attestation::{AttestationDocument, Endorsement, EndorsementKind, Endorsements};
use axum::http::header::CONTENT_LENGTH;

use super::*;
use crate::api::attestation::document;

/// Larger than what hyper takes at a time.
fn bundle(items: u8) -> Endorsements {
    let item = |number| Endorsement::new(EndorsementKind::AmdCrl, vec![number; 20_000]).unwrap();
    Endorsements::new((0..items).map(item).collect()).unwrap()
}

fn nonce(number: u8) -> Nonce {
    Nonce::from_random([number; 32])
}

#[tokio::test]
async fn an_answer_is_byte_for_byte_the_documents_json() {
    let enclave = Enclave::new();
    for items in [0, 1, 5] {
        let brought = bundle(items);
        enclave.state.stapled.replace(&brought.to_bundle()).unwrap();
        let path = format!("/.well-known/anchorhold/attestation?nonce={}", "07".repeat(32));
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = enclave.send(request).await;
        assert_eq!(response.status(), 200);
        let declared = response.headers().get(CONTENT_LENGTH).cloned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(declared.unwrap().to_str().unwrap(), body.len().to_string());
        let read = AttestationDocument::from_json(&body).unwrap();
        assert_eq!(read.to_json(), body);
        assert_eq!(read.identity, enclave.state.identity.bytes());
        assert_eq!(Endorsements::from_stapled(&read.endorsements).unwrap(), brought);
    }
}

#[tokio::test]
async fn answers_share_their_evidence_and_what_is_stapled() {
    let enclave = Enclave::new();
    let brought = bundle(3);
    enclave.state.stapled.replace(&brought.to_bundle()).unwrap();
    let ask = |number| enclave.state.evidence.evidence_for(nonce(number));
    // Two of one window, and one of another.
    let (one, two) = tokio::join!(ask(1), ask(2));
    let answers = [one.unwrap(), two.unwrap(), ask(3).await.unwrap()];
    let places = answers.map(|answer| {
        assert_eq!(answer.proof.path.len(), usize::from(answer.proof.size == 2));
        let evidence = answer.evidence.as_ptr();
        let pieces = document(&enclave.state, answer);
        let heavy: Vec<_> = pieces.left().filter(|piece| piece.len() > 20_000).collect();
        assert_eq!(heavy.len(), 3);
        let own: usize = pieces
            .left()
            .filter(|piece| piece.len() <= 20_000)
            .map(bytes::Bytes::len)
            .sum();
        assert!(own < 8 * 1024, "{own} bytes of its own");
        assert!(pieces.left().any(|piece| piece.as_ptr() == evidence));
        (
            evidence,
            heavy.iter().map(|piece| piece.as_ptr()).collect::<Vec<_>>(),
        )
    });
    assert_eq!(places[0], places[1]);
    assert_eq!(places[0].1, places[2].1);
    assert_ne!(places[0].0, places[2].0);
    // They lie where the operator's bundle was encoded once.
    let stapled = enclave.state.stapled.current();
    assert_eq!(
        stapled.iter().map(|piece| piece.as_ptr()).collect::<Vec<_>>(),
        places[0].1
    );
}
