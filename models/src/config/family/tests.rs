//! What the configurations of the families say, and what of them is refused.

use serde_json::{Value, json};

use super::Family;
use crate::LoadError;
use crate::config::decoder::{DecoderConfig, Experts, Gate};
use crate::config::rope::{RopeConfig, RopeScaling};
use crate::testdata;

/// Reads a small configuration of the class after changes; null takes a key away.
fn read(class: &str, changes: &Value) -> Result<DecoderConfig, LoadError> {
    let mut config = json!({
        "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 256, "max_position_embeddings": 128,
        "rms_norm_eps": 1e-6, "rope_theta": 10_000.0,
    });
    let own = match class {
        "Gemma2ForCausalLM" => {
            json!({"query_pre_attn_scalar": 24, "sliding_window": 8, "attn_logit_softcapping": 50.0,
                                      "final_logit_softcapping": 30.0})
        }
        "Gemma3ForCausalLM" => json!({"query_pre_attn_scalar": 24, "sliding_window": 8}),
        "Qwen3MoeForCausalLM" => {
            json!({"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 16})
        }
        _ => json!({}),
    };
    for (key, value) in own
        .as_object()
        .unwrap()
        .iter()
        .chain(changes.as_object().unwrap())
    {
        if value.is_null() {
            config.as_object_mut().unwrap().remove(key);
        } else {
            config[key] = value.clone();
        }
    }
    testdata::with_config(&config, |keys| Family::of(class).unwrap().read(keys))
}

fn refusal(class: &str, changes: &Value) -> String {
    let error = read(class, changes).expect_err(&changes.to_string());
    assert!(!error.hint().is_empty());
    error.to_string()
}

#[test]
fn every_family_is_found_by_its_class_and_needs_its_keys() {
    for family in super::FAMILIES {
        let class = family.architecture;
        assert!(std::ptr::eq(Family::of(class).unwrap(), family));
        assert!(read(class, &json!({})).is_ok(), "{class}");
        for key in [
            "hidden_size",
            "intermediate_size",
            "num_hidden_layers",
            "num_attention_heads",
            "vocab_size",
            "max_position_embeddings",
            "rms_norm_eps",
        ] {
            assert!(refusal(class, &json!({key: null})).contains(key), "{class}");
            assert!(refusal(class, &json!({key: "x"})).contains(key), "{class}");
        }
        let activation = if class.starts_with("Gemma") {
            "hidden_activation"
        } else {
            "hidden_act"
        };
        assert!(refusal(class, &json!({activation: "mish"})).contains("mish"));
        assert!(refusal(class, &json!({"quantization_config": {"bits": 4}})).contains("quantization_config"));
        if class != "Phi3ForCausalLM" {
            assert!(refusal(class, &json!({"partial_rotary_factor": 0.5})).contains("partial_rotary_factor"));
        }
    }
    assert!(Family::of("MambaForCausalLM").is_none());
    assert!(Family::of_base("Qwen3Model").is_some() && Family::of_base("BertModel").is_none());
}

#[test]
fn gemma2_is_read() {
    const CLASS: &str = "Gemma2ForCausalLM";
    let config = read(CLASS, &json!({})).unwrap();
    assert_eq!(config.windows, [Some(8), None, Some(8), None]);
    assert_eq!((config.score_cap, config.logit_cap), (Some(50.0), Some(30.0)));
    assert_eq!(
        (config.norm_offset, config.output_norms, config.tied),
        (1.0, true, true)
    );
    assert_eq!((config.gate, config.embedding_scale), (Gate::GeluTanh, 8.0));
    assert_eq!(config.score_scale, 1.0 / 24f32.sqrt());
    let uncapped = json!({"attn_logit_softcapping": null, "final_logit_softcapping": null});
    let uncapped = read(CLASS, &uncapped).unwrap();
    assert_eq!((uncapped.score_cap, uncapped.logit_cap), (None, None));
    // As precise as the weights.
    let scale = |kind: &str| {
        read(CLASS, &json!({"hidden_size": 3584, "torch_dtype": kind}))
            .unwrap()
            .embedding_scale
    };
    assert_eq!((scale("bfloat16"), scale("float32")), (59.75, 3584f32.sqrt()));
    for (changes, part) in [
        (json!({"query_pre_attn_scalar": null}), "query_pre_attn_scalar"),
        (json!({"sliding_window": null}), "sliding_window"),
        (json!({"head_dim": null}), "head_dim"),
        (json!({"final_logit_softcapping": 0}), "final_logit_softcapping"),
        (json!({"attn_logit_softcapping": "x"}), "attn_logit_softcapping"),
        (json!({"attention_bias": true}), "attention_bias"),
        (json!({"hidden_act": "gelu"}), "hidden_act"),
        (json!({"layer_types": ["full_attention"]}), "layer_types"),
    ] {
        assert!(refusal(CLASS, &changes).contains(part), "{part}");
    }
}

#[test]
fn gemma3_is_read() {
    const CLASS: &str = "Gemma3ForCausalLM";
    let own = json!({"num_hidden_layers": 7, "rope_theta": 1e6, "rope_scaling": {"rope_type": "linear", "factor": 8.0}});
    let config = read(CLASS, &own).unwrap();
    let mut windows = vec![Some(8); 7];
    windows[5] = None;
    assert_eq!((config.windows, config.qk_norm), (windows, true));
    assert_eq!(config.rope.theta, 1e6);
    assert_eq!(config.rope.scaling, RopeScaling::Linear { factor: 8.0 });
    assert_eq!(config.window_rope, Some(RopeConfig::plain(1e4)));
    let pattern = read(CLASS, &json!({"sliding_window_pattern": 2})).unwrap();
    assert_eq!(pattern.windows, [Some(8), None, Some(8), None]);
    let new = json!({"rope_theta": null, "rope_parameters": {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}});
    let new = read(CLASS, &new).unwrap();
    assert_eq!((new.rope, new.window_rope), (config.rope, config.window_rope));
    for (changes, part) in [
        (json!({"attn_logit_softcapping": 50.0}), "attn_logit_softcapping"),
        (
            json!({"use_bidirectional_attention": true}),
            "use_bidirectional_attention",
        ),
        (json!({"rope_theta": null}), "rope_theta"),
        (json!({"sliding_window_pattern": 0}), "sliding_window_pattern"),
        (
            json!({"rope_parameters": {"full_attention": {"rope_type": "default"}}}),
            "sliding_attention",
        ),
    ] {
        assert!(refusal(CLASS, &changes).contains(part), "{part}");
    }
    // Others have one kind of positions.
    let both = json!({"rope_parameters": {"full_attention": {"rope_type": "default"}}});
    assert!(refusal("LlamaForCausalLM", &both).contains("rope_parameters"));
}

#[test]
fn phi3_is_read() {
    const CLASS: &str = "Phi3ForCausalLM";
    let config = read(CLASS, &json!({"sliding_window": 24, "num_key_value_heads": null})).unwrap();
    assert_eq!(
        (config.windows, config.kv_heads, config.fused),
        (vec![Some(24); 4], 4, true)
    );
    assert_eq!(read(CLASS, &json!({})).unwrap().windows, [None; 4]);
    let long = |changes: Value| {
        let mut all = json!({"partial_rotary_factor": 0.75, "original_max_position_embeddings": 32, "rope_scaling": {
            "type": "longrope", "short_factor": [1.0, 1.0, 1.0, 1.0, 1.0, 1.0], "long_factor": [1, 2, 3, 4, 5, 6]}});
        for (key, value) in changes.as_object().unwrap() {
            all[key] = value.clone();
        }
        all
    };
    let config = read(CLASS, &long(json!({}))).unwrap();
    assert_eq!(config.rope.turned(16), 12);
    let RopeScaling::LongRope {
        long: factors,
        original_context,
        attention_factor,
        ..
    } = config.rope.scaling
    else {
        panic!("it is LongRoPE");
    };
    assert_eq!(
        (factors, original_context),
        (vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 32)
    );
    // sqrt(1 + ln 4 / ln 32).
    assert!((attention_factor - 1.4f64.sqrt()).abs() < 1e-12);
    let older = json!({"type": "su", "short_factor": [1, 1, 1, 1, 1, 1], "long_factor": [1, 1, 1, 1, 1, 1]});
    assert!(read(CLASS, &long(json!({"rope_scaling": older}))).is_ok());
    for (changes, part) in [
        (long(json!({"partial_rotary_factor": 1.0})), "rope_scaling"),
        (
            long(json!({"partial_rotary_factor": 0.1})),
            "partial_rotary_factor",
        ),
        (
            long(json!({"original_max_position_embeddings": null})),
            "original_max_position_embeddings",
        ),
        (
            long(json!({"rope_scaling": {"type": "longrope", "short_factor": [1]}})),
            "long_factor",
        ),
        (
            long(json!({"rope_scaling": {"type": "longrope", "short_factor": [0], "long_factor": [1]}})),
            "short_factor",
        ),
        (
            long(json!({"rope_scaling": {"type": "longrope", "short_factor": ["x"], "long_factor": [1]}})),
            "short_factor",
        ),
        (
            json!({"rope_scaling": {"type": "linear", "factor": 2.0}}),
            "rope_scaling",
        ),
        (json!({"attention_bias": true}), "attention_bias"),
    ] {
        assert!(refusal(CLASS, &changes).contains(part), "{part}");
    }
}

#[test]
fn qwen3_moe_is_read() {
    const CLASS: &str = "Qwen3MoeForCausalLM";
    let config = read(
        CLASS,
        &json!({"decoder_sparse_step": 2, "mlp_only_layers": [1, 9]}),
    )
    .unwrap();
    assert_eq!(config.sparse, [false, false, false, true]);
    let experts = Experts {
        count: 8,
        used: 2,
        feed_forward: 16,
        normalised: false,
    };
    assert_eq!((config.experts, config.qk_norm), (Some(experts), true));
    let usual = read(CLASS, &json!({"norm_topk_prob": true})).unwrap();
    assert_eq!(
        (usual.sparse, usual.experts.unwrap().normalised),
        (vec![true; 4], true)
    );
    for (changes, part) in [
        (json!({"num_experts": null}), "num_experts"),
        (json!({"num_experts": 1025}), "num_experts"),
        (json!({"num_experts_per_tok": 9}), "num_experts_per_tok"),
        (json!({"moe_intermediate_size": null}), "moe_intermediate_size"),
        (json!({"decoder_sparse_step": 0}), "decoder_sparse_step"),
        (json!({"mlp_only_layers": ["x"]}), "mlp_only_layers"),
        (json!({"head_dim": null}), "head_dim"),
    ] {
        assert!(refusal(CLASS, &changes).contains(part), "{part}");
    }
}
