//! Looks for planted texts, ids and numbers in all memory of a process, or in a core dump of one.
//!
//! Why apart: that nothing of a request stays is a promise about memory, and whoever has the right to read memory can check it. Running
//! the enclave on the simulated platform, that is anyone; on hardware it is nobody, which is the point of the hardware.
//!
//! - [`canary`]: what is looked for, in all forms in which it may lie there
//! - [`image`]: what is looked through: `/proc/PID/mem`, or the segments of an ELF core
//!
//! # Invariants
//! Tells where something was found and never what is in memory, unless asked with the word `dangerously`. What could not be read is
//! counted and named.

pub mod canary;
mod error;
pub mod image;

use serde::Serialize;

pub use canary::{Canaries, Canary};
pub use error::ScanError;
pub use image::Image;

use crate::limits;

/// Windows of one canary that begin no farther apart are one piece of it: the longest step between two is below that.
const ONE_PIECE: u64 = 64;

/// Where something was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// Which canary, from 0, in the order in which they were given.
    pub canary: usize,
    /// In which form.
    pub form: &'static str,
    /// The mapping as the system names it; `anonymous` where it has no name.
    pub mapping: String,
    /// What may be done with the mapping, as `rw-p`.
    pub access: String,
    /// Bytes from the mapping's begin.
    pub offset: u64,
    /// Bytes to its end: on a stack, how deep it lies.
    pub to_end: u64,
    /// Bytes since the hit before it in this mapping, if there is one.
    pub since_last: Option<u64>,
    /// Memory around it in hexadecimal, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dangerously_shown: Option<String>,
}

/// What a scan saw.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// Mappings or segments looked through.
    pub mappings: usize,
    /// Bytes looked through.
    pub bytes: u64,
    /// Mappings of which something could not be read, by name; those that hold no data are not among them.
    pub unread: Vec<String>,
    /// Places at which something was found.
    pub found: usize,
    /// The first of them.
    pub hits: Vec<Hit>,
}

/// Looks for the canaries in all of an image. `show` puts memory into the report.
///
/// # Errors
/// [`ScanError`] when there is nothing to look through.
pub fn scan(image: &Image, canaries: &Canaries, show: bool) -> Result<Report, ScanError> {
    let mut report = Report::default();
    let overlap = canaries.longest().saturating_sub(1);
    for mapping in image.mappings() {
        report.mappings += 1;
        let mut last: Option<(u64, usize)> = None;
        let whole = image.read(mapping, overlap, &mut |offset, bytes, new| {
            report.bytes += new as u64;
            canaries.find(bytes, &mut |at, canary, form| {
                let place = offset + at as u64;
                let before = last.map(|(place, _)| place);
                // The overlap of two reads shows a place twice, and one piece of a canary has many windows.
                if before.is_some_and(|before| place <= before) {
                    return;
                }
                let piece = |(before, of)| of == canary && place - before < ONE_PIECE;
                if !last.replace((place, canary)).is_some_and(piece) {
                    report.found += 1;
                    if report.hits.len() < limits::SCAN_HITS {
                        report.hits.push(Hit {
                            canary,
                            form,
                            mapping: mapping.name.clone(),
                            access: mapping.access.clone(),
                            offset: place,
                            to_end: (mapping.end - mapping.start).saturating_sub(place),
                            since_last: before.map(|before| place - before),
                            dangerously_shown: show.then(|| around(bytes, at)),
                        });
                    }
                }
            });
        });
        if !whole {
            report.unread.push(mapping.name.clone());
        }
    }
    if report.bytes == 0 {
        return Err(ScanError::Nothing);
    }
    Ok(report)
}

/// Some bytes before and after a place.
fn around(bytes: &[u8], at: usize) -> String {
    let range = at.saturating_sub(32)..bytes.len().min(at + 64);
    let shown = bytes.get(range).unwrap_or_default();
    shown.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Report {
    /// A line for each place, and what was looked through.
    #[must_use]
    pub fn text(&self) -> String {
        let rows: Vec<[String; 6]> = self
            .hits
            .iter()
            .map(|hit| {
                [
                    hit.canary.to_string(),
                    hit.form.to_owned(),
                    format!("{} {}", hit.access, hit.mapping),
                    format!("{:#x}", hit.offset),
                    format!("{:#x}", hit.to_end),
                    hit.since_last
                        .map_or_else(|| "-".to_owned(), |since| since.to_string()),
                ]
            })
            .collect();
        let mut text = format!(
            "{} found in {} mappings, {} bytes",
            self.found, self.mappings, self.bytes
        );
        if !self.unread.is_empty() {
            text.push_str(&format!("\nnot wholly read: {}", self.unread.join(" ")));
        }
        if !rows.is_empty() {
            let head = [
                "canary",
                "form",
                "mapping",
                "offset",
                "to its end",
                "since the last",
            ];
            text.push('\n');
            text.push_str(crate::output::table(head, &rows).trim_end());
        }
        text
    }
}

#[cfg(test)]
mod tests;
