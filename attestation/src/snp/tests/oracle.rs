//! The same bytes through `sev`: where the two differ, this verifier is the stricter, and the difference has a name.
//!
//! Why apart: the only test that knows another verifier.
//!
//! # Invariants
//! Mutations come from a seeded generator: the same run every time.

use std::collections::BTreeMap;
use std::io::Write as _;

use sev::certs::snp::{Chain, Verifiable as _};
use sev::firmware::guest::AttestationReport;
use sev::parser::ByteParser as _;

use super::real::CASES;
use super::*;
use crate::random::{Random, mutations_asked_for};
use crate::time::Timestamp;
use crate::x509::forge::certificate_usage;

/// Checks by which this verifier refuses what `sev` accepts.
const STRICTER: &[&str] = &[
    // No pinned root, no names, no dates, no constraints: any path whose signatures hold.
    "x509-critical-extension",
    "x509-expired",
    "x509-issuer",
    "x509-key-usage",
    "x509-leaf-is-authority",
    "x509-not-an-authority",
    "x509-not-yet-valid",
    "x509-path-constraint",
    "x509-signature",
    // The outer algorithm's parameters are not signed, and not compared.
    "x509-algorithm-mismatch",
    // Other encodings of the same certificate than DER's: read, and written as DER before the signature is checked.
    "x509-syntax",
    // No look at AMD's extensions, and none at what binds certificate and report.
    "snp-vek-authority",
    "snp-vek-extensions",
    "snp-vek-kind",
    "snp-vek-product",
    "snp-vek-reserved-level",
    "snp-vek-structure-version",
    "snp-binding-chip-id",
    "snp-binding-product",
    "snp-binding-signing-key",
    "snp-binding-tcb",
    // A report of another version, for the host, by another algorithm, with bits that mean nothing.
    "snp-report-cpuid",
    "snp-report-version",
    "snp-report-vmpl",
    "snp-report-signature-algorithm",
    "snp-report-signing-key",
    "snp-report-unsigned",
    "snp-report-reserved",
    "snp-report-policy-reserved",
    "snp-report-chip-id-padding",
    "snp-report-signature-padding",
    // Reserved bytes that are read, dropped, and written as zeros before the signature is checked: altered reports pass.
    "snp-report-tcb-reserved",
];

/// What both verifiers get.
#[derive(Clone)]
struct Evidence {
    report: Vec<u8>,
    vek: Vec<u8>,
    authority: Vec<u8>,
    root: Vec<u8>,
    at: Timestamp,
}

impl Evidence {
    fn ours(&self, anchors: &Anchors) -> Result<VerifiedReport, SnpError> {
        let endorsements = Endorsements {
            vek: &self.vek,
            authority: &self.authority,
            root: None,
            crl: None,
        };
        let vek = VerifiedVek::verify(&endorsements, anchors, self.at)?;
        VerifiedReport::verify(&self.report, &vek, self.at)
    }

    fn theirs(&self) -> bool {
        let Ok(report) = AttestationReport::from_bytes(&self.report) else {
            return false;
        };
        let Ok(chain) = Chain::from_der(&self.root, &self.authority, &self.vek) else {
            return false;
        };
        (&chain, &report).verify().is_ok()
    }
}

/// How often which check refused what `sev` accepted.
type Differences = BTreeMap<&'static str, u32>;

/// Refuses to be laxer; counts where it is stricter.
fn compare(evidence: &Evidence, anchors: &Anchors, what: &str, found: &mut Differences) {
    let (ours, theirs) = (evidence.ours(anchors), evidence.theirs());
    match ours {
        Ok(_) => assert!(theirs, "laxer than sev: {what}"),
        Err(error) if theirs => {
            assert!(
                STRICTER.contains(&error.id()),
                "a difference without a name: {what}: {error}"
            );
            *found.entry(error.id()).or_default() += 1;
        }
        Err(_) => {}
    }
}

/// Where the fields of a report begin, and how long they are.
const FIELDS: &[(usize, usize)] = &[
    (0x00, 4),
    (0x04, 4),
    (0x08, 8),
    (0x30, 4),
    (0x34, 4),
    (0x38, 8),
    (0x40, 8),
    (0x48, 4),
    (0x4c, 4),
    (0x90, 48),
    (0xc0, 32),
    (0x180, 8),
    (0x188, 3),
    (0x18b, 21),
    (0x1a0, 64),
    (0x1e0, 8),
    (0x1e8, 8),
    (0x1f0, 8),
    (0x1f8, 16),
    (0x208, 152),
];

/// Changes a field as someone would who knows the layout: a bit, a small number, all zeros, all ones.
fn change(report: &mut [u8], random: &mut Random) {
    let (start, length) = *random.of(FIELDS);
    let field = &mut report[start..start + length];
    let byte = random.below(length);
    match random.below(5) {
        0 => field.fill(0),
        1 => field.fill(0xff),
        2 => field[byte] = random.next() as u8,
        3 => field[0] = random.below(9) as u8,
        _ => field[byte] ^= 1 << random.below(8),
    }
}

fn alter(bytes: &mut Vec<u8>, random: &mut Random) {
    let place = random.below(bytes.len());
    match random.below(6) {
        0 => bytes.truncate(place),
        1 => bytes.insert(place, random.next() as u8),
        2 => bytes.extend([0; 1]),
        3 => bytes[place] = random.next() as u8,
        _ => bytes[place] ^= 1 << random.below(8),
    }
}

/// Mutations of real evidence: nobody can sign them again.
fn real(count: usize, seed: u64, test: &str) -> Option<Differences> {
    let mut corpus = Vec::new();
    for case in CASES {
        let [report, vek, authority, root] = case.read(test)?;
        corpus.push(Evidence {
            report,
            vek,
            authority,
            root,
            at: Timestamp::from_unix(case.at),
        });
    }
    let mut found = Differences::new();
    for (index, evidence) in corpus.iter().enumerate() {
        compare(evidence, Anchors::amd(), &format!("case {index}"), &mut found);
    }
    let mut random = Random(seed);
    for number in 0..count {
        let mut evidence = random.of(&corpus).clone();
        let other = random.of(&corpus);
        match random.below(8) {
            0..=3 => change(&mut evidence.report, &mut random),
            4 => alter(&mut evidence.report, &mut random),
            5 => alter(&mut evidence.vek, &mut random),
            6 => alter(&mut evidence.authority, &mut random),
            _ => {
                evidence.vek.clone_from(&other.vek);
                evidence.authority.clone_from(&other.authority);
                evidence.root.clone_from(&other.root);
            }
        }
        compare(&evidence, Anchors::amd(), &format!("real {number}"), &mut found);
    }
    Some(found)
}

/// Mutations that are signed again: here every check must stand by itself.
fn signed(count: usize, seed: u64) -> Differences {
    let mut random = Random(seed);
    let mut found = Differences::new();
    for number in 0..count {
        let product = *random.of(&Product::ALL);
        let mut fake = if random.below(3) == 0 {
            Fake::vlek(product)
        } else {
            Fake::vcek(product)
        };
        let mut stranger = false;
        match random.below(6) {
            0..=3 => change(&mut fake.report, &mut random),
            4 => {
                let which = random.below(fake.statements.len());
                let (_, content) = &mut fake.statements[which];
                alter(content, &mut random);
            }
            _ => match random.below(13) {
                0 => fake.vek.until = NOW - 1,
                1 => fake.vek.from = NOW + 1,
                2 => fake.ask.extensions.clear(),
                3 => fake.vek.extensions = vec![constraints(None)],
                4 => fake.vek.issuer = name("elsewhere"),
                5 => fake.vek.subject = name("elsewhere"),
                6 => fake.vek.mismatch = true,
                7 => fake.vek.extensions = vec![extension("1.3.6.1.4.1.3704.9", true, b"\x05\x00")],
                8 => fake.ask.extensions = vec![constraints(Some(0))],
                9 => fake.ark.extensions = vec![constraints(Some(0)), certificate_usage()],
                // The pinned root has the name that the chain wants, and another key.
                10 => stranger = true,
                11 => (fake.ask.subject, fake.vek.issuer) = (name("SEV-Rome"), name("SEV-Rome")),
                _ => fake.ask.until = NOW - 1,
            },
        }
        let anchors = if stranger {
            let root = fake.ark.sign(&fake.ask_key, &fake.ask_key);
            Anchors::given(&[(product, root)]).unwrap()
        } else {
            fake.anchors()
        };
        let evidence = Evidence {
            report: fake.signed_report(),
            vek: fake.vek_der(),
            authority: fake.ask_der(),
            root: fake.ark.sign(&fake.ark_key, &fake.ark_key),
            at: AT,
        };
        compare(&evidence, &anchors, &format!("signed {number}"), &mut found);
    }
    found
}

#[test]
fn sev_is_never_stricter_on_real_evidence_and_its_mutations() {
    const NAME: &str = "snp::sev_is_never_stricter_on_real_evidence_and_its_mutations";
    let Some(found) = real(600, 1, NAME) else { return };
    assert!(found.contains_key("x509-expired"));
}

#[test]
fn sev_is_never_stricter_on_what_is_signed_again() {
    let found = signed(300, 2);
    for id in ["snp-binding-tcb", "snp-binding-chip-id", "x509-signature"] {
        assert!(found.contains_key(id), "{id}: {found:?}");
    }
}

/// A nightly run sets `ANCHORHOLD_MUTATIONS` to 100000: about ten minutes.
#[test]
fn sev_is_never_stricter_in_a_nightly_run_and_every_difference_is_seen() {
    const NAME: &str = "snp::sev_is_never_stricter_in_a_nightly_run_and_every_difference_is_seen";
    let Some(count) = mutations_asked_for() else {
        // Past the capture of test output: nobody is left to tell when standard error is gone.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED {NAME}: set ANCHORHOLD_MUTATIONS to 100000"
        );
        return;
    };
    let Some(mut found) = real(count / 3, 4, NAME) else {
        return;
    };
    for (id, times) in signed(count - count / 3, 3) {
        *found.entry(id).or_default() += times;
    }
    let unseen: Vec<_> = STRICTER.iter().filter(|id| !found.contains_key(*id)).collect();
    assert!(unseen.is_empty(), "{unseen:?} of {found:?}");
}
