//! Vendors for a test: a real server on this machine, and items that say what a test wants them to say.
//!
//! Why apart: nothing about an outage can be learnt from a service that is up.
//!
//! # Invariants
//! Built for tests only. Items have the vendors' form, and the signature of an AMD of the tests' own, in whom [`anchors`] believes:
//! nothing here would pass a verifier that believes the vendors.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use anchorhold_attestation::snp::{Product, Tcb};
use anchorhold_attestation::{Anchors, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DnType, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, SerialNumber, date_time_ymd,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::cache::Cache;
use super::http::{Http, Times};
use super::item::Item;
use super::origin::PlainHttp;
use super::pacing::Pacing;
use super::store::Store;
use super::vendor::{Sources, Vendor};
use crate::clock::Clock;

/// The moment of all tests: 2030-01-15 12:00 UTC.
pub(crate) const NOW: u64 = 1_894_708_800;
/// Seconds.
pub(crate) const DAY: u64 = 24 * 60 * 60;

/// What the service does instead of answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Answers with this status.
    Status(u16),
    /// 429 with this Retry-After.
    TooMany(u64),
    /// Reads the request and says nothing.
    Hang,
    /// Closes the connection inside the answer.
    Truncated,
    /// Sends more than any item has, without saying how much before.
    Oversized,
    /// Answers with another item's bytes.
    WrongContent,
    /// Closes the connection at once.
    Closes,
}

/// Path and query to headers and body.
type Pages = HashMap<String, (Vec<(String, String)>, Vec<u8>)>;

#[derive(Default)]
struct State {
    pages: Pages,
    /// Used up one a request, first first.
    once: Vec<Fault>,
    always: Option<Fault>,
    requests: Vec<String>,
}

/// A service that plays all vendors.
pub(crate) struct Service {
    address: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Service {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, state, task }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn page(&self, path: &str, body: Vec<u8>) {
        self.page_with(path, &[], body);
    }

    pub(crate) fn page_with(&self, path: &str, headers: &[(&str, String)], body: Vec<u8>) {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        let page = (headers.collect(), body);
        self.state.lock().unwrap().pages.insert(path.to_owned(), page);
    }

    pub(crate) fn once(&self, faults: &[Fault]) {
        self.state.lock().unwrap().once = faults.to_vec();
    }

    pub(crate) fn always(&self, fault: Option<Fault>) {
        self.state.lock().unwrap().always = fault;
    }

    /// Requests so far, as method and path.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }

    /// Nobody listens any more.
    pub(crate) async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let head = String::from_utf8_lossy(&request).into_owned();
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap().to_owned());
    let (fault, page) = {
        let mut state = state.lock().unwrap();
        state.requests.push(format!("{method} {path}"));
        let first = (!state.once.is_empty()).then(|| state.once.remove(0));
        (first.or(state.always), state.pages.get(&path).cloned())
    };
    let status = |status: u16, more: &str| {
        format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n{more}\r\n").into_bytes()
    };
    let answer = match (fault, page) {
        (Some(Fault::Closes), _) => return,
        (Some(Fault::Hang), _) => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            return;
        }
        (Some(Fault::Status(number)), _) => status(number, ""),
        (Some(Fault::TooMany(seconds)), _) => status(429, &format!("retry-after: {seconds}\r\n")),
        (Some(Fault::Truncated), _) => b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf of it".to_vec(),
        (Some(Fault::Oversized), _) => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            let piece = vec![0x30; 64 * 1024];
            while stream.write_all(&piece).await.is_ok() {}
            return;
        }
        (Some(Fault::WrongContent), _) => page_bytes(&[], &crl("ARK-Turin", NOW - DAY, NOW + DAY, 1)),
        (None, None) => status(404, ""),
        (None, Some((headers, body))) => page_bytes(&headers, &body),
    };
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}

fn page_bytes(headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut page = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        page += &format!("{name}: {value}\r\n");
    }
    [page.as_bytes(), b"\r\n", body].concat()
}

/// A clock that a test turns.
#[derive(Clone)]
pub(crate) struct Hands(Arc<AtomicU64>);

impl Hands {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(NOW)))
    }

    pub(crate) fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::SeqCst);
    }

    pub(crate) fn clock(&self) -> Clock {
        let hands = Arc::clone(&self.0);
        Clock::new(move || Timestamp::from_unix(hands.load(Ordering::SeqCst)))
    }
}

/// A store over a service, and the pauses it made without waiting.
pub(crate) struct World {
    pub(crate) service: Service,
    pub(crate) hands: Hands,
    pub(crate) pauses: Arc<Mutex<Vec<Duration>>>,
    pub(crate) folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self {
            service: Service::start().await,
            hands: Hands::new(),
            pauses: Arc::default(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn cache(&self) -> Cache {
        Cache::open(self.folder.path()).unwrap()
    }

    pub(crate) fn vendor(&self) -> Vendor {
        self.vendor_waiting(Duration::from_secs(30))
    }

    /// For services that never answer; any other may take longer than this on a busy machine.
    pub(crate) fn hasty_vendor(&self) -> Vendor {
        self.vendor_waiting(Duration::from_millis(100))
    }

    fn vendor_waiting(&self, answer: Duration) -> Vendor {
        let pauses = Arc::clone(&self.pauses);
        let pacing = Pacing::new(
            || u64::MAX,
            move |pause| {
                pauses.lock().unwrap().push(pause);
                Box::pin(std::future::ready(()))
            },
        );
        let times = Times {
            connect: Duration::from_secs(30),
            answer,
        };
        let at = Some(self.service.address());
        let sources = Sources::new(at, at, at, at, PlainHttp::LoopbackOnly).unwrap();
        let http = Http::new(&[], &self.hands.clock(), times).unwrap();
        Vendor::new(http, sources, pacing, self.hands.clock())
    }

    pub(crate) fn store(&self) -> Store {
        Store::new(self.cache(), self.vendor(), anchors(), self.hands.clock())
    }

    pub(crate) fn hasty_store(&self) -> Store {
        Store::new(self.cache(), self.hasty_vendor(), anchors(), self.hands.clock())
    }

    /// Milan's list, served from now on.
    pub(crate) fn list(&self, from: u64, until: u64, number: u64) -> Vec<u8> {
        let list = crl("ARK-Milan", from, until, number);
        self.service.page(LIST_PATH, list.clone());
        list
    }
}

/// The item of most tests.
pub(crate) const LIST: Item = Item::AmdCrl {
    product: Product::Milan,
};
pub(crate) const LIST_PATH: &str = "/vcek/v1/Milan/crl";

fn params(name: &str, from: u64, until: u64) -> CertificateParams {
    let time = |seconds| date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = time(from);
    params.not_after = time(until);
    params.serial_number = Some(SerialNumber::from(7));
    params
}

fn authority(name: &str, from: u64, until: u64) -> CertificateParams {
    let mut params = params(name, from, until);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap()
}

/// Of all ARKs, and of all authorities below them.
static ARK: LazyLock<KeyPair> = LazyLock::new(key);
static ASK: LazyLock<KeyPair> = LazyLock::new(key);

/// 2020 to 2100.
const YEARS: (u64, u64) = (1_577_836_800, 4_102_444_800);

/// The root of a product line in DER.
pub(crate) fn root(product: Product) -> Vec<u8> {
    let (from, until) = YEARS;
    let params = authority(&format!("ARK-{product}"), from, until);
    params.self_signed(&*ARK).unwrap().der().to_vec()
}

/// Whom tests believe.
pub(crate) fn anchors() -> Anchors {
    let roots = Product::ALL.map(root);
    Anchors::from_certificates(&roots).unwrap()
}

/// A revocation list of that issuer.
pub(crate) fn crl(issuer: &str, from: u64, until: u64, number: u64) -> Vec<u8> {
    let time = |seconds| date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    let list = CertificateRevocationListParams {
        this_update: time(from),
        next_update: time(until),
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let issuer = Issuer::new(authority(issuer, from, until), &*ARK);
    list.signed_by(&issuer).unwrap().der().to_vec()
}

/// The same list of somebody else who takes the issuer's name.
pub(crate) fn forged_crl(issuer: &str, from: u64, until: u64, number: u64) -> Vec<u8> {
    let mut list = crl(issuer, from, until, number);
    // Inside the signature.
    *list.last_mut().unwrap() ^= 1;
    list
}

/// An authority's certificate in DER, valid from the day before [`NOW`].
pub(crate) fn certificate(name: &str, until: u64) -> Vec<u8> {
    certificate_until(name, NOW - DAY, until)
}

/// An authority's certificate in DER.
pub(crate) fn certificate_until(name: &str, from: u64, until: u64) -> Vec<u8> {
    let product = name.rsplit('-').next().unwrap();
    let root = authority(&format!("ARK-{product}"), YEARS.0, YEARS.1);
    let params = authority(name, from, until);
    let issued = params.signed_by(&*ASK, &Issuer::new(root, &*ARK));
    issued.unwrap().der().to_vec()
}

/// A VCEK of that chip and TCB, valid from the day before [`NOW`].
pub(crate) fn vcek(product: Product, chip: &[u8], tcb: &Tcb, until: u64) -> Vec<u8> {
    vcek_at(product, chip, tcb, NOW - DAY, until)
}

/// A VCEK of that chip and TCB.
pub(crate) fn vcek_at(product: Product, chip: &[u8], tcb: &Tcb, from: u64, until: u64) -> Vec<u8> {
    let mut params = params("SEV-VCEK", from, until);
    let integer = |value: u8| {
        if value < 0x80 {
            vec![2, 1, value]
        } else {
            vec![2, 2, 0, value]
        }
    };
    let name = [
        &[0x16, u8::try_from(product.name().len()).unwrap()],
        product.name().as_bytes(),
    ]
    .concat();
    let mut add = |arcs: &[u64], content: Vec<u8>| {
        let oid = [&[1, 3, 6, 1, 4, 1, 3704, 1], arcs].concat();
        params
            .custom_extensions
            .push(CustomExtension::from_oid_content(&oid, content));
    };
    add(&[1], integer(u8::from(product == Product::Turin)));
    add(&[2], name);
    add(&[3, 1], integer(tcb.boot_loader));
    add(&[3, 2], integer(tcb.tee));
    add(&[3, 3], integer(tcb.snp));
    for level in 5..=7 {
        add(&[3, level], integer(0));
    }
    add(&[3, 8], integer(tcb.microcode));
    match tcb.fmc {
        Some(fmc) => add(&[3, 9], integer(fmc)),
        None => add(&[3, 4], integer(0)),
    }
    add(&[4], chip.to_vec());
    let authority = authority(&format!("SEV-{product}"), YEARS.0, YEARS.1);
    let issued = params.signed_by(&key(), &Issuer::new(authority, &*ASK));
    issued.unwrap().der().to_vec()
}

/// A file of real evidence, or `None` after saying loudly that `test` was skipped.
pub(crate) fn evidence(test: &str, path: &str) -> Option<Vec<u8>> {
    let root = std::env::var_os("ANCHORHOLD_TESTDATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        Into::into,
    );
    let found = std::fs::read(root.join("evidence").join(path)).ok();
    if found.is_none() {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED {test}: no evidence/{path} in ../shared or ANCHORHOLD_TESTDATA"
        );
    }
    found
}
