//! Checks of the event log behind the registers of a trust domain: what each demands, and where that is specified.
//!
//! Why apart: a list to read beside docs/platforms/tdx.md, with which a test compares it word for word.
//!
//! # Invariants
//! Constants, in the order of that page.

use crate::trace::listed::Listed;

pub(super) const ALL: &[Listed] = &[
    Listed::new("ccel-length", "at most 1 MiB; no part ends early", "limits.rs"),
    Listed::new(
        "ccel-header",
        "Spec ID Event03, version 2.0, exact size",
        "FW 10.2",
    ),
    Listed::new(
        "ccel-algorithms",
        "known algorithms with their sizes, SHA-384 among them, none twice",
        "FW 10.2",
    ),
    Listed::new("ccel-count", "at most 8192 events", "limits.rs"),
    Listed::new("ccel-register-index", "0 (MRTD) to 4 (RTMR3)", "UEFI 38.4.1"),
    Listed::new("ccel-digests", "exactly the algorithms of the header", "FW 10.2"),
    Listed::new(
        "ccel-filler",
        "after the last event one filler, 0xff or zero, to the end",
        "ours",
    ),
    Listed::new(
        "ccel-data",
        "digest is SHA-384 of the data for separators, actions, EFI variables (0x80000001, 0x800000e0), GPT and EFI actions",
        "FW 10.4",
    ),
    Listed::new(
        "ccel-dstack-shape",
        "dstack: exactly five members; only runtime events have a name",
        "dstack cc-eventlog",
    ),
    Listed::new(
        "ccel-dstack-rule",
        "dstack: a runtime event is RTMR3's and its digest is SHA-384(type, :, name, :, payload)",
        "dstack cc-eventlog",
    ),
    Listed::new(
        "ccel-replay",
        "SHA-384(register, digest) over the events gives the quote's RTMR0 to RTMR3",
        "ABI, TDG.MR.RTMR.EXTEND",
    ),
];

/// The sources' short names, and which documents they are.
pub(super) const DOCUMENTS: &[(&str, &str)] = &[
    ("FW", "TCG PC Client Platform Firmware Profile 1.06"),
    ("UEFI", "UEFI 2.10 section 38.4"),
    ("ABI", "Intel TDX Module ABI Specification 348551-008"),
];
