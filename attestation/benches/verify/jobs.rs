//! The jobs that are measured, ours and other libraries'.
//!
//! Why apart: what one side does must be next to what the other does.
//!
//! # Invariants
//! A job that fails stops the program: nothing measures how fast something is refused. What a caller would keep between two
//! jobs is made before.

use anchorhold_attestation::nvidia::{self, Anchors, MatchedDevice, VerifiedDevice, VerifiedRim};
use anchorhold_attestation::snp::{Endorsements, Report, VerifiedReport, VerifiedVek};
use anchorhold_attestation::{Timestamp, snp, tdx};
use anchorhold_encoding::Digest;
use dcap_qvl::verify::QuoteVerifier;
use dcap_qvl::{QuoteClaims, QuoteCollateralV3, QuotePolicy};
use sev::certs::snp::{Chain, Verifiable as _};
use sev::firmware::guest::AttestationReport;
use sev::parser::ByteParser as _;

use crate::crypto::Backend;
use crate::files::{Snp, evidence, pem};

/// SEV-SNP.
pub(crate) struct SnpJob(Snp);

impl SnpJob {
    const AT: Timestamp = Timestamp::from_unix(Snp::AT);

    pub(crate) fn read() -> Option<Self> {
        Snp::read(0).map(Self)
    }

    fn endorsements(&self, crl: bool) -> Endorsements<'_> {
        Endorsements {
            vek: &self.0.vek,
            authority: &self.0.authority,
            root: None,
            crl: crl.then_some(&self.0.crl),
        }
    }

    pub(crate) fn read_report(&self) -> Report {
        Report::parse(&self.0.report).expect("a real report")
    }

    pub(crate) fn vek(&self) -> VerifiedVek {
        VerifiedVek::verify(&self.endorsements(false), snp::Anchors::amd(), Self::AT)
            .expect("real certificates")
    }

    pub(crate) fn cached(&self, vek: &VerifiedVek) -> VerifiedReport {
        VerifiedReport::verify(&self.0.report, vek, Self::AT).expect("a real report")
    }

    pub(crate) fn full(&self) -> VerifiedReport {
        self.cached(&self.vek())
    }

    pub(crate) fn full_with_list(&self) -> VerifiedReport {
        let vek = VerifiedVek::verify(&self.endorsements(true), snp::Anchors::amd(), Self::AT);
        self.cached(&vek.expect("real certificates and a real list"))
    }

    pub(crate) fn their_chain(&self) -> Chain {
        Chain::from_der(&self.0.root, &self.0.authority, &self.0.vek).expect("real certificates")
    }

    pub(crate) fn theirs(&self) {
        let report = AttestationReport::from_bytes(&self.0.report).expect("a real report");
        (&self.their_chain(), &report).verify().expect("a real report");
    }

    /// Their report under a certificate that was proven before.
    pub(crate) fn theirs_cached(&self, chain: &Chain) {
        let report = AttestationReport::from_bytes(&self.0.report).expect("a real report");
        (&chain.vek, &report).verify().expect("a real report");
    }
}

/// TDX.
pub(crate) struct TdxJob {
    quote: Vec<u8>,
    json: Vec<u8>,
    collateral: tdx::Collateral,
    anchors: tdx::Anchors,
    raw: QuoteCollateralV3,
    root: Vec<u8>,
}

impl TdxJob {
    /// 2025-07-01.
    const AT: Timestamp = Timestamp::from_unix(1_751_328_000);

    pub(crate) fn read() -> Option<Self> {
        let file = |path| evidence("TDX", 0, path);
        let json = file("tdx/v4-emr-phala/collateral.json")?;
        let mut raw: QuoteCollateralV3 = serde_json::from_slice(&json).expect("real collateral");
        raw.pck_certificate_chain = None;
        Some(Self {
            quote: file("tdx/v4-emr-phala/quote.bin")?,
            collateral: tdx::Collateral::parse(&json).expect("real collateral"),
            json,
            anchors: tdx::Anchors::intel(),
            raw,
            root: file("anchors/intel/IntelSGXRootCA.der")?,
        })
    }

    pub(crate) fn collateral(&self) -> tdx::Collateral {
        tdx::Collateral::parse(&self.json).expect("real collateral")
    }

    pub(crate) fn ours(&self) -> tdx::VerifiedQuote {
        tdx::verify(&self.quote, &self.collateral, &self.anchors, Self::AT).expect("a real quote")
    }

    pub(crate) fn theirs(&self) -> QuoteClaims {
        QuoteVerifier::<Backend>::new_with_config(self.root.clone())
            .allow_debug(true)
            .allow_service_td(true)
            .verify_with_policy(
                &self.quote,
                &self.raw,
                Self::AT.unix(),
                &QuotePolicy::claims_only(Self::AT.unix()),
            )
            .expect("a real quote")
    }
}

/// An NVIDIA GPU.
pub(crate) struct NvidiaJob {
    report: Vec<u8>,
    certificates: Vec<Vec<u8>>,
    nonce: Digest<32>,
    driver: Vec<u8>,
    vbios: Vec<u8>,
    anchors: Anchors,
}

impl NvidiaJob {
    /// 2024-06-01.
    const AT: Timestamp = Timestamp::from_unix(1_717_200_000);

    pub(crate) fn read() -> Option<Self> {
        let file = |name: &str| evidence("NVIDIA", 0, &format!("nvidia/h100-545-gonvtrust/{name}"));
        let report = unhex(&file("report.hex")?);
        Some(Self {
            certificates: pem(&file("cert_chain.pem")?),
            nonce: Digest::from_slice(report.get(4..36)?)?,
            report,
            driver: file("driver_rim.xml")?,
            vbios: file("vbios_rim.xml")?,
            anchors: Anchors::nvidia(),
        })
    }

    pub(crate) fn device(&self) -> VerifiedDevice {
        nvidia::verify_device(
            &self.report,
            &self.certificates,
            &self.nonce,
            &[],
            &self.anchors,
            Self::AT,
        )
        .expect("a real device")
    }

    fn rim(&self, file: &[u8]) -> VerifiedRim {
        nvidia::verify_rim(file, &[], &self.anchors, Self::AT).expect("a real RIM")
    }

    pub(crate) fn driver_rim(&self) -> VerifiedRim {
        self.rim(&self.driver)
    }

    pub(crate) fn rims(&self) -> (VerifiedRim, VerifiedRim) {
        (self.rim(&self.driver), self.rim(&self.vbios))
    }

    /// How many measurements were compared.
    pub(crate) fn cached(&self, driver: &VerifiedRim, vbios: &VerifiedRim) -> usize {
        let device = self.device();
        let matched: MatchedDevice<'_> =
            nvidia::match_gpu(&device, driver, vbios).expect("a device with its RIMs");
        matched.driver().len() + matched.bios().len()
    }

    pub(crate) fn full(&self) -> usize {
        let (driver, vbios) = self.rims();
        self.cached(&driver, &vbios)
    }
}

fn unhex(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let digits = text.trim();
    (0..digits.len())
        .step_by(2)
        .filter_map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
        .collect()
}
