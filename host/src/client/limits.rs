//! How much of anything the client takes from outside, each limit with its reason.
//!
//! Why apart: the enclave's operator and the network are adversaries, and a limit that cannot be found
//! cannot be reviewed.
//!
//! # Invariants
//! Every wait on the network and every buffer that a peer fills is bounded by one of these.

use std::time::Duration;

/// For a TCP connection to be accepted. A person waits behind it; a packet lost twice still fits.
pub const CONNECT: Duration = Duration::from_secs(10);

/// For the TLS handshake, one round trip with an ML-KEM share of about 1 KiB.
pub const HANDSHAKE: Duration = Duration::from_secs(10);

/// For evidence or a channel signature. Security processors are slow and throttled by clouds to a few reports
/// a second, and the enclave batches nonces: half a minute is generous without being endless.
pub const WELL_KNOWN: Duration = Duration::from_secs(30);

/// For the head of an answer after the request was sent: a queue of long answers may be before it.
pub const ANSWER_HEAD: Duration = Duration::from_secs(600);

/// For the next piece of an answer that has begun. The enclave sends comments while it computes.
pub const ANSWER_IDLE: Duration = Duration::from_secs(120);

/// Bytes of the attestation answer: SNP, TDX and GPU evidence with certificate chains stay below 100 KiB each, and
/// stapled endorsements below 1.4 MiB by their own limit.
pub const ATTESTATION_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of the channel answer: one Ed25519 signature as hexadecimal inside JSON.
pub const CHANNEL_BYTES: usize = 1024;

/// Bytes of a request body that is kept until its receipt comes. The enclave's own limit is lower by default.
pub const REQUEST_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of the shortest request's body, padding included: a question of a few sentences.
pub const LEAST_REQUEST: usize = 1024;

/// Bytes of an answer, kept until its receipt comes: the salt of the commitment arrives last.
/// A hundred thousand tokens with log probabilities fit.
pub const ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Bytes that an event counts for in [`ANSWER_BYTES`] beside its own: what keeping it takes, so that events without
/// a payload are not free.
pub const EVENT_COST: usize = 256;

/// Bytes of one server-sent event: a chunk with twenty log probabilities has about 4 KiB.
pub const EVENT_BYTES: usize = 1024 * 1024;

/// Bytes of the enclave's HTTP head that are buffered.
pub const HEAD_BYTES: usize = 64 * 1024;

/// Bound connections kept for the next request. More may be open at a time; the rest are closed after use.
pub const POOL: usize = 8;

/// How long a bound connection is kept without use: well below the five minutes after which an enclave closes
/// an idle one by default, so that a question rarely meets a connection that is just being closed.
pub const POOL_IDLE: Duration = Duration::from_secs(60);

/// Local connections that the proxy serves at a time: one person's programs.
pub const PROXY_CONNECTIONS: usize = 256;

/// For a local program to send the head of its request.
pub const PROXY_HEAD: Duration = Duration::from_secs(10);

/// For a local program to send the body of its request.
pub const PROXY_BODY: Duration = Duration::from_secs(60);

/// For a local program to send the rest of a request that was refused, up to [`REQUEST_BYTES`] more of it: on this
/// machine, and so at once unless it stalls.
pub const PROXY_DISCARD: Duration = Duration::from_secs(5);

/// For answers in flight when the proxy is told to stop.
pub const PROXY_DRAIN: Duration = Duration::from_secs(10);

/// Bytes of a policy, an API key file or a kept receipt read from disk.
pub const FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Bytes of a JSON Schema read from disk: the enclave takes as many of all schemas of a request.
pub const SCHEMA_BYTES: u64 = 128 * 1024;

/// Pieces of a streamed answer that wait for a slow local program. The enclave is slowed, not buffered for.
pub const STREAM_PIECES: usize = 16;

/// Longest line of `client chat`: a pasted document, not a disk image.
pub const CHAT_LINE_BYTES: usize = 1024 * 1024;

/// Between two attempts to fetch new evidence from an enclave that cannot be reached, while the old still holds.
pub const RENEWAL_PAUSE_SECONDS: u64 = 10;

/// A file to be explained: the largest is an attestation document with everything stapled to it.
pub const EXPLAIN_FILE: u64 = 8 * 1024 * 1024;

/// Files of one folder of endorsements or anchors: a RIM and a chain for each of a few dozen machines.
pub const EXPLAIN_FILES: usize = 256;

/// Layers of text forms and compression around evidence: base64 of gzip of JSON of base64 is four; a bomb has more.
pub const EXPLAIN_DEPTH: usize = 8;

/// Bytes of all layers of one file together: a file of the largest size unpacked a few times over.
pub const EXPLAIN_BYTES: usize = 48 * 1024 * 1024;

/// Pieces found in one file: sixteen devices with five certificates each, and what is stapled.
pub const EXPLAIN_PIECES: usize = 256;
