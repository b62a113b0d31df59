//! One answer while it is being made, step by step.
//!
//! Why apart: the caller decides between any two steps whether to go on.
//!
//! # Invariants
//! A step computes one slice of the prompt or one token. Text that may turn out to be part of a stop string
//! or of a character is held back. Pages are reserved before the first step and given back with the last, or
//! when the generation is dropped, which wipes its keys, values, ids and texts.

mod error;
mod stop;
pub mod token;

use std::collections::VecDeque;
use std::sync::Arc;

use anchorhold_kernels::race::Race;
use zeroize::{Zeroize, Zeroizing};

use crate::constraint::Constraint;
use crate::constraint::steering::{Steering, Took};
use crate::decoder::cache::Cache;
use crate::decoder::network::{Logits, Part};
use crate::decoder::{Decoder, Prompt};
use crate::sampler::Sampler;
use crate::sampler::params::Sampling;
use crate::tokenizer::TextStream;
use crate::tools::CallDelta;
use crate::tools::calls::Calls;
pub use error::GenerateError;
use stop::{Found, StopFilter};
use token::{Likelihoods, TokenInfo};

/// An answer being made. No `Clone` or `Debug`: it holds the prompt.
pub struct Generation {
    /// Of the model that it is of.
    decoder: Arc<()>,
    prompt: Prompt,
    cache: Cache,
    /// A token drawn and not yet computed.
    drawn: Zeroizing<Option<u32>>,
    /// Its row of the embedding table, where that was had with the logits; else empty.
    row: Zeroizing<Vec<f32>>,
    sampler: Sampler,
    /// The form that the answer is held to.
    steering: Option<Steering>,
    /// Logits of a token whose mask was late.
    late: Option<Zeroizing<Vec<f32>>>,
    text: TextStream,
    /// Where functions may be called.
    calls: Option<Calls>,
    stops: StopFilter,
    /// Tokens whose text has not been given out, with the length of the answer up to them.
    waiting: VecDeque<(usize, TokenInfo)>,
    /// Bytes of text that came out of the tokens, and of these, given out.
    made: usize,
    given: usize,
    completion_tokens: usize,
    most_tokens: usize,
    finished: Option<FinishReason>,
}

/// What one step did.
pub enum Step {
    /// A slice of the prompt was computed, or none when others filled this pass; more of it is to come.
    Prefilling {
        /// Tokens of the prompt computed so far.
        done: usize,
        /// Tokens of the prompt.
        total: usize,
    },
    /// One more token; or, at the end, the text that had been held back.
    Delta(Delta),
    /// The answer is complete. Further steps give the same.
    Finished(Finish),
}

/// What a generation needs computed next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The token that was drawn.
    Token,
    /// The prompt up to this position.
    Slice { to: usize },
}

/// What a generation waits for, when nothing is to be computed.
pub(crate) enum Idle {
    /// For nothing: this is the step's result.
    Nothing(Result<Step, GenerateError>),
    /// For its mask: the logits are there.
    Mask,
}

impl Next {
    /// Whether logits come of it.
    pub(crate) fn ends_in_logits(self, prompt: usize) -> bool {
        match self {
            Self::Token => true,
            Self::Slice { to } => to == prompt,
        }
    }
}

/// A piece of the answer.
pub struct Delta {
    /// May be empty while text is held back.
    pub text: Zeroizing<String>,
    /// The tokens whose text is now complete, when log probabilities were asked for. Tokens of a stop
    /// string that was cut off are not among them.
    pub tokens: Vec<TokenInfo>,
    /// Pieces of calls, after the text.
    pub calls: Vec<CallDelta>,
    /// The ids of this piece, where ids were asked for; there is no text then.
    pub ids: Zeroizing<Vec<u32>>,
}

impl Delta {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.tokens.is_empty() && self.calls.is_empty() && self.ids.is_empty()
    }
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finish {
    /// Why it ended.
    pub reason: FinishReason,
    /// What it cost.
    pub usage: Usage,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended it, or a stop string was reached.
    Stop,
    /// The limit of the request, or the end of the context, was reached.
    Length,
    /// The model ended it with calls of functions.
    ToolCalls,
}

/// Tokens computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, control tokens included.
    pub prompt_tokens: usize,
    /// Tokens drawn, the one that ended the answer included.
    pub completion_tokens: usize,
}

impl Generation {
    pub(crate) fn new(
        decoder: &Decoder,
        prompt: Prompt,
        mut sampling: Sampling,
        constraint: Option<Constraint>,
    ) -> Result<Self, GenerateError> {
        let context = decoder.network().config().context;
        let left = context.saturating_sub(prompt.len());
        let most_tokens = sampling.max_tokens().unwrap_or(left.max(1));
        if most_tokens > left {
            let exceeded = GenerateError::ContextExceeded {
                prompt: prompt.len(),
                max_tokens: most_tokens,
                context,
            };
            return Err(exceeded);
        }
        let vocabulary = decoder.network().config().vocabulary;
        if prompt.ids().iter().any(|id| *id as usize >= vocabulary) {
            return Err(GenerateError::Compute);
        }
        let cache = decoder.network().new_cache(prompt.len() + most_tokens)?;
        let stops = StopFilter::new(sampling.take_stop());
        let sampler = Sampler::new(sampling, prompt.ids(), vocabulary);
        let steering = constraint.map(|Constraint(steering)| steering);
        Ok(Self {
            decoder: Arc::clone(decoder.identity()),
            cache,
            drawn: Zeroizing::new(None),
            row: Zeroizing::new(Vec::new()),
            sampler,
            text: decoder.pieces().stream(prompt.continues()),
            calls: steering.as_ref().and_then(Steering::form).map(Calls::new),
            steering,
            late: None,
            stops,
            waiting: VecDeque::new(),
            made: 0,
            given: 0,
            completion_tokens: 0,
            most_tokens,
            finished: None,
            prompt,
        })
    }

    pub(crate) fn decoder(&self) -> &Arc<()> {
        &self.decoder
    }

    /// Whether its next step is a token, and not a slice of the prompt.
    pub(crate) fn answers(&self) -> bool {
        self.finished.is_none() && self.cache.length() >= self.prompt.len()
    }

    /// Takes what is to be computed next off `room` for prompts. `Err` when nothing is.
    pub(crate) fn plan(&self, room: &mut usize) -> Result<Next, Idle> {
        if let Some(finish) = self.finish() {
            return Err(Idle::Nothing(Ok(Step::Finished(finish))));
        }
        if self.late.is_some() {
            return Err(Idle::Mask);
        }
        let (done, total) = (self.cache.length(), self.prompt.len());
        if done >= total {
            return match *self.drawn {
                Some(_) => Ok(Next::Token),
                None => Err(Idle::Nothing(Err(GenerateError::Compute))),
            };
        }
        let to = total.min(done + *room);
        *room -= to - done;
        if to == done {
            return Err(Idle::Nothing(Ok(Step::Prefilling { done, total })));
        }
        Ok(Next::Slice { to })
    }

    /// What is to be computed.
    pub(crate) fn part(&mut self, next: Next) -> Part<'_> {
        let row = (next == Next::Token && !self.row.is_empty()).then_some(&**self.row);
        let (ids, logits) = match next {
            Next::Token => (self.drawn.as_slice(), Logits::Last),
            Next::Slice { to } => {
                let ids = self.prompt.ids().get(self.cache.length()..to).unwrap_or_default();
                let whole = to == self.prompt.len();
                (ids, if whole { Logits::Last } else { Logits::None })
            }
        };
        Part {
            ids,
            cache: &mut self.cache,
            logits,
            row,
            drawn: next == Next::Token,
        }
    }

    /// What a step was in which a slice was computed that is not the last.
    pub(crate) fn prefilling(&self) -> Step {
        Step::Prefilling {
            done: self.cache.length(),
            total: self.prompt.len(),
        }
    }

    /// The race by which its next token is drawn, where the model's own logits alone decide it.
    pub(crate) fn race(&self) -> Option<Race> {
        self.sampler.race().filter(|_| self.steering.is_none())
    }

    /// Goes on by a token, drawn by the logits. Changes them. If its race has been held, there is the `winner` with its row of the
    /// embedding table. When it is not known yet which tokens fit the answer's form,
    /// the logits are kept and nothing goes on, unless `wait` says to wait.
    pub(crate) fn advance(
        &mut self,
        decoder: &Decoder,
        logits: &mut [f32],
        winner: Option<(u32, &[f32])>,
        wait: bool,
    ) -> Result<Step, GenerateError> {
        let step = self.draw(decoder, logits, winner, wait);
        if self.finished.is_some() || step.is_err() {
            self.cache.release();
            self.row.zeroize();
        }
        step
    }

    /// As [`Self::advance`], by logits that were kept.
    pub(crate) fn advance_late(&mut self, decoder: &Decoder, wait: bool) -> Result<Step, GenerateError> {
        match self.late.take() {
            Some(mut logits) => self.advance(decoder, &mut logits, None, wait),
            None => Err(GenerateError::Compute),
        }
    }

    /// Draws the next token and makes text of it.
    fn draw(
        &mut self,
        decoder: &Decoder,
        logits: &mut [f32],
        winner: Option<(u32, &[f32])>,
        wait: bool,
    ) -> Result<Step, GenerateError> {
        *self.drawn = None;
        self.row.zeroize();
        // Before the mask, whose infinities are no fault.
        Sampler::check(logits)?;
        let likelihoods = self
            .sampler
            .params()
            .logprobs
            .map(|top| Likelihoods::of(logits, top));
        if let Some(steering) = &mut self.steering
            && !steering.restrict(logits, wait)?
        {
            self.late = Some(Zeroizing::new(logits.to_vec()));
            return Ok(Step::Delta(self.give(Zeroizing::new(String::new()), Vec::new())));
        }
        let kernels = decoder.network().machine().kernels;
        let id = self.sampler.draw(kernels, logits, winner.map(|(id, _)| id));
        self.row
            .extend_from_slice(winner.map(|(_, row)| row).unwrap_or_default());
        self.completion_tokens += 1;
        if decoder.stops_at(id) {
            return Ok(self.end());
        }
        let took = match &mut self.steering {
            Some(steering) => steering.take(id)?,
            None => Took::Text,
        };
        if self.sampler.params().return_ids {
            return Ok(Step::Delta(self.give_id(id, took == Took::Ended)));
        }
        let mut text = Zeroizing::new(String::new());
        self.text.push(decoder.pieces().bytes(id), &mut text);
        let mut calls = Vec::new();
        let text = self.content(
            text,
            took,
            likelihoods.map(|of| of.report(id, decoder.pieces())),
            &mut calls,
        );
        let mut out = Zeroizing::new(String::new());
        if self.stops.push(&text, &mut out) == Found::Stop {
            self.finished = Some(FinishReason::Stop);
            let delta = self.give(out, Vec::new());
            self.waiting.clear();
            return Ok(Step::Delta(delta));
        }
        let over = self.completion_tokens >= self.most_tokens;
        if took == Took::Ended || over {
            let reason = if took == Took::Ended {
                self.reason()
            } else {
                FinishReason::Length
            };
            self.finished = Some(match self.flush(&mut out) {
                Found::Stop => FinishReason::Stop,
                Found::No => reason,
            });
        } else {
            *self.drawn = Some(id);
        }
        Ok(Step::Delta(self.give(out, calls)))
    }

    /// What of a token's text is content. The rest goes to the calls.
    fn content(
        &mut self,
        text: Zeroizing<String>,
        took: Took,
        token: Option<TokenInfo>,
        into: &mut Vec<CallDelta>,
    ) -> Zeroizing<String> {
        let content = match (&mut self.calls, took) {
            (Some(calls), _) if calls.begun() => {
                calls.push(&text, into);
                return Zeroizing::new(String::new());
            }
            (Some(calls), Took::Begins(rest)) => {
                let content = calls.begin(&text, rest, into);
                self.made = calls.content();
                let made = self.made;
                self.waiting.retain(|(end, _)| *end <= made);
                return content;
            }
            (Some(calls), Took::Open) => calls.hold(&text),
            (Some(calls), _) => calls.content_of(&text),
            (None, _) => Zeroizing::new(text.to_string()),
        };
        self.made += text.len();
        self.waiting.extend(token.map(|token| (self.made, token)));
        content
    }

    /// Why an answer ends that its model, or its form, ends.
    fn reason(&self) -> FinishReason {
        match &self.calls {
            Some(calls) if calls.any() => FinishReason::ToolCalls,
            _ => FinishReason::Stop,
        }
    }

    /// Tokens computed so far.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage {
            prompt_tokens: self.prompt.len(),
            completion_tokens: self.completion_tokens,
        }
    }

    /// How it ended, once it has; further steps would say the same.
    #[must_use]
    pub fn finish(&self) -> Option<Finish> {
        self.finished.map(|reason| Finish {
            reason,
            usage: self.usage(),
        })
    }

    /// The model ended the answer: gives out what was held back, if anything.
    fn end(&mut self) -> Step {
        let reason = self.reason();
        self.finished = Some(reason);
        let mut out = Zeroizing::new(String::new());
        self.flush(&mut out);
        let delta = self.give(out, Vec::new());
        if delta.is_empty() {
            return Step::Finished(Finish {
                reason,
                usage: self.usage(),
            });
        }
        Step::Delta(delta)
    }

    /// Ends the texts: a stop string may still be found in what a half character becomes.
    fn flush(&mut self, out: &mut Zeroizing<String>) -> Found {
        let mut rest = Zeroizing::new(String::new());
        self.text.finish(&mut rest);
        if let Some(calls) = &mut self.calls {
            let half = if calls.begun() {
                Zeroizing::new(String::new())
            } else {
                rest
            };
            self.made += half.len();
            rest = calls.finish();
            rest.push_str(&half);
        } else {
            self.made += rest.len();
        }
        let found = self.stops.push(&rest, out);
        if found == Found::No {
            self.stops.finish(out);
        }
        found
    }

    /// A token as it is: its text is made elsewhere.
    fn give_id(&mut self, id: u32, ended: bool) -> Delta {
        if ended {
            self.finished = Some(self.reason());
        } else if self.completion_tokens >= self.most_tokens {
            self.finished = Some(FinishReason::Length);
        } else {
            *self.drawn = Some(id);
        }
        Delta {
            text: Zeroizing::new(String::new()),
            tokens: Vec::new(),
            calls: Vec::new(),
            ids: Zeroizing::new(vec![id]),
        }
    }

    fn give(&mut self, text: Zeroizing<String>, calls: Vec<CallDelta>) -> Delta {
        self.given += text.len();
        let complete = self
            .waiting
            .iter()
            .take_while(|(end, _)| *end <= self.given)
            .count();
        let tokens = self.waiting.drain(..complete).map(|(_, info)| info).collect();
        Delta {
            text,
            tokens,
            calls,
            ids: Zeroizing::new(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests;
