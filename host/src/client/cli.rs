//! The client's commands.
//!
//! Why apart: everything a person or a script sees of this role is printed here, and nothing else is.
//!
//! # Invariants
//! Parses arguments and prints; decides nothing. Questions and answers go to standard output only.

use std::path::PathBuf;
use std::sync::Arc;

use anchorhold_attestation::Class;
use anchorhold_attestation::limits::PUBLISHED_BUNDLE;
use anchorhold_models::Manifest;
use clap::{Args, Subcommand};
use hyper::header::HeaderValue;
use serde::Serialize;

use self::files::{api_key, policy, read, schema};
use super::enclave::Enclave;
use super::endpoint::Endpoint;
use super::format::Format;
use super::kept::Keeper;
use super::proxy::listen::Place;
use super::trust::Trust;
use crate::clock::Clock;
use crate::error::{Exit, Failure};
use crate::output::Output;
use crate::progress::Bar;
use crate::trust::Verifier;

mod endorsements;
mod explain;
mod files;
mod proxy;
mod receipt;
mod talk;
mod tokenise;
mod verify;

/// What a client does.
#[derive(Subcommand)]
pub enum ClientCommand {
    /// Ask an enclave what it is and judge its evidence by a policy
    Verify(Whom),
    /// Ask one question over a verified channel
    Ask {
        /// Whom, and how
        #[command(flatten)]
        talk: Talk,
        /// The question; `-` reads it from standard input
        question: String,
    },
    /// Talk to the model over a verified channel, one line at a time
    Chat {
        /// Whom, and how
        #[command(flatten)]
        talk: Talk,
    },
    /// Serve a local OpenAI endpoint that forwards to the verified enclave only
    Proxy {
        /// Whom
        #[command(flatten)]
        whom: Whom,
        /// How
        #[command(flatten)]
        with: With,
        /// Where to listen: 127.0.0.1:PORT (0 chooses a port) or unix:/path
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: Place,
        /// Write the proxy's token to this new file (mode 0600, removed when the proxy stops) and do not print it
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
        /// How texts go out
        #[command(flatten)]
        tokenise: tokenise::Tokenise,
    },
    /// Receipts that were kept
    #[command(subcommand)]
    Receipt(ReceiptCommand),
    /// Tell why evidence in files is refused, or not: every check, offline
    Explain(explain::Explain),
    /// What vendors sign about hardware: fetch it, carry it, look at it
    #[command(subcommand)]
    Endorsements(endorsements::EndorsementsCommand),
    /// Compute the digest that names a model, from its public files
    Manifest {
        /// The model's folder
        dir: PathBuf,
    },
}

/// What a client does with a kept receipt.
#[derive(Subcommand)]
pub enum ReceiptCommand {
    /// Judge a kept receipt offline and say what it cannot prove
    Verify {
        /// The file that --keep-receipts wrote
        file: PathBuf,
        /// Judge the evidence in it by this policy
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// The request's body as it was sent
        #[arg(long, value_name = "FILE", requires = "answer")]
        request: Option<PathBuf>,
        /// The answer's body as it was received, JSON or event stream
        #[arg(long, value_name = "FILE", requires = "request")]
        answer: Option<PathBuf>,
    },
}

/// Which enclave, and what it must be.
#[derive(Args)]
pub struct Whom {
    /// The enclave's address: https://host or https://host:port
    #[arg(long, value_parser = endpoint)]
    url: Endpoint,
    /// What you trust: see docs/policy.md
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Believe the root certificates in this folder and not the vendors': for test hierarchies
    #[arg(long, value_name = "DIR")]
    anchors: Option<PathBuf>,
    /// Use the endorsements of this bundle beside those that the enclave staples
    #[arg(long, value_name = "FILE")]
    endorsements: Option<PathBuf>,
    /// Take the reference values of the publishers that the policy names from this bundle
    #[arg(long, value_name = "FILE", requires = "seen")]
    reference_values: Option<PathBuf>,
    /// Remember in this file the newest of everything that was seen, and refuse what is older
    #[arg(long, value_name = "FILE")]
    seen: Option<PathBuf>,
}

/// What goes with each request, and what is kept of it.
#[derive(Args)]
pub struct With {
    /// A file with the API key that the enclave wants
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// Keep each answer's receipt in this folder
    #[arg(long, value_name = "DIR")]
    keep_receipts: Option<PathBuf>,
    /// Send requests with their own lengths, which tell the network how long a prompt is; else they are padded with spaces
    #[arg(long)]
    dangerously_unpadded: bool,
}

/// What a conversation needs.
#[derive(Args)]
pub struct Talk {
    #[command(flatten)]
    whom: Whom,
    #[command(flatten)]
    with: With,
    /// The model's name; the enclave's own by default
    #[arg(long)]
    model: Option<String>,
    /// Instructions that go before the conversation
    #[arg(long)]
    system: Option<String>,
    /// How tokens are drawn, from 0 (the likeliest each time) to 2; the enclave's default is 1
    #[arg(long, value_parser = temperature, allow_negative_numbers = true)]
    temperature: Option<f64>,
    /// The same seed and question give the same answer
    #[arg(long, allow_negative_numbers = true)]
    seed: Option<i64>,
    /// Each answer is JSON that fulfils the JSON Schema in this file: see docs/structured-output.md
    #[arg(long, value_name = "FILE", conflicts_with = "json_object")]
    json_schema: Option<PathBuf>,
    /// Each answer is a JSON object
    #[arg(long)]
    json_object: bool,
}

impl Talk {
    fn format(&self) -> Result<Option<Format>, Failure> {
        match &self.json_schema {
            Some(path) => schema(path).map(|schema| Some(Format::Schema(schema))),
            None => Ok(self.json_object.then_some(Format::Object)),
        }
    }
}

/// The API's own range: a value outside it is a usage error here rather than a refusal there.
fn temperature(text: &str) -> Result<f64, &'static str> {
    let number = text.parse().ok().filter(|number| (0.0..=2.0).contains(number));
    number.ok_or("a number from 0 to 2")
}

fn endpoint(text: &str) -> Result<Endpoint, super::endpoint::EndpointError> {
    text.parse()
}

impl Whom {
    fn enclave(&self, with: &With) -> Result<Arc<Enclave>, Failure> {
        let enclave = Enclave::new(self.url.clone(), self.trust()?, Clock::system());
        Ok(Arc::new(match with.dangerously_unpadded {
            true => enclave.dangerously_unpadded(),
            false => enclave,
        }))
    }

    fn trust(&self) -> Result<Trust, Failure> {
        let verifier = Verifier::read(self.anchors.as_deref(), self.endorsements.as_deref())?;
        let mut trust = Trust::new(policy(&self.policy)?, verifier, self.seen.clone());
        if let (Some(bundle), Some(seen)) = (&self.reference_values, &self.seen) {
            let bytes = read(bundle, u64::try_from(PUBLISHED_BUNDLE).unwrap_or(u64::MAX))?;
            let _stored = trust.take(&bytes, seen.clone(), Clock::system().now())?;
        }
        Ok(trust)
    }
}

impl With {
    fn api_key(&self) -> Result<Option<HeaderValue>, Failure> {
        self.api_key_file.as_deref().map(api_key).transpose()
    }

    fn keeper(&self) -> Result<Option<Keeper>, Failure> {
        let open = |folder: &PathBuf| {
            Keeper::open(folder.clone()).map_err(|error| {
                Failure::new(
                    "keep_receipts",
                    format!("cannot use {} for receipts: {}", folder.display(), error.kind()),
                    "name a folder that you may write to",
                )
            })
        };
        self.keep_receipts.as_ref().map(open).transpose()
    }
}

/// Says once and loudly that simulated evidence protects nothing.
fn warn_of_class(class: Class, output: &Output) {
    if class == Class::Insecure {
        output.talk(
            "warning: this evidence is of class insecure: the enclave protects nothing; for tests only",
        );
    }
}

/// Runs one command.
///
/// # Errors
/// What the command reports.
pub async fn run(command: ClientCommand, output: &Output) -> Result<Exit, Failure> {
    match command {
        ClientCommand::Verify(whom) => verify::run(&whom, output).await,
        ClientCommand::Ask { talk, question } => talk::ask(&talk, question, output).await,
        ClientCommand::Chat { talk } => talk::chat(&talk, output).await,
        ClientCommand::Proxy {
            whom,
            with,
            listen,
            token_file,
            tokenise,
        } => proxy::run(&whom, &with, listen, token_file.as_deref(), &tokenise, output).await,
        ClientCommand::Receipt(ReceiptCommand::Verify {
            file,
            policy,
            request,
            answer,
        }) => {
            let texts = request.as_deref().zip(answer.as_deref());
            receipt::run(&file, policy.as_deref(), texts, output)
        }
        ClientCommand::Explain(question) => explain::run(question, output),
        ClientCommand::Endorsements(command) => endorsements::run(&command, output).await,
        ClientCommand::Manifest { dir } => manifest(&dir, output),
    }
}

#[derive(Serialize)]
struct ManifestResult {
    manifest_sha256: String,
    manifest: Manifest,
}

fn manifest(dir: &std::path::Path, output: &Output) -> Result<Exit, Failure> {
    let bar = Bar::new(output, "hashing");
    let manifest = Manifest::of_dir(dir, &bar)
        .map_err(|error| Failure::new("model_folder", error.to_string(), error.hint()))?;
    drop(bar);
    let digest = manifest.digest().to_string();
    let result = ManifestResult {
        manifest_sha256: digest.clone(),
        manifest,
    };
    output.data(&result, || digest)?;
    Ok(Exit::Yes)
}
