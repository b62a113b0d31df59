//! A local program that talks to `anchorhold client proxy`, byte for byte as it likes.
//!
//! Why apart: what a web page or a stranger on the machine would send, no HTTP library sends.
//!
//! # Invariants
//! Each request is a connection of its own, read to its end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use anchorhold_tests::process::{PATIENCE, Process};
use serde_json::Value;

/// A proxy that listens on 127.0.0.1.
pub(crate) struct Proxy {
    pub(crate) process: Process,
    pub(crate) port: u16,
    pub(crate) token: String,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// Status and code of an error.
    pub(crate) fn refusal(&self) -> (u16, String) {
        let error: Value = serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"));
        let code = error["error"]["code"]
            .as_str()
            .unwrap_or_else(|| panic!("no error: {self:?}"));
        (self.status, code.to_owned())
    }

    /// Demands an answer of the model.
    pub(crate) fn expect_text(self) -> Self {
        assert!(self.status == 200 && !self.body.contains("\"error\""), "{self:?}");
        self
    }
}

/// The first line of `client proxy`: where it listens, or why it does not.
pub(crate) fn start(url: &str, policy: &str, more: &[&str]) -> (Process, Value) {
    let fixed = ["client", "proxy", "--url", url, "--policy", policy, "--json"];
    let host = anchorhold_tests::programs!().host;
    let mut process = Process::start(Path::new(host), &[fixed.as_slice(), more].concat(), None);
    let first = process
        .next()
        .unwrap_or_else(|| panic!("the proxy says something"));
    (process, first)
}

impl Proxy {
    /// Starts it and waits until it listens.
    pub(crate) fn start(url: &str, policy: &str, more: &[&str]) -> Self {
        let (process, first) = start(url, policy, more);
        let listening = first["listening"]
            .as_str()
            .unwrap_or_else(|| panic!("it listens: {first:#}"));
        let (_, port) = listening.rsplit_once(':').expect("a port");
        Self {
            process,
            port: port.parse().expect("a port"),
            token: first["token"].as_str().expect("a token").to_owned(),
        }
    }

    /// The headers that make a request admissible.
    pub(crate) fn right_headers(&self) -> String {
        format!(
            "Host: 127.0.0.1:{}\r\nAuthorization: Bearer {}\r\n",
            self.port, self.token
        )
    }

    /// A request with these headers and no others but those of its body.
    pub(crate) fn send(&self, request: &str, headers: &str, body: &str) -> Answer {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        exchange(stream, request, headers, body)
    }

    /// One admissible question.
    pub(crate) fn ask(&self, body: &str) -> Answer {
        self.send("POST /v1/chat/completions", &self.right_headers(), body)
    }
}

/// A request's body.
pub(crate) fn question(model: &str, text: &str, stream: bool) -> String {
    serde_json::json!({
        "model": model, "messages": [{"role": "user", "content": text}], "stream": stream,
    })
    .to_string()
}

/// One request over any stream.
pub(crate) fn exchange(mut stream: impl Read + Write, request: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    let head = format!(
        "{request} HTTP/1.1\r\n{headers}Content-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes()).expect("it takes the request");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("it answers to the end");
    let text = String::from_utf8(bytes).expect("answers are text");
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no head: {text:?}"));
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    Answer {
        status: head[9..12].parse().expect("a status"),
        head: head.to_owned(),
        body: if chunked { dechunked(body) } else { body.to_owned() },
    }
}

/// The content of a chunked body (RFC 9112 section 7.1).
fn dechunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, more)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a chunk's size");
        body.push_str(&more[..size]);
        rest = more[size..].strip_prefix("\r\n").expect("a chunk's end");
    }
    body
}
