//! How fast memory is read, by as many threads as compute.
//!
//! Why apart: one stream reads all weights for each token, so that this is its roof. On a shared machine it changes within
//! minutes, by what else runs there and by which cores a hypervisor gives: a figure means little without it.
//!
//! # Invariants
//! What is read was written before, lies in large pages where the system has them, and is larger than any cache.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anchorhold_kernels::{Buffer, Pool};
use serde_json::json;

use crate::arguments::Arguments;
use crate::figures::{Report, gigabytes, median, rounded};
use crate::{Failure, machine};

/// Numbers of four bytes that are read, 256 MiB.
const NUMBERS: usize = 64 << 20;
/// Readings, of which the median counts.
const READINGS: usize = 5;
/// Parts of what is read, which threads share.
const PARTS: usize = 16;
/// Tries of `--at-least`.
const TRIES: usize = 120;
const PAUSE: Duration = Duration::from_secs(2);

pub(crate) fn run(mut arguments: Arguments) -> Result<Report, Failure> {
    let threads: Vec<usize> = arguments.list("--threads", "1,2")?;
    let wanted: Option<f64> = arguments.value("--at-least")?;
    arguments.end()?;
    let mut report = Report::new("bandwidth", &["threads", "GB/s"]);
    let most = threads.iter().copied().max().unwrap_or(1);
    if let Some(wanted) = wanted {
        let mut tries = 1;
        while measure(most) < wanted {
            if tries == TRIES {
                return Err(format!("{most} threads did not read {wanted} GB/s in {TRIES} tries").into());
            }
            tries += 1;
            std::thread::sleep(PAUSE);
        }
        report.single("tries", json!(tries));
    }
    for threads in threads {
        report.row(vec![json!(threads), rounded(measure(threads))]);
    }
    Ok(report)
}

/// GB/s of all cores together.
pub(crate) fn of_machine() -> f64 {
    measure(machine::cores())
}

fn measure(threads: usize) -> f64 {
    let pool = Pool::new(threads);
    let mut numbers = Buffer::<f32>::zeroed(NUMBERS);
    // Memory that was never written may all be one page of zeros.
    numbers.fill(1.0);
    let numbers = &*numbers;
    let times: Vec<f64> = (0..READINGS)
        .map(|_| {
            let start = Instant::now();
            pool.run(PARTS, &|part| {
                let part = &numbers[part * (NUMBERS / PARTS)..][..NUMBERS / PARTS];
                black_box(part.iter().fold(0, |sum, number| sum ^ number.to_bits()));
            });
            gigabytes(4 * NUMBERS as u64, start.elapsed())
        })
        .collect();
    median(&times)
}
