//! Which items a piece of evidence needs.
//!
//! Why apart: the question "what do I have to fetch?" is answered from bytes that nobody has proven yet; whoever lies
//! here gets items that do not fit.
//!
//! # Invariants
//! Reads with the verifier's own parsers. What no service hands out is said, not left out silently.

use std::fmt;
use std::sync::Arc;

use anchorhold_attestation::nvidia::{ANSWERED_FOR, SIGNER_ANSWERED_FOR, rim_certificates, rims_asked};
use anchorhold_attestation::snp::{Product, Report, SigningKey};
use anchorhold_attestation::tdx::CollateralAsked;
use anchorhold_attestation::{AttestationDocument, Evidence, EvidencePart};

use super::item::{AmdSigner, Item, Update};
use super::ocsp::Question;
use crate::error::Explain;

/// Where an SNP report lies in an HCL report (Azure's guest attestation design), and its bytes.
const HCL_REPORT: std::ops::Range<usize> = 32..32 + 1184;

/// What evidence does not say, and the person who fetches must.
#[derive(Debug, Clone, Copy)]
pub struct Choices {
    /// The product line of an SNP report of version 2, which does not name its processor.
    pub product: Option<Product>,
    /// Which edition of Intel's TCB information.
    pub update: Update,
}

/// What is needed, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// From the vendors' services.
    pub items: Vec<Item>,
    /// A VLEK signed the report: it comes with the report, and no service hands it out.
    pub vlek: bool,
}

/// It cannot be told what evidence needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedError {
    /// Neither evidence nor an answer to a nonce.
    Evidence,
    /// Not an SEV-SNP report.
    SnpReport,
    /// An SEV-SNP report that does not name its processor.
    Product,
    /// Not a TDX quote with its PCK certificates.
    Quote,
    /// Not an NVIDIA report with its certificates.
    Device,
    /// Not a RIM file with its signer's certificates.
    Rim,
    /// Evidence of a platform that nobody endorses.
    Platform,
}

impl fmt::Display for WantedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Evidence => "the file is neither evidence nor an attestation document",
            Self::SnpReport => "that is not an SEV-SNP report",
            Self::Product => "the report does not name its processor",
            Self::Quote => "that is not a TDX quote with its PCK certificates",
            Self::Device => "that is not an NVIDIA report with its certificates",
            Self::Rim => "that is not a RIM file with its signer's certificates",
            Self::Platform => "no vendor endorses that platform",
        })
    }
}

impl std::error::Error for WantedError {}

impl Explain for WantedError {
    fn code(&self) -> &'static str {
        match self {
            Self::Evidence => "wanted-evidence",
            Self::SnpReport => "wanted-snp-report",
            Self::Product => "wanted-product",
            Self::Quote => "wanted-quote",
            Self::Device => "wanted-device",
            Self::Rim => "wanted-rim",
            Self::Platform => "wanted-platform",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Evidence => {
                "hand over what the enclave answered, or a bare report with --report and --platform"
            }
            Self::SnpReport => {
                "an SEV-SNP report has 1184 bytes; from Azure take the HCL report's bytes 32 to 1216"
            }
            Self::Product => "name it: --product milan, genoa (also Bergamo and Siena) or turin",
            Self::Quote => "a quote of version 4 or 5 that carries its PCK chain",
            Self::Device => {
                "the report as the device made it, and --certificates with its chain as PEM, leaf first"
            }
            Self::Rim => "the RIM file is not as NVIDIA publishes it: fetch it anew, and from NVIDIA itself",
            Self::Platform => "simulated evidence needs no endorsements",
        }
        .to_owned()
    }
}

impl Wanted {
    /// For the JSON form of evidence, or of an answer to a nonce.
    ///
    /// # Errors
    /// [`WantedError`].
    pub fn by_file(bytes: &[u8], choices: Choices) -> Result<Self, WantedError> {
        if let Ok(evidence) = Evidence::from_json(bytes) {
            return Self::by_evidence(&evidence, choices);
        }
        let document = AttestationDocument::from_json(bytes).map_err(|_| WantedError::Evidence)?;
        Self::by_evidence(&document.evidence, choices)
    }

    /// For the report of the CPU and those of all devices.
    ///
    /// # Errors
    /// [`WantedError`].
    pub fn by_evidence(evidence: &Evidence, choices: Choices) -> Result<Self, WantedError> {
        let report = evidence.report();
        let mut wanted = match evidence.platform().name() {
            "snp" | "google-snp" | "aws-snp" => Self::by_snp_report(report, choices)?,
            "azure-snp" => {
                let inner = report.get(HCL_REPORT).ok_or(WantedError::SnpReport)?;
                Self::by_snp_report(inner, choices)?
            }
            "tdx" => Self::by_quote(report, choices)?,
            "azure-tdx" => {
                let quote = evidence.part(EvidencePart::TdxQuote).ok_or(WantedError::Quote)?;
                Self::by_quote(quote, choices)?
            }
            _ if evidence.devices().is_empty() => return Err(WantedError::Platform),
            _ => Self::default(),
        };
        for device in evidence.devices() {
            wanted.join(Self::by_device(device.report(), device.certificates())?);
        }
        Ok(wanted)
    }

    /// For an SEV-SNP report of 1184 bytes.
    ///
    /// # Errors
    /// [`WantedError::SnpReport`], [`WantedError::Product`].
    pub fn by_snp_report(report: &[u8], choices: Choices) -> Result<Self, WantedError> {
        let report = Report::parse(report).map_err(|_| WantedError::SnpReport)?;
        let product = report.product().or(choices.product).ok_or(WantedError::Product)?;
        let mut wanted = Self::default();
        let signer = match report.signing_key {
            SigningKey::Vcek => {
                wanted.add(Item::AmdVcek {
                    product,
                    hardware_id: report.chip_id,
                    tcb: report.reported_tcb,
                });
                AmdSigner::Vcek
            }
            SigningKey::Vlek => {
                wanted.vlek = true;
                AmdSigner::Vlek
            }
        };
        wanted.add(Item::AmdAuthority { product, signer });
        wanted.add(Item::AmdCrl { product });
        Ok(wanted)
    }

    /// For a TDX quote.
    ///
    /// # Errors
    /// [`WantedError::Quote`].
    pub fn by_quote(quote: &[u8], choices: Choices) -> Result<Self, WantedError> {
        let asked = CollateralAsked::by_quote(quote).map_err(|_| WantedError::Quote)?;
        let mut wanted = Self::default();
        wanted.add(Item::IntelCollateral {
            fmspc: asked.fmspc,
            authority: asked.authority,
            update: choices.update,
        });
        Ok(wanted)
    }

    /// For an NVIDIA device's report and its certificates in DER, the device's own first.
    ///
    /// # Errors
    /// [`WantedError::Device`].
    pub fn by_device(report: &[u8], certificates: &[Vec<u8>]) -> Result<Self, WantedError> {
        let mut wanted = Self::default();
        for id in rims_asked(report, certificates).map_err(|_| WantedError::Device)? {
            wanted.add(Item::NvidiaRim { id });
        }
        wanted
            .add_questions(certificates, &ANSWERED_FOR)
            .ok_or(WantedError::Device)?;
        Ok(wanted)
    }

    /// For a RIM file: whether its signer's certificates stand. Only the file names them, so this is known once it is there.
    ///
    /// # Errors
    /// [`WantedError::Rim`].
    pub fn by_rim(file: &[u8]) -> Result<Self, WantedError> {
        let certificates = rim_certificates(file).map_err(|_| WantedError::Rim)?;
        let mut wanted = Self::default();
        wanted
            .add_questions(&certificates, &SIGNER_ANSWERED_FOR)
            .ok_or(WantedError::Rim)?;
        Ok(wanted)
    }

    /// Whether the certificates at `links` stand, each under the next. `None` when there are fewer.
    fn add_questions(&mut self, certificates: &[Vec<u8>], links: &[usize]) -> Option<()> {
        let chain = Arc::new(certificates.to_vec());
        for link in links {
            let question = Question::about(&chain, *link)?;
            self.add(Item::NvidiaOcsp(Box::new(question)));
        }
        Some(())
    }

    /// What another piece needs as well.
    pub fn join(&mut self, other: Self) {
        self.vlek |= other.vlek;
        for item in other.items {
            self.add(item);
        }
    }

    fn add(&mut self, item: Item) {
        if !self.items.contains(&item) {
            self.items.push(item);
        }
    }
}
