//! Receipts kept on disk, each with the evidence it needs to be judged later by someone who was not there.
//!
//! Why apart: the file is a format of its own, read by auditors who run nothing else of this.
//!
//! # Invariants
//! A kept receipt holds no byte of a prompt or an answer. It holds the salt of the commitments, with which a
//! short text could be guessed, so the file is mode 0600 and never replaced.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use anchorhold_attestation::receipt::{OriginMatched, TextsMatched};
use anchorhold_attestation::{AttestationDocument, Challenge, Nonce, Timestamp, VerifiedReceipt};
use anchorhold_encoding::{Digest, canonical};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use super::receipt::Commitment;
use crate::secret_file;

pub mod judge;

/// The file's version, the only one there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum KeptVersion {
    /// `anchorhold kept receipt v1`
    #[serde(rename = "anchorhold kept receipt v1")]
    V1,
}

/// What a client judged: the enclave's answer to its challenge.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttestationRecord {
    /// When the nonce was drawn, by the clock of whoever kept the receipt.
    drawn_at: Timestamp,
    /// The nonce the evidence is for.
    nonce: Nonce,
    /// The attestation document as JSON.
    document: Value,
}

impl AttestationRecord {
    pub(super) fn new(answer: &AttestationDocument, challenge: &Challenge) -> Self {
        Self {
            drawn_at: challenge.drawn_at(),
            nonce: *challenge.nonce(),
            // Our own encoder wrote these bytes.
            document: serde_json::from_slice(&answer.to_json()).unwrap_or(Value::Null),
        }
    }
}

/// A receipt with all that is needed to judge it offline.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptReceipt {
    version: KeptVersion,
    attestation: AttestationRecord,
    /// The nonce under which the answer's connection was bound.
    channel_nonce: Nonce,
    /// When the answer ended, by the keeper's clock.
    answered_at: Timestamp,
    /// The receipt as it travelled: base64url.
    receipt: String,
    #[serde(skip)]
    name: Option<FileName>,
}

/// What a file is called by.
#[derive(Clone, Copy)]
struct FileName {
    sequence: u64,
    boot_id: Digest<16>,
    digest: Digest<64>,
}

impl KeptReceipt {
    /// Only for an answer that was matched: the two proofs are consumed.
    pub(super) fn new(
        _matched: (OriginMatched, TextsMatched),
        commitment: &Commitment<'_>,
        receipt: &VerifiedReceipt,
        text: &str,
    ) -> Self {
        Self {
            version: KeptVersion::V1,
            attestation: commitment.affirmed.record.clone(),
            channel_nonce: *commitment.nonce,
            answered_at: commitment.now,
            receipt: text.to_owned(),
            name: Some(FileName {
                sequence: receipt.receipt().sequence,
                boot_id: *commitment.affirmed.identity.boot_id(),
                digest: *receipt.digest(),
            }),
        }
    }

    /// The file's content: canonical JSON.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(canonical::to_vec(self))
    }

    /// The receipt's name: SHA-512 of its bytes, the first eight digits. For a person.
    #[must_use]
    pub fn short_name(&self) -> String {
        self.name.map(|name| name.digest.short()).unwrap_or_default()
    }
}

/// A folder that receipts are kept in.
#[derive(Clone)]
pub struct Keeper(Arc<PathBuf>);

impl Keeper {
    /// Uses `folder`, which is made (mode 0700) when it is not there.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        secret_file::create_folder(&folder)?;
        Ok(Self(Arc::new(folder)))
    }

    /// Writes the receipt to a file of its own, durable when this returns:
    /// `<boot id>-<sequence>-<digest>.json`, eight digits each of boot id and digest.
    ///
    /// # Errors
    /// What the file system says.
    pub async fn keep(&self, receipt: KeptReceipt) -> io::Result<PathBuf> {
        let folder = Arc::clone(&self.0);
        let written = tokio::task::spawn_blocking(move || {
            let name = receipt.name.ok_or(io::ErrorKind::InvalidInput)?;
            let (boot, digest) = (name.boot_id.short(), name.digest.short());
            let path = folder.join(format!("{boot}-{:08}-{digest}.json", name.sequence));
            secret_file::create(&path, &receipt.encode())?;
            Ok(path)
        });
        written.await.map_err(|_| io::Error::from(io::ErrorKind::Other))?
    }
}

#[cfg(test)]
mod tests;
