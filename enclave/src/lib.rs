//! The server inside the confidential VM: attest, obtain the key, unseal, serve.
//!
//! Why apart: this crate and what it links are all the code that sees plaintext; everything else of the
//! project stays outside the trust boundary.
//!
//! What it is given, and what it says:
//! - [`config`]: the one measured configuration file, compared with the platform's field before it is parsed
//! - [`limits`]: how much of anything from outside is taken
//! - [`event`]: the only door to output
//! - [`process`]: environment, panics and signals of the process
//! - [`confine`]: what the process can still do when the first request comes
//!
//! How it starts:
//! - [`boot`]: Locked, Restricted, Attested, Keyed, Ready; each transition consumes the state before
//! - [`attester`]: the platform that signs evidence
//! - [`identity`]: the keys made at boot and the document that commits to them
//! - [`rcar`]: the conversation with the owner's broker
//! - [`tls`]: TLS 1.3 towards clients and towards the broker
//!
//! While it serves:
//! - [`mod@run`]: the whole life, from the configuration's bytes to the exit code
//! - [`server`]: accepting connections within limits
//! - [`connection`]: what is known about one connection; only a bound one carries requests
//! - [`batch`]: one report for all nonces of a window; [`endorsements`]: what the operator staples to it
//! - [`clock`], [`lease`], [`lifecycle`]: how long it may go on
//! - [`api`], [`engine`], [`auth`], [`receipts`], [`metrics`]: the OpenAI-compatible interface
//!
//! # Invariants
//! No wall clock, no environment, no output but events. Prompts, answers, keys, token ids and weights reach no
//! event, error, metric or file.

pub mod account;
pub mod api;
pub mod attester;
pub mod auth;
pub mod batch;
pub mod boot;
pub mod clock;
pub mod config;
pub mod confine;
pub mod connection;
pub mod devices;
pub mod endorsements;
pub mod engine;
pub mod event;
pub mod identity;
pub mod lease;
pub mod lifecycle;
pub mod limits;
pub mod metrics;
pub mod process;
pub mod rcar;
pub mod receipts;
pub mod run;
pub mod server;
pub mod tls;
pub mod traffic;

pub use run::{Listening, RunOutcome, run, start};
