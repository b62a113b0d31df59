//! The device's decoder against transformers' references and the CPU's, on every device that is here.
//!
//! A test that needs a GPU says SKIPPED, by its name, where there is none or CUDA is not built in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::super::engine::{Engine, Workspace};
use super::super::tests::batch::answers_are_the_same_in_any_company;
use super::super::tests::{bits, highest};
use super::*;
use crate::config::family::Family;
use crate::device::wiped::witness;
use crate::device::{DevicePrecision, DeviceProof};
use crate::generation::{GenerateError, Step};
use crate::model::Model;
use crate::model::files::ModelFiles;
use crate::model::options::Quantise;
use crate::sampler::params::SamplingParams;
use crate::{Decoder, testdata};

/// Of logits up to 18, in models of random weights: 32-bit floats as on the CPU. The worst seen with f16 was 0.065; bf16 has
/// three bits less and has not been seen.
const BY_PRECISION: [(DevicePrecision, f32); 3] = [
    (DevicePrecision::F32, 1e-3),
    (DevicePrecision::F16, 1.2e-1),
    (DevicePrecision::Bf16, 6e-1),
];

#[cfg(feature = "cuda")]
fn gpu(precision: DevicePrecision) -> Result<Device, DeviceError> {
    Device::dangerously_unproven_cuda(0, precision)
}

#[cfg(not(feature = "cuda"))]
fn gpu(_precision: DevicePrecision) -> Result<Device, DeviceError> {
    Err(DeviceError::Missing)
}

/// This machine's memory, and the GPU; says which is not here.
fn devices(test: &str) -> Vec<(String, Device, f32)> {
    let mut here = Vec::new();
    for (precision, tolerance) in BY_PRECISION {
        if let Ok(device) = Device::host(precision) {
            here.push((format!("host {precision:?}"), device, tolerance));
        }
        match gpu(precision) {
            Ok(device) => here.push((format!("cuda {precision:?}"), device, tolerance)),
            Err(_) if cfg!(feature = "cuda") => {
                testdata::skipped(test, &format!("no GPU for {precision:?}"));
            }
            Err(_) => testdata::skipped(test, &format!("cuda {precision:?} is not built in")),
        }
    }
    here
}

fn tiny(name: &str, device: Device, options: &LoadOptions) -> Result<(Engine, Value), LoadError> {
    let path = testdata::tiny(name);
    let config: Value = testdata::json(path.join("config.json"));
    let family = Family::of(config["architectures"][0].as_str().unwrap()).unwrap();
    let config = testdata::with_config(&config, |keys| family.read(keys)).unwrap();
    let mut files = ModelFiles::of_bytes(testdata::folder(&path));
    let weights = Weights::open(&mut files, &()).unwrap();
    let network = DeviceNetwork::load(weights, config, device, options)?;
    let reference = testdata::json(path.join("reference.json"));
    Ok((Engine::Device(Box::new(network)), reference))
}

fn stories(test: &str, device: Device, options: &LoadOptions) -> Option<Box<Decoder>> {
    let path = testdata::shared(test, "stories260k")?;
    match testdata::load_on(testdata::folder(&path), device, options).expect("the reference model loads") {
        Model::Decoder(decoder) => Some(decoder),
        Model::Embedder(_) => panic!("it is a decoder"),
    }
}

/// Computes some parts in one pass, and returns the logits of all that were wanted.
fn pass(engine: &Engine, parts: &mut [Part<'_>]) -> Result<Vec<f32>, ComputeError> {
    let mut workspace = engine.new_workspace()?;
    let wanted = engine.forward(&mut workspace, parts)?;
    let mut found = Vec::new();
    for first in (0..wanted).step_by(limits::LOGIT_ROWS) {
        let count = limits::LOGIT_ROWS.min(wanted - first);
        found.extend_from_slice(engine.logits(&mut workspace, first, count)?);
    }
    Ok(found)
}

fn part<'a>(ids: &'a [u32], cache: &'a mut Cache, logits: Logits) -> Part<'a> {
    Part {
        ids,
        cache,
        logits,
        row: None,
        drawn: false,
    }
}

/// A token of an answer.
fn drawn<'a>(id: &'a [u32], cache: &'a mut Cache) -> Part<'a> {
    Part {
        drawn: true,
        ..part(id, cache, Logits::Last)
    }
}

fn greedy(engine: &Engine, prompt: &[u32], count: usize) -> Vec<u32> {
    let mut cache = engine.new_cache(prompt.len() + count).unwrap();
    let mut logits = pass(engine, &mut [part(prompt, &mut cache, Logits::Last)]).unwrap();
    let mut ids = Vec::new();
    while ids.len() < count {
        let id = highest(&logits);
        ids.push(id);
        logits = pass(engine, &mut [drawn(&[id], &mut cache)]).unwrap();
    }
    ids
}

/// A model against its reference, whole and in slices, on each device.
fn agrees(name: &str, test: &str) {
    for (what, device, tolerance) in devices(test) {
        let exact = device.precision == DevicePrecision::F32;
        let (engine, reference) = tiny(name, device, &LoadOptions::default()).unwrap();
        let cases = reference["cases"].as_array().unwrap();
        assert!(cases.len() >= 5);
        for case in cases {
            let prompt = testdata::ids(&case["prompt_ids"]);
            let cache = || engine.new_cache(prompt.len()).unwrap();
            let last = pass(&engine, &mut [part(&prompt, &mut cache(), Logits::Last)]).unwrap();
            let expected = testdata::floats(&case["last_logits"]);
            let difference = testdata::largest_difference(&last, &expected);
            assert!(difference < tolerance, "{name} on {what}: {difference}");
            // However a prompt is cut: the same bit for bit.
            let (mut sliced, mut slices) = (Vec::new(), cache());
            for slice in [&prompt[..1]].into_iter().chain(prompt[1..].chunks(7)) {
                sliced = pass(&engine, &mut [part(slice, &mut slices, Logits::Last)]).unwrap();
            }
            assert!(bits(&sliced) == bits(&last), "{name} on {what}");
            if let Some(all) = case["all_logits"].as_array() {
                let every = pass(&engine, &mut [part(&prompt, &mut cache(), Logits::All)]).unwrap();
                assert_eq!(every.len(), expected.len() * prompt.len());
                for (row, expected) in every.chunks_exact(expected.len()).zip(all) {
                    let difference = testdata::largest_difference(row, &testdata::floats(expected));
                    assert!(difference < tolerance, "{name} on {what}: {difference}");
                }
            }
            if exact {
                let expected = testdata::ids(&case["greedy_new_ids"]);
                assert_eq!(greedy(&engine, &prompt, 16), expected, "{name} on {what}");
            }
        }
    }
}

#[test]
fn a_device_agrees_with_transformers_on_llama() {
    agrees("llama", "a_device_agrees_with_transformers_on_llama");
    agrees("llama-linear-rope", "a_device_agrees_with_transformers_on_llama");
}

#[test]
fn a_device_agrees_with_transformers_on_mistral_with_a_sliding_window() {
    const NAME: &str = "a_device_agrees_with_transformers_on_mistral_with_a_sliding_window";
    agrees("mistral", NAME);
}

#[test]
fn a_device_agrees_with_transformers_on_qwen2_and_qwen3() {
    agrees("qwen2", "a_device_agrees_with_transformers_on_qwen2_and_qwen3");
    agrees("qwen3", "a_device_agrees_with_transformers_on_qwen2_and_qwen3");
}

#[test]
fn a_device_agrees_with_the_cpu_on_stories260k() {
    const NAME: &str = "a_device_agrees_with_the_cpu_on_stories260k";
    let kv_precision = KvPrecision::F32;
    let exact = LoadOptions {
        kv_precision,
        ..LoadOptions::default()
    };
    for (what, device, tolerance) in devices(NAME) {
        let is_exact = device.precision == DevicePrecision::F32;
        let Some(decoder) = stories(NAME, device, &LoadOptions::default()) else {
            return;
        };
        let cpu = testdata::stories_with(NAME, &exact).unwrap();
        assert_eq!(decoder.info(), cpu.info());
        let path = testdata::shared(NAME, "stories260k").unwrap();
        let reference: Value = testdata::json(path.join("reference.json"));
        for case in reference["cases"].as_array().unwrap() {
            let prompt = testdata::ids(&case["prompt_ids"]);
            let [ours, theirs] = [&decoder, &cpu].map(|decoder| {
                let mut cache = decoder.network().new_cache(prompt.len()).unwrap();
                pass(decoder.network(), &mut [part(&prompt, &mut cache, Logits::All)]).unwrap()
            });
            let difference = testdata::largest_difference(&ours, &theirs);
            assert!(difference < tolerance, "{what}: {difference}");
            if is_exact {
                let expected = testdata::ids(&case["greedy_new_ids"]);
                assert_eq!(greedy(decoder.network(), &prompt, expected.len()), expected);
            }
        }
    }
}

#[test]
fn answers_of_a_device_are_the_same_in_any_company() {
    const NAME: &str = "answers_of_a_device_are_the_same_in_any_company";
    for (_, device, _) in devices(NAME) {
        if let Some(decoder) = stories(NAME, device, &LoadOptions::default()) {
            answers_are_the_same_in_any_company(&decoder);
        }
    }
}

#[test]
fn more_tokens_than_a_group_has_are_computed_in_one_pass_as_each_alone() {
    const NAME: &str = "more_tokens_than_a_group_has_are_computed_in_one_pass_as_each_alone";
    for (what, device, _) in devices(NAME) {
        let (engine, _) = tiny("qwen3", device, &LoadOptions::default()).unwrap();
        let count = TOKENS + 3;
        let prompt: Vec<u32> = (0..40).map(|index| index * 5 % 256).collect();
        let begun = |index: usize| {
            let mut cache = engine.new_cache(prompt.len() + 1).unwrap();
            pass(&engine, &mut [part(&prompt[..=index], &mut cache, Logits::None)]).unwrap();
            cache
        };
        let ids: Vec<[u32; 1]> = (0..count).map(|index| [index as u32]).collect();
        let mut caches: Vec<Cache> = (0..count).map(begun).collect();
        let mut parts: Vec<Part<'_>> = ids
            .iter()
            .zip(&mut caches)
            .map(|(id, cache)| drawn(id, cache))
            .collect();
        // A prompt between them, whose rows are wanted too.
        let mut other = engine.new_cache(prompt.len()).unwrap();
        parts.insert(7, part(&prompt, &mut other, Logits::Last));
        let together = pass(&engine, &mut parts).unwrap();
        let vocabulary = engine.config().vocabulary;
        let mut rows: Vec<&[f32]> = together.chunks_exact(vocabulary).collect();
        let of_prompt = rows.remove(7);
        let mut fresh = engine.new_cache(prompt.len()).unwrap();
        let alone = pass(&engine, &mut [part(&prompt, &mut fresh, Logits::Last)]).unwrap();
        assert!(bits(&alone) == bits(of_prompt), "{what}");
        for (index, (id, row)) in ids.iter().zip(rows).enumerate() {
            let mut fresh = begun(index);
            let alone = pass(&engine, &mut [drawn(id, &mut fresh)]).unwrap();
            assert!(bits(&alone) == bits(row), "{what}: {index}");
        }
    }
}

#[test]
fn a_context_of_many_blocks_is_as_on_the_cpu() {
    const NAME: &str = "a_context_of_many_blocks_is_as_on_the_cpu";
    let Some(cpu) = testdata::stories(NAME) else {
        return;
    };
    let ids: Vec<u32> = (0..512).map(|index| 3 + index * 37 % 500).collect();
    let run = |engine: &Engine| {
        let mut cache = engine.new_cache(512).unwrap();
        let mut last = Vec::new();
        for slice in ids.chunks(200) {
            last = pass(engine, &mut [part(slice, &mut cache, Logits::Last)]).unwrap();
        }
        last
    };
    let expected = run(cpu.network());
    let decoder = stories(
        NAME,
        Device::host(DevicePrecision::F32).unwrap(),
        &LoadOptions::default(),
    )
    .unwrap();
    const { assert!(512 > BLOCK) };
    // The CPU's keys and values have 16 bits here.
    assert!(testdata::largest_difference(&run(decoder.network()), &expected) < 5e-2);
}

#[test]
fn pages_of_a_device_are_reserved_before_and_come_back_with_the_last_token() {
    const NAME: &str = "pages_of_a_device_are_reserved_before_and_come_back_with_the_last_token";
    let device = || Device::host(DevicePrecision::F16).unwrap();
    let Some(whole) = stories(NAME, device(), &LoadOptions::default()) else {
        return;
    };
    let page = whole.memory().kv / (whole.pages().1 as u64 + 1);
    let options = LoadOptions {
        kv_bytes: Some(4 * page + page / 2),
        ..LoadOptions::default()
    };
    let decoder = stories(NAME, device(), &options).unwrap();
    assert_eq!(decoder.pages(), (4, 4));
    let start = |max_tokens: usize| {
        let params = SamplingParams {
            temperature: 0.0,
            max_tokens: Some(max_tokens),
            ..SamplingParams::default()
        };
        let prompt = decoder.text_prompt("Once upon a time").unwrap();
        decoder.start(prompt, params.validate().unwrap())
    };
    let never = GenerateError::NeverFits { needed: 5, total: 4 };
    assert_eq!(start(4 * Decoder::PAGE - 4).map(|_| ()), Err(never));
    let mut first = start(2 * Decoder::PAGE - 5).unwrap();
    let now = GenerateError::OutOfPages { needed: 3, free: 2 };
    assert_eq!(start(2 * Decoder::PAGE - 4).map(|_| ()), Err(now));
    let second = start(2 * Decoder::PAGE - 5).unwrap();
    assert_eq!(decoder.pages(), (0, 4));
    drop(second);
    while first.finish().is_none() {
        assert!(decoder.step(&mut [&mut first]).remove(0).is_ok());
    }
    assert_eq!(decoder.pages(), (4, 4), "an answer that ended holds nothing");
    let room = decoder.memory();
    assert!(room.scratch > 0 && room.weights >= 2 * decoder.info().parameters);
}

#[test]
fn nothing_of_a_pass_an_answer_or_a_model_is_left_on_a_device() {
    const NAME: &str = "nothing_of_a_pass_an_answer_or_a_model_is_left_on_a_device";
    for precision in [DevicePrecision::F32, DevicePrecision::F16] {
        let device = Device::host(precision).unwrap();
        let (decoder, model) = witness::storages_of(|| stories(NAME, device, &LoadOptions::default()));
        let Some(decoder) = decoder else {
            return;
        };
        let full = |storages: &[Tensor]| {
            storages
                .iter()
                .filter(|one| witness::holds_something(one))
                .count()
        };
        // The tensors that stay: by layer two norms, four matrices and nothing of the staged forms; keys and values are zero.
        let staying = full(&model);
        assert!(staying > 6 * decoder.info().layers, "{staying}");
        let params = SamplingParams {
            max_tokens: Some(40),
            ..SamplingParams::default()
        };
        let prompt = decoder.text_prompt("Once upon a time").unwrap();
        let ((), pass) = witness::storages_of(|| {
            let mut answer = decoder.start(prompt, params.validate().unwrap()).unwrap();
            while answer.finish().is_none() {
                let step = decoder.step(&mut [&mut answer]).remove(0).unwrap();
                let running = matches!(step, Step::Delta(_)) && answer.finish().is_none();
                // While it runs its keys and values are there; what the pass worked in is not.
                assert!(!running || full(&model) > staying);
            }
        });
        assert!(pass.len() > 40 * 20 * decoder.info().layers);
        assert_eq!(full(&pass), 0, "what passes worked in");
        assert_eq!(full(&model), staying, "keys and values");
        drop(decoder);
        assert_eq!(full(&model), 0, "weights");
    }
}

/// Holds so many times.
struct Proof(AtomicUsize);

impl DeviceProof for Proof {
    fn uuid(&self) -> [u8; 16] {
        [7; 16]
    }

    fn holds(&self) -> bool {
        let left = |left: usize| left.checked_sub(1);
        self.0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, left)
            .is_ok()
    }
}

#[test]
fn a_proof_that_no_longer_holds_stops_weights_and_passes() {
    const NAME: &str = "a_proof_that_no_longer_holds_stops_weights_and_passes";
    let under =
        |times: usize| Device::host_under(Arc::new(Proof(AtomicUsize::new(times))), DevicePrecision::F32);
    assert!(matches!(under(0), Err(DeviceError::Revoked)));
    let Some(path) = testdata::shared(NAME, "stories260k") else {
        return;
    };
    let load = |times| {
        testdata::load_on(
            testdata::folder(&path),
            under(times).unwrap(),
            &LoadOptions::default(),
        )
    };
    for times in [1, 2, 20] {
        let refused = load(times).map(|_| ());
        assert_eq!(refused, Err(LoadError::Device(DeviceError::Revoked)), "{times}");
    }
    let proof = Arc::new(Proof(AtomicUsize::new(1_000_000)));
    let device =
        Device::host_under(Arc::clone(&proof) as Arc<dyn DeviceProof>, DevicePrecision::F32).unwrap();
    let decoder = stories(NAME, device, &LoadOptions::default()).unwrap();
    let prompt = decoder.text_prompt("Once upon a time").unwrap();
    let params = SamplingParams::default().validate().unwrap();
    let mut answer = decoder.start(prompt, params).unwrap();
    assert!(decoder.step(&mut [&mut answer]).remove(0).is_ok());
    proof.0.store(0, Ordering::SeqCst);
    let step = decoder.step(&mut [&mut answer]).remove(0);
    assert!(matches!(step, Err(GenerateError::Compute)));
    drop(answer);
    assert_eq!(
        decoder.pages().0,
        decoder.pages().1,
        "what it held was wiped all the same"
    );
}

#[test]
fn what_is_not_built_for_devices_is_refused_by_name() {
    const NAME: &str = "what_is_not_built_for_devices_is_refused_by_name";
    let device = || Device::host(DevicePrecision::F32).unwrap();
    assert!(matches!(
        Device::host(DevicePrecision::Bf16),
        Err(DeviceError::Unsupported("bf16 on a CPU"))
    ));
    let options = [
        LoadOptions {
            mask_kv: true,
            ..LoadOptions::default()
        },
        LoadOptions {
            quantise: Some(Quantise::Q8),
            ..LoadOptions::default()
        },
        LoadOptions {
            kv_precision: KvPrecision::Q8,
            ..LoadOptions::default()
        },
    ];
    for options in options {
        let refused = tiny("llama", device(), &options).map(|_| ());
        assert!(
            matches!(refused, Err(LoadError::Device(DeviceError::Unsupported(_)))),
            "{options:?}"
        );
    }
    let Some(folder) = testdata::shared(NAME, "all-minilm-l6-v2") else {
        return;
    };
    // It is refused before any tensor is asked for.
    let mut files = testdata::folder(&folder);
    files.retain(|(name, _)| !name.ends_with(".safetensors"));
    files.push(("model.safetensors".to_owned(), testdata::safetensors(&[])));
    let embedder = testdata::load_on(files, device(), &LoadOptions::default());
    let refused = LoadError::Device(DeviceError::Unsupported("embedders"));
    assert_eq!(embedder.map(|_| ()), Err(refused));
}

#[test]
fn parts_that_do_not_fit_a_device_are_errors_not_panics() {
    let load = || {
        tiny(
            "llama",
            Device::host(DevicePrecision::F32).unwrap(),
            &LoadOptions::default(),
        )
        .unwrap()
        .0
    };
    let engine = load();
    let cache = || engine.new_cache(64).unwrap();
    let refused =
        |ids: &[u32], cache: &mut Cache| pass(&engine, &mut [part(ids, cache, Logits::Last)]).is_err();
    assert!(refused(&[256], &mut cache()));
    assert!(refused(&[], &mut cache()));
    assert!(refused(&[1; 65], &mut cache()));
    assert!(!refused(&[1; 64], &mut cache()));
    assert!(
        refused(&[1], &mut load().new_cache(64).unwrap()),
        "another model's pages"
    );
    let mut released = cache();
    released.release();
    assert!(refused(&[1], &mut released));
    let mut many = cache();
    assert!(pass(&engine, &mut [drawn(&[1, 2], &mut many)]).is_err());
    // The workspace of another engine.
    let Engine::Device(network) = &engine else {
        panic!("it is a device's");
    };
    let mut cpu = Workspace::Cpu(Box::new(super::super::scratch::Scratch::new(
        network.config(),
        anchorhold_kernels::kv::Layout {
            layers: 1,
            kv_heads: 1,
            width: 32,
            precision: KvPrecision::F16,
        },
        network.machine(),
    )));
    assert!(
        engine
            .forward(&mut cpu, &mut [part(&[1], &mut cache(), Logits::Last)])
            .is_err()
    );
    assert!(engine.logits(&mut cpu, 0, 1).is_err());
}
