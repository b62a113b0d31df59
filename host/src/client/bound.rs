//! Connections that the evidence speaks for, the only ones that carry a request.
//!
//! Why apart: the one type that can send a prompt, and the one function that makes it, are on this page.
//!
//! # Invariants
//! A [`BoundConnection`] holds a [`ChannelProof`]: the peer's TLS key is the one in the evidence, and the
//! enclave's channel key signed this very handshake's exporter. From the proof's `valid_until` on, by
//! the client's clock, nothing is sent.

use std::sync::Arc;

use anchorhold_attestation::{ChannelProof, Nonce, PinnedIdentity};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderMap};
use hyper::{Method, Request, Response, Uri};

use super::connection::{Connection, broken, within};
use super::error::{ClientError, Stage};
use super::limits;
use crate::clock::Clock;

/// A live connection to the enclave that `identity` names, and to nothing else.
#[must_use = "a bound connection is made to send a request on it"]
pub struct BoundConnection {
    connection: Connection,
    identity: Arc<PinnedIdentity>,
    proof: ChannelProof,
    clock: Clock,
}

/// What to send: everything but the Host header, which is the connection's own. A copy shares the body.
#[derive(Clone)]
pub struct Question {
    /// Method.
    pub method: Method,
    /// Path and query.
    pub path: Uri,
    /// Headers, hop-by-hop ones left out.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// A question that got no answer.
#[derive(Debug)]
pub struct Unanswered {
    /// True when no byte of it was written, so that it may be sent again.
    pub unsent: bool,
    /// Why.
    pub error: ClientError,
}

/// Makes `connection` one that carries requests, when it ends at the enclave that `identity` names.
///
/// # Errors
/// [`ClientError::Channel`] when the TLS key, the exporter, the nonce or the signature is another's;
/// [`ClientError::Expired`] after the identity's time.
pub async fn bind(
    mut connection: Connection,
    identity: Arc<PinnedIdentity>,
    clock: &Clock,
) -> Result<BoundConnection, ClientError> {
    // The key first: another's signature over its own connection is not even asked for.
    let leaf = identity.check_leaf(connection.leaf())?;
    let signature = connection.channel_signature().await?;
    let proof = identity.bind(
        leaf,
        connection.exporter(),
        connection.nonce(),
        signature.as_bytes(),
        clock.now(),
    )?;
    Ok(BoundConnection {
        connection,
        identity,
        proof,
        clock: clock.clone(),
    })
}

impl BoundConnection {
    /// The enclave at the other end.
    #[must_use]
    pub fn identity(&self) -> &Arc<PinnedIdentity> {
        &self.identity
    }

    /// The nonce this connection was bound under, which its receipts repeat.
    #[must_use]
    pub const fn nonce(&self) -> &Nonce {
        self.proof.nonce()
    }

    /// Name of the key exchange, for a person.
    #[must_use]
    pub const fn key_exchange(&self) -> &'static str {
        self.connection.key_exchange()
    }

    /// True when the connection could carry another request.
    pub(super) fn is_open(&self) -> bool {
        !self.connection.sender.is_closed()
    }

    /// Sends `question` and waits for the head of the answer. The answer must be read to its end before the
    /// next request; dropping it earlier closes the connection, which tells the enclave to stop.
    ///
    /// # Errors
    /// [`Unanswered`], which says whether the question was sent.
    pub async fn request(&mut self, question: &Question) -> Result<Response<Incoming>, Unanswered> {
        let unsent = |error| Unanswered { unsent: true, error };
        let stage = Stage::Answer;
        let sender = &mut self.connection.sender;
        within(limits::CONNECT, stage, sender.ready())
            .await
            .and_then(|ready| ready.map_err(|_| ClientError::Disconnected(stage)))
            .map_err(unsent)?;
        // Last, so that no wait lies between this and the sending.
        if self.clock.now() >= self.proof.valid_until() {
            return Err(unsent(ClientError::Expired));
        }
        let mut request = Request::new(Full::new(question.body.clone()));
        *request.method_mut() = question.method.clone();
        *request.uri_mut() = question.path.clone();
        *request.headers_mut() = question.headers.clone();
        request
            .headers_mut()
            .insert(HOST, self.connection.authority.clone());
        match within(limits::ANSWER_HEAD, stage, sender.try_send_request(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(failed)) => Err(Unanswered {
                unsent: failed.message().is_some(),
                error: broken(failed.error(), stage),
            }),
            Err(error) => Err(Unanswered { unsent: false, error }),
        }
    }
}
