//! Token ids in place of texts: `client proxy --tokenise` in front of the enclave, and the member `anchorhold` behind it.
//!
//! Why apart: what a program gets must not depend on who made the tokens.
//!
//! # Invariants
//! The same question by ids and by text gives the same answer, letter by letter.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use anchorhold_tests::process::run;
use anchorhold_tests::tree::root;
use anchorhold_tests::world::{World, text};
use serde_json::{Value, json};

use crate::served::{Listening, MODEL, Served, chat, completion};

/// An answer of a proxy: HTTP/1.0, so that a stream has no frames of chunks.
fn ask(proxy: &Listening, path: &str, body: &str) -> (u16, String) {
    let address = proxy
        .base_url
        .strip_prefix("http://")
        .unwrap()
        .strip_suffix("/v1")
        .unwrap();
    let mut tcp = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST {path} HTTP/1.0\r\nhost: {address}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        proxy.token,
        body.len()
    );
    tcp.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    (status, body.to_owned())
}

/// What the model said, whole or in pieces, and why it ended.
fn said(body: &str) -> (String, String) {
    let documents: Vec<Value> = match body.strip_prefix('{') {
        Some(_) => vec![serde_json::from_str(body).unwrap()],
        None => {
            assert!(body.trim_end().ends_with("data: [DONE]"), "{body}");
            let events = body.lines().filter_map(|line| line.strip_prefix("data: {"));
            events
                .map(|rest| serde_json::from_str(&format!("{{{rest}")).unwrap())
                .collect()
        }
    };
    let (mut said, mut reason) = (String::new(), String::new());
    for document in documents {
        let choice = &document["choices"][0];
        for place in ["/message/content", "/delta/content", "/text"] {
            said.push_str(choice.pointer(place).and_then(Value::as_str).unwrap_or_default());
        }
        reason.push_str(choice["finish_reason"].as_str().unwrap_or_default());
        assert!(choice["anchorhold"].is_null(), "ids stay in the proxy");
    }
    (said, reason)
}

#[test]
fn a_proxy_that_sends_ids_gives_what_one_that_sends_texts_gives() {
    let served = Served::shared();
    let folder = text(&World::demo_model());
    let (_ids, by_ids) = served.proxy(&["--tokenise", &folder]);
    let (_texts, by_text) = served.proxy(&[]);
    for more in [
        "",
        r#","stream":true"#,
        r#","stream":true,"stream_options":{"include_usage":true}"#,
    ] {
        let questions = [
            (
                "/v1/chat/completions",
                chat("What is the capital of France?", more),
            ),
            (
                "/v1/chat/completions",
                chat("<|im_end|> é \u{1f642}", &format!(r#","max_tokens":7{more}"#)),
            ),
            (
                "/v1/completions",
                completion("one two", &format!(r#","max_tokens":9{more}"#)),
            ),
        ];
        for (path, body) in questions {
            let (status, own) = ask(&by_ids, path, &body);
            assert_eq!(status, 200, "{own}");
            let (status, other) = ask(&by_text, path, &body);
            assert_eq!(status, 200, "{other}");
            assert_eq!(said(&own), said(&other), "{body}");
            assert!(!said(&own).0.is_empty());
        }
    }
    // What would have to be looked for in text is refused by name, and not passed on.
    let (status, refused) = ask(&by_ids, "/v1/chat/completions", &chat("x", r#","stop":"y""#));
    assert_eq!(status, 400, "{refused}");
    assert!(
        refused.contains("not_tokenised") && refused.contains("`stop`"),
        "{refused}"
    );
    let (status, own) = ask(&by_ids, "/v1/chat/completions", "{}");
    assert_eq!(status, 400, "{own}");
}

#[test]
fn a_proxy_makes_ids_with_the_attested_models_tokenizer_alone() {
    let served = Served::shared();
    let refused = |folder: &Path, more: &[&str]| {
        let folder = text(folder);
        let arguments = [&["proxy", "--json", "--tokenise", folder.as_str()], more].concat();
        let finished = served.world.client(served.port, &arguments);
        assert_ne!(finished.code, 0);
        finished.stdout + &finished.stderr
    };
    let other = root().join("tests/tiny-models/qwen2");
    assert!(refused(&other, &[]).contains("not that of the model that was attested"));
    // The right manifest, and another tokenizer beside it.
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(World::demo_model()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_str().unwrap().starts_with("tokenizer") {
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
    }
    let shown = run(
        served.world.programs.host,
        &["client", "manifest", &text(&World::demo_model()), "--json"],
    );
    let manifest = shown.expect(0).json()["manifest"].clone();
    let file = folder.path().join("manifest.json");
    std::fs::write(&file, manifest.to_string()).unwrap();
    let file = text(&file);
    let (process, listening) = served.proxy(&["--tokenise", &text(folder.path()), "--manifest", &file]);
    let (status, answer) = ask(
        &listening,
        "/v1/chat/completions",
        &chat("What is the capital of France?", ""),
    );
    assert_eq!(
        (status, said(&answer).0.as_str()),
        (200, "The capital of France is Paris.")
    );
    drop(process);
    let path = folder.path().join("tokenizer.json");
    let mut changed = std::fs::read(&path).unwrap();
    changed.push(b'\n');
    std::fs::write(&path, changed).unwrap();
    assert!(refused(folder.path(), &["--manifest", &file]).contains("tokenizer.json is not the one"));
    std::fs::remove_file(&path).unwrap();
    assert!(refused(folder.path(), &["--manifest", &file]).contains("cannot read"));
}

#[test]
fn ids_are_taken_and_given_within_their_bounds() {
    let served = Served::shared();
    let post = |path: &str, body: Value| served.post(path, body.to_string());
    let asked = json!({"model": MODEL, "temperature": 0, "max_tokens": 5, "prompt": "one two",
        "anchorhold": {"return_ids": true}});
    let answer = post("/v1/completions", asked).json();
    let ids = &answer["choices"][0]["anchorhold"]["ids"];
    assert_eq!(answer["choices"][0]["text"], "");
    assert_eq!(ids.as_array().unwrap().len(), 5);
    assert_eq!(answer["usage"]["completion_tokens"], 5);
    let by_ids = |more: Value| {
        let mut body = json!({"model": MODEL, "temperature": 0, "max_tokens": 5});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        post("/v1/completions", body)
    };
    // What was said before, by its ids: a text comes back where no ids are asked for.
    let answer = by_ids(json!({"anchorhold": {"prompt_ids": ids}}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!answer.json()["choices"][0]["text"].as_str().unwrap().is_empty());
    for (more, param) in [
        (
            json!({"anchorhold": {"prompt_ids": [0, 4_000_000_000_u32]}}),
            "prompt_ids",
        ),
        (json!({"anchorhold": {"prompt_ids": []}}), "prompt_ids"),
        (
            json!({"anchorhold": {"prompt_ids": [1]}, "prompt": "x"}),
            "prompt",
        ),
        (
            json!({"anchorhold": {"return_ids": true}, "prompt": "x", "stop": "y"}),
            "stop",
        ),
        (
            json!({"anchorhold": {"return_ids": true}, "prompt": "x", "logprobs": 1}),
            "logprobs",
        ),
        (json!({"anchorhold": {"echo": true}, "prompt": "x"}), "echo"),
    ] {
        let (status, _, found) = by_ids(more.clone()).refusal();
        assert_eq!((status, found.as_deref()), (400, Some(param)), "{more}");
    }
    let long = vec![1; 1 << 17];
    let refused = by_ids(json!({"anchorhold": {"prompt_ids": long}}));
    assert_eq!(refused.status, 400, "{}", refused.text());
    served.still_answers();
}
