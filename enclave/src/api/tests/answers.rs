//! Answers that are not streams: shapes and receipts.

use anchorhold_attestation::receipt::FinishReason;

use super::*;

#[tokio::test]
async fn a_chat_is_answered_in_openais_shape_with_a_receipt() {
    let enclave = Enclave::new();
    let request = chat("what is it", "");
    let answer = enclave.post("/v1/chat/completions", request.clone()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["cache-control"], "no-store");
    let json = answer.json();
    assert!(json["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!(json["object"], "chat.completion");
    assert_eq!(json["model"], "demo");
    assert_eq!(json["created"], crate::clock::BUILD_DATE.unix());
    let choice = &json["choices"][0];
    assert_eq!(choice["message"]["role"], "assistant");
    assert_eq!(choice["message"]["content"], "what is it");
    assert_eq!(choice["finish_reason"], "stop");
    assert!(choice["logprobs"].is_null());
    let usage = serde_json::json!({"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6});
    assert_eq!(json["usage"], usage);

    let text = answer.headers[RECEIPT].to_str().unwrap();
    let receipt = enclave.receipt(text, request.as_bytes(), &[&answer.body]);
    let receipt = receipt.receipt();
    assert_eq!((receipt.prompt_tokens, receipt.completion_tokens), (3, 3));
    assert_eq!((receipt.finish_reason, receipt.sequence), (FinishReason::Stop, 0));
}

#[tokio::test]
async fn the_limit_of_tokens_ends_an_answer() {
    let enclave = Enclave::new();
    for name in ["max_tokens", "max_completion_tokens"] {
        let answer = enclave
            .post("/v1/chat/completions", chat("a b c", &format!(",\"{name}\":2")))
            .await;
        let json = answer.json();
        assert_eq!(json["choices"][0]["message"]["content"], "a b ");
        assert_eq!(json["choices"][0]["finish_reason"], "length");
    }
}

#[tokio::test]
async fn a_completion_has_its_own_shape_and_default() {
    let enclave = Enclave::new();
    let words = "w ".repeat(20);
    let request =
        format!(r#"{{"model":"demo","prompt":["{words}"],"echo":false,"best_of":1,"suffix":null}}"#);
    let answer = enclave.post("/v1/completions", request.clone()).await;
    let json = answer.json();
    assert!(json["id"].as_str().unwrap().starts_with("cmpl-"));
    assert_eq!(json["object"], "text_completion");
    assert_eq!(json["choices"][0]["text"], "w ".repeat(16));
    assert_eq!(json["choices"][0]["finish_reason"], "length");
    let text = answer.headers[RECEIPT].to_str().unwrap();
    let _ = enclave.receipt(text, request.as_bytes(), &[&answer.body]);
}

#[tokio::test]
async fn log_probabilities_have_both_shapes() {
    let enclave = Enclave::new();
    let request = chat("a b", ",\"logprobs\":true,\"top_logprobs\":2");
    let json = enclave.post("/v1/chat/completions", request).await.json();
    let content = &json["choices"][0]["logprobs"]["content"];
    assert_eq!(content.as_array().unwrap().len(), 2);
    assert_eq!(content[0]["token"], "a ");
    assert_eq!(content[0]["logprob"], -0.25);
    assert_eq!(content[0]["bytes"], serde_json::json!([97, 32]));
    let top = content[0]["top_logprobs"].as_array().unwrap();
    assert_eq!((top.len(), top[0]["token"].as_str()), (2, Some("\u{fffd}")));
    assert_eq!(top[0]["logprob"], -9999.0);

    let request = r#"{"model":"demo","prompt":"a bé c","logprobs":1}"#;
    let json = enclave.post("/v1/completions", request).await.json();
    let logprobs = &json["choices"][0]["logprobs"];
    assert_eq!(logprobs["tokens"], serde_json::json!(["a ", "bé ", "c"]));
    assert_eq!(
        logprobs["token_logprobs"],
        serde_json::json!([-0.25, -0.25, -0.25])
    );
    assert_eq!(logprobs["text_offset"], serde_json::json!([0, 2, 5]));
    assert_eq!(
        logprobs["top_logprobs"][0],
        serde_json::json!({"\u{fffd}": -9999.0})
    );
}

#[tokio::test]
async fn embeddings_come_as_numbers_or_base64() {
    let enclave = Enclave::embedder();
    let request = r#"{"model":"demo","input":["ab","c d"],"dimensions":3}"#;
    let answer = enclave.post("/v1/embeddings", request).await;
    let json = answer.json();
    assert_eq!(json["object"], "list");
    assert_eq!(json["data"][1]["index"], 1);
    assert_eq!(json["data"][1]["object"], "embedding");
    assert_eq!(json["data"][1]["embedding"], serde_json::json!([3.0, 0.5, -1.0]));
    assert_eq!(
        json["usage"],
        serde_json::json!({"prompt_tokens": 3, "total_tokens": 3})
    );
    let text = answer.headers[RECEIPT].to_str().unwrap();
    let receipt = enclave.receipt(text, request.as_bytes(), &[&answer.body]);
    assert_eq!(receipt.receipt().finish_reason, FinishReason::None);

    let request = r#"{"model":"demo","input":"ab","encoding_format":"base64"}"#;
    let json = enclave.post("/v1/embeddings", request).await.json();
    assert_eq!(json["data"][0]["embedding"], "AAAAQAAAAD8AAIC/");
}

#[tokio::test]
async fn the_one_model_is_listed() {
    let enclave = Enclave::new();
    let json = enclave.get("/v1/models").await.json();
    assert_eq!(json["object"], "list");
    assert_eq!(json["data"].as_array().unwrap().len(), 1);
    assert_eq!(json["data"][0]["id"], "demo");
    assert_eq!(json["data"][0]["manifest_sha256"], "3".repeat(64));
    assert_eq!(enclave.get("/v1/models/demo").await.json(), json["data"][0]);
    for other in ["/v1/models/other", "/v1/models/%ff"] {
        let refusal = enclave.get(other).await.refusal();
        assert_eq!((refusal.0, refusal.1.as_str()), (404, "model_not_found"));
    }
}

#[tokio::test]
async fn health_needs_no_binding_and_readiness_ends_with_the_drain() {
    let enclave = Enclave::new();
    for path in ["/healthz", "/readyz"] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = enclave.send_on(Connection::unbound_for_tests(), request).await;
        assert_eq!(response.status(), 200, "{path}");
    }
    enclave.state.lifecycle.drain(crate::lifecycle::Cause::Signal);
    assert_eq!(enclave.get("/healthz").await.status, 200);
    assert_eq!(enclave.get("/readyz").await.refusal().0, 503);
    let answer = enclave.post("/v1/chat/completions", chat("a", "")).await;
    assert_eq!(answer.refusal().1, "shutting_down");
}
