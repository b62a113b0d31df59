//! Which instructions this CPU has, and which of them are used.
//!
//! Why apart: possession of a [`Kernels`] is the proof on which every call of a kernel rests.
//!
//! # Invariants
//! A [`Kernels`] never names a set that this CPU, and the system on it, does not run.

#[cfg(target_arch = "x86_64")]
mod amx;

use std::fmt;
use std::str::FromStr;

/// A set of instructions for which kernels are written. Later ones are faster where they exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KernelSet {
    /// What every CPU has.
    Scalar,
    /// AVX2, FMA and F16C: every x86-64 server since 2015.
    Avx2,
    /// AVX2 with AVX-VNNI: Alder Lake, Sierra Forest, Zen 5.
    AvxVnni,
    /// AVX-512 F, BW, DQ, VL and VNNI: Ice Lake, Cascade Lake.
    Avx512Vnni,
    /// The same with AVX-512 BF16: Cooper Lake, Zen 4.
    Avx512Bf16,
    /// The same with AMX tiles of int8 and bf16: Sapphire Rapids.
    Amx,
}

impl KernelSet {
    /// All of them, the slowest first.
    pub const ALL: [Self; 6] = [
        Self::Scalar,
        Self::Avx2,
        Self::AvxVnni,
        Self::Avx512Vnni,
        Self::Avx512Bf16,
        Self::Amx,
    ];

    /// As configuration, `--version` and metrics write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avx-vnni",
            Self::Avx512Vnni => "avx512-vnni",
            Self::Avx512Bf16 => "avx512-bf16",
            Self::Amx => "amx",
        }
    }

    /// Whether this CPU, and the system on it, runs all of it.
    fn is_here(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c");
            let avx512 = || {
                avx2 && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni")
            };
            match self {
                Self::Scalar => true,
                Self::Avx2 => avx2,
                Self::AvxVnni => avx2 && is_x86_feature_detected!("avxvnni"),
                Self::Avx512Vnni => avx512(),
                Self::Avx512Bf16 => avx512() && is_x86_feature_detected!("avx512bf16"),
                Self::Amx => avx512() && is_x86_feature_detected!("avx512bf16") && amx::is_here(),
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            self == Self::Scalar
        }
    }
}

impl fmt::Display for KernelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No set has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownKernelSet;

impl fmt::Display for UnknownKernelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no set of kernels has this name")
    }
}

impl std::error::Error for UnknownKernelSet {}

impl FromStr for KernelSet {
    type Err = UnknownKernelSet;

    fn from_str(name: &str) -> Result<Self, UnknownKernelSet> {
        Self::ALL
            .into_iter()
            .find(|set| set.name() == name)
            .ok_or(UnknownKernelSet)
    }
}

/// The set in use. Only this file makes one, for a set that this CPU has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernels(KernelSet);

impl Kernels {
    /// The fastest set that this CPU has.
    #[must_use]
    pub fn detect() -> Self {
        Self::at_most(KernelSet::Amx)
    }

    /// The fastest set that this CPU has and that is not above `limit`.
    #[must_use]
    pub fn at_most(limit: KernelSet) -> Self {
        let here = KernelSet::ALL
            .into_iter()
            .filter(|set| *set <= limit && set.is_here())
            .max();
        Self(here.unwrap_or(KernelSet::Scalar))
    }

    /// Exactly this set; `None` when the CPU lacks it.
    #[must_use]
    pub fn exactly(set: KernelSet) -> Option<Self> {
        set.is_here().then_some(Self(set))
    }

    /// Which set it is.
    #[must_use]
    pub fn set(self) -> KernelSet {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_limits_hold() {
        for set in KernelSet::ALL {
            assert_eq!(set.name().parse(), Ok(set));
            assert!(Kernels::at_most(set).set() <= set);
            if let Some(kernels) = Kernels::exactly(set) {
                assert_eq!(kernels.set(), set);
                assert_eq!(Kernels::at_most(set), kernels);
                assert!(Kernels::detect().set() >= set);
            }
        }
        assert_eq!("avx".parse::<KernelSet>(), Err(UnknownKernelSet));
        assert_eq!(Kernels::at_most(KernelSet::Scalar).set(), KernelSet::Scalar);
    }
}
