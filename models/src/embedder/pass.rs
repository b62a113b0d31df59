//! One pass of texts through all layers, shared among threads.
//!
//! Why apart: who computes which rows is decided here, and nothing else is.
//!
//! With enough rows for all threads, each thread takes some rows through a whole layer by itself, where what it computes stays
//! in its caches, and the threads meet once a layer: then all keys and values are there that the next one reads. With
//! fewer, all threads take part in each operation, so that each reads only a part of the weights.
//!
//! # Invariants
//! Texts lie behind each other without padding. A row's result is the same either way. Nothing of a text is left in the
//! memory of a pass when its call ends.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::layer::{Layer, Seen};
use super::work::{Area, Work};
use crate::limits::inference as limits;
use crate::machine::Machine;

/// What passes work in.
pub(super) struct Scratch {
    rows: Area,
    queries: Area,
    /// Of the layer that is computed, and of the next one.
    keys: [Area; 2],
    values: [Area; 2],
    /// For operations that all threads share.
    together: Work,
    /// For a thread by itself.
    alone: Vec<Mutex<(Machine, Work)>>,
}

/// Rows that one thread takes through a layer.
struct Part<'a> {
    range: Range<usize>,
    rows: &'a mut [f32],
    queries: &'a mut [f32],
    /// Of the next layer.
    keys: &'a mut [f32],
    values: &'a mut [f32],
}

impl Scratch {
    pub(super) fn new(machine: &Machine) -> Self {
        let two = || [Area::new(), Area::new()];
        Self {
            rows: Area::new(),
            queries: Area::new(),
            keys: two(),
            values: two(),
            together: Work::new(machine),
            alone: (0..machine.pool.threads())
                .map(|_| {
                    let alone = machine.alone();
                    let work = Work::new(&alone);
                    Mutex::new((alone, work))
                })
                .collect(),
        }
    }

    /// Overwrites what passes left.
    pub(super) fn wipe(&mut self) {
        let Self {
            rows,
            queries,
            keys: [keys, other_keys],
            values: [values, other_values],
            together,
            alone,
        } = self;
        for area in [rows, queries, keys, other_keys, values, other_values] {
            area.wipe();
        }
        together.wipe();
        for alone in alone {
            alone.get_mut().unwrap_or_else(PoisonError::into_inner).1.wipe();
        }
    }

    /// Areas that were written since they were wiped, and the numbers in all that are not zero.
    #[cfg(test)]
    pub(super) fn left(&mut self) -> (usize, usize) {
        let Self {
            rows,
            queries,
            keys: [keys, other_keys],
            values: [values, other_values],
            together,
            alone,
        } = self;
        let areas = [rows, queries, keys, other_keys, values, other_values].map(|area| area.left());
        let alone = alone
            .iter_mut()
            .map(|alone| alone.get_mut().unwrap_or_else(PoisonError::into_inner).1.left());
        let all = areas.into_iter().chain([together.left()]).chain(alone);
        all.fold((0, 0), |sum, area| (sum.0 + area.0, sum.1 + area.1))
    }

    /// Rows of a pass, to begin with or as it left them.
    pub(super) fn rows(&mut self, numbers: usize) -> &mut [f32] {
        self.rows.first(numbers)
    }
}

/// Takes the rows of texts of these lengths, which lie in `scratch`, through `layers`. `begin` is done to rows before, and is
/// told which they are.
pub(super) fn run(
    machine: &Machine,
    scratch: &mut Scratch,
    width: usize,
    lengths: &[usize],
    layers: &[Layer],
    begin: impl Fn(Range<usize>, &mut [f32]) + Sync,
) {
    let mut texts = Vec::with_capacity(lengths.len());
    let mut count = 0;
    for length in lengths {
        texts.push(count..count + length);
        count += length;
    }
    let Scratch {
        rows,
        queries,
        keys: [keys, next_keys],
        values: [values, next_values],
        together,
        alone,
    } = scratch;
    let numbers = count * width;
    let (rows, queries) = (rows.first(numbers), queries.first(numbers));
    let mut keys = (keys.first(numbers), next_keys.first(numbers));
    let mut values = (values.first(numbers), next_values.first(numbers));
    let bounds = bounds(count, machine.pool.threads());
    for step in 0..=layers.len() {
        let (before, after) = (
            step.checked_sub(1).and_then(|before| layers.get(before)),
            layers.get(step),
        );
        let seen = (&*keys.0, &*values.0);
        let work = |machine: &Machine, work: &mut Work, part: &mut Part<'_>| {
            match before {
                Some(layer) => {
                    let seen = seen_by(&part.range, part.queries, &texts, width, seen);
                    layer.apply(machine, work, &seen, part.rows);
                }
                None => begin(part.range.clone(), part.rows),
            }
            if let Some(layer) = after {
                layer.project(machine, work, part.rows, [part.queries, part.keys, part.values]);
            }
        };
        let into = [&mut *rows, &mut *queries, &mut *keys.1, &mut *values.1];
        let mut parts = parts(&bounds, width, into);
        if let [part] = &mut parts[..]
            && machine.pool.threads() > 1
        {
            work(machine, together, part);
        } else {
            machine.each_on(parts, |thread, _, part| {
                if let Some(own) = alone.get(thread) {
                    let (machine, room) = &mut *own.lock().unwrap_or_else(PoisonError::into_inner);
                    work(machine, room, part);
                }
            });
        }
        keys = (keys.1, keys.0);
        values = (values.1, values.0);
    }
}

/// Where parts of so many rows begin, and where the last one ends.
fn bounds(count: usize, threads: usize) -> Vec<usize> {
    let parts = if threads > 1 && count < threads * limits::EMBEDDING_ROWS_ALONE {
        1
    } else {
        threads * count.div_ceil(threads * limits::EMBEDDING_ROWS_PART)
    };
    (0..=parts).map(|part| part * count / parts.max(1)).collect()
}

fn parts<'a>(bounds: &[usize], width: usize, into: [&'a mut [f32]; 4]) -> Vec<Part<'a>> {
    let mut left = into;
    bounds
        .windows(2)
        .map(|ends| {
            let range = ends[0]..ends[1];
            let [rows, queries, keys, values] = left.each_mut().map(|left| {
                let (own, rest) = std::mem::take(left).split_at_mut(range.len() * width);
                *left = rest;
                own
            });
            Part {
                range,
                rows,
                queries,
                keys,
                values,
            }
        })
        .collect()
}

/// What rows of a range look at, text by text.
fn seen_by<'a>(
    range: &Range<usize>,
    mut queries: &'a [f32],
    texts: &[Range<usize>],
    width: usize,
    (keys, values): (&'a [f32], &'a [f32]),
) -> Vec<Seen<'a>> {
    texts
        .iter()
        .filter(|text| text.start < range.end && range.start < text.end)
        .map(|text| {
            let count = text.end.min(range.end) - text.start.max(range.start);
            let (own, rest) = queries.split_at(count * width);
            queries = rest;
            let numbers = text.start * width..text.end * width;
            Seen {
                queries: own,
                keys: &keys[numbers.clone()],
                values: &values[numbers],
            }
        })
        .collect()
}
