//! Walks through the answers that a form allows, wherever choices lead.
//!
//! Why apart: compiled for tests and under `cfg(anchorhold_fuzzing)` alone, which walk by choices of their own.
//!
//! # Invariants
//! Each step takes a token that fits. An answer that ends is JSON in UTF-8, and there is always a token that fits, or an error.

use std::sync::Arc;

use super::steering::Took;
use super::{Constraint, ConstraintError, Exceeded, Grammars, Output};
use crate::tokenizer::Pieces;

/// Tokens of several bytes that a model would have.
const LONGER: [&[u8]; 12] = [
    b"{\"",
    b"\":",
    b"\", \"",
    b"\"}",
    b", ",
    b"true",
    b"null",
    b"\n  ",
    b"10",
    b"ab",
    "\u{e9}".as_bytes(),
    "\u{4e2d}".as_bytes(),
];

/// Where a walk came to.
#[cfg_attr(not(test), allow(dead_code, reason = "tests look at what was said"))]
pub(crate) enum Walked {
    Refused(ConstraintError),
    /// The answer took more work than one answer may.
    Exceeded,
    /// The answer is complete.
    Whole(Vec<u8>),
    /// Choices ran out before.
    Open(Vec<u8>),
}

/// Grammars of a model whose tokens are all bytes, a few longer ones, and one that ends answers.
pub(crate) fn grammars() -> Grammars {
    let bytes: Vec<[u8; 1]> = (0..=u8::MAX).map(|byte| [byte]).collect();
    let single = bytes.iter().map(<[u8; 1]>::as_slice);
    let pieces = Pieces::of_bytes(single.chain(LONGER).chain([&[][..]]));
    let count = bytes.len() + LONGER.len() + 1;
    let stop = u32::try_from(count - 1).unwrap_or_default();
    Grammars::new(Arc::new(pieces), count, vec![stop], None, 1)
}

/// Goes on by one token for each of `choices`; the highest ends the answer where it may end.
///
/// # Panics
/// When an answer ends that is not JSON, or no token fits and that is no error.
pub(crate) fn walk(grammars: &Grammars, output: Output, choices: &[u8]) -> Walked {
    let Constraint(mut steering) = match grammars.compile(output) {
        Ok(constraint) => constraint,
        Err(error) => return Walked::Refused(error),
    };
    let shared = &grammars.0;
    let stops = |id: &u32| shared.stop_ids.contains(id);
    let mut text = Vec::new();
    for choice in choices {
        let mut logits = vec![0.0; shared.vocabulary];
        match steering.restrict(&mut logits, true) {
            Ok(known) => assert!(known, "whoever waits gets a mask"),
            Err(Exceeded) => return Walked::Exceeded,
        }
        let fitting = (0u32..).zip(&logits).filter(|(_, logit)| **logit == 0.0);
        let fitting: Vec<u32> = fitting.map(|(id, _)| id).collect();
        assert!(!fitting.is_empty(), "nothing fits");
        let drawn = fitting.get(usize::from(*choice) % fitting.len());
        let stop = fitting.iter().find(|id| *choice == u8::MAX && stops(id));
        let Some(id) = stop.or(drawn) else {
            return Walked::Open(text);
        };
        if stops(id) {
            return whole(text);
        }
        text.extend_from_slice(shared.pieces.bytes(*id));
        match steering.take(*id) {
            Ok(Took::Ended) => return whole(text),
            Ok(_) => {}
            Err(Exceeded) => return Walked::Exceeded,
        }
    }
    Walked::Open(text)
}

fn whole(text: Vec<u8>) -> Walked {
    let parsed: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(&text);
    assert!(
        parsed.is_ok() && std::str::from_utf8(&text).is_ok(),
        "an answer that is no JSON: {}",
        String::from_utf8_lossy(&text)
    );
    Walked::Whole(text)
}
