//! Checks of Azure confidential VMs: what each demands, and where that is specified.
//!
//! Why apart: a list to read beside docs/platforms/azure.md, with which a test compares it word for word.
//!
//! # Invariants
//! Constants, in the order of that page.

use crate::trace::listed::Listed;

pub(super) const ALL: &[Listed] = &[
    Listed::new(
        "azure-hcl-length",
        "the bytes are as long as the header says, or 2600 (the index)",
        "ADD, Azure-Reserved TPM NV Indexes",
    ),
    Listed::new("azure-hcl-signature", "bytes 0..4 are HCLA", "ADD, Header"),
    Listed::new("azure-hcl-version", "bytes 4..8 are 1 or 2", "ADD, Header; above"),
    Listed::new(
        "azure-hcl-request-type",
        "bytes 12..16 are 2",
        "ADD, Header; OHCL AK_CERT_REQUEST",
    ),
    Listed::new("azure-hcl-reserved", "bytes 16..32 are zero", "ADD, Header"),
    Listed::new(
        "azure-hcl-data-size",
        "bytes 1216..1220 are 20 more than the claims",
        "ADD, Runtime Data; OHCL create_request",
    ),
    Listed::new(
        "azure-hcl-data-version",
        "bytes 1220..1224 are 1",
        "ADD, Runtime Data",
    ),
    Listed::new(
        "azure-hcl-report-type",
        "bytes 1224..1228 are 2 (SEV-SNP) or 4 (TDX)",
        "ADD, Runtime Data",
    ),
    Listed::new(
        "azure-hcl-hash-type",
        "bytes 1228..1232 are 1 (SHA-256)",
        "ADD, Runtime Data; OHCL has no other",
    ),
    Listed::new(
        "azure-hcl-claims-size",
        "the claims, from 1236, end where the header says",
        "ADD, Runtime Data",
    ),
    Listed::new(
        "azure-hcl-padding",
        "beyond the claims, and beyond a TDREPORT in its room of 1184, all is zero",
        "ADD; OHCL create_request",
    ),
    Listed::new(
        "azure-hcl-tdreport-type",
        "type 0x81, subtype 0; version 1 if a service TD is bound, else 0",
        "TDX, 4.7",
    ),
    Listed::new(
        "azure-hcl-tdreport-reserved",
        "reserved bytes are zero",
        "TDX, 4.7",
    ),
    Listed::new(
        "azure-hcl-tdreport-hashes",
        "both hashes are SHA-384 of TEE_TCB_INFO and of TDINFO",
        "TDX, 4.7",
    ),
    Listed::new(
        "azure-quote-magic",
        "TPM_GENERATED_VALUE, 0xff544347",
        "TPM2, 6.2",
    ),
    Listed::new("azure-quote-type", "TPM_ST_ATTEST_QUOTE, 0x8018", "TPM2, 6.9"),
    Listed::new(
        "azure-quote-shape",
        "every field of TPMS_ATTEST, safe 0 or 1, names and digests of SHA-256, nothing after",
        "TPM2, 10.12.12, 10.11.1, 10.12.4",
    ),
    Listed::new(
        "azure-quote-selection",
        "one selection, of the SHA-256 bank, three bytes, at least one register",
        "TPM2, 10.9.7, 10.6.2",
    ),
    Listed::new(
        "azure-quote-values",
        "one value for each selected register and no other",
        "TPM3, 18.4",
    ),
    Listed::new(
        "azure-quote-signature-shape",
        "RSASSA or ECDSA with SHA-256, nothing after",
        "TPM2, 11.3.4",
    ),
    Listed::new(
        "azure-hardware-kind",
        "the HCL report holds a report of the kind that was verified",
        "ADD, Report Payload",
    ),
    Listed::new(
        "azure-hardware-report",
        "SEV-SNP: every field is that of the verified report (its signature is checked by [its own verifier](snp.md)). TDX: every field of the quote's body is that of the TDREPORT",
        "ADD, Report Payload",
    ),
    Listed::new(
        "azure-report-data-claims",
        "report data 0..32 are SHA-256 of the claims as received",
        "ADD, Report Payload; OHCL",
    ),
    Listed::new(
        "azure-report-data-zero",
        "report data 32..64 are zero",
        "OHCL runtime_claims_hash",
    ),
    Listed::new(
        "azure-claims-shape",
        "JSON with known members, each once and of its type",
        "ADD, Runtime Claims; OHCL runtime_claims",
    ),
    Listed::new(
        "azure-claims-keys",
        "one HCLAkPub, at most one HCLEkPub, no other",
        "ADD, Runtime Claims",
    ),
    Listed::new(
        "azure-claims-attestation-key",
        "key_ops is sign; RSA 2048, 3072, 4096 with exponent 65537, or P-256",
        "ADD, Runtime Claims; JWA, 6.2, 6.3",
    ),
    Listed::new(
        "azure-claims-user-data",
        "user-data is 64 bytes in hexadecimal",
        "ADD, Runtime Claims",
    ),
    Listed::new(
        "azure-user-data",
        "user-data is there and equals the 64 bytes expected",
        "ADD, Runtime Claims",
    ),
    Listed::new(
        "azure-quote-signature",
        "HCLAkPub signed the quote, with the scheme of its kind",
        "TPM3, 18.1",
    ),
    Listed::new(
        "azure-quote-signer",
        "the quote's qualified signer is the qualified name of HCLAkPub as a key that is restricted, fixed to its TPM, made by it, and primary under the endorsement hierarchy",
        "TPM1, Names; TPM2, 12.2.4, 8.3; OHCL ak_pub_template",
    ),
    Listed::new(
        "azure-quote-qualifying-data",
        "qualifying data are SHA-256 of the 64 bytes expected",
        "TPM3, 18.4",
    ),
    Listed::new(
        "azure-quote-pcr-digest",
        "the digest is SHA-256 of the values in ascending order",
        "TPM3, 18.4",
    ),
];

/// The sources' short names, and which documents they are.
pub(super) const DOCUMENTS: &[(&str, &str)] = &[
    (
        "ADD",
        "Microsoft, Azure Confidential VM guest attestation design detail, 2025-02-06 (azure-docs, articles/confidential-computing/guest-attestation-confidential-virtual-machines-design.md)",
    ),
    (
        "OHCL",
        "github.com/microsoft/openvmm: openhcl/openhcl_attestation_protocol/src/igvm_attest/get.rs, openhcl/underhill_attestation/src/igvm_attest/mod.rs (create_request), and the vTPM's ak_pub_template; 2024 to 2026",
    ),
    (
        "TPM1, TPM2, TPM3",
        "TCG, TPM 2.0 Library, revision 1.59 (2019-11-08): Part 1 Architecture, Part 2 Structures, Part 3 Commands",
    ),
    ("TDX", "Intel, TDX Module ABI Specification, document 733579"),
    ("JWA", "RFC 7518, JSON Web Algorithms; RFC 7517, JSON Web Key"),
];
