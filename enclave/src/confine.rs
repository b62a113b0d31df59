//! The process confines itself: what it can still do when the first request comes.
//!
//! Why apart: a defect of a parser, a kernel or a library must find nothing to do harm with. What a measure stops and
//! what it does not: docs/confinement.md.
//!
//! - [`syscalls`]: the system calls that are left, each with its reason; [`filter`]: the same as filters of the kernel
//! - [`landlock`]: the files, devices and TCP ports that are left
//! - [`privileges`]: no new privileges, no capabilities, no dumps
//! - [`memory`]: memory that is not swapped
//! - [`status`]: what the kernel says of all threads
//! - [`self_check`](mod@self_check): whether all this is to be had on a machine
//!
//! In two steps. Capabilities and Landlock belong to a thread and are inherited: they come first, before there is a second
//! one, and leave what booting needs ([`Plan`]). The filter comes last, on all threads at once, when the model is loaded,
//! sockets listen and devices are open.
//!
//! # Invariants
//! A [`Boundary`] is made only by [`restrict`], a [`Confined`] only by [`Boundary::confine`]: without it nothing is
//! accepted. A measure that does not hold ends the start unless the configuration names its setting, which evidence
//! lists. Each is asked of the kernel afterwards.

mod filter;
mod landlock;
mod memory;
mod privileges;
pub mod self_check;
mod status;
pub mod syscalls;

use std::fmt;
use std::path::PathBuf;

use anchorhold_attestation::Platform;

use crate::attester::Places;
use crate::attester::azure::imds;
use crate::config::Config;
use crate::config::confine::ConfineConfig;
use crate::event::{self, Event};
use landlock::{Reach, Use};
use status::{Status, Threads};
use syscalls::Needs;

/// A measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// No program that is started gains privileges.
    NoNewPrivs,
    /// No capabilities.
    Capabilities,
    /// No core dumps, no debuggers.
    NoDumps,
    /// Memory is not swapped.
    LockedMemory,
    /// Files, devices and ports.
    Landlock,
    /// System calls.
    Seccomp,
}

impl Measure {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::NoNewPrivs,
        Self::Capabilities,
        Self::NoDumps,
        Self::LockedMemory,
        Self::Landlock,
        Self::Seccomp,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoNewPrivs => "no_new_privs",
            Self::Capabilities => "capabilities",
            Self::NoDumps => "no_dumps",
            Self::LockedMemory => "locked_memory",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
        }
    }

    /// The setting of `[confine]` without which an enclave does not start when this does not hold; `None`: any process
    /// can have it, so there is none.
    #[must_use]
    pub const fn setting(self) -> Option<&'static str> {
        match self {
            Self::NoNewPrivs | Self::Capabilities | Self::NoDumps => None,
            Self::LockedMemory => Some("dangerously_without_locked_memory"),
            Self::Landlock => Some("dangerously_without_landlock"),
            Self::Seccomp => Some("dangerously_without_seccomp"),
        }
    }
}

/// Why a measure does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfineError {
    /// New privileges cannot be forbidden.
    NoNewPrivs,
    /// Capabilities are left.
    Capabilities,
    /// The process can be dumped.
    Dumps,
    /// Less memory may be locked than the machine has, in bytes.
    MemoryLimit {
        /// The machine's memory.
        needed: u64,
        /// RLIMIT_MEMLOCK.
        allowed: u64,
    },
    /// Memory is not locked.
    Memory,
    /// The kernel has no Landlock, or none switched on.
    NoLandlock,
    /// The kernel's Landlock knows no ports.
    OldLandlock {
        /// Its version.
        abi: u32,
    },
    /// Landlock does not hold.
    Landlock,
    /// The kernel has no system call filters.
    NoSeccomp,
    /// The filter does not hold.
    Seccomp,
    /// The kernel cannot be asked.
    NoProc,
    /// What the driver of a GPU does is in no table.
    Gpus,
}

impl ConfineError {
    /// For scripts.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoNewPrivs => "new_privileges",
            Self::Capabilities => "capabilities_left",
            Self::Dumps => "dumps_possible",
            Self::MemoryLimit { .. } => "memory_limit_low",
            Self::Memory => "memory_not_locked",
            Self::NoLandlock => "landlock_missing",
            Self::OldLandlock { .. } => "landlock_too_old",
            Self::Landlock => "landlock_not_in_force",
            Self::NoSeccomp => "seccomp_missing",
            Self::Seccomp => "seccomp_not_in_force",
            Self::NoProc => "proc_missing",
            Self::Gpus => "gpus_not_confined",
        }
    }

    /// What the operator can do.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::NoNewPrivs | Self::Capabilities | Self::Dumps => {
                "this kernel refuses what any process may do"
            }
            Self::MemoryLimit { .. } => {
                "raise RLIMIT_MEMLOCK to unlimited (`ulimit -l unlimited`), or accept swapping: [confine] \
                 dangerously_without_locked_memory"
            }
            Self::Memory => {
                "the kernel locks no memory; or accept swapping: [confine] dangerously_without_locked_memory"
            }
            Self::NoLandlock => {
                "use a kernel with CONFIG_SECURITY_LANDLOCK and `landlock` in lsm=; or do without: [confine] \
                 dangerously_without_landlock"
            }
            Self::OldLandlock { .. } => {
                "use Linux 6.7 or later, whose Landlock knows ports; or do without: [confine] \
                 dangerously_without_landlock"
            }
            Self::Landlock => {
                "the kernel did not refuse what Landlock forbids; or do without: [confine] dangerously_without_landlock"
            }
            Self::NoSeccomp => {
                "use a kernel with CONFIG_SECCOMP_FILTER; or do without: [confine] dangerously_without_seccomp"
            }
            Self::Seccomp => {
                "the kernel did not take the filter; or do without: [confine] dangerously_without_seccomp"
            }
            Self::NoProc => "mount proc at /proc: the kernel is asked there what holds",
            Self::Gpus => {
                "with [devices] the driver needs what is in no table: [confine] dangerously_without_landlock and \
                 dangerously_without_seccomp"
            }
        }
    }
}

impl fmt::Display for ConfineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MemoryLimit { needed, allowed } => {
                write!(f, "RLIMIT_MEMLOCK allows {allowed} bytes, {needed} are needed")
            }
            Self::OldLandlock { abi } => write!(f, "Landlock's version is {abi}, 4 is needed"),
            _ => f.write_str(self.code()),
        }
    }
}

impl std::error::Error for ConfineError {}

/// What an enclave needs to boot and to serve.
#[derive(Debug, Clone)]
pub struct Plan {
    consent: ConfineConfig,
    needs: Needs,
    reach: Reach,
    gpus: bool,
}

impl Plan {
    /// What `config` needs on this machine.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let places = Places::default();
        let mut reach = own_reach();
        reach.paths.push((config.model.path.clone(), Use::Read));
        if let Some(devices) = &config.devices {
            reach.paths.push((devices.endorsements.clone(), Use::Read));
        }
        reach.ports.push(config.broker.url.port);
        let devices = match config.platform {
            Platform::Snp => vec![
                (places.tsm.clone(), Use::Reports),
                (places.sev_guest.clone(), Use::Device),
            ],
            Platform::Tdx => vec![
                (places.tsm.clone(), Use::Reports),
                (places.tdx_guest.clone(), Use::Device),
                (places.event_log.clone(), Use::Read),
            ],
            Platform::AzureSnp => vec![(places.tpm.clone(), Use::Device)],
            Platform::AzureTdx => {
                reach.ports.push(imds::ADDRESS.port());
                vec![(places.tpm.clone(), Use::Device)]
            }
            _ => Vec::new(),
        };
        reach.paths.extend(devices);
        Self {
            consent: config.confine,
            needs: Needs::of(config.platform, &places),
            reach,
            gpus: config.devices.is_some(),
        }
    }

    /// The strictest: nothing but the process itself.
    fn strictest() -> Self {
        Self {
            consent: ConfineConfig::default(),
            needs: Needs {
                tsm: false,
                sev_guest: false,
                quote_service: false,
            },
            reach: own_reach(),
            gpus: false,
        }
    }
}

/// What libraries look at while an enclave boots: its own threads, and how many cores and how large pages there are. It has
/// no secret, and the filter forbids opening it when the first request comes, but where reports are files.
fn own_reach() -> Reach {
    let read = |path: &str| (PathBuf::from(path), Use::ReadBeneath);
    Reach {
        paths: vec![
            read("/proc/self"),
            read("/sys/fs/cgroup"),
            read("/sys/devices/system/cpu"),
            read("/sys/kernel/mm"),
        ],
        ports: Vec::new(),
    }
}

/// What came of one measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finding {
    pub(crate) measure: Measure,
    /// `None`: not tried, since the configuration does without.
    pub(crate) held: Option<Result<(), ConfineError>>,
}

impl Finding {
    fn of(measure: Measure, held: Result<(), ConfineError>) -> Self {
        Self {
            measure,
            held: Some(held),
        }
    }

    const fn not_tried(measure: Measure) -> Self {
        Self { measure, held: None }
    }
}

/// The first measure that does not hold.
fn all_hold(findings: &[Finding]) -> Result<(), ConfineError> {
    findings.iter().filter_map(|finding| finding.held).collect()
}

/// Privileges are gone, and only what the plan names can be reached. Made by [`restrict`] alone.
#[must_use]
pub struct Boundary {
    consent: ConfineConfig,
    needs: Needs,
    /// The version of Landlock; 0: none.
    landlock_abi: u32,
}

/// Nothing is left but the table of [`syscalls`]. Made by [`Boundary::confine`] alone; a server takes no request without it.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Confined(());

impl Confined {
    /// For unit tests of servers. The tests of one program share a process, and what is given up never comes back.
    #[cfg(test)]
    pub(crate) const fn for_tests() -> Self {
        Self(())
    }
}

/// The first step. Call it before the first thread is started.
///
/// # Errors
/// [`ConfineError`]: the first measure that does not hold and that the configuration does not do without.
pub fn restrict(plan: &Plan) -> Result<Boundary, ConfineError> {
    if cfg!(test) {
        // As for `Confined::for_tests`.
        return Ok(Boundary {
            consent: plan.consent,
            needs: plan.needs,
            landlock_abi: 0,
        });
    }
    if plan.gpus && !(plan.consent.without_landlock && plan.consent.without_seccomp) {
        return Err(ConfineError::Gpus);
    }
    let (boundary, findings) = begin(plan);
    all_hold(&findings)?;
    Ok(boundary)
}

impl Boundary {
    /// The second step, on all threads: when everything is open that will be needed.
    ///
    /// # Errors
    /// [`ConfineError`].
    pub fn confine(self) -> Result<Confined, ConfineError> {
        if cfg!(test) {
            return Ok(Confined(()));
        }
        let (consent, landlock_abi) = (self.consent, self.landlock_abi);
        let (threads, findings) = end(self);
        all_hold(&findings)?;
        event::emit(Event::Confined {
            threads,
            locked_memory: !consent.without_locked_memory,
            landlock_abi,
            seccomp: !consent.without_seccomp,
        });
        Ok(Confined(()))
    }
}

/// Tries everything of the first step.
fn begin(plan: &Plan) -> (Boundary, Vec<Finding>) {
    let mut findings = Vec::new();
    // Before the capability that it may need is gone.
    if !plan.consent.without_locked_memory {
        let lock = || {
            memory::raise_limit()?;
            if memory::can_swap() {
                memory::lock()
            } else {
                Ok(())
            }
        };
        findings.push(Finding::of(Measure::LockedMemory, lock()));
    }
    findings.push(Finding::of(
        Measure::Capabilities,
        privileges::drop_capabilities(),
    ));
    findings.push(Finding::of(Measure::NoNewPrivs, privileges::forbid_new()));
    findings.push(Finding::of(Measure::NoDumps, privileges::leaves_no_dump()));
    let mut landlock_abi = 0;
    if plan.consent.without_landlock {
        findings.push(Finding::not_tried(Measure::Landlock));
    } else {
        let mut restrict = || {
            landlock_abi = landlock::restrict(&landlock::Linux, &plan.reach)?;
            landlock::holds(&plan.reach)
        };
        findings.push(Finding::of(Measure::Landlock, restrict()));
    }
    let boundary = Boundary {
        consent: plan.consent,
        needs: plan.needs,
        landlock_abi,
    };
    (boundary, findings)
}

/// Tries everything of the second step, and asks the kernel what holds for how many threads.
fn end(boundary: Boundary) -> (usize, Vec<Finding>) {
    let mut findings = Vec::new();
    if boundary.consent.without_locked_memory {
        findings.push(Finding::not_tried(Measure::LockedMemory));
    } else {
        let locked = memory::lock().and_then(|()| memory::is_locked());
        findings.push(Finding::of(Measure::LockedMemory, locked));
    }
    // Nothing can be opened once the filter is in force.
    let threads = Threads::open();
    let filtered = if boundary.consent.without_seccomp {
        None
    } else {
        Some(filter::install(&syscalls::table(boundary.needs)))
    };
    let Ok(status) = threads.and_then(Threads::ask) else {
        findings.push(Finding::of(Measure::Seccomp, Err(ConfineError::NoProc)));
        return (0, findings);
    };
    findings.extend(judge(&status, filtered));
    (status.threads, findings)
}

/// What the kernel's answer means.
fn judge(status: &Status, filtered: Option<Result<(), ConfineError>>) -> [Finding; 3] {
    let must = |holds: bool, error| if holds { Ok(()) } else { Err(error) };
    // The bounding set is what starting a program could give back, which no_new_privs forbids as well.
    let none = status.capabilities == 0 && (status.bounding == 0 || status.no_new_privs);
    let seccomp = filtered.map(|installed| installed.and(must(status.filtered, ConfineError::Seccomp)));
    [
        Finding::of(
            Measure::NoNewPrivs,
            must(status.no_new_privs, ConfineError::NoNewPrivs),
        ),
        Finding::of(Measure::Capabilities, must(none, ConfineError::Capabilities)),
        Finding {
            measure: Measure::Seccomp,
            held: seccomp,
        },
    ]
}

#[cfg(test)]
mod tests;
