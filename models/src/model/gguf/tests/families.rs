//! Families whose files differ by more than names: the same logits as from Hugging Face's.

use anchorhold_kernels::kv::KvPrecision;

use super::*;
use crate::decoder::network::{Logits, Network, Part};
use crate::model::options::LoadOptions;

/// The logits of a sequence, and what it was computed by.
fn logits(config: DecoderConfig, weights: Weights<'_>, ids: &[u32], room: usize) -> Vec<f32> {
    let options = LoadOptions {
        kv_precision: KvPrecision::F32,
        ..LoadOptions::default()
    };
    let network = Network::load(weights, config, &options).unwrap();
    let mut scratch = network.new_scratch();
    let mut cache = network.new_cache(room).unwrap();
    let mut part = [Part {
        ids,
        cache: &mut cache,
        logits: Logits::Last,
        row: None,
        drawn: false,
    }];
    let wanted = network.forward(&mut scratch, &mut part).unwrap();
    network.logits(&mut scratch, 0, wanted).to_vec()
}

/// By how much logits differ between both forms of a committed model.
fn difference(name: &str, change: impl FnOnce(&mut DecoderConfig)) -> f32 {
    let path = testdata::tiny(name);
    let config: Value = testdata::json(path.join("config.json"));
    let family = Family::of(config["architectures"][0].as_str().unwrap()).unwrap();
    let expected = testdata::with_config(&config, |keys| family.read(keys)).unwrap();
    let mut parts = decoder_parts(&convert::tiny(name));
    change(&mut parts.config);
    let mut files = ModelFiles::of_bytes(testdata::folder(&path));
    let ids: Vec<u32> = (0..40).map(|index| (index * 37 + 5) % 256).collect();
    let expected = logits(expected, Weights::open(&mut files, &()).unwrap(), &ids, 60);
    let found = logits(parts.config, parts.weights, &ids, 60);
    testdata::largest_difference(&expected, &found)
}

/// Files leave out what a score is divided by, for which these models have another number than published ones.
fn by_24(config: &mut DecoderConfig) {
    assert_eq!(config.score_scale, 0.25);
    config.score_scale = 1.0 / 24f32.sqrt();
}

#[test]
fn gemma2_is_the_same() {
    assert_eq!(difference("gemma2", by_24), 0.0);
}

#[test]
fn gemma3_is_the_same() {
    let layers = |config: &mut DecoderConfig| {
        by_24(config);
        // Every sixth layer sees all; the committed model, which has but four, lists them.
        assert_eq!(config.windows, [Some(8); 4]);
        config.windows[2] = None;
    };
    assert_eq!(difference("gemma3", layers), 0.0);
}

#[test]
fn what_gemma_divides_scores_by_follows_the_model() {
    // 27B of Gemma 2 has 46 layers, and divides by its width for each head.
    let mut file = convert::tiny("gemma2");
    file.change("gemma2.block_count", Some(Setting::U32(46)));
    assert_eq!(decoder_parts(&file).config.score_scale, 1.0 / 8f32.sqrt());
    let mut file = convert::tiny("gemma3");
    file.change("gemma3.block_count", Some(Setting::U32(62)));
    assert_eq!(decoder_parts(&file).config.score_scale, 1.0 / 8f32.sqrt());
    let mut file = convert::tiny("gemma2");
    for key in ["attn_logit_softcapping", "final_logit_softcapping"] {
        file.change(&format!("gemma2.{key}"), None);
    }
    let config = decoder_parts(&file).config;
    assert_eq!((config.score_cap, config.logit_cap), (Some(50.0), Some(30.0)));
    let mut file = convert::tiny("gemma3");
    file.change("gemma3.attention.sliding_window", None);
    assert!(refusal(&file).contains("sliding_window"));
}

#[test]
fn phi3_is_nearly_the_same() {
    // Factors have 32 bits there and 64 here.
    let found = difference("phi3", |config| {
        assert!(matches!(config.rope.scaling, RopeScaling::LongRope { .. }));
    });
    assert!(found < 1e-2, "{found}");
}

#[test]
fn factors_of_phi3_come_together_and_fit() {
    let tensors = |names: &[(&str, u64)]| {
        let mut file = convert::tiny("phi3");
        file.rename("rope_factors_short.weight", "a");
        file.rename("rope_factors_long.weight", "b");
        for (name, count) in names {
            let ones = [0, 0, 0x80, 0x3f].repeat(*count as usize);
            file.tensor(name, &[*count], 0, &ones);
        }
        file
    };
    let (short, long) = ("rope_factors_short.weight", "rope_factors_long.weight");
    assert!(refusal(&tensors(&[(short, 6)])).contains("rope_factors_long.weight is missing"));
    assert!(refusal(&tensors(&[(long, 6)])).contains("rope_factors_short.weight is missing"));
    assert!(refusal(&tensors(&[(short, 6), (long, 5)])).contains("[5] instead of [6]"));
    let mut file = convert::tiny("phi3");
    file.change("phi3.rope.scaling.original_context_length", None);
    assert!(refusal(&file).contains("original_context_length"));
}

#[test]
fn qwen3_moe_is_the_same() {
    // There all layers have experts; the committed model has one without.
    let found = difference("qwen3-moe", |config| {
        assert_eq!(config.sparse, [true; 3]);
        config.sparse[1] = false;
    });
    assert_eq!(found, 0.0);
}

#[test]
fn experts_that_do_not_fit_are_refused() {
    for (key, part) in [
        ("expert_count", "expert_count"),
        ("expert_used_count", "expert_used_count"),
        ("expert_feed_forward_length", "expert_feed_forward_length"),
    ] {
        let mut file = convert::tiny("qwen3-moe");
        file.change(&format!("qwen3moe.{key}"), None);
        assert!(refusal(&file).contains(part));
    }
    let load = |key: &str, value: u32| {
        let mut file = convert::tiny("qwen3-moe");
        file.change(&format!("qwen3moe.{key}"), Some(Setting::U32(value)));
        let mut parts = decoder_parts(&file);
        parts.config.sparse[1] = false;
        match Network::load(parts.weights, parts.config, &LoadOptions::default()) {
            Ok(_) => panic!("it loaded"),
            Err(error) => error.to_string(),
        }
    };
    let said = load("expert_count", 7);
    assert!(
        said.contains("blk.0.ffn_gate_inp.weight has the shape [8, 32] instead of [7, 32]"),
        "{said}"
    );
    let said = load("expert_feed_forward_length", 8);
    assert!(
        said.contains("blk.0.ffn_gate_exps.weight has the shape [8, 16, 32] instead of [8, 8, 32]"),
        "{said}"
    );
}

#[test]
fn a_decoder_that_says_how_to_pool_is_an_embedder() {
    for (kind, pooling) in [(1, Pooling::Mean), (2, Pooling::First), (3, Pooling::Last)] {
        let mut file = convert::tiny("qwen3-embedding");
        file.set("qwen3.pooling_type", Setting::U32(kind));
        let Ok(Parts::Embedder(parts)) = parts_of(&file) else {
            panic!("it is an embedder");
        };
        assert_eq!(
            (parts.sentence.pooling, parts.sentence.normalise),
            (Some(pooling), true)
        );
        assert!(matches!(parts.network, NetworkConfig::Decoder(_)));
        weights_are_those_of("qwen3-embedding", parts.weights);
    }
    let mut file = convert::tiny("qwen3-embedding");
    file.set("qwen3.pooling_type", Setting::U32(0));
    assert!(matches!(parts_of(&file), Ok(Parts::Decoder(_))));
    file.change("qwen3.pooling_type", Some(Setting::U32(4)));
    assert!(refusal(&file).contains("pooling_type"));
    let mut file = convert::bert();
    file.change("bert.pooling_type", Some(Setting::U32(3)));
    assert!(matches!(parts_of(&file), Ok(Parts::Embedder(_))));
    file.change("bert.pooling_type", Some(Setting::U32(0)));
    assert!(refusal(&file).contains("pooling_type"));
}
