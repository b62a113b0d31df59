//! Whoever sits on the wire: passes every byte on and notes the records (RFC 8446, section 5.1), their lengths, their
//! direction and when they came.
//!
//! Why apart: the tests of traffic and the benchmark of the attack see the same things, no more than a network sees.
//!
//! # Invariants
//! No key is here: what is noted is what stands outside the encryption.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The content type of every encrypted record.
const APPLICATION_DATA: u8 = 23;

/// Bytes of a record's header.
const HEADER: usize = 5;

/// One encrypted record.
#[derive(Debug, Clone, Copy)]
pub struct Record {
    /// Towards the client.
    pub down: bool,
    /// Bytes after the header.
    pub length: usize,
    /// When its last byte came.
    pub at: Instant,
}

/// What was noted of one connection, in the order it came.
pub type Notes = Arc<Mutex<Vec<Record>>>;

/// An observer that listens.
#[derive(Debug)]
pub struct Observer {
    /// Where clients reach the enclave through it, on the loopback address.
    pub port: u16,
    connections: Arc<Mutex<Vec<Notes>>>,
}

impl Observer {
    /// Listens, and passes on to `port`. Its threads end with the connections, the first with the process.
    ///
    /// # Panics
    /// When it cannot listen.
    #[must_use]
    pub fn before(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let own = listener.local_addr().expect("an address").port();
        let connections = Arc::<Mutex<Vec<Notes>>>::default();
        let all = Arc::clone(&connections);
        std::thread::spawn(move || {
            while let Ok((near, _)) = listener.accept() {
                let upstream = SocketAddr::from(([127, 0, 0, 1], port));
                let Ok(far) = TcpStream::connect(upstream) else {
                    return;
                };
                let notes = Notes::default();
                all.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(Arc::clone(&notes));
                pass(&near, &far, false, &notes);
                pass(&far, &near, true, &notes);
            }
        });
        Self {
            port: own,
            connections,
        }
    }

    /// The notes of every connection so far, the newest last.
    #[must_use]
    pub fn connections(&self) -> Vec<Notes> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The records noted so far.
#[must_use]
pub fn noted(notes: &Notes) -> Vec<Record> {
    notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn pass(from: &TcpStream, to: &TcpStream, down: bool, notes: &Notes) {
    let copies = (from.try_clone(), to.try_clone());
    let (Ok(mut from), Ok(mut to)) = copies else {
        return;
    };
    // A relay that gathered bytes would see its own doing.
    let _ = to.set_nodelay(true);
    let notes = Arc::clone(notes);
    std::thread::spawn(move || {
        let (mut buffer, mut waiting) = (vec![0; 1 << 16], Vec::new());
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let at = Instant::now();
            let Some(bytes) = buffer.get(..read) else { break };
            waiting.extend_from_slice(bytes);
            while let Some((kind, length)) = first(&waiting) {
                waiting.drain(..HEADER + length);
                if kind == APPLICATION_DATA {
                    let record = Record { down, length, at };
                    notes.lock().unwrap_or_else(PoisonError::into_inner).push(record);
                }
            }
            // Noted first: whoever has read it finds it noted.
            if to.write_all(bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}

/// Type and length of the first record in `bytes`, if all of it is there.
fn first(bytes: &[u8]) -> Option<(u8, usize)> {
    let [kind, _, _, high, low, rest @ ..] = bytes else {
        return None;
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    (rest.len() >= length).then_some((*kind, length))
}
