//! How fast products are, on the matrices of a whole model: `products [THREADS] [SET] [PRECISION,...]`.
//!
//! Why apart: a program to tune kernels by; docs/performance.md says how it is run.
//!
//! # Invariants
//! Medians; weights are larger than any cache.

#![allow(clippy::print_stdout)]

use std::time::Instant;

use anchorhold_kernels::matmul::choice::multiply_and_choose;
use anchorhold_kernels::race::Race;
use anchorhold_kernels::{Activations, BlockFormat, KernelSet, Kernels, Matrix, Pool, Precision, multiply};

/// Outputs and inputs of one layer of Qwen3-0.6B.
const LAYER: [(usize, usize); 7] = [
    (2048, 1024),
    (1024, 1024),
    (1024, 1024),
    (1024, 2048),
    (3072, 1024),
    (3072, 1024),
    (1024, 3072),
];
const LAYERS: usize = 28;
const HEAD: (usize, usize) = (151_936, 1024);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let threads = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(2);
    let set = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(KernelSet::Amx);
    let wanted = arguments.next();
    let kernels = Kernels::at_most(set);
    let pool = Pool::new(threads);
    println!("{} threads, {}", threads, kernels.set());
    let kinds = [
        (BlockFormat::Q8_0, Precision::Q8),
        (BlockFormat::Q4_0, Precision::Q4),
        (BlockFormat::Q4K, Precision::Q4K),
        (BlockFormat::Q6K, Precision::Q6K),
        (BlockFormat::Bf16, Precision::Bf16),
        (BlockFormat::F16, Precision::F16),
        (BlockFormat::F32, Precision::F32),
    ];
    for (format, precision) in kinds {
        let name = format!("{precision:?}");
        if wanted
            .as_ref()
            .is_none_or(|wanted| wanted.split(',').any(|wanted| wanted == name))
        {
            measure(kernels, &pool, format, precision);
        }
    }
}

fn measure(kernels: Kernels, pool: &Pool, format: BlockFormat, precision: Precision) {
    let start = Moment::now();
    let shapes = (0..LAYERS).flat_map(|_| LAYER).chain([HEAD]);
    let matrices: Vec<Matrix> = shapes
        .map(|(outputs, inputs)| random(format, precision, outputs, inputs))
        .collect();
    let bytes: usize = matrices.iter().map(Matrix::bytes).sum();
    let (packing, own) = start.elapsed();
    println!(
        "{precision:?}: {:.0} MiB, packed in {packing:.2} s = {:.2} GB/s; {:.2} GB/s of own time",
        bytes as f64 / 1_048_576.0,
        bytes as f64 / packing / 1e9,
        bytes as f64 / own / 1e9,
    );
    for rows in [1, 2, 4, 8, 12, 16] {
        let (median, own) = passes(7, || step(kernels, pool, &matrices, rows));
        println!(
            "  decode, {rows:2} rows: {:7.2} ms, {:5.1} GB/s, {:6.1} tokens/s; of own time {:7.2} ms, {:6.1} tokens/s",
            median * 1e3,
            bytes as f64 / median / 1e9,
            rows as f64 / median,
            own * 1e3,
            rows as f64 / own
        );
    }
    for rows in [1, 16, 64] {
        let table = matrices.last().expect("a table");
        let ids: Vec<u32> = (0..rows as u32).map(|i| i * 9973 % HEAD.0 as u32).collect();
        let mut out = vec![0f32; rows * HEAD.1];
        let (median, own) = passes(5, || table.gather_oblivious(kernels, pool, &ids, &mut out));
        println!(
            "  gather, {rows:2} rows: {:7.2} ms; of own time {:7.2} ms",
            median * 1e3,
            own * 1e3
        );
    }
    for rows in [1, 2, 4, 16] {
        let table = matrices.last().expect("a table");
        let values = vec![0.5f32; rows * HEAD.1];
        let mut activations = Activations::new(kernels);
        activations.prepare(pool, &[precision], HEAD.1, &values);
        let mut out = vec![0f32; rows * HEAD.0];
        for temperature in [0.0, 1.0] {
            let races: Vec<(usize, Race)> = (0..rows)
                .map(|row| (row, Race::new(&[row as u8; 32], 0, temperature)))
                .collect();
            let mut seconds = (Vec::new(), Vec::new());
            for _ in 0..9 {
                let (plain, _) = passes(1, || multiply(pool, table, &activations, &mut out));
                let (raced, _) = passes(1, || {
                    multiply_and_choose(pool, table, &activations, &mut out, &races, &|_| {});
                });
                seconds.0.push(plain);
                seconds.1.push(raced);
            }
            seconds.0.sort_by(f64::total_cmp);
            seconds.1.sort_by(f64::total_cmp);
            println!(
                "  table, {rows:2} rows, temperature {temperature}: {:7.2} ms, with a race each {:7.2} ms",
                seconds.0[4] * 1e3,
                seconds.1[4] * 1e3
            );
        }
    }
    let rows = 512;
    let layers = 4;
    let some = &matrices[..LAYER.len() * layers];
    let share = layers as f64 / LAYERS as f64;
    let (median, own) = passes(3, || step(kernels, pool, some, rows));
    let products: usize = LAYER.iter().map(|(outputs, inputs)| outputs * inputs).sum();
    println!(
        "  prefill of {rows}: {:6.1} tokens/s, {:.3} T operations/s; of own time {:6.1} tokens/s",
        rows as f64 / median * share,
        2.0 * (products * layers * rows) as f64 / median / 1e12,
        rows as f64 / own * share
    );
}

/// When something began: by the clock, and by the time that this thread was given. On a busy machine the second says
/// more, for one thread.
struct Moment {
    clock: Instant,
    given: f64,
}

impl Moment {
    fn now() -> Self {
        Self {
            clock: Instant::now(),
            given: given(),
        }
    }

    fn elapsed(&self) -> (f64, f64) {
        (self.clock.elapsed().as_secs_f64(), given() - self.given)
    }
}

/// Seconds that this thread ran, as Linux counts them.
fn given() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text
        .split(' ')
        .next()
        .and_then(|number| number.parse::<u64>().ok());
    first.map_or(f64::NAN, |nanoseconds| nanoseconds as f64 / 1e9)
}

/// All products of one pass, activations prepared where a model would.
fn step(kernels: Kernels, pool: &Pool, matrices: &[Matrix], rows: usize) {
    let widest = 3072;
    let values: Vec<f32> = (0..rows * widest)
        .map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0)
        .collect();
    let mut out = vec![0f32; rows * HEAD.0];
    let mut activations = Activations::new(kernels);
    for (index, matrix) in matrices.iter().enumerate() {
        // Queries, keys and values share theirs, and so do gate and up.
        if ![1, 2, 5].contains(&(index % LAYER.len())) || index + 1 == matrices.len() {
            let values = &values[..rows * matrix.inputs()];
            activations.prepare(pool, &[matrix.precision()], matrix.inputs(), values);
        }
        multiply(pool, matrix, &activations, &mut out[..rows * matrix.outputs()]);
    }
}

/// Medians of seconds by the clock, and of this thread's own.
fn passes(times: usize, mut pass: impl FnMut()) -> (f64, f64) {
    let mut seconds: (Vec<f64>, Vec<f64>) = (0..times)
        .map(|_| {
            let start = Moment::now();
            pass();
            start.elapsed()
        })
        .unzip();
    seconds.0.sort_by(f64::total_cmp);
    seconds.1.sort_by(f64::total_cmp);
    (seconds.0[times / 2], seconds.1[times / 2])
}

fn random(format: BlockFormat, precision: Precision, outputs: usize, inputs: usize) -> Matrix {
    let mut state = 1u32;
    let rows: Vec<Vec<u8>> = (0..16)
        .map(|_| {
            let mut row = Vec::new();
            for _ in 0..inputs / format.block_weights() {
                // Small bytes make ordinary numbers and scales of any format.
                row.extend((0..format.block_bytes()).map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 26) as u8
                }));
            }
            row
        })
        .collect();
    let mut builder = Matrix::builder(precision, outputs, inputs).expect("a shape of a model");
    for index in 0..outputs {
        builder
            .push(format, &rows[index % rows.len()])
            .expect("a row of the shape");
    }
    builder.finish().expect("as many rows as asked for")
}
