//! The first bytes of a TLS handshake, read and written by hand (RFC 8446 section 4.1, RFC 5246 section 7.4.1).
//!
//! Why apart: what a library would never say must be said by somebody, and what it says is best seen on the wire.
//!
//! # Invariants
//! A message of another shape is a failed test.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anchorhold_tests::process::PATIENCE;

/// RFC 8446 section 4.2.
pub(crate) mod extension {
    pub(crate) const SUPPORTED_GROUPS: u16 = 10;
    pub(crate) const SESSION_TICKET: u16 = 35;
    pub(crate) const PRE_SHARED_KEY: u16 = 41;
    pub(crate) const EARLY_DATA: u16 = 42;
    pub(crate) const SUPPORTED_VERSIONS: u16 = 43;
    pub(crate) const KEY_SHARE: u16 = 51;
}

/// Content types of records.
pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
/// The alert that says: not this version.
pub(crate) const PROTOCOL_VERSION: u8 = 70;
/// draft-ietf-tls-ecdhe-mlkem, section 3.
pub(crate) const X25519MLKEM768: u16 = 0x11ec;
pub(crate) const TLS13: u16 = 0x0304;
pub(crate) const TLS12: u16 = 0x0303;

/// One record: its content type and its content.
#[derive(Debug)]
pub(crate) struct RecordLayer {
    pub(crate) kind: u8,
    pub(crate) content: Vec<u8>,
}

/// The next record.
pub(crate) fn record(stream: &mut TcpStream) -> RecordLayer {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut head = [0; 5];
    stream.read_exact(&mut head).expect("a record");
    let mut content = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    stream.read_exact(&mut content).expect("a whole record");
    RecordLayer {
        kind: head[0],
        content,
    }
}

/// Sends a handshake message of `kind` in a record of its own.
pub(crate) fn send(stream: &mut TcpStream, message: &[u8]) {
    let length = u16::try_from(message.len()).expect("it fits in a record");
    let record = [&[HANDSHAKE, 3, 1], length.to_be_bytes().as_slice(), message].concat();
    stream.write_all(&record).expect("the other side takes it");
}

/// What the next client at `listener` says first, and the connection it came on.
pub(crate) fn of_client(listener: &TcpListener) -> (Hello, TcpStream) {
    listener
        .set_nonblocking(true)
        .expect("a listener that can be asked");
    let asked = Instant::now();
    let mut stream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(_) if asked.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(5)),
            Err(error) => panic!("no client came: {error}"),
        }
    };
    stream.set_nonblocking(false).expect("a blocking stream");
    let record = record(&mut stream);
    assert_eq!(record.kind, HANDSHAKE);
    (Hello::parse(record.content), stream)
}

/// What the server at `address` answers to `hello`.
pub(crate) fn of_server(address: SocketAddr, hello: &[u8]) -> RecordLayer {
    let mut stream = TcpStream::connect(address).expect("it listens");
    send(&mut stream, hello);
    let mut answer = record(&mut stream);
    // A message may lie in several records (RFC 8446, section 5.1).
    while answer.kind == HANDSHAKE && answer.content.len() < message(&answer.content) {
        answer.content.extend(record(&mut stream).content);
    }
    answer
}

/// Bytes of the handshake message that begins with `bytes`.
fn message(bytes: &[u8]) -> usize {
    4 + u32::from_be_bytes([0, bytes[1], bytes[2], bytes[3]]) as usize
}

/// A ClientHello or a ServerHello.
pub(crate) struct Hello {
    /// The whole message.
    pub(crate) bytes: Vec<u8>,
    /// Where each extension's content lies.
    extensions: Vec<(u16, std::ops::Range<usize>)>,
}

impl Hello {
    /// Reads either.
    pub(crate) fn parse(bytes: Vec<u8>) -> Self {
        let is_client = match bytes[0] {
            1 => true,
            2 => false,
            other => panic!("message {other} is no hello"),
        };
        // Type, length, version, random.
        let mut at = 4 + 2 + 32;
        at += 1 + usize::from(bytes[at]);
        if is_client {
            at += 2 + two(&bytes, at);
            at += 1 + usize::from(bytes[at]);
        } else {
            at += 2 + 1;
        }
        let end = at + 2 + two(&bytes, at);
        assert_eq!(end, bytes.len(), "the extensions end the message");
        at += 2;
        let mut extensions = Vec::new();
        while at < end {
            let kind = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
            let length = two(&bytes, at + 2);
            extensions.push((kind, at + 4..at + 4 + length));
            at += 4 + length;
        }
        Self { bytes, extensions }
    }

    /// An extension's content.
    pub(crate) fn extension(&self, kind: u16) -> Option<&[u8]> {
        let (_, range) = self.extensions.iter().find(|(other, _)| *other == kind)?;
        Some(&self.bytes[range.clone()])
    }

    /// The same message with an extension's content replaced by as many other bytes.
    pub(crate) fn with(&self, kind: u16, content: &[u8]) -> Vec<u8> {
        let (_, range) = self
            .extensions
            .iter()
            .find(|(other, _)| *other == kind)
            .expect("the extension is there");
        let mut bytes = self.bytes.clone();
        bytes[range.clone()].copy_from_slice(content);
        bytes
    }
}

fn two(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]))
}

/// The numbers of a list of 16-bit values.
pub(crate) fn numbers(list: &[u8]) -> Vec<u16> {
    list.chunks_exact(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
        .collect()
}

/// A ServerHello of TLS 1.2 in answer to `hello`: an ordinary cipher suite, no extension at all.
pub(crate) fn tls12_server_hello(hello: &Hello) -> Vec<u8> {
    let session = &hello.bytes[4 + 2 + 32..];
    let session = &session[..1 + usize::from(session[0])];
    // TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, RFC 5289; no compression.
    let body = [&[3, 3], [7; 32].as_slice(), session, &[0xc0, 0x2b, 0]].concat();
    let length = u32::try_from(body.len()).expect("it is short").to_be_bytes();
    [&[2], &length[1..], &body].concat()
}
