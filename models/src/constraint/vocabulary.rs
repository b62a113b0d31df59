//! The bytes of every token, as the library that makes grammars wants them.
//!
//! Why apart: only here does it meet our tokenizer.
//!
//! # Invariants
//! A token that is not shown in answers, and one that ends them, has no bytes: no grammar allows it inside an answer. The
//! library's output to standard error is off, and its errors carry no text of a schema.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use llguidance::ParserFactory;
use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie};

use super::steering::Spelling;
use crate::limits::constraint as limits;
use crate::tokenizer::Pieces;

/// Texts that many tokens consist of and most strings allow: whether all of these fit is asked before each is tried.
const SLICE: &str = r#"[^"\\\x00-\x1F\x7F]{1,30}"#;
/// A byte that no UTF-8 has. The library takes tokens that begin with it for markers of its own.
const MARKER: u8 = TokTrie::SPECIAL_TOKEN_MARKER;

/// A model's tokens.
pub(super) struct Vocabulary {
    pub(super) factory: ParserFactory,
    environment: TokEnv,
}

impl Vocabulary {
    /// `None` when the library does not take these tokens.
    pub(super) fn new(pieces: &Pieces, size: usize, stop_ids: &[u32]) -> Option<Self> {
        // The library panics on tables it cannot represent.
        catch_unwind(AssertUnwindSafe(|| Self::build(pieces, size, stop_ids))).ok()?
    }

    fn build(pieces: &Pieces, size: usize, stop_ids: &[u32]) -> Option<Self> {
        let count = u32::try_from(size).ok()?;
        let words: Vec<Vec<u8>> = (0..count)
            .map(|id| {
                let bytes = pieces.bytes(id);
                let usable = bytes.len() <= limits::TOKEN_BYTES && bytes.first() != Some(&MARKER);
                if usable && !stop_ids.contains(&id) {
                    bytes.to_vec()
                } else {
                    Vec::new()
                }
            })
            .collect();
        let stop_ids: Vec<u32> = stop_ids.iter().copied().filter(|id| *id < count).collect();
        let trie = TokTrie::from(&TokRxInfo::new(count, *stop_ids.first()?), &words);
        let trie = trie.with_eos_tokens(&stop_ids);
        let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let slices = [SLICE.to_owned()];
        let mut factory = ParserFactory::new(&environment, InferenceCapabilities::default(), &slices).ok()?;
        factory.quiet();
        let bounds = factory.limits_mut();
        bounds.max_items_in_row = limits::ROW_ITEMS;
        bounds.initial_lexer_fuel = limits::COMPILE_FUEL;
        bounds.step_lexer_fuel = limits::MASK_FUEL;
        bounds.step_max_items = limits::MASK_ITEMS;
        bounds.max_lexer_states = limits::LEXER_STATES;
        bounds.max_grammar_size = limits::GRAMMAR_SYMBOLS;
        bounds.precompute_large_lexemes = false;
        bounds.verbose_errors = false;
        Some(Self { factory, environment })
    }
}

impl Spelling for Vocabulary {
    fn spell(&self, bytes: &[u8]) -> Option<Vec<u32>> {
        let trie = self.environment.tok_trie();
        let mut tokens = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let longest = rest.len().min(limits::TOKEN_BYTES);
            let token = |length: &usize| trie.token_id_at_bytes(rest.get(..*length).unwrap_or_default());
            let length = (1..=longest).rev().find(|length| token(length).is_some())?;
            tokens.extend(token(&length));
            rest = rest.get(length..).unwrap_or_default();
        }
        Some(tokens)
    }
}
