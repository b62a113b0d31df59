//! What an observer of the network can tell of answers: nothing within a class.
//!
//! Each claim is about counts and lengths of records, so that no test depends on how fast a machine is: which class an
//! answer falls into does, and what is equal within one does not. The attack itself, with a classifier, is
//! `anchorhold-bench traffic`.
//!
//! # Invariants
//! The same claims fail when the shape is switched off: `without_a_shape_lengths_tell_answers_apart` sees that.

#![allow(clippy::unwrap_used, reason = "test code: a panic is a failure")]

mod scene;

use std::collections::BTreeMap;

use scene::{Scene, chat};

/// Bytes of plaintext of each record, by the configuration of the scene.
const FRAME: usize = 512;
/// Bytes of a record around that: the type of its content and the cipher's tag.
const SEALED: usize = FRAME + 1 + 16;
/// Records of a head: its lines, the status and what hyper adds, in frames.
const HEAD: usize = 5;

const SHAPED: &str = "[traffic]\ntick_ms = 20\nframe_bytes = 512\nleast_ticks = 16\n";
const UNSHAPED: &str = "[traffic]\ndangerously_unshaped_traffic = true\n";

/// Questions whose answers differ in length and in pieces.
const QUESTIONS: [&str; 6] = [
    "What is the capital of France?",
    "What is the capital of the United Kingdom?",
    "Hello, I am Chadre.",
    "What is 3 plus 4?",
    "What is 12 plus 30?",
    "Who are you?",
];

/// 1, 2, 3, 4, 6, 8, 12, ...
fn is_class(number: usize) -> bool {
    number.is_power_of_two() || (number.is_multiple_of(3) && (number / 3).is_power_of_two())
}

#[test]
fn streams_of_one_class_are_the_same_records_whatever_is_said() {
    let scene = Scene::new(SHAPED);
    let mut classes = BTreeMap::<usize, Vec<String>>::new();
    for question in QUESTIONS {
        let seen = scene.ask("/v1/chat/completions", chat(question, true, 24));
        assert_eq!(seen.status, 200);
        assert!(
            seen.down.iter().all(|length| *length == SEALED),
            "{:?}",
            seen.down
        );
        // The head, a frame at each beat, and the mark that ends the body.
        let beats = seen.down.len() - HEAD - 1;
        assert!(beats >= 16 && is_class(beats), "{question}: {beats}");
        classes.entry(beats).or_default().push(seen.text);
    }
    // Not six times the same answer.
    let mut answers: Vec<String> = classes.into_values().max_by_key(Vec::len).unwrap();
    answers.sort();
    answers.dedup();
    assert!(answers.len() >= 2, "{answers:?}");
}

#[test]
fn a_stream_that_is_refused_has_the_records_of_a_stream() {
    let scene = Scene::new(SHAPED);
    let too_long = chat(&"word ".repeat(5000), true, 24);
    let seen = scene.ask("/v1/chat/completions", too_long);
    assert_eq!(seen.status, 400);
    assert!(
        seen.down.iter().all(|length| *length == SEALED),
        "{:?}",
        seen.down
    );
    let beats = seen.down.len() - HEAD - 1;
    assert!(beats >= 16 && is_class(beats), "{beats}");
}

#[test]
fn whole_answers_and_errors_have_one_length_in_both_directions() {
    let scene = Scene::new(SHAPED);
    let mut up = Vec::new();
    for question in QUESTIONS {
        let seen = scene.ask("/v1/chat/completions", chat(question, false, 24));
        assert_eq!(seen.status, 200);
        assert_eq!(seen.down, [SEALED; HEAD + 8], "a head and 4096 bytes");
        up.push(seen.up);
    }
    up.dedup();
    assert_eq!(up.len(), 1, "requests of one class: {up:?}");
    let refused = [
        chat("x", false, 1_000_000),
        serde_json::json!({"model": "another", "messages": []}),
        serde_json::json!({"model": "demo"}),
    ];
    for request in refused {
        let seen = scene.ask("/v1/chat/completions", request);
        assert!((400..500).contains(&seen.status), "{}", seen.status);
        assert_eq!(seen.down, [SEALED; HEAD + 8]);
    }
}

#[test]
fn without_a_shape_lengths_tell_answers_apart() {
    let scene = Scene::new(UNSHAPED);
    for stream in [true, false] {
        let mut seen =
            QUESTIONS.map(|question| scene.ask("/v1/chat/completions", chat(question, stream, 24)).down);
        seen.sort();
        let different = seen.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(different >= 2, "stream {stream}: {seen:?}");
    }
}
