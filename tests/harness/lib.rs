//! What the tests of the whole share: where things are, and real processes to talk to.
//!
//! # Invariants
//! A test that lacks its data says so through [`testdata::skip`]; none passes silently.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "test code: a panic is a failure, stderr is read by people"
)]

pub mod false_broker;
pub mod guest;
pub mod loaded;
pub mod observer;
pub mod process;
pub mod relay;
pub mod testdata;
pub mod tree;
pub mod world;
