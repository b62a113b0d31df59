//! Whether NVIDIA stands by the certificates of a device or of a RIM's signer, from answers of its OCSP responder that were
//! stapled to the evidence.
//!
//! Why apart: it is the one check whose inputs may be missing, and a policy chooses what that means.
//!
//! # Invariants
//! Nothing is fetched. An answer that speaks of the chain must hold and be good, or the chain is refused: answers that
//! are stale or forged are never passed over. `NotRevoked` exists only with an answer for each certificate that NVIDIA
//! answers for.

use crate::limits;
use crate::nvidia::anchors::Anchors;
use crate::nvidia::error::{DeviceError, RimError};
use crate::nvidia::identity::{CHAIN_LENGTH, pinned_path};
use crate::nvidia::rim::SIGNER_CHAIN_LENGTH;
use crate::time::Timestamp;
use crate::x509::{OcspFault, OcspResponse, RevocationReason, VerifiedChain, VerifiedOcsp};

/// Certificates of a device that NVIDIA answers for: ROM, provisioner, chip family. For the first, which the chip's own
/// ROM issues at every start, its responder answers `unauthorized`, and NVIDIA's verifiers leave it out (nvtrust
/// `cc_admin_utils.py`, `ocsp_certificate_chain_validation`): it stands with the ROM's. The root is pinned.
pub const ANSWERED_FOR: [usize; ANSWERS] = [1, 2, 3];

/// Certificates of a RIM's signer that NVIDIA answers for: signer, its authority, the family's authority. NVIDIA's own
/// verifier asks for the same (the same function). The root is pinned.
pub const SIGNER_ANSWERED_FOR: [usize; ANSWERS] = [0, 1, 2];

/// How many certificates of either chain NVIDIA answers for.
const ANSWERS: usize = 3;

/// Whether certificates were checked against a vendor's word on revocation.
#[derive(Debug)]
#[non_exhaustive]
pub enum Revocation {
    /// Not for all of [`ANSWERED_FOR`], or of [`SIGNER_ANSWERED_FOR`]: no answers came with the evidence, or too few. A
    /// policy chooses.
    NotChecked {
        /// For how many of them an answer came, and was good.
        answered: usize,
    },
    /// All of them are good, each until its answer ends.
    NotRevoked(Answers),
}

impl Revocation {
    /// Every certificate that NVIDIA answers for was looked at.
    #[must_use]
    pub const fn is_checked(&self) -> bool {
        matches!(self, Self::NotRevoked(_))
    }

    /// Until when what was checked is good; what was not checked has no end.
    pub(super) fn expires(&self) -> Timestamp {
        match self {
            Self::NotChecked { .. } => Timestamp::MAX,
            Self::NotRevoked(answers) => answers.expires(),
        }
    }
}

/// A good answer for each certificate that NVIDIA answers for.
#[derive(Debug)]
pub struct Answers([VerifiedOcsp; ANSWERS]);

impl Answers {
    /// In the order of the chain, each with its link and its dates.
    pub const fn each(&self) -> &[VerifiedOcsp] {
        &self.0
    }

    /// When the first of them ends.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.0
            .iter()
            .map(VerifiedOcsp::expires)
            .fold(Timestamp::MAX, Ord::min)
    }
}

/// What answers say against a chain, or what is wrong with one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Against {
    /// A response is none, or speaks of the chain and does not hold.
    Ocsp { response: usize, fault: OcspFault },
    /// A certificate is revoked, or on hold.
    Revoked {
        link: usize,
        since: Timestamp,
        reason: RevocationReason,
    },
}

impl From<Against> for DeviceError {
    fn from(against: Against) -> Self {
        match against {
            Against::Ocsp { response, fault } => Self::Ocsp { response, fault },
            Against::Revoked { link, since, reason } => Self::Revoked { link, since, reason },
        }
    }
}

impl From<Against> for RimError {
    fn from(against: Against) -> Self {
        match against {
            Against::Ocsp { response, fault } => Self::Ocsp { response, fault },
            Against::Revoked { link, since, reason } => Self::Revoked { link, since, reason },
        }
    }
}

/// Judges what `responses` (DER) say of the certificates at `links` of `chain`. They may be those of a whole machine:
/// others' are passed over.
pub(super) fn check(
    chain: &VerifiedChain,
    links: [usize; ANSWERS],
    responses: &[&[u8]],
    now: Timestamp,
) -> Result<Revocation, Against> {
    if responses.len() > limits::OCSP_RESPONSES {
        return Err(Against::Ocsp {
            response: limits::OCSP_RESPONSES,
            fault: OcspFault::TooMany,
        });
    }
    let mut found: [Option<VerifiedOcsp>; ANSWERS] = [const { None }; ANSWERS];
    for (response, der) in responses.iter().enumerate() {
        let wrong = |fault| Against::Ocsp { response, fault };
        let parsed = OcspResponse::parse(der).map_err(wrong)?;
        for (place, link) in found.iter_mut().zip(links) {
            let answer = parsed.verify(chain, link, now).map_err(|fault| match fault {
                OcspFault::Revoked { since, reason } => Against::Revoked { link, since, reason },
                other => wrong(other),
            })?;
            let later = |one: &VerifiedOcsp| {
                place
                    .as_ref()
                    .is_none_or(|held| held.this_update() < one.this_update())
            };
            if let Some(answer) = answer.filter(later) {
                *place = Some(answer);
            }
        }
    }
    let answered = found.iter().flatten().count();
    Ok(match found {
        [Some(first), Some(second), Some(third)] => Revocation::NotRevoked(Answers([first, second, third])),
        _ => Revocation::NotChecked { answered },
    })
}

/// Proves that NVIDIA's responder made `response` about the certificate at `link` of a device's or a RIM signer's chain,
/// whatever it says of it: for who keeps answers.
///
/// # Errors
/// The check that failed, as docs/platforms/nvidia.md lists it.
pub(crate) fn prove_answer(
    response: &[u8],
    certificates: &[Vec<u8>],
    link: usize,
    anchors: &Anchors,
    at: Timestamp,
) -> Result<(), &'static str> {
    let (anchor, length) = if certificates.len() == CHAIN_LENGTH {
        (anchors.device(), CHAIN_LENGTH)
    } else {
        (anchors.rim(), SIGNER_CHAIN_LENGTH)
    };
    let chain = pinned_path(certificates, anchor, length).map_err(|_| "nvidia-chain")?;
    let chain = VerifiedChain::verify(chain.0, chain.1, anchor, &[], at).map_err(|error| error.fault.id())?;
    let parsed = OcspResponse::parse(response).map_err(|fault| fault.id())?;
    match parsed.verify(&chain, link, at) {
        // What is said against a certificate is said under the same signature.
        Ok(Some(_)) | Err(OcspFault::Revoked { .. } | OcspFault::Unknown) => Ok(()),
        Ok(None) => Err("nvidia-ocsp"),
        Err(fault) => Err(fault.id()),
    }
}

#[cfg(test)]
mod tests;
