//! How far long work has come, for whoever shows it.
//!
//! Why apart: sealing and unsealing take minutes for large models, and neither may know of terminals.
//!
//! # Invariants
//! Only counts of bytes pass: nothing of what the bytes are.

/// Told about long work while it runs, from any thread.
pub trait Progress: Sync {
    /// Said once, before the work: how many bytes will be gone through.
    fn total(&self, bytes: u64);
    /// Said often: how many bytes more are done.
    fn advance(&self, bytes: u64);
}

/// Nobody watches.
impl Progress for () {
    fn total(&self, _bytes: u64) {}
    fn advance(&self, _bytes: u64) {}
}
