//! The machine under the figures.
//!
//! Why apart: a figure means nothing without it.
//!
//! # Invariants
//! What the system does not tell is `null`, never guessed.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

/// Features of x86 that make the difference here.
const FEATURES: &[&str] = &["aes", "vaes", "vpclmulqdq", "sha_ni", "avx2", "avx512f"];

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
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
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
