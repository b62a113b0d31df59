//! Processors by the names AMD's key service gives them.
//!
//! Why apart: the product decides root, TCB layout and the length of a chip id.
//!
//! # Invariants
//! Only what a pinned root exists for. Bergamo and Siena are Genoa to AMD's keys.

use std::fmt;

/// A product line of AMD's key distribution service (KDS specification 57230, section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Product {
    /// EPYC 7003.
    Milan,
    /// EPYC 9004 and 8004: Genoa, Bergamo, Siena.
    Genoa,
    /// EPYC 9005.
    Turin,
}

impl Product {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Milan, Self::Genoa, Self::Turin];

    /// AMD's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Milan => "Milan",
            Self::Genoa => "Genoa",
            Self::Turin => "Turin",
        }
    }

    /// From a certificate's product name: the line's name, in older ones with a stepping, as in `Milan-B0`.
    pub(super) fn from_certificate(name: &str) -> Option<Self> {
        let (line, stepping) = name
            .split_once('-')
            .map_or((name, None), |(line, rest)| (line, Some(rest)));
        let right = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !stepping.is_none_or(right) {
            return None;
        }
        Self::ALL.into_iter().find(|product| product.name() == line)
    }

    /// From a report's processor signature (ABI specification 56860, tables of CPUID values; the Linux kernel and the
    /// `sev` crate have the same ranges).
    pub(super) const fn from_cpuid(cpuid: Cpuid) -> Option<Self> {
        match (cpuid.family, cpuid.model) {
            (0x19, 0x00..=0x0f) => Some(Self::Milan),
            (0x19, 0x10..=0x1f | 0xa0..=0xaf) => Some(Self::Genoa),
            (0x1a, 0x00..=0x11) => Some(Self::Turin),
            _ => None,
        }
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A processor's signature as reports of version 3 and later have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpuid {
    /// Family, extended family added.
    pub family: u8,
    /// Model, extended model included.
    pub model: u8,
    /// Stepping.
    pub stepping: u8,
}
