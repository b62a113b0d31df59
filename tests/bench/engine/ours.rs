//! Our side of a round, as the one who waits for it sees it.
//!
//! # Invariants
//! A process for each call: nothing is warm from the round before.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::prepared::Prepared;
use super::work::{Unit, Work};
use crate::Failure;

/// What one process found.
pub(crate) struct Found {
    /// Tokens a second, one for each work.
    pub(crate) rates: Vec<(Work, f64)>,
    pub(crate) peak_mib: Option<f64>,
    /// The instructions that were used.
    pub(crate) kernels: String,
}

/// Runs a step of this program and reads what it found.
pub(crate) fn child(step: &[String]) -> Result<Value, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.args(step).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("our side failed: {}", step.join(" ")).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

pub(crate) fn measure(unit: &Unit, model: &Prepared, plain_gather: bool) -> Result<Found, Failure> {
    let mut step = vec!["engine-step".to_owned()];
    let mut push = |name: &str, value: String| step.extend([name.to_owned(), value]);
    push("--model", model.folder().display().to_string());
    push("--threads", unit.threads.to_string());
    push("--works", serde_json::to_string(&unit.works)?);
    if let Some(set) = unit.kernels {
        push("--kernels", set.to_string());
    }
    if plain_gather {
        step.push("--plain-gather".to_owned());
    }
    let found = child(&step)?;
    let rates: Vec<f64> = found["rates"]
        .as_array()
        .map(|rates| rates.iter().filter_map(Value::as_f64).collect())
        .unwrap_or_default();
    if rates.len() != unit.works.len() {
        return Err("our side gives a number for each work".into());
    }
    Ok(Found {
        rates: unit.works.iter().copied().zip(rates).collect(),
        peak_mib: found["peak_mib"].as_f64(),
        kernels: found["kernels"].as_str().unwrap_or_default().to_owned(),
    })
}
