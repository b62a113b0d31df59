//! Bytes inside JSON, as base64 text (RFC 4648).
//!
//! Why apart: one value has one text; a lenient decoder would let two texts carry one signature.
//!
//! # Invariants
//! Standard alphabet with padding inside JSON; URL alphabet without padding in headers. Stray bits, missing
//! or extra padding and line breaks are refused.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes whose JSON form is a base64 string, RFC 4648 section 4.
pub(crate) struct Base64(pub(crate) Vec<u8>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encode_standard(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        decode_standard(&text)
            .map(Self)
            .ok_or_else(|| D::Error::custom("not base64"))
    }
}

/// RFC 4648 section 4, padded.
pub(crate) fn encode_standard(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// RFC 4648 section 4, padded.
pub(crate) fn decode_standard(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// RFC 4648 section 5, without padding.
pub(crate) fn encode_url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// RFC 4648 section 5, without padding.
pub(crate) fn decode_url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_one_text() {
        assert_eq!(decode_standard("AP8="), Some(vec![0, 255]));
        for bad in ["AP8", "AP9=", "AP8=\n", "AP_=", "AP8==", " AP8="] {
            assert_eq!(decode_standard(bad), None, "{bad}");
        }
        assert_eq!(encode_url(&[0, 255]), "AP8");
        assert_eq!(decode_url("AP8"), Some(vec![0, 255]));
        for bad in ["AP8=", "AP9", "A/8", "AP8\n"] {
            assert_eq!(decode_url(bad), None, "{bad}");
        }
    }
}
