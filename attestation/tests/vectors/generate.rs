//! Computes the published test vectors, `tests/vectors/*.json` of the repository.
//!
//! Why apart: the example writes them and the test compares, and both must compute the same.
//!
//! # Invariants
//! Deterministic: keys come from stated seeds, and Ed25519 signatures do (RFC 8032).

use anchorhold_attestation::channel::channel_message;
use anchorhold_attestation::identity::IdentityVersion;
use anchorhold_attestation::receipt::{
    ContentHasher, FinishReason, ReceiptVersion, Salt, TimeSource, request_commitment,
};
use anchorhold_attestation::simulated::{LaunchRecord, PUBLIC_KEY, SIGNING_KEY_SEED, SimulatedPlatform};
use anchorhold_attestation::*;
use anchorhold_encoding::{Digest, sha256};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

mod published;

/// Seeds of the vectors' keys, one byte repeated 32 times.
const CHANNEL_SEED: u8 = 2;
const RECEIPT_SEED: u8 = 3;
const RELEASE_SEED: u8 = 4;

const TIME: u64 = 1_800_000_000;

/// File name and content of every vector file.
pub(crate) fn all() -> Vec<(&'static str, String)> {
    let files = [
        ("report-data.json", report_data()),
        ("identity.json", identity_vectors()),
        ("channel.json", channel()),
        ("receipt.json", receipt()),
        ("release.json", release()),
        ("rcar.json", rcar_vectors()),
        ("simulated.json", simulated()),
        ("published.json", published::published()),
    ];
    files
        .into_iter()
        .map(|(name, content)| {
            let text = serde_json::to_string_pretty(&content).expect("vectors are plain JSON");
            (name, text + "\n")
        })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("a seed is any 32 bytes")
}

fn public(seed: u8) -> Digest<32> {
    Digest::from_slice(pair(seed).public_key().as_ref()).expect("an Ed25519 key has 32 bytes")
}

fn sign(seed: u8, message: &[u8]) -> Digest<64> {
    Digest::from_slice(pair(seed).sign(message).as_ref()).expect("a signature has 64 bytes")
}

fn identity() -> IdentityDocument {
    IdentityDocument {
        version: IdentityVersion::V1,
        platform: Platform::InsecureSimulated,
        tls_spki_sha256: Digest::new([0x11; 32]),
        channel_key: public(CHANNEL_SEED),
        receipt_key: public(RECEIPT_SEED),
        model: ModelName {
            name: "démo \"model\"".to_owned(),
            manifest_sha256: Digest::new([0x44; 32]),
        },
        config_sha256: Digest::new([0x55; 32]),
        config_bound_by: ConfigBoundBy::HostData,
        weakened: vec![Weakening::HostTime],
        devices: vec![],
        boot_id: Digest::new([0x66; 16]),
        not_after: Timestamp::from_unix(TIME),
    }
}

fn received() -> ReceivedIdentity {
    ReceivedIdentity::parse(&identity().encode()).expect("the vectors' identity is valid")
}

fn report_data() -> Value {
    let nonce = |index: u8| Nonce::from_random(*sha256(&[&[index]]).as_bytes());
    let device = |leaf: &[u8]| {
        DeviceEvidence::new(
            "gpu".to_owned(),
            leaf.repeat(3),
            vec![leaf.to_vec(), b"issuer".to_vec()],
        )
        .expect("within the limits")
    };
    let mut cases = Vec::new();
    for (size, leaves) in [
        (1, &[][..]),
        (2, &[]),
        (3, &[b"leaf-a".as_slice(), b"leaf-b"]),
        (5, &[]),
        (8, &[b"leaf-c"]),
    ] {
        let nonces: Vec<_> = (0..size).map(nonce).collect();
        let devices: Vec<_> = leaves.iter().map(|leaf| device(leaf)).collect();
        let batch = NonceBatch::collect(nonces.clone()).expect("within the limits");
        let digest = DevicesDigest::of(&devices);
        let identity = received().digest();
        let proofs: Vec<_> = (0..usize::from(size)).map(|index| batch.proof(index)).collect();
        let device = |device: &DeviceEvidence| {
            let certificates: Vec<_> = device.certificates().iter().map(|der| hex(der)).collect();
            json!({"kind": device.kind(), "report": hex(device.report()), "certificates": certificates})
        };
        cases.push(json!({
            "nonces": nonces,
            "identity_sha512": identity,
            "devices": devices.iter().map(device).collect::<Vec<_>>(),
            "root": batch.root(),
            "devices_sha512": digest.digest(),
            "proofs": proofs,
            "report_data": hex(batch.report_data(&identity, &digest).as_bytes()),
            "gpu_nonce": batch.gpu_nonce(&identity),
        }));
    }
    json!({"specification": "docs/report-data.md", "cases": cases})
}

fn identity_vectors() -> Value {
    let text = String::from_utf8(identity().encode()).expect("JSON is UTF-8");
    let refused = json!([
        {"why": "white space", "bytes": text.replacen(':', ": ", 1)},
        {"why": "an unknown member", "bytes": text.replacen('{', "{\"a\":1,", 1)},
        {"why": "members not sorted", "bytes": "{\"version\":\"anchorhold identity v1\",".to_owned()
            + &text[1..].replacen(",\"version\":\"anchorhold identity v1\"", "", 1)},
        {"why": "an escape that need not be", "bytes": text.replacen('é', "\\u00e9", 1)},
        {"why": "upper-case hexadecimal", "bytes": text.replacen("\"boot_id\":\"66", "\"boot_id\":\"6A", 1)},
        {"why": "a repeated weakening", "bytes":
            text.replacen("[\"dangerously_host_time\"]", "[\"dangerously_host_time\",\"dangerously_host_time\"]", 1)},
        {"why": "an empty name", "bytes": text.replacen("démo \\\"model\\\"", "", 1)},
        {"why": "an integer beyond 2^53 - 1", "bytes": text.replacen("1800000000", "9007199254740992", 1)},
    ]);
    json!({
        "specification": "docs/report-data.md",
        "document": text,
        "sha512": received().digest(),
        "refused": refused,
    })
}

fn channel() -> Value {
    let exporter = [0xaa; 32];
    let nonce = Nonce::from_random([0xbb; 32]);
    let identity = received().digest();
    let message = channel_message(&exporter, &nonce, &identity);
    json!({
        "specification": "docs/report-data.md",
        "seed": hex(&[CHANNEL_SEED; 32]),
        "public_key": public(CHANNEL_SEED),
        "exporter": hex(&exporter),
        "nonce": nonce,
        "identity_sha512": identity,
        "message": hex(message.as_bytes()),
        "signature": sign(CHANNEL_SEED, message.as_bytes()),
    })
}

fn receipt() -> Value {
    let salt = || Salt::from_random([0x5a; 32]);
    let request = "{\"messages\":[],\"model\":\"demo\"}";
    let events = [
        "{\"choices\":[{\"delta\":{\"content\":\"Par\"}}]}",
        "{\"choices\":[]}",
    ];
    let mut answer = ContentHasher::answer(&salt());
    for event in events {
        answer.event(event.as_bytes());
    }
    let receipt = Receipt {
        version: ReceiptVersion::V1,
        request_commitment: request_commitment(&salt(), request.as_bytes()),
        answer_commitment: answer.finish(),
        binding_nonce: Digest::new([0xbb; 32]),
        manifest_sha256: Digest::new([0x44; 32]),
        identity_sha512: received().digest(),
        evidence_sha512: Digest::new([0x77; 64]),
        prompt_tokens: 12,
        completion_tokens: 1,
        finish_reason: FinishReason::Stop,
        sequence: 0,
        time: Timestamp::from_unix(TIME),
        time_source: TimeSource::Broker,
    };
    let message = receipt.signing_preimage();
    let signature = sign(RECEIPT_SEED, message.as_bytes());
    // LP(label), 4 + 21 bytes, and the length of the receipt, 4 bytes, come before it.
    let bytes = String::from_utf8(message.as_bytes()[29..].to_vec()).expect("JSON is UTF-8");
    json!({
        "specification": "docs/report-data.md",
        "seed": hex(&[RECEIPT_SEED; 32]),
        "public_key": public(RECEIPT_SEED),
        "salt": hex(&[0x5a; 32]),
        "request": request,
        "answer_events": events,
        "request_commitment": receipt.request_commitment,
        "answer_commitment": receipt.answer_commitment,
        "receipt": bytes,
        "message": hex(message.as_bytes()),
        "signature": signature,
        "text": SignedReceipt::new(receipt, salt(), signature).encode(),
    })
}

fn tee_pubkey() -> Value {
    json!({"kty": "EC", "crv": "P-256", "alg": "ECDH-ES+A256KW", "x": "eHg", "y": "eXk"})
}

fn release() -> Value {
    let body =
        "{\"protected\":\"e30\",\"encrypted_key\":\"AA\",\"iv\":\"AA\",\"ciphertext\":\"AA\",\"tag\":\"AA\"}";
    let statement = ReleaseStatement {
        nonce: [0xcc; 32],
        tee_pubkey_sha256: rcar::tee_pubkey_digest(&tee_pubkey()),
        resource: "default/key/demo".parse().expect("a valid path"),
        key_id: "demo-key".parse().expect("a valid name"),
        manifests: vec![Digest::new([0x43; 32]), Digest::new([0x44; 32])],
        lease: LeaseTerms {
            seconds: 3600,
            tokens: 0,
        },
        broker_time: Timestamp::from_unix(TIME),
        jwe_sha256: sha256(&[body.as_bytes()]),
    };
    let message = statement.signing_preimage();
    let signature = sign(RELEASE_SEED, message.as_bytes());
    json!({
        "specification": "docs/key-release.md",
        "seed": hex(&[RELEASE_SEED; 32]),
        "public_key": public(RELEASE_SEED),
        "nonce": hex(&[0xcc; 32]),
        "tee_pubkey": tee_pubkey(),
        "tee_pubkey_sha256": statement.tee_pubkey_sha256,
        "resource": statement.resource,
        "key_id": statement.key_id,
        "manifests": statement.manifests,
        "lease": statement.lease,
        "broker_time": statement.broker_time,
        "body": body,
        "message": hex(message.as_bytes()),
        "signature": signature,
        "header": statement.into_header(signature).encode(),
    })
}

fn rcar_vectors() -> Value {
    let with_identity = rcar::additional_evidence(&received());
    let nonce = "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=";
    let mut cases = Vec::new();
    for (algorithm, additional) in [
        (HashAlgorithm::Sha384, ""),
        (HashAlgorithm::Sha384, &with_identity),
        (HashAlgorithm::Sha512, &with_identity),
    ] {
        let data = rcar::primary_report_data(additional, nonce, &tee_pubkey(), algorithm);
        cases.push(json!({
            "algorithm": algorithm,
            "additional_evidence": additional,
            "nonce": nonce,
            "tee_pubkey": tee_pubkey(),
            "report_data": hex(data.as_bytes()),
        }));
    }
    json!({"specification": "docs/report-data.md", "cases": cases})
}

fn simulated() -> Value {
    let batch = NonceBatch::collect(vec![Nonce::from_random([0x99; 32])]).expect("within the limits");
    let data = batch.report_data(&received().digest(), &DevicesDigest::of(&[]));
    let record = LaunchRecord {
        measurement: Digest::new([0x77; 48]),
        host_data: Digest::new([0x55; 32]),
    };
    let mut cases = Vec::new();
    for (debug, tcb) in [(false, 1), (true, 0x0102_0304_0506_0708)] {
        let mut machine = SimulatedPlatform::launched(&record);
        machine.debug = debug;
        machine.tcb = tcb;
        machine.chip_id = Digest::new([0x88; 32]);
        cases.push(json!({
            "debug": debug,
            "tcb": format!("{tcb:016x}"),
            "measurement": machine.measurement,
            "host_data": machine.host_data,
            "report_data": hex(data.as_bytes()),
            "chip_id": machine.chip_id,
            "report": hex(&machine.report(&data)),
        }));
    }
    json!({
        "specification": "docs/report-data.md",
        "seed": hex(&SIGNING_KEY_SEED),
        "public_key": PUBLIC_KEY,
        "launch_record": {
            "measurement": record.measurement,
            "host_data": record.host_data,
            "bytes": hex(&record.encode()),
        },
        "cases": cases,
    })
}
