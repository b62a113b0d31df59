//! `publisher reference`: statements and bundles.
//!
//! # Invariants
//! What is shown without a trust says so. A refusal by a trust has exit status 3.

use std::path::{Path, PathBuf};

use anchorhold_attestation::limits::{POLICY, PUBLISHED_BUNDLE};
use anchorhold_attestation::published::{
    self, Bundle, PublishedCheck, PublishedValues, PublisherTrust, Seen, SignedStatement, Statement,
};
use anchorhold_encoding::Digest;
use clap::Subcommand;
use serde::Serialize;

use super::super::error::PublisherError;
use super::super::key::SigningKey;
use super::super::reference;
use crate::clock::Clock;
use crate::error::{Exit, Failure};
use crate::output::Output;
use crate::{secret_file, state_file};

/// What is done with a statement.
#[derive(Subcommand)]
pub enum ReferenceCommand {
    /// Sign a statement of reference values as one publisher
    Sign {
        /// The statement, TOML or JSON: see docs/reference-values.md
        #[arg(long, value_name = "FILE")]
        statement: PathBuf,
        /// The publisher's key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The same statement as signed by another publisher: keeps those signatures; may be repeated
        #[arg(long, value_name = "FILE")]
        with: Vec<PathBuf>,
        /// The signed statement to write; must not exist
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Show a bundle or a signed statement; judges nobody's trust
    Show {
        /// The file
        file: PathBuf,
    },
    /// Check a bundle offline: publishers, log, witnesses, time
    Verify {
        /// The bundle
        file: PathBuf,
        /// Whom you trust: see docs/reference-values.md
        #[arg(long, value_name = "FILE")]
        trust: PathBuf,
    },
}

pub(super) fn run(command: ReferenceCommand, output: &Output) -> Result<Exit, Failure> {
    match command {
        ReferenceCommand::Sign {
            statement,
            key,
            with,
            out,
        } => sign(&statement, &key, &with, &out, output),
        ReferenceCommand::Show { file } => show(&file, output),
        ReferenceCommand::Verify { file, trust } => verify(&file, &trust, output),
    }
}

#[derive(Serialize)]
struct SignDocument {
    statement_sha256: Digest<32>,
    signed_by: Vec<Digest<32>>,
}

fn signers(signed: &SignedStatement) -> Vec<Digest<32>> {
    let signatures = signed.signatures().iter();
    signatures.map(|signature| signature.key).collect()
}

fn sign(
    statement: &Path,
    key: &Path,
    with: &[PathBuf],
    out: &Path,
    output: &Output,
) -> Result<Exit, Failure> {
    let key = SigningKey::publisher(key)?;
    let statement = reference::statement(statement)?;
    let others = with.iter().map(|path| reference::entry(path));
    let others = others.collect::<Result<Vec<_>, _>>()?;
    let signed = reference::sign(statement, &key, &others)?;
    secret_file::create(out, &signed.encode()).map_err(PublisherError::io("the signed statement"))?;
    let document = SignDocument {
        statement_sha256: signed.statement().digest(),
        signed_by: signers(&signed),
    };
    output.data(&document, || {
        let signers: Vec<String> = document.signed_by.iter().map(Digest::to_string).collect();
        format!(
            "statement: {}\nsigned by: {}",
            document.statement_sha256,
            signers.join("\n           ")
        )
    })?;
    Ok(Exit::Yes)
}

#[derive(Serialize)]
struct ShowDocument<'a> {
    verified: bool,
    statement: &'a Statement,
    statement_sha256: Digest<32>,
    signed_by: Vec<Digest<32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<&'a str>,
}

fn show(file: &Path, output: &Output) -> Result<Exit, Failure> {
    let bytes = state_file::read(file, PUBLISHED_BUNDLE).map_err(PublisherError::io("the file"))?;
    let (bundle, signed) = match Bundle::parse(&bytes) {
        Ok(bundle) => {
            let signed = bundle.signed().map_err(PublisherError::from)?;
            (Some(bundle), signed)
        }
        Err(error) if error.check() == PublishedCheck::BundleShape => (
            None,
            SignedStatement::parse(&bytes).map_err(PublisherError::from)?,
        ),
        Err(error) => return Err(PublisherError::from(error).into()),
    };
    let document = ShowDocument {
        verified: false,
        statement: signed.statement(),
        statement_sha256: signed.statement().digest(),
        signed_by: signers(&signed),
        proof: bundle.as_ref().map(Bundle::proof),
    };
    output.data(&document, || {
        let statement = serde_json::to_string_pretty(document.statement).unwrap_or_default();
        let signers: Vec<String> = document.signed_by.iter().map(Digest::to_string).collect();
        let mut text = format!(
            "{statement}\n\nstatement: {}\nsigned by: {}",
            document.statement_sha256,
            signers.join("\n           ")
        );
        if let Some(proof) = document.proof {
            text.push_str(&format!("\n\n{}", proof.trim_end()));
        }
        text
    })?;
    output.talk("note: signatures hold, and whose they are is not judged: publisher reference verify");
    Ok(Exit::Yes)
}

#[derive(Serialize)]
struct WitnessDocument {
    name: String,
    time: u64,
}

#[derive(Serialize)]
struct VerifyDocument<'a> {
    verified: bool,
    line: &'a str,
    serial: u64,
    not_after: u64,
    statement_sha256: &'a Digest<32>,
    reference_values: &'a [anchorhold_attestation::reference::ReferenceValue],
    publishers: &'a [Digest<32>],
    origin: &'a str,
    index: u64,
    size: u64,
    root: Digest<32>,
    witnesses: Vec<WitnessDocument>,
    compared_with_an_earlier_state: bool,
}

fn verify(file: &Path, trust: &Path, output: &Output) -> Result<Exit, Failure> {
    let trust = state_file::read(trust, POLICY).map_err(PublisherError::io("the trust"))?;
    let trust = PublisherTrust::from_toml(&trust)
        .map_err(|error| Failure::new(error.id(), error.to_string(), error.hint()))?;
    let bundle = state_file::read(file, PUBLISHED_BUNDLE + 1).map_err(PublisherError::io("the bundle"))?;
    let now = Clock::system().now();
    let values =
        published::verify(&bundle, &trust, &Seen::nothing(), now).map_err(PublisherError::Refused)?;
    let document = document(&values);
    output.data(&document, || text(&values))?;
    output.talk("note: compared with no earlier state: whether something newer was published is not known");
    Ok(Exit::Yes)
}

fn document(values: &PublishedValues) -> VerifyDocument<'_> {
    let checkpoint = values.checkpoint();
    let witnesses = values.witnesses().iter();
    VerifyDocument {
        verified: true,
        line: values.statement().line.as_str(),
        serial: values.serial(),
        not_after: values.not_after().unix(),
        statement_sha256: values.statement_sha256(),
        reference_values: values.values(),
        publishers: values.publishers(),
        origin: checkpoint.origin.as_str(),
        index: values.index(),
        size: checkpoint.size,
        root: checkpoint.root,
        witnesses: witnesses
            .map(|(key, time)| WitnessDocument {
                name: key.name().to_string(),
                time: time.unix(),
            })
            .collect(),
        compared_with_an_earlier_state: false,
    }
}

fn text(values: &PublishedValues) -> String {
    let checkpoint = values.checkpoint();
    let publishers: Vec<String> = values.publishers().iter().map(Digest::to_string).collect();
    let witnesses: Vec<String> = values
        .witnesses()
        .iter()
        .map(|(key, time)| format!("{} at {time}", key.name()))
        .collect();
    let accepted = serde_json::to_string_pretty(values.values()).unwrap_or_default();
    format!(
        "line:       {}\nserial:     {}\nnot after:  {}\nstatement:  {}\nlog:        {}, entry {} of {}\npublishers: {}\nwitnesses:  {}\n\n{accepted}",
        values.statement().line,
        values.serial(),
        values.not_after(),
        values.statement_sha256(),
        checkpoint.origin,
        values.index(),
        checkpoint.size,
        publishers.join("\n            "),
        witnesses.join("\n            "),
    )
}
