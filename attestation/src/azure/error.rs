//! Why evidence of an Azure confidential VM proves nothing: every check by its stable name.
//!
//! Why apart: documentation and `explain` list exactly these, and no message may repeat what a stranger wrote.
//!
//! # Invariants
//! An id never changes its meaning. Errors hold constants and offsets, nothing of the input.

use std::fmt;

/// One check; [`Self::id`] is its name everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Check {
    /// The whole report is as long as its header says, or is that padded with zeros to its NV index.
    HclLength,
    /// It starts with `HCLA`.
    HclSignature,
    /// Its header has version 1 or 2.
    HclVersion,
    /// It is of the type made for guests.
    HclRequestType,
    /// Status and reserved bytes are zero.
    HclReserved,
    /// The size of the runtime data is that of its header and its claims.
    HclDataSize,
    /// The runtime data have version 1.
    HclDataVersion,
    /// The hardware report is one of SEV-SNP or TDX.
    HclReportType,
    /// The claims are hashed with SHA-256.
    HclHashType,
    /// The claims end where the header says that the report ends.
    HclClaimsSize,
    /// What is beyond the hardware report or beyond the claims is zero.
    HclPadding,
    /// The TDREPORT has the type and a version this knows.
    TdReportType,
    /// Its reserved bytes are zero.
    TdReportReserved,
    /// Its hashes are those of its parts.
    TdReportHashes,
    /// The claims are JSON with exactly the members known, each of its type.
    ClaimsShape,
    /// The keys are one `HCLAkPub`, at most one `HCLEkPub` and no other.
    ClaimsKeys,
    /// `HCLAkPub` may sign, and is RSA 2048, 3072 or 4096 with exponent 65537, or ECC P-256.
    ClaimsAttestationKey,
    /// `user-data` is 64 bytes in hexadecimal.
    ClaimsUserData,
    /// The quote says that a TPM made it.
    QuoteMagic,
    /// It is a quote, not another statement.
    QuoteType,
    /// It has every field of TPMS_ATTEST, each of its size, and nothing after them.
    QuoteShape,
    /// It selects registers of the SHA-256 bank and of no other.
    QuoteSelection,
    /// There is one value for each register it selects.
    QuoteValues,
    /// The signature is RSASSA or ECDSA with SHA-256, of the size the key makes.
    QuoteSignatureShape,
    /// The hardware report inside is of the kind that was verified.
    HardwareKind,
    /// The hardware report inside is the one that was verified.
    HardwareReport,
    /// The first half of the hardware report's data is SHA-256 of the claims as received.
    ReportDataClaims,
    /// The second half is zero.
    ReportDataZero,
    /// The claims have `user-data`, and they are the 64 bytes expected.
    UserData,
    /// `HCLAkPub` signed the quote.
    QuoteSignature,
    /// The quote's signer is named as a restricted key that cannot leave the TPM, with `HCLAkPub` as its public part.
    QuoteSigner,
    /// The quote's qualifying data are SHA-256 of the 64 bytes expected.
    QuoteQualifyingData,
    /// The quote's digest is that of the values given.
    QuotePcrDigest,
}

impl Check {
    /// Every check, in the order in which they are made.
    pub const ALL: [Self; 33] = [
        Self::HclLength,
        Self::HclSignature,
        Self::HclVersion,
        Self::HclRequestType,
        Self::HclReserved,
        Self::HclDataSize,
        Self::HclDataVersion,
        Self::HclReportType,
        Self::HclHashType,
        Self::HclClaimsSize,
        Self::HclPadding,
        Self::TdReportType,
        Self::TdReportReserved,
        Self::TdReportHashes,
        Self::ClaimsShape,
        Self::ClaimsKeys,
        Self::ClaimsAttestationKey,
        Self::ClaimsUserData,
        Self::QuoteMagic,
        Self::QuoteType,
        Self::QuoteShape,
        Self::QuoteSelection,
        Self::QuoteValues,
        Self::QuoteSignatureShape,
        Self::HardwareKind,
        Self::HardwareReport,
        Self::ReportDataClaims,
        Self::ReportDataZero,
        Self::UserData,
        Self::QuoteSignature,
        Self::QuoteSigner,
        Self::QuoteQualifyingData,
        Self::QuotePcrDigest,
    ];

    /// Its stable name.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::HclLength => "azure-hcl-length",
            Self::HclSignature => "azure-hcl-signature",
            Self::HclVersion => "azure-hcl-version",
            Self::HclRequestType => "azure-hcl-request-type",
            Self::HclReserved => "azure-hcl-reserved",
            Self::HclDataSize => "azure-hcl-data-size",
            Self::HclDataVersion => "azure-hcl-data-version",
            Self::HclReportType => "azure-hcl-report-type",
            Self::HclHashType => "azure-hcl-hash-type",
            Self::HclClaimsSize => "azure-hcl-claims-size",
            Self::HclPadding => "azure-hcl-padding",
            Self::TdReportType => "azure-hcl-tdreport-type",
            Self::TdReportReserved => "azure-hcl-tdreport-reserved",
            Self::TdReportHashes => "azure-hcl-tdreport-hashes",
            Self::ClaimsShape => "azure-claims-shape",
            Self::ClaimsKeys => "azure-claims-keys",
            Self::ClaimsAttestationKey => "azure-claims-attestation-key",
            Self::ClaimsUserData => "azure-claims-user-data",
            Self::QuoteMagic => "azure-quote-magic",
            Self::QuoteType => "azure-quote-type",
            Self::QuoteShape => "azure-quote-shape",
            Self::QuoteSelection => "azure-quote-selection",
            Self::QuoteValues => "azure-quote-values",
            Self::QuoteSignatureShape => "azure-quote-signature-shape",
            Self::HardwareKind => "azure-hardware-kind",
            Self::HardwareReport => "azure-hardware-report",
            Self::ReportDataClaims => "azure-report-data-claims",
            Self::ReportDataZero => "azure-report-data-zero",
            Self::UserData => "azure-user-data",
            Self::QuoteSignature => "azure-quote-signature",
            Self::QuoteSigner => "azure-quote-signer",
            Self::QuoteQualifyingData => "azure-quote-qualifying-data",
            Self::QuotePcrDigest => "azure-quote-pcr-digest",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::HclLength => "is it the whole of NV index 0x01400001, as tpm2_nvread gives it?",
            Self::HclSignature => {
                "is it the HCL report (NV index 0x01400001), and not the hardware report alone?"
            }
            Self::HclVersion | Self::HclDataVersion => {
                "Azure may have a newer format than this version knows; use a newer one"
            }
            Self::HclRequestType => "it was made for another purpose than guest attestation",
            Self::HclReserved | Self::HclPadding | Self::HclDataSize | Self::HclClaimsSize => {
                "the report was altered or cut on its way"
            }
            Self::HclReportType => {
                "is the machine a confidential VM (SEV-SNP or TDX), not a trusted-launch one?"
            }
            Self::HclHashType => "only SHA-256 is known to be used; use a newer version if Azure changed it",
            Self::TdReportType | Self::TdReportReserved | Self::TdReportHashes => {
                "the TDREPORT inside was altered, or is of a newer TDX module than this version knows"
            }
            Self::ClaimsShape => {
                "Azure may claim something this version has no rule for; use a newer one, nothing is ignored"
            }
            Self::ClaimsKeys | Self::ClaimsAttestationKey => {
                "the paravisor is older or newer than this version knows; recreate the VM on a current host"
            }
            Self::ClaimsUserData => {
                "the paravisor wrote something else than the 64 bytes of NV index 0x01400002"
            }
            Self::QuoteMagic | Self::QuoteType | Self::QuoteShape => {
                "is it the TPMS_ATTEST of TPM2_Quote, without its size in front?"
            }
            Self::QuoteSelection => "azure-quote with `sha256:...` and no other bank",
            Self::QuoteValues => "send one SHA-256 value for each register of the quote, in ascending order",
            Self::QuoteSignatureShape => {
                "azure-quote with the key at 0x81000003, and send the TPMT_SIGNATURE whole"
            }
            Self::HardwareKind | Self::HardwareReport => {
                "the hardware report, or the quote made of it, is not of this HCL report; collect both anew"
            }
            Self::ReportDataClaims | Self::ReportDataZero => {
                "the claims were altered, or belong to another hardware report; do not trust this machine"
            }
            Self::UserData => {
                "the report is older than the write to NV index 0x01400002 (Azure renews it every two seconds at most), or is another's"
            }
            Self::QuoteSignature => {
                "another TPM signed the quote, or it was altered; do not trust this machine"
            }
            Self::QuoteSigner => "azure-quote with the paravisor's own key, at 0x81000003",
            Self::QuoteQualifyingData => {
                "the quote is for another challenge; collect it anew with this one's"
            }
            Self::QuotePcrDigest => "a register changed between the quote and the read; collect both anew",
        }
    }

    /// Where it is specified; [`super`] says which revisions are meant.
    #[must_use]
    pub const fn source(self) -> &'static str {
        match self {
            Self::HclLength | Self::HclPadding => {
                "Azure guest attestation design, Azure-Reserved TPM NV Indexes"
            }
            Self::HclSignature | Self::HclVersion | Self::HclRequestType | Self::HclReserved => {
                "Azure guest attestation design, Attestation Report Format, Header"
            }
            Self::HclDataSize
            | Self::HclDataVersion
            | Self::HclReportType
            | Self::HclHashType
            | Self::HclClaimsSize => {
                "Azure guest attestation design, Attestation Report Format, Runtime Data"
            }
            Self::TdReportType | Self::TdReportReserved | Self::TdReportHashes => {
                "Intel TDX Module ABI Specification (733579), section 4.7"
            }
            Self::ClaimsShape | Self::ClaimsKeys => "OpenHCL igvm_attest/get.rs, runtime_claims",
            Self::ClaimsAttestationKey => {
                "Azure guest attestation design, Runtime Claims; RFC 7518 section 6"
            }
            Self::ClaimsUserData | Self::UserData => {
                "Azure guest attestation design, Runtime Claims, user_data"
            }
            Self::QuoteMagic => "TPM 2.0 Library Part 2 r1.59, section 6.2",
            Self::QuoteType => "TPM 2.0 Library Part 2 r1.59, section 6.9",
            Self::QuoteShape => "TPM 2.0 Library Part 2 r1.59, section 10.12.12",
            Self::QuoteSelection => "TPM 2.0 Library Part 2 r1.59, sections 10.6.2 and 10.9.7",
            Self::QuoteValues | Self::QuotePcrDigest | Self::QuoteQualifyingData => {
                "TPM 2.0 Library Part 3 r1.59, section 18.4"
            }
            Self::QuoteSignatureShape => "TPM 2.0 Library Part 2 r1.59, section 11.3.4",
            Self::QuoteSignature => "TPM 2.0 Library Part 3 r1.59, section 18.1",
            Self::QuoteSigner => "TPM 2.0 Library Part 1 r1.59, Names; Part 2 r1.59, section 12.2.4",
            Self::HardwareKind | Self::HardwareReport => {
                "Azure guest attestation design, Attestation Report Format, Report Payload"
            }
            Self::ReportDataClaims | Self::ReportDataZero => {
                "OpenHCL underhill_attestation/igvm_attest/mod.rs"
            }
        }
    }
}

/// The evidence proves nothing. The variants say whose part is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AzureError {
    /// The HCL report is not one.
    Report {
        /// Which check failed.
        check: Check,
        /// Offset of the field in the report.
        at: usize,
    },
    /// The runtime claims inside it are not ones this version can judge.
    Claims {
        /// Which check failed.
        check: Check,
        /// The member, as its owner names it; `runtime-claims` when the document as a whole.
        field: &'static str,
    },
    /// The TPM quote is not one.
    Quote {
        /// Which check failed.
        check: Check,
        /// Offset of the field in the quote, in its signature, or the number of values.
        at: usize,
    },
    /// Each part may be genuine, but they do not belong together.
    Binding {
        /// Which check failed.
        check: Check,
    },
}

impl AzureError {
    /// Which check failed.
    #[must_use]
    pub const fn check(&self) -> Check {
        match self {
            Self::Report { check, .. }
            | Self::Claims { check, .. }
            | Self::Quote { check, .. }
            | Self::Binding { check } => *check,
        }
    }

    /// The stable name of the check that failed.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        self.check().id()
    }

    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        self.check().hint()
    }
}

impl fmt::Display for AzureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id();
        match self {
            Self::Report { at, .. } => write!(f, "HCL report, offset {at}: {id}"),
            Self::Claims { field, .. } => write!(f, "runtime claims, {field}: {id}"),
            Self::Quote { at, .. } => write!(f, "TPM quote, offset {at}: {id}"),
            Self::Binding { .. } => write!(f, "the parts do not belong together: {id}"),
        }
    }
}

impl std::error::Error for AzureError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_its_own_name_and_says_what_to_do() {
        let mut ids: Vec<_> = Check::ALL.iter().map(|check| check.id()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), Check::ALL.len());
        for check in Check::ALL {
            assert!(
                check.id().bytes().all(|c| c.is_ascii_lowercase() || c == b'-'),
                "{check:?}"
            );
            assert!(
                !check.hint().is_empty() && !check.source().is_empty(),
                "{check:?}"
            );
        }
    }

    #[test]
    fn an_error_says_whose_part_is_wrong_and_where() {
        let check = Check::HclSignature;
        let error = AzureError::Report { check, at: 0 };
        assert_eq!(error.to_string(), "HCL report, offset 0: azure-hcl-signature");
        assert_eq!((error.id(), error.hint()), (check.id(), check.hint()));
        let error = AzureError::Claims {
            check: Check::ClaimsShape,
            field: "runtime-claims",
        };
        assert_eq!(
            error.to_string(),
            "runtime claims, runtime-claims: azure-claims-shape"
        );
        let error = AzureError::Quote {
            check: Check::QuoteMagic,
            at: 0,
        };
        assert_eq!(error.to_string(), "TPM quote, offset 0: azure-quote-magic");
        let error = AzureError::Binding {
            check: Check::UserData,
        };
        assert_eq!(
            error.to_string(),
            "the parts do not belong together: azure-user-data"
        );
    }
}
