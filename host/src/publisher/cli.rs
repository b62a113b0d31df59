//! The publisher's commands.
//!
//! Why apart: arguments and words change with people, the work does not.
//!
//! - `log`: the log's, the witness's and the bundle's commands
//! - `reference`: statements and bundles
//!
//! # Invariants
//! Parses arguments and prints; decides nothing.

use std::path::{Path, PathBuf};

use anchorhold_attestation::published::KeyName;
use clap::{Subcommand, ValueEnum};
use serde::Serialize;

use super::{key, measure};
use crate::error::{Exit, Failure};
use crate::output::Output;

mod log;
mod reference;

/// What a publisher does.
#[derive(Subcommand)]
pub enum PublisherCommand {
    /// Compute what a platform will measure, as a table for policies
    Measure {
        /// The platform
        #[arg(long, value_enum)]
        platform: PlatformName,
        /// The enclave's binary
        #[arg(long, value_name = "FILE")]
        enclave: PathBuf,
        /// An enclave's configuration: prints its digest too
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Make a signing key and print its public half
    Keygen {
        /// What it signs; one key signs one kind of thing
        #[arg(long, value_enum)]
        kind: KindName,
        /// The name of a log or a witness: a URL without its scheme
        #[arg(long, value_parser = key_name)]
        name: Option<KeyName>,
        /// The file to write (mode 0600); must not exist
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Statements of reference values, and their bundles
    #[command(subcommand)]
    Reference(reference::ReferenceCommand),
    /// The public log of statements: its keeper's and its witnesses' side
    #[command(subcommand)]
    Log(log::LogCommand),
}

/// Platforms whose measurement can be computed.
#[derive(Clone, Copy, ValueEnum)]
pub enum PlatformName {
    /// No hardware
    InsecureSimulated,
}

/// Kinds of keys by their names on the command line.
#[derive(Clone, Copy, ValueEnum)]
pub enum KindName {
    /// Signs statements
    Publisher,
    /// Signs a log's checkpoints
    Log,
    /// Cosigns them
    Witness,
}

impl From<KindName> for key::Kind {
    fn from(name: KindName) -> Self {
        match name {
            KindName::Publisher => Self::Publisher,
            KindName::Log => Self::Log,
            KindName::Witness => Self::Witness,
        }
    }
}

fn key_name(text: &str) -> Result<KeyName, &'static str> {
    text.parse()
        .map_err(|_| "use 1 to 256 bytes without spaces and '+', such as log.example/reference")
}

/// Runs one command.
///
/// # Errors
/// What the command reports.
pub fn run(command: PublisherCommand, output: &Output) -> Result<Exit, Failure> {
    match command {
        PublisherCommand::Measure {
            platform: PlatformName::InsecureSimulated,
            enclave,
            config,
        } => {
            let measured = measure::simulated(&enclave, config.as_deref())?;
            output.data(&measured, || measured.to_toml())?;
            Ok(Exit::Yes)
        }
        PublisherCommand::Keygen { kind, name, key } => keygen(kind.into(), name.as_ref(), &key, output),
        PublisherCommand::Reference(command) => reference::run(command, output),
        PublisherCommand::Log(command) => log::run(command, output),
    }
}

#[derive(Serialize)]
struct KeygenDocument<'a> {
    kind: &'a str,
    public: &'a str,
}

fn keygen(kind: key::Kind, name: Option<&KeyName>, path: &Path, output: &Output) -> Result<Exit, Failure> {
    let public = key::generate(kind, name, path)?;
    let document = KeygenDocument {
        kind: kind.word(),
        public: &public,
    };
    output.data(&document, || public.clone())?;
    if kind != key::Kind::Publisher {
        output.talk(&format!(
            "note: {} will remember what this key signed: move both together, and never restore it from a backup",
            key::state_of(path).display()
        ));
    }
    Ok(Exit::Yes)
}

#[cfg(test)]
mod tests;
