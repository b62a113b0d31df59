//! Real quotes under policies that a relying party could have written.

use super::*;
use crate::ccel::EventLog;
use crate::tdx::tests::verified_real;
use crate::testdata::evidence;

/// As the presets have it for servers of clouds.
const SERVER: &str = "minimum_tcb_evaluation = 15\nsmt = \"dangerously-accepted\"\n\
    dynamic_platform = \"dangerously-accepted\"\ncached_keys = \"dangerously-accepted\"\n\
    xfam_at_most = [\"x87\", \"sse\", \"avx\", \"avx512-opmask\", \"avx512-zmm-hi256\", \"avx512-hi16-zmm\", \"pkru\",\n\
    \"cet-u\", \"cet-s\", \"amx-tilecfg\", \"amx-tiledata\"]\n";

/// Folder, time, more of the policy, what refuses.
type Row = (&'static str, &'static str, &'static str, &'static [RuleId]);

const UNTIL: &str =
    "[[dangerously_accept_status]]\nstatus = \"OutOfDate\"\nuntil = \"2025-08-01T00:00:00Z\"\n";
const UNLESS: &str = "[[dangerously_accept_status]]\nstatus = \"OutOfDate\"\nuntil = \"2025-08-01T00:00:00Z\"\n\
                      unless_advisories = [\"INTEL-SA-00982\"]\n";
const PAST: &str =
    "[[dangerously_accept_status]]\nstatus = \"OutOfDate\"\nuntil = \"2025-07-14T00:00:00Z\"\n";

#[test]
fn real_quotes_are_judged_by_policy() {
    const NAME: &str = "appraise::tdx::real_quotes_are_judged_by_policy";
    const TCB: &[RuleId] = &[RuleId::TdxTcbStatus, RuleId::TdxAdvisories];
    const TABLE: &[Row] = &[
        ("v4-emr-phala", "2025-07-01T00:00:00Z", "", &[]),
        ("v5-emr-gotdxguest", "2026-03-01T00:00:00Z", "", &[]),
        ("v4-gcp-cos113-ccel", "2025-07-15T00:00:00Z", "", &[]),
        ("v4-gcp-outofdate", "2025-07-15T00:00:00Z", "", TCB),
        ("v4-gcp-outofdate", "2025-07-15T00:00:00Z", UNTIL, &[]),
        ("v4-gcp-outofdate", "2025-07-15T00:00:00Z", UNLESS, TCB),
        ("v4-gcp-outofdate", "2025-07-15T00:00:00Z", PAST, TCB),
        (
            "v4-emr-dstack-rtmr",
            "2026-03-01T00:00:00Z",
            "",
            &[RuleId::TdxRtmr3],
        ),
        (
            "v4-debug-trustee",
            "2023-07-01T00:00:00Z",
            "",
            &[RuleId::TdxDebug, RuleId::TdxXfam],
        ),
    ];
    for (folder, now, more, refused) in TABLE {
        let Some((quote, now)) = verified_real(NAME, folder, now) else {
            return;
        };
        let outcome = judged(&quote, &format!("{SERVER}{more}"), now);
        let found = outcome.as_ref().err().map(refused_by).unwrap_or_default();
        assert_eq!(found, *refused, "{folder} {more} {outcome:?}");
    }
}

#[test]
fn a_real_dstack_log_is_as_listed_or_the_event_is_named() {
    const NAME: &str = "appraise::tdx::a_real_dstack_log_is_as_listed_or_the_event_is_named";
    let Some((quote, now)) = verified_real(NAME, "v4-emr-dstack-rtmr", "2026-03-01T00:00:00Z") else {
        return;
    };
    let json = evidence(NAME, "tdx/v4-emr-dstack-rtmr/eventlog.json").unwrap();
    let log = EventLog::parse_dstack(&json).unwrap().replay(&quote).unwrap();
    let events: Vec<_> = log.extended(Register::Rtmr3).collect();
    let names: Vec<&str> = events.iter().filter_map(|event| event.name()).collect();
    assert_eq!((names.len(), names[1], names[6]), (8, "app-id", "system-ready"));
    let application = events[1].measured_data().unwrap();
    let application: String = application.iter().map(|byte| format!("{byte:02x}")).collect();
    let application = application.as_str();
    let text = |names: &[&str], application: &str| {
        let events = names.iter().map(|name| match *name {
            "app-id" => format!("[[runtime_events]]\nname = \"{name}\"\npayload = [\"{application}\"]\n"),
            _ => format!("[[runtime_events]]\nname = \"{name}\"\ndangerously_any_payload = true\n"),
        });
        format!(
            "{SERVER}runtime_register = \"dstack\"\n{}",
            events.collect::<String>()
        )
    };
    let judged = |text: &str, log| {
        let mut rules = Rules::new();
        judge(&mut rules, &policy(text), &quote, log, now);
        outcome(rules)
    };
    assert!(judged(&text(&names, application), Some(&log)).is_ok());
    let found = |text: &str, log| {
        let denial = judged(text, log).unwrap_err();
        assert_eq!(refused_by(&denial), [RuleId::TdxRtmr3]);
        denial.reasons()[0].found.clone()
    };
    assert_eq!(found(&text(&names, application), None), "no event log");
    assert_eq!(found(&text(&names, "00"), Some(&log)), "event 1 is another");
    // One that nobody listed, and one that is not there.
    assert_eq!(
        found(&text(&names[..7], application), Some(&log)),
        "event 7 is another"
    );
    let longer = [&names[..], &["more"]].concat();
    assert_eq!(
        found(&text(&longer, application), Some(&log)),
        "event 8 is another"
    );
}
