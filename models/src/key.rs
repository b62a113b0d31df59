//! The key under which a model is sealed, and the only doors through which it passes.
//!
//! Why apart: whoever holds this key holds the weights. Its bytes are visible in no other module than the
//! cipher's, so what can happen to a key can be listed: generate, wrap, unwrap, derive.
//!
//! # Invariants
//! No public way to its bytes, in or out, but wrapped under another key. Wiped when dropped.

use aws_lc_rs::hkdf::{HKDF_SHA512, KeyType, Salt};

use anchorhold_encoding::{Digest, Preimage};

use crate::secret::Secret;

/// 256 bits from which a sealed file's chunk key and commitment are derived. One key may seal many files:
/// each has its own salt.
///
/// Made by [`ModelKey::generate`]; leaves by [`ModelKey::wrap_for`](crate::key::ModelKey::wrap_for) (to an
/// enclave) or [`Kek::wrap`](crate::wrap::Kek::wrap) (to the store); comes back by
/// [`ModelKey::unwrap`](crate::key::ModelKey::unwrap) or [`Kek::unwrap`](crate::wrap::Kek::unwrap).
///
/// It can be neither copied nor shown:
///
/// ```compile_fail,E0599
/// let copy = anchorhold_models::ModelKey::generate().clone();
/// ```
/// ```compile_fail,E0277
/// println!("{:?}", anchorhold_models::ModelKey::generate());
/// ```
pub struct ModelKey(Secret);

impl ModelKey {
    /// A fresh key from the system's random generator.
    #[must_use]
    pub fn generate() -> Self {
        Self(Secret::random())
    }

    pub(crate) fn from_secret(secret: Secret) -> Self {
        Self(secret)
    }

    pub(crate) fn secret(&self) -> &Secret {
        &self.0
    }

    /// HKDF-SHA-512 (RFC 5869) with `info = LP(label) || LP(prefix)`, 32 bytes.
    pub(crate) fn derive(&self, salt: &[u8; 32], label: &'static str, prefix: &Digest<64>) -> Secret {
        struct Length;
        impl KeyType for Length {
            fn len(&self) -> usize {
                32
            }
        }
        let info = Preimage::new(label).lp(prefix.as_bytes());
        let extracted = Salt::new(HKDF_SHA512, salt).extract(self.0.expose());
        Secret::filled_by(|bytes| {
            extracted
                .expand(&[info.as_bytes()], Length)
                .and_then(|output| output.fill(bytes))
                .expect("32 bytes are within what HKDF can give");
        })
    }
}
