//! The barest client there is: TLS and bytes.
//!
//! Why apart: what the product's own client would never send must be sent by somebody. It verifies nothing; a
//! connection is bound by asking for the signature and not looking at it.
//!
//! # Invariants
//! A wait for the other side ends: with bytes, with the end of the connection, or with a failed test.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use anchorhold::tls::{PeerKey, client_config};
use anchorhold_tests::process::PATIENCE;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use serde_json::Value;

/// A TLS connection to an enclave.
pub(crate) struct Wire(BufReader<Tls>);

/// Both halves apart: what the other side said last can be read although it takes no more.
struct Tls {
    session: ClientConnection,
    sock: TcpStream,
}

impl Read for Tls {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return outcome,
            }
            if self.session.read_tls(&mut self.sock)? == 0 {
                return Ok(0);
            }
            self.session.process_new_packets().map_err(io::Error::other)?;
        }
    }
}

impl Write for Tls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.session.writer().write(bytes)?;
        self.flush()?;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.sock)?;
        }
        Ok(())
    }
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// Without the frames of chunks.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    /// Status, code and param of an error.
    pub(crate) fn refusal(&self) -> (u16, String, Option<String>) {
        let error = &self.json()["error"];
        let code = error["code"]
            .as_str()
            .unwrap_or_else(|| panic!("not an error: {}", self.text()));
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()) && error["type"].is_string());
        assert!(
            self.header("anchorhold-receipt").is_none(),
            "an error has no receipt"
        );
        (
            self.status,
            code.to_owned(),
            error["param"].as_str().map(str::to_owned),
        )
    }

    /// The payloads of an event stream without the end mark, and whether it had one and a receipt before it.
    pub(crate) fn events(&self) -> (Vec<Value>, bool) {
        let text = self.text();
        let mut payloads: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .collect();
        let done = payloads.last() == Some(&"[DONE]");
        if done {
            payloads.pop();
        }
        assert_eq!(
            done,
            text.contains("\n: anchorhold-receipt "),
            "an end mark goes with a receipt"
        );
        (
            payloads
                .into_iter()
                .map(|payload| serde_json::from_str(payload).unwrap())
                .collect(),
            done,
        )
    }
}

impl Wire {
    /// Connects and shakes hands.
    pub(crate) fn connect(port: u16) -> Self {
        let tcp = TcpStream::connect(("127.0.0.1", port)).expect("the enclave accepts");
        Self::over(tcp).expect("a handshake")
    }

    /// Shakes hands over `tcp`.
    pub(crate) fn over(mut tcp: TcpStream) -> io::Result<Self> {
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_nodelay(true)?;
        let mut session = handshake();
        while session.is_handshaking() {
            session.complete_io(&mut tcp)?;
        }
        Ok(Self(BufReader::new(Tls { session, sock: tcp })))
    }

    /// Binds the connection, believing anything.
    pub(crate) fn bind(&mut self) {
        let path = format!("/.well-known/anchorhold/channel?nonce={}", "a7".repeat(32));
        let answer = self.get(&path);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Waits at most `time` for bytes.
    pub(crate) fn patience(&self, time: Duration) {
        self.0.get_ref().sock.set_read_timeout(Some(time)).unwrap();
    }

    /// Writes bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)?;
        self.0.get_mut().flush()
    }

    /// A GET and its answer.
    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: enclave\r\n\r\n").as_bytes())
            .expect("a request is taken");
        self.answer().expect("an answer")
    }

    /// A POST of JSON and its answer.
    pub(crate) fn post(&mut self, path: &str, body: &[u8]) -> Answer {
        self.post_as(path, "", body)
    }

    /// A POST of JSON with more header lines (each ending in CRLF) and its answer.
    pub(crate) fn post_as(&mut self, path: &str, headers: &str, body: &[u8]) -> Answer {
        // A server that refuses early may close its side while this is still being written.
        let sent = self.ask(path, headers, body);
        self.answer()
            .unwrap_or_else(|error| panic!("no answer: {error} (sending: {sent:?})"))
    }

    /// Only the question.
    pub(crate) fn ask(&mut self, path: &str, headers: &str, body: &[u8]) -> io::Result<()> {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: enclave\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n"
        );
        self.send(&[head.as_bytes(), body].concat())
    }

    /// One line, without its end.
    pub(crate) fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        String::from_utf8(line)
            .map(|line| line.trim_end_matches('\r').to_owned())
            .map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// Reads the head of an answer.
    pub(crate) fn head(&mut self) -> io::Result<Answer> {
        let status = self
            .line()?
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            match line.split_once(':') {
                Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
                None => break,
            }
        }
        Ok(Answer {
            status: status.ok_or(io::ErrorKind::InvalidData)?,
            headers,
            body: Vec::new(),
        })
    }

    /// One chunk of a body; empty at its end.
    pub(crate) fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let size = usize::from_str_radix(&self.line()?, 16).map_err(|_| io::ErrorKind::InvalidData)?;
        let mut chunk = vec![0; size];
        self.0.read_exact(&mut chunk)?;
        self.line()?;
        Ok(chunk)
    }

    /// Reads an answer to its end.
    pub(crate) fn answer(&mut self) -> io::Result<Answer> {
        let mut answer = self.head()?;
        self.rest(&mut answer)?;
        Ok(answer)
    }

    /// Reads the rest of an answer's body.
    pub(crate) fn rest(&mut self, answer: &mut Answer) -> io::Result<()> {
        if let Some(length) = answer.header("content-length") {
            let mut body = vec![0; length.parse().map_err(|_| io::ErrorKind::InvalidData)?];
            self.0.read_exact(&mut body)?;
            answer.body = body;
            return Ok(());
        }
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
        loop {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                return Ok(());
            }
            answer.body.extend(chunk);
        }
    }

    /// True when the other side has ended the connection, however; false when it said something.
    pub(crate) fn is_ended(&mut self) -> bool {
        let mut byte = [0];
        !matches!(self.0.read(&mut byte), Ok(1))
    }
}

/// A client's half of a handshake that has not begun.
pub(crate) fn handshake() -> ClientConnection {
    let name = ServerName::try_from("enclave").expect("a name");
    ClientConnection::new(Arc::new(client_config(PeerKey::Unknown)), name).expect("a client")
}
