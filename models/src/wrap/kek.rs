//! The key-encryption key of a store, kept by its owner in a file.
//!
//! Why apart: it is the simplest keeper of keys; a hardware module or a vault takes its place later with the
//! same two operations.
//!
//! # Invariants
//! A model key opens only under the key id and class it was wrapped for. The text form is one line; nothing
//! but exactly that parses.
//!
//! Wrapped form: `version (01) | nonce (12) | ciphertext (32) | tag (16)`, with
//! `AAD = LP("anchorhold wrapped key v1") || LP(key id) || LP(class)`.

use anchorhold_encoding::Preimage;
use zeroize::Zeroizing;

use crate::aead::{self, NONCE, TAG};
use crate::key::ModelKey;
use crate::limits;
use crate::name::{Class, KeyId};
use crate::secret::{Secret, random_public};
use crate::wrap::WrapError;

mod secret;

const LABEL: &str = "anchorhold wrapped key v1";
const VERSION: u8 = 1;
const PREFIX: &[u8] = b"anchorhold-kek-v1:";

/// Bytes of a model key wrapped for a store.
pub const WRAPPED_LEN: usize = 1 + NONCE + 32 + TAG;

/// 256 bits under which a store wraps model keys.
pub struct Kek(Secret);

impl Kek {
    /// A fresh key from the system's random generator.
    #[must_use]
    pub fn generate() -> Self {
        Self(Secret::random())
    }

    /// Reads the text form, `anchorhold-kek-v1:` and 64 lower-case hexadecimal digits, with or without a
    /// line end. The caller wipes `text`.
    ///
    /// # Errors
    /// [`WrapError::KekFile`] for anything else.
    pub fn parse(text: &[u8]) -> Result<Self, WrapError> {
        if text.len() > limits::KEK_FILE {
            return Err(WrapError::KekFile);
        }
        let digits = text.strip_prefix(PREFIX).ok_or(WrapError::KekFile)?;
        let digits = digits.strip_suffix(b"\n").unwrap_or(digits);
        if digits.len() != 64 {
            return Err(WrapError::KekFile);
        }
        Secret::try_filled_by(|key| {
            for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
                *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
            }
            Ok(())
        })
        .map(Self)
    }

    /// The text form, for a file that only its owner can read. Wiped when dropped.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut text = Zeroizing::new(Vec::with_capacity(limits::KEK_FILE));
        text.extend_from_slice(PREFIX);
        for byte in self.0.expose() {
            text.push(digit(byte >> 4));
            text.push(digit(byte & 15));
        }
        text.push(b'\n');
        text
    }

    /// Wraps a model key for a store, tied to its id and class. [`WRAPPED_LEN`] bytes; public.
    #[must_use]
    pub fn wrap(&self, key: &ModelKey, key_id: &KeyId, class: Class) -> Vec<u8> {
        let nonce = random_public();
        let mut secret = Zeroizing::new([0; 32]);
        secret.copy_from_slice(key.secret().expose());
        let tag = aead::seal_small(&self.0, nonce, &context(key_id, class), secret.as_mut_slice());
        let mut wrapped = Vec::with_capacity(WRAPPED_LEN);
        wrapped.push(VERSION);
        wrapped.extend_from_slice(&nonce);
        wrapped.extend_from_slice(secret.as_slice());
        wrapped.extend_from_slice(&tag);
        wrapped
    }

    /// Opens what [`Self::wrap`] gave, for the same id and class.
    ///
    /// # Errors
    /// [`WrapError::Version`], [`WrapError::Shape`] for a wrong length, [`WrapError::NotAuthentic`].
    pub fn unwrap(&self, wrapped: &[u8], key_id: &KeyId, class: Class) -> Result<ModelKey, WrapError> {
        let (version, rest) = wrapped.split_first().ok_or(WrapError::Shape)?;
        if *version != VERSION {
            return Err(WrapError::Version);
        }
        let (nonce, rest) = rest.split_first_chunk::<NONCE>().ok_or(WrapError::Shape)?;
        let (ciphertext, rest) = rest.split_first_chunk::<32>().ok_or(WrapError::Shape)?;
        let tag: [u8; TAG] = rest.try_into().map_err(|_| WrapError::Shape)?;
        Secret::try_filled_by(|key| {
            key.copy_from_slice(ciphertext);
            aead::open_small(&self.0, *nonce, &context(key_id, class), key, tag)
                .map_err(|_| WrapError::NotAuthentic)
        })
        .map(ModelKey::from_secret)
    }
}

fn context(key_id: &KeyId, class: Class) -> Vec<u8> {
    let preimage = Preimage::new(LABEL).lp(key_id.as_str().as_bytes());
    preimage.lp(class.as_str().as_bytes()).as_bytes().to_vec()
}

/// Without tables and branches on the digit's value: the text is a key.
fn nibble(digit: u8) -> Result<u8, WrapError> {
    let decimal = digit.wrapping_sub(b'0');
    let letter = digit.wrapping_sub(b'a');
    let is_decimal = u8::from(decimal < 10);
    let is_letter = u8::from(letter < 6);
    if is_decimal | is_letter == 0 {
        return Err(WrapError::KekFile);
    }
    Ok(decimal.wrapping_mul(is_decimal) | letter.wrapping_add(10).wrapping_mul(is_letter))
}

fn digit(nibble: u8) -> u8 {
    nibble + b'0' + u8::from(nibble > 9) * (b'a' - b'9' - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(text: &str) -> KeyId {
        text.parse().unwrap()
    }

    #[test]
    fn a_wrapped_key_opens_only_in_its_context() {
        let (kek, key) = (Kek::generate(), ModelKey::generate());
        let wrapped = kek.wrap(&key, &id("demo"), Class::Insecure);
        assert_eq!(wrapped.len(), WRAPPED_LEN);
        let opened = kek.unwrap(&wrapped, &id("demo"), Class::Insecure).unwrap();
        assert_eq!(opened.secret().expose(), key.secret().expose());

        let refused = |kek: &Kek, wrapped: &[u8], key_id: &str, class| {
            kek.unwrap(wrapped, &id(key_id), class).err().unwrap()
        };
        assert_eq!(
            refused(&kek, &wrapped, "demo", Class::Real),
            WrapError::NotAuthentic
        );
        assert_eq!(
            refused(&kek, &wrapped, "demo2", Class::Insecure),
            WrapError::NotAuthentic
        );
        assert_eq!(
            refused(&Kek::generate(), &wrapped, "demo", Class::Insecure),
            WrapError::NotAuthentic
        );
        for position in 0..wrapped.len() {
            let mut altered = wrapped.clone();
            altered[position] ^= 1;
            refused(&kek, &altered, "demo", Class::Insecure);
            refused(&kek, &wrapped[..position], "demo", Class::Insecure);
        }
        let mut longer = wrapped.clone();
        longer.push(0);
        assert_eq!(refused(&kek, &longer, "demo", Class::Insecure), WrapError::Shape);
    }

    #[test]
    fn the_text_form_is_one_line_and_nothing_else() {
        let kek = Kek::generate();
        let text = kek.encode();
        assert_eq!(Kek::parse(&text).unwrap().0.expose(), kek.0.expose());
        assert_eq!(
            Kek::parse(text.trim_ascii_end()).unwrap().0.expose(),
            kek.0.expose()
        );
        let upper = text.to_ascii_uppercase();
        let mut twice = text.to_vec();
        twice.push(b'\n');
        for bad in [
            &b""[..],
            b"anchorhold-kek-v1:",
            &text[1..],
            &text[..80],
            &upper,
            &twice,
        ] {
            assert!(Kek::parse(bad).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in proptest::collection::vec(any::<u8>(), 0..130)) {
            let _ = Kek::parse(&text);
            let _ = Kek::generate().unwrap(&text, &id("demo"), Class::Real);
        }

        #[test]
        fn hexadecimal_is_the_common_one(byte in any::<u8>()) {
            let text = format!("{byte:02x}");
            let pair = text.as_bytes();
            prop_assert_eq!(nibble(pair[0]).unwrap() << 4 | nibble(pair[1]).unwrap(), byte);
            prop_assert_eq!(&[digit(byte >> 4), digit(byte & 15)], pair);
            let valid = byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            prop_assert_eq!(nibble(byte).is_ok(), valid);
        }
    }
}
