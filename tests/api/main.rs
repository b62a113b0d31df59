//! The interface as strangers meet it: real programs, a real channel, real models, and people who mean no good.
//!
//! - `official`: the official OpenAI package through the proxy
//! - `truth`: what the models answer is what their references say
//! - `access`: who may ask, and what is refused by name
//! - `pressure`: full queues, callers that leave, deadlines, draining
//! - `together`: many at one time, and memory that is taken
//! - `tokenised`: ids in place of texts
//! - `hostile`: bodies and connections made to hurt
//! - `canary`: a prompt that must be found nowhere
//! - `served`, `wire`: an enclave to talk to, and the barest client there is
//!
//! # Invariants
//! Every test talks to the product's own binaries over TLS; what a test lacks, it says loudly.

#![allow(clippy::unwrap_used, reason = "test code: a panic is a failure")]

mod access;
mod canary;
mod hostile;
mod official;
mod pressure;
mod served;
mod together;
mod tokenised;
mod truth;
mod wire;
