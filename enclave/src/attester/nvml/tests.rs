//! What GPUs hand over, by a library that stands in for NVIDIA's.

use std::sync::{Arc, Mutex};

use super::*;

/// A certificate of three bytes, as PEM.
fn pem(byte: u8) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode([byte; 3]);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

struct Fake {
    confidential: Result<bool, Fault>,
    count: Arc<Mutex<Result<u32, Fault>>>,
    fails: Option<u32>,
    nonce: Option<[u8; 32]>,
    certificates: fn(u32) -> String,
}

fn fake(count: u32) -> Fake {
    Fake {
        confidential: Ok(true),
        count: Arc::new(Mutex::new(Ok(count))),
        fails: None,
        nonce: None,
        certificates: |gpu| pem(u8::try_from(gpu).unwrap()) + &pem(0xee),
    }
}

impl Library for Fake {
    fn confidential(&self) -> Result<bool, Fault> {
        self.confidential
    }

    fn count(&self) -> Result<u32, Fault> {
        *self.count.lock().unwrap()
    }

    fn report(&self, gpu: u32, nonce: &[u8; 32]) -> Result<Vec<u8>, Fault> {
        if self.fails == Some(gpu) {
            return Err(Fault::Busy);
        }
        let nonce = self.nonce.as_ref().unwrap_or(nonce);
        Ok([[0x11, 0xe0, 1, 0xff].as_slice(), nonce, &[0, 1, 2]].concat())
    }

    fn certificates(&self, gpu: u32) -> Result<Vec<u8>, Fault> {
        Ok((self.certificates)(gpu).into_bytes())
    }
}

const NONCE: Digest<32> = Digest::new([5; 32]);

fn collect(fake: Fake) -> Result<Vec<DeviceEvidence>, AttesterError> {
    Gpus::new(Box::new(fake)).unwrap().collect(&NONCE)
}

fn refused(fake: Fake) -> Fault {
    match collect(fake).err().unwrap() {
        AttesterError::Interface {
            interface: Interface::Nvml,
            fault,
        } => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_gpu_answers_the_same_nonce() {
    let evidence = collect(fake(8)).unwrap();
    assert_eq!(evidence.len(), 8);
    let mut leaves = std::collections::BTreeSet::new();
    for device in &evidence {
        assert_eq!(device.report()[4..36], [5; 32]);
        assert_eq!(device.certificates()[1], [0xee; 3]);
        leaves.insert(device.leaf_digest());
    }
    assert_eq!(leaves.len(), 8);
}

#[test]
fn one_gpu_without_evidence_is_no_evidence() {
    assert_eq!(
        refused(Fake {
            fails: Some(7),
            ..fake(8)
        }),
        Fault::Busy
    );
    assert_eq!(
        refused(Fake {
            nonce: Some([6; 32]),
            ..fake(1)
        }),
        Fault::Stale
    );
}

#[test]
fn machines_that_cannot_are_refused_at_the_start() {
    let new = |fake: Fake| Gpus::new(Box::new(fake)).err();
    assert_eq!(new(fake(0)), Some(AttesterError::NoDevices));
    assert_eq!(new(fake(16)), None);
    assert_eq!(new(fake(17)), Some(nvml(Fault::TooLarge)));
    let off = Fake {
        confidential: Ok(false),
        ..fake(1)
    };
    assert_eq!(new(off), Some(nvml(Fault::Unsupported)));
    let old = Fake {
        confidential: Err(Fault::Refused),
        ..fake(1)
    };
    assert_eq!(new(old), Some(nvml(Fault::Refused)));
}

#[test]
fn gpus_that_went_away_are_missed() {
    let machine = fake(1);
    let count = Arc::clone(&machine.count);
    let gpus = Gpus::new(Box::new(machine)).unwrap();
    *count.lock().unwrap() = Ok(0);
    assert_eq!(gpus.collect(&NONCE).err(), Some(AttesterError::NoDevices));
    *count.lock().unwrap() = Ok(u32::MAX);
    assert_eq!(gpus.collect(&NONCE).err(), Some(nvml(Fault::TooLarge)));
}

#[test]
fn certificates_are_pem_within_limits() {
    let many = |_: u32| pem(1).repeat(8);
    assert_eq!(
        collect(Fake {
            certificates: many,
            ..fake(1)
        })
        .unwrap()[0]
            .certificates()
            .len(),
        8
    );
    let more = |_: u32| pem(1).repeat(9);
    assert_eq!(
        refused(Fake {
            certificates: more,
            ..fake(1)
        }),
        Fault::TooLarge
    );
    let none: [fn(u32) -> String; 3] = [
        |_| String::new(),
        |_| "no certificate".to_owned(),
        |_| pem(1).replace("END", "FIN"),
    ];
    for certificates in none {
        assert_eq!(
            refused(Fake {
                certificates,
                ..fake(1)
            }),
            Fault::Malformed
        );
    }
    // NVML's text may end in a zero byte.
    let ended = |_: u32| pem(1) + "\0";
    assert_eq!(
        collect(Fake {
            certificates: ended,
            ..fake(1)
        })
        .unwrap()[0]
            .certificates(),
        [[1; 3]]
    );
}
