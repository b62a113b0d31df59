//! `client proxy`: who may use it, where it listens, and what of a program's request goes on.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use anchorhold_tests::process::Process;

use crate::binding::only_nonces;
use crate::caller::{Proxy, exchange, question, start};
use crate::liar::{Desk, Liar, MODEL};

#[test]
fn the_enclaves_key_and_the_question_go_out_after_the_binding_and_the_token_never() {
    let (liar, desk) = (Liar::start(), Desk::new());
    std::fs::write(desk.path("key"), "canary-api-key").unwrap();
    let key = desk.text("key");
    let proxy = Proxy::start(&liar.url(), &desk.text("policy.toml"), &["--api-key-file", &key]);
    let headers = format!(
        "{}X-Canary: canary-header\r\nCookie: canary-cookie\r\n",
        proxy.right_headers()
    );
    for stream in [false, true] {
        let body = question(MODEL, "canary-question", stream);
        proxy
            .send("POST /v1/chat/completions", &headers, &body)
            .expect_text();
    }
    for (before, after) in liar.heard() {
        only_nonces(&before, &["attestation", "channel"]);
        assert!(!after.contains(&proxy.token), "the token is the proxy's own");
        assert!(!after.contains("canary-header") && !after.contains("canary-cookie"));
        assert_eq!(after.matches("authorization: Bearer canary-api-key").count(), 2);
        assert_eq!(after.matches("canary-question").count(), 2);
    }
}

#[test]
fn who_may_not_use_it_is_refused_and_the_enclave_hears_nothing() {
    let (liar, desk) = (Liar::start(), Desk::new());
    let proxy = Proxy::start(&liar.url(), &desk.text("policy.toml"), &[]);
    let (port, token) = (proxy.port, &proxy.token);
    let host = format!("Host: 127.0.0.1:{port}\r\n");
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let right = proxy.right_headers();
    let cases = [
        (format!("Host: evil.example\r\n{bearer}"), (403, "host_refused")),
        (
            format!("Host: 127.0.0.1:{}\r\n{bearer}", port ^ 1),
            (403, "host_refused"),
        ),
        (bearer.clone(), (403, "host_refused")),
        (
            format!("{right}Origin: https://evil.example\r\n"),
            (403, "origin_refused"),
        ),
        (
            format!("{right}Origin: http://127.0.0.1:{port}\r\n"),
            (403, "origin_refused"),
        ),
        (format!("{right}Origin: null\r\n"), (403, "origin_refused")),
        (host.clone(), (401, "invalid_api_key")),
        (
            format!("{host}Authorization: Bearer {token}x\r\n"),
            (401, "invalid_api_key"),
        ),
        (
            format!("{host}Authorization: Bearer \r\n"),
            (401, "invalid_api_key"),
        ),
        (
            format!("{host}Authorization: Basic {token}\r\n"),
            (401, "invalid_api_key"),
        ),
    ];
    let body = question(MODEL, "q", false);
    for (headers, (status, code)) in cases {
        let refused = proxy.send("POST /v1/chat/completions", &headers, &body);
        assert_eq!(refused.refusal(), (status, code.to_owned()), "{headers:?}");
        assert!(
            !refused.head.to_ascii_lowercase().contains("access-control-"),
            "{refused:?}"
        );
    }
    for request in ["GET /.well-known/anchorhold/attestation", "GET /metrics"] {
        assert_eq!(proxy.send(request, &right, "").status, 404, "{request}");
    }
    assert_eq!(liar.questions(), 0);
    proxy.ask(&body).expect_text();
    assert_eq!(liar.questions(), 1);
}

#[test]
fn its_socket_is_its_owners_alone_and_goes_with_it() {
    let (liar, desk) = (Liar::start(), Desk::new());
    let path = desk.path("proxy.sock");
    let place = format!("unix:{}", path.display());
    let (process, first) = start(&liar.url(), &desk.text("policy.toml"), &["--listen", &place]);
    assert_eq!(first["listening"], place.as_str());
    assert!(first["token"].is_null());
    let mode = std::fs::symlink_metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let body = question(MODEL, "q", true);
    let ask = |headers| {
        let stream = UnixStream::connect(&path).unwrap();
        exchange(stream, "POST /v1/chat/completions", headers, &body)
    };
    assert_eq!(
        ask("Host: x\r\nOrigin: https://evil.example\r\n").refusal(),
        (403, "origin_refused".to_owned())
    );
    let answer = ask("Host: x\r\n").expect_text();
    assert!(answer.body.ends_with("data: [DONE]\n\n"), "{answer:?}");
    process.ask_to_end();
    assert_eq!(process.finish().code, 0);
    assert!(!path.exists());
}

#[test]
fn it_listens_nowhere_else() {
    let (liar, desk) = (Liar::start(), Desk::new());
    let (url, policy) = (liar.url(), desk.text("policy.toml"));
    for place in ["0.0.0.0:0", "[::]:0", "127.0.0.2:0"] {
        let arguments = [
            "client", "proxy", "--url", &url, "--policy", &policy, "--json", "--listen", place,
        ];
        let host = anchorhold_tests::programs!().host;
        let mut process = Process::start(Path::new(host), &arguments, None);
        // Not waited for before this: a proxy that listens would serve on.
        let said = process.next();
        assert!(said.is_none_or(|said| said["listening"].is_null()), "{place}");
        assert_eq!(process.finish().code, 2, "{place}");
    }
    assert!(liar.heard().is_empty());
}

#[test]
fn its_token_can_be_kept_from_the_terminal() {
    let (liar, desk) = (Liar::start(), Desk::new());
    let token = desk.text("token");
    let (_process, first) = start(&liar.url(), &desk.text("policy.toml"), &["--token-file", &token]);
    assert!(
        first["listening"].is_string() && first["token"].is_null(),
        "{first:#}"
    );
    let mode = std::fs::metadata(&token).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(&token).unwrap().trim_end().len(), 43);
}
