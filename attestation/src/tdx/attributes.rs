//! TD attributes and XFAM, bit by bit.
//!
//! Why apart: a policy speaks of these bits by name, and a bit without a name must be seen, not dropped.
//!
//! # Invariants
//! Every set bit is either named here or in `unknown()`. Nothing here judges.
//! Sources: Intel TDX Module ABI Specification 348551 (ATTRIBUTES; XFAM), Intel SDM volume 1, 13.1 (state
//! components of XCR0 and IA32_XSS).

use std::fmt;

/// ATTRIBUTES of a trust domain, a little-endian 64-bit field of TDINFO. Bits 0 to 7 are TUD (any of them makes the
/// domain untrusted), 8 to 31 SEC (they may weaken it), 32 to 63 OTHER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TdAttributes(u64);

/// A named bit of [`TdAttributes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TdAttribute {
    /// Bit 0: the host may read and change the domain's memory and registers.
    Debug,
    /// Bit 4: performance profiling with HGS+.
    HgsPlusProfiling,
    /// Bit 5: performance monitoring by the host.
    PerformanceProfiling,
    /// Bit 6: power and performance telemetry by the host.
    TelemetryProfiling,
    /// Bit 16 (ICSSD): the defence against single-stepping counts instructions.
    InstructionCountSingleStepDefence,
    /// Bit 17 (SERVTD_EXT): the report covers a hash of the service domains' extended state.
    ServiceTdExtension,
    /// Bit 27 (LASS): linear address space separation may be used.
    LinearAddressSpaceSeparation,
    /// Bit 28 (SEPT_VE_DISABLE): a page that the host took away stops the domain instead of raising #VE in it.
    SeptVeDisable,
    /// Bit 29: a service domain may move the domain to another machine.
    Migratable,
    /// Bit 30 (PKS): supervisor protection keys may be used.
    SupervisorProtectionKeys,
    /// Bit 31 (KL): Key Locker may be used.
    KeyLocker,
    /// Bit 62 (TPA): the domain is a TDX Connect provisioning agent.
    ProvisioningAgent,
    /// Bit 63 (PERFMON): the domain may use performance counters.
    PerformanceMonitoring,
}

impl TdAttribute {
    /// All that have a name.
    pub const ALL: [Self; 13] = [
        Self::Debug,
        Self::HgsPlusProfiling,
        Self::PerformanceProfiling,
        Self::TelemetryProfiling,
        Self::InstructionCountSingleStepDefence,
        Self::ServiceTdExtension,
        Self::LinearAddressSpaceSeparation,
        Self::SeptVeDisable,
        Self::Migratable,
        Self::SupervisorProtectionKeys,
        Self::KeyLocker,
        Self::ProvisioningAgent,
        Self::PerformanceMonitoring,
    ];

    /// Its place, 0 to 63.
    #[must_use]
    pub const fn bit(self) -> u32 {
        match self {
            Self::Debug => 0,
            Self::HgsPlusProfiling => 4,
            Self::PerformanceProfiling => 5,
            Self::TelemetryProfiling => 6,
            Self::InstructionCountSingleStepDefence => 16,
            Self::ServiceTdExtension => 17,
            Self::LinearAddressSpaceSeparation => 27,
            Self::SeptVeDisable => 28,
            Self::Migratable => 29,
            Self::SupervisorProtectionKeys => 30,
            Self::KeyLocker => 31,
            Self::ProvisioningAgent => 62,
            Self::PerformanceMonitoring => 63,
        }
    }

    /// Its name in Intel's specification, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::HgsPlusProfiling => "hgs-plus-prof",
            Self::PerformanceProfiling => "perf-prof",
            Self::TelemetryProfiling => "pmt-prof",
            Self::InstructionCountSingleStepDefence => "icssd",
            Self::ServiceTdExtension => "servtd-ext",
            Self::LinearAddressSpaceSeparation => "lass",
            Self::SeptVeDisable => "sept-ve-disable",
            Self::Migratable => "migratable",
            Self::SupervisorProtectionKeys => "pks",
            Self::KeyLocker => "kl",
            Self::ProvisioningAgent => "tpa",
            Self::PerformanceMonitoring => "perfmon",
        }
    }

    const fn mask(self) -> u64 {
        mask(self.bit())
    }
}

impl TdAttributes {
    /// TUD: any of these bits makes the domain untrusted.
    const UNDER_DEBUG: u64 = 0xff;

    /// Bits that a verifier must see as zero (348551-008, table 3.23): 1-3, 7-15, 23-26, 32-61.
    const MUST_BE_ZERO: u64 = 0x3fff_ffff_0780_ff8e;

    pub(super) const fn new(bytes: [u8; 8]) -> Self {
        Self(u64::from_le_bytes(bytes))
    }

    /// The field as a number.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether the bit is set.
    #[must_use]
    pub const fn has(self, attribute: TdAttribute) -> bool {
        self.0 & attribute.mask() != 0
    }

    /// True when any bit of the group "TD under debug" is set: the host may look inside.
    #[must_use]
    pub const fn under_debug(self) -> bool {
        self.0 & Self::UNDER_DEBUG != 0
    }

    /// The set bits that have no name in this version.
    #[must_use]
    pub fn unknown(self) -> u64 {
        TdAttribute::ALL
            .iter()
            .fold(self.0, |rest, attribute| rest & !attribute.mask())
    }

    /// The set bits that the specification says are zero.
    pub(super) const fn reserved(self) -> u64 {
        self.0 & Self::MUST_BE_ZERO
    }
}

impl fmt::Display for TdAttributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = TdAttribute::ALL.iter().filter(|attribute| self.has(**attribute));
        list(f, named.map(|attribute| attribute.name()), self.unknown())
    }
}

/// XFAM: which extended processor states the domain may use, with the bits of XCR0 and IA32_XSS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Xfam(u64);

/// A named bit of [`Xfam`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XfamBit {
    /// Its place, 0 to 63.
    pub bit: u32,
    /// Its name in Intel's manual, in lower case.
    pub name: &'static str,
}

impl Xfam {
    /// All bits that have a name (Intel SDM volume 1, 13.1; APX: Intel APX specification 355828).
    pub const NAMED: [XfamBit; 20] = [
        named(0, "x87"),
        named(1, "sse"),
        named(2, "avx"),
        named(3, "bndreg"),
        named(4, "bndcsr"),
        named(5, "avx512-opmask"),
        named(6, "avx512-zmm-hi256"),
        named(7, "avx512-hi16-zmm"),
        named(8, "pt"),
        named(9, "pkru"),
        named(10, "pasid"),
        named(11, "cet-u"),
        named(12, "cet-s"),
        named(13, "hdc"),
        named(14, "uintr"),
        named(15, "lbr"),
        named(16, "hwp"),
        named(17, "amx-tilecfg"),
        named(18, "amx-tiledata"),
        named(19, "apx"),
    ];

    pub(super) const fn new(bytes: [u8; 8]) -> Self {
        Self(u64::from_le_bytes(bytes))
    }

    /// The field as a number.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether the bit of that name is set; `None` when there is no such name.
    #[must_use]
    pub fn has(self, name: &str) -> Option<bool> {
        let found = Self::NAMED.iter().find(|known| known.name == name)?;
        Some(self.0 & mask(found.bit) != 0)
    }

    /// The set bits that have no name in this version.
    #[must_use]
    pub fn unknown(self) -> u64 {
        Self::NAMED
            .iter()
            .fold(self.0, |rest, known| rest & !mask(known.bit))
    }
}

impl fmt::Display for Xfam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Self::NAMED.iter().filter(|known| self.0 & mask(known.bit) != 0);
        list(f, named.map(|known| known.name), self.unknown())
    }
}

const fn named(bit: u32, name: &'static str) -> XfamBit {
    XfamBit { bit, name }
}

const fn mask(bit: u32) -> u64 {
    1_u64.wrapping_shl(bit)
}

fn list(f: &mut fmt::Formatter<'_>, names: impl Iterator<Item = &'static str>, unknown: u64) -> fmt::Result {
    let mut empty = true;
    for name in names {
        if !empty {
            f.write_str(" ")?;
        }
        f.write_str(name)?;
        empty = false;
    }
    if unknown != 0 {
        write!(f, "{}unknown:{unknown:#x}", if empty { "" } else { " " })?;
        empty = false;
    }
    if empty { f.write_str("none") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bit_is_named_unknown_or_reserved() {
        for bit in 0..64 {
            let only = TdAttributes::new((1_u64 << bit).to_le_bytes());
            let names = TdAttribute::ALL
                .iter()
                .filter(|attribute| only.has(**attribute))
                .count();
            assert_eq!(names == 1, only.unknown() == 0, "bit {bit}");
            assert_eq!(only.under_debug(), bit < 8);
            if names == 1 {
                assert_eq!(only.reserved(), 0, "bit {bit}");
            }
            let only = Xfam::new((1_u64 << bit).to_le_bytes());
            assert_eq!(only.unknown() == 0, bit < 20, "bit {bit}");
        }
        assert_eq!(TdAttributes::MUST_BE_ZERO.count_ones(), 3 + 9 + 4 + 30);
    }

    #[test]
    fn bits_are_shown_by_name() {
        let attributes = TdAttributes::new([1, 0, 4, 0x10, 0, 0, 0, 0x80]);
        assert_eq!(
            attributes.to_string(),
            "debug sept-ve-disable perfmon unknown:0x40000"
        );
        assert_eq!(TdAttributes::new([0; 8]).to_string(), "none");
        let xfam = Xfam::new(0x0006_02e7_u64.to_le_bytes());
        assert_eq!(
            xfam.to_string(),
            "x87 sse avx avx512-opmask avx512-zmm-hi256 avx512-hi16-zmm pkru amx-tilecfg amx-tiledata"
        );
        assert_eq!(
            (xfam.has("pkru"), xfam.has("pt"), xfam.has("none")),
            (Some(true), Some(false), None)
        );
    }
}
