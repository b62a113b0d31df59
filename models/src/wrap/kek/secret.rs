//! A store's own signing and TLS keys under its key-encryption key: short secrets of any length.
//!
//! Why apart: model keys have their own context and fixed length; these secrets are the broker's own and
//! never reach an enclave.
//!
//! # Invariants
//! A secret opens only under the purpose and class it was wrapped for, and never as a model key: the label
//! differs.
//!
//! Wrapped form: `version (01) | nonce (12) | ciphertext | tag (16)`, with
//! `AAD = LP("anchorhold wrapped secret v1") || LP(purpose) || LP(class)`.

use anchorhold_encoding::Preimage;
use zeroize::Zeroizing;

use super::{Kek, VERSION};
use crate::aead::{self, NONCE, TAG};
use crate::name::Class;
use crate::secret::random_public;
use crate::wrap::WrapError;

const LABEL: &str = "anchorhold wrapped secret v1";

impl Kek {
    /// Wraps a short secret that is not a model key (a signing key in PKCS #8, say), tied to `purpose`, a
    /// constant of the caller, and to the store's class. Public.
    #[must_use]
    pub fn wrap_secret(&self, secret: &[u8], purpose: &'static str, class: Class) -> Vec<u8> {
        let nonce = random_public();
        let mut buffer = Zeroizing::new(secret.to_vec());
        let tag = aead::seal_small(&self.0, nonce, &context(purpose, class), buffer.as_mut_slice());
        let mut wrapped = Vec::with_capacity(1 + NONCE + buffer.len() + TAG);
        wrapped.push(VERSION);
        wrapped.extend_from_slice(&nonce);
        wrapped.extend_from_slice(buffer.as_slice());
        wrapped.extend_from_slice(&tag);
        wrapped
    }

    /// Opens what [`Self::wrap_secret`] gave, for the same purpose and class. Wiped when dropped.
    ///
    /// # Errors
    /// [`WrapError::Version`], [`WrapError::Shape`] for a wrong length, [`WrapError::NotAuthentic`].
    pub fn unwrap_secret(
        &self,
        wrapped: &[u8],
        purpose: &'static str,
        class: Class,
    ) -> Result<Zeroizing<Vec<u8>>, WrapError> {
        let (version, rest) = wrapped.split_first().ok_or(WrapError::Shape)?;
        if *version != VERSION {
            return Err(WrapError::Version);
        }
        let (nonce, rest) = rest.split_first_chunk::<NONCE>().ok_or(WrapError::Shape)?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG>().ok_or(WrapError::Shape)?;
        let mut secret = Zeroizing::new(ciphertext.to_vec());
        aead::open_small(
            &self.0,
            *nonce,
            &context(purpose, class),
            secret.as_mut_slice(),
            *tag,
        )
        .map_err(|_| WrapError::NotAuthentic)?;
        Ok(secret)
    }
}

fn context(purpose: &'static str, class: Class) -> Vec<u8> {
    let preimage = Preimage::new(LABEL).lp(purpose.as_bytes());
    preimage.lp(class.as_str().as_bytes()).as_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_only_for_its_purpose_and_class() {
        let kek = Kek::generate();
        for secret in [&b""[..], b"s", &[7; 300]] {
            let wrapped = kek.wrap_secret(secret, "tls", Class::Real);
            let opened = |purpose, class| kek.unwrap_secret(&wrapped, purpose, class);
            assert_eq!(opened("tls", Class::Real).unwrap().as_slice(), secret);
            assert_eq!(opened("other", Class::Real).err(), Some(WrapError::NotAuthentic));
            assert_eq!(
                opened("tls", Class::Insecure).err(),
                Some(WrapError::NotAuthentic)
            );
            for position in 0..wrapped.len() {
                let mut altered = wrapped.clone();
                altered[position] ^= 1;
                assert!(kek.unwrap_secret(&altered, "tls", Class::Real).is_err());
                assert!(
                    kek.unwrap_secret(&wrapped[..position], "tls", Class::Real)
                        .is_err()
                );
            }
        }
    }
}
