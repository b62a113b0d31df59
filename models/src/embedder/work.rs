//! Memory that texts are computed in.
//!
//! Why apart: it is taken once and kept, because memory that is new each time costs more than what is computed in it.
//!
//! # Invariants
//! Wiped after each call and when dropped. No `Clone` or `Debug`.

use anchorhold_kernels::attention::Room;
use anchorhold_kernels::matmul::Activations;
use zeroize::Zeroizing;

use crate::machine::Machine;
use crate::matrix::Rows;

/// Rows that grow with what is asked for.
pub(super) struct Area {
    numbers: Rows,
    /// Numbers that were given out since it was wiped.
    used: usize,
}

impl Area {
    pub(super) fn new() -> Self {
        Self {
            numbers: Zeroizing::new(Vec::new()),
            used: 0,
        }
    }

    /// So many numbers, of any value.
    pub(super) fn first(&mut self, count: usize) -> &mut [f32] {
        if self.numbers.len() < count {
            self.numbers = Zeroizing::new(vec![0.0; count]);
        }
        self.used = self.used.max(count);
        self.numbers.get_mut(..count).unwrap_or_default()
    }

    pub(super) fn wipe(&mut self) {
        let used = self.numbers.get_mut(..self.used).unwrap_or_default();
        used.fill(0.0);
        // Keeps the compiler from leaving it out.
        zeroize::optimization_barrier(used);
        self.used = 0;
    }
}

#[cfg(test)]
impl Area {
    /// Whether it was given out since it was wiped, and the numbers in it that are not zero.
    pub(super) fn left(&self) -> (usize, usize) {
        let numbers = self.numbers.iter().filter(|number| **number != 0.0);
        (usize::from(self.used > 0), numbers.count())
    }
}

/// What rows become on their way through a layer.
pub(super) struct Work {
    pub(super) activations: Activations,
    pub(super) room: Room,
    pub(super) attended: Area,
    pub(super) inner: Area,
    pub(super) product: Area,
}

impl Work {
    /// For operations of this machine.
    pub(super) fn new(machine: &Machine) -> Self {
        Self {
            activations: Activations::new(machine.kernels),
            room: Room::new(machine.pool.threads()),
            attended: Area::new(),
            inner: Area::new(),
            product: Area::new(),
        }
    }

    pub(super) fn wipe(&mut self) {
        let Self {
            activations,
            room,
            attended,
            inner,
            product,
        } = self;
        activations.wipe();
        room.wipe();
        for area in [attended, inner, product] {
            area.wipe();
        }
    }

    /// Areas that were written, and the numbers in them that are not zero.
    #[cfg(test)]
    pub(super) fn left(&self) -> (usize, usize) {
        [&self.attended, &self.inner, &self.product]
            .into_iter()
            .map(Area::left)
            .fold((0, 0), |sum, area| (sum.0 + area.0, sum.1 + area.1))
    }
}
