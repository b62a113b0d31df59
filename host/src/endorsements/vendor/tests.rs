//! Each vendor's questions and answers, and patience.

use std::time::Duration;

use anchorhold_attestation::snp::Product;
use anchorhold_attestation::tdx::PckAuthority;
use anchorhold_attestation::{EndorsementKind, Evidence, EvidencePart, Platform, Timestamp};
use serde_json::Value;

use super::*;
use crate::endorsements::fake::{DAY, Fault, LIST, LIST_PATH, NOW, World, certificate, crl, evidence, vcek};
use crate::endorsements::item::{AmdSigner, Update};
use crate::endorsements::pem;
use crate::endorsements::wanted::{Choices, Wanted, WantedError};

const TCB: anchorhold_attestation::snp::Tcb = anchorhold_attestation::snp::Tcb {
    fmc: None,
    boot_loader: 4,
    tee: 0,
    snp: 24,
    microcode: 219,
};

const CHOICES: Choices = Choices {
    product: None,
    update: Update::Standard,
};

fn chip(product: Product) -> ([u8; 64], usize) {
    let mut id = [0; 64];
    let length = if product == Product::Turin { 8 } else { 64 };
    for (index, byte) in id.iter_mut().take(length).enumerate() {
        *byte = u8::try_from(index + 1).unwrap();
    }
    (id, length)
}

#[tokio::test]
async fn a_vcek_is_asked_for_by_chip_and_tcb() {
    let world = World::new().await;
    for (product, fmc, path) in [
        (Product::Milan, None, "?blSPL=04&teeSPL=00&snpSPL=24&ucodeSPL=219"),
        (
            Product::Turin,
            Some(1),
            "/vcek/v1/Turin/0102030405060708?blSPL=04&teeSPL=00&snpSPL=24&ucodeSPL=219&fmcSPL=01",
        ),
    ] {
        let (hardware_id, length) = chip(product);
        let tcb = anchorhold_attestation::snp::Tcb { fmc, ..TCB };
        let item = Item::AmdVcek {
            product,
            hardware_id,
            tcb,
        };
        let asked = kds::vcek_path(product, &hardware_id, &tcb);
        assert!(asked.ends_with(path), "{asked}");
        assert_eq!(
            asked.len() - asked.find('?').unwrap(),
            path.len() - path.find('?').unwrap()
        );
        world
            .service
            .page(&asked, vcek(product, &hardware_id[..length], &tcb, NOW + DAY));
        assert!(world.vendor().fetch(&item).await.is_ok());
        // Another chip's, and another TCB's.
        let mut other = hardware_id;
        other[0] ^= 1;
        world
            .service
            .page(&asked, vcek(product, &other[..length], &tcb, NOW + DAY));
        assert_eq!(world.vendor().fetch(&item).await, Err(FetchError::NotAsked));
        let older = anchorhold_attestation::snp::Tcb { snp: 23, ..tcb };
        world
            .service
            .page(&asked, vcek(product, &hardware_id[..length], &older, NOW + DAY));
        assert_eq!(world.vendor().fetch(&item).await, Err(FetchError::NotAsked));
        world
            .service
            .page(&asked, vcek(product, &hardware_id[..length], &tcb, NOW - 1));
        assert!(matches!(
            world.vendor().fetch(&item).await,
            Err(FetchError::NotValid { .. })
        ));
    }
    let masked = Item::AmdVcek {
        product: Product::Milan,
        hardware_id: [0; 64],
        tcb: TCB,
    };
    let before = world.service.requests().len();
    assert_eq!(world.vendor().fetch(&masked).await, Err(FetchError::NotServed));
    assert_eq!(world.service.requests().len(), before);
}

#[tokio::test]
async fn an_authority_is_the_first_of_amds_two_certificates() {
    let world = World::new().await;
    let (ask, ark) = (
        certificate("SEV-Genoa", NOW + DAY),
        certificate("ARK-Genoa", NOW + DAY),
    );
    let (asvk, path) = (
        certificate("SEV-VLEK-Genoa", NOW + DAY),
        "/vcek/v1/Genoa/cert_chain",
    );
    let item = |signer| Item::AmdAuthority {
        product: Product::Genoa,
        signer,
    };
    world
        .service
        .page(path, pem::write(&[ask.clone(), ark.clone()]).into_bytes());
    let found = world.vendor().fetch(&item(AmdSigner::Vcek)).await.unwrap();
    assert_eq!(
        (found.kind(), found.body()),
        (EndorsementKind::AmdAuthority, &ask[..])
    );
    let vlek = pem::write(&[asvk.clone(), ark.clone()]).into_bytes();
    world.service.page("/vlek/v1/Genoa/cert_chain", vlek.clone());
    let found = world.vendor().fetch(&item(AmdSigner::Vlek)).await.unwrap();
    assert_eq!(found.body(), asvk);
    for wrong in [vlek, pem::write(&[ark, ask.clone()]).into_bytes()] {
        world.service.page(path, wrong);
        let refused = world.vendor().fetch(&item(AmdSigner::Vcek)).await;
        assert_eq!(refused, Err(FetchError::NotAsked));
    }
    for wrong in [
        pem::write(std::slice::from_ref(&ask)).into_bytes(),
        ask,
        Vec::new(),
    ] {
        world.service.page(path, wrong);
        let refused = world.vendor().fetch(&item(AmdSigner::Vcek)).await;
        assert_eq!(refused, Err(FetchError::Malformed));
    }
}

#[tokio::test]
async fn what_may_pass_is_asked_again_and_what_will_not_is_not() {
    let world = World::new().await;
    world.list(NOW - DAY, NOW + DAY, 1);
    let pauses = || {
        let mut pauses = world.pauses.lock().unwrap();
        pauses
            .drain(..)
            .map(|pause| pause.as_millis())
            .collect::<Vec<_>>()
    };
    for (faults, slept) in [
        (vec![Fault::Status(500)], vec![500]),
        (
            vec![Fault::Status(503), Fault::Status(502), Fault::Status(504)],
            vec![500, 1000, 2000],
        ),
        (vec![Fault::TooMany(3), Fault::TooMany(0)], vec![3500, 1000]),
        (
            vec![Fault::Closes, Fault::Truncated, Fault::Closes],
            vec![500, 1000, 2000],
        ),
    ] {
        world.service.once(&faults);
        assert!(world.vendor().fetch(&LIST).await.is_ok(), "{faults:?}");
        assert_eq!(pauses(), slept, "{faults:?}");
    }
    for (fault, error) in [
        (Fault::Status(404), FetchError::NotFound),
        (Fault::Status(302), FetchError::Refused(302)),
        (Fault::Status(401), FetchError::Refused(401)),
        (
            Fault::Oversized,
            FetchError::TooLarge {
                limit: EndorsementKind::AmdCrl.limit(),
            },
        ),
        (Fault::WrongContent, FetchError::NotAsked),
        (
            Fault::TooMany(600),
            FetchError::TooMany {
                retry_after: Some(Duration::from_secs(600)),
            },
        ),
    ] {
        world.service.once(&[fault]);
        assert_eq!(world.vendor().fetch(&LIST).await, Err(error), "{fault:?}");
        assert!(pauses().is_empty(), "{fault:?}");
    }
    world.service.always(Some(Fault::Hang));
    assert_eq!(world.hasty_vendor().fetch(&LIST).await, Err(FetchError::TimedOut));
    assert_eq!(pauses(), [500, 1000, 2000]);
    world.service.always(None);
    for page in [
        b"".to_vec(),
        b"<html>".to_vec(),
        crl("ARK-Milan", NOW, NOW + DAY, 1)[1..].to_vec(),
    ] {
        world.service.page(LIST_PATH, page);
        assert_eq!(world.vendor().fetch(&LIST).await, Err(FetchError::Malformed));
    }
}

/// Intel's collateral as a service would answer it in parts.
fn serve_collateral(world: &World, collateral: &Value, fmspc: &str, update: &str, lists_as_digits: bool) {
    let text = |member: &str| collateral[member].as_str().unwrap().to_owned();
    let encoded = |member: &str| {
        let encode = |c: char| match c {
            '\n' => "%0A".to_owned(),
            ' ' => "%20".to_owned(),
            '+' => "%2B".to_owned(),
            '=' => "%3D".to_owned(),
            c => c.to_string(),
        };
        text(member).chars().map(encode).collect::<String>()
    };
    let list = |member: &str| {
        let digits = text(member);
        if lists_as_digits {
            return digits.into_bytes();
        }
        let pairs = digits.as_bytes().chunks(2);
        pairs
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    };
    let signed = |name: &str, document: &str, signature: &str| {
        format!(
            "{{\"{name}\":{},\"signature\":\"{}\"}}",
            text(document),
            text(signature)
        )
        .into_bytes()
    };
    world.service.page_with(
        &format!("/tdx/certification/v4/tcb?fmspc={fmspc}&update={update}"),
        &[("TCB-Info-Issuer-Chain", encoded("tcb_info_issuer_chain"))],
        signed("tcbInfo", "tcb_info", "tcb_info_signature"),
    );
    world.service.page_with(
        &format!("/tdx/certification/v4/qe/identity?update={update}"),
        &[(
            "SGX-Enclave-Identity-Issuer-Chain",
            encoded("qe_identity_issuer_chain"),
        )],
        signed("enclaveIdentity", "qe_identity", "qe_identity_signature"),
    );
    world.service.page_with(
        "/sgx/certification/v4/pckcrl?ca=platform&encoding=der",
        &[("SGX-PCK-CRL-Issuer-Chain", encoded("pck_crl_issuer_chain"))],
        list("pck_crl"),
    );
    world
        .service
        .page("/sgx/certification/v4/rootcacrl", list("root_ca_crl"));
}

#[tokio::test]
async fn intels_four_answers_become_the_collateral_that_verifies_a_real_quote() {
    const NAME: &str = "endorsements::intels_four_answers_become_the_collateral_that_verifies_a_real_quote";
    let Some(quote) = evidence(NAME, "tdx/v4-emr-phala/quote.bin") else {
        return;
    };
    let Some(file) = evidence(NAME, "tdx/v4-emr-phala/collateral.json") else {
        return;
    };
    let collateral: Value = serde_json::from_slice(&file).unwrap();
    let world = World::new().await;
    // 2025-07-01: within the collateral's window.
    world.hands.set(1_751_328_000);
    let early = Choices {
        update: Update::Early,
        ..CHOICES
    };
    for (choices, as_digits) in [(CHOICES, false), (early, true)] {
        let wanted = Wanted::by_quote(&quote, choices).unwrap();
        let [item] = wanted.items.as_slice() else {
            panic!("{wanted:?}")
        };
        serve_collateral(
            &world,
            &collateral,
            "b0c06f000000",
            choices.update.name(),
            as_digits,
        );
        let found = world.vendor().fetch(item).await.unwrap();
        let parsed = anchorhold_attestation::tdx::Collateral::parse(found.body()).unwrap();
        let now = Timestamp::from_unix(1_751_328_000);
        let anchors = anchorhold_attestation::tdx::Anchors::intel();
        let proven = anchorhold_attestation::tdx::verify(&quote, &parsed, &anchors, now);
        assert!(proven.is_ok(), "{:?}", proven.err());
    }
    let other = Item::IntelCollateral {
        fmspc: [0x50, 0x80, 0x6f, 0, 0, 0],
        authority: PckAuthority::Platform,
        update: Update::Standard,
    };
    assert_eq!(world.vendor().fetch(&other).await, Err(FetchError::NotFound));
    serve_collateral(&world, &collateral, "50806f000000", "standard", false);
    assert_eq!(world.vendor().fetch(&other).await, Err(FetchError::NotAsked));
    world
        .service
        .page("/sgx/certification/v4/rootcacrl", b"no list".to_vec());
    assert_eq!(world.vendor().fetch(&other).await, Err(FetchError::Malformed));
}

#[tokio::test]
async fn a_manifest_comes_as_base64_under_its_own_name() {
    const NAME: &str = "endorsements::a_manifest_comes_as_base64_under_its_own_name";
    use base64::Engine as _;
    let world = World::new().await;
    let item = |id: &str| Item::NvidiaRim { id: id.to_owned() };
    let id = "NV_GPU_DRIVER_GH100_550.144.03";
    let serve = |named: &str, body: &[u8]| {
        let rim = base64::engine::general_purpose::STANDARD.encode(body);
        let page = serde_json::json!({"id": named, "rim": rim, "sha256": "", "rim_format": "TCG"});
        world
            .service
            .page(&format!("/v1/rim/{id}"), page.to_string().into_bytes());
    };
    assert_eq!(world.vendor().fetch(&item(id)).await, Err(FetchError::NotFound));
    serve("NV_GPU_DRIVER_GH100_550.90.07", b"<x/>");
    assert_eq!(world.vendor().fetch(&item(id)).await, Err(FetchError::NotAsked));
    serve(id, b"<x/>");
    assert_eq!(world.vendor().fetch(&item(id)).await, Err(FetchError::Malformed));
    for strange in ["", "../v1/rim", "a b", "a?b", "a/b"] {
        assert_eq!(
            world.vendor().fetch(&item(strange)).await,
            Err(FetchError::NotServed)
        );
    }
    let Some(rim) = evidence(NAME, "nvidia/rims/driver_550.144.03.xml") else {
        return;
    };
    let said = Endorsement::new(EndorsementKind::NvidiaRim, rim.clone())
        .unwrap()
        .said()
        .unwrap();
    world.hands.set(said.until.unix());
    serve(id, &rim);
    assert_eq!(world.vendor().fetch(&item(id)).await.unwrap().body(), rim);
    let other = "NV_GPU_DRIVER_GH100_550.144.04";
    let page =
        serde_json::json!({"id": other, "rim": base64::engine::general_purpose::STANDARD.encode(&rim)});
    world
        .service
        .page(&format!("/v1/rim/{other}"), page.to_string().into_bytes());
    assert_eq!(
        world.vendor().fetch(&item(other)).await,
        Err(FetchError::NotAsked)
    );
}

#[test]
fn evidence_of_each_platform_asks_for_what_its_hardware_needs() {
    const NAME: &str = "endorsements::evidence_of_each_platform_asks_for_what_its_hardware_needs";
    let wanted = |platform, report: &[u8], parts| {
        let evidence = Evidence::with_parts(platform, report.to_vec(), parts, Vec::new()).unwrap();
        Wanted::by_file(&evidence.to_json(), CHOICES)
    };
    let simulated = wanted(Platform::InsecureSimulated, &[1], Vec::new());
    assert_eq!(simulated, Err(WantedError::Platform));
    assert_eq!(
        wanted(Platform::AzureSnp, &[1; 40], Vec::new()),
        Err(WantedError::SnpReport)
    );
    assert_eq!(
        wanted(Platform::AzureTdx, &[1; 40], Vec::new()),
        Err(WantedError::Quote)
    );
    assert_eq!(Wanted::by_file(b"{}", CHOICES), Err(WantedError::Evidence));
    let Some(report) = evidence(NAME, "snp/genoa-v3-azure/report.bin") else {
        return;
    };
    let Some(hcl) = evidence(NAME, "snp/genoa-v3-azure/hcl.bin") else {
        return;
    };
    let Some(quote) = evidence(NAME, "tdx/v4-emr-phala/quote.bin") else {
        return;
    };
    let bare = Wanted::by_snp_report(&report, CHOICES).unwrap();
    assert_eq!(wanted(Platform::Snp, &report, Vec::new()), Ok(bare.clone()));
    assert_eq!(wanted(Platform::AzureSnp, &hcl, Vec::new()), Ok(bare));
    let bare = Wanted::by_quote(&quote, CHOICES).unwrap();
    assert_eq!(wanted(Platform::Tdx, &quote, Vec::new()), Ok(bare.clone()));
    let parts = vec![(EvidencePart::TdxQuote, quote)];
    assert_eq!(wanted(Platform::AzureTdx, &hcl, parts), Ok(bare));
}

#[tokio::test]
async fn real_reports_ask_for_what_they_came_with() {
    const NAME: &str = "endorsements::real_reports_ask_for_what_they_came_with";
    let world = World::new().await;
    for (folder, vek) in [
        ("milan-v3-oak", "vcek.der"),
        ("genoa-v5-oak", "vcek.der"),
        ("turin-v5-oak", "vcek.der"),
    ] {
        let Some(report) = evidence(NAME, &format!("snp/{folder}/report.bin")) else {
            return;
        };
        let Some(vek) = evidence(NAME, &format!("snp/{folder}/{vek}")) else {
            return;
        };
        let wanted = Wanted::by_snp_report(&report, CHOICES).unwrap();
        let [item, authority, list] = wanted.items.as_slice() else {
            panic!("{wanted:?}")
        };
        let Item::AmdVcek {
            product,
            hardware_id,
            tcb,
        } = item
        else {
            panic!("{item}")
        };
        world
            .service
            .page(&kds::vcek_path(*product, hardware_id, tcb), vek.clone());
        world.hands.set(1_767_225_600);
        assert_eq!(world.vendor().fetch(item).await.unwrap().body(), vek, "{folder}");
        assert_eq!(authority.kind(), EndorsementKind::AmdAuthority);
        assert_eq!(list.kind(), EndorsementKind::AmdCrl);
    }
    let Some(report) = evidence(NAME, "snp/milan-v3-vlek-aws/report.bin") else {
        return;
    };
    let wanted = Wanted::by_snp_report(&report, CHOICES).unwrap();
    assert!(wanted.vlek);
    assert_eq!(wanted.items.len(), 2);
    let Some(report) = evidence(NAME, "snp/milan-v2-virtee/report.bin") else {
        return;
    };
    assert!(Wanted::by_snp_report(&report, CHOICES).is_err());
    let named = Choices {
        product: Some(Product::Milan),
        ..CHOICES
    };
    assert_eq!(Wanted::by_snp_report(&report, named).unwrap().items.len(), 3);
}
