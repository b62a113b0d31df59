//! Versions, key exchange, tickets and early data, on both sides, seen on the wire.

use std::net::TcpListener;
use std::path::Path;

use anchorhold_tests::process::Process;
use anchorhold_tests::world::World;
use rustls::client::Resumption;
use rustls::{ClientConfig, HandshakeKind, NamedGroup};

use crate::genuine;
use crate::hello::{
    self, ALERT, HANDSHAKE, Hello, PROTOCOL_VERSION, TLS12, TLS13, X25519MLKEM768, extension, numbers,
};
use crate::liar::{Desk, Liar, MODEL, policy, url};
use crate::pool::{ask_twice, enclave};
use crate::wire::{runtime, shake};

/// What a first message must offer and what not: TLS 1.3 alone, the hybrid key exchange first and with a key
/// share, no session of before, no early data.
fn offers_only_what_it_should(hello: &Hello) {
    let versions = hello.extension(extension::SUPPORTED_VERSIONS).expect("versions");
    assert_eq!(numbers(&versions[1..]), [TLS13]);
    let groups = hello.extension(extension::SUPPORTED_GROUPS).expect("groups");
    assert_eq!(numbers(&groups[2..])[0], X25519MLKEM768);
    let shares = hello.extension(extension::KEY_SHARE).expect("key shares");
    assert_eq!(numbers(&shares[2..4]), [X25519MLKEM768]);
    for absent in [
        extension::PRE_SHARED_KEY,
        extension::EARLY_DATA,
        extension::SESSION_TICKET,
    ] {
        assert!(hello.extension(absent).is_none(), "extension {absent}");
    }
}

/// What the real client says first to whoever listens, and the connection.
fn hello_of_the_client(desk: &Desk) -> (Hello, std::net::TcpStream, Process) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (url, policy) = (url(listener.local_addr().unwrap()), desk.text("policy.toml"));
    let arguments = ["client", "verify", "--url", &url, "--policy", &policy, "--json"];
    let host = anchorhold_tests::programs!().host;
    let client = Process::start(Path::new(host), &arguments, None);
    let (hello, stream) = hello::of_client(&listener);
    (hello, stream, client)
}

#[test]
fn the_client_offers_tls_1_3_without_resumption_and_the_hybrid_first() {
    let (hello, stream, client) = hello_of_the_client(&Desk::new());
    offers_only_what_it_should(&hello);
    drop(stream);
    assert_eq!(client.finish().expect(1).json()["error"]["code"], "tls_handshake");
}

#[test]
fn the_enclave_offers_the_same_to_its_broker() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world = World::new(anchorhold_tests::programs!(), &World::tiny_model());
    let (before, now) = (
        world.broker_address.clone(),
        listener.local_addr().unwrap().to_string(),
    );
    world.configure(|config| config.replace(&before, &now));
    let _enclave = world.start_enclave(&world.config);
    let (hello, _stream) = hello::of_client(&listener);
    offers_only_what_it_should(&hello);
}

#[test]
fn the_client_refuses_a_server_of_tls_1_2() {
    let (hello, mut stream, client) = hello_of_the_client(&Desk::new());
    hello::send(&mut stream, &hello::tls12_server_hello(&hello));
    let answer = hello::record(&mut stream);
    assert_eq!((answer.kind, answer.content[1]), (ALERT, PROTOCOL_VERSION));
    assert_eq!(client.finish().expect(1).json()["error"]["code"], "tls_handshake");
}

#[test]
fn the_enclave_refuses_a_client_of_tls_1_2_and_takes_the_same_one_of_tls_1_3() {
    let genuine = genuine::shared();
    let (hello, _stream, _client) = hello_of_the_client(&Desk::new());
    let older = hello.with(
        extension::SUPPORTED_VERSIONS,
        &[[2].as_slice(), &TLS12.to_be_bytes()].concat(),
    );
    let answer = hello::of_server(genuine.address(0), &older);
    assert_eq!((answer.kind, answer.content[1]), (ALERT, PROTOCOL_VERSION));
    // The control differs in two bytes.
    let answer = hello::of_server(genuine.address(0), &hello.bytes);
    assert_eq!(answer.kind, HANDSHAKE);
    let chosen = Hello::parse(answer.content);
    let version = chosen
        .extension(extension::SUPPORTED_VERSIONS)
        .expect("a version");
    assert_eq!(numbers(version), [TLS13]);
    let share = chosen.extension(extension::KEY_SHARE).expect("a key share");
    assert_eq!(numbers(&share[..2]), [X25519MLKEM768]);
}

#[test]
fn client_and_enclave_settle_on_the_hybrid_key_exchange() {
    let genuine = genuine::shared();
    let verified = genuine
        .world
        .client(genuine.address(0).port(), &["verify", "--json"])
        .expect(0)
        .json();
    assert_eq!(verified["key_exchange"], "X25519MLKEM768");
}

/// A client that keeps every ticket and would use it, with early data.
fn keen_on_resumption() -> ClientConfig {
    let mut config = anchorhold::tls::client_config(anchorhold::tls::PeerKey::Unknown);
    config.resumption = Resumption::in_memory_sessions(16);
    config.enable_early_data = true;
    config
}

#[test]
fn the_enclave_gives_no_tickets_and_resumes_nothing() {
    let genuine = genuine::shared();
    let config = keen_on_resumption();
    for _ in 0..3 {
        let session = shake(genuine.address(0), config.clone());
        assert_eq!(session.tls13_tickets_received(), 0);
        assert_eq!(session.handshake_kind(), Some(HandshakeKind::Full));
        assert!(!session.is_early_data_accepted());
    }
    // The control: the same client at a server that gives tickets comes back with one.
    let liar = Liar::start();
    let config = keen_on_resumption();
    assert!(shake(liar.address, config.clone()).tls13_tickets_received() > 0);
    let again = shake(liar.address, config);
    assert_eq!(again.handshake_kind(), Some(HandshakeKind::Resumed));
}

#[test]
fn the_client_takes_no_ticket_it_is_offered() {
    let liar = Liar::start();
    let answered = runtime().block_on(ask_twice(&enclave(liar.address, policy("")), MODEL));
    assert!(answered.is_ok());
    let shaken = liar.shaken();
    assert_eq!(shaken.len(), 2, "{shaken:?}");
    for handshake in shaken {
        assert_eq!(handshake.kind, HandshakeKind::Full);
        assert_eq!(handshake.group, NamedGroup::X25519MLKEM768);
    }
}

#[test]
fn the_brokers_tls_has_no_tickets_either() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = anchorhold::tls::server_config(certificate.der().clone(), private).unwrap();
    assert_eq!((config.send_tls13_tickets, config.max_early_data_size), (0, 0));
    assert!(!config.session_storage.can_cache() && !config.ticketer.enabled());
}
