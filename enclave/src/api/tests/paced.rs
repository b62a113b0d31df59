//! The shape of answers: frames at a beat, classes, errors that look like answers.

use super::*;
use crate::limits;

const SHAPE: Shape = Shape {
    tick: Duration::from_millis(5),
    frame: 512,
    least_ticks: 8,
};

fn shaped() -> Enclave {
    let (fake, seen) = Fake::decoder();
    Enclave::around(fake, seen, |state| state.traffic = Some(SHAPE))
}

/// A stream's head, its frames, and what they say.
async fn frames(enclave: &Enclave, request: &str) -> (StatusCode, usize, Vec<Bytes>, String) {
    let response = enclave
        .send(post("/v1/chat/completions", request.to_owned()))
        .await;
    let (parts, mut body) = response.into_parts();
    let mut frames = Vec::new();
    while let Some(frame) = body.frame().await {
        frames.push(frame.unwrap().into_data().unwrap());
    }
    let text = String::from_utf8(frames.concat()).unwrap();
    (parts.status, head(&parts.headers), frames, text)
}

/// Bytes of all lines.
fn head(headers: &HeaderMap) -> usize {
    let line = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
        name.as_str().len() + value.len() + 4
    };
    headers.iter().map(line).sum()
}

/// Payloads of events, without comments.
fn payloads(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .collect()
}

fn is_class(beats: usize) -> bool {
    let beats = u64::try_from(beats).unwrap();
    beats >= SHAPE.least_ticks && crate::traffic::class(beats) == beats
}

#[tokio::test]
async fn a_stream_is_a_class_of_frames_and_its_receipt_covers_what_is_said() {
    let enclave = shaped();
    for content in ["a", "a b c", &"word ".repeat(400)] {
        let request = chat(content, ",\"stream\":true");
        let (status, head, frames, text) = frames(&enclave, &request).await;
        assert_eq!((status, head), (StatusCode::OK, limits::HEAD_LINES));
        assert!(is_class(frames.len()), "{}", frames.len());
        assert!(
            frames
                .iter()
                .all(|frame| !frame.is_empty() && frame.len() <= SHAPE.room())
        );
        let (done, said) = payloads(&text)
            .split_last()
            .map(|(done, said)| (*done, said.to_vec()))
            .unwrap();
        assert_eq!(done, "[DONE]");
        assert!(text.ends_with("data: [DONE]\n\n"));
        let receipt = text
            .lines()
            .find_map(|line| line.strip_prefix(": anchorhold-receipt "))
            .unwrap();
        let said: Vec<&[u8]> = said.iter().map(|payload| payload.as_bytes()).collect();
        let _ = enclave.receipt(receipt, request.as_bytes(), &said);
        let answer: String = said
            .iter()
            .map(|payload| serde_json::from_slice::<Value>(payload).unwrap())
            .filter_map(|chunk| {
                chunk["choices"][0]["delta"]["content"]
                    .as_str()
                    .map(str::to_owned)
            })
            .collect();
        assert_eq!(answer.trim_end(), content.trim_end());
    }
}

#[tokio::test]
async fn a_stream_that_is_refused_or_fails_is_a_class_of_frames_as_well() {
    let enclave = shaped();
    for (content, status, code) in [
        ("long", 400, "context_length_exceeded"),
        ("fail", 200, "internal_error"),
    ] {
        let (found, head, frames, text) = frames(&enclave, &chat(content, ",\"stream\":true")).await;
        assert_eq!((found.as_u16(), head), (status, limits::HEAD_LINES));
        assert!(is_class(frames.len()), "{}", frames.len());
        assert!(!text.contains("[DONE]") && !text.contains("anchorhold-receipt"));
        let last = payloads(&text).pop().unwrap_or(&text);
        let error: Value = serde_json::from_str(last).unwrap();
        assert_eq!(error["error"]["code"], code);
    }
}

#[tokio::test]
async fn whole_answers_and_errors_have_classes_of_bytes() {
    let enclave = shaped();
    let mut lengths = Vec::new();
    for request in [
        chat("a", ""),
        chat("a b c d", ""),
        chat("long", ""),
        "not JSON".to_owned(),
        chat("a", ",\"n\":2"),
    ] {
        let answer = enclave.post("/v1/chat/completions", request.clone()).await;
        assert_eq!(
            head(&answer.headers) - content_length(&answer.headers),
            limits::HEAD_LINES
        );
        if let Some(receipt) = answer.headers.get(RECEIPT) {
            let _ = enclave.receipt(receipt.to_str().unwrap(), request.as_bytes(), &[&answer.body]);
        } else {
            answer.refusal();
        }
        lengths.push(answer.body.len());
    }
    assert_eq!(lengths, [limits::LEAST_BODY; 5]);
    let long = enclave
        .post("/v1/chat/completions", chat(&"word ".repeat(900), ""))
        .await;
    assert_eq!(long.body.len(), crate::traffic::body_class(long.body.len()));
}

/// The router adds this line after the shape was given, and equally for all of one class.
fn content_length(headers: &HeaderMap) -> usize {
    headers
        .get("content-length")
        .map_or(0, |value| "content-length".len() + value.len() + 4)
}

#[tokio::test]
async fn vectors_have_classes_of_bytes_whatever_their_digits() {
    let (fake, seen) = Fake::new(Abilities::Embed { width: 3 });
    let enclave = Enclave::around(fake, seen, |state| state.traffic = Some(SHAPE));
    for input in ["a", "a b c d e f"] {
        let request = format!(r#"{{"model":"demo","input":"{input}"}}"#);
        let answer = enclave.post("/v1/embeddings", request).await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.len()),
            (200, limits::LEAST_BODY)
        );
    }
}
