//! Why a report is refused: by who is to blame, which check, and where.
//!
//! Why apart: the identifiers are an interface. Documentation, `explain` and people's tickets use them.
//!
//! # Invariants
//! No text of the input and none of a dependency. Each check has one identifier, which never changes its meaning.

use std::fmt;

use crate::checks::checks;
use crate::snp::Component;
use crate::x509::Fault;

checks! {
    /// Checks of the report's bytes. The Attester, or someone on the way, is to blame.
    ReportCheck {
        /// Exactly [`crate::snp::REPORT_LENGTH`] bytes.
        Length = "snp-report-length", "is not 1184 bytes",
            "give the bare report; an HCL blob or a TSM file has it inside";
        /// Version 2 to 5.
        Version = "snp-report-version", "has an unknown version",
            "firmware newer than this version knows, or not a report";
        /// Bit 17 of the guest policy is one.
        PolicyReserved = "snp-report-policy-reserved", "clears the guest policy's bit that is always one",
            "no firmware launches such a guest; the report was altered";
        /// VMPL 0 to 3: asked for by the guest.
        Vmpl = "snp-report-vmpl", "was not asked for by a guest",
            "a report the host asked for says nothing about what runs in the guest";
        /// Signature algorithm 1.
        SignatureAlgorithm = "snp-report-signature-algorithm", "is signed with an unknown algorithm",
            "firmware newer than this version knows";
        /// Bits and bytes without meaning are zero.
        Reserved = "snp-report-reserved", "sets bytes that have no meaning in its version",
            "altered, or firmware newer than it says";
        /// Signing key 0, 1 or 7.
        SigningKey = "snp-report-signing-key", "names an unknown kind of signing key",
            "firmware newer than this version knows";
        /// Signed at all.
        Unsigned = "snp-report-unsigned", "is not signed",
            "the host configured the firmware not to sign (MASK_CHIP_KEY); only the host can change it";
        /// Family and model of a known product.
        Cpuid = "snp-report-cpuid", "is of an unknown processor",
            "a product newer than this version knows";
        /// Reserved bytes of a TCB version are zero.
        TcbReserved = "snp-report-tcb-reserved", "sets reserved bytes of a TCB version",
            "altered, or a TCB layout newer than this version knows";
        /// Turin's chip id is 8 bytes, then zeros.
        ChipIdPadding = "snp-report-chip-id-padding", "has a chip id longer than its product's",
            "altered, or a product newer than this version knows";
        /// r and s fit in 48 bytes each, and zeros follow.
        SignaturePadding = "snp-report-signature-padding", "has a signature with bytes beyond its length",
            "altered on its way";
        /// The VEK signed the first 672 bytes.
        Signature = "snp-report-signature", "is not signed by the key of the certificate",
            "altered, or the certificate is of another chip or another TCB: fetch it for this chip id and reported TCB";
    }
}

checks! {
    /// Checks of what AMD's extensions say in the certificate of the key that signs reports.
    VekCheck {
        /// A public key on P-384.
        Key = "snp-vek-key", "has no key on P-384", "not a VCEK or VLEK";
        /// All extensions of its product are there, of the right type; no other level is.
        Extensions = "snp-vek-extensions", "lacks an extension, or has one that is not understood",
            "not a VCEK or VLEK, or one newer than this version knows";
        /// The structure's version is its product's.
        StructureVersion = "snp-vek-structure-version", "has an unknown structure version",
            "a certificate newer than this version knows";
        /// A product of a pinned ARK.
        Product = "snp-vek-product", "is of a product without a pinned root",
            "a product newer than this version knows, or anchors given without it";
        /// Named as a VCEK or a VLEK, with a hardware id or a cloud provider's id accordingly.
        Kind = "snp-vek-kind", "is neither a VCEK nor a VLEK",
            "give the certificate of the key that signs reports, not an authority's";
        /// Levels of reserved components are zero.
        ReservedLevel = "snp-vek-reserved-level", "has a level in a reserved component",
            "a TCB layout newer than this version knows";
        /// Issued by the product's ASK (VCEK) or ASVK (VLEK), once, and that by the ARK.
        Authority = "snp-vek-authority", "is not issued by the authority for its product and kind",
            "a VCEK needs the ASK and a VLEK the ASVK of its own product";
    }
}

checks! {
    /// Checks that report and certificate belong together.
    BindingCheck {
        /// The certificates are valid, and the revocation list current, when the report is judged.
        Time = "snp-binding-time", "the certificates were proven for another time",
            "verify the certificates again for this time";
        /// The report's processor is the certificate's product.
        Product = "snp-binding-product", "report and certificate are of different products",
            "fetch the certificate for this report's product";
        /// The report's signing key is of the certificate's kind.
        SigningKey = "snp-binding-signing-key", "the report names another kind of key than the certificate is for",
            "the report says whether it needs a VCEK or a VLEK";
        /// The report's chip id is the VCEK's hardware id.
        ChipId = "snp-binding-chip-id", "the certificate is of another chip",
            "fetch the VCEK for this report's chip id; a report with a masked chip id needs a VLEK";
        /// Every component of the reported TCB is the certificate's level.
        Tcb = "snp-binding-tcb", "the certificate is for another TCB than the reported one",
            "fetch the certificate for the report's reported TCB, not its current one";
    }
}

checks! {
    /// Checks of a certificate table.
    TableCheck {
        /// At most [`crate::limits::CERT_TABLE`] bytes.
        Length = "snp-table-length", "is too long, or ends early", "the host passes something else than a table";
        /// At most [`crate::limits::CERT_TABLE_ENTRIES`] entries, ended by one of zeros.
        Entries = "snp-table-entries", "has too many entries or no end", "the host passes something else than a table";
        /// Each entry lies behind the entries and inside the table.
        Bounds = "snp-table-bounds", "has an entry that points outside of it", "the host's table is broken";
        /// No certificate is given twice.
        Repeated = "snp-table-repeated", "has an entry twice", "the host's table is ambiguous";
        /// What no entry covers is zero, and no two entries overlap.
        Gaps = "snp-table-gaps", "has bytes that belong to no entry, or to two", "the host's table is broken";
    }
}

/// Whose certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The VCEK or VLEK.
    Vek,
    /// The ASK or ASVK.
    Authority,
    /// The ARK.
    Root,
}

impl Whose {
    pub(super) const fn at(link: usize) -> Self {
        match link {
            0 => Self::Vek,
            1 => Self::Authority,
            _ => Self::Root,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Vek => "the VCEK or VLEK",
            Self::Authority => "the ASK or ASVK",
            Self::Root => "the ARK",
        }
    }
}

/// A check of [`SnpError`] without its circumstances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// The stable identifier.
    pub id: &'static str,
    /// What a person can do when it fails.
    pub hint: &'static str,
}

/// Why a report is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnpError {
    /// The report.
    Report {
        /// Which check.
        check: ReportCheck,
        /// Of the first byte concerned.
        offset: usize,
    },
    /// A certificate, as a certificate.
    Certificate {
        /// Whose.
        whose: Whose,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The revocation list, or a certificate it names.
    Crl(Fault),
    /// What AMD's extensions say.
    Vek(VekCheck),
    /// Report and certificate do not belong together.
    Binding(BindingCheck),
    /// A component of the reported TCB is not the certificate's.
    Tcb {
        /// Which.
        component: Component,
        /// The report's.
        reported: u8,
        /// The certificate's.
        certified: u8,
    },
    /// The certificate table.
    Table {
        /// Which check.
        check: TableCheck,
        /// Of the first byte concerned.
        offset: usize,
    },
}

impl SnpError {
    /// The check that failed. Faults of certificates have the identifiers of [`Fault::id`].
    #[must_use]
    pub const fn check(&self) -> Check {
        let (id, hint) = match self {
            Self::Report { check, .. } => (check.id(), check.hint()),
            Self::Certificate { fault, .. } | Self::Crl(fault) => (fault.id(), fault.hint()),
            Self::Vek(check) => (check.id(), check.hint()),
            Self::Binding(check) => (check.id(), check.hint()),
            Self::Tcb { .. } => (BindingCheck::Tcb.id(), BindingCheck::Tcb.hint()),
            Self::Table { check, .. } => (check.id(), check.hint()),
        };
        Check { id, hint }
    }

    /// The stable identifier of the check that failed.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        self.check().id
    }

    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        self.check().hint
    }
}

impl fmt::Display for SnpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Report { check, offset } => write!(f, "the report {} (byte {offset})", check),
            Self::Certificate { whose, fault } => write!(f, "the certificate of {}: {fault}", whose.name()),
            Self::Crl(fault) => write!(f, "the revocation list: {fault}"),
            Self::Vek(check) => write!(f, "the VEK's certificate {}", check),
            Self::Binding(check) => check.fmt(f),
            Self::Tcb {
                component,
                reported,
                certified,
            } => write!(
                f,
                "{}: {} is {reported} in the report, {certified} in the certificate",
                BindingCheck::Tcb,
                component.name()
            ),
            Self::Table { check, offset } => {
                write!(f, "the certificate table {} (byte {offset})", check)
            }
        }
    }
}

impl std::error::Error for SnpError {}
