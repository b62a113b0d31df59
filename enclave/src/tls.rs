//! TLS 1.3 on both sides: towards clients with a key made at boot, towards the broker with a pinned key.
//!
//! Why apart: what TLS proves here is only "the holder of this key"; who that is comes from evidence or from
//! the configuration. No certificate authority, no name and no date is believed.
//!
//! - [`server_key`]: the key of this boot and the certificate around it
//! - [`padded`]: records of one length
//! - [`pinned`]: a peer that must hold one named key
//!
//! # Invariants
//! TLS 1.3 only; X25519MLKEM768 before the classical groups. No tickets, no resumption, no early data: every
//! connection is a full handshake with its own exporter, and its handshake signature is checked.

mod padded;
mod pinned;
mod server_key;

use std::fmt;
use std::sync::Arc;

use anchorhold_encoding::Digest;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ServerConfig, version};

pub use server_key::ServerKey;

/// TLS could not be set up: the cryptographic library lacks what this file names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsUnavailable;

impl fmt::Display for TlsUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TLS could not be set up")
    }
}

impl std::error::Error for TlsUnavailable {}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        kx_groups: vec![
            aws_lc_rs::kx_group::X25519MLKEM768,
            aws_lc_rs::kx_group::X25519,
            aws_lc_rs::kx_group::SECP256R1,
        ],
        ..aws_lc_rs::default_provider()
    })
}

/// The side that clients connect to. Made once: with a `frame`, each of its records has that many bytes of plaintext.
///
/// # Errors
/// [`TlsUnavailable`].
pub fn server_config(key: &ServerKey, frame: Option<usize>) -> Result<Arc<ServerConfig>, TlsUnavailable> {
    let mut provider = provider();
    if let Some(frame) = frame {
        let suites = padded::suites(&provider.cipher_suites, frame);
        Arc::make_mut(&mut provider).cipher_suites = suites;
    }
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(|_| TlsUnavailable)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(key.certified())));
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    if let Some(frame) = frame {
        padded::limit_fragments(&mut config, frame);
    }
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The side that connects to a broker holding the key whose SubjectPublicKeyInfo has this SHA-256.
///
/// # Errors
/// [`TlsUnavailable`].
pub fn pinned_client_config(spki_sha256: Digest<32>) -> Result<Arc<ClientConfig>, TlsUnavailable> {
    let provider = provider();
    let verifier = pinned::PinnedKey::new(spki_sha256, &provider);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(|_| TlsUnavailable)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests;
