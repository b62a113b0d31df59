//! Vectors against what transformers computed, for random and for published weights.

use std::fs;

use serde_json::{Value, json};

use super::network::Network;
use super::*;
use crate::LoadError;
use crate::config::encoder::EncoderConfig;
use crate::config::sentence::SentenceConfig;
use crate::model::Model;
use crate::model::files::ModelFiles;
use crate::model::options::Quantise;
use crate::testdata;
use crate::weights::Weights;

mod causal;

/// The network of a committed encoder, and what to compare with.
fn tiny_encoder(name: &str, options: &LoadOptions) -> (Network, SentenceConfig, Value) {
    let path = testdata::tiny(name);
    let config: Value = testdata::json(path.join("config.json"));
    let class = EncoderConfig::class(config["architectures"][0].as_str().unwrap()).unwrap();
    let config = testdata::with_config(&config, |keys| EncoderConfig::read(class, keys)).unwrap();
    let sentence = SentenceConfig::new(config.width, config.context());
    let mut files = ModelFiles::of_bytes(testdata::folder(&path));
    let network = Network::load(Weights::open(&mut files, &()).unwrap(), config, options).unwrap();
    (network, sentence, testdata::json(path.join("reference.json")))
}

fn agrees(name: &str) {
    let (network, sentence, reference) = tiny_encoder(name, &LoadOptions::default());
    for case in reference["cases"].as_array().unwrap() {
        let ids = [Zeroizing::new(testdata::ids(&case["ids"]))];
        let hidden = network.hidden(&ids).unwrap();
        let first = testdata::floats(&case["last_hidden_first_token"]);
        assert!(testdata::largest_difference(&hidden[..first.len()], &first) < 1e-4);
        let expected = testdata::floats(&case["embedding"]);
        let found = network.embed(&ids, &sentence, Pooling::Mean).unwrap();
        assert!(testdata::largest_difference(&found[0], &expected) < 1e-4);
        // BGE takes the first vector, at unit length.
        let length = first.iter().map(|number| number * number).sum::<f32>().sqrt();
        let expected: Vec<f32> = first.iter().map(|number| number / length).collect();
        let found = network.embed(&ids, &sentence, Pooling::First).unwrap();
        assert!(testdata::largest_difference(&found[0], &expected) < 1e-4);
    }
}

#[test]
fn the_tiny_bert_agrees_with_transformers() {
    agrees("bert");
}

#[test]
fn the_tiny_xlm_roberta_agrees_with_transformers() {
    agrees("xlm-roberta");
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

/// Texts of all lengths that a context has, in no order, more than fit into a pass.
fn many_texts(context: usize) -> Vec<Ids> {
    (0..200usize)
        .map(|text| {
            let length = 1 + (text * 29) % context;
            Zeroizing::new(
                (0..length)
                    .map(|at| ((text * 31 + at * 7) % 250) as u32)
                    .collect(),
            )
        })
        .collect()
}

#[test]
fn vectors_are_the_same_bit_for_bit_alone_and_in_any_company() {
    for quantise in [None, Some(Quantise::Q8)] {
        let options = LoadOptions {
            quantise,
            threads: 2,
            ..LoadOptions::default()
        };
        let (network, sentence, _) = tiny_encoder("bert", &options);
        let texts = many_texts(64);
        assert!(texts.iter().map(|ids| ids.len()).sum::<usize>() > 2 * limits::EMBEDDING_ROWS);
        let together = network.embed(&texts, &sentence, Pooling::Mean).unwrap();
        assert_eq!(together.len(), texts.len());
        for (ids, vector) in texts.iter().zip(&together) {
            let alone = network
                .embed(std::slice::from_ref(ids), &sentence, Pooling::Mean)
                .unwrap();
            assert!(bits(&alone[0]) == bits(vector));
        }
    }
}

#[test]
fn nothing_of_a_text_is_left_in_the_memory_that_is_kept() {
    let (network, sentence, _) = tiny_encoder(
        "bert",
        &LoadOptions {
            threads: 2,
            ..LoadOptions::default()
        },
    );
    let texts = many_texts(64);
    // By all threads together, and by each by itself.
    for texts in [&texts[..1], &texts[..20]] {
        let (areas, numbers) = network.left_within(texts);
        assert!(areas > 6 && numbers > 0, "{areas} {numbers}");
        network.embed(texts, &sentence, Pooling::Mean).unwrap();
        assert_eq!(network.left(), (0, 0));
    }
}

#[test]
fn settings_of_encoders_that_are_not_built_are_refused() {
    let config: Value = testdata::json(testdata::tiny("xlm-roberta").join("config.json"));
    let read = |key: &str, value: Value| {
        let mut config = config.clone();
        config[key] = value;
        testdata::with_config(&config, |keys| EncoderConfig::read("XLMRobertaModel", keys))
    };
    assert_eq!(read("pad_token_id", json!(0)).unwrap().first_position, 1);
    assert_eq!(read("pad_token_id", json!(null)).unwrap().context(), 64);
    for (key, value) in [
        ("pad_token_id", json!(65)),
        ("hidden_act", json!("mish")),
        ("position_embedding_type", json!("relative_key")),
        ("is_decoder", json!(true)),
        ("num_attention_heads", json!(5)),
        ("type_vocab_size", json!(null)),
    ] {
        let refused = read(key, value).unwrap_err().to_string();
        assert!(refused.contains(key), "{refused}");
    }
}

fn minilm(test: &str) -> Option<(Box<Embedder>, Value)> {
    let folder = testdata::shared(test, "all-minilm-l6-v2")?;
    let weights = testdata::minilm_weights(test)?;
    let mut files = testdata::folder(&folder);
    files.push(("model.safetensors".to_owned(), fs::read(weights).unwrap()));
    let Model::Embedder(embedder) = testdata::load(files).unwrap() else {
        panic!("it is an embedder")
    };
    Some((embedder, testdata::json(folder.join("reference.json"))))
}

#[test]
fn minilm_agrees_with_its_reference() {
    let Some((embedder, reference)) = minilm("minilm_agrees_with_its_reference") else {
        return;
    };
    let sentences = reference["sentences"].as_array().unwrap();
    let texts: Vec<&str> = sentences
        .iter()
        .map(|sentence| sentence["text"].as_str().unwrap())
        .collect();
    let found = embedder.embed(&texts, Truncation::Refuse).unwrap();
    for (embedding, sentence) in found.iter().zip(sentences) {
        assert_eq!(embedding.tokens, sentence["ids"].as_array().unwrap().len());
        let expected = testdata::floats(&sentence["embedding"]);
        let cosine: f32 = embedding.values.iter().zip(&expected).map(|(x, y)| x * y).sum();
        assert!(cosine >= 0.9999);
        assert!(testdata::largest_difference(&embedding.values, &expected) < 1e-5);
    }
}

#[test]
fn minilm_refuses_or_cuts_a_text_that_is_too_long() {
    let Some((embedder, reference)) = minilm("minilm_refuses_or_cuts_a_text_that_is_too_long") else {
        return;
    };
    let text = vec!["confidential computing protects data in use"; 80].join(" ");
    let refused = embedder.embed(&["short", &text], Truncation::Refuse).map(|_| ());
    assert!(
        matches!(
            refused,
            Err(EmbedError::TooLong {
                index: 1,
                tokens: 400..,
                most: 256
            })
        ),
        "{refused:?}"
    );
    let cut = embedder.embed(&[&text], Truncation::Cut).unwrap();
    assert_eq!(cut[0].tokens, 256);
    let expected = testdata::floats(&reference["truncation_case"]["embedding_first16"]);
    assert!(testdata::largest_difference(&cut[0].values[..16], &expected) < 1e-5);
}

#[test]
fn minilm_token_ids_are_the_references_and_spelled_tokens_are_text() {
    const NAME: &str = "minilm_token_ids_are_the_references_and_spelled_tokens_are_text";
    let Some(folder) = testdata::shared(NAME, "all-minilm-l6-v2") else {
        return;
    };
    let tokenizer = Tokenizer::load(&fs::read(folder.join("tokenizer.json")).unwrap()).unwrap();
    let reference: Value = testdata::json(folder.join("reference.json"));
    for sentence in reference["sentences"].as_array().unwrap() {
        let ids = tokenizer.encode_text(sentence["text"].as_str().unwrap()).unwrap();
        assert_eq!(*ids, testdata::ids(&sentence["ids"]));
    }
    let ids = tokenizer.encode_text("a [SEP] b [CLS]").unwrap();
    let separators = ids.iter().filter(|id| **id == 102).count();
    assert_eq!((separators, ids[0], ids.last().copied()), (1, 101, Some(102)));
}

fn config() -> SentenceConfig {
    SentenceConfig::new(32, 64)
}

#[test]
fn pooling_and_normalising_are_as_the_files_say() {
    let transformer = json!({"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"});
    let pooling = json!({"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"});
    let normalize = json!({"idx": 2, "path": "2_N", "type": "sentence_transformers.models.Normalize"});
    let dense = json!({"idx": 2, "path": "2_Dense", "type": "sentence_transformers.models.Dense"});
    let apply = |modules: &Value| {
        let mut config = config();
        config
            .apply_modules(modules.to_string().as_bytes())
            .map(|path| (path, config.normalise))
    };
    assert!(config().normalise);
    assert_eq!(
        apply(&json!([transformer, pooling])),
        Ok(("1_Pooling".into(), false))
    );
    assert_eq!(
        apply(&json!([transformer, pooling, normalize])),
        Ok(("1_Pooling".into(), true))
    );
    assert!(matches!(
        apply(&json!([transformer, pooling, dense])),
        Err(LoadError::Unsupported { .. })
    ));
    assert!(matches!(apply(&json!({})), Err(LoadError::File { .. })));
    let without = apply(&json!([transformer])).unwrap_err();
    assert_eq!(without.to_string(), "modules.json lists no pooling");

    let pool = |settings: Value| {
        let mut config = config();
        let result = testdata::with_config(&settings, |keys| config.apply_pooling(keys));
        result.map(|()| config.pooling)
    };
    assert_eq!(
        pool(json!({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false})),
        Ok(Some(Pooling::First))
    );
    assert_eq!(
        pool(json!({"pooling_mode_mean_tokens": true})),
        Ok(Some(Pooling::Mean))
    );
    assert_eq!(
        pool(json!({"pooling_mode_lasttoken": true, "pooling_mode_mean_tokens": false})),
        Ok(Some(Pooling::Last))
    );
    assert!(pool(json!({"pooling_mode_lasttoken": true, "pooling_mode_mean_tokens": true})).is_err());
    assert!(pool(json!({})).is_err());
    assert!(pool(json!({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true})).is_err());
    assert!(pool(json!({"pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": true})).is_err());
    assert!(pool(json!({"pooling_mode_mean_tokens": true, "word_embedding_dimension": 31})).is_err());
}

#[test]
fn case_and_prompts_are_as_sentence_transformers_has_them() {
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "unk_token": "no", "vocab": {"no": 0, "word": 1, "Word": 2}},
    });
    let load = |name: &str, settings: Value| {
        let mut files = testdata::folder(&testdata::tiny("bert"));
        files.push(("tokenizer.json".into(), tokenizer.to_string().into_bytes()));
        files.push((name.into(), settings.to_string().into_bytes()));
        testdata::load(files)
    };
    let vector = |lower: bool, text: &str| {
        let settings = json!({"max_seq_length": 8, "do_lower_case": lower});
        let Ok(Model::Embedder(embedder)) = load("sentence_bert_config.json", settings) else {
            panic!("it is an embedder");
        };
        embedder
            .embed_one(0, text, Truncation::Refuse)
            .ok()
            .unwrap()
            .values
    };
    assert_ne!(*vector(false, "Word"), *vector(false, "word"));
    assert_eq!(*vector(true, "Word"), *vector(false, "word"));

    const PROMPTS: &str = "config_sentence_transformers.json";
    assert!(
        load(
            PROMPTS,
            json!({"prompts": {"query": "q: "}, "default_prompt_name": null})
        )
        .is_ok()
    );
    assert!(matches!(
        load(
            PROMPTS,
            json!({"prompts": {"query": "q: "}, "default_prompt_name": "query"})
        ),
        Err(LoadError::Unsupported { .. })
    ));
}
