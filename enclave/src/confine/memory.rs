//! Memory that stays in memory.
//!
//! Why apart: what is swapped out is on a disk, and a disk is the host's.
//!
//! # Invariants
//! The limit is measured before there is a secret, and says how much is needed and how much allowed. Pages are locked as
//! they are first touched, all that are mapped and all that will be.
//!
//! A locked page cannot be given back but by unmapping it. Loading a model gives much back, so where there is nothing to
//! swap to, locking waits until it is loaded.
//!
//! Sources: mlockall(2), MCL_ONFAULT since Linux 4.4; setrlimit(2), RLIMIT_MEMLOCK, which counts what is mapped, not what
//! is touched; Documentation/filesystems/proc.rst, VmLck and VmRSS.

use std::fs::File;
use std::io::{self, Read};

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::system::sysinfo;

use super::ConfineError;

/// Raises the limit of locked memory as far as this process may, and measures it. The machine's memory is the least that
/// will do: with less, an allocation fails while there is memory.
///
/// # Errors
/// [`ConfineError::MemoryLimit`].
pub(super) fn raise_limit() -> Result<(), ConfineError> {
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    if setrlimit(Resource::Memlock, unlimited).is_err() {
        let Rlimit { maximum, .. } = getrlimit(Resource::Memlock);
        let most = Rlimit {
            current: maximum,
            maximum,
        };
        // Then the lower limit is what is measured.
        let _ = setrlimit(Resource::Memlock, most);
    }
    enough(getrlimit(Resource::Memlock).current, machine_bytes())
}

/// The judgement.
fn enough(allowed: Option<u64>, needed: u64) -> Result<(), ConfineError> {
    match allowed {
        Some(allowed) if allowed < needed => Err(ConfineError::MemoryLimit { needed, allowed }),
        _ => Ok(()),
    }
}

/// The machine's memory.
fn machine_bytes() -> u64 {
    let info = sysinfo();
    info.totalram.saturating_mul(info.mem_unit.into())
}

/// Whether there is anything to swap to.
pub(super) fn can_swap() -> bool {
    sysinfo().totalswap > 0
}

/// Locks all that is mapped, and all that will be.
///
/// # Errors
/// [`ConfineError::Memory`].
pub(super) fn lock() -> Result<(), ConfineError> {
    let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    mlockall(all).map_err(|_| ConfineError::Memory)
}

/// Asks the kernel: at least what is resident lies in mappings that are locked.
///
/// # Errors
/// [`ConfineError::Memory`].
pub(super) fn is_locked() -> Result<(), ConfineError> {
    let mut text = String::new();
    let read = |text: &mut String| -> io::Result<usize> {
        File::open("/proc/self/status")?
            .take(16 * 1024)
            .read_to_string(text)
    };
    read(&mut text).map_err(|_| ConfineError::NoProc)?;
    match (kibibytes(&text, "VmLck:"), kibibytes(&text, "VmRSS:")) {
        (Some(locked), Some(resident)) if locked >= resident && locked > 0 => Ok(()),
        _ => Err(ConfineError::Memory),
    }
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests;
