//! Every way not to get an answer, and that nothing of a request comes back with it.

use super::*;
use crate::config::ApiKey;

const CANARY: &str = "canary-5f1c";

#[tokio::test]
async fn nothing_is_answered_on_a_connection_that_is_not_bound() {
    let enclave = Enclave::new();
    let requests = [
        post("/v1/chat/completions", chat("a", "")),
        post("/v1/completions", "{"),
        post("/v1/embeddings", ""),
        Request::get("/v1/models").body(Body::empty()).unwrap(),
        Request::get("/v1/nowhere").body(Body::empty()).unwrap(),
        Request::get("/healthz/").body(Body::empty()).unwrap(),
        Request::delete("/v1/models").body(Body::empty()).unwrap(),
    ];
    for request in requests {
        let path = request.uri().path().to_owned();
        let response = enclave.send_on(Connection::unbound_for_tests(), request).await;
        let (status, code, _) = Answer::of(response).await.refusal();
        assert_eq!((status, code.as_str()), (403, "channel_not_bound"), "{path}");
    }
    // The server puts a connection into every request; without one there is nothing to be bound.
    let response = enclave
        .router
        .clone()
        .oneshot(post("/v1/completions", "{}"))
        .await
        .unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(enclave.seen.steps(), 0);
}

#[tokio::test]
async fn a_body_is_not_read_before_the_caller_is_admitted() {
    let (fake, seen) = Fake::decoder();
    let enclave = Enclave::around(fake, seen, |state| {
        state.auth = Auth::new(Access::Keys(Vec::new()), Arc::clone(&state.clock));
    });
    // A body that never ends: reading it would wait for the limit of time.
    let (_writer, body) = super::super::sse::stream();
    let answer = enclave.post("/v1/completions", body.into_body()).await;
    assert_eq!(answer.refusal().0, 401);
}

#[tokio::test]
async fn keys_are_asked_for_where_there_are_any() {
    let (fake, seen) = Fake::decoder();
    let salt = Digest::new([5; 32]);
    let sha256 = anchorhold_encoding::Preimage::new("anchorhold api key v1")
        .lp(salt.as_bytes())
        .lp(b"secret")
        .sha256();
    let key = ApiKey {
        name: "alice".to_owned(),
        salt,
        sha256,
        quota: crate::config::KeyQuota {
            requests_per_minute: 600,
            tokens_per_minute: 600,
            concurrent: 1,
        },
    };
    let enclave = Enclave::around(fake, seen, |state| {
        state.auth = Auth::new(Access::Keys(vec![key]), Arc::clone(&state.clock));
    });
    let ask = async |authorization: Option<&str>| {
        let mut request = post("/v1/chat/completions", chat("a", ""));
        if let Some(value) = authorization {
            request
                .headers_mut()
                .insert("authorization", value.parse().unwrap());
        }
        Answer::of(enclave.send(request).await).await
    };
    assert_eq!(ask(Some("Bearer secret")).await.status, 200);
    assert_eq!(
        ask(Some("Bearer canary-5f1c")).await.refusal().1,
        "invalid_api_key"
    );
    let answer = ask(None).await;
    assert_eq!(answer.refusal(), (401, "missing_api_key".to_owned(), None));
    assert_eq!(answer.json()["error"]["type"], "authentication_error");
    assert_eq!(enclave.get("/v1/models").await.refusal().0, 401);
}

#[tokio::test]
async fn a_key_has_so_many_answers_in_the_making_and_is_told_by_name() {
    let (fake, seen) = Fake::decoder();
    let salt = Digest::new([5; 32]);
    let key = ApiKey {
        name: "alice".to_owned(),
        salt,
        sha256: anchorhold_encoding::Preimage::new("anchorhold api key v1")
            .lp(salt.as_bytes())
            .lp(b"secret")
            .sha256(),
        quota: crate::config::KeyQuota {
            requests_per_minute: 600,
            tokens_per_minute: 600_000,
            concurrent: 1,
        },
    };
    let enclave = Enclave::around(fake, seen, |state| {
        state.auth = Auth::new(Access::Keys(vec![key]), Arc::clone(&state.clock));
    });
    let ask = async |content: &str, more: &str| {
        let mut request = post("/v1/chat/completions", chat(content, more));
        let headers = request.headers_mut();
        headers.insert("authorization", "Bearer secret".parse().unwrap());
        enclave.send(request).await
    };
    let streamed = ask("endless", ",\"stream\":true").await;
    let refused = Answer::of(ask("a", "").await).await;
    assert_eq!(refused.refusal(), (429, "too_many_at_once".to_owned(), None));
    assert_eq!(refused.headers["retry-after"], "1");
    drop(streamed);
    // Whoever writes it learns in its own task that nobody reads.
    while ask("a", "").await.status() != StatusCode::OK {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_quota_says_when_to_come_back() {
    let (fake, seen) = Fake::decoder();
    let enclave = Enclave::around(fake, seen, |state| {
        let quota = Quota {
            requests_per_minute: 1,
        };
        state.auth = Auth::new(Access::Anonymous(quota), Arc::clone(&state.clock));
    });
    assert_eq!(enclave.get("/v1/models").await.status, 200);
    let answer = enclave.get("/v1/models").await;
    assert_eq!(answer.refusal().1, "rate_limit_exceeded");
    let seconds: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((55..=61).contains(&seconds));
}

#[tokio::test]
async fn each_bad_body_has_its_own_words() {
    let enclave = Enclave::new();
    let deep = format!(r#"{{"model":"demo","messages":{}"#, "[".repeat(500_000));
    let wide = format!(r#"{{"model":"demo","messages":[{}]}}"#, vec!["0"; 5000].join(","));
    let large = "x".repeat(enclave.state.limits.request_bytes + 1);
    let many_stops = format!(",\"stop\":[{}]", vec!["\"x\""; 10_000].join(","));
    let cases: Vec<(Vec<u8>, u16, &str, Option<&str>)> = vec![
        (b"".to_vec(), 400, "invalid_json", None),
        (b"[]".to_vec(), 400, "invalid_json", None),
        (b"{\"model\":\"\xff\"}".to_vec(), 400, "invalid_utf8", None),
        (deep.into(), 400, "invalid_json", None),
        (wide.into(), 400, "invalid_value", Some("messages")),
        (large.into(), 413, "request_too_large", None),
        (b"{}".to_vec(), 400, "missing_required_parameter", Some("model")),
        (
            br#"{"model":"canary-5f1c"}"#.to_vec(),
            404,
            "model_not_found",
            Some("model"),
        ),
        (
            br#"{"model":"demo"}"#.to_vec(),
            400,
            "missing_required_parameter",
            Some("messages"),
        ),
        (
            chat("a", ",\"canary-5f1c\":1").into(),
            400,
            "unknown_parameter",
            None,
        ),
        (
            chat("a", ",\"tools\":[]").into(),
            400,
            "invalid_value",
            Some("tools"),
        ),
        (
            chat("a", ",\"tool_choice\":\"canary-5f1c\"").into(),
            400,
            "invalid_value",
            Some("tool_choice"),
        ),
        (
            chat("a", ",\"metadata\":{\"canary-5f1c\":1}").into(),
            400,
            "unsupported_parameter",
            Some("metadata"),
        ),
        (
            chat("a", ",\"user\":\"canary-5f1c\"").into(),
            400,
            "unsupported_parameter",
            Some("user"),
        ),
        (
            chat("a", ",\"logit_bias\":{}").into(),
            400,
            "unsupported_parameter",
            Some("logit_bias"),
        ),
        (
            chat("a", ",\"echo\":true").into(),
            400,
            "unsupported_parameter",
            Some("echo"),
        ),
        (chat("a", ",\"n\":2").into(), 400, "invalid_value", Some("n")),
        (
            chat("a", ",\"stream\":\"canary-5f1c\"").into(),
            400,
            "invalid_value",
            Some("stream"),
        ),
        (
            chat("a", ",\"temperature\":3").into(),
            400,
            "invalid_value",
            Some("temperature"),
        ),
        (
            chat("a", ",\"max_tokens\":1025").into(),
            400,
            "invalid_value",
            Some("max_tokens"),
        ),
        (
            chat("a", ",\"max_tokens\":0").into(),
            400,
            "invalid_value",
            Some("max_tokens"),
        ),
        (chat("a", &many_stops).into(), 400, "invalid_value", Some("stop")),
        (chat("long", "").into(), 400, "context_length_exceeded", None),
        (
            chat("refuse", "").into(),
            400,
            "messages_refused",
            Some("messages"),
        ),
        (chat("fail", "").into(), 500, "internal_error", None),
    ];
    for (body, status, code, param) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let answer = enclave.post("/v1/chat/completions", body).await;
        assert_eq!(
            answer.refusal(),
            (status, code.to_owned(), param.map(str::to_owned)),
            "{shown}"
        );
        assert!(!String::from_utf8_lossy(&answer.body).contains(CANARY), "{shown}");
    }
    // After all that it goes on.
    assert_eq!(
        enclave.post("/v1/chat/completions", chat("a", "")).await.status,
        200
    );
}

#[tokio::test]
async fn what_completions_do_not_take_is_refused_by_name() {
    let enclave = Enclave::new();
    for (more, param) in [
        ("\"echo\":true", "echo"),
        ("\"best_of\":2", "best_of"),
        ("\"suffix\":\"x\"", "suffix"),
        ("\"logprobs\":6", "logprobs"),
        ("\"logprobs\":true", "logprobs"),
        ("\"messages\":[]", "messages"),
        ("\"max_completion_tokens\":1", "max_completion_tokens"),
    ] {
        let body = format!(r#"{{"model":"demo","prompt":"a",{more}}}"#);
        let refusal = enclave.post("/v1/completions", body).await.refusal();
        assert_eq!((refusal.0, refusal.2.as_deref()), (400, Some(param)), "{more}");
    }
}

#[tokio::test]
async fn a_model_of_the_other_kind_says_so() {
    let enclave = Enclave::embedder();
    assert_eq!(
        enclave
            .post("/v1/chat/completions", chat("a", ""))
            .await
            .refusal()
            .1,
        "wrong_model_kind"
    );
    let body = r#"{"model":"demo","input":"a"}"#;
    assert_eq!(
        Enclave::new().post("/v1/embeddings", body).await.refusal().1,
        "wrong_model_kind"
    );
    let (fake, seen) = Fake::new(Abilities::Decode { chat: false });
    let enclave = Enclave::around(fake, seen, |_| {});
    assert_eq!(
        enclave
            .post("/v1/chat/completions", chat("a", ""))
            .await
            .refusal()
            .1,
        "no_chat_template"
    );
}

#[tokio::test]
async fn what_embeddings_do_not_take_is_refused_by_name() {
    let enclave = Enclave::embedder();
    for (body, param) in [
        (r#"{"model":"demo"}"#, "input"),
        (r#"{"model":"demo","input":[1,2]}"#, "input"),
        (r#"{"model":"demo","input":"long"}"#, "input"),
        (r#"{"model":"demo","input":"a","dimensions":2}"#, "dimensions"),
        (
            r#"{"model":"demo","input":"a","encoding_format":"hex"}"#,
            "encoding_format",
        ),
        (r#"{"model":"demo","input":"a","user":"u"}"#, "user"),
    ] {
        let refusal = enclave.post("/v1/embeddings", body).await.refusal();
        assert_eq!((refusal.0, refusal.2.as_deref()), (400, Some(param)), "{body}");
    }
}

#[tokio::test]
async fn paths_methods_and_media_types_are_told_apart() {
    let enclave = Enclave::new();
    assert_eq!(enclave.get("/v1/nowhere").await.refusal().1, "not_found");
    assert_eq!(
        enclave.get("/v1/chat/completions").await.refusal().1,
        "method_not_allowed"
    );
    let request = Request::post("/v1/completions").body(Body::from("{}")).unwrap();
    assert_eq!(Answer::of(enclave.send(request).await).await.refusal().0, 415);
}

#[tokio::test]
async fn a_full_queue_is_429_and_a_late_answer_408() {
    let (fake, seen, permit) = Fake::paced();
    let enclave = Enclave::around(fake, seen, |state| {
        state.limits.request_time = Duration::from_millis(500)
    });
    let answer = enclave.post("/v1/chat/completions", chat("a", "")).await;
    assert_eq!(answer.refusal().1, "deadline_exceeded");
    assert_eq!(answer.headers["x-should-retry"], "false");
    let body = r#"{"model":"demo","prompt":"a"}"#;
    let waiting: Vec<_> = (0..=enclave.state.limits.queue)
        .map(|_| {
            enclave
                .router
                .clone()
                .oneshot(with_bound(post("/v1/completions", body)))
        })
        .collect();
    // The thread is still within the step that waits for a permit, so nothing leaves the queue.
    let mut tasks: Vec<_> = waiting.into_iter().map(tokio::spawn).collect();
    let mut refused = 0;
    for task in tasks.drain(..) {
        let response = task.await.unwrap().unwrap();
        if response.status() == 429 {
            assert_eq!(response.headers()["retry-after"], "1");
            refused += 1;
        }
    }
    assert_eq!(refused, 1);
    drop(permit);
}

#[tokio::test]
async fn without_memory_it_is_429_and_what_never_fits_is_400_with_both_numbers() {
    let (fake, seen) = Fake::decoder();
    let enclave = Enclave::around(fake.with_places(0), seen, |_| {});
    for more in ["", ",\"stream\":true"] {
        let answer = enclave.post("/v1/chat/completions", chat("a", more)).await;
        assert_eq!(answer.refusal(), (429, "no_capacity".to_owned(), None));
        assert_eq!(answer.headers["retry-after"], "1");
        assert_eq!(answer.json()["error"]["type"], "rate_limit_error");
        let answer = enclave.post("/v1/chat/completions", chat("vast", more)).await;
        assert_eq!(answer.refusal(), (400, "exceeds_memory".to_owned(), None));
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("96") && message.contains("64"), "{message}");
    }
    assert_eq!(enclave.seen.steps(), 0);
}

fn with_bound(mut request: Request) -> Request {
    let connection = Connection::bound_for_tests(Nonce::from_random(NONCE));
    request.extensions_mut().insert(Arc::new(connection));
    request
}

#[tokio::test]
async fn a_panic_of_the_model_is_500_and_then_503() {
    let enclave = Enclave::new();
    let answer = enclave.post("/v1/chat/completions", chat("panic", "")).await;
    assert_eq!(answer.refusal().1, "internal_error");
    enclave.state.lifecycle.draining().await;
    assert_eq!(enclave.get("/readyz").await.refusal().0, 503);
    assert_eq!(
        enclave
            .post("/v1/chat/completions", chat("a", ""))
            .await
            .refusal()
            .0,
        503
    );
}

/// A body that takes all the time of its request, and comes to its end when `text` is given.
struct Late {
    clock: Arc<Clock>,
    time: Duration,
    text: Option<String>,
}

impl axum::body::HttpBody for Late {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        let text = self.text.take();
        if text.is_some() {
            self.clock.skip(self.time);
        }
        std::task::Poll::Ready(text.map(|text| Ok(hyper::body::Frame::data(text.into()))))
    }
}

#[tokio::test]
async fn the_time_for_a_request_counts_from_its_head() {
    let enclave = Enclave::new();
    let late = |more: &str| {
        Body::new(Late {
            clock: Arc::clone(&enclave.state.clock),
            time: enclave.state.limits.request_time,
            text: Some(chat("slices", more)),
        })
    };
    // The connection is cut soon after that time: an answer that began only after the body would have as much
    // again, and whoever waits would never hear why there is none.
    let patience = Duration::from_secs(10);
    let whole = enclave.post("/v1/chat/completions", late(""));
    let whole = tokio::time::timeout(patience, whole).await.unwrap();
    assert_eq!(whole.refusal(), (408, "deadline_exceeded".to_owned(), None));
    let stream = enclave.post("/v1/chat/completions", late(",\"stream\":true"));
    let stream = tokio::time::timeout(patience, stream).await.unwrap();
    assert!(String::from_utf8_lossy(&stream.body).contains("deadline_exceeded"));
}

#[tokio::test]
async fn a_body_has_no_more_time_than_its_request() {
    let (fake, seen) = Fake::decoder();
    let enclave = Enclave::around(fake, seen, |state| {
        state.limits.request_time = Duration::from_millis(50);
    });
    let (_writer, body) = super::super::sse::stream();
    let answer = enclave.post("/v1/chat/completions", body.into_body());
    let answer = tokio::time::timeout(Duration::from_secs(10), answer)
        .await
        .unwrap();
    assert_eq!(answer.refusal(), (408, "request_timeout".to_owned(), None));
    assert_eq!(answer.headers["connection"], "close");
}
