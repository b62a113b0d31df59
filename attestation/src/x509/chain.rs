//! A path of certificates to a pinned anchor, proven at a time.
//!
//! Why apart: this is the only place where a certificate becomes trusted.
//!
//! # Invariants
//! For every link: names chain, the signature holds over the bytes as they came, it is valid at the time, no
//! critical extension is unknown; every issuer is an authority, may sign certificates, and has no more authorities
//! below it than it allows. The anchor is trusted for being given, by name and key, and its dates count too.

use std::fmt;

use x509_cert::der::asn1::ObjectIdentifier;

use crate::limits;
use crate::time::Timestamp;
use crate::x509::{Certificate, Fault, PublicKey};

/// A root that is trusted because we say so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor(Certificate);

impl Anchor {
    /// A root certificate as an anchor. It must be an authority's and signed by its own key.
    ///
    /// # Errors
    /// The [`Fault`] that makes it no root.
    pub fn parse(der: &[u8]) -> Result<Self, Fault> {
        let root = Certificate::parse(der)?;
        root.authority()?;
        root.critical_are_known(&[])?;
        if !root.self_issued() {
            return Err(Fault::Issuer);
        }
        root.signed.verify(root.key())?;
        Ok(Self(root))
    }

    /// The root's own certificate.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.0
    }

    /// Proves that this root issued `authority`, which may issue leaves, and that both are valid at `at`.
    ///
    /// # Errors
    /// The [`Fault`] because of which it is none of this root's.
    pub fn issued(&self, authority: &Certificate, at: Timestamp) -> Result<(), Fault> {
        let root = &self.0;
        if authority.issuer() != root.subject() {
            return Err(Fault::Issuer);
        }
        authority.valid_at(at)?;
        root.valid_at(at)?;
        authority.critical_are_known(&[])?;
        authority.authority()?;
        if root.authority()?.is_some_and(|below| below < 1) {
            return Err(Fault::PathConstraint);
        }
        authority.signed.verify(root.key())
    }

    /// The root's SubjectPublicKeyInfo in DER: what is pinned.
    #[must_use]
    pub fn key_info(&self) -> &[u8] {
        self.0.key_info()
    }
}

/// Which certificate of a path is wrong, and what is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainError {
    /// 0 is the leaf; as many as there are certificates is the anchor.
    pub link: usize,
    /// What is wrong.
    pub fault: Fault,
}

impl fmt::Display for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "certificate {} of the path: {}", self.link, self.fault)
    }
}

impl std::error::Error for ChainError {}

/// A leaf, and the authorities between it and an anchor, that were proven at a time.
#[derive(Debug)]
pub struct VerifiedChain {
    leaf: Certificate,
    authorities: Vec<Certificate>,
    anchor: Certificate,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl VerifiedChain {
    /// Proves `leaf`, whose issuers are `authorities` in order, up to `anchor`, which may be the last of them again.
    /// `understood` are object identifiers of critical extensions of the leaf that the caller evaluates.
    ///
    /// # Errors
    /// The first link that does not hold, from the leaf up.
    pub fn verify(
        leaf: Certificate,
        authorities: Vec<Certificate>,
        anchor: &Anchor,
        understood: &[ObjectIdentifier],
        at: Timestamp,
    ) -> Result<Self, ChainError> {
        if authorities.len() >= limits::PATH {
            return Err(ChainError {
                link: limits::PATH,
                fault: Fault::PathLength,
            });
        }
        let mut chain = Self {
            not_before: leaf.not_before(),
            not_after: leaf.not_after(),
            leaf,
            authorities,
            anchor: anchor.certificate().clone(),
        };
        chain.check_leaf(understood, at)?;
        chain.check_authorities(anchor, at)?;
        for certificate in chain.authorities.iter().chain([anchor.certificate()]) {
            chain.not_before = chain.not_before.max(certificate.not_before());
            chain.not_after = chain.not_after.min(certificate.not_after());
        }
        Ok(chain)
    }

    fn check_leaf(&self, understood: &[ObjectIdentifier], at: Timestamp) -> Result<(), ChainError> {
        let leaf = |fault| ChainError { link: 0, fault };
        self.leaf.valid_at(at).map_err(leaf)?;
        self.leaf.end_entity().map_err(leaf)?;
        self.leaf.critical_are_known(understood).map_err(leaf)
    }

    fn check_authorities(&self, anchor: &Anchor, at: Timestamp) -> Result<(), ChainError> {
        let mut issued = &self.leaf;
        let mut below: u8 = 0;
        let issuers = self.authorities.iter().chain([anchor.certificate()]);
        for (link, issuer) in issuers.enumerate() {
            let child = |fault| ChainError { link, fault };
            let parent = |fault| ChainError {
                link: link.saturating_add(1),
                fault,
            };
            if issued.issuer() != issuer.subject() {
                return Err(child(Fault::Issuer));
            }
            issuer.valid_at(at).map_err(parent)?;
            issuer.critical_are_known(&[]).map_err(parent)?;
            let allowed = issuer.authority().map_err(parent)?;
            if allowed.is_some_and(|allowed| below > allowed) {
                return Err(parent(Fault::PathConstraint));
            }
            issued.signed.verify(issuer.key()).map_err(child)?;
            if !issuer.self_issued() {
                below = below.saturating_add(1);
            }
            issued = issuer;
        }
        Ok(())
    }

    /// The leaf.
    #[must_use]
    pub const fn leaf(&self) -> &Certificate {
        &self.leaf
    }

    /// The leaf's key.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        self.leaf.key()
    }

    /// The authorities between the leaf and the anchor, in order.
    #[must_use]
    pub fn authorities(&self) -> &[Certificate] {
        &self.authorities
    }

    /// One certificate, 0 the leaf, and the one that issued it; the anchor is only an issuer.
    pub(super) fn link(&self, link: usize) -> Option<(&Certificate, &Certificate)> {
        let mut from = std::iter::once(&self.leaf)
            .chain(&self.authorities)
            .chain(std::iter::once(&self.anchor))
            .skip(link);
        Some((from.next()?, from.next()?))
    }

    /// When the latest of its certificates, the anchor's included, begins to be valid.
    #[must_use]
    pub const fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// When the earliest of its certificates, the anchor's included, ends.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }
}
