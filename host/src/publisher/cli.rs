//! The publisher's commands.
//!
//! Why apart: arguments and words change with people, the work does not.
//!
//! # Invariants
//! Parses arguments and prints; decides nothing.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

use super::measure;
use crate::error::{Exit, Failure};
use crate::output::Output;

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
}

/// Platforms whose measurement can be computed.
#[derive(Clone, Copy, ValueEnum)]
pub enum PlatformName {
    /// No hardware
    InsecureSimulated,
}

/// Runs one command.
///
/// # Errors
/// What the command reports.
pub fn run(command: PublisherCommand, output: &Output) -> Result<Exit, Failure> {
    let PublisherCommand::Measure {
        platform: PlatformName::InsecureSimulated,
        enclave,
        config,
    } = command;
    let measured = measure::simulated(&enclave, config.as_deref())?;
    output.data(&measured, || measured.to_toml())?;
    Ok(Exit::Yes)
}
