//! The one place where it matters what computes: this machine's CPU, by our kernels, or a device, by candle's tensors.
//!
//! Why apart: prompts, passes, sampling and admission are the same for both.
//!
//! # Invariants
//! A cache is of the engine that made it; another's is a [`ComputeError`].

use anchorhold_kernels::matmul::choice::Winners;
use anchorhold_kernels::race::Race;

use super::cache::{Cache, NoPages};
use super::network::{Network, Part};
#[cfg(any(test, feature = "device"))]
use super::on_device::{DeviceNetwork, DeviceScratch};
use super::scratch::Scratch;
use crate::config::decoder::DecoderConfig;
use crate::machine::Machine;
use crate::matrix::ComputeError;
use crate::model::options::Memory;

/// What computes.
pub(crate) enum Engine {
    Cpu(Box<Network>),
    #[cfg(any(test, feature = "device"))]
    Device(Box<DeviceNetwork>),
}

/// What it works in.
pub(crate) enum Workspace {
    Cpu(Box<Scratch>),
    #[cfg(any(test, feature = "device"))]
    Device(Box<DeviceScratch>),
}

impl Engine {
    pub(crate) fn config(&self) -> &DecoderConfig {
        match self {
            Self::Cpu(network) => network.config(),
            #[cfg(any(test, feature = "device"))]
            Self::Device(network) => network.config(),
        }
    }

    /// The CPU's part: sampling is always there.
    pub(crate) fn machine(&self) -> &Machine {
        match self {
            Self::Cpu(network) => network.machine(),
            #[cfg(any(test, feature = "device"))]
            Self::Device(network) => network.machine(),
        }
    }

    pub(crate) fn parameters(&self) -> u64 {
        match self {
            Self::Cpu(network) => network.parameters(),
            #[cfg(any(test, feature = "device"))]
            Self::Device(network) => network.parameters(),
        }
    }

    pub(crate) fn new_cache(&self, positions: usize) -> Result<Cache, NoPages> {
        match self {
            Self::Cpu(network) => network.new_cache(positions),
            #[cfg(any(test, feature = "device"))]
            Self::Device(network) => network.new_cache(positions),
        }
    }

    pub(crate) fn new_workspace(&self) -> Result<Workspace, ComputeError> {
        Ok(match self {
            Self::Cpu(network) => Workspace::Cpu(Box::new(network.new_scratch())),
            #[cfg(any(test, feature = "device"))]
            Self::Device(network) => Workspace::Device(Box::new(network.new_scratch()?)),
        })
    }

    /// Pages that nobody has, and all.
    pub(crate) fn pages(&self) -> (usize, usize) {
        match self {
            Self::Cpu(network) => network.pages(),
            #[cfg(any(test, feature = "device"))]
            Self::Device(network) => network.pages(),
        }
    }

    pub(crate) fn memory(&self, workspace: &Workspace) -> Memory {
        match (self, workspace) {
            (Self::Cpu(network), Workspace::Cpu(scratch)) => network.memory(scratch),
            #[cfg(any(test, feature = "device"))]
            (Self::Device(network), _) => network.memory(),
            #[cfg(any(test, feature = "device"))]
            (Self::Cpu(network), Workspace::Device(_)) => network.memory(&network.new_scratch()),
        }
    }

    /// Appends each part's ids to its sequence. The wanted rows are left in the workspace, in the order of the parts, and
    /// counted.
    pub(crate) fn forward(
        &self,
        workspace: &mut Workspace,
        parts: &mut [Part<'_>],
    ) -> Result<usize, ComputeError> {
        match (self, workspace) {
            (Self::Cpu(network), Workspace::Cpu(scratch)) => network.forward(scratch, parts),
            #[cfg(any(test, feature = "device"))]
            (Self::Device(network), Workspace::Device(scratch)) => network.forward(scratch, parts),
            #[cfg(any(test, feature = "device"))]
            _ => Err(ComputeError),
        }
    }

    /// Logits of `count` wanted rows from the `first` on, at most [`crate::limits::inference::LOGIT_ROWS`].
    pub(crate) fn logits<'w>(
        &self,
        workspace: &'w mut Workspace,
        first: usize,
        count: usize,
    ) -> Result<&'w mut [f32], ComputeError> {
        match (self, workspace) {
            (Self::Cpu(network), Workspace::Cpu(scratch)) => Ok(network.logits(scratch, first, count)),
            #[cfg(any(test, feature = "device"))]
            (Self::Device(network), Workspace::Device(scratch)) => network.logits(scratch, first, count),
            #[cfg(any(test, feature = "device"))]
            _ => Err(ComputeError),
        }
    }
    /// The same, and who won the races of some of these rows: see [`Network::races`]. On a device nobody races.
    pub(crate) fn races<'w>(
        &self,
        workspace: &'w mut Workspace,
        (first, count): (usize, usize),
        races: &[(usize, Race)],
    ) -> Result<(&'w mut [f32], Winners), ComputeError> {
        match (self, workspace) {
            (Self::Cpu(network), Workspace::Cpu(scratch)) => network.races(scratch, (first, count), races),
            #[cfg(any(test, feature = "device"))]
            (engine, workspace) => Ok((engine.logits(workspace, first, count)?, Winners::default())),
        }
    }
}

impl Workspace {
    /// Overwrites what passes left that is not overwritten after each.
    pub(super) fn forget(&mut self) {
        match self {
            Self::Cpu(scratch) => scratch.forget(),
            // It keeps nothing between passes but what each wipes.
            #[cfg(any(test, feature = "device"))]
            Self::Device(_) => {}
        }
    }

    /// Overwrites what a pass of so many rows left.
    pub(super) fn wipe(&mut self, rows: usize) {
        match self {
            Self::Cpu(scratch) => scratch.wipe(rows),
            #[cfg(any(test, feature = "device"))]
            Self::Device(scratch) => scratch.wipe(),
        }
    }
}
