//! Whom this Verifier believes: a vendor's roots, or others for a hierarchy made for tests.
//!
//! Why apart: everything that is proven rests on these, so they are one argument, seen at each call.
//!
//! # Invariants
//! Class real only when every root is the compiled one. A set is of one class: roots of tests and of vendors never
//! serve together.

use std::fmt;

use crate::claims::Class;
use crate::x509::{Certificate, Fault};
use crate::{nvidia, provider, snp, tdx};

/// The roots of all vendors.
#[derive(Debug, Clone)]
pub struct Anchors {
    snp: Option<snp::Anchors>,
    tdx: Option<tdx::Anchors>,
    nvidia: Option<nvidia::Anchors>,
    provider: provider::Anchors,
    class: Class,
}

impl Anchors {
    /// The vendors' own, as compiled in.
    #[must_use]
    pub fn compiled() -> Self {
        Self {
            snp: Some(snp::Anchors::amd().clone()),
            tdx: Some(tdx::Anchors::intel()),
            nvidia: Some(nvidia::Anchors::nvidia()),
            provider: provider::Anchors::compiled(),
            class: Class::Real,
        }
    }

    /// Others, for tests. A vendor without one is not believed at all. Whatever is proven under these is of class
    /// insecure.
    #[must_use]
    pub const fn given(
        snp: Option<snp::Anchors>,
        tdx: Option<tdx::Anchors>,
        nvidia: Option<nvidia::Anchors>,
    ) -> Self {
        Self {
            snp,
            tdx,
            nvidia,
            provider: provider::Anchors::none(),
            class: Class::Insecure,
        }
    }

    /// The same with roots of providers' TPMs. Class insecure, whatever it was.
    #[must_use]
    pub fn with_provider(self, provider: provider::Anchors) -> Self {
        Self {
            provider,
            class: Class::Insecure,
            ..self
        }
    }

    /// Others, told apart by the names they give themselves: `ARK-Milan`, `ARK-Genoa`, `ARK-Turin`, `Intel SGX Root CA`,
    /// `NVIDIA Device Identity CA`, `NVIDIA CoRIM signing Root CA`, `EK/AK CA Root`
    /// (Google), `aws.nitro-enclaves`. A hierarchy made for tests bears its vendor's names.
    ///
    /// # Errors
    /// [`AnchorsError`].
    pub fn from_certificates(roots: &[Vec<u8>]) -> Result<Self, AnchorsError> {
        let (mut amd, mut intel, mut device, mut rim) = (Vec::new(), None, None, None);
        let (mut google, mut aws) = (None, None);
        for (index, der) in roots.iter().enumerate() {
            let certificate =
                Certificate::parse(der).map_err(|fault| AnchorsError::Certificate { index, fault })?;
            let name = certificate.common_name().unwrap_or_default();
            let product = snp::Product::ALL
                .into_iter()
                .find(|product| name.strip_prefix("ARK-") == Some(product.name()));
            let twice = match (product, name.as_str()) {
                (Some(product), _) => {
                    let twice = amd.iter().any(|(other, _)| *other == product);
                    amd.push((product, der.clone()));
                    twice
                }
                (None, "Intel SGX Root CA") => intel.replace(der).is_some(),
                (None, "NVIDIA Device Identity CA") => device.replace(der).is_some(),
                (None, "NVIDIA CoRIM signing Root CA") => rim.replace(der).is_some(),
                (None, "EK/AK CA Root") => google.replace(der.as_slice()).is_some(),
                (None, "aws.nitro-enclaves") => aws.replace(der.as_slice()).is_some(),
                (None, _) => return Err(AnchorsError::Name { index }),
            };
            if twice {
                return Err(AnchorsError::Twice { index });
            }
        }
        let nvidia = match (device, rim) {
            (Some(device), Some(rim)) => {
                Some(nvidia::Anchors::other(device, rim).map_err(AnchorsError::Root)?)
            }
            (None, None) => None,
            _ => return Err(AnchorsError::OneOfTwo),
        };
        let snp = if amd.is_empty() {
            None
        } else {
            Some(snp::Anchors::given(&amd).map_err(AnchorsError::Root)?)
        };
        let tdx = intel.map(|root| tdx::Anchors::given(root.clone()));
        let others = google.is_some() || aws.is_some();
        if snp.is_none() && tdx.is_none() && nvidia.is_none() && !others {
            return Err(AnchorsError::None);
        }
        let provider = provider::Anchors::given(google, aws).map_err(AnchorsError::Root)?;
        Ok(Self::given(snp, tdx, nvidia).with_provider(provider))
    }

    /// The best class of what is proven under these.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.class
    }

    /// AMD's place.
    #[must_use]
    pub const fn snp(&self) -> Option<&snp::Anchors> {
        self.snp.as_ref()
    }

    /// Intel's place.
    #[must_use]
    pub const fn tdx(&self) -> Option<&tdx::Anchors> {
        self.tdx.as_ref()
    }

    /// The places of providers' TPMs.
    #[must_use]
    pub const fn provider(&self) -> &provider::Anchors {
        &self.provider
    }

    /// NVIDIA's place.
    #[must_use]
    pub const fn nvidia(&self) -> Option<&nvidia::Anchors> {
        self.nvidia.as_ref()
    }
}

/// Certificates cannot be anchors. Whoever gives them is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnchorsError {
    /// There is none.
    None,
    /// One is no certificate.
    Certificate {
        /// Which, from 0.
        index: usize,
        /// Why.
        fault: Fault,
    },
    /// One has none of the names by which roots are told apart.
    Name {
        /// Which, from 0.
        index: usize,
    },
    /// Two have the same name.
    Twice {
        /// The second, from 0.
        index: usize,
    },
    /// One is a certificate and no root.
    Root(Fault),
    /// NVIDIA has two roots, for devices and for RIM files, and only one is given.
    OneOfTwo,
}

impl AnchorsError {
    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::None => "give the root certificates of the test hierarchy, in DER or PEM",
            Self::Certificate { fault, .. } | Self::Root(fault) => fault.hint(),
            Self::Name { .. } => {
                "a root bears its vendor's name, as ARK-Genoa or Intel SGX Root CA; remove other files"
            }
            Self::Twice { .. } => "keep the one you mean",
            Self::OneOfTwo => "give both NVIDIA Device Identity CA and NVIDIA CoRIM signing Root CA",
        }
    }
}

impl fmt::Display for AnchorsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("there is no root certificate"),
            Self::Certificate { index, fault } => write!(f, "certificate {index}: {fault}"),
            Self::Name { index } => write!(f, "certificate {index} has no vendor's name"),
            Self::Twice { index } => write!(f, "certificate {index} has the name of another"),
            Self::Root(fault) => write!(f, "a certificate is no root: {fault}"),
            Self::OneOfTwo => f.write_str("only one of NVIDIA's two roots is given"),
        }
    }
}

impl std::error::Error for AnchorsError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x509::forge::{Draft, Key};

    fn root(name: &str) -> Vec<u8> {
        let key = Key::p384();
        Draft::authority(name, name).sign(&key, &key)
    }

    #[test]
    fn roots_are_told_apart_by_name_and_are_insecure() {
        let amd = {
            let key = Key::shared_rsa(false);
            Draft::authority("ARK-Genoa", "ARK-Genoa").sign(&key, &key)
        };
        let all = [
            amd.clone(),
            root("Intel SGX Root CA"),
            root("NVIDIA Device Identity CA"),
            root("NVIDIA CoRIM signing Root CA"),
        ];
        let anchors = Anchors::from_certificates(&all).unwrap();
        assert_eq!(anchors.class(), Class::Insecure);
        assert!(anchors.tdx().is_some() && anchors.nvidia().is_some());
        let genoa = anchors.snp().and_then(|amd| amd.root(snp::Product::Genoa));
        assert!(genoa.is_some());
        let one = Anchors::from_certificates(&all[..1]).unwrap();
        assert!(one.tdx().is_none() && one.nvidia().is_none());

        let error = |roots: &[Vec<u8>]| Anchors::from_certificates(roots).unwrap_err();
        assert_eq!(error(&[]), AnchorsError::None);
        assert_eq!(error(&all[2..3]), AnchorsError::OneOfTwo);
        assert_eq!(error(&[amd.clone(), amd]), AnchorsError::Twice { index: 1 });
        assert_eq!(error(&[root("Someone")]), AnchorsError::Name { index: 0 });
        assert!(matches!(
            error(&[vec![1]]),
            AnchorsError::Certificate { index: 0, .. }
        ));
        let key = Key::p384();
        let leaf = Draft::leaf("NVIDIA Device Identity CA", "NVIDIA Device Identity CA").sign(&key, &key);
        assert!(matches!(error(&[leaf, all[3].clone()]), AnchorsError::Root(_)));
        for error in [
            AnchorsError::None,
            AnchorsError::OneOfTwo,
            AnchorsError::Name { index: 0 },
        ] {
            assert!(!error.to_string().is_empty() && !error.hint().is_empty());
        }
    }

    #[test]
    fn compiled_roots_are_real() {
        let anchors = Anchors::compiled();
        assert_eq!(anchors.class(), Class::Real);
        assert!(anchors.snp().is_some() && anchors.tdx().is_some() && anchors.nvidia().is_some());
    }
}
