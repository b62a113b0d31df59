//! The client's commands.
//!
//! # Invariants
//! Parses arguments and prints; decides nothing.

use clap::Subcommand;

use crate::error::{Exit, Failure};
use crate::output::Output;

/// What a client does.
#[derive(Subcommand)]
pub enum ClientCommand {}

/// Runs one command.
///
/// # Errors
/// What the command reports.
pub async fn run(command: ClientCommand, _output: &Output) -> Result<Exit, Failure> {
    match command {}
}
