//! The fields of a trust domain's report.
//!
//! Why apart: every field is reachable by policy under its own name and type.
//!
//! # Invariants
//! TDX 1.0 has 584 bytes, 1.5 has 648, 1.5ex has 885; each begins with the one before. Offsets are Intel's
//! (`sgx_report2_body_t`, `sgx_report2_body_v1_5_t`, `sgx_report2_body_v1_5_ex_t` of `sgx_quote_4.h` and
//! `sgx_quote_5.h`). There are no reserved bytes. A field the body does not have is `None`, never zero.

use anchorhold_encoding::Digest;

use super::attributes::{TdAttributes, Xfam};
use super::enclave::at;

/// The form of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyKind {
    /// TDX 1.0: the only one of quote version 4, body type 2 of version 5.
    Td10,
    /// TDX 1.5: body type 3.
    Td15,
    /// TDX 1.5 with the extended service domain state: body type 4.
    Td15Ex,
}

impl BodyKind {
    pub(super) const fn from_number(number: u16) -> Option<Self> {
        match number {
            2 => Some(Self::Td10),
            3 => Some(Self::Td15),
            4 => Some(Self::Td15Ex),
            _ => None,
        }
    }

    pub(super) const fn length(self) -> usize {
        match self {
            Self::Td10 => 584,
            Self::Td15 => 648,
            Self::Td15Ex => 885,
        }
    }
}

/// What a trust domain's report says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TdBody {
    /// TEE_TCB_SVN: \[0\] minor and \[1\] major version of the TDX module, \[2\] of SEAM's loader, as launched.
    pub tee_tcb_svn: [u8; 16],
    /// MRSEAM: measurement of the TDX module.
    pub mr_seam: Digest<48>,
    /// MRSIGNERSEAM: signer of the TDX module, zero for Intel.
    pub mr_signer_seam: Digest<48>,
    /// SEAMATTRIBUTES of the TDX module.
    pub seam_attributes: [u8; 8],
    /// ATTRIBUTES of the domain.
    pub attributes: TdAttributes,
    /// XFAM of the domain.
    pub xfam: Xfam,
    /// MRTD: measurement of the domain as built.
    pub mr_td: Digest<48>,
    /// MRCONFIGID: fixed by whoever starts the domain; the digest of its configuration.
    pub mr_config_id: Digest<48>,
    /// MROWNER: who owns the domain, fixed at its start.
    pub mr_owner: Digest<48>,
    /// MROWNERCONFIG: the owner's configuration, fixed at its start.
    pub mr_owner_config: Digest<48>,
    /// RTMR0 to RTMR3: what the domain measured as it ran.
    pub rtmr: [Digest<48>; 4],
    /// REPORTDATA: 64 bytes that the domain had signed.
    pub report_data: [u8; 64],
    /// What TDX 1.5 adds.
    pub td15: Option<Td15>,
    /// What TDX 1.5ex adds.
    pub td15_ex: Option<Td15Ex>,
}

/// What TDX 1.5 adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Td15 {
    /// TEE_TCB_SVN2: as of now, after updates that kept the domain running.
    pub tee_tcb_svn2: [u8; 16],
    /// MR_SERVICETD: the service domains bound to this one, zero when there are none.
    pub mr_service_td: Digest<48>,
}

/// What TDX 1.5ex adds. Service fields are zero unless the attribute SERVTD_EXT is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Td15Ex {
    /// VM index: 0 for the domain itself or its L1 hypervisor, 1 to 3 for a partition.
    pub vm: u8,
    /// TD_ID: new at each launch, kept in migration.
    pub td_id: Digest<32>,
    /// DEV_INFO: hash of the devices bound to the domain.
    pub device_info: Digest<48>,
    /// SERVTD_HASH when the domain was made.
    pub initial_service_hash: Digest<48>,
    /// Attributes of the service domain when the domain was made.
    pub initial_service_attributes: [u8; 8],
    /// CPUSVN when the domain was made.
    pub initial_cpu_svn: [u8; 16],
    /// TEE_TCB_SVN when the domain was made.
    pub initial_tee_tcb_svn: [u8; 16],
    /// Model of the platform where the domain was made.
    pub initial_fmspc: [u8; 12],
    /// SERVTD_HASH now.
    pub current_service_hash: Digest<48>,
    /// Attributes of the service domain now.
    pub current_service_attributes: [u8; 8],
}

impl TdBody {
    pub(super) fn parse(kind: BodyKind, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != kind.length() {
            return None;
        }
        let digest = |offset| at(bytes, offset).map(Digest::new);
        Some(Self {
            tee_tcb_svn: at(bytes, 0)?,
            mr_seam: digest(16)?,
            mr_signer_seam: digest(64)?,
            seam_attributes: at(bytes, 112)?,
            attributes: TdAttributes::new(at(bytes, 120)?),
            xfam: Xfam::new(at(bytes, 128)?),
            mr_td: digest(136)?,
            mr_config_id: digest(184)?,
            mr_owner: digest(232)?,
            mr_owner_config: digest(280)?,
            rtmr: [digest(328)?, digest(376)?, digest(424)?, digest(472)?],
            report_data: at(bytes, 520)?,
            td15: match kind {
                BodyKind::Td10 => None,
                BodyKind::Td15 | BodyKind::Td15Ex => Some(Td15::parse(bytes)?),
            },
            td15_ex: match kind {
                BodyKind::Td10 | BodyKind::Td15 => None,
                BodyKind::Td15Ex => Some(Td15Ex::parse(bytes)?),
            },
        })
    }
}

impl Td15 {
    fn parse(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            tee_tcb_svn2: at(bytes, 584)?,
            mr_service_td: Digest::new(at(bytes, 600)?),
        })
    }
}

impl Td15Ex {
    fn parse(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            vm: *bytes.get(648)?,
            td_id: Digest::new(at(bytes, 649)?),
            device_info: Digest::new(at(bytes, 681)?),
            initial_service_hash: Digest::new(at(bytes, 729)?),
            initial_service_attributes: at(bytes, 777)?,
            initial_cpu_svn: at(bytes, 785)?,
            initial_tee_tcb_svn: at(bytes, 801)?,
            initial_fmspc: at(bytes, 817)?,
            current_service_hash: Digest::new(at(bytes, 829)?),
            current_service_attributes: at(bytes, 877)?,
        })
    }
}
