//! Why a log is refused: which check, and where.
//!
//! Why apart: the identifiers are an interface, as those of [`crate::tdx`] are.
//!
//! # Invariants
//! No text of the input. An event is named by its place in the log, from 0, the header not counted.

use std::fmt;

use super::Register;

/// Checks of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CcelCheck {
    /// Not larger than [`crate::limits::EVENT_LOG`], and no part ends early.
    Length,
    /// The header is that of a crypto-agile log, version 2.0.
    Header,
    /// The algorithms named have their sizes, SHA-384 is one of them, none is twice.
    Algorithms,
    /// Not more than [`crate::limits::EVENTS`].
    Count,
    /// An index of a register.
    RegisterIndex,
    /// One digest for each algorithm of the header.
    Digests,
    /// What follows the last event is one filler, 0xff or zero.
    Filler,
    /// The digest of an event is that of its data, where its type says so.
    Data,
    /// dstack's JSON has its shape.
    Shape,
    /// The digest of a runtime event is by dstack's rule.
    RuntimeRule,
    /// The log gives the registers.
    Replay,
}

impl CcelCheck {
    /// Each of them, in the order of checking.
    pub const ALL: [Self; 11] = [
        Self::Length,
        Self::Header,
        Self::Algorithms,
        Self::Count,
        Self::RegisterIndex,
        Self::Digests,
        Self::Filler,
        Self::Data,
        Self::Shape,
        Self::RuntimeRule,
        Self::Replay,
    ];

    /// The stable identifier.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Length => "ccel-length",
            Self::Header => "ccel-header",
            Self::Algorithms => "ccel-algorithms",
            Self::Count => "ccel-count",
            Self::RegisterIndex => "ccel-register-index",
            Self::Digests => "ccel-digests",
            Self::Filler => "ccel-filler",
            Self::Data => "ccel-data",
            Self::Shape => "ccel-dstack-shape",
            Self::RuntimeRule => "ccel-dstack-rule",
            Self::Replay => "ccel-replay",
        }
    }
}

/// How a log and a register differ, as far as the digests tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Divergence {
    /// This event and what follows it were logged, but the register stops before them.
    Unextended(usize),
    /// Without this event the register comes out: it was added to the log, or belongs to another register.
    Surplus(usize),
    /// With this event and the next of its register exchanged, the register comes out.
    Exchanged(usize),
    /// The register was extended, and the log has nothing for it.
    Unlogged,
    /// Something else: a digest was altered, an event is missing, or several of these.
    Unknown,
}

/// A log is not the story of the registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CcelError {
    /// The bytes are not a log.
    Log {
        /// The check that failed.
        check: CcelCheck,
        /// Offset into the log.
        offset: usize,
    },
    /// An event is not what its digest says.
    Event {
        /// The check that failed.
        check: CcelCheck,
        /// Its place in the log.
        event: usize,
    },
    /// A register does not come out.
    Register {
        /// Which.
        register: Register,
        /// How they differ.
        divergence: Divergence,
    },
}

impl CcelError {
    /// The identifier of the check that failed.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        match self {
            Self::Log { check, .. } | Self::Event { check, .. } => check.id(),
            Self::Register { .. } => CcelCheck::Replay.id(),
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Log { .. } => {
                "give the bytes of /sys/firmware/acpi/tables/data/CCEL, or dstack's log where asked for"
            }
            Self::Event { .. } => "the event was altered after it was measured; do not trust what it says",
            Self::Register {
                divergence: Divergence::Unextended(_),
                ..
            } => "take quote and log together: the log is newer than the quote, or was added to",
            Self::Register {
                divergence: Divergence::Unlogged | Divergence::Unknown,
                ..
            } => {
                "take quote and log from the same machine and boot; or the register was extended without a log"
            }
            Self::Register { .. } => "the log was altered",
        }
    }
}

impl fmt::Display for CcelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log { check, offset } => write!(f, "the event log {} (byte {offset})", wrong(*check)),
            Self::Event { check, event } => write!(f, "event {event} {}", wrong(*check)),
            Self::Register { register, divergence } => {
                write!(f, "{} is not what the log gives: ", register.name())?;
                match divergence {
                    Divergence::Unextended(event) => write!(f, "it ends before event {event}"),
                    Divergence::Surplus(event) => write!(f, "event {event} is not in it"),
                    Divergence::Exchanged(event) => write!(f, "event {event} and the next are exchanged"),
                    Divergence::Unlogged => f.write_str("it was extended without a log"),
                    Divergence::Unknown => f.write_str("digests are altered or missing"),
                }
            }
        }
    }
}

const fn wrong(check: CcelCheck) -> &'static str {
    match check {
        CcelCheck::Length => "is too long, or ends early",
        CcelCheck::Header => "has no header of a crypto-agile log",
        CcelCheck::Algorithms => "names other algorithms, or wrong sizes",
        CcelCheck::Count => "has too many events",
        CcelCheck::RegisterIndex => "names a register that does not exist",
        CcelCheck::Digests => "has other digests than its header names",
        CcelCheck::Filler => "is followed by something that is not filler",
        CcelCheck::Data => "has data of another digest",
        CcelCheck::Shape => "is not a log of dstack",
        CcelCheck::RuntimeRule => "has a digest that is not by dstack's rule",
        CcelCheck::Replay => "does not give the registers",
    }
}

impl std::error::Error for CcelError {}
