//! The doors to standard output (data) and standard error (talk).
//!
//! Why apart: a script reads one of them and a person the other; a stray print mixes them. Clippy forbids
//! the print macros everywhere.
//!
//! # Invariants
//! With `--json` standard output holds JSON only, one document a line, also for a failure.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::error::{DeniedRule, Failure};

/// What standard output is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A person reads it.
    Text,
    /// A script reads it.
    Json,
}

/// Where a command's words go. Cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    format: Format,
}

#[derive(Serialize)]
struct ErrorDocument<'a> {
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: &'a str,
    message: String,
    hint: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    denied: &'a [DeniedRule],
}

impl Output {
    /// Writes in `format`.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self { format }
    }

    /// True when a script reads standard output.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// One result: `document` as a line of JSON, or the text that `text` makes, which ends without a newline.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn data(&self, document: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        let line = match self.format {
            Format::Json => serde_json::to_string(document)
                .map_err(|_| Failure::new("output", "the result has no JSON form", "report this as a bug"))?,
            Format::Text => text(),
        };
        self.bytes(format!("{line}\n").as_bytes())
    }

    /// Bytes as they are, at once.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| {
            Failure::new(
                "output",
                format!("cannot write to standard output: {}", error.kind()),
                "check where the output goes: a closed pipe or a full disk",
            )
        })
    }

    /// A line for a person. A closed standard error stops nobody.
    pub fn talk(&self, line: &str) {
        let _ = writeln!(io::stderr().lock(), "{line}");
    }

    /// True when a person watches standard error: the only time for a progress bar.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// A failure: `error:`, the reasons of a denial as a table, `hint:`; with JSON one document on standard
    /// output as well.
    pub fn failure(&self, failure: &Failure) {
        let mut text = format!("error: {failure}\n");
        if !failure.denied().is_empty() {
            text.push('\n');
            text.push_str(&denial_table(failure.denied()));
        }
        text.push_str(&format!("\nhint: {}", failure.hint()));
        self.talk(&text);
        self.failure_document(failure);
    }

    /// The document of a failure, with JSON only.
    pub fn failure_document(&self, failure: &Failure) {
        if self.is_json() {
            let document = ErrorDocument {
                error: ErrorBody {
                    code: failure.code(),
                    message: failure.to_string(),
                    hint: failure.hint(),
                    denied: failure.denied(),
                },
            };
            // When standard output is gone too, the exit status still tells.
            let _ = self.data(&document, String::new);
        }
    }
}

/// The reasons of a denial as a table, each row ending in a newline: rule, expected, found, what to do.
#[must_use]
pub fn denial_table(rules: &[DeniedRule]) -> String {
    let row = |rule: &DeniedRule| {
        [
            rule.rule.clone(),
            rule.expected.clone(),
            rule.found.clone(),
            rule.hint.clone(),
        ]
    };
    table(
        ["rule", "expected", "found", "what to do"],
        &rules.iter().map(row).collect::<Vec<_>>(),
    )
}

/// Columns as wide as their widest cell, two spaces between; each row ends in a newline.
#[must_use]
pub fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = head.map(|cell| cell.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [&str; N]| {
        let cells = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    let mut text = line(head);
    for row in rows {
        text.push_str(&line(row.each_ref().map(String::as_str)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up() {
        let rows = [
            ["a".to_owned(), "bbb".to_owned()],
            ["cccc".to_owned(), "d".to_owned()],
        ];
        assert_eq!(table(["x", "y"], &rows), "x     y\na     bbb\ncccc  d\n");
    }
}
