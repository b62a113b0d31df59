//! Which tokens may come next, computed on threads of its own beside the pass that computes their logits.
//!
//! Why apart: the grammar's parser is at one moment with the answer and at another with a thread.
//!
//! # Invariants
//! What a mask allows depends on the grammar and on the tokens before, not on threads or time. A thread that has nothing to
//! do sleeps; all end with the last grammar of their model.

use std::sync::mpsc::{self, Receiver, Sender, SyncSender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};

use anchorhold_memory::stack;
use llguidance::Matcher;
use llguidance::toktrie::SimpleVob;

/// A grammar cannot be kept to any more: it took more steps than are taken, or no token fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exceeded;

/// Threads that compute masks.
pub(super) struct Masks {
    work: Mutex<Sender<Work>>,
}

struct Work {
    parser: Box<Matcher>,
    reply: SyncSender<Computed>,
}

struct Computed {
    parser: Box<Matcher>,
    mask: Option<SimpleVob>,
}

impl Masks {
    /// `None` when the system gives no thread.
    pub(super) fn start(threads: usize) -> Option<Self> {
        let (work, queue) = mpsc::channel::<Work>();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads.max(1) {
            let queue = Arc::clone(&queue);
            let run = move || {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(Work { mut parser, reply }) = next else {
                        return;
                    };
                    // The library catches its own panics and gives an error.
                    let mask = parser.compute_mask().ok();
                    // An answer that was given up needs no mask.
                    let _ = reply.send(Computed { parser, mask });
                    stack::scrub();
                }
            };
            std::thread::Builder::new()
                .name("mask".to_owned())
                .spawn(run)
                .ok()?;
        }
        Some(Self {
            work: Mutex::new(work),
        })
    }
}

/// A grammar's parser somewhere in an answer.
pub(super) struct Parser {
    masks: Arc<Masks>,
    at: At,
}

enum At {
    /// A thread has it.
    Work(Receiver<Computed>),
    Here(Computed),
    /// A thread is gone with it, or it failed.
    Lost,
}

/// Whether an answer goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goes {
    On,
    /// The grammar has come to its end.
    Ended,
}

impl Parser {
    /// With its first mask, which shows whether anything fits at all.
    pub(super) fn new(mut parser: Box<Matcher>, masks: Arc<Masks>) -> Result<Self, Exceeded> {
        let mask = Some(parser.compute_mask().map_err(|_| Exceeded)?);
        Ok(Self {
            masks,
            at: At::Here(Computed { parser, mask }),
        })
    }

    /// Takes away the likelihood of every token that does not fit. `Ok(false)` when the mask is not there yet, which only
    /// happens without `wait`.
    pub(super) fn restrict(&mut self, logits: &mut [f32], wait: bool) -> Result<bool, Exceeded> {
        if !self.ready(wait)? {
            return Ok(false);
        }
        keep(self.mask()?.iter().copied(), logits);
        Ok(true)
    }

    /// As [`Self::restrict`], of every token that fits neither this nor the other.
    pub(super) fn restrict_either(
        &mut self,
        other: &mut Self,
        logits: &mut [f32],
        wait: bool,
    ) -> Result<bool, Exceeded> {
        if !self.ready(wait)? || !other.ready(wait)? {
            return Ok(false);
        }
        // Both are of one vocabulary.
        let both = self.mask()?.iter().zip(other.mask()?);
        keep(both.map(|(one, other)| one | other), logits);
        Ok(true)
    }

    /// Whether a token fits. The mask is there.
    pub(super) fn allows(&self, id: u32) -> Result<bool, Exceeded> {
        let word = self.mask()?.get(id as usize / 32);
        Ok(word.is_some_and(|word| word >> (id % 32) & 1 == 1))
    }

    /// Whether the mask is there.
    fn ready(&mut self, wait: bool) -> Result<bool, Exceeded> {
        if let At::Work(reply) = &self.at {
            let computed = if wait {
                reply.recv().map_err(|_| Exceeded)
            } else {
                match reply.try_recv() {
                    Ok(computed) => Ok(computed),
                    Err(TryRecvError::Empty) => return Ok(false),
                    Err(TryRecvError::Disconnected) => Err(Exceeded),
                }
            };
            self.at = computed.map_or(At::Lost, At::Here);
        }
        Ok(true)
    }

    fn mask(&self) -> Result<&[u32], Exceeded> {
        match &self.at {
            At::Here(Computed { mask: Some(mask), .. }) => Ok(mask.as_slice()),
            _ => Err(Exceeded),
        }
    }

    /// Goes on by tokens that fit, of which only the last was drawn, and has the next mask computed.
    pub(super) fn take(&mut self, tokens: &[u32]) -> Result<Goes, Exceeded> {
        let At::Here(Computed { mut parser, .. }) = std::mem::replace(&mut self.at, At::Lost) else {
            return Err(Exceeded);
        };
        parser.consume_tokens(tokens).map_err(|_| Exceeded)?;
        if parser.is_stopped() {
            return if parser.stop_reason().is_ok() {
                Ok(Goes::Ended)
            } else {
                Err(Exceeded)
            };
        }
        let (reply, computed) = mpsc::sync_channel(1);
        let work = Work { parser, reply };
        let sender = self.masks.work.lock().unwrap_or_else(PoisonError::into_inner);
        sender.send(work).map_err(|_| Exceeded)?;
        drop(sender);
        self.at = At::Work(computed);
        Ok(Goes::On)
    }

    /// Whether all of `tokens` fit, one after the other. Changes nothing.
    pub(super) fn fits(&mut self, tokens: &[u32]) -> bool {
        let At::Here(Computed { parser, .. }) = &mut self.at else {
            return false;
        };
        parser
            .validate_tokens(tokens)
            .is_ok_and(|count| count == tokens.len())
    }
}

/// Keeps the likelihood of tokens whose bits are set.
fn keep(words: impl Iterator<Item = u32>, logits: &mut [f32]) {
    // A row longer than the vocabulary has no tokens there.
    let words = words.chain(std::iter::repeat(0));
    for (word, logits) in words.zip(logits.chunks_mut(32)) {
        for (bit, logit) in logits.iter_mut().enumerate() {
            if word >> bit & 1 == 0 {
                *logit = f32::NEG_INFINITY;
            }
        }
    }
}
