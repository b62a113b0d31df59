//! What an Azure paravisor and its vTPM write.

use anchorhold_attestation::azure::{HclReport, Quote, RuntimeClaims};
use anchorhold_encoding::Digest;

pub(super) fn hcl(bytes: &[u8]) {
    if let Ok(report) = HclReport::parse(bytes) {
        let _ = (report.hardware(), report.claims_bytes());
    }
}

pub(super) fn claims(bytes: &[u8]) {
    if let Ok(claims) = RuntimeClaims::parse(bytes) {
        let _ = (claims.vm_configuration(), claims.user_data());
    }
}

/// Its first two bytes say how long the message is and how many values there are.
pub(super) fn quote(bytes: &[u8]) {
    let [length, count, rest @ ..] = bytes else { return };
    let (message, signature) = rest.split_at(usize::from(*length).min(rest.len()));
    let values = vec![Digest::new([7; 32]); usize::from(*count % 32)];
    let _ = Quote::parse(message, signature, &values);
}
