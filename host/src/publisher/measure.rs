//! Reference values of an enclave.
//!
//! Why apart: it is what a reproducible build is for; anyone computes the same values from the same files.
//!
//! # Invariants
//! The text form is TOML that a policy takes as it is.

use std::fmt::Write;
use std::path::Path;

use anchorhold_attestation::Platform;
use anchorhold_encoding::Digest;
use serde::Serialize;

use crate::measurement::{self, Configuration, FileError};

/// The one firmware version that the simulated platform has.
const TCB: u64 = 1;

/// What a platform will report of an enclave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Measured {
    platform: Platform,
    measurement: Digest<48>,
    minimum_tcb: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    config_sha256: Option<Digest<32>>,
}

/// What the simulated platform measures.
///
/// # Errors
/// [`FileError`] when a file cannot be read.
pub fn simulated(enclave: &Path, config: Option<&Path>) -> Result<Measured, FileError> {
    let config = config.map(Configuration::read).transpose()?;
    Ok(Measured {
        platform: Platform::InsecureSimulated,
        measurement: measurement::enclave(enclave)?,
        minimum_tcb: TCB,
        config_sha256: config.map(|config| config.digest()),
    })
}

impl Measured {
    /// Keys and a `[[reference_values]]` table of a policy, without a newline at the end.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        if let Some(digest) = &self.config_sha256 {
            // Top-level keys come before tables.
            let _ = writeln!(text, "config_sha256 = [\"{digest}\"]\n");
        }
        let _ = write!(
            text,
            "[[reference_values]]\nname = \"enclave\"\nplatform = \"{}\"\nmeasurement = \"{}\"\nminimum_tcb = {}",
            self.platform, self.measurement, self.minimum_tcb
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anchorhold_attestation::Policy;

    #[test]
    fn the_text_form_completes_a_policy() {
        let folder = tempfile::tempdir().unwrap();
        let (enclave, config) = (folder.path().join("e"), folder.path().join("c"));
        std::fs::write(&enclave, b"binary").unwrap();
        std::fs::write(&config, b"configuration").unwrap();
        let measured = simulated(&enclave, Some(&config)).unwrap();
        let zeros = "0".repeat(64);
        let policy = format!(
            "version = 1\nmanifest_sha256 = \"{zeros}\"\nany_chip_of = [\"insecure-simulated\"]\n{}\n",
            measured.to_toml()
        );
        assert!(Policy::from_toml(policy.as_bytes()).is_ok());
        assert!(
            simulated(&enclave, None)
                .unwrap()
                .to_toml()
                .starts_with("[[reference_values]]")
        );
    }
}
