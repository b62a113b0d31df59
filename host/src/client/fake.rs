//! A small enclave inside the test process: simulated evidence, real TLS, and faults on demand.
//!
//! Why apart: each check of the client has a test with a peer that is right in everything but one thing.
//!
//! # Invariants
//! Compiled for tests only. Without a [`Fault`] a client finds nothing wrong with it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anchorhold_attestation::identity::IdentityVersion;
use anchorhold_attestation::simulated::{LaunchRecord, SimulatedPlatform};
use anchorhold_attestation::{
    ConfigBoundBy, IdentityDocument, ModelName, Platform, Policy, ReceivedIdentity, Timestamp, Weakening,
};
use anchorhold_encoding::{Digest, sha256};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::endpoint::Endpoint;
use crate::clock::Clock;
use crate::tls;

mod api;
pub(super) mod peers;
mod stream;

/// The one thing that is wrong.
#[derive(Clone, Default)]
pub(super) enum Fault {
    #[default]
    None,
    /// Answers every nonce with this document.
    Replay(Vec<u8>),
    /// Answers with an identity document that names this TLS key, under evidence for the true one.
    AlteredIdentity(Digest<32>),
    /// Evidence made for a broker.
    RcarEvidence,
    /// A report whose last byte is flipped.
    BrokenReport,
    /// Signs the exporter of another label.
    ExporterLabel,
    /// Signs another nonce.
    ChannelNonce,
    /// Signs with the receipt key.
    ChannelKey,
    /// Signs for another identity document.
    ChannelIdentity,
    /// Answers to the channel request are refused.
    ChannelRefused,
    /// No receipt.
    NoReceipt,
    /// Two receipts.
    TwoReceipts,
    /// A receipt signed with the channel key.
    ReceiptKey,
    /// A receipt for another connection.
    ReceiptNonce,
    /// A receipt that names another model.
    ReceiptModel,
    /// A receipt that names another identity.
    ReceiptIdentity,
    /// A receipt for another request.
    ReceiptRequest,
    /// A receipt for another answer.
    ReceiptAnswer,
    /// The stream ends without its end mark.
    CutStream,
    /// The stream goes on after its receipt.
    DataAfterReceipt,
    /// The end mark comes before the receipt.
    DoneFirst,
    /// The stream has a line that is neither data nor comment.
    OddLine,
    /// There are two end marks.
    DoneTwice,
    /// Half an event comes after the end mark.
    HalfAfterDone,
    /// The stream has a quarter of a million events without a payload.
    EmptyEvents,
    /// The answer sends the program elsewhere.
    Redirect,
    /// The stream falls silent and never ends.
    SilentStream,
}

/// What makes one enclave another.
#[derive(Clone, Copy)]
pub(super) struct Build {
    pub(super) measurement: u8,
    pub(super) model: u8,
}

pub(super) const GENUINE: Build = Build {
    measurement: 1,
    model: 2,
};
const CONFIG: &[u8] = b"configuration of the fake enclave";
/// Where every test's clock starts.
pub(super) const START: u64 = 1_800_000_000;

/// A running fake.
pub(super) struct Fake {
    pub(super) address: SocketAddr,
    pub(super) state: Arc<State>,
    server: JoinHandle<()>,
}

pub(super) struct State {
    pub(super) certificate: CertificateDer<'static>,
    tls_key: Vec<u8>,
    channel_key: Ed25519KeyPair,
    receipt_key: Ed25519KeyPair,
    platform: SimulatedPlatform,
    pub(super) identity: ReceivedIdentity,
    pub(super) fault: Mutex<Fault>,
    /// Heads of all requests: bound or not, path, names of headers, length of body.
    pub(super) seen: Mutex<Vec<Seen>>,
    pub(super) connections: AtomicU64,
    /// Streams that ended because the client left.
    pub(super) left: AtomicU64,
    sequence: AtomicU64,
}

#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) bound: bool,
    pub(super) path: String,
    pub(super) headers: Vec<String>,
    pub(super) authorization: Option<String>,
    pub(super) body: Vec<u8>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn ed25519() -> Ed25519KeyPair {
    Ed25519KeyPair::generate().unwrap()
}

fn public(key: &Ed25519KeyPair) -> Digest<32> {
    Digest::from_slice(key.public_key().as_ref()).unwrap()
}

impl State {
    fn new(build: Build) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec!["fake".to_owned()]).unwrap();
        let certificate = parameters.self_signed(&key).unwrap().der().clone();
        let (channel_key, receipt_key) = (ed25519(), ed25519());
        let boot_id = *super::connection::random().unwrap().first_chunk::<16>().unwrap();
        let document = IdentityDocument {
            version: IdentityVersion::V1,
            platform: Platform::InsecureSimulated,
            tls_spki_sha256: tls::spki_sha256(&certificate).unwrap(),
            channel_key: public(&channel_key),
            receipt_key: public(&receipt_key),
            model: ModelName {
                name: "fake-model".to_owned(),
                manifest_sha256: Digest::new([build.model; 32]),
            },
            config_sha256: sha256(&[CONFIG]),
            config_bound_by: ConfigBoundBy::HostData,
            weakened: vec![Weakening::HostTime],
            devices: Vec::new(),
            boot_id: Digest::new(boot_id),
            not_after: Timestamp::from_unix(START + 86_400),
        };
        Self {
            certificate,
            tls_key: key.serialize_der(),
            channel_key,
            receipt_key,
            platform: SimulatedPlatform::launched(&LaunchRecord {
                measurement: Digest::new([build.measurement; 48]),
                host_data: sha256(&[CONFIG]),
            }),
            identity: ReceivedIdentity::parse(&document.encode()).unwrap(),
            fault: Mutex::default(),
            seen: Mutex::default(),
            connections: AtomicU64::new(0),
            left: AtomicU64::new(0),
            sequence: AtomicU64::new(0),
        }
    }

    pub(super) fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.tls_key.clone()).unwrap()
    }

    fn fault(&self) -> Fault {
        self.fault.lock().unwrap().clone()
    }
}

impl Fake {
    pub(super) async fn start(build: Build) -> Self {
        let state = Arc::new(State::new(build));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = tls::server_config(state.certificate.clone(), state.key()).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let address = listener.local_addr().unwrap();
        let served = Arc::clone(&state);
        let server = tokio::spawn(async move {
            // Ends with the server: the connections of an enclave that is gone are gone.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (acceptor, state) = (acceptor.clone(), Arc::clone(&served));
                connections.spawn(async move {
                    if let Ok(tls) = acceptor.accept(tcp).await {
                        state.connections.fetch_add(1, Ordering::SeqCst);
                        api::serve(tls, state).await;
                    }
                });
            }
        });
        Self {
            address,
            state,
            server,
        }
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        at(self.address)
    }

    pub(super) fn set(&self, fault: Fault) {
        *self.state.fault.lock().unwrap() = fault;
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// Requests that reached the API, beside the two well-known ones.
    pub(super) fn questions(&self) -> usize {
        self.seen()
            .iter()
            .filter(|seen| !seen.path.starts_with("/.well-known/"))
            .count()
    }
}

pub(super) fn at(address: SocketAddr) -> Endpoint {
    format!("https://{address}").parse().unwrap()
}

/// A policy that affirms exactly the fakes of [`GENUINE`] build.
pub(super) fn policy() -> Policy {
    policy_with("")
}

pub(super) fn policy_with(line: &str) -> Policy {
    Policy::from_toml(policy_text(line).as_bytes()).unwrap()
}

pub(super) fn policy_text(line: &str) -> String {
    format!(
        "version = 1\nmanifest_sha256 = \"{}\"\nconfig_sha256 = \"{}\"\nany_chip_of = [\"insecure-simulated\"]\n\
         dangerously_accept_simulated = true\ndangerously_accept_weakened = [\"dangerously_host_time\"]\n{line}\n\
         [[reference_values]]\nname = \"fake\"\nplatform = \"insecure-simulated\"\nmeasurement = \"{}\"\nminimum_tcb = 1\n",
        Digest::new([GENUINE.model; 32]),
        sha256(&[CONFIG]),
        Digest::new([GENUINE.measurement; 48]),
    )
}

/// A clock that tests set.
#[derive(Clone)]
pub(super) struct Hands(Arc<AtomicU64>);

impl Hands {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(START)))
    }

    pub(super) fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    pub(super) fn clock(&self) -> Clock {
        let hands = Arc::clone(&self.0);
        Clock::new(move || Timestamp::from_unix(hands.load(Ordering::SeqCst)))
    }
}

/// A forwarder of TCP connections that moves bytes and ends no TLS: connection `n` goes to `targets[n]`, later
/// ones to the last.
pub(super) async fn switch(targets: Vec<SocketAddr>) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        for turn in 0.. {
            let (mut near, _) = listener.accept().await.unwrap();
            let target = *targets.get(turn).or(targets.last()).unwrap();
            tokio::spawn(async move {
                let mut far = TcpStream::connect(target).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    (address, task)
}

/// A proxy that ends TLS with `certificate` and `key` and speaks TLS to the enclave at `target` itself.
pub(super) async fn terminating(
    target: &Fake,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> (SocketAddr, JoinHandle<()>) {
    let acceptor = TlsAcceptor::from(Arc::new(tls::server_config(certificate, key).unwrap()));
    let onward = tokio_rustls::TlsConnector::from(Arc::new(tls::client_config(tls::PeerKey::Unknown)));
    let (listener, target) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), target.address);
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let (acceptor, onward) = (acceptor.clone(), onward.clone());
            tokio::spawn(async move {
                let mut near = acceptor.accept(near).await.unwrap();
                let far = TcpStream::connect(target).await.unwrap();
                let mut far = onward.connect("fake".try_into().unwrap(), far).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    (address, task)
}
