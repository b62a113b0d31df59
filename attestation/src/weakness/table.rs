//! The rows: docs/known-weaknesses.md says the same, and a test compares.
//!
//! Why apart: data, to be compared with its sources line by line.
//!
//! # Invariants
//! Ordered by date of publication, what Intel publishes continuously last. Levels of microcode are the lowest byte of the first fixed revision, for each kind of
//! silicon; levels of the SNP firmware are what its release notes call SPL. A source that says "read in" is where a number
//! was read, since it was not the bulletin itself.

use Affected::{Amd, IntelTdx};
use Component::{Microcode, Snp};
use Demand::{Collateral, Level, Mitigation, Rule};
use Part::{Bergamo, Genoa, GenoaX, Milan, MilanX, Turin, TurinDense};

use super::{Affected, Demand, Weakness};
use crate::denial::RuleId;
use crate::snp::{Component, Part};

const MILANS: &[Part] = &[Milan, MilanX];
const GENOAS: &[Part] = &[Genoa, GenoaX, Bergamo];
const TURINS: &[Part] = &[Turin, TurinDense];

/// The day on which all rows were last compared with their sources.
const CHECKED: &str = "2026-11-21";

/// The table, oldest first.
#[must_use]
pub const fn known_weaknesses() -> &'static [Weakness] {
    ROWS
}

const ROWS: &[Weakness] = &[
    Weakness {
        id: "CVE-2023-20592",
        title: "CacheWarp: the host reverts a guest's writes to memory",
        published: "2023-11",
        checked: CHECKED,
        source: "AMD-SB-3005; Zhang et al., USENIX Security 2024; levels read in a public review of it and in \
                 linux-firmware, amd-ucode of 2023-07-18",
        demands: &[
            Level(&[Milan], Microcode, 0xd1),
            Level(&[MilanX], Microcode, 0x34),
        ],
        by_chip: &[],
    },
    Weakness {
        id: "CVE-2024-21944",
        title: "BadRAM: a memory module that lies about its size gives aliases of a guest's memory",
        published: "2024-12",
        checked: CHECKED,
        source: "AMD-SB-3015; De Meulemeester et al., IEEE S&P 2025; levels read in tee-crafter's verifier",
        demands: &[
            Level(MILANS, Snp, 0x17),
            Level(GENOAS, Snp, 0x16),
            Rule(RuleId::SnpAliasCheck),
        ],
        by_chip: &[],
    },
    Weakness {
        id: "CVE-2024-56161",
        title: "EntrySign: forged microcode is accepted (Zen 3 and 4)",
        published: "2025-02-03",
        checked: CHECKED,
        source: "AMD-SB-3019; levels read in Linux (microcode/amd.c, need_sha_check), fwupd and VMware's release notes",
        demands: &[
            Level(&[Milan], Microcode, 0xdb),
            Level(&[MilanX], Microcode, 0x44),
            Level(&[Genoa], Microcode, 0x54),
            Level(&[GenoaX], Microcode, 0x4f),
            Level(&[Bergamo], Microcode, 0x19),
        ],
        by_chip: &[],
    },
    Weakness {
        id: "CVE-2024-36347",
        title: "EntrySign: forged microcode is accepted (Zen 5)",
        published: "2025-03-05",
        checked: CHECKED,
        source: "AMD-SB-7033; levels read in Linux (microcode/amd.c, get_cutoff_revision)",
        demands: &[Level(TURINS, Microcode, 0x47)],
        by_chip: &[],
    },
    Weakness {
        id: "heracles",
        title: "Heracles: the host moves pages to compare ciphertexts",
        published: "2025-08",
        checked: CHECKED,
        source: "AMD-SB-3021; Schlüter et al., CCS 2025",
        demands: &[Rule(RuleId::SnpPageSwap)],
        by_chip: &[],
    },
    Weakness {
        id: "battering-ram",
        title: "Battering RAM: a device between processor and DDR4 module replays memory",
        published: "2025-10",
        checked: CHECKED,
        source: "De Meulemeester et al., IEEE S&P 2026 (batteringram.eu); outside AMD's threat model",
        demands: &[],
        by_chip: &[Amd(Milan), Amd(MilanX)],
    },
    Weakness {
        id: "CVE-2025-0033",
        title: "RMPocalypse: the host writes the RMP while it is made",
        published: "2025-10-14",
        checked: CHECKED,
        source: "AMD-SB-3020; Schlüter and Shinde, CCS 2025; levels read in pi-tee's review of 2026-10-08, \
                 Milan's bit in atakit; none read for the microcode of Bergamo and Turin Dense",
        demands: &[
            Mitigation(MILANS, 1),
            Level(GENOAS, Snp, 0x1b),
            Level(&[Genoa], Microcode, 0x56),
            Level(&[GenoaX], Microcode, 0x51),
            Level(TURINS, Snp, 0x04),
            Level(&[Turin], Microcode, 0x50),
        ],
        by_chip: &[Amd(Bergamo), Amd(TurinDense)],
    },
    Weakness {
        id: "tee.fail",
        title: "TEE.fail: a device between processor and DDR5 module reads keys, attestation keys too",
        published: "2025-10-28",
        checked: CHECKED,
        source: "tee.fail (Georgia Tech, Purdue, Synkhronix), IEEE S&P 2026; AMD-SB-3040; Intel announcement \
                 2025-10-28-001; outside both threat models",
        demands: &[],
        by_chip: &[
            Amd(Genoa),
            Amd(GenoaX),
            Amd(Bergamo),
            Amd(Turin),
            Amd(TurinDense),
            IntelTdx,
        ],
    },
    Weakness {
        id: "CVE-2025-29943",
        title: "StackWarp: a sibling thread moves a guest's stack pointer",
        published: "2026-01",
        checked: CHECKED,
        source: "AMD-SB-3027; Zhang et al., USENIX Security 2026; levels read in pi-tee's review of 2026-10-08; \
                 none read for Milan, Bergamo and Turin Dense",
        demands: &[
            Level(&[Genoa], Microcode, 0x56),
            Level(&[GenoaX], Microcode, 0x51),
            Level(&[Turin], Microcode, 0x51),
        ],
        by_chip: &[Amd(Milan), Amd(MilanX), Amd(Bergamo), Amd(TurinDense)],
    },
    Weakness {
        id: "CVE-2025-48514",
        title: "an SEV-ES guest attacks SNP guests",
        published: "2026-02",
        checked: CHECKED,
        source: "AMD-SB-3023; levels read in Linux (drivers/crypto/ccp/sev-dev.c, AMD's own patch of 2026-04)",
        demands: &[
            Level(MILANS, Snp, 0x1b),
            Level(GENOAS, Snp, 0x1b),
            Level(TURINS, Snp, 0x04),
        ],
        by_chip: &[],
    },
    Weakness {
        id: "CVE-2023-20585",
        title: "the host makes the IOMMU write into a guest's memory (Zen 3 and 4)",
        published: "2026-04-14",
        checked: CHECKED,
        source: "AMD-SB-3016; levels and bit read in pi-tee, atakit and a third verifier; Linux (AMD IOMMU, family 0x19) has the \
                 half that the bit reports",
        demands: &[
            Level(MILANS, Snp, 0x1b),
            Level(GENOAS, Snp, 0x1b),
            Mitigation(MILANS, 2),
            Mitigation(GENOAS, 2),
        ],
        by_chip: &[],
    },
    Weakness {
        id: "CVE-2025-54510",
        title: "Fabricked: writes of the security processor are dropped, the RMP stays the host's",
        published: "2026-04-14",
        checked: CHECKED,
        source: "AMD-SB-3034; Schlüter et al., USENIX Security 2026; fixed in boot firmware, but AMD withdrew the \
                 levels that showed it (2026-09-24)",
        demands: &[],
        by_chip: &[
            Amd(Milan),
            Amd(MilanX),
            Amd(Genoa),
            Amd(GenoaX),
            Amd(Bergamo),
            Amd(Turin),
            Amd(TurinDense),
        ],
    },
    Weakness {
        id: "CVE-2025-61971",
        title: "BreakFAST: the security processor is made to write where the host wants, its keys are read",
        published: "2026-05-12",
        checked: CHECKED,
        source: "AMD-SB-3030 (with CVE-2025-61972); Giersfeld et al., IEEE S&P 2026; Milan's level read in \
                 Sentinel, its bit in atakit; none read for Genoa and Turin",
        demands: &[Level(MILANS, Snp, 0x1d), Mitigation(MILANS, 4)],
        by_chip: &[Amd(Genoa), Amd(GenoaX), Amd(Bergamo), Amd(Turin), Amd(TurinDense)],
    },
    Weakness {
        id: "badfuse",
        title: "MilanLaunchy and BadFuse: the seed of a Milan chip's keys is read by software",
        published: "2026-05-13",
        checked: CHECKED,
        source: "arXiv 2605.12990; AMD-SB-3045 closes the way in, but a seed that was read stays known for every level",
        demands: &[],
        by_chip: &[Amd(Milan), Amd(MilanX)],
    },
    Weakness {
        id: "CVE-2025-54509",
        title: "Staleus: the security processor reads stale memory, reports can be forged",
        published: "2026-08",
        checked: CHECKED,
        source: "AMD-SB-3039; Schlüter et al., USENIX Security 2026; no levels read",
        demands: &[],
        by_chip: &[Amd(Genoa), Amd(GenoaX), Amd(Bergamo), Amd(Turin), Amd(TurinDense)],
    },
    Weakness {
        id: "intel-advisories",
        title: "every advisory that Intel ties to a TCB level",
        published: "continuously",
        checked: CHECKED,
        source: "Intel's TCB info, signed and dated: advisoryIDs of the matching level",
        demands: &[Collateral],
        by_chip: &[],
    },
];
