//! Bit fields of a report, each bit by its name in the specification.
//!
//! Why apart: a policy names bits, and a bit this version does not know must be seen, not dropped.
//!
//! # Invariants
//! All bits are kept. `unknown` has exactly those without a name here.

/// Defines a bit field: the type, the type of its bits, and each bit's number and name.
macro_rules! bit_field {
    ($(#[$about:meta])* $field:ident, $(#[$bit_about:meta])* $bit:ident, $known:literal
        { $($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)+ }) => {
        $(#[$bit_about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $bit {
            $($(#[$doc])* $name,)+
        }

        impl $bit {
            /// All of them, lowest first.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Its name in the specification.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            /// Its number, 0 the lowest.
            #[must_use]
            pub const fn number(self) -> u32 {
                match self { $(Self::$name => $number),+ }
            }

            const fn mask(self) -> u64 {
                1_u64.wrapping_shl(self.number())
            }
        }

        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $field(pub(super) u64);

        impl $field {
            /// All bits as they are in the report.
            #[must_use]
            pub const fn bits(self) -> u64 {
                self.0
            }

            /// This bit is one.
            #[must_use]
            pub const fn has(self, bit: $bit) -> bool {
                self.0 & bit.mask() != 0
            }

            /// Bits that are one and have no name here.
            #[must_use]
            pub fn unknown(self) -> u64 {
                $bit::ALL.iter().fold(self.0 & !$known, |rest, bit| rest & !bit.mask())
            }
        }
    };
}

bit_field! {
    /// What the guest's owner allowed at launch (ABI specification 56860 revision 1.58, table "Guest Policy").
    GuestPolicy,
    /// A bit of the guest policy.
    PolicyBit, 0x0002_ffff {
        /// Simultaneous multithreading is allowed.
        Smt = 16, "SMT";
        /// Association with a migration agent is allowed.
        MigrateMa = 18, "MIGRATE_MA";
        /// The host may read and write the guest's memory.
        Debug = 19, "DEBUG";
        /// The guest runs on one socket only.
        SingleSocket = 20, "SINGLE_SOCKET";
        /// CXL devices are allowed.
        CxlAllow = 21, "CXL_ALLOW";
        /// Memory must be encrypted with AES-256 XTS.
        MemAes256Xts = 22, "MEM_AES_256_XTS";
        /// Running average power limit must be disabled.
        RaplDis = 23, "RAPL_DIS";
        /// Ciphertext hiding must be enabled.
        CiphertextHiding = 24, "CIPHERTEXT_HIDING_DRAM";
        /// The host may not swap or move pages.
        PageSwapDisable = 25, "PAGE_SWAP_DISABLE";
    }
}

impl GuestPolicy {
    /// Bit 17, which is always one.
    pub(super) const RESERVED_ONE: u64 = 1 << 17;

    /// The lowest ABI version the guest accepts: major, minor.
    #[must_use]
    pub const fn abi(self) -> (u8, u8) {
        let [minor, major, ..] = self.0.to_le_bytes();
        (major, minor)
    }
}

bit_field! {
    /// How the platform is configured (ABI specification 56860 revision 1.58, table "PLATFORM_INFO").
    PlatformInfo,
    /// A bit of the platform's configuration.
    PlatformBit, 0 {
        /// Simultaneous multithreading is enabled.
        SmtEn = 0, "SMT_EN";
        /// All memory is encrypted.
        TsmeEn = 1, "TSME_EN";
        /// Memory has error correction.
        EccEn = 2, "ECC_EN";
        /// Running average power limit is disabled.
        RaplDis = 3, "RAPL_DIS";
        /// Ciphertext hiding is enabled.
        CiphertextHidingEn = 4, "CIPHERTEXT_HIDING_DRAM_EN";
        /// Since the last reset no two addresses were found to be one (BadRAM, AMD-SB-3015).
        AliasCheckComplete = 5, "ALIAS_CHECK_COMPLETE";
        /// Trusted I/O is enabled.
        TioEn = 7, "TIO_EN";
    }
}
