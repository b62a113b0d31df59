//! When an answer is held to its grammar.
//!
//! Why apart: an answer that may call functions is free until it begins a call.
//!
//! # Invariants
//! What begins calls is found in the bytes of the tokens, wherever tokens end. A call is begun only when what its token had
//! behind that begin fits the grammar; otherwise it is text.

use std::collections::VecDeque;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::mask::{Exceeded, Goes, Parser};
use crate::tokenizer::Pieces;
use crate::tools::form::Form;

/// The grammar of an answer, and where in it the answer is.
pub(crate) struct Steering {
    parser: Parser,
    /// The grammar holds now.
    held: bool,
    calls: Option<Watch>,
}

/// Looks out for what begins calls.
struct Watch {
    form: Form,
    spelling: Arc<dyn Spelling>,
    pieces: Arc<Pieces>,
    /// Tokens that come next whatever the model finds likely.
    forced: VecDeque<u32>,
    /// The last bytes of the answer, where the begin may lie; all of them until one cannot be in it.
    seen: Zeroizing<Vec<u8>>,
    /// Calls can still begin.
    possible: bool,
}

/// Turns bytes into tokens, in any way that gives the bytes.
pub(super) trait Spelling: Send + Sync {
    /// None when no tokens give them.
    fn spell(&self, bytes: &[u8]) -> Option<Vec<u32>>;
}

/// What a token was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Took {
    /// Text, as far as is known.
    Text,
    /// Calls begin in it, so many bytes before its end.
    Begins(usize),
    /// The last of its grammar.
    Ended,
}

impl Steering {
    /// The answer is what the grammar says.
    pub(super) fn throughout(parser: Parser) -> Self {
        Self {
            parser,
            held: true,
            calls: None,
        }
    }

    /// Text, until calls begin: at once, by the tokens in `forced`, or when the model begins one.
    pub(super) fn calls(
        parser: Parser,
        form: Form,
        spelling: Arc<dyn Spelling>,
        pieces: Arc<Pieces>,
        forced: Vec<u32>,
    ) -> Self {
        Self {
            parser,
            held: false,
            calls: Some(Watch {
                form,
                spelling,
                pieces,
                forced: forced.into(),
                seen: Zeroizing::new(Vec::new()),
                possible: true,
            }),
        }
    }

    /// The form of calls, where functions may be called.
    pub(crate) fn form(&self) -> Option<Form> {
        self.calls.as_ref().map(|watch| watch.form)
    }

    /// Takes away the likelihood of tokens that may not come next. `Ok(false)` when it is not known yet which those are,
    /// which only happens without `wait`; nothing is changed then.
    pub(crate) fn restrict(&mut self, logits: &mut [f32], wait: bool) -> Result<bool, Exceeded> {
        if let Some(forced) = self.calls.as_ref().and_then(|watch| watch.forced.front()) {
            for (id, logit) in (0u32..).zip(logits) {
                if id != *forced {
                    *logit = f32::NEG_INFINITY;
                }
            }
            return Ok(true);
        }
        if self.held {
            self.parser.restrict(logits, wait)
        } else {
            Ok(true)
        }
    }

    /// Goes on by a token that may come next.
    pub(crate) fn take(&mut self, id: u32) -> Result<Took, Exceeded> {
        if self.held {
            return Ok(match self.parser.take(&[id])? {
                Goes::On => Took::Text,
                Goes::Ended => Took::Ended,
            });
        }
        let Some(watch) = &mut self.calls else {
            return Ok(Took::Text);
        };
        watch.forced.pop_front();
        let Some(rest) = watch.see(id) else {
            return Ok(Took::Text);
        };
        if !rest.is_empty() {
            // What came with the begin is given to the grammar as if it had been drawn after it.
            let tokens = watch
                .spelling
                .spell(&rest)
                .filter(|tokens| self.parser.fits(tokens));
            match tokens {
                Some(tokens) if self.parser.take(&tokens)? == Goes::On => {}
                _ => return Ok(Took::Text),
            }
        }
        self.held = true;
        Ok(Took::Begins(rest.len()))
    }
}

impl Watch {
    /// What stands in this token behind the begin of calls, when that is in it.
    fn see(&mut self, id: u32) -> Option<Zeroizing<Vec<u8>>> {
        if !self.possible {
            return None;
        }
        if let Some(token) = self.form.token() {
            return (id == token).then(|| Zeroizing::new(Vec::new()));
        }
        let parts = self.form.parts();
        let trigger = parts.trigger.as_bytes();
        let new = self.pieces.bytes(id);
        self.seen.extend_from_slice(new);
        if parts.anchored {
            let begin = self.seen.trim_ascii_start();
            let rest = begin
                .strip_prefix(trigger)
                .map(|rest| Zeroizing::new(rest.to_vec()));
            self.possible = trigger.starts_with(begin);
            return rest;
        }
        let place = self
            .seen
            .windows(trigger.len())
            .position(|window| window == trigger);
        let rest = place.and_then(|place| self.seen.get(place + trigger.len()..));
        let rest = rest.map(|rest| Zeroizing::new(rest.to_vec()));
        let kept = self.seen.len().min(trigger.len() - 1);
        self.seen = Zeroizing::new(
            self.seen
                .get(self.seen.len() - kept..)
                .unwrap_or_default()
                .to_vec(),
        );
        rest
    }
}
