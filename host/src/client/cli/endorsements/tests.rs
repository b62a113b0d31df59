//! Whole command lines against a service that plays AMD's: fetch, bundle, show, with the service and without.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anchorhold_attestation::snp::{Product, Report};
use tokio::runtime::Runtime;

use super::*;
use crate::endorsements::fake::{
    DAY, Fault, LIST_PATH, Service, World, certificate_until, crl, evidence, root, vcek_at,
};
use crate::endorsements::kds;
use crate::output::Format;

/// What the process would exit with.
fn status(words: &[&str]) -> String {
    let words = ["anchorhold", "client", "endorsements"].iter().chain(words);
    let code = crate::cli::run(words.map(OsString::from));
    format!("{code:?}")
}

fn exit(exit: Exit) -> String {
    format!("{:?}", exit.code())
}

/// A Milan report of version 3 that nobody signed.
fn report() -> Vec<u8> {
    let mut report = vec![0; 1184];
    report[0] = 3;
    // Bit 17 of a guest policy is always one.
    report[10] = 2;
    report[0x34] = 1;
    report[0x188..0x18b].copy_from_slice(&[0x19, 1, 1]);
    report[0x1a0..0x1e0].fill(7);
    report[0x180] = 4;
    report
}

struct Desk {
    runtime: Runtime,
    service: Service,
    folder: tempfile::TempDir,
    now: u64,
}

impl Desk {
    /// A service with all three items of [`report`], of which the list ends after so many seconds from now.
    fn new(list_ends: u64) -> Self {
        let runtime = Runtime::new().unwrap();
        let service = runtime.block_on(Service::start());
        let folder = tempfile::tempdir().unwrap();
        let now = Clock::system().now().unix();
        let read = Report::parse(&report()).unwrap();
        let product = read.product().unwrap();
        assert_eq!(product, Product::Milan);
        let tcb = read.reported_tcb;
        let path = kds::vcek_path(product, &read.chip_id, &tcb);
        service.page(
            &path,
            vcek_at(product, &read.chip_id, &tcb, now - DAY, now + 900 * DAY),
        );
        let chain =
            ["SEV-Milan", "ARK-Milan"].map(|name| certificate_until(name, now - DAY, now + 900 * DAY));
        service.page("/vcek/v1/Milan/cert_chain", pem::write(&chain).into_bytes());
        service.page(LIST_PATH, crl("ARK-Milan", now - DAY, now + list_ends, 3));
        fs::write(folder.path().join("report.bin"), report()).unwrap();
        fs::create_dir(folder.path().join("anchors")).unwrap();
        fs::write(folder.path().join("anchors/ark.der"), root(product)).unwrap();
        Self {
            runtime,
            service,
            folder,
            now,
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn fetch(&self, more: &[&str]) -> String {
        let (report, cache, anchors) = (self.path("report.bin"), self.path("cache"), self.path("anchors"));
        let mut words = vec![
            "fetch",
            "--report",
            &report,
            "--platform",
            "snp",
            "--cache",
            &cache,
        ];
        words.extend(["--kds-url", self.service.address(), "--anchors", &anchors]);
        words.extend(more);
        status(&words)
    }
}

#[test]
fn what_was_fetched_is_bundled_shown_and_still_there_when_the_service_is_not() {
    let desk = Desk::new(30 * DAY);
    let (cache, out) = (desk.path("cache"), desk.path("machine.endorsements"));
    assert_eq!(status(&["bundle", &out, "--cache", &cache]), exit(Exit::Error));
    assert!(!Path::new(&out).exists(), "nothing is no bundle");
    assert_eq!(desk.fetch(&[]), exit(Exit::Yes));
    assert_eq!(desk.service.requests().len(), 3);
    // Kept ones are not asked for again, unless somebody says so.
    assert_eq!(desk.fetch(&[]), exit(Exit::Yes));
    assert_eq!(desk.service.requests().len(), 3);
    desk.service.always(Some(Fault::Status(404)));
    assert_eq!(desk.fetch(&["--anew"]), exit(Exit::Yes));
    assert_eq!(desk.service.requests().len(), 6);

    assert_eq!(status(&["bundle", &out, "--cache", &cache]), exit(Exit::Yes));
    let bundle = Endorsements::from_bundle(&fs::read(&out).unwrap()).unwrap();
    let kinds: Vec<_> = bundle.items().iter().map(|item| item.kind().name()).collect();
    assert_eq!(kinds, ["amd-authority", "amd-crl", "amd-vek"]);
    assert_eq!(status(&["show", &out, "--json"]), exit(Exit::Yes));
    assert_eq!(status(&["show", &cache]), exit(Exit::Yes));

    let vlek = desk.path("vlek.der");
    let named = format!("amd-vek={vlek}");
    fs::write(&vlek, desk.now.to_be_bytes()).unwrap();
    // A file that cannot be read as its kind is left out, and the rest is written.
    let words = ["bundle", &out, "--cache", &cache, "--with", &named];
    assert_eq!(status(&words), exit(Exit::Yes));
    assert_eq!(
        Endorsements::from_bundle(&fs::read(&out).unwrap())
            .unwrap()
            .items()
            .len(),
        3
    );
    let ask = bundle.of(EndorsementKind::AmdAuthority).next().unwrap();
    fs::write(&vlek, ask).unwrap();
    let named = format!("provider-authority={vlek}");
    assert_eq!(
        status(&["bundle", &out, "--cache", &cache, "--with", &named]),
        exit(Exit::Yes)
    );
    assert_eq!(
        Endorsements::from_bundle(&fs::read(&out).unwrap())
            .unwrap()
            .items()
            .len(),
        4
    );

    // Something else wrote there.
    let file = fs::read_dir(desk.folder.path().join("cache/amd-crl"))
        .unwrap()
        .next()
        .unwrap();
    fs::write(file.unwrap().path(), b"{}").unwrap();
    assert_eq!(status(&["show", &cache]), exit(Exit::Error));
    assert_eq!(desk.fetch(&[]), exit(Exit::Error));
    desk.service.always(None);
    assert_eq!(desk.fetch(&[]), exit(Exit::Yes));
    assert_eq!(status(&["show", &cache]), exit(Exit::Yes));
    drop(desk.runtime);
}

#[test]
fn what_is_missing_or_not_valid_is_said_by_the_status() {
    let desk = Desk::new(30 * DAY);
    desk.service.page("/vcek/v1/Milan/cert_chain", b"<html>".to_vec());
    assert_eq!(desk.fetch(&[]), exit(Exit::Error));
    let (cache, out) = (desk.path("cache"), desk.path("bundle"));
    assert_eq!(status(&["bundle", &out, "--cache", &cache]), exit(Exit::Yes));
    // The list alone: without its authority nobody can tell whose the chip's certificate is.
    assert_eq!(
        Endorsements::from_bundle(&fs::read(&out).unwrap())
            .unwrap()
            .items()
            .len(),
        1
    );

    let ended = crl("ARK-Milan", desk.now - 2 * DAY, desk.now - DAY, 1);
    let old = Endorsement::new(EndorsementKind::AmdCrl, ended).unwrap();
    let old = Endorsements::new(vec![old]).unwrap().to_bundle();
    fs::write(&out, old).unwrap();
    assert_eq!(status(&["show", &out]), exit(Exit::Error));
    fs::write(&out, b"{}").unwrap();
    assert_eq!(status(&["show", &out]), exit(Exit::Error));
    drop(desk.runtime);
}

#[test]
fn wrong_usage_is_told_before_anything_is_asked() {
    let desk = Desk::new(DAY);
    let usage = exit(Exit::Usage);
    let (report, cache) = (desk.path("report.bin"), desk.path("cache"));
    for words in [
        vec!["fetch", "--cache", &cache],
        vec!["fetch", "--report", &report, "--cache", &cache],
        vec![
            "fetch",
            "--for",
            &report,
            "--report",
            &report,
            "--platform",
            "snp",
        ],
        vec!["bundle", &report, "--with", "amd-secret=x"],
        vec!["bundle", &report, "--with", "amd-vek"],
        vec!["show"],
    ] {
        assert_eq!(status(&words), usage, "{words:?}");
    }
    for url in ["http://mirror.example", "mirror.example", "https://a/?b"] {
        assert_eq!(desk.fetch(&["--pcs-url", url]), usage, "{url}");
    }
    let plain = desk.fetch(&["--pcs-url", "http://mirror.example", "--dangerously-plain-http"]);
    assert_eq!(plain, exit(Exit::Yes));
    for (platform, file) in [("tdx", &report), ("nvidia", &report)] {
        let words = [
            "fetch",
            "--report",
            file,
            "--platform",
            platform,
            "--cache",
            &cache,
        ];
        assert_eq!(status(&words), exit(Exit::Error), "{platform}");
    }
    assert_eq!(
        status(&["fetch", "--for", &report, "--cache", &cache]),
        exit(Exit::Error)
    );
    drop(desk.runtime);
}

#[tokio::test]
async fn whether_a_manifests_signers_stand_is_asked_once_the_manifest_is_there() {
    const NAME: &str = "whether_a_manifests_signers_stand_is_asked_once_the_manifest_is_there";
    use base64::Engine as _;
    let Some(rim) = evidence(NAME, "nvidia/rims/driver_550.144.03.xml") else {
        return;
    };
    let questions = Wanted::by_rim(&rim).unwrap();
    assert_eq!(questions.items.len(), 3);
    let of_ocsp = |item: &Item| item.kind() == EndorsementKind::NvidiaOcsp;
    assert!(questions.items.iter().all(of_ocsp) && !questions.vlek);
    // Two manifests of one signer ask no more than one does.
    let mut twice = questions.clone();
    twice.join(Wanted::by_rim(&rim).unwrap());
    assert_eq!(twice, questions);
    assert!(Wanted::by_rim(b"<no-rim/>").is_err());

    let world = World::new().await;
    let said = Endorsement::new(EndorsementKind::NvidiaRim, rim.clone())
        .unwrap()
        .said()
        .unwrap();
    world.hands.set(said.until.unix());
    let id = "NV_GPU_DRIVER_GH100_550.144.03";
    let body = base64::engine::general_purpose::STANDARD.encode(&rim);
    let page = serde_json::json!({"id": id, "rim": body}).to_string();
    world.service.page(&format!("/v1/rim/{id}"), page.into_bytes());
    let mut wanted = Wanted::default();
    wanted.items.push(Item::NvidiaRim { id: id.to_owned() });
    let output = Output::new(Format::Text);
    let store = Store::new(
        world.cache(),
        world.vendor(),
        anchorhold_attestation::Anchors::compiled(),
        world.hands.clock(),
    );
    let fetched = fetch(wanted, &store, false, &world.hands.clock(), &output).await;
    // The responder has no answer here, and that is no success.
    assert_eq!(exit(fetched.unwrap()), exit(Exit::Error));
    assert_eq!(
        world.service.requests(),
        [
            "GET /v1/rim/NV_GPU_DRIVER_GH100_550.144.03",
            "POST /",
            "POST /",
            "POST /"
        ]
    );
}
