//! From the start of an enclave's process to the first connection it takes, by model size.
//!
//! # Invariants
//! Steps are told apart by the enclave's own events, at the time they were read here.

use std::time::Instant;

use serde_json::json;

use crate::arguments::Arguments;
use crate::figures::{Report, median, rounded};
use crate::model::Size;
use crate::{Failure, machine, stack};

const COLUMNS: &[&str] = &[
    "model",
    "sealed MiB",
    "attest ms",
    "key ms",
    "unseal+load ms",
    "listen ms",
    "total ms",
    "verify ms",
    "peak MiB",
];

/// Events at which a step ends, in their order.
const STEPS: [&str; 4] = ["attesting", "unsealing", "ready", "listening"];

pub(crate) fn run(mut arguments: Arguments) -> Result<Report, Failure> {
    let sizes = arguments.list::<Size>("--params", "demo,25m,125m,500m")?;
    let rounds: usize = arguments.value("--rounds")?.unwrap_or(5);
    arguments.end()?;
    let mut report = Report::new("ready", COLUMNS);
    for size in sizes {
        let work = tempfile::tempdir()?;
        let world = stack::world(&size.folder(work.path())?)?;
        let _broker = world.start_broker();
        let mut rounds = (0..rounds)
            .map(|_| start(&world))
            .collect::<Result<Vec<_>, _>>()?;
        // The first start reads the program and the sealed file from the disk; it is not counted where others are.
        if rounds.len() > 1 {
            rounds.remove(0);
        }
        let middle = |column: usize| {
            let values: Vec<f64> = rounds.iter().map(|round| round[column]).collect();
            rounded(median(&values))
        };
        let sealed = world.sealed["sealed_bytes"].as_u64().ok_or("no sealed_bytes")?;
        let mut row = vec![json!(size.name()), rounded(sealed as f64 / 1_048_576.0)];
        row.extend((0..7).map(middle));
        report.row(row);
    }
    report.note(
        "attest: process start to evidence; key: two round trips to the broker on this machine; unseal+load: \
         decrypt, check every byte, build the model; total: process start to listening; verify: \
         `client verify` as a new process, from fresh evidence to a bound connection",
    );
    report.note("medians; every round is a new process with the sealed file in the page cache");
    Ok(report)
}

/// Milliseconds of each step and of the whole, of a first verification, and the peak memory in MiB.
fn start(world: &anchorhold_tests::world::World) -> Result<[f64; 7], Failure> {
    let begin = Instant::now();
    let mut enclave = world.start_enclave(&world.config);
    let mut ends = [0.0; 4];
    let mut port = 0;
    for (end, event) in ends.iter_mut().zip(STEPS) {
        let told = enclave.event(event).ok_or("the enclave does not come to serve")?;
        *end = begin.elapsed().as_secs_f64() * 1e3;
        port = told["port"].as_u64().unwrap_or(port);
    }
    let peak = machine::peak_kib(&enclave.id().to_string()).map_or(f64::NAN, |kib| kib as f64 / 1024.0);
    let asked = Instant::now();
    let client = world.client(u16::try_from(port)?, &["verify", "--json"]);
    if client.code != 0 {
        return Err("the client does not affirm the enclave".into());
    }
    let verified = asked.elapsed().as_secs_f64() * 1e3;
    let [attesting, unsealing, ready, listening] = ends;
    Ok([
        attesting,
        unsealing - attesting,
        ready - unsealing,
        listening - ready,
        listening,
        verified,
        peak,
    ])
}
