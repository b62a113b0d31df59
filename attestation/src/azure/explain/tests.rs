//! A guest's trace says what its verifiers say, in their order, and never claims too much.

use super::*;
use crate::azure::fake::{Fake, FakeKey, hcl};
use crate::snp::fake::{AT, Fake as Chip};
use crate::trace::Outcome;
use crate::trace::sound::{failed, pairs, well_formed};

/// A guest on a fake authority's chip.
struct Guest {
    chip: Chip,
    vek: Vec<u8>,
    authority: Vec<u8>,
    anchors: snp::Anchors,
    hcl: Vec<u8>,
    message: Vec<u8>,
    signature: Vec<u8>,
    values: Vec<Digest<32>>,
    expected: ReportData,
}

impl Guest {
    fn new(fake: &Fake) -> Self {
        let mut chip = Chip::vcek(snp::Product::Milan);
        chip.report[0x50..0x90].copy_from_slice(&fake.report_data);
        let message = fake.message();
        Self {
            hcl: hcl(2, &chip.signed_report(), fake.claims.as_bytes()),
            vek: chip.vek_der(),
            authority: chip.ask_der(),
            anchors: chip.anchors(),
            signature: fake.signer.sign(&message),
            message,
            values: fake.values.clone(),
            expected: fake.expected,
            chip,
        }
    }

    fn tell(&self, certificates: bool, quote: bool, expected: bool) -> Trace<VerifiedGuest, GuestError> {
        let intel = tdx::Anchors::intel();
        let given = match certificates {
            true => snp::Given::Endorsements(snp::Endorsements {
                vek: &self.vek,
                authority: &self.authority,
                root: None,
                crl: None,
            }),
            false => snp::Given::Nothing,
        };
        let beside = Beside {
            snp: (given, &self.anchors),
            tdx: (None, None, &intel),
            quote: quote.then_some(TpmQuote {
                message: &self.message,
                signature: &self.signature,
                values: &self.values,
            }),
            expected: expected.then_some(&self.expected),
        };
        explain(&self.hcl, &beside, AT)
    }
}

fn outcome(checks: &[TracedCheck], id: &str) -> Outcome {
    checks.iter().find(|row| row.id == id).unwrap().outcome
}

#[test]
fn a_guest_is_told_from_its_box_to_its_binding() {
    let guest = Guest::new(&Fake::new(FakeKey::p256()));
    let told = guest.tell(true, true, true);
    assert!(told.verdict.unwrap().is_ok());
    well_formed(&told.checks, None);
    let place = |id: &str| told.checks.iter().position(|row| row.id == id).unwrap();
    assert!(place("azure-hcl-length") < place("snp-report-length"));
    assert!(place("snp-report-signature") < place("azure-quote-magic"));
    assert!(place("azure-quote-magic") < place("azure-hardware-kind"));
    assert!(place("azure-user-data") < place("azure-quote-signature"));
    assert!(guest.chip.crl.is_some());
}

#[test]
fn what_is_not_given_is_not_checked_and_leaves_no_verdict() {
    let guest = Guest::new(&Fake::new(FakeKey::p256()));
    // Without 64 bytes the claims' own are bound, and nothing says that they are the right ones.
    let told = guest.tell(true, true, false);
    assert!(told.verdict.unwrap().is_ok());
    assert_eq!(
        outcome(&told.checks, "azure-user-data"),
        Outcome::NotChecked(NOT_EXPECTED)
    );
    // Without a quote the claims are still held against the hardware report.
    let told = guest.tell(true, false, true);
    assert!(told.verdict.is_none());
    assert_eq!(outcome(&told.checks, "azure-report-data-claims"), Outcome::Passed);
    assert_eq!(
        outcome(&told.checks, "azure-quote-pcr-digest"),
        Outcome::NotChecked(NO_QUOTE)
    );
    // Without certificates nothing is.
    let told = guest.tell(false, true, true);
    assert!(told.verdict.is_none());
    assert_eq!(outcome(&told.checks, "azure-hcl-padding"), Outcome::Passed);
    assert_eq!(
        outcome(&told.checks, "azure-user-data"),
        Outcome::NotChecked(NO_HARDWARE)
    );
}

#[test]
fn a_guest_bound_to_other_bytes_is_refused_with_and_without_a_quote() {
    let mut guest = Guest::new(&Fake::new(FakeKey::p256()));
    guest.expected = ReportData::new([1; 64]);
    for quote in [true, false] {
        let told = guest.tell(true, quote, true);
        well_formed(&told.checks, Some("azure-user-data"));
        assert_eq!(told.verdict.unwrap().unwrap_err().id(), "azure-user-data");
    }
}

#[test]
fn a_guests_trace_never_claims_too_much() {
    let guest = Guest::new(&Fake::new(FakeKey::p256()));
    let hcl_places = [
        0,
        4,
        8,
        12,
        16,
        30,
        32,
        40,
        0x48 + 32,
        0x1a8 + 32,
        0x2a0 + 40,
        1216,
        1220,
        1224,
        1228,
        1232,
    ]
    .into_iter()
    .chain([1236, 1300, 1500, 1700, 2599]);
    let mut faults: Vec<(usize, usize)> = hcl_places.map(|place| (0, place)).collect();
    faults.extend((0..guest.message.len()).step_by(7).map(|place| (1, place)));
    faults.extend([0, 2, 4, 40].map(|place| (2, place)));
    let tell = |spoiled: &[(usize, usize)]| {
        let mut guest = Guest {
            chip: Chip::vcek(snp::Product::Milan),
            vek: guest.vek.clone(),
            authority: guest.authority.clone(),
            anchors: guest.anchors.clone(),
            hcl: guest.hcl.clone(),
            message: guest.message.clone(),
            signature: guest.signature.clone(),
            values: guest.values.clone(),
            expected: guest.expected,
        };
        for (part, place) in spoiled {
            let part = match part {
                0 => &mut guest.hcl,
                1 => &mut guest.message,
                _ => &mut guest.signature,
            };
            part[*place] ^= 0x24;
        }
        let told = guest.tell(true, true, true);
        let refused = told.verdict.unwrap().err().map(|error| error.id());
        well_formed(&told.checks, refused);
        assert!(refused.is_none() || failed(&told.checks).is_some());
        told.checks
    };
    assert!(pairs(&faults, |one| tell(&[*one]), |one, other| tell(&[*one, *other])) > 100);
}
