//! `owner log`: checks and shows the release log, offline and without the KEK.
//!
//! Why apart: it needs neither the KEK nor a running broker.
//!
//! # Invariants
//! Nothing is shown that did not pass the check.

use std::path::{Path, PathBuf};

use anchorhold_encoding::Digest;
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::error::{Exit, Failure};
use crate::output::{Output, table};
use crate::owner::error::StoreError;
use crate::owner::release_log::{Check, CheckedLog, Entry, LogError};
use crate::owner::store::{self, stated_release_key};

/// What is done with the log.
#[derive(Subcommand)]
pub enum LogCommand {
    /// Check the chain and every signature; print the head to remember
    Verify(LogArguments),
    /// Check, then show every entry
    Show(LogArguments),
}

/// Which log, and what is known of it.
#[derive(Args)]
pub struct LogArguments {
    /// The store's folder
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    /// The release key as remembered elsewhere; else the store's own word is taken
    #[arg(long, value_name = "HEX")]
    release_key: Option<Digest<32>>,
    /// A head printed by an earlier check: it must still be in the log
    #[arg(long, value_name = "HEX")]
    head: Option<Digest<32>>,
}

#[derive(Serialize)]
struct VerifyDocument {
    entries: u64,
    head: Digest<32>,
    release_key: Digest<32>,
    release_key_from: &'static str,
    end: &'static str,
}

pub(super) fn run(command: LogCommand, output: &Output) -> Result<Exit, Failure> {
    match command {
        LogCommand::Verify(arguments) => verify(&arguments, output),
        LogCommand::Show(arguments) => show(&arguments, output),
    }
}

impl LogArguments {
    fn key(&self) -> Result<Digest<32>, StoreError> {
        self.release_key
            .map_or_else(|| stated_release_key(&self.store), Ok)
    }
}

/// Checks the log of the store in `folder`; `each` gets every entry that passed.
fn check(folder: &Path, mut check: Check, mut each: impl FnMut(Entry)) -> Result<CheckedLog, LogError> {
    store::log::read(folder, |stored| {
        each(check.take(&stored)?);
        Ok::<(), LogError>(())
    })?;
    check.finish()
}

fn verify(arguments: &LogArguments, output: &Output) -> Result<Exit, Failure> {
    let release_key = arguments.key()?;
    let log = check(&arguments.store, Check::new(release_key, arguments.head), |_| {})?;
    let document = VerifyDocument {
        entries: log.entries(),
        head: log.head(),
        release_key,
        release_key_from: if arguments.release_key.is_some() {
            "argument"
        } else {
            "store"
        },
        end: if arguments.head.is_some() {
            "contains the remembered head"
        } else {
            "not checked"
        },
    };
    output.data(&document, || {
        format!(
            "entries:     {}\nhead:        {}\nrelease key: {} (from the {})\nend:         {}",
            document.entries, document.head, document.release_key, document.release_key_from, document.end
        )
    })?;
    if arguments.release_key.is_none() {
        output.talk("note: the release key is the store's own word; pin it with --release-key");
    }
    if arguments.head.is_none() {
        output.talk(
            "note: whether entries at the end are missing shows only with --head from an earlier check",
        );
    }
    Ok(Exit::Yes)
}

fn show(arguments: &LogArguments, output: &Output) -> Result<Exit, Failure> {
    let mut entries = Vec::new();
    check(
        &arguments.store,
        Check::new(arguments.key()?, arguments.head),
        |entry| entries.push(entry),
    )?;
    output.data(&entries, || {
        let rows = entries.iter().map(row).collect::<Vec<_>>();
        table(["#", "time", "decision", "resource", "key", "reasons"], &rows)
            .trim_end()
            .to_owned()
    })?;
    Ok(Exit::Yes)
}

fn row(entry: &Entry) -> [String; 6] {
    let word = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let event = &entry.event;
    let rules: Vec<&str> = event.reasons.iter().map(|reason| reason.rule.as_str()).collect();
    [
        entry.sequence.to_string(),
        event.time.to_string(),
        event.decision.to_string(),
        word(&event.resource),
        word(&event.key_id),
        rules.join(", "),
    ]
}
