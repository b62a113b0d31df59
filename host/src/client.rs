//! The client's role: verify an enclave, then talk to it over bound connections only.
//!
//! Why apart: the client trusts no one but its own policy and the evidence.
//!
//! - [`endpoint`]: an enclave's address
//! - [`connection`]: TLS that nothing speaks for yet; it can send nonces and nothing else
//! - [`mod@verify`]: evidence to an affirmed identity
//! - [`bound`]: the one type that can send a request
//! - [`enclave`]: verified again in time, with a few bound connections
//! - [`exchange`]: a question and its proven answer; [`kept`]: receipts on disk, judged offline
//! - [`seen`]: the newest that was ever shown to this client, on disk
//! - [`proxy`]: a local OpenAI endpoint; [`ask`]: questions from the command line, [`mod@format`]: what answers have to be
//! - [`mod@explain`]: why evidence is refused, check by check, offline
//! - [`cli`]: the commands
//! - [`wiped`]: buffers of prompts and answers
//! - [`error`], [`limits`]: what goes wrong, and how much is taken
//!
//! # Invariants
//! Nothing but a nonce is sent before a connection is bound. No answer counts as one before its receipt holds.

pub mod ask;
pub mod bound;
pub mod cli;
pub mod connection;
pub mod enclave;
pub mod endpoint;
pub mod error;
pub mod exchange;
pub mod explain;
#[cfg(test)]
mod fake;
pub mod format;
pub mod kept;
pub mod limits;
pub mod padding;
pub mod proxy;
mod receipt;
pub mod seen;
mod sse;
pub mod trust;
pub mod verify;
pub mod wiped;

pub use bound::{BoundConnection, Question, bind};
pub use connection::{Connection, connect};
pub use enclave::Enclave;
pub use endpoint::Endpoint;
pub use error::ClientError;
pub use verify::{Verification, verify};
