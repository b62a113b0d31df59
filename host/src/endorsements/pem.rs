//! Certificates and lists as text, from services that are not strict about it.
//!
//! Why apart: services differ in line ends and in what stands around; what leaves here has one form.
//!
//! # Invariants
//! RFC 7468: what is between two lines of one label. Written in lines of 64 characters that end in a line feed, which
//! is the one form the verifier reads.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Label of a certificate.
pub(crate) const CERTIFICATE: &str = "CERTIFICATE";
/// Label of a revocation list.
pub(crate) const LIST: &str = "X509 CRL";

/// Bytes between lines of `label`, at most `most` of them; `None` for anything that is not such text, or nothing.
pub(crate) fn read(text: &[u8], label: &str, most: usize) -> Option<Vec<Vec<u8>>> {
    let text = std::str::from_utf8(text).ok()?;
    let (begin, end) = (
        format!("-----BEGIN {label}-----"),
        format!("-----END {label}-----"),
    );
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(&begin) {
        let (body, behind) = after.split_once(&end)?;
        if found.len() == most {
            return None;
        }
        let characters: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        found.push(STANDARD.decode(characters).ok()?);
        rest = behind;
    }
    (!found.is_empty()).then_some(found)
}

/// Certificates as text in their one form.
pub(crate) fn write(certificates: &[Vec<u8>]) -> String {
    let mut text = String::new();
    for der in certificates {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let characters = STANDARD.encode(der);
        for line in characters.as_bytes().chunks(64) {
            text.extend(line.iter().map(|byte| char::from(*byte)));
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_around_certificates_is_left_out() {
        let certificates = vec![vec![7; 100], vec![8; 48]];
        let text = write(&certificates);
        assert!(text.lines().all(|line| line.len() <= 64));
        for form in [
            text.clone(),
            text.replace('\n', "\r\n"),
            format!("subject: x\n{text}\n\n"),
        ] {
            assert_eq!(read(form.as_bytes(), CERTIFICATE, 2), Some(certificates.clone()));
        }
        assert_eq!(read(text.as_bytes(), CERTIFICATE, 1), None);
        assert_eq!(read(text.as_bytes(), LIST, 2), None);
        let cut = text.trim_end().trim_end_matches('-');
        assert_eq!(read(cut.as_bytes(), CERTIFICATE, 2), None);
        assert_eq!(read(b"", CERTIFICATE, 2), None);
    }
}
