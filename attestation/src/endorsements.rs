//! What vendors sign about their hardware: certificates, revocation lists, TCB information.
//!
//! Why apart: they come by other ways than evidence and live longer, and they are always an argument.
//!
//! # Invariants
//! Untrusted until [`crate::verify()`] has checked them under an anchor.

/// Endorsements to verify evidence with. Simulated evidence needs none.
#[derive(Debug)]
#[non_exhaustive]
pub struct Endorsements {}

impl Endorsements {
    /// No endorsement: enough for evidence that nobody vouches for.
    #[must_use]
    pub const fn none() -> Self {
        Self {}
    }
}
