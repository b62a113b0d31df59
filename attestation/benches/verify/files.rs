//! Real evidence for measurements: where it lies, and what to say when it does not.
//!
//! Why apart: two programs measure with the same files.
//!
//! # Invariants
//! Looks in `ANCHORHOLD_TESTDATA`, else in `shared` beside the repository. Nothing of it is part of the project.

#![allow(clippy::disallowed_methods)] // a measurement reads its files

use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// `attestation/` of this checkout, for a program whose own folder is `depth` below it.
fn shared(depth: usize) -> Option<std::path::PathBuf> {
    if let Some(named) = std::env::var_os("ANCHORHOLD_TESTDATA") {
        return Some(named.into());
    }
    let attestation = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(depth)?;
    Some(attestation.join("../../shared"))
}

/// A file below `evidence`, or `None` after saying loudly that `what` is not measured. `depth`: how many folders the
/// program that measures is below `attestation`.
pub(crate) fn evidence(what: &str, depth: usize, path: &str) -> Option<Vec<u8>> {
    let found = shared(depth).and_then(|root| std::fs::read(root.join("evidence").join(path)).ok());
    if found.is_none() {
        let _ = writeln!(
            std::io::stderr(),
            "NOT MEASURED {what}: no evidence/{path} in ../shared or ANCHORHOLD_TESTDATA"
        );
    }
    found
}

/// Certificates of a PEM text, in DER.
pub(crate) fn pem(text: &[u8]) -> Vec<Vec<u8>> {
    String::from_utf8_lossy(text)
        .split("-----BEGIN CERTIFICATE-----")
        .skip(1)
        .filter_map(|part| part.split("-----END").next())
        .map(|body| body.split_whitespace().collect::<String>())
        .filter_map(|body| STANDARD.decode(body).ok())
        .collect()
}

/// What a SEV-SNP report is verified with.
pub(crate) struct Snp {
    /// The report.
    pub(crate) report: Vec<u8>,
    /// VCEK.
    pub(crate) vek: Vec<u8>,
    /// ASK.
    pub(crate) authority: Vec<u8>,
    /// ARK.
    pub(crate) root: Vec<u8>,
    /// The ARK's revocation list.
    pub(crate) crl: Vec<u8>,
}

impl Snp {
    /// A Milan of 2025: all certificates, and the list, are valid at [`Self::AT`].
    pub(crate) fn read(depth: usize) -> Option<Self> {
        let file = |path| evidence("SEV-SNP", depth, path);
        let mut chain = pem(&file("anchors/amd/ask_ark_milan.pem")?).into_iter();
        Some(Self {
            report: file("snp/milan-v3-oak/report.bin")?,
            vek: file("snp/milan-v3-oak/vcek.der")?,
            authority: chain.next()?,
            root: chain.next()?,
            crl: file("anchors/amd/crl_milan_2025-05.der")?,
        })
    }

    /// 2025-06-01.
    pub(crate) const AT: u64 = 1_748_736_000;
}
