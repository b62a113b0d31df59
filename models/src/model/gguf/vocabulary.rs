//! The tokens of a GGUF file, and the tokenizer that they make.
//!
//! Why apart: it is put into the words of `tokenizer.json`, so that control tokens are kept from users' texts by the same
//! code whatever the file; tokens and merges go into the library's tables with no such words between.
//!
//! # Invariants
//! Every id stands for the token that the file lists under it, or the file is refused.

use serde_json::{Map, Value, json};
use tokenizers::models::bpe::Vocab;

use super::settings::{Settings, problem, unsupported};
use super::{byte_level, sentence_piece, word_piece};
use crate::gguf::Value as Setting;
use crate::limits::inference as limits;
use crate::model::error::{FileProblem, LoadError, SettingProblem};
use crate::shown::ShownName;
use crate::template::TemplateSource;
use crate::tokenizer::Tokenizer;

const TOKENS: &str = "tokenizer.ggml.tokens";
const KINDS: &str = "tokenizer.ggml.token_type";
const MODEL: &str = "tokenizer.ggml.model";
const TEMPLATE: &str = "tokenizer.chat_template";

/// Keys behind `tokenizer.ggml.` that are honoured or change nothing, besides ids of tokens.
const KNOWN: [&str; 13] = [
    "model",
    "pre",
    "tokens",
    "token_type",
    "scores",
    "merges",
    "add_bos_token",
    "add_eos_token",
    "add_sep_token",
    "add_space_prefix",
    "remove_extra_whitespaces",
    "token_type_count",
    "mask_token_id",
];

/// Tokens that end a turn, by their spelling: published files often name one of several only.
const ENDS: [&str; 10] = [
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|end|>",
    "<end_of_turn>",
    "<|EOT|>",
    "<|end_of_turn|>",
    "</s>",
];

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Unknown,
    Control,
    User,
    Unused,
    Byte,
}

/// The tokens of a file. No `Debug`: a file's texts are not shown.
pub(super) struct Vocabulary<'a> {
    pub(super) settings: &'a Settings<'a>,
    pub(super) tokens: Vec<&'a str>,
    pub(super) kinds: Vec<Kind>,
}

impl<'a> Vocabulary<'a> {
    pub(super) fn read(settings: &'a Settings<'a>) -> Result<Self, LoadError> {
        settings.refuse_unknown("tokenizer.ggml.", |key| {
            KNOWN.contains(&key) || key.ends_with("_token_id")
        })?;
        settings.refuse_unknown("tokenizer.", |key| {
            key.starts_with("ggml.") || key.starts_with("chat_template") || key.starts_with("huggingface.")
        })?;
        let tokens = settings
            .texts(TOKENS, limits::VOCABULARY)?
            .ok_or_else(|| problem(TOKENS, SettingProblem::Missing))?;
        let kinds = settings.list(KINDS, limits::VOCABULARY, |value| match value.whole()? {
            1 => Some(Kind::Normal),
            2 => Some(Kind::Unknown),
            3 => Some(Kind::Control),
            4 => Some(Kind::User),
            5 => Some(Kind::Unused),
            6 => Some(Kind::Byte),
            _ => None,
        })?;
        let kinds = kinds.ok_or_else(|| problem(KINDS, SettingProblem::Missing))?;
        if kinds.len() != tokens.len() {
            return Err(problem(KINDS, SettingProblem::Contradiction));
        }
        Ok(Self {
            settings,
            tokens,
            kinds,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Tokens with their ids and kinds.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &'a str, Kind)> {
        let tokens = self.tokens.iter().zip(&self.kinds);
        (0u32..)
            .zip(tokens)
            .map(|(id, (token, kind))| (id, *token, *kind))
    }

    pub(super) fn token(&self, id: u32) -> Option<&'a str> {
        self.tokens.get(id as usize).copied()
    }

    /// The id under a key.
    pub(super) fn id(&self, key: &'static str) -> Result<Option<u32>, LoadError> {
        self.settings.token_id(key, self.tokens.len())
    }

    /// The tokenizer that the file describes; errors call it `file`.
    pub(super) fn tokenizer(&self, file: &str) -> Result<Tokenizer, LoadError> {
        let mut spelled = None;
        let described = match self.settings.text(MODEL)? {
            Some("gpt2") => byte_level::described(self)?,
            Some("llama") => sentence_piece::described(self)?,
            Some("bert") => {
                let tokens = word_piece::spellings(self);
                let described = word_piece::described(self, &tokens)?;
                spelled = Some(tokens);
                described
            }
            Some(other) => return Err(unsupported(MODEL, other)),
            None => return Err(problem(MODEL, SettingProblem::Missing)),
        };
        let refused = || LoadError::File {
            file: ShownName::new(file),
            problem: FileProblem::NotTokenizer,
        };
        let tokenizer = Tokenizer::of(described).map_err(|error| match error {
            LoadError::File { .. } => refused(),
            other => other,
        })?;
        let lists = match &spelled {
            Some(tokens) => tokenizer.lists(tokens.iter().map(String::as_str)),
            None => tokenizer.lists(self.tokens.iter().copied()),
        };
        if lists { Ok(tokenizer) } else { Err(refused()) }
    }

    /// The template and the tokens that it may name.
    pub(super) fn template(&self) -> Result<TemplateSource, LoadError> {
        let mut tokens = Vec::new();
        for (name, key) in [
            ("bos_token", "tokenizer.ggml.bos_token_id"),
            ("eos_token", "tokenizer.ggml.eos_token_id"),
            ("unk_token", "tokenizer.ggml.unknown_token_id"),
            ("pad_token", "tokenizer.ggml.padding_token_id"),
        ] {
            let token = self.id(key)?.and_then(|id| self.token(id));
            tokens.extend(token.map(|token| (name, token.to_owned())));
        }
        Ok(TemplateSource {
            template: self.settings.text(TEMPLATE)?.map(str::to_owned),
            tokens,
        })
    }

    /// Ids that end an answer.
    pub(super) fn stop_ids(&self) -> Result<Vec<u32>, LoadError> {
        let mut ids = Vec::new();
        for key in [
            "tokenizer.ggml.eos_token_id",
            "tokenizer.ggml.eot_token_id",
            "tokenizer.ggml.eom_token_id",
        ] {
            ids.extend(self.id(key)?);
        }
        let ends = self
            .iter()
            .filter(|(_, token, kind)| *kind == Kind::Control && ENDS.contains(token));
        ids.extend(ends.map(|(id, _, _)| id));
        Ok(ids)
    }

    /// Whether the tokens under these keys are put around a text: flag and id of the first, flag and id of the last.
    pub(super) fn around(&self, first: bool) -> Result<Value, LoadError> {
        let begin = self
            .settings
            .flag("tokenizer.ggml.add_bos_token")?
            .unwrap_or(first);
        let end = self
            .settings
            .flag("tokenizer.ggml.add_eos_token")?
            .unwrap_or(false);
        let id = |wanted: bool, key: &'static str| match (wanted, self.id(key)?) {
            (false, _) => Ok(None),
            (true, None) => Err(problem(key, SettingProblem::Missing)),
            (true, id) => Ok(id),
        };
        let begin = id(begin, "tokenizer.ggml.bos_token_id")?;
        let end = id(end, "tokenizer.ggml.eos_token_id")?;
        Ok(self.post_processor(begin, end))
    }

    /// Puts these tokens around a text.
    pub(super) fn post_processor(&self, begin: Option<u32>, end: Option<u32>) -> Value {
        let mut special = Map::new();
        let mut part = |id: Option<u32>| {
            let id = id?;
            let token = self.token(id)?;
            special.insert(
                token.to_owned(),
                json!({"id": token, "ids": [id], "tokens": [token]}),
            );
            Some(json!({"SpecialToken": {"id": token, "type_id": 0}}))
        };
        let (begin, end) = (part(begin), part(end));
        if begin.is_none() && end.is_none() {
            return Value::Null;
        }
        let text = json!({"Sequence": {"id": "A", "type_id": 0}});
        let single: Vec<Value> = begin.into_iter().chain([text]).chain(end).collect();
        json!({"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": special})
    }

    /// Control tokens and those of the model's maker, as `added_tokens`.
    pub(super) fn added(&self) -> Vec<Value> {
        let added = self.iter().filter_map(|(id, token, kind)| {
            let special = match kind {
                Kind::Control | Kind::Unknown => true,
                Kind::User => false,
                Kind::Normal | Kind::Unused | Kind::Byte => return None,
            };
            Some(
                json!({"id": id, "content": token, "special": special, "single_word": false, "lstrip": false,
                        "rstrip": false, "normalized": false}),
            )
        });
        added.collect()
    }

    /// The library's table of these tokens, whose ids count from 0.
    pub(super) fn table<'t>(&self, tokens: impl Iterator<Item = &'t str>) -> Vocab {
        // With room for all: what grows lies in memory twice.
        let mut table = Vocab::with_capacity(self.len());
        table.extend((0u32..).zip(tokens).map(|(id, token)| (token.to_owned(), id)));
        table
    }

    /// What a `tokenizer.json` with these parts has beside its tables.
    pub(super) fn members(&self, parts: Value) -> Result<Map<String, Value>, LoadError> {
        let Value::Object(mut file) = parts else {
            return Err(LoadError::Compute);
        };
        file.insert("version".to_owned(), Value::from("1.0"));
        file.insert("truncation".to_owned(), Value::Null);
        file.insert("padding".to_owned(), Value::Null);
        file.insert("added_tokens".to_owned(), Value::from(self.added()));
        Ok(file)
    }

    /// Numbers for all tokens.
    pub(super) fn scores(&self) -> Result<Vec<f32>, LoadError> {
        const SCORES: &str = "tokenizer.ggml.scores";
        let scores = self
            .settings
            .list(SCORES, limits::VOCABULARY, |value| match value {
                Setting::F32(score) if score.is_finite() => Some(score),
                _ => None,
            })?;
        let scores = scores.ok_or_else(|| problem(SCORES, SettingProblem::Missing))?;
        if scores.len() == self.tokens.len() {
            Ok(scores)
        } else {
            Err(problem(SCORES, SettingProblem::Contradiction))
        }
    }
}
