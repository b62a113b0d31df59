//! Keys and values of one sequence.
//!
//! Why apart: it is the state that grows with a prompt, and the plaintext that must not stay.
//!
//! # Invariants
//! All pages that a sequence may ever need are its own from the start; they are wiped when it ends. Nothing is shared
//! between sequences.

use anchorhold_kernels::kv::{Layout, PagePool, Sequence};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::config::decoder::DecoderConfig;
#[cfg(any(test, feature = "device"))]
use crate::device::pages::DeviceSequence;
use crate::limits::inference as limits;
use crate::model::options::LoadOptions;
use crate::secret::{Secret, random_public};

/// Pages are not to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPages {
    Now { needed: usize, free: usize },
    Ever { needed: usize, total: usize },
}

/// Keys and values of all layers.
pub(crate) struct Cache {
    /// `None` once it was released.
    held: Option<Held>,
    /// Positions that all layers hold.
    pub(super) length: usize,
    /// Positions that there is room for.
    pub(super) room: usize,
}

/// By what computes with them.
enum Held {
    Here(Sequence),
    #[cfg(any(test, feature = "device"))]
    Device(DeviceSequence),
}

/// The pages that the options give a model, in an order that tells nobody when a sequence came.
pub(super) fn pages(config: &DecoderConfig, options: &LoadOptions) -> PagePool {
    let layout = Layout {
        layers: config.layers(),
        kv_heads: config.kv_heads,
        width: config.head_width,
        precision: options.kv_precision,
    };
    let contexts = layout.pages(config.context).saturating_mul(limits::KV_CONTEXTS);
    let affordable = |bytes: u64| {
        usize::try_from(bytes / layout.page_bytes() as u64)
            .unwrap_or(usize::MAX)
            .max(1)
    };
    // More than what ever runs at once would never be used.
    let pages = affordable(options.kv_bytes.unwrap_or(limits::KV_BYTES)).min(contexts);
    let mut random = ChaCha8Rng::from_seed(random_public());
    PagePool::new(layout, pages, move |free| random.next_u32() as usize % free)
}

impl Cache {
    /// Reserves pages for so many positions; with `masked`, under a fresh keystream.
    pub(super) fn new(pages: &PagePool, room: usize, masked: bool) -> Result<Self, NoPages> {
        let (needed, total) = (pages.layout().pages(room), pages.total());
        if needed > total {
            return Err(NoPages::Ever { needed, total });
        }
        let pages = pages.reserve(needed).map_err(|error| NoPages::Now {
            needed,
            free: error.free,
        })?;
        let sequence = if masked {
            Sequence::masked(pages, Secret::random().expose())
        } else {
            Sequence::new(pages)
        };
        Ok(Self {
            held: Some(Held::Here(sequence)),
            length: 0,
            room,
        })
    }

    /// Pages on a device, reserved for so many positions.
    #[cfg(any(test, feature = "device"))]
    pub(super) fn on_device(sequence: DeviceSequence, room: usize) -> Self {
        Self {
            held: Some(Held::Device(sequence)),
            length: 0,
            room,
        }
    }

    /// What this machine's CPU computes with.
    pub(super) fn sequence(&mut self) -> Option<&mut Sequence> {
        match &mut self.held {
            Some(Held::Here(sequence)) => Some(sequence),
            _ => None,
        }
    }

    #[cfg(any(test, feature = "device"))]
    pub(super) fn device(&self) -> Option<&DeviceSequence> {
        match &self.held {
            Some(Held::Device(sequence)) => Some(sequence),
            _ => None,
        }
    }

    /// Positions computed.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Wipes and gives back all pages: nothing more is computed for this sequence.
    pub(crate) fn release(&mut self) {
        self.held = None;
    }
}
