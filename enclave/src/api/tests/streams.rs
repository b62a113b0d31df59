//! Streams: frames, receipts, leaving early, breaking off.

use anchorhold_attestation::receipt::FinishReason;

use super::*;

/// The data payloads, the receipt, and whether the stream said that it was done.
fn split(body: &[u8]) -> (Vec<Vec<u8>>, Option<String>, bool) {
    let text = std::str::from_utf8(body).unwrap();
    let (mut payloads, mut receipt, mut done) = (Vec::new(), None, false);
    for event in text.split_terminator("\n\n") {
        assert!(!done, "nothing comes after the end");
        if let Some(comment) = event.strip_prefix(": anchorhold-receipt ") {
            receipt = Some(comment.to_owned());
        } else {
            match event.strip_prefix("data: ").unwrap() {
                "[DONE]" => done = true,
                payload => payloads.push(payload.as_bytes().to_vec()),
            }
        }
    }
    (payloads, receipt, done)
}

async fn stream(enclave: &Enclave, path: &str, request: &str) -> (Vec<Value>, VerifiedReceipt) {
    let answer = enclave.post(path, request.to_owned()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    let (payloads, receipt, done) = split(&answer.body);
    assert!(done);
    let slices: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
    let receipt = enclave.receipt(&receipt.unwrap(), request.as_bytes(), &slices);
    let chunks = payloads
        .iter()
        .map(|payload| serde_json::from_slice(payload).unwrap())
        .collect();
    (chunks, receipt)
}

#[tokio::test]
async fn a_chat_streams_role_text_reason_and_receipt() {
    let enclave = Enclave::new();
    let (chunks, receipt) = stream(&enclave, "/v1/chat/completions", &chat("a b", ",\"stream\":true")).await;
    assert_eq!(chunks.len(), 4);
    for chunk in &chunks {
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["id"], chunks[0]["id"]);
        assert!(chunk.get("usage").is_none());
    }
    let delta = |index: usize| chunks[index]["choices"][0]["delta"].clone();
    assert_eq!(delta(0), serde_json::json!({"role": "assistant", "content": ""}));
    assert_eq!(delta(1), serde_json::json!({"content": "a "}));
    assert_eq!(delta(2), serde_json::json!({"content": "b"}));
    assert_eq!(delta(3), serde_json::json!({}));
    assert!(chunks[2]["choices"][0]["finish_reason"].is_null());
    assert_eq!(chunks[3]["choices"][0]["finish_reason"], "stop");
    assert_eq!(receipt.receipt().completion_tokens, 2);
    assert_eq!(receipt.receipt().finish_reason, FinishReason::Stop);
}

#[tokio::test]
async fn token_counts_come_last_when_asked_for() {
    let enclave = Enclave::new();
    let more = ",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"max_tokens\":1";
    let (chunks, _) = stream(&enclave, "/v1/chat/completions", &chat("a b", more)).await;
    let (last, others) = chunks.split_last().unwrap();
    assert!(
        others
            .iter()
            .all(|chunk| chunk["usage"].is_null() && chunk.get("usage").is_some())
    );
    assert_eq!(others.last().unwrap()["choices"][0]["finish_reason"], "length");
    assert_eq!(last["choices"], serde_json::json!([]));
    let usage = serde_json::json!({"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3});
    assert_eq!(last["usage"], usage);
}

#[tokio::test]
async fn a_completion_streams_text_with_offsets() {
    let enclave = Enclave::new();
    let request = r#"{"model":"demo","prompt":"aé b","stream":true,"logprobs":0}"#;
    let (chunks, _) = stream(&enclave, "/v1/completions", request).await;
    let texts: Vec<_> = chunks
        .iter()
        .map(|chunk| chunk["choices"][0]["text"].as_str().unwrap())
        .collect();
    assert_eq!(texts, ["aé ", "b", ""]);
    assert_eq!(
        chunks[1]["choices"][0]["logprobs"]["text_offset"],
        serde_json::json!([3])
    );
    assert_eq!(chunks[2]["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn a_refused_prompt_has_its_status_although_a_stream_was_asked_for() {
    let enclave = Enclave::new();
    let answer = enclave
        .post("/v1/chat/completions", chat("long", ",\"stream\":true"))
        .await;
    assert_eq!(answer.refusal().1, "context_length_exceeded");
}

#[tokio::test]
async fn a_stream_that_fails_ends_with_an_error_and_without_a_receipt() {
    let enclave = Enclave::new();
    for (content, code) in [("fail", "internal_error"), ("panic", "internal_error")] {
        let answer = enclave
            .post("/v1/chat/completions", chat(content, ",\"stream\":true"))
            .await;
        let (payloads, receipt, done) = split(&answer.body);
        assert!(receipt.is_none() && !done);
        let last: Value = serde_json::from_slice(payloads.last().unwrap()).unwrap();
        assert_eq!(last["error"]["code"], code);
    }
}

#[tokio::test]
async fn a_stream_ends_at_its_deadline() {
    let (fake, seen) = Fake::decoder();
    let enclave = Enclave::around(fake, seen, |state| {
        state.limits.request_time = Duration::from_millis(100);
        state.limits.max_tokens = 100_000_000;
    });
    let answer = enclave
        .post("/v1/chat/completions", chat("endless", ",\"stream\":true"))
        .await;
    let (payloads, receipt, done) = split(&answer.body);
    assert!(receipt.is_none() && !done);
    let last: Value = serde_json::from_slice(payloads.last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], "deadline_exceeded");
}

#[tokio::test]
async fn dropping_the_response_frees_the_model_within_one_token() {
    let (fake, seen, permit) = Fake::paced();
    let enclave = Enclave::around(fake, seen, |_| {});
    let holders = Arc::strong_count(&enclave.state);
    let response = enclave
        .send(post("/v1/chat/completions", chat("endless", ",\"stream\":true")))
        .await;
    let mut body = response.into_body();
    // The role comes before any token; the second frame is the first token.
    permit.send(()).unwrap();
    for _ in 0..2 {
        assert!(body.frame().await.unwrap().is_ok());
    }
    drop(body);
    // The writer learns of it in its own task; the model may then finish the step it is in.
    while Arc::strong_count(&enclave.state) > holders {
        tokio::task::yield_now().await;
    }
    drop(permit);
    let answer = enclave.post("/v1/chat/completions", chat("a", "")).await;
    assert_eq!(answer.status, 200);
    // A prefill, a token and perhaps the step under way; then a prefill, a token and the end.
    assert!(
        (5..=6).contains(&enclave.seen.steps()),
        "{}",
        enclave.seen.steps()
    );
}

#[tokio::test]
async fn dropping_a_request_that_waits_for_a_whole_answer_frees_the_model() {
    let (fake, seen, permit) = Fake::paced();
    let enclave = Enclave::around(fake, seen, |_| {});
    let request = enclave.send(post("/v1/chat/completions", chat("endless", "")));
    assert!(
        tokio::time::timeout(Duration::from_millis(50), request)
            .await
            .is_err()
    );
    drop(permit);
    assert_eq!(
        enclave.post("/v1/chat/completions", chat("a", "")).await.status,
        200
    );
    // At most a prefill and the step under way; then a prefill, a token and the end.
    assert!(
        (3..=5).contains(&enclave.seen.steps()),
        "{}",
        enclave.seen.steps()
    );
}
