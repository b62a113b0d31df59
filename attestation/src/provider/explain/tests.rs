//! A machine's trace says what its verifiers say, in their order, and never claims too much.

use anchorhold_encoding::Digest;

use super::*;
use crate::provider::fake::{Aws, Google};
use crate::snp::fake::{AT, Fake as Chip};
use crate::trace::Outcome;
use crate::trace::sound::{failed, pairs, well_formed};

const DATA: [u8; 64] = [7; 64];

/// A chip's report and certificates, and whom they come from.
struct Report {
    bytes: Vec<u8>,
    vek: Vec<u8>,
    authority: Vec<u8>,
    anchors: snp::Anchors,
}

impl Report {
    fn new() -> Self {
        let mut chip = Chip::vcek(snp::Product::Milan);
        chip.report[0x50..0x90].copy_from_slice(&DATA);
        Self {
            bytes: chip.signed_report(),
            vek: chip.vek_der(),
            authority: chip.ask_der(),
            anchors: chip.anchors(),
        }
    }

    fn given(&self) -> snp::Given<'_> {
        snp::Given::Endorsements(snp::Endorsements {
            vek: &self.vek,
            authority: &self.authority,
            root: None,
            crl: None,
        })
    }

    fn tell(&self, given: snp::Given<'_>, tpm: Tpm<'_>, anchors: &Anchors) -> Trace<Proven, MachineError> {
        let beside = Beside {
            snp: (given, &self.anchors),
            tpm,
            anchors,
        };
        explain(&self.bytes, &beside, AT)
    }
}

fn google() -> Google {
    Google::p256(&ReportData::new(DATA), &[Digest::new([1; 32]); 24])
}

fn aws() -> Aws {
    Aws::new(&ReportData::new(DATA), &[Digest::new([1; 48]); 24])
}

/// The parts of a quote: certificates, message, signature, registers.
type Parts = [Vec<u8>; 4];

fn parts(google: &Google) -> Parts {
    let Google {
        message,
        signature,
        registers,
        ..
    } = google;
    [
        google.certificates(),
        message.clone(),
        signature.clone(),
        registers.clone(),
    ]
}

fn quote([certificates, message, signature, registers]: &Parts) -> Tpm<'_> {
    Tpm::Google(Some(GoogleQuote {
        certificates,
        message,
        signature,
        registers,
    }))
}

fn found<'a>(checks: &'a [TracedCheck], id: &str) -> &'a TracedCheck {
    checks.iter().find(|row| row.id == id).unwrap()
}

#[test]
fn a_machine_is_told_from_its_report_to_its_binding() {
    let (report, google, aws) = (Report::new(), google(), aws());
    let told = report.tell(report.given(), quote(&parts(&google)), &google.anchors());
    assert!(told.verdict.unwrap().is_ok());
    well_formed(&told.checks, None);
    let place = |id: &str| told.checks.iter().position(|row| row.id == id).unwrap();
    assert!(place("snp-report-signature") < place("google-certificates"));
    assert!(place("google-chain") < place("google-quote-form"));
    assert_eq!(
        found(&told.checks, "google-quote-form").found,
        "24 registers, SHA-256"
    );
    assert!(found(&told.checks, "google-chain").found.starts_with("until 2"));

    let document = aws.document();
    let told = report.tell(report.given(), Tpm::Aws(Some(&document)), &aws.anchors());
    assert!(told.verdict.unwrap().is_ok());
    well_formed(&told.checks, None);
    let expected = format!("must be {}", hex(sha256(&[&DATA]).as_bytes()));
    assert_eq!(found(&told.checks, "nitro-user-data").found, expected);
}

#[test]
fn what_is_not_given_is_not_checked_and_leaves_no_verdict() {
    let (report, google) = (Report::new(), google());
    let anchors = google.anchors();
    for (tpm, why) in [(Tpm::Google(None), NO_QUOTE), (Tpm::Aws(None), NO_DOCUMENT)] {
        let told = report.tell(report.given(), tpm, &anchors);
        assert!(told.verdict.is_none());
        assert_eq!(told.checks.last().unwrap().outcome, Outcome::NotChecked(why));
        assert_eq!(
            found(&told.checks, "snp-report-signature").outcome,
            Outcome::Passed
        );
    }
    let parts = parts(&google);
    let told = report.tell(report.given(), quote(&parts), &Anchors::none());
    assert!(told.verdict.is_none());
    assert_eq!(
        found(&told.checks, "google-chain").outcome,
        Outcome::NotChecked(NO_ROOT)
    );
    // A report that nobody can verify lends its report data to nothing.
    let told = report.tell(snp::Given::Nothing, quote(&parts), &anchors);
    assert!(told.verdict.is_none());
    assert_eq!(
        found(&told.checks, "google-qualifying-data").outcome,
        Outcome::NotChecked(NO_REPORT)
    );
    // One that is refused leaves the TPM's checks unreached.
    let mut other = Report::new();
    other.bytes[0x90] ^= 1;
    let told = other.tell(other.given(), quote(&parts), &anchors);
    assert_eq!(told.verdict.unwrap().unwrap_err().id(), "snp-report-signature");
    assert_eq!(
        found(&told.checks, "google-certificates").outcome,
        Outcome::NotReached
    );
}

#[test]
fn a_trace_of_a_quote_never_claims_too_much() {
    let (report, google) = (Report::new(), google());
    let (anchors, whole) = (google.anchors(), parts(&google));
    let mut faults: Vec<(usize, usize)> = Vec::new();
    for (part, bytes) in whole.iter().enumerate() {
        faults.extend(
            (0..bytes.len())
                .step_by(bytes.len() / 12)
                .map(|place| (part, place)),
        );
    }
    // The frame of the second certificate.
    faults.push((0, 4 + google.chain[0].len()));
    let tell = |spoiled: &[(usize, usize)]| {
        let mut parts = whole.clone();
        spoiled
            .iter()
            .for_each(|(part, place)| parts[*part][*place] ^= 0x41);
        let told = report.tell(report.given(), quote(&parts), &anchors);
        well_formed(&told.checks, told.verdict.unwrap().err().map(|error| error.id()));
        told.checks
    };
    assert!(pairs(&faults, |one| tell(&[*one]), |one, other| tell(&[*one, *other])) > 150);
}

#[test]
fn a_trace_of_a_document_never_claims_too_much() {
    let (report, aws) = (Report::new(), aws());
    let (anchors, whole) = (aws.anchors(), aws.document());
    let faults: Vec<usize> = (0..whole.len()).step_by(whole.len() / 40).collect();
    let tell = |places: &[usize]| {
        let mut document = whole.clone();
        places.iter().for_each(|place| document[*place] ^= 0x41);
        let told = report.tell(report.given(), Tpm::Aws(Some(&document)), &anchors);
        well_formed(&told.checks, told.verdict.unwrap().err().map(|error| error.id()));
        told.checks
    };
    assert!(pairs(&faults, |one| tell(&[*one]), |one, other| tell(&[*one, *other])) > 150);
    // For other report data the last check fails and nothing else.
    let other = Aws::new(&ReportData::new([8; 64]), &[Digest::new([1; 48]); 24]);
    let document = other.document();
    let told = report.tell(report.given(), Tpm::Aws(Some(&document)), &other.anchors());
    let row = failed(&told.checks).unwrap();
    assert_eq!(
        (row.id, told.checks.last().unwrap().id),
        ("nitro-user-data", "nitro-user-data")
    );
}
