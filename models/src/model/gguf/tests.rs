//! GGUF files against the same models in Hugging Face's form, and the published samples against their references.

mod convert;
mod families;
mod samples;
mod tokens;

use safetensors::SafeTensors;
use serde_json::Value;

use super::*;
use crate::config::decoder::DecoderConfig;
use crate::config::encoder::{BERT, EncoderConfig};
use crate::config::family::Family;
use crate::config::rope::RopeScaling;
use crate::config::sentence::Pooling;
use crate::gguf::written::{Setting, Written};
use crate::model::error::{SettingProblem, TensorProblem};
use crate::testdata;
use crate::{Class, Expected, ModelKey, SealOptions, SealedModel, seal_dir};

/// The parts of a model that is this file alone.
fn parts_of(file: &Written) -> Result<Parts<'static>, LoadError> {
    parts_beside(file, Vec::new())
}

fn parts_beside(file: &Written, beside: Vec<(String, Vec<u8>)>) -> Result<Parts<'static>, LoadError> {
    let all = beside.into_iter().chain([("m.gguf".to_owned(), file.bytes())]);
    let mut files = ModelFiles::of_bytes(all);
    let name = find(&files)?.expect("it is there");
    parts(&name, &mut files, &())
}

fn decoder_parts(file: &Written) -> DecoderParts<'static> {
    match parts_of(file).unwrap() {
        Parts::Decoder(parts) => *parts,
        Parts::Embedder(_) => panic!("it is a decoder"),
    }
}

fn refusal(file: &Written) -> String {
    match parts_of(file) {
        Ok(_) => panic!("it was taken"),
        Err(error) => {
            assert!(!error.hint().is_empty());
            error.to_string()
        }
    }
}

/// All weights of a committed model, as the engine asks for them.
fn weights_are_those_of(folder: &str, mut weights: Weights<'_>) {
    let file = std::fs::read(testdata::tiny(folder).join("model.safetensors")).unwrap();
    for (name, tensor) in SafeTensors::deserialize(&file).unwrap().tensors() {
        if name.starts_with("pooler.") {
            continue;
        }
        let name = match name.strip_prefix("layers.") {
            // Saved without a head, and so without its prefix.
            Some(rest) => format!("model.layers.{rest}"),
            None if name.starts_with("norm.") || name.starts_with("embed_tokens.") => format!("model.{name}"),
            None => name,
        };
        let found = weights.take(&name, tensor.shape()).unwrap();
        let (expected, _) = tensor.data().as_chunks::<4>();
        assert!(
            found.iter().zip(expected).all(|(x, y)| x.to_le_bytes() == *y) && found.len() == expected.len(),
            "{folder}: {name}"
        );
    }
    weights.finish(|_| false).unwrap();
}

fn is_the_same(name: &str) {
    let parts = decoder_parts(&convert::tiny(name));
    let config: Value = testdata::json(testdata::tiny(name).join("config.json"));
    let family = Family::of(config["architectures"][0].as_str().unwrap()).unwrap();
    let mut expected = testdata::with_config(&config, |keys| family.read(keys)).unwrap();
    let mut found = parts.config;
    // Stop ids are the tokenizer's, Mistral's name is Llama's, and Llama 3's factors are numbers.
    assert_eq!(parts.stop_ids, expected.stop_ids);
    expected.stop_ids.clear();
    if expected.architecture == "MistralForCausalLM" {
        expected.architecture = "LlamaForCausalLM";
    }
    if let RopeScaling::Llama3 { .. } = expected.rope.scaling {
        let RopeScaling::Factors(factors) = &found.rope.scaling else {
            panic!("the factors are read");
        };
        assert_eq!((factors.len(), factors[0]), (8, 1.0));
        assert!(factors.is_sorted() && factors.ends_with(&[8.0]));
        found.rope.scaling = expected.rope.scaling.clone();
    }
    assert_eq!(found, expected);
    weights_are_those_of(name, parts.weights);
}

#[test]
fn llama_is_the_same() {
    is_the_same("llama");
    is_the_same("llama-linear-rope");
}

#[test]
fn mistral_is_the_same() {
    is_the_same("mistral");
}

#[test]
fn qwen2_is_the_same() {
    is_the_same("qwen2");
}

#[test]
fn qwen3_is_the_same() {
    is_the_same("qwen3");
}

/// Sealed, found whole, and read a second time: tables first, then tensors one by one.
#[test]
fn a_file_that_is_not_kept_gives_the_same_model() {
    // Of these one has numbers for its configuration among the tensors, and one rows in another order.
    for name in ["llama", "qwen3"] {
        let folder = tempfile::tempdir().unwrap();
        let (model, sealed) = (folder.path().join("model"), folder.path().join("sealed"));
        std::fs::create_dir(&model).unwrap();
        std::fs::write(model.join("m.gguf"), convert::tiny(name).bytes()).unwrap();
        let options = SealOptions {
            key_id: "default/key/gguf".parse().unwrap(),
            class: Class::Insecure,
            name: "gguf".parse().unwrap(),
            private_name: false,
        };
        let key = ModelKey::generate();
        let summary = seal_dir(&model, &sealed, &key, &options, &()).unwrap();
        let expected = Expected {
            key_id: options.key_id,
            class: options.class,
            manifest_sha256: summary.manifest_sha256,
            max_plaintext: 1 << 30,
        };
        let opened = SealedModel::open(&sealed).unwrap();
        let unsealed = opened.unseal_sparing(key, &expected, &()).unwrap();
        assert!(unsealed.get("m.gguf").is_none(), "it is not kept");
        let Parts::Decoder(found) = parts("m.gguf", &mut ModelFiles::new(unsealed), &()).unwrap() else {
            panic!("it is a decoder");
        };
        let kept = decoder_parts(&convert::tiny(name));
        assert_eq!(found.config, kept.config);
        assert_eq!(found.stop_ids, kept.stop_ids);
        assert_eq!(found.tokenizer.size(), kept.tokenizer.size());
        weights_are_those_of(name, found.weights);
    }
}

#[test]
fn bert_is_the_same() {
    let Parts::Embedder(parts) = parts_of(&convert::bert()).unwrap() else {
        panic!("it is an embedder");
    };
    let config: Value = testdata::json(testdata::tiny("bert").join("config.json"));
    let expected = testdata::with_config(&config, |keys| EncoderConfig::read(BERT, keys)).unwrap();
    let NetworkConfig::Encoder(found) = parts.network else {
        panic!("it is an encoder");
    };
    assert_eq!(found, expected);
    assert_eq!(parts.sentence.pooling, Some(Pooling::Mean));
    weights_are_those_of("bert", parts.weights);
}

#[test]
fn settings_that_change_what_is_computed_are_refused_by_name() {
    let refused = |key: &str, value: Setting| {
        let mut file = convert::tiny("llama-linear-rope");
        file.change(key, Some(value));
        refusal(&file)
    };
    for (key, value, part) in [
        ("general.architecture", Setting::Text("mamba".into()), "mamba"),
        ("llama.expert_count", Setting::U32(8), "expert_count"),
        ("llama.attention.causal", Setting::Bool(false), "causal"),
        (
            "llama.rope.dimension_count",
            Setting::U32(4),
            "rope.dimension_count",
        ),
        ("llama.attention.value_length", Setting::U32(4), "value_length"),
        (
            "llama.rope.scaling.type",
            Setting::Text("longrope".into()),
            "longrope",
        ),
        ("llama.logit_scale", Setting::F32(2.0), "llama.logit_scale"),
        (
            "llama.feed_forward_length",
            Setting::Text("x".into()),
            "wrong type",
        ),
        ("llama.feed_forward_length", Setting::U32(0), "out of bounds"),
        ("llama.block_count", Setting::U32(513), "out of bounds"),
        ("llama.attention.head_count_kv", Setting::U32(3), "contradicts"),
        ("tokenizer.ggml.model", Setting::Text("t5".into()), "t5"),
        (
            "tokenizer.ggml.precompiled",
            Setting::Bool(true),
            "tokenizer.ggml.precompiled",
        ),
        ("tokenizer.ggml.bos_token_id", Setting::U32(256), "out of bounds"),
        ("general.type", Setting::Text("adapter".into()), "adapter"),
        ("split.count", Setting::U32(2), "split.count"),
    ] {
        let said = refused(key, value);
        assert!(said.contains(part), "{key}: {said}");
    }
    for key in [
        "general.architecture",
        "llama.context_length",
        "llama.attention.layer_norm_rms_epsilon",
        "tokenizer.ggml.tokens",
        "tokenizer.ggml.token_type",
        "tokenizer.ggml.scores",
        "tokenizer.ggml.model",
        "tokenizer.ggml.bos_token_id",
    ] {
        let mut file = convert::tiny("llama-linear-rope");
        file.change(key, None);
        assert!(refusal(&file).contains("has no"), "{key}");
    }
    // The largest number stands for none.
    let mut file = convert::tiny("llama-linear-rope");
    file.change("tokenizer.ggml.padding_token_id", Some(Setting::U32(u32::MAX)));
    assert!(parts_of(&file).is_ok());
}

#[test]
fn yarn_is_read() {
    let mut file = convert::tiny("llama-linear-rope");
    file.change("llama.rope.scaling.type", Some(Setting::Text("yarn".into())));
    assert!(refusal(&file).contains("original_context_length"));
    file.set("llama.rope.scaling.original_context_length", Setting::U32(64));
    let expected = |attention_factor| RopeScaling::Yarn {
        factor: 4.0,
        original_context: 64.0,
        beta_fast: 32.0,
        beta_slow: 1.0,
        attention_factor,
        truncate: true,
    };
    let usual = 0.1 * 4.0f64.ln() + 1.0;
    assert_eq!(decoder_parts(&file).config.rope.scaling, expected(usual));
    file.set("llama.rope.scaling.attn_factor", Setting::F32(0.5));
    assert_eq!(decoder_parts(&file).config.rope.scaling, expected(0.5 * usual));
    file.set("llama.rope.scaling.yarn_log_multiplier", Setting::F32(0.1));
    assert!(refusal(&file).contains("yarn_log_multiplier"));
}

#[test]
fn tensors_and_tokens_that_do_not_fit_are_refused() {
    let mut file = convert::tiny("llama-linear-rope");
    file.change("llama.vocab_size", Some(Setting::U32(255)));
    let mismatch = LoadError::VocabularyMismatch {
        tokenizer: 255,
        weights: 256,
    };
    assert_eq!(parts_of(&file).err(), Some(mismatch.clone()));
    let mut file = convert::tiny("llama-linear-rope");
    for key in ["tokens", "scores", "token_type"] {
        file.change(&format!("tokenizer.ggml.{key}"), None);
    }
    convert::pieces(255, &mut file);
    file.change("tokenizer.ggml.model", Some(Setting::Text("llama".into())));
    for key in ["unknown", "bos", "eos"] {
        file.change(&format!("tokenizer.ggml.{key}_token_id"), Some(Setting::U32(1)));
    }
    assert_eq!(parts_of(&file).err(), Some(mismatch));

    let mut file = convert::tiny("llama-linear-rope");
    file.tensor("rope_freqs.weight", &[4], 0, &[0; 16]);
    // Beside another scaling.
    assert!(matches!(
        parts_of(&file).err(),
        Some(LoadError::Tensor {
            problem: TensorProblem::NotFinite,
            ..
        })
    ));
    let mut file = convert::tiny("llama-linear-rope");
    file.tensor("rope_freqs.weight", &[4], 0, &[0, 0, 0x80, 0x3f].repeat(4));
    assert!(matches!(
        parts_of(&file).err(),
        Some(LoadError::Setting {
            problem: SettingProblem::Contradiction,
            ..
        })
    ));
    let mut file = convert::tiny("qwen2");
    file.tensor("rope_freqs.weight", &[5], 0, &[0; 20]);
    assert!(refusal(&file).contains("[5] instead of [4]"));
}

#[test]
fn what_stands_beside_the_file_counts_where_it_must() {
    let file = convert::tiny("llama-linear-rope");
    let beside = |name: &str, content: &str| {
        let parts = parts_beside(&file, vec![(name.to_owned(), content.into())]);
        match parts {
            Ok(Parts::Decoder(parts)) => Ok(parts),
            Ok(Parts::Embedder(_)) => panic!("it is a decoder"),
            Err(error) => Err(error),
        }
    };
    let stops = beside("generation_config.json", r#"{"eos_token_id": [1, 2, 7]}"#);
    assert_eq!(stops.unwrap().stop_ids, [1, 2, 7]);
    let template = beside("chat_template.jinja", "{{ bos_token }}").unwrap().template;
    assert_eq!(template.template.as_deref(), Some("{{ bos_token }}"));
    assert_eq!(template.token("bos_token"), Some("<s>"));
    assert!(beside("config.json", "not looked at").is_ok());
    for (name, content) in [("other.gguf", "GGUF"), ("model.safetensors", "x")] {
        assert_eq!(beside(name, content).err(), Some(LoadError::TwoModels), "{name}");
    }
    assert!(beside("tokenizer.json", "{}").is_err());
}
