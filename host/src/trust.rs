//! What a Relying Party brings to a verification: whom to believe, and the endorsements it has itself.
//!
//! Why apart: owner and client verify the same way, and neither imports the other.
//!
//! - [`files`]: anchors and endorsements from files
//!
//! # Invariants
//! Unset means the vendors' compiled roots. Endorsements are untrusted wherever they come from: one's own come first,
//! an enclave's are used beside them, and those that are none are passed over.

use anchorhold_attestation::{
    Anchors, Claims, Endorsement, Endorsements, Evidence, Grace, Timestamp, Verified, VerifyError, verify,
};

mod files;

pub use files::TrustError;

/// Whom to believe, and the endorsements at hand.
#[derive(Debug)]
pub struct Verifier {
    anchors: Anchors,
    endorsements: Vec<Endorsement>,
}

impl Verifier {
    /// Under the vendors' own roots, without endorsements of one's own.
    #[must_use]
    pub fn compiled() -> Self {
        Self::new(Anchors::compiled(), Vec::new())
    }

    /// Under these roots, with these endorsements.
    #[must_use]
    pub const fn new(anchors: Anchors, endorsements: Vec<Endorsement>) -> Self {
        Self {
            anchors,
            endorsements,
        }
    }

    /// Whom it believes.
    #[must_use]
    pub const fn anchors(&self) -> &Anchors {
        &self.anchors
    }

    /// Verifies evidence with one's own endorsements and those that came `stapled` to it. `grace` is the word of the
    /// policy that will judge it.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn verify(
        &self,
        evidence: &Evidence,
        stapled: &[Vec<u8>],
        grace: Option<Grace>,
        now: Timestamp,
    ) -> Result<Verified<Claims>, VerifyError> {
        // One's own first, then as much of what was stapled as fits: nobody can push out what is here.
        let mut all: Vec<Endorsement> = self.endorsements.clone();
        let mut endorsements = Endorsements::new(all.clone()).unwrap_or_else(|_| Endorsements::none());
        for item in stapled
            .iter()
            .filter_map(|blob| Endorsement::from_json(blob).ok())
        {
            all.push(item);
            match Endorsements::new(all.clone()) {
                Ok(more) => endorsements = more,
                Err(_) => {
                    let _too_much = all.pop();
                }
            }
        }
        let proven = verify(evidence, &endorsements, &self.anchors, now);
        let (Err(error), Some(grace)) = (&proven, grace) else {
            return proven;
        };
        if !error.is_expiry() {
            return proven;
        }
        // What ended within the grace was proven then; the appraisal adds the same grace to the end it finds.
        let then = Timestamp::from_unix(now.unix().saturating_sub(grace.seconds()));
        verify(evidence, &endorsements, &self.anchors, then).map_err(|_| *error)
    }
}
