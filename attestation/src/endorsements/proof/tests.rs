//! What each vendor signed, what somebody else did, and what real vendors published.

use super::*;
use crate::nvidia::SIGNER_ANSWERED_FOR;
use crate::nvidia::fixture::{RimDraft, anchors as nvidia_anchors, device_chain, rim_chain};
use crate::snp::Product;
use crate::snp::fake::{AT, Fake};
use crate::tdx;
use crate::tdx::tests::authority::{NOW as TDX_NOW, Plan};
use crate::testdata;
use crate::x509::forge::ocsp::{UNKNOWN, revoked};
use crate::x509::forge::{CrlDraft, Key, NOW};

fn endorsement(kind: EndorsementKind, body: Vec<u8>) -> Endorsement {
    Endorsement::new(kind, body).unwrap()
}

fn proven(kind: EndorsementKind, body: Vec<u8>, anchors: &Anchors) -> Result<(), Unproven> {
    endorsement(kind, body).prove(Beside::Nothing, anchors, AT)
}

#[test]
fn what_amd_signed_is_told_from_what_somebody_else_did() {
    let milan = Fake::vcek(Product::Milan);
    let anchors = Anchors::given(Some(milan.anchors()), None, None);
    let vek = endorsement(EndorsementKind::AmdVek, milan.vek_der());
    let (ask, kind) = (milan.ask_der(), EndorsementKind::AmdAuthority);
    assert_eq!(vek.prove(Beside::Authority(&ask), &anchors, AT), Ok(()));
    assert_eq!(vek.prove(Beside::Nothing, &anchors, AT), Err(NOTHING_BESIDE));
    assert_eq!(proven(kind, ask.clone(), &anchors), Ok(()));
    let vlek = Fake::vlek(Product::Milan);
    let of_vlek = Anchors::given(Some(vlek.anchors()), None, None);
    assert_eq!(proven(kind, vlek.ask_der(), &of_vlek), Ok(()));

    // The same names under other keys, as a mirror can make them.
    let mut forger = Fake::vcek(Product::Milan);
    (forger.ark_key, forger.ask_key) = (Key::p384(), Key::p384());
    let (forged, signature) = (forger.ask_der(), Err(Unproven("x509-signature")));
    assert_eq!(vek.prove(Beside::Authority(&forged), &anchors, AT), signature);
    assert_eq!(proven(kind, forged, &anchors), signature);
    let list = forger.crl.clone().unwrap();
    assert_eq!(
        proven(EndorsementKind::AmdCrl, list.sign(&forger.ark_key), &anchors),
        signature
    );

    // A list is as genuine when it revokes; one that has ended proves nothing any more.
    let revoking = CrlDraft {
        revoked: vec![milan.ask.serial.clone()],
        ..list.clone()
    };
    let stale = CrlDraft {
        next_update: Some(NOW - 1),
        ..list.clone()
    };
    for (list, expected) in [
        (list, Ok(())),
        (revoking, Ok(())),
        (stale, Err(Unproven("x509-expired"))),
    ] {
        assert_eq!(
            proven(EndorsementKind::AmdCrl, list.sign(&milan.ark_key), &anchors),
            expected
        );
    }
    // Another line's, nobody's, and no authority at all.
    let genoa = Fake::vcek(Product::Genoa);
    assert_eq!(proven(kind, genoa.ask_der(), &anchors), Err(NO_ANCHOR));
    let none = Anchors::given(None, None, None);
    assert_eq!(proven(kind, milan.ask_der(), &none), Err(NO_ANCHOR));
    assert!(proven(kind, milan.vek_der(), &anchors).is_err());
    let mut leaf = Fake::vcek(Product::Milan);
    leaf.ask.extensions.clear();
    assert_eq!(
        proven(kind, leaf.ask.sign(&milan.ask_key, &milan.ark_key), &anchors),
        Err(Unproven("x509-not-an-authority"))
    );
    assert!(proven(kind, vec![0x30], &anchors).is_err());
    assert!(!Unproven("x509-signature").to_string().is_empty());
}

#[test]
fn what_intel_signed_is_told_from_what_somebody_else_did() {
    let check = |plan: &Plan| {
        let made = plan.make();
        let anchors = Anchors::given(None, Some(tdx::Anchors::given(made.root.clone())), None);
        let body = made.collateral.to_string().into_bytes();
        let collateral = endorsement(EndorsementKind::IntelCollateral, body);
        let other = collateral.prove(Beside::Nothing, &Anchors::compiled(), TDX_NOW);
        assert_eq!(other, Err(Unproven("tdx-certificate-root")));
        collateral.prove(Beside::Nothing, &anchors, TDX_NOW)
    };
    assert_eq!(check(&Plan::default()), Ok(()));
    for (usurped, id) in [
        ("tcb", "tdx-document-signature"),
        ("qe", "tdx-document-signature"),
        ("pck-crl", "tdx-crl-signature"),
        ("root-crl", "tdx-crl-signature"),
    ] {
        let plan = Plan {
            usurped,
            ..Plan::default()
        };
        assert_eq!(check(&plan), Err(Unproven(id)), "{usurped}");
    }
    // Collateral that withdraws its own signers is as genuine.
    for revoked in [[&[2][..], &[]], [&[3], &[]], [&[], &[4]]] {
        let plan = Plan {
            revoked,
            ..Plan::default()
        };
        assert_eq!(check(&plan), Ok(()), "{revoked:?}");
    }
}

#[test]
fn what_nvidia_signed_is_told_from_what_somebody_else_did() {
    let (device, signer, responder) = (
        device_chain("GH100").numbered(),
        rim_chain().numbered(),
        Key::p384(),
    );
    let (device_der, signer_der) = (device.der(), signer.der());
    let anchors = Anchors::given(None, None, Some(nvidia_anchors(&device_der, &signer_der)));
    let rim = |key: &Key| RimDraft::gpu("545.00", &[7]).sign(&signer_der, key).into_bytes();
    let kind = EndorsementKind::NvidiaRim;
    assert_eq!(proven(kind, rim(signer.leaf_key()), &anchors), Ok(()));
    let forged = Err(Unproven("nvidia-rim-signature"));
    assert_eq!(proven(kind, rim(&Key::p384()), &anchors), forged);

    let answer = |certificates: &[Vec<u8>], link, body: Vec<u8>| {
        let beside = Beside::Chain { certificates, link };
        endorsement(EndorsementKind::NvidiaOcsp, body).prove(beside, &anchors, AT)
    };
    for (chain, der, links) in [
        (&device, &device_der, nvidia::ANSWERED_FOR),
        (&signer, &signer_der, SIGNER_ANSWERED_FOR),
    ] {
        for link in links {
            let good = chain.answer(&responder, link, |_| {});
            assert_eq!(answer(der, link, good.clone()), Ok(()));
            // It speaks of no other certificate.
            let other = links.into_iter().find(|other| *other != link).unwrap();
            assert_eq!(answer(der, other, good), Err(Unproven("nvidia-ocsp")));
            for status in [revoked(NOW - 5, Some(1)), UNKNOWN.to_vec()] {
                let against = chain.answer(&responder, link, |answer| answer.status = status);
                assert_eq!(answer(der, link, against), Ok(()));
            }
            let stale = chain.answer(&responder, link, |answer| answer.next_update = Some(NOW - 1));
            assert_eq!(answer(der, link, stale), Err(Unproven("ocsp-expired")));
        }
    }
    let good = device.answer(&responder, 1, |_| {});
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert!(answer(&device_der, 1, flipped).is_err());
    // A chain of somebody's own, with answers to match.
    let own = device_chain("GH100").numbered();
    let theirs = own.answer(&responder, 1, |_| {});
    assert_eq!(answer(&own.der(), 1, theirs), Err(Unproven("nvidia-chain")));
    assert_eq!(answer(&[], 1, good.clone()), Err(Unproven("nvidia-chain")));
    let bare = endorsement(EndorsementKind::NvidiaOcsp, good);
    assert_eq!(bare.prove(Beside::Nothing, &anchors, AT), Err(NOTHING_BESIDE));
}

#[test]
fn what_vendors_published_is_proven_under_the_compiled_roots() {
    const NAME: &str = "endorsements::what_vendors_published_is_proven_under_the_compiled_roots";
    let anchors = Anchors::compiled();
    for (kind, path, at) in [
        (EndorsementKind::AmdCrl, "anchors/amd/crl_milan_2025-05.der", None),
        (EndorsementKind::AmdCrl, "anchors/amd/crl_genoa_2024-10.der", None),
        (EndorsementKind::AmdCrl, "anchors/amd/crl_turin_2026-08.der", None),
        (
            EndorsementKind::IntelCollateral,
            "tdx/v4-emr-phala/collateral.json",
            None,
        ),
        (
            EndorsementKind::NvidiaRim,
            "nvidia/rims/driver_550.144.03.xml",
            None,
        ),
        // 2026-01-01.
        (EndorsementKind::AmdVek, "snp/milan-v3-oak/vcek.der", Some(NOW)),
    ] {
        let Some(body) = testdata::evidence(NAME, path) else {
            return;
        };
        let Some(pem) = testdata::evidence(NAME, "anchors/amd/ask_ark_milan.pem") else {
            return;
        };
        let ask = crate::nvidia::tests::pem(&pem).swap_remove(0);
        assert_eq!(
            proven(EndorsementKind::AmdAuthority, ask.clone(), &anchors),
            Ok(())
        );
        let item = endorsement(kind, body.clone());
        let at = at.map_or_else(|| item.said().unwrap().from, Timestamp::from_unix);
        let beside = Beside::Authority(&ask);
        assert_eq!(item.prove(beside, &anchors, at), Ok(()), "{path}");
        // One bit anywhere in it, in steps that end in a test's time.
        for place in (0..body.len()).step_by(body.len() / 16) {
            let mut flipped = body.clone();
            flipped[place] ^= 4;
            let flipped = endorsement(kind, flipped);
            assert!(
                flipped.prove(beside, &anchors, at).is_err(),
                "{path}: byte {place}"
            );
        }
    }
}
