//! WordPiece (`bert`): the longest piece first, word by word.
//!
//! Why apart: llama.cpp's converter writes a mark before pieces that begin words, where vocabularies are published with
//! one before those that do not.
//!
//! # Invariants
//! Texts are brought to lower case when no piece of the vocabulary has a capital letter of ASCII, which no file says.

use serde_json::json;

use super::settings::problem;
use super::vocabulary::{Kind, Vocabulary};
use crate::model::error::{LoadError, SettingProblem};
use crate::tokenizer::described::{Described, Tables};

const WORD: char = '\u{2581}';
const INSIDE: &str = "##";

/// The pieces as they were published.
pub(super) fn spellings(vocabulary: &Vocabulary<'_>) -> Vec<String> {
    let marked = vocabulary.tokens.iter().any(|token| token.starts_with(WORD));
    let whole = |token: &str| token.len() > 2 && token.starts_with('[') && token.ends_with(']');
    let spelled = vocabulary
        .tokens
        .iter()
        .map(|token| match token.strip_prefix(WORD) {
            Some(word) => word.to_owned(),
            None if marked && !whole(token) => format!("{INSIDE}{token}"),
            None => (*token).to_owned(),
        });
    spelled.collect()
}

pub(super) fn described(vocabulary: &Vocabulary<'_>, spellings: &[String]) -> Result<Described, LoadError> {
    let need = |keys: [&'static str; 2]| {
        let [key, other] = keys;
        let id = match vocabulary.id(key)? {
            None => vocabulary.id(other)?,
            id => id,
        };
        id.map(Some).ok_or_else(|| problem(key, SettingProblem::Missing))
    };
    let begin = need(["tokenizer.ggml.cls_token_id", "tokenizer.ggml.bos_token_id"])?;
    // Spelled so by the format.
    let end = need(["tokenizer.ggml.seperator_token_id", "tokenizer.ggml.eos_token_id"])?;
    let unknown = need([
        "tokenizer.ggml.unknown_token_id",
        "tokenizer.ggml.unknown_token_id",
    ])?;
    let unknown = unknown.and_then(|id| vocabulary.token(id));
    let capital = |token: &str| token.bytes().any(|byte| byte.is_ascii_uppercase());
    let normal = vocabulary
        .iter()
        .filter(|(_, token, kind)| *kind == Kind::Normal && !token.starts_with('['));
    let lower = !normal.map(|(_, token, _)| token).any(capital);
    let tables = Tables {
        vocab: Some(vocabulary.table(spellings.iter().map(String::as_str))),
        merges: None,
    };
    let members = vocabulary.members(json!({
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                       "strip_accents": null, "lowercase": lower},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": vocabulary.post_processor(begin, end),
        "decoder": {"type": "WordPiece", "prefix": INSIDE, "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": unknown, "continuing_subword_prefix": INSIDE,
                  "max_input_chars_per_word": 100},
    }))?;
    Ok(Described::new(members, tables))
}
