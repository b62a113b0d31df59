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
        self.activations.wipe();
        self.room.wipe();
        for area in [&mut self.attended, &mut self.inner, &mut self.product] {
            area.wipe();
        }
    }
}
