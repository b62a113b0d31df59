//! Windows in stages: how many reports a crowd costs, what overlaps, and what waits.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use anchorhold_attestation::{DeviceEvidence, FixedConfig, ReportData};
use anchorhold_encoding::tree;

use super::*;
use crate::attester::{AttesterError, CpuReport, DeviceReporter, Reporter};

/// A security processor that counts, tells what it signs, and signs when it is let.
struct Processor {
    calls: Arc<AtomicUsize>,
    begun: Sender<ReportData>,
    /// One message lets one report pass; a closed channel lets all.
    gate: Mutex<Receiver<()>>,
}

impl Reporter for Processor {
    fn report(&self, report_data: &ReportData) -> Result<CpuReport, AttesterError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let _ = self.begun.send(*report_data);
        let _ = self.gate.lock().unwrap().recv();
        Ok(report_data.as_bytes().to_vec().into())
    }

    fn fixed_config(&self, config_sha256: &Digest<32>) -> Result<FixedConfig, AttesterError> {
        Ok(FixedConfig::HostData(*config_sha256))
    }
}

/// GPUs that tell the nonce they were asked with.
struct Gpus {
    begun: Sender<Digest<32>>,
    fails: bool,
}

impl DeviceReporter for Gpus {
    fn collect(&self, nonce: &Digest<32>) -> Result<Vec<DeviceEvidence>, AttesterError> {
        let _ = self.begun.send(*nonce);
        if self.fails {
            return Err(AttesterError::NoDevices);
        }
        let device = DeviceEvidence::new("gpu".to_owned(), nonce.as_bytes().to_vec(), vec![vec![1]]);
        Ok(vec![device.unwrap()])
    }
}

/// A service, and the ends by which a test watches and holds its hardware.
struct Bench {
    service: EvidenceService,
    identity: Arc<Identity>,
    calls: Arc<AtomicUsize>,
    signing: Receiver<ReportData>,
    collecting: Receiver<Digest<32>>,
    gate: Option<Sender<()>>,
}

impl Bench {
    fn new(gpus: bool, fails: bool) -> Self {
        let identity = Arc::new(Identity::for_tests());
        let calls = Arc::new(AtomicUsize::new(0));
        let (begun, signing) = channel();
        let (collect, collecting) = channel();
        let (gate, let_through) = channel();
        let processor = Processor {
            calls: Arc::clone(&calls),
            begun,
            gate: Mutex::new(let_through),
        };
        let devices: Option<Box<dyn DeviceReporter>> = gpus.then(|| {
            let gpus: Box<dyn DeviceReporter> = Box::new(Gpus {
                begun: collect,
                fails,
            });
            gpus
        });
        let attester = Attester::of(Platform::InsecureSimulated, Box::new(processor), devices);
        Self {
            service: EvidenceService::start(Arc::new(attester), Arc::clone(&identity)),
            identity,
            calls,
            signing,
            collecting,
            gate: Some(gate),
        }
    }

    fn ask(&self, number: u16) -> tokio::task::JoinHandle<Result<Answer, NoEvidence>> {
        let service = self.service.clone();
        tokio::spawn(async move { service.evidence_for(nonce(number)).await })
    }
}

/// The report data that a client with this nonce derives from its proof, whatever the devices are.
fn derived(answer: &Answer, number: u16, identity: &Identity) -> ([u8; 64], Digest<32>) {
    let evidence = Evidence::from_json(&answer.evidence).unwrap();
    let proof = &answer.proof;
    let leaf = tree::leaf(nonce(number).as_bytes());
    let root = tree::root_from_path(leaf, proof.index, proof.size, &proof.path).unwrap();
    let size = u32::try_from(proof.size).unwrap().to_be_bytes();
    let preimage = |label| {
        anchorhold_encoding::Preimage::new(label)
            .lp(&size)
            .lp(root.as_bytes())
            .lp(identity.digest().as_bytes())
    };
    let devices = DevicesDigest::of(evidence.devices());
    let data = preimage("anchorhold report-data v1")
        .lp(devices.digest().as_bytes())
        .sha512();
    (*data.as_bytes(), preimage("anchorhold gpu-nonce v1").sha256())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_clients_cost_a_few_reports_and_each_proof_holds() {
    let bench = Bench::new(false, false);
    // The first client alone keeps the processor busy until all others have asked.
    let first = bench.ask(0);
    let signing = bench.signing;
    let signing = tokio::task::spawn_blocking(move || {
        signing.recv().unwrap();
        signing
    });
    let _signing = signing.await.unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let asks: Vec<_> = (1..=1000)
        .map(|number| {
            let (service, asked) = (bench.service.clone(), Arc::clone(&asked));
            tokio::spawn(async move {
                asked.fetch_add(1, Ordering::SeqCst);
                (number, service.evidence_for(nonce(number)).await.unwrap())
            })
        })
        .collect();
    while asked.load(Ordering::SeqCst) < asks.len() {
        tokio::task::yield_now().await;
    }
    drop(bench.gate);
    let mut reports = BTreeSet::new();
    for ask in asks {
        let (number, answer) = ask.await.unwrap();
        let evidence = Evidence::from_json(&answer.evidence).unwrap();
        let (data, _) = derived(&answer, number, &bench.identity);
        assert_eq!(evidence.report(), data, "client {number}");
        reports.insert(data.to_vec());
    }
    assert_eq!(first.await.unwrap().unwrap().proof.size, 1);
    let calls = bench.calls.load(Ordering::SeqCst);
    assert_eq!(calls, 1 + reports.len());
    assert!(calls <= 4, "{calls} reports for 1001 clients");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_answer_for_the_next_window_while_the_cpu_signs() {
    let bench = Bench::new(true, false);
    let wait = std::time::Duration::from_secs(30);
    let (mut collecting, mut signing) = (bench.collecting, bench.signing);
    let (mut asks, mut asked) = (Vec::new(), Vec::new());
    // The CPU signs for window one and is held there; the devices answer for the next meanwhile.
    for number in 1..=2 {
        let service = bench.service.clone();
        asks.push(tokio::spawn(
            async move { service.evidence_for(nonce(number)).await },
        ));
        let blocking = tokio::task::spawn_blocking(move || {
            let nonce = collecting.recv_timeout(wait).unwrap();
            if number == 1 {
                signing.recv_timeout(wait).unwrap();
            }
            // The CPU is asked for nothing more.
            assert!(signing.try_recv().is_err());
            (collecting, signing, nonce)
        });
        let nonce;
        (collecting, signing, nonce) = blocking.await.unwrap();
        asked.push(Some(nonce));
    }
    assert!(asks.iter().all(|ask| !ask.is_finished()));
    // A third window waits: the devices' stage is still the second's.
    let service = bench.service.clone();
    asks.push(tokio::spawn(async move { service.evidence_for(nonce(9)).await }));
    time::sleep(limits::DEVICE_BATCH_WINDOW * 2).await;
    assert!(collecting.try_recv().is_err());
    drop(bench.gate);
    asked.push(None);
    for ((ask, nonce), number) in asks.into_iter().zip(asked).zip([1, 2, 9]) {
        let answer = ask.await.unwrap().unwrap();
        let evidence = Evidence::from_json(&answer.evidence).unwrap();
        let (data, gpu_nonce) = derived(&answer, number, &bench.identity);
        assert_eq!(evidence.report(), data);
        assert_eq!(evidence.devices()[0].report(), gpu_nonce.as_bytes());
        assert!(nonce.is_none_or(|nonce| nonce == gpu_nonce));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_devices_evidence_the_cpu_is_not_asked() {
    let bench = Bench::new(true, true);
    assert_eq!(bench.ask(1).await.unwrap().err(), Some(NoEvidence::Unavailable));
    assert_eq!(bench.calls.load(Ordering::SeqCst), 0);
    // The stage is free again.
    assert_eq!(bench.ask(2).await.unwrap().err(), Some(NoEvidence::Unavailable));
    assert_eq!(bench.collecting.try_iter().count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_runtime_goes_on_while_hardware_is_held() {
    let bench = Bench::new(false, false);
    let held = bench.ask(1);
    let signing = bench.signing;
    let blocking = tokio::task::spawn_blocking(move || signing.recv().map(|_| signing).unwrap());
    let _signing = blocking.await.unwrap();
    // More tasks than the runtime has threads make progress.
    let tasks: Vec<_> = (0..8).map(|_| tokio::spawn(tokio::task::yield_now())).collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(!held.is_finished());
    drop(bench.gate);
    assert_eq!(held.await.unwrap().unwrap().proof.size, 1);
}
