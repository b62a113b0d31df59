//! Certificate chains as text, in their one form.
//!
//! Why apart: nothing signs the text around a certificate. If only one text is accepted for given certificates,
//! no bit of it can be changed unnoticed.
//!
//! # Invariants
//! RFC 7468 section 3, strict: the labels of a certificate, lines of 64 characters, `\n`, nothing before, between
//! or behind. Proven by writing the chain again and comparing. One NUL may follow where a C string was copied.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::limits;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----\n";
const END: &str = "-----END CERTIFICATE-----\n";
const LINE: usize = 64;

/// Exactly `N` certificates in DER, or the offset of the first byte that is not as it must be.
pub(super) fn chain<const N: usize>(text: &[u8]) -> Result<[Vec<u8>; N], usize> {
    let mut rest = text;
    let mut found = Vec::with_capacity(N);
    for _ in 0..N {
        let offset = text.len().saturating_sub(rest.len());
        let (certificate, behind) = first(rest).ok_or(offset)?;
        found.push(certificate);
        rest = behind;
    }
    if !rest.is_empty() {
        return Err(text.len().saturating_sub(rest.len()));
    }
    found.try_into().map_err(|_| 0)
}

/// The first certificate in DER, and the text behind it.
pub(super) fn first(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let body = text.strip_prefix(BEGIN.as_bytes())?;
    let length = body.iter().position(|byte| *byte == b'-')?;
    if length > limits::CERTIFICATE.saturating_mul(2) {
        return None;
    }
    let (lines, rest) = body.split_at_checked(length)?;
    let rest = rest.strip_prefix(END.as_bytes())?;
    let characters: Vec<u8> = lines.iter().copied().filter(|byte| *byte != b'\n').collect();
    let der = STANDARD.decode(&characters).ok()?;
    (der.len() <= limits::CERTIFICATE && written(&der) == lines).then_some((der, rest))
}

fn written(der: &[u8]) -> Vec<u8> {
    let characters = STANDARD.encode(der);
    let mut lines = Vec::with_capacity(characters.len().saturating_add(characters.len() / LINE));
    for line in characters.as_bytes().chunks(LINE) {
        lines.extend_from_slice(line);
        lines.push(b'\n');
    }
    lines
}

/// A chain as text, for tests that make their own.
#[cfg(test)]
pub(super) fn text(certificates: &[&[u8]]) -> String {
    certificates
        .iter()
        .map(|der| format!("{BEGIN}{}{END}", String::from_utf8(written(der)).unwrap()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_text_of_a_chain_is_read() {
        let first: Vec<u8> = (0..100).collect();
        let second = vec![7; 48];
        let good = text(&[&first, &second]);
        assert_eq!(chain::<2>(good.as_bytes()).unwrap(), [first.clone(), second]);
        assert!(chain::<1>(good.as_bytes()).is_err());
        assert!(chain::<3>(good.as_bytes()).is_err());
        for bad in [
            good.replace('\n', "\r\n"),
            good.replacen('\n', "", 1),
            format!(" {good}"),
            format!("{good}\n"),
            format!("{good}\0"),
            good.replacen("-----END", "\n-----END", 1),
        ] {
            assert!(chain::<2>(bad.as_bytes()).is_err());
        }
        assert_eq!(
            chain::<2>(&good.as_bytes()[..good.len() - 1]),
            Err(text(&[&first]).len())
        );
    }

    #[test]
    fn no_bit_of_the_text_is_free_and_the_certificates_stay_the_same() {
        let der: Vec<u8> = (0..77).collect();
        let good = text(&[&der]).into_bytes();
        for byte in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[byte] ^= 1 << bit;
                assert_ne!(
                    chain::<1>(&bad).ok(),
                    Some([der.clone()]),
                    "byte {byte} bit {bit}"
                );
            }
        }
    }
}
