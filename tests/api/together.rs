//! Many at one time: each gets what it would have got alone, and memory that is taken is said to be.
//!
//! Why apart: what is computed for one must not depend on who else is there.
//!
//! # Invariants
//! Answers are compared by everything the model had a part in: pieces, log-probabilities, reasons and counts.

use std::sync::Barrier;
use std::time::Duration;

use serde_json::Value;

use crate::served::{LONG, Served, chat, completion, endless};
use crate::wire::Answer;

/// Rounds in which all ask at the same time.
const ROUNDS: usize = 3;

/// Questions of all lengths, likeliest and drawn, with and without log-probabilities.
fn questions() -> Vec<(&'static str, String)> {
    let stream = r#","stream":true,"stream_options":{"include_usage":true}"#;
    let mut questions = Vec::new();
    for number in 0..6usize {
        let words = "the capital of France is Paris and ".repeat(number * 5);
        let drawn = format!(r#""temperature":0.9,"top_p":0.95,"seed":{number}"#);
        let likeliest = completion(&format!("{words}one"), &format!(r#","max_tokens":40{stream}"#));
        questions.push(("/v1/completions", likeliest.replace(r#""temperature":0"#, &drawn)));
        questions.push(("/v1/completions", likeliest));
        let likeliest = chat(
            "What is the capital of France?",
            &format!(
                r#","logprobs":true,"top_logprobs":{number},"max_tokens":{}{stream}"#,
                5 + number
            ),
        );
        questions.push((
            "/v1/chat/completions",
            likeliest.replace(r#""temperature":0"#, &drawn),
        ));
        questions.push(("/v1/chat/completions", likeliest));
    }
    questions
}

/// What the model said: its text, all log-probabilities, why it ended and its counts. How it was cut into events is the
/// clock's doing.
fn said(answer: &Answer) -> (String, Vec<Value>, Value, Value) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let (events, done) = answer.events();
    assert!(done, "{}", answer.text());
    let (mut text, mut likely) = (String::new(), Vec::new());
    let (mut reason, mut usage) = (Value::Null, Value::Null);
    for event in events {
        for choice in event["choices"].as_array().unwrap() {
            let content = [&choice["text"], &choice["delta"]["content"]];
            text += content
                .iter()
                .find_map(|content| content.as_str())
                .unwrap_or_default();
            likely.extend(
                choice["logprobs"]["content"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .cloned(),
            );
            if !choice["finish_reason"].is_null() {
                reason = choice["finish_reason"].clone();
            }
        }
        if !event["usage"].is_null() {
            usage = event["usage"].clone();
        }
    }
    (text, likely, reason, usage)
}

#[test]
fn many_streams_at_one_time_get_what_each_would_get_alone() {
    let served = Served::demo("");
    let questions = questions();
    let alone: Vec<_> = questions
        .iter()
        .map(|(path, body)| said(&served.post(path, body)))
        .collect();
    for (first, second) in alone.iter().zip(&alone[4..]) {
        assert_ne!(first, second, "the questions differ in what they get");
    }
    let start = Barrier::new(questions.len());
    std::thread::scope(|scope| {
        for ((path, body), alone) in questions.iter().zip(&alone) {
            let (served, start) = (&served, &start);
            scope.spawn(move || {
                let mut wire = served.bound();
                for _ in 0..ROUNDS {
                    start.wait();
                    assert_eq!(&said(&wire.post(path, body.as_bytes())), alone, "{body}");
                }
            });
        }
    });
}

#[test]
fn memory_that_is_taken_is_429_until_it_is_free_again() {
    let served = Served::long_with("", "kv_mib = 12");
    let begin = || {
        let mut wire = served.bound();
        let body = endless(LONG, r#","stream":true"#);
        wire.ask("/v1/completions", "", body.as_bytes()).unwrap();
        let head = wire.head().unwrap();
        (wire, head)
    };
    let mut running = Vec::new();
    let refused = loop {
        let (mut wire, mut head) = begin();
        if head.status != 200 {
            wire.rest(&mut head).unwrap();
            break head;
        }
        running.push(wire);
        assert!(running.len() < 8, "12 MiB hold no eight long answers");
    };
    assert!(!running.is_empty());
    assert_eq!(refused.refusal(), (429, "no_capacity".to_owned(), None));
    assert_eq!(refused.header("retry-after"), Some("1"));
    // What needs little finds room beside them, or is told the same.
    let small = served.post("/v1/completions", completion("one", r#","max_tokens":1"#));
    assert!([200, 429].contains(&small.status), "{}", small.text());
    drop(running);
    let mut tries = 0;
    while begin().1.status != 200 {
        tries += 1;
        assert!(tries < 500, "whoever left still holds its memory");
        std::thread::sleep(Duration::from_millis(10));
    }
    served.still_answers();
}

#[test]
fn what_never_fits_is_refused_with_both_numbers() {
    let served = Served::long_with("", "kv_mib = 2");
    let refused = served.post("/v1/completions", endless(LONG, ""));
    assert_eq!(refused.refusal(), (400, "exceeds_memory".to_owned(), None));
    let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    let numbers: Vec<usize> = message
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect();
    let [needed, total] = numbers[..] else {
        panic!("both numbers: {message}");
    };
    assert!(needed >= LONG && total < LONG, "{message}");
    // A limit that nobody named gives way.
    let answer = served.post("/v1/chat/completions", chat("Hello!", ""));
    assert_eq!(answer.status, 200, "{}", answer.text());
    served.still_answers();
}
