//! GPUs that a library stands in for, with the evidence of a real one.

use std::sync::Mutex;

use anchorhold_attestation::nvidia;
use anchorhold_attestation::policy::nvidia::NvidiaSection;
use anchorhold_attestation::{Anchors, Endorsement, EndorsementKind, Endorsements};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::appraisal::{admit, answered};
use super::watch::watch;
use super::*;
use crate::attester::nvml::{Library, Mode};
use crate::lifecycle::{Cause, Lifecycle};
use crate::limits;

/// 2024-06-01, when the certificates of the recorded RIMs were valid.
const THEN: Timestamp = Timestamp::from_unix(1_717_200_000);

/// For a driver of 2023, which reports little, and no answers about revocation were recorded with it.
const OLD: &str = "gpus = 1\narchitectures = [\"hopper\"]\nminimum_driver = \"535.00\"\n\
    minimum_firmware = [\"96.00.00.00.00\"]\ndangerously_accept_unchecked_revocation = true\n\
    dangerously_accept_unchecked_rim_revocation = true\n\
    dangerously_accept_unreported = [\"firmware-id\", \"feature-flag\", \"protected-pcie\"]\n";

/// What the library says, and was told.
#[derive(Clone)]
struct State {
    mode: Mode,
    uuids: Vec<[u8; 16]>,
    report: Vec<u8>,
    chain: Vec<u8>,
    session: Vec<u8>,
    ready: bool,
    /// Fails from now on.
    fault: Option<Fault>,
    /// Says that GPUs are not ready although they were set so.
    deaf: bool,
    /// Changes the state after evidence was given.
    after_report: Option<fn(&mut State)>,
    told: Vec<bool>,
}

struct Fake(Mutex<State>);

impl Fake {
    fn ask<T>(&self, answer: impl FnOnce(&mut State) -> T) -> Result<T, Fault> {
        let mut state = self.0.lock().unwrap();
        match state.fault {
            Some(fault) => Err(fault),
            None => Ok(answer(&mut state)),
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap());
    }
}

impl Library for Fake {
    fn confidential(&self) -> Result<bool, Fault> {
        self.ask(|state| state.mode.confidential && !state.mode.developer_tools)
    }

    fn count(&self) -> Result<u32, Fault> {
        self.ask(|state| u32::try_from(state.uuids.len()).unwrap())
    }

    fn report(&self, _gpu: u32, _nonce: &[u8; 32]) -> Result<Vec<u8>, Fault> {
        self.ask(|state| {
            let report = state.report.clone();
            if let Some(change) = state.after_report {
                change(state);
            }
            report
        })
    }

    fn certificates(&self, _gpu: u32) -> Result<Vec<u8>, Fault> {
        self.ask(|state| state.chain.clone())
    }
}

impl Gate for Fake {
    fn mode(&self) -> Result<Mode, Fault> {
        self.ask(|state| state.mode)
    }

    fn uuid(&self, gpu: u32) -> Result<[u8; 16], Fault> {
        self.ask(|state| state.uuids[gpu as usize])
    }

    fn session_certificate(&self, gpu: u32) -> Result<Vec<u8>, Fault> {
        // The second GPU's is another.
        self.ask(|state| if gpu == 0 { state.session.clone() } else { vec![9] })
    }

    fn is_ready(&self) -> Result<bool, Fault> {
        self.ask(|state| state.ready && !state.deaf)
    }

    fn set_ready(&self, ready: bool) -> Result<(), Fault> {
        self.ask(|state| {
            state.told.push(ready);
            state.ready = ready;
        })
    }
}

/// A real GPU's evidence, the nonce that it answers, and what NVIDIA signed about it.
struct Scene {
    state: State,
    nonce: Digest<32>,
    endorsements: Endorsements,
}

#[allow(clippy::disallowed_methods)] // a test finds its files, and says that it has none
fn scene(test: &str) -> Option<Scene> {
    use std::io::Write as _;
    let root = std::env::var_os("ANCHORHOLD_TESTDATA").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        Into::into,
    );
    let folder = root.join("evidence/nvidia/h100-545-gonvtrust");
    let file = |name: &str| std::fs::read(folder.join(name)).ok();
    let Some(report) = file("report.hex") else {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED {test}: no evidence/nvidia in ../shared or ANCHORHOLD_TESTDATA"
        );
        return None;
    };
    let report = String::from_utf8(report).unwrap();
    let report: Vec<u8> = (0..report.trim().len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&report[at..at + 2], 16).unwrap())
        .collect();
    let chain = file("cert_chain.pem").unwrap();
    let leaf = CertificateDer::pem_slice_iter(&chain).next().unwrap().unwrap();
    let rim = |name| Endorsement::new(EndorsementKind::NvidiaRim, file(name).unwrap()).unwrap();
    Some(Scene {
        nonce: Digest::from_slice(&report[4..36]).unwrap(),
        endorsements: Endorsements::new(vec![rim("driver_rim.xml"), rim("vbios_rim.xml")]).unwrap(),
        state: State {
            mode: Mode {
                confidential: true,
                developer_tools: false,
            },
            uuids: vec![[3; 16]],
            report,
            session: leaf.to_vec(),
            chain,
            // As whoever was here before left it.
            ready: true,
            fault: None,
            deaf: false,
            after_report: None,
            told: Vec::new(),
        },
    })
}

fn config(text: &str) -> DevicesConfig {
    let section: NvidiaSection = toml::from_str(text).unwrap();
    DevicesConfig {
        policy: NvidiaPolicy::new(section).unwrap(),
        precision: DevicePrecision::Bf16,
        endorsements: PathBuf::new(),
    }
}

impl Scene {
    fn machine(&self, change: impl FnOnce(&mut State)) -> Arc<Fake> {
        let mut state = self.state.clone();
        change(&mut state);
        Arc::new(Fake(Mutex::new(state)))
    }

    fn admitted(&self, library: &Arc<Fake>, text: &str) -> Result<ReadyDevices, DevicesError> {
        answered(
            Arc::clone(library) as Arc<dyn Gate>,
            &config(text),
            &self.endorsements,
            &Anchors::compiled(),
            THEN,
            self.nonce,
        )
    }

    fn refused(&self, text: &str, change: impl FnOnce(&mut State)) -> DevicesError {
        let library = self.machine(change);
        let refused = self.admitted(&library, text).unwrap_err();
        assert!(!refused.hint().is_empty());
        let state = library.0.lock().unwrap();
        assert!(
            !state.ready || state.fault.is_some(),
            "{refused:?} leaves them not ready"
        );
        assert!(
            !state.told.contains(&true) || refused == DevicesError::NotReady,
            "{refused:?}: never ready"
        );
        refused
    }
}

#[test]
fn a_real_gpu_is_set_ready_only_once_it_was_appraised() {
    const NAME: &str = "devices::a_real_gpu_is_set_ready_only_once_it_was_appraised";
    let Some(scene) = scene(NAME) else {
        return;
    };
    let library = scene.machine(|_| {});
    let ready = scene.admitted(&library, OLD).unwrap();
    assert_eq!(library.0.lock().unwrap().told, [false, true]);
    assert_eq!((ready.count(), ready.uuid()), (1, [3; 16]));
    assert!(ready.holds() && THEN < ready.valid_until());
    assert_eq!(ready.compare(), Ok(()));
    ready.revoke();
    assert!(!ready.holds());
    assert!(
        library.0.lock().unwrap().ready,
        "until what lies there was overwritten"
    );
    drop(ready);
    assert_eq!(library.0.lock().unwrap().told, [false, true, false]);
}

#[test]
fn each_thing_that_is_not_as_configured_is_refused_by_its_reason() {
    const NAME: &str = "devices::each_thing_that_is_not_as_configured_is_refused_by_its_reason";
    let Some(scene) = scene(NAME) else {
        return;
    };
    let refused = |change: fn(&mut State)| scene.refused(OLD, change);
    assert_eq!(
        refused(|state| state.mode.confidential = false),
        DevicesError::NotConfidential
    );
    assert_eq!(
        refused(|state| state.mode.developer_tools = true),
        DevicesError::DeveloperTools
    );
    assert_eq!(refused(|state| state.uuids.clear()), DevicesError::Count);
    assert_eq!(refused(|state| state.uuids.push([4; 16])), DevicesError::Count);
    assert_eq!(
        refused(|state| state.uuids = vec![[4; 16]; 17]),
        DevicesError::Count
    );
    assert_eq!(
        refused(|state| state.session[50] ^= 1),
        DevicesError::Session,
        "the driver speaks with another GPU than the one whose evidence came"
    );
    assert_eq!(
        refused(|state| state.report[60] ^= 1),
        DevicesError::Evidence("nvidia-report-signature")
    );
    assert_eq!(
        refused(|state| state.report[20] ^= 1),
        DevicesError::Library(Fault::Stale),
        "the answer to another question"
    );
    assert_eq!(refused(|state| state.deaf = true), DevicesError::NotReady);
    assert_eq!(
        refused(|state| state.fault = Some(Fault::Forbidden)),
        DevicesError::Library(Fault::Forbidden)
    );
    // Another GPU in its place between its evidence and its use.
    assert_eq!(
        refused(|state| state.after_report = Some(|state| state.uuids[0][0] ^= 1)),
        DevicesError::Changed
    );
    assert_eq!(
        refused(|state| state.after_report = Some(|state| state.session[50] ^= 1)),
        DevicesError::Changed
    );
    // Two that are one.
    let two = OLD.replace("gpus = 1", "gpus = 2");
    assert_eq!(
        scene.refused(&two, |state| state.uuids = vec![[4; 16]; 2]),
        DevicesError::Repeated
    );
    // The second has another session, and the first's evidence.
    assert_eq!(
        scene.refused(&two, |state| state.uuids.push([4; 16])),
        DevicesError::Session
    );
    // What the reference values do not allow.
    let rule = |text: &str| scene.refused(text, |_| {});
    let newer = OLD.replace("535.00", "550.90");
    assert_eq!(rule(&newer), DevicesError::Denied("nvidia-driver"));
    let strict = OLD.replace("dangerously_accept_unchecked_revocation = true\n", "");
    assert_eq!(rule(&strict), DevicesError::Denied("nvidia-revocation"));
    let blackwell = OLD.replace("hopper", "blackwell");
    assert_eq!(rule(&blackwell), DevicesError::Denied("nvidia-architecture"));
    let bare = Scene {
        endorsements: Endorsements::new(Vec::new()).unwrap(),
        ..scene
    };
    assert_eq!(bare.refused(OLD, |_| {}), DevicesError::Denied("nvidia-rims"));
}

#[test]
fn a_recorded_answer_is_stale_to_whoever_draws_a_nonce() {
    const NAME: &str = "devices::a_recorded_answer_is_stale_to_whoever_draws_a_nonce";
    let Some(scene) = scene(NAME) else {
        return;
    };
    let library = scene.machine(|_| {}) as Arc<dyn Gate>;
    let refused = admit(
        library,
        &config(OLD),
        &scene.endorsements,
        &Anchors::compiled(),
        THEN,
    );
    assert_eq!(refused.unwrap_err(), DevicesError::Library(Fault::Stale));
    assert_eq!(nvidia::GPU, crate::attester::nvml::KIND);
}

#[tokio::test(start_paused = true)]
async fn any_change_while_it_serves_ends_the_proof_and_drains() {
    const NAME: &str = "devices::any_change_while_it_serves_ends_the_proof_and_drains";
    let Some(scene) = scene(NAME) else {
        return;
    };
    type Change = fn(&mut State);
    let changes: [(Change, &str); 8] = [
        // Reset: another session, and not ready.
        (|state| state.session[50] ^= 1, "devices_changed"),
        (|state| state.ready = false, "devices_not_ready"),
        // Pulled out, another one put in, one more.
        (|state| state.uuids.clear(), "devices_changed"),
        (|state| state.uuids[0][0] ^= 1, "devices_changed"),
        (|state| state.uuids.push([4; 16]), "devices_changed"),
        (|state| state.fault = Some(Fault::Refused), "nvml_failed"),
        (
            |state| state.mode.developer_tools = true,
            "devices_developer_tools",
        ),
        (
            |state| state.mode.confidential = false,
            "devices_not_confidential",
        ),
    ];
    for (change, code) in changes {
        let library = scene.machine(|_| {});
        let ready = Arc::new(scene.admitted(&library, OLD).unwrap());
        let life = Lifecycle::new();
        let watching = tokio::spawn(watch(Arc::clone(&ready), life.clone()));
        tokio::time::sleep(limits::DEVICE_PAUSE * 5).await;
        assert!(ready.holds() && life.cause().is_none(), "nothing changed yet");
        library.change(change);
        assert_eq!(ready.compare().unwrap_err().code(), code);
        assert_eq!(life.draining().await, Cause::DevicesChanged, "{code}");
        watching.await.unwrap();
        assert!(!ready.holds(), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_library_is_asked_again_and_not_for_ever() {
    const NAME: &str = "devices::a_busy_library_is_asked_again_and_not_for_ever";
    let Some(scene) = scene(NAME) else {
        return;
    };
    let library = scene.machine(|_| {});
    let ready = Arc::new(scene.admitted(&library, OLD).unwrap());
    let life = Lifecycle::new();
    let watching = tokio::spawn(watch(Arc::clone(&ready), life.clone()));
    let half = limits::DEVICE_PAUSE / 2;
    tokio::time::sleep(limits::DEVICE_PAUSE + half).await;
    library.change(|state| state.fault = Some(Fault::Busy));
    tokio::time::sleep(limits::DEVICE_PAUSE * 2).await;
    assert!(ready.holds());
    library.change(|state| state.fault = None);
    tokio::time::sleep(limits::DEVICE_PAUSE * 2).await;
    library.change(|state| state.fault = Some(Fault::Busy));
    assert_eq!(life.draining().await, Cause::DevicesChanged);
    watching.await.unwrap();
    assert!(!ready.holds());
    // One that drains for another reason is not watched any longer.
    library.change(|state| state.fault = None);
    let ready = Arc::new(scene.admitted(&library, OLD).unwrap());
    let life = Lifecycle::new();
    let watching = tokio::spawn(watch(Arc::clone(&ready), life.clone()));
    life.drain(Cause::Signal);
    watching.await.unwrap();
    assert!(ready.holds());
}

#[test]
fn every_refusal_has_a_code_and_a_hint() {
    let all = [
        DevicesError::NotCompiled,
        DevicesError::Library(Fault::Missing),
        DevicesError::NotConfidential,
        DevicesError::DeveloperTools,
        DevicesError::Count,
        DevicesError::Repeated,
        DevicesError::Session,
        DevicesError::Endorsements,
        DevicesError::Evidence("nvidia-nonce"),
        DevicesError::Denied("nvidia-driver"),
        DevicesError::Changed,
        DevicesError::NotReady,
        DevicesError::NotShown,
        DevicesError::Random,
    ];
    let codes: std::collections::BTreeSet<_> = all.iter().map(DevicesError::code).collect();
    assert_eq!(codes.len(), all.len());
    assert!(
        all.iter()
            .all(|error| !error.hint().is_empty() && !error.to_string().is_empty())
    );
}
