//! Checks of Intel TDX: what each demands, and where that is specified.
//!
//! Why apart: a list to read beside docs/platforms/tdx.md, with which a test compares it word for word.
//!
//! # Invariants
//! Constants, in the order of that page.

use crate::trace::listed::Listed;

pub(super) const ALL: &[Listed] = &[
    Listed::new("tdx-collateral-length", "at most 512 KiB", "limits.rs"),
    Listed::new(
        "tdx-collateral-shape",
        "exactly the known members, hexadecimal in lower case, signatures of 64 bytes",
        "PCS",
    ),
    Listed::new(
        "tdx-collateral-pck-chain",
        "a PCK chain in the file, if any, is the text in the quote; the one in the quote is used",
        "ours",
    ),
    Listed::new("tdx-quote-length", "at most 64 KiB; no part ends early", "QL, Q5"),
    Listed::new("tdx-quote-version", "4 or 5", "QL, Q5"),
    Listed::new(
        "tdx-quote-is-sgx",
        "not version 3, TEE type 0 or body type 1",
        "QL, Q5",
    ),
    Listed::new("tdx-quote-key-type", "2: ECDSA-256 with P-256", "QL"),
    Listed::new("tdx-quote-tee-type", "0x81", "QL"),
    Listed::new("tdx-quote-header-reserved", "four bytes at 8 are zero", "QL"),
    Listed::new("tdx-quote-vendor", "939a7233-f79c-4ca9-940a-0db3957f0607", "QL"),
    Listed::new("tdx-quote-body-type", "2, 3 or 4", "Q5"),
    Listed::new("tdx-quote-body-size", "584, 648 or 885, by type", "Q5"),
    Listed::new(
        "tdx-quote-certification",
        "type 6, and its size is what is left",
        "QL",
    ),
    Listed::new(
        "tdx-quote-qe-reserved",
        "216 reserved bytes of the quoting enclave's report are zero",
        "SDM",
    ),
    Listed::new("tdx-quote-qe-authentication", "32 bytes", "QL, QVL"),
    Listed::new(
        "tdx-quote-pck-type",
        "type 5, and its size is what is left; one NUL may end the text",
        "QL",
    ),
    Listed::new(
        "tdx-quote-padding",
        "every byte after the quote is zero (Google's buffers have 8000)",
        "ours",
    ),
    Listed::new(
        "tdx-quote-signature",
        "the attestation key's signature over header, body descriptor and body, as received",
        "QL",
    ),
    Listed::new("tdx-quote-agreement", "dcap-qvl has read the same fields", "ours"),
    Listed::new(
        "tdx-certificate-text",
        "the one text of the chain: lines of 64, nothing around them; three certificates, or two",
        "PEM",
    ),
    Listed::new("tdx-certificate-encoding", "DER with nothing behind", "X.690"),
    Listed::new(
        "tdx-certificate-root",
        "the root shown is the anchor, byte for byte",
        "PCK 1.2.1",
    ),
    Listed::new(
        "tdx-certificate-name",
        "Intel SGX PCK Certificate, ... PCK Platform CA or ... Processor CA, ... TCB Signing, ... Root CA by role",
        "PCK 1.2.1, 1.3",
    ),
    Listed::new(
        "tdx-certificate-issuer",
        "the issuer that comes with the PCK CRL is the quote's intermediate",
        "ours",
    ),
    Listed::new(
        "tdx-certificate-usage",
        "basicConstraints: root and PCK authority are CAs, the others are not",
        "RFC 5280 4.2.1.9",
    ),
    Listed::new(
        "tdx-certificate-not-yet",
        "notBefore is not after the time given",
        "RFC 5280 6.1.3",
    ),
    Listed::new(
        "tdx-certificate-expired",
        "notAfter is not before it",
        "RFC 5280 6.1.3",
    ),
    Listed::new(
        "tdx-certificate-revoked",
        "the serial number is in no CRL of its issuer; the root's too",
        "RFC 5280 6.3",
    ),
    Listed::new(
        "tdx-certificate-signature",
        "by its issuer's key; paths, constraints and key usage by dcap-qvl",
        "RFC 5280 6.1",
    ),
    Listed::new(
        "tdx-certificate-extension",
        "Intel's extension 1.2.840.113741.1.13.1 has all its fields",
        "PCK 1.3",
    ),
    Listed::new("tdx-crl-encoding", "DER with nothing behind", "RFC 5280 5"),
    Listed::new(
        "tdx-crl-issuer",
        "the root, or the quote's intermediate",
        "PCK 1.2.2",
    ),
    Listed::new(
        "tdx-crl-not-yet",
        "thisUpdate is not after the time given",
        "RFC 5280 6.3.3",
    ),
    Listed::new(
        "tdx-crl-expired",
        "nextUpdate is there and after it",
        "RFC 5280 6.3.3",
    ),
    Listed::new("tdx-crl-signature", "by the issuer's key", "RFC 5280 6.3.3"),
    Listed::new("tdx-document-shape", "JSON with the fields of its kind", "PCS"),
    Listed::new(
        "tdx-document-kind",
        "TCB information TDX version 3; QE identity TD_QE version 2 or 3",
        "PCS",
    ),
    Listed::new(
        "tdx-document-not-yet",
        "issueDate is not after the time given",
        "PCS",
    ),
    Listed::new("tdx-document-expired", "nextUpdate is not before it", "PCS"),
    Listed::new(
        "tdx-document-signature",
        "by its signer's key, over the text as received",
        "PCS",
    ),
    Listed::new(
        "tdx-qe-signature",
        "the PCK key's signature over its report",
        "QL",
    ),
    Listed::new(
        "tdx-qe-key-digest",
        "report data begins with SHA-256(attestation key, authentication data)",
        "QL",
    ),
    Listed::new("tdx-qe-debug", "ATTRIBUTES.DEBUG is clear", "SDM"),
    Listed::new("tdx-qe-signer", "MRSIGNER of the QE identity", "PCS"),
    Listed::new("tdx-qe-product", "ISVPRODID of the QE identity", "PCS"),
    Listed::new("tdx-qe-misc-select", "MISCSELECT under its mask", "PCS"),
    Listed::new("tdx-qe-attributes", "ATTRIBUTES under their mask", "PCS"),
    Listed::new("tdx-qe-level", "ISVSVN reaches a level", "PCS"),
    Listed::new("tdx-qe-revoked", "the level is not Revoked", "PCS"),
    Listed::new(
        "tdx-platform-fmspc",
        "FMSPC of the PCK certificate is the TCB information's",
        "QVL",
    ),
    Listed::new("tdx-platform-pce-id", "so is PCEID", "QVL"),
    Listed::new(
        "tdx-platform-level",
        "16 CPUSVN components, PCESVN and TEE_TCB_SVN reach a level; TEE_TCB_SVN2 too; the error names the component of the nearest level",
        "QVL",
    ),
    Listed::new(
        "tdx-platform-module",
        "the module's version has an identity",
        "QVL",
    ),
    Listed::new("tdx-platform-module-signer", "MRSIGNERSEAM", "QVL"),
    Listed::new(
        "tdx-platform-module-attributes",
        "SEAMATTRIBUTES, no bit outside the mask",
        "QVL",
    ),
    Listed::new(
        "tdx-platform-module-level",
        "TEE_TCB_SVN[0] reaches a level",
        "QVL",
    ),
    Listed::new("tdx-platform-revoked", "the level is not Revoked", "QVL"),
    Listed::new(
        "tdx-domain-reserved",
        "bits 1-3, 7-15, 23-26, 32-61 of ATTRIBUTES are zero",
        "ABI",
    ),
    Listed::new("tdx-domain-migratable", "MIGRATABLE is clear", "QVL"),
    Listed::new(
        "tdx-domain-service-extension",
        "SERVTD_EXT only in a TDX 1.5 body",
        "QVL",
    ),
    Listed::new(
        "tdx-domain-sept-ve",
        "SEPT_VE_DISABLE is set; an early Azure preview had it clear",
        "QVL",
    ),
    Listed::new("tdx-unexplained", "dcap-qvl agrees", "ours"),
];

/// The sources' short names, and which documents they are.
pub(super) const DOCUMENTS: &[(&str, &str)] = &[
    (
        "QL",
        "Intel TDX DCAP Quoting Library API, appendix A.3 (quote version 4)",
    ),
    (
        "Q5",
        "Intel DCAP, QuoteGeneration/quote_wrapper/common/inc/sgx_quote_5.h (quote version 5, body descriptor)",
    ),
    (
        "ABI",
        "Intel TDX Module ABI Specification 348551-008, table 3.23 (ATTRIBUTES), XFAM",
    ),
    (
        "SDM",
        "Intel SDM volume 3D (REPORT of an enclave), volume 1 section 13.1 (state components)",
    ),
    (
        "PCK",
        "Intel SGX PCK Certificate and CRL Profile Specification, revision 1.4 (2020-03-30)",
    ),
    (
        "PCS",
        "Intel SGX and TDX Provisioning Certification Service API, version 4 (TCB information, QE identity)",
    ),
    (
        "QVL",
        "Intel DCAP Quote Verification Library: order and meaning of the checks; followed by dcap-qvl 0.7.1",
    ),
    ("PEM", "RFC 7468 section 3"),
];
