//! What a quote and its collateral have for each check.
//!
//! Why apart: showing is none of the order's business.
//!
//! # Invariants
//! Numbers, digests, dates and Intel's constants. Text of a file is shown only where it is hexadecimal.

use dcap_qvl::intel::{PckExtension, parse_pck_extension_with};

use crate::tdx::certificate::{CrlFacts, Facts as CertificateFacts};
use crate::tdx::checks::PckChain;
use crate::tdx::collateral::Collateral;
use crate::tdx::crypto::Backend;
use crate::tdx::error::{
    Certificate, CertificateCheck, CollateralCheck, Crl, CrlCheck, Document, DocumentCheck, EnclaveCheck,
    PlatformCheck, QuoteCheck, TdxError,
};
use crate::tdx::quote::Quote;
use crate::tdx::verified::VerifiedQuote;
use crate::trace::text::{date, hex, number};

/// What is there to be shown.
pub(super) struct Facts<'a> {
    bytes: &'a [u8],
    quote: Option<Quote<'a>>,
    chain: Option<PckChain<'static>>,
    pck: Option<PckExtension>,
    collateral: Option<&'a Collateral>,
    collateral_length: Option<usize>,
    verified: Option<&'a VerifiedQuote>,
}

impl<'a> Facts<'a> {
    pub(super) fn read(
        bytes: &'a [u8],
        collateral: Option<&'a Collateral>,
        collateral_length: Option<usize>,
        verified: Option<&'a VerifiedQuote>,
    ) -> Self {
        let quote = Quote::parse(bytes).ok();
        let chain = quote
            .as_ref()
            .and_then(|quote| PckChain::parse(quote.pck_chain).ok());
        Self {
            bytes,
            pck: chain
                .as_ref()
                .and_then(|chain| parse_pck_extension_with::<Backend>(&chain.pck.der).ok()),
            quote,
            chain,
            collateral,
            collateral_length,
            verified,
        }
    }

    pub(super) fn of(&self, step: &TdxError) -> String {
        let found = match step {
            TdxError::Quote { check, .. } => self.of_quote(*check),
            TdxError::Collateral(CollateralCheck::Length) => {
                self.collateral_length.map(|length| format!("{length} bytes"))
            }
            TdxError::Certificate { check, certificate } => self.of_certificate(*check, *certificate),
            TdxError::Crl { check, crl } => self.of_list(*check, *crl),
            TdxError::Document { check, document } => self.of_document(*check, *document),
            TdxError::Enclave(check) => self.of_enclave(*check),
            TdxError::Platform { check, .. } => self.of_platform(*check),
            TdxError::Domain(_) => self
                .quote
                .as_ref()
                .map(|quote| format!("ATTRIBUTES {:#018x}", quote.body.attributes.bits())),
            TdxError::Collateral(_) | TdxError::Unexplained => None,
        };
        found.unwrap_or_default()
    }

    fn of_quote(&self, check: QuoteCheck) -> Option<String> {
        let low = |offset| number(self.bytes, offset).map(|value| value & 0xffff);
        Some(match check {
            QuoteCheck::Length => format!("{} bytes", self.bytes.len()),
            QuoteCheck::Version => format!("version {}", low(0)?),
            QuoteCheck::KeyType => format!("type {}", low(2)?),
            QuoteCheck::TeeType | QuoteCheck::SgxQuote => {
                format!("version {}, TEE type {:#x}", low(0)?, number(self.bytes, 4)?)
            }
            QuoteCheck::BodyType if low(0)? == 5 => format!("type {}", low(48)?),
            QuoteCheck::BodySize if low(0)? == 5 => format!("{} bytes", number(self.bytes, 50)?),
            QuoteCheck::Vendor => hex(self.bytes.get(12..28)?),
            QuoteCheck::HeaderReserved => hex(self.bytes.get(8..12)?),
            _ => return None,
        })
    }

    fn certificate(&self, whose: Certificate) -> Option<&CertificateFacts> {
        let signer = |[signer, _]: &'a [CertificateFacts; 2]| signer;
        match whose {
            Certificate::Pck => self.chain.as_ref().map(|chain| &chain.pck),
            Certificate::PckCa => self.chain.as_ref().map(|chain| &*chain.authority),
            Certificate::Root => self.chain.as_ref().map(|chain| &*chain.root),
            Certificate::CrlIssuer => self.collateral.map(|file| signer(&file.crl_issuer)),
            Certificate::TcbSigner => self.collateral.map(|file| signer(&file.tcb_signer)),
            Certificate::QeIdentitySigner => self.collateral.map(|file| signer(&file.qe_signer)),
        }
    }

    fn of_certificate(&self, check: CertificateCheck, whose: Certificate) -> Option<String> {
        let facts = self.certificate(whose)?;
        match check {
            CertificateCheck::NotYet => Some(format!("from {}", date(facts.not_before))),
            CertificateCheck::Expired => Some(format!("until {}", date(facts.not_after))),
            CertificateCheck::Usage => Some(match facts.authority {
                true => "a CA".to_owned(),
                false => "not a CA".to_owned(),
            }),
            _ => None,
        }
    }

    fn of_list(&self, check: CrlCheck, crl: Crl) -> Option<String> {
        let facts: &CrlFacts = match crl {
            Crl::Root => &self.collateral?.root_crl,
            Crl::Pck => &self.collateral?.pck_crl,
        };
        match check {
            CrlCheck::NotYet => Some(format!("from {}", date(facts.this_update))),
            CrlCheck::Expired => Some(match facts.next_update {
                Some(next) => format!("until {}", date(next)),
                None => "does not say".to_owned(),
            }),
            _ => None,
        }
    }

    fn of_document(&self, check: DocumentCheck, document: Document) -> Option<String> {
        let collateral = self.collateral?;
        let (dates, version) = match document {
            Document::TcbInfo => (collateral.tcb_info_dates, u32::from(collateral.tcb_info.version)),
            Document::QeIdentity => (
                collateral.qe_identity_dates,
                u32::from(collateral.qe_identity.version),
            ),
        };
        match check {
            DocumentCheck::Kind => Some(format!("version {version}")),
            DocumentCheck::NotYet => Some(format!("issued {}", date(dates.issued))),
            DocumentCheck::Expired => Some(format!("next update {}", date(dates.next_update))),
            DocumentCheck::Shape | DocumentCheck::Signature => None,
        }
    }

    fn of_enclave(&self, check: EnclaveCheck) -> Option<String> {
        let (report, identity) = (&self.quote.as_ref()?.qe_report, &self.collateral?.qe_identity);
        Some(match check {
            EnclaveCheck::Debug => format!("ATTRIBUTES {}", hex(&report.attributes)),
            EnclaveCheck::Signer => format!("quote {}, identity {}", report.signer, hex(&identity.mrsigner)),
            EnclaveCheck::Product => format!("quote {}, identity {}", report.product, identity.isvprodid),
            EnclaveCheck::MiscSelect => format!(
                "quote {:#x}, identity {:#x} under {:#x}",
                report.misc_select,
                u32::from_le_bytes(identity.miscselect),
                u32::from_le_bytes(identity.miscselect_mask)
            ),
            EnclaveCheck::Attributes => format!(
                "quote {}, identity {} under {}",
                hex(&report.attributes),
                hex(&identity.attributes),
                hex(&identity.attributes_mask)
            ),
            EnclaveCheck::Level | EnclaveCheck::Revoked => {
                let level = self
                    .verified
                    .map(|quote| format!(": {}", quote.enclave_level().status.name()));
                format!("ISVSVN {}{}", report.security_version, level.unwrap_or_default())
            }
            EnclaveCheck::Signature | EnclaveCheck::KeyDigest => return None,
        })
    }

    fn of_platform(&self, check: PlatformCheck) -> Option<String> {
        let body = &self.quote.as_ref()?.body;
        let pck = self.pck.as_ref()?;
        let info = self.collateral.map(|file| &file.tcb_info);
        // Text of a file: hexadecimal, or nothing.
        let stated = |text: Option<&String>| {
            let text = text.filter(|text| text.len() < 32 && text.bytes().all(|c| c.is_ascii_hexdigit()));
            text.map_or_else(|| "not given".to_owned(), |text| text.to_ascii_lowercase())
        };
        Some(match check {
            PlatformCheck::Fmspc => format!(
                "certificate {}, TCB information {}",
                hex(&pck.fmspc),
                stated(info.map(|info| &info.fmspc))
            ),
            PlatformCheck::PceId => format!(
                "certificate {}, TCB information {}",
                hex(&pck.pce_id),
                stated(info.map(|info| &info.pce_id))
            ),
            PlatformCheck::Level | PlatformCheck::Revoked => {
                let level = self.verified.map(|quote| {
                    let level = quote.platform_level();
                    format!(": {} of {}", level.status.name(), date(level.date))
                });
                let now = body
                    .td15
                    .map(|newer| format!(", TEE_TCB_SVN2 {}", hex(&newer.tee_tcb_svn2)));
                format!(
                    "CPUSVN {}, PCESVN {}, TEE_TCB_SVN {}{}{}",
                    hex(&pck.cpu_svn),
                    pck.pce_svn,
                    hex(&body.tee_tcb_svn),
                    now.unwrap_or_default(),
                    level.unwrap_or_default()
                )
            }
            PlatformCheck::Module | PlatformCheck::ModuleLevel => {
                let [minor, major, ..] = body.tee_tcb_svn;
                format!("module version {major}, SVN {minor}")
            }
            PlatformCheck::ModuleSigner => body.mr_signer_seam.to_string(),
            PlatformCheck::ModuleAttributes => hex(&body.seam_attributes),
        })
    }
}
