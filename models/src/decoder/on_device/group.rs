//! Rows that a device computes together, always in the same shapes.
//!
//! Why apart: libraries for devices choose how to sum by the shapes they are given. Shapes that depended on who else is there
//! would let one answer's numbers depend on another's.
//!
//! # Invariants
//! A group is of [`TOKENS`] sequences with a token each, or of [`SLICE`] positions of one prompt; what is not there is filled
//! up, and neither written nor wanted. Positions are attended to in blocks that begin at multiples of [`BLOCK`], whatever
//! was asked for, so that how a prompt was cut changes nothing.

use anchorhold_kernels::kv;
use candle_core::Tensor;
use zeroize::Zeroizing;

use super::super::rope::{Angles, Rope};
use crate::config::decoder::DecoderConfig;
use crate::device::pages::DeviceSequence;
use crate::device::staging::Staging;
use crate::device::wiped::Wiped;
use crate::matrix::ComputeError;

/// Sequences whose tokens are computed together: as many rows as memory's speed pays for on any GPU.
pub(super) const TOKENS: usize = 32;
/// Positions of a prompt that are computed together: a slice between two tokens of others.
pub(super) const SLICE: usize = 128;
/// Positions that are attended to at a time.
pub(super) const BLOCK: usize = 256;
/// Instead of minus infinity: its differences are numbers, and all others vanish beside it.
const UNSEEN: f32 = -1e30;

const PAGES: usize = BLOCK / kv::POSITIONS;
const _: () = assert!(BLOCK.is_multiple_of(kv::POSITIONS));

/// Positions of one sequence.
pub(super) struct Run<'a> {
    pub(super) ids: &'a [u32],
    pub(super) first: usize,
    pub(super) sequence: &'a DeviceSequence,
}

/// How many sequences a group has, and positions of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) sequences: usize,
    pub(super) positions: usize,
}

impl Form {
    pub(super) const TOKENS: Self = Self {
        sequences: TOKENS,
        positions: 1,
    };
    pub(super) const SLICE: Self = Self {
        sequences: 1,
        positions: SLICE,
    };

    pub(super) const fn rows(self) -> usize {
        self.sequences * self.positions
    }
}

/// Where numbers lie on their way to the device.
pub(super) struct Stagings {
    pub(super) ids: Staging<u32>,
    pub(super) numbers: Staging<f32>,
}

/// What a group's layers have in common, on the device.
pub(super) struct Group {
    pub(super) form: Form,
    /// Rows that are of a sequence; the others follow them.
    pub(super) real: usize,
    pub(super) ids: Wiped,
    /// `(row, 1, head width)`: cosines twice, and sines, negative where they are the first half's.
    pub(super) cosines: Wiped,
    pub(super) sines: Wiped,
    /// `(row and head of keys, head width)`: where a row's keys and values go in all pages.
    pub(super) places: Wiped,
    pub(super) blocks: Vec<Block>,
}

/// So many positions of each sequence.
pub(super) struct Block {
    /// `(sequence, head of keys, page)`: rows of the pages' tensors.
    pub(super) pages: Wiped,
    /// By windows: `(sequence, 1, position, 1, position attended to)`, to be added to what attention finds.
    pub(super) masks: Vec<(Option<usize>, Wiped)>,
}

impl Group {
    /// Brings to the device what the layers need to know of these runs.
    pub(super) fn new(
        form: Form,
        runs: &[Run<'_>],
        config: &DecoderConfig,
        rope: &Rope,
        stagings: &mut Stagings,
    ) -> Result<Self, ComputeError> {
        let real = runs.iter().map(|run| run.ids.len()).sum::<usize>();
        let fits = runs.len() <= form.sequences && runs.iter().all(|run| run.ids.len() <= form.positions);
        // Real rows come first: of many sequences, each has all the positions there are.
        if !fits || real == 0 || (form.sequences > 1 && real != runs.len() * form.positions) {
            return Err(ComputeError);
        }
        let Stagings { ids, numbers } = stagings;
        let mut all = Zeroizing::new(Vec::with_capacity(form.rows()));
        all.extend(runs.iter().flat_map(|run| run.ids.iter().copied()));
        all.resize(form.rows(), 0);
        let sent = ids.send_all(&all, form.rows())?;
        let (cosines, sines) = angles(form, runs, config, rope, numbers)?;
        Ok(Self {
            form,
            real,
            ids: sent,
            cosines,
            sines,
            places: places(runs, config, ids)?,
            blocks: blocks(form, runs, config, ids, numbers)?,
        })
    }
}

fn angles(
    form: Form,
    runs: &[Run<'_>],
    config: &DecoderConfig,
    rope: &Rope,
    staging: &mut Staging<f32>,
) -> Result<(Wiped, Wiped), ComputeError> {
    let mut angles = Angles::default();
    for run in runs {
        // What turns by the room of a sequence is refused at load.
        rope.turn(run.first..run.first + run.ids.len(), 0, &mut angles);
    }
    let (rows, width) = (form.rows(), config.head_width);
    let (half, real) = (width / 2, runs.iter().map(|run| run.ids.len()).sum::<usize>());
    let (mut cosines, mut sines) = (vec![1.0; rows * width], vec![0.0; rows * width]);
    let both = cosines.chunks_exact_mut(width).zip(sines.chunks_exact_mut(width));
    for (row, (cosines, sines)) in both.enumerate().take(real) {
        let (cosine, sine) = angles.of(row);
        if cosine.len() != half {
            return Err(ComputeError);
        }
        for pair in 0..half {
            (cosines[pair], cosines[half + pair]) = (cosine[pair], cosine[pair]);
            (sines[pair], sines[half + pair]) = (-sine[pair], sine[pair]);
        }
    }
    Ok((
        staging.send_all(&cosines, (rows, 1, width))?,
        staging.send_all(&sines, (rows, 1, width))?,
    ))
}

/// A row for each position and head, and in it as many times the row of all pages.
fn places(
    runs: &[Run<'_>],
    config: &DecoderConfig,
    staging: &mut Staging<u32>,
) -> Result<Wiped, ComputeError> {
    let mut rows = Vec::new();
    for run in runs {
        for position in run.first..run.first + run.ids.len() {
            let page = run.sequence.page_of(position);
            if page == 0 {
                return Err(ComputeError);
            }
            for head in 0..config.kv_heads {
                let line = page as usize * config.kv_heads + head;
                let row = line * kv::POSITIONS + position % kv::POSITIONS;
                rows.push(u32::try_from(row).map_err(|_| ComputeError)?);
            }
        }
    }
    let sent = staging.send_all(&rows, (rows.len(), 1))?;
    let wide = sent.tensor().broadcast_as((rows.len(), config.head_width));
    Wiped::copy(&wide.map_err(|_| ComputeError)?)
}

fn blocks(
    form: Form,
    runs: &[Run<'_>],
    config: &DecoderConfig,
    ids: &mut Staging<u32>,
    numbers: &mut Staging<f32>,
) -> Result<Vec<Block>, ComputeError> {
    let mut windows = config.windows.clone();
    windows.sort_unstable();
    windows.dedup();
    let end = runs
        .iter()
        .map(|run| run.first + run.ids.len())
        .max()
        .unwrap_or(0);
    let mut blocks = Vec::with_capacity(end.div_ceil(BLOCK));
    for start in (0..end).step_by(BLOCK) {
        let mut pages = Vec::with_capacity(form.sequences * config.kv_heads * PAGES);
        for index in 0..form.sequences {
            for head in 0..config.kv_heads {
                for page in 0..PAGES {
                    let position = start + page * kv::POSITIONS;
                    let page = runs.get(index).map_or(0, |run| run.sequence.page_of(position));
                    let row = page as usize * config.kv_heads + head;
                    pages.push(u32::try_from(row).map_err(|_| ComputeError)?);
                }
            }
        }
        let mut masks = Vec::with_capacity(windows.len());
        for window in &windows {
            masks.push((*window, mask(form, runs, start, *window, numbers)?));
        }
        let count = pages.len();
        let pages = ids.send_all(&pages, count)?;
        blocks.push(Block { pages, masks });
    }
    Ok(blocks)
}

fn mask(
    form: Form,
    runs: &[Run<'_>],
    start: usize,
    window: Option<usize>,
    staging: &mut Staging<f32>,
) -> Result<Wiped, ComputeError> {
    let mut mask = vec![UNSEEN; form.rows() * BLOCK];
    for (row, seen) in mask.chunks_exact_mut(BLOCK).enumerate() {
        let (index, inside) = (row / form.positions, row % form.positions);
        // A row of nobody's looks at the first position, which is there.
        let position = runs
            .get(index)
            .filter(|run| inside < run.ids.len())
            .map_or(0, |run| run.first + inside);
        let first = window.map_or(0, |window| (position + 1).saturating_sub(window));
        for (place, number) in seen.iter_mut().enumerate() {
            if (first..=position).contains(&(start + place)) {
                *number = 0.0;
            }
        }
    }
    staging.send_all(&mask, (form.sequences, 1, form.positions, 1, BLOCK))
}

impl Block {
    pub(super) fn mask(&self, window: Option<usize>) -> Result<&Tensor, ComputeError> {
        let found = self.masks.iter().find(|(of, _)| *of == window);
        found.map(|(_, mask)| mask.tensor()).ok_or(ComputeError)
    }
}
