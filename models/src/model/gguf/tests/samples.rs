//! The published samples, from file to answer.

use serde_json::Value;

use crate::embedder::Truncation;
use crate::generation::Step;
use crate::generation::token::TokenInfo;
use crate::model::Model;
use crate::sampler::params::SamplingParams;
use crate::testdata;

fn load(folder: &std::path::Path, file: &str) -> Model {
    let bytes = std::fs::read(folder.join(file)).unwrap();
    testdata::load(vec![(file.to_owned(), bytes)]).unwrap()
}

/// The likeliest answer, each token with the likeliest others.
fn answer(model: &Model, prompt: &str, tokens: usize) -> Vec<TokenInfo> {
    let Model::Decoder(decoder) = model else {
        panic!("it is a decoder")
    };
    let params = SamplingParams {
        temperature: 0.0,
        max_tokens: Some(tokens),
        logprobs: Some(20),
        ..Default::default()
    };
    let prompt = decoder.text_prompt(prompt).unwrap();
    let mut generation = decoder.start(prompt, params.validate().unwrap()).unwrap();
    let mut found = Vec::new();
    loop {
        match decoder.step(&mut [&mut generation]).remove(0).unwrap() {
            Step::Prefilling { .. } => {}
            Step::Delta(delta) => found.extend(delta.tokens),
            Step::Finished(_) => return found,
        }
    }
}

/// How far logits are from the reference's, and whether the first `tokens` are its.
fn compare(model: &Model, cases: &Value, tokens: usize) -> (f32, bool) {
    let (mut furthest, mut same) = (0.0f32, true);
    for case in cases.as_array().unwrap() {
        let mut expected = testdata::ids(&case["greedy_new_ids"]);
        expected.truncate(tokens);
        let found = answer(model, case["prompt"].as_str().unwrap(), tokens);
        let ids: Vec<u32> = found.iter().map(|info| info.token.id).collect();
        same &= ids == expected;
        // Log probabilities are logits but for one number, which differences do not have.
        let logit = |id: u32| {
            found[0]
                .top
                .iter()
                .find(|other| other.id == id)
                .map(|other| other.logprob)
        };
        let top = case["first_step_top20"].as_array().unwrap();
        let pair = |entry: &Value| {
            (
                entry[0].as_u64().unwrap() as u32,
                entry[1].as_f64().unwrap() as f32,
            )
        };
        let (first, first_logit) = pair(&top[0]);
        // The last ones may have changed places with others.
        for entry in &top[1..15] {
            let (id, expected) = pair(entry);
            let found = logit(id)
                .zip(logit(first))
                .map_or(f32::INFINITY, |(one, other)| one - other);
            furthest = furthest.max((found - (expected - first_logit)).abs());
        }
    }
    (furthest, same)
}

#[test]
fn stories260k_files_agree_with_their_references() {
    const NAME: &str = "stories260k_files_agree_with_their_references";
    let Some(path) = testdata::shared(NAME, "stories260k") else {
        return;
    };
    let reference: Value = testdata::json(path.join("reference.json"));
    // Keys and values are kept in 16 bits, and activations for blocks in 8.
    for (file, tolerance, exact) in [
        ("stories260k-f32.gguf", 0.02, true),
        ("stories260k-f16.gguf", 0.02, true),
        ("stories260k-q8_0.gguf", 0.2, false),
        ("stories260k-q4_0.gguf", 0.4, false),
    ] {
        let model = load(&path, file);
        assert_eq!(model.info().parameters, 260_032);
        let (furthest, same) = compare(
            &model,
            &reference["gguf"][file]["cases"],
            if exact { 64 } else { 1 },
        );
        assert!(furthest < tolerance, "{file}: {furthest}");
        assert!(same || !exact, "{file}");
    }
    // The best known file has its own output matrix, another context and ids of 4294967295.
    let upstream = load(&path, "stories260K-llamacpp.gguf");
    assert_eq!(
        (upstream.info().parameters, upstream.info().context_length),
        (260_032 + 512 * 64, 2_048)
    );
    let (furthest, same) = compare(&upstream, &reference["cases"], 1);
    assert!(furthest < 0.02 && same, "{furthest}");
}

#[test]
fn the_minilm_file_agrees_with_its_reference() {
    const NAME: &str = "the_minilm_file_agrees_with_its_reference";
    const FILE: &str = "all-minilm-l6-v2-q8_0.gguf";
    let Some(path) = testdata::shared(NAME, "all-minilm-l6-v2") else {
        return;
    };
    let reference: Value = testdata::json(path.join("reference.json"));
    let Model::Embedder(embedder) = load(&path, FILE) else {
        panic!("it is an embedder")
    };
    assert_eq!(embedder.info().context_length, 512);
    for sentence in reference["gguf"][FILE]["sentences"].as_array().unwrap() {
        let text = sentence["text"].as_str().unwrap();
        let found = embedder.embed_one(0, text, Truncation::Refuse).unwrap();
        let expected = testdata::floats(&sentence["embedding"]);
        let furthest = testdata::largest_difference(&found.values, &expected);
        assert!(furthest < 5e-3, "{text}: {furthest}");
    }
}

#[test]
fn a_gguf_file_is_sealed_unsealed_and_loaded() {
    const NAME: &str = "a_gguf_file_is_sealed_unsealed_and_loaded";
    let Some(source) = testdata::shared(NAME, "stories260k") else {
        return;
    };
    let work = tempfile::tempdir().unwrap();
    let folder = work.path().join("model");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(source.join("stories260k-q4_0.gguf"), folder.join("m.gguf")).unwrap();
    let model = testdata::sealed_and_loaded(&folder);
    assert_eq!(model.info().parameters, 260_032);
    assert!(!answer(&model, "Once upon a time", 4).is_empty());
}
