//! A door for `fuzz/`: parsers that stand behind a signature elsewhere.
//!
//! Why apart: compiled only under `cfg(anchorhold_fuzzing)`, which nothing but `fuzz/run` sets.
//!
//! # Invariants
//! Gives nothing back: no proof can come out of here.

use super::vek::Statements;
use crate::x509::Certificate;

/// What AMD's extensions say in a certificate that nobody has proven.
pub fn vek(der: &[u8]) {
    if let Ok(certificate) = Certificate::parse(der)
        && let Ok(said) = Statements::read(&certificate)
    {
        let _ = said.issued_by(Some(&certificate));
    }
}
