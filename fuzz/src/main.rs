//! One program for all parsers: libFuzzer makes the bytes, `ANCHORHOLD_FUZZ` names the parser.
//!
//! Why apart: coverage counters need compiler flags of their own (`fuzz/run` has them), and its allocator counts.
//! One program, because linking thirty takes longer than fuzzing does in CI.
//!
//! # Invariants
//! A run ends at the first panic, at the first round trip that does not come back, and when an input makes a parser
//! hold more memory at once than its [`targets::Target`] states.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

mod allocator;
mod targets;

use allocator::Counting;
use targets::{TARGETS, Target};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The parser asked for.
fn target() -> &'static Target {
    static TARGET: OnceLock<&'static Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        let name = std::env::var("ANCHORHOLD_FUZZ").unwrap_or_default();
        if name == "list" {
            TARGETS
                .iter()
                .for_each(|target| println!("{} {}", target.name, target.longest));
            std::process::exit(0);
        }
        TARGETS
            .iter()
            .find(|target| target.name == name)
            .unwrap_or_else(|| panic!("ANCHORHOLD_FUZZ={name}: no such target; `list` lists them"))
    })
}

fuzz_target!(
    init: { target(); },
    |bytes: &[u8]| {
        let target = target();
        let before = allocator::start();
        (target.run)(bytes);
        let held = allocator::most().saturating_sub(before);
        let bound = target.bound(bytes.len());
        assert!(held <= bound, "{}: {held} bytes held for {} of input, {bound} allowed", target.name, bytes.len());
    }
);
