//! Kept receipts: what holds, what does not, what is left open.

use std::os::unix::fs::PermissionsExt as _;

use anchorhold_attestation::RuleId;
use bytes::Bytes;
use hyper::header::HeaderMap;
use hyper::{Method, Uri};

use super::judge::{JudgeError, Judgement, Texts, judge};
use super::*;
use crate::client::bound::Question;
use crate::client::enclave::Enclave;
use crate::client::error::ClientError;
use crate::client::fake::{Fake, GENUINE, Hands, policy, policy_with};
use crate::error::Explain as _;

const REQUEST: &[u8] = b"{\"stream\":true}";

/// A receipt's file, and the answer's bytes as they came.
async fn kept(hands: &Hands) -> (Vec<u8>, Vec<u8>) {
    let fake = Fake::start(GENUINE).await;
    let enclave = Arc::new(Enclave::new(fake.endpoint(), policy(), hands.clock()));
    let question = Question {
        method: Method::POST,
        path: Uri::from_static("/v1/chat/completions"),
        headers: HeaderMap::new(),
        body: Bytes::from_static(REQUEST),
    };
    let mut exchange = enclave.ask(question).await.unwrap();
    let (mut answer, mut receipt) = (Vec::new(), None);
    while let Some(piece) = exchange.next_piece().await.unwrap() {
        answer.extend_from_slice(&piece.raw);
        receipt = piece.proof.or(receipt);
    }
    (receipt.unwrap().encode().to_vec(), answer)
}

fn proven(judgement: &Judgement) -> Vec<&str> {
    judgement
        .proven
        .iter()
        .map(|finding| finding.check.as_str())
        .collect()
}

#[tokio::test]
async fn a_kept_receipt_is_judged_by_a_policy_and_its_texts() {
    let (file, answer) = kept(&Hands::new()).await;
    let texts = Texts {
        request: REQUEST,
        answer: &answer,
    };
    let judgement = judge(&file, Some(&policy().into()), Some(&texts)).unwrap();
    for check in [
        "report-data",
        "measurement",
        "manifest",
        "receipt signature",
        "request and answer",
    ] {
        assert!(proven(&judgement).contains(&check), "{check} in {judgement:?}");
    }
    assert_eq!(judgement.receipt.completion_tokens, 4);
    // It always says what it cannot know; here also that the receipt names newer evidence, and the platform.
    assert_eq!(judgement.not_proven.len(), 6, "{judgement:?}");

    let bare = judge(&file, None, None).unwrap();
    assert!(!proven(&bare).contains(&"report-data"));
    assert_eq!(bare.not_proven.len(), 8, "{bare:?}");
}

#[tokio::test]
async fn other_texts_and_other_policies_are_refused() {
    let (file, answer) = kept(&Hands::new()).await;
    let mut other = answer.clone();
    let at = other.windows(2).position(|pair| pair == b"Pa").unwrap();
    other[at] = b'p';
    for (request, answer) in [
        (b"{}".as_slice(), &answer),
        (REQUEST, &other),
        (REQUEST, &answer[..60].to_vec()),
    ] {
        let refused = judge(&file, None, Some(&Texts { request, answer })).unwrap_err();
        assert!(
            matches!(refused, JudgeError::Receipt(_) | JudgeError::Stream),
            "{refused}"
        );
    }
    let strict = crate::client::fake::policy_text("").replace("dangerously_accept_simulated = true", "");
    let strict = anchorhold_attestation::Policy::from_toml(strict.as_bytes()).unwrap();
    let denied = judge(&file, Some(&strict.into()), None).unwrap_err();
    assert_eq!(denied.denial().unwrap().reasons()[0].rule, RuleId::Simulated);
}

#[tokio::test]
async fn every_part_of_the_file_counts() {
    let (file, answer) = kept(&Hands::new()).await;
    let texts = Texts {
        request: REQUEST,
        answer: &answer,
    };
    let text = String::from_utf8(file).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    for (pointer, other) in [
        ("/version", Value::from("anchorhold kept receipt v2")),
        ("/channel_nonce", Value::from("11".repeat(32))),
        ("/receipt", Value::from("e30")),
        ("/attestation/nonce", Value::from("11".repeat(32))),
        ("/attestation/document/identity", Value::from("e30=")),
        ("/attestation/document/proof/index", Value::from(0)),
        ("/answered_at", Value::from(crate::client::fake::START + 600)),
    ] {
        let mut changed = value.clone();
        *changed.pointer_mut(pointer).unwrap() = other;
        let refused = judge(
            changed.to_string().as_bytes(),
            Some(&policy().into()),
            Some(&texts),
        );
        assert!(refused.is_err(), "{pointer}");
    }
    let more = text.replacen('{', "{\"more\":1,", 1);
    assert!(matches!(
        judge(more.as_bytes(), None, None),
        Err(JudgeError::Shape)
    ));
    assert!(matches!(judge(b"", None, None), Err(JudgeError::Shape)));
}

#[tokio::test]
async fn an_answer_after_the_evidence_expired_is_not_proven_by_it() {
    let hands = Hands::new();
    let (file, _) = kept(&hands).await;
    let trust = policy_with("max_age_seconds = 1").into();
    assert!(judge(&file, Some(&trust), None).is_ok());
    let late = String::from_utf8(file).unwrap().replace(
        &format!("\"answered_at\":{}", crate::client::fake::START),
        &format!("\"answered_at\":{}", crate::client::fake::START + 1),
    );
    let expired = judge(late.as_bytes(), Some(&trust), None).unwrap_err();
    assert!(
        matches!(expired, JudgeError::Evidence(ClientError::Expired)),
        "{expired}"
    );
}

#[tokio::test]
async fn a_kept_file_is_private_and_holds_no_text() {
    let fake = Fake::start(GENUINE).await;
    let enclave = Arc::new(Enclave::new(fake.endpoint(), policy(), Hands::new().clock()));
    let question = Question {
        method: Method::POST,
        path: Uri::from_static("/v1/chat/completions"),
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"{\"canary\":\"plaintext-of-the-prompt\"}"),
    };
    let answer = enclave.ask(question).await.unwrap().whole().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let keeper = Keeper::open(folder.path().join("a/b")).unwrap();
    let path = keeper.keep(answer.receipt.unwrap()).await.unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("plaintext") && !text.contains("Paris"), "{text}");
    assert!(judge(text.as_bytes(), Some(&policy().into()), None).is_ok());
}
