//! A publisher, a log and a witness for tests, with keys of stated seeds.
//!
//! Why apart: tests of every part need a log that is in order before they spoil it.
//!
//! # Invariants
//! Deterministic: Ed25519 signatures are (RFC 8032).

use anchorhold_encoding::{Digest, tree};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

use super::bundle::{Bundle, Consistency};
use super::checkpoint::Checkpoint;
use super::note::{LogKey, WitnessKey};
use super::proof::proof_text;
use super::statement::{PublisherSignature, RevokedList, SignedStatement, Statement, StatementVersion};
use super::trust::{PublisherTrust, TrustSettings};
use crate::reference::ReferenceValue;
use crate::time::Timestamp;

pub(super) const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
pub(super) const PUBLISHERS: [u8; 3] = [11, 12, 13];
pub(super) const LOG: u8 = 21;
pub(super) const WITNESSES: [u8; 2] = [31, 32];

pub(super) fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

pub(super) fn public(seed: u8) -> Digest<32> {
    Digest::from_slice(pair(seed).public_key().as_ref()).unwrap()
}

pub(super) fn sign(seed: u8, message: &[u8]) -> Digest<64> {
    Digest::from_slice(pair(seed).sign(message).as_ref()).unwrap()
}

pub(super) fn log_key() -> LogKey {
    LogKey::new("log.example/reference".parse().unwrap(), public(LOG))
}

pub(super) fn witness_key(seed: u8) -> WitnessKey {
    WitnessKey::new(format!("witness.example/{seed}").parse().unwrap(), public(seed))
}

/// Two of three publishers and one of two witnesses.
pub(super) fn settings() -> TrustSettings {
    TrustSettings {
        line: "enclave".parse().unwrap(),
        publishers: PUBLISHERS.map(public).to_vec(),
        publisher_threshold: 2,
        log: log_key(),
        witnesses: WITNESSES.map(witness_key).to_vec(),
        witness_threshold: 1,
    }
}

pub(super) fn trust() -> PublisherTrust {
    PublisherTrust::new(settings()).unwrap()
}

/// A reference value of this measurement.
pub(super) fn value(measurement: u8) -> ReferenceValue {
    serde_json::from_value(serde_json::json!({
        "name": "enclave",
        "platform": "insecure-simulated",
        "measurement": Digest::new([measurement; 48]),
        "minimum_tcb": 1,
    }))
    .unwrap()
}

pub(super) fn statement(serial: u64) -> Statement {
    Statement {
        line: "enclave".parse().unwrap(),
        not_after: NOW.plus(1000),
        not_before: NOW,
        reference_values: vec![value(1), value(2)],
        revoked: RevokedList::default(),
        serial,
        version: StatementVersion::V1,
    }
}

pub(super) fn signatures(statement: &Statement, seeds: &[u8]) -> Vec<PublisherSignature> {
    let message = statement.message();
    let mut signatures: Vec<PublisherSignature> = seeds
        .iter()
        .map(|seed| PublisherSignature {
            key: public(*seed),
            signature: sign(*seed, &message),
        })
        .collect();
    signatures.sort();
    signatures
}

pub(super) fn signed(statement: &Statement, seeds: &[u8]) -> SignedStatement {
    SignedStatement::new(statement.clone(), signatures(statement, seeds)).unwrap()
}

/// A log of entries, which does whatever a test wants.
#[derive(Clone, Default)]
pub(super) struct Log(pub(super) Vec<Digest<32>>);

impl Log {
    /// A log with `before` entries of somebody else.
    pub(super) fn with(before: u8) -> Self {
        Self((0..before).map(|index| tree::leaf(&[index])).collect())
    }

    pub(super) fn append(&mut self, signed: &SignedStatement) -> usize {
        self.0.push(signed.leaf());
        self.0.len() - 1
    }

    pub(super) fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            origin: log_key().name().clone(),
            size: self.0.len() as u64,
            root: tree::root(&self.0),
        }
    }

    pub(super) fn note(&self, witnesses: &[u8]) -> String {
        note(&self.checkpoint(), witnesses)
    }

    pub(super) fn consistency(&self, size: usize) -> Consistency {
        Consistency {
            path: tree::consistency_path(&self.0, size).unwrap(),
            root: tree::root(&self.0[..size]),
            size: size as u64,
        }
    }

    /// The bundle of the entry at `index`, with proofs of growth from `sizes`.
    pub(super) fn bundle(
        &self,
        signed: &SignedStatement,
        index: usize,
        witnesses: &[u8],
        sizes: &[usize],
    ) -> Vec<u8> {
        let path = tree::inclusion_path(&self.0, index).unwrap();
        let proof = proof_text(index as u64, &path, &self.note(witnesses));
        let consistency = sizes.iter().map(|size| self.consistency(*size)).collect();
        Bundle::new(signed, proof, consistency).encode()
    }
}

/// A checkpoint signed by the log and cosigned by witnesses of these seeds, now.
pub(super) fn note(checkpoint: &Checkpoint, witnesses: &[u8]) -> String {
    let text = checkpoint.text();
    let mut note = format!(
        "{text}\n{}",
        log_key().line(sign(LOG, text.as_bytes()).as_bytes())
    );
    for seed in witnesses {
        note.push_str(&cosignature(checkpoint, *seed, NOW));
    }
    note
}

pub(super) fn cosignature(checkpoint: &Checkpoint, seed: u8, time: Timestamp) -> String {
    let signature = sign(seed, &checkpoint.cosigned(time));
    let bytes = [time.unix().to_be_bytes().as_slice(), signature.as_bytes()].concat();
    witness_key(seed).line(&bytes)
}

/// A bundle, its parts, and what a reader keeps and trusts, for the targets of `fuzz/`.
pub(crate) fn seeds() -> Vec<crate::seeds::Seed> {
    let signed = signed(&statement(7), &PUBLISHERS);
    let mut log = Log::with(3);
    let index = log.append(&signed);
    let bundle = log.bundle(&signed, index, &WITNESSES, &[3]);
    let proof = Bundle::parse(&bundle).unwrap().proof().to_owned();
    vec![
        ("published", bundle),
        ("published", signed.encode()),
        ("log-text", proof.into_bytes()),
        ("log-text", log.note(&WITNESSES).into_bytes()),
    ]
}
