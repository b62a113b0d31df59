//! Tests of the server's bounds: slow, silent and too many peers.

use axum::Extension;
use axum::http::StatusCode;
use axum::routing::{get, post};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::config::Config;
use crate::lifecycle::Cause;
use crate::tls::{ServerKey, pinned_client_config, server_config};

/// A server of one's own, with short times.
struct Running {
    address: SocketAddr,
    client: Arc<rustls::ClientConfig>,
    lifecycle: Lifecycle,
    task: tokio::task::JoinHandle<()>,
}

async fn start(change: impl FnOnce(&mut Limits)) -> Running {
    let app = Router::new()
        .route("/", get(async || "hello"))
        .route(
            "/slow",
            get(async || {
                tokio::time::sleep(Duration::from_millis(500)).await;
                "late"
            }),
        )
        .route("/refused", post(async || StatusCode::PAYLOAD_TOO_LARGE))
        .route("/never", get(async || std::future::pending::<&str>().await))
        .route(
            "/exporter",
            get(async |Extension(connection): Extension<Arc<Connection>>| {
                let identity = crate::identity::Identity::for_tests();
                let nonce = anchorhold_attestation::Nonce::from_random([5; 32]);
                // What is exported is tested through the signature's message.
                connection.bind(nonce, &identity).map_or("unbound", |_| "bound")
            }),
        );
    let mut limits = Config::for_tests().limits;
    limits.drain_time = Duration::from_secs(2);
    change(&mut limits);
    let key = ServerKey::generate().unwrap();
    let lifecycle = Lifecycle::new();
    let address = Bound::to("127.0.0.1:0".parse().unwrap()).unwrap();
    let tls = server_config(&key, None).unwrap();
    let server = Server::tls(address, tls, app, limits, lifecycle.clone()).unwrap();
    Running {
        address: server.address().unwrap(),
        client: pinned_client_config(key.spki_sha256()).unwrap(),
        lifecycle,
        task: tokio::spawn(server.serve(Confined::for_tests())),
    }
}

impl Running {
    async fn connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::clone(&self.client))
            .connect(name, tcp)
            .await
    }
}

async fn ask(stream: &mut TlsStream<TcpStream>, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    if stream.write_all(request.as_bytes()).await.is_err() {
        return String::new();
    }
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read) = stream.read(&mut buffer).await {
        answer.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&answer);
        let complete = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            length.and_then(|length| length.parse().ok()) == Some(body.len())
        });
        if read == 0 || complete {
            break;
        }
    }
    String::from_utf8(answer).unwrap()
}

/// How long until the far end closes.
async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) -> Duration {
    let start = Instant::now();
    let mut rest = Vec::new();
    let closed = timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "the connection is still open");
    start.elapsed()
}

#[tokio::test]
async fn requests_follow_one_another_and_nothing_tells_the_time() {
    let server = start(|_| ()).await;
    let mut stream = server.connect().await.unwrap();
    for _ in 0..3 {
        let answer = ask(&mut stream, "/").await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"),
            "{answer}"
        );
        assert!(!answer.to_lowercase().contains("\r\ndate:"), "{answer}");
    }
}

#[tokio::test]
async fn a_handler_reaches_the_exporter_of_its_connection() {
    let server = start(|_| ()).await;
    let mut stream = server.connect().await.unwrap();
    assert!(ask(&mut stream, "/exporter").await.ends_with("bound"));
}

#[tokio::test]
async fn whoever_says_nothing_is_cut() {
    let server = start(|limits| {
        limits.header_time = Duration::from_millis(300);
        limits.idle_time = Duration::from_millis(600);
    })
    .await;
    // No handshake.
    let mut tcp = TcpStream::connect(server.address).await.unwrap();
    assert!(until_closed(&mut tcp).await < Duration::from_millis(1500));
    // No request.
    let mut idle = server.connect().await.unwrap();
    assert!(until_closed(&mut idle).await >= Duration::from_millis(400));
    // Half a head, and a byte now and then.
    let mut slow = server.connect().await.unwrap();
    let start = Instant::now();
    slow.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
    while slow.write_all(b"a").await.is_ok() && slow.flush().await.is_ok() {
        assert!(start.elapsed() < Duration::from_secs(3), "a slow head is not cut");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn an_answer_that_never_comes_is_cut() {
    let server = start(|limits| limits.request_time = Duration::ZERO).await;
    let mut stream = server.connect().await.unwrap();
    let start = Instant::now();
    let asked = timeout(Duration::from_secs(20), ask(&mut stream, "/never")).await;
    assert_eq!(asked.unwrap(), "");
    assert!(start.elapsed() >= limits::REQUEST_GRACE);
}

#[tokio::test]
async fn a_head_beyond_its_limit_is_refused() {
    let server = start(|_| ()).await;
    let mut stream = server.connect().await.unwrap();
    let path = format!("/{}", "a".repeat(limits::REQUEST_HEAD_BYTES));
    let answer = ask(&mut stream, &path).await;
    assert!(
        !answer.starts_with("HTTP/1.1 200") && !answer.starts_with("HTTP/1.1 404"),
        "{answer}"
    );
    let mut stream = server.connect().await.unwrap();
    let many = format!(
        "/ HTTP/1.1\r\n{}a: b",
        "x: y\r\n".repeat(limits::REQUEST_HEADERS + 1)
    );
    let answer = ask(&mut stream, &many).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let server = start(|limits| limits.connections = 2).await;
    let first = server.connect().await.unwrap();
    let _second = server.connect().await.unwrap();
    let third = server.connect();
    tokio::pin!(third);
    assert!(timeout(Duration::from_millis(300), &mut third).await.is_err());
    drop(first);
    let mut third = timeout(Duration::from_secs(5), third).await.unwrap().unwrap();
    assert!(ask(&mut third, "/").await.ends_with("hello"));
}

/// Sends `bytes` of a body that is refused unread, then reads the answer.
async fn refused(stream: &mut TlsStream<TcpStream>, bytes: usize) -> std::io::Result<String> {
    let head = format!("POST /refused HTTP/1.1\r\nhost: x\r\ncontent-length: {bytes}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    for sent in (0..bytes).step_by(1 << 16) {
        stream.write_all(&vec![b'x'; (bytes - sent).min(1 << 16)]).await?;
        // The answer is under way, and the server done with it, long before the end of the body.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stream.flush().await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn a_client_that_sends_on_still_gets_its_answer() {
    let server = start(|_| ()).await;
    let mut stream = server.connect().await.unwrap();
    let answer = refused(&mut stream, 4 << 20).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn what_a_client_sends_on_is_bounded_and_holds_up_no_drain() {
    let server = start(|_| ()).await;
    let mut stream = server.connect().await.unwrap();
    assert!(refused(&mut stream, 64 << 20).await.is_err());
    let mut stream = server.connect().await.unwrap();
    let head = "POST /refused HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    server.lifecycle.drain(Cause::Signal);
    let ended = timeout(Duration::from_secs(1), server.task).await;
    ended.expect("the drain does not wait for the body").unwrap();
}

#[tokio::test]
async fn draining_finishes_what_is_in_flight_and_takes_nothing_new() {
    let server = start(|_| ()).await;
    let mut busy = server.connect().await.unwrap();
    let mut idle = server.connect().await.unwrap();
    let answer = tokio::spawn(async move { ask(&mut busy, "/slow").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.lifecycle.drain(Cause::Signal);
    assert!(until_closed(&mut idle).await < Duration::from_secs(1));
    let answer = answer.await.unwrap();
    assert!(answer.ends_with("late"), "{answer}");
    timeout(Duration::from_secs(1), server.task)
        .await
        .unwrap()
        .unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn what_outlasts_the_drain_time_is_cut() {
    let server = start(|limits| limits.drain_time = Duration::from_millis(300)).await;
    let mut busy = server.connect().await.unwrap();
    let answer = tokio::spawn(async move { ask(&mut busy, "/never").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.lifecycle.drain(Cause::Signal);
    timeout(Duration::from_secs(2), server.task)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer.await.unwrap(), "");
}

#[tokio::test]
async fn whoever_leaves_in_the_middle_is_noticed_whatever_it_sent_ahead() {
    for ahead in [
        "",
        "\r\n",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
    ] {
        let server = start(|limits| limits.drain_time = Duration::from_secs(60)).await;
        let mut stream = server.connect().await.unwrap();
        let request = format!("GET /never HTTP/1.1\r\nhost: x\r\n\r\n{ahead}");
        stream.write_all(request.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(stream);
        server.lifecycle.drain(Cause::Signal);
        let ended = timeout(Duration::from_secs(5), server.task).await;
        assert!(ended.is_ok(), "{ahead:?}: the request is still being answered");
    }
}

#[tokio::test]
async fn what_is_sent_ahead_is_answered_in_its_turn() {
    let server = start(|_| ()).await;
    let mut stream = server.connect().await.unwrap();
    stream
        .write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\nGET / HT")
        .await
        .unwrap();
    // More than is read ahead, and in pieces.
    let filler = "a".repeat(3 * limits::READ_AHEAD_BYTES);
    let pieces = [
        "TP/1.1\r\n",
        "x: ",
        &filler,
        "\r\nconnection: close\r\n",
        "host: x\r\n\r\n",
    ];
    for piece in pieces {
        tokio::time::sleep(Duration::from_millis(30)).await;
        stream.write_all(piece.as_bytes()).await.unwrap();
    }
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    let (first, second) = (answers.find("late"), answers.find("hello"));
    assert!(first.is_some() && first < second, "{answers}");
}

/// Where a server writes to: notes each write, and takes it only some flushes later, as a slow network does.
struct Slow {
    inner: tokio::io::DuplexStream,
    writes: Arc<std::sync::Mutex<Vec<Vec<u8>>>>,
    hesitations: u32,
}

impl AsyncRead for Slow {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for Slow {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.writes.lock().unwrap().push(bytes.to_vec());
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.hesitations += 1;
        if self.hesitations.is_multiple_of(3) {
            return Pin::new(&mut self.inner).poll_flush(context);
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[tokio::test]
async fn what_is_said_at_different_times_is_written_apart_however_slow_the_network_is() {
    let pieces: Vec<Bytes> = (0..20)
        .map(|piece| Bytes::from(format!("piece {piece}")))
        .collect();
    /// All pieces at once: nothing but the server keeps them apart.
    struct Ready(std::vec::IntoIter<Bytes>);
    impl hyper::body::Body for Ready {
        type Data = Bytes;
        type Error = std::convert::Infallible;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, std::convert::Infallible>>> {
            Poll::Ready(self.0.next().map(|piece| Ok(Frame::data(piece))))
        }
    }
    let body = pieces.clone();
    let app = Router::new().route("/", get(async move || Body::new(Ready(body.into_iter()))));
    let (mut near, far) = tokio::io::duplex(1 << 16);
    let writes = Arc::default();
    let slow = Slow {
        inner: far,
        writes: Arc::clone(&writes),
        hesitations: 0,
    };
    let limits = Config::for_tests().limits;
    let pace = Arc::new(Pace::new(limits));
    let service = Arc::new(Service {
        app,
        limits,
        lifecycle: Lifecycle::new(),
    });
    let stream = Shared::new(slow, Arc::clone(&pace));
    let serving = tokio::spawn(serve_http(service, stream, pace, None));
    near.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    near.read_to_end(&mut answer).await.unwrap();
    drop(near);
    serving.await.unwrap();
    let writes = writes.lock().unwrap();
    let (head, chunks) = writes.split_first().unwrap();
    assert!(head.ends_with(b"\r\n\r\n"), "{}", String::from_utf8_lossy(head));
    let framed: Vec<Vec<u8>> = pieces
        .iter()
        .map(|piece| format!("{:X}\r\n{}\r\n", piece.len(), std::str::from_utf8(piece).unwrap()).into_bytes())
        .chain([b"0\r\n\r\n".to_vec()])
        .collect();
    assert_eq!(chunks, framed);
}
