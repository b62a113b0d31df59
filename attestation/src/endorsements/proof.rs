//! Whether a vendor signed an endorsement, before there is evidence to use it with.
//!
//! Why apart: whoever keeps endorsements must not keep forgeries. A mirror that answers wrongly once would otherwise stand in
//! the way of the right answer for as long as its own says it is valid.
//!
//! # Invariants
//! Pure. What an endorsement says is not judged: a list that revokes, and an answer that says so, are as genuine as others.
//! A verdict about evidence never rests on this: [`crate::verify()`] proves everything again.

use super::{Endorsement, EndorsementKind};
use crate::anchors::Anchors;
use crate::nvidia;
use crate::snp::{self, VerifiedVek};
use crate::tdx::Collateral;
use crate::time::Timestamp;
use crate::x509::{Anchor, Certificate, Crl, Fault};

/// What stands between an endorsement and its root, where it does not come with it.
#[derive(Debug, Clone, Copy)]
pub enum Beside<'a> {
    /// Nothing: the root signed it, or what is between comes with it.
    Nothing,
    /// Of a VCEK or VLEK: the ASK or ASVK in DER.
    Authority(&'a [u8]),
    /// Of an OCSP response: the chain it is about in DER, the root last, and the place in it.
    Chain {
        /// A device's or a RIM signer's.
        certificates: &'a [Vec<u8>],
        /// Which of them, 0 the first.
        link: usize,
    },
}

/// No vendor is known to have signed an endorsement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unproven(
    /// The check that failed, as docs/platforms lists it.
    pub &'static str,
);

impl std::fmt::Display for Unproven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "its vendor is not known to have signed it ({})", self.0)
    }
}

impl std::error::Error for Unproven {}

/// No root for this vendor, or nothing beside it where something is needed.
const NO_ANCHOR: Unproven = Unproven("no-anchor");
const NOTHING_BESIDE: Unproven = Unproven("no-endorsement");

fn fault(fault: Fault) -> Unproven {
    Unproven(fault.id())
}

impl Endorsement {
    /// Proves under `anchors` that its vendor signed it, as of `at`.
    ///
    /// # Errors
    /// [`Unproven`], with the check that failed.
    pub fn prove(&self, beside: Beside<'_>, anchors: &Anchors, at: Timestamp) -> Result<(), Unproven> {
        let body = self.body.as_slice();
        match self.kind {
            EndorsementKind::AmdVek => {
                let Beside::Authority(authority) = beside else {
                    return Err(NOTHING_BESIDE);
                };
                let chain = snp::Endorsements {
                    vek: body,
                    authority,
                    root: None,
                    crl: None,
                };
                let anchors = anchors.snp().ok_or(NO_ANCHOR)?;
                let vek = VerifiedVek::verify(&chain, anchors, at);
                vek.map(drop).map_err(|error| Unproven(error.id()))
            }
            EndorsementKind::AmdAuthority => authority(body, amd_roots(anchors), at),
            EndorsementKind::AmdCrl => {
                let list = Crl::parse(body).map_err(fault)?;
                let mut roots = amd_roots(anchors);
                let root = roots.find(|root| root.certificate().subject() == list.issuer());
                let root = root.ok_or(NO_ANCHOR)?;
                list.verify(root, at).map(drop).map_err(fault)
            }
            EndorsementKind::IntelCollateral => {
                let anchors = anchors.tdx().ok_or(NO_ANCHOR)?;
                Collateral::parse(body)
                    .and_then(|collateral| collateral.prove(anchors, at))
                    .map_err(|error| Unproven(error.id()))
            }
            EndorsementKind::NvidiaRim => {
                let anchors = anchors.nvidia().ok_or(NO_ANCHOR)?;
                let rim = nvidia::verify_rim(body, &[], anchors, at);
                rim.map(drop).map_err(|error| Unproven(error.id()))
            }
            EndorsementKind::NvidiaOcsp => {
                let Beside::Chain { certificates, link } = beside else {
                    return Err(NOTHING_BESIDE);
                };
                let anchors = anchors.nvidia().ok_or(NO_ANCHOR)?;
                nvidia::prove_answer(body, certificates, link, anchors, at).map_err(Unproven)
            }
            EndorsementKind::ProviderAuthority => {
                let provider = anchors.provider();
                authority(body, provider.google().into_iter().chain(provider.aws()), at)
            }
        }
    }
}

fn amd_roots(anchors: &Anchors) -> impl Iterator<Item = &Anchor> {
    let anchors = anchors.snp();
    let root = move |product| anchors.and_then(|anchors| anchors.root(product));
    snp::Product::ALL.into_iter().filter_map(root)
}

/// One of `roots` issued this authority.
fn authority<'a>(
    der: &[u8],
    mut roots: impl Iterator<Item = &'a Anchor>,
    at: Timestamp,
) -> Result<(), Unproven> {
    let certificate = Certificate::parse(der).map_err(fault)?;
    let root = roots.find(|root| root.certificate().subject() == certificate.issuer());
    root.ok_or(NO_ANCHOR)?.issued(&certificate, at).map_err(fault)
}

#[cfg(test)]
mod tests;
