//! Nonces and report data: what ties evidence to a question, an identity and devices.
//!
//! Why apart: no interface accepts a root or report data, so whatever is signed was made here or in
//! [`crate::rcar`] out of nonces the Attester has itself received.
//!
//! # Invariants
//! `report_data = SHA-512(LP("anchorhold report-data v1") || LP(be32 tree size) || LP(root) ||
//! LP(SHA-512(identity)) || LP(SHA-512(devices)))`: docs/report-data.md. Nothing is padded or truncated.

use std::fmt;
use std::str::FromStr;

use anchorhold_encoding::{Digest, Preimage, tree};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::evidence::{DeviceEvidence, Evidence};
use crate::identity::ReceivedIdentity;
use crate::limits;
use crate::parse::{ParseError, Part};
use crate::time::Timestamp;

mod relying;

pub use relying::{Binding, BrokerUse, ClientUse, RcarSession};

/// The 64 bytes a platform signs for its guest. Made only by this module and by [`crate::rcar`]:
///
/// ```compile_fail
/// let anything = anchorhold_attestation::ReportData::new([0; 64]);
/// ```
#[derive(Clone, Copy)]
pub struct ReportData([u8; 64]);

impl ReportData {
    /// Only for the two modules that define what is signed, and for what a verified report says.
    pub(crate) const fn new(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl PartialEq for ReportData {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for ReportData {}

impl fmt::Display for ReportData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Digest::new(self.0).fmt(f)
    }
}

impl fmt::Debug for ReportData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// 32 random bytes of a client. Its text is 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nonce(Digest<32>);

impl Nonce {
    /// From the caller's random generator.
    #[must_use]
    pub const fn from_random(bytes: [u8; 32]) -> Self {
        Self(Digest::new(bytes))
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Nonce {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        text.parse().map(Self).map_err(|_| ParseError::Shape(Part::Nonce))
    }
}

/// A question a client asks an enclave: its nonce, and when it drew it by its own clock.
#[derive(Debug)]
pub struct Challenge {
    nonce: Nonce,
    drawn_at: Timestamp,
}

impl Challenge {
    /// `random` from the caller's generator, `now` from its clock.
    #[must_use]
    pub const fn new(random: [u8; 32], now: Timestamp) -> Self {
        Self {
            nonce: Nonce::from_random(random),
            drawn_at: now,
        }
    }

    /// What to send.
    #[must_use]
    pub const fn nonce(&self) -> &Nonce {
        &self.nonce
    }

    /// When it was drawn, by the client's clock.
    #[must_use]
    pub const fn drawn_at(&self) -> Timestamp {
        self.drawn_at
    }
}

/// SHA-512 over all devices' evidence, in an order that does not depend on how it was listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DevicesDigest(Digest<64>);

impl DevicesDigest {
    /// `SHA-512(be32(count) || for each, by ascending SHA-384(leaf): LP(kind) || LP(report) ||
    /// be32(certificates) || LP(DER)...)`. No device is count 0.
    ///
    /// # Panics
    /// When there are 2^32 devices or certificates: their limits are far below.
    #[must_use]
    pub fn of(devices: &[DeviceEvidence]) -> Self {
        let count = |length: usize| u32::try_from(length).expect("limited far below 2^32");
        let mut sorted: Vec<_> = devices.iter().collect();
        sorted.sort_by_key(|device| device.leaf_digest());
        let mut preimage = Preimage::unlabelled().be32(count(sorted.len()));
        for device in sorted {
            preimage = preimage
                .lp(device.kind().as_bytes())
                .lp(device.report())
                .be32(count(device.certificates().len()));
            for certificate in device.certificates() {
                preimage = preimage.lp(certificate);
            }
        }
        Self(preimage.sha512())
    }

    /// The digest.
    #[must_use]
    pub const fn digest(&self) -> &Digest<64> {
        &self.0
    }
}

/// That a nonce is a leaf of the tree whose root the evidence covers: RFC 9162 section 2.1.3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InclusionProof {
    /// The leaf's place, from 0.
    pub index: u64,
    /// Leaves in the tree, 1 to 4096.
    pub size: u64,
    /// Siblings, the deepest first.
    pub path: Vec<Digest<32>>,
}

/// A batch of nonces was empty or larger than [`limits::NONCE_BATCH`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSize;

impl fmt::Display for BatchSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a batch has 1 to {} nonces", limits::NONCE_BATCH)
    }
}

impl std::error::Error for BatchSize {}

/// The nonces of all clients that asked within one batching window, on the Attester's side.
pub struct NonceBatch {
    leaves: Vec<Digest<32>>,
}

impl NonceBatch {
    /// Takes 1 to 4096 nonces, in the order in which their proofs will be numbered.
    ///
    /// # Errors
    /// [`BatchSize`] for none or too many.
    pub fn collect(nonces: Vec<Nonce>) -> Result<Self, BatchSize> {
        if nonces.is_empty() || nonces.len() > limits::NONCE_BATCH {
            return Err(BatchSize);
        }
        let leaves = nonces.iter().map(|nonce| tree::leaf(nonce.as_bytes())).collect();
        Ok(Self { leaves })
    }

    /// How many nonces.
    #[must_use]
    pub fn size(&self) -> u32 {
        u32::try_from(self.leaves.len()).expect("a batch is limited to 4096")
    }

    /// The tree's root, RFC 9162 section 2.1.1.
    #[must_use]
    pub fn root(&self) -> Digest<32> {
        tree::root(&self.leaves)
    }

    /// The proof for the nonce at `index`; `None` when there is none.
    #[must_use]
    pub fn proof(&self, index: usize) -> Option<InclusionProof> {
        Some(InclusionProof {
            path: tree::inclusion_path(&self.leaves, index)?,
            index: u64::try_from(index).ok()?,
            size: u64::from(self.size()),
        })
    }

    /// The proofs for all nonces, in their order: the work of one tree, not of one tree a nonce.
    #[must_use]
    pub fn proofs(&self) -> Vec<InclusionProof> {
        let size = u64::from(self.size());
        let paths = tree::inclusion_paths(&self.leaves).into_iter();
        (0..size)
            .zip(paths)
            .map(|(index, path)| InclusionProof { index, size, path })
            .collect()
    }

    /// What the CPU is asked to sign, after the devices answered.
    #[must_use]
    pub fn report_data(&self, identity: &Digest<64>, devices: &DevicesDigest) -> ReportData {
        client_report_data(self.size(), &self.root(), identity, devices)
    }

    /// The nonce for GPUs: `SHA-256(LP("anchorhold gpu-nonce v1") || LP(be32 tree size) || LP(root) ||
    /// LP(SHA-512(identity)))`.
    #[must_use]
    pub fn gpu_nonce(&self, identity: &Digest<64>) -> Digest<32> {
        device_nonce(self.size(), &self.root(), identity)
    }
}

fn device_nonce(size: u32, root: &Digest<32>, identity: &Digest<64>) -> Digest<32> {
    Preimage::new("anchorhold gpu-nonce v1")
        .lp(&size.to_be_bytes())
        .lp(root.as_bytes())
        .lp(identity.as_bytes())
        .sha256()
}

fn client_report_data(
    size: u32,
    root: &Digest<32>,
    identity: &Digest<64>,
    devices: &DevicesDigest,
) -> ReportData {
    let digest = Preimage::new("anchorhold report-data v1")
        .lp(&size.to_be_bytes())
        .lp(root.as_bytes())
        .lp(identity.as_bytes())
        .lp(devices.digest().as_bytes())
        .sha512();
    ReportData::new(*digest.as_bytes())
}

/// Size and root of the tree in which `proof` places `nonce`; `None` when it proves nothing about it.
fn proven_tree(nonce: &Nonce, proof: &InclusionProof) -> Option<(u32, Digest<32>)> {
    let size = u32::try_from(proof.size).ok()?;
    if usize::try_from(size).ok()? > limits::NONCE_BATCH {
        return None;
    }
    let leaf = tree::leaf(nonce.as_bytes());
    let root = tree::root_from_path(leaf, proof.index, proof.size, &proof.path)?;
    Some((size, root))
}

/// What a client must find in the report; `None` when the proof proves nothing about `nonce`.
fn expected_report_data(
    nonce: &Nonce,
    proof: &InclusionProof,
    identity: &ReceivedIdentity,
    evidence: &Evidence,
) -> Option<ReportData> {
    let (size, root) = proven_tree(nonce, proof)?;
    let devices = DevicesDigest::of(evidence.devices());
    Some(client_report_data(size, &root, &identity.digest(), &devices))
}

/// What a client must find in a device's report; `None` when the proof proves nothing about `nonce`.
fn expected_gpu_nonce(
    nonce: &Nonce,
    proof: &InclusionProof,
    identity: &ReceivedIdentity,
) -> Option<Digest<32>> {
    let (size, root) = proven_tree(nonce, proof)?;
    Some(device_nonce(size, &root, &identity.digest()))
}

#[cfg(test)]
mod tests;
