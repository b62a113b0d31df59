//! Whether NVIDIA stands by a device's certificates, from answers of its OCSP responder that were stapled to the evidence.
//!
//! Why apart: it is the one check whose inputs may be missing, and a policy chooses what that means.
//!
//! # Invariants
//! Nothing is fetched. An answer that speaks of the device must hold and be good, or the device is refused: answers that
//! are stale or forged are never passed over. `NotRevoked` exists only with an answer for each certificate that NVIDIA
//! answers for.

use crate::limits;
use crate::nvidia::error::DeviceError;
use crate::time::Timestamp;
use crate::x509::{OcspFault, OcspResponse, VerifiedChain, VerifiedOcsp};

/// Certificates of a device that NVIDIA answers for: ROM, provisioner, chip family. For the first, which the chip's own
/// ROM issues at every start, its responder answers `unauthorized`, and NVIDIA's verifiers leave it out (nvtrust
/// `cc_admin_utils.py`, `ocsp_certificate_chain_validation`): it stands with the ROM's. The root is pinned.
pub const ANSWERED_FOR: [usize; 3] = [1, 2, 3];

/// Whether certificates were checked against a vendor's word on revocation.
#[derive(Debug)]
#[non_exhaustive]
pub enum Revocation {
    /// Not for all of [`ANSWERED_FOR`]: no answers came with the evidence, or too few. A policy chooses.
    NotChecked {
        /// For how many of them an answer came, and was good.
        answered: usize,
    },
    /// All of [`ANSWERED_FOR`] are good, each until its answer ends.
    NotRevoked(Answers),
}

impl Revocation {
    /// Until when what was checked is good; what was not checked has no end.
    pub(super) fn expires(&self) -> Timestamp {
        match self {
            Self::NotChecked { .. } => Timestamp::MAX,
            Self::NotRevoked(answers) => answers.expires(),
        }
    }
}

/// An answer for each of [`ANSWERED_FOR`].
#[derive(Debug)]
pub struct Answers([VerifiedOcsp; ANSWERED_FOR.len()]);

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

/// Judges what `responses` (DER) say of `chain`. They may be those of a whole machine: others' are passed over.
pub(super) fn check(
    chain: &VerifiedChain,
    responses: &[&[u8]],
    now: Timestamp,
) -> Result<Revocation, DeviceError> {
    if responses.len() > limits::OCSP_RESPONSES {
        return Err(DeviceError::Ocsp {
            response: limits::OCSP_RESPONSES,
            fault: OcspFault::TooMany,
        });
    }
    let mut found: [Option<VerifiedOcsp>; ANSWERED_FOR.len()] = [const { None }; ANSWERED_FOR.len()];
    for (response, der) in responses.iter().enumerate() {
        let wrong = |fault| DeviceError::Ocsp { response, fault };
        let parsed = OcspResponse::parse(der).map_err(wrong)?;
        for (place, link) in found.iter_mut().zip(ANSWERED_FOR) {
            let answer = parsed.verify(chain, link, now).map_err(|fault| match fault {
                OcspFault::Revoked { since, reason } => DeviceError::Revoked { link, since, reason },
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
        [Some(rom), Some(provisioner), Some(family)] => {
            Revocation::NotRevoked(Answers([rom, provisioner, family]))
        }
        _ => Revocation::NotChecked { answered },
    })
}

#[cfg(test)]
mod tests;
