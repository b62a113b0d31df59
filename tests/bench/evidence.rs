//! Evidence for a crowd: how long the last of many who ask at once waits, and how many reports that costs.
//!
//! # Invariants
//! The batching under test is the enclave's own; only the hardware is not there: it sleeps for as long as it is told
//! to take. Every client has its own nonce, and its proof is checked after the clock has stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anchorhold_attestation::{DeviceEvidence, Evidence, FixedConfig, Nonce, Platform, ReportData};
use anchorhold_enclave::attester::{Attester, AttesterError, CpuReport, DeviceReporter, Reporter};
use anchorhold_enclave::batch::{Answer, EvidenceService};
use anchorhold_enclave::config::Config;
use anchorhold_enclave::identity::Identity;
use anchorhold_enclave::tls::ServerKey;
use anchorhold_encoding::{Digest, sha256, tree};
use serde_json::json;

use crate::arguments::Arguments;
use crate::figures::{Report, median, rounded};
use crate::{Failure, machine};

const COLUMNS: &[&str] = &[
    "clients",
    "arriving over ms",
    "report ms",
    "devices ms",
    "last served ms",
    "worst ms",
    "longest wait ms",
    "reports",
    "cpu ms",
];

/// A configuration that nothing of is used but what an identity document names.
const CONFIG: &str = r#"
version = "0.1.0"
algorithm = "sha256"
not_after = 1900000000
platform = "insecure-simulated"
dangerously_host_time = true
[broker]
url = "https://127.0.0.1:8443"
tls_spki_sha256 = "1111111111111111111111111111111111111111111111111111111111111111"
release_key = "2222222222222222222222222222222222222222222222222222222222222222"
resource = "default/model/demo"
[model]
name = "demo"
key_id = "demo"
class = "insecure"
path = "/nowhere/model.sealed"
manifest_sha256 = "3333333333333333333333333333333333333333333333333333333333333333"
[listen]
api = "127.0.0.1:0"
"#;

/// A security processor that takes its time. Its report is as large as an SEV-SNP one.
struct Slow {
    time: Duration,
    reports: Arc<AtomicUsize>,
}

impl Reporter for Slow {
    fn report(&self, report_data: &ReportData) -> Result<CpuReport, AttesterError> {
        self.reports.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(self.time);
        let mut report = report_data.as_bytes().to_vec();
        report.resize(1184, 0);
        Ok(report.into())
    }

    fn fixed_config(&self, config_sha256: &Digest<32>) -> Result<FixedConfig, AttesterError> {
        Ok(FixedConfig::HostData(*config_sha256))
    }
}

/// Eight GPUs that take their time together, each with a report and certificates as large as an H100's.
struct SlowGpus {
    time: Duration,
}

impl DeviceReporter for SlowGpus {
    fn collect(&self, nonce: &Digest<32>) -> Result<Vec<DeviceEvidence>, AttesterError> {
        std::thread::sleep(self.time);
        let gpu = |number: u8| {
            let mut report = nonce.as_bytes().to_vec();
            report.resize(4096, number);
            let certificates = (0..5).map(|place| vec![number ^ place; 800]).collect();
            DeviceEvidence::new("nvidia-gpu".to_owned(), report, certificates)
        };
        (0..8)
            .map(|number| gpu(number * 8).map_err(|_| AttesterError::NoDevices))
            .collect()
    }
}

pub(crate) fn run(mut arguments: Arguments) -> Result<Report, Failure> {
    let clients: usize = arguments.value("--clients")?.unwrap_or(1000);
    let over: u64 = arguments.value("--over-ms")?.unwrap_or(50);
    let report_time: u64 = arguments.value("--report-ms")?.unwrap_or(20);
    let device_times = arguments.list::<u64>("--devices-ms", "0")?;
    let rounds: usize = arguments.value("--rounds")?.unwrap_or(25);
    arguments.end()?;
    let mut report = Report::new("evidence", COLUMNS);
    for device_time in device_times {
        let setting = Setting {
            clients,
            over: Duration::from_millis(over),
            report: Duration::from_millis(report_time),
            devices: (device_time > 0).then(|| Duration::from_millis(device_time)),
        };
        let mut seen = Vec::new();
        for _ in 0..rounds {
            seen.push(round(&setting)?);
        }
        let column = |pick: fn(&Seen) -> f64| seen.iter().map(pick).collect::<Vec<_>>();
        let last = column(|seen| seen.last_served);
        report.row(vec![
            json!(clients),
            json!(over),
            json!(report_time),
            json!(device_time),
            rounded(median(&last)),
            rounded(last.iter().copied().fold(f64::NAN, f64::max)),
            rounded(median(&column(|seen| seen.longest_wait))),
            rounded(median(&column(|seen| seen.reports))),
            rounded(median(&column(|seen| seen.cpu))),
        ]);
    }
    report.note(
        "last served: from the moment the last client asks to the moment the last one has its answer, median of \
         rounds; worst: the same, of the worst round; longest wait: of one client, from its asking; cpu: of all \
         threads, the asking ones included; each proof is checked, outside the time",
    );
    Ok(report)
}

/// How a round goes.
struct Setting {
    clients: usize,
    over: Duration,
    report: Duration,
    devices: Option<Duration>,
}

/// What a round took, in milliseconds.
struct Seen {
    last_served: f64,
    longest_wait: f64,
    reports: f64,
    cpu: f64,
}

fn round(setting: &Setting) -> Result<Seen, Failure> {
    let runtime = tokio::runtime::Runtime::new()?;
    let tls = ServerKey::generate()?;
    let config = Config::parse(CONFIG.as_bytes())?;
    let reports = Arc::new(AtomicUsize::new(0));
    let slow = Slow {
        time: setting.report,
        reports: Arc::clone(&reports),
    };
    let devices = setting.devices.map(|time| {
        let gpus: Box<dyn DeviceReporter> = Box::new(SlowGpus { time });
        gpus
    });
    let attester = Attester::of(Platform::InsecureSimulated, Box::new(slow), devices);
    let confirmed = attester.confirm(CONFIG.as_bytes())?;
    let identity = Arc::new(Identity::create(&config, &confirmed, &tls)?);
    runtime.block_on(async {
        let service = EvidenceService::start(Arc::new(attester), identity);
        let busy = machine::on_cpu();
        let begin = Instant::now();
        let asks: Vec<_> = (0..setting.clients)
            .map(|number| {
                let service = service.clone();
                let nonce = sha256(&[&number.to_be_bytes()]);
                let wait = setting.over.mul_f64(number as f64 / setting.clients as f64);
                tokio::spawn(async move {
                    tokio::time::sleep_until((begin + wait).into()).await;
                    let asked = Instant::now();
                    let answer = service.evidence_for(Nonce::from_random(*nonce.as_bytes())).await;
                    (nonce, asked, answer, Instant::now())
                })
            })
            .collect();
        let mut answers = Vec::new();
        for ask in asks {
            let (nonce, asked, answer, answered) = ask.await?;
            answers.push((nonce, asked, answer?, answered));
        }
        let cpu = machine::on_cpu().zip(busy).map(|(end, begin)| end - begin);
        if !answers.iter().all(|(nonce, _, answer, _)| proven(nonce, answer)) {
            return Err("a proof does not hold".into());
        }
        let last_asked = answers.iter().map(|(_, asked, ..)| *asked).max();
        let last_answered = answers.iter().map(|(.., answered)| *answered).max();
        let (asked, answered) = last_asked.zip(last_answered).ok_or("nobody asked")?;
        let longest = answers
            .iter()
            .map(|(_, asked, _, answered)| *answered - *asked)
            .max();
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        Ok(Seen {
            last_served: milliseconds(answered - asked),
            longest_wait: milliseconds(longest.unwrap_or_default()),
            reports: reports.load(Ordering::SeqCst) as f64,
            cpu: cpu.map_or(f64::NAN, milliseconds),
        })
    })
}

/// That the answer is evidence, and the nonce a leaf of the tree the proof speaks of.
fn proven(nonce: &Digest<32>, answer: &Answer) -> bool {
    let proof = &answer.proof;
    let leaf = tree::leaf(nonce.as_bytes());
    let root = tree::root_from_path(leaf, proof.index, proof.size, &proof.path);
    root.is_some() && Evidence::from_json(&answer.evidence).is_ok()
}
