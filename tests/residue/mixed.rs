//! Requests of all kinds, each with something that must not stay.
//!
//! Why apart: what a scan proves depends on what went through before.
//!
//! # Invariants
//! Each kind has a text of its own, so that what is found says where it came from.

use serde_json::{Value, json};

use crate::planted::Planted;
use crate::served::{MODEL, Served};
use crate::wire::Wire;

/// Connections that stay open.
pub(crate) struct Kept(Vec<Wire>);

/// So many requests. Gives the connections that are still open, all of which carried plaintext.
pub(crate) fn requests(served: &Served, planted: &mut Planted, count: usize) -> Kept {
    let mut kept = Kept((0..4).map(|_| served.bound()).collect());
    let mut sent = 0;
    while sent < count {
        for wire in &mut kept.0 {
            sent += if planted.answers() {
                answered(served, planted, wire, sent)
            } else {
                embedded(planted, wire, sent)
            };
        }
        sent += broken(served, planted);
    }
    if planted.answers() {
        together(planted, &mut kept);
    }
    last(planted, &mut kept);
    planted.done();
    kept
}

/// All at one time, some of them for longer than others.
fn together(planted: &mut Planted, kept: &mut Kept) {
    let wires: Vec<(&mut Wire, String)> = kept.0.iter_mut().map(|wire| (wire, planted.prompt().0)).collect();
    std::thread::scope(|scope| {
        for (number, (wire, text)) in wires.into_iter().enumerate() {
            let body = json!({"model": MODEL, "prompt": text, "max_tokens": 4 << number, "stream": true, "temperature": 0});
            scope.spawn(move || {
                assert_eq!(
                    wire.post("/v1/completions", body.to_string().as_bytes()).status,
                    200
                )
            });
        }
    });
}

/// One pass, whose numbers no other pass overwrites before they are looked for.
fn last(planted: &mut Planted, kept: &mut Kept) {
    let (text, _) = planted.prompt();
    let wire = kept.0.last_mut().unwrap();
    if planted.answers() {
        let body = json!({"model": MODEL, "prompt": text, "max_tokens": 1, "temperature": 0});
        assert_eq!(
            wire.post("/v1/completions", body.to_string().as_bytes()).status,
            200
        );
    } else {
        let body = json!({"model": MODEL, "input": text}).to_string();
        let answer = wire.post("/v1/embeddings", body.as_bytes());
        let vector = answer.json()["data"][0]["embedding"].clone();
        planted.vector(serde_json::from_value(vector).unwrap());
    }
}

/// A request that has nothing in common with those before, on each open connection or on a new one.
pub(crate) fn unrelated(served: &Served, kept: &mut Kept, planted: &Planted) {
    let (path, body) = if planted.answers() {
        (
            "/v1/completions",
            json!({"model": MODEL, "prompt": "Yes", "max_tokens": 2}),
        )
    } else {
        ("/v1/embeddings", json!({"model": MODEL, "input": "yes"}))
    };
    let body = body.to_string();
    if let Some(wire) = kept.0.first_mut() {
        assert_eq!(wire.post(path, body.as_bytes()).status, 200);
    }
    assert_eq!(served.post(path, &body).status, 200);
}

/// One request of a kind that depends on how many there were.
fn answered(served: &Served, planted: &mut Planted, wire: &mut Wire, number: usize) -> usize {
    let header = format!("x-{}: {}\r\n", planted.text().to_lowercase(), planted.text());
    let mut ask = |path: &str, body: &Value| wire.post_as(path, &header, body.to_string().as_bytes());
    match number % 7 {
        0 => {
            let (text, _) = planted.prompt();
            let body = json!({"model": MODEL, "prompt": text, "max_tokens": 48, "temperature": 0});
            let answer = ask("/v1/completions", &body);
            assert_eq!(answer.status, 200, "{}", answer.text());
            planted.answer(answer.json()["choices"][0]["text"].as_str().unwrap());
        }
        1 => {
            let (_, ids) = planted.prompt();
            let body = json!({"model": MODEL, "max_tokens": 40, "temperature": 1.5, "seed": number,
                "anchorhold": {"prompt_ids": ids, "return_ids": true}});
            let answer = ask("/v1/completions", &body);
            assert_eq!(answer.status, 200, "{}", answer.text());
            let ids = answer.json()["choices"][0]["anchorhold"]["ids"].clone();
            planted.ids(serde_json::from_value(ids).unwrap());
        }
        2 => {
            // Samplers that keep tables, words that end an answer, the likeliest told.
            let (text, _) = planted.prompt();
            let body = json!({"model": MODEL, "prompt": text, "max_tokens": 24, "top_p": 0.9, "top_k": 40, "logprobs": 4,
                "frequency_penalty": 0.5, "repetition_penalty": 1.1, "stop": [planted.text()]});
            let answer = ask("/v1/completions", &body);
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        3 => {
            let (text, _) = planted.prompt();
            let body =
                json!({"model": MODEL, "prompt": text, "max_tokens": 48, "temperature": 1.5, "stream": true});
            let answer = ask("/v1/completions", &body);
            assert_eq!(answer.status, 200, "{}", answer.text());
            let (events, done) = answer.events();
            assert!(done);
            let pieces = events
                .iter()
                .filter_map(|event| event["choices"][0]["text"].as_str());
            planted.answer(&pieces.collect::<String>());
        }
        4 => {
            // Whether or not the model has a template.
            let body = json!({"model": MODEL, "max_tokens": 8, "messages": [
                {"role": "system", "content": planted.text()}, {"role": "user", "content": planted.text()}]});
            assert!(matches!(ask("/v1/chat/completions", &body).status, 200 | 400));
        }
        5 => {
            let schema = json!({"type": "object", "additionalProperties": false, "required": [planted.text()],
                "properties": {planted.text(): {"type": "string", "enum": [planted.text()]}}});
            let body = json!({"model": MODEL, "max_tokens": 16, "messages": [{"role": "user", "content": planted.text()}],
                "response_format": {"type": "json_schema", "json_schema": {"name": "form", "schema": schema}}});
            let status = ask("/v1/chat/completions", &body).status;
            assert!(matches!(status, 200 | 400), "{status}");
        }
        _ => {
            // Refused for what they say.
            let long = planted.text().repeat(400);
            for body in [
                json!({"model": planted.text(), "prompt": planted.text()}),
                json!({"model": MODEL, "prompt": planted.text(), "temperature": planted.text()}),
                json!({"model": MODEL, "prompt": long}),
                json!(planted.text()),
            ] {
                let status = ask("/v1/completions", &body).status;
                assert!(matches!(status, 400 | 404 | 422), "{status}");
            }
            closed(served, planted);
            return 5;
        }
    }
    1
}

/// On a connection that is closed after it, and a path that does not exist.
fn closed(served: &Served, planted: &mut Planted) {
    let mut wire = served.bound();
    let headers = format!(
        "connection: close\r\nauthorization: Bearer {}\r\n",
        planted.text()
    );
    let path = format!("/v1/{}", planted.text());
    let answer = wire.post_as(&path, &headers, planted.text().as_bytes());
    assert!(matches!(answer.status, 400..=404), "{}", answer.text());
}

/// Callers that leave: in the middle of a body, and in the middle of an answer.
fn broken(served: &Served, planted: &mut Planted) -> usize {
    let mut wire = served.bound();
    let text = planted.text();
    let head = "POST /v1/completions HTTP/1.1\r\nhost: e\r\ncontent-type: application/json\r\ncontent-length: 9000\r\n\r\n";
    wire.send(format!("{head}{{\"prompt\":\"{text}").as_bytes())
        .unwrap();
    drop(wire);
    if planted.answers() {
        let (text, _) = planted.prompt();
        let mut wire = served.bound();
        let body = json!({"model": MODEL, "prompt": text, "max_tokens": 200, "stream": true, "repetition_penalty": 0.01,
            "frequency_penalty": -2, "presence_penalty": -2});
        wire.ask("/v1/completions", "", body.to_string().as_bytes())
            .unwrap();
        assert_eq!(wire.head().unwrap().status, 200);
        wire.chunk().unwrap();
        drop(wire);
    }
    // Whoever left is noticed, and what was computed for them let go.
    std::thread::sleep(std::time::Duration::from_millis(300));
    2
}

fn embedded(planted: &mut Planted, wire: &mut Wire, number: usize) -> usize {
    // As the tokenizer lowers it.
    let (one, other) = (planted.text(), planted.text());
    let format = if number.is_multiple_of(2) {
        "float"
    } else {
        "base64"
    };
    let body = json!({"model": MODEL, "input": [one, other], "encoding_format": "float"});
    let answer = wire.post("/v1/embeddings", body.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    for index in 0..2 {
        let vector = answer.json()["data"][index]["embedding"].clone();
        planted.vector(serde_json::from_value(vector).unwrap());
    }
    let body = json!({"model": MODEL, "input": planted.text(), "encoding_format": format, "dimensions": 7});
    assert_eq!(
        wire.post("/v1/embeddings", body.to_string().as_bytes()).status,
        400
    );
    2
}
