//! Byte-level BPE (`gpt2`): merges of the bytes' characters, in words that a pattern finds.
//!
//! Why apart: a file names the pattern only.
//!
//! # Invariants
//! A name that is not known is refused: a wrong pattern gives other tokens than the model was trained on.

use serde_json::{Value, json};
use tokenizers::models::bpe::Merges;

use super::settings::{problem, unsupported};
use super::vocabulary::{Kind, Vocabulary};
use crate::limits::inference as limits;
use crate::model::error::{LoadError, SettingProblem};
use crate::tokenizer::described::{Described, Tables};

const MERGES: &str = "tokenizer.ggml.merges";
const PRE: &str = "tokenizer.ggml.pre";

/// Numbers in threes (cl100k, Llama 3).
const THREES: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Numbers digit by digit (Qwen 2 and 3).
const DIGITS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Words split where capitals begin (Mistral's Tekken).
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// As before, with endings such as 's, and numbers in threes (o200k).
const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// What llama.cpp calls the default: one after the other.
const DEFAULT: [&str; 4] = [
    r"[\p{P}\$\+<=>\^~\|]+",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)",
    r"\p{N}+",
    r"[0-9][0-9][0-9]",
];

/// How a file's name for its pattern is understood.
struct Words {
    steps: Vec<Value>,
    /// A word that is a token is one, whatever the merges.
    whole_words: bool,
    /// A text begins with the begin token unless the file says otherwise.
    begins: bool,
    /// Characters are composed first.
    composes: bool,
}

fn words(name: &str) -> Option<Words> {
    let split = |pattern: &str| json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
    let bytes = |pattern: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": pattern});
    let by = |patterns: &[&str]| {
        let mut steps: Vec<Value> = patterns.iter().map(|pattern| split(pattern)).collect();
        steps.push(bytes(false));
        steps
    };
    let words = |steps, whole_words, composes| Words {
        steps,
        whole_words,
        begins: whole_words,
        composes,
    };
    Some(match name {
        "default" => words(by(&DEFAULT), false, false),
        "gpt-2" => words(vec![bytes(true)], false, false),
        "smollm" | "starcoder" | "refact" | "command-r" => {
            let digits = json!({"type": "Digits", "individual_digits": true});
            words(vec![digits, bytes(true)], false, false)
        }
        "llama-bpe" | "llama3" | "llama-v3" | "falcon3" | "pixtral" => words(by(&[THREES]), true, false),
        "dbrx" | "smaug-bpe" => words(by(&[THREES]), false, false),
        "qwen2" | "deepseek-r1-qwen" => words(by(&[DIGITS]), false, true),
        "tekken" => words(by(&[TEKKEN]), true, false),
        "gpt-4o" => words(by(&[O200K]), false, false),
        _ => return None,
    })
}

pub(super) fn described(vocabulary: &Vocabulary<'_>) -> Result<Described, LoadError> {
    let settings = vocabulary.settings;
    let name = settings
        .text(PRE)?
        .ok_or_else(|| problem(PRE, SettingProblem::Missing))?;
    let words = words(name).ok_or_else(|| unsupported(PRE, name))?;
    let merges = settings
        .texts(MERGES, 4 * limits::VOCABULARY)?
        .ok_or_else(|| problem(MERGES, SettingProblem::Missing))?;
    // A piece may begin with a space of its own.
    let pair = |merge: &&str| {
        let at = merge.char_indices().skip(1).find(|(_, letter)| *letter == ' ')?.0;
        Some((merge.get(..at)?.to_owned(), merge.get(at + 1..)?.to_owned()))
    };
    // With room for all: what grows lies in memory twice.
    let mut pairs = Merges::with_capacity(merges.len());
    for merge in &merges {
        pairs.push(pair(merge).ok_or_else(|| problem(MERGES, SettingProblem::Type))?);
    }
    drop(merges);
    // Where words are tokens as they are, a control token must not be found as one. Those at the end keep their ids
    // without being listed.
    let listed = if words.whole_words {
        let added = |kind: &Kind| matches!(kind, Kind::Control | Kind::User);
        let behind = vocabulary
            .kinds
            .iter()
            .rev()
            .take_while(|kind| added(kind))
            .count();
        vocabulary.len() - behind
    } else {
        vocabulary.len()
    };
    let tables = Tables {
        vocab: Some(vocabulary.table(vocabulary.tokens.iter().take(listed).copied())),
        merges: Some(pairs),
    };
    let members = vocabulary.members(json!({
        "normalizer": if words.composes { json!({"type": "NFC"}) } else { Value::Null },
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": words.steps},
        "post_processor": vocabulary.around(words.begins)?,
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": words.whole_words,
        },
    }))?;
    Ok(Described::new(members, tables))
}
