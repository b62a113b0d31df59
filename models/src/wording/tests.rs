//! The same ids as the engine, from the pinned model's files alone.
//!
//! Why apart: longer than a few lines, and it needs whole models.
//!
//! # Invariants
//! The models are the repository's own, so that nothing is skipped.

use std::path::{Path, PathBuf};

use super::*;
use crate::chat::Role;
use crate::model::Model;
use crate::sampler::params::SamplingParams;
use crate::testdata;
use crate::{Decoder, Step};

/// The demo model: a chat template, and a byte-level tokenizer.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask/demo-model")
}

fn read() -> (Manifest, Vec<(String, Vec<u8>)>) {
    let manifest = Manifest::of_dir(&folder(), &()).unwrap();
    let files = Wording::files(&manifest)
        .map(|name| (name.to_owned(), std::fs::read(folder().join(name)).unwrap()))
        .collect();
    (manifest, files)
}

fn wording() -> Wording {
    let (manifest, files) = read();
    Wording::read(&manifest, manifest.digest(), files).unwrap()
}

fn decoder() -> Box<Decoder> {
    match testdata::load(testdata::folder(&folder())).unwrap() {
        Model::Decoder(decoder) => decoder,
        Model::Embedder(_) => panic!("the demo model answers"),
    }
}

fn message(role: Role, content: &str) -> ChatMessage {
    ChatMessage::new(role, Zeroizing::new(content.to_owned()))
}

#[test]
fn ids_are_those_that_the_engine_makes() {
    let (wording, decoder) = (wording(), decoder());
    for text in ["one two", "<|im_end|> é\u{1f642}", " ", "a\nb"] {
        let own = wording.text(text).unwrap();
        assert_eq!(*own, decoder.text_prompt(text).unwrap().ids(), "{text:?}");
        let messages = [message(Role::System, "s"), message(Role::User, text)];
        let own = wording.chat(&messages).unwrap();
        assert_eq!(*own, decoder.chat_prompt(&messages).unwrap().ids(), "{text:?}");
    }
    assert_eq!(wording.chat(&[]).err(), Some(ChatError::Empty));
}

/// An answer by ids is the same answer, and its text is made elsewhere.
#[test]
fn returned_ids_become_the_text_that_the_engine_would_have_made() {
    let (wording, decoder) = (wording(), decoder());
    let messages = [message(Role::User, "count to five")];
    let params = |return_ids| SamplingParams {
        temperature: 0.0,
        max_tokens: Some(24),
        return_ids,
        ..SamplingParams::default()
    };
    let run = |prompt, return_ids| {
        let mut generation = decoder
            .start(prompt, params(return_ids).validate().unwrap())
            .unwrap();
        let (mut text, mut ids) = (String::new(), Vec::new());
        loop {
            match decoder.step(&mut [&mut generation]).remove(0).unwrap() {
                Step::Prefilling { .. } => {}
                Step::Delta(delta) => {
                    assert!(!return_ids || delta.text.is_empty());
                    text.push_str(&delta.text);
                    ids.extend_from_slice(&delta.ids);
                }
                Step::Finished(finish) => return (text, ids, finish),
            }
        }
    };
    let (text, none, finish) = run(decoder.chat_prompt(&messages).unwrap(), false);
    assert!(none.is_empty() && !text.is_empty());
    let ids = wording.chat(&messages).unwrap();
    let (nothing, ids, by_ids) = run(decoder.ids_prompt(ids).unwrap(), true);
    assert!(nothing.is_empty());
    assert_eq!(by_ids, finish);
    let mut answer = wording.answer(false);
    let mut own = String::new();
    for id in ids {
        own.push_str(&answer.push(&wording, &[id]));
    }
    own.push_str(&answer.finish());
    assert_eq!(own, text);
}

#[test]
fn ids_that_are_none_and_what_comes_with_text_are_refused() {
    let decoder = decoder();
    let prompt = |ids: &[u32]| decoder.ids_prompt(Zeroizing::new(ids.to_vec())).err();
    assert_eq!(prompt(&[]), Some(PromptError::Empty));
    assert_eq!(prompt(&[0, 1, u32::MAX]), Some(PromptError::UnknownId));
    assert_eq!(prompt(&[0; 1 << 16]), Some(PromptError::TooLong));
    assert_eq!(prompt(&[0, 1]), None);
    let refused = |params: SamplingParams| params.validate().err().map(|error| error.field);
    let with_ids = || SamplingParams {
        return_ids: true,
        ..SamplingParams::default()
    };
    assert_eq!(refused(with_ids()), None);
    assert_eq!(
        refused(SamplingParams {
            logprobs: Some(0),
            ..with_ids()
        }),
        Some("logprobs")
    );
    assert_eq!(
        refused(SamplingParams {
            stop: vec![Zeroizing::new("x".to_owned())],
            ..with_ids()
        }),
        Some("stop")
    );
}

#[test]
fn only_the_pinned_models_files_are_read() {
    let (manifest, files) = read();
    let read = |files| Wording::read(&manifest, manifest.digest(), files).err();
    assert_eq!(
        Wording::read(&manifest, Digest::new([7; 32]), files.clone()).err(),
        Some(WordingError::Manifest)
    );
    for index in 0..files.len() {
        let mut changed = files.clone();
        let last = changed[index].1.len() - 1;
        changed[index].1[last] ^= 1;
        let name = FILES.into_iter().find(|name| *name == files[index].0).unwrap();
        assert_eq!(read(changed), Some(WordingError::Differs(name)));
        let mut fewer = files.clone();
        fewer.remove(index);
        assert_eq!(read(fewer), Some(WordingError::Missing(name)));
    }
    assert_eq!(read(files), None);
}
