//! What describes a tokenizer becomes the library's.
//!
//! Why apart: of a file the library makes three trees, one out of the other, before its own tables: for 150,000 tokens and as
//! many merges well over a hundred MiB, while the weights lie in memory.
//!
//! # Invariants
//! What comes out is what the library makes of the whole file: the same parts, by its own readers, in its own order. No cache
//! keeps words of prompts.

use anchorhold_memory::measures::{self, Measure};
use serde::Deserialize;
use serde_json::{Value, json};
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::{AddedToken, ModelWrapper, Tokenizer};

use super::described::Described;

/// The tokenizer, and one more than its highest id. `None` when the library does not take it.
pub(super) fn read(mut described: Described) -> Option<(Tokenizer, usize)> {
    let usual = described.kind() == Some("BPE") && described.tables.vocab.is_some();
    let (Some(merges), true) = (described.tables.merges.take(), usual) else {
        return whole(described);
    };
    let vocab = described.tables.vocab.take()?;
    let mut json = described.members;
    let nothing = json!({"type": "BPE", "vocab": {}, "merges": []});
    let model = json.insert("model".to_owned(), nothing)?;
    let added = match json.shift_remove("added_tokens") {
        Some(added) => serde_json::from_value(added).ok()?,
        None => Vec::new(),
    };
    let highest = vocab.values().copied().max();
    let mut model = ModelWrapper::BPE(bpe(model, vocab, merges)?);
    model.resize_cache(kept_words());
    let mut tokenizer = Tokenizer::from_bytes(serde_json::to_vec(&json).ok()?).ok()?;
    tokenizer.with_model(model);
    // Which ids these get depends on the model's own.
    tokenizer
        .add_tokens(added.into_iter().map(|added: Added| added.token))
        .ok()?;
    // Asking for all tokens would copy them.
    let added = tokenizer.get_added_tokens_decoder().into_keys();
    let size = added.chain(highest).max().map_or(0, |id| id as usize + 1);
    Some((tokenizer, size))
}

/// The tables go into the library's as they are.
fn bpe(mut model: Value, vocab: Vocab, merges: Merges) -> Option<BPE> {
    let members = model.as_object_mut()?;
    // The library's reader of all models takes this off, too.
    members.shift_remove("type");
    members.insert("vocab".to_owned(), json!({}));
    members.insert("merges".to_owned(), json!([]));
    let settings: BPE = serde_json::from_value(model).ok()?;
    let mut builder = BPE::builder()
        .vocab_and_merges(vocab, merges)
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

/// Models of other kinds, of which most have a few ten thousand tokens.
fn whole(described: Described) -> Option<(Tokenizer, usize)> {
    let bytes = serde_json::to_vec(&described.into_members()).ok()?;
    let mut tokenizer = Tokenizer::from_bytes(bytes).ok()?;
    let mut model = tokenizer.get_model().clone();
    model.resize_cache(kept_words());
    tokenizer.with_model(model);
    let size = tokenizer.get_vocab(true).into_values().max();
    Some((tokenizer, size.map_or(0, |id| id as usize + 1)))
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
    use proptest::prelude::*;

    use super::super::guarded;
    use super::super::tests::byte_level_file;
    use super::*;
    use crate::testdata;

    fn described(json: &Value) -> Option<Described> {
        serde_json::from_str(&json.to_string()).ok()
    }

    fn the_same(json: &Value) {
        let expected = Tokenizer::from_bytes(json.to_string()).unwrap();
        let (found, size) = read(described(json).unwrap()).unwrap();
        let highest = expected.get_vocab(true).into_values().max().unwrap();
        assert_eq!(size, highest as usize + 1);
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
        the_same(&changed("/model/merges", json!(["#version: 0.2", "h e", "l l"])));
        the_same(&changed("/model/merges", json!([])));
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
            ("/model/merges", json!([["h", "e"], "l l"])),
            ("/model/merges", json!(["h e l"])),
            ("/model/merges", json!(["he"])),
            ("/model/merges", Value::Null),
            ("/model/vocab", json!([["a", 0.5]])),
            ("/model/vocab", json!({"a": -1})),
            ("/model/vocab", json!({"a": 1.0})),
            ("/model/vocab", json!({"a": 4_294_967_296u64})),
            ("/model", Value::Null),
            ("/model", json!([])),
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
            assert!(described(&file).and_then(read).is_none(), "{place}");
        }
    }

    /// Values that members of a file do not have, or some do.
    fn odd() -> impl Strategy<Value = Value> {
        prop::sample::select(vec![
            Value::Null,
            json!(true),
            json!(0),
            json!(-1),
            json!(0.5),
            json!(u64::MAX),
            json!(""),
            json!("a"),
            json!("h e"),
            json!("BPE"),
            json!("WordPiece"),
            json!("WordLevel"),
            json!("Unigram"),
            json!([]),
            json!({}),
            json!(["h", "e"]),
            json!([["h", "e"]]),
            json!(["h e"]),
            json!(["#version: 0.2"]),
            json!([["a", 0.0], ["b", -1.5]]),
            json!({"a": 0, "b": 1, "[UNK]": 2}),
            json!({"a": 7, "b": 7}),
            json!({"a": {"b": []}}),
        ])
    }

    const PLACES: [&str; 13] = [
        "/model",
        "/model/type",
        "/model/vocab",
        "/model/vocab/he",
        "/model/merges",
        "/model/merges/0",
        "/model/merges/0/1",
        "/model/unk_token",
        "/model/dropout",
        "/model/continuing_subword_prefix",
        "/model/end_of_word_suffix",
        "/added_tokens",
        "/added_tokens/0/id",
    ];

    proptest! {
        /// Whatever a file says in place of what it should, nothing is taken that the library refuses, nothing is refused that it
        /// takes, and what both take is the same.
        #[test]
        fn any_file_is_taken_as_the_library_takes_it(
            changes in prop::collection::vec((prop::sample::select(PLACES.to_vec()), odd()), 1..4)
        ) {
            let mut file = byte_level_file();
            for (place, value) in changes {
                if let Some(member) = file.pointer_mut(place) {
                    *member = value;
                }
            }
            let expected = guarded(|| Tokenizer::from_bytes(file.to_string()).ok()).flatten();
            let found = guarded(|| described(&file).and_then(read)).flatten();
            prop_assert_eq!(found.is_some(), expected.is_some());
            if let Some(((found, size), expected)) = found.zip(expected) {
                prop_assert_eq!(found.get_vocab(true), expected.get_vocab(true));
                prop_assert_eq!(found.get_added_tokens_decoder(), expected.get_added_tokens_decoder());
                let highest = expected.get_vocab(true).into_values().max();
                prop_assert_eq!(size, highest.map_or(0, |id| id as usize + 1));
            }
        }
    }
}
