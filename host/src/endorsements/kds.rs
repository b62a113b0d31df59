//! AMD's key distribution service.
//!
//! Why apart: its addresses are a specification of their own.
//!
//! # Invariants
//! "Versioned Chip Endorsement Key (VCEK) Certificate and KDS Interface Specification", document 57230, revision 1.00,
//! chapter 4: `GET /{vcek,vlek}/v1/{product}/cert_chain` (PEM: ASK or ASVK, then ARK), `/vcek/v1/{product}/{hwID}` with
//! `blSPL`, `teeSPL`, `snpSPL`, `ucodeSPL`, and on Turin `fmcSPL` (DER), `/vcek/v1/{product}/crl` (DER). A VLEK is not
//! handed out by hardware id: it comes with the report. The ARK that comes with the chain is left out: it is pinned.

use anchorhold_attestation::snp::{Product, Tcb};
use anchorhold_attestation::{Endorsement, EndorsementKind, limits as evidence_limits};

use super::error::FetchError;
use super::item::{AmdSigner, hardware_id_text};
use super::pem;
use super::vendor::Vendor;

/// AMD's own.
pub const KDS: &str = "https://kdsintf.amd.com";

/// The text of two certificates.
const CHAIN_BYTES: usize = 4 * evidence_limits::CERTIFICATE;

/// Path and query of a VCEK.
pub(crate) fn vcek_path(product: Product, hardware_id: &[u8; 64], tcb: &Tcb) -> String {
    let mut path = format!(
        "/vcek/v1/{product}/{}?blSPL={:02}&teeSPL={:02}&snpSPL={:02}&ucodeSPL={:02}",
        hardware_id_text(product, hardware_id),
        tcb.boot_loader,
        tcb.tee,
        tcb.snp,
        tcb.microcode
    );
    if let Some(fmc) = tcb.fmc {
        path.push_str(&format!("&fmcSPL={fmc:02}"));
    }
    path
}

pub(super) async fn vcek(
    vendor: &Vendor,
    product: Product,
    hardware_id: &[u8; 64],
    tcb: &Tcb,
) -> Result<Endorsement, FetchError> {
    let kind = EndorsementKind::AmdVek;
    // A masked chip id names no chip; the service would answer 404 after a while.
    if hardware_id.iter().all(|byte| *byte == 0) {
        return Err(FetchError::NotServed);
    }
    let path = vcek_path(product, hardware_id, tcb);
    let answer = vendor.get(&vendor.sources().kds, &path, kind.limit()).await?;
    endorsement(kind, answer.body.to_vec())
}

pub(super) async fn authority(
    vendor: &Vendor,
    product: Product,
    signer: AmdSigner,
) -> Result<Endorsement, FetchError> {
    let path = format!("/{}/v1/{product}/cert_chain", signer.name());
    let answer = vendor.get(&vendor.sources().kds, &path, CHAIN_BYTES).await?;
    let chain = pem::read(&answer.body, pem::CERTIFICATE, 2).ok_or(FetchError::Malformed)?;
    let [authority, _root]: [Vec<u8>; 2] = chain.try_into().map_err(|_| FetchError::Malformed)?;
    endorsement(EndorsementKind::AmdAuthority, authority)
}

pub(super) async fn list(vendor: &Vendor, product: Product) -> Result<Endorsement, FetchError> {
    let kind = EndorsementKind::AmdCrl;
    let path = format!("/vcek/v1/{product}/crl");
    let answer = vendor.get(&vendor.sources().kds, &path, kind.limit()).await?;
    endorsement(kind, answer.body.to_vec())
}

/// Bytes as an endorsement: of its size, and not empty.
pub(super) fn endorsement(kind: EndorsementKind, body: Vec<u8>) -> Result<Endorsement, FetchError> {
    Endorsement::new(kind, body).map_err(|_| FetchError::Malformed)
}
