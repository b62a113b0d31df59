//! A door for `fuzz/`: logs against registers that no quote has signed.
//!
//! Why apart: compiled only under `cfg(anchorhold_fuzzing)`, which nothing but `fuzz/run` sets.
//!
//! # Invariants
//! Gives nothing back: no proof can come out of here.

use anchorhold_encoding::Digest;

use super::{EventLog, Register};

/// Replays a log: once against what it gives, and once in search of the event to blame.
pub fn replay(bytes: &[u8], dstack: bool) {
    let parse = if dstack {
        EventLog::parse_dstack
    } else {
        EventLog::parse
    };
    let (Ok(log), Ok(again)) = (parse(bytes), parse(bytes)) else {
        return;
    };
    let own = Register::EXTENDED.map(|register| log.value(register));
    let _ = log.against(&own);
    let _ = again.against(&[Digest::new([1; 48]); 4]);
}
