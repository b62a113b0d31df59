//! Who may ask for the key, and who may answer: the real programs, on real sockets, with one thing wrong at a
//! time, beside the control in which nothing is.
//!
//! - [`configuration`]: a genuine enclave under another configuration
//! - [`rogue`]: another broker, and what passes through a liar's hands
//! - [`replay`]: answers of earlier sessions, answers for another resource
//! - [`sessions`]: what a guest may not do twice
//! - [`purpose`]: evidence for a broker is none for a client, and the reverse
//! - [`older`]: an older sealed file under the same key
//! - [`log`]: the release log
//! - [`lease`]: how a key ends
//!
//! # Invariants
//! Refused means: the exit status, the code, and that no byte of the model was decrypted.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "test code: a panic is a failure, stderr is read by people"
)]

mod configuration;
mod lease;
mod log;
mod older;
mod purpose;
mod replay;
mod rogue;
mod sessions;

use anchorhold_tests::process::Finished;
use anchorhold_tests::world::World;

/// A world whose model need not load.
fn tiny_world() -> World {
    World::new(anchorhold_tests::programs!(), &World::tiny_model())
}

/// A world whose enclave can come to serve.
fn demo_world() -> World {
    World::new(anchorhold_tests::programs!(), &World::demo_model())
}

/// An enclave ended without a key: status, the code of its last event, and nothing unsealed.
fn got_no_key(ended: Finished, status: i32, code: &str) {
    let ended = ended.expect(status);
    assert_eq!(ended.last_code(), code, "{ended:#?}");
    for event in ["key_released", "unsealing", "ready", "listening"] {
        assert!(!ended.told(event), "{event}: {ended:#?}");
    }
}
