//! Attention against a formula in double precision, and sameness bit for bit however rows come.
//!
//! Why apart: one model of what a row sees for all sets of kernels.
//!
//! # Invariants
//! A set that this CPU lacks says so.

use super::*;
use crate::cases::{numbers, sets};
use crate::cpu::KernelSet;
use crate::kv::{KvPrecision, Layout, PagePool};
use crate::vector;

fn each_set(name: &str, test: impl Fn(Kernels)) {
    sets(name).into_iter().for_each(test);
}

/// What a sequence says, in all.
struct Text {
    rule: Rule,
    layout: Layout,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Text {
    fn new(rows: usize, rule: Rule, layout: Layout, size: f32, seed: u32) -> Self {
        Self {
            queries: numbers(rows * rule.heads * layout.width, size, seed),
            keys: numbers(rows * layout.kv_heads * layout.width, size, seed + 1),
            values: numbers(rows * layout.kv_heads * layout.width, 1.0, seed + 2),
            rule,
            layout,
        }
    }

    fn rows(&self) -> usize {
        self.queries.len() / (self.rule.heads * self.layout.width)
    }

    /// As stored.
    fn stored(&self, row: &[f32]) -> Vec<f64> {
        let mut units = vec![0; row.len()];
        let mut wide = row.to_vec();
        let plain = Kernels::at_most(KernelSet::Scalar);
        match self.layout.precision {
            KvPrecision::F32 => {}
            KvPrecision::Q8 => {
                for part in wide
                    .chunks_mut(self.layout.width)
                    .flat_map(|head| head.chunks_mut(32))
                {
                    let scale = part.iter().fold(0.0f32, |most, x| most.max(x.abs())) / 127.0;
                    for x in part {
                        *x = f32::from(crate::kv::eight::rounded(*x, scale)) * scale;
                    }
                }
            }
            KvPrecision::F16 => {
                vector::to_f16_saturating(plain, row, &mut units);
                vector::from_f16(plain, &units, &mut wide);
            }
            KvPrecision::Bf16 => {
                vector::to_bf16(plain, row, &mut units);
                vector::from_bf16(plain, &units, &mut wide);
            }
        }
        wide.iter().map(|x| f64::from(*x)).collect()
    }

    fn expected(&self) -> Vec<f64> {
        let (width, heads, kv_heads) = (self.layout.width, self.rule.heads, self.layout.kv_heads);
        let (keys, values) = (self.stored(&self.keys), self.stored(&self.values));
        let mut out = Vec::new();
        for row in 0..self.rows() {
            for head in 0..heads {
                let kv = head / (heads / kv_heads);
                let query = &self.queries[(row * heads + head) * width..][..width];
                let seen = self.rule.sees(row);
                let scores: Vec<f64> = seen
                    .clone()
                    .map(|position| {
                        let key = &keys[(position * kv_heads + kv) * width..][..width];
                        let dot: f64 = query.iter().zip(key).map(|(q, k)| f64::from(*q) * k).sum();
                        let score = dot * f64::from(self.rule.scale);
                        self.rule
                            .soft_cap
                            .map_or(score, |cap| f64::from(cap) * (score / f64::from(cap)).tanh())
                    })
                    .collect();
                let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weight: f64 = scores.iter().map(|score| (score - largest).exp()).sum();
                for i in 0..width {
                    let sum: f64 = seen
                        .clone()
                        .zip(&scores)
                        .map(|(position, score)| {
                            (score - largest).exp() * values[(position * kv_heads + kv) * width + i]
                        })
                        .sum();
                    out.push(sum / weight);
                }
            }
        }
        out
    }

    /// What comes out when so many rows come at a time, in the last layer.
    fn said(&self, kernels: Kernels, pool: &Pool, pages: &PagePool, steps: &[usize]) -> Vec<f32> {
        let mut workspace = Workspace::new(self.layout, self.rule.heads, pool.threads());
        let mut sequence = Sequence::new(pages.reserve(self.layout.pages(self.rows())).unwrap());
        let mut out = vec![0.0; self.queries.len()];
        let mut first = 0;
        for step in steps {
            let (wide, narrow) = (
                self.rule.heads * self.layout.width,
                self.layout.kv_heads * self.layout.width,
            );
            let rows = first..(first + step).min(self.rows());
            let mut jobs = [Job {
                sequence: &mut sequence,
                queries: &self.queries[rows.start * wide..rows.end * wide],
                keys: &self.keys[rows.start * narrow..rows.end * narrow],
                values: &self.values[rows.start * narrow..rows.end * narrow],
                out: &mut out[rows.start * wide..rows.end * wide],
            }];
            attend(
                kernels,
                pool,
                &mut workspace,
                self.layout.layers - 1,
                &self.rule,
                &mut jobs,
            );
            first = rows.end;
        }
        assert_eq!(first, self.rows());
        out
    }
}

fn layout(kv_heads: usize, width: usize, precision: KvPrecision) -> Layout {
    Layout {
        layers: 2,
        kv_heads,
        width,
        precision,
    }
}

fn rule(heads: usize, width: usize) -> Rule {
    Rule {
        heads,
        window: None,
        scale: 1.0 / (width as f32).sqrt(),
        soft_cap: None,
    }
}

fn check(found: &[f32], expected: &[f64], bound: f64) {
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*found) - expected).abs();
        assert!(error <= bound, "[{index}]: found {found}, expected {expected}");
    }
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

#[test]
fn rows_see_what_the_formula_says() {
    let pool = Pool::new(2);
    each_set("attention::formula", |kernels| {
        for (rows, heads, kv_heads, width) in [
            (1, 1, 1, 8),
            (5, 4, 2, 16),
            (33, 6, 3, 20),
            (70, 7, 1, 64),
            (40, 3, 3, 80),
            (131, 4, 2, 128),
            (34, 5, 1, 256),
            (3, 60, 1, 24),
        ] {
            for precision in [
                KvPrecision::F32,
                KvPrecision::F16,
                KvPrecision::Bf16,
                KvPrecision::Q8,
            ] {
                for size in [1.0, 12.0] {
                    let layout = layout(kv_heads, width, precision);
                    let text = Text::new(rows, rule(heads, width), layout, size, rows as u32);
                    let pages = PagePool::new(layout, 9, |free| free / 2);
                    let found = text.said(kernels, &pool, &pages, &[rows]);
                    // Scores, and so their rounding, grow with the square.
                    check(&found, &text.expected(), if size > 1.0 { 1e-4 } else { 1e-5 });
                }
            }
        }
    });
}

#[test]
fn windows_and_caps() {
    let pool = Pool::new(2);
    let layout = layout(2, 32, KvPrecision::F16);
    let pages = PagePool::new(layout, 40, |_| 0);
    each_set("attention::windows", |kernels| {
        for window in [1, 2, 31, 32, 33, 100, 128, 129, 512, 600] {
            let rule = Rule {
                window: Some(window),
                soft_cap: (window % 2 == 0).then_some(5.0),
                ..rule(4, 32)
            };
            let text = Text::new(700, rule, layout, 3.0, window as u32);
            let found = text.said(kernels, &pool, &pages, &[300, 1, 1, 398]);
            check(&found, &text.expected(), 2e-5);
        }
    });
}

#[test]
fn the_same_however_rows_come() {
    let (one, three) = (Pool::new(1), Pool::new(3));
    each_set("attention::same", |kernels| {
        for (heads, kv_heads, window) in [(2, 1, None), (6, 2, Some(560)), (5, 1, Some(40))] {
            let layout = layout(kv_heads, 40, KvPrecision::F16);
            let pages = PagePool::new(layout, 60, |_| 0);
            let rule = Rule {
                window,
                ..rule(heads, 40)
            };
            let text = Text::new(620, rule, layout, 4.0, 5);
            let whole = bits(&text.said(kernels, &one, &pages, &[620]));
            let singly = [1; 1300];
            for steps in [
                &[1300][..],
                &[1, 700, 3, 40, 556],
                &[520, 40, 30, 20, 10],
                &singly,
            ] {
                assert!(bits(&text.said(kernels, &one, &pages, steps)) == whole);
                assert!(bits(&text.said(kernels, &three, &pages, steps)) == whole);
            }
        }
    });
}

#[test]
fn the_same_among_others() {
    let pool = Pool::new(3);
    let layout = layout(2, 24, KvPrecision::F16);
    let pages = PagePool::new(layout, 200, |free| free - 1);
    each_set("attention::others", |kernels| {
        let texts: Vec<Text> = [5usize, 1100, 64, 33, 600]
            .iter()
            .map(|rows| Text::new(*rows, rule(6, 24), layout, 4.0, *rows as u32))
            .collect();
        let mut workspace = Workspace::new(layout, 6, 3);
        let mut sequences: Vec<Sequence> = texts
            .iter()
            .map(|text| Sequence::new(pages.reserve(layout.pages(text.rows())).unwrap()))
            .collect();
        let mut outs: Vec<Vec<f32>> = texts.iter().map(|text| vec![0.0; text.queries.len()]).collect();
        // All but the last row of each, then the last rows, some with nothing to do.
        for last in [false, true] {
            let jobs = texts
                .iter()
                .zip(&mut sequences)
                .zip(&mut outs)
                .map(|((text, sequence), out)| {
                    let rows = if last {
                        text.rows() - 1..text.rows()
                    } else {
                        0..text.rows() - 1
                    };
                    Job {
                        sequence,
                        queries: &text.queries[rows.start * 144..rows.end * 144],
                        keys: &text.keys[rows.start * 48..rows.end * 48],
                        values: &text.values[rows.start * 48..rows.end * 48],
                        out: &mut out[rows.start * 144..rows.end * 144],
                    }
                });
            attend(
                kernels,
                &pool,
                &mut workspace,
                1,
                &texts[0].rule,
                &mut jobs.collect::<Vec<_>>(),
            );
        }
        drop(sequences);
        for (text, out) in texts.iter().zip(&outs) {
            assert!(bits(&text.said(kernels, &pool, &pages, &[text.rows()])) == bits(out));
        }
    });
}

#[test]
fn extremes_stay_finite() {
    let pool = Pool::new(1);
    let layout = layout(1, 16, KvPrecision::F16);
    let pages = PagePool::new(layout, 8, |_| 0);
    each_set("attention::extremes", |kernels| {
        let mut text = Text::new(200, rule(2, 16), layout, 1e4, 3);
        // More than binary16 holds.
        text.keys[7] = 1e9;
        text.values[23] = -1e9;
        let found = text.said(kernels, &pool, &pages, &[150, 50]);
        assert!(found.iter().all(|number| number.is_finite()));
        check(&found, &text.expected(), 70.0);
    });
}

#[test]
fn masked_pages_give_the_same_and_never_look_equal() {
    let pool = Pool::new(2);
    each_set("attention::masked", |kernels| {
        for precision in [
            KvPrecision::F32,
            KvPrecision::F16,
            KvPrecision::Bf16,
            KvPrecision::Q8,
        ] {
            let layout = layout(2, 24, precision);
            let text = Text::new(70, rule(6, 24), layout, 2.0, 8);
            let pages = PagePool::new(layout, 3, |_| 0);
            let mut seen: Vec<Vec<u16>> = Vec::new();
            let mut outs = Vec::new();
            for key in [None, Some([1; 32]), Some([2; 32])] {
                let taken = pages.reserve(3).unwrap();
                let mut sequence = match key {
                    Some(key) => Sequence::masked(taken, &key),
                    None => Sequence::new(taken),
                };
                let mut workspace = Workspace::new(layout, 6, pool.threads());
                let mut out = vec![0.0; text.queries.len()];
                for layer in 0..2 {
                    for rows in [0..40, 40..41, 41..70] {
                        let mut jobs = [Job {
                            sequence: &mut sequence,
                            queries: &text.queries[rows.start * 144..rows.end * 144],
                            keys: &text.keys[rows.start * 48..rows.end * 48],
                            values: &text.values[rows.start * 48..rows.end * 48],
                            out: &mut out[rows.start * 144..rows.end * 144],
                        }];
                        attend(kernels, &pool, &mut workspace, layer, &text.rule, &mut jobs);
                    }
                }
                outs.push(bits(&out));
                if key.is_some() {
                    let mut pages = sequence.into_pages();
                    pages.sort_by_key(crate::kv::Page::index);
                    seen.push(pages.iter_mut().flat_map(|page| page.units().to_vec()).collect());
                }
            }
            assert!(outs[1] == outs[0] && outs[2] == outs[0]);
            let equal = seen[0]
                .chunks(8)
                .zip(seen[1].chunks(8))
                .filter(|(a, b)| a == b)
                .count();
            assert_eq!(equal, 0, "equal blocks of 16 bytes at equal addresses");
            assert!(seen[0].chunks(8).all(|block| block.iter().any(|unit| *unit != 0)));
        }
    });
}

#[test]
fn eight_bits_lose_little() {
    let pool = Pool::new(2);
    let kernels = Kernels::detect();
    let said = |precision| {
        let layout = layout(2, 128, precision);
        let pages = PagePool::new(layout, 10, |_| 0);
        Text::new(300, rule(4, 128), layout, 1.7, 11).said(kernels, &pool, &pages, &[300])
    };
    let exact = said(KvPrecision::F32);
    let size: f64 = exact.iter().map(|x| f64::from(*x).powi(2)).sum();
    let off = |found: &[f32]| {
        let squares: f64 = found
            .iter()
            .zip(&exact)
            .map(|(a, b)| f64::from(a - b).powi(2))
            .sum();
        (squares / size).sqrt()
    };
    let (q8, f16, bf16) = (
        off(&said(KvPrecision::Q8)),
        off(&said(KvPrecision::F16)),
        off(&said(KvPrecision::Bf16)),
    );
    assert!(
        q8 < 0.01 && f16 < 0.0005 && bf16 < 0.005,
        "off by {q8}, {f16}, {bf16} of the size"
    );
}
