//! Which thread does what.
//!
//! Why apart: how work is split may change who computes something, never what.
//!
//! # Invariants
//! A row that a part reads was written before: by an operation that ended, by the part itself, or at positions that
//! none of its rows sees.

#![allow(unsafe_code)]

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::part::{Part, RANGE};
use super::scratch::Workspace;
use super::{Rule, View, tile};
use crate::cpu::Kernels;
use crate::disjoint::Disjoint;
use crate::kv::{POSITIONS, Place, Writer};
use crate::memory::Buffer;
use crate::pool::Pool;

/// Parts a thread should have, so that none waits long for another.
const PARTS_PER_THREAD: usize = 4;

/// A head whose ranges several threads compute.
pub(super) struct Split {
    /// Where its sums begin in `Workspace::partial`.
    start: usize,
    ranges: Range<usize>,
    /// Ranges that are not computed.
    left: AtomicUsize,
}

/// What one call of a thread does.
struct Task {
    job: usize,
    kv_head: usize,
    queries: Range<usize>,
    /// Puts the job's keys and values of this head into the pages first.
    writes: bool,
    /// The split it is of, and its range.
    split: Option<(usize, usize)>,
}

/// Writes the jobs' rows and computes what they see.
pub(super) fn run(
    kernels: Kernels,
    pool: &Pool,
    workspace: &mut Workspace,
    layer: usize,
    rule: &Rule,
    views: &[View<'_>],
) {
    let layout = workspace.layout();
    let group = rule.heads / layout.kv_heads;
    assert!(
        group <= workspace.rows(),
        "the workspace is for rules with so many heads"
    );
    let most = tile::most_rows(kernels);
    let part = |job: usize, kv_head: usize, queries: Range<usize>| Part {
        kernels,
        layer,
        rule,
        layout,
        view: &views[job],
        kv_head,
        queries,
        tile: most,
    };

    let mut splits = std::mem::take(&mut workspace.splits);
    splits.clear();
    let mut tasks = Vec::new();
    let mut written_before = Vec::new();
    let mut partial = 0;
    let queries = workspace.rows() / group;
    let whole: usize = views
        .iter()
        .map(|view| view.rows.div_ceil(queries) * layout.kv_heads)
        .sum();
    let few = pool.threads() > 1 && whole < PARTS_PER_THREAD * pool.threads();
    for (job, view) in views.iter().enumerate().filter(|(_, view)| view.rows > 0) {
        for kv_head in 0..layout.kv_heads {
            let alone = view.rows <= queries;
            let ranges = part(job, kv_head, 0..view.rows).ranges();
            let in_last = view.first / RANGE + 1 == ranges.end;
            let split = few && alone && in_last && ranges.len() > 1 && view.rows * group <= most;
            if !alone {
                written_before.push((job, kv_head));
            }
            if split {
                let rows = view.rows * group;
                for range in ranges.clone() {
                    tasks.push(Task {
                        job,
                        kv_head,
                        queries: 0..view.rows,
                        writes: range + 1 == ranges.end,
                        split: Some((splits.len(), range)),
                    });
                }
                splits.push(Split {
                    start: partial,
                    left: AtomicUsize::new(ranges.len()),
                    ranges: ranges.clone(),
                });
                partial += ranges.len() * rows * (layout.columns() + 2);
                continue;
            }
            // The last rows see most, so that they come first.
            for first in (0..view.rows).step_by(queries).rev() {
                tasks.push(Task {
                    job,
                    kv_head,
                    queries: first..view.rows.min(first + queries),
                    writes: alone,
                    split: None,
                });
            }
        }
    }
    if workspace.partial.len() < partial {
        workspace.partial = Buffer::zeroed(partial);
    }

    let write = |job: usize, kv_head: usize| write_rows(kernels, layer, &views[job], kv_head);
    pool.run(written_before.len(), &|index| {
        let (job, kv_head) = written_before[index];
        write(job, kv_head);
    });

    let mut sums = std::mem::replace(&mut workspace.partial, Buffer::zeroed(0));
    let partial = Disjoint::new(&mut sums);
    let shared = &*workspace;
    pool.run_on(tasks.len(), &|thread, index| {
        let task = &tasks[index];
        let part = part(task.job, task.kv_head, task.queries.clone());
        if task.writes {
            write(task.job, task.kv_head);
        }
        let mut scratch = shared.thread(thread);
        part.lay_out(&mut scratch);
        let Some((split, range)) = task.split else {
            let ranges = part.ranges();
            for range in ranges.clone() {
                part.range(&mut scratch, range);
                part.merge(&mut scratch, range == ranges.start);
            }
            part.hand_out(&scratch);
            return;
        };
        let split = &splits[split];
        let (rows, columns) = (part.rows(), layout.columns());
        let length = rows * (columns + 2);
        let start_of = |range: usize| split.start + (range - split.ranges.start) * length;
        part.range(&mut scratch, range);
        // SAFETY: a range of a split belongs to one task until it is counted as done.
        let kept = unsafe { partial.part(start_of(range), length) };
        let (of_sums, others) = kept.split_at_mut(rows * columns);
        of_sums.copy_from_slice(&scratch.sums[..rows * columns]);
        others[..rows].copy_from_slice(&scratch.largest[..rows]);
        others[rows..].copy_from_slice(&scratch.weight[..rows]);
        // Release hands what this task kept to the last one, whose acquire sees what all kept.
        if split.left.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        for range in split.ranges.clone() {
            // SAFETY: all ranges are done, and this task is the only one that was told so.
            let kept = unsafe { partial.part(start_of(range), length) };
            let (of_sums, others) = kept.split_at(rows * columns);
            scratch.sums[..rows * columns].copy_from_slice(of_sums);
            scratch.largest[..rows].copy_from_slice(&others[..rows]);
            scratch.weight[..rows].copy_from_slice(&others[rows..]);
            part.merge(&mut scratch, range == split.ranges.start);
        }
        part.hand_out(&scratch);
    });
    workspace.partial = sums;
    workspace.splits = splits;
}

/// Puts a job's keys and values of one head into its pages.
fn write_rows(kernels: Kernels, layer: usize, view: &View<'_>, kv_head: usize) {
    let layout = view.sequence.layout();
    let mut writer = Writer::new(kernels, layout, view.rows);
    let mut row = 0;
    while row < view.rows {
        let position = view.first + row;
        let (page, first) = (position / POSITIONS, position % POSITIONS);
        let rows = row..view.rows.min(row + POSITIONS - first);
        row = rows.end;
        // SAFETY: a job's head is written by one task; who reads the head at this time is that task, or one of a
        // split whose ranges, all but the last, are of other pages.
        let (keys, values) = unsafe { view.sequence.pages()[page].head_mut(layer, kv_head) };
        if let Some(mask) = view.sequence.mask().filter(|_| first == 0) {
            // The page's first row: from here on zeros are the keystream.
            for (is_values, units) in [(false, &mut *keys), (true, &mut *values)] {
                let place = Place {
                    layer,
                    kv_head,
                    is_values,
                    page,
                };
                let zeros = units.to_vec();
                mask.apply(kernels, place, &zeros, units);
            }
        }
        let at = |row: usize| (row * layout.kv_heads + kv_head) * layout.width;
        let of = |row: usize| at(row)..at(row) + layout.width;
        writer.keys(rows.clone().map(|row| &view.keys[of(row)]), first, keys);
        writer.values(rows.map(|row| &view.values[of(row)]), first, values);
    }
}
