//! A trace says what the verifier says, names the check, and never claims that one passed which was not reached.

use super::*;
use crate::snp::Product;
use crate::snp::fake::{AT, Fake, integer};
use crate::snp::tests::real::CASES;
use crate::testdata::thorough;
use crate::trace::sound::{failed, pairs, well_formed};
use crate::trace::{Outcome, TracedCheck};

/// A hierarchy's evidence, as bytes to be spoiled.
struct Whole {
    report: Vec<u8>,
    vek: Vec<u8>,
    authority: Vec<u8>,
    list: Option<Vec<u8>>,
    anchors: Anchors,
}

impl Whole {
    fn of(fake: &Fake) -> Self {
        Self {
            report: fake.signed_report(),
            vek: fake.vek_der(),
            authority: fake.ask_der(),
            list: fake.crl.as_ref().map(|draft| draft.sign(&fake.ark_key)),
            anchors: fake.anchors(),
        }
    }

    fn given(&self) -> Given<'_> {
        Given::Endorsements(Endorsements {
            vek: &self.vek,
            authority: &self.authority,
            root: None,
            crl: self.list.as_deref(),
        })
    }

    fn explain(&self) -> Trace<VerifiedReport, SnpError> {
        explain(&self.report, &self.given(), &self.anchors, AT)
    }
}

fn row<'a>(checks: &'a [TracedCheck], id: &str, whose: &str) -> &'a TracedCheck {
    let mut rows = checks.iter().filter(|row| row.id == id && row.whose == whose);
    rows.next().unwrap_or_else(|| panic!("no row {id} {whose}"))
}

#[test]
fn a_verified_report_passes_every_check_and_shows_what_is_there() {
    for product in Product::ALL {
        let trace = Whole::of(&Fake::vcek(product)).explain();
        assert!(trace.verdict.unwrap().is_ok());
        well_formed(&trace.checks, None);
        assert_eq!(
            row(&trace.checks, "snp-binding-product", "").found,
            format!("report {product}, certificate {product}")
        );
        assert!(
            row(&trace.checks, "x509-expired", "VCEK or VLEK")
                .found
                .starts_with("until 20")
        );
    }
    let whole = Whole::of(&Fake::vlek(Product::Milan));
    assert_eq!(
        row(&whole.explain().checks, "snp-binding-chip-id", "").found,
        "a VLEK is of no chip"
    );
}

#[test]
fn a_list_that_is_not_there_is_not_checked() {
    let mut fake = Fake::vcek(Product::Milan);
    fake.crl = None;
    let trace = Whole::of(&fake).explain();
    let row = row(&trace.checks, "x509-revoked", "revocation list");
    assert_eq!(row.outcome, Outcome::NotChecked(NO_LIST));
    assert!(trace.verdict.unwrap().is_ok());
}

#[test]
fn without_certificates_only_the_form_is_checked_and_there_is_no_verdict() {
    let whole = Whole::of(&Fake::vcek(Product::Genoa));
    let trace = explain(&whole.report, &Given::Nothing, &whole.anchors, AT);
    assert!(trace.verdict.is_none());
    well_formed(&trace.checks, None);
    assert_eq!(row(&trace.checks, "snp-report-vmpl", "").outcome, Outcome::Passed);
    for id in ["snp-report-signature", "snp-binding-tcb", "snp-vek-kind"] {
        assert_eq!(
            row(&trace.checks, id, "").outcome,
            Outcome::NotChecked(NO_CERTIFICATE)
        );
    }
    // A report of a wrong form is refused with or without.
    let trace = explain(&whole.report[..100], &Given::Nothing, &whole.anchors, AT);
    well_formed(&trace.checks, Some("snp-report-length"));
    assert_eq!(
        failed(&trace.checks).unwrap().found,
        "100 bytes of 1184; the report is not 1184 bytes (byte 100)"
    );
}

#[test]
fn it_says_whose_certificate_and_both_sides_of_a_comparison() {
    let mut fake = Fake::vcek(Product::Milan);
    fake.state("3.8", integer(100));
    let trace = Whole::of(&fake).explain();
    well_formed(&trace.checks, Some("snp-binding-tcb"));
    let failed = failed(&trace.checks).unwrap();
    assert!(
        failed.found.contains("MICROCODE 213") && failed.found.contains("MICROCODE 100"),
        "{failed:?}"
    );
    assert_eq!(
        row(&trace.checks, "snp-binding-chip-id", "").outcome,
        Outcome::Passed
    );
    assert_eq!(
        row(&trace.checks, "snp-report-signature", "").outcome,
        Outcome::NotReached
    );

    let mut whole = Whole::of(&Fake::vcek(Product::Milan));
    whole.authority = Whole::of(&Fake::vcek(Product::Milan)).authority;
    let end = whole.authority.len() - 1;
    whole.authority[end] ^= 1;
    let trace = whole.explain();
    well_formed(&trace.checks, Some("x509-signature"));
    assert_eq!(
        row(&trace.checks, "x509-signature", "VCEK or VLEK").outcome,
        Outcome::Passed
    );
    assert_eq!(
        row(&trace.checks, "x509-signature", "ASK or ASVK").outcome,
        Outcome::Failed
    );
}

/// One byte of one part.
#[derive(Clone, Copy)]
struct Spoiled {
    part: usize,
    place: usize,
}

impl Spoiled {
    fn spoil(self, whole: &mut Whole) {
        let part = match self.part {
            0 => &mut whole.report,
            1 => &mut whole.vek,
            2 => &mut whole.authority,
            _ => whole.list.as_mut().unwrap(),
        };
        part[self.place] ^= 0x81;
    }
}

#[test]
fn no_check_is_said_to_have_passed_that_was_not_reached() {
    let whole = || Whole::of(&FAKE);
    static FAKE: std::sync::LazyLock<Fake> = std::sync::LazyLock::new(|| {
        let fake = Fake::vcek(Product::Turin);
        assert!(fake.crl.is_some());
        fake
    });
    let base = whole();
    let copy = || Whole {
        report: base.report.clone(),
        vek: base.vek.clone(),
        authority: base.authority.clone(),
        list: base.list.clone(),
        anchors: base.anchors.clone(),
    };
    let lengths = [
        (0, base.report.len(), if thorough() { 4 } else { 19 }),
        (1, base.vek.len(), 107),
        (2, base.authority.len(), 211),
        (3, base.list.as_ref().unwrap().len(), 97),
    ];
    let faults: Vec<Spoiled> = lengths
        .into_iter()
        .flat_map(|(part, length, step)| {
            (0..length)
                .step_by(step)
                .map(move |place| Spoiled { part, place })
        })
        // The head alone: what follows is another's, and alike.
        .filter(|fault| fault.part != 0 || fault.place < 0x50 || fault.place >= 0x180)
        .collect();
    let one = |fault: &Spoiled| {
        let mut whole = copy();
        fault.spoil(&mut whole);
        let trace = whole.explain();
        let refused = trace.verdict.unwrap().err().map(|error| error.id());
        well_formed(&trace.checks, refused);
        trace.checks
    };
    let both = |first: &Spoiled, second: &Spoiled| {
        let mut whole = copy();
        first.spoil(&mut whole);
        second.spoil(&mut whole);
        whole.explain().checks
    };
    assert!(pairs(&faults, one, both) > 100);
}

#[test]
fn real_reports_are_told_as_they_are_judged() {
    const NAME: &str = "snp::explain::real_reports_are_told_as_they_are_judged";
    for case in CASES {
        let Some([report, vek, authority, root]) = case.read(NAME) else {
            return;
        };
        let given = Given::Endorsements(Endorsements {
            vek: &vek,
            authority: &authority,
            root: Some(&root),
            crl: None,
        });
        let trace = explain(&report, &given, Anchors::amd(), Timestamp::from_unix(case.at));
        assert_eq!(
            trace.verdict.unwrap().err().map(|error| error.id()),
            case.refused_by
        );
        well_formed(&trace.checks, case.refused_by);
    }
}
