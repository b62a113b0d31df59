//! How much of anything from outside is taken.
//!
//! Why apart: a reader can judge exhaustion in one place, and no limit hides in a call.
//!
//! # Invariants
//! Every configurable limit has a strict default and a hard maximum that no configuration can pass.

use std::time::Duration;

/// Bytes of the descriptor the enclave is started with: the launch record and the configuration. A
/// configuration with hundreds of API keys is below 64 KiB.
pub const LAUNCH_BYTES: usize = 64 * 1024;

/// Characters of a display name (a model's, an API key's): they go into documents that every client reads.
pub const NAME_CHARS: usize = 128;

/// Characters of a path or an address in the configuration; PATH_MAX of Linux is 4096.
pub const PATH_CHARS: usize = 4096;

/// API keys in one configuration. Each request compares all of them, so that time does not tell which matched.
pub const API_KEYS: usize = 256;

/// Requests a minute that a configuration may grant to callers without a key.
pub const ANONYMOUS_PER_MINUTE_MAX: u32 = 60_000;

/// Requests a minute for callers without a key, when the configuration names neither keys nor a quota.
pub const ANONYMOUS_PER_MINUTE: u32 = 60;

/// Tokens from which on an answer counts as long. Questions of people are mostly answered in fewer; who copies a model asks
/// for more, often.
pub const LONG_ANSWER: usize = 512;

/// Nonces under one report (DESIGN, evidence binding).
pub const BATCH_NONCES: usize = 4096;

/// How long the first nonce of a batch waits for others. A security processor signs a few reports a second;
/// 20 ms is far below what a client notices and lets a burst share one report.
pub const BATCH_WINDOW: Duration = Duration::from_millis(20);

/// The same where devices give evidence too. A GPU signs one report in hundreds of milliseconds, and whoever comes just
/// after its window closed waits for two: a burst should find it open.
pub const DEVICE_BATCH_WINDOW: Duration = Duration::from_millis(60);

/// How long a client waits for evidence before the enclave says it has none. Clouds throttle reports to
/// about one in two seconds.
pub const EVIDENCE_WAIT: Duration = Duration::from_secs(10);

/// Tries of one report: what passes (somebody else asks at the same moment) has passed by then, and each try may take
/// as long as the platform does.
pub const REPORT_ATTEMPTS: usize = 4;

/// GPUs of one machine: as many devices as evidence may have.
pub const GPUS: usize = anchorhold_attestation::limits::DEVICES;

/// Bytes of the bundle of what NVIDIA signed: two RIMs and nine answers for each of eight GPUs are below 4 MiB.
pub const DEVICE_ENDORSEMENTS: u64 = 8 << 20;

/// Pause between two looks at GPUs that compute. A reset takes seconds, and what a look costs is not seen.
pub const DEVICE_PAUSE: Duration = Duration::from_secs(1);

/// How long a look may take: a GPU that was pulled out can block whoever asks for it.
pub const DEVICE_WAIT: Duration = Duration::from_secs(10);

/// Looks in a row at which the library may say that it is busy.
pub const DEVICE_BUSY: u32 = 3;

/// Bytes of a report, or of the certificates beside it, as the kernel hands them over. It has 32 KiB for each itself.
pub const TSM_BLOB: usize = 64 * 1024;

/// Bytes of an attribute that is a number or a name.
pub const TSM_TEXT: usize = 64;

/// Bytes of one response of a TPM: the kernel's own buffer.
pub const TPM_RESPONSE: usize = 4096;

/// Bytes read from an NV index by one command; TPMs of the PC Client profile give at least so many.
pub const TPM_NV_CHUNK: u16 = 512;

/// Looks at the paravisor's report until it is over what was asked, and the pause between two of them. It makes a new
/// one at most every two seconds (OpenHCL, `REPORT_TIMER_PERIOD`); this waits for twice that.
pub const HCL_LOOKS: usize = 17;
/// See [`HCL_LOOKS`].
pub const HCL_PAUSE: Duration = Duration::from_millis(250);

/// Time for a quote of the host's service, connection included.
pub const QUOTE_SERVICE_TIME: Duration = Duration::from_secs(5);

/// Bytes of its answer: a quote of 8 KiB in base64, and room for newer ones.
pub const QUOTE_SERVICE_BODY: usize = 96 * 1024;

/// Bytes of one answer of the broker: a token, a wrapped key and their signatures are a few KiB.
pub const BROKER_BODY_BYTES: usize = 256 * 1024;

/// Bytes of the header block of one answer of the broker; the signed release travels in a header.
pub const BROKER_HEADER_BYTES: usize = 64 * 1024;

/// RCAR sessions tried before boot gives up (`RCAR_MAX_ATTEMPT` of the Confidential Containers client).
pub const BROKER_ATTEMPTS: u32 = 5;

/// The most attempts a configuration may ask for.
pub const BROKER_ATTEMPTS_MAX: u32 = 20;

/// Pause between two attempts (as the Confidential Containers client).
pub const BROKER_PAUSE: Duration = Duration::from_secs(1);

/// Time for one request to the broker, connection and handshake included.
pub const BROKER_SECONDS: u64 = 10;

/// The longest time a configuration may ask for.
pub const BROKER_SECONDS_MAX: u64 = 120;

/// Threads that carry TLS and HTTP at most: the model needs the cores.
pub const RUNTIME_THREADS: usize = 8;

/// Bytes of one HTTP request's head: a bearer key, a nonce and a client library's own headers. It is the least that hyper takes: its
/// buffer then never grows, so that all of it is at hand to be wiped when a connection waits.
pub const REQUEST_HEAD_BYTES: usize = 8 * 1024;

/// Headers of one request.
pub const REQUEST_HEADERS: usize = 64;

/// Pause after the operating system refused a connection for want of descriptors: accepting again at once
/// would spin.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections to the metrics listener at one time: one scraper, and a second while it is replaced.
pub const METRICS_CONNECTIONS: usize = 8;

/// The longest lease that is kept to. A broker that grants more is understood as granting this: 366 days.
pub const LEASE_SECONDS_MAX: u64 = 366 * 24 * 3600;

/// Bytes of a model in clear. The pinned manifest fixes the exact size; this only keeps a mistake from asking
/// for more memory than the largest confidential machines have.
pub const MODEL_BYTES: u64 = 1 << 40;

/// How long a connection may rest that nobody has bound: time to judge evidence, and no longer, so that
/// strangers cannot hold the places of clients.
pub const UNBOUND_IDLE: Duration = Duration::from_secs(60);

/// Added to a request's own time before its connection is cut: the answer that says "too late" still fits.
pub const REQUEST_GRACE: Duration = Duration::from_secs(5);

/// Shortest pause between two attempts to renew a lease, so that a failing broker is not flooded.
pub const RENEWAL_PAUSE: Duration = Duration::from_secs(1);

/// Time for a request's body to arrive, from its head on, where the request's own time is not shorter. 2 MiB in
/// this time is 70 KiB a second.
pub const BODY_TIME: Duration = Duration::from_secs(30);

/// How long a connection is read on after its last answer, so that a client still sending gets to read it. A place
/// is held no longer than by a connection that says nothing.
pub const LINGER_TIME: Duration = Duration::from_secs(10);

/// Bytes that are read on and thrown away then: the largest body that a configuration can allow.
pub const LINGER_BYTES: usize = 16 << 20;

/// Bytes that a connection may send ahead of its answer and still be noticed when it ends: a stray line break, or
/// the head of a next request.
pub const READ_AHEAD_BYTES: usize = 1024;

/// Texts that end an answer (OpenAI takes 4).
pub const STOP_TEXTS: usize = 4;

/// Bytes of one such text: each byte of the answer may be held back for it.
pub const STOP_BYTES: usize = 256;

/// Grammars that are made at one time: each takes a core for up to some hundred milliseconds, which the model needs too.
pub const FORMS_AT_A_TIME: usize = 2;

/// Tools of one request, as OpenAI has it.
pub const TOOLS: usize = 128;

/// Calls in one message of a chat: more than models make at one time.
pub const MESSAGE_CALLS: usize = 128;

/// Messages of one chat.
pub const MESSAGES: usize = 4096;

/// Parts of one message's content.
pub const CONTENT_PARTS: usize = 256;

/// Texts of one request for embeddings (OpenAI takes 2048).
pub const EMBEDDING_INPUTS: usize = 2048;

/// Bytes of texts that are embedded in one pass, when one alone is not longer: some hundred tokens, so that callers who
/// left, and others, wait no longer than for a long text.
pub const EMBEDDED_TOGETHER: usize = 4096;

/// Alternatives told for each token of a chat (OpenAI takes 20).
pub const TOP_LOGPROBS: usize = 20;

/// Alternatives told for each token of a completion (OpenAI takes 5).
pub const COMPLETION_LOGPROBS: usize = 5;

/// Tokens of a completion that names no limit, as OpenAI's reference has it.
pub const COMPLETION_TOKENS: usize = 16;

/// Bytes of an answer's shared parts that hyper copies for one connection at a time: a slow reader holds this much, beside what
/// TLS has encrypted for it, and not the answer.
pub const SHARED_PIECE_BYTES: usize = 8 * 1024;

/// Events of a stream that wait for the network before the stream waits for it.
pub const STREAM_EVENTS: usize = 16;

/// How long a stream that failed waits for its reader to take the error, or the next frame after it.
pub const LAST_WORD: Duration = Duration::from_secs(5);

/// The longest frame of padded records: a quarter of what TLS allows (RFC 8446, section 5.1). Longer ones would cost
/// bytes and hide nothing more.
pub const FRAME_BYTES_MOST: usize = 4096;

/// Bytes of a chunk that are not its data: a length of up to four digits, and two line ends (RFC 9112, section 7.1).
pub const CHUNK_FRAMING: usize = 8;

/// Bytes of an answer's header lines that are written here, filler included. A receipt takes some 1,900 of them.
pub const HEAD_LINES: usize = 2400;

/// Bytes of the shortest whole body. Errors have it too.
pub const LEAST_BODY: usize = 4096;

/// How often counters are released. Between two releases the listener repeats the last one, so that a scraper
/// cannot watch a single request.
pub const METRICS_PERIOD: Duration = Duration::from_secs(60);

/// Counters are rounded up to a multiple of this.
pub const METRICS_STEP: u64 = 16;

/// Longest pause between two attempts to renew a lease: pauses double up to it.
pub const RENEWAL_PAUSE_MAX: Duration = Duration::from_secs(60);

/// One configurable number: its key, default and bounds.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// The key in its table.
    pub key: &'static str,
    /// When the configuration says nothing; 0 where the machine decides.
    pub default: u64,
    /// The least a configuration may ask for.
    pub least: u64,
    /// The most a configuration may ask for.
    pub most: u64,
}

/// Requests that wait for the model. More wait longer than clients do.
pub const QUEUE: Bound = bound("queue", 64, 1, 4096);
/// Tokens of one answer.
pub const MAX_TOKENS: Bound = bound("max_tokens", 1024, 1, 131_072);
/// Bytes of one request's body. A prompt of 1 MB is taken and refused by the model's context, in words.
pub const REQUEST_BYTES: Bound = bound("request_bytes", 2 << 20, 1024, 16 << 20);
/// Seconds from a request's head to the end of its answer.
pub const REQUEST_SECONDS: Bound = bound("request_seconds", 300, 1, 3600);
/// Seconds for the TLS handshake, and again for each request's head.
pub const HEADER_SECONDS: Bound = bound("header_seconds", 10, 1, 60);
/// Seconds a connection may rest between two requests.
pub const IDLE_SECONDS: Bound = bound("idle_seconds", 300, 1, 3600);
/// Connections at one time. A thousand idle ones leave room for two hundred that work.
pub const CONNECTIONS: Bound = bound("connections", 1200, 1, 20_000);
/// Seconds that requests in flight get after the signal to stop.
pub const DRAIN_SECONDS: Bound = bound("drain_seconds", 30, 0, 600);

/// Requests that run at one time, each with pages and sampling state of its own. The weights are read once for all of
/// them, so that until some dozens run each hardly slows the others.
pub const RUNNING: Bound = bound("running", 32, 1, 256);
/// Threads that compute; without a number one for each core. The largest machines have some hundred cores.
pub const THREADS: Bound = bound("threads", 0, 1, 1024);
/// MiB for keys and values of all requests together; without a number the engine's default. The largest machines have
/// some TiB.
pub const KV_MIB: Bound = bound("kv_mib", 0, 1, 1 << 22);

/// Milliseconds from one beat of answers to the next. Readers do not notice twenty a second, and a first token waits for
/// half of one on average.
pub const TICK_MS: Bound = bound("tick_ms", 50, 5, 1000);
/// Bytes of plaintext in each TLS record towards clients, a power of two. At twenty a second this carries thousands of
/// tokens a second.
pub const FRAME_BYTES: Bound = bound("frame_bytes", 1024, 512, FRAME_BYTES_MOST as u64);
/// The fewest beats of a stream: at the default, what is said in 0.4 seconds looks all the same.
pub const LEAST_TICKS: Bound = bound("least_ticks", 8, 1, 4096);

/// Requests a minute of one API key: ten a second.
pub const KEY_REQUESTS: Bound = bound("requests_per_minute", 600, 1, ANONYMOUS_PER_MINUTE_MAX as u64);
/// Tokens a minute of one API key, of prompts and answers: ten thousand a second, more than most machines compute.
pub const KEY_TOKENS: Bound = bound("tokens_per_minute", 600_000, 1, 1_000_000_000);
/// Answers of one API key in the making, waiting ones included: as many as run at one time.
pub const KEY_CONCURRENT: Bound = bound("concurrent", 32, 1, 4096);

/// Every bound of `[[api_key]]`.
pub const KEY_BOUNDS: [Bound; 3] = [KEY_REQUESTS, KEY_TOKENS, KEY_CONCURRENT];

/// Every bound of `[traffic]`.
pub const TRAFFIC_BOUNDS: [Bound; 3] = [TICK_MS, FRAME_BYTES, LEAST_TICKS];

/// Every bound of `[engine]`.
pub const ENGINE_BOUNDS: [Bound; 3] = [RUNNING, THREADS, KV_MIB];

/// Every bound of `[limits]`, for the parser and for documentation.
pub const BOUNDS: [Bound; 8] = [
    QUEUE,
    MAX_TOKENS,
    REQUEST_BYTES,
    REQUEST_SECONDS,
    HEADER_SECONDS,
    IDLE_SECONDS,
    CONNECTIONS,
    DRAIN_SECONDS,
];

const fn bound(key: &'static str, default: u64, least: u64, most: u64) -> Bound {
    Bound {
        key,
        default,
        least,
        most,
    }
}

/// The limits in force: what the configuration says, within the bounds above.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests that wait for the model.
    pub queue: usize,
    /// Tokens of one answer.
    pub max_tokens: usize,
    /// Bytes of one request's body.
    pub request_bytes: usize,
    /// From a request's head to the end of its answer.
    pub request_time: Duration,
    /// For the TLS handshake, and again for each request's head.
    pub header_time: Duration,
    /// Rest between two requests of one connection.
    pub idle_time: Duration,
    /// Connections at one time.
    pub connections: usize,
    /// For requests in flight after the signal to stop.
    pub drain_time: Duration,
}

/// Token ids of one prompt. No context that a body of the largest size could fill is longer.
pub const PROMPT_IDS: usize = 1 << 20;
