//! The operator's commands.
//!
//! Why apart: arguments and words change with people, the work does not.
//!
//! # Invariants
//! Parses arguments and prints; decides nothing.

use std::path::PathBuf;

use clap::Subcommand;

use super::{endorse, launch, scan, status};
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
    /// Look for planted texts, ids or numbers in all memory of a process, or in a core dump: exit status 0 nothing found, 3 found
    Scan {
        /// The process. Needs the right to trace it
        #[arg(long, required_unless_present = "core")]
        pid: Option<u32>,
        /// An ELF core in place of a process
        #[arg(long, value_name = "FILE", conflicts_with = "pid")]
        core: Option<PathBuf>,
        /// What to look for, one text a line or JSON (docs/hygiene.md); - for standard input. Never an argument, which others can see
        #[arg(long, value_name = "FILE", required = true)]
        canary_file: Vec<PathBuf>,
        /// Print memory around each place: it may hold anybody's plaintext
        #[arg(long)]
        dangerously_show_memory: bool,
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
        OperatorCommand::Scan {
            pid,
            core,
            canary_file,
            dangerously_show_memory: show,
        } => {
            let mut canaries = Vec::new();
            for file in canary_file {
                canaries.extend(scan::Canaries::read(&file)?);
            }
            let canaries = scan::Canaries::new(&canaries)?;
            let image = match (core, pid) {
                (Some(core), _) => scan::Image::of_core(&core)?,
                (None, pid) => scan::Image::of_process(pid.unwrap_or_default())?,
            };
            let report = scan::scan(&image, &canaries, show)?;
            output.data(&report, || report.text())?;
            Ok(if report.found == 0 {
                Exit::Yes
            } else {
                Exit::Denied
            })
        }
        OperatorCommand::Status { url } => {
            let status = status::probe(&url).await?;
            output.data(&status, || status.to_string())?;
            Ok(if status.is_ready() { Exit::Yes } else { Exit::Error })
        }
    }
}
