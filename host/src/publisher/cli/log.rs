//! `publisher log`: the keeper's and the witnesses' commands.
//!
//! # Invariants
//! Nothing is printed as signed before it is durable.

use std::path::{Path, PathBuf};

use anchorhold_attestation::published::{Checkpoint, Line, LogKey, WitnessKey};
use anchorhold_encoding::Digest;
use clap::Subcommand;
use serde::Serialize;

use super::super::error::PublisherError;
use super::super::key::{SigningKey, state_of};
use super::super::log::LogFolder;
use super::super::reference;
use super::super::state::SignedState;
use crate::clock::Clock;
use crate::error::{Exit, Failure};
use crate::limits::COSIGNATURE_BYTES;
use crate::output::{Output, table};
use crate::{secret_file, state_file};

/// What is done with a log.
#[derive(Subcommand)]
pub enum LogCommand {
    /// Append signed statements and sign the log's new state; begins the log in a new folder
    Append {
        /// The log's folder
        dir: PathBuf,
        /// The log's key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Signed statements
        #[arg(value_name = "STATEMENT")]
        statements: Vec<PathBuf>,
    },
    /// Cosign the log's state as a witness, after comparing all of it with what was cosigned before
    Cosign {
        /// The log's folder, or a copy of it
        dir: PathBuf,
        /// The witness's key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The log's key, as `publisher keygen` printed it
        #[arg(long, value_name = "KEY", value_parser = log_key)]
        log: LogKey,
        /// Put the cosignature into the folder, too
        #[arg(long)]
        attach: bool,
    },
    /// Put a cosignature that a witness sent into the log's folder
    Attach {
        /// The log's folder
        dir: PathBuf,
        /// The log's key
        #[arg(long, value_name = "KEY", value_parser = log_key)]
        log: LogKey,
        /// The witness's key
        #[arg(long, value_name = "KEY", value_parser = witness_key)]
        witness: WitnessKey,
        /// The line that `publisher log cosign` printed
        #[arg(value_name = "COSIGNATURE")]
        cosignature: PathBuf,
    },
    /// Write the offline bundle of the newest statement of a product line
    Bundle {
        /// The log's folder
        dir: PathBuf,
        /// The log's key
        #[arg(long, value_name = "KEY", value_parser = log_key)]
        log: LogKey,
        /// The product line
        #[arg(long, value_parser = line)]
        line: Line,
        /// Prove growth from this size, for readers who were away for long; may be repeated
        #[arg(long, value_name = "SIZE")]
        since: Vec<u64>,
        /// The bundle to write; must not exist
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Check every file of a log and show what is in it
    Show {
        /// The log's folder, or a copy of it
        dir: PathBuf,
        /// The log's key
        #[arg(long, value_name = "KEY", value_parser = log_key)]
        log: LogKey,
    },
}

fn log_key(text: &str) -> Result<LogKey, &'static str> {
    text.parse()
        .map_err(|_| "use the key of a log as `publisher keygen` printed it: NAME+ID+BASE64")
}

fn witness_key(text: &str) -> Result<WitnessKey, &'static str> {
    text.parse()
        .map_err(|_| "use the key of a witness as `publisher keygen` printed it: NAME+ID+BASE64")
}

fn line(text: &str) -> Result<Line, &'static str> {
    text.parse()
        .map_err(|_| "use 1 to 64 lower-case letters, digits, '.' and '-'")
}

pub(super) fn run(command: LogCommand, output: &Output) -> Result<Exit, Failure> {
    match command {
        LogCommand::Append { dir, key, statements } => append(&dir, &key, &statements, output),
        LogCommand::Cosign {
            dir,
            key,
            log,
            attach,
        } => cosign(&dir, &key, &log, attach, output),
        LogCommand::Attach {
            dir,
            log,
            witness,
            cosignature,
        } => attach(&dir, &log, &witness, &cosignature, output),
        LogCommand::Bundle {
            dir,
            log,
            line,
            since,
            out,
        } => {
            let bundle = LogFolder::open(&dir)?.bundle(&log, &line, &since)?.encode();
            secret_file::create(&out, &bundle).map_err(PublisherError::io("the bundle"))?;
            let document = BundleDocument {
                bytes: bundle.len(),
                sha256: anchorhold_encoding::sha256(&[&bundle]),
            };
            output.data(&document, || {
                format!("{}  {} bytes", document.sha256, document.bytes)
            })?;
            Ok(Exit::Yes)
        }
        LogCommand::Show { dir, log } => show(&dir, &log, output),
    }
}

#[derive(Serialize)]
struct BundleDocument {
    bytes: usize,
    sha256: Digest<32>,
}

#[derive(Serialize)]
struct CheckpointDocument<'a> {
    origin: &'a str,
    size: u64,
    root: Digest<32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    places: Option<&'a [u64]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cosignature: Option<&'a str>,
}

impl<'a> CheckpointDocument<'a> {
    fn new(checkpoint: &'a Checkpoint) -> Self {
        Self {
            origin: checkpoint.origin.as_str(),
            size: checkpoint.size,
            root: checkpoint.root,
            places: None,
            cosignature: None,
        }
    }

    fn text(&self) -> String {
        format!(
            "origin: {}\nsize:   {}\nroot:   {}",
            self.origin, self.size, self.root
        )
    }
}

fn append(dir: &Path, key_file: &Path, statements: &[PathBuf], output: &Output) -> Result<Exit, Failure> {
    let (key, log) = SigningKey::log(key_file)?;
    let entries = statements.iter().map(|path| reference::entry(path));
    let entries = entries.collect::<Result<Vec<_>, _>>()?;
    let mut state = SignedState::open(&state_of(key_file))?;
    let appended = LogFolder::create(dir)?.append(&key, &log, &mut state, &entries)?;
    let mut document = CheckpointDocument::new(&appended.checkpoint);
    document.places = Some(&appended.places);
    output.data(&document, || document.text())?;
    Ok(Exit::Yes)
}

fn cosign(dir: &Path, key_file: &Path, log: &LogKey, attach: bool, output: &Output) -> Result<Exit, Failure> {
    let (key, witness) = SigningKey::witness(key_file)?;
    let mut state = SignedState::open(&state_of(key_file))?;
    let first = state.last(log.name()).is_none();
    let folder = LogFolder::open(dir)?;
    let now = Clock::system().now();
    let (checkpoint, cosignature) = folder.cosign(log, &key, &witness, &mut state, now)?;
    if attach {
        folder.attach(log, &witness, &cosignature, now)?;
    }
    let mut document = CheckpointDocument::new(&checkpoint);
    document.cosignature = Some(&cosignature);
    output.data(&document, || cosignature.trim_end().to_owned())?;
    if first {
        output.talk("note: the first cosignature of this log: what it was before is not vouched for");
    }
    Ok(Exit::Yes)
}

fn attach(
    dir: &Path,
    log: &LogKey,
    witness: &WitnessKey,
    cosignature: &Path,
    output: &Output,
) -> Result<Exit, Failure> {
    let bytes =
        state_file::read(cosignature, COSIGNATURE_BYTES).map_err(PublisherError::io("the cosignature"))?;
    let cosignature = String::from_utf8(bytes).map_err(|_| PublisherError::NotACosignature)?;
    let now = Clock::system().now();
    let checkpoint = LogFolder::open(dir)?.attach(log, witness, &cosignature, now)?;
    let document = CheckpointDocument::new(&checkpoint);
    output.data(&document, || document.text())?;
    Ok(Exit::Yes)
}

#[derive(Serialize)]
struct EntryDocument {
    place: usize,
    line: String,
    serial: u64,
    not_after: u64,
    signatures: usize,
    statement_sha256: Digest<32>,
}

#[derive(Serialize)]
struct LogDocument<'a> {
    #[serde(flatten)]
    checkpoint: CheckpointDocument<'a>,
    entries: Vec<EntryDocument>,
}

fn show(dir: &Path, log: &LogKey, output: &Output) -> Result<Exit, Failure> {
    use anchorhold_attestation::published::SignedStatement;
    let (logged, tree) = LogFolder::open(dir)?.read(log)?;
    let mut entries = Vec::new();
    for (place, bytes) in tree.entries().iter().enumerate() {
        let signed = SignedStatement::parse(bytes).map_err(PublisherError::from)?;
        let statement = signed.statement();
        entries.push(EntryDocument {
            place,
            line: statement.line.to_string(),
            serial: statement.serial,
            not_after: statement.not_after.unix(),
            signatures: signed.signatures().len(),
            statement_sha256: statement.digest(),
        });
    }
    let document = LogDocument {
        checkpoint: CheckpointDocument::new(logged.checkpoint()),
        entries,
    };
    output.data(&document, || {
        let rows: Vec<[String; 6]> = document
            .entries
            .iter()
            .map(|entry| {
                [
                    entry.place.to_string(),
                    entry.line.clone(),
                    entry.serial.to_string(),
                    entry.not_after.to_string(),
                    entry.signatures.to_string(),
                    entry.statement_sha256.to_string(),
                ]
            })
            .collect();
        let head = ["#", "line", "serial", "not after", "signatures", "statement"];
        format!(
            "{}\n\n{}",
            document.checkpoint.text(),
            table(head, &rows).trim_end()
        )
    })?;
    Ok(Exit::Yes)
}
