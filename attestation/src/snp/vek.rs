//! The certificate of the key that signs reports, and the chain that proves it.
//!
//! Why apart: proven once, it serves every report of the same chip and TCB until a date.
//!
//! # Invariants
//! KDS specification 57230, "VCEK and VLEK Certificate and CRL Profile": every extension of the product's list is
//! there, and no other level is. A VCEK comes from the ASK and has a hardware id; a VLEK from the ASVK and has a
//! provider's id. Only [`VerifiedVek::verify`] makes a [`VerifiedVek`].

use x509_cert::der::Decode as _;
use x509_cert::der::asn1::{Ia5StringRef, ObjectIdentifier};

use crate::claims::Class;
use crate::snp::{Anchors, Product, SnpError, Tcb, VekCheck, Whose};
use crate::time::Timestamp;
use crate::x509::{Certificate, ChainError, Crl, KeyKind, PublicKey, VerifiedChain, VerifiedCrl};

/// AMD's arc for levels: 1.3.6.1.4.1.3704.1.3.
const LEVELS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3");
const STRUCTURE_VERSION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.1");
const PRODUCT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.2");
const HARDWARE_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.4");
const PROVIDER_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.5");
const BOOT_LOADER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.1");
const TEE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.2");
const SNP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.3");
const LEVEL_4: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.4");
const LEVEL_5: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.5");
const LEVEL_6: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.6");
const LEVEL_7: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.7");
const MICROCODE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.8");
const FMC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.9");

/// Components every product has.
const COMMON: [ObjectIdentifier; 4] = [BOOT_LOADER, TEE, SNP, MICROCODE];
/// Reserved levels of Milan and Genoa.
const RESERVED_FOUR: [ObjectIdentifier; 4] = [LEVEL_4, LEVEL_5, LEVEL_6, LEVEL_7];
/// Reserved levels of Turin.
const RESERVED_FIVE: [ObjectIdentifier; 3] = [LEVEL_5, LEVEL_6, LEVEL_7];

/// Which of the two keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignerKind {
    /// The chip's own; its hardware id, padded with zeros as in a report.
    Vcek {
        /// The chip.
        hardware_id: [u8; 64],
    },
    /// A cloud provider's.
    Vlek {
        /// What AMD calls the provider: printable text.
        provider: String,
    },
}

/// Certificates and list as they came, in DER.
#[derive(Debug, Clone, Copy)]
pub struct Endorsements<'a> {
    /// The VCEK or VLEK.
    pub vek: &'a [u8],
    /// The ASK for a VCEK, the ASVK for a VLEK.
    pub authority: &'a [u8],
    /// The ARK, if it came too. It must be the pinned one.
    pub root: Option<&'a [u8]>,
    /// The ARK's revocation list.
    pub crl: Option<&'a [u8]>,
}

/// What is known about revocation. A policy decides whether not to have looked is enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revocation {
    /// No list was given.
    NotChecked,
    /// A proven, current list does not name the authority.
    NotRevoked {
        /// The list's number, big endian.
        number: Vec<u8>,
        /// When it was made.
        this_update: Timestamp,
        /// Until when it is current.
        next_update: Timestamp,
    },
}

/// A key that signs reports, proven at a time.
#[derive(Debug)]
pub struct VerifiedVek {
    chain: VerifiedChain,
    product: Product,
    kind: SignerKind,
    tcb: Tcb,
    revocation: Revocation,
    class: Class,
}

/// What AMD's extensions say. Proven only as part of a [`VerifiedVek`].
pub(crate) struct Statements {
    pub(crate) product: Product,
    pub(crate) kind: SignerKind,
    pub(crate) tcb: Tcb,
}

impl VerifiedVek {
    /// Proves the key of `endorsements` under `anchors` as of `at`.
    ///
    /// # Errors
    /// [`SnpError::Vek`], [`SnpError::Certificate`] or [`SnpError::Crl`]: the first check that fails, in the order of
    /// docs/platforms/snp.md.
    pub fn verify(
        endorsements: &Endorsements<'_>,
        anchors: &Anchors,
        at: Timestamp,
    ) -> Result<Self, SnpError> {
        let read =
            |der, whose| Certificate::parse(der).map_err(|fault| SnpError::Certificate { whose, fault });
        let vek = read(endorsements.vek, Whose::Vek)?;
        let authority = read(endorsements.authority, Whose::Authority)?;
        let said = Statements::read(&vek)?;
        let anchor = anchors
            .root(said.product)
            .ok_or(SnpError::Vek(VekCheck::Product))?;
        let mut authorities = vec![authority];
        if let Some(root) = endorsements.root {
            let root = read(root, Whose::Root)?;
            if root.key_info() != anchor.key_info() {
                return Err(SnpError::Vek(VekCheck::Authority));
            }
            authorities.push(root);
        }
        said.issued_by(authorities.first())?;
        let chain = VerifiedChain::verify(vek, authorities, anchor, &[], at).map_err(link)?;
        let revocation = match endorsements.crl {
            None => Revocation::NotChecked,
            Some(der) => {
                let list = Crl::parse(der)
                    .and_then(|list| list.verify(anchor, at))
                    .map_err(SnpError::Crl)?;
                not_revoked(&chain, &list)?
            }
        };
        Ok(Self {
            chain,
            product: said.product,
            kind: said.kind,
            tcb: said.tcb,
            revocation,
            class: anchors.class(),
        })
    }

    /// The product line it is for.
    #[must_use]
    pub const fn product(&self) -> Product {
        self.product
    }

    /// Which of the two keys, and whose.
    #[must_use]
    pub const fn kind(&self) -> &SignerKind {
        &self.kind
    }

    /// The TCB it is for.
    #[must_use]
    pub const fn tcb(&self) -> &Tcb {
        &self.tcb
    }

    /// What is known about revocation.
    #[must_use]
    pub const fn revocation(&self) -> &Revocation {
        &self.revocation
    }

    /// What may be released to evidence it signed: by the anchors it was proven under.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.class
    }

    /// From when all of its certificates, and the list, were valid.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        let from = self.chain.not_before();
        match &self.revocation {
            Revocation::NotChecked => from,
            Revocation::NotRevoked { this_update, .. } => from.max(*this_update),
        }
    }

    /// Until when all of its certificates, and the list, are valid.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        let until = self.chain.not_after();
        match &self.revocation {
            Revocation::NotChecked => until,
            Revocation::NotRevoked { next_update, .. } => until.min(*next_update),
        }
    }

    pub(super) const fn key(&self) -> &PublicKey {
        self.chain.key()
    }
}

fn link(error: ChainError) -> SnpError {
    SnpError::Certificate {
        whose: Whose::at(error.link),
        fault: error.fault,
    }
}

/// The ARK's list speaks of what the ARK issued: the authority (and the ARK itself, if it came).
fn not_revoked(chain: &VerifiedChain, list: &VerifiedCrl) -> Result<Revocation, SnpError> {
    for authority in chain.authorities() {
        list.check(authority).map_err(SnpError::Crl)?;
    }
    Ok(Revocation::NotRevoked {
        number: list.number().to_vec(),
        this_update: list.this_update(),
        next_update: list.next_update(),
    })
}

impl Statements {
    pub(crate) fn read(vek: &Certificate) -> Result<Self, SnpError> {
        if vek.key().kind() != KeyKind::P384 {
            return Err(SnpError::Vek(VekCheck::Key));
        }
        let product = text(vek, &PRODUCT_NAME)?;
        let product = Product::from_certificate(product).ok_or(SnpError::Vek(VekCheck::Product))?;
        let (version, reserved): (u8, &[ObjectIdentifier]) = match product {
            Product::Milan | Product::Genoa => (0, &RESERVED_FOUR),
            Product::Turin => (1, &RESERVED_FIVE),
        };
        if number(vek, &STRUCTURE_VERSION)? != version {
            return Err(SnpError::Vek(VekCheck::StructureVersion));
        }
        let five = product == Product::Turin;
        let understood =
            |oid: &ObjectIdentifier| COMMON.contains(oid) || reserved.contains(oid) || (five && *oid == FMC);
        let unknown =
            |oid: &ObjectIdentifier| oid.as_bytes().starts_with(LEVELS.as_bytes()) && !understood(oid);
        if vek.extension_ids().any(unknown) {
            return Err(SnpError::Vek(VekCheck::Extensions));
        }
        for oid in reserved {
            if number(vek, oid)? != 0 {
                return Err(SnpError::Vek(VekCheck::ReservedLevel));
            }
        }
        Ok(Self {
            product,
            kind: kind(vek, product)?,
            tcb: Tcb {
                fmc: if five { Some(number(vek, &FMC)?) } else { None },
                boot_loader: number(vek, &BOOT_LOADER)?,
                tee: number(vek, &TEE)?,
                snp: number(vek, &SNP)?,
                microcode: number(vek, &MICROCODE)?,
            },
        })
    }

    /// The authority is named as the one for this product and kind. That it issued is for the chain to prove.
    pub(super) fn issued_by(&self, authority: Option<&Certificate>) -> Result<(), SnpError> {
        let prefix = match self.kind {
            SignerKind::Vcek { .. } => "SEV-",
            SignerKind::Vlek { .. } => "SEV-VLEK-",
        };
        let named = authority.and_then(Certificate::common_name);
        let product = named.as_deref().and_then(|name| name.strip_prefix(prefix));
        if product != Some(self.product.name()) {
            return Err(SnpError::Vek(VekCheck::Authority));
        }
        Ok(())
    }
}

/// Name and extensions agree on which of the two keys it is.
fn kind(vek: &Certificate, product: Product) -> Result<SignerKind, SnpError> {
    let neither = SnpError::Vek(VekCheck::Kind);
    let name = vek.common_name();
    match (
        name.as_deref(),
        vek.extension(&HARDWARE_ID),
        vek.extension(&PROVIDER_ID),
    ) {
        (Some("SEV-VCEK"), Some(id), None) => {
            let length = match product {
                Product::Milan | Product::Genoa => 64,
                Product::Turin => 8,
            };
            let mut hardware_id = [0; 64];
            match hardware_id.get_mut(..id.len()) {
                Some(start) if id.len() == length => start.copy_from_slice(id),
                _ => return Err(SnpError::Vek(VekCheck::Extensions)),
            }
            // A chip without an identity would match every masked report.
            if id.iter().all(|byte| *byte == 0) {
                return Err(neither);
            }
            Ok(SignerKind::Vcek { hardware_id })
        }
        (Some("SEV-VLEK"), None, Some(_)) => Ok(SignerKind::Vlek {
            provider: text(vek, &PROVIDER_ID)?.to_owned(),
        }),
        _ => Err(neither),
    }
}

/// An INTEGER of one byte.
fn number(vek: &Certificate, oid: &ObjectIdentifier) -> Result<u8, SnpError> {
    vek.extension(oid)
        .and_then(|content| u8::from_der(content).ok())
        .ok_or(SnpError::Vek(VekCheck::Extensions))
}

/// An IA5String of printable characters.
fn text<'a>(vek: &'a Certificate, oid: &ObjectIdentifier) -> Result<&'a str, SnpError> {
    vek.extension(oid)
        .and_then(|content| Ia5StringRef::from_der(content).ok())
        .map(|text| text.as_str())
        .filter(|text| text.bytes().all(|byte| (b' '..=b'~').contains(&byte)))
        .ok_or(SnpError::Vek(VekCheck::Extensions))
}
