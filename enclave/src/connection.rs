//! What is known about one connection: its TLS exporter, and whether a client has bound it.
//!
//! Why apart: prompts may only travel on a connection whose far end has seen evidence for this enclave's
//! channel key. The value [`Bound`] is the proof, and only [`Connection::bind`] makes one.
//!
//! # Invariants
//! A connection is bound at most once; a second nonce is refused. The middleware of [`crate::api`] puts the
//! [`Bound`] into a request's extensions, so a handler that asks for it cannot run without one.

use std::fmt;
use std::sync::OnceLock;

use anchorhold_attestation::binding::Nonce;
use anchorhold_attestation::channel::{EXPORTER_LABEL, channel_message};
use anchorhold_encoding::Digest;
use zeroize::Zeroizing;

use crate::identity::Identity;

/// A live TLS connection that can derive keying material (RFC 8446, section 7.5).
pub trait Exporter: Send + Sync {
    /// 32 bytes under `label` and `context`; `None` when the handshake is not complete.
    fn export(&self, label: &[u8], context: &[u8]) -> Option<Zeroizing<[u8; 32]>>;
}

/// A client has bound this connection. Handlers take it from the request's extensions.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    nonce: Nonce,
}

impl Bound {
    /// The nonce the client bound the connection with; receipts name it.
    #[must_use]
    pub fn nonce(&self) -> Nonce {
        self.nonce
    }

    /// For unit tests of handlers: as if a client had bound the connection.
    #[cfg(test)]
    pub(crate) fn for_tests(nonce: Nonce) -> Self {
        Self { nonce }
    }
}

/// Why a connection was not bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindError {
    /// It already is, with another nonce.
    AlreadyBound,
    /// TLS gave no keying material.
    NoExporter,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadyBound => "this connection is already bound under another nonce",
            Self::NoExporter => "this connection cannot be bound",
        })
    }
}

impl std::error::Error for BindError {}

impl BindError {
    /// What the client can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        "open a new connection and bind it"
    }
}

/// One connection. The server puts an `Arc` of it into the extensions of each of its requests.
pub struct Connection {
    exporter: Box<dyn Exporter>,
    bound: OnceLock<Bound>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("bound", &self.bound)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// A connection nobody has bound yet.
    #[must_use]
    pub fn new(exporter: Box<dyn Exporter>) -> Self {
        Self {
            exporter,
            bound: OnceLock::new(),
        }
    }

    /// The proof that a client bound this connection.
    #[must_use]
    pub fn bound(&self) -> Option<Bound> {
        self.bound.get().copied()
    }

    /// Binds the connection to `nonce` and returns the channel key's signature over its exporter. Asked again
    /// with the same nonce it signs again.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(&self, nonce: Nonce, identity: &Identity) -> Result<Digest<64>, BindError> {
        let exported = self
            .exporter
            .export(EXPORTER_LABEL, nonce.as_bytes())
            .ok_or(BindError::NoExporter)?;
        let bound = self.bound.get_or_init(|| Bound { nonce });
        if bound.nonce != nonce {
            return Err(BindError::AlreadyBound);
        }
        Ok(identity.sign_channel(&channel_message(&exported, &nonce, &identity.digest())))
    }
}

#[cfg(test)]
impl Connection {
    /// For unit tests: a connection that a client has bound with `nonce`.
    #[cfg(feature = "insecure-simulated")] // whose tests need it
    pub(crate) fn bound_for_tests(nonce: Nonce) -> Self {
        let connection = Self::new(Box::new(tests::FixedExporter));
        connection.bound.set(Bound { nonce }).expect("it is new");
        connection
    }

    /// For unit tests: a connection that no client has bound.
    pub(crate) fn unbound_for_tests() -> Self {
        Self::new(Box::new(tests::FixedExporter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) struct FixedExporter;

    impl Exporter for FixedExporter {
        fn export(&self, label: &[u8], context: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
            let digest = anchorhold_encoding::sha256(&[label, context]);
            Some(Zeroizing::new(*digest.as_bytes()))
        }
    }

    struct NoExporter;

    impl Exporter for NoExporter {
        fn export(&self, _: &[u8], _: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
            None
        }
    }

    #[test]
    fn a_connection_is_bound_once_and_to_one_nonce() {
        let identity = Identity::for_tests();
        let connection = Connection::unbound_for_tests();
        assert!(connection.bound().is_none());
        let (one, two) = (Nonce::from_random([1; 32]), Nonce::from_random([2; 32]));
        let first = connection.bind(one, &identity).unwrap();
        assert_eq!(connection.bind(one, &identity).unwrap(), first);
        assert_eq!(connection.bind(two, &identity), Err(BindError::AlreadyBound));
        assert_eq!(connection.bound().unwrap().nonce(), one);
    }

    #[test]
    fn without_an_exporter_nothing_is_bound() {
        let connection = Connection::new(Box::new(NoExporter));
        let nonce = Nonce::from_random([1; 32]);
        assert_eq!(
            connection.bind(nonce, &Identity::for_tests()),
            Err(BindError::NoExporter)
        );
        assert!(connection.bound().is_none());
    }
}
