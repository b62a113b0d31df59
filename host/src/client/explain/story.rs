//! What is told: rows, claims, inputs; as JSON and as a table for a person.
//!
//! Why apart: the shape is an interface (docs/explain.md), whichever platform it is about.
//!
//! # Invariants
//! `refused_by` is the first row that failed. Nothing is appraised that was not verified.

use anchorhold_attestation::Timestamp;
use anchorhold_attestation::field::Field;
use anchorhold_attestation::trace::{Family, Outcome, Trace, TracedCheck};
use serde::Serialize;
use serde_json::{Map, Value};

use super::Machine;
use crate::error::Exit;
use crate::output::table;

/// One check.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The stable identifier.
    pub id: &'static str,
    /// It holds, it failed, or nobody looked.
    pub ok: Option<bool>,
    /// Of what: a certificate's role, a list, a device, or empty.
    pub of: String,
    /// What it demands.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// What to do when it fails.
    pub hint: String,
    /// Where it is specified; short names are in `documents`.
    pub source: &'static str,
}

/// The whole of an answer.
#[derive(Debug, Serialize)]
pub struct Told {
    /// `snp`, `tdx`, `azure`, `google`, `aws` or `nvidia`.
    pub platform: &'static str,
    /// As of when, in seconds since 1970-01-01 UTC.
    pub at: u64,
    /// Every check that can be made of the evidence holds, and nothing that it needs was missing.
    pub verified: bool,
    /// A policy affirms what was verified.
    pub appraised: bool,
    /// The first check that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_by: Option<&'static str>,
    /// `real` under the vendors' roots, `insecure` under others.
    pub class: &'static str,
    /// Every check, in order.
    pub checks: Vec<Row>,
    /// What was proven, by field; empty unless verified.
    pub claims: Map<String, Value>,
    /// What each input was taken for.
    pub inputs: Vec<String>,
    /// What a person should know beside.
    pub notes: Vec<String>,
    /// The sources' short names, and which documents they are, by family of checks.
    pub documents: Map<String, Value>,
    #[serde(skip)]
    missing: bool,
    #[serde(skip)]
    at_given: bool,
}

impl Told {
    pub(super) fn new(machine: Machine, at: Timestamp, at_given: bool) -> Self {
        Self {
            platform: machine.name(),
            at: at.unix(),
            verified: false,
            appraised: false,
            refused_by: None,
            class: "real",
            checks: Vec::new(),
            claims: Map::new(),
            inputs: Vec::new(),
            notes: Vec::new(),
            documents: Map::new(),
            missing: false,
            at_given,
        }
    }

    /// Adds what a verifier tells; `of` names the part where the trace does not. `None` when there is no verdict.
    pub(super) fn add<T, E>(&mut self, of: &str, trace: Trace<T, E>) -> Option<T> {
        self.rows(of, trace.checks);
        match trace.verdict {
            Some(Ok(proven)) => Some(proven),
            Some(Err(_)) => None,
            None => {
                self.missing = true;
                None
            }
        }
    }

    fn rows(&mut self, of: &str, checks: Vec<TracedCheck>) {
        for check in checks {
            let found = match check.outcome {
                Outcome::NotChecked(why) if check.found.is_empty() => why.to_owned(),
                Outcome::NotChecked(why) => format!("{} ({why})", check.found),
                _ => check.found,
            };
            let of = match (of, check.whose) {
                (of, "") => of.to_owned(),
                ("", whose) => whose.to_owned(),
                (of, whose) => format!("{of}, {whose}"),
            };
            self.checks.push(Row {
                id: check.id,
                ok: check.outcome.ok(),
                of,
                expected: check.expected.to_owned(),
                found,
                hint: check.hint.to_owned(),
                source: check.source,
            });
        }
    }

    /// One row more.
    pub(super) fn row(&mut self, row: Row) {
        self.checks.push(row);
    }

    /// True while nothing failed and nothing was missing.
    pub(super) fn holds(&self) -> bool {
        !self.missing && !self.checks.is_empty() && self.checks.iter().all(|row| row.ok != Some(false))
    }

    /// Something that a verifier needs was not given.
    pub(super) fn lacks(&mut self, id: &'static str, expected: &str, hint: String) {
        self.missing = true;
        self.checks.push(Row {
            id,
            ok: Some(false),
            of: String::new(),
            expected: expected.to_owned(),
            found: "not among the files".to_owned(),
            hint,
            source: "ours",
        });
    }

    /// What was proven.
    pub(super) fn claim(&mut self, prefix: &str, fields: Vec<Field>) {
        for field in fields {
            let name = format!("{prefix}{}", field.name);
            let value = serde_json::to_value(&field.value).unwrap_or(Value::Null);
            self.claims.insert(name, value);
        }
    }

    /// The verdict, once everything was added.
    pub(super) fn conclude(&mut self) {
        self.refused_by = self
            .checks
            .iter()
            .find(|row| row.ok == Some(false))
            .map(|row| row.id);
        // A policy that denies denies what was verified.
        let failed = |row: &Row| row.ok == Some(false) && row.of != POLICY;
        self.verified = !self.missing && !self.checks.is_empty() && !self.checks.iter().any(failed);
        if !self.verified {
            self.claims.clear();
            self.appraised = false;
        }
        let mut families: Vec<Family> = Vec::new();
        for family in self.checks.iter().filter_map(|row| Family::of(row.id)) {
            if !families.contains(&family) {
                families.push(family);
            }
        }
        for family in families {
            let titles = family
                .documents()
                .iter()
                .filter(|(short, _)| short.split(", ").any(|one| self.cites(family, one)))
                .map(|(short, title)| ((*short).to_owned(), Value::from(*title)));
            self.documents
                .insert(family.name().to_owned(), Value::Object(titles.collect()));
        }
    }

    /// True when a check of this family names this document as its source.
    fn cites(&self, family: Family, short: &str) -> bool {
        self.checks
            .iter()
            .filter(|row| Family::of(row.id) == Some(family))
            .any(|row| {
                row.source
                    .split([',', ';'])
                    .any(|part| part.trim_start().starts_with(short))
            })
    }

    /// 0 when a policy affirms, else 3.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        if self.appraised { Exit::Yes } else { Exit::Denied }
    }

    /// For a person: the verdict first and last, and between them every input and every check.
    #[must_use]
    pub fn text(&self) -> String {
        let verdict = self.verdict();
        let mut text = format!("{verdict}\n\n");
        let whose = if self.at_given {
            "given"
        } else {
            "this machine's clock"
        };
        text.push_str(&format!("as of      {} ({whose})\n", date(self.at)));
        text.push_str(&match self.class {
            "real" => "roots      the vendors' own\n".to_owned(),
            _ => "roots      GIVEN WITH --anchors: class insecure, proves nothing about real hardware\n"
                .to_owned(),
        });
        for input in &self.inputs {
            text.push_str(&format!("input      {input}\n"));
        }
        for note in &self.notes {
            text.push_str(&format!("note       {note}\n"));
        }
        text.push('\n');
        text.push_str(&self.table());
        if !self.claims.is_empty() {
            let rows: Vec<[String; 2]> = self
                .claims
                .iter()
                .map(|(name, value)| [name.clone(), plain(value)])
                .collect();
            text.push_str(&format!("\n{}", table(["proven field", "value"], &rows)));
        }
        text.push_str("\nsources\n");
        for (family, titles) in &self.documents {
            for (short, title) in titles.as_object().into_iter().flatten() {
                text.push_str(&format!("  {family}: {short} = {}\n", plain(title)));
            }
        }
        text.push_str(&format!("\n{verdict}"));
        text
    }

    fn verdict(&self) -> String {
        match self.checks.iter().find(|row| row.ok == Some(false)) {
            Some(row) => {
                let of = match row.of.as_str() {
                    "" => String::new(),
                    of => format!(" ({of})"),
                };
                format!(
                    "REFUSED by {}{of}\n  must be: {}\n  found:   {}\n  do:      {}",
                    row.id, row.expected, row.found, row.hint
                )
            }
            None if self.appraised => "APPRAISED: every check holds, and the policy affirms".to_owned(),
            None if self.verified => "VERIFIED: every check holds; not appraised by a policy".to_owned(),
            None => "NOT VERIFIED: something that is needed was not given".to_owned(),
        }
    }

    /// One line a check; those of one owner that were not made for one reason are one line.
    fn table(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        let mut last: Option<(&str, &str)> = None;
        let mut more = 0_usize;
        let flush = |lines: &mut Vec<String>, more: &mut usize| {
            if *more > 0 {
                lines.push(format!("-     ... and {more} more of these"));
                *more = 0;
            }
        };
        for row in &self.checks {
            let same = (row.of.as_str(), row.found.as_str());
            if row.ok.is_none() && last == Some(same) {
                more += 1;
                continue;
            }
            flush(&mut lines, &mut more);
            last = row.ok.is_none().then_some(same);
            let mark = match row.ok {
                Some(true) => "ok",
                Some(false) => "FAIL",
                None => "-",
            };
            let found = match (row.ok, row.found.as_str()) {
                (None, "") => "not reached",
                (_, found) => found,
            };
            let Row {
                id,
                of,
                expected,
                source,
                ..
            } = row;
            lines.push(format!(
                "{mark:4}  {id:31}  {of:24}  {found:40}  must be: {expected} [{source}]"
            ));
        }
        flush(&mut lines, &mut more);
        format!("      {:31}  {:24}  found\n{}\n", "check", "of", lines.join("\n"))
    }
}

/// The identifiers of rows that say what was not given, as `verify` names them.
pub(super) const NO_ENDORSEMENT: &str = "no-endorsement";
/// A part of the evidence.
pub(super) const MISSING_PART: &str = "missing-part";
/// The owner of rows that are a policy's.
pub(super) const POLICY: &str = "policy";

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "absent".to_owned(),
        other => other.to_string(),
    }
}

/// `YYYY-MM-DDThh:mm:ssZ`.
pub(super) fn date(seconds: u64) -> String {
    use x509_cert::der::DateTime;
    let duration = std::time::Duration::from_secs(seconds);
    DateTime::from_unix_duration(duration).map_or_else(|_| seconds.to_string(), |date| date.to_string())
}
