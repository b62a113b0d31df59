//! A report that is proven: signed by a proven key, which is for this very chip and TCB.
//!
//! Why apart: the one place where a report becomes more than bytes.
//!
//! # Invariants
//! Only [`VerifiedReport::verify`] makes one. The signature is checked over the bytes as they came.

use crate::claims::Class;
use crate::signature::Scheme;
use crate::snp::report::Signed;
use crate::snp::{
    BindingCheck, Component, Product, Report, ReportCheck, Revocation, SignerKind, SigningKey, SnpError, Tcb,
    VerifiedVek,
};
use crate::time::Timestamp;

/// Of the first byte of a report's signature.
const SIGNATURE: usize = 0x2a0;

/// A report, and the key that signed it.
#[derive(Debug)]
pub struct VerifiedReport {
    report: Report,
    product: Product,
    signer: SignerKind,
    revocation: Revocation,
    not_after: Timestamp,
    class: Class,
}

impl VerifiedReport {
    /// Proves `report` with a key that was proven before, as of `at`.
    ///
    /// # Errors
    /// [`SnpError`]: the first check that fails, in the order of docs/platforms/snp.md.
    pub fn verify(report: &[u8], vek: &VerifiedVek, at: Timestamp) -> Result<Self, SnpError> {
        let signed = Signed::parse(report)?;
        bound(&signed.report, vek, at)?;
        vek.key()
            .verify(Scheme::EcdsaP384Fixed, signed.message, &signed.signature)
            .ok_or(SnpError::Report {
                check: ReportCheck::Signature,
                offset: SIGNATURE,
            })?;
        Ok(Self {
            report: signed.report,
            product: vek.product(),
            signer: vek.kind().clone(),
            revocation: vek.revocation().clone(),
            not_after: vek.not_after(),
            class: vek.class(),
        })
    }

    /// What the report says.
    #[must_use]
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// The product line, by the certificate and, from version 3 on, by the report too.
    #[must_use]
    pub const fn product(&self) -> Product {
        self.product
    }

    /// Which key signed, and whose it is.
    #[must_use]
    pub const fn signer(&self) -> &SignerKind {
        &self.signer
    }

    /// What is known about revocation.
    #[must_use]
    pub const fn revocation(&self) -> &Revocation {
        &self.revocation
    }

    /// Until when certificates and revocation list are valid.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// What may be released to it: by the anchors it was proven under.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.class
    }
}

/// Report and certificate belong together.
fn bound(report: &Report, vek: &VerifiedVek, at: Timestamp) -> Result<(), SnpError> {
    if at < vek.not_before() || at > vek.not_after() {
        return Err(SnpError::Binding(BindingCheck::Time));
    }
    // Version 2 does not say its product; it is laid out as Milan's and Genoa's, and Turin never made it.
    let agrees = match report.product() {
        Some(product) => product == vek.product(),
        None => vek.product() != Product::Turin,
    };
    if !agrees {
        return Err(SnpError::Binding(BindingCheck::Product));
    }
    match (report.signing_key, vek.kind()) {
        (SigningKey::Vcek, SignerKind::Vcek { hardware_id }) => {
            if report.chip_id != *hardware_id {
                return Err(SnpError::Binding(BindingCheck::ChipId));
            }
        }
        (SigningKey::Vlek, SignerKind::Vlek { .. }) => {}
        _ => return Err(SnpError::Binding(BindingCheck::SigningKey)),
    }
    same_tcb(&report.reported_tcb, vek.tcb())
}

fn same_tcb(reported: &Tcb, certified: &Tcb) -> Result<(), SnpError> {
    for component in Component::ALL {
        let (in_report, in_certificate) = (reported.component(component), certified.component(component));
        if in_report != in_certificate {
            return Err(SnpError::Tcb {
                component,
                reported: in_report.unwrap_or(0),
                certified: in_certificate.unwrap_or(0),
            });
        }
    }
    Ok(())
}
