//! Checks of certificates and revocation lists, of all platforms with hierarchies of their own: what each demands, and where that is specified.
//!
//! Why apart: a list to read beside docs/platforms/snp.md, with which a test compares it word for word.
//!
//! # Invariants
//! Constants, in the order of that page.

use crate::trace::listed::Listed;

pub(super) const ALL: &[Listed] = &[
    Listed::new(
        "x509-size",
        "a certificate is at most 8 KiB, a list at most 512 KiB",
        "limits.rs",
    ),
    Listed::new(
        "x509-syntax",
        "DER; encoding what was read gives the same bytes",
        "X509 4.1",
    ),
    Listed::new(
        "x509-version",
        "version 3 (a list: 2); no unique identifiers",
        "X509 4.1.2.1, 5.1.2.1",
    ),
    Listed::new(
        "x509-serial-number",
        "not negative, at most 20 bytes and a sign byte; 0 is allowed, as AMD's leaves have it",
        "X509 4.1.2.2, files",
    ),
    Listed::new(
        "x509-algorithm",
        "RSA-PSS with SHA-384, MGF1 with SHA-384 and salt 48, with or without the trailer written out; ECDSA P-384 with SHA-384; ECDSA P-256 or RSA PKCS#1 v1.5 with SHA-256",
        "KDS, files",
    ),
    Listed::new(
        "x509-algorithm-mismatch",
        "signed part and outer part name the same algorithm, byte for byte",
        "X509 4.1.1.2",
    ),
    Listed::new(
        "x509-key",
        "a key of RSA, P-256 or P-384 with exactly the usual parameters",
        "X509 4.1.2.7",
    ),
    Listed::new("x509-repeated-extension", "no extension twice", "X509 4.2"),
    Listed::new(
        "x509-extension",
        "basicConstraints, keyUsage and the list's number can be read",
        "X509 4.2.1, 5.2.3",
    ),
    Listed::new(
        "x509-critical-extension",
        "no critical extension that is not evaluated; in a list none at all",
        "X509 4.2, 5.2",
    ),
    Listed::new("x509-path-length", "at most 6 certificates", "limits.rs"),
    Listed::new(
        "x509-issuer",
        "each names the next one's subject as its issuer; the list names the ARK",
        "X509 6.1.3",
    ),
    Listed::new(
        "x509-signature",
        "each is signed by the next one's key, over the bytes as they came; the list by the ARK",
        "X509 6.1.3",
    ),
    Listed::new(
        "x509-not-yet-valid",
        "every certificate, the ARK too, is valid, and the list made, at the given time",
        "X509 6.1.3, 6.3.3",
    ),
    Listed::new(
        "x509-expired",
        "no certificate, nor the ARK, has ended, and the list is current, at the given time",
        "X509 6.1.3, 6.3.3",
    ),
    Listed::new(
        "x509-not-an-authority",
        "every issuer has basicConstraints with CA",
        "X509 6.1.4",
    ),
    Listed::new(
        "x509-path-constraint",
        "no more authorities below than a path length allows",
        "X509 6.1.4",
    ),
    Listed::new(
        "x509-key-usage",
        "an issuer may sign certificates, the list's may sign lists, a leaf's keyUsage, if any, is for signatures",
        "X509 4.2.1.3",
    ),
    Listed::new("x509-leaf-is-authority", "the leaf is no authority", "ours"),
    Listed::new(
        "x509-no-next-update",
        "a list says until when it is current",
        "X509 5.1.2.5",
    ),
    Listed::new(
        "x509-no-number",
        "a list has a number, by which an older one can be told",
        "X509 5.2.3",
    ),
    Listed::new(
        "x509-revoked",
        "the list does not name the ASK or ASVK",
        "X509 6.3.3",
    ),
];

/// The sources' short names, and which documents they are.
pub(super) const DOCUMENTS: &[(&str, &str)] = &[
    (
        "KDS",
        "AMD VCEK Certificate and KDS Interface Specification 57230: certificate profiles, custom extensions, CRL",
    ),
    (
        "X509",
        "RFC 5280; RFC 4055 section 3.1 (RSA-PSS parameters); RFC 3279 and 5480 (keys)",
    ),
    ("files", "real reports and certificates (see Seen in real files)"),
];
