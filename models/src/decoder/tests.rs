//! The computation against what transformers computed, for each family, and the published small model.

use anchorhold_kernels::kv::KvPrecision;
use anchorhold_kernels::{KernelSet, Kernels};
use serde_json::Value;

use super::Decoder;
use super::cache::Cache;
use super::engine::Engine;
use super::network::{Logits, Network, Part};
use crate::config::family::Family;
use crate::limits::inference as limits;
use crate::matrix::ComputeError;
use crate::model::files::ModelFiles;
use crate::model::options::{LoadOptions, Quantise};
use crate::sampler::logprobs::normaliser;
use crate::testdata;
use crate::weights::Weights;

pub(super) mod batch;
mod cadence;
mod races;

/// Absolute, as the makers of the references advise for 32-bit floats.
const TOLERANCE: f32 = 1e-3;

/// How far logits may move when keys and values are kept in 16 or 8 bits: rounded to 11, 8 or 7 bits, in models of random
/// weights, whose attention is sharper than that of any trained one. The worst seen were 0.03, 0.24 and 0.52, of logits up to 18.
const BY_KV: [(KvPrecision, f32); 4] = [
    (KvPrecision::F32, TOLERANCE),
    (KvPrecision::F16, 5e-2),
    (KvPrecision::Bf16, 4e-1),
    (KvPrecision::Q8, 8e-1),
];

/// Every set of kernels that this CPU has; says which it has not.
fn sets(test: &str) -> Vec<Kernels> {
    let mut here = Vec::new();
    for set in KernelSet::ALL {
        match Kernels::exactly(set) {
            Some(kernels) => here.push(kernels),
            None => testdata::skipped(test, &format!("this CPU has no {set}")),
        }
    }
    here
}

fn options(kernels: Kernels, kv_precision: KvPrecision) -> LoadOptions {
    LoadOptions {
        kernels,
        threads: 2,
        kv_precision,
        ..LoadOptions::default()
    }
}

fn tiny(name: &str, options: &LoadOptions) -> (Network, Value) {
    let path = testdata::tiny(name);
    let config: Value = testdata::json(path.join("config.json"));
    let family = Family::of(config["architectures"][0].as_str().unwrap()).unwrap();
    let config = testdata::with_config(&config, |keys| family.read(keys)).unwrap();
    let mut files = ModelFiles::of_bytes(testdata::folder(&path));
    let network = Network::load(Weights::open(&mut files, &()).unwrap(), config, options).unwrap();
    (network, testdata::json(path.join("reference.json")))
}

/// The computation of a decoder on this machine's CPU.
fn cpu(decoder: &Decoder) -> &Network {
    match decoder.network() {
        Engine::Cpu(network) => network,
        Engine::Device(_) => panic!("it was loaded for the CPU"),
    }
}

/// Computes ids of one sequence by themselves, and returns the wanted logits.
fn forward(
    network: &Network,
    ids: &[u32],
    cache: &mut Cache,
    logits: Logits,
) -> Result<Vec<f32>, ComputeError> {
    let mut scratch = network.new_scratch();
    let mut found = Vec::new();
    // No slice is still a call.
    let slices = ids.chunks(limits::PASS_ROWS).chain(ids.is_empty().then_some(ids));
    for ids in slices {
        let mut part = [Part {
            ids,
            cache,
            logits,
            row: None,
            drawn: false,
        }];
        let wanted = network.forward(&mut scratch, &mut part)?;
        for first in (0..wanted).step_by(limits::LOGIT_ROWS) {
            let count = limits::LOGIT_ROWS.min(wanted - first);
            found.extend_from_slice(network.logits(&mut scratch, first, count));
        }
    }
    Ok(found)
}

pub(super) fn highest(logits: &[f32]) -> u32 {
    (0u32..)
        .zip(logits)
        .max_by(|(_, x), (_, y)| x.total_cmp(y))
        .unwrap()
        .0
}

fn greedy(network: &Network, prompt: &[u32], count: usize) -> Vec<u32> {
    // Angles of some depend on how long the sequence may become.
    let mut cache = network.new_cache(prompt.len() + count).unwrap();
    let mut logits = forward(network, prompt, &mut cache, Logits::Last).unwrap();
    let mut ids = Vec::new();
    while ids.len() < count {
        let id = highest(&logits);
        ids.push(id);
        logits = forward(network, &[id], &mut cache, Logits::Last).unwrap();
    }
    ids
}

fn agrees(name: &str) {
    agrees_by(name, &BY_KV);
}

fn agrees_by(name: &str, by_kv: &[(KvPrecision, f32)]) {
    for kernels in sets(name) {
        for (kv_precision, tolerance) in by_kv.iter().copied() {
            agrees_within(name, &options(kernels, kv_precision), tolerance);
        }
    }
}

fn agrees_within(name: &str, options: &LoadOptions, tolerance: f32) {
    let (network, reference) = tiny(name, options);
    let cases = reference["cases"].as_array().unwrap();
    assert!(cases.len() >= 5);
    let cache = |prompt: usize| network.new_cache(prompt + 16).unwrap();
    for case in cases {
        let prompt = testdata::ids(&case["prompt_ids"]);
        let expected = testdata::floats(&case["last_logits"]);
        let last = forward(&network, &prompt, &mut cache(prompt.len()), Logits::Last).unwrap();
        let difference = testdata::largest_difference(&last, &expected);
        assert!(difference < tolerance, "{name} {options:?}: {difference}");

        // In slices, as prompts are computed: the same bit for bit.
        let mut sliced = Vec::new();
        let mut slices = cache(prompt.len());
        for slice in [&prompt[..1]].into_iter().chain(prompt[1..].chunks(7)) {
            sliced = forward(&network, slice, &mut slices, Logits::Last).unwrap();
        }
        assert!(bits(&sliced) == bits(&last), "{name} {options:?}");

        if let Some(all) = case["all_logits"].as_array() {
            let every = forward(&network, &prompt, &mut cache(prompt.len()), Logits::All).unwrap();
            for (row, expected) in every.chunks_exact(expected.len()).zip(all) {
                assert!(testdata::largest_difference(row, &testdata::floats(expected)) < tolerance);
            }
        }
        if options.kv_precision == KvPrecision::F32 {
            let expected = testdata::ids(&case["greedy_new_ids"]);
            assert_eq!(greedy(&network, &prompt, 16), expected, "{name} {options:?}");
        }
    }
}

pub(super) fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
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
fn gemma2_with_caps_and_two_kinds_of_layers_agrees_with_transformers() {
    agrees("gemma2");
}

#[test]
fn gemma3_with_two_kinds_of_positions_agrees_with_transformers() {
    agrees("gemma3");
}

#[test]
fn phi3_with_longrope_over_a_part_of_each_head_agrees_with_transformers() {
    // Its factor on angles makes scores 1.6 times as sharp: 16 bits move logits of up to 29 by 0.07.
    agrees_by("phi3", &[(KvPrecision::F32, TOLERANCE), (KvPrecision::F16, 0.2)]);
}

#[test]
fn qwen3_moe_agrees_with_transformers() {
    agrees("qwen3-moe");
}

#[test]
fn experts_give_the_same_bit_for_bit_whether_all_are_computed_or_those_chosen() {
    const NAME: &str = "experts_give_the_same_bit_for_bit_whether_all_are_computed_or_those_chosen";
    let ids: Vec<u32> = (0..70).map(|index| (index * 37 + 5) % 256).collect();
    for kernels in sets(NAME) {
        for quantise in [None, Some(Quantise::Q8), Some(Quantise::Q4)] {
            let [all, chosen] = [false, true].map(|dangerously_plain_gather| {
                let options = LoadOptions {
                    quantise,
                    dangerously_plain_gather,
                    ..options(kernels, KvPrecision::F16)
                };
                let (network, _) = tiny("qwen3-moe", &options);
                let mut cache = network.new_cache(ids.len()).unwrap();
                bits(&forward(&network, &ids, &mut cache, Logits::All).unwrap())
            });
            assert!(all == chosen, "{kernels:?} {quantise:?}");
        }
    }
}

#[test]
fn ids_and_positions_out_of_range_are_errors_not_panics() {
    let (network, _) = tiny("llama", &LoadOptions::default());
    let cache = || network.new_cache(256).unwrap();
    assert!(forward(&network, &[256], &mut cache(), Logits::Last).is_err());
    assert!(forward(&network, &[], &mut cache(), Logits::Last).is_err());
    let mut full = cache();
    assert!(forward(&network, &[1; 256], &mut full, Logits::None).is_ok());
    assert!(forward(&network, &[1], &mut full, Logits::Last).is_err());
    full.release();
    assert!(forward(&network, &[1], &mut full, Logits::Last).is_err());
}

#[test]
fn stories260k_agrees_with_its_reference() {
    const NAME: &str = "stories260k_agrees_with_its_reference";
    let exact = options(Kernels::detect(), KvPrecision::F32);
    let Some(decoder) = testdata::stories_with(NAME, &exact) else {
        return;
    };
    let path = testdata::shared(NAME, "stories260k").unwrap();
    let reference: Value = testdata::json(path.join("reference.json"));
    let network = cpu(&decoder);
    for case in reference["cases"].as_array().unwrap() {
        let prompt = testdata::ids(&case["prompt_ids"]);
        let logits = forward(
            network,
            &prompt,
            &mut network.new_cache(512).unwrap(),
            Logits::Last,
        )
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
    let exact = options(Kernels::detect(), KvPrecision::F32);
    let Some(decoder) = testdata::stories_with(NAME, &exact) else {
        return;
    };
    let path = testdata::shared(NAME, "stories260k").unwrap();
    let reference: Value = testdata::json(path.join("reference.json"));
    let nll = &reference["nll"];
    let prompt = decoder.text_prompt(nll["text"].as_str().unwrap()).unwrap();
    let logits = forward(
        cpu(&decoder),
        prompt.ids(),
        &mut cpu(&decoder).new_cache(512).unwrap(),
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
