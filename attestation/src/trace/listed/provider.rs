//! Checks of Google's and AWS's TPMs: what each demands, and where that is specified.
//!
//! Why apart: a list to read beside docs/platforms/provider.md, with which a test compares it word for word.
//!
//! # Invariants
//! Constants, in the order of that page.

use crate::trace::listed::Listed;

pub(super) const GOOGLE: &[Listed] = &[
    Listed::new(
        "google-certificates",
        "the frames are whole, one certificate to six",
        "ours",
    ),
    Listed::new(
        "google-chain",
        "the certificates lead to EK/AK CA Root, each valid now, the leaf's key for signing",
        "X509; GROOT",
    ),
    Listed::new(
        "google-quote-form",
        "TPMS_ATTEST and TPMT_SIGNATURE, SHA-256 bank, one value for each register selected",
        "TPM2, 10.12.12, 11.3.4",
    ),
    Listed::new(
        "google-quote-signature",
        "the certified key signed the quote: RSASSA or ECDSA on P-256, with SHA-256, as the key is",
        "TPM2, 11.3.4",
    ),
    Listed::new(
        "google-qualifying-data",
        "qualifying data are SHA-256 of the report data",
        "ours",
    ),
    Listed::new(
        "google-pcr-digest",
        "the digest signed is that of the values",
        "TPM2, 10.12.4",
    ),
];

pub(super) const NITRO: &[Listed] = &[
    Listed::new(
        "nitro-form",
        "COSE_Sign1 without a tag, protected header {1: -35}, no other, signature of 96 bytes, nothing after",
        "RFC 9052, 4.2; RFC 9053, 2.1",
    ),
    Listed::new(
        "nitro-payload",
        "the members of the document, each once and of its type, digest SHA384, registers of 48 bytes below 24; shortest encodings",
        "NDOC; CBOR, 4.2.1",
    ),
    Listed::new(
        "nitro-chain",
        "certificate and bundle lead to aws.nitro-enclaves, each valid now",
        "NDOC; NROOT",
    ),
    Listed::new(
        "nitro-signature",
        "the certificate's key signed the document, ECDSA on P-384 with SHA-384",
        "RFC 9052, 4.4",
    ),
    Listed::new(
        "nitro-user-data",
        "user_data is SHA-256 of the report data",
        "ours",
    ),
];

/// The sources' short names, and which documents they are.
pub(super) const DOCUMENTS: &[(&str, &str)] = &[
    (
        "TPM2",
        "TCG, TPM 2.0 Library, revision 1.59 (2019-11-08), Part 2 Structures",
    ),
    (
        "NDOC",
        "Amazon EC2 User Guide, Validate a NitroTPM Attestation Document (structure of the document; validation)",
    ),
    (
        "NROOT",
        "AWS Nitro Enclaves User Guide, Verifying the root of trust: the root and its fingerprint",
    ),
    (
        "GROOT",
        "github.com/google/go-tpm-tools, server/ca-certs/gcp_ek_ak_ca_root.crt",
    ),
    ("CBOR", "RFC 8949; COSE: RFC 9052, RFC 9053"),
    ("X509", "RFC 5280"),
];
