//! What the configuration says of confinement.
//!
//! Why apart: each key gives up a measure, so each is dangerous and shown in evidence.
//!
//! # Invariants
//! Unset is the strictest.

use anchorhold_attestation::identity::Weakening;

/// Which measures of [`crate::confine`] the enclave does without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConfineConfig {
    /// Consent to reaching any file and port that the process may.
    pub without_landlock: bool,
    /// Consent to memory that can be swapped.
    pub without_locked_memory: bool,
    /// Consent to any system call.
    pub without_seccomp: bool,
}

impl ConfineConfig {
    /// Their names in evidence.
    pub(super) fn weakened(self) -> impl Iterator<Item = Weakening> {
        let settings = [
            (self.without_landlock, Weakening::WithoutLandlock),
            (self.without_locked_memory, Weakening::WithoutLockedMemory),
            (self.without_seccomp, Weakening::WithoutSeccomp),
        ];
        settings.into_iter().filter_map(|(set, name)| set.then_some(name))
    }
}
