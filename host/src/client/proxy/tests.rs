//! The proxy as a local program sees it.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::client::fake::{Fake, Fault, GENUINE, Hands, policy};

struct Running {
    port: u16,
    token: String,
    said: Arc<Mutex<Vec<String>>>,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

impl Running {
    async fn start(fake: &Fake, place: Place, keeper: Option<Keeper>) -> Self {
        let enclave = Enclave::new(fake.endpoint(), policy(), Hands::new().clock());
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        let settings = Settings {
            enclave: Arc::new(enclave),
            place,
            api_key: Some(HeaderValue::from_static("Bearer enclave-key")),
            keeper,
            tokens: None,
            notices: Arc::new(move |line| heard.lock().unwrap().push(line.to_owned())),
        };
        let proxy = Proxy::open(settings)
            .await
            .unwrap_or_else(|_| panic!("the enclave is genuine"));
        let (port, token) = match proxy.access() {
            Access::Loopback { port, token } => (*port, token.reveal().to_owned()),
            Access::Owner => (0, String::new()),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(proxy.serve(async move {
            let _ = stopped.await;
        }));
        Self {
            port,
            token,
            said,
            stop: Some(stop),
            served,
        }
    }

    fn head(&self, request: &str) -> String {
        format!(
            "{request} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: Bearer {}\r\n",
            self.port, self.token
        )
    }

    async fn ask(&self, request: &str, more: &str, body: &str) -> String {
        let stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], self.port)))
            .await
            .unwrap();
        exchange(stream, &format!("{}{more}", self.head(request)), body).await
    }

    async fn chat(&self, stream: bool) -> String {
        self.ask(
            "POST /v1/chat/completions",
            "",
            &format!("{{\"stream\":{stream}}}"),
        )
        .await
    }
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, head: &str, body: &str) -> String {
    let request = format!(
        "{head}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

/// The body of an answer in chunks (RFC 9112 section 7.1).
fn dechunked(answer: &str) -> String {
    let (_, mut rest) = answer.split_once("\r\n\r\n").unwrap();
    let mut body = String::new();
    while let Some((size, more)) = rest.split_once("\r\n") {
        let (piece, more) = more.split_at(usize::from_str_radix(size, 16).unwrap());
        body.push_str(piece);
        rest = more.strip_prefix("\r\n").unwrap();
    }
    body
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or(answer)
}

#[tokio::test]
async fn an_answer_passes_unchanged_and_the_programs_token_stays_here() {
    let fake = Fake::start(GENUINE).await;
    let proxy = Running::start(&fake, Place::Loopback(0), None).await;
    let answer = proxy.chat(false).await;
    assert_eq!(status(&answer), "200", "{answer}");
    assert!(
        answer.ends_with("{\"choices\":[{\"message\":{\"content\":\"Paris.\"}}]}"),
        "{answer}"
    );
    assert!(answer.contains("anchorhold-receipt: "), "{answer}");

    let stream = proxy.chat(true).await;
    assert_eq!(status(&stream), "200");
    let body = dechunked(&stream);
    let (events, end) = body.split_once(": anchorhold-receipt ").unwrap();
    let event =
        |delta: &str, more: &str| format!("data: {{\"choices\":[{{\"delta\":{{{delta}}}{more}}}]}}\n\n");
    let expected = [
        ": filler\n\n".to_owned(),
        event("\"content\":\"Pa\"", ""),
        event("\"content\":\"ris.\"", ""),
        event("", ",\"finish_reason\":\"stop\""),
    ];
    assert_eq!(events, expected.concat());
    assert!(end.ends_with("\n\ndata: [DONE]\n\n"), "{end}");
    let list = proxy.ask("GET /v1/models", "Cookie: a=b\r\n", "").await;
    assert_eq!(status(&list), "200");

    let asked: Vec<_> = fake
        .seen()
        .into_iter()
        .filter(|seen| seen.path.starts_with("/v1/"))
        .collect();
    assert_eq!(asked.len(), 3);
    for seen in asked {
        assert!(seen.bound);
        assert_eq!(seen.authorization.as_deref(), Some("Bearer enclave-key"));
        assert!(
            !seen
                .headers
                .iter()
                .any(|name| name == "cookie" || name == "connection"),
            "{seen:?}"
        );
    }
    assert_eq!(
        fake.state.connections.load(Ordering::SeqCst),
        1,
        "connections are used again"
    );
}

#[tokio::test]
async fn who_may_not_use_it_reaches_no_enclave() {
    let fake = Fake::start(GENUINE).await;
    let proxy = Running::start(&fake, Place::Loopback(0), None).await;
    let host = format!("Host: 127.0.0.1:{}\r\n", proxy.port);
    let token = format!("Authorization: Bearer {}\r\n", proxy.token);
    for (head, expected, code) in [
        (host.clone(), "401", "invalid_api_key"),
        (
            format!("{host}Authorization: Bearer no\r\n"),
            "401",
            "invalid_api_key",
        ),
        (format!("Host: evil.example\r\n{token}"), "403", "host_refused"),
        (
            format!("{host}{token}Origin: https://evil.example\r\n"),
            "403",
            "origin_refused",
        ),
    ] {
        let stream = TcpStream::connect(("127.0.0.1", proxy.port)).await.unwrap();
        let answer = exchange(stream, &format!("GET /v1/models HTTP/1.1\r\n{head}"), "").await;
        assert_eq!(status(&answer), expected, "{answer}");
        assert!(answer.contains(&format!("\"code\":\"{code}\"")), "{answer}");
    }
    for (request, expected) in [
        ("GET /metrics", "404"),
        ("GET /v1/../metrics", "404"),
        ("DELETE /v1/models", "405"),
    ] {
        assert_eq!(status(&proxy.ask(request, "", "").await), expected, "{request}");
    }
    assert_eq!(fake.questions(), 0);
}

#[tokio::test]
async fn an_unproven_answer_is_held_back_and_said_loudly() {
    let fake = Fake::start(GENUINE).await;
    let proxy = Running::start(&fake, Place::Loopback(0), None).await;
    fake.set(Fault::ReceiptAnswer);
    let whole = proxy.chat(false).await;
    assert_eq!(status(&whole), "502");
    assert!(
        whole.contains("\"code\":\"receipt_invalid\"") && !whole.contains("Paris"),
        "{whole}"
    );
    let stream = proxy.chat(true).await;
    assert!(
        stream.contains("\"code\":\"receipt_invalid\"") && !stream.contains("[DONE]"),
        "{stream}"
    );
    fake.set(Fault::CutStream);
    let cut = proxy.chat(true).await;
    assert!(
        cut.contains("\"code\":\"receipt_invalid\"") && !cut.contains("[DONE]"),
        "{cut}"
    );
    assert_eq!(proxy.said.lock().unwrap().len(), 3);
}

/// OpenAI's package follows redirections, with the prompt, to wherever they lead.
#[tokio::test]
async fn a_program_is_never_sent_elsewhere() {
    let fake = Fake::start(GENUINE).await;
    let proxy = Running::start(&fake, Place::Loopback(0), None).await;
    fake.set(Fault::Redirect);
    let answer = proxy.chat(false).await;
    assert_eq!(status(&answer), "502", "{answer}");
    assert!(!answer.to_ascii_lowercase().contains("location"), "{answer}");
}

#[tokio::test]
async fn an_enclave_that_went_away_is_503_and_one_that_is_denied_502() {
    let fake = Fake::start(GENUINE).await;
    let proxy = Running::start(&fake, Place::Loopback(0), None).await;
    drop(fake);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let gone = proxy.chat(false).await;
    assert_eq!(status(&gone), "503", "{gone}");
    assert!(gone.contains("\"code\":\"enclave_unreachable\""), "{gone}");
}

#[tokio::test]
async fn a_denied_enclave_keeps_the_proxy_from_listening() {
    let fake = Fake::start(GENUINE).await;
    fake.set(Fault::RcarEvidence);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let settings = Settings {
        enclave: Arc::new(Enclave::new(fake.endpoint(), policy(), Hands::new().clock())),
        place: Place::Unix(path.clone()),
        api_key: None,
        keeper: None,
        tokens: None,
        notices: Arc::new(|_| {}),
    };
    let refused = Proxy::open(settings).await.err().unwrap();
    assert!(matches!(refused, ProxyError::Enclave(ClientError::Denied(_))));
    assert!(!path.exists());
}

#[tokio::test]
async fn a_program_that_leaves_stops_the_enclave() {
    let fake = Fake::start(GENUINE).await;
    let proxy = Running::start(&fake, Place::Loopback(0), None).await;
    fake.set(Fault::SilentStream);
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.port)).await.unwrap();
    let body = "{\"stream\":true}";
    let head = proxy.head("POST /v1/chat/completions");
    stream
        .write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
        .await
        .unwrap();
    // All that comes before the silence: a filler and its blank line, in a chunk each.
    let mut answer = Vec::new();
    while !answer.ends_with(b"1\r\n\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    drop(stream);
    for _ in 0..200 {
        if fake.state.left.load(Ordering::SeqCst) == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the enclave goes on for nobody");
}

#[tokio::test]
async fn the_socket_serves_without_a_token_and_is_gone_after_the_stop() {
    let fake = Fake::start(GENUINE).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.sock");
    let mut proxy = Running::start(&fake, Place::Unix(path.clone()), None).await;
    let stream = UnixStream::connect(&path).await.unwrap();
    let answer = exchange(stream, "GET /v1/models HTTP/1.1\r\nHost: anything\r\n", "").await;
    assert_eq!(status(&answer), "200", "{answer}");
    proxy.stop.take().unwrap().send(()).unwrap();
    proxy.served.await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn receipts_are_kept_before_an_answer_ends() {
    let fake = Fake::start(GENUINE).await;
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("receipts");
    let keeper = Keeper::open(kept.clone()).unwrap();
    let proxy = Running::start(&fake, Place::Loopback(0), Some(keeper)).await;
    assert_eq!(status(&proxy.chat(false).await), "200");
    assert!(proxy.chat(true).await.contains("[DONE]"));
    assert_eq!(std::fs::read_dir(&kept).unwrap().count(), 2);

    std::fs::remove_dir_all(&kept).unwrap();
    let unkept = proxy.chat(false).await;
    assert!(
        status(&unkept) == "500" && unkept.contains("receipt_not_kept"),
        "{unkept}"
    );
    let unkept = proxy.chat(true).await;
    assert!(
        unkept.contains("receipt_not_kept") && !unkept.contains("[DONE]"),
        "{unkept}"
    );
}

#[tokio::test]
async fn a_program_that_sends_much_still_reads_why_it_is_refused() {
    let fake = Fake::start(GENUINE).await;
    let proxy = Running::start(&fake, Place::Loopback(0), None).await;
    let large = "x".repeat(limits::REQUEST_BYTES + 1);
    let answer = proxy.ask("POST /v1/chat/completions", "", &large).await;
    assert!(answer.contains("request_too_large"), "{answer}");
    let answer = proxy.ask("POST /v2/elsewhere", "", &large[..8 << 20]).await;
    assert!(answer.contains("not_found"), "{answer}");
    let stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], proxy.port)));
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: Bearer wrong\r\n",
        proxy.port
    );
    let answer = exchange(stream.await.unwrap(), &head, &large[..8 << 20]).await;
    assert!(answer.contains("invalid_api_key"), "{answer}");
}
