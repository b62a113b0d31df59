//! How long attention takes: all layers of a Qwen3-0.6B shape, at several depths and for a prompt.
//!
//! Why apart: tests measure no time.
//!
//! `cargo run --release -p anchorhold-kernels --example attention [THREADS] [SET] [DEPTH...]`
//!
//! # Invariants
//! Medians of interleaved runs, in milliseconds by the clock.

#![allow(clippy::print_stdout)]

use std::time::Instant;

use anchorhold_kernels::attention::{Job, Rule, Workspace, attend};
use anchorhold_kernels::kv::{KvPrecision, Layout, PagePool, Sequence};
use anchorhold_kernels::{KernelSet, Kernels, Pool};

const LAYERS: usize = 28;
const HEADS: usize = 16;
const KV_HEADS: usize = 8;
const WIDTH: usize = 128;
const RUNS: usize = 9;

struct Case {
    name: String,
    layout: Layout,
    sequence: Sequence,
    workspace: Workspace,
    milliseconds: Vec<f64>,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let threads = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1);
    let limit = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(KernelSet::Amx);
    let kernels = Kernels::at_most(limit);
    let pool = Pool::new(threads);
    println!("{threads} threads, {}", kernels.set());

    let mut hand_overs: Vec<f64> = (0..2001)
        .map(|_| {
            let start = Instant::now();
            pool.run(2 * threads, &|_| std::hint::spin_loop());
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    hand_overs.sort_by(f64::total_cmp);
    println!(
        "hand-over of nothing             {:8.2} us (least {:.2})",
        hand_overs[1000], hand_overs[0]
    );

    let mut cases = Vec::new();
    let depths: Vec<usize> = arguments.filter_map(|text| text.parse().ok()).collect();
    let depths = if depths.is_empty() {
        vec![512, 2048, 8192]
    } else {
        depths
    };
    for (precision, masked) in [
        (KvPrecision::F16, false),
        (KvPrecision::Bf16, false),
        (KvPrecision::F16, true),
    ] {
        for depth in depths.clone() {
            let name = format!(
                "decode at {depth}, {precision:?}{}",
                if masked { ", masked" } else { "" }
            );
            let mut case = Case::new(name, precision, depth + RUNS + 1, &pool, masked);
            case.attend(kernels, &pool, depth, Some(1));
            cases.push(case);
        }
    }
    for _ in 0..RUNS {
        for case in &mut cases {
            let took = case.attend(kernels, &pool, 1, None);
            case.milliseconds.push(took);
        }
    }
    let mut prompt = Case::new(
        "prompt of 512, F16".to_owned(),
        KvPrecision::F16,
        512,
        &pool,
        false,
    );
    for _ in 0..3 {
        let layout = prompt.layout;
        prompt.sequence = sequence(layout, 512, false);
        let took = prompt.attend(kernels, &pool, 512, None);
        prompt.milliseconds.push(took);
    }
    cases.push(prompt);
    for case in &mut cases {
        case.milliseconds.sort_by(f64::total_cmp);
        let (least, median) = (
            case.milliseconds[0],
            case.milliseconds[case.milliseconds.len() / 2],
        );
        println!("{:32} {median:8.2} ms (least {least:.2})", case.name);
    }
}

fn sequence(layout: Layout, positions: usize, masked: bool) -> Sequence {
    let pages = PagePool::new(layout, layout.pages(positions), |_| 0);
    let pages = pages.reserve(pages.total()).expect("as many pages as there are");
    if masked {
        Sequence::masked(pages, &[7; 32])
    } else {
        Sequence::new(pages)
    }
}

impl Case {
    fn new(name: String, precision: KvPrecision, positions: usize, pool: &Pool, masked: bool) -> Self {
        let layout = Layout {
            layers: LAYERS,
            kv_heads: KV_HEADS,
            width: WIDTH,
            precision,
        };
        Self {
            name,
            layout,
            sequence: sequence(layout, positions, masked),
            workspace: Workspace::new(layout, HEADS, pool.threads()),
            milliseconds: Vec::new(),
        }
    }

    /// Attends in all layers (a window of one position fills pages fast), and says how many milliseconds that took.
    fn attend(&mut self, kernels: Kernels, pool: &Pool, rows: usize, window: Option<usize>) -> f64 {
        let numbers = |count: usize| -> Vec<f32> {
            (0..count)
                .map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0)
                .collect()
        };
        let (queries, keys) = (numbers(rows * HEADS * WIDTH), numbers(rows * KV_HEADS * WIDTH));
        let mut out = vec![0.0; queries.len()];
        let rule = Rule {
            heads: HEADS,
            window,
            scale: 1.0 / (WIDTH as f32).sqrt(),
            soft_cap: None,
        };
        let start = Instant::now();
        for layer in 0..LAYERS {
            let mut jobs = [Job {
                sequence: &mut self.sequence,
                queries: &queries,
                keys: &keys,
                values: &keys,
                out: &mut out,
            }];
            attend(kernels, pool, &mut self.workspace, layer, &rule, &mut jobs);
        }
        start.elapsed().as_secs_f64() * 1e3
    }
}
