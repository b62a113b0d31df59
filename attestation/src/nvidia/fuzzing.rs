//! A door for `fuzz/`: parsers that stand behind a signature elsewhere.
//!
//! Why apart: compiled only under `cfg(anchorhold_fuzzing)`, which nothing but `fuzz/run` sets.
//!
//! # Invariants
//! Gives nothing back: no proof can come out of here.

use super::rim::{Rim, signature};
use super::xml::{self, canonical::canonical};
use super::{Anchors, identity};
use crate::time::Timestamp;
use crate::x509::Certificate;

/// What a leaf that nobody has proven says of its device.
pub fn leaf(der: &[u8]) {
    if let Ok(leaf) = Certificate::parse(der) {
        let _ = (identity::device_info(&leaf), identity::tcb_info(&leaf));
    }
}

/// A RIM: its canonical form must have itself as canonical form, and its signature and tag are read as they are.
pub fn rim(bytes: &[u8]) {
    let Ok(document) = xml::parse(bytes) else { return };
    let written = canonical(&document, &[], |_| false);
    if let Ok(again) = xml::parse(&written) {
        assert_eq!(canonical(&again, &[], |_| false), written);
    }
    let _ = Rim::read(&document);
    let _ = signature::verify(
        &document,
        Anchors::nvidia().rim(),
        Timestamp::from_unix(1_717_200_000),
    );
}
