//! Medians, and reports in two forms.
//!
//! # Invariants
//! Both forms come from the same figures.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::machine;

/// The value in the middle; the mean of the two in the middle of an even number.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.len(), sorted.len() % 2) {
        (0, _) => f64::NAN,
        (_, 0) => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
    }
}

/// The value that `percent` of all do not exceed (nearest rank).
pub(crate) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

/// Between which two values the median lies in 95 of 100 such runs, whatever the values' distribution: the order
/// statistics about 0.98 sqrt(n) ranks to either side.
pub(crate) fn around_median(values: &[f64]) -> (f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (count, last) = (sorted.len() as f64, sorted.len().saturating_sub(1));
    let reach = 0.98 * count.sqrt();
    let low = (count / 2.0 - reach).floor().max(1.0) as usize - 1;
    let high = ((count / 2.0 + reach).ceil() as usize).min(last);
    let at = |rank: usize| sorted.get(rank).copied().unwrap_or(f64::NAN);
    (at(low), at(high))
}

/// 10^9 bytes a second.
pub(crate) fn gigabytes(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / time.as_secs_f64() / 1e9
}

/// A few digits more than are worth reading, so that a figure can be computed on.
pub(crate) fn rounded(value: f64) -> Value {
    json!((value * 10_000.0).round() / 10_000.0)
}

/// What a command found: rows with the same columns, and single figures.
pub(crate) struct Report {
    command: &'static str,
    columns: &'static [&'static str],
    rows: Vec<Map<String, Value>>,
    single: Map<String, Value>,
    notes: Vec<String>,
}

impl Report {
    pub(crate) fn new(command: &'static str, columns: &'static [&'static str]) -> Self {
        Self {
            command,
            columns,
            rows: Vec::new(),
            single: Map::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a row: one value a column, in their order.
    pub(crate) fn row(&mut self, values: Vec<Value>) {
        assert_eq!(values.len(), self.columns.len(), "a value for each column");
        let names = self.columns.iter().map(|name| (*name).to_owned());
        self.rows.push(names.zip(values).collect());
    }

    /// Adds a figure that stands alone.
    pub(crate) fn single(&mut self, name: &str, value: Value) {
        self.single.insert(name.to_owned(), value);
    }

    /// Adds a sentence on how to read it.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "command": self.command,
            "machine": machine::describe(),
            "rows": self.rows,
            "figures": self.single,
            "notes": self.notes,
        })
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", machine::line());
        let cells: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| self.columns.iter().map(|name| shown(&row[*name])).collect())
            .collect();
        let widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, name)| {
                let cells = cells.iter().map(|row| row[at].len());
                cells.chain([name.len()]).max().unwrap_or(0)
            })
            .collect();
        let heads: Vec<String> = self.columns.iter().map(|name| (*name).to_owned()).collect();
        for row in std::iter::once(&heads)
            .chain(&cells)
            .filter(|_| !cells.is_empty())
        {
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(text, "{cell:>width$}  ");
            }
            let _ = writeln!(text);
        }
        for (name, value) in &self.single {
            let _ = writeln!(text, "{name}: {}", shown(value));
        }
        for note in &self.notes {
            let _ = writeln!(text, "{note}");
        }
        text
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            let digits = if number.abs() < 10.0 { 3 } else { 1 };
            format!("{number:.digits$}")
        }
        other => other.to_string(),
    }
}
