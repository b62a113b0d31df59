//! Tokens a second while threads of others are busy, beside llama.cpp's.
//!
//! Why apart: a pool of threads that wait for each other suffers more from one busy core than its share.
//!
//! # Invariants
//! The foreign threads are this program's own, do nothing but count, and are the same for both sides.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use super::compare::{Pairs, Spread};
use super::options::{Options, subjects};
use super::ours;
use super::prepared::Prepared;
use super::rival::{Rival, SETTINGS};
use super::work::{Unit, Work};
use crate::arguments::Arguments;
use crate::figures::{Report, rounded};
use crate::{Failure, machine};

const COLUMNS: &[&str] = &[
    "model",
    "format",
    "threads",
    "foreign",
    "work",
    "ours t/s",
    "llama.cpp t/s",
    "ratio",
    "ours to quiet",
    "llama.cpp to quiet",
];

pub(crate) fn run(mut arguments: Arguments) -> Result<Report, Failure> {
    let quick = arguments.flag("--quick");
    let options = Options::parse(&mut arguments, quick)?;
    let (shapes, mixes) = subjects(&mut arguments, "q8_0,q4_0")?;
    let threads = arguments.count("--threads", machine::cores())?;
    let foreign: Vec<usize> = arguments.list("--foreign", "0,1,4")?;
    let tokens = arguments.count("--tokens", if quick { 16 } else { 64 })?;
    arguments.end()?;
    let rival = options
        .rival
        .then(|| Rival::find(&options.tools_folder))
        .transpose()?;
    let mut report = Report::new("foreign", COLUMNS);
    for shape in &shapes {
        for mix in &mixes {
            let model = Prepared::random(&options.models_folder, shape, *mix)?;
            let work = Work::Decode { depth: 0, tokens };
            let unit = Unit {
                shape: *shape,
                mix: *mix,
                threads,
                kernels: None,
                works: vec![work],
            };
            let mut pairs = vec![Pairs::default(); foreign.len()];
            for round in 0..options.rounds {
                for (count, pairs) in foreign.iter().zip(&mut pairs) {
                    let busy = Busy::start(*count);
                    let ours =
                        || ours::measure(&unit, &model, options.plain_gather).map(|found| found.rates[0].1);
                    let theirs = || rival.as_ref().map(|rival| best(rival, &unit, &model)).transpose();
                    // Each goes first as often as the other.
                    let (ours, theirs) = if round % 2 == 0 {
                        let ours = ours()?;
                        (ours, theirs()?)
                    } else {
                        let theirs = theirs()?;
                        (ours()?, theirs)
                    };
                    drop(busy);
                    pairs.push(Some(ours), theirs);
                }
            }
            let quiet = foreign.iter().position(|count| *count == 0).map(|at| &pairs[at]);
            let quiet = quiet.map(|pairs| (pairs.ours(), pairs.theirs()));
            for (count, pairs) in foreign.iter().zip(&pairs) {
                let middle = |spread: Option<Spread>| spread.map_or(Value::Null, |of| rounded(of.median));
                let part = |of: Option<Spread>, all: Option<Spread>| {
                    let part = of.zip(all).map(|(of, all)| of.median / all.median);
                    part.map_or(Value::Null, rounded)
                };
                report.row(vec![
                    json!(shape.name),
                    json!(mix.name()),
                    json!(threads),
                    json!(count),
                    json!(work.name()),
                    middle(pairs.ours()),
                    middle(pairs.theirs()),
                    middle(pairs.ratio()),
                    part(pairs.ours(), quiet.and_then(|(ours, _)| ours)),
                    part(pairs.theirs(), quiet.and_then(|(_, theirs)| theirs)),
                ]);
            }
        }
    }
    report.single("rounds", json!(options.rounds));
    report.note(
        "medians of the rounds; foreign: threads of another process that are always busy; to quiet: to the same side's rate with \
         none; llama.cpp has the better of flash attention on and off",
    );
    Ok(report)
}

/// The better of its settings.
fn best(rival: &Rival, unit: &Unit, model: &Prepared) -> Result<f64, Failure> {
    let mut best: Option<f64> = None;
    let mut last = None;
    for setting in SETTINGS.into_iter().flatten() {
        if best.is_some() && !setting.repack {
            break;
        }
        match rival.measure(unit, &unit.works, &model.gguf(), setting) {
            Ok(found) => best = super::rival::most(best, found.rates.first().map(|(_, rate)| *rate)),
            Err(error) => last = Some(error),
        }
    }
    best.ok_or_else(|| last.unwrap_or_else(|| "llama.cpp gave no figure".into()))
}

/// Threads that are always busy, until it is dropped.
struct Busy {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Busy {
    fn start(count: usize) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let threads = (0..count)
            .map(|_| {
                let over = Arc::clone(&over);
                std::thread::spawn(move || {
                    let mut counted = 0u64;
                    while !over.load(Ordering::Relaxed) {
                        counted = std::hint::black_box(counted.wrapping_add(1));
                    }
                })
            })
            .collect();
        Self { over, threads }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // It does nothing that could panic.
            let _ = thread.join();
        }
    }
}
