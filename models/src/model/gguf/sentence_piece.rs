//! SentencePiece's BPE (`llama`): pieces with scores, and a token for each byte.
//!
//! Why apart: a file has scores where `tokenizer.json` has an order of merges.
//!
//! # Invariants
//! Merges make normal pieces only: no text merges into a control token.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde_json::json;
use tokenizers::models::bpe::Merges;

use super::settings::unsupported;
use super::vocabulary::{Kind, Vocabulary};
use crate::model::error::LoadError;
use crate::tokenizer::described::{Described, Tables};

pub(super) fn described(vocabulary: &Vocabulary<'_>) -> Result<Described, LoadError> {
    const SPACES: &str = "tokenizer.ggml.remove_extra_whitespaces";
    let settings = vocabulary.settings;
    if settings.flag(SPACES)?.unwrap_or(false) {
        return Err(unsupported(SPACES, "true"));
    }
    let begins_with_space = settings.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
    let unknown = match vocabulary.id("tokenizer.ggml.unknown_token_id")? {
        Some(id) => vocabulary.token(id),
        None => None,
    };
    let bytes = vocabulary
        .kinds
        .iter()
        .filter(|kind| **kind == Kind::Byte)
        .count();
    let tables = Tables {
        merges: Some(merges(vocabulary, &vocabulary.scores()?)),
        vocab: Some(vocabulary.table(vocabulary.tokens.iter().copied())),
    };
    let mut normalizers = vec![json!({"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"})];
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if begins_with_space {
        normalizers.insert(0, json!({"type": "Prepend", "prepend": "\u{2581}"}));
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    let members = vocabulary.members(json!({
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": null,
        "post_processor": vocabulary.around(true)?,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": unknown, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": bytes == 256,
            "ignore_merges": false,
        },
    }))?;
    Ok(Described::new(members, tables))
}

/// All ways in which two pieces make a third, the likeliest third first.
fn merges(vocabulary: &Vocabulary<'_>, scores: &[f32]) -> Merges {
    let normal = |kind| matches!(kind, Kind::Normal | Kind::User);
    let pieces: HashMap<&str, u32> = vocabulary
        .iter()
        .filter(|(_, _, kind)| normal(*kind))
        .map(|(id, token, _)| (token, id))
        .collect();
    let mut found: Vec<Merge<'_>> = Vec::new();
    for ((_, token, _), score) in vocabulary
        .iter()
        .zip(scores)
        .filter(|((_, _, kind), _)| normal(*kind))
    {
        let before = found.len();
        let splits = token.char_indices().skip(1).map(|(at, _)| token.split_at(at));
        found.extend(splits.filter_map(|(left, right)| {
            let ids = (*pieces.get(left)?, *pieces.get(right)?);
            Some(Merge {
                score: *score,
                left,
                right,
                ids,
            })
        }));
        found
            .get_mut(before..)
            .unwrap_or_default()
            .sort_by_key(|merge| merge.ids);
    }
    // Among equals, in the order of the pieces.
    found.sort_by(|one, other| {
        let lengths = |merge: &Merge<'_>| Reverse((merge.left.chars().count(), merge.right.chars().count()));
        other
            .score
            .partial_cmp(&one.score)
            .unwrap_or(std::cmp::Ordering::Equal)
            .then_with(|| lengths(one).cmp(&lengths(other)))
    });
    let pair = |merge: Merge<'_>| (merge.left.to_owned(), merge.right.to_owned());
    found.into_iter().map(pair).collect()
}

struct Merge<'a> {
    score: f32,
    left: &'a str,
    right: &'a str,
    ids: (u32, u32),
}
