//! Whether this CPU has AMX, and whether the system lets us use it.
//!
//! Why apart: tiles are 8 KiB of state a thread, which Linux keeps only for a process that asked for it.
//!
//! # Invariants
//! Asked once, when sets are detected. A system that refuses, or does not know the question, has no AMX for us.

#![allow(unsafe_code)]

use std::arch::asm;
use std::arch::x86_64::__cpuid_count;
use std::sync::OnceLock;

/// CPUID leaf 7, EDX: AMX-BF16, AMX-TILE, AMX-INT8 (Intel SDM, volume 2, CPUID).
const FEATURES: u32 = 1 << 22 | 1 << 24 | 1 << 25;
/// XCR0: TILECFG and TILEDATA (Intel SDM, volume 1, 13.1).
const STATES: u64 = 1 << 17 | 1 << 18;
/// `arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)` (Linux, Documentation/arch/x86/xstate.rst).
#[cfg(target_os = "linux")]
const ARCH_PRCTL: (usize, usize, usize) = (158, 0x1023, 18);

/// Whether tiles may be used by this process. The CPU must have AVX.
pub(super) fn is_here() -> bool {
    static HERE: OnceLock<bool> = OnceLock::new();
    *HERE.get_or_init(|| {
        #[allow(unused_unsafe, reason = "safe since Rust 1.92")]
        // SAFETY: every CPU with AVX has CPUID and its leaf 7.
        let features = unsafe { __cpuid_count(7, 0) }.edx;
        features & FEATURES == FEATURES && enabled() & STATES == STATES && permitted()
    })
}

/// States that the system keeps: XCR0.
fn enabled() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: AVX was detected, so that the system has switched XGETBV on; it reads a register and nothing else.
    unsafe {
        asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high, options(nomem, nostack));
    }
    u64::from(high) << 32 | u64::from(low)
}

#[cfg(target_os = "linux")]
fn permitted() -> bool {
    let (call, request, feature) = ARCH_PRCTL;
    let answer: isize;
    // SAFETY: the call takes two numbers and no address, and changes what state the system keeps, nothing else.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") call => answer,
            in("rdi") request,
            in("rsi") feature,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack)
        );
    }
    answer == 0
}

#[cfg(not(target_os = "linux"))]
fn permitted() -> bool {
    false
}
