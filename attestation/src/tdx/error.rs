//! Why a quote is refused: by who is to blame, which check, and where.
//!
//! Why apart: the identifiers are an interface. Documentation, `explain` and people's tickets use them.
//!
//! # Invariants
//! No text of the input and none of a dependency. Each check has one identifier, which never changes its meaning.

use std::fmt;

use crate::checks::checks;

checks! {
    /// Checks of the quote's bytes. The Attester, or someone on the way, is to blame.
    QuoteCheck {
        /// Not more than [`crate::limits::REPORT`] bytes, and none missing.
        Length = "tdx-quote-length", "is too long, or ends early";
        /// Version 4 or 5.
        Version = "tdx-quote-version", "has an unknown version";
        /// A trust domain's quote, not an SGX enclave's (version 3, TEE type 0, or body type 1).
        SgxQuote = "tdx-quote-is-sgx", "is of an SGX enclave, not of a trust domain";
        /// ECDSA-256 with P-256.
        KeyType = "tdx-quote-key-type", "has an unknown kind of attestation key";
        /// TEE type 0x81.
        TeeType = "tdx-quote-tee-type", "is of an unknown kind of machine";
        /// Reserved bytes of the header are zero.
        HeaderReserved = "tdx-quote-header-reserved", "sets reserved bytes of the header";
        /// Intel's quoting enclave.
        Vendor = "tdx-quote-vendor", "is not by Intel's quoting enclave";
        /// Body type 2, 3 or 4 (version 5).
        BodyType = "tdx-quote-body-type", "has an unknown kind of body";
        /// The body has the size of its type.
        BodySize = "tdx-quote-body-size", "has a body of a wrong size";
        /// Certification data of type 6 that fills the signature data exactly.
        Certification = "tdx-quote-certification", "has certification data of an unknown kind or a wrong size";
        /// Reserved bytes of the quoting enclave's report are zero.
        QeReserved = "tdx-quote-qe-reserved", "sets reserved bytes of the quoting enclave's report";
        /// 32 bytes of authentication data.
        QeAuthentication = "tdx-quote-qe-authentication", "has authentication data of a wrong size";
        /// A PCK chain (type 5) that fills the certification data exactly.
        PckType = "tdx-quote-pck-type", "has no PCK certificate chain, or one of a wrong size";
        /// Bytes after the quote are zero.
        Padding = "tdx-quote-padding", "is followed by bytes that are not zero";
        /// The attestation key signed header and body.
        Signature = "tdx-quote-signature", "is not signed by its attestation key";
        /// Two parsers read the same fields.
        Agreement = "tdx-quote-agreement", "is read differently by two parsers";
    }
}

checks! {
    /// Checks of a certificate.
    CertificateCheck {
        /// The chain's text has the one accepted form and the right number of certificates.
        Text = "tdx-certificate-text", "is not in the one form of a certificate chain";
        /// DER of an X.509 certificate.
        Encoding = "tdx-certificate-encoding", "is not an X.509 certificate";
        /// The root is the trust anchor.
        Root = "tdx-certificate-root", "is not the trust anchor";
        /// Named as Intel names certificates of its role.
        Name = "tdx-certificate-name", "is not named as one of its role";
        /// The chain of the CRL's issuer is the quote's.
        Issuer = "tdx-certificate-issuer", "is not the one that issued the PCK certificate";
        /// Valid already.
        NotYet = "tdx-certificate-not-yet", "is not valid yet";
        /// Valid still.
        Expired = "tdx-certificate-expired", "has expired";
        /// A certification authority, or not, by its role.
        Usage = "tdx-certificate-usage", "may issue certificates and must not, or must and may not";
        /// Not in its issuer's list.
        Revoked = "tdx-certificate-revoked", "is revoked";
        /// Signed by its issuer.
        Signature = "tdx-certificate-signature", "is not signed by its issuer";
        /// Intel's extension of a PCK certificate can be read.
        Extension = "tdx-certificate-extension", "has no readable SGX extension";
    }
}

checks! {
    /// Checks of a certificate revocation list.
    CrlCheck {
        /// DER of a CRL.
        Encoding = "tdx-crl-encoding", "is not a certificate revocation list";
        /// By the certification authority it is for.
        Issuer = "tdx-crl-issuer", "is of another issuer";
        /// Issued already.
        NotYet = "tdx-crl-not-yet", "is not valid yet";
        /// It says when the next one comes, and that is not past.
        Expired = "tdx-crl-expired", "has expired";
        /// Signed by its issuer.
        Signature = "tdx-crl-signature", "is not signed by its issuer";
    }
}

checks! {
    /// Checks of a JSON document that Intel signed.
    DocumentCheck {
        /// JSON of the expected shape.
        Shape = "tdx-document-shape", "is not of the expected shape";
        /// For trust domains, in a known version.
        Kind = "tdx-document-kind", "is not for trust domains, or in an unknown version";
        /// Issued already.
        NotYet = "tdx-document-not-yet", "is not valid yet";
        /// Its next update is not past.
        Expired = "tdx-document-expired", "has expired";
        /// Signed by Intel's TCB signer.
        Signature = "tdx-document-signature", "is not signed by its signer";
    }
}

checks! {
    /// Checks of the quoting enclave.
    EnclaveCheck {
        /// The PCK certificate's key signed its report.
        Signature = "tdx-qe-signature", "has a report that its platform did not sign";
        /// Its report commits to the attestation key.
        KeyDigest = "tdx-qe-key-digest", "does not vouch for the attestation key";
        /// Not in debug mode.
        Debug = "tdx-qe-debug", "runs in debug mode";
        /// MRSIGNER is Intel's.
        Signer = "tdx-qe-signer", "is signed by somebody else";
        /// ISVPRODID.
        Product = "tdx-qe-product", "is another product";
        /// MISCSELECT under its mask.
        MiscSelect = "tdx-qe-misc-select", "has other MISCSELECT bits";
        /// ATTRIBUTES under their mask.
        Attributes = "tdx-qe-attributes", "has other ATTRIBUTES";
        /// ISVSVN reaches a level.
        Level = "tdx-qe-level", "is older than every level that Intel knows";
        /// The level is not revoked.
        Revoked = "tdx-qe-revoked", "is revoked";
    }
}

checks! {
    /// Checks of the platform against Intel's TCB information.
    PlatformCheck {
        /// The information is for this FMSPC.
        Fmspc = "tdx-platform-fmspc", "is of another family than the TCB information";
        /// The information is for this PCE.
        PceId = "tdx-platform-pce-id", "has another PCE than the TCB information";
        /// SVNs reach a level.
        Level = "tdx-platform-level", "is older than every level that Intel knows";
        /// Intel knows this version of the TDX module.
        Module = "tdx-platform-module", "runs a TDX module that Intel's TCB information does not know";
        /// MRSIGNERSEAM.
        ModuleSigner = "tdx-platform-module-signer", "runs a TDX module of another signer";
        /// SEAMATTRIBUTES.
        ModuleAttributes = "tdx-platform-module-attributes", "runs a TDX module with other attributes";
        /// The module's SVN reaches a level.
        ModuleLevel = "tdx-platform-module-level", "runs a TDX module older than every level that Intel knows";
        /// The level is not revoked.
        Revoked = "tdx-platform-revoked", "is revoked: its keys are not secret any more";
    }
}

checks! {
    /// Checks of the trust domain that no policy may lift, as dcap-qvl makes them whatever it is told.
    DomainCheck {
        /// Reserved ATTRIBUTES are zero.
        Reserved = "tdx-domain-reserved", "sets reserved ATTRIBUTES";
        /// It cannot be moved to another machine.
        Migratable = "tdx-domain-migratable", "may be migrated";
        /// SERVTD_EXT only in a body that has the fields.
        ServiceExtension = "tdx-domain-service-extension", "has SERVTD_EXT in a body without its fields";
        /// SEPT_VE_DISABLE is set.
        SeptVe = "tdx-domain-sept-ve", "lets the host take pages away unnoticed (SEPT_VE_DISABLE is clear)";
    }
}

checks! {
    /// Checks of the collateral as a file.
    CollateralCheck {
        /// Not more than [`crate::limits::TDX_COLLATERAL`] bytes.
        Length = "tdx-collateral-length", "is too long";
        /// JSON with exactly the members of a collateral.
        Shape = "tdx-collateral-shape", "is not a collateral";
        /// A PCK chain in it is the quote's.
        PckChain = "tdx-collateral-pck-chain", "carries another PCK chain than the quote";
    }
}

/// Which certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Certificate {
    /// The platform's own.
    Pck,
    /// The intermediate that issued it.
    PckCa,
    /// The issuer of the PCK CRL, as the collateral has it.
    CrlIssuer,
    /// The signer of the TCB information.
    TcbSigner,
    /// The signer of the quoting enclave's identity.
    QeIdentitySigner,
    /// Intel's root.
    Root,
}

/// Which certificate revocation list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Crl {
    /// The root's.
    Root,
    /// The PCK authority's.
    Pck,
}

/// Which signed document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Document {
    /// TCB information of a family of platforms.
    TcbInfo,
    /// Identity of the quoting enclave.
    QeIdentity,
}

/// A security version that is below what the nearest level needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortfall {
    /// `"cpusvn"`, `"pcesvn"`, `"tee-tcb-svn"` or `"module-isvsvn"`.
    pub component: &'static str,
    /// Index of the byte in it.
    pub index: u8,
    /// What the platform has.
    pub has: u16,
    /// What the level needs.
    pub needs: u16,
}

/// A quote proves nothing, by who is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TdxError {
    /// The quote, at this byte.
    Quote {
        /// The check that failed.
        check: QuoteCheck,
        /// Offset into the quote.
        offset: usize,
    },
    /// The collateral as a file.
    Collateral(CollateralCheck),
    /// A certificate.
    Certificate {
        /// The check that failed.
        check: CertificateCheck,
        /// Whose.
        certificate: Certificate,
    },
    /// A revocation list.
    Crl {
        /// The check that failed.
        check: CrlCheck,
        /// Whose.
        crl: Crl,
    },
    /// A signed document.
    Document {
        /// The check that failed.
        check: DocumentCheck,
        /// Which.
        document: Document,
    },
    /// The quoting enclave.
    Enclave(EnclaveCheck),
    /// The platform; with the security version of the nearest level that is not reached, where that is the reason.
    Platform {
        /// The check that failed.
        check: PlatformCheck,
        /// What is missing.
        shortfall: Option<Shortfall>,
    },
    /// The trust domain.
    Domain(DomainCheck),
    /// dcap-qvl refuses, and no check here can tell why.
    Unexplained,
}

impl TdxError {
    /// True when a key or a level is withdrawn: then no other collateral may say otherwise.
    pub(crate) const fn is_revocation(&self) -> bool {
        matches!(
            self,
            Self::Certificate {
                check: CertificateCheck::Revoked,
                ..
            } | Self::Platform {
                check: PlatformCheck::Revoked,
                ..
            } | Self::Enclave(EnclaveCheck::Revoked)
        )
    }

    /// True when something is from later than the time at which it is judged.
    pub(crate) const fn is_too_early(&self) -> bool {
        matches!(
            self,
            Self::Certificate {
                check: CertificateCheck::NotYet,
                ..
            } | Self::Crl {
                check: CrlCheck::NotYet,
                ..
            } | Self::Document {
                check: DocumentCheck::NotYet,
                ..
            }
        )
    }

    /// True when nothing is wrong but that something has ended.
    pub(crate) const fn is_expiry(&self) -> bool {
        matches!(
            self,
            Self::Certificate {
                check: CertificateCheck::Expired,
                ..
            } | Self::Crl {
                check: CrlCheck::Expired,
                ..
            } | Self::Document {
                check: DocumentCheck::Expired,
                ..
            }
        )
    }

    /// The identifier of [`Self::Unexplained`].
    pub const UNEXPLAINED: &'static str = "tdx-unexplained";

    /// The identifier of the check that failed.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        match self {
            Self::Quote { check, .. } => check.id(),
            Self::Collateral(check) => check.id(),
            Self::Certificate { check, .. } => check.id(),
            Self::Crl { check, .. } => check.id(),
            Self::Document { check, .. } => check.id(),
            Self::Enclave(check) => check.id(),
            Self::Platform { check, .. } => check.id(),
            Self::Domain(check) => check.id(),
            Self::Unexplained => Self::UNEXPLAINED,
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Quote {
                check: QuoteCheck::SgxQuote,
                ..
            } => "give the quote of a trust domain; SGX enclaves are not supported",
            Self::Quote {
                check: QuoteCheck::Signature,
                ..
            } => "the quote was altered or forged; do not trust this machine",
            Self::Quote { .. } => {
                "is this the quote as the machine made it? Fetch it again and compare its length"
            }
            Self::Collateral(CollateralCheck::PckChain) => "fetch collateral for this very quote",
            Self::Certificate {
                check: CertificateCheck::NotYet | CertificateCheck::Expired,
                ..
            }
            | Self::Crl {
                check: CrlCheck::NotYet | CrlCheck::Expired,
                ..
            }
            | Self::Document {
                check: DocumentCheck::NotYet | DocumentCheck::Expired,
                ..
            } => "fetch fresh collateral from Intel's service or your cache of it, and check the clock",
            Self::Certificate {
                check: CertificateCheck::Revoked,
                ..
            } => "Intel has revoked this platform or its authority; move to another machine",
            Self::Certificate {
                check: CertificateCheck::Root,
                ..
            } => "the chain does not end in the given root: a test hierarchy, or a forgery",
            Self::Collateral(_) | Self::Certificate { .. } | Self::Crl { .. } | Self::Document { .. } => {
                "fetch the collateral again; if it stays so, whoever serves it alters it"
            }
            Self::Enclave(EnclaveCheck::Level | EnclaveCheck::Revoked) => {
                "the host must update its quoting enclave"
            }
            Self::Enclave(_) => {
                "the quote was altered, or made by something that is not Intel's quoting enclave"
            }
            Self::Platform {
                check: PlatformCheck::Fmspc | PlatformCheck::PceId,
                ..
            } => "fetch the TCB information of the FMSPC in the quote's PCK certificate",
            Self::Platform {
                check: PlatformCheck::Revoked,
                ..
            } => "move to another machine; an update cannot help",
            Self::Platform { .. } => {
                "the host must update firmware, microcode or TDX module, then register again"
            }
            Self::Domain(DomainCheck::SeptVe) => {
                "start the domain with SEPT_VE_DISABLE, as current hypervisors do"
            }
            Self::Domain(_) => "start the domain without this attribute",
            Self::Unexplained => "report this with the files: a check of this version is incomplete",
        }
    }
}

impl fmt::Display for TdxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quote { check, offset } => write!(f, "the quote {check} (byte {offset})"),
            Self::Collateral(check) => write!(f, "the collateral {check}"),
            Self::Certificate { check, certificate } => write!(f, "the {certificate} certificate {check}"),
            Self::Crl { check, crl } => write!(f, "the {crl} {check}"),
            Self::Document { check, document } => write!(f, "the {document} {check}"),
            Self::Enclave(check) => write!(f, "the quoting enclave {check}"),
            Self::Platform { check, shortfall } => {
                write!(f, "the platform {check}")?;
                shortfall.map_or(Ok(()), |missing| {
                    let Shortfall {
                        component,
                        index,
                        has,
                        needs,
                    } = missing;
                    write!(
                        f,
                        " ({component}[{index}] is {has}, the nearest level needs {needs})"
                    )
                })
            }
            Self::Domain(check) => write!(f, "the trust domain {check}"),
            Self::Unexplained => {
                f.write_str("dcap-qvl refuses the quote for a reason no check here can name")
            }
        }
    }
}

impl std::error::Error for TdxError {}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pck => "PCK",
            Self::PckCa => "PCK authority's",
            Self::CrlIssuer => "CRL issuer's",
            Self::TcbSigner => "TCB signer's",
            Self::QeIdentitySigner => "QE identity signer's",
            Self::Root => "root",
        })
    }
}

impl fmt::Display for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "root CRL",
            Self::Pck => "PCK CRL",
        })
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TcbInfo => "TCB information",
            Self::QeIdentity => "QE identity",
        })
    }
}
