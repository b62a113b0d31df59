//! Every way to hand a prompt in, the wrong ones above all.
//!
//! Why apart: the list is to be read for what is missing.
//!
//! # Invariants
//! Each answer that is an error is searched whole, its head included.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use super::long;
use super::search::Canary;
use crate::served::{Listening, MODEL, Served, chat, completion};
use crate::wire::{Answer, Wire};

/// Demands an error, in which the canary is not.
fn refused(canary: &Canary, what: &str, answer: &Answer) {
    assert!(
        answer.status >= 400,
        "{what}: {} {}",
        answer.status,
        answer.text()
    );
    canary.is_not_in(what, &answer.body);
    for (name, value) in &answer.headers {
        canary.is_not_in(what, format!("{name}: {value}").as_bytes());
    }
}

/// Bodies that are no question for a chat.
fn bad_chats(canary: &Canary) -> Vec<(&'static str, Vec<u8>)> {
    let (text, word) = (canary.text(), canary.word());
    let member = |member: &str| chat(&text, &format!(",{member}")).into_bytes();
    let quoted = serde_json::to_string(&text).unwrap();
    vec![
        ("model", chat(&text, "").replace(MODEL, word).into()),
        ("unknown member", member(&format!("\"{word}\":1"))),
        ("unsupported member", member(&format!("\"user\":{quoted}"))),
        ("object", member(&format!("\"metadata\":{{{quoted}:{quoted}}}"))),
        ("tools", member(&format!("\"tools\":[{{\"type\":\"function\",\"function\":{{\"name\":{quoted}}}}}]"))),
        ("number", member(&format!("\"top_p\":{quoted}"))),
        ("switch", member(&format!("\"stream\":{quoted}"))),
        ("format", member(&format!("\"response_format\":{{\"type\":{quoted}}}"))),
        ("stops", member(&format!("\"stop\":[{0},{0},{0},{0},{0}]", quoted))),
        ("long stop", member(&format!("\"stop\":\"{}\"", word.repeat(9)))),
        ("role", format!(r#"{{"model":"{MODEL}","messages":[{{"role":{quoted},"content":{quoted}}}]}}"#).into()),
        ("part", format!(r#"{{"model":"{MODEL}","messages":[{{"role":"user","content":[{{"type":{quoted},"text":{quoted}}}]}}]}}"#).into()),
        ("name", format!(r#"{{"model":"{MODEL}","messages":[{{"role":"user","name":{quoted},"content":{quoted}}}]}}"#).into()),
        ("twice", format!(r#"{{"model":"{MODEL}","messages":{quoted},"messages":{quoted}}}"#).into()),
        ("no JSON", format!("{{\"model\":\"{MODEL}\",\"messages\":{quoted}").into()),
        ("only text", quoted.clone().into()),
        ("no quotes", text.clone().into()),
        ("no UTF-8", [quoted.as_bytes(), b"\xff\xfe"].concat()),
        ("escape", format!(r#"{{"model":"{MODEL}","messages":[{{"role":"user","content":"{word}\ud800"}}]}}"#).into()),
        ("too long", chat(&text.repeat(300), "").into()),
        ("far too long", chat(&text.repeat(20_000), "").into()),
        ("too large", chat(&text.repeat(60_000), "").into()),
    ]
}

/// Over TLS, without the product's client.
pub(super) fn directly(canary: &Canary, served: &Served) {
    let (text, word) = (canary.text(), canary.word());
    // What is answered.
    let mut wire = served.bound();
    for (path, body) in [
        ("/v1/chat/completions", chat(&text, "")),
        (
            "/v1/chat/completions",
            chat(&text, r#","stream":true,"logprobs":true,"top_logprobs":3"#),
        ),
        ("/v1/completions", completion(&text, r#","logprobs":2"#)),
        (
            "/v1/completions",
            completion(&text, &format!(r#","stream":true,"stop":"{word}""#)),
        ),
        (
            "/v1/chat/completions",
            format!(
                r#"{{"model":"{MODEL}","messages":[{{"role":"system","content":"{word}"}},{{"role":"user","content":"{word}"}}]}}"#
            ),
        ),
    ] {
        let answer = wire.post(path, body.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    // What is refused.
    for (what, body) in bad_chats(canary) {
        refused(canary, what, &served.post("/v1/chat/completions", &body));
        refused(canary, what, &served.post("/v1/completions", body));
    }
    refused(
        canary,
        "embeddings",
        &served.post(
            "/v1/embeddings",
            format!(r#"{{"model":"{MODEL}","input":"{word}"}}"#),
        ),
    );
    for path in [
        format!("/v1/models/{word}"),
        format!("/{word}"),
        format!("/v1/chat/completions?{word}"),
        format!("/v1/%5a{word}"),
    ] {
        refused(canary, "a path", &served.bound().get(&path));
        refused(canary, "a path without evidence", &served.connect().get(&path));
    }
    let nonce = format!("/.well-known/anchorhold/attestation?nonce={word}");
    refused(canary, "a nonce", &served.connect().get(&nonce));
    refused(
        canary,
        "a nonce",
        &served.connect().get(&nonce.replace("attestation", "channel")),
    );
    let mut unbound = served.connect();
    refused(
        canary,
        "a prompt too early",
        &unbound.post_as(
            "/v1/completions",
            &format!("authorization: Bearer {word}\r\n"),
            completion(&text, "").as_bytes(),
        ),
    );
    let mut wire = served.bound();
    wire.send(format!("{word} /v1/{word} HTTP/1.1\r\nhost: {word}\r\nx-{word}: {word}\r\n\r\n").as_bytes())
        .unwrap();
    refused(canary, "a method", &wire.answer().unwrap());
    let mut wire = served.bound();
    wire.send(format!("POST /v1/completions HTTP/1.1\r\nhost: e\r\ncontent-type: {word}\r\ncontent-length: 2\r\n\r\n{{}}").as_bytes()).unwrap();
    refused(canary, "a media type", &wire.answer().unwrap());
    let mut wire = served.bound();
    wire.send(format!("GET /{word} HTTP/7.7 {word}\r\n\r\n").as_bytes())
        .unwrap();
    // Closing without a word is as good.
    if let Ok(answer) = wire.answer() {
        refused(canary, "no HTTP", &answer);
    }
    let mut tcp = TcpStream::connect(("127.0.0.1", served.port)).unwrap();
    tcp.write_all(format!("GET /{word} HTTP/1.1\r\n\r\n").as_bytes())
        .unwrap();
    let mut answer = Vec::new();
    // A reset is an end, too.
    let _ = tcp.read_to_end(&mut answer);
    canary.is_not_in("no TLS", &answer);
    broken_off(canary, served);
}

/// Callers that leave, and more of them than there is room for.
fn broken_off(canary: &Canary, served: &Served) {
    // In the middle of a body.
    let mut wire = served.bound();
    wire.send(format!("POST /v1/completions HTTP/1.1\r\nhost: e\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n{}", completion(&canary.text(), "")).as_bytes()).unwrap();
    drop(wire);
    // In the middle of answers; and a queue that is full, or answers that come too late, as it happens.
    let mut running: Vec<Wire> = (0..24).map(|_| served.bound()).collect();
    for wire in &mut running {
        wire.ask(
            "/v1/completions",
            "",
            long(canary, r#","stream":true"#).as_bytes(),
        )
        .unwrap();
    }
    let mut full = 0;
    for wire in &mut running {
        let mut answer = wire.head().unwrap();
        if answer.status != 200 {
            wire.rest(&mut answer).unwrap();
            refused(canary, "too many", &answer);
            full += usize::from(answer.status == 429);
        }
    }
    assert!(full > 0, "the queue was never full");
}

/// As programs of the same machine do it.
pub(super) fn through_the_proxy(canary: &Canary, proxy: &Listening) {
    let address = proxy
        .base_url
        .strip_prefix("http://")
        .unwrap()
        .strip_suffix("/v1")
        .unwrap();
    let exchange = |head: &str, body: &[u8]| {
        let mut tcp = TcpStream::connect(address).unwrap();
        let length = body.len();
        let head = format!(
            "{head}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        // The proxy may answer and close before all of a large body is written.
        let _ = tcp.write_all(&[head.as_bytes(), body].concat());
        let mut answer = Vec::new();
        let _ = tcp.read_to_end(&mut answer);
        answer
    };
    let admitted = |line: &str| {
        format!(
            "{line} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}",
            proxy.token
        )
    };
    let chat_line = admitted("POST /v1/chat/completions");
    for more in ["", r#","stream":true"#] {
        let answer = exchange(&chat_line, chat(&canary.text(), more).as_bytes());
        assert!(
            answer.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    let error = |what: &str, answer: Vec<u8>| {
        assert!(
            answer.starts_with(b"HTTP/1.1 4") || answer.starts_with(b"HTTP/1.1 5") || answer.is_empty(),
            "{what}: {}",
            String::from_utf8_lossy(&answer)
        );
        canary.is_not_in(what, &answer);
    };
    for (what, body) in bad_chats(canary) {
        error(what, exchange(&chat_line, &body));
    }
    let (word, question) = (canary.word(), chat(&canary.text(), ""));
    let question = question.as_bytes();
    error(
        "a path",
        exchange(&admitted(&format!("POST /v1/{word}")), question),
    );
    error(
        "another path",
        exchange(&admitted(&format!("GET /{word}")), question),
    );
    error(
        "a method",
        exchange(&admitted(&format!("{word} /v1/models")), question),
    );
    let line = "POST /v1/chat/completions HTTP/1.1\r\nhost: ";
    error(
        "a token",
        exchange(
            &format!("{line}{address}\r\nauthorization: Bearer {word}"),
            question,
        ),
    );
    error(
        "a host",
        exchange(
            &format!("{line}{word}\r\nauthorization: Bearer {}", proxy.token),
            question,
        ),
    );
    error(
        "an origin",
        exchange(&format!("{chat_line}\r\norigin: {word}"), question),
    );
    // A program that leaves in the middle of an answer.
    let mut tcp = TcpStream::connect(address).unwrap();
    let body = long(canary, r#","stream":true"#);
    let head = format!(
        "{}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        admitted("POST /v1/completions"),
        body.len()
    );
    tcp.write_all(head.as_bytes()).unwrap();
    let _ = tcp.read(&mut [0; 64]).unwrap();
}

/// As a person does it; gives how often.
pub(super) fn on_the_command_line(canary: &Canary, served: &Served) -> usize {
    let url = format!("https://127.0.0.1:{}", served.port);
    let policy = served.world.path("policy.toml");
    let other = served.world.path("other.toml");
    std::fs::write(
        &other,
        served
            .world
            .policy
            .replace(&served.world.manifest(), &"77".repeat(32)),
    )
    .unwrap();
    let cases: [(&str, &std::path::Path, &[&str], bool); 4] = [
        ("ask", &policy, &["-"], true),
        ("ask", &policy, &["--model", "other", "-"], false),
        ("ask", &other, &["-"], false),
        ("chat", &policy, &[], true),
    ];
    for (command, policy, rest, answers) in cases {
        let mut child = Command::new(served.world.programs.host)
            .args([
                "client",
                command,
                "--url",
                &url,
                "--policy",
                policy.to_str().unwrap(),
            ])
            .args(rest)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that refuses early need not read.
        let _ = child
            .stdin
            .take()
            .unwrap()
            .write_all(format!("{}\n", canary.text()).as_bytes());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.success(), answers, "{command} {rest:?}: {output:?}");
        canary.is_not_in("standard error of a command", &output.stderr);
        if !answers {
            canary.is_not_in("standard output of a command that failed", &output.stdout);
        }
    }
    cases.len()
}

/// What the host may scrape.
pub(super) fn the_metrics(canary: &Canary, served: &Served) {
    for line in [
        "GET /metrics".to_owned(),
        format!("GET /metrics?{}", canary.word()),
        format!("GET /{}", canary.word()),
    ] {
        let mut tcp = TcpStream::connect(("127.0.0.1", served.metrics)).unwrap();
        tcp.write_all(format!("{line} HTTP/1.1\r\nhost: e\r\nconnection: close\r\n\r\n").as_bytes())
            .unwrap();
        let mut answer = Vec::new();
        tcp.read_to_end(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 "));
        canary.is_not_in("the metrics", &answer);
    }
}
