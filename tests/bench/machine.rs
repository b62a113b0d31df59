//! The machine under the figures.
//!
//! Why apart: a figure means nothing without it.
//!
//! # Invariants
//! What the system does not tell is `null`, never guessed.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

/// Features of x86 that make the difference here, as /proc/cpuinfo names them: for ciphers and hashes, and those by which sets of
/// kernels are chosen.
const FEATURES: &[&str] = &[
    "aes",
    "vaes",
    "vpclmulqdq",
    "sha_ni",
    "avx2",
    "fma",
    "f16c",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
];

/// As data.
pub(crate) fn describe() -> Value {
    json!({
        "cpu": cpu("model name"),
        "cores": cores(),
        "features": features(),
        "load": load(),
        "optimized": !cfg!(debug_assertions),
    })
}

/// In a line.
pub(crate) fn line() -> String {
    format!(
        "{}, {} cores ({}), load {}{}",
        cpu("model name").unwrap_or_else(|| "unknown processor".to_owned()),
        cores(),
        features().join(" "),
        load().map_or_else(|| "unknown".to_owned(), |load| format!("{load:.2}")),
        if cfg!(debug_assertions) {
            "; NOT AN OPTIMIZED BUILD"
        } else {
            ""
        },
    )
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn cpu(key: &str) -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn features() -> Vec<&'static str> {
    let flags = cpu("flags").unwrap_or_default();
    let has = |name: &&&str| flags.split(' ').any(|flag| flag == **name);
    FEATURES.iter().filter(has).copied().collect()
}

/// Runnable threads of the last minute, this program's own among them.
pub(crate) fn load() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split(' ').next()?.parse().ok()
}

/// Peak resident memory of a process in KiB (`VmHWM` of proc(5)).
pub(crate) fn peak_kib(process: &str) -> Option<u64> {
    status_kib(process, "VmHWM:")
}

/// Resident memory of a process in KiB (`VmRSS` of proc(5)).
pub(crate) fn resident_kib(process: &str) -> Option<u64> {
    status_kib(process, "VmRSS:")
}

fn status_kib(process: &str, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// Lets this process's peak begin anew (`/proc/self/clear_refs` of proc(5), value 5).
pub(crate) fn forget_peak() -> std::io::Result<()> {
    fs::write("/proc/self/clear_refs", "5")
}

/// Time that this process's threads, those that ended left out, have run so far (`schedstat` of proc(5)): unlike
/// the clock on the wall, it does not go on while other programs have the cores.
pub(crate) fn on_cpu() -> Option<Duration> {
    let mut total = 0;
    for thread in fs::read_dir("/proc/self/task").ok()? {
        let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        total += text.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(total))
}
