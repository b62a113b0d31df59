//! The operator's commands.
//!
//! Why apart: arguments and words change with people, the work does not.
//!
//! # Invariants
//! Parses arguments and prints; decides nothing.

use std::path::PathBuf;

use clap::Subcommand;

use super::{endorse, launch, status};
use crate::clock::Clock;
use crate::endorsements::listing;
use crate::error::{Exit, Failure};
use crate::output::Output;

/// What an operator does.
#[derive(Subcommand)]
pub enum OperatorCommand {
    /// Start an enclave; its events, one JSON document a line, go to standard output
    Launch {
        /// The enclave's configuration; its digest is fixed at launch
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The enclave's binary
        #[arg(long, value_name = "FILE")]
        enclave: PathBuf,
        /// Play SEV-SNP with a chip of a fake authority. Protects nothing: for demonstrations and tests
        #[arg(long, value_name = "FILE")]
        fake_chip: Option<PathBuf>,
    },
    /// Bring a bundle of endorsements to an enclave, which hands it on to clients. Nobody has to trust you for it
    Endorse {
        /// The enclave's metrics listener, http://HOST:PORT
        #[arg(long)]
        url: String,
        /// What `client endorsements bundle` wrote
        bundle: PathBuf,
    },
    /// See whether an enclave is alive and ready. Proves nothing: use `client verify` for that
    Status {
        /// The enclave's URL, https://HOST:PORT
        #[arg(long)]
        url: String,
    },
}

/// Runs one command.
///
/// # Errors
/// What the command reports.
pub async fn run(command: OperatorCommand, output: &Output) -> Result<Exit, Failure> {
    match command {
        OperatorCommand::Launch {
            config,
            enclave,
            fake_chip,
        } => {
            let launch = launch::Launch::prepare(&config, &enclave, fake_chip.as_deref())?;
            output.talk(&format!(
                "launching on {}: measurement {}, configuration {}",
                if fake_chip.is_some() {
                    "snp with a fake chip"
                } else {
                    "insecure-simulated"
                },
                launch.record().measurement,
                launch.record().host_data
            ));
            // Comes back only when the enclave could not be started.
            Err(launch.become_enclave().into())
        }
        OperatorCommand::Endorse { url, bundle } => {
            let brought = endorse::endorse(&url, &bundle, &Clock::system()).await?;
            if !brought.not_valid.is_empty() {
                output.talk("warning: clients will refuse these, which are not valid now:");
                output.talk(&listing::text(&brought.not_valid));
            }
            output.data(&brought, || format!("stapled: {} endorsements", brought.items))?;
            Ok(Exit::Yes)
        }
        OperatorCommand::Status { url } => {
            let status = status::probe(&url).await?;
            output.data(&status, || status.to_string())?;
            Ok(if status.is_ready() { Exit::Yes } else { Exit::Error })
        }
    }
}
