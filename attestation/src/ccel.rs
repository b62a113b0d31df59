//! The event log of a confidential machine: what its registers were made of, one event at a time.
//!
//! Why apart: a register is one number; the log is its story, told by the untrusted host's side of memory. Only a log
//! that gives exactly the registers of a verified quote is worth reading, and this makes that a type.
//!
//! - [`log`]: the binary log of firmware and kernel (ACPI table CCEL), bounded
//! - [`dstack`]: dstack's JSON log with its own rule for runtime events, only where asked for by name
//! - [`replay`]: log against registers, and which event is to blame when they differ
//! - [`error`]: why not, with identifiers
//! - [`mod@explain`]: the same, check by check
//!
//! # Invariants
//! A [`ReplayedLog`] exists only if all four registers came out. Even then the log proves digests; data is proven only
//! where an event's digest is that of its data ([`Event::measured_data`]).

use anchorhold_encoding::Digest;
use aws_lc_rs::digest;

mod dstack;
mod error;
mod explain;
mod log;
mod replay;

pub use error::{CcelCheck, CcelError, Divergence};
pub use explain::{LogForm, explain};
pub use replay::ReplayedLog;

/// A measurement register, by its index in a CC event log (UEFI 2.10, section 38.4.1, table for Intel TDX).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Register {
    /// Index 0: the build measurement, which is not made by extending.
    Mrtd,
    /// Index 1: PCR 1 and 7 of a PC.
    Rtmr0,
    /// Index 2: PCR 2 to 6.
    Rtmr1,
    /// Index 3: PCR 8 to 15.
    Rtmr2,
    /// Index 4: for the workload.
    Rtmr3,
}

impl Register {
    /// Those that are extended, in the order of a quote.
    pub const EXTENDED: [Self; 4] = [Self::Rtmr0, Self::Rtmr1, Self::Rtmr2, Self::Rtmr3];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mrtd => "MRTD",
            Self::Rtmr0 => "RTMR0",
            Self::Rtmr1 => "RTMR1",
            Self::Rtmr2 => "RTMR2",
            Self::Rtmr3 => "RTMR3",
        }
    }

    const fn from_index(index: u32) -> Option<Self> {
        match index {
            0 => Some(Self::Mrtd),
            1 => Some(Self::Rtmr0),
            2 => Some(Self::Rtmr1),
            3 => Some(Self::Rtmr2),
            4 => Some(Self::Rtmr3),
            _ => None,
        }
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    register: Register,
    kind: u32,
    digest: Digest<48>,
    data: Vec<u8>,
    name: Option<String>,
    measured: bool,
}

impl Event {
    /// EV_NO_ACTION (TCG PC Client Platform Firmware Profile 1.06, 10.4.1): logged, never extended.
    const NO_ACTION: u32 = 3;

    /// The register it went to.
    #[must_use]
    pub const fn register(&self) -> Register {
        self.register
    }

    /// Its type, a TCG number.
    #[must_use]
    pub const fn kind(&self) -> u32 {
        self.kind
    }

    /// What the register was extended with.
    #[must_use]
    pub const fn digest(&self) -> &Digest<48> {
        &self.digest
    }

    /// Its name, for runtime events of dstack.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Its data, if the digest is the data's: then the register vouches for it.
    #[must_use]
    pub fn measured_data(&self) -> Option<&[u8]> {
        self.measured.then_some(self.data.as_slice())
    }

    /// Its data whether or not anything vouches for it: for people to read, never to decide by.
    #[must_use]
    pub fn unmeasured_data(&self) -> &[u8] {
        &self.data
    }

    const fn extends(&self) -> bool {
        self.kind != Self::NO_ACTION
    }
}

/// A log of the right form. It proves nothing before [`Self::replay`].
#[derive(Debug)]
pub struct EventLog {
    events: Vec<Event>,
}

fn sha384(parts: &[&[u8]]) -> Digest<48> {
    let mut context = digest::Context::new(&digest::SHA384);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 48];
    out.copy_from_slice(context.finish().as_ref());
    Digest::new(out)
}

#[cfg(anchorhold_fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
mod tests;
