//! Whom this Verifier believes: a vendor's roots, or others for a hierarchy made for tests.
//!
//! Why apart: everything that is proven rests on these, so they are one argument, seen at each call.
//!
//! # Invariants
//! Class real only when every root is the compiled one. A set is of one class: roots of tests and of vendors never
//! serve together.

use crate::claims::Class;
use crate::{nvidia, snp, tdx};

/// The roots of all vendors.
#[derive(Debug, Clone)]
pub struct Anchors {
    snp: Option<snp::Anchors>,
    tdx: Option<tdx::Anchors>,
    nvidia: Option<nvidia::Anchors>,
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
            class: Class::Insecure,
        }
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

    /// NVIDIA's place.
    #[must_use]
    pub const fn nvidia(&self) -> Option<&nvidia::Anchors> {
        self.nvidia.as_ref()
    }
}
