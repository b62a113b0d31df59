//! SEV-SNP verification, ours and that of `sev` on OpenSSL, in turns and in one process.
//!
//! Why apart: `sev` has one backend in one build, and this one needs OpenSSL's headers (`libssl-dev`, `pkg-config`).
//!
//! # Invariants
//! The same jobs and the same clock as the workspace's own measurement beside `sev` on pure Rust.

#[path = "../../verify/files.rs"]
#[allow(dead_code)] // half of it is for the other program
mod files;
#[path = "../../verify/turns.rs"]
mod turns;

use anchorhold_attestation::Timestamp;
use anchorhold_attestation::snp::{Anchors, Endorsements, VerifiedReport, VerifiedVek};
use sev::certs::snp::{Chain, Verifiable as _};
use sev::firmware::guest::AttestationReport;
use sev::parser::ByteParser as _;

use files::Snp;
use turns::compare;

fn main() {
    // Two folders below `attestation`.
    let Some(files) = Snp::read(2) else {
        return;
    };
    let at = Timestamp::from_unix(Snp::AT);
    let endorsements = Endorsements {
        vek: &files.vek,
        authority: &files.authority,
        root: None,
        crl: None,
    };
    let vek = || VerifiedVek::verify(&endorsements, Anchors::amd(), at).expect("real certificates");
    let report = |vek: &VerifiedVek| VerifiedReport::verify(&files.report, vek, at).expect("a real report");
    let chain = || Chain::from_der(&files.root, &files.authority, &files.vek).expect("real certificates");
    let theirs = || AttestationReport::from_bytes(&files.report).expect("a real report");
    compare(
        "snp, certificates and report, beside sev openssl",
        800,
        || report(&vek()),
        || (&chain(), &theirs()).verify().expect("a real report"),
    );
    let (proven, parsed) = (vek(), chain());
    compare(
        "snp, report under proven certificates, beside sev openssl",
        1600,
        || report(&proven),
        || (&parsed.vek, &theirs()).verify().expect("a real report"),
    );
}
