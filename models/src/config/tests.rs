//! How the settings of each family are understood.

use serde_json::{Value, json};

use super::decoder::DecoderConfig;
use super::family::Family;
use super::rope::RopeScaling;
use crate::LoadError;
use crate::testdata;

fn read(family: &str, changes: Value) -> Result<DecoderConfig, LoadError> {
    let mut config = json!({
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 256, "max_position_embeddings": 128,
        "rms_norm_eps": 1e-6,
    });
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    let family = Family::of(&format!("{family}ForCausalLM")).unwrap();
    testdata::with_config(&config, |keys| family.read(keys))
}

fn windows(family: &str, changes: Value) -> Vec<Option<usize>> {
    read(family, changes).unwrap().windows
}

#[test]
fn sliding_windows_act_where_the_family_says() {
    assert_eq!(windows("Mistral", json!({"sliding_window": 8})), [Some(8); 3]);
    assert_eq!(windows("Mistral", json!({"sliding_window": null})), [None; 3]);
    // Absent is not null: the classes have a default.
    assert_eq!(windows("Mistral", json!({})), [Some(4096); 3]);
    let on = json!({"use_sliding_window": true, "max_window_layers": 2});
    assert_eq!(windows("Qwen2", on), [None, None, Some(4096)]);
    assert_eq!(windows("Qwen3", json!({})), [None; 3]);
    assert_eq!(
        windows("Qwen2", json!({"sliding_window": 8, "use_sliding_window": false})),
        [None; 3]
    );
    let some = json!({"sliding_window": 8, "use_sliding_window": true, "max_window_layers": 2});
    assert_eq!(windows("Qwen3", some), [None, None, Some(8)]);
    let types = json!(["full_attention", "sliding_attention", "full_attention"]);
    let by_type = json!({"sliding_window": 8, "use_sliding_window": true, "max_window_layers": 0, "layer_types": types});
    assert_eq!(windows("Qwen2", by_type), [None, Some(8), None]);
    assert!(read("Llama", json!({"sliding_window": 8})).is_err());
    assert!(read("Llama", json!({"layer_types": types})).is_err());
    assert!(read("Qwen2", json!({"layer_types": ["full_attention"]})).is_err());
    let unknown = json!(["full_attention", "linear_attention", "full_attention"]);
    assert!(
        read("Qwen3", json!({"layer_types": unknown}))
            .unwrap_err()
            .to_string()
            .contains("linear_attention")
    );
}

#[test]
fn rope_is_read_in_its_old_and_new_form() {
    let old = read(
        "Llama",
        json!({"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 4.0}}),
    );
    let parameters = json!({"rope_type": "linear", "rope_theta": 5e5, "factor": 4.0});
    let new = read("Llama", json!({"rope_parameters": parameters}));
    let old = old.unwrap().rope;
    assert_eq!(
        (old.theta, &old.scaling),
        (5e5, &RopeScaling::Linear { factor: 4.0 })
    );
    assert_eq!(new.unwrap().rope, old);
    assert_eq!(read("Llama", json!({})).unwrap().rope.scaling, RopeScaling::None);
    for broken in [
        json!({"factor": 4.0}),
        json!({"type": "linear"}),
        json!({"type": "linear", "factor": 0.5}),
        json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 4.0, "high_freq_factor": 1.0,
               "original_max_position_embeddings": 32}),
        json!("linear"),
    ] {
        assert!(
            read("Llama", json!({"rope_scaling": broken})).is_err(),
            "{broken}"
        );
    }
}

#[test]
fn yarn_and_dynamic_are_read() {
    let scaling =
        |settings: Value| read("Llama", json!({"rope_scaling": settings})).map(|config| config.rope.scaling);
    let yarn = |original_context, beta_fast, attention_factor, truncate| RopeScaling::Yarn {
        factor: 4.0,
        original_context,
        beta_fast,
        beta_slow: 1.0,
        attention_factor,
        truncate,
    };
    let usual = 0.1 * 4.0f64.ln() + 1.0;
    assert_eq!(
        scaling(json!({"rope_type": "yarn", "factor": 4.0})),
        Ok(yarn(128.0, 32.0, usual, true))
    );
    let all = json!({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "beta_fast": 16,
                     "attention_factor": 1.5, "truncate": false});
    assert_eq!(scaling(all), Ok(yarn(32.0, 16.0, 1.5, false)));
    let scaled = json!({"type": "yarn", "factor": 4.0, "mscale": 1.0, "mscale_all_dim": 1.0});
    assert_eq!(scaling(scaled), Ok(yarn(128.0, 32.0, 1.0, true)));
    assert!(scaling(json!({"type": "yarn", "factor": 4.0, "beta_fast": 1, "beta_slow": 2})).is_err());
    assert!(scaling(json!({"type": "yarn"})).is_err());
    // Nothing is stretched within the context, and nothing is longer.
    assert_eq!(
        scaling(json!({"type": "dynamic", "factor": 2.0})),
        Ok(RopeScaling::None)
    );
    let shorter = json!({"type": "dynamic", "factor": 2.0, "original_max_position_embeddings": 64});
    assert!(scaling(shorter).is_err());
}

#[test]
fn biases_are_the_familys() {
    let biases = |family, changes| {
        read(family, changes).map(|config| (config.qkv_bias, config.output_bias, config.mlp_bias))
    };
    assert_eq!(
        biases("Llama", json!({"attention_bias": true})),
        Ok((true, true, false))
    );
    assert_eq!(
        biases("Llama", json!({"mlp_bias": true})),
        Ok((false, false, true))
    );
    assert_eq!(biases("Qwen2", json!({})), Ok((true, false, false)));
    assert_eq!(
        biases("Qwen3", json!({"attention_bias": true})),
        Ok((true, true, false))
    );
    assert!(biases("Mistral", json!({"attention_bias": true})).is_err());
    assert!(biases("Qwen2", json!({"mlp_bias": true})).is_err());
}

#[test]
fn contradictions_and_surprising_defaults_are_refused() {
    assert!(read("Llama", json!({"num_key_value_heads": 3})).is_err());
    assert!(read("Llama", json!({"head_dim": 7})).is_err());
    assert!(read("Llama", json!({"head_dim": null, "hidden_size": 30})).is_err());
    assert_eq!(read("Llama", json!({"head_dim": null})).unwrap().head_width, 8);
    assert_eq!(
        read("Llama", json!({"num_key_value_heads": null}))
            .unwrap()
            .kv_heads,
        4
    );
    assert!(read("Mistral", json!({"num_key_value_heads": null})).is_err());
    assert!(read("Qwen3", json!({"head_dim": null})).is_err());
    assert!(read("Llama", json!({"eos_token_id": [1, -2]})).is_err());
    assert_eq!(
        read("Llama", json!({"eos_token_id": [1, 2]})).unwrap().stop_ids,
        [1, 2]
    );
}
