//! Each rule alone: the accepted scene, one change, exactly that reason.

use anchorhold_encoding::{Digest, sha256};

use super::*;
use crate::denial::Verdict;
use crate::fixture::{CONFIG, Scene, at, denied, scene, tee_pubkey};
use crate::identity::Weakening;
use crate::rcar;

const ALL: &[RuleId] = &[
    RuleId::ReportData,
    RuleId::NonceAge,
    RuleId::Platform,
    RuleId::Simulated,
    RuleId::Debug,
    RuleId::Measurement,
    RuleId::Tcb,
    RuleId::Chip,
    RuleId::ConfigFixed,
    RuleId::ConfigIdentity,
    RuleId::ConfigAllowed,
    RuleId::Manifest,
    RuleId::Weakened,
    RuleId::Devices,
    RuleId::NotAfter,
    RuleId::Endorsements,
];

/// Both purposes refuse, for this rule alone.
fn refuses(rule: RuleId, change: impl Fn(&mut Scene)) {
    refuses_all(&[rule], change);
}

fn refuses_all(rules: &[RuleId], change: impl Fn(&mut Scene)) {
    let mut changed = scene();
    change(&mut changed);
    assert_eq!(denied(changed.client()), rules, "client");
    assert_eq!(denied(changed.broker()), rules, "broker");
}

fn replace(scene: &mut Scene, from: &str, to: &str) {
    assert!(scene.policy.contains(from), "{from}");
    scene.policy = scene.policy.replace(from, to);
}

#[test]
fn the_unchanged_scene_is_accepted_and_says_why() {
    let appraised = scene().client().unwrap();
    let rules: Vec<_> = appraised.explain().iter().map(|check| check.rule).collect();
    assert_eq!(rules, ALL);
    for check in appraised.explain() {
        let accepted = check.rule == RuleId::Simulated;
        assert_eq!(
            check.verdict == Verdict::DangerouslyAccepted,
            accepted,
            "{check:?}"
        );
        assert!(!check.found.is_empty());
    }
    assert_eq!(appraised.class(), Class::Insecure);
    assert_eq!(appraised.trust_class(), TrustClass::Simulated);
    assert_eq!(*appraised.policy_id(), sha256(&[scene().policy.as_bytes()]));
    assert_eq!(appraised.identity().document(), &scene().identity);
    assert_eq!(appraised.claims().measurement, scene().platform.measurement);

    let broker = scene().broker().unwrap();
    assert_eq!(broker.explain().len(), ALL.len() + 1);
    assert!(
        broker
            .explain()
            .iter()
            .any(|check| check.rule == RuleId::InitData)
    );
}

#[test]
fn the_nonce_must_be_in_the_tree() {
    // Another nonce in the batch's place: a valid path, to another root.
    let mut other = scene();
    other.nonce = crate::Nonce::from_random([1; 32]);
    assert_eq!(denied(other.client()), [RuleId::ReportData]);

    let void: [fn(&mut crate::InclusionProof); 6] = [
        |proof| proof.index = proof.size,
        |proof| proof.path.push(Digest::new([0; 32])),
        |proof| proof.path.clear(),
        |proof| proof.size = 4097,
        |proof| proof.size = 0,
        |proof| proof.size = 1 << 33,
    ];
    for change in void {
        let mut changed = scene();
        changed.proof = change;
        assert_eq!(denied(changed.client()), [RuleId::InclusionProof]);
    }
    let wrong: [fn(&mut crate::InclusionProof); 3] = [
        |proof| proof.path[0] = Digest::new([0; 32]),
        |proof| (proof.index, proof.size) = (1, 2),
        |proof| (proof.index, proof.size) = (0, 2),
    ];
    for change in wrong {
        let mut changed = scene();
        changed.proof = change;
        assert_eq!(denied(changed.client()), [RuleId::ReportData]);
    }
}

#[test]
fn another_identity_than_the_bound_one_is_refused() {
    refuses(RuleId::ReportData, |scene| {
        let mut shown = scene.identity.clone();
        shown.tls_spki_sha256 = Digest::new([0x12; 32]);
        scene.shown = Some(shown);
    });
}

#[test]
fn another_session_than_the_bound_one_is_refused() {
    let mut changed = scene();
    changed.shown_nonce = "BgUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=";
    assert_eq!(denied(changed.broker()), [RuleId::ReportData]);
    let mut changed = scene();
    changed.tee_pubkey["x"] = "AB".into();
    assert_eq!(denied(changed.broker()), [RuleId::ReportData]);
    let mut changed = scene();
    changed.algorithm = crate::HashAlgorithm::Sha512;
    assert_eq!(denied(changed.broker()), [RuleId::ReportData]);
}

#[test]
fn evidence_for_one_purpose_is_not_evidence_for_the_other() {
    use crate::fixture::{RCAR_NONCE, received, simulated_evidence};
    use crate::*;
    let scene = scene();
    let identity = received(&scene.identity);
    let additional = rcar::additional_evidence(&identity);
    let key = tee_pubkey();
    let session = crate::binding::RcarSession {
        nonce: RCAR_NONCE,
        drawn_at: scene.drawn_at,
        tee_pubkey: &key,
        additional_evidence: &additional,
        init_data: CONFIG,
        algorithm: HashAlgorithm::Sha512,
    };
    let batch = NonceBatch::collect(vec![Nonce::from_random([9; 32])]).unwrap();
    let for_client = batch.report_data(&identity.digest(), &DevicesDigest::of(&[]));
    let for_broker = rcar::primary_report_data(&additional, RCAR_NONCE, &key, HashAlgorithm::Sha512);
    let claims = |data| {
        let evidence = simulated_evidence(&scene.platform, data);
        verify(&evidence, &Endorsements::none(), &Anchors::compiled(), scene.now).unwrap()
    };
    let evidence = simulated_evidence(&scene.platform, &for_broker);
    let proof = batch.proof(0).unwrap();
    let challenge = Challenge::new([9; 32], scene.drawn_at);
    let client = || Binding::client(&challenge, identity.clone(), &proof, &evidence);
    let broker = || Binding::rcar(&session).unwrap();
    let policy = scene.policy();
    assert!(policy.appraise(claims(&for_client), client(), scene.now).is_ok());
    assert!(policy.appraise(claims(&for_broker), broker(), scene.now).is_ok());
    let to_client = policy.appraise(claims(&for_broker), client(), scene.now);
    assert_eq!(denied(to_client), [RuleId::ReportData]);
    let to_broker = policy.appraise(claims(&for_client), broker(), scene.now);
    assert_eq!(denied(to_broker), [RuleId::ReportData]);
}

#[test]
fn a_nonce_is_fresh_for_less_than_max_age_and_never_before_it_was_drawn() {
    for (age, fresh) in [(-1, false), (0, true), (99, true), (100, false), (3600, false)] {
        let mut changed = scene();
        changed.now = at(age);
        let expected: &[RuleId] = if fresh { &[] } else { &[RuleId::NonceAge] };
        assert_eq!(denied(changed.client()), expected, "{age}");
        assert_eq!(denied(changed.broker()), expected, "{age}");
    }
}

#[test]
fn simulated_evidence_needs_a_dangerous_word() {
    refuses(RuleId::Simulated, |scene| {
        replace(scene, "dangerously_accept_simulated = true\n", "");
    });
    refuses(RuleId::Simulated, |scene| {
        replace(scene, "simulated = true", "simulated = false");
    });
}

#[test]
fn debug_needs_a_dangerous_word() {
    refuses(RuleId::Debug, |scene| scene.platform.debug = true);
    let mut accepted = scene();
    accepted.platform.debug = true;
    replace(
        &mut accepted,
        "[[reference",
        "dangerously_accept_debug = true\n[[reference",
    );
    let appraised = accepted.client().unwrap();
    let debug = appraised
        .explain()
        .iter()
        .find(|check| check.rule == RuleId::Debug);
    assert_eq!(debug.unwrap().verdict, Verdict::DangerouslyAccepted);
    assert_eq!(debug.unwrap().found, "debug on");
}

#[test]
fn only_listed_code_on_new_enough_firmware() {
    refuses(RuleId::Measurement, |scene| {
        scene.platform.measurement = Digest::new([0x78; 48]);
    });
    refuses(RuleId::Tcb, |scene| scene.platform.tcb = 6);
    let mut newer = scene();
    newer.platform.tcb = 8;
    assert!(newer.client().is_ok());
    // A second value for the same code with a lower floor accepts what it lists.
    let mut lower = scene();
    lower.platform.tcb = 6;
    let second = lower
        .policy
        .split_once("[[")
        .unwrap()
        .1
        .replace("minimum_tcb = 7", "minimum_tcb = 6");
    lower.policy = format!("{}[[{second}", lower.policy);
    assert!(lower.client().is_ok());
}

#[test]
fn chips_are_named_by_number_or_by_product() {
    refuses(RuleId::Chip, |scene| {
        scene.platform.chip_id = Digest::new([0x89; 32]);
    });
    let mut product = scene();
    let named = format!("chips = [\"{}\"]", product.platform.chip_id);
    replace(&mut product, &named, "any_chip_of = [\"insecure-simulated\"]");
    product.platform.chip_id = Digest::new([0x89; 32]);
    assert!(product.client().is_ok());
}

#[test]
fn the_configuration_is_fixed_named_sent_and_listed() {
    let other = sha256(&[b"other"]);
    refuses_all(&[RuleId::ConfigIdentity], |scene| {
        scene.identity.config_sha256 = Digest::new([1; 32]);
    });
    // The genuine image under another configuration, honestly named and sent.
    let mut changed = scene();
    changed.platform.host_data = other;
    changed.identity.config_sha256 = other;
    changed.shown_init_data = b"other";
    assert_eq!(denied(changed.client()), [RuleId::ConfigAllowed]);
    assert_eq!(denied(changed.broker()), [RuleId::ConfigAllowed]);
    // Sent the approved configuration, launched with another.
    changed.shown_init_data = CONFIG;
    assert_eq!(
        denied(changed.broker()),
        [RuleId::InitData, RuleId::ConfigAllowed]
    );
    // Sent another configuration than the approved one that was launched.
    let mut changed = scene();
    changed.shown_init_data = b"other";
    assert_eq!(denied(changed.broker()), [RuleId::InitData]);
    // Nobody fixed one, and policy and identity agree with that.
    let zero = Digest::new([0; 32]);
    let mut changed = scene();
    changed.platform.host_data = zero;
    changed.identity.config_sha256 = zero;
    let listed = sha256(&[CONFIG]).to_string();
    replace(&mut changed, &listed, &zero.to_string());
    assert_eq!(denied(changed.client()), [RuleId::ConfigFixed]);
    assert_eq!(denied(changed.broker()), [RuleId::ConfigFixed, RuleId::InitData]);
}

#[test]
fn only_listed_models() {
    refuses(RuleId::Manifest, |scene| {
        scene.identity.model.manifest_sha256 = Digest::new([0x45; 32]);
    });
    let mut renamed = scene();
    renamed.identity.model.name = "another name".to_owned();
    assert!(renamed.client().is_ok(), "names decide nothing");
}

#[test]
fn weakened_settings_need_a_dangerous_word() {
    refuses(RuleId::Weakened, |scene| {
        scene.identity.weakened = vec![Weakening::HostTime];
    });
    let mut accepted = scene();
    accepted.identity.weakened = vec![Weakening::HostTime];
    let line = "dangerously_accept_weakened = [\"dangerously_host_time\"]\n[[reference";
    replace(&mut accepted, "[[reference", line);
    let appraised = accepted.client().unwrap();
    let check = appraised
        .explain()
        .iter()
        .find(|check| check.rule == RuleId::Weakened);
    assert_eq!(check.unwrap().verdict, Verdict::DangerouslyAccepted);
    assert_eq!(check.unwrap().found, "dangerously_host_time");
}

#[test]
fn devices_are_those_that_gave_evidence() {
    refuses(RuleId::Devices, |scene| {
        scene.identity.devices = vec![Digest::new([1; 48])];
    });
    refuses(RuleId::Devices, |scene| {
        scene.claims = |claims| claims.devices = vec![Digest::new([1; 48])];
    });
    let mut both = scene();
    both.identity.devices = vec![Digest::new([1; 48])];
    both.claims = |claims| claims.devices = vec![Digest::new([1; 48])];
    assert!(both.client().is_ok());
}

#[test]
fn expiries_end_before_the_second_they_name() {
    for (offset, accepted) in [(9, false), (10, false), (11, true)] {
        let mut changed = scene();
        changed.identity.not_after = at(offset);
        let expected: &[RuleId] = if accepted { &[] } else { &[RuleId::NotAfter] };
        assert_eq!(denied(changed.client()), expected, "{offset}");
    }
    refuses(RuleId::Endorsements, |scene| {
        scene.claims = |claims| claims.expires = at(10);
    });
    let mut later = scene();
    later.claims = |claims| claims.expires = at(11);
    assert!(later.client().is_ok());
}

#[test]
fn valid_until_is_the_earliest_of_all_expiries() {
    assert_eq!(scene().client().unwrap().valid_until(), at(100));
    let mut changed = scene();
    changed.identity.not_after = at(50);
    assert_eq!(changed.client().unwrap().valid_until(), at(50));
    changed.claims = |claims| claims.expires = at(20);
    assert_eq!(changed.client().unwrap().valid_until(), at(20));
    changed.identity.not_after = at(15);
    assert_eq!(changed.broker().unwrap().valid_until(), at(15));
}

#[test]
fn every_reason_is_given_in_policy_order() {
    let mut changed = scene();
    changed.now = at(200_000);
    changed.platform.debug = true;
    changed.platform.tcb = 0;
    changed.platform.chip_id = Digest::new([0; 32]);
    changed.platform.host_data = Digest::new([0; 32]);
    changed.identity.model.manifest_sha256 = Digest::new([0; 32]);
    changed.identity.weakened = vec![Weakening::HostTime];
    changed.identity.devices = vec![Digest::new([1; 48])];
    changed.policy = changed.policy.replace("simulated = true", "simulated = false");
    let rules = denied(changed.client());
    let expected = [
        RuleId::NonceAge,
        RuleId::Simulated,
        RuleId::Debug,
        RuleId::Tcb,
        RuleId::Chip,
        RuleId::ConfigFixed,
        RuleId::ConfigIdentity,
        RuleId::ConfigAllowed,
        RuleId::Manifest,
        RuleId::Weakened,
        RuleId::Devices,
        RuleId::NotAfter,
    ];
    assert_eq!(rules, expected);
    assert!(rules.is_sorted());
    let denial = changed.client().unwrap_err();
    for reason in denial.reasons() {
        assert!(!reason.expected.is_empty() && !reason.found.is_empty());
        assert_eq!(reason.hint, reason.rule.hint());
    }
    let text = denial.to_string();
    assert!(
        text.starts_with("denied\n  nonce-age: expected drawn less than 100 s before 1800200000, found "),
        "{text}"
    );
    assert_eq!(text.lines().count(), expected.len() + 1);
}

#[test]
fn a_key_goes_only_to_its_class_its_model_and_in_time() {
    let key: KeyId = "demo-key".parse().unwrap();
    let manifest = scene().identity.model.manifest_sha256;
    let other = Digest::new([0; 32]);
    let broker = scene().broker().unwrap();
    let grant = broker
        .grant(&key, Class::Insecure, &[other, manifest], at(99))
        .unwrap();
    assert_eq!(grant.key_id(), &key);
    assert_eq!(grant.class(), Class::Insecure);
    assert_eq!(grant.nonce(), &[5; 32]);
    assert_eq!(*grant.tee_pubkey_sha256(), rcar::tee_pubkey_digest(&tee_pubkey()));
    assert_eq!(grant.policy_id(), broker.policy_id());

    let rules = |class, manifests: &[Digest<32>], now| -> Vec<_> {
        let denial = broker.grant(&key, class, manifests, now).unwrap_err();
        denial.reasons().iter().map(|reason| reason.rule).collect()
    };
    assert_eq!(rules(Class::Real, &[manifest], at(50)), [RuleId::KeyClass]);
    assert_eq!(rules(Class::Insecure, &[other], at(50)), [RuleId::KeyManifest]);
    assert_eq!(rules(Class::Insecure, &[], at(50)), [RuleId::KeyManifest]);
    assert_eq!(rules(Class::Insecure, &[manifest], at(100)), [RuleId::StillValid]);
    assert_eq!(
        rules(Class::Real, &[], at(1000)),
        [RuleId::KeyClass, RuleId::KeyManifest, RuleId::StillValid]
    );

    let mut real = scene();
    real.claims = |claims| claims.class = Class::Real;
    let real = real.broker().unwrap();
    assert!(real.grant(&key, Class::Real, &[manifest], at(50)).is_ok());
    let refused = real
        .grant(&key, Class::Insecure, &[manifest], at(50))
        .unwrap_err();
    assert_eq!(refused.reasons()[0].rule, RuleId::KeyClass);
    assert_eq!(refused.reasons()[0].found, "insecure");
}
