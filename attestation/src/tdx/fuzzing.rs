//! A door for `fuzz/`: parsers that stand behind other checks elsewhere.
//!
//! Why apart: compiled only under `cfg(anchorhold_fuzzing)`, which nothing but `fuzz/run` sets.
//!
//! # Invariants
//! Gives nothing back: no proof can come out of here.

use super::{certificate, checks, pem, quote};

/// A quote, and the chain in it.
pub fn quote(bytes: &[u8]) {
    if let Ok(parsed) = quote::Quote::parse(bytes) {
        let _ = checks::PckChain::parse(parsed.pck_chain);
    }
}

/// A chain as text, or a certificate, or a revocation list in DER.
pub fn certificates(bytes: &[u8]) {
    let _ = checks::PckChain::parse(bytes);
    let _ = pem::chain::<2>(bytes);
    let _ = certificate::Facts::parse(bytes.to_vec());
    let _ = certificate::CrlFacts::parse(bytes.to_vec());
    let _ = certificate::signed_parts(bytes);
}
