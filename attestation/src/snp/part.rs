//! Kinds of silicon, finer than products: microcode is numbered for each.
//!
//! Why apart: AMD certifies Genoa and Bergamo by one name, yet level 25 is new on one and ancient on the other.
//!
//! # Invariants
//! A processor that has no name here is none of these: whoever compares levels must then demand those of every kind
//! of its product.

use std::fmt;

use serde::Deserialize;

use crate::snp::{Cpuid, Product, Report};

/// A kind of silicon (AMD revision guides 56683, 57095 and 58251, tables of CPUID values; the Linux kernel's microcode
/// loader tells them apart likewise).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// EPYC 7003, stepping B1.
    Milan,
    /// EPYC 7003 with stacked cache, stepping B2.
    MilanX,
    /// EPYC 9004.
    Genoa,
    /// EPYC 9004 with stacked cache.
    GenoaX,
    /// EPYC 97x4 and 8004: Bergamo and Siena.
    Bergamo,
    /// EPYC 9005.
    Turin,
    /// EPYC 9005 with dense cores.
    TurinDense,
}

impl Part {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Milan,
        Self::MilanX,
        Self::Genoa,
        Self::GenoaX,
        Self::Bergamo,
        Self::Turin,
        Self::TurinDense,
    ];

    /// Its name in policies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Milan => "milan",
            Self::MilanX => "milan-x",
            Self::Genoa => "genoa",
            Self::GenoaX => "genoa-x",
            Self::Bergamo => "bergamo",
            Self::Turin => "turin",
            Self::TurinDense => "turin-dense",
        }
    }

    /// The product whose keys certify it.
    #[must_use]
    pub const fn product(self) -> Product {
        match self {
            Self::Milan | Self::MilanX => Product::Milan,
            Self::Genoa | Self::GenoaX | Self::Bergamo => Product::Genoa,
            Self::Turin | Self::TurinDense => Product::Turin,
        }
    }

    /// By processor signature.
    #[must_use]
    pub const fn from_cpuid(cpuid: Cpuid) -> Option<Self> {
        match (cpuid.family, cpuid.model, cpuid.stepping) {
            (0x19, 0x00..=0x0f, 0 | 1) => Some(Self::Milan),
            (0x19, 0x00..=0x0f, 2) => Some(Self::MilanX),
            (0x19, 0x10..=0x1f, 0 | 1) => Some(Self::Genoa),
            (0x19, 0x10..=0x1f, 2) => Some(Self::GenoaX),
            (0x19, 0xa0..=0xaf, _) => Some(Self::Bergamo),
            (0x1a, 0x00..=0x0f, _) => Some(Self::Turin),
            (0x1a, 0x10..=0x11, _) => Some(Self::TurinDense),
            _ => None,
        }
    }

    /// What a report's processor may be: one, or all of its product when the report does not say (version 2) or says
    /// what has no name here.
    #[must_use]
    pub fn possible(report: &Report, product: Product) -> Vec<Self> {
        match report.cpuid.and_then(Self::from_cpuid) {
            Some(part) => vec![part],
            None => Self::ALL
                .iter()
                .copied()
                .filter(|part| part.product() == product)
                .collect(),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snp::fake::Fake;

    #[test]
    fn a_signature_is_one_part_of_its_product() {
        for (family, model, stepping, part) in [
            (0x19, 0x01, 0, Some(Part::Milan)),
            (0x19, 0x01, 1, Some(Part::Milan)),
            (0x19, 0x01, 2, Some(Part::MilanX)),
            (0x19, 0x01, 3, None),
            (0x19, 0x11, 1, Some(Part::Genoa)),
            (0x19, 0x11, 2, Some(Part::GenoaX)),
            (0x19, 0x11, 3, None),
            (0x19, 0xa0, 2, Some(Part::Bergamo)),
            (0x1a, 0x02, 1, Some(Part::Turin)),
            (0x1a, 0x11, 0, Some(Part::TurinDense)),
            (0x1a, 0x12, 0, None),
            (0x17, 0x31, 0, None),
        ] {
            let cpuid = Cpuid {
                family,
                model,
                stepping,
            };
            assert_eq!(Part::from_cpuid(cpuid), part, "{cpuid:?}");
            if let Some(part) = part {
                assert_eq!(Product::from_cpuid(cpuid), Some(part.product()));
            }
        }
    }

    #[test]
    fn a_report_that_does_not_say_may_be_any_of_its_product() {
        let possible = |change: fn(&mut Vec<u8>)| {
            let mut bytes = Fake::vcek(Product::Genoa).report;
            change(&mut bytes);
            Part::possible(&Report::parse(&bytes).unwrap(), Product::Genoa)
        };
        assert_eq!(possible(|_| {}), [Part::Genoa]);
        let all = [Part::Genoa, Part::GenoaX, Part::Bergamo];
        assert_eq!(possible(|bytes| bytes[0x18a] = 7), all);
        let version_2 = |bytes: &mut Vec<u8>| {
            bytes[0] = 2;
            bytes[0x188..0x18b].fill(0);
            bytes[0x1f8..0x208].fill(0);
        };
        assert_eq!(possible(version_2), all);
    }

    #[test]
    fn names_are_those_of_policies() {
        #[derive(Deserialize)]
        struct Line {
            part: Part,
        }
        for part in Part::ALL {
            let line: Line = toml::from_str(&format!("part = '{part}'")).unwrap();
            assert_eq!(line.part, *part);
        }
    }
}
