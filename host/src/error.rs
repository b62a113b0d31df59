//! What a failed command tells a person and a script.
//!
//! Why apart: each stage has its own error enum; all of them reach a person in one shape.
//!
//! # Invariants
//! A [`Failure`] holds a constant code, a message and a hint made by our own code, never text of a peer or of
//! a dependency. A denial keeps every reason.

use std::fmt;
use std::process::ExitCode;

use anchorhold_attestation::Denial;

/// The process's exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done, or affirmed.
    Yes,
    /// 1: something failed.
    Error,
    /// 2: the command was used wrongly.
    Usage,
    /// 3: a policy denied.
    Denied,
}

impl Exit {
    /// As the process reports it.
    #[must_use]
    pub fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Yes => 0,
            Self::Error => 1,
            Self::Usage => 2,
            Self::Denied => 3,
        })
    }
}

/// An error of one stage that a person is going to see.
pub trait Explain: std::error::Error {
    /// A constant for scripts, `snake_case`.
    fn code(&self) -> &'static str;
    /// What the person can do about it.
    fn hint(&self) -> String;
    /// The reasons, when a policy denied.
    fn denial(&self) -> Option<&Denial> {
        None
    }
    /// The exit status. A refusal that is not a policy's (evidence that does not verify, a channel that is not
    /// the enclave's) says 3 here as well.
    fn exit(&self) -> Exit {
        if self.denial().is_some() {
            Exit::Denied
        } else {
            Exit::Error
        }
    }
}

/// One reason of a denial, in the words of the policy.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DeniedRule {
    /// The rule.
    pub rule: String,
    /// What the policy wanted.
    pub expected: String,
    /// What the evidence says.
    pub found: String,
    /// What to do.
    pub hint: String,
}

/// Every reason of `denial`, in policy order.
#[must_use]
pub fn denied_rules(denial: &Denial) -> Vec<DeniedRule> {
    denial
        .reasons()
        .iter()
        .map(|reason| DeniedRule {
            rule: reason.rule.to_string(),
            expected: reason.expected.clone(),
            found: reason.found.clone(),
            hint: reason.hint.to_owned(),
        })
        .collect()
}

/// Why a command failed, ready to print.
#[derive(Debug)]
pub struct Failure {
    code: &'static str,
    message: String,
    hint: String,
    denied: Vec<DeniedRule>,
    exit: Exit,
}

impl Failure {
    /// A failure of the command itself; exit status 1.
    #[must_use]
    pub fn new(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: hint.into(),
            denied: Vec::new(),
            exit: Exit::Error,
        }
    }

    /// A command that was used wrongly in a way the argument parser cannot see; exit status 2.
    #[must_use]
    pub fn usage(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            ..Self::new(code, message, hint)
        }
    }

    /// The constant for scripts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// What the person can do.
    #[must_use]
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// Every reason, when a policy denied; else none.
    #[must_use]
    pub fn denied(&self) -> &[DeniedRule] {
        &self.denied
    }

    /// The exit status.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl<E: Explain> From<E> for Failure {
    fn from(error: E) -> Self {
        let denied = error.denial().map(denied_rules).unwrap_or_default();
        Self {
            exit: error.exit(),
            denied,
            ..Self::new(error.code(), error.to_string(), error.hint())
        }
    }
}

/// Errors of the other crates already have their words; a script needs a constant too.
macro_rules! explain {
    ($($error:ty => $code:literal,)*) => {$(
        impl Explain for $error {
            fn code(&self) -> &'static str {
                $code
            }

            fn hint(&self) -> String {
                <$error>::hint(self).to_owned()
            }
        }
    )*};
}

explain! {
    anchorhold_attestation::ParseError => "malformed",
    anchorhold_attestation::PolicyError => "policy",
    anchorhold_models::ManifestError => "model_folder",
    anchorhold_models::SealError => "seal",
    anchorhold_models::UnsealError => "sealed_file",
}
