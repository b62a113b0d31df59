//! Bounds on everything that comes from outside, each with its reason.
//!
//! Why apart: one place to see how much memory and work a stranger can ask for.
//!
//! # Invariants
//! Sizes are bytes unless the name says otherwise, and are checked before anything is parsed.

/// The largest integer in any document: 2^53 - 1, on which all JSON libraries agree (RFC 8785 section 3.2.2.3).
pub const INTEGER: u64 = (1 << 53) - 1;

/// A hardware report: the largest known are TDX quotes, below 8 KiB; newer ones may be a few times larger.
pub const REPORT: usize = 64 * 1024;

/// Intel's collateral for one family as a file: below 20 KiB, half of it revoked serial numbers, which may become
/// many more.
pub const TDX_COLLATERAL: usize = 512 * 1024;

/// A CC event log: firmware reserves 64 to 256 KiB for it.
pub const EVENT_LOG: usize = 1024 * 1024;

/// Events in it: a verbose boot loader logs a few hundred.
pub const EVENTS: usize = 8192;

/// Digests of one event: one a hash algorithm, of which five are registered and one is used.
pub const EVENT_DIGESTS: usize = 8;

/// An HCL report: the size of NV index 0x01400001 (Azure guest attestation design).
pub const HCL_REPORT: usize = 2600;

/// A part of a TPM's quote: the attestation is below 1 KiB (a TPM2B_ATTEST, TPM 2.0 Library Part 2), a signature of
/// RSA 4096 is 518 bytes, and 24 registers are 768.
pub const TPM_PART: usize = 4 * 1024;

/// Certificates of a TPM's key: [`PATH`] of them, each below 2 KiB at Google, with their lengths.
pub const TPM_CERTIFICATES: usize = 32 * 1024;

/// A NitroTPM attestation document: five certificates, 24 registers and user data of 1 KiB are below 8 KiB.
pub const NITRO_DOCUMENT: usize = 16 * 1024;

/// Registers of a `NitroTPM`: those of a PC Client TPM.
pub const NITRO_REGISTERS: u8 = 24;

/// Events of one register among which the one to blame is searched for: the work grows with the square, a tenth of
/// a second here.
pub const EVENT_SEARCH: usize = 512;

/// Devices beside the CPU: eight GPUs and four switches fit in one machine of today.
pub const DEVICES: usize = 16;

/// Certificates in a device's chain: NVIDIA's have five.
pub const DEVICE_CERTIFICATES: usize = 8;

/// One certificate in DER: vendors' are below 4 KiB.
pub const CERTIFICATE: usize = 8 * 1024;

/// Certificates between a leaf and its anchor, the leaf included: NVIDIA's four, and room for one new level or two.
pub const PATH: usize = 6;

/// One revocation list in DER: AMD's are below 1 KiB, Intel's 20 KiB of revoked serial numbers.
pub const CRL: usize = 512 * 1024;

/// One OCSP response in DER: NVIDIA's hold one answer and one certificate, below 2 KiB.
pub const OCSP: usize = 16 * 1024;

/// OCSP responses for one device or RIM: each that speaks of it costs two signature checks. NVIDIA answers for three of its
/// certificates, and those of every device in a machine may come together: [`DEVICES`] times that, and for the signers of
/// three RIMs.
pub const OCSP_RESPONSES: usize = 64;

/// A hypervisor's certificate table: five certificates of 2 KiB, padded to pages.
pub const CERT_TABLE: usize = 64 * 1024;

/// Entries of one: five kinds are defined.
pub const CERT_TABLE_ENTRIES: usize = 16;

/// Characters in the name of a kind of device: a vendor's short name.
pub const DEVICE_KIND: usize = 32;

/// Evidence as JSON: a report, and devices with their chains, in base64.
pub const EVIDENCE: usize = 4 * 1024 * 1024;

/// Endorsements stapled to an answer: certificates and revocation lists for each attester.
pub const ENDORSEMENTS: usize = 64;

/// One endorsement as JSON: the largest body, 512 KiB, in base64 with a few members around it.
pub const ENDORSEMENT: usize = 704 * 1024;

/// A bundle of endorsements as JSON: for a CPU, eight GPUs and four switches below 512 KiB. Stapled it is a third larger
/// and goes out with each answer to a nonce, so it is not much more.
pub const ENDORSEMENT_BUNDLE: usize = 1024 * 1024;

/// Seconds a policy may let an expired endorsement be used: a week, in which any vendor is reachable again.
pub const GRACE_SECONDS: u64 = 7 * 24 * 60 * 60;

/// The whole answer to a client's nonce: evidence, and endorsements of a few hundred KiB.
pub const ATTESTATION_DOCUMENT: usize = 8 * 1024 * 1024;

/// An identity document: about 1 KiB, and one digest a device.
pub const IDENTITY: usize = 16 * 1024;

/// Bytes in a model's display name: as long as a hub's longest `owner/name`, about.
pub const MODEL_NAME: usize = 128;

/// Nonces in one batch: what one security processor must serve within a batching window. The client
/// refuses larger trees, so that a path is at most twelve digests.
pub const NONCE_BATCH: usize = 4096;

/// Digests in an inclusion path: the base-two logarithm of [`NONCE_BATCH`].
pub const INCLUSION_PATH: usize = 12;

/// RCAR's `additional_evidence` text: an identity document in base64 inside JSON.
pub const ADDITIONAL_EVIDENCE: usize = 64 * 1024;

/// RCAR's nonce as text: 32 bytes in base64 are 44 characters, the longest that is ever accepted.
pub const RCAR_NONCE: usize = 44;

/// The configuration file, RCAR's init-data: a page or two of text.
pub const INIT_DATA: usize = 256 * 1024;

/// A policy file: a few hundred reference values.
pub const POLICY: usize = 1024 * 1024;

/// Entries in any list of a policy: more is a database, not a policy.
pub const POLICY_ENTRIES: usize = 4096;

/// One payload of an expected runtime event in a policy: a digest, or a short document.
pub const POLICY_BYTES: usize = 4096;

/// Characters in the display name of a reference value.
pub const REFERENCE_NAME: usize = 128;

/// Characters in the name of a field: a vendor, a structure and a name.
pub const FIELD_NAME: usize = 64;

/// Characters of a text in evidence that a denial shows: a version or a name.
pub const FIELD_TEXT_SHOWN: usize = 64;

/// Seconds a policy may let evidence live: one day. Longer would outlive any reaction to a breach.
pub const MAX_AGE_SECONDS: u64 = 24 * 60 * 60;

/// A signed receipt as text in a header or an SSE comment: about 2 KiB, below any server's header limit.
pub const RECEIPT: usize = 8 * 1024;

/// The release header as text: digests of the manifests a key opens, below any server's header limit.
pub const RELEASE_HEADER: usize = 12 * 1024;

/// Manifests one key opens: models sealed under one key; 64 digests fit in a header.
pub const RELEASE_MANIFESTS: usize = 64;

/// A released key as a JWE: a 32-byte key and its wrapping are below 2 KiB.
pub const JWE: usize = 64 * 1024;

/// Characters in a key id: a name, in a path and in a header.
pub const KEY_ID: usize = 64;

/// Characters in one segment of a resource path.
pub const RESOURCE_SEGMENT: usize = 128;

/// One field of the opaque data of an NVIDIA report: the longest known is 256 bytes, 64 counts.
pub const NVIDIA_OPAQUE_VALUE: usize = 512;

/// A RIM file: known ones are below 26 KiB, with four certificates and 64 measurements.
pub const RIM: usize = 128 * 1024;

/// Elements inside each other in a RIM: known ones have six, down to a `Transform`.
pub const XML_DEPTH: usize = 8;

/// Elements in a RIM: known ones have 85, and a measurement's index is one byte.
pub const XML_ELEMENTS: usize = 512;

/// Attributes and namespace declarations of one element of a RIM: known ones have 13.
pub const XML_ATTRIBUTES: usize = 32;

/// Characters in one attribute of a RIM: known ones have 98, a namespace.
pub const XML_VALUE: usize = 256;

/// Digests of which any one is right for a measurement: known RIMs list four at most.
pub const RIM_ALTERNATIVES: usize = 16;

/// A signed statement of reference values: an entry of a tiled log has a length of 16 bits (C2SP tlog-tiles, Log
/// entries).
pub const PUBLISHED_ENTRY: usize = 0xffff;

/// A statement with its proofs as a file: the entry, the proof and 128 consistency proofs of a few KiB each.
pub const PUBLISHED_BUNDLE: usize = 512 * 1024;

/// A proof of inclusion as text (C2SP tlog-proof): 63 hashes, and a checkpoint with 16 signatures of 5 KiB, which
/// every reader of signed notes must accept.
pub const LOG_PROOF: usize = 128 * 1024;

/// Signature lines under a checkpoint: readers must accept 16 (C2SP signed-note, Format).
pub const NOTE_SIGNATURES: usize = 32;

/// Bytes in a key's name in a signed note: a URL without its scheme.
pub const KEY_NAME: usize = 256;

/// Hashes on one path in a log: one a bit of the size.
pub const LOG_PATH: usize = 63;

/// Consistency proofs in a bundle: one for each earlier size that a client may have seen.
pub const CONSISTENCY_PROOFS: usize = 128;

/// Characters in the name of a product line.
pub const LINE_NAME: usize = 64;

/// Publishers of a product line, and signatures of one statement: people who build and compare.
pub const PUBLISHERS: usize = 16;

/// Witnesses that one trust names: as many as every reader of notes must accept signatures.
pub const WITNESSES: usize = 16;

/// Reference values in one statement: an entry has room for about as many.
pub const PUBLISHED_VALUES: usize = 256;

/// Entries of each revocation list of a statement.
pub const PUBLISHED_REVOKED: usize = 512;

/// Seconds between a statement's `not_before` and `not_after`: 90 days. A client that is cut off from newer
/// statements stops by then.
pub const PUBLISHED_SECONDS: u64 = 90 * 24 * 60 * 60;

/// Seconds by which a witness's clock may be ahead of the reader's.
pub const COSIGNATURE_SKEW_SECONDS: u64 = 300;

/// What a client remembers, as a file: the three limits below, at about 150 bytes each.
pub const SEEN: usize = 4 * 1024 * 1024;

/// Logs a client remembers.
pub const SEEN_LOGS: usize = 64;

/// Product lines it remembers of each log.
pub const SEEN_LINES: usize = 256;

/// Issuers whose numbers it remembers: a few authorities, and Intel's families of platforms.
pub const SEEN_ISSUERS: usize = 4096;

/// Bytes of a remembered number: as long as a CRL's may be (RFC 5280 section 5.2.3).
pub const SEEN_NUMBER: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_what_an_independent_implementation_must_accept() {
        assert_eq!(INTEGER, 9_007_199_254_740_991);
        assert_eq!((REPORT, EVIDENCE), (65_536, 4_194_304));
        assert_eq!((CERTIFICATE, ATTESTATION_DOCUMENT), (8_192, 8_388_608));
        assert_eq!((IDENTITY, ADDITIONAL_EVIDENCE), (16_384, 65_536));
        assert_eq!((INIT_DATA, POLICY), (262_144, 1_048_576));
        assert_eq!((RECEIPT, RELEASE_HEADER, JWE), (8_192, 12_288, 65_536));
        assert_eq!(MAX_AGE_SECONDS, 86_400);
        assert_eq!(1 << INCLUSION_PATH, NONCE_BATCH);
        assert_eq!(
            (PUBLISHED_ENTRY, PUBLISHED_BUNDLE, LOG_PROOF),
            (65_535, 524_288, 131_072)
        );
        assert_eq!(PUBLISHED_SECONDS, 7_776_000);
    }
}
