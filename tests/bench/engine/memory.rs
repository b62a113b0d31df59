//! Memory: what loading takes beside what it leaves, and what answers take beside what was computed.
//!
//! Why apart: both are peaks of a process of its own, which the system counts.
//!
//! # Invariants
//! The computed figure is the engine's own, the one that the enclave prints when it starts. All pages for keys and values
//! are written: none is counted that was not needed.

use std::path::{Path, PathBuf};

use anchorhold_kernels::kv::Layout;
use anchorhold_models::{KvPrecision, LoadOptions, Model, Quantise};
use serde_json::{Value, json};

use super::options::{Options, subjects};
use super::ours;
use super::prepared::Prepared;
use super::shape::Shape;
use super::step::{begin_all, go_on, start};
use crate::arguments::{Arguments, Usage};
use crate::figures::{Report, rounded};
use crate::model::Size;
use crate::{Failure, machine};

const COLUMNS: &[&str] = &[
    "model",
    "format",
    "made",
    "file MiB",
    "packed MiB",
    "load peak MiB",
    "beyond MiB",
    "streams",
    "computed MiB",
    "peak MiB",
    "peak/computed",
];

const NOTE: &str = "packed: what loading leaves as weights; load peak: most that the process had from its start until the model \
    was ready; beyond: that, without what the process had before and without what is packed; computed: weights, pages, one \
    pass's memory, program and tokenizer, as the enclave prints them; peak: most while the streams ran, all pages written";

const MIB: f64 = (1 << 20) as f64;

pub(crate) fn run(mut arguments: Arguments) -> Result<Report, Failure> {
    let quick = arguments.flag("--quick");
    let options = Options::parse(&mut arguments, quick)?;
    let (shapes, mixes) = subjects(&mut arguments, "q8_0,q4_0,bf16")?;
    let quantise: Option<String> = arguments.value("--quantise")?;
    let gguf = arguments.flag("--gguf");
    let beside = arguments.flag("--tokenizer-json");
    let threads = arguments.count("--threads", machine::cores())?;
    let streams = arguments.count("--streams", 32)?;
    let positions = arguments.value("--positions")?.unwrap_or(256);
    arguments.end()?;
    if positions <= ANSWER {
        return Err(Usage(format!("--positions is more than {ANSWER}")).into());
    }
    let mut report = Report::new("memory", COLUMNS);
    report.note(NOTE);
    if made(quantise.as_deref())?.is_some() && !gguf {
        return quantised(report, &options.models_folder, quantise.as_deref(), threads);
    }
    for shape in &shapes {
        for mix in &mixes {
            let model = match beside {
                true => Prepared::random_beside(&options.models_folder, shape, *mix)?,
                false => Prepared::random(&options.models_folder, shape, *mix)?,
            };
            let mut step = vec![
                "memory-step".to_owned(),
                "--model".to_owned(),
                model.folder().display().to_string(),
                "--threads".to_owned(),
                threads.to_string(),
                "--streams".to_owned(),
                streams.to_string(),
                "--positions".to_owned(),
                positions.to_string(),
                "--kv-bytes".to_owned(),
                kv_bytes(shape, streams, positions).to_string(),
            ];
            step.extend(
                quantise
                    .iter()
                    .flat_map(|to| ["--quantise".to_owned(), to.clone()]),
            );
            let found = ours::child(&step)?;
            let figure = |name: &str| found[name].as_f64().ok_or("a step gives numbers");
            let file = std::fs::metadata(model.gguf())?.len() as f64 / MIB;
            let mut row = vec![json!(shape.name), json!(mix.name()), json!(quantise)];
            row.push(rounded(file));
            for name in ["packed_mib", "load_peak_mib", "beyond_mib"] {
                row.push(rounded(figure(name)?));
            }
            row.push(json!(streams));
            for name in ["computed_mib", "peak_mib", "ratio"] {
                row.push(rounded(figure(name)?));
            }
            report.row(row);
        }
    }
    Ok(report)
}

/// Loading alone, of safetensors that become smaller.
fn quantised(
    mut report: Report,
    models: &Path,
    quantise: Option<&str>,
    threads: usize,
) -> Result<Report, Failure> {
    let name = "125m";
    let size: Size = name.parse().map_err(|()| "a size of model")?;
    let model = Prepared::safetensors(models, size)?;
    let mut step = ["memory-step", "--model"].map(str::to_owned).to_vec();
    step.push(model.folder().display().to_string());
    let threads = threads.to_string();
    let rest = [
        "--threads",
        &threads,
        "--streams",
        "0",
        "--positions",
        "64",
        "--kv-bytes",
        "16777216",
    ];
    step.extend(rest.map(str::to_owned));
    step.extend(
        quantise
            .iter()
            .flat_map(|to| ["--quantise".to_owned(), (*to).to_owned()]),
    );
    let found = ours::child(&step)?;
    let file = std::fs::metadata(model.folder().join("model/model.safetensors"))?.len() as f64 / MIB;
    let mut row = vec![json!(name), json!("f16"), json!(quantise), rounded(file)];
    for name in ["packed_mib", "load_peak_mib", "beyond_mib"] {
        row.push(rounded(found[name].as_f64().ok_or("a step gives numbers")?));
    }
    row.extend([json!(0), Value::Null, Value::Null, Value::Null]);
    report.row(row);
    Ok(report)
}

/// Pages for exactly these streams.
fn kv_bytes(shape: &Shape, streams: usize, positions: usize) -> usize {
    let layout = Layout {
        layers: shape.layers,
        kv_heads: shape.kv_heads,
        width: shape.head_width,
        precision: KvPrecision::F16,
    };
    streams * layout.pages(positions) * layout.page_bytes()
}

/// Tokens of each stream's answer; its prompt fills the rest of its pages.
const ANSWER: usize = 4;

/// In a process of its own: its peaks are the model's.
pub(crate) fn step(mut arguments: Arguments) -> Result<Value, Failure> {
    let folder: PathBuf = arguments.needed("--model")?;
    let threads: usize = arguments.needed("--threads")?;
    let streams: usize = arguments.needed("--streams")?;
    let positions: usize = arguments.needed("--positions")?;
    let kv_bytes: u64 = arguments.needed("--kv-bytes")?;
    let quantise: Option<String> = arguments.value("--quantise")?;
    arguments.end()?;
    let options = LoadOptions {
        threads,
        kv_bytes: Some(kv_bytes),
        quantise: made(quantise.as_deref())?,
        ..LoadOptions::default()
    };
    let before = mib(machine::resident_kib("self"))?;
    let model = Model::load(Prepared::at(folder).unseal_for(options.quantise)?, options, &())?;
    let Model::Decoder(decoder) = model else {
        return Err("not a model that answers".into());
    };
    let load_peak = mib(machine::peak_kib("self"))?;
    let memory = decoder.memory();
    let packed = memory.weights as f64 / MIB;

    machine::forget_peak()?;
    let mut running = (0..streams)
        .map(|number| start(&decoder, positions - ANSWER, number, ANSWER))
        .collect::<Result<Vec<_>, _>>()?;
    begin_all(&decoder, &mut running)?;
    go_on(&decoder, &mut running, ANSWER - 1)?;
    let peak = mib(machine::peak_kib("self"))?;
    let computed = memory.total() as f64 / MIB;
    Ok(json!({
        "before_mib": before,
        "packed_mib": packed,
        "load_peak_mib": load_peak,
        "beyond_mib": load_peak - before - packed,
        "computed_mib": computed,
        "kv_mib": memory.kv as f64 / MIB,
        "scratch_mib": memory.scratch as f64 / MIB,
        "peak_mib": peak,
        "ratio": peak / computed,
    }))
}

pub(super) fn made(quantise: Option<&str>) -> Result<Option<Quantise>, Failure> {
    match quantise {
        None => Ok(None),
        Some("q8") => Ok(Some(Quantise::Q8)),
        Some("q4") => Ok(Some(Quantise::Q4)),
        Some(other) => Err(Usage(format!("--quantise cannot be {other:?}")).into()),
    }
}

fn mib(kib: Option<u64>) -> Result<f64, Failure> {
    Ok(kib.ok_or("this system does not tell a process's memory")? as f64 / 1024.0)
}
