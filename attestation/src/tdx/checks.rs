//! Checks without cryptography, before dcap-qvl is asked: anchors, names, dates, revocation.
//!
//! Why apart: here is what dcap-qvl does not check (which root a chain shows, what a certificate is named, whose
//! chain comes with the PCK CRL), and what it does check but cannot name.
//!
//! # Invariants
//! Every certificate, list and document of the collateral and the quote passes here before any is used.

use std::borrow::Cow;

use super::anchors::Anchors;
use super::certificate::{CrlFacts, Facts};
use super::collateral::{Collateral, Dates};
use super::error::{
    Certificate, CertificateCheck, CollateralCheck, Crl, CrlCheck, Document, DocumentCheck, TdxError,
};
use super::pem;
use super::signatures::collateral_signatures;
use crate::time::Timestamp;

const PCK: &[&str] = &["Intel SGX PCK Certificate"];
const PCK_CA: &[&str] = &["Intel SGX PCK Platform CA", "Intel SGX PCK Processor CA"];
const SIGNER: &[&str] = &["Intel SGX TCB Signing"];
const ROOT: &[&str] = &["Intel SGX Root CA"];

/// The PCK chain that came in the quote: platform, authority, root.
pub(super) struct PckChain<'a> {
    pub(super) pck: Facts,
    pub(super) authority: Cow<'a, Facts>,
    pub(super) root: Cow<'a, Facts>,
}

impl PckChain<'static> {
    pub(super) fn parse(text: &[u8]) -> Result<Self, TdxError> {
        let [pck, authority, root] =
            pem::chain(text).map_err(|_| wrong(CertificateCheck::Text, Certificate::Pck))?;
        Ok(Self {
            pck: facts(pck, Certificate::Pck)?,
            authority: Cow::Owned(facts(authority, Certificate::PckCa)?),
            root: Cow::Owned(facts(root, Certificate::Root)?),
        })
    }
}

impl<'a> PckChain<'a> {
    /// The same, beside collateral: where the text above the first certificate is the one that the collateral shows, it is
    /// not read again. Where it is not, the collateral is of another authority.
    pub(super) fn parse_beside(text: &[u8], collateral: &'a Collateral) -> Result<Self, TdxError> {
        let known = collateral.raw.pck_crl_issuer_chain.as_bytes();
        match pem::first(text) {
            Some((pck, above)) if above == known => {
                let [authority, root] = &collateral.crl_issuer;
                Ok(Self {
                    pck: facts(pck, Certificate::Pck)?,
                    authority: Cow::Borrowed(authority),
                    root: Cow::Borrowed(root),
                })
            }
            _ => PckChain::parse(text),
        }
    }
}

fn facts(der: Vec<u8>, whose: Certificate) -> Result<Facts, TdxError> {
    Facts::parse(der).ok_or_else(|| wrong(CertificateCheck::Encoding, whose))
}

pub(super) const fn wrong(check: CertificateCheck, certificate: Certificate) -> TdxError {
    TdxError::Certificate { check, certificate }
}

/// All of them, in the order of the documentation.
pub(super) fn before(
    text: &[u8],
    chain: &PckChain<'_>,
    collateral: &Collateral,
    anchors: &Anchors,
    now: Timestamp,
) -> Result<(), TdxError> {
    if let Some(given) = &collateral.pck_chain
        && given.as_bytes() != text
    {
        return Err(TdxError::Collateral(CollateralCheck::PckChain));
    }
    of_collateral(
        collateral,
        (&chain.root, &chain.authority),
        Some(&chain.pck),
        anchors,
        now,
    )
}

/// Those of collateral by itself: of every part that Intel signed, that it did, and that it is valid now. Whom its lists
/// withdraw is for a verdict to say: collateral that revokes a signer of its own is genuine too.
pub(super) fn alone(collateral: &Collateral, anchors: &Anchors, now: Timestamp) -> Result<(), TdxError> {
    let [authority, root] = &collateral.crl_issuer;
    of_collateral(collateral, (root, authority), None, anchors, now)?;
    collateral_signatures(root, authority, collateral)
}

/// Checks of collateral whose PCK certificates are issued by these two, and of the one at hand.
fn of_collateral(
    collateral: &Collateral,
    (root, authority): (&Facts, &Facts),
    pck: Option<&Facts>,
    anchors: &Anchors,
    now: Timestamp,
) -> Result<(), TdxError> {
    let [crl_issuer, _] = &collateral.crl_issuer;
    let [tcb_signer, _] = &collateral.tcb_signer;
    let [qe_signer, _] = &collateral.qe_signer;
    for [_, shown] in [
        &collateral.crl_issuer,
        &collateral.tcb_signer,
        &collateral.qe_signer,
    ] {
        anchored(shown, anchors)?;
    }
    anchored(root, anchors)?;
    if crl_issuer.der != authority.der {
        return Err(wrong(CertificateCheck::Issuer, Certificate::CrlIssuer));
    }
    for (facts, whose, names) in [
        (Some(root), Certificate::Root, ROOT),
        (Some(authority), Certificate::PckCa, PCK_CA),
        (pck, Certificate::Pck, PCK),
        (Some(tcb_signer), Certificate::TcbSigner, SIGNER),
        (Some(qe_signer), Certificate::QeIdentitySigner, SIGNER),
    ] {
        facts.map_or(Ok(()), |facts| certificate(facts, whose, names, now))?;
    }
    list(&collateral.root_crl, Crl::Root, root, now)?;
    list(&collateral.pck_crl, Crl::Pck, authority, now)?;
    for (list, facts, whose) in pck.into_iter().flat_map(|pck| {
        [
            (&collateral.root_crl, root, Certificate::Root),
            (&collateral.root_crl, authority, Certificate::PckCa),
            (&collateral.root_crl, tcb_signer, Certificate::TcbSigner),
            (&collateral.root_crl, qe_signer, Certificate::QeIdentitySigner),
            (&collateral.pck_crl, pck, Certificate::Pck),
        ]
    }) {
        if list.lists(facts) {
            return Err(wrong(CertificateCheck::Revoked, whose));
        }
    }
    documents(collateral, now)
}

/// The root a chain shows must be the anchor, byte for byte: nothing signs the copy that is shown.
fn anchored(root: &Facts, anchors: &Anchors) -> Result<(), TdxError> {
    if root.der == anchors.root() {
        Ok(())
    } else {
        Err(wrong(CertificateCheck::Root, Certificate::Root))
    }
}

fn certificate(facts: &Facts, whose: Certificate, names: &[&str], now: Timestamp) -> Result<(), TdxError> {
    if !names.contains(&facts.name.as_str()) {
        return Err(wrong(CertificateCheck::Name, whose));
    }
    let issues = matches!(whose, Certificate::Root | Certificate::PckCa);
    if facts.authority != issues {
        return Err(wrong(CertificateCheck::Usage, whose));
    }
    if now < facts.not_before {
        return Err(wrong(CertificateCheck::NotYet, whose));
    }
    if now > facts.not_after {
        return Err(wrong(CertificateCheck::Expired, whose));
    }
    Ok(())
}

fn list(facts: &CrlFacts, crl: Crl, issuer: &Facts, now: Timestamp) -> Result<(), TdxError> {
    let refuse = |check| Err(TdxError::Crl { check, crl });
    if facts.issuer != issuer.name {
        return refuse(CrlCheck::Issuer);
    }
    if now < facts.this_update {
        return refuse(CrlCheck::NotYet);
    }
    // webpki calls a list expired from the very second of its next update on.
    if facts.next_update.is_none_or(|next| now >= next) {
        return refuse(CrlCheck::Expired);
    }
    Ok(())
}

fn documents(collateral: &Collateral, now: Timestamp) -> Result<(), TdxError> {
    let (tcb, qe) = (&collateral.tcb_info, &collateral.qe_identity);
    document(
        Document::TcbInfo,
        tcb.id == "TDX" && tcb.version == 3,
        collateral.tcb_info_dates,
        now,
    )?;
    let known = qe.id == "TD_QE" && (qe.version == 2 || qe.version == 3);
    document(Document::QeIdentity, known, collateral.qe_identity_dates, now)
}

fn document(document: Document, known: bool, dates: Dates, now: Timestamp) -> Result<(), TdxError> {
    let refuse = |check| Err(TdxError::Document { check, document });
    if !known {
        return refuse(DocumentCheck::Kind);
    }
    if now < dates.issued {
        return refuse(DocumentCheck::NotYet);
    }
    if now > dates.next_update {
        return refuse(DocumentCheck::Expired);
    }
    Ok(())
}
