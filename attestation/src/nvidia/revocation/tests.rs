//! Answers about a device, and about a RIM's signer, under a fake authority.

use super::*;
use crate::nvidia::fixture::{
    AT, Chain, FIRMWARE, NONCE, RimDraft, anchors, device_anchors, device_chain, gpu_fields, gpu_report,
    rim_chain,
};
use crate::nvidia::{VerifiedDevice, VerifiedRim, rim_certificates, verify_device, verify_rim};
use crate::x509::forge::ocsp::{AnswerDraft, OcspDraft, UNKNOWN, responder, revoked};
use crate::x509::forge::{Key, NOW};
use crate::x509::{Fault, RevocationReason};

/// A device, its DER, its report, and a responder's key for each of its issuers.
struct Machine {
    chain: Chain,
    der: Vec<Vec<u8>>,
    report: Vec<u8>,
    responder: Key,
}

impl Machine {
    fn new() -> Self {
        let chain = device_chain("GH100").numbered();
        let mut fields = gpu_fields();
        fields.push((20, FIRMWARE.to_vec()));
        Self {
            der: chain.der(),
            report: gpu_report(&fields, chain.leaf_key()),
            responder: Key::p384(),
            chain,
        }
    }

    /// The draft of the answer for a link; 0 is the leaf.
    fn answer(&self, link: usize) -> AnswerDraft {
        let place = 4 - link;
        AnswerDraft::good(&self.chain.drafts[place], &self.chain.keys[place - 1])
    }

    /// A response of the responder that a link's issuer made.
    fn response(&self, link: usize, change: impl FnOnce(&mut AnswerDraft)) -> Vec<u8> {
        self.chain.answer(&self.responder, link, change)
    }

    fn good(&self) -> Vec<Vec<u8>> {
        ANSWERED_FOR.map(|link| self.response(link, |_| {})).to_vec()
    }

    fn verify(&self, responses: &[Vec<u8>]) -> Result<VerifiedDevice, DeviceError> {
        let responses: Vec<&[u8]> = responses.iter().map(Vec::as_slice).collect();
        let anchors = device_anchors(&self.der);
        verify_device(&self.report, &self.der, &NONCE, &responses, &anchors, AT)
    }

    fn answered(&self, responses: &[Vec<u8>]) -> usize {
        match self.verify(responses).unwrap().revocation() {
            Revocation::NotChecked { answered } => *answered,
            Revocation::NotRevoked(answers) => panic!("{answers:?}"),
        }
    }
}

#[test]
fn a_device_is_not_revoked_when_all_that_nvidia_answers_for_is_answered() {
    let machine = Machine::new();
    let mut responses = machine.good();
    responses.reverse();
    let device = machine.verify(&responses).unwrap();
    let Revocation::NotRevoked(answers) = device.revocation() else {
        panic!();
    };
    let links: Vec<_> = answers.each().iter().map(VerifiedOcsp::link).collect();
    assert_eq!(links, ANSWERED_FOR);
    assert!(
        answers
            .each()
            .iter()
            .all(|one| one.this_update() < AT && AT < one.next_update())
    );
    assert_eq!(device.expires(), answers.expires());
    assert!(device.expires().unix() < NOW + 24 * 60 * 60);
}

#[test]
fn too_few_answers_are_counted_and_are_no_check() {
    let machine = Machine::new();
    assert_eq!(machine.answered(&[]), 0);
    let good = machine.good();
    for one in &good {
        assert_eq!(machine.answered(std::slice::from_ref(one)), 1);
    }
    assert_eq!(machine.answered(&good[1..]), 2);
    assert_eq!(machine.answered(&[good[0].clone(), good[0].clone()]), 1);
    // Another machine's come along and say nothing of this one.
    let others = Machine::new().good();
    assert_eq!(machine.answered(&others), 0);
    let together = [others, machine.good()].concat();
    let device = machine.verify(&together).unwrap();
    assert!(matches!(device.revocation(), Revocation::NotRevoked(_)));
    let unchecked = machine.verify(&[]).unwrap();
    assert!(unchecked.expires() > device.expires());
}

#[test]
fn one_revoked_certificate_is_enough() {
    let machine = Machine::new();
    for (place, link) in ANSWERED_FOR.into_iter().enumerate() {
        for (code, reason) in [
            (1, RevocationReason::KeyCompromise),
            (6, RevocationReason::CertificateHold),
        ] {
            let mut responses = machine.good();
            responses[place] = machine.response(link, |answer| answer.status = revoked(NOW - 5, Some(code)));
            let since = Timestamp::from_unix(NOW - 5);
            let error = machine.verify(&responses).unwrap_err();
            assert_eq!(error, DeviceError::Revoked { link, since, reason });
            assert_eq!(error.hint().contains("hold"), code == 6);
            // A good answer beside it does not help, and neither do missing ones.
            responses.extend(machine.good());
            assert_eq!(machine.verify(&responses).unwrap_err().id(), "nvidia-revoked");
            let alone = [responses[place].clone()];
            assert_eq!(machine.verify(&alone).unwrap_err().id(), "nvidia-revoked");
        }
    }
}

#[test]
fn what_speaks_of_the_device_must_hold() {
    let machine = Machine::new();
    let refused = |place: usize, response: Vec<u8>, fault: OcspFault| {
        let mut responses = machine.good();
        responses[place] = response;
        let error = machine.verify(&responses).unwrap_err();
        assert_eq!(
            error,
            DeviceError::Ocsp {
                response: place,
                fault
            }
        );
    };
    let until = Timestamp::from_unix(NOW - 1);
    let stale = machine.response(2, |answer| answer.next_update = Some(NOW - 1));
    refused(1, stale, OcspFault::Expired { until });
    let unknown = machine.response(3, |answer| answer.status = UNKNOWN.to_vec());
    refused(2, unknown, OcspFault::Unknown);
    refused(
        0,
        b"\x30\x03\x0a\x01\x06".to_vec(),
        OcspFault::NoAnswer { status: 6 },
    );
    // The provisioner's responder answers for the provisioner itself, which the family has to.
    let certificate = responder("2").sign(&machine.responder, &machine.chain.keys[2]);
    let draft = OcspDraft::delegated(vec![machine.answer(2)], &machine.responder, certificate);
    let own = draft.sign(&machine.responder);
    refused(1, own, OcspFault::Responder(Fault::Issuer));
    let many = vec![machine.good()[0].clone(); limits::OCSP_RESPONSES + 1];
    assert_eq!(
        machine.verify(&many).unwrap_err(),
        DeviceError::Ocsp {
            response: limits::OCSP_RESPONSES,
            fault: OcspFault::TooMany,
        }
    );
}

#[test]
fn of_two_good_answers_the_later_counts() {
    let machine = Machine::new();
    let early = machine.response(1, |answer| answer.this_update = NOW - 100_000);
    for order in [[0, 1], [1, 0]] {
        let pair = [early.clone(), machine.good()[0].clone()];
        let responses: Vec<_> = order
            .map(|which| pair[which].clone())
            .into_iter()
            .chain(machine.good().into_iter().skip(1))
            .collect();
        let device = machine.verify(&responses).unwrap();
        let Revocation::NotRevoked(answers) = device.revocation() else {
            panic!();
        };
        assert!(answers.each()[0].this_update().unix() > NOW - 100_000);
    }
}

/// A RIM, who signed it, and who answers for them.
struct Signer {
    chain: Chain,
    der: Vec<Vec<u8>>,
    rim: String,
    responder: Key,
}

impl Signer {
    fn new() -> Self {
        let chain = rim_chain().numbered();
        let der = chain.der();
        Self {
            rim: RimDraft::gpu("545.00", &[7]).sign(&der, chain.leaf_key()),
            der,
            chain,
            responder: Key::p384(),
        }
    }

    fn response(&self, link: usize, change: impl FnOnce(&mut AnswerDraft)) -> Vec<u8> {
        self.chain.answer(&self.responder, link, change)
    }

    fn good(&self) -> Vec<Vec<u8>> {
        SIGNER_ANSWERED_FOR
            .map(|link| self.response(link, |_| {}))
            .to_vec()
    }

    fn verify(&self, responses: &[Vec<u8>]) -> Result<VerifiedRim, RimError> {
        let responses: Vec<&[u8]> = responses.iter().map(Vec::as_slice).collect();
        let anchors = anchors(&device_chain("GH100").der(), &self.der);
        verify_rim(self.rim.as_bytes(), &responses, &anchors, AT)
    }
}

#[test]
fn a_signer_is_not_revoked_when_all_that_nvidia_answers_for_is_answered() {
    let signer = Signer::new();
    let unchecked = signer.verify(&[]).unwrap();
    assert!(matches!(
        unchecked.revocation(),
        Revocation::NotChecked { answered: 0 }
    ));
    let mut responses = signer.good();
    responses.reverse();
    // A device's answers come along and say nothing of a signer, and the other way round.
    responses.extend(Machine::new().good());
    let rim = signer.verify(&responses).unwrap();
    let Revocation::NotRevoked(answers) = rim.revocation() else {
        panic!();
    };
    let links: Vec<_> = answers.each().iter().map(VerifiedOcsp::link).collect();
    assert_eq!(links, SIGNER_ANSWERED_FOR);
    assert_eq!(rim.expires(), answers.expires());
    assert!(rim.expires() < unchecked.expires());
    for left_out in 0..SIGNER_ANSWERED_FOR.len() {
        let mut few = signer.good();
        few.remove(left_out);
        let rim = signer.verify(&few).unwrap();
        assert!(matches!(rim.revocation(), Revocation::NotChecked { answered: 2 }));
        assert!(!rim.revocation().is_checked());
    }
    let machine = Machine::new();
    assert_eq!(machine.answered(&signer.good()), 0);
    assert_eq!(rim_certificates(signer.rim.as_bytes()).unwrap(), signer.der);
    assert!(rim_certificates(b"<no-rim/>").is_err());
}

#[test]
fn a_revoked_signer_refuses_its_rim_whatever_else_came() {
    let signer = Signer::new();
    for (place, link) in SIGNER_ANSWERED_FOR.into_iter().enumerate() {
        for (code, reason) in [
            (1, RevocationReason::KeyCompromise),
            (6, RevocationReason::CertificateHold),
        ] {
            let revoking = signer.response(link, |answer| answer.status = revoked(NOW - 5, Some(code)));
            let since = Timestamp::from_unix(NOW - 5);
            let mut responses = signer.good();
            responses[place] = revoking.clone();
            let error = signer.verify(&responses).unwrap_err();
            assert_eq!(error, RimError::Revoked { link, since, reason });
            assert_eq!(error.id(), "nvidia-rim-revoked");
            responses.extend(signer.good());
            assert_eq!(signer.verify(&responses).unwrap_err(), error);
            assert_eq!(signer.verify(&[revoking]).unwrap_err(), error);
        }
    }
}

#[test]
fn what_speaks_of_a_signer_must_hold() {
    let signer = Signer::new();
    let until = Timestamp::from_unix(NOW - 1);
    let stale = signer.response(1, |answer| answer.next_update = Some(NOW - 1));
    let unknown = signer.response(0, |answer| answer.status = UNKNOWN.to_vec());
    // The signer's authority answers for itself, which the family's has to.
    let certificate = responder("2").sign(&signer.responder, &signer.chain.keys[2]);
    let about = AnswerDraft::good(&signer.chain.drafts[2], &signer.chain.keys[1]);
    let own = OcspDraft::delegated(vec![about], &signer.responder, certificate).sign(&signer.responder);
    for (response, fault) in [
        (stale, OcspFault::Expired { until }),
        (unknown, OcspFault::Unknown),
        (own, OcspFault::Responder(Fault::Issuer)),
        (vec![0x30], OcspFault::Syntax { offset: 0 }),
    ] {
        let mut responses = signer.good();
        responses.push(response);
        let error = signer.verify(&responses).unwrap_err();
        let response = 3;
        let RimError::Ocsp {
            response: at,
            fault: found,
        } = error
        else {
            panic!("{error}")
        };
        assert_eq!(at, response);
        match fault {
            OcspFault::Syntax { .. } => assert!(matches!(found, OcspFault::Syntax { .. })),
            fault => assert_eq!(found, fault),
        }
        assert_eq!((error.id(), error.hint()), ("nvidia-rim-ocsp", found.hint()));
    }
}
