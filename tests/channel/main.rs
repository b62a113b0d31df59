//! The channel between a client and an enclave: each lie about it, told to the real programs, and refused.
//!
//! - `evidence`: evidence that is old, altered, borrowed, expired or made for another purpose
//! - `binding`: connections that end elsewhere than the evidence says
//! - `handshake`: versions, key exchange, tickets and early data, both sides
//! - `pool`: connections of one client that land on several enclaves
//! - `clock`: the client's own clock, moved by hand
//! - `proxy`: who may use it, what it lets out and when
//! - `receipts`: altered answers, altered receipts, receipts judged later
//! - `liar`, `script`: an enclave in the test's process that is right in everything but one thing
//! - `wire`: taps, switches and thieves between the two; `hello`: the bytes of a handshake's beginning
//! - `genuine`: the real broker and enclaves; `caller`: a local program that uses the proxy
//!
//! # Invariants
//! Each test shows, beside what is refused, that the same without the lie is accepted. docs/mutation.md names
//! the check whose removal each test notices.

#![allow(clippy::unwrap_used, reason = "test code: a panic is a failure")]

mod binding;
mod caller;
mod clock;
mod evidence;
mod genuine;
mod handshake;
mod hello;
mod liar;
mod pool;
mod proxy;
mod receipts;
mod script;
mod wire;
