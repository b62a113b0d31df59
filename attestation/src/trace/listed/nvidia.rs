//! Checks of NVIDIA devices and RIM files: what each demands, and where that is specified.
//!
//! Why apart: a list to read beside docs/platforms/nvidia.md, with which a test compares it word for word.
//!
//! # Invariants
//! Constants, in the order of that page.

use crate::trace::listed::Listed;

pub(super) const ALL: &[Listed] = &[
    Listed::new(
        "nvidia-chain-length",
        "exactly five certificates: firmware, ROM, provisioner, chip family, root",
        "NVT",
    ),
    Listed::new(
        "nvidia-chain-root",
        "the last is the pinned root, byte for byte",
        "NVT certs/verifier_device_root.pem",
    ),
    Listed::new(
        "nvidia-chain",
        "each link: DER, names, signature, dates, authority, key usage, path length, critical extensions",
        "X509 6.1",
    ),
    Listed::new(
        "nvidia-chip",
        "the leaf's one alternative name is NVIDIA:, a known chip, :, 16 hexadecimal digits",
        "SPDM 10.7.1",
    ),
    Listed::new(
        "nvidia-leaf-firmware-id",
        "Hopper and LS10: a composite device id, version 1; Blackwell: TcbInfo, fields in the order of their tags, each firmware id SHA-384",
        "NVT, DICE",
    ),
    Listed::new(
        "nvidia-leaf-device-id",
        "Hopper and LS10: the device key in the composite device id is the key of the leaf's issuer, the chip's ROM",
        "ours, true of every known leaf",
    ),
    Listed::new(
        "nvidia-ocsp",
        "every stapled response can be read; each that speaks of this device holds, is current and says good",
        "OCSP 3.2",
    ),
    Listed::new(
        "nvidia-revoked",
        "none says that a certificate is revoked or on hold; the error names the certificate, the time and the reason",
        "OCSP 2.2",
    ),
    Listed::new(
        "nvidia-report-form",
        "below: every byte of the report has one meaning",
        "SPDM, SDK",
    ),
    Listed::new(
        "nvidia-nonce",
        "the request's nonce is the one that was asked with",
        "SPDM 10.11.1",
    ),
    Listed::new(
        "nvidia-report-signature",
        "ECDSA P-384 with SHA-384 by the leaf's key over request and response up to the signature, as received",
        "SPDM 10.11.3",
    ),
    Listed::new(
        "nvidia-firmware-id",
        "opaque type 20, if it is there, equals the leaf's",
        "NVT, SDK",
    ),
    Listed::new(
        "nvidia-rim-xml",
        "at most 128 KiB, 8 levels, 512 elements, 32 attributes, 256 characters in one; printable ASCII and line feeds; no declaration, DTD, entity, comment, CDATA, processing instruction; one form of tags; no unbound, reserved or doubly bound prefix; no attribute twice",
        "limits.rs, ours",
    ),
    Listed::new(
        "nvidia-rim-signature-form",
        "one Signature, a child of the root; C14N 1.1, ECDSA P-384 with SHA-384, one reference with URI \"\", transforms enveloped then C14N 1.1, SHA-384; one X509Data; nothing else anywhere in it",
        "DSIG",
    ),
    Listed::new(
        "nvidia-rim-digest",
        "SHA-384 of the document's canonical form without the signature",
        "DSIG 4.4.3, C14N",
    ),
    Listed::new(
        "nvidia-rim-chain-length",
        "exactly four certificates: signer, L3, family, root",
        "NVT",
    ),
    Listed::new(
        "nvidia-rim-chain-root",
        "the last is the pinned root, byte for byte",
        "NVT certs/verifier_RIM_root.pem",
    ),
    Listed::new(
        "nvidia-rim-chain",
        "each link as of the time given; signers' certificates last about two years",
        "X509 6.1",
    ),
    Listed::new(
        "nvidia-rim-signature",
        "by the signer's key over the canonical form of SignedInfo",
        "DSIG 4.4.1",
    ),
    Listed::new(
        "nvidia-rim-ocsp",
        "every stapled response can be read; each that speaks of this signer holds, is current and says good",
        "OCSP 3.2",
    ),
    Listed::new(
        "nvidia-rim-revoked",
        "none says that a certificate of the signer is revoked or on hold; the error names the certificate, the time and the reason",
        "OCSP 2.2",
    ),
    Listed::new(
        "nvidia-rim-schema",
        "the tag, read anew from the canonical bytes that were hashed: exactly the known elements and attributes with their fixed values; indices ascending, each with as many digests of 48 bytes as it says; at least one active",
        "SWID",
    ),
    Listed::new(
        "nvidia-measurements-kind",
        "a GPU with two RIMs, a switch with one",
        "ours",
    ),
    Listed::new(
        "nvidia-rim-product",
        "edition and product are the certificate's chip (Blackwell: or GB100; switch: LS10)",
        "ours",
    ),
    Listed::new(
        "nvidia-rim-version",
        "the RIM's version is the one the device reports",
        "SDK; NVT only warns",
    ),
    Listed::new(
        "nvidia-rim-conflict",
        "no index is active in both RIMs",
        "NVT, SDK",
    ),
    Listed::new(
        "nvidia-rim-beyond",
        "the device has every active measurement",
        "ours",
    ),
    Listed::new(
        "nvidia-measurements",
        "every active measurement is one of its alternatives; the error lists all indices that differ, by RIM",
        "NVT, SDK",
    ),
    Listed::new(
        "nvidia-topology-count",
        "as many GPUs and switches as expected",
        "NVT",
    ),
    Listed::new("nvidia-topology-nonce", "all answered one nonce", "ours"),
    Listed::new(
        "nvidia-topology-repeated",
        "every device has a key of its own",
        "ours",
    ),
    Listed::new("nvidia-topology-kind", "GPUs are GPUs, switches switches", "ours"),
    Listed::new(
        "nvidia-topology-silent",
        "where there are switches: each reports which devices it sees (types 22 and 26)",
        "NVT",
    ),
    Listed::new(
        "nvidia-topology-switches",
        "every GPU sees the same switches, as many as there are",
        "NVT",
    ),
    Listed::new(
        "nvidia-topology-stranger",
        "every switch is one that the GPUs see, each another",
        "NVT",
    ),
    Listed::new(
        "nvidia-topology-gpus",
        "every switch sees the same GPUs, as many as there are",
        "NVT",
    ),
];

/// The sources' short names, and which documents they are.
pub(super) const DOCUMENTS: &[(&str, &str)] = &[
    (
        "SPDM",
        "DMTF DSP0274 1.1.0: sections 10.7 (certificates), 10.11 (GET_MEASUREMENTS and MEASUREMENTS)",
    ),
    (
        "NVT",
        "NVIDIA/nvtrust 028173093d43, guest_tools/gpu_verifiers/local_gpu_verifier, and ppcie-verifier",
    ),
    (
        "SDK",
        "NVIDIA/attestation-sdk 73c032ebff68, nv-attestation-sdk-cpp",
    ),
    (
        "DICE",
        "TCG DICE Attestation Architecture 1.1, section 6.1.1 (TcbInfo)",
    ),
    ("X509", "RFC 5280"),
    ("OCSP", "RFC 6960"),
    (
        "DSIG",
        "W3C XML Signature 1.1; RFC 6931 for the names of algorithms",
    ),
    ("C14N", "W3C Canonical XML 1.1"),
    (
        "SWID",
        "ISO/IEC 19770-2:2015; TCG Reference Integrity Manifest Information Model 1.01",
    ),
];
