//! Rows of the outputs that lead so far: as weights pass by to be multiplied, the leader's own are kept.
//!
//! Why apart: a table that is read for its products need not be read once more for the row of what was drawn.
//!
//! # Invariants
//! As of all gathering: nothing that is read or written, and no branch, depends on who leads.

use zeroize::Zeroize;

use super::super::read_some;
use super::super::tile::Tile;
use super::{Kept, Wanted, groups, select};
use crate::cpu::Kernels;
use crate::memory::Buffer;
use crate::race::Lead;

/// For each of some races, who leads among the outputs that were seen, and that output's weights.
pub(crate) struct Best<T: Tile> {
    leads: Vec<Lead>,
    /// Strips of tiles, a race in each lane.
    found: Buffer<T>,
    depth: usize,
    /// What goes into each strip.
    wanted: Vec<Wanted>,
}

impl<T: Tile> Best<T> {
    /// Nobody leads any of the `races`. The matrix has `depth` tiles for each group of outputs.
    pub(crate) fn new(races: usize, depth: usize) -> Self {
        let strips = races.div_ceil(T::OUTPUTS);
        Self {
            leads: vec![Lead::NONE; races],
            found: Buffer::zeroed(strips * depth),
            depth,
            wanted: (0..strips).map(|_| Wanted::NOTHING).collect(),
        }
    }

    /// Takes up who is best among groups of outputs, of which `first` is the first one's number.
    ///
    /// # Panics
    /// When there are not as many as races.
    pub(crate) fn take(&mut self, kernels: Kernels, tiles: &[T], first: usize, best: &[Lead]) {
        assert_eq!(best.len(), self.leads.len(), "one for each race");
        let strips = self.found.chunks_exact_mut(self.depth).zip(&mut self.wanted);
        let leads = self.leads.chunks_mut(T::OUTPUTS).zip(best.chunks(T::OUTPUTS));
        for ((found, wanted), (leads, best)) in strips.zip(leads) {
            wanted.set::<T>(leads.iter_mut().zip(best).map(|(lead, best)| {
                let better;
                (*lead, better) = lead.or(*best);
                (best.output(), better)
            }));
            for groups in groups(tiles, self.depth, 0..self.depth, first) {
                select::<T>(kernels, T::bytes_of_mut(found), &groups, wanted);
                // What one selection found stays in the next.
                wanted.kept = Kept::ALL;
            }
        }
    }

    /// Who leads a race among all that several have seen, and that output's weights, into `out`.
    pub(crate) fn of_all(all: &[&Self], race: usize, out: &mut [f32]) -> Lead {
        let leads = all.iter().map(|some| some.leads[race]);
        let lead = leads.fold(Lead::NONE, |lead, other| lead.or(other).0);
        let Some(depth) = all.first().map(|some| some.depth) else {
            return lead;
        };
        let mut joined = Buffer::<T>::zeroed(depth);
        for some in all {
            // Of outputs that are not the same, one is better: this one's is the leader if the leader is not.
            let mask = !lead.beats(some.leads[race]) as u8;
            let strip = &some.found[race / T::OUTPUTS * depth..][..depth];
            for (joined, byte) in joined.bytes_mut().iter_mut().zip(T::bytes_of(strip)) {
                *joined |= byte & mask;
            }
        }
        for (tile, out) in joined.iter().zip(out.chunks_mut(T::INPUTS)) {
            read_some(tile, race % T::OUTPUTS, out);
        }
        lead
    }
}

impl<T: Tile> Drop for Best<T> {
    fn drop(&mut self) {
        self.leads.zeroize();
    }
}
