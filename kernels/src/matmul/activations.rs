//! What is multiplied with weights, in the forms and the order in which kernels read it.
//!
//! Why apart: several matrices share the same activations, so that they are rounded and ordered once for all of them.
//!
//! # Invariants
//! The numbers a row becomes depend on nothing but the row: neither on the rows beside it, nor on the set of kernels,
//! nor on threads. What is past a row's end is zero. Wiped when dropped; memory is kept for the next use.

use std::sync::{Mutex, PoisonError};

use super::panel::{FloatPanel, IntegerPanel, Layout, PairPanel, Spans, stride};
use super::rounding::{self, PairShape, Rounded};
use crate::cpu::{KernelSet, Kernels};
use crate::half::{bf16_to_f32, f32_to_bf16};
use crate::memory::{Buffer, Number};
use crate::packed::Precision;
use crate::pool::Pool;

/// Rows from which on preparing is shared among threads.
const MANY: usize = 16;

/// Rows of activations, and room for the next ones. No `Clone` or `Debug`.
pub struct Activations {
    kernels: Kernels,
    rows: usize,
    width: usize,
    integers: Integers,
    /// `[row][input]`, rows [`stride`] apart.
    floats: Form<f32>,
    /// The same, rounded to the upper half of binary32.
    rounded: Form<f32>,
    /// Two such halves in one number: `[input / 2][row]`, or `[input / 32][row][16]`.
    pairs: Form<u32>,
}

/// One form of the rows.
struct Form<T: Number> {
    ready: bool,
    layout: Layout,
    numbers: Room<T>,
}

/// 8-bit activations: see [`IntegerPanel`] for what is where.
struct Integers {
    ready: bool,
    layout: Layout,
    quants: Room<i32>,
    scales: Room<f32>,
    powers: Room<f32>,
    starts_8: Room<i32>,
    starts_4: Room<i32>,
    halves: Room<i32>,
    sums: Room<f32>,
}

/// A buffer that grows, and how much of it was given out since it was wiped.
struct Room<T: Number>(Buffer<T>, usize);

impl<T: Number> Room<T> {
    fn new() -> Self {
        Self(Buffer::zeroed(0), 0)
    }

    fn wipe(&mut self) {
        let used = &mut self.0[..self.1];
        used.fill(T::default());
        // Keeps the compiler from leaving it out.
        zeroize::optimization_barrier(used);
        self.1 = 0;
    }

    /// At least `length` numbers, of any value.
    fn at_least(&mut self, length: usize) -> &mut [T] {
        if self.0.len() < length {
            self.0 = Buffer::zeroed(length.next_power_of_two());
        }
        self.1 = self.1.max(length);
        &mut self.0[..length]
    }
}

impl<T: Number> Form<T> {
    fn new() -> Self {
        Self {
            ready: false,
            layout: Layout::interleaved(1),
            numbers: Room::new(),
        }
    }

    fn wipe(&mut self) {
        self.ready = false;
        self.numbers.wipe();
    }
}

impl Activations {
    /// Room for activations of these kernels.
    #[must_use]
    pub fn new(kernels: Kernels) -> Self {
        Self {
            kernels,
            rows: 0,
            width: 0,
            integers: Integers {
                ready: false,
                layout: Layout::interleaved(1),
                quants: Room::new(),
                scales: Room::new(),
                powers: Room::new(),
                starts_8: Room::new(),
                starts_4: Room::new(),
                halves: Room::new(),
                sums: Room::new(),
            },
            floats: Form::new(),
            rounded: Form::new(),
            pairs: Form::new(),
        }
    }

    /// Takes rows of `width` numbers in the place of those before, for matrices of `precisions`.
    ///
    /// A row with a number that is infinite or none makes products that are none.
    ///
    /// # Panics
    /// When `values` are not whole rows.
    pub fn prepare(&mut self, pool: &Pool, precisions: &[Precision], width: usize, values: &[f32]) {
        assert!(
            width > 0 && values.len().is_multiple_of(width),
            "activations are whole rows"
        );
        self.rows = values.len() / width;
        self.width = width;
        self.integers.ready = false;
        self.floats.ready = false;
        self.rounded.ready = false;
        self.pairs.ready = false;
        for precision in precisions {
            match precision {
                Precision::F32 | Precision::F16 => self.prepare_floats(pool, values),
                Precision::Bf16 if self.kernels.set() >= KernelSet::Avx512Bf16 => {
                    self.prepare_pairs(pool, values);
                }
                Precision::Bf16 => self.prepare_rounded(pool, values),
                Precision::Q8 | Precision::Q4 | Precision::Q4K | Precision::Q6K => {
                    self.prepare_integers(pool, values);
                }
            }
        }
    }

    /// Overwrites the rows, and keeps their room.
    pub fn wipe(&mut self) {
        // Every field by name: none that is added can be left out.
        let Self {
            kernels: _,
            rows,
            width,
            integers,
            floats,
            rounded,
            pairs,
        } = self;
        let Integers {
            ready,
            layout: _,
            quants,
            scales,
            powers,
            starts_8,
            starts_4,
            halves,
            sums,
        } = integers;
        (*rows, *width, *ready) = (0, 0, false);
        for room in [quants, starts_8, starts_4, halves] {
            room.wipe();
        }
        for room in [scales, powers, sums] {
            room.wipe();
        }
        floats.wipe();
        rounded.wipe();
        pairs.wipe();
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Numbers in a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The kernels that can read them.
    #[must_use]
    pub fn kernels(&self) -> Kernels {
        self.kernels
    }

    fn blocks(&self) -> usize {
        self.width.div_ceil(32)
    }

    fn prepare_integers(&mut self, pool: &Pool, values: &[f32]) {
        if std::mem::replace(&mut self.integers.ready, true) {
            return;
        }
        let (kernels, blocks, width) = (self.kernels, self.blocks(), self.width);
        let layout = Layout::of_integers(kernels.set(), self.rows);
        let numbers = self.rows * blocks;
        let integers = &mut self.integers;
        integers.layout = layout;
        let mut quants = integers.quants.at_least(8 * numbers);
        let mut scales = integers.scales.at_least(numbers);
        let mut powers = integers.powers.at_least(2 * numbers);
        let mut starts_8 = integers.starts_8.at_least(numbers);
        let mut starts_4 = integers.starts_4.at_least(numbers);
        let mut halves = integers.halves.at_least(2 * numbers);
        let mut sums = integers.sums.at_least(numbers);
        let parts = layout.spans(self.rows).map(|span| {
            let count = span.rows * blocks;
            let panel = Rounded {
                rows: span.rows,
                by_row: layout.by_row,
                quants: split(&mut quants, 8 * count),
                scales: split(&mut scales, count),
                powers: split(&mut powers, 2 * count),
                starts_8: split(&mut starts_8, count),
                starts_4: split(&mut starts_4, count),
                halves: split(&mut halves, 2 * count),
                sums: split(&mut sums, count),
            };
            (panel, &values[span.first * width..][..span.rows * width])
        });
        for_parts(pool, self.rows, parts, |panel, values| {
            rounding::round_rows(kernels, panel, width, values);
        });
    }

    fn prepare_floats(&mut self, pool: &Pool, values: &[f32]) {
        let layout = Layout::of_floats(self.kernels.set());
        let shape = (self.rows, self.width);
        plain(
            pool,
            &mut self.floats,
            layout,
            shape,
            values,
            <[f32]>::copy_from_slice,
        );
    }

    fn prepare_rounded(&mut self, pool: &Pool, values: &[f32]) {
        let layout = Layout::of_rounded(self.kernels.set());
        let shape = (self.rows, self.width);
        plain(
            pool,
            &mut self.rounded,
            layout,
            shape,
            values,
            |target, values| {
                for (target, number) in target.iter_mut().zip(values) {
                    *target = bf16_to_f32(f32_to_bf16(*number));
                }
            },
        );
    }

    fn prepare_pairs(&mut self, pool: &Pool, values: &[f32]) {
        if std::mem::replace(&mut self.pairs.ready, true) {
            return;
        }
        let (blocks, width) = (self.blocks(), self.width);
        let layout = Layout::of_pairs(self.kernels.set());
        self.pairs.layout = layout;
        let mut pairs = self.pairs.numbers.at_least(self.rows * blocks * 16);
        let parts = layout.spans(self.rows).map(|span| {
            let target = split(&mut pairs, span.rows * blocks * 16);
            (
                (target, span.rows),
                &values[span.first * width..][..span.rows * width],
            )
        });
        let kernels = self.kernels;
        for_parts(pool, self.rows, parts, |(target, rows), values| {
            let shape = PairShape {
                rows: *rows,
                width,
                by_row: layout.by_row,
            };
            rounding::round_pairs(kernels, shape, values, target);
        });
    }

    pub(crate) fn integer_panels<'a>(&'a self) -> (Spans, impl Fn(usize) -> IntegerPanel<'a> + Sync) {
        let integers = &self.integers;
        assert!(integers.ready, "activations were prepared for 8 bits");
        let (spans, blocks) = (integers.layout.spans(self.rows), self.blocks());
        let panel = move |index: usize| {
            let span = spans.at(index);
            let (first, count) = (span.first * blocks, span.rows * blocks);
            IntegerPanel {
                rows: span.rows,
                by_row: integers.layout.by_row,
                quants: &integers.quants.0[8 * first..][..8 * count],
                scales: &integers.scales.0[first..][..count],
                powers: &integers.powers.0[2 * first..][..2 * count],
                starts_8: &integers.starts_8.0[first..][..count],
                starts_4: &integers.starts_4.0[first..][..count],
                halves: &integers.halves.0[2 * first..][..2 * count],
                sums: &integers.sums.0[first..][..count],
            }
        };
        (spans, panel)
    }

    pub(crate) fn float_panels<'a>(&'a self) -> (Spans, impl Fn(usize) -> FloatPanel<'a> + Sync) {
        assert!(self.floats.ready, "activations were prepared for plain numbers");
        panels_of(&self.floats, self.rows, self.blocks())
    }

    pub(crate) fn rounded_panels<'a>(&'a self) -> (Spans, impl Fn(usize) -> FloatPanel<'a> + Sync) {
        assert!(self.rounded.ready, "activations were prepared for bf16");
        panels_of(&self.rounded, self.rows, self.blocks())
    }

    pub(crate) fn pair_panels<'a>(&'a self) -> (Spans, impl Fn(usize) -> PairPanel<'a> + Sync) {
        assert!(self.pairs.ready, "activations were prepared for bf16");
        let (spans, blocks) = (self.pairs.layout.spans(self.rows), self.blocks());
        let panel = move |index: usize| {
            let span = spans.at(index);
            PairPanel {
                rows: span.rows,
                pairs: &self.pairs.numbers.0[16 * span.first * blocks..][..16 * span.rows * blocks],
            }
        };
        (spans, panel)
    }
}

fn panels_of<'a>(
    form: &'a Form<f32>,
    rows: usize,
    blocks: usize,
) -> (Spans, impl Fn(usize) -> FloatPanel<'a> + Sync) {
    let (spans, stride) = (form.layout.spans(rows), stride(blocks));
    let panel = move |index: usize| {
        let span = spans.at(index);
        FloatPanel {
            rows: span.rows,
            stride,
            values: &form.numbers.0[stride * span.first..][..stride * span.rows],
        }
    };
    (spans, panel)
}

/// Rows as they are, filled up to whole blocks.
fn plain(
    pool: &Pool,
    form: &mut Form<f32>,
    layout: Layout,
    (rows, width): (usize, usize),
    values: &[f32],
    put: impl Fn(&mut [f32], &[f32]) + Sync,
) {
    if std::mem::replace(&mut form.ready, true) {
        return;
    }
    form.layout = layout;
    let stride = stride(width.div_ceil(32));
    let mut numbers = form.numbers.at_least(rows * stride);
    let parts = layout.spans(rows).map(|span| {
        let target = split(&mut numbers, span.rows * stride);
        (target, &values[span.first * width..][..span.rows * width])
    });
    for_parts(pool, rows, parts, |target, values| {
        for (target, values) in target.chunks_exact_mut(stride).zip(values.chunks_exact(width)) {
            let (used, rest) = target.split_at_mut(width);
            put(used, values);
            rest.fill(0.0);
        }
    });
}

/// Takes the first `count` numbers off a slice.
fn split<'a, T>(numbers: &mut &'a mut [T], count: usize) -> &'a mut [T] {
    let (first, rest) = std::mem::take(numbers).split_at_mut(count);
    *numbers = rest;
    first
}

/// Does the same for each part, on all threads where that is worth it.
fn for_parts<'a, T: Send>(
    pool: &Pool,
    rows: usize,
    parts: impl Iterator<Item = (T, &'a [f32])>,
    work: impl Fn(&mut T, &[f32]) + Sync,
) {
    if rows < MANY || pool.threads() == 1 {
        for (mut part, values) in parts {
            work(&mut part, values);
        }
        return;
    }
    // Each part is run once; the lock only says so to the compiler.
    let parts: Vec<_> = parts.map(|(part, values)| (Mutex::new(part), values)).collect();
    pool.run(parts.len(), &|index| {
        let (part, values) = &parts[index];
        work(&mut part.lock().unwrap_or_else(PoisonError::into_inner), values);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::{numbers, sets};

    /// Bytes other than zero of each room.
    fn left(activations: &Activations) -> [usize; 10] {
        fn of<T: Number>(room: &Room<T>) -> usize {
            room.0.bytes().iter().filter(|byte| **byte != 0).count()
        }
        let Integers {
            quants,
            scales,
            powers,
            starts_8,
            starts_4,
            halves,
            sums,
            ..
        } = &activations.integers;
        [
            of(quants),
            of(scales),
            of(powers),
            of(starts_8),
            of(starts_4),
            of(halves),
            of(sums),
            of(&activations.floats.numbers),
            of(&activations.rounded.numbers),
            of(&activations.pairs.numbers),
        ]
    }

    #[test]
    fn nothing_of_rows_is_left_once_wiped() {
        let values = numbers(20 * 512, 3.0, 4);
        for kernels in sets("nothing_of_rows_is_left_once_wiped") {
            let mut activations = Activations::new(kernels);
            activations.prepare(&Pool::new(2), &Precision::ALL, 512, &values);
            let before = left(&activations);
            // bf16 has one of two forms.
            assert!(before[..8].iter().all(|bytes| *bytes > 0), "{before:?}");
            assert!(before[8] + before[9] > 0, "{before:?}");
            activations.wipe();
            assert_eq!(left(&activations), [0; 10]);
            assert_eq!(activations.rows(), 0);
        }
    }
}
