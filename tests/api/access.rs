//! Who may ask, and what is refused by name.
//!
//! # Invariants
//! A refusal comes before the body is looked at, wherever that is possible.

use anchorhold_encoding::{Preimage, sha256};
use anchorhold_tests::world::World;

use crate::served::{Served, chat, completion};

#[test]
fn an_unbound_connection_gets_nothing_but_the_open_paths() {
    let served = Served::shared();
    let mut wire = served.connect();
    for path in ["/healthz", "/readyz"] {
        assert_eq!(wire.get(path).status, 200, "{path}");
    }
    let evidence = format!("/.well-known/anchorhold/attestation?nonce={}", "0b".repeat(32));
    assert_eq!(wire.get(&evidence).status, 200);
    let refused = |answer: crate::wire::Answer, path: &str| {
        assert_eq!(
            answer.refusal(),
            (403, "channel_not_bound".to_owned(), None),
            "{path}"
        );
    };
    for path in [
        "/v1/models",
        "/v1/models/demo",
        "/metrics",
        "/",
        "/v1/nowhere",
        "/healthz/",
        "//healthz",
        "/.well-known/anchorhold/",
    ] {
        refused(served.connect().get(path), path);
    }
    for path in ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"] {
        refused(served.connect().post(path, chat("Hello!", "").as_bytes()), path);
        // A key does not help, and the body need not even come.
        let mut wire = served.connect();
        wire.send(
            format!(
                "POST {path} HTTP/1.1\r\nhost: e\r\nauthorization: Bearer k\r\ncontent-length: 9\r\n\r\n"
            )
            .as_bytes(),
        )
        .unwrap();
        refused(wire.answer().unwrap(), path);
    }
    // The same connection, bound, is served.
    wire.bind();
    assert_eq!(wire.get("/v1/models").status, 200);
    // It is bound once: another nonce is refused, and the binding stands.
    let again = wire.get(&format!(
        "/.well-known/anchorhold/channel?nonce={}",
        "0c".repeat(32)
    ));
    assert_eq!(again.refusal().1, "channel_already_bound");
    assert_eq!(wire.get("/v1/models").status, 200);
}

#[test]
fn a_key_is_asked_for_where_there_is_one_and_only_on_a_bound_connection() {
    let salt = sha256(&[b"a salt"]);
    let key = Preimage::new("anchorhold api key v1")
        .lp(salt.as_bytes())
        .lp(b"open sesame")
        .sha256();
    let served = Served::new(
        &World::demo_model(),
        &format!("\n[[api_key]]\nname = \"alice\"\nsalt = \"{salt}\"\nsha256 = \"{key}\"\n"),
    );
    let question = chat("Hello!", "");
    let ask = |headers: &str| {
        served
            .bound()
            .post_as("/v1/chat/completions", headers, question.as_bytes())
    };
    assert_eq!(ask("authorization: Bearer open sesame\r\n").status, 200);
    for (headers, code) in [
        ("", "missing_api_key"),
        ("authorization: Basic open sesame\r\n", "missing_api_key"),
        ("authorization: Bearer open sesam\r\n", "invalid_api_key"),
        ("authorization: Bearer open sesame!\r\n", "invalid_api_key"),
        (
            "authorization: Bearer open sesame\r\nauthorization: Bearer open sesame\r\n",
            "missing_api_key",
        ),
    ] {
        assert_eq!(ask(headers).refusal(), (401, code.to_owned(), None), "{headers}");
    }
    assert_eq!(
        served.bound().get("/v1/models").refusal().0,
        401,
        "the model's name is for those who may ask, too"
    );
    let mut unbound = served.connect();
    let answer = unbound.post_as(
        "/v1/chat/completions",
        "authorization: Bearer open sesame\r\n",
        question.as_bytes(),
    );
    assert_eq!(
        answer.refusal().1,
        "channel_not_bound",
        "the right key is not looked at before the connection is bound"
    );
    // The proxy presents it for programs that do not have it.
    let key_file = served.world.path("key");
    std::fs::write(&key_file, "open sesame\n").unwrap();
    private(&key_file);
    let finished = served.world.client(
        served.port,
        &[
            "ask",
            "--api-key-file",
            key_file.to_str().unwrap(),
            // At the default temperature a small model says something else once in a while.
            "--temperature",
            "0",
            "What is the capital of France?",
        ],
    );
    assert_eq!(
        finished.expect(0).stdout.trim(),
        "The capital of France is Paris."
    );
    let finished = served
        .world
        .client(served.port, &["ask", "What is the capital of France?"]);
    assert_eq!(finished.expect(1).stdout.trim(), "");
}

#[test]
fn questions_of_the_command_line_get_answers_of_their_format() {
    let served = Served::shared();
    let folder = tempfile::tempdir().unwrap();
    let schema = folder.path().join("schema.json");
    let said = r#"{"type": "object", "properties": {"town": {"enum": ["Paris", "Rome"]}, "open": {"type": "boolean"}},
        "required": ["town", "open"], "additionalProperties": false}"#;
    std::fs::write(&schema, said).unwrap();
    let ask = |format: &[&str]| {
        let words = ["ask", "--temperature", "0"];
        let words = [&words, format, &["What is the capital of France?"]].concat();
        served.world.client(served.port, &words)
    };
    let answer = ask(&["--json-schema", schema.to_str().unwrap()]).expect(0).stdout;
    let value: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert!(
        value["town"].is_string() && value["open"].is_boolean(),
        "{answer}"
    );
    assert!(ask(&["--json-object"]).expect(0).stdout.starts_with('{'));
    // What the enclave does not keep to is its refusal.
    std::fs::write(&schema, r#"{"not": {}}"#).unwrap();
    let refused = ask(&["--json-schema", schema.to_str().unwrap()]).expect(1);
    assert!(refused.stderr.contains("invalid_schema"), "{refused:#?}");
}

fn private(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn callers_without_a_key_share_a_quota() {
    let served = Served::new(&World::demo_model(), "\n[anonymous]\nrequests_per_minute = 3\n");
    let mut wire = served.bound();
    for _ in 0..3 {
        assert_eq!(wire.get("/v1/models").status, 200);
    }
    // The quota is all callers' together: a new connection brings no new one.
    let answer = served.post("/v1/chat/completions", chat("Hello!", ""));
    assert_eq!(answer.refusal().1, "rate_limit_exceeded");
    assert_eq!(answer.status, 429);
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=21).contains(&seconds), "{seconds}");
    assert_eq!(
        served.connect().get("/healthz").status,
        200,
        "liveness has no quota"
    );
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let served = Served::shared();
    let mut wire = served.bound();
    for (member, param) in [
        (r#""tools":[{"type":"function"}]"#, "function"),
        (r#""tools":[{"type":"file_search"}]"#, "type"),
        (r#""tool_choice":"auto""#, "tool_choice"),
        (r#""functions":[]"#, "functions"),
        (r#""logit_bias":{"1":5}"#, "logit_bias"),
        (r#""user":"u""#, "user"),
        (r#""metadata":{}"#, "metadata"),
        (r#""reasoning_effort":"low""#, "reasoning_effort"),
        (r#""service_tier":"auto""#, "service_tier"),
        (r#""audio":{}"#, "audio"),
        (r#""prediction":{}"#, "prediction"),
        (r#""web_search_options":{}"#, "web_search_options"),
        (r#""echo":true"#, "echo"),
        (r#""prompt":"x""#, "prompt"),
        (r#""n":2"#, "n"),
        (r#""store":true"#, "store"),
        (r#""modalities":["audio"]"#, "modalities"),
        (r#""response_format":{"type":"json_schema"}"#, "json_schema"),
        (r#""response_format":{"type":"grammar"}"#, "type"),
        (r#""stream_options":{"include_usage":true}"#, "stream_options"),
        (r#""logprobs":true,"top_logprobs":21"#, "top_logprobs"),
        (r#""max_tokens":4,"max_completion_tokens":4"#, "max_tokens"),
    ] {
        let answer = wire.post(
            "/v1/chat/completions",
            chat("Hello!", &format!(",{member}")).as_bytes(),
        );
        let (status, _, named) = answer.refusal();
        assert_eq!((status, named.as_deref()), (400, Some(param)), "{member}");
        assert!(
            answer.json()["error"]["message"]
                .as_str()
                .unwrap()
                .contains(param),
            "{member}"
        );
    }
    for (member, param) in [
        (r#""suffix":"x""#, "suffix"),
        (r#""best_of":2"#, "best_of"),
        (r#""echo":true"#, "echo"),
        (r#""messages":[]"#, "messages"),
    ] {
        let answer = wire.post(
            "/v1/completions",
            completion("Hello", &format!(",{member}")).as_bytes(),
        );
        assert_eq!(
            (answer.status, answer.refusal().2.as_deref()),
            (400, Some(param)),
            "{member}"
        );
    }
    let unknown = wire.post(
        "/v1/chat/completions",
        chat("Hello!", r#","temprature":0"#).as_bytes(),
    );
    assert_eq!(unknown.refusal().1, "unknown_parameter");
    for (path, body, code) in [
        (
            "/v1/chat/completions",
            chat("x", "").replace("demo", "other"),
            "model_not_found",
        ),
        (
            "/v1/embeddings",
            r#"{"model":"demo","input":"x"}"#.to_owned(),
            "wrong_model_kind",
        ),
        ("/v1/images/generations", "{}".to_owned(), "not_found"),
    ] {
        assert_eq!(wire.post(path, body.as_bytes()).refusal().1, code, "{path}");
    }
    assert_eq!(
        wire.get("/v1/chat/completions").refusal(),
        (405, "method_not_allowed".to_owned(), None)
    );
    served.still_answers();
}
