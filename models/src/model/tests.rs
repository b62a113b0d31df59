//! Whole models: what loads, what is refused, and the way from a folder through a sealed file.

use serde_json::{Value, json};

use super::*;
use crate::decoder::Decoder;
use crate::model::error::{FileProblem, TensorProblem};
use crate::testdata;

type Files = Vec<(String, Vec<u8>)>;

fn stories(test: &str) -> Option<Files> {
    Some(testdata::folder(&testdata::shared(test, "stories260k")?))
}

/// Why the files are refused after `change`.
fn refusal(files: &Files, change: impl FnOnce(&mut Files)) -> LoadError {
    let mut files = files.clone();
    change(&mut files);
    match testdata::load(files) {
        Ok(_) => panic!("it loaded"),
        Err(error) => {
            assert!(!error.to_string().is_empty() && !error.hint().is_empty());
            error
        }
    }
}

fn set(file: &str, key: &str, value: Value) -> impl FnOnce(&mut Files) {
    move |files| {
        let (_, bytes) = files.iter_mut().find(|(name, _)| name == file).unwrap();
        let mut json: Value = serde_json::from_slice(bytes).unwrap();
        json[key] = value;
        *bytes = json.to_string().into_bytes();
    }
}

fn remove(file: &str) -> impl FnOnce(&mut Files) {
    move |files| files.retain(|(name, _)| name != file)
}

#[test]
fn what_is_not_supported_is_refused_by_its_name() {
    let Some(files) = stories("what_is_not_supported_is_refused_by_its_name") else {
        return;
    };
    assert!(testdata::load(files.clone()).is_ok());
    let shown = |key: &str, value: Value| refusal(&files, set("config.json", key, value)).to_string();
    assert!(shown("architectures", json!(["GPT2LMHeadModel"])).contains("GPT2LMHeadModel"));
    for kind in ["mrope", "proportional"] {
        assert!(shown("rope_scaling", json!({"type": kind, "factor": 2.0})).contains(kind));
        assert!(shown("rope_parameters", json!({"rope_type": kind, "factor": 2.0})).contains(kind));
    }
    assert!(shown("hidden_act", json!("gelu")).contains("gelu"));
    assert!(shown("sliding_window", json!(8)).contains("sliding_window"));
    assert!(shown("quantization_config", json!({"bits": 4})).contains("quantization_config"));
    assert!(shown("partial_rotary_factor", json!(0.5)).contains("partial_rotary_factor"));
    // Honoured, and then the tensors are missed.
    assert!(shown("attention_bias", json!(true)).contains("model.layers.0.self_attn.q_proj.bias is missing"));
    assert!(shown("mlp_bias", json!(true)).contains("mlp.gate_proj.bias is missing"));
    assert!(shown("tie_word_embeddings", json!(false)).contains("lm_head.weight is missing"));
}

#[test]
fn absurd_numbers_are_refused_before_anything_is_allocated() {
    let Some(files) = stories("absurd_numbers_are_refused_before_anything_is_allocated") else {
        return;
    };
    let keys = [
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "vocab_size",
        "max_position_embeddings",
    ];
    for key in keys {
        for value in [
            json!(0),
            json!(-1),
            json!(u64::MAX),
            json!(1u64 << 40),
            json!("64"),
            json!(1e300),
        ] {
            let error = refusal(&files, set("config.json", key, value.clone()));
            assert!(
                matches!(error, LoadError::Setting { .. }),
                "{key} {value}: {error}"
            );
        }
    }
    // Within the bounds, but not what the file holds.
    for (key, value) in [
        ("hidden_size", 65_536),
        ("intermediate_size", 500_000),
        ("vocab_size", 1 << 20),
    ] {
        let error = refusal(&files, set("config.json", key, json!(value)));
        assert!(
            matches!(
                error,
                LoadError::Tensor {
                    problem: TensorProblem::Shape { .. },
                    ..
                }
            ),
            "{error}"
        );
    }
    let layers = refusal(&files, set("config.json", "num_hidden_layers", json!(512)));
    assert!(layers.to_string().contains("model.layers.5."), "{layers}");
    let fewer = refusal(&files, set("config.json", "num_hidden_layers", json!(4)));
    assert!(matches!(
        fewer,
        LoadError::Tensor {
            problem: TensorProblem::Unexpected,
            ..
        }
    ));
    let small = refusal(&files, set("config.json", "vocab_size", json!(500)));
    assert_eq!(
        small,
        LoadError::VocabularyMismatch {
            tokenizer: 512,
            weights: 500
        }
    );
}

#[test]
fn missing_and_broken_files_are_refused() {
    let Some(files) = stories("missing_and_broken_files_are_refused") else {
        return;
    };
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        assert_eq!(refusal(&files, remove(file)), LoadError::MissingFile(file));
    }
    for file in [
        "config.json",
        "tokenizer.json",
        "model.safetensors",
        "tokenizer_config.json",
    ] {
        for content in ["", "{", "[]", "\u{feff}{}"] {
            let error = refusal(&files, |files| {
                let (_, bytes) = files.iter_mut().find(|(name, _)| name == file).unwrap();
                *bytes = content.as_bytes().to_vec();
            });
            assert!(
                matches!(error, LoadError::File { .. }),
                "{file} {content:?}: {error}"
            );
        }
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let error = refusal(&files, |files| files[0].1 = deep.clone().into_bytes());
    assert!(matches!(error, LoadError::File { .. }), "{error}");
    let template = refusal(
        &files,
        set("tokenizer_config.json", "chat_template", json!("{% if %}")),
    );
    assert!(matches!(
        template,
        LoadError::File {
            problem: FileProblem::NotTemplate,
            ..
        }
    ));
    let decoder = refusal(
        &files,
        set(
            "tokenizer.json",
            "decoder",
            json!({"type": "BPEDecoder", "suffix": "x"}),
        ),
    );
    assert!(decoder.to_string().contains("BPEDecoder"), "{decoder}");
}

const TEMPLATE: &str =
    "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content | trim }}</s>{% endfor %}";

fn decoder(files: Files) -> Box<Decoder> {
    match testdata::load(files).unwrap() {
        Model::Decoder(decoder) => decoder,
        Model::Embedder(_) => panic!("it is a decoder"),
    }
}

#[test]
fn templates_are_found_in_all_their_places() {
    use crate::chat::{ChatMessage, Role};
    let Some(files) = stories("templates_are_found_in_all_their_places") else {
        return;
    };
    let named = json!([{"name": "tool_use", "template": "no"}, {"name": "default", "template": TEMPLATE}]);
    let mut by_file = files.clone();
    by_file.push(("chat_template.jinja".into(), TEMPLATE.into()));
    let mut by_name = files.clone();
    set("tokenizer_config.json", "chat_template", named)(&mut by_name);
    let mut by_text = files;
    set("tokenizer_config.json", "chat_template", json!(TEMPLATE))(&mut by_text);
    for files in [by_file, by_name, by_text] {
        let decoder = decoder(files);
        assert!(decoder.info().chat);
        let content = zeroize::Zeroizing::new(" Hi <s></s>\n".to_owned());
        let prompt = decoder
            .chat_prompt(&[ChatMessage::new(Role::User, content)])
            .unwrap();
        // One begin and one end: the template's. Those that the user spelled are text.
        let controls: Vec<u32> = prompt
            .ids()
            .iter()
            .copied()
            .filter(|id| (1..=2).contains(id))
            .collect();
        assert_eq!(controls, [1, 2]);
        assert_eq!((prompt.ids()[0], prompt.ids().last()), (1, Some(&2)));
    }
}

#[test]
fn a_folder_becomes_a_sealed_file_and_the_sealed_file_a_model() {
    const NAME: &str = "a_folder_becomes_a_sealed_file_and_the_sealed_file_a_model";
    let Some(source) = testdata::shared(NAME, "stories260k") else {
        return;
    };
    let work = tempfile::tempdir().unwrap();
    let folder = work.path().join("model");
    std::fs::create_dir(&folder).unwrap();
    for (name, bytes) in testdata::folder(&source) {
        if name != "reference.json" {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
    }
    let model = testdata::sealed_and_loaded(&folder);
    assert_eq!(model.info().parameters, 260_032);
}

#[test]
fn facts_are_of_the_model() {
    let Some(files) = stories("facts_are_of_the_model") else {
        return;
    };
    let expected = ModelInfo {
        architecture: "LlamaForCausalLM",
        parameters: 260_032,
        context_length: 512,
        vocabulary: 512,
        width: 64,
        layers: 5,
        chat: false,
    };
    assert_eq!(*testdata::load(files).unwrap().info(), expected);
}

#[test]
fn a_megabyte_of_text_is_refused_before_it_is_tokenized() {
    use crate::PromptError;
    let Some(files) = stories("a_megabyte_of_text_is_refused_before_it_is_tokenized") else {
        return;
    };
    let decoder = decoder(files);
    for text in [
        "a".repeat(1 << 20),
        "Once upon a time ".repeat(1 << 16),
        "\u{1f642}".repeat(1 << 18),
    ] {
        assert_eq!(decoder.text_prompt(&text).map(|_| ()), Err(PromptError::TooLong));
    }
    // Whatever fits in the context is not refused by its length.
    let spaces = " ".repeat(511);
    assert!(decoder.text_prompt(&spaces).is_ok());
}

#[test]
fn a_model_may_be_handed_to_another_thread() {
    fn sendable<T: Send>() {}
    fn shareable<T: Sync>() {}
    sendable::<Model>();
    shareable::<Model>();
    sendable::<crate::Generation>();
}
