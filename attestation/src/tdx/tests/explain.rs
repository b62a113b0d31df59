//! A quote's trace says what the verifier says, and never claims that a check passed which was not reached.

use super::authority::{Made, NOW, Plan};
use super::*;
use crate::ccel::{self, LogForm};
use crate::trace::sound::{failed, pairs, well_formed};
use crate::trace::{Outcome, TracedCheck};

/// Changes a plan, or what was made of it.
#[derive(Clone, Copy)]
enum Fault {
    Plan(fn(&mut Plan)),
    Made(fn(&mut Made)),
}

const FAULTS: &[Fault] = &[
    Fault::Plan(|plan| plan.names[0] = "Intel SGX Root"),
    Fault::Plan(|plan| plan.names[2] = "Intel SGX PCK"),
    Fault::Plan(|plan| plan.years[1] = (2025, 2030)),
    Fault::Plan(|plan| plan.years[2] = (2031, 2040)),
    Fault::Plan(|plan| plan.years[3] = (2025, 2030)),
    Fault::Plan(|plan| plan.crl_years[0] = (2025, 2030)),
    Fault::Plan(|plan| plan.crl_years[1] = (2031, 2032)),
    Fault::Plan(|plan| plan.revoked[0] = &[77, 3]),
    Fault::Plan(|plan| plan.revoked[1] = &[77, 4]),
    Fault::Plan(|plan| plan.usurped = "pck"),
    Fault::Plan(|plan| plan.usurped = "root-crl"),
    Fault::Plan(|plan| plan.usurped = "qe"),
    Fault::Plan(|plan| plan.pck_extension = false),
    Fault::Plan(|plan| plan.signer_is_ca = true),
    Fault::Plan(|plan| plan.cpu_svn = [0; 16]),
    Fault::Plan(|plan| plan.pce_id = [9, 9]),
    Fault::Plan(|plan| plan.enclave = |report| report[48] |= 2),
    Fault::Plan(|plan| plan.enclave = |report| report[128] ^= 1),
    Fault::Plan(|plan| plan.body = |body| body[123] ^= 0x10),
    Fault::Plan(|plan| plan.body = |body| body[120] |= 2),
    Fault::Plan(|plan| plan.body = |body| body[64] = 1),
    Fault::Plan(|plan| plan.authentication = vec![0; 31]),
    Fault::Made(|made| made.quote[0] = 6),
    Fault::Made(|made| made.quote[4] = 0),
    Fault::Made(|made| made.quote[8] = 1),
    Fault::Made(|made| made.quote[12] ^= 1),
    Fault::Made(|made| made.quote[60] ^= 1),
    Fault::Made(|made| made.quote.push(1)),
    Fault::Made(|made| made.quote.truncate(700)),
    Fault::Made(|made| made.root[100] ^= 1),
    Fault::Made(|made| made.collateral["tcb_info"] = "{}".into()),
    Fault::Made(|made| made.collateral["pck_crl"] = "00".into()),
    Fault::Made(|made| made.collateral["extra"] = "00".into()),
];

fn tell(faults: &[Fault]) -> Vec<TracedCheck> {
    let mut plan = Plan::default();
    for fault in faults {
        if let Fault::Plan(change) = fault {
            change(&mut plan);
        }
    }
    let mut made = plan.make();
    for fault in faults {
        if let Fault::Made(change) = fault {
            change(&mut made);
        }
    }
    let anchors = Anchors::given(made.root.clone());
    let collateral = made.collateral.to_string();
    let told = explain(&made.quote, Some(collateral.as_bytes()), &anchors, NOW);
    let verdict = made.verify(NOW).err();
    assert_eq!(told.verdict.unwrap().err(), verdict, "explain and verify are one");
    well_formed(&told.checks, verdict.map(|error| error.id()));
    told.checks
}

#[test]
fn a_quotes_trace_never_claims_too_much() {
    assert!(failed(&tell(&[])).is_none());
    let compared = pairs(FAULTS, |one| tell(&[*one]), |one, other| tell(&[*one, *other]));
    assert!(compared > 100, "{compared}");
}

#[test]
fn without_collateral_only_the_form_is_checked() {
    let made = Plan::default().make();
    let anchors = Anchors::given(made.root.clone());
    let told = explain(&made.quote, None, &anchors, NOW);
    assert!(told.verdict.is_none());
    well_formed(&told.checks, None);
    let outcome = |id: &str| told.checks.iter().find(|row| row.id == id).unwrap().outcome;
    assert_eq!(outcome("tdx-quote-vendor"), Outcome::Passed);
    assert_eq!(
        outcome("tdx-quote-signature"),
        Outcome::NotChecked("no collateral was given")
    );
    let told = explain(&made.quote[..40], None, &anchors, NOW);
    well_formed(&told.checks, Some("tdx-quote-length"));
}

#[test]
fn real_quotes_are_told_as_they_are_judged() {
    const NAME: &str = "tdx::explain::real_quotes_are_told_as_they_are_judged";
    for (folder, now, refused) in [
        ("v4-emr-phala", "2025-07-01T00:00:00Z", None),
        ("v4-emr-phala", "2025-07-20T00:00:00Z", Some("tdx-crl-expired")),
        (
            "v5-emr-phala-nomatch",
            "2026-03-01T00:00:00Z",
            Some("tdx-platform-level"),
        ),
        ("v5-emr-gotdxguest", "2026-03-01T00:00:00Z", None),
        (
            "v4-azure-trustee",
            "2025-07-15T00:00:00Z",
            Some("tdx-domain-sept-ve"),
        ),
    ] {
        let Some((quote, collateral)) = real(NAME, folder) else {
            return;
        };
        let told = explain(&quote, Some(&collateral), &Anchors::intel(), time(now));
        assert_eq!(
            told.verdict.unwrap().err().map(|error| error.id()),
            refused,
            "{folder}"
        );
        well_formed(&told.checks, refused);
    }
}

#[test]
fn a_real_log_is_told_and_the_event_that_diverges_is_named() {
    const NAME: &str = "tdx::explain::a_real_log_is_told_and_the_event_that_diverges_is_named";
    let Some((quote, collateral)) = real(NAME, "v4-gcp-cos113-ccel") else {
        return;
    };
    let Some(log) = evidence(NAME, "tdx/v4-gcp-cos113-ccel/ccel_data.bin") else {
        return;
    };
    let at = time("2025-07-15T00:00:00Z");
    let told = explain(&quote, Some(&collateral), &Anchors::intel(), at);
    let quote = told.verdict.unwrap().unwrap();
    let told = ccel::explain(&log, LogForm::Ccel, Some(&quote));
    assert!(told.verdict.unwrap().is_ok());
    well_formed(&told.checks, None);
    // Another machine's log: its form holds, and the register says so.
    let Some(other) = evidence(NAME, "ccel/dupe-separator-goeventlog/ccel_data.bin") else {
        return;
    };
    let told = ccel::explain(&other, LogForm::Ccel, Some(&quote));
    well_formed(&told.checks, Some("ccel-replay"));
    let found = &failed(&told.checks).unwrap().found;
    assert!(found.contains("RTMR0 is not what the log gives"), "{found}");
    let told = ccel::explain(&log, LogForm::Dstack, Some(&quote));
    well_formed(&told.checks, Some("ccel-dstack-shape"));
    let told = ccel::explain(&log, LogForm::Ccel, None);
    assert!(told.verdict.is_none());
    well_formed(&told.checks, None);
}
