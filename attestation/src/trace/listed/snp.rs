//! Checks of AMD SEV-SNP: what each demands, and where that is specified.
//!
//! Why apart: a list to read beside docs/platforms/snp.md, with which a test compares it word for word.
//!
//! # Invariants
//! Constants, in the order of that page.

use crate::trace::listed::Listed;

pub(super) const ALL: &[Listed] = &[
    Listed::new("snp-vek-key", "a key on P-384", "KDS"),
    Listed::new(
        "snp-vek-extensions",
        "exactly the levels (1.3.6.1.4.1.3704.1.3.*) of the product, each an INTEGER of one byte; product name and provider are IA5String; the hardware id has 64 bytes, Turin's 8",
        "KDS, files",
    ),
    Listed::new(
        "snp-vek-structure-version",
        "0 for Milan and Genoa, 1 for Turin",
        "KDS, files",
    ),
    Listed::new(
        "snp-vek-product",
        "Milan, Genoa or Turin, with or without a stepping (Milan-B0), and a pinned ARK for it",
        "KDS",
    ),
    Listed::new(
        "snp-vek-kind",
        "SEV-VCEK with a hardware id that is not zero and no provider, or SEV-VLEK with a provider and no hardware id",
        "KDS",
    ),
    Listed::new(
        "snp-vek-reserved-level",
        "levels 4 to 7 (Turin: 5 to 7) are 0",
        "KDS, ABI",
    ),
    Listed::new(
        "snp-vek-authority",
        "issued by SEV-<product> (a VCEK) or SEV-VLEK-<product> (a VLEK); an ARK that came with it has the pinned key",
        "KDS",
    ),
    Listed::new("snp-report-length", "1184 bytes", "ABI"),
    Listed::new("snp-report-version", "2, 3, 4 or 5", "ABI"),
    Listed::new(
        "snp-report-policy-reserved",
        "bit 17 of the guest policy is one",
        "ABI, Guest Policy",
    ),
    Listed::new("snp-report-vmpl", "0 to 3: a guest asked, not the host", "ABI"),
    Listed::new(
        "snp-report-signature-algorithm",
        "1: ECDSA P-384 with SHA-384",
        "ABI",
    ),
    Listed::new(
        "snp-report-reserved",
        "bits and bytes that have no meaning in this version are zero",
        "ABI",
    ),
    Listed::new(
        "snp-report-signing-key",
        "0 (VCEK) or 1 (VLEK)",
        "ABI, SIGNING_KEY",
    ),
    Listed::new("snp-report-unsigned", "neither 7 (none) nor MASK_CHIP_KEY", "ABI"),
    Listed::new(
        "snp-report-cpuid",
        "from version 3 on, family and model of Milan, Genoa (with Bergamo and Siena) or Turin",
        "ABI",
    ),
    Listed::new(
        "snp-report-chip-id-padding",
        "Turin's chip id is 8 bytes and then zeros",
        "ABI, files",
    ),
    Listed::new(
        "snp-report-tcb-reserved",
        "reserved bytes of the four TCB versions are zero, by the product's layout",
        "ABI, TCB_VERSION",
    ),
    Listed::new(
        "snp-report-signature-padding",
        "r and s fit in 48 bytes each; what follows is zero",
        "ABI",
    ),
    Listed::new(
        "snp-report-signature",
        "after the checks below: the VEK signed the first 672 bytes",
        "ABI",
    ),
    Listed::new(
        "snp-binding-time",
        "certificates and list are still valid when a cached key is used",
        "ours",
    ),
    Listed::new(
        "snp-binding-product",
        "the report's processor is of the certificate's product; version 2, which names none, is never Turin's",
        "ABI, KDS",
    ),
    Listed::new(
        "snp-binding-signing-key",
        "the report names the kind of key that the certificate is for",
        "ABI, KDS",
    ),
    Listed::new(
        "snp-binding-chip-id",
        "the chip id is the VCEK's hardware id. A masked chip id is refused with a VCEK and expected with a VLEK",
        "KDS",
    ),
    Listed::new(
        "snp-binding-tcb",
        "each component of the *reported* TCB is the certificate's level, no more and no less",
        "KDS",
    ),
    Listed::new("snp-table-length", "at most 64 KiB", "limits.rs"),
    Listed::new(
        "snp-table-entries",
        "at most 16 entries, ended by one of zeros",
        "GHCB",
    ),
    Listed::new(
        "snp-table-bounds",
        "each lies behind the entries and inside the table",
        "GHCB",
    ),
    Listed::new("snp-table-repeated", "no GUID twice", "ours"),
    Listed::new(
        "snp-table-gaps",
        "no two overlap; bytes of no entry are zero",
        "ours",
    ),
];

/// The sources' short names, and which documents they are.
pub(super) const DOCUMENTS: &[(&str, &str)] = &[
    (
        "ABI",
        "AMD SEV-SNP Firmware ABI Specification 56860, revision 1.58: tables ATTESTATION_REPORT, TCB_VERSION, Guest Policy, PLATFORM_INFO; earlier revisions for report versions 2 to 4",
    ),
    (
        "KDS",
        "AMD VCEK Certificate and KDS Interface Specification 57230: certificate profiles, custom extensions, CRL",
    ),
    (
        "GHCB",
        "AMD GHCB Specification 56421: SNP Extended Guest Request, section 4.1.8.1 of revision 2.03 (as Linux cites it, Documentation/ABI/testing/configfs-tsm)",
    ),
    ("files", "real reports and certificates (see Seen in real files)"),
];
