//! What a model computes with: the instructions that were chosen, and its threads.
//!
//! Why apart: decoder and embedder share it, and nothing else here knows of threads.
//!
//! # Invariants
//! A row's result depends on that row alone, however rows are shared among threads.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use anchorhold_kernels::{Kernels, Pool};

use crate::model::options::LoadOptions;

/// Numbers below which handing work over costs more than it saves.
const WORTH_SHARING: usize = 1 << 14;
/// Parts a thread gets, so that none waits long for another.
const PARTS_PER_THREAD: usize = 4;

/// Instructions and threads.
pub(crate) struct Machine {
    pub(crate) kernels: Kernels,
    pub(crate) pool: Pool,
}

impl Machine {
    pub(crate) fn new(options: &LoadOptions) -> Self {
        Self {
            kernels: options.kernels,
            pool: Pool::new(options.threads.max(1)),
        }
    }

    /// The same instructions with no thread but the caller's: for parts of an operation, of which each is a thread's own.
    pub(crate) fn alone(&self) -> Self {
        Self {
            kernels: self.kernels,
            pool: Pool::new(1),
        }
    }

    /// Lets `work` change rows of `width` numbers, some rows at a time. It is told which rows it has.
    pub(crate) fn rows(
        &self,
        width: usize,
        rows: &mut [f32],
        work: impl Fn(Range<usize>, &mut [f32]) + Sync,
    ) {
        let count = rows.len() / width;
        if count < 2 || rows.len() < WORTH_SHARING || self.pool.threads() == 1 {
            work(0..count, rows);
            return;
        }
        let each = count.div_ceil(PARTS_PER_THREAD * self.pool.threads());
        self.each(rows.chunks_mut(each * width).collect(), |index, part| {
            let first = index * each;
            work(first..first + part.len() / width, part);
        });
    }

    /// Lets threads take parts until none is left.
    pub(crate) fn each<T: Send>(&self, parts: Vec<T>, work: impl Fn(usize, &mut T) + Sync) {
        self.each_on(parts, |_, index, part| work(index, part));
    }

    /// As [`Self::each`], with the thread's number first.
    pub(crate) fn each_on<T: Send>(&self, parts: Vec<T>, work: impl Fn(usize, usize, &mut T) + Sync) {
        // Each part is taken once; the lock only says so to the compiler.
        let parts: Vec<Mutex<T>> = parts.into_iter().map(Mutex::new).collect();
        self.pool.run_on(parts.len(), &|thread, index| {
            if let Some(part) = parts.get(index) {
                let part = &mut part.lock().unwrap_or_else(PoisonError::into_inner);
                work(thread, index, part);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_visited_once_with_its_number() {
        for threads in [1, 3] {
            let machine = Machine::new(&LoadOptions {
                threads,
                ..LoadOptions::default()
            });
            for (count, width) in [(1, 7), (5, 3), (1000, 64)] {
                let mut rows = vec![0.0; count * width];
                machine.rows(width, &mut rows, |range, rows| {
                    assert_eq!(rows.len(), range.len() * width);
                    for (row, number) in rows.chunks_exact_mut(width).zip(range) {
                        row.iter_mut().for_each(|value| *value += number as f32);
                    }
                });
                for (number, row) in rows.chunks_exact(width).enumerate() {
                    assert!(row.iter().all(|value| *value == number as f32));
                }
            }
        }
    }
}
