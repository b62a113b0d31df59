//! What verified evidence says, in one vocabulary for all platforms.
//!
//! Why apart: a policy is written against these fields, never against a vendor's report.
//!
//! # Invariants
//! Nothing here is a judgement: a debug machine's claims are as true as another's.

use std::fmt;

use anchorhold_encoding::{Digest, sha256};
use serde::{Deserialize, Serialize};

use crate::binding::ReportData;
use crate::field::Field;
use crate::published::Issuer;
use crate::time::Timestamp;
use crate::{azure, ccel, nvidia, provider, snp, tdx};

mod chip;
mod config;

pub use chip::ChipId;
pub(crate) use config::ConfigDigests;
pub use config::FixedConfig;

/// A kind of confidential machine, by its evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Platform {
    /// No hardware: signed with a published key, worth nothing but a test.
    InsecureSimulated,
    /// AMD SEV-SNP. The report measures the whole guest: firmware, kernel, initrd, command line.
    Snp,
    /// Intel TDX. MRTD and RTMR0 to RTMR2 measure the whole guest.
    Tdx,
    /// Azure on SEV-SNP: the report measures a paravisor, whose vTPM measures the guest.
    AzureSnp,
    /// Azure on TDX: the quote measures a paravisor, whose vTPM measures the guest.
    AzureTdx,
    /// Google Cloud on SEV-SNP: the report measures Google's firmware, only Google's vTPM the guest.
    GoogleSnp,
    /// AWS on SEV-SNP: the report measures AWS's firmware, only AWS's `NitroTPM` the guest.
    AwsSnp,
}

impl Platform {
    /// Its name in documents and policies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InsecureSimulated => "insecure-simulated",
            Self::Snp => "snp",
            Self::Tdx => "tdx",
            Self::AzureSnp => "azure-snp",
            Self::AzureTdx => "azure-tdx",
            Self::GoogleSnp => "google-snp",
            Self::AwsSnp => "aws-snp",
        }
    }

    /// Its `tee` in RCAR (kbs-types 0.18, `Tee`).
    #[must_use]
    pub const fn rcar_tee(self) -> &'static str {
        match self {
            Self::InsecureSimulated => "sample",
            Self::Snp | Self::GoogleSnp | Self::AwsSnp => "snp",
            Self::Tdx => "tdx",
            Self::AzureSnp => "az-snp-vtpm",
            Self::AzureTdx => "az-tdx-vtpm",
        }
    }

    /// The best class that its evidence can appraise to.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::InsecureSimulated => Class::Insecure,
            Self::Snp | Self::Tdx | Self::AzureSnp | Self::AzureTdx | Self::GoogleSnp | Self::AwsSnp => {
                Class::Real
            }
        }
    }

    /// What its measurement rests on.
    #[must_use]
    pub const fn trust_class(self) -> TrustClass {
        match self {
            Self::InsecureSimulated => TrustClass::Simulated,
            Self::Snp | Self::Tdx => TrustClass::HardwareMeasured,
            Self::AzureSnp | Self::AzureTdx => TrustClass::ParavisorMeasured,
            Self::GoogleSnp | Self::AwsSnp => TrustClass::ProviderMeasured,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Two worlds that never mix: keys, models and brokers are of one, fixed when made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Simulated evidence, or any under anchors that are not the compiled ones.
    Insecure,
    /// Evidence of hardware under its vendor's anchors.
    Real,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Insecure => "insecure",
            Self::Real => "real",
        })
    }
}

/// What a measurement rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrustClass {
    /// On nothing: anyone can sign it.
    Simulated,
    /// On the word of the provider, whose TPM measured what its own firmware booted.
    ProviderMeasured,
    /// On a paravisor that the hardware measured: trusts that paravisor, by name.
    ParavisorMeasured,
    /// On the hardware alone.
    HardwareMeasured,
}

impl fmt::Display for TrustClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Simulated => "simulated",
            Self::ProviderMeasured => "provider-measured",
            Self::ParavisorMeasured => "paravisor-measured",
            Self::HardwareMeasured => "hardware-measured",
        })
    }
}

/// A line of chips, as a policy names it in `any_chip_of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Product {
    /// No chip at all.
    InsecureSimulated,
    /// AMD EPYC 7003.
    Milan,
    /// AMD EPYC 9004 and 8004, with Bergamo and Siena, which AMD certifies under Genoa's name.
    Genoa,
    /// AMD EPYC 9005.
    Turin,
    /// Any Intel processor with TDX: Intel's collateral tells their families apart, by FMSPC.
    IntelTdx,
}

impl Product {
    /// Its name in policies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InsecureSimulated => "insecure-simulated",
            Self::Milan => "milan",
            Self::Genoa => "genoa",
            Self::Turin => "turin",
            Self::IntelTdx => "intel-tdx",
        }
    }
}

impl From<snp::Product> for Product {
    fn from(product: snp::Product) -> Self {
        match product {
            snp::Product::Milan => Self::Milan,
            snp::Product::Genoa => Self::Genoa,
            snp::Product::Turin => Self::Turin,
        }
    }
}

/// What verified evidence says.
#[derive(Debug)]
pub struct Claims {
    /// Whose evidence it is.
    pub platform: Platform,
    /// The class its trust anchors give.
    pub class: Class,
    /// The line of chips, from the certificate where there is one.
    pub product: Product,
    /// The chip's numbers, as its maker gives them; none under a key that is a provider's (VLEK), not a chip's.
    pub chip_ids: Vec<ChipId>,
    /// Launch measurement: the code, or what measures the code (see [`Platform::trust_class`]).
    pub measurement: Digest<48>,
    /// The configuration's digest as fixed at launch.
    pub config: FixedConfig,
    /// The 64 bytes the Attester had signed.
    pub report_data: ReportData,
    /// True when the host may read the machine's memory.
    pub debug: bool,
    /// What the platform itself says, for its own rules.
    pub hardware: Hardware,
    /// SHA-384 of the leaf certificates of the verified devices, ascending.
    pub devices: Vec<Digest<48>>,
    /// The verified devices themselves, in the same order.
    pub gpus: Vec<nvidia::VerifiedDevice>,
    /// Reference measurements of a device's firmware that came with the endorsements and were proven.
    pub rims: Vec<nvidia::VerifiedRim>,
    /// Why others that came were not.
    pub rims_refused: Vec<nvidia::RimError>,
    /// SHA-512 of the evidence these claims are from.
    pub evidence_digest: Digest<64>,
    /// The earliest expiry among the endorsements used; [`Timestamp::MAX`] when none expires.
    pub expires: Timestamp,
}

impl Claims {
    /// Everything that is proven, as a flat list: for a person to read and for a policy to pin.
    #[must_use]
    pub fn fields(&self) -> Vec<Field> {
        let mut fields = match &self.hardware {
            Hardware::Simulated { tcb } => vec![Field::new("simulated.tcb", *tcb)],
            Hardware::Snp(report) => report.fields(),
            Hardware::Tdx { quote, .. } => quote.fields(),
            Hardware::Azure(guest) => guest.fields(),
            Hardware::Provider { report, machine } => {
                let mut fields = report.fields();
                fields.extend(machine.fields());
                fields
            }
        };
        fields.extend(self.gpus.iter().flat_map(nvidia::VerifiedDevice::fields));
        fields
    }
}

impl Claims {
    /// The numbers of the lists and documents that this was proven with, by who numbers them: none may ever go back.
    #[must_use]
    pub fn issuer_numbers(&self) -> Vec<(Issuer, Vec<u8>)> {
        let snp = |report: &snp::VerifiedReport| match report.revocation() {
            snp::Revocation::NotChecked => Vec::new(),
            snp::Revocation::NotRevoked { number, .. } => {
                vec![(self.list_of(report.product().name()), number.clone())]
            }
        };
        let tdx = |quote: &tdx::VerifiedQuote| {
            let used = quote.collateral();
            let fmspc = Digest::new(quote.platform().fmspc);
            let (tcb_info, identity) = match self.class {
                Class::Real => (Issuer::tcb_info(&fmspc), Issuer::qe_identity()),
                Class::Insecure => (
                    self.list_of(&format!("tcb-info {fmspc}")),
                    self.list_of("qe-identity"),
                ),
            };
            // Intel's two authorities for PCKs number their lists each for itself; a family has one of them.
            let pck = self.list_of(&format!("intel pck {fmspc}"));
            vec![
                (tcb_info, used.tcb_evaluation.to_be_bytes().to_vec()),
                (identity, used.qe_evaluation.to_be_bytes().to_vec()),
                (self.list_of("intel root"), used.root_crl.to_be_bytes().to_vec()),
                (pck, used.pck_crl.to_be_bytes().to_vec()),
            ]
        };
        match &self.hardware {
            Hardware::Simulated { .. } => Vec::new(),
            Hardware::Snp(report) | Hardware::Provider { report, .. } => snp(report),
            Hardware::Tdx { quote, .. } => tdx(quote),
            Hardware::Azure(guest) => match guest.hardware() {
                azure::Hardware::Snp(report) => snp(report),
                azure::Hardware::Tdx(quote) => tdx(quote),
            },
        }
    }

    /// Lists of one authority, apart from those of a hierarchy made for tests.
    fn list_of(&self, authority: &str) -> Issuer {
        let class = self.class.to_string();
        Issuer::crl(&sha256(&[class.as_bytes(), b" ", authority.as_bytes()]))
    }
}

/// What a platform itself says, proven.
#[derive(Debug)]
#[non_exhaustive]
pub enum Hardware {
    /// The simulated platform.
    Simulated {
        /// Version of the trusted computing base, larger is newer.
        tcb: u64,
    },
    /// An SEV-SNP report.
    Snp(Box<snp::VerifiedReport>),
    /// A TDX quote.
    Tdx {
        /// The quote.
        quote: Box<tdx::VerifiedQuote>,
        /// The event log behind its registers, when one came and replays to them.
        log: Option<ccel::ReplayedLog>,
    },
    /// A guest under Azure's paravisor, with the hardware report of either kind inside.
    Azure(Box<azure::VerifiedGuest>),
    /// An SEV-SNP report over a provider's firmware, and what the provider's TPM says of the rest.
    Provider {
        /// The report.
        report: Box<snp::VerifiedReport>,
        /// What the TPM measured.
        machine: Box<provider::ProviderMachine>,
    },
}

#[cfg(test)]
mod tests;
