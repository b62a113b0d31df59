//! The section `[tdx]`: what must be there, what may be, and what an unset key means.

use super::*;

/// The least that a section must say.
const LEAST: &str = "minimum_tcb_evaluation = 17\nsmt = \"refused\"\ndynamic_platform = \"refused\"\n\
                     cached_keys = \"refused\"\nxfam_at_most = [\"x87\", \"sse\"]\n";

fn parse(text: &str) -> Option<Result<TdxPolicy, PolicyError>> {
    let section = toml::from_str(text).ok()?;
    Some(TdxPolicy::new(section, false, &[Digest::new([5; 48])]))
}

fn accepted(more: &str) -> TdxPolicy {
    parse(&format!("{LEAST}{more}")).expect("a section").unwrap()
}

fn refused(more: &str) -> PolicyError {
    parse(&format!("{LEAST}{more}"))
        .expect("a section")
        .expect_err("must be refused")
}

#[test]
fn unset_is_zero_or_up_to_date() {
    let policy = accepted("");
    let zero = vec![Digest::new([0; 48])];
    for list in [
        &policy.mr_signer_seam,
        &policy.mr_owner,
        &policy.mr_owner_config,
        &policy.mr_service_td,
        &policy.device_info,
        &policy.service_hash,
    ] {
        assert_eq!(*list, zero);
    }
    assert_eq!(policy.service_attributes, [Digest::new([0; 8])]);
    assert_eq!(policy.vm, [0]);
    assert!(!policy.accept_debug && policy.accept_attributes.is_empty());
    assert!(policy.accept_status.is_empty() && policy.accept_advisories.is_empty());
    assert!(matches!(policy.runtime_register, RuntimeRegister::Zero));
    assert_eq!((policy.xfam_at_most, &policy.xfam), (3, &None));
    assert!(!policy.smt.accepts() && !policy.dynamic_platform.accepts() && !policy.cached_keys.accepts());
}

#[test]
fn what_has_no_strict_value_must_be_given() {
    for (line, key) in LEAST.lines().zip([
        "tdx.minimum_tcb_evaluation",
        "tdx.smt",
        "tdx.dynamic_platform",
        "tdx.cached_keys",
        "tdx.xfam_at_most",
    ]) {
        let text = LEAST.replace(line, "");
        assert_eq!(parse(&text).unwrap().unwrap_err(), PolicyError::Missing(key));
    }
    let exact = LEAST.replace("xfam_at_most = [\"x87\", \"sse\"]", "xfam = [0x602e7]");
    let policy = parse(&exact).unwrap().unwrap();
    assert_eq!(
        (policy.xfam, policy.xfam_at_most),
        (Some(vec![0x602e7]), u64::MAX)
    );
}

#[test]
fn unknown_words_are_no_section() {
    for line in [
        "debug = true",
        "smt = true",
        "smt = \"accepted\"",
        "xfam_at_most = [\"all\"]",
        "xfam = [-1]",
        "mr_seam = [\"00\"]",
        "minimum_tcb_date = \"2026-01-01\"",
        "minimum_tee_tcb_svn = \"05\"",
        "dangerously_accept_attributes = [\"debug\"]",
        "dangerously_accept_attributes = [\"perf-prof\"]",
        "dangerously_accept_attributes = [\"sept-ve-disable\"]",
        "dangerously_accept_attributes = [\"bit 3\"]",
        "dangerously_accept_advisories = [\"INTEL-SA-1\"]",
        "dangerously_accept_advisories = [\"INTEL-SA-0096x\"]",
        "dangerously_accept_advisories = [\"AMD-SB-3015\"]",
        "runtime_register = \"any\"",
        "vm = [256]",
    ] {
        assert!(parse(&format!("{LEAST}{line}\n")).is_none(), "{line}");
    }
}

#[test]
fn a_status_is_accepted_by_name_until_a_date() {
    let policy = accepted(
        "[[dangerously_accept_status]]\nstatus = \"OutOfDate\"\nuntil = \"2026-12-31T00:00:00Z\"\n\
         unless_advisories = [\"INTEL-SA-00960\"]\n\
         [[dangerously_accept_status]]\nstatus = \"SWHardeningNeeded\"\nuntil = \"2027-01-01T00:00:00Z\"\n\
         only_advisories = [\"INTEL-SA-00615\"]\n",
    );
    let [first, second] = policy.accept_status.as_slice() else {
        panic!()
    };
    assert_eq!(
        (first.status, first.until.unix()),
        (TcbStatus::OutOfDate, 1_798_675_200)
    );
    assert_eq!(first.unless, [Advisory("INTEL-SA-00960".to_owned())]);
    assert!(first.only.is_none());
    assert_eq!(
        second.only.as_deref(),
        Some([Advisory("INTEL-SA-00615".to_owned())].as_slice())
    );
    for entry in [
        "status = \"OutOfDate\"",
        "until = \"2026-12-31T00:00:00Z\"",
        "status = \"UpToDate\"\nuntil = \"2026-12-31T00:00:00Z\"",
        "status = \"Revoked\"\nuntil = \"2026-12-31T00:00:00Z\"",
        "status = \"outofdate\"\nuntil = \"2026-12-31T00:00:00Z\"",
        "status = \"OutOfDate\"\nuntil = \"never\"",
        "status = \"OutOfDate\"\nuntil = \"2026-12-31T00:00:00Z\"\nalways = true",
    ] {
        let text = format!("{LEAST}[[dangerously_accept_status]]\n{entry}\n");
        assert!(parse(&text).is_none(), "{entry}");
    }
    let empty = "[[dangerously_accept_status]]\nstatus = \"OutOfDate\"\nuntil = \"2026-12-31T00:00:00Z\"\n";
    assert_eq!(
        refused(&format!("{empty}only_advisories = []\n")),
        PolicyError::Empty("tdx.dangerously_accept_status.only_advisories")
    );
    let entries = empty.repeat(limits::POLICY_ENTRIES + 1);
    assert_eq!(
        refused(&entries),
        PolicyError::TooLong("tdx.dangerously_accept_status")
    );
}

#[test]
fn the_runtime_register_has_one_use() {
    let policy = accepted("runtime_register = \"configuration\"\n");
    let digest = Digest::new([5_u8; 48]);
    assert!(matches!(policy.runtime_register, RuntimeRegister::Configuration(list) if list == [digest]));
    let text = format!("{LEAST}runtime_register = \"configuration\"\n");
    let nothing = TdxPolicy::new(toml::from_str(&text).unwrap(), false, &[]);
    assert_eq!(nothing.unwrap_err(), PolicyError::Missing("config_sha384"));
    let policy = accepted(
        "runtime_register = \"dstack\"\n[[runtime_events]]\nname = \"app-id\"\npayload = [\"00ff\"]\n\
         [[runtime_events]]\nname = \"instance-id\"\ndangerously_any_payload = true\n",
    );
    let RuntimeRegister::Dstack(events) = policy.runtime_register else {
        panic!()
    };
    assert_eq!(
        (events[0].name.as_str(), &events[0].payloads),
        ("app-id", &Some(vec![vec![0, 255]]))
    );
    assert!(events[1].payloads.is_none());

    let event = "[[runtime_events]]\nname = \"app-id\"\npayload = [\"\"]\n";
    for (text, error) in [
        (
            "runtime_register = \"dstack\"\n".to_owned(),
            PolicyError::Missing("tdx.runtime_events"),
        ),
        // A list that the chosen use does not read.
        (event.to_owned(), PolicyError::Range("tdx.runtime_events")),
        (
            format!("runtime_register = \"configuration\"\n{event}"),
            PolicyError::Range("tdx.runtime_events"),
        ),
        (
            "runtime_register = \"dstack\"\n[[runtime_events]]\nname = \"a\"\n".to_owned(),
            PolicyError::Missing("tdx.runtime_events.payload"),
        ),
        (
            format!("runtime_register = \"dstack\"\n{event}dangerously_any_payload = true\n"),
            PolicyError::Range("tdx.runtime_events.payload"),
        ),
        (
            "runtime_register = \"dstack\"\n[[runtime_events]]\nname = \"\"\ndangerously_any_payload = true\n"
                .to_owned(),
            PolicyError::TooLong("tdx.runtime_events.name"),
        ),
    ] {
        assert_eq!(refused(&text), error, "{text}");
    }
}

#[test]
fn lists_are_never_empty() {
    for (line, key) in [
        ("mr_seam = []", "tdx.mr_seam"),
        ("mr_signer_seam = []", "tdx.mr_signer_seam"),
        ("mr_owner = []", "tdx.mr_owner"),
        ("mr_owner_config = []", "tdx.mr_owner_config"),
        ("mr_service_td = []", "tdx.mr_service_td"),
        ("vm = []", "tdx.vm"),
        ("device_info = []", "tdx.device_info"),
        ("service_hash = []", "tdx.service_hash"),
        ("service_attributes = []", "tdx.service_attributes"),
        ("xfam = []", "tdx.xfam"),
        (
            "dangerously_accept_attributes = []",
            "tdx.dangerously_accept_attributes",
        ),
        (
            "dangerously_accept_advisories = []",
            "tdx.dangerously_accept_advisories",
        ),
    ] {
        assert_eq!(refused(line), PolicyError::Empty(key));
    }
}
