//! Every limit on what comes from outside, each with its reason.
//!
//! Why apart: a reviewer reads the limits on one page. Limits of the evidence and policy formats are in
//! `anchorhold_attestation::limits`, those of sealed files in `anchorhold_models::limits`.
//!
//! # Invariants
//! Nothing is read from a peer or a file of unknown size without one of these.

use std::time::Duration;

// -- the broker

/// A broker configuration: a handful of lines for each of [`RESOURCES`].
pub const BROKER_CONFIG_BYTES: u64 = 256 * 1024;
/// Resources of one broker: each attestation is appraised under every policy.
pub const RESOURCES: usize = 64;
/// Files in a folder of anchors: six roots are known, each perhaps twice.
pub const ANCHOR_FILES: usize = 16;
/// One of them: a root is below 4 KiB, in PEM a third more, and a vendor's file has a chain of three.
pub const ANCHOR_FILE_BYTES: usize = 32 * 1024;
/// A chip of a fake authority: a report and a key are below 2 KiB.
pub const CHIP_BYTES: u64 = 4 * 1024;
/// A policy file: digests and names; the verifier's own limit is lower or equal.
pub const POLICY_BYTES: u64 = 256 * 1024;
/// Sessions kept. Only affirmed evidence is kept, so the worst case, 4096 times [`SESSION_EVIDENCE_BYTES`] or
/// 1 GiB, takes as many enclaves of ours.
pub const SESSIONS: usize = 4096;
/// Life of a session: what the existing broker of this protocol gives (5 minutes).
pub const SESSION_LIFE: Duration = Duration::from_secs(5 * 60);
/// A request body: evidence with device certificates is below 200 KiB; a configuration is 64 KiB at most.
pub const BROKER_BODY_BYTES: usize = 1024 * 1024;
/// Values in such a body: evidence of a CPU and sixteen devices with their chains has some hundreds. Members that may be
/// anything take up to 600 bytes a value while they are read.
pub const BROKER_BODY_VALUES: usize = 16 * 1024;
/// What a session keeps of its evidence, so that [`SESSIONS`] stays within memory.
pub const SESSION_EVIDENCE_BYTES: usize = 256 * 1024;
/// Connections served at once; an enclave needs one for each renewal of its lease.
pub const BROKER_CONNECTIONS: usize = 512;
/// From connecting to the end of the TLS handshake.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// From the first byte of a request to the end of its headers (and idle time between two requests).
pub const HEADER_TIME: Duration = Duration::from_secs(10);
/// From the end of the headers to the end of the body.
pub const BODY_TIME: Duration = Duration::from_secs(15);
/// The whole life of a broker connection: three requests take one second.
pub const BROKER_CONNECTION_TIME: Duration = Duration::from_secs(120);
/// The buffer for headers and for a part of the body.
pub const HTTP_BUFFER_BYTES: usize = 64 * 1024;
/// How long a stopping broker waits for requests in progress.
pub const DRAIN_TIME: Duration = Duration::from_secs(10);
/// Denials written to the release log a minute; more are counted, not written: anyone can cause them, and
/// the log is never shortened.
pub const DENIALS_LOGGED_PER_MINUTE: u32 = 60;
/// A lease: a day at most, since revoking waits for its end.
pub const LEASE_SECONDS: u64 = 24 * 60 * 60;

// -- the operator

/// A file of canaries: some texts, and some thousand ids and numbers.
pub const CANARY_BYTES: u64 = 1024 * 1024;
/// Places that a scan tells; more are counted. A person reads some, and a page of memory could hold thousands.
pub const SCAN_HITS: usize = 1000;
/// An enclave's binary: measured by reading it.
pub const ENCLAVE_BYTES: u64 = 1024 * 1024 * 1024;
/// An enclave's configuration: what the enclave itself accepts.
pub const ENCLAVE_CONFIG_BYTES: u64 = 64 * 1024;
/// One event line of an enclave: numbers, digests and constants.
pub const EVENT_LINE_BYTES: u64 = 16 * 1024;
/// The answer of a health probe.
pub const HEALTH_BODY_BYTES: usize = 4 * 1024;
/// A health probe from connecting to the last byte.
pub const HEALTH_TIME: Duration = Duration::from_secs(10);

// -- endorsements

/// Attempts at one request to a vendor. With pauses that double, seven seconds at most: a person may be waiting.
pub const FETCH_ATTEMPTS: u32 = 4;
/// The longest pause after the first failed attempt; it doubles with each further one.
pub const FETCH_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause of all.
pub const FETCH_PAUSE_MOST: Duration = Duration::from_secs(8);
/// The longest pause a service may ask for and still be asked again.
pub const RETRY_AFTER: Duration = Duration::from_secs(60);
/// From looking up a vendor's name to the end of the TLS handshake.
pub const FETCH_CONNECT: Duration = Duration::from_secs(10);
/// From the request to the last byte of an answer of at most 1 MiB.
pub const FETCH_ANSWER: Duration = Duration::from_secs(20);
/// The head of a vendor's answer: Intel's carries a certificate chain, about 4 KiB.
pub const FETCH_HEAD_BYTES: usize = 64 * 1024;
/// A file of the cache: the largest endorsement as JSON, and a few members around it.
pub const CACHE_FILE_BYTES: u64 = 768 * 1024;
/// Files looked at in one folder of the cache: a rack's chips, twice.
pub const CACHE_FILES: usize = 4096;
/// Age at which a cached certificate is fetched anew, however long it says that it is valid: a month.
pub const LONGEST_REFRESH_SECONDS: u64 = 30 * 24 * 60 * 60;
/// Age at which a cached item is fetched anew although it is valid: a vendor's new list is seen within a day.
pub const REFRESH_SECONDS: u64 = 24 * 60 * 60;
/// After a failed attempt to refresh a valid item, before the next.
pub const REFRESH_PAUSE_SECONDS: u64 = 5 * 60;
/// A file of certificates that somebody names: a mirror's authorities, a device's chain.
pub const CA_FILE_BYTES: u64 = 256 * 1024;
/// Certificates in it.
pub const CA_CERTIFICATES: usize = 64;

// -- files of the owner

/// A KEK file: one line.
pub const KEK_FILE_BYTES: u64 = 1024;

// -- files of the publisher

/// A signing key's file: five lines, one with a name.
pub const SIGNING_KEY_BYTES: usize = 1024;
/// What a key remembers to have signed: a line for each of a few hundred logs.
pub const SIGNED_STATE_BYTES: usize = 256 * 1024;
/// Entries of a log: ten statements a week for a hundred years. Each append reads all of them.
pub const LOG_ENTRIES: u64 = 65_536;
/// A cosignature as a line of text.
pub const COSIGNATURE_BYTES: usize = 1024;
