//! The signatures in collateral, one by one.
//!
//! Why apart: who keeps collateral proves it before there is a quote, and who was refused with one wants to know which signature it
//! was.
//!
//! # Invariants
//! ECDSA on P-256 with SHA-256 over the bytes as they came. A verdict about a quote is dcap-qvl's and never rests on this alone.

use super::certificate::{Facts, signed_parts};
use super::checks::wrong;
use super::collateral::Collateral;
use super::crypto::{genuine_der, genuine_raw};
use super::error::{Certificate, CertificateCheck, Crl, CrlCheck, Document, DocumentCheck, TdxError};

/// An error unless it holds.
pub(super) fn require(holds: bool, error: TdxError) -> Result<(), TdxError> {
    if holds { Ok(()) } else { Err(error) }
}

/// `by` issued this certificate or list.
pub(super) fn issued(by: &Facts, der: &[u8]) -> bool {
    signed_parts(der)
        .and_then(|(signed, signature)| genuine_der(&by.key, signed, signature))
        .is_some()
}

/// `signature`, r then s, is `by`'s over `message`.
pub(super) fn raw(by: &[u8], message: &[u8], signature: &[u8]) -> bool {
    genuine_raw(by, message, signature).is_some()
}

/// Every signature in `collateral`, whose PCK certificates `authority` issues.
pub(super) fn collateral_signatures(
    root: &Facts,
    authority: &Facts,
    collateral: &Collateral,
) -> Result<(), TdxError> {
    let unsigned = |crl| TdxError::Crl {
        check: CrlCheck::Signature,
        crl,
    };
    require(issued(root, &collateral.root_crl.der), unsigned(Crl::Root))?;
    let [tcb_signer, _] = &collateral.tcb_signer;
    let [qe_signer, _] = &collateral.qe_signer;
    for (facts, whose) in [
        (tcb_signer, Certificate::TcbSigner),
        (qe_signer, Certificate::QeIdentitySigner),
        (authority, Certificate::PckCa),
    ] {
        require(
            issued(root, &facts.der),
            wrong(CertificateCheck::Signature, whose),
        )?;
    }
    let files = &collateral.raw;
    for (signer, text, signature, document) in [
        (
            tcb_signer,
            &files.tcb_info,
            &files.tcb_info_signature,
            Document::TcbInfo,
        ),
        (
            qe_signer,
            &files.qe_identity,
            &files.qe_identity_signature,
            Document::QeIdentity,
        ),
    ] {
        let check = DocumentCheck::Signature;
        require(
            raw(&signer.key, text.as_bytes(), signature),
            TdxError::Document { check, document },
        )?;
    }
    require(issued(authority, &collateral.pck_crl.der), unsigned(Crl::Pck))
}
