//! Which transition of the boot failed, and what the operator can do.
//!
//! Why apart: the operator sees one event line and an exit code, and both come from here.
//!
//! # Invariants
//! Constants only.

use std::fmt;

use anchorhold_models::LoadError;
use anchorhold_models::sealed::UnsealError;

use crate::attester::AttesterError;
use crate::config::ConfigError;
use crate::confine::ConfineError;
use crate::devices::DevicesError;
use crate::event::Event;
use crate::rcar::RcarError;
use crate::run::RunOutcome;

/// What the launcher handed over is not usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaunchError {
    /// The descriptor cannot be read.
    Unreadable,
    /// More than [`crate::limits::LAUNCH_BYTES`].
    TooLarge,
    /// It does not begin with a launch record.
    NoRecord,
    /// The platform's field is zero: nobody committed to a configuration.
    Unbound,
    /// The configuration is not the one the platform committed to.
    OtherConfiguration,
}

/// Why the enclave does not serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BootError {
    /// What the launcher handed over.
    Launch(LaunchError),
    /// What the configuration says.
    Config(ConfigError),
    /// The process cannot confine itself.
    Confine(ConfineError),
    /// The platform.
    Attester(AttesterError),
    /// No randomness, or no keys.
    Keys,
    /// TLS cannot be set up.
    Tls,
    /// The broker, or the way to it.
    Broker(RcarError),
    /// The sealed file.
    Unseal(UnsealError),
    /// What was unsealed is not a model this enclave can run.
    Load(LoadError),
    /// The GPUs do not get the weights.
    Devices(DevicesError),
    /// The lease ended before the model was loaded.
    LeaseEnded,
    /// An address cannot be listened on.
    Listen,
    /// The model's thread cannot be started.
    Thread,
    /// A transition panicked.
    Panicked,
}

impl BootError {
    /// Which transition failed.
    #[must_use]
    pub fn stage(&self) -> &'static str {
        match self {
            Self::Launch(_) => "launch",
            Self::Config(_) => "config",
            Self::Confine(_) => "confine",
            Self::Attester(_) | Self::Keys | Self::Tls => "attest",
            Self::Broker(_) => "key",
            Self::Unseal(_) | Self::Load(_) | Self::LeaseEnded => "unseal",
            Self::Devices(_) => "devices",
            Self::Listen => "listen",
            Self::Thread | Self::Panicked => "process",
        }
    }

    /// For scripts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Launch(LaunchError::Unreadable) => "launch_unreadable",
            Self::Launch(LaunchError::TooLarge) => "launch_too_large",
            Self::Launch(LaunchError::NoRecord) => "launch_no_record",
            Self::Launch(LaunchError::Unbound) => "config_unbound",
            Self::Launch(LaunchError::OtherConfiguration) => "config_differs",
            Self::Config(error) => error.code(),
            Self::Confine(error) => error.code(),
            Self::Attester(error) => error.code(),
            Self::Keys => "no_keys",
            Self::Tls => "no_tls",
            Self::Broker(error) => error.code(),
            Self::Unseal(error) => unseal_code(error),
            Self::Load(_) => "model_not_loaded",
            Self::Devices(error) => error.code(),
            Self::LeaseEnded => "lease_ended",
            Self::Listen => "address_unavailable",
            Self::Thread => "threads",
            Self::Panicked => "panicked",
        }
    }

    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Launch(LaunchError::Unreadable | LaunchError::NoRecord) => {
                "start the enclave with `anchorhold operator launch`"
            }
            Self::Launch(LaunchError::TooLarge) => "a configuration has at most 64 KiB",
            Self::Launch(LaunchError::Unbound) => {
                "launch with the configuration's digest in the platform's field"
            }
            Self::Launch(LaunchError::OtherConfiguration) => {
                "launch again: the configuration changed after it was measured"
            }
            Self::Config(error) => error.hint(),
            Self::Confine(error) => error.hint(),
            Self::Attester(error) => error.hint(),
            Self::Keys | Self::Tls => "this machine gives no randomness or lacks memory",
            Self::Broker(error) => error.hint(),
            Self::Unseal(error) => error.hint(),
            Self::Load(error) => error.hint(),
            Self::Devices(error) => error.hint(),
            Self::LeaseEnded => "ask the model's owner for a longer lease, or use a faster disk",
            Self::Listen => "choose an address of this machine and a port that is free",
            Self::Thread => "this machine gives no threads",
            Self::Panicked => "this is a defect of the enclave: report it with the events before this one",
        }
    }

    /// The event that tells the operator.
    #[must_use]
    pub fn event(&self) -> Event {
        match self {
            Self::Broker(error @ RcarError::Denied(_)) => Event::Denied { code: error.code() },
            _ => Event::Error {
                stage: self.stage(),
                code: self.code(),
                hint: self.hint(),
                line: if let Self::Config(error) = self {
                    error.line()
                } else {
                    0
                },
                key: if let Self::Config(error) = self {
                    error.key()
                } else {
                    ""
                },
            },
        }
    }

    /// How the process ends.
    pub fn outcome(&self) -> RunOutcome {
        match self {
            Self::Launch(_) | Self::Config(_) => RunOutcome::BadConfiguration,
            Self::Broker(RcarError::Denied(_)) => RunOutcome::Denied,
            _ => RunOutcome::Failed,
        }
    }
}

fn unseal_code(error: &UnsealError) -> &'static str {
    match error {
        UnsealError::Io(_) => "sealed_unreadable",
        UnsealError::NotSealed => "not_sealed",
        UnsealError::Truncated => "sealed_truncated",
        UnsealError::TrailingBytes => "sealed_trailing_bytes",
        UnsealError::WrongKey => "wrong_key",
        _ => "sealed_refused",
    }
}

impl From<LaunchError> for BootError {
    fn from(error: LaunchError) -> Self {
        Self::Launch(error)
    }
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Confine(error) => error.fmt(f),
            Self::Attester(error) => error.fmt(f),
            Self::Broker(error) => error.fmt(f),
            _ => f.write_str(self.code()),
        }
    }
}

impl std::error::Error for BootError {}
