//! The vector of published reference values: two publishers, a log, a witness, one bundle.
//!
//! # Invariants
//! Everything a reader needs is in it, and everything in between, so that another implementation can see where it
//! differs.

use anchorhold_attestation::Timestamp;
use anchorhold_attestation::published::bundle::Consistency;
use anchorhold_attestation::published::proof::proof_text;
use anchorhold_attestation::published::statement::{PublisherSignature, RevokedList, StatementVersion};
use anchorhold_attestation::published::{
    Bundle, Checkpoint, LogKey, PublisherTrust, SignedStatement, Statement, TrustSettings, WitnessKey,
};
use anchorhold_encoding::{Digest, tree};
use serde_json::{Value, json};

use super::{TIME, hex, public, sign};

/// Seeds of the vector's keys, one byte repeated 32 times.
const PUBLISHERS: [u8; 2] = [11, 12];
const LOG: u8 = 21;
const WITNESS: u8 = 31;

/// Entries of others before this one: the bytes `other entry 0` to `other entry 4`.
const BEFORE: usize = 5;

fn statement() -> Statement {
    let value = |measurement: u8| {
        serde_json::from_value(json!({
            "name": "enclave",
            "platform": "insecure-simulated",
            "measurement": Digest::new([measurement; 48]),
            "minimum_tcb": 1,
        }))
        .expect("a reference value of the simulated platform")
    };
    Statement {
        line: "enclave".parse().expect("a line"),
        not_after: Timestamp::from_unix(TIME).plus(90 * 24 * 60 * 60),
        not_before: Timestamp::from_unix(TIME),
        reference_values: vec![value(0x77), value(0x78)],
        revoked: RevokedList {
            measurements: vec![Digest::new([0x78; 48]).to_string().parse().expect("a digest")],
            statements: vec![Digest::new([0x79; 32])],
        },
        serial: 7,
        version: StatementVersion::V1,
    }
}

pub(super) fn published() -> Value {
    let statement = statement();
    let message = statement.message();
    let mut signatures = PUBLISHERS.map(|seed| PublisherSignature {
        key: public(seed),
        signature: sign(seed, &message),
    });
    signatures.sort();
    let signed = SignedStatement::new(statement.clone(), signatures.to_vec()).expect("it holds");

    let mut leaves: Vec<Digest<32>> = (0..BEFORE)
        .map(|index| tree::leaf(format!("other entry {index}").as_bytes()))
        .collect();
    leaves.push(signed.leaf());
    let log = LogKey::new("log.example/reference".parse().expect("a name"), public(LOG));
    let witness = WitnessKey::new("witness.example/1".parse().expect("a name"), public(WITNESS));
    let checkpoint = Checkpoint {
        origin: log.name().clone(),
        size: leaves.len() as u64,
        root: tree::root(&leaves),
    };
    let text = checkpoint.text();
    let time = Timestamp::from_unix(TIME + 60);
    let cosigned = checkpoint.cosigned(time);
    let cosignature = [
        time.unix().to_be_bytes().as_slice(),
        sign(WITNESS, &cosigned).as_bytes(),
    ]
    .concat();
    let note = format!(
        "{text}\n{}{}",
        log.line(sign(LOG, text.as_bytes()).as_bytes()),
        witness.line(&cosignature)
    );
    let path = tree::inclusion_path(&leaves, BEFORE).expect("the entry is there");
    let consistency = [3, 4].map(|size| Consistency {
        path: tree::consistency_path(&leaves, size).expect("a smaller tree"),
        root: tree::root(&leaves[..size]),
        size: size as u64,
    });
    let bundle = Bundle::new(
        &signed,
        proof_text(BEFORE as u64, &path, &note),
        consistency.to_vec(),
    );
    let trust = PublisherTrust::new(TrustSettings {
        line: statement.line.clone(),
        publishers: PUBLISHERS.map(public).to_vec(),
        publisher_threshold: 2,
        log: log.clone(),
        witnesses: vec![witness.clone()],
        witness_threshold: 1,
    })
    .expect("a trust");
    json!({
        "now": TIME + 120,
        "trust": trust.settings(),
        "seeds": { "publishers": PUBLISHERS, "log": LOG, "witness": WITNESS },
        "log_key_id": log.id(),
        "log_public_key": log.key(),
        "witness_key_id": witness.id(),
        "witness_public_key": witness.key(),
        "statement": String::from_utf8(statement.encode()).expect("JSON is UTF-8"),
        "statement_sha256": statement.digest(),
        "message": hex(&message),
        "entry": String::from_utf8(signed.encode()).expect("JSON is UTF-8"),
        "leaves": leaves,
        "checkpoint": text,
        "cosigned_message": String::from_utf8(cosigned).expect("it is text"),
        "bundle": String::from_utf8(bundle.encode()).expect("JSON is UTF-8"),
        "accepted_measurements": [Digest::new([0x77; 48])],
    })
}
