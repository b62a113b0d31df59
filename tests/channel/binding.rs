//! Connections that end elsewhere than the evidence says: nothing but nonces goes out on them.
//!
//! What a tap records before it is refused is what it gets of a person's secrets; the tests read every byte.

use std::sync::Arc;

use crate::liar::{Build, Desk, GENUINE, Liar, Lie, url};
use crate::wire::{Credentials, certificate_of, tap};
use crate::{genuine, wire};

/// `bytes` are well-known requests for these resources and not a byte more: no header but Host, no body.
pub(crate) fn only_nonces(bytes: &str, resources: &[&str]) {
    let mut rest = bytes;
    for resource in resources {
        let start = format!("GET /.well-known/anchorhold/{resource}?nonce=");
        rest = rest
            .strip_prefix(start.as_str())
            .unwrap_or_else(|| panic!("{bytes:?}"));
        let (nonce, more) = rest.split_at(64);
        assert!(nonce.bytes().all(|digit| digit.is_ascii_hexdigit()), "{bytes:?}");
        let (head, more) = more.split_once("\r\n\r\n").expect("a head's end");
        let (host, name) = head
            .strip_prefix(" HTTP/1.1\r\nhost: ")
            .map(|name| ("host", name))
            .unwrap_or_else(|| panic!("{bytes:?}"));
        assert!(!name.contains("\r\n"), "{host} is the only header: {bytes:?}");
        rest = more;
    }
    assert_eq!(rest, "", "nothing follows");
}

#[test]
fn a_proxy_that_ends_tls_is_refused_and_sees_one_nonce() {
    let genuine = genuine::shared();
    let tap = tap(genuine.address(0), Credentials::own());
    let policy = genuine.policy_file();
    let key = genuine.world.path("api-key");
    std::fs::write(&key, "canary-api-key\n").unwrap();
    let key = anchorhold_tests::world::text(&key);
    let through = url(tap.address);
    let common = ["--url", &through, "--policy", &policy, "--json"];
    for arguments in [
        &["verify"] as &[&str],
        &["ask", "--api-key-file", &key, "canary-question"],
    ] {
        let (command, rest) = arguments.split_first().unwrap();
        let all = [&["client", command], common.as_slice(), rest].concat();
        let refused = anchorhold_tests::process::run(genuine.world.programs.host, &all)
            .expect(3)
            .json();
        assert_eq!(refused["error"]["code"], "channel_not_bound", "{refused:#}");
    }
    let (_process, said) = crate::caller::start(&through, &policy, &["--api-key-file", &key]);
    assert_eq!(said["error"]["code"], "channel_not_bound", "{said:#}");
    let recorded = tap.recorded();
    assert_eq!(recorded.len(), 3);
    for bytes in recorded {
        only_nonces(&bytes, &["attestation"]);
    }
}

#[test]
fn a_thief_of_the_tls_key_is_refused_and_sees_two_nonces() {
    // It has the very key that the evidence names, but not the channel's: its two handshakes differ.
    let (liar, desk) = (Liar::start(), Desk::new());
    let stolen = Credentials {
        certificate: liar.state.certificate.clone(),
        key: liar.state.tls_key(),
    };
    let thief = tap(liar.address, stolen);
    desk.all_refuse(&url(thief.address), "channel_not_bound");
    let recorded = thief.recorded();
    assert_eq!(recorded.len(), 3);
    for bytes in recorded {
        only_nonces(&bytes, &["attestation", "channel"]);
    }
    assert_eq!(liar.questions(), 0);
}

#[test]
fn the_right_certificate_without_its_key_is_refused_in_the_handshake() {
    let genuine = genuine::shared();
    let stolen = Credentials {
        certificate: certificate_of(genuine.address(0)),
        key: Credentials::own().key,
    };
    let thief = tap(genuine.address(0), stolen);
    for arguments in [&["verify", "--json"] as &[&str], &["ask", "--json", "q"]] {
        let refused = genuine
            .world
            .client(thief.address.port(), arguments)
            .expect(1)
            .json();
        assert_eq!(refused["error"]["code"], "tls_handshake", "{refused:#}");
    }
    assert_eq!(thief.recorded(), ["", ""], "not even a nonce");
    // The control: the certificate with its own key is what the enclave itself shows.
    let direct = genuine.world.client(genuine.address(0).port(), &["verify"]);
    assert_eq!(direct.code, 0, "{direct:?}");
}

#[test]
fn evidence_relayed_from_another_enclave_is_refused() {
    // The attacker's own machine, whose code no policy lists, hands out what a genuine enclave answers to the
    // client's own nonce.
    let (genuine, desk) = (Liar::start(), Desk::new());
    let attacker = Liar::of(Build {
        measurement: 8,
        ..GENUINE
    });
    assert_eq!(
        desk.all_refuse(&attacker.url(), "enclave_denied"),
        ["measurement"]
    );
    *attacker.state.lender.lock().unwrap() = Some(Arc::clone(&genuine.state));
    desk.all_refuse(&attacker.url(), "channel_not_bound");
    for (before, after) in attacker.heard() {
        only_nonces(&before, &["attestation"]);
        assert_eq!(after, "");
    }
}

#[test]
fn a_signature_for_anything_else_binds_nothing() {
    let (liar, desk) = (Liar::start(), Desk::new());
    for lie in [
        Lie::OtherLabel,
        Lie::OtherNonce,
        Lie::OtherConnection,
        Lie::OtherIdentity,
        Lie::OtherKey,
    ] {
        liar.tells(lie);
        desk.all_refuse(&liar.url(), "channel_not_bound");
        assert_eq!(liar.questions(), 0, "{lie:?}");
    }
    liar.tells(Lie::None);
    desk.accepts(&liar.url(), &["ask", "q"]);
    assert_eq!(liar.questions(), 1);
}

#[test]
fn what_goes_out_before_the_binding_is_two_nonces_and_the_rest_comes_after() {
    let (liar, desk) = (Liar::start(), Desk::new());
    std::fs::write(desk.path("key"), "canary-api-key").unwrap();
    let key = desk.text("key");
    desk.accepts(&liar.url(), &["ask", "--api-key-file", &key, "canary-question"]);
    let heard = liar.heard();
    assert_eq!(heard.len(), 1);
    only_nonces(&heard[0].0, &["attestation", "channel"]);
    let after = &heard[0].1;
    assert!(
        after.contains("authorization: Bearer canary-api-key") && after.contains("canary-question"),
        "{after}"
    );
}

#[test]
fn the_real_enclave_answers_nothing_on_an_unbound_connection() {
    let genuine = genuine::shared();
    for request in ["POST /v1/chat/completions", "GET /v1/models", "GET /nothing"] {
        let refused = wire::raw(
            genuine.address(0),
            &format!(
                "{request} HTTP/1.1\r\nhost: enclave\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}"
            ),
        );
        assert!(
            refused.starts_with("HTTP/1.1 403 ") && refused.contains("channel_not_bound"),
            "{request}: {refused}"
        );
    }
    let alive = "GET /healthz HTTP/1.1\r\nhost: enclave\r\nconnection: close\r\n\r\n";
    assert!(wire::raw(genuine.address(0), alive).starts_with("HTTP/1.1 200 "));
}
