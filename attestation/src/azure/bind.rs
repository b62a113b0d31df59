//! Binding: hardware report, claims and TPM quote belong together, and to the 64 bytes expected.
//!
//! Why apart: [`VerifiedGuest`] has private fields declared here, so only this file can make one, and only from a
//! hardware report that was verified.
//!
//! # Invariants
//! The claims are hashed as received, and parsed only after their hash was found in the hardware report. The AK is
//! the one of the claims. Both ways in which the 64 bytes are carried are required.

use anchorhold_encoding::{Digest, sha256};
use subtle::ConstantTimeEq as _;

use super::claims::{RuntimeClaims, VmConfiguration};
use super::error::{AzureError, Check};
use super::hcl::{HclHardware, HclReport};
use super::quote::{Clock, Quote, Registers};
use super::read::all_zero;
use super::tdreport::QuotedBody;
use crate::binding::ReportData;
use crate::claims::Class;
use crate::{snp, tdx};

/// The register that measured code extends with the configuration's digest: PCR 8, which firmware leaves at zero.
pub const CONFIGURATION_REGISTER: u8 = 8;

/// A hardware report that was verified, of either kind. It is given away to the binding and comes back from it.
#[derive(Debug)]
pub enum Hardware {
    /// The SEV-SNP report inside the HCL report.
    Snp(Box<snp::VerifiedReport>),
    /// A quote that Intel's quoting enclave made of the TDREPORT inside the HCL report.
    Tdx(Box<tdx::VerifiedQuote>),
}

/// A guest under a paravisor, with everything that hardware, paravisor and vTPM say of it. Made only by [`bind`]:
///
/// ```compile_fail
/// use anchorhold_attestation::azure::VerifiedGuest;
/// fn copy(guest: &VerifiedGuest) -> VerifiedGuest { guest.clone() }
/// ```
#[derive(Debug)]
#[must_use]
pub struct VerifiedGuest {
    hardware: Hardware,
    guest: Guest,
}

/// What the parts say once they are found to belong together.
#[derive(Debug)]
pub(super) struct Guest {
    vm: VmConfiguration,
    attestation_key: Digest<32>,
    clock: Clock,
    registers: Registers,
}

/// What of a verified hardware report the binding needs.
pub(super) enum Signed<'a> {
    /// A verified report.
    Snp(&'a snp::Report),
    /// The body of a verified quote.
    Td(Box<QuotedBody>),
}

/// Binds what was verified: `hardware` is the verified report of (or, for TDX, quote made of) the report inside
/// `hcl`; `expected` are the 64 bytes that the guest was to have signed.
///
/// # Errors
/// [`AzureError`]: the first check that fails, in the order of docs/platforms/azure.md.
pub fn bind(
    hcl: &HclReport<'_>,
    hardware: Hardware,
    quote: Quote<'_>,
    expected: &ReportData,
) -> Result<VerifiedGuest, AzureError> {
    let signed = hardware.signed().ok_or(wrong(Check::HardwareReport))?;
    let guest = Guest::bind(hcl, &signed, quote, expected)?;
    Ok(VerifiedGuest { hardware, guest })
}

impl Hardware {
    pub(super) fn signed(&self) -> Option<Signed<'_>> {
        match self {
            Self::Snp(report) => Some(Signed::Snp(report.report())),
            Self::Tdx(quote) => QuotedBody::new(quote.body()).map(|body| Signed::Td(Box::new(body))),
        }
    }
}

impl Signed<'_> {
    /// The report data of the verified report, when it is of the one inside the HCL report.
    fn report_data_of(&self, inside: &HclHardware<'_>) -> Result<&[u8; 64], AzureError> {
        let report_data = match (self, inside) {
            (Self::Snp(verified), HclHardware::Snp(inside)) => snp::Report::parse(inside.as_slice())
                .is_ok_and(|inside| inside == **verified)
                .then(|| verified.report_data.as_bytes()),
            (Self::Td(verified), HclHardware::Tdx(inside)) if inside.is_of(verified) => {
                Some(&verified.report_data)
            }
            (Self::Td(_), HclHardware::Tdx(_)) => None,
            (Self::Snp(_), HclHardware::Tdx(_)) | (Self::Td(_), HclHardware::Snp(_)) => {
                return Err(wrong(Check::HardwareKind));
            }
        };
        report_data.ok_or(wrong(Check::HardwareReport))
    }
}

impl Guest {
    pub(super) fn bind(
        hcl: &HclReport<'_>,
        hardware: &Signed<'_>,
        quote: Quote<'_>,
        expected: &ReportData,
    ) -> Result<Self, AzureError> {
        let claims = claims(hcl, hardware)?;
        if claims.user_data() != Some(expected) {
            return Err(wrong(Check::UserData));
        }
        let key = claims.attestation_key();
        let _genuine = key
            .verify(quote.message(), quote.signature())
            .ok_or(wrong(Check::QuoteSignature))?;
        let attestation_key = key.qualified_name();
        if *quote.signer() != attestation_key {
            return Err(wrong(Check::QuoteSigner));
        }
        if !same(quote.extra_data(), sha256(&[expected.as_bytes()]).as_bytes()) {
            return Err(wrong(Check::QuoteQualifyingData));
        }
        if !quote.covers_values() {
            return Err(wrong(Check::QuotePcrDigest));
        }
        let (clock, registers) = quote.into_parts();
        Ok(Self {
            vm: claims.into_vm_configuration(),
            attestation_key,
            clock,
            registers,
        })
    }
}

/// The claims inside `hcl`, which `hardware` names.
pub(super) fn claims(hcl: &HclReport<'_>, hardware: &Signed<'_>) -> Result<RuntimeClaims, AzureError> {
    let report_data = hardware.report_data_of(hcl.hardware())?;
    let (digest, rest) = report_data.split_at(32);
    if !same(digest, sha256(&[hcl.claims_bytes()]).as_bytes()) {
        return Err(wrong(Check::ReportDataClaims));
    }
    if !all_zero(rest) {
        return Err(wrong(Check::ReportDataZero));
    }
    RuntimeClaims::parse(hcl.claims_bytes())
}

impl VerifiedGuest {
    /// The verified hardware report, for every rule about the hardware.
    pub const fn hardware(&self) -> &Hardware {
        &self.hardware
    }

    /// The class that the hardware report's trust anchors give.
    #[must_use]
    pub fn class(&self) -> Class {
        match &self.hardware {
            Hardware::Snp(report) => report.class(),
            Hardware::Tdx(quote) => quote.class(),
        }
    }

    /// The launch measurement of the paravisor (HCL): SNP's measurement, TDX's MRTD. It says nothing about the
    /// guest, whose boot only the paravisor's vTPM has measured.
    #[must_use]
    pub fn hcl_measurement(&self) -> &Digest<48> {
        match &self.hardware {
            Hardware::Snp(report) => &report.report().measurement,
            Hardware::Tdx(quote) => &quote.body().mr_td,
        }
    }

    /// How the VM is set up, as the paravisor says.
    #[must_use]
    pub const fn vm_configuration(&self) -> &VmConfiguration {
        &self.guest.vm
    }

    /// The qualified name of the vTPM's attestation key (SHA-256 part): which vTPM this is.
    #[must_use]
    pub const fn attestation_key_name(&self) -> &Digest<32> {
        &self.guest.attestation_key
    }

    /// What the vTPM says of its time and firmware.
    #[must_use]
    pub const fn clock(&self) -> Clock {
        self.guest.clock
    }

    /// The registers that the quote covers.
    #[must_use]
    pub const fn registers(&self) -> &Registers {
        &self.guest.registers
    }

    /// The register where measured code put the configuration's digest; `None` when the quote does not cover it.
    /// It equals [`configuration_register_of`] the configuration, or something else was extended as well.
    #[must_use]
    pub fn configuration_register(&self) -> Option<&Digest<32>> {
        self.guest.registers.get(CONFIGURATION_REGISTER)
    }
}

/// The value of [`CONFIGURATION_REGISTER`] when it was zero and then extended once with `configuration`:
/// `SHA-256(32 zero bytes || configuration)` (TPM 2.0 Library Part 1, PCR Operations).
#[must_use]
pub fn configuration_register_of(configuration: &Digest<32>) -> Digest<32> {
    sha256(&[&[0; 32], configuration.as_bytes()])
}

/// In constant time, as all comparisons of bound data.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

const fn wrong(check: Check) -> AzureError {
    AzureError::Binding { check }
}

#[cfg(test)]
mod tests;
