//! Every form in which evidence comes, and what is said about it.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::*;

/// Bytes that look like a report of version 3.
fn report() -> Vec<u8> {
    let mut bytes = vec![0xa5; 1184];
    bytes[..4].copy_from_slice(&3_u32.to_le_bytes());
    bytes[0x34..0x38].copy_from_slice(&1_u32.to_le_bytes());
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The one piece in `bytes`, and what was said about it.
fn one(bytes: &[u8]) -> (Piece, String) {
    let peeled = peel("file", bytes);
    assert_eq!(peeled.pieces.len(), 1, "{peeled:?}");
    (peeled.pieces[0].clone(), peeled.said[0].clone())
}

#[test]
fn every_form_gives_the_same_bytes_and_is_announced() {
    const NAME: &str = "SEV-SNP attestation report, version 3, 1184 bytes";
    let report = report();
    let wrapped = hex(&report)
        .as_bytes()
        .chunks(64)
        .map(|line| format!("{}\n", std::str::from_utf8(line).unwrap()))
        .collect::<String>();
    let answer = [&[0, 0, 0, 0, 0xa0, 4, 0, 0][..], &[0; 24], &report, &[0; 64]].concat();
    let numbers = serde_json::to_string(&report).unwrap();
    let base64 = STANDARD.encode(&report);
    let forms: Vec<(Vec<u8>, String)> = vec![
        (report.clone(), format!("file: {NAME}")),
        (hex(&report).into_bytes(), format!("file: hexadecimal -> {NAME}")),
        (
            format!("0x{}\n", hex(&report)).into_bytes(),
            format!("file: hexadecimal -> {NAME}"),
        ),
        (wrapped.into_bytes(), format!("file: hexadecimal -> {NAME}")),
        (base64.clone().into_bytes(), format!("file: base64 -> {NAME}")),
        (
            URL_SAFE_NO_PAD.encode(&report).into_bytes(),
            format!("file: base64url -> {NAME}"),
        ),
        (gzip(&report), format!("file: gzip -> {NAME}")),
        (
            STANDARD.encode(gzip(hex(&report).as_bytes())).into_bytes(),
            format!("file: base64 -> gzip -> hexadecimal -> {NAME}"),
        ),
        (answer, format!("file: answer of the guest device -> {NAME}")),
        (
            format!(r#"{{"provider":"sev_guest","outblob":"{base64}"}}"#).into_bytes(),
            format!("file at /outblob: JSON -> text -> base64 -> {NAME}"),
        ),
        (
            format!(r#"{{"report":{numbers}}}"#).into_bytes(),
            format!("file at /report: JSON -> array of bytes -> {NAME}"),
        ),
    ];
    for (bytes, said) in forms {
        let (piece, told) = one(&bytes);
        assert_eq!(told, said.replace("base64url", &told_alphabet(&told)), "{told}");
        assert_eq!((piece.kind, piece.bytes), (Kind::SnpReport, report.clone()));
    }
}

/// Text without `-` and `_` is of both alphabets.
fn told_alphabet(told: &str) -> String {
    match told.contains("base64url") {
        true => "base64url".to_owned(),
        false => "base64".to_owned(),
    }
}

#[test]
fn pem_and_json_hold_several_pieces_each_with_its_place() {
    let certificate = [&[0x30, 0x82, 1, 0, 0x30, 0x82, 0, 0xf0, 0xa0, 3][..], &[7; 40]].concat();
    let list = [
        &[0x30, 0x82, 1, 0, 0x30, 0x82, 0, 0xf0, 2, 1, 1, 0x30][..],
        &[7; 40],
    ]
    .concat();
    let block = |label: &str, der: &[u8]| {
        format!(
            "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
            STANDARD.encode(der)
        )
    };
    let text = format!(
        "subject=/CN=SEV-VCEK\n{}{}",
        block("CERTIFICATE", &certificate),
        block("X509 CRL", &list)
    );
    let peeled = peel("chain.pem", text.as_bytes());
    let kinds: Vec<Kind> = peeled.pieces.iter().map(|piece| piece.kind).collect();
    assert_eq!(kinds, [Kind::Certificate, Kind::RevocationList]);
    assert_eq!(peeled.said[0], "chain.pem: PEM -> X.509 certificate, 50 bytes");
    assert_eq!(one(&certificate).0.kind, Kind::Certificate);
    assert_eq!(one(&list).0.kind, Kind::RevocationList);

    let gpu = [&[0x11, 0xe0][..], &[1; 35], &[0x11, 0x60], &[1; 200]].concat();
    let json = serde_json::json!({"device_evidence_list": [{
        "arch": "HOPPER",
        "evidence": STANDARD.encode(&gpu),
        "certificate": STANDARD.encode(block("CERTIFICATE", &certificate)),
        "nonce": hex(&[5; 32]),
    }]});
    let peeled = peel("gpu.json", json.to_string().as_bytes());
    let mut found: Vec<(Kind, &str)> = peeled
        .pieces
        .iter()
        .map(|piece| (piece.kind, piece.path.as_str()))
        .collect();
    found.sort_by_key(|(_, path)| *path);
    assert_eq!(
        found,
        [
            (Kind::Certificate, "/device_evidence_list/0/certificate"),
            (Kind::NvidiaReport, "/device_evidence_list/0/evidence"),
            (Kind::NvidiaNonce, "/device_evidence_list/0/nonce"),
        ]
    );
}

#[test]
fn a_tpm_quote_taken_apart_is_put_together() {
    let message = [b"\xffTCG".as_slice(), &[0x80, 0x18], &[1; 100]].concat();
    let json = serde_json::json!({"tpm_quote": {
        "message": hex(&message),
        "signature": hex(&[9; 256]),
        "pcrs": vec![hex(&[3; 32]); 24],
    }});
    let peeled = peel("evidence.json", json.to_string().as_bytes());
    let part = |kind| peeled.pieces.iter().find(|piece| piece.kind == kind).unwrap();
    assert_eq!(part(Kind::TpmMessage).bytes, message);
    assert_eq!(part(Kind::TpmSignature).bytes[..6], [0, 0x14, 0, 0x0b, 1, 0]);
    assert_eq!(part(Kind::TpmSignature).bytes.len(), 262);
    assert_eq!(part(Kind::TpmValues).bytes, [3; 32 * 24]);
}

#[test]
fn a_report_taken_apart_is_put_together() {
    let tcb = serde_json::json!({"fmc": null, "bootloader": 4, "tee": 1, "snp": 23, "microcode": 213});
    let version = serde_json::json!({"major": 1, "minor": 55, "build": 3});
    let json = serde_json::json!({"attestation_report": {
        "version": 3, "guest_svn": 7, "policy": 0x3001f, "family_id": vec![1; 16], "image_id": vec![2; 16],
        "vmpl": 0, "sig_algo": 1, "current_tcb": tcb, "plat_info": 0x25, "key_info": 4,
        "report_data": vec![3; 64], "measurement": vec![4; 48], "host_data": vec![5; 32],
        "id_key_digest": vec![6; 48], "author_key_digest": vec![7; 48], "report_id": vec![8; 32],
        "report_id_ma": vec![9; 32], "reported_tcb": tcb, "cpuid_fam_id": 0x19, "cpuid_mod_id": 1,
        "cpuid_step": 1, "chip_id": vec![10; 64], "committed_tcb": tcb, "current": version,
        "committed": version, "launch_tcb": tcb, "launch_mit_vector": null, "current_mit_vector": null,
        "signature": {"r": vec![11; 72], "s": vec![12; 72]},
    }, "cert_chain": []});
    let (piece, said) = one(json.to_string().as_bytes());
    assert_eq!(
        said,
        "file at /attestation_report: JSON -> fields of the sev crate -> SEV-SNP attestation report, version 3, 1184 bytes"
    );
    let read = |offset: usize, length: usize| piece.bytes[offset..offset + length].to_vec();
    assert_eq!(read(8, 3), [0x1f, 0, 3]);
    assert_eq!(read(0x38, 8), [4, 1, 0, 0, 0, 0, 23, 213]);
    assert_eq!(read(0x48, 1), [4]);
    assert_eq!(read(0x188, 3), [0x19, 1, 1]);
    assert_eq!(read(0x1e8, 8), [3, 55, 1, 0, 3, 55, 1, 0]);
    assert_eq!(read(0x2e8, 72), [12; 72]);
}

#[test]
fn what_is_not_known_says_how_far_it_was_understood() {
    for (bytes, said) in [
        (
            &b"\x00\x01\x02"[..],
            "file: bytes of no known form: 3 bytes that begin 00 01 02",
        ),
        (b"{\"a\": 1,}", "file: JSON that breaks at line 1, column 9"),
        (b"{\"a\": \"b\"}", "file: JSON -> no member holds anything known"),
        (b"hello, world", "file: text of no known form (character 5)"),
        (
            b"00112233",
            "file: hexadecimal -> bytes of no known form: 4 bytes that begin 00 11 22 33",
        ),
        (
            b"-----BEGIN CERTIFICATE-----\n!\n",
            "file: PEM whose block 0 is not base64",
        ),
        (
            b"-----BEGIN KEY-----\nAAAA\n",
            "file: PEM whose block 0 is neither certificate nor list",
        ),
        (b"\x1f\x8b\x08\x00", "file: gzip that breaks after 0 bytes"),
    ] {
        let peeled = peel("file", bytes);
        assert!(peeled.pieces.is_empty());
        assert_eq!(peeled.stuck.as_deref(), Some(said));
    }
}

#[test]
fn bombs_and_nests_are_bounded() {
    let zeros = gzip(&vec![b' '; limits::EXPLAIN_BYTES + 1]);
    assert!(zeros.len() < 64 * 1024);
    let peeled = peel("bomb", &zeros);
    assert_eq!(
        peeled.stuck.as_deref(),
        Some("bomb: gzip of more than one file may hold")
    );
    let mut nest = report();
    for _ in 0..=limits::EXPLAIN_DEPTH {
        nest = STANDARD.encode(&nest).into_bytes();
    }
    let peeled = peel("nest", &nest);
    assert!(peeled.pieces.is_empty() && peeled.stuck.unwrap().ends_with("nested too deep"));
    let many: Vec<String> = vec![STANDARD.encode(report()); limits::EXPLAIN_PIECES + 5];
    let peeled = peel("many", serde_json::to_string(&many).unwrap().as_bytes());
    assert_eq!(peeled.pieces.len(), limits::EXPLAIN_PIECES);
}

#[test]
fn a_members_name_that_is_not_plain_is_not_repeated() {
    let json = serde_json::json!({"\u{1b}[31m": STANDARD.encode(report())});
    assert_eq!(one(json.to_string().as_bytes()).0.path, "/?");
}
