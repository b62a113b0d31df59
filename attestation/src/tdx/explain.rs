//! The verification of a quote, told check by check.
//!
//! Why apart: [`verify()`](super::verify()) stops at the first check that fails; a person who was refused wants to see
//! all of them.
//!
//! # Invariants
//! The verdict is that of [`Collateral::parse`] and [`verify()`](super::verify()). What is shown is read by the same
//! parsers, and compared by nobody here.

use super::anchors::Anchors;
use super::checks::PckChain;
use super::collateral::Collateral;
use super::error::{
    Certificate, CertificateCheck, CollateralCheck, Crl, CrlCheck, Document, DocumentCheck, DomainCheck,
    EnclaveCheck, PlatformCheck, QuoteCheck, TdxError,
};
use super::quote::Quote;
use super::verified::VerifiedQuote;
use crate::time::Timestamp;
use crate::trace::{Plan, Refusal, Trace};

mod facts;

use facts::Facts;

/// Verifies `quote` with `collateral`, a file as [`Collateral::parse`] takes it, under `anchors` as of `at`, and tells
/// every check. There is no verdict where the quote has its form and no collateral was given.
pub fn explain(
    quote: &[u8],
    collateral: Option<&[u8]>,
    anchors: &Anchors,
    at: Timestamp,
) -> Trace<VerifiedQuote, TdxError> {
    let file = collateral.map(Collateral::parse);
    let verdict = match &file {
        None => Quote::parse(quote)
            .and_then(|parsed| PckChain::parse(parsed.pck_chain).map(drop))
            .err()
            .map(Err),
        Some(Err(error)) => Some(Err(*error)),
        Some(Ok(collateral)) => Some(super::verify(quote, collateral, anchors, at)),
    };
    let facts = Facts::read(
        quote,
        file.as_ref().and_then(|file| file.as_ref().ok()),
        collateral.map(<[u8]>::len),
        verdict.as_ref().and_then(|one| one.as_ref().ok()),
    );
    let refused = verdict.as_ref().and_then(|one| one.as_ref().err());
    let checks = order(quote, collateral.is_some()).trace(refused, |step| facts.of(step));
    Trace { checks, verdict }
}

impl Refusal for TdxError {
    fn id(&self) -> &'static str {
        self.id()
    }

    fn hint(&self) -> &'static str {
        self.hint()
    }

    fn whose(&self) -> &'static str {
        match self {
            Self::Certificate { certificate, .. } => match certificate {
                Certificate::Pck => "PCK certificate",
                Certificate::PckCa => "PCK authority",
                Certificate::CrlIssuer => "PCK CRL's issuer",
                Certificate::TcbSigner => "TCB information's signer",
                Certificate::QeIdentitySigner => "QE identity's signer",
                Certificate::Root => "root",
            },
            Self::Crl { crl, .. } => match crl {
                Crl::Root => "root CRL",
                Crl::Pck => "PCK CRL",
            },
            Self::Document { document, .. } => match document {
                Document::TcbInfo => "TCB information",
                Document::QeIdentity => "QE identity",
            },
            _ => "",
        }
    }

    fn place(&self) -> usize {
        match self {
            Self::Quote { offset, .. } => *offset,
            _ => 0,
        }
    }

    fn found(&self) -> String {
        self.to_string()
    }
}

const NO_COLLATERAL: &str = "no collateral was given";

const fn of(check: CertificateCheck, certificate: Certificate) -> TdxError {
    TdxError::Certificate { check, certificate }
}

/// The order of [`Collateral::parse`] and [`verify()`](super::verify()).
fn order(quote: &[u8], collateral: bool) -> Plan<TdxError> {
    let mut plan = Plan::new();
    file(&mut plan);
    if !collateral {
        plan = plan.nothing(NO_COLLATERAL);
    }
    form(quote, &mut plan);
    let mut rest = Vec::new();
    before(&mut rest);
    signatures(&mut rest);
    levels(quote, &mut rest);
    if collateral {
        plan.all(rest);
    } else {
        plan.none(rest, NO_COLLATERAL);
    }
    plan
}

/// The collateral as a file.
fn file(plan: &mut Plan<TdxError>) {
    plan.all([CollateralCheck::Length, CollateralCheck::Shape].map(TdxError::Collateral));
    plan.all(
        [Document::TcbInfo, Document::QeIdentity].map(|document| TdxError::Document {
            check: DocumentCheck::Shape,
            document,
        }),
    );
    for signer in [
        Certificate::TcbSigner,
        Certificate::QeIdentitySigner,
        Certificate::CrlIssuer,
    ] {
        plan.all([
            of(CertificateCheck::Text, signer),
            of(CertificateCheck::Encoding, signer),
            of(CertificateCheck::Encoding, Certificate::Root),
        ]);
    }
    plan.all([Crl::Root, Crl::Pck].map(|crl| TdxError::Crl {
        check: CrlCheck::Encoding,
        crl,
    }));
}

/// The quote's bytes, by offset, and the text of its chain.
fn form(quote: &[u8], plan: &mut Plan<TdxError>) {
    let newer = quote.starts_with(&[5, 0]);
    let at = |(check, offset)| TdxError::Quote { check, offset };
    plan.all(
        [
            (QuoteCheck::Length, 0),
            (QuoteCheck::SgxQuote, 0),
            (QuoteCheck::Version, 0),
            (QuoteCheck::KeyType, 2),
            (QuoteCheck::SgxQuote, 4),
            (QuoteCheck::TeeType, 4),
            (QuoteCheck::HeaderReserved, 8),
            (QuoteCheck::Vendor, 12),
        ]
        .map(at),
    );
    if newer {
        plan.then(at((QuoteCheck::SgxQuote, 48)));
    }
    let body = [(QuoteCheck::BodyType, 48), (QuoteCheck::BodySize, 50)].map(at);
    if newer {
        plan.all(body);
    } else {
        plan.none(body, "version 4 has one kind of body");
    }
    plan.all(
        [
            (QuoteCheck::Padding, 0),
            (QuoteCheck::Certification, 0),
            (QuoteCheck::QeReserved, 0),
            (QuoteCheck::QeAuthentication, 0),
            (QuoteCheck::PckType, 0),
            (QuoteCheck::Length, usize::MAX),
        ]
        .map(at),
    );
    plan.all([
        of(CertificateCheck::Text, Certificate::Pck),
        of(CertificateCheck::Encoding, Certificate::Pck),
        of(CertificateCheck::Encoding, Certificate::PckCa),
        of(CertificateCheck::Encoding, Certificate::Root),
    ]);
}

/// What is checked before dcap-qvl is asked.
fn before(plan: &mut Vec<TdxError>) {
    plan.push(TdxError::Collateral(CollateralCheck::PckChain));
    plan.push(of(CertificateCheck::Root, Certificate::Root));
    plan.push(of(CertificateCheck::Issuer, Certificate::CrlIssuer));
    for certificate in [
        Certificate::Root,
        Certificate::PckCa,
        Certificate::Pck,
        Certificate::TcbSigner,
        Certificate::QeIdentitySigner,
    ] {
        plan.extend(
            [
                CertificateCheck::Name,
                CertificateCheck::Usage,
                CertificateCheck::NotYet,
                CertificateCheck::Expired,
            ]
            .map(|check| of(check, certificate)),
        );
    }
    for crl in [Crl::Root, Crl::Pck] {
        plan.extend(
            [CrlCheck::Issuer, CrlCheck::NotYet, CrlCheck::Expired].map(|check| TdxError::Crl { check, crl }),
        );
    }
    plan.extend(
        [
            Certificate::Root,
            Certificate::PckCa,
            Certificate::TcbSigner,
            Certificate::QeIdentitySigner,
            Certificate::Pck,
        ]
        .map(|certificate| of(CertificateCheck::Revoked, certificate)),
    );
    for document in [Document::TcbInfo, Document::QeIdentity] {
        plan.extend(
            [DocumentCheck::Kind, DocumentCheck::NotYet, DocumentCheck::Expired]
                .map(|check| TdxError::Document { check, document }),
        );
    }
}

/// What dcap-qvl checks, in the order in which the culprit is looked for: whatever it blames, all before it holds.
fn signatures(plan: &mut Vec<TdxError>) {
    let list = |crl| TdxError::Crl {
        check: CrlCheck::Signature,
        crl,
    };
    plan.push(list(Crl::Root));
    plan.extend(
        [
            Certificate::TcbSigner,
            Certificate::QeIdentitySigner,
            Certificate::PckCa,
        ]
        .map(|certificate| of(CertificateCheck::Signature, certificate)),
    );
    plan.extend(
        [Document::TcbInfo, Document::QeIdentity].map(|document| TdxError::Document {
            check: DocumentCheck::Signature,
            document,
        }),
    );
    plan.push(list(Crl::Pck));
    plan.push(of(CertificateCheck::Signature, Certificate::Pck));
    plan.extend([EnclaveCheck::Signature, EnclaveCheck::KeyDigest].map(TdxError::Enclave));
    plan.push(TdxError::Quote {
        check: QuoteCheck::Signature,
        offset: 0,
    });
}

/// Quoting enclave, platform, domain, and what is compared with dcap-qvl's answer.
fn levels(quote: &[u8], plan: &mut Vec<TdxError>) {
    plan.extend(
        [
            EnclaveCheck::Debug,
            EnclaveCheck::Signer,
            EnclaveCheck::Product,
            EnclaveCheck::MiscSelect,
            EnclaveCheck::Attributes,
            EnclaveCheck::Level,
            EnclaveCheck::Revoked,
        ]
        .map(TdxError::Enclave),
    );
    plan.push(of(CertificateCheck::Extension, Certificate::Pck));
    let platform = |check| TdxError::Platform {
        check,
        shortfall: None,
    };
    let reached = [
        PlatformCheck::Level,
        PlatformCheck::Revoked,
        PlatformCheck::Module,
        PlatformCheck::ModuleLevel,
        PlatformCheck::Revoked,
    ];
    plan.push(platform(PlatformCheck::Fmspc));
    plan.extend(reached.map(platform));
    plan.extend(
        [
            PlatformCheck::Module,
            PlatformCheck::ModuleSigner,
            PlatformCheck::ModuleAttributes,
        ]
        .map(platform),
    );
    // A body of TDX 1.5 has the module's version as of now, and it must reach a level too.
    if quote.starts_with(&[5, 0]) {
        plan.extend(reached.map(platform));
    }
    plan.extend(
        [
            DomainCheck::Reserved,
            DomainCheck::Migratable,
            DomainCheck::ServiceExtension,
            DomainCheck::SeptVe,
        ]
        .map(TdxError::Domain),
    );
    plan.push(TdxError::Unexplained);
    plan.push(platform(PlatformCheck::PceId));
    plan.push(TdxError::Quote {
        check: QuoteCheck::Agreement,
        offset: 0,
    });
}
