//! Responses of a fake authority, right and wrong in one way at a time.

use super::*;
use crate::x509::forge::ocsp::{
    AnswerDraft, GOOD, NameDigest, OcspDraft, UNKNOWN, key_bits, nonce, responder, revoked, time,
};
use crate::x509::forge::{Draft, Key, NOW, certificate_usage, constraints, extension, name, tlv};
use crate::x509::{Anchor, Certificate, Fault};

const AT: Timestamp = Timestamp::from_unix(NOW);
const DAY: u64 = 24 * 60 * 60;

/// Root, authority, leaf, and a responder that the authority made for what it issues.
struct World {
    root_key: Key,
    middle_key: Key,
    responder_key: Key,
    middle: Draft,
    leaf: Draft,
    responder: Draft,
    chain: VerifiedChain,
}

impl World {
    fn new() -> Self {
        Self::with(|_, _| {})
    }

    /// Changes the authority's draft and the leaf's.
    fn with(change: impl FnOnce(&mut Draft, &mut Draft)) -> Self {
        let (root_key, middle_key, leaf_key) = (Key::p384(), Key::p384(), Key::p384());
        let root = Draft::authority("root", "root").sign(&root_key, &root_key);
        let mut middle = Draft::authority("middle", "root");
        let mut leaf = Draft::leaf("leaf", "middle");
        leaf.serial = vec![0x00, 0xb4, 0xeb];
        change(&mut middle, &mut leaf);
        let parse = |der: &[u8]| Certificate::parse(der).unwrap();
        let chain = VerifiedChain::verify(
            parse(&leaf.sign(&leaf_key, &middle_key)),
            vec![parse(&middle.sign(&middle_key, &root_key))],
            &Anchor::parse(&root).unwrap(),
            &[],
            AT,
        )
        .unwrap();
        Self {
            root_key,
            middle_key,
            responder_key: Key::p384(),
            middle,
            leaf,
            responder: responder("middle"),
            chain,
        }
    }

    fn answer(&self) -> AnswerDraft {
        AnswerDraft::good(&self.leaf, &self.middle_key)
    }

    fn draft(&self) -> OcspDraft {
        let certificate = self.responder.sign(&self.responder_key, &self.middle_key);
        OcspDraft::delegated(vec![self.answer()], &self.responder_key, certificate)
    }

    fn judge(&self, der: &[u8]) -> Result<Option<VerifiedOcsp>, OcspFault> {
        OcspResponse::parse(der)?.verify(&self.chain, 0, AT)
    }

    fn verify(&self, draft: &OcspDraft) -> Result<Option<VerifiedOcsp>, OcspFault> {
        self.judge(&draft.sign(&self.responder_key))
    }

    /// The fault of a response that a test changed.
    fn fault(&self, change: impl FnOnce(&mut OcspDraft)) -> OcspFault {
        let mut draft = self.draft();
        change(&mut draft);
        self.verify(&draft).unwrap_err()
    }

    /// The fault of a response whose responder's certificate a test changed.
    fn responder_fault(change: impl FnOnce(&mut Draft)) -> OcspFault {
        let mut world = Self::new();
        change(&mut world.responder);
        world.verify(&world.draft()).unwrap_err()
    }
}

#[test]
fn a_delegates_word_is_proven_with_its_dates_and_its_nonce() {
    let world = World::new();
    let mut draft = world.draft();
    draft.extensions = vec![nonce(&[7; 32])];
    for digest in [NameDigest::Sha1, NameDigest::Sha256, NameDigest::Sha384] {
        draft.answers[0].digest = digest;
        let proof = world.verify(&draft).unwrap().unwrap();
        assert_eq!(proof.link(), 0);
        assert_eq!(proof.this_update().unix(), NOW - DAY / 2);
        assert_eq!(proof.next_update().unix(), NOW + DAY / 2);
        assert_eq!(proof.expires(), proof.next_update());
        assert_eq!(proof.nonce(), Some([7; 32].as_slice()));
    }
    draft.extensions.clear();
    assert_eq!(world.verify(&draft).unwrap().unwrap().nonce(), None);
    draft.responder = tlv(0xa1, &name("responder"));
    assert!(world.verify(&draft).unwrap().is_some());
    draft.answers[0].extensions = vec![extension("1.2.3.4", false, b"\x05\x00")];
    assert!(world.verify(&draft).unwrap().is_some());
}

#[test]
fn a_proof_ends_with_the_responders_certificate() {
    let mut world = World::new();
    world.responder.until = NOW + 60;
    let proof = world.verify(&world.draft()).unwrap().unwrap();
    assert_eq!(proof.expires().unix(), NOW + 60);
    assert_eq!(proof.next_update().unix(), NOW + DAY / 2);
}

#[test]
fn an_issuer_may_answer_itself_if_its_certificate_lets_it_sign() {
    // digitalSignature, keyCertSign and cRLSign.
    let usage = extension("2.5.29.15", true, b"\x03\x02\x01\x86");
    let world = World::with(|middle, _| middle.extensions = vec![constraints(None), usage]);
    let mut draft = OcspDraft::delegated(vec![world.answer()], &world.middle_key, Vec::new());
    draft.certificates.clear();
    assert!(world.judge(&draft.sign(&world.middle_key)).unwrap().is_some());
    let own = world.chain.authorities()[0].der().to_vec();
    draft.certificates = vec![own];
    assert!(world.judge(&draft.sign(&world.middle_key)).unwrap().is_some());
    let strangers = world.judge(&draft.sign(&Key::p384())).unwrap_err();
    assert_eq!(strangers, OcspFault::Signature);

    let world = World::new();
    let mut draft = OcspDraft::delegated(vec![world.answer()], &world.middle_key, Vec::new());
    draft.certificates.clear();
    let refused = world.judge(&draft.sign(&world.middle_key)).unwrap_err();
    assert_eq!(refused, OcspFault::Responder(Fault::KeyUsage));
}

#[test]
fn a_response_about_other_certificates_says_nothing() {
    let world = World::new();
    let silent = |change: &dyn Fn(&mut AnswerDraft)| {
        let mut draft = world.draft();
        change(&mut draft.answers[0]);
        world.verify(&draft).unwrap().is_none()
    };
    assert!(silent(&|answer| answer.serial = vec![0x35]));
    assert!(silent(&|answer| answer.serial = vec![0x00, 0xeb, 0xb4]));
    assert!(silent(&|answer| answer.issuer.0 = name("other")));
    assert!(silent(&|answer| answer.issuer.1 = key_bits(&Key::p384())));
    assert!(silent(&|answer| answer.digest = NameDigest::Unknown));
    let response = OcspResponse::parse(&world.draft().sign(&world.responder_key)).unwrap();
    assert!(response.verify(&world.chain, 1, AT).unwrap().is_none());
    assert!(response.verify(&world.chain, 2, AT).unwrap().is_none());
    assert!(response.verify(&world.chain, 9, AT).unwrap().is_none());
}

#[test]
fn every_link_has_its_own_issuers_word() {
    let world = World::new();
    let certificate = responder("root").sign(&world.responder_key, &world.root_key);
    let answer = AnswerDraft::good(&world.middle, &world.root_key);
    let draft = OcspDraft::delegated(vec![world.answer(), answer], &world.responder_key, certificate);
    let response = OcspResponse::parse(&draft.sign(&world.responder_key)).unwrap();
    assert_eq!(response.verify(&world.chain, 1, AT).unwrap().unwrap().link(), 1);
    // The root's delegate has no say in what the authority below it issued.
    assert_eq!(
        response.verify(&world.chain, 0, AT).unwrap_err(),
        OcspFault::Responder(Fault::Issuer)
    );
}

#[test]
fn what_is_not_good_is_refused_with_reason_and_time() {
    let world = World::new();
    let status = |status: Vec<u8>| world.fault(|draft| draft.answers[0].status = status);
    let since = Timestamp::from_unix(NOW - 5);
    for (code, reason) in [
        (None, RevocationReason::Unspecified),
        (Some(1), RevocationReason::KeyCompromise),
        (Some(6), RevocationReason::CertificateHold),
        (Some(8), RevocationReason::RemoveFromCrl),
        (Some(10), RevocationReason::AaCompromise),
    ] {
        assert_eq!(
            status(revoked(NOW - 5, code)),
            OcspFault::Revoked { since, reason }
        );
    }
    assert_eq!(status(revoked(NOW - 5, Some(7))).id(), "ocsp-syntax");
    assert_eq!(status(UNKNOWN.to_vec()), OcspFault::Unknown);
    for malformed in [
        b"\x80\x01\x00".as_slice(),
        b"\xa0\x00",
        b"\x83\x00",
        b"\xa1\x00",
        b"",
    ] {
        assert_eq!(status(malformed.to_vec()).id(), "ocsp-syntax", "{malformed:?}");
    }
    assert_eq!(
        world.fault(|draft| {
            let mut other = draft.answers[0].clone();
            other.digest = NameDigest::Sha1;
            other.status = revoked(NOW, None);
            draft.answers.push(other);
        }),
        OcspFault::Repeated
    );
}

#[test]
fn both_dates_count_and_both_must_be_there() {
    let world = World::new();
    let at = |this: u64, next: u64| {
        let mut draft = world.draft();
        (draft.answers[0].this_update, draft.answers[0].next_update) = (this, Some(next));
        world.verify(&draft).map(|proof| proof.is_some())
    };
    assert_eq!(at(NOW, NOW), Ok(true));
    let until = Timestamp::from_unix(NOW - 1);
    assert_eq!(at(NOW - 9, NOW - 1), Err(OcspFault::Expired { until }));
    let from = Timestamp::from_unix(NOW + 1);
    assert_eq!(at(NOW + 1, NOW + 9), Err(OcspFault::NotYetValid { from }));
    assert_eq!(
        world.fault(|draft| draft.produced_at = NOW + 1),
        OcspFault::NotYetValid { from }
    );
    assert_eq!(
        world.fault(|draft| draft.answers[0].next_update = None),
        OcspFault::NoNextUpdate
    );
}

#[test]
fn a_delegate_is_certified_by_the_issuer_now_for_this() {
    let refused = |change: &dyn Fn(&mut Draft)| World::responder_fault(change);
    let until = Timestamp::from_unix(NOW - 1);
    let from = Timestamp::from_unix(NOW + 1);
    assert_eq!(
        refused(&|own| own.until = NOW - 1),
        OcspFault::Responder(Fault::Expired { until })
    );
    assert_eq!(
        refused(&|own| own.from = NOW + 1),
        OcspFault::Responder(Fault::NotYetValid { from })
    );
    assert_eq!(
        refused(&|own| own.issuer = name("root")),
        OcspFault::Responder(Fault::Issuer)
    );
    assert_eq!(
        refused(&|own| drop(own.extensions.remove(1))),
        OcspFault::NotAResponder
    );
    // `anyExtendedKeyUsage` is not `id-kp-OCSPSigning`.
    let any = extension("2.5.29.37", false, b"\x30\x06\x06\x04\x55\x1d\x25\x00");
    assert_eq!(
        refused(&|own| own.extensions[1] = any.clone()),
        OcspFault::NotAResponder
    );
    assert_eq!(
        refused(&|own| drop(own.extensions.remove(2))),
        OcspFault::Revocable
    );
    let full = extension("1.3.6.1.5.5.7.48.1.5", false, b"\x05\x01\x00");
    assert_eq!(
        refused(&|own| own.extensions[2] = full.clone()),
        OcspFault::Revocable
    );
    assert_eq!(
        refused(&|own| own.extensions.push(constraints(None))),
        OcspFault::Responder(Fault::LeafIsAuthority)
    );
    assert_eq!(
        refused(&|own| own.extensions[0] = certificate_usage()),
        OcspFault::Responder(Fault::KeyUsage)
    );
    let unknown = extension("1.2.3.4", true, b"\x05\x00");
    assert_eq!(
        refused(&|own| own.extensions.push(unknown.clone())),
        OcspFault::Responder(Fault::CriticalExtension)
    );
}

#[test]
fn a_delegate_is_certified_by_the_issuers_key_and_not_only_by_its_name() {
    let world = World::new();
    let impostor = Key::p384();
    let forged = world.responder.sign(&world.responder_key, &impostor);
    let refused = world.fault(|draft| draft.certificates = vec![forged]);
    assert_eq!(refused, OcspFault::Responder(Fault::Signature));
    let by_root = world.responder.sign(&world.responder_key, &world.root_key);
    let refused = world.fault(|draft| draft.certificates = vec![by_root]);
    assert_eq!(refused, OcspFault::Responder(Fault::Signature));
    let refused = world.fault(|draft| draft.certificates = vec![b"\x30\x00".to_vec()]);
    assert!(matches!(refused, OcspFault::Responder(Fault::Syntax { .. })));
    // The certificate at hand, a leaf of the same issuer, is no responder for itself.
    let leaf = world.chain.leaf().der().to_vec();
    let refused = world.fault(|draft| draft.certificates = vec![leaf]);
    assert_eq!(refused, OcspFault::NotAResponder);
}

#[test]
fn who_signed_is_who_is_named() {
    let world = World::new();
    for responder in [
        tlv(0xa1, &name("other")),
        tlv(0xa2, &tlv(0x04, &[1; 20])),
        tlv(0xa2, &tlv(0x04, b"")),
    ] {
        assert_eq!(
            world.fault(|draft| draft.responder = responder),
            OcspFault::ResponderId
        );
    }
    let stranger = world.judge(&world.draft().sign(&Key::p384())).unwrap_err();
    assert_eq!(stranger, OcspFault::Signature);
    for key in [Key::p256(), Key::rsa()] {
        let refused = world.judge(&world.draft().sign(&key)).unwrap_err();
        assert_eq!(refused, OcspFault::Algorithm);
    }
}

#[test]
fn what_is_no_successful_basic_response_is_none() {
    let world = World::new();
    // What NVIDIA's responder answers for a device's first certificate.
    let refused = OcspResponse::parse(b"\x30\x03\x0a\x01\x06").unwrap_err();
    assert_eq!(refused, OcspFault::NoAnswer { status: 6 });
    let sealed = |status, kind: &[u8]| world.draft().seal(&world.responder_key, status, kind);
    let basic = b"\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x01";
    assert_eq!(
        OcspResponse::parse(&sealed(3, basic)).unwrap_err(),
        OcspFault::NoAnswer { status: 3 }
    );
    let other = b"\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x02";
    assert_eq!(
        OcspResponse::parse(&sealed(0, other)).unwrap_err(),
        OcspFault::Type
    );
    let longer = [&sealed(0, basic)[..], b"\0"].concat();
    assert_eq!(OcspResponse::parse(&longer).unwrap_err().id(), "ocsp-syntax");
    let large = vec![0x30; limits::OCSP + 1];
    assert_eq!(OcspResponse::parse(&large).unwrap_err(), OcspFault::TooLarge);
    // The default version, written out.
    let versioned = world.fault(|draft| draft.version = b"\xa0\x03\x02\x01\x00".to_vec());
    assert_eq!(versioned.id(), "ocsp-syntax");
}

#[test]
fn what_is_not_understood_is_refused() {
    let world = World::new();
    let unknown = extension("1.2.3.4", true, b"\x05\x00");
    let refused = world.fault(|draft| draft.extensions = vec![unknown.clone()]);
    assert_eq!(refused, OcspFault::Extension);
    let refused = world.fault(|draft| draft.answers[0].extensions = vec![unknown]);
    assert_eq!(refused, OcspFault::Extension);
    let refused = world.fault(|draft| draft.extensions = vec![nonce(&[1]), nonce(&[1])]);
    assert_eq!(refused, OcspFault::Extension);
    for wrong in [
        nonce(b""),
        nonce(&[1; 129]),
        extension("1.3.6.1.5.5.7.48.1.2", false, b"raw"),
    ] {
        assert_eq!(
            world.fault(|draft| draft.extensions = vec![wrong]),
            OcspFault::Extension
        );
    }
    let mut draft = world.draft();
    draft.extensions = vec![extension("1.3.6.1.5.5.7.48.1.2", true, &tlv(0x04, &[1; 128]))];
    assert_eq!(world.verify(&draft).unwrap().unwrap().nonce().unwrap().len(), 128);
    assert_eq!(draft.answers[0].status, GOOD);
}

#[test]
fn a_time_has_one_form() {
    let world = World::new();
    let good = world.draft().sign(&world.responder_key);
    let written = time(world.draft().produced_at);
    let place = good.windows(17).position(|part| part == written).unwrap();
    let mut local = good.clone();
    local[place + 16] = b'+';
    assert_eq!(
        OcspResponse::parse(&local).unwrap_err(),
        OcspFault::Syntax { offset: place }
    );
}

#[test]
fn every_flipped_bit_and_truncation_is_refused_or_speaks_of_nothing() {
    let world = World::new();
    let mut draft = world.draft();
    draft.extensions = vec![nonce(&[7; 32])];
    let good = draft.sign(&world.responder_key);
    let proven = |der: &[u8]| matches!(world.judge(der), Ok(Some(_)));
    assert!(proven(&good));
    let mut altered = good.clone();
    for bit in 0..good.len() * 8 {
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(!proven(&altered), "bit {bit}");
        altered[bit / 8] ^= 1 << (bit % 8);
    }
    for length in 0..good.len() {
        assert!(OcspResponse::parse(&good[..length]).is_err(), "{length}");
    }
}

#[test]
fn certificates_after_the_first_mean_nothing() {
    let world = World::new();
    let mut draft = world.draft();
    draft.certificates.push(b"\x30\x00".to_vec());
    assert!(world.verify(&draft).unwrap().is_some());
    draft.certificates.swap(0, 1);
    assert!(matches!(
        world.verify(&draft).unwrap_err(),
        OcspFault::Responder(_)
    ));
}

#[test]
fn each_fault_has_a_name_a_text_and_a_hint_of_its_own() {
    let time = AT;
    let all = [
        OcspFault::TooLarge,
        OcspFault::TooMany,
        OcspFault::Syntax { offset: 3 },
        OcspFault::NoAnswer { status: 6 },
        OcspFault::Type,
        OcspFault::Algorithm,
        OcspFault::Extension,
        OcspFault::NoNextUpdate,
        OcspFault::Repeated,
        OcspFault::Responder(Fault::Issuer),
        OcspFault::NotAResponder,
        OcspFault::Revocable,
        OcspFault::ResponderId,
        OcspFault::Signature,
        OcspFault::NotYetValid { from: time },
        OcspFault::Expired { until: time },
        OcspFault::Unknown,
        OcspFault::Revoked {
            since: time,
            reason: RevocationReason::CertificateHold,
        },
    ];
    let ids: std::collections::BTreeSet<_> = all.iter().map(OcspFault::id).collect();
    let texts: std::collections::BTreeSet<_> = all.iter().map(ToString::to_string).collect();
    assert_eq!((ids.len(), texts.len()), (all.len(), all.len()));
    assert!(all.iter().all(|fault| !fault.hint().is_empty()));
    assert_eq!(
        all[17].to_string(),
        format!("revoked since {NOW}: certificateHold")
    );
    let page = include_str!("../../../../docs/platforms/nvidia.md");
    let rows: std::collections::BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `ocsp-")?.split_once('`'))
        .map(|(rest, _)| rest)
        .collect();
    let ids: std::collections::BTreeSet<_> = ids.iter().map(|id| id.strip_prefix("ocsp-").unwrap()).collect();
    assert_eq!(rows, ids);
}

proptest::proptest! {
    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
        let _ = OcspResponse::parse(&bytes);
    }
}
