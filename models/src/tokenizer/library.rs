//! What a `tokenizer.json` says becomes the library's tokenizer.
//!
//! Why apart: of a model's tokens the library makes three trees, one out of the other, before its own tables: for 150,000 tokens
//! and as many merges well over a hundred MiB, while the weights lie in memory.
//!
//! # Invariants
//! What comes out is what the library makes of the whole file: the same parts, by its own readers, in its own order. No cache
//! keeps words of prompts.

use anchorhold_memory::measures::{self, Measure};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::{AddedToken, ModelWrapper, Tokenizer};

/// None when the library does not take it.
pub(super) fn read(mut json: Map<String, Value>) -> Option<Tokenizer> {
    let kind = json.get("model").and_then(|model| model.get("type"));
    if kind.and_then(Value::as_str) != Some("BPE") {
        return whole(json);
    }
    let nothing = json!({"type": "BPE", "vocab": {}, "merges": []});
    let mut model = json.insert("model".to_owned(), nothing)?;
    // The library's reader of all models takes this off, too.
    model.as_object_mut()?.shift_remove("type");
    let added = match json.shift_remove("added_tokens") {
        Some(added) => serde_json::from_value(added).ok()?,
        None => Vec::new(),
    };
    let mut model = ModelWrapper::BPE(bpe(model)?);
    model.resize_cache(kept_words());
    let mut tokenizer = Tokenizer::from_bytes(serde_json::to_vec(&json).ok()?).ok()?;
    tokenizer.with_model(model);
    // Which ids these get depends on the model's own.
    tokenizer
        .add_tokens(added.into_iter().map(|added: Added| added.token))
        .ok()?;
    Some(tokenizer)
}

/// Merges and tokens move into the library's tables without copies between, where they are written in the usual way.
fn bpe(mut model: Value) -> Option<BPE> {
    let members = model.as_object_mut()?;
    let pair = |merge: &Value| {
        matches!(
            merge.as_array().map(Vec::as_slice),
            Some([Value::String(_), Value::String(_)])
        )
    };
    let pairs = |merges: &Value| merges.as_array().is_some_and(|merges| merges.iter().all(pair));
    let id = |id: &Value| id.as_u64().and_then(|id| u32::try_from(id).ok());
    let ids = |vocab: &Value| {
        vocab
            .as_object()
            .is_some_and(|vocab| vocab.values().all(|value| id(value).is_some()))
    };
    if !members.get("merges").is_some_and(pairs) || !members.get("vocab").is_some_and(ids) {
        return serde_json::from_value(model).ok();
    }
    let merges = members.insert("merges".to_owned(), json!([]))?;
    let vocab = members.insert("vocab".to_owned(), json!({}))?;
    let settings: BPE = serde_json::from_value(model).ok()?;
    let (Value::Array(merges), Value::Object(vocab)) = (merges, vocab) else {
        return None;
    };
    let texts = |merge| match merge {
        Value::Array(pair) => match <[Value; 2]>::try_from(pair) {
            Ok([Value::String(one), Value::String(other)]) => Some((one, other)),
            _ => None,
        },
        _ => None,
    };
    // With room for all: what grows lies in memory twice.
    let mut pairs = Vec::with_capacity(merges.len());
    for merge in merges {
        pairs.push(texts(merge)?);
    }
    let mut tokens = Vocab::with_capacity(vocab.len());
    for (token, number) in vocab {
        tokens.insert(token, id(&number)?);
    }
    let mut builder = BPE::builder()
        .vocab_and_merges(tokens, pairs)
        .fuse_unk(settings.fuse_unk)
        .byte_fallback(settings.byte_fallback)
        .ignore_merges(settings.ignore_merges);
    if let Some(dropout) = settings.dropout {
        builder = builder.dropout(dropout);
    }
    if let Some(token) = settings.unk_token {
        builder = builder.unk_token(token);
    }
    if let Some(prefix) = settings.continuing_subword_prefix {
        builder = builder.continuing_subword_prefix(prefix);
    }
    if let Some(suffix) = settings.end_of_word_suffix {
        builder = builder.end_of_word_suffix(suffix);
    }
    builder.build().ok()
}

/// Models of other kinds have a few ten thousand tokens.
fn whole(json: Map<String, Value>) -> Option<Tokenizer> {
    let bytes = serde_json::to_vec(&json).ok()?;
    drop(json);
    let mut tokenizer = Tokenizer::from_bytes(bytes).ok()?;
    let mut model = tokenizer.get_model().clone();
    model.resize_cache(kept_words());
    tokenizer.with_model(model);
    Some(tokenizer)
}

/// Words that a tokenizer keeps: none, unless a test wants to see them found.
fn kept_words() -> usize {
    if measures::is_on(Measure::Words) {
        0
    } else {
        10_000
    }
}

/// A member of `added_tokens`.
#[derive(Deserialize)]
struct Added {
    /// Which must be there and is not looked at: the library gives ids in order.
    #[serde(rename = "id")]
    _id: u32,
    #[serde(flatten)]
    token: AddedToken,
}

#[cfg(test)]
mod tests {
    use super::super::tests::byte_level_file;
    use super::*;
    use crate::testdata;

    fn the_same(json: &Value) {
        let expected = Tokenizer::from_bytes(json.to_string()).unwrap();
        let Value::Object(json) = json.clone() else {
            panic!("it is an object");
        };
        let found = read(json).unwrap();
        assert_eq!(found.get_vocab(true), expected.get_vocab(true));
        assert_eq!(
            found.get_added_tokens_decoder(),
            expected.get_added_tokens_decoder()
        );
        let written = |tokenizer: &Tokenizer| serde_json::to_value(tokenizer).unwrap();
        assert_eq!(written(&found), written(&expected));
    }

    #[test]
    fn what_is_read_in_parts_is_what_the_library_reads_as_a_whole() {
        let file = byte_level_file();
        assert_eq!(file["model"]["type"], "BPE");
        the_same(&file);
        let changed = |place: &str, value: Value| {
            let mut file = file.clone();
            *file.pointer_mut(place).unwrap() = value;
            file
        };
        // An older way to write merges, ids that the library does not give, and a token that the vocabulary has.
        the_same(&changed("/model/merges", json!(["h e", "l l"])));
        the_same(&changed("/added_tokens/0/id", json!(900)));
        the_same(&changed("/added_tokens/1/content", json!("he")));
        the_same(&changed("/added_tokens/1/special", json!(false)));
        the_same(&changed("/added_tokens", json!([])));
        the_same(&changed("/normalizer", json!({"type": "NFC"})));
        the_same(&changed("/model/unk_token", json!("a")));
        the_same(&changed("/model/ignore_merges", json!(true)));
        the_same(&changed("/model/fuse_unk", json!(true)));
        the_same(&changed("/model/byte_fallback", json!(true)));
        the_same(&changed("/model/dropout", json!(0.5)));
        the_same(&changed("/model/end_of_word_suffix", json!("</w>")));
        the_same(&changed("/model/continuing_subword_prefix", json!("")));
        const NAME: &str = "what_is_read_in_parts_is_what_the_library_reads_as_a_whole";
        for folder in ["stories260k", "all-minilm-l6-v2"] {
            if let Some(folder) = testdata::shared(NAME, folder) {
                the_same(&testdata::json(folder.join("tokenizer.json")));
            }
        }
    }

    #[test]
    fn what_the_library_refuses_in_a_whole_file_is_refused_in_parts() {
        for (place, value) in [
            ("/added_tokens", Value::Null),
            ("/added_tokens/0", json!({"content": "x", "special": true})),
            ("/added_tokens/0", json!({"id": 5})),
            ("/model/merges", json!([["never", "there"]])),
            ("/model/merges", json!([1])),
            ("/model/merges", json!([["h", "e", "l"]])),
            ("/model/dropout", json!(2.0)),
            ("/model/fuse_unk", json!("yes")),
            ("/model/vocab", json!({"a": "b"})),
            ("/model/dropout", json!("much")),
            ("/normalizer", json!({"type": "Nothing"})),
            ("/version", json!("2.0")),
        ] {
            let mut file = byte_level_file();
            *file.pointer_mut(place).unwrap() = value;
            assert!(Tokenizer::from_bytes(file.to_string()).is_err(), "{place}");
            let Value::Object(file) = file else {
                panic!("it is an object");
            };
            assert!(read(file).is_none(), "{place}");
        }
    }
}
