//! The engine around a real model: the demo's, sealed and unsealed as the enclave would.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anchorhold_models::{
    ChatMessage, Class, Expected, LoadOptions, ModelKey, Role, SealOptions, SealedModel, seal_dir,
};
use zeroize::Zeroizing;

use super::*;
use crate::clock::{Clock, Moment};
use crate::engine::job::Reply;
use crate::engine::{Engine, Settings, start};
use crate::lease::{Lease, Terms};
use crate::lifecycle::Lifecycle;
use crate::metrics::Metrics;

/// The demo's model.
pub(crate) fn demo_model() -> Model {
    load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask/demo-model"))
}

/// The same with another chat template.
pub(crate) fn demo_model_with(template: &str) -> Model {
    let place = tempfile::tempdir().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask/demo-model");
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), place.path().join(entry.file_name())).unwrap();
    }
    // Where both are, the file counts.
    std::fs::write(place.path().join("chat_template.jinja"), template).unwrap();
    load(place.path())
}

fn load(folder: &Path) -> Model {
    let place = tempfile::tempdir().unwrap();
    let sealed = place.path().join("demo.sealed");
    let key = ModelKey::generate();
    let options = SealOptions {
        key_id: "demo".parse().unwrap(),
        class: Class::Insecure,
        name: "demo".parse().unwrap(),
        private_name: false,
    };
    let summary = seal_dir(folder, &sealed, &key, &options, &()).unwrap();
    let expected = Expected {
        key_id: options.key_id,
        class: options.class,
        manifest_sha256: summary.manifest_sha256,
        max_plaintext: 1 << 30,
    };
    let unsealed = SealedModel::open(&sealed)
        .unwrap()
        .unseal(key, &expected, &())
        .unwrap();
    Model::load(unsealed, LoadOptions::default(), &()).unwrap()
}

fn engine() -> Engine {
    let clock = Arc::new(Clock::for_tests());
    let lifecycle = Lifecycle::new();
    let terms = Terms::new(Moment::START, 3600, 0);
    let settings = Settings {
        queue: 8,
        running: 8,
        lease: Arc::new(Lease::new(terms, Arc::clone(&clock), lifecycle.clone())),
        lifecycle,
        metrics: Arc::new(Metrics::new(clock)),
    };
    start(demo_model(), settings).unwrap()
}

fn chat(content: &str) -> Prompt {
    Prompt::Chat(vec![ChatMessage::new(
        Role::User,
        Zeroizing::new(content.to_owned()),
    )])
}

fn greedy(prompt: Prompt, max_tokens: Option<usize>) -> Order {
    Order {
        prompt,
        tools: None,
        constraint: None,
        sampling: SamplingParams {
            temperature: 0.0,
            max_tokens,
            ..SamplingParams::default()
        },
        most_tokens: 10_000,
    }
}

async fn answer(engine: &Engine, order: Order) -> Result<(String, anchorhold_models::Finish), Refusal> {
    let mut answering = engine.handle().generate(order).unwrap();
    let mut text = String::new();
    loop {
        let reply = tokio::time::timeout(Duration::from_secs(120), answering.next());
        match reply.await.expect("a small model answers in time") {
            Reply::Started => {}
            Reply::Piece(delta) => text.push_str(&delta.text),
            Reply::Finished(finish) => return Ok((text, finish)),
            Reply::Refused(refusal) => return Err(refusal),
        }
    }
}

#[tokio::test]
async fn a_real_model_answers_in_turns_as_it_does_alone() {
    let engine = engine();
    let questions = ["What is the capital of France?", "Hello!", "What is 2 plus 3?"];
    let mut alone = Vec::new();
    for question in questions {
        let (text, finish) = answer(&engine, greedy(chat(question), Some(40))).await.unwrap();
        assert!(!text.is_empty() && finish.usage.prompt_tokens > 0);
        alone.push(text);
    }
    let [first, second, third] = questions.map(|question| answer(&engine, greedy(chat(question), Some(40))));
    let (first, second, third) = tokio::join!(first, second, third);
    let together = [first, second, third].map(|answer| answer.unwrap().0);
    assert_eq!(alone, together);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_a_limit_of_ours_is_cut() {
    let engine = engine();
    let text = |text: &str| Prompt::Text(Zeroizing::new(text.to_owned()));
    let exceeded = Err(Refusal::ContextExceeded { limit: 512 });
    let outcome = answer(&engine, greedy(text("a"), Some(600))).await;
    assert_eq!(outcome.map(|_| ()), exceeded);
    let outcome = answer(&engine, greedy(text(&"word ".repeat(200_000)), None)).await;
    assert_eq!(outcome.map(|_| ()), exceeded);
    let (_, finish) = answer(&engine, greedy(text("a"), None)).await.unwrap();
    assert!(finish.usage.prompt_tokens + finish.usage.completion_tokens <= 512);
    let outcome = answer(&engine, greedy(Prompt::Chat(Vec::new()), None)).await;
    assert_eq!(outcome.map(|_| ()), Err(Refusal::EmptyPrompt));
    let mut order = greedy(text("a"), None);
    order.sampling.top_p = 0.0;
    let outcome = answer(&engine, order).await.map(|_| ());
    assert!(matches!(outcome, Err(Refusal::Sampling { field: "top_p", .. })));
}
