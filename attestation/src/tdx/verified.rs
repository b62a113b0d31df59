//! What a verified quote proves, field by field.
//!
//! Why apart: [`VerifiedQuote`] has private fields declared here and one constructor, which only
//! [`verify`](super::verify()) calls after everything held.
//!
//! # Invariants
//! No judgement: a status is Intel's statement about the platform at the time given, not a decision. Every field
//! of header, body, quoting enclave and collateral that a policy could want is here.

use anchorhold_encoding::Digest;
use dcap_qvl::{PckCertFlag, QuoteClaims};

use super::body::{BodyKind, TdBody};
use super::crypto::sha256;
use super::enclave::EnclaveReport;
use super::quote::Quote;
use crate::claims::Class;
use crate::time::Timestamp;

/// Intel's verdict on a TCB level (Intel SGX and TDX PCS API, `tcbStatus`), best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TcbStatus {
    /// Everything Intel knows of is fixed.
    UpToDate,
    /// Software inside must defend itself.
    SwHardeningNeeded,
    /// The platform's configuration may leave it open.
    ConfigurationNeeded,
    /// Both of the above.
    ConfigurationAndSwHardeningNeeded,
    /// Started on an old TDX module, which has been updated since: start the domain anew.
    RelaunchAdvised,
    /// The same, and the configuration may leave it open.
    RelaunchAdvisedConfigurationNeeded,
    /// Fixes are missing.
    OutOfDate,
    /// Fixes are missing, and the configuration may leave it open.
    OutOfDateConfigurationNeeded,
    /// Its keys are not secret any more. Never in a verified quote.
    Revoked,
}

impl TcbStatus {
    /// Intel's word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UpToDate => "UpToDate",
            Self::SwHardeningNeeded => "SWHardeningNeeded",
            Self::ConfigurationNeeded => "ConfigurationNeeded",
            Self::ConfigurationAndSwHardeningNeeded => "ConfigurationAndSWHardeningNeeded",
            Self::RelaunchAdvised => "TDRelaunchAdvised",
            Self::RelaunchAdvisedConfigurationNeeded => "TDRelaunchAdvisedConfigurationNeeded",
            Self::OutOfDate => "OutOfDate",
            Self::OutOfDateConfigurationNeeded => "OutOfDateConfigurationNeeded",
            Self::Revoked => "Revoked",
        }
    }

    const fn from_intel(status: dcap_qvl::TcbStatus) -> Self {
        use dcap_qvl::TcbStatus as Intel;
        match status {
            Intel::UpToDate => Self::UpToDate,
            Intel::SWHardeningNeeded => Self::SwHardeningNeeded,
            Intel::ConfigurationNeeded => Self::ConfigurationNeeded,
            Intel::ConfigurationAndSWHardeningNeeded => Self::ConfigurationAndSwHardeningNeeded,
            Intel::TDRelaunchAdvised => Self::RelaunchAdvised,
            Intel::TDRelaunchAdvisedConfigurationNeeded => Self::RelaunchAdvisedConfigurationNeeded,
            Intel::OutOfDate => Self::OutOfDate,
            Intel::OutOfDateConfigurationNeeded => Self::OutOfDateConfigurationNeeded,
            Intel::Revoked => Self::Revoked,
        }
    }
}

/// A level of Intel's TCB information or QE identity that was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcbLevel {
    /// Intel's verdict on it.
    pub status: TcbStatus,
    /// Until when Intel's fixes are in it.
    pub date: Timestamp,
    /// Intel's advisories that apply to it, such as `INTEL-SA-00960`, as signed.
    pub advisories: Vec<String>,
}

/// What the PCK certificate says about the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Platform {
    /// FMSPC: family, model, stepping and customer SKU.
    pub fmspc: [u8; 6],
    /// PPID: the one processor package the certificate was made for.
    pub ppid: Digest<16>,
    /// PIID: the machine as registered, by the Platform CA only.
    pub platform_instance: Option<Digest<16>>,
    /// CPUSVN of the certificate: security versions of the processor's own code.
    pub cpu_svn: [u8; 16],
    /// PCESVN of the certificate.
    pub pce_svn: u16,
    /// PCEID.
    pub pce_id: [u8; 2],
    /// SGX type: 0 standard, 1 scalable, 2 scalable with integrity.
    pub sgx_type: u8,
    /// Packages may be added to the machine. `None`: the certificate does not say (Processor CA).
    pub dynamic: Option<bool>,
    /// Intel's registration service keeps the platform's root keys. `None`: the certificate does not say.
    pub cached_keys: Option<bool>,
    /// Two threads share a core. `None`: the certificate does not say.
    pub smt: Option<bool>,
    /// SHA-256 of the PCK certificate.
    pub certificate: Digest<32>,
}

/// Which collateral was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollateralUsed {
    /// `tcbEvaluationDataNumber` of the TCB information.
    pub tcb_evaluation: u32,
    /// `tcbEvaluationDataNumber` of the QE identity.
    pub qe_evaluation: u32,
    /// CRL number of the root's list.
    pub root_crl: u32,
    /// CRL number of the PCK authority's list.
    pub pck_crl: u32,
    /// When the oldest item was issued.
    pub earliest_issue: Timestamp,
    /// When the newest item was issued.
    pub latest_issue: Timestamp,
    /// When the first item expires: after it nothing is proven.
    pub expires: Timestamp,
}

/// A quote that Intel's hierarchy vouches for at the time given. Made only by [`verify`](super::verify()):
///
/// ```compile_fail
/// use anchorhold_attestation::tdx::VerifiedQuote;
/// fn copy(quote: &VerifiedQuote) -> VerifiedQuote { quote.clone() }
/// ```
#[derive(Debug)]
#[must_use]
pub struct VerifiedQuote {
    class: Class,
    version: u16,
    user_data: [u8; 20],
    body_kind: BodyKind,
    body: TdBody,
    quoting_enclave: EnclaveReport,
    status: TcbStatus,
    advisories: Vec<String>,
    platform_level: TcbLevel,
    current_level: Option<TcbLevel>,
    enclave_level: TcbLevel,
    platform: Platform,
    collateral: CollateralUsed,
}

impl VerifiedQuote {
    /// What `claims` and `quote` say together; `None` when they do not speak of the same thing.
    pub(super) fn new(
        quote: &Quote<'_>,
        claims: QuoteClaims,
        tcb_evaluation: u32,
        pck: &[u8],
        class: Class,
    ) -> Option<Self> {
        agrees(quote, &claims).then_some(())?;
        let identity = &claims.platform.pck;
        Some(Self {
            class,
            version: quote.version,
            user_data: quote.user_data,
            body_kind: quote.body_kind,
            body: quote.body,
            quoting_enclave: quote.qe_report,
            status: TcbStatus::from_intel(claims.tcb.status),
            advisories: claims.tcb.advisory_ids,
            platform: Platform {
                fmspc: identity.fmspc,
                ppid: Digest::from_slice(&identity.ppid)?,
                platform_instance: identity.platform_instance_id.map(Digest::new),
                cpu_svn: identity.cpu_svn,
                pce_svn: identity.pce_svn,
                pce_id: identity.pce_id.as_slice().try_into().ok()?,
                sgx_type: identity.sgx_type,
                dynamic: flag(identity.dynamic_platform),
                cached_keys: flag(identity.cached_keys),
                smt: flag(identity.smt_enabled),
                certificate: Digest::new(sha256(pck)),
            },
            platform_level: platform_level(claims.platform.tcb_level)?,
            current_level: match claims.platform.current_tcb_level {
                Some(level) => Some(platform_level(level)?),
                None => None,
            },
            enclave_level: TcbLevel {
                status: TcbStatus::from_intel(claims.qe.tcb_level.tcb_status),
                date: super::collateral::date(&claims.qe.tcb_level.tcb_date)?,
                advisories: claims.qe.tcb_level.advisory_ids,
            },
            collateral: CollateralUsed {
                tcb_evaluation,
                qe_evaluation: claims.qe.tcb_eval_data_number,
                root_crl: claims.platform.root_ca_crl_num,
                pck_crl: claims.platform.pck_crl_num,
                earliest_issue: Timestamp::from_unix(claims.earliest_issue_date),
                latest_issue: Timestamp::from_unix(claims.latest_issue_date),
                expires: Timestamp::from_unix(claims.earliest_expiration_date),
            },
        })
    }

    /// `real` under Intel's root as compiled in, `insecure` under any other.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.class
    }

    /// Version of the quote: 4 or 5.
    #[must_use]
    pub const fn version(&self) -> u16 {
        self.version
    }

    /// The header's user data: 16 bytes of an identifier of the platform's quoting enclave, then zero.
    #[must_use]
    pub const fn user_data(&self) -> &[u8; 20] {
        &self.user_data
    }

    /// The form of the body.
    #[must_use]
    pub const fn body_kind(&self) -> BodyKind {
        self.body_kind
    }

    /// The trust domain's own fields.
    #[must_use]
    pub const fn body(&self) -> &TdBody {
        &self.body
    }

    /// The quoting enclave's report.
    #[must_use]
    pub const fn quoting_enclave(&self) -> &EnclaveReport {
        &self.quoting_enclave
    }

    /// Intel's verdict on platform, TDX module and quoting enclave together. Never `Revoked`.
    #[must_use]
    pub const fn status(&self) -> TcbStatus {
        self.status
    }

    /// All advisories that apply, of platform, TDX module and quoting enclave.
    #[must_use]
    pub fn advisories(&self) -> &[String] {
        &self.advisories
    }

    /// The level of platform and TDX module as the domain was launched.
    #[must_use]
    pub const fn platform_level(&self) -> &TcbLevel {
        &self.platform_level
    }

    /// The level of platform and TDX module as of now, where the body says (TDX 1.5).
    #[must_use]
    pub const fn current_level(&self) -> Option<&TcbLevel> {
        self.current_level.as_ref()
    }

    /// The level of the quoting enclave.
    #[must_use]
    pub const fn enclave_level(&self) -> &TcbLevel {
        &self.enclave_level
    }

    /// The platform, from its PCK certificate.
    #[must_use]
    pub const fn platform(&self) -> &Platform {
        &self.platform
    }

    /// The collateral this rests on.
    #[must_use]
    pub const fn collateral(&self) -> &CollateralUsed {
        &self.collateral
    }
}

const fn flag(flag: PckCertFlag) -> Option<bool> {
    match flag {
        PckCertFlag::True => Some(true),
        PckCertFlag::False => Some(false),
        PckCertFlag::Undefined => None,
    }
}

fn platform_level(level: dcap_qvl::TcbLevel) -> Option<TcbLevel> {
    Some(TcbLevel {
        status: TcbStatus::from_intel(level.tcb_status),
        date: super::collateral::date(&level.tcb_date)?,
        advisories: level.advisory_ids,
    })
}

/// Whether dcap-qvl has read the same domain and the same quoting enclave out of the bytes.
fn agrees(quote: &Quote<'_>, claims: &QuoteClaims) -> bool {
    let (body, enclave) = (&quote.body, &quote.qe_report);
    let Some(theirs) = claims.report.as_td10() else {
        return false;
    };
    let [rtmr0, rtmr1, rtmr2, rtmr3] = &body.rtmr;
    let digests = [
        (&theirs.mr_seam, &body.mr_seam),
        (&theirs.mr_signer_seam, &body.mr_signer_seam),
        (&theirs.mr_td, &body.mr_td),
        (&theirs.mr_config_id, &body.mr_config_id),
        (&theirs.mr_owner, &body.mr_owner),
        (&theirs.mr_owner_config, &body.mr_owner_config),
        (&theirs.rt_mr0, rtmr0),
        (&theirs.rt_mr1, rtmr1),
        (&theirs.rt_mr2, rtmr2),
        (&theirs.rt_mr3, rtmr3),
    ];
    let added = claims
        .report
        .as_td15()
        .map(|td15| (td15.tee_tcb_svn2, Digest::new(td15.mr_service_td)));
    digests.iter().all(|(theirs, ours)| *theirs == ours.as_bytes())
        && claims.header.version == quote.version
        && theirs.tee_tcb_svn == body.tee_tcb_svn
        && theirs.seam_attributes == body.seam_attributes
        && u64::from_le_bytes(theirs.td_attributes) == body.attributes.bits()
        && u64::from_le_bytes(theirs.xfam) == body.xfam.bits()
        && theirs.report_data == body.report_data
        && added == body.td15.map(|td15| (td15.tee_tcb_svn2, td15.mr_service_td))
        && claims.report.as_td15_ex().is_some() == body.td15_ex.is_some()
        && claims.qe.report.mr_enclave == *enclave.measurement.as_bytes()
        && claims.qe.report.report_data == enclave.report_data
}
