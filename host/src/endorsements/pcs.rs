//! Intel's provisioning certification service, and caches of it (PCCS).
//!
//! Why apart: one item of ours is four answers of theirs, and half of it stands in headers.
//!
//! # Invariants
//! Intel PCS API v4: `GET /tdx/certification/v4/tcb?fmspc=&update=` with header `TCB-Info-Issuer-Chain`,
//! `/tdx/certification/v4/qe/identity?update=` with `SGX-Enclave-Identity-Issuer-Chain`,
//! `/sgx/certification/v4/pckcrl?ca=&encoding=der` with `SGX-PCK-CRL-Issuer-Chain`; chains are percent-encoded PEM.
//! The root's list is at certificates.trustedservices.intel.com, and of a PCCS (Intel PCCS design guide) at
//! `/sgx/certification/v4/rootcacrl`. A PCCS writes lists as hexadecimal digits. Signed documents are passed on as the
//! exact text that was signed.

use anchorhold_attestation::tdx::PckAuthority;
use anchorhold_attestation::{Endorsement, EndorsementKind, limits as evidence_limits};
use anchorhold_encoding::canonical;
use hyper::header::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::FetchError;
use super::http::Answer;
use super::item::Update;
use super::kds::endorsement;
use super::origin::{Origin, PlainHttp};
use super::pem;
use super::vendor::Vendor;

/// Intel's own.
pub const PCS: &str = "https://api.trustedservices.intel.com";
/// Where Intel's root publishes its list, and nothing else of ours.
const ROOT: &str = "https://certificates.trustedservices.intel.com";

/// A certificate's signer and root.
const CHAIN: usize = 2;

/// A list may be written as digits or in base64.
const LIST_BYTES: usize = 2 * evidence_limits::CRL;

#[derive(Deserialize)]
struct TcbAnswer<'a> {
    #[serde(borrow, rename = "tcbInfo")]
    tcb_info: &'a RawValue,
    signature: String,
}

#[derive(Deserialize)]
struct IdentityAnswer<'a> {
    #[serde(borrow, rename = "enclaveIdentity")]
    identity: &'a RawValue,
    signature: String,
}

/// The file that the verifier reads.
#[derive(Serialize)]
struct Collateral {
    pck_crl: String,
    pck_crl_issuer_chain: String,
    qe_identity: String,
    qe_identity_issuer_chain: String,
    qe_identity_signature: String,
    root_ca_crl: String,
    tcb_info: String,
    tcb_info_issuer_chain: String,
    tcb_info_signature: String,
}

pub(super) async fn collateral(
    vendor: &Vendor,
    fmspc: [u8; 6],
    authority: PckAuthority,
    update: Update,
) -> Result<Endorsement, FetchError> {
    let kind = EndorsementKind::IntelCollateral;
    let pcs = &vendor.sources().pcs;
    let (update, authority) = (update.name(), authority.name());
    let family: String = fmspc.iter().map(|byte| format!("{byte:02x}")).collect();

    let path = format!("/tdx/certification/v4/tcb?fmspc={family}&update={update}");
    let tcb = vendor.get(pcs, &path, kind.limit()).await?;
    let path = format!("/tdx/certification/v4/qe/identity?update={update}");
    let identity = vendor.get(pcs, &path, kind.limit()).await?;
    let path = format!("/sgx/certification/v4/pckcrl?ca={authority}&encoding=der");
    let list = vendor.get(pcs, &path, LIST_BYTES).await?;
    let root = root_list(vendor, pcs).await?;

    let read_tcb: TcbAnswer<'_> = json(&tcb)?;
    let read_identity: IdentityAnswer<'_> = json(&identity)?;
    let file = Collateral {
        pck_crl: digits(&list_bytes(&list.body)?),
        pck_crl_issuer_chain: chain(&list.headers, "sgx-pck-crl-issuer-chain")?,
        qe_identity: read_identity.identity.get().to_owned(),
        qe_identity_issuer_chain: chain(&identity.headers, "sgx-enclave-identity-issuer-chain")?,
        qe_identity_signature: read_identity.signature.to_ascii_lowercase(),
        root_ca_crl: digits(&root),
        tcb_info: read_tcb.tcb_info.get().to_owned(),
        tcb_info_issuer_chain: chain(&tcb.headers, "tcb-info-issuer-chain")?,
        tcb_info_signature: read_tcb.signature.to_ascii_lowercase(),
    };
    endorsement(kind, canonical::to_vec(&file))
}

async fn root_list(vendor: &Vendor, pcs: &Origin) -> Result<Vec<u8>, FetchError> {
    let answer = if pcs.to_string() == PCS {
        let root = Origin::parse(ROOT, PlainHttp::LoopbackOnly).map_err(|_| FetchError::Malformed)?;
        vendor.get(&root, "/IntelSGXRootCA.der", LIST_BYTES).await?
    } else {
        let path = "/sgx/certification/v4/rootcacrl";
        vendor.get(pcs, path, LIST_BYTES).await?
    };
    list_bytes(&answer.body)
}

fn json<'a, T: Deserialize<'a>>(answer: &'a Answer) -> Result<T, FetchError> {
    serde_json::from_slice(&answer.body).map_err(|_| FetchError::Malformed)
}

/// A chain out of a header, in its one form.
fn chain(headers: &HeaderMap, name: &str) -> Result<String, FetchError> {
    let text = headers.get(name).ok_or(FetchError::Malformed)?.as_bytes();
    let text = percent_decoded(text).ok_or(FetchError::Malformed)?;
    let certificates = pem::read(&text, pem::CERTIFICATE, CHAIN).ok_or(FetchError::Malformed)?;
    Ok(pem::write(&certificates))
}

/// RFC 3986 section 2.1. A plus sign is one: base64 has them.
fn percent_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let (pair, behind) = after.split_first_chunk::<2>()?;
            decoded.extend(bytes_of_digits(pair)?);
            rest = behind;
        } else {
            decoded.push(*first);
            rest = after;
        }
    }
    Some(decoded)
}

/// A list in DER, as hexadecimal digits or as PEM.
fn list_bytes(body: &[u8]) -> Result<Vec<u8>, FetchError> {
    let text = body.trim_ascii();
    if body.first() == Some(&0x30) && !text.iter().all(u8::is_ascii_hexdigit) {
        return Ok(body.to_vec());
    }
    if let Some(list) = pem::read(text, pem::LIST, 1) {
        return list.into_iter().next().ok_or(FetchError::Malformed);
    }
    bytes_of_digits(text).ok_or(FetchError::Malformed)
}

fn bytes_of_digits(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_chunks::<2>() else {
        return None;
    };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    pairs
        .iter()
        .map(|[high, low]| u8::try_from(digit(high)? * 16 + digit(low)?).ok())
        .collect()
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_come_in_three_forms() {
        let der = vec![0x30, 0x03, 0x02, 0x01, 0x05];
        let pem = "-----BEGIN X509 CRL-----\nMAMCAQU=\n-----END X509 CRL-----\n";
        for body in [der.as_slice(), b"3003020105", b"3003020105\n", pem.as_bytes()] {
            assert_eq!(list_bytes(body), Ok(der.clone()), "{body:?}");
        }
        for body in [b"".as_slice(), b"300302010", b"not a list", b"<html>"] {
            assert!(list_bytes(body).is_err() || body.is_empty(), "{body:?}");
        }
    }

    #[test]
    fn headers_are_percent_encoded() {
        assert_eq!(percent_decoded(b"a%0Ab%20c+d").unwrap(), b"a\nb c+d");
        assert_eq!(percent_decoded(b"a%0"), None);
        assert_eq!(percent_decoded(b"a%zz"), None);
    }
}
