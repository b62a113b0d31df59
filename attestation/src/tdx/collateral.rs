//! Collateral: what Intel says about a family of platforms, as a file.
//!
//! Why apart: it is fetched by somebody else, used for many quotes, and worth reading once. Nothing in it is
//! believed before a quote is verified with it.
//!
//! # Invariants
//! JSON with exactly the members of dcap-qvl's `QuoteCollateralV3`; bytes are lower-case hexadecimal, chains are
//! in their one form ([`super::pem`]), documents are the exact text that Intel signed. At most
//! [`limits::TDX_COLLATERAL`] bytes.

use dcap_qvl::{QeIdentity, QuoteCollateralV3, TcbInfo, TcbStatus};
use serde::Deserialize;
use x509_cert::der::DateTime;

use super::anchors::Anchors;
use super::certificate::{CrlFacts, Facts};
use super::checks;
use super::error::{
    Certificate, CertificateCheck, CollateralCheck, Crl, CrlCheck, Document, DocumentCheck, TdxError,
};
use super::pem;
use crate::limits;
use crate::time::Timestamp;

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    pck_crl_issuer_chain: String,
    root_ca_crl: String,
    pck_crl: String,
    tcb_info_issuer_chain: String,
    tcb_info: String,
    tcb_info_signature: String,
    qe_identity_issuer_chain: String,
    qe_identity: String,
    qe_identity_signature: String,
    #[serde(default)]
    pck_certificate_chain: Option<String>,
}

/// Collateral of the right form; nothing of it is proven.
#[derive(Debug)]
pub struct Collateral {
    pub(super) raw: QuoteCollateralV3,
    pub(super) tcb_info: TcbInfo,
    pub(super) tcb_info_dates: Dates,
    pub(super) qe_identity: QeIdentity,
    pub(super) qe_identity_dates: Dates,
    /// Signer of the TCB information, and root.
    pub(super) tcb_signer: [Facts; 2],
    /// Signer of the quoting enclave's identity, and root.
    pub(super) qe_signer: [Facts; 2],
    /// Issuer of the PCK CRL, and root.
    pub(super) crl_issuer: [Facts; 2],
    pub(super) root_crl: CrlFacts,
    pub(super) pck_crl: CrlFacts,
    pub(super) pck_chain: Option<String>,
}

/// A document's first and last second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dates {
    pub(super) issued: Timestamp,
    pub(super) next_update: Timestamp,
}

impl Collateral {
    /// Reads a collateral file.
    ///
    /// # Errors
    /// [`TdxError`] naming the part that does not have its form.
    pub fn parse(json: &[u8]) -> Result<Self, TdxError> {
        if json.len() > limits::TDX_COLLATERAL {
            return Err(TdxError::Collateral(CollateralCheck::Length));
        }
        let shape = TdxError::Collateral(CollateralCheck::Shape);
        let wire: Wire = serde_json::from_slice(json).map_err(|_| shape)?;
        let signature = |text: &str| bytes(text).filter(|raw| raw.len() == 64);
        let raw = QuoteCollateralV3 {
            root_ca_crl: bytes(&wire.root_ca_crl).ok_or(shape)?,
            pck_crl: bytes(&wire.pck_crl).ok_or(shape)?,
            tcb_info_signature: signature(&wire.tcb_info_signature).ok_or(shape)?,
            qe_identity_signature: signature(&wire.qe_identity_signature).ok_or(shape)?,
            pck_crl_issuer_chain: wire.pck_crl_issuer_chain,
            tcb_info_issuer_chain: wire.tcb_info_issuer_chain,
            tcb_info: wire.tcb_info,
            qe_identity_issuer_chain: wire.qe_identity_issuer_chain,
            qe_identity: wire.qe_identity,
            // The chain in the quote counts: an identity does not come from a stranger's file.
            pck_certificate_chain: None,
        };
        let tcb_info: TcbInfo = document(&raw.tcb_info, Document::TcbInfo)?;
        let qe_identity: QeIdentity = document(&raw.qe_identity, Document::QeIdentity)?;
        texts_of_tcb_info(&tcb_info).ok_or(shapeless(Document::TcbInfo))?;
        texts_of_qe_identity(&qe_identity).ok_or(shapeless(Document::QeIdentity))?;
        Ok(Self {
            tcb_info_dates: dates(&tcb_info.issue_date, &tcb_info.next_update, Document::TcbInfo)?,
            qe_identity_dates: dates(
                &qe_identity.issue_date,
                &qe_identity.next_update,
                Document::QeIdentity,
            )?,
            tcb_signer: chain(&raw.tcb_info_issuer_chain, Certificate::TcbSigner)?,
            qe_signer: chain(&raw.qe_identity_issuer_chain, Certificate::QeIdentitySigner)?,
            crl_issuer: chain(&raw.pck_crl_issuer_chain, Certificate::CrlIssuer)?,
            root_crl: crl(&raw.root_ca_crl, Crl::Root)?,
            pck_crl: crl(&raw.pck_crl, Crl::Pck)?,
            pck_chain: wire.pck_certificate_chain,
            tcb_info,
            qe_identity,
            raw,
        })
    }
}

impl Collateral {
    /// Proves that Intel signed every part of it and that each is valid at `now`, without a quote: for who keeps it.
    ///
    /// # Errors
    /// [`TdxError`]: the first check that fails.
    pub fn prove(&self, anchors: &Anchors, now: Timestamp) -> Result<(), TdxError> {
        checks::alone(self, anchors, now)
    }
}

/// What collateral says of itself: nothing is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CollateralSaid {
    pub(crate) fmspc: [u8; 6],
    /// `tcbEvaluationDataNumber` of the TCB information.
    pub(crate) evaluation: u32,
    /// The latest beginning of its parts.
    pub(crate) from: Timestamp,
    /// The earliest end of its parts.
    pub(crate) until: Timestamp,
}

impl Collateral {
    /// What it says of itself; `None` when its FMSPC is not one.
    pub(crate) fn said(&self) -> Option<CollateralSaid> {
        let chains = [&self.tcb_signer, &self.qe_signer, &self.crl_issuer];
        let certificates = || chains.iter().flat_map(|chain| chain.iter());
        let dates = [self.tcb_info_dates, self.qe_identity_dates];
        let lists = [&self.root_crl, &self.pck_crl];
        let from = certificates().map(|certificate| certificate.not_before);
        let from = from.chain(dates.iter().map(|dates| dates.issued));
        let until = certificates().map(|certificate| certificate.not_after);
        let until = until.chain(dates.iter().map(|dates| dates.next_update));
        Some(CollateralSaid {
            fmspc: bytes(&self.tcb_info.fmspc.to_ascii_lowercase())?
                .try_into()
                .ok()?,
            evaluation: self.tcb_info.tcb_evaluation_data_number,
            from: from.chain(lists.map(|list| list.this_update)).max()?,
            until: until
                .chain(lists.iter().filter_map(|list| list.next_update))
                .min()?,
        })
    }
}

/// Lower-case hexadecimal; `None` for anything else.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    pairs
        .iter()
        .map(|[high, low]| digit(*high)?.checked_shl(4)?.checked_add(digit(*low)?))
        .collect()
}

const fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => character.checked_sub(b'0'),
        b'a'..=b'f' => character.checked_sub(b'a' - 10),
        _ => None,
    }
}

fn document<T: serde::de::DeserializeOwned>(text: &str, document: Document) -> Result<T, TdxError> {
    serde_json::from_str(text).map_err(|_| shapeless(document))
}

fn dates(issued: &str, next_update: &str, document: Document) -> Result<Dates, TdxError> {
    let read = |text: &str| date(text).ok_or(shapeless(document));
    Ok(Dates {
        issued: read(issued)?,
        next_update: read(next_update)?,
    })
}

const fn shapeless(document: Document) -> TdxError {
    TdxError::Document {
        check: DocumentCheck::Shape,
        document,
    }
}

/// Texts of TCB information that dcap-qvl reads late, or only if a quote leads there: each has its form (PCS).
fn texts_of_tcb_info(info: &TcbInfo) -> Option<()> {
    use TcbStatus::{OutOfDate, Revoked, TDRelaunchAdvised, TDRelaunchAdvisedConfigurationNeeded, UpToDate};
    for level in &info.tcb_levels {
        date(&level.tcb_date)?;
        // Conclusions about two levels, never a level's own status.
        let concluded = [TDRelaunchAdvised, TDRelaunchAdvisedConfigurationNeeded];
        (!concluded.contains(&level.tcb_status)).then_some(())?;
    }
    let base = info.tdx_module.iter();
    let modules = base.map(|module| (&module.mrsigner, &module.attributes, &module.attributes_mask));
    let identities = info.tdx_module_identities.iter();
    let identities = identities.map(|module| (&module.mrsigner, &module.attributes, &module.attributes_mask));
    for (signer, attributes, mask) in modules.chain(identities) {
        (is_hexadecimal(signer, 48) && is_hexadecimal(attributes, 8) && is_hexadecimal(mask, 8))
            .then_some(())?;
    }
    for level in info
        .tdx_module_identities
        .iter()
        .flat_map(|module| &module.tcb_levels)
    {
        date(&level.tcb_date)?;
        [UpToDate, OutOfDate, Revoked]
            .contains(&level.tcb_status)
            .then_some(())?;
    }
    (is_hexadecimal(&info.fmspc, 6) && is_hexadecimal(&info.pce_id, 2)).then_some(())
}

/// The same of an identity of the quoting enclave.
fn texts_of_qe_identity(identity: &QeIdentity) -> Option<()> {
    use TcbStatus::{ConfigurationNeeded, OutOfDate, OutOfDateConfigurationNeeded, Revoked, UpToDate};
    let known = [
        UpToDate,
        OutOfDate,
        ConfigurationNeeded,
        Revoked,
        OutOfDateConfigurationNeeded,
    ];
    for level in &identity.tcb_levels {
        date(&level.tcb_date)?;
        known.contains(&level.tcb_status).then_some(())?;
    }
    Some(())
}

/// Hexadecimal of this many bytes. Intel writes both cases.
fn is_hexadecimal(text: &str, bytes: usize) -> bool {
    Some(text.len()) == bytes.checked_mul(2) && text.bytes().all(|character| character.is_ascii_hexdigit())
}

/// `YYYY-MM-DDThh:mm:ssZ`, the only form Intel writes.
pub(super) fn date(text: &str) -> Option<Timestamp> {
    let time: DateTime = text.parse().ok()?;
    Some(Timestamp::from_unix(time.unix_duration().as_secs()))
}

fn chain(text: &str, certificate: Certificate) -> Result<[Facts; 2], TdxError> {
    let refuse = |check, certificate| TdxError::Certificate { check, certificate };
    let [leaf, root] =
        pem::chain(text.as_bytes()).map_err(|_| refuse(CertificateCheck::Text, certificate))?;
    Ok([
        Facts::parse(leaf).ok_or_else(|| refuse(CertificateCheck::Encoding, certificate))?,
        Facts::parse(root).ok_or_else(|| refuse(CertificateCheck::Encoding, Certificate::Root))?,
    ])
}

fn crl(der: &[u8], crl: Crl) -> Result<CrlFacts, TdxError> {
    CrlFacts::parse(der.to_vec()).ok_or(TdxError::Crl {
        check: CrlCheck::Encoding,
        crl,
    })
}
