//! Committed models of random weights as GGUF files.
//!
//! Why apart: a converter, written against what llama.cpp's does, is long enough.
//!
//! # Invariants
//! The same numbers as in the safetensors file, in llama.cpp's order and under its names.

use safetensors::SafeTensors;
use serde_json::Value;

use crate::config::family::Family;
use crate::gguf::written::{Setting, Written};
use crate::testdata;
use crate::weights::names::Names;

/// Types of tokens, as the format numbers them.
pub(super) const NORMAL: i32 = 1;
pub(super) const UNKNOWN: i32 = 2;
pub(super) const CONTROL: i32 = 3;

/// The settings of a tokenizer of SentencePiece's kind with so many pieces.
pub(super) fn pieces(count: usize, file: &mut Written) {
    let mut tokens: Vec<String> = (0..count).map(|id| format!("t{id}")).collect();
    let mut kinds = vec![NORMAL; count];
    for (id, (token, kind)) in [("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL)]
        .into_iter()
        .enumerate()
    {
        tokens[id] = token.to_owned();
        kinds[id] = kind;
    }
    file.set("tokenizer.ggml.model", Setting::Text("llama".into()));
    file.set("tokenizer.ggml.tokens", Setting::Texts(tokens));
    file.set("tokenizer.ggml.scores", Setting::F32s(vec![0.0; count]));
    file.set("tokenizer.ggml.token_type", Setting::I32s(kinds));
    for (key, id) in [("unknown", 0), ("bos", 1), ("eos", 2)] {
        file.set(&format!("tokenizer.ggml.{key}_token_id"), Setting::U32(id));
    }
}

/// A committed decoder.
pub(super) fn tiny(name: &str) -> Written {
    let path = testdata::tiny(name);
    let config: Value = testdata::json(path.join("config.json"));
    let number = |key: &str| u32::try_from(config[key].as_u64().unwrap()).unwrap();
    let heads = number("num_attention_heads");
    let head_width = config["head_dim"]
        .as_u64()
        .map_or(number("hidden_size") / heads, |width| width as u32);
    let (architecture, interleaved) = match config["model_type"].as_str().unwrap() {
        "llama" | "mistral" => ("llama", true),
        "gemma3_text" => ("gemma3", false),
        "qwen3_moe" => ("qwen3moe", false),
        other => (other, false),
    };
    let (_, words) = Family::of_gguf(architecture).unwrap();
    let family = Family::of(config["architectures"][0].as_str().unwrap()).unwrap();
    let mut file = Written::default();
    file.set("general.architecture", Setting::Text(architecture.into()));
    file.set("general.name", Setting::Text(name.into()));
    for (theirs, ours) in [
        ("context_length", "max_position_embeddings"),
        ("embedding_length", "hidden_size"),
        ("block_count", "num_hidden_layers"),
        ("feed_forward_length", "intermediate_size"),
        ("attention.head_count", "num_attention_heads"),
        ("attention.head_count_kv", "num_key_value_heads"),
        ("vocab_size", "vocab_size"),
    ] {
        file.set(&format!("{architecture}.{theirs}"), Setting::U32(number(ours)));
    }
    let float = |value: &Value| Setting::F32(value.as_f64().unwrap() as f32);
    for key in ["attention.key_length", "attention.value_length"] {
        file.set(&format!("{architecture}.{key}"), Setting::U32(head_width));
    }
    let turned = testdata::with_config(&config, |keys| family.read(keys))
        .unwrap()
        .rope
        .turned(head_width as usize);
    let turned = Setting::U32(u32::try_from(turned).unwrap());
    file.set(&format!("{architecture}.rope.dimension_count"), turned);
    own_settings(architecture, &config, &mut file);
    file.set(
        &format!("{architecture}.attention.layer_norm_rms_epsilon"),
        float(&config["rms_norm_eps"]),
    );
    file.set(
        &format!("{architecture}.rope.freq_base"),
        float(&config["rope_theta"]),
    );
    if let Some(window) = config["sliding_window"].as_u64() {
        let key = format!("{architecture}.attention.sliding_window");
        file.set(&key, Setting::U32(window as u32));
    }
    let scaling = &config["rope_scaling"];
    if scaling["rope_type"] == "linear" {
        let key = |key: &str| format!("{architecture}.rope.scaling.{key}");
        file.set(&key("type"), Setting::Text("linear".into()));
        file.set(&key("factor"), float(&scaling["factor"]));
    }
    pieces(number("vocab_size") as usize, &mut file);
    if scaling["rope_type"] == "llama3" {
        let factors = llama3_factors(&config, head_width);
        file.tensor("rope_freqs.weight", &[factors.len() as u64], 0, &bytes(&factors));
    }
    for (theirs, ours) in [("short", "short_factor"), ("long", "long_factor")] {
        if scaling[ours].is_array() {
            let factors = testdata::floats(&scaling[ours]);
            let name = format!("rope_factors_{theirs}.weight");
            file.tensor(&name, &[factors.len() as u64], 0, &bytes(&factors));
        }
    }
    let names = Names::GgufDecoder {
        interleaved: None,
        others: words.names,
    };
    let weights = std::fs::read(path.join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&weights).unwrap();
    stack_experts(&tensors, &config, &names, &mut file);
    for (name, tensor) in tensors.tensors() {
        if name.contains(".experts.") {
            continue;
        }
        // Files without a head for tokens have no prefix.
        let name = if name.starts_with("lm_head") || name.starts_with("model.") {
            name
        } else {
            format!("model.{name}")
        };
        let turned = name.contains("q_proj") || name.contains("k_proj");
        let data = if turned && interleaved {
            interleave(tensor.data(), tensor.shape()[0], head_width as usize)
        } else if architecture.starts_with("gemma") && name.contains("norm") {
            let (numbers, _) = tensor.data().as_chunks::<4>();
            let numbers: Vec<f32> = numbers
                .iter()
                .map(|number| f32::from_le_bytes(*number) + 1.0)
                .collect();
            bytes(&numbers)
        } else {
            tensor.data().to_vec()
        };
        let shape: Vec<u64> = tensor.shape().iter().map(|length| *length as u64).collect();
        file.tensor(&names.in_file(&name), &shape, 0, &data);
    }
    file
}

/// What only some architectures have.
fn own_settings(architecture: &str, config: &Value, file: &mut Written) {
    let float = |value: &Value| Setting::F32(value.as_f64().unwrap() as f32);
    let whole = |value: &Value| Setting::U32(value.as_u64().unwrap() as u32);
    match architecture {
        "gemma2" => {
            for key in ["attn_logit_softcapping", "final_logit_softcapping"] {
                file.set(&format!("gemma2.{key}"), float(&config[key]));
            }
        }
        "gemma3" => file.set(
            "gemma3.rope.freq_base_swa",
            float(&config["rope_local_base_freq"]),
        ),
        "phi3" => file.set(
            "phi3.rope.scaling.original_context_length",
            whole(&config["original_max_position_embeddings"]),
        ),
        "qwen3moe" => {
            for (theirs, ours) in [
                ("expert_count", "num_experts"),
                ("expert_used_count", "num_experts_per_tok"),
                ("expert_feed_forward_length", "moe_intermediate_size"),
            ] {
                file.set(&format!("qwen3moe.{theirs}"), whole(&config[ours]));
            }
        }
        _ => {}
    }
}

/// All experts of a layer as one tensor of three dimensions.
fn stack_experts(tensors: &SafeTensors<'_>, config: &Value, names: &Names, file: &mut Written) {
    let count = config["num_experts"].as_u64().unwrap_or(0);
    let layers = config["num_hidden_layers"].as_u64().unwrap();
    for layer in 0..layers {
        for part in ["gate_proj", "up_proj", "down_proj"] {
            let experts = (0..count).filter_map(|expert| {
                let name = format!("model.layers.{layer}.mlp.experts.{expert}.{part}.weight");
                tensors.tensor(&name).ok()
            });
            let experts: Vec<_> = experts.collect();
            let Some(first) = experts.first() else {
                continue;
            };
            let mut shape = vec![count];
            shape.extend(first.shape().iter().map(|length| *length as u64));
            let data: Vec<u8> = experts.iter().flat_map(|expert| expert.data().to_vec()).collect();
            let name = format!("model.layers.{layer}.mlp.experts.{part}.weight");
            file.tensor(&names.in_file(&name), &shape, 0, &data);
        }
    }
}

/// The committed embedder.
pub(super) fn bert() -> Written {
    let path = testdata::tiny("bert");
    let config: Value = testdata::json(path.join("config.json"));
    let mut file = Written::default();
    file.set("general.architecture", Setting::Text("bert".into()));
    for (theirs, ours) in [
        ("context_length", "max_position_embeddings"),
        ("embedding_length", "hidden_size"),
        ("block_count", "num_hidden_layers"),
        ("feed_forward_length", "intermediate_size"),
        ("attention.head_count", "num_attention_heads"),
    ] {
        let number = config[ours].as_u64().unwrap() as u32;
        file.set(&format!("bert.{theirs}"), Setting::U32(number));
    }
    file.set("bert.attention.layer_norm_epsilon", Setting::F32(1e-12));
    file.set("bert.attention.causal", Setting::Bool(false));
    file.set("bert.pooling_type", Setting::U32(1));
    pieces(256, &mut file);
    let weights = std::fs::read(path.join("model.safetensors")).unwrap();
    for (name, tensor) in SafeTensors::deserialize(&weights).unwrap().tensors() {
        // llama.cpp's converter leaves the pooler out.
        if name.starts_with("pooler.") {
            continue;
        }
        let shape: Vec<u64> = tensor.shape().iter().map(|length| *length as u64).collect();
        file.tensor(&Names::GgufBert.in_file(&name), &shape, 0, tensor.data());
    }
    file
}

fn bytes(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// Rows of each head from halves behind each other to neighbours: row `half * width / 2 + pair` to `2 * pair + half`.
fn interleave(data: &[u8], rows: usize, head_width: usize) -> Vec<u8> {
    let row_bytes = data.len() / rows;
    let row = |index: usize| &data[index * row_bytes..(index + 1) * row_bytes];
    let mut turned = Vec::new();
    for head in 0..rows / head_width {
        for pair in 0..head_width / 2 {
            for half in 0..2 {
                turned.extend_from_slice(row(head * head_width + half * head_width / 2 + pair));
            }
        }
    }
    turned
}

/// By how much each pair's wavelength is stretched: by nothing below one border, by the factor above another.
fn llama3_factors(config: &Value, head_width: u32) -> Vec<f32> {
    let scaling = |key: &str| config["rope_scaling"][key].as_f64().unwrap();
    let original = scaling("original_max_position_embeddings");
    let (low, high, factor) = (
        scaling("low_freq_factor"),
        scaling("high_freq_factor"),
        scaling("factor"),
    );
    let theta = config["rope_theta"].as_f64().unwrap();
    (0..head_width / 2)
        .map(|pair| {
            let wavelength = std::f64::consts::TAU * theta.powf(f64::from(2 * pair) / f64::from(head_width));
            if wavelength < original / high {
                1.0
            } else if wavelength > original / low {
                factor as f32
            } else {
                let smooth = (original / wavelength - low) / (high - low);
                (1.0 / ((1.0 - smooth) / factor + smooth)) as f32
            }
        })
        .collect()
}
