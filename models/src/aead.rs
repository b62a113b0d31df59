//! The one module that names ciphers.
//!
//! Why apart: which implementation encrypts what is one decision, made here. Bulk chunks go through
//! aws-lc-rs (10 GB/s a core measured, and it decrypts from one buffer into another); keys and other small
//! secrets go through `aes-gcm`, whose key schedules are wiped and which is the bulk cipher's oracle in tests.
//!
//! # Invariants
//! Opening writes plaintext the caller may use only if it returns `Ok`. Every nonce is the caller's duty:
//! a chunk key encrypts each index once, a small secret's nonce is random under a key used once or rarely.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};

use crate::secret::Secret;

/// Bytes of an authentication tag (NIST SP 800-38D, the longest it allows).
pub(crate) const TAG: usize = 16;
/// Bytes of a nonce (NIST SP 800-38D, the length it recommends).
pub(crate) const NONCE: usize = 12;
/// Bytes of a wrapped 256-bit key (RFC 3394: the key and an integrity block of 8).
pub(crate) const WRAPPED: usize = 40;

/// A tag did not match: altered data, or another key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotAuthentic;

/// Encrypts and decrypts the chunks of one sealed file.
pub(crate) struct ChunkKey(LessSafeKey);

impl ChunkKey {
    pub(crate) fn new(key: &Secret) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key.expose()).expect("the key has the cipher's length");
        Self(LessSafeKey::new(key))
    }

    /// Encrypts `plaintext` into `sealed`, which is [`TAG`] bytes longer.
    pub(crate) fn seal(&self, nonce: [u8; NONCE], plaintext: &[u8], sealed: &mut [u8]) {
        let (ciphertext, tag) = sealed.split_at_mut(plaintext.len());
        self.0
            .seal_out_of_place_scatter(
                Nonce::assume_unique_for_key(nonce),
                Aad::empty(),
                plaintext,
                ciphertext,
                &[],
                tag,
            )
            .expect("a chunk is below the cipher's limit and has room for the tag");
    }

    /// Decrypts `sealed` into `plaintext`, which is [`TAG`] bytes shorter.
    pub(crate) fn open(
        &self,
        nonce: [u8; NONCE],
        sealed: &[u8],
        plaintext: &mut [u8],
    ) -> Result<(), NotAuthentic> {
        let (ciphertext, tag) = sealed.split_at_checked(plaintext.len()).ok_or(NotAuthentic)?;
        if tag.len() != TAG {
            return Err(NotAuthentic);
        }
        self.0
            .open_separate_gather(
                Nonce::assume_unique_for_key(nonce),
                Aad::empty(),
                ciphertext,
                tag,
                plaintext,
            )
            .map_err(|_| NotAuthentic)
    }
}

/// Encrypts a small secret in place and returns the tag.
pub(crate) fn seal_small(key: &Secret, nonce: [u8; NONCE], aad: &[u8], in_out: &mut [u8]) -> [u8; TAG] {
    Aes256Gcm::new(key.expose().into())
        .encrypt_inout_detached(&nonce.into(), aad, in_out.into())
        .expect("a small secret is below the cipher's limit")
        .into()
}

/// Decrypts a small secret in place; on failure `in_out` is still ciphertext.
pub(crate) fn open_small(
    key: &Secret,
    nonce: [u8; NONCE],
    aad: &[u8],
    in_out: &mut [u8],
    tag: [u8; TAG],
) -> Result<(), NotAuthentic> {
    Aes256Gcm::new(key.expose().into())
        .decrypt_inout_detached(&nonce.into(), aad, in_out.into(), &tag.into())
        .map_err(|_| NotAuthentic)
}

/// Wraps a key under a key (AES Key Wrap, RFC 3394 section 2.2.1, default initial value).
pub(crate) fn wrap_key(under: &Secret, key: &Secret) -> [u8; WRAPPED] {
    let mut wrapped = [0; WRAPPED];
    AesKek::new(&AES_256, under.expose())
        .and_then(|kek| kek.wrap(key.expose(), &mut wrapped).map(|_| ()))
        .expect("both keys have 32 bytes");
    wrapped
}

/// Unwraps a key (RFC 3394 section 2.2.2).
pub(crate) fn unwrap_key(under: &Secret, wrapped: &[u8; WRAPPED]) -> Result<Secret, NotAuthentic> {
    Secret::try_filled_by(|key| {
        AesKek::new(&AES_256, under.expose())
            .and_then(|kek| kek.unwrap(wrapped, key).map(|_| ()))
            .map_err(|_| NotAuthentic)
    })
}

#[cfg(test)]
pub(crate) mod tests;
