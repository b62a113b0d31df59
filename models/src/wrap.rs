//! A key under a key: on its way to an enclave, and at rest in a store.
//!
//! Why apart: these are the only doors by which a [`ModelKey`](crate::key::ModelKey) leaves and enters a
//! process.
//!
//! - [`jwe`]: to the key pair an enclave made for one session, as RCAR peers exchange it
//! - [`kek`]: to a key-encryption key that an owner keeps in a file
//!
//! # Invariants
//! A wrapped key opens only whole: with the right key, the right context and not one bit changed.

use std::fmt;

pub mod jwe;
pub mod kek;

pub use jwe::{Jwe, TeeKeyPair, TeePublicKey};
pub use kek::Kek;

/// Why a key could not be unwrapped or its wrapping not be read. Carries nothing of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrapError {
    /// The enclave's public key is not a JWK of the one kind asked for.
    PublicKey,
    /// The answer is not a flattened JWE, or one of its members is not base64url of the right length.
    Shape,
    /// The answer names another algorithm, another content encryption, or a member nobody asked for.
    Header,
    /// The key file is not a key-encryption key in its text form.
    KekFile,
    /// The wrapped key is of a version that this program does not know.
    Version,
    /// The wrapping does not open: other key, other context, or altered.
    NotAuthentic,
    /// It opened, and what is inside is not a model key of 32 bytes.
    NotAModelKey,
}

impl WrapError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::PublicKey => "the enclave must send an EC key on P-256 for ECDH-ES+A256KW",
            Self::Shape | Self::Header => {
                "the broker must answer with ECDH-ES+A256KW and A256GCM, nothing else"
            }
            Self::KekFile => "point to the file that was written when the store was made",
            Self::Version => "use the release of this program that wrote the store, or a newer one",
            Self::NotAuthentic => "check that the key, the key id and the class belong together",
            Self::NotAModelKey => {
                "store the 32 bytes of the model key under this resource, not another secret"
            }
        }
    }
}

impl fmt::Display for WrapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PublicKey => "the public key is not a P-256 key for ECDH-ES+A256KW",
            Self::Shape => "the wrapped key is not a JWE in flattened JSON",
            Self::Header => "the wrapped key's protected header is not the one asked for",
            Self::KekFile => "the file is not a key-encryption key",
            Self::Version => "the wrapped key has an unknown version",
            Self::NotAuthentic => "the wrapped key does not open",
            Self::NotAModelKey => "the wrapped secret is not a model key",
        })
    }
}

impl std::error::Error for WrapError {}
