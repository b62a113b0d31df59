//! Perplexity of both sides on one text, with the same files.
//!
//! Why apart: speed that is bought with wrong numbers is none. Random weights know no text, so this takes a small model
//! that was trained (other people's data: `../shared` or `ANCHORHOLD_TESTDATA`).
//!
//! # Invariants
//! The text is this project's own. Both sides count what llama-perplexity counts: windows without overlap that begin with
//! the token for a begin, and of each only the second half.

use std::path::Path;
use std::process::Command;

use anchorhold_kernels::{KernelSet, Kernels};
use anchorhold_models::{LoadOptions, Model};
use serde_json::{Value, json};

use super::options::Options;
use super::ours::child;
use super::prepared::Prepared;
use super::rival::{Rival, watched};
use crate::Failure;
use crate::arguments::Arguments;
use crate::figures::{Report, rounded};

const TEXT: &str = include_str!("perplexity/story.txt");
const WINDOW: usize = 256;
const FILES: [&str; 4] = ["f32", "f16", "q8_0", "q4_0"];
/// llama-perplexity may lose its last line.
const TRIES: usize = 20;
const COLUMNS: &[&str] = &["model", "format", "kernels", "ours", "llama.cpp", "percent apart"];

pub(crate) fn run(mut arguments: Arguments) -> Result<Report, Failure> {
    let options = Options::parse(&mut arguments, true)?;
    let kernels: Option<KernelSet> = arguments.value("--kernels")?;
    arguments.end()?;
    let mut report = Report::new("perplexity", COLUMNS);
    let rival = options
        .rival
        .then(|| Rival::find(&options.tools_folder))
        .transpose()?;
    let folder = anchorhold_tests::testdata::find("perplexity", "models/stories260k");
    let folder = folder.ok_or("the trained model is not there")?;
    for format in FILES {
        let file = folder.join(format!("stories260k-{format}.gguf"));
        let name = format!("stories260k-{format}");
        let model = Prepared::copy(&options.models_folder, &name, &[(&file, "model.gguf")])?;
        let mut step = vec!["perplexity-step".to_owned(), "--model".to_owned()];
        step.push(model.folder().display().to_string());
        if let Some(set) = kernels {
            step.extend(["--kernels".to_owned(), set.to_string()]);
        }
        let found = child(&step)?;
        let ours = found["perplexity"].as_f64().ok_or("our side gives a number")?;
        let theirs = match &rival {
            Some(rival) => Some(theirs(rival, kernels, &model.gguf())?),
            None => None,
        };
        report.row(vec![
            json!("stories260k"),
            json!(format),
            found["kernels"].clone(),
            rounded(ours),
            theirs.map_or(Value::Null, rounded),
            theirs.map_or(Value::Null, |theirs| rounded((ours / theirs - 1.0) * 100.0)),
        ]);
    }
    report.note(format!(
        "windows of {WINDOW} tokens of a text of this project's own; llama.cpp computes with its usual cache (f16)"
    ));
    Ok(report)
}

/// Our side, in a process of its own.
pub(crate) fn step(mut arguments: Arguments) -> Result<Value, Failure> {
    let folder: std::path::PathBuf = arguments.needed("--model")?;
    let limit: KernelSet = arguments.value("--kernels")?.unwrap_or(KernelSet::Amx);
    arguments.end()?;
    let options = LoadOptions {
        kernels: Kernels::at_most(limit),
        ..LoadOptions::default()
    };
    let model = Model::load(Prepared::at(folder).unseal()?, options, &())?;
    let Model::Decoder(decoder) = model else {
        return Err("not a model that answers".into());
    };
    let perplexity = decoder.perplexity(&decoder.text_prompt(TEXT)?, WINDOW)?;
    Ok(json!({
        "kernels": options.kernels.set().name(),
        "perplexity": perplexity.ok_or("the text is shorter than a window")?,
    }))
}

fn theirs(rival: &Rival, kernels: Option<KernelSet>, gguf: &Path) -> Result<f64, Failure> {
    let folder = tempfile::tempdir()?;
    let text = folder.path().join("text");
    std::fs::write(&text, TEXT)?;
    let window = WINDOW.to_string();
    for _ in 0..TRIES {
        let mut command = Command::new(rival.program("llama-perplexity", kernels));
        command.arg("-m").arg(gguf).arg("-f").arg(&text);
        command.args(["-c", &window, "-b", &window, "-t", "1"]);
        if let Some(found) = read(&watched(&mut command)?.text) {
            return Ok(found);
        }
    }
    Err("llama-perplexity says no estimate".into())
}

/// `Final estimate: PPL = 5.2219 +/- 0.53859`
fn read(said: &str) -> Option<f64> {
    let (_, estimate) = said.split_once("Final estimate: PPL = ")?;
    estimate.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_is_read() {
        let said = "[1]4.1595,[2]5.0739,\n0.01 I Final estimate: PPL = 5.2219 +/- 0.53859\n";
        assert_eq!(read(said), Some(5.2219));
        assert_eq!(read("[1]4.1595"), None);
        assert_eq!(read("Final estimate: PPL = unknown"), None);
    }
}
