//! Why there is no evidence.
//!
//! Why apart: the operator sees a code and a hint, and both come from here.
//!
//! # Invariants
//! Constants only: no error of a driver, a firmware or a service is passed on in its own words.

use std::fmt;

/// An interface to something that signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interface {
    /// Linux's TSM reports in configfs.
    Tsm,
    /// `/dev/sev-guest`.
    SevGuest,
    /// `/dev/tdx_guest`.
    TdxGuest,
    /// The vTPM, `/dev/tpmrm0`.
    Vtpm,
    /// The host's service that makes a quote of a TDREPORT.
    QuoteService,
    /// NVIDIA's management library.
    Nvml,
}

impl Interface {
    const fn name(self) -> &'static str {
        match self {
            Self::Tsm => "the kernel's TSM reports",
            Self::SevGuest => "/dev/sev-guest",
            Self::TdxGuest => "/dev/tdx_guest",
            Self::Vtpm => "the vTPM",
            Self::QuoteService => "the host's quote service",
            Self::Nvml => "NVIDIA's management library",
        }
    }
}

/// What went wrong with an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is not there.
    Missing,
    /// It may not be used by this process.
    Forbidden,
    /// It is there for another kind of machine.
    OtherKind,
    /// It lacks something that is needed: older than this code, or not set up for confidential computing.
    Unsupported,
    /// It said no, or failed.
    Refused,
    /// It is busy, also after several tries.
    Busy,
    /// Somebody else wrote to what was ours, each time.
    Disturbed,
    /// It gave more than it may.
    TooLarge,
    /// Its answer is not of the form it must have.
    Malformed,
    /// Its answer is not to what was asked.
    Stale,
}

impl Fault {
    const fn words(self) -> &'static str {
        match self {
            Self::Missing => "is not there",
            Self::Forbidden => "may not be used",
            Self::OtherKind => "is for another kind of machine",
            Self::Unsupported => "lacks what is needed",
            Self::Refused => "refused",
            Self::Busy => "is busy",
            Self::Disturbed => "was written to by somebody else",
            Self::TooLarge => "gave more than it may",
            Self::Malformed => "gave an answer of the wrong form",
            Self::Stale => "gave an answer to another question",
        }
    }
}

/// Why there is no evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttesterError {
    /// This build has no such platform.
    NotCompiled,
    /// The platform gave no report, or one that cannot be evidence.
    NoReport,
    /// An interface to what signs.
    Interface {
        /// Which.
        interface: Interface,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The platform's field is zero: nobody fixed a configuration at launch.
    Unbound,
    /// The platform's field fixes another configuration.
    OtherConfiguration,
    /// No device answers that the configuration demands evidence of.
    NoDevices,
}

impl AttesterError {
    /// For scripts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotCompiled => "platform_not_compiled",
            Self::NoReport => "no_report",
            Self::NoDevices => "no_devices",
            Self::Unbound => "config_unbound",
            Self::OtherConfiguration => "config_differs",
            Self::Interface { interface, fault } => match (interface, fault) {
                (Interface::Tsm, Fault::Missing) => "tsm_missing",
                (Interface::Tsm, _) => "tsm_failed",
                (Interface::SevGuest, Fault::Missing) => "sev_guest_missing",
                (Interface::SevGuest, _) => "sev_guest_failed",
                (Interface::TdxGuest, Fault::Missing) => "tdx_guest_missing",
                (Interface::TdxGuest, _) => "tdx_guest_failed",
                (Interface::Vtpm, Fault::Missing) => "vtpm_missing",
                (Interface::Vtpm, _) => "vtpm_failed",
                (Interface::QuoteService, _) => "quote_service_failed",
                (Interface::Nvml, Fault::Missing) => "nvml_missing",
                (Interface::Nvml, _) => "nvml_failed",
            },
        }
    }

    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotCompiled => {
                "`--version` lists the platforms of this build; use a build for your platform"
            }
            Self::NoReport => "check that the machine runs as a confidential VM",
            Self::NoDevices => {
                "give the machine a GPU in confidential mode, or demand none in the configuration"
            }
            Self::Unbound => "launch with the configuration's digest in the platform's field",
            Self::OtherConfiguration => "launch again: the configuration is not the one that was measured",
            Self::Interface { interface, fault } => hint(*interface, *fault),
        }
    }
}

const fn hint(interface: Interface, fault: Fault) -> &'static str {
    match (fault, interface) {
        (Fault::Missing, Interface::Tsm | Interface::SevGuest | Interface::TdxGuest) => {
            "start the machine as the confidential VM that `platform` names, with Linux 6.7 or newer"
        }
        (Fault::Missing, Interface::Vtpm) => "start the machine as a confidential VM of Azure, with its vTPM",
        (Fault::Missing, Interface::Nvml) => "put NVIDIA's driver into the image, or demand no GPU",
        (Fault::Missing, Interface::QuoteService) => "the network has no way to the host's quote service",
        (Fault::Forbidden, _) => "run the enclave as the image does: as root, alone in its VM",
        (Fault::OtherKind, _) => "`platform` in the configuration is not this machine's",
        (Fault::Unsupported, Interface::Nvml) => {
            "switch the GPU's confidential mode on, and use driver 550 or newer"
        }
        (Fault::Unsupported, _) => "use a newer kernel, firmware or paravisor",
        (Fault::Busy | Fault::Refused, _) => "try again; the machine's host may limit how often it signs",
        (Fault::Disturbed, _) => "let no other program of the VM ask for reports",
        (Fault::TooLarge | Fault::Malformed | Fault::Stale, _) => {
            "this is a defect of the driver or the firmware, or an attack by the host"
        }
    }
}

impl Interface {
    /// This interface with a fault.
    pub(super) const fn fails(self, fault: Fault) -> AttesterError {
        AttesterError::Interface {
            interface: self,
            fault,
        }
    }
}

impl fmt::Display for AttesterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCompiled => f.write_str("this build does not have that platform"),
            Self::NoReport => f.write_str("the platform gave no evidence"),
            Self::NoDevices => f.write_str("no device gives evidence"),
            Self::Unbound => f.write_str("nobody fixed a configuration at launch"),
            Self::OtherConfiguration => f.write_str("the platform fixes another configuration"),
            Self::Interface { interface, fault } => write!(f, "{} {}", interface.name(), fault.words()),
        }
    }
}

impl std::error::Error for AttesterError {}
