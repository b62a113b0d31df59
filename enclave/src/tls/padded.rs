//! TLS records of one length (RFC 8446, section 5.4).
//!
//! Why apart: rustls pads nothing, and lets others make its records.
//!
//! # Invariants
//! A record is the content, its type and zeros, encrypted by the cipher of rustls as it is: this file makes no
//! ciphertext. What a connection sends has at most the frame's bytes a record ([`rustls::ServerConfig::max_fragment_size`]),
//! so each record has exactly those, handshake and alerts included.

use rustls::crypto::cipher::{
    AeadKey, Iv, MessageDecrypter, MessageEncrypter, OutboundChunks, OutboundOpaqueMessage,
    OutboundPlainMessage, Tls13AeadAlgorithm, UnsupportedOperationError,
};
use rustls::{
    ConnectionTrafficSecrets, ContentType, Error, ServerConfig, SupportedCipherSuite, Tls13CipherSuite,
};
use zeroize::Zeroizing;

/// Bytes of a TLS record's header, which rustls counts in the size of a fragment.
const RECORD_HEADER: usize = 5;

/// The longest frame: the most zeros that are ever needed.
const ZEROS: &[u8] = &[0; crate::limits::FRAME_BYTES_MOST];

/// The type that rustls writes after what it is given: one more zero.
const NOTHING: ContentType = ContentType::Unknown(0);

/// The same suites with records of `frame` bytes. What is made for them lives as long as the process: the caller makes
/// one set.
pub(super) fn suites(suites: &[SupportedCipherSuite], frame: usize) -> Vec<SupportedCipherSuite> {
    let padded = |suite: &SupportedCipherSuite| {
        let inner = suite.tls13()?;
        let cipher: &'static Padded = Box::leak(Box::new(Padded {
            inner: inner.aead_alg,
            frame,
        }));
        let suite: &'static Tls13CipherSuite = Box::leak(Box::new(Tls13CipherSuite {
            common: rustls::crypto::CipherSuiteCommon {
                suite: inner.common.suite,
                hash_provider: inner.common.hash_provider,
                confidentiality_limit: inner.common.confidentiality_limit,
            },
            hkdf_provider: inner.hkdf_provider,
            aead_alg: cipher,
            quic: None,
        }));
        Some(SupportedCipherSuite::Tls13(suite))
    };
    suites.iter().filter_map(padded).collect()
}

/// Lets `config` send no more than `frame` bytes a record.
pub(super) fn limit_fragments(config: &mut ServerConfig, frame: usize) {
    config.max_fragment_size = Some(frame.saturating_add(RECORD_HEADER));
}

struct Padded {
    inner: &'static dyn Tls13AeadAlgorithm,
    frame: usize,
}

impl Tls13AeadAlgorithm for Padded {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        Box::new(Padding {
            inner: self.inner.encrypter(key, iv),
            frame: self.frame,
        })
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        self.inner.decrypter(key, iv)
    }

    fn key_len(&self) -> usize {
        self.inner.key_len()
    }

    fn extract_keys(&self, _: AeadKey, _: Iv) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        // Whoever took over the connection with these would not pad.
        Err(UnsupportedOperationError)
    }

    fn fips(&self) -> bool {
        self.inner.fips()
    }
}

struct Padding {
    inner: Box<dyn MessageEncrypter>,
    frame: usize,
}

impl MessageEncrypter for Padding {
    fn encrypt(&mut self, msg: OutboundPlainMessage<'_>, seq: u64) -> Result<OutboundOpaqueMessage, Error> {
        // Fragments are limited, so this is a whole frame or nothing was to be padded.
        let zeros = self.frame.saturating_sub(msg.payload.len());
        let zeros = ZEROS.get(..zeros).ok_or(Error::EncryptError)?;
        let kind = msg.typ.to_array();
        // `content || type || zeros`: the last zero is the type that the inner cipher writes.
        let (typ, rest): (ContentType, [&[u8]; 2]) = match zeros.split_last() {
            None => (msg.typ, [&[], &[]]),
            Some((_, zeros)) => (NOTHING, [&kind, zeros]),
        };
        let [kind, zeros] = rest;
        let version = msg.version;
        let encrypt = |inner: &mut Box<dyn MessageEncrypter>, content: &[u8]| {
            let chunks = [content, kind, zeros];
            let payload = OutboundChunks::new(&chunks);
            inner.encrypt(
                OutboundPlainMessage {
                    typ,
                    version,
                    payload,
                },
                seq,
            )
        };
        match msg.payload {
            OutboundChunks::Single(content) => encrypt(&mut self.inner, content),
            payload => encrypt(&mut self.inner, &Zeroizing::new(payload.to_vec())),
        }
    }

    fn encrypted_payload_len(&self, payload_len: usize) -> usize {
        self.inner.encrypted_payload_len(payload_len.max(self.frame))
    }
}
