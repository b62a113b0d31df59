//! Every platform of hardware through the one call, each under its fake authority.
//!
//! Why apart: what each verifier refuses is tested beside it; here it is that nothing is lost on the way to the claims.

use anchorhold_encoding::Digest;

use crate::endorsements::{Endorsement, EndorsementKind};
use crate::evidence::EvidencePart;
use crate::tdx::tests::authority;
use crate::*;
use crate::{azure, nvidia, snp, tdx};

fn one(kind: EndorsementKind, body: Vec<u8>) -> Endorsements {
    Endorsements::new(vec![Endorsement::new(kind, body).unwrap()]).unwrap()
}

fn none() -> Anchors {
    Anchors::given(None, None, None)
}

#[test]
fn a_trust_domain_becomes_claims() {
    let made = authority::Plan::default().make();
    let anchors = Anchors::given(None, Some(tdx::Anchors::given(made.root.clone())), None);
    let collateral = || {
        one(
            EndorsementKind::IntelCollateral,
            made.collateral.to_string().into_bytes(),
        )
    };
    let evidence = Evidence::new(Platform::Tdx, made.quote.clone(), vec![]).unwrap();
    let verified = verify(&evidence, &collateral(), &anchors, authority::NOW).unwrap();
    let claims = verified.get();
    let Hardware::Tdx { quote, log: None } = &claims.hardware else {
        panic!("not a trust domain")
    };
    assert_eq!(
        (claims.platform, claims.product),
        (Platform::Tdx, Product::IntelTdx)
    );
    assert_eq!(claims.class, Class::Insecure);
    assert_eq!(claims.measurement, quote.body().mr_td);
    assert_eq!(claims.report_data.as_bytes(), &quote.body().report_data);
    assert_eq!(claims.chip_ids[0].as_bytes(), authority::PPID);
    assert_eq!(claims.expires, quote.collateral().expires);
    assert!(!claims.debug);
    assert!(!claims.fields().is_empty());
    assert_eq!(claims.issuer_numbers().len(), 4);

    let refused = |endorsements, anchors: &Anchors| {
        verify(&evidence, &endorsements, anchors, authority::NOW).unwrap_err()
    };
    assert_eq!(
        refused(Endorsements::none(), &anchors),
        VerifyError::NoEndorsement(EndorsementKind::IntelCollateral)
    );
    assert_eq!(refused(collateral(), &none()), VerifyError::NoAnchor);
    assert!(matches!(
        refused(collateral(), &Anchors::compiled()),
        VerifyError::Tdx(_)
    ));
    // A log that is none refuses: nothing is taken from it.
    let parts = vec![(EvidencePart::EventLog, vec![0; 8])];
    let logged = Evidence::with_parts(Platform::Tdx, made.quote.clone(), parts, vec![]).unwrap();
    let error = verify(&logged, &collateral(), &anchors, authority::NOW).unwrap_err();
    assert!(matches!(error, VerifyError::EventLog(_)), "{error}");
}

#[test]
fn a_guest_under_a_paravisor_becomes_claims() {
    let (evidence, endorsements, amd, expected) = azure::fake::evidence();
    let anchors = Anchors::given(Some(amd), None, None);
    let at = snp::fake::AT;
    let verified = verify(&evidence, &endorsements, &anchors, at).unwrap();
    let claims = verified.get();
    assert!(matches!(claims.hardware, Hardware::Azure(_)));
    assert_eq!(claims.platform.trust_class(), TrustClass::ParavisorMeasured);
    assert_eq!(claims.class, Class::Insecure);
    assert_eq!(claims.product, Product::Milan);
    assert_eq!(claims.report_data, expected);
    assert!(matches!(claims.config, FixedConfig::Register(Some(_))));
    assert_eq!(claims.chip_ids.len(), 1);

    // Each part is needed, and none may be what it is not.
    let all = [
        EvidencePart::TpmQuote,
        EvidencePart::TpmSignature,
        EvidencePart::TpmRegisters,
    ];
    let with = |parts: Vec<(EvidencePart, Vec<u8>)>, platform| {
        let changed = Evidence::with_parts(platform, evidence.report().to_vec(), parts, vec![]);
        verify(&changed.unwrap(), &endorsements, &anchors, at).unwrap_err()
    };
    let sent = || {
        all.map(|part| (part, evidence.part(part).unwrap().to_vec()))
            .to_vec()
    };
    for index in 0..all.len() {
        let mut parts = sent();
        parts.remove(index);
        assert_eq!(
            with(parts, Platform::AzureSnp),
            VerifyError::MissingPart(all[index])
        );
        let mut parts = sent();
        parts[index].1.pop();
        let error = with(parts, Platform::AzureSnp);
        assert!(matches!(error, VerifyError::Azure(_)), "{error}");
    }
    assert_eq!(
        with(sent(), Platform::Snp),
        VerifyError::UnusedPart(EvidencePart::TpmQuote)
    );
    let error = with(sent(), Platform::AzureTdx);
    assert_eq!(error.id(), "azure-hardware-kind");
    assert!(!error.hint().is_empty());
}

#[test]
fn devices_become_claims_beside_their_cpu() {
    use nvidia::fixture::{AT, NONCE, RimDraft, anchors, device_chain, gpu_fields, gpu_report, rim_chain};

    let (chain, signer) = (device_chain("GH100"), rim_chain());
    let (der, signer_der) = (chain.der(), signer.der());
    let report = gpu_report(&gpu_fields(), chain.leaf_key());
    let device =
        |kind: &str, report: Vec<u8>| DeviceEvidence::new(kind.to_owned(), report, der.clone()).unwrap();
    let cpu = crate::fixture::platform();
    let batch = NonceBatch::collect(vec![Nonce::from_random([9; 32])]).unwrap();
    let with = |device: DeviceEvidence| {
        let data = batch.report_data(&Digest::new([1; 64]), &DevicesDigest::of(&[]));
        Evidence::new(Platform::InsecureSimulated, cpu.report(&data), vec![device]).unwrap()
    };
    let believed = Anchors::given(None, None, Some(anchors(&der, &signer_der)));
    let rim = RimDraft::gpu("550.90.07", &[7]).sign(&signer_der, signer.leaf_key());
    let given = Endorsements::new(vec![
        Endorsement::new(EndorsementKind::NvidiaRim, rim.into_bytes()).unwrap(),
        Endorsement::new(EndorsementKind::NvidiaRim, b"<no-rim/>".to_vec()).unwrap(),
    ])
    .unwrap();

    let evidence = with(device(nvidia::GPU, report.clone()));
    let verified = verify(&evidence, &given, &believed, AT).unwrap();
    let claims = verified.get();
    assert_eq!(claims.devices, [claims.gpus[0].leaf_digest()]);
    assert_eq!(claims.gpus[0].report().nonce(), NONCE);
    assert_eq!((claims.rims.len(), claims.rims_refused.len()), (1, 1));
    let named = |start: &str| claims.fields().iter().any(|field| field.name.starts_with(start));
    assert!(named("nvidia.") && named("simulated."));

    let refused = |device, anchors: &Anchors| verify(&with(device), &given, anchors, AT).unwrap_err();
    let gpu = || device(nvidia::GPU, report.clone());
    assert_eq!(refused(gpu(), &none()), VerifyError::NoAnchor);
    assert!(matches!(
        refused(gpu(), &Anchors::compiled()),
        VerifyError::Device { index: 0, .. }
    ));
    // A GPU that says it is a switch, and a kind that nobody knows.
    for kind in [nvidia::SWITCH, "fpga"] {
        assert_eq!(
            refused(device(kind, report.clone()), &believed),
            VerifyError::DeviceKind
        );
    }
    let mut flipped = report.clone();
    flipped[300] ^= 1;
    assert!(matches!(
        refused(device(nvidia::GPU, flipped), &believed),
        VerifyError::Device { index: 0, .. }
    ));
}

#[test]
fn no_list_undoes_what_another_withdraws() {
    use crate::x509::Fault;
    use crate::x509::forge::CrlDraft;

    let fake = snp::fake::Fake::vcek(snp::Product::Milan);
    let evidence = Evidence::new(Platform::Snp, fake.signed_report(), vec![]).unwrap();
    let anchors = Anchors::given(Some(fake.anchors()), None, None);
    let clean = fake.crl.clone().unwrap();
    let revoking = CrlDraft {
        revoked: vec![fake.ask.serial.clone()],
        ..clean.clone()
    };
    let future = CrlDraft {
        this_update: snp::fake::AT.unix() + 10,
        ..revoking.clone()
    };
    let check = |lists: &[&CrlDraft]| {
        let mut items = vec![
            Endorsement::new(EndorsementKind::AmdVek, fake.vek_der()).unwrap(),
            Endorsement::new(EndorsementKind::AmdAuthority, fake.ask_der()).unwrap(),
        ];
        for list in lists {
            let der = list.sign(&fake.ark_key);
            items.push(Endorsement::new(EndorsementKind::AmdCrl, der).unwrap());
        }
        verify(
            &evidence,
            &Endorsements::new(items).unwrap(),
            &anchors,
            snp::fake::AT,
        )
    };
    assert!(check(&[&clean]).is_ok());
    for lists in [[&clean, &revoking], [&revoking, &clean]] {
        let error = check(&lists).unwrap_err();
        assert_eq!(error, VerifyError::Snp(snp::SnpError::Crl(Fault::Revoked)));
        assert!(!error.is_expiry(), "no grace bridges it");
    }
    // Judged as of a grace ago, the newest list is from the future: it may withdraw, so older ones do not count.
    for lists in [[&clean, &future], [&future, &clean]] {
        let error = check(&lists).unwrap_err();
        let Fault::NotYetValid { .. } = (match error {
            VerifyError::Snp(snp::SnpError::Crl(fault)) => fault,
            other => panic!("{other}"),
        }) else {
            panic!("{error}")
        };
    }
}

#[test]
fn of_many_endorsements_those_that_fit_are_taken() {
    let now = Timestamp::from_unix(1_800_000_000);
    let (ours, other) = (snp::FakeAuthority::new(now), snp::FakeAuthority::new(now));
    let chip = ours.chip();
    let launch = simulated::LaunchRecord {
        measurement: Digest::new([7; 48]),
        host_data: Digest::new([5; 32]),
    };
    let batch = NonceBatch::collect(vec![Nonce::from_random([9; 32])]).unwrap();
    let data = batch.report_data(&Digest::new([1; 64]), &DevicesDigest::of(&[]));
    let evidence = Evidence::new(Platform::Snp, chip.report(&launch, &data), vec![]).unwrap();
    let roots = snp::Anchors::given(&[(snp::Product::Genoa, ours.root())]).unwrap();
    let anchors = Anchors::given(Some(roots), None, None);
    let check =
        |items: Vec<Endorsement>| verify(&evidence, &Endorsements::new(items).unwrap(), &anchors, now);

    let (mine, theirs) = (ours.endorsements(), other.endorsements());
    let both: Vec<_> = theirs.items().iter().chain(mine.items()).cloned().collect();
    let verified = check(both).unwrap();
    let Hardware::Snp(report) = &verified.get().hardware else {
        panic!("not a report")
    };
    assert!(matches!(report.revocation(), snp::Revocation::NotRevoked { .. }));
    assert_eq!(verified.get().issuer_numbers().len(), 1);

    let without = |kind| {
        let left = mine.items().iter().filter(|item| item.kind() != kind);
        check(left.cloned().collect())
    };
    let verified = without(EndorsementKind::AmdCrl).unwrap();
    assert!(verified.get().issuer_numbers().is_empty(), "nobody looked");
    for kind in [EndorsementKind::AmdVek, EndorsementKind::AmdAuthority] {
        assert_eq!(without(kind).unwrap_err(), VerifyError::NoEndorsement(kind));
    }
    // Another chip's certificate alone: the report is not signed by its key.
    let foreign = theirs.items().iter().take(1).chain(mine.items().iter().skip(1));
    assert!(check(foreign.cloned().collect()).is_err());
    assert_eq!(
        check(Vec::new()).unwrap_err(),
        VerifyError::NoEndorsement(EndorsementKind::AmdVek)
    );
}
