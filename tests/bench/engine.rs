//! The engine beside llama.cpp: `decode`, `prefill`, `batch`, `depth`, `all`; `perplexity`, `embeddings`.
//!
//! Why apart: models are made on the spot, and the same file is given to both sides.
//!
//! - [`options`]: what is measured; [`work`]: its pieces
//! - [`shape`], [`vocabulary`], [`quantise`], [`gguf`], [`weights`]: a file of random weights in a published model's shape
//! - [`prepared`]: that file, sealed for us
//! - [`rounds`]: both sides in turns, of [`ours`] (with [`step`] as its process) and [`rival`]
//! - [`perplexity`]: of both sides on one text; [`embeddings`]: beside onnxruntime; [`memory`]: peaks beside what was computed
//! - [`cadence`]: how evenly tokens come; [`https`]: through the enclave; [`foreign`]: beside busy threads; [`loading`]: from a
//!   sealed file
//! - [`device`]: on a GPU, where a build has that
//! - [`bandwidth`]: the roof; [`compare`], [`plot`], [`progress`]: what is shown
//!
//! # Invariants
//! A figure that one side lacks is `null`, and a note says why.

pub(crate) mod bandwidth;
pub(crate) mod cadence;
mod compare;
pub(crate) mod device;
pub(crate) mod embeddings;
pub(crate) mod foreign;
mod gguf;
pub(crate) mod https;
pub(crate) mod loading;
pub(crate) mod memory;
pub(crate) mod options;
mod ours;
pub(crate) mod perplexity;
mod plot;
mod prepared;
mod progress;
mod quantise;
mod rival;
mod rounds;
mod shape;
pub(crate) mod step;
mod vocabulary;
mod weights;
mod work;

use serde_json::{Value, json};

use crate::Failure;
use crate::arguments::Arguments;
use crate::figures::{Report, rounded};
use compare::Spread;
use options::{Options, Part};
use plot::{Line, Panel};
use rival::Rival;
use rounds::Row;
use work::Work;

const COLUMNS: &[&str] = &[
    "model",
    "format",
    "kernels",
    "threads",
    "work",
    "ours t/s",
    "llama.cpp t/s",
    "ratio",
    "least",
    "most",
    "ours MiB",
    "llama.cpp MiB",
    "its setting",
];

pub(crate) fn run(part: Part, mut arguments: Arguments) -> Result<Report, Failure> {
    let quick = arguments.flag("--quick");
    let options = Options::parse(&mut arguments, quick)?;
    let units = options::units(part, &mut arguments, quick)?;
    arguments.end()?;
    let rival = options
        .rival
        .then(|| Rival::find(&options.tools_folder))
        .transpose()?;
    let before = bandwidth::of_machine();
    let outcome = rounds::run(units, rival.as_ref(), &options)?;
    let mut report = Report::new("engine", COLUMNS);
    for row in &outcome.rows {
        report.row(shown(row));
    }
    for failure in &outcome.failures {
        report.note(format!("FAILED: {failure}"));
    }
    report.single("rounds", json!(options.rounds));
    report.single("read before, GB/s", rounded(before));
    report.single("read after, GB/s", rounded(bandwidth::of_machine()));
    report.note(
        "t/s: tokens a second, medians of the rounds; ratio: ours to llama.cpp's within a round, median, least and \
         most; MiB: peak resident memory of the process that did all works of one line's model, format and threads; \
         llama.cpp has the better of flash attention on and off for each work",
    );
    if let Some(path) = &options.svg {
        std::fs::write(path, plot::svg(&panels(&outcome.rows)))?;
    }
    Ok(report)
}

fn shown(row: &Row) -> Vec<Value> {
    let value =
        |spread: Option<Spread>, pick: fn(Spread) -> f64| spread.map_or(Value::Null, |of| rounded(pick(of)));
    let middle = |spread| value(spread, |of| of.median);
    let ratio = row.pairs.ratio();
    vec![
        json!(row.unit.shape.name),
        json!(row.unit.mix.name()),
        json!(row.kernels),
        json!(row.unit.threads),
        json!(row.work.name()),
        middle(row.pairs.ours()),
        middle(row.pairs.theirs()),
        middle(ratio),
        value(ratio, |of| of.low),
        value(ratio, |of| of.high),
        middle(row.ours_mib),
        middle(row.theirs_mib),
        row.setting.map_or(Value::Null, |setting| json!(setting.name())),
    ]
}

/// Tokens a second over streams, and over what is before them: a panel for each model that has several of either.
fn panels(rows: &[Row]) -> Vec<Panel> {
    let streams = |work: Work| match work {
        Work::Batch { streams, .. } => Some(streams),
        Work::Prefill { .. } | Work::Decode { .. } => None,
    };
    let depth = |work: Work| match work {
        Work::Decode { depth, .. } => Some(depth),
        Work::Prefill { .. } | Work::Batch { .. } => None,
    };
    let over_streams = panels_over(rows, "total over streams", "streams", true, &streams);
    let over_depth = panels_over(rows, "of one stream over context", "tokens before", false, &depth);
    over_streams.into_iter().chain(over_depth).collect()
}

fn panels_over(
    rows: &[Row],
    title: &str,
    across: &'static str,
    doubling: bool,
    place: &dyn Fn(Work) -> Option<usize>,
) -> Vec<Panel> {
    let mut panels: Vec<(&str, Panel)> = Vec::new();
    let mut colours: Vec<String> = Vec::new();
    // Rows of one unit lie together.
    for rows in rows.chunk_by(|one, other| one.unit == other.unit) {
        let unit = &rows[0].unit;
        let points = |side: &dyn Fn(&Row) -> Option<Spread>| -> Vec<(f64, f64)> {
            let point = |row: &Row| Some((place(row.work)? as f64, side(row)?.median));
            rows.iter().filter_map(point).collect()
        };
        let (ours, theirs) = (points(&|row| row.pairs.ours()), points(&|row| row.pairs.theirs()));
        if ours.len().max(theirs.len()) < 2 {
            continue;
        }
        let kind = unit
            .name()
            .split_once(' ')
            .map(|(_, kind)| kind.to_owned())
            .unwrap_or_default();
        let colour = colours.iter().position(|of| *of == kind).unwrap_or_else(|| {
            colours.push(kind.clone());
            colours.len() - 1
        });
        let lines = [("ours", false, ours), ("llama.cpp", true, theirs)];
        let lines =
            lines
                .into_iter()
                .filter(|(.., points)| !points.is_empty())
                .map(|(side, dashed, points)| Line {
                    name: format!("{kind} {side}"),
                    colour,
                    dashed,
                    points,
                });
        let at = panels.iter().position(|(model, _)| *model == unit.shape.name);
        let at = at.unwrap_or_else(|| {
            let panel = Panel {
                title: format!("{}: tokens a second, {title}", unit.shape.name),
                across,
                doubling,
                lines: Vec::new(),
            };
            panels.push((unit.shape.name, panel));
            panels.len() - 1
        });
        panels[at].1.lines.extend(lines);
    }
    panels.into_iter().map(|(_, panel)| panel).collect()
}
