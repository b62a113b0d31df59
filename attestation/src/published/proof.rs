//! Proofs that an entry is in a log, as text (C2SP tlog-proof).
//!
//! Why apart: the format is others'; what is proven is judged in [`verify`](super::verify).
//!
//! # Invariants
//! No extra data: nothing authenticates it. One proof has one text.

use anchorhold_encoding::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::checkpoint::{decimal, hash};
use super::error::{Place, PublishedCheck, PublishedError, hold};
use crate::limits;

/// The first line.
const HEAD: &str = "c2sp.org/tlog-proof@v1";

/// Where an entry is, the path to the root, and the signed checkpoint as it came.
#[derive(Debug)]
pub(super) struct Proof<'a> {
    pub(super) index: u64,
    pub(super) path: Vec<Digest<32>>,
    pub(super) checkpoint: &'a str,
}

impl<'a> Proof<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, PublishedError> {
        hold(
            text.len() <= limits::LOG_PROOF,
            PublishedCheck::ProofLength,
            Place::Proof,
        )?;
        Self::read(text).ok_or(PublishedError::new(PublishedCheck::ProofForm, Place::Proof))
    }

    fn read(text: &'a str) -> Option<Self> {
        let (head, checkpoint) = text.split_once("\n\n")?;
        let mut lines = head.split('\n');
        if lines.next()? != HEAD {
            return None;
        }
        let index = decimal(lines.next()?.strip_prefix("index ")?)?;
        let path: Vec<Digest<32>> = lines.map(hash).collect::<Option<_>>()?;
        (path.len() <= limits::LOG_PATH).then_some(Self {
            index,
            path,
            checkpoint,
        })
    }
}

/// The text of a proof: the entry's index, the path from its sibling up, the signed checkpoint.
#[must_use]
pub fn proof_text(index: u64, path: &[Digest<32>], checkpoint: &str) -> String {
    let path: String = path
        .iter()
        .map(|hash| format!("{}\n", STANDARD.encode(hash.as_bytes())))
        .collect();
    format!("{HEAD}\nindex {index}\n{path}\n{checkpoint}")
}
