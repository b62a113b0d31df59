//! Thirty-two secret bytes that stay in one place until they are wiped.
//!
//! Why apart: model keys, key-encryption keys, chunk keys and content keys need the same care.
//!
//! # Invariants
//! The bytes live in pages of their own ([`anchorhold_memory::locked`]), so moving the value copies a pointer and leaves no key behind;
//! they are overwritten with zeros when dropped. No `Clone`, `Debug`, `Display` or `Serialize`, here or in any type
//! that holds one.

use anchorhold_memory::Locked;
use aws_lc_rs::rand;
use zeroize::{ZeroizeOnDrop, optimization_barrier};

/// A 256-bit key or shared secret.
pub(crate) struct Secret(Locked<32>);

impl Secret {
    /// Fresh from the system's generator.
    pub(crate) fn random() -> Self {
        Self::filled_by(|bytes| {
            rand::fill(bytes).expect("the cryptographic library ends the process when it has no randomness");
        })
    }

    /// Lets `fill` write the bytes where they will stay.
    pub(crate) fn filled_by(fill: impl FnOnce(&mut [u8; 32])) -> Self {
        let mut secret = Self(Locked::zeroed());
        fill(&mut secret.0);
        secret
    }

    /// As [`Self::filled_by`], where it may fail.
    pub(crate) fn try_filled_by<E>(fill: impl FnOnce(&mut [u8; 32]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Self(Locked::zeroed());
        fill(&mut secret.0)?;
        Ok(secret)
    }

    /// For this crate's cryptography alone.
    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl ZeroizeOnDrop for Secret {}

/// Fresh public random bytes: salts and nonces.
pub(crate) fn random_public<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the cryptographic library ends the process when it has no randomness");
    bytes
}

/// Overwrites a large buffer at the speed of `memset`; the barrier keeps the compiler from dropping it.
/// (`Zeroize` writes byte by byte, which is several times slower over gigabytes.)
pub(crate) fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    optimization_barrier(bytes);
}
