//! Evidence that is old, altered, borrowed, expired, or made for another purpose: denied by the rule it breaks,
//! before any byte of a question is sent.

use anchorhold_tests::relay::{self, Trick};

use crate::genuine;
use crate::liar::{Build, Desk, GENUINE, Liar, Lie};
use crate::wire::runtime;

/// The real client denies what the relay makes of a real enclave's evidence; gives the rules.
fn denied_through(trick: Trick, code: &str) -> Vec<String> {
    let genuine = genuine::shared();
    let runtime = runtime();
    let relay = runtime.block_on(relay::start(genuine.address(0), trick));
    let url = crate::liar::url(relay.address);
    let mut rules = Vec::new();
    for arguments in [&["verify"] as &[&str], &["ask", "q"]] {
        let direct = genuine
            .world
            .client(genuine.address(0).port(), &[arguments, &["--json"]].concat());
        assert_eq!(direct.code, 0, "{direct:?}");
        let policy = genuine.policy_file();
        let (command, rest) = arguments.split_first().unwrap();
        let all = [
            &["client", command, "--url", &url, "--policy", &policy, "--json"],
            rest,
        ]
        .concat();
        let refused = anchorhold_tests::process::run(genuine.world.programs.host, &all)
            .expect(3)
            .json();
        assert_eq!(refused["error"]["code"], code, "{refused:#}");
        rules = crate::liar::rules_of(&refused);
    }
    rules
}

#[test]
fn a_real_enclaves_evidence_is_denied_when_it_is_replayed() {
    assert_eq!(
        denied_through(Trick::ReplayEvidence, "enclave_denied"),
        ["report-data"]
    );
}

#[test]
fn a_real_enclaves_evidence_is_refused_when_one_bit_is_flipped() {
    assert!(denied_through(Trick::FlipEvidence, "evidence_invalid").is_empty());
}

#[test]
fn a_real_enclaves_evidence_is_denied_under_an_altered_identity() {
    assert_eq!(
        denied_through(Trick::SwapIdentity, "enclave_denied"),
        ["report-data"]
    );
}

/// The liar is affirmed until it tells the lie, and hears no question after it.
fn liar_denied(lie: Lie, code: &str, rules: &[&str]) {
    let (liar, desk) = (Liar::start(), Desk::new());
    desk.accepts(&liar.url(), &["verify"]);
    liar.tells(lie);
    if lie == Lie::OldEvidence {
        // The evidence that is replayed was right when it was fresh.
        desk.accepts(&liar.url(), &["verify"]);
    }
    assert_eq!(desk.all_refuse(&liar.url(), code), rules, "{lie:?}");
    assert_eq!(liar.questions(), 0, "{lie:?}");
    liar.tells(Lie::None);
    desk.accepts(&liar.url(), &["ask", "q"]);
    assert_eq!(liar.questions(), 1);
}

#[test]
fn evidence_over_another_nonce_is_denied() {
    liar_denied(Lie::OldEvidence, "enclave_denied", &["report-data"]);
}

#[test]
fn evidence_made_for_a_broker_is_denied() {
    liar_denied(Lie::EvidenceForBroker, "enclave_denied", &["report-data"]);
}

#[test]
fn evidence_under_an_altered_identity_document_is_denied() {
    liar_denied(Lie::AlteredIdentity, "enclave_denied", &["report-data"]);
}

#[test]
fn evidence_whose_proof_leads_to_another_nonce_is_denied() {
    liar_denied(Lie::OtherLeaf, "enclave_denied", &["report-data"]);
}

#[test]
fn evidence_whose_signature_is_broken_is_refused() {
    liar_denied(Lie::FlippedReport, "evidence_invalid", &[]);
}

#[test]
fn evidence_of_other_code_or_after_its_end_is_denied() {
    let desk = Desk::new();
    for (build, rule) in [
        (
            Build {
                measurement: 8,
                ..GENUINE
            },
            "measurement",
        ),
        (
            Build {
                not_after: 1_000,
                ..GENUINE
            },
            "not-after",
        ),
    ] {
        let liar = Liar::of(build);
        assert_eq!(desk.all_refuse(&liar.url(), "enclave_denied"), [rule]);
        assert_eq!(liar.questions(), 0);
    }
}
