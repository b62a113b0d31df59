//! `client explain`: arguments and printing.
//!
//! # Invariants
//! The whole answer goes to standard output, also a refusal: it is what was asked for. The exit status says which.

use std::path::PathBuf;

use anchorhold_attestation::Timestamp;
use clap::Args;
use x509_cert::der::DateTime;

use super::files::policy;
use crate::client::explain::{Machine, Question, explain};
use crate::clock::Clock;
use crate::error::{Exit, Failure};
use crate::output::Output;

/// What is to be explained.
#[derive(Args)]
pub struct Explain {
    /// Whose evidence it is
    machine: Machine,
    /// The evidence, in any form: raw, hexadecimal, base64, gzip, PEM, JSON
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// A folder of certificates, revocation lists, collateral, RIM files and OCSP responses
    #[arg(long, value_name = "DIR")]
    endorsements: Option<PathBuf>,
    /// A folder of other roots than the vendors', for test hierarchies: what they vouch for is of the class insecure
    #[arg(long, value_name = "DIR")]
    anchors: Option<PathBuf>,
    /// Appraise by this policy: see docs/policy.md
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Judge as of then: 2026-01-31T00:00:00Z, or seconds since 1970. The default is this machine's clock
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Timestamp>,
}

fn time(text: &str) -> Result<Timestamp, &'static str> {
    if let Ok(seconds) = text.parse() {
        return Ok(Timestamp::from_unix(seconds));
    }
    let date: DateTime = text
        .parse()
        .map_err(|_| "write 2026-01-31T00:00:00Z, or seconds since 1970")?;
    Ok(Timestamp::from_unix(date.unix_duration().as_secs()))
}

/// Explains and prints.
pub(super) fn run(question: Explain, output: &Output) -> Result<Exit, Failure> {
    let question = Question {
        machine: question.machine,
        files: question.files,
        endorsements: question.endorsements,
        anchors: question.anchors,
        policy: question.policy.as_deref().map(policy).transpose()?,
        at: question.at.unwrap_or_else(|| Clock::system().now()),
        at_given: question.at.is_some(),
    };
    let told = explain(&question)?;
    output.data(&told, || told.text())?;
    Ok(told.exit())
}
