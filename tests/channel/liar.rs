//! An enclave in the test's process that is right in everything but one thing.
//!
//! Why apart: the genuine program tells no lies, and an attacker on the wire cannot tell those that need the
//! enclave's keys. What each lie is, is in `script`.
//!
//! # Invariants
//! Without a [`Lie`] the real client finds nothing wrong with it. It offers tickets and early data to everybody:
//! a client that took them would be seen.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use anchorhold::clock::Clock;
use anchorhold_attestation::identity::IdentityVersion;
use anchorhold_attestation::simulated::{LaunchRecord, SimulatedPlatform};
use anchorhold_attestation::{
    ConfigBoundBy, IdentityDocument, ModelName, Platform, Policy, ReceivedIdentity, Timestamp, Weakening,
};
use anchorhold_encoding::{Digest, sha256};
use anchorhold_tests::process::{Finished, run};
use rcgen::{KeyPair, PublicKeyData as _};
use rustls::crypto::aws_lc_rs::{self, Ticketer};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ServerSessionMemoryCache;
use rustls::{HandshakeKind, NamedGroup, ServerConfig};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::script;

/// The one thing that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Lie {
    /// Nothing.
    #[default]
    None,
    /// Every nonce is answered with the evidence for the first.
    OldEvidence,
    /// The identity document names another key for receipts.
    AlteredIdentity,
    /// The report is over what a broker would want, for the same nonce.
    EvidenceForBroker,
    /// The last byte of the report, its signature, is another.
    FlippedReport,
    /// The evidence covers the nonce at another place of the tree than the proof says.
    OtherLeaf,
    /// The signature is over the exporter of another label.
    OtherLabel,
    /// The signature is over another nonce.
    OtherNonce,
    /// The signature is over the exporter of another connection.
    OtherConnection,
    /// The signature names another identity.
    OtherIdentity,
    /// The receipt key signed for the channel.
    OtherKey,
    /// One byte of the answer is changed after the receipt was made.
    AlteredAnswer,
    /// The receipt counts one token less than what was signed.
    AlteredReceipt,
    /// The receipt is about another request.
    OtherRequest,
    /// There is no receipt.
    NoReceipt,
    /// The receipt is one of another connection.
    BorrowedReceipt,
    /// A question is taken, and the connection ends without a word.
    HangUp,
}

/// What makes one enclave another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Build {
    /// Each byte of its measurement; the policy wants 1.
    pub(crate) measurement: u8,
    /// The end of its life.
    pub(crate) not_after: u64,
}

/// What the policy of all of them wants.
pub(crate) const GENUINE: Build = Build {
    measurement: 1,
    not_after: 4_000_000_000,
};

/// The model's name.
pub(crate) const MODEL: &str = "liars-model";
const MANIFEST: Digest<32> = Digest::new([2; 32]);
const CONFIG: &[u8] = b"configuration of the liar";

/// What one connection brought.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Every byte after TLS, as it came.
    pub(crate) bytes: Vec<u8>,
    /// How many of them had come when the channel's signature was made; `None` when nobody asked for it.
    pub(crate) bound_at: Option<usize>,
}

impl Heard {
    /// What came before the connection was bound.
    pub(crate) fn before_binding(&self) -> String {
        let end = self.bound_at.unwrap_or(self.bytes.len());
        String::from_utf8(self.bytes[..end].to_vec()).expect("HTTP is text")
    }

    /// What came after it.
    pub(crate) fn after_binding(&self) -> String {
        let start = self.bound_at.unwrap_or(self.bytes.len());
        String::from_utf8(self.bytes[start..].to_vec()).expect("HTTP is text")
    }

    fn asked(&self, what: &str) -> bool {
        self.before_binding().contains(what) || self.after_binding().contains(what)
    }
}

/// How a handshake went, as the server saw it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shaken {
    pub(crate) kind: HandshakeKind,
    pub(crate) group: NamedGroup,
}

/// An enclave that can lie. It ends with its value, and so do its connections.
pub(crate) struct Liar {
    pub(crate) address: SocketAddr,
    pub(crate) state: Arc<State>,
    _runtime: tokio::runtime::Runtime,
}

/// What its connections share.
pub(crate) struct State {
    pub(crate) certificate: CertificateDer<'static>,
    tls_key: KeyPair,
    pub(crate) channel_key: KeyPair,
    pub(crate) receipt_key: KeyPair,
    pub(crate) platform: SimulatedPlatform,
    pub(crate) identity: ReceivedIdentity,
    pub(crate) lie: Mutex<Lie>,
    pub(crate) first_evidence: Mutex<Option<Vec<u8>>>,
    /// Whose evidence it gives for its own.
    pub(crate) lender: Mutex<Option<Arc<State>>>,
    pub(crate) heard: Mutex<Vec<Arc<Mutex<Heard>>>>,
    shaken: Mutex<Vec<Shaken>>,
}

impl State {
    fn new(build: Build) -> Self {
        let key = |algorithm| KeyPair::generate_for(algorithm).expect("a key pair");
        let tls_key = key(&rcgen::PKCS_ECDSA_P256_SHA256);
        let (channel_key, receipt_key) = (key(&rcgen::PKCS_ED25519), key(&rcgen::PKCS_ED25519));
        let public = |key: &KeyPair| Digest::from_slice(key.der_bytes()).expect("32 bytes");
        let certificate = rcgen::CertificateParams::default()
            .self_signed(&tls_key)
            .expect("a certificate");
        let boot = sha256(&[key(&rcgen::PKCS_ED25519).der_bytes()]);
        let document = IdentityDocument {
            version: IdentityVersion::V1,
            platform: Platform::InsecureSimulated,
            tls_spki_sha256: sha256(&[&tls_key.subject_public_key_info()]),
            channel_key: public(&channel_key),
            receipt_key: public(&receipt_key),
            model: ModelName {
                name: MODEL.to_owned(),
                manifest_sha256: MANIFEST,
            },
            config_sha256: sha256(&[CONFIG]),
            config_bound_by: ConfigBoundBy::HostData,
            weakened: vec![Weakening::HostTime],
            devices: Vec::new(),
            boot_id: Digest::from_slice(&boot.as_bytes()[..16]).expect("16 bytes"),
            not_after: Timestamp::from_unix(build.not_after),
        };
        Self {
            certificate: certificate.der().clone(),
            tls_key,
            channel_key,
            receipt_key,
            platform: SimulatedPlatform::launched(&LaunchRecord {
                measurement: Digest::new([build.measurement; 48]),
                host_data: sha256(&[CONFIG]),
            }),
            identity: ReceivedIdentity::parse(&document.encode()).expect("an identity"),
            lie: Mutex::default(),
            first_evidence: Mutex::default(),
            lender: Mutex::default(),
            heard: Mutex::default(),
            shaken: Mutex::default(),
        }
    }

    /// Its TLS key, for a thief.
    pub(crate) fn tls_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.tls_key.serialize_der()).expect("PKCS#8")
    }

    fn tls(&self) -> ServerConfig {
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], self.tls_key())
            .expect("a server configuration");
        config.ticketer = Ticketer::new().expect("a ticketer");
        config.session_storage = ServerSessionMemoryCache::new(64);
        config.send_tls13_tickets = 4;
        config.max_early_data_size = 16_384;
        config
    }
}

impl Liar {
    /// One that the policy affirms.
    pub(crate) fn start() -> Self {
        Self::of(GENUINE)
    }

    /// One of another build.
    pub(crate) fn of(build: Build) -> Self {
        let state = Arc::new(State::new(build));
        let runtime = crate::wire::runtime();
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let acceptor = TlsAcceptor::from(Arc::new(state.tls()));
        let served = Arc::clone(&state);
        runtime.spawn(async move {
            loop {
                let Ok((tcp, _)) = listener.accept().await else {
                    continue;
                };
                let (acceptor, state) = (acceptor.clone(), Arc::clone(&served));
                tokio::spawn(async move {
                    // A client that hangs up here is what some tests want to see.
                    let Ok(tls) = acceptor.accept(tcp).await else {
                        return;
                    };
                    let session = tls.get_ref().1;
                    let shaken = Shaken {
                        kind: session.handshake_kind().expect("it is over"),
                        group: session.negotiated_key_exchange_group().expect("one").name(),
                    };
                    state.shaken.lock().unwrap().push(shaken);
                    script::serve(tls, state).await;
                });
            }
        });
        Self {
            address,
            state,
            _runtime: runtime,
        }
    }

    pub(crate) fn tells(&self, lie: Lie) {
        *self.state.lie.lock().unwrap() = lie;
        *self.state.first_evidence.lock().unwrap() = None;
    }

    /// All handshakes so far.
    pub(crate) fn shaken(&self) -> Vec<Shaken> {
        self.state.shaken.lock().unwrap().clone()
    }

    /// What came before each connection was bound, and after.
    pub(crate) fn heard(&self) -> Vec<(String, String)> {
        let heard = self.state.heard.lock().unwrap();
        heard
            .iter()
            .map(|heard| {
                let heard = heard.lock().unwrap();
                (heard.before_binding(), heard.after_binding())
            })
            .collect()
    }

    /// Requests that were for the model, bound or not.
    pub(crate) fn questions(&self) -> usize {
        let asked = |text: &str| text.matches("POST /v1/").count();
        self.heard()
            .iter()
            .map(|(before, after)| asked(before) + asked(after))
            .sum()
    }

    /// How often it was asked for evidence.
    pub(crate) fn attested(&self) -> usize {
        let heard = self.state.heard.lock().unwrap();
        heard
            .iter()
            .filter(|heard| heard.lock().unwrap().asked("/attestation?nonce="))
            .count()
    }

    pub(crate) fn url(&self) -> String {
        url(self.address)
    }
}

/// An address as clients take it.
pub(crate) fn url(address: SocketAddr) -> String {
    format!("https://{address}")
}

/// The policy that affirms [`GENUINE`], with `line` added.
pub(crate) fn policy_text(line: &str) -> String {
    format!(
        "version = 1\nmanifest_sha256 = \"{MANIFEST}\"\nconfig_sha256 = \"{}\"\n\
         any_chip_of = [\"insecure-simulated\"]\ndangerously_accept_simulated = true\n\
         dangerously_accept_weakened = [\"dangerously_host_time\"]\n{line}\n\
         [[reference_values]]\nname = \"liar\"\nplatform = \"insecure-simulated\"\nmeasurement = \"{}\"\nminimum_tcb = 1\n",
        sha256(&[CONFIG]),
        Digest::<48>::new([GENUINE.measurement; 48]),
    )
}

/// The same, read.
pub(crate) fn policy(line: &str) -> Policy {
    Policy::from_toml(policy_text(line).as_bytes()).expect("a policy")
}

/// A folder with `policy.toml`.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    /// The policy of all liars.
    pub(crate) fn new() -> Self {
        Self::with("")
    }

    /// The same with a line added.
    pub(crate) fn with(line: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("policy.toml"), policy_text(line)).expect("it is writable");
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        anchorhold_tests::world::text(&self.path(name))
    }

    /// Runs `anchorhold --json client ...` with the policy against `url`.
    pub(crate) fn client(&self, url: &str, arguments: &[&str]) -> Finished {
        let policy = self.text("policy.toml");
        let (command, rest) = arguments.split_first().expect("a command");
        let all = [
            &["client", command, "--url", url, "--policy", &policy, "--json"],
            rest,
        ]
        .concat();
        run(anchorhold_tests::programs!().host, &all)
    }

    /// The same, which must succeed; gives what it printed.
    pub(crate) fn accepts(&self, url: &str, arguments: &[&str]) -> serde_json::Value {
        self.client(url, arguments).expect(0).json()
    }

    /// `client verify`, `client ask` and `client proxy` refuse with this code, the first two with exit status 3;
    /// gives the rules of a denial.
    pub(crate) fn all_refuse(&self, url: &str, code: &str) -> Vec<String> {
        let mut rules = Vec::new();
        for arguments in [&["verify"] as &[&str], &["ask", "q"]] {
            let refused = self.client(url, arguments).expect(3).json();
            assert_eq!(refused["error"]["code"], code, "{arguments:?}: {refused:#}");
            rules = rules_of(&refused);
        }
        // Not waited for: a proxy that should have refused would serve on.
        let (_process, said) = crate::caller::start(url, &self.text("policy.toml"), &[]);
        assert_eq!(said["error"]["code"], code, "{said:#}");
        rules
    }
}

/// The names of the rules of a denial.
pub(crate) fn rules_of(refused: &serde_json::Value) -> Vec<String> {
    let denied = refused["error"]["denied"].as_array();
    let name = |reason: &serde_json::Value| reason["rule"].as_str().expect("a rule").to_owned();
    denied
        .map(|denied| denied.iter().map(name).collect())
        .unwrap_or_default()
}

/// The clock of a client in this process, set by `off` seconds.
pub(crate) fn clock_off_by(off: i64) -> Clock {
    Clock::new(move || {
        let now = Clock::system().now().unix();
        Timestamp::from_unix(now.saturating_add_signed(off))
    })
}
