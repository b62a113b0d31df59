//! Two ways of doing one thing, timed in turns.
//!
//! Why apart: on a machine that others use too, only a ratio within one run says something, and two programs need it.
//!
//! # Invariants
//! Each round times both, and every other round begins with the other. What is compared is the median over rounds of the
//! ratio within a round. The clock is the thread's own processor time: what others do meanwhile is not counted.

use std::hint::black_box;
use std::io::Write as _;

use rustix::time::{ClockId, clock_gettime};

/// Times `ours` and `theirs` in turns, and writes one line to standard output.
pub(crate) fn compare<A, B>(
    name: &str,
    rounds: usize,
    mut ours: impl FnMut() -> A,
    mut theirs: impl FnMut() -> B,
) {
    let mut measured: Vec<(f64, f64)> = Vec::with_capacity(rounds);
    for round in 0..rounds + rounds / 10 {
        let pair = if round % 2 == 0 {
            let first = time(&mut ours);
            (first, time(&mut theirs))
        } else {
            let first = time(&mut theirs);
            (time(&mut ours), first)
        };
        // The first tenth only warms up.
        if round >= rounds / 10 {
            measured.push(pair);
        }
    }
    let of = |pick: fn(&(f64, f64)) -> f64| -> Vec<f64> {
        let mut all: Vec<f64> = measured.iter().map(pick).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    let ours = middle(&of(|pair| pair.0));
    let theirs = middle(&of(|pair| pair.1));
    let ratios = of(|pair| pair.1 / pair.0);
    // Order statistics between which the median lies 95 of 100 times.
    let half = 0.98 * (rounds as f64).sqrt();
    let (low, high) = (rounds as f64 / 2.0 - half, rounds as f64 / 2.0 + half);
    let _ = writeln!(
        std::io::stdout(),
        "{name}: ours {ours:.1} us ({:.0}/s), theirs {theirs:.1} us, theirs/ours {:.3} (95 of 100: {:.3} to {:.3}), {rounds} rounds",
        1e6 / ours,
        middle(&ratios),
        ratios[low as usize],
        ratios[(high as usize).min(rounds - 1)],
    );
}

/// Microseconds of this thread's processor time.
fn time<T>(work: &mut impl FnMut() -> T) -> f64 {
    let start = now();
    black_box(work());
    now() - start
}

fn now() -> f64 {
    let clock = clock_gettime(ClockId::ThreadCPUTime);
    clock.tv_sec as f64 * 1e6 + clock.tv_nsec as f64 / 1e3
}

fn middle(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}
