//! The computation against what transformers computed, for each family, and the published small model.

use serde_json::Value;

use super::network::{Logits, Network};
use crate::config::decoder::{DecoderConfig, Family};
use crate::model::files::ModelFiles;
use crate::model::options::LoadOptions;
use crate::sampler::logprobs::normaliser;
use crate::testdata;
use crate::weights::Weights;

/// Absolute, as the makers of the references advise for 32-bit floats.
const TOLERANCE: f32 = 1e-3;

fn tiny(name: &str) -> (Network, Value) {
    let path = testdata::tiny(name);
    let config: Value = testdata::json(path.join("config.json"));
    let family = Family::of(config["architectures"][0].as_str().unwrap()).unwrap();
    let config = testdata::with_config(&config, |keys| DecoderConfig::read(family, keys)).unwrap();
    let mut files = ModelFiles::for_tests(testdata::folder(&path));
    let network = Network::load(
        Weights::open(&mut files, &()).unwrap(),
        config,
        &LoadOptions::default(),
    )
    .unwrap();
    (network, testdata::json(path.join("reference.json")))
}

fn highest(logits: &[f32]) -> u32 {
    (0u32..)
        .zip(logits)
        .max_by(|(_, x), (_, y)| x.total_cmp(y))
        .unwrap()
        .0
}

fn greedy(network: &Network, prompt: &[u32], count: usize) -> Vec<u32> {
    let mut cache = network.new_cache(256).unwrap();
    let mut logits = network.forward(prompt, &mut cache, Logits::Last).unwrap();
    let mut ids = Vec::new();
    while ids.len() < count {
        let id = highest(&logits);
        ids.push(id);
        logits = network.forward(&[id], &mut cache, Logits::Last).unwrap();
    }
    ids
}

fn agrees(name: &str) {
    let (network, reference) = tiny(name);
    let cases = reference["cases"].as_array().unwrap();
    assert!(cases.len() >= 5);
    for case in cases {
        let prompt = testdata::ids(&case["prompt_ids"]);
        let expected = testdata::floats(&case["last_logits"]);
        let last = network
            .forward(&prompt, &mut network.new_cache(256).unwrap(), Logits::Last)
            .unwrap();
        assert!(
            testdata::largest_difference(&last, &expected) < TOLERANCE,
            "{name} of {}",
            prompt.len()
        );

        // In slices, as prompts are computed.
        let mut cache = network.new_cache(256).unwrap();
        let mut sliced = network.forward(&prompt[..1], &mut cache, Logits::Last).unwrap();
        for slice in prompt[1..].chunks(7) {
            sliced = network.forward(slice, &mut cache, Logits::Last).unwrap();
        }
        assert!(testdata::largest_difference(&sliced, &expected) < TOLERANCE);

        if let Some(all) = case["all_logits"].as_array() {
            let every = network
                .forward(&prompt, &mut network.new_cache(256).unwrap(), Logits::All)
                .unwrap();
            for (row, expected) in every.chunks_exact(expected.len()).zip(all) {
                assert!(testdata::largest_difference(row, &testdata::floats(expected)) < TOLERANCE);
            }
        }
        assert_eq!(
            greedy(&network, &prompt, 16),
            testdata::ids(&case["greedy_new_ids"]),
            "{name}"
        );
    }
}

#[test]
fn llama_with_llama3_rope_agrees_with_transformers() {
    agrees("llama");
}

#[test]
fn llama_with_linear_rope_agrees_with_transformers() {
    agrees("llama-linear-rope");
}

#[test]
fn mistral_with_a_sliding_window_agrees_with_transformers() {
    agrees("mistral");
}

#[test]
fn qwen2_agrees_with_transformers() {
    agrees("qwen2");
}

#[test]
fn qwen3_agrees_with_transformers() {
    agrees("qwen3");
}

#[test]
fn ids_and_positions_out_of_range_are_errors_not_panics() {
    let (network, _) = tiny("llama");
    assert!(
        network
            .forward(&[256], &mut network.new_cache(256).unwrap(), Logits::Last)
            .is_err()
    );
    assert!(
        network
            .forward(&[], &mut network.new_cache(256).unwrap(), Logits::Last)
            .is_err()
    );
    let mut cache = network.new_cache(256).unwrap();
    assert!(network.forward(&[1; 256], &mut cache, Logits::None).is_ok());
    assert!(network.forward(&[1], &mut cache, Logits::Last).is_err());
}

#[test]
fn stories260k_agrees_with_its_reference() {
    const NAME: &str = "stories260k_agrees_with_its_reference";
    let Some(decoder) = testdata::stories(NAME) else {
        return;
    };
    let path = testdata::shared(NAME, "stories260k").unwrap();
    let reference: Value = testdata::json(path.join("reference.json"));
    let network = decoder.network();
    for case in reference["cases"].as_array().unwrap() {
        let prompt = testdata::ids(&case["prompt_ids"]);
        let logits = network
            .forward(&prompt, &mut network.new_cache(256).unwrap(), Logits::Last)
            .unwrap();
        for pair in case["first_step_top20"].as_array().unwrap() {
            let id = pair[0].as_u64().unwrap() as usize;
            assert!((logits[id] - pair[1].as_f64().unwrap() as f32).abs() < TOLERANCE);
        }
        let expected = testdata::ids(&case["greedy_new_ids"]);
        assert_eq!(greedy(network, &prompt, expected.len()), expected);
    }
}

#[test]
fn stories260k_finds_its_own_kind_of_text_as_likely_as_the_reference_does() {
    const NAME: &str = "stories260k_finds_its_own_kind_of_text_as_likely_as_the_reference_does";
    let Some(decoder) = testdata::stories(NAME) else {
        return;
    };
    let path = testdata::shared(NAME, "stories260k").unwrap();
    let reference: Value = testdata::json(path.join("reference.json"));
    let nll = &reference["nll"];
    let prompt = decoder.text_prompt(nll["text"].as_str().unwrap()).unwrap();
    let logits = decoder
        .network()
        .forward(
            prompt.ids(),
            &mut decoder.network().new_cache(256).unwrap(),
            Logits::All,
        )
        .unwrap();
    let predictions = prompt.len() - 1;
    assert_eq!(predictions as u64, nll["tokens"].as_u64().unwrap());
    let losses = logits.chunks_exact(512).zip(&prompt.ids()[1..]);
    let sum: f64 = losses
        .map(|(row, id)| normaliser(row) - f64::from(row[*id as usize]))
        .sum();
    let mean = sum / predictions as f64;
    assert!((mean - nll["mean_nll"].as_f64().unwrap()).abs() < 1e-4, "{mean}");
}
