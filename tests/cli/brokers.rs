//! A broker that is down, slow, cut off or something else altogether, as the operator meets it.
//!
//! Why apart: no key is at stake here; who lies about keys is in the tests of `release`.
//!
//! # Invariants
//! One event says what is wrong and what to do; the enclave ends by itself, in time.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anchorhold_tests::process::Finished;
use anchorhold_tests::world::World;

use crate::tiny_world;

/// Something that listens where the broker should be.
fn instead_of_a_broker(answer: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.unwrap());
        }
    });
    address
}

/// How an enclave ends whose broker is at `address`, with two attempts of one second each.
fn meets(address: &str) -> Finished {
    let mut world: World = tiny_world();
    let genuine = world.broker_address.clone();
    world.configure(|config| {
        config
            .replace(&genuine, address)
            .replace("attempts = 2", "attempts = 2\ntimeout_seconds = 1")
    });
    let started = Instant::now();
    let ended = world.start_enclave(&world.config).ends();
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "two attempts of 1 s, a pause of 1 s"
    );
    ended
}

fn gives_up(ended: Finished, code: &str, hint: &str, attempts: usize) {
    let ended = ended.expect(1);
    let events = ended.events();
    let last = events.last().unwrap();
    assert_eq!(
        (&last["stage"], &last["code"], &last["hint"]),
        (&"key".into(), &code.into(), &hint.into()),
        "{ended:#?}"
    );
    assert_eq!(
        events
            .iter()
            .filter(|event| event["event"] == "key_requested")
            .count(),
        attempts,
        "{ended:#?}"
    );
    assert_eq!(ended.stderr, "");
}

const UNREACHABLE: &str = "check broker.url, the network and that the broker runs";

#[test]
fn down() {
    gives_up(
        meets(&anchorhold_tests::world::free_address()),
        "broker_unreachable",
        UNREACHABLE,
        2,
    );
    gives_up(
        // The name is asked for before anything else, and no session begins without an address.
        meets("no-such-host.invalid:443"),
        "broker_unreachable",
        UNREACHABLE,
        0,
    );
}

#[test]
fn silent() {
    // Connections are kept open, and nothing is ever said.
    let kept = std::sync::Mutex::new(Vec::new());
    let address = instead_of_a_broker(move |stream| kept.lock().unwrap().push(stream));
    gives_up(meets(&address.to_string()), "broker_unreachable", UNREACHABLE, 2);
}

#[test]
fn one_byte_a_second() {
    let address = instead_of_a_broker(|mut stream| {
        std::thread::spawn(move || {
            // The head of a TLS record, at a snail's pace.
            for byte in [0x16, 3, 3, 0, 0x7a, 2] {
                if stream.write_all(&[byte]).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_secs(1));
            }
        });
    });
    gives_up(meets(&address.to_string()), "broker_unreachable", UNREACHABLE, 2);
}

#[test]
fn something_without_tls() {
    let address = instead_of_a_broker(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
        let _ = stream.read(&mut [0; 1024]);
    });
    gives_up(meets(&address.to_string()), "broker_unreachable", UNREACHABLE, 2);
}

#[test]
fn another_server_with_tls() {
    // Another owner's broker: right protocol, wrong key. Asking again would not help, so it is asked once.
    let other = tiny_world();
    let _broker = other.start_broker();
    let hint = "compare broker.tls_spki_sha256 with what the broker's owner published";
    gives_up(meets(&other.broker_address), "broker_tls_key", hint, 1);
}

#[test]
fn a_stop_request_ends_the_waiting() {
    let mut world = tiny_world();
    let kept = std::sync::Mutex::new(Vec::new());
    let address = instead_of_a_broker(move |stream| kept.lock().unwrap().push(stream)).to_string();
    let genuine = world.broker_address.clone();
    world.configure(|config| {
        config
            .replace(&genuine, &address)
            .replace("attempts = 2", "attempts = 20\ntimeout_seconds = 100")
    });
    let mut enclave = world.start_enclave(&world.config);
    assert!(enclave.event("key_requested").is_some());
    let asked = Instant::now();
    enclave.ask_to_end();
    let ended = enclave.finish().expect(0);
    assert!(ended.told("drained"), "{ended:#?}");
    assert!(asked.elapsed() < Duration::from_secs(10));
}
