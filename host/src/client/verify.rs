//! From an address to an identity a policy affirms, with a nonce as the only thing sent.
//!
//! Why apart: this is the client's whole decision, in the order in which it is taken.
//!
//! # Invariants
//! The challenge is drawn from the system's generator and by this client's clock before the connection is
//! opened, so evidence older than it cannot answer it. A [`Verification`] exists only when every rule affirmed.

use anchorhold_attestation::{
    AttestationDocument, Binding, Challenge, Check, PinnedIdentity, ReceivedIdentity, Timestamp,
};

use super::connection::{Connection, connect, random};
use super::endpoint::Endpoint;
use super::error::{ClientError, Stage};
use super::kept::AttestationRecord;
use crate::client::trust::Trust;
use crate::clock::Clock;
use crate::tls::PeerKey;

/// An enclave that a policy affirms, and the connection its evidence came over, which is not bound yet.
#[must_use = "an identity is of use only to bind connections with it"]
pub struct Verification {
    /// What connections are bound to.
    pub identity: PinnedIdentity,
    /// What the enclave says it is; believed because the evidence commits to it.
    pub received: ReceivedIdentity,
    /// Each rule that was judged.
    pub checks: Vec<Check>,
    /// What was judged, to keep with receipts.
    pub record: AttestationRecord,
    /// Still good for nothing but nonces.
    pub connection: Connection,
}

/// Asks the enclave at `endpoint` for evidence over a new nonce and judges it by what `trust` demands.
///
/// # Errors
/// [`ClientError`]; with [`ClientError::Denied`] come all reasons.
pub async fn verify(endpoint: &Endpoint, trust: &Trust, clock: &Clock) -> Result<Verification, ClientError> {
    let challenge = Challenge::new(*random()?, clock.now());
    let mut connection = connect(endpoint, PeerKey::Unknown).await?;
    let answer = connection.attestation(&challenge).await?;
    let judged = judge(&answer, &challenge, trust, clock.now())?;
    Ok(Verification {
        identity: judged.identity,
        received: judged.received,
        checks: judged.checks,
        record: AttestationRecord::new(&answer, &challenge),
        connection,
    })
}

/// What a policy affirms about one attestation document.
pub(super) struct Judged {
    pub(super) identity: PinnedIdentity,
    pub(super) received: ReceivedIdentity,
    pub(super) checks: Vec<Check>,
}

/// Verifies and appraises `answer` as the answer to `challenge`, at one reading of the clock, taken after the
/// answer came: the dates of signatures and the nonce's age are judged at the same time.
pub(super) fn judge(
    answer: &AttestationDocument,
    challenge: &Challenge,
    trust: &Trust,
    now: Timestamp,
) -> Result<Judged, ClientError> {
    let malformed = |_| ClientError::Malformed(Stage::Attestation);
    let identity = ReceivedIdentity::parse(&answer.identity).map_err(malformed)?;
    let claims = trust
        .verifier
        .verify(&answer.evidence, &answer.endorsements, trust.policy.grace(), now)?;
    let _remembered = trust.remember(claims.get()).map_err(ClientError::Seen)?;
    let binding = Binding::client(challenge, identity, &answer.proof, &answer.evidence);
    let appraised = trust.policy.appraise(claims, binding, now)?;
    let checks = appraised.explain().to_vec();
    let received = appraised.identity().clone();
    Ok(Judged {
        identity: appraised.into_channel(),
        received,
        checks,
    })
}
