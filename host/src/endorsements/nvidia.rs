//! NVIDIA's services: reference manifests, and word on whether certificates stand.
//!
//! Why apart: neither is asked like the other, nor like anybody else's.
//!
//! # Invariants
//! RIM service API v1: `GET /v1/rim/{id}` answers JSON with `id` and `rim`, the file in base64. OCSP: POST of a request
//! in DER (RFC 6960 appendix A.1). What is carried here is signed by NVIDIA and judged by the verifier.

use anchorhold_attestation::{Endorsement, EndorsementKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::error::FetchError;
use super::kds::endorsement;
use super::ocsp::Question;
use super::vendor::Vendor;

/// NVIDIA's own, for manifests.
pub const RIM: &str = "https://rim.attestation.nvidia.com";
/// NVIDIA's own, for revocation.
pub const OCSP: &str = "https://ocsp.ndis.nvidia.com";

/// Characters in a manifest's name; known ones have up to 48.
const ID: usize = 128;

#[derive(Deserialize)]
struct RimAnswer {
    id: String,
    rim: String,
}

pub(super) async fn rim(vendor: &Vendor, id: &str) -> Result<Endorsement, FetchError> {
    let kind = EndorsementKind::NvidiaRim;
    // The name goes into an address, and some of it comes out of a report.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if id.is_empty() || id.len() > ID || !id.chars().all(plain) {
        return Err(FetchError::NotServed);
    }
    let path = format!("/v1/rim/{id}");
    let limit = 2 * kind.limit();
    let answer = vendor.get(&vendor.sources().rim, &path, limit).await?;
    let read: RimAnswer = serde_json::from_slice(&answer.body).map_err(|_| FetchError::Malformed)?;
    if read.id != id {
        return Err(FetchError::NotAsked);
    }
    let body = STANDARD.decode(&read.rim).map_err(|_| FetchError::Malformed)?;
    endorsement(kind, body)
}

pub(super) async fn ocsp(vendor: &Vendor, question: &Question) -> Result<Endorsement, FetchError> {
    let kind = EndorsementKind::NvidiaOcsp;
    let sources = vendor.sources();
    let answer = vendor
        .ask_ocsp(&sources.ocsp, question.der(), kind.limit())
        .await?;
    endorsement(kind, answer.body.to_vec())
}
