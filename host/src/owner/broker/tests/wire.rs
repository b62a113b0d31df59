//! The same conversation over TLS and HTTP: cookies, statuses, limits, a clean stop.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response, StatusCode, body::Incoming};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;

use super::*;
use crate::tls::{PeerKey, client_config};

struct Running {
    world: World,
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    served: tokio::task::JoinHandle<Result<(), BrokerError>>,
}

async fn start() -> Running {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let broker = Arc::clone(&world.broker);
    let served = tokio::spawn(serve(listener, broker, async {
        let _ = stopped.await;
    }));
    Running {
        world,
        address,
        stop,
        served,
    }
}

async fn connect(running: &Running, pin: Digest<32>) -> Option<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(running.address).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let connector = TlsConnector::from(Arc::new(client_config(PeerKey::Pinned(pin))));
    let stream = connector.connect(name, stream).await.ok()?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    Some(sender)
}

async fn send(
    sender: &mut SendRequest<Full<Bytes>>,
    method: &str,
    path: &str,
    cookie: Option<&str>,
    body: Vec<u8>,
) -> Response<Incoming> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "broker");
    if let Some(cookie) = cookie {
        request = request.header("cookie", cookie);
    }
    let request = request.body(Full::new(body.into())).unwrap();
    sender.ready().await.unwrap();
    sender.send_request(request).await.unwrap()
}

async fn json(response: Response<Incoming>) -> serde_json::Value {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_over_the_wire() {
    let running = start().await;
    let pin = running.world.broker.identity().tls_spki_sha256;
    assert!(
        connect(&running, Digest::new([0; 32])).await.is_none(),
        "another pin"
    );
    let mut sender = connect(&running, pin).await.unwrap();
    let guest = Guest::new();

    let response = send(&mut sender, "POST", "/kbs/v0/auth", None, guest.request()).await;
    assert_eq!(response.status(), StatusCode::OK);
    let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(
        cookie.contains("; HttpOnly; ") && cookie.ends_with("Max-Age=300"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let challenge = json(response).await;
    assert_eq!(challenge["extra-params"], "");
    let nonce = challenge["nonce"].as_str().unwrap();

    let answer = guest.answer(nonce);
    let response = send(&mut sender, "POST", "/kbs/v0/attest", Some(&cookie), answer).await;
    assert_eq!(response.status(), StatusCode::OK);
    let token = json(response).await["token"].as_str().unwrap().to_owned();

    let resource = format!("/kbs/v0/resource/{PATH}");
    let mut bearer = Request::get(&resource).header("host", "broker");
    bearer = bearer.header("authorization", format!("Bearer {token}"));
    sender.ready().await.unwrap();
    let response = sender
        .send_request(bearer.body(Full::default()).unwrap())
        .await
        .unwrap();
    assert_eq!(
        response.status(),
        StatusCode::UNAUTHORIZED,
        "a token opens nothing here"
    );

    let response = send(&mut sender, "GET", &resource, Some(&cookie), vec![]).await;
    assert_eq!(response.status(), StatusCode::OK);
    let header = response.headers()[RELEASE_HEADER_NAME].to_str().unwrap();
    assert!(ReleaseHeader::parse(header).is_ok());
    // What kbs-types' own client code would rebuild as authenticated data is what was sent.
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let parsed: kbs_types::Response = serde_json::from_slice(&body).unwrap();
    let sent: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let rebuilt = parsed.protected.generate_aad().unwrap();
    assert_eq!(sent["protected"].as_str().unwrap().as_bytes(), rebuilt);

    let response = send(&mut sender, "GET", &resource, Some(&cookie), vec![]).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "once a session");
    running.stop.send(()).unwrap();
    assert!(running.served.await.unwrap().is_ok());
}

const RELEASE_HEADER_NAME: &str = anchorhold_attestation::release::RELEASE_HEADER;

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_constants() {
    let running = start().await;
    let pin = running.world.broker.identity().tls_spki_sha256;
    let mut sender = connect(&running, pin).await.unwrap();
    let cookie = format!("kbs-session-id={}", "0".repeat(32));
    let resource = format!("/kbs/v0/resource/{PATH}");
    let cases = [
        ("GET", "/", 404, "InvalidRequestPath", "invalid_path"),
        ("GET", "/kbs/v0/auth", 404, "InvalidRequestPath", "invalid_path"),
        (
            "GET",
            "/kbs/v0/resource/a/b",
            404,
            "InvalidRequestPath",
            "invalid_path",
        ),
        (
            "GET",
            "/kbs/v0/resource/a/../b",
            404,
            "InvalidRequestPath",
            "invalid_path",
        ),
        (
            "POST",
            "/kbs/v0/attestation-policy",
            404,
            "PluginNotFound",
            "unknown_plugin",
        ),
        ("POST", "/kbs/v0/auth", 401, "InvalidRequest", "malformed_message"),
        ("POST", "/kbs/v0/attest", 401, "SessionNotFound", "no_session"),
        ("GET", resource.as_str(), 401, "SessionNotFound", "no_session"),
    ];
    for (method, path, status, name, detail) in cases {
        let response = send(&mut sender, method, path, Some(&cookie), b"{\"x\":1}".to_vec()).await;
        assert_eq!(response.status(), status, "{method} {path}");
        let body = json(response).await;
        let uri = format!("https://github.com/confidential-containers/kbs/errors/{name}");
        assert_eq!(
            body,
            serde_json::json!({"type": uri, "detail": detail}),
            "{method} {path}"
        );
    }
    let large = vec![b'x'; crate::limits::BROKER_BODY_BYTES + 1];
    let response = send(&mut sender, "POST", "/kbs/v0/auth", None, large).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let head = send(&mut sender, "HEAD", &resource, Some(&cookie), vec![]).await;
    assert_eq!(head.status(), StatusCode::NOT_FOUND);
    running.stop.send(()).unwrap();
    assert!(running.served.await.unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_does_not_keep_a_broker_from_stopping() {
    let running = start().await;
    let pin = running.world.broker.identity().tls_spki_sha256;
    let _idle = connect(&running, pin).await.unwrap();
    running.stop.send(()).unwrap();
    let stopped = tokio::time::timeout(Duration::from_secs(5), running.served).await;
    assert!(stopped.expect("stops at once").unwrap().is_ok());
}
