//! When an answer is held to its grammar.
//!
//! Why apart: an answer that may call functions is free until it begins a call, or held to its format unless it is one.
//!
//! # Invariants
//! What begins calls is found in the bytes of the tokens, wherever tokens end. A call is begun only when what its token had
//! behind that begin fits the grammar; otherwise it is text. Where text has a format, an answer is held to both grammars at
//! once for as long as it may be either, and is a call when it could be both up to its arguments.

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
    /// That of the text's format, while the answer may be either.
    text: Option<Parser>,
    calls: Option<Watch>,
}

/// Looks out for what begins calls.
pub(super) struct Watch {
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
    /// It may be text or of calls: it is not known before more comes.
    Open,
    /// Calls begin so many bytes before its end, what begins them included.
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
            text: None,
            calls: None,
        }
    }

    /// Text, until calls begin: at once, by the tokens in `forced`, or when the model begins one.
    pub(super) fn calls(parser: Parser, mut watch: Watch, forced: Vec<u32>) -> Self {
        watch.forced = forced.into();
        Self {
            parser,
            held: false,
            text: None,
            calls: Some(watch),
        }
    }

    /// Calls from the first token on, or what the grammar of `text` says.
    pub(super) fn either(calls: Parser, text: Parser, watch: Watch) -> Self {
        Self {
            parser: calls,
            held: true,
            text: Some(text),
            calls: Some(watch),
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
        let Some(text) = &mut self.text else {
            return if self.held {
                self.parser.restrict(logits, wait)
            } else {
                Ok(true)
            };
        };
        let token = self.calls.as_ref().and_then(|watch| watch.form.token());
        let Some(token) = token.map(|token| token as usize) else {
            return self.parser.restrict_either(text, logits, wait);
        };
        // One token begins the calls, and what follows it is all that their grammar has.
        let begins = logits.get(token).copied();
        let known = text.restrict(logits, wait)?;
        if let (Some(likelihood), Some(logit)) = (begins, logits.get_mut(token)) {
            *logit = likelihood;
        }
        Ok(known)
    }

    /// Goes on by a token that may come next.
    pub(crate) fn take(&mut self, id: u32) -> Result<Took, Exceeded> {
        if let Some(text) = self.text.take() {
            return self.take_either(id, text);
        }
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
        Ok(Took::Begins(watch.spelled() + rest.len()))
    }

    /// Goes on by a token of the text, of calls, or of what may be either.
    fn take_either(&mut self, id: u32, mut text: Parser) -> Result<Took, Exceeded> {
        let watch = self.calls.as_mut().ok_or(Exceeded)?;
        let (calls, fits_text) = if let Some(token) = watch.form.token() {
            if id == token {
                return Ok(Took::Begins(0));
            }
            (false, true)
        } else {
            (self.parser.allows(id)?, text.allows(id)?)
        };
        watch.seen.extend_from_slice(watch.pieces.bytes(id));
        if calls && self.parser.take(&[id])? == Goes::Ended {
            return Err(Exceeded);
        }
        if calls && (!fits_text || watch.names()) {
            return Ok(Took::Begins(watch.seen.len()));
        }
        let goes = text.take(&[id])?;
        if !calls {
            self.parser = text;
        } else if goes == Goes::On {
            self.text = Some(text);
            return Ok(Took::Open);
        }
        Ok(match goes {
            Goes::On => Took::Text,
            Goes::Ended => Took::Ended,
        })
    }
}

impl Watch {
    pub(super) fn new(form: Form, spelling: Arc<dyn Spelling>, pieces: Arc<Pieces>) -> Self {
        Self {
            form,
            spelling,
            pieces,
            forced: VecDeque::new(),
            seen: Zeroizing::new(Vec::new()),
            possible: true,
        }
    }

    /// Bytes of text that begin calls.
    fn spelled(&self) -> usize {
        match self.form.token() {
            Some(_) => 0,
            None => self.form.parts().trigger.len(),
        }
    }

    /// Whether the answer so far names a function and comes to its arguments.
    fn names(&self) -> bool {
        let parts = self.form.parts();
        let behind = |rest: &mut &[u8], part: &str| match rest.strip_prefix(part.as_bytes()) {
            Some(left) => {
                *rest = left;
                true
            }
            None => false,
        };
        let mut rest = self.seen.as_slice();
        if !behind(&mut rest, parts.trigger) || !(behind(&mut rest, parts.head)) {
            return false;
        }
        let name = rest.iter().position(|byte| *byte == b'"');
        let rest = name.and_then(|end| rest.get(end..)).unwrap_or_default();
        rest.starts_with(parts.middle.as_bytes())
    }

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
