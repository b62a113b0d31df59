//! The replay of an event log, told check by check.
//!
//! Why apart: [`EventLog`] stops at the first check that fails; a person wants to see which event it was.
//!
//! # Invariants
//! The verdict is that of [`EventLog::parse`], [`EventLog::parse_dstack`] and [`EventLog::replay`].

use super::error::{CcelCheck, CcelError, Divergence};
use super::{EventLog, Register, ReplayedLog};
use crate::tdx::VerifiedQuote;
use crate::trace::text::hex;
use crate::trace::{Plan, Refusal, Trace};

/// Which form of a log it is: nothing guesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogForm {
    /// The binary log of firmware and kernel.
    Ccel,
    /// dstack's JSON, by dstack's rule.
    Dstack,
}

/// Reads a log, replays it against the registers of `quote`, and tells every check. Without a verified quote there is
/// nothing to replay against, and no verdict where the log has its form.
pub fn explain(log: &[u8], form: LogForm, quote: Option<&VerifiedQuote>) -> Trace<ReplayedLog, CcelError> {
    let parsed = match form {
        LogForm::Ccel => EventLog::parse(log),
        LogForm::Dstack => EventLog::parse_dstack(log),
    };
    let events = parsed.as_ref().ok().map(|log| log.events.len());
    let verdict = match (parsed, quote) {
        (Err(error), _) => Some(Err(error)),
        (Ok(_), None) => None,
        (Ok(log), Some(quote)) => Some(log.replay(quote)),
    };
    let refused = verdict.as_ref().and_then(|one| one.as_ref().err());
    let checks = order(form, quote.is_some()).trace(refused, |step| of(step, log.len(), events, quote));
    Trace { checks, verdict }
}

fn of(step: &CcelError, length: usize, events: Option<usize>, quote: Option<&VerifiedQuote>) -> String {
    match (step, events, quote) {
        (CcelError::Register { .. }, _, Some(quote)) => {
            let registers = Register::EXTENDED.iter().zip(&quote.body().rtmr);
            let texts = registers.map(|(register, value)| {
                let (start, _) = value.as_bytes().split_at(6);
                format!("{} {}...", register.name(), hex(start))
            });
            format!("quote: {}", texts.collect::<Vec<_>>().join(", "))
        }
        (
            CcelError::Log {
                check: CcelCheck::Length,
                ..
            },
            ..,
        ) => format!("{length} bytes"),
        (
            CcelError::Log {
                check: CcelCheck::Count,
                ..
            },
            Some(events),
            _,
        ) => format!("{events} events"),
        _ => String::new(),
    }
}

impl Refusal for CcelError {
    fn id(&self) -> &'static str {
        self.id()
    }

    fn hint(&self) -> &'static str {
        self.hint()
    }

    fn whose(&self) -> &'static str {
        "event log"
    }

    fn found(&self) -> String {
        self.to_string()
    }
}

/// The order of the parsers, whose checks of events come again with each event, and of the replay.
fn order(form: LogForm, replayed: bool) -> Plan<CcelError> {
    let log = |check| CcelError::Log { check, offset: 0 };
    let binary = [
        CcelCheck::Header,
        CcelCheck::Algorithms,
        CcelCheck::Filler,
        CcelCheck::Count,
        CcelCheck::RegisterIndex,
        CcelCheck::Digests,
        CcelCheck::Data,
    ];
    let json = [
        CcelCheck::Shape,
        CcelCheck::Count,
        CcelCheck::RegisterIndex,
        CcelCheck::RuntimeRule,
    ];
    let ended = [
        CcelCheck::Length,
        CcelCheck::Filler,
        CcelCheck::Count,
        CcelCheck::RegisterIndex,
        CcelCheck::Digests,
        CcelCheck::Shape,
    ];
    let mut plan = Plan::new();
    plan.then(log(CcelCheck::Length));
    let (mine, others): (&[CcelCheck], &[CcelCheck]) = match form {
        LogForm::Ccel => (&binary, &json),
        LogForm::Dstack => (&json, &binary),
    };
    plan.all(mine.iter().copied().map(log));
    let foreign = others.iter().filter(|check| !mine.contains(check));
    plan.none(foreign.copied().map(log), "the log is of the other form");
    plan.all(
        ended
            .into_iter()
            .filter(|check| *check == CcelCheck::Length || mine.contains(check))
            .map(log),
    );
    let replay = [CcelError::Register {
        register: Register::Rtmr0,
        divergence: Divergence::Unknown,
    }];
    if replayed {
        plan.all(replay);
    } else {
        plan.none(replay, "there is no verified quote to replay it against");
    }
    plan
}
