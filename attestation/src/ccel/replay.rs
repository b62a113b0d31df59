//! Log against registers, and the search for the event that is to blame.
//!
//! Why apart: [`ReplayedLog`] has a private field declared here, so only this file can make one.
//!
//! # Invariants
//! A register starts at zero and becomes SHA-384(register, digest) with each event of its own that is not EV_NO_ACTION
//! (Intel TDX Module ABI, TDG.MR.RTMR.EXTEND). A register without events must be zero. The search does at most
//! [`limits::EVENT_SEARCH`] squared hashes and cannot turn a refusal into anything else.

use anchorhold_encoding::Digest;

use super::error::{CcelError, Divergence};
use super::{Event, EventLog, Register, sha384};
use crate::limits;
use crate::tdx::VerifiedQuote;

const ZERO: Digest<48> = Digest::new([0; 48]);

/// A log that gives the registers of a verified quote, all four. Not Clone, and made only by [`EventLog::replay`]:
///
/// ```compile_fail
/// use anchorhold_attestation::ccel::{EventLog, ReplayedLog};
/// fn forge(log: EventLog) -> ReplayedLog { ReplayedLog(log) }
/// ```
#[derive(Debug)]
#[must_use]
pub struct ReplayedLog(EventLog);

impl ReplayedLog {
    /// The events, in the order of the log. Those of MRTD and of type EV_NO_ACTION are in no register, so their digests
    /// are not proven.
    pub fn events(&self) -> &[Event] {
        &self.0.events
    }

    /// The events that `register` was made of, in order.
    pub fn extended(&self, register: Register) -> impl Iterator<Item = &Event> {
        self.0
            .of(register)
            .map(|(_, event)| event)
            .filter(move |_| register != Register::Mrtd)
    }
}

impl EventLog {
    /// Proves that the log is the story of the quote's registers.
    ///
    /// # Errors
    /// [`CcelError::Register`]: the first register that does not come out, and the event to blame where it can be told.
    pub fn replay(self, quote: &VerifiedQuote) -> Result<ReplayedLog, CcelError> {
        self.against(&quote.body().rtmr)
    }

    pub(super) fn against(self, registers: &[Digest<48>; 4]) -> Result<ReplayedLog, CcelError> {
        for (register, wanted) in Register::EXTENDED.into_iter().zip(registers) {
            if self.value(register) != *wanted {
                return Err(CcelError::Register {
                    register,
                    divergence: self.divergence(register, wanted),
                });
            }
        }
        Ok(ReplayedLog(self))
    }

    /// The events that go into `register`, with their places in the log.
    fn of(&self, register: Register) -> impl Iterator<Item = (usize, &Event)> {
        let events = self.events.iter().enumerate();
        events.filter(move |(_, event)| event.register == register && event.extends())
    }

    /// What the log makes of a register.
    pub(super) fn value(&self, register: Register) -> Digest<48> {
        self.of(register)
            .fold(ZERO, |value, (_, event)| extend(&value, &event.digest))
    }

    fn divergence(&self, register: Register, wanted: &Digest<48>) -> Divergence {
        let events: Vec<(usize, Digest<48>)> =
            self.of(register).map(|(at, event)| (at, event.digest)).collect();
        if events.is_empty() {
            return Divergence::Unlogged;
        }
        let mut value = ZERO;
        for (at, digest) in &events {
            if value == *wanted {
                return Divergence::Unextended(*at);
            }
            value = extend(&value, digest);
        }
        if events.len() > limits::EVENT_SEARCH {
            return Divergence::Unknown;
        }
        let mut before = ZERO;
        let mut rest = events.as_slice();
        while let [(at, digest), tail @ ..] = rest {
            if fold(&before, tail.iter()) == *wanted {
                return Divergence::Surplus(*at);
            }
            if let [next, after @ ..] = tail {
                let exchanged = extend(&extend(&before, &next.1), digest);
                if fold(&exchanged, after.iter()) == *wanted {
                    return Divergence::Exchanged(*at);
                }
            }
            before = extend(&before, digest);
            rest = tail;
        }
        Divergence::Unknown
    }
}

fn extend(value: &Digest<48>, digest: &Digest<48>) -> Digest<48> {
    sha384(&[value.as_bytes(), digest.as_bytes()])
}

fn fold<'a>(start: &Digest<48>, events: impl Iterator<Item = &'a (usize, Digest<48>)>) -> Digest<48> {
    events.fold(*start, |value, (_, digest)| extend(&value, digest))
}
