//! A machine of several GPUs and switches: whether all of them were asked, and whether they see each other.
//!
//! Why apart: each device proves only itself. A host that leaves one out, or names one twice, shows only here.
//!
//! # Invariants
//! All devices answer one nonce and have keys of their own. All GPUs see the same switches, which are those that
//! answered; all switches see the same GPUs, as many as answered. Nothing ties a number that a switch sees to the GPU
//! that answered: no known report has both.

use std::collections::BTreeSet;
use std::fmt;

use anchorhold_encoding::Digest;

use crate::nvidia::device::VerifiedDevice;
use crate::nvidia::opaque::{GpuData, Pdi, SwitchData};
use crate::nvidia::report::OpaqueData;

/// The devices are not one whole machine. The host, who chose them, is to blame. Positions count GPUs first, then switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopologyError {
    /// Not as many GPUs or switches as expected.
    Count,
    /// A GPU where a switch must be, or the other way round.
    Kind {
        /// Whose.
        position: usize,
    },
    /// A device answered another nonce than the first.
    Nonce {
        /// Whose.
        position: usize,
    },
    /// Two devices have one key: one is there twice.
    Repeated {
        /// The later one's.
        position: usize,
    },
    /// A device does not report which devices it sees.
    Silent {
        /// Whose.
        position: usize,
    },
    /// A GPU sees other switches than the first, or not as many as there are.
    Switches {
        /// Whose.
        position: usize,
    },
    /// A switch is not among those that the GPUs see, or has the number of another one.
    Stranger {
        /// Whose.
        position: usize,
    },
    /// A switch sees other GPUs than the first, or not as many as there are.
    Gpus {
        /// Whose.
        position: usize,
    },
}

impl TopologyError {
    /// The check that failed, as the documentation lists it.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        match self {
            Self::Count => "nvidia-topology-count",
            Self::Kind { .. } => "nvidia-topology-kind",
            Self::Nonce { .. } => "nvidia-topology-nonce",
            Self::Repeated { .. } => "nvidia-topology-repeated",
            Self::Silent { .. } => "nvidia-topology-silent",
            Self::Switches { .. } => "nvidia-topology-switches",
            Self::Stranger { .. } => "nvidia-topology-stranger",
            Self::Gpus { .. } => "nvidia-topology-gpus",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Count | Self::Kind { .. } => {
                "hand over the evidence of every GPU and every switch of the machine"
            }
            Self::Nonce { .. } => "ask all devices with the same nonce",
            Self::Repeated { .. } => "one device answered for two: the host hides one",
            Self::Silent { .. } => "only machines in protected-PCIe mode report which devices they see",
            Self::Switches { .. } | Self::Stranger { .. } | Self::Gpus { .. } => {
                "the devices are not of one machine, or a link between them is off"
            }
        }
    }

    const fn position(self) -> Option<usize> {
        match self {
            Self::Count => None,
            Self::Kind { position }
            | Self::Nonce { position }
            | Self::Repeated { position }
            | Self::Silent { position }
            | Self::Switches { position }
            | Self::Stranger { position }
            | Self::Gpus { position } => Some(position),
        }
    }
}

impl fmt::Display for TopologyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Count => "not as many devices as expected",
            Self::Kind { .. } => "a device of the other kind",
            Self::Nonce { .. } => "a device answered another nonce",
            Self::Repeated { .. } => "a device is there twice",
            Self::Silent { .. } => "a device does not report what it sees",
            Self::Switches { .. } => "a GPU sees other switches than it must",
            Self::Stranger { .. } => "a switch that the GPUs do not see",
            Self::Gpus { .. } => "a switch sees other GPUs than it must",
        })?;
        match self.position() {
            Some(position) => write!(f, " (device {position})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for TopologyError {}

/// GPUs and switches that are one machine.
#[derive(Debug)]
#[must_use]
pub struct VerifiedTopology {
    nonce: Digest<32>,
    switches: BTreeSet<Pdi>,
    gpus: BTreeSet<Pdi>,
}

impl VerifiedTopology {
    /// The nonce that all of them answered.
    #[must_use]
    pub const fn nonce(&self) -> Digest<32> {
        self.nonce
    }

    /// The switches' own numbers.
    #[must_use]
    pub const fn switches(&self) -> &BTreeSet<Pdi> {
        &self.switches
    }

    /// The numbers of the GPUs that the switches see.
    #[must_use]
    pub const fn gpus(&self) -> &BTreeSet<Pdi> {
        &self.gpus
    }
}

/// Proves that these are all the devices of one machine with so many GPUs and switches. Where no switch is expected, as on
/// machines whose links are encrypted, GPUs report none, and only their number, nonces and keys are compared.
///
/// # Errors
/// [`TopologyError`]: the first check that fails.
pub fn verify_topology(
    gpus: &[&VerifiedDevice],
    switches: &[&VerifiedDevice],
    expected_gpus: usize,
    expected_switches: usize,
) -> Result<VerifiedTopology, TopologyError> {
    let first = gpus.first().ok_or(TopologyError::Count)?;
    if gpus.len() != expected_gpus || switches.len() != expected_switches {
        return Err(TopologyError::Count);
    }
    each_its_own(first.report().nonce(), gpus.iter().chain(switches))?;
    for (position, device) in gpus.iter().enumerate() {
        gpu(device, position)?;
    }
    let seen_switches = match expected_switches {
        0 => BTreeSet::new(),
        _ => switches_of(gpus, expected_switches)?,
    };
    let seen_gpus = gpus_of(switches, &seen_switches, gpus.len())?;
    Ok(VerifiedTopology {
        nonce: first.report().nonce(),
        switches: seen_switches,
        gpus: seen_gpus,
    })
}

fn each_its_own<'a>(
    nonce: Digest<32>,
    devices: impl Iterator<Item = &'a &'a VerifiedDevice>,
) -> Result<(), TopologyError> {
    let mut keys = BTreeSet::new();
    for (position, device) in devices.enumerate() {
        if device.report().nonce() != nonce {
            return Err(TopologyError::Nonce { position });
        }
        if !keys.insert(device.identity().chain().key().as_bytes()) {
            return Err(TopologyError::Repeated { position });
        }
    }
    Ok(())
}

/// The numbers that every GPU sees, as the switches themselves write them.
fn switches_of(gpus: &[&VerifiedDevice], count: usize) -> Result<BTreeSet<Pdi>, TopologyError> {
    let mut common = None;
    for (position, device) in gpus.iter().enumerate() {
        let seen = gpu(device, position)?
            .switch_pdis()
            .ok_or(TopologyError::Silent { position })?;
        let seen: BTreeSet<_> = seen.iter().map(|pdi| backwards(*pdi)).collect();
        if seen.len() != count || common.as_ref().is_some_and(|common| *common != seen) {
            return Err(TopologyError::Switches { position });
        }
        common = Some(seen);
    }
    common.ok_or(TopologyError::Count)
}

/// The numbers that every switch sees; the switches must be those that the GPUs see.
fn gpus_of(
    switches: &[&VerifiedDevice],
    known: &BTreeSet<Pdi>,
    gpus: usize,
) -> Result<BTreeSet<Pdi>, TopologyError> {
    let mut strangers = known.clone();
    let mut common: Option<BTreeSet<Pdi>> = None;
    for (place, device) in switches.iter().enumerate() {
        let position = gpus.saturating_add(place);
        let data = switch(device, position)?;
        if !strangers.remove(&data.pdi()) {
            return Err(TopologyError::Stranger { position });
        }
        let seen = data.gpu_pdis().ok_or(TopologyError::Silent { position })?;
        let seen: BTreeSet<_> = seen.iter().copied().collect();
        if seen.len() != gpus || common.as_ref().is_some_and(|common| *common != seen) {
            return Err(TopologyError::Gpus { position });
        }
        common = Some(seen);
    }
    Ok(common.unwrap_or_default())
}

fn gpu(device: &VerifiedDevice, position: usize) -> Result<&GpuData, TopologyError> {
    match device.report().opaque() {
        OpaqueData::Gpu(data) => Ok(data),
        OpaqueData::Switch(_) => Err(TopologyError::Kind { position }),
    }
}

fn switch(device: &VerifiedDevice, position: usize) -> Result<&SwitchData, TopologyError> {
    match device.report().opaque() {
        OpaqueData::Switch(data) => Ok(data),
        OpaqueData::Gpu(_) => Err(TopologyError::Kind { position }),
    }
}

/// GPUs write the numbers of switches in the other byte order.
fn backwards(pdi: Pdi) -> Pdi {
    let mut bytes = *pdi.as_bytes();
    bytes.reverse();
    Digest::new(bytes)
}

#[cfg(test)]
mod tests;
