//! Decoders as embedders: Qwen3-Embedding as it is published.

use anchorhold_kernels::kv::KvPrecision;

use super::*;
use crate::config::family::Family;
use crate::embedder::causal::Causal;

const NAME: &str = "qwen3-embedding";

fn network(options: &LoadOptions) -> (Causal, SentenceConfig, Value) {
    let path = testdata::tiny(NAME);
    let config: Value = testdata::json(path.join("config.json"));
    let family = Family::of(config["architectures"][0].as_str().unwrap()).unwrap();
    let config = testdata::with_config(&config, |keys| family.read(keys)).unwrap();
    let sentence = SentenceConfig::new(config.width, config.context);
    let mut files = ModelFiles::of_bytes(testdata::folder(&path));
    let network = Causal::load(Weights::open(&mut files, &()).unwrap(), config, options).unwrap();
    (network, sentence, testdata::json(path.join("reference.json")))
}

#[test]
fn qwen3_embedding_agrees_with_transformers() {
    let (network, sentence, reference) = network(&LoadOptions {
        kv_precision: KvPrecision::F32,
        ..LoadOptions::default()
    });
    for case in reference["cases"].as_array().unwrap() {
        let ids = [Zeroizing::new(testdata::ids(&case["ids"]))];
        for (name, pooling) in [
            ("last", Pooling::Last),
            ("mean", Pooling::Mean),
            ("first", Pooling::First),
        ] {
            let found = network.embed(&ids, &sentence, pooling).unwrap();
            let expected = testdata::floats(&case[name]);
            let difference = testdata::largest_difference(&found[0], &expected);
            assert!(difference < 1e-4, "{name}: {difference}");
        }
    }
}

#[test]
fn vectors_of_decoders_are_the_same_bit_for_bit_alone_and_in_any_company() {
    for pooling in [Pooling::Last, Pooling::Mean, Pooling::First] {
        // Few pages, so that texts wait for each other.
        let (network, sentence, _) = network(&LoadOptions {
            kv_bytes: Some(150_000),
            threads: 2,
            ..LoadOptions::default()
        });
        assert!(network.room() < 1_000);
        let texts = many_texts(200);
        let together = network.embed(&texts, &sentence, pooling).unwrap();
        assert_eq!(together.len(), texts.len());
        for (ids, vector) in texts.iter().zip(&together).step_by(7) {
            let alone = network
                .embed(std::slice::from_ref(ids), &sentence, pooling)
                .unwrap();
            assert!(bits(&alone[0]) == bits(vector), "{pooling:?}");
        }
    }
}

/// A tokenizer that puts a token for the end behind each text, as Qwen3-Embedding's does.
fn files() -> Vec<(String, Vec<u8>)> {
    let vocabulary: serde_json::Map<String, Value> = (0..64)
        .map(|id| (format!("w{id}"), Value::from(id)))
        .chain([("<end>".to_owned(), Value::from(64))])
        .collect();
    let end = json!({"id": "<end>", "ids": [64], "tokens": ["<end>"]});
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "decoder": {"type": "Fuse"},
        "added_tokens": [{"id": 64, "content": "<end>", "single_word": false, "lstrip": false, "rstrip": false,
                          "normalized": false, "special": true}],
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<end>", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<end>": end}},
        "model": {"type": "WordLevel", "unk_token": "w0", "vocab": vocabulary},
    });
    let mut files = testdata::folder(&testdata::tiny(NAME));
    files.push(("tokenizer.json".into(), tokenizer.to_string().into_bytes()));
    files
}

fn change(files: &mut Vec<(String, Vec<u8>)>, name: &str, content: Option<&str>) {
    files.retain(|(other, _)| other != name);
    files.extend(content.map(|content| (name.to_owned(), content.into())));
}

#[test]
fn its_files_make_it_an_embedder_that_looks_at_the_last_token() {
    let Ok(Model::Embedder(embedder)) = testdata::load(files()) else {
        panic!("it is an embedder");
    };
    let info = embedder.info();
    assert_eq!(
        (info.architecture, info.context_length, info.width),
        ("Qwen3ForCausalLM", 256, 48)
    );
    let found = embedder.embed(&["w5 w9 w9", "w1"], Truncation::Refuse).unwrap();
    assert_eq!((found[0].tokens, found[1].tokens), (4, 2));
    let (network, sentence, _) = network(&LoadOptions::default());
    let ids = [Zeroizing::new(vec![5, 9, 9, 64])];
    let expected = network.embed(&ids, &sentence, Pooling::Last).unwrap();
    assert!(bits(&found[0].values) == bits(&expected[0]));
    let one = embedder.embed_one(0, "w1", Truncation::Refuse).unwrap();
    assert!(bits(&one.values) == bits(&found[1].values));
    let long = "w1 ".repeat(256);
    let refused = embedder.embed(&["w1", &long], Truncation::Refuse).map(|_| ());
    let too_long = EmbedError::TooLong {
        index: 1,
        tokens: 257,
        most: 256,
    };
    assert_eq!(refused, Err(too_long));
    assert_eq!(embedder.embed(&[&long], Truncation::Cut).unwrap()[0].tokens, 256);
}

#[test]
fn without_its_files_it_is_a_decoder_or_nothing() {
    let mut bare = files();
    change(&mut bare, "modules.json", None);
    change(&mut bare, "1_Pooling/config.json", None);
    assert!(matches!(testdata::load(bare.clone()), Ok(Model::Decoder(_))));
    // The class without a head answers nothing, and how its vectors become one is not said.
    let config = bare.iter().find(|(name, _)| name == "config.json").unwrap();
    let config = String::from_utf8(config.1.clone()).unwrap();
    let base = config.replace("Qwen3ForCausalLM", "Qwen3Model");
    change(&mut bare, "config.json", Some(&base));
    assert_eq!(
        testdata::load(bare).err(),
        Some(LoadError::MissingFile("modules.json"))
    );
    let mut whole = files();
    change(&mut whole, "config.json", Some(&base));
    assert!(matches!(testdata::load(whole), Ok(Model::Embedder(_))));

    let mut without = files();
    change(&mut without, "1_Pooling/config.json", None);
    let missing = LoadError::MissingFile("1_Pooling/config.json");
    assert_eq!(testdata::load(without).err(), Some(missing));
    // Pooling that no list of modules asks for.
    let mut bert = testdata::folder(&testdata::tiny("bert"));
    change(
        &mut bert,
        "1_Pooling/config.json",
        Some(r#"{"pooling_mode_cls_token": true}"#),
    );
    assert_eq!(
        testdata::load(bert).err(),
        Some(LoadError::MissingFile("modules.json"))
    );
}
