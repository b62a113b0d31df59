//! Reads calls out of a text that comes in pieces.
//!
//! Why apart: compiled for tests and under `cfg(anchorhold_fuzzing)` alone, which cut texts where they like.
//!
//! # Invariants
//! What is told of where calls begin is what steering tells: behind the first text that begins them, at a token that does, or
//! with the answer, once so many bytes have come.

use super::{CallDelta, Calls};
use crate::tools::form::Form;

/// How calls begin in a text.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Begin {
    Never,
    /// The text that begins them ends here.
    Behind(usize),
    /// Their token stands here.
    Token(usize),
    /// With the text, and that is known here.
    Held(usize),
}

/// Content and calls, each a name and its arguments.
pub(crate) type Found = (String, Vec<(String, String)>);

/// Reads `text` in pieces of so many bytes, over and over; each is longer where a character would be cut.
///
/// # Panics
/// When pieces of calls are not in their order, or what is counted is not what came.
pub(crate) fn read(form: Form, text: &str, begin: Begin, cuts: &[usize]) -> Found {
    let mut calls = Calls::new(form);
    let (mut content, mut found) = (String::new(), Vec::new());
    let (mut at, mut number) = (0, 0);
    while at < text.len() {
        let cut = cuts
            .get(number % cuts.len().max(1))
            .copied()
            .unwrap_or(usize::MAX);
        number += 1;
        let mut end = at.saturating_add(cut.max(1)).min(text.len());
        if let Begin::Token(place) = begin {
            // Nothing of the text comes with it.
            if at < place {
                end = end.min(place);
            } else if at == place && !calls.begun() {
                let mut out = Vec::new();
                content.push_str(&calls.begin("", 0, &mut out));
                gather(out, &mut found);
            }
        }
        while !text.is_char_boundary(end) {
            end += 1;
        }
        let piece = text.get(at..end).unwrap_or_default();
        let mut out = Vec::new();
        match begin {
            _ if calls.begun() => calls.push(piece, &mut out),
            Begin::Behind(place) if (at..end).contains(&(place - 1)) => {
                let length = form.parts().trigger.len();
                content.push_str(&calls.begin(piece, end - place + length, &mut out));
            }
            Begin::Held(known) if end >= known => content.push_str(&calls.begin(piece, end, &mut out)),
            Begin::Held(_) => content.push_str(&calls.hold(piece)),
            _ => content.push_str(&calls.content_of(piece)),
        }
        gather(out, &mut found);
        at = end;
    }
    content.push_str(&calls.finish());
    assert_eq!(calls.content(), content.len());
    assert_eq!(calls.any(), !found.is_empty());
    (content, found)
}

fn gather(pieces: Vec<CallDelta>, into: &mut Vec<(String, String)>) {
    for piece in pieces {
        if let Some(name) = piece.name {
            into.push((name.to_string(), String::new()));
        }
        assert_eq!(piece.index + 1, into.len());
        if let Some((_, arguments)) = into.last_mut() {
            arguments.push_str(&piece.arguments);
        }
    }
}
