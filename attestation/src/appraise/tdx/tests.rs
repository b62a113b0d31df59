//! Each rule alone: a domain that satisfies a strict policy, one change, exactly that rule.

use std::collections::BTreeMap;

use super::*;
use crate::denial::{Denial, Verdict};
use crate::policy::tdx::{TdxPolicy, TdxSection};
use crate::tdx::tests::authority::{NOW, Plan};

mod real;

/// What no policy can leave out, and the two flags that the fake platform has set.
const STRICT: &str = "minimum_tcb_evaluation = 20\nsmt = \"dangerously-accepted\"\n\
    dynamic_platform = \"dangerously-accepted\"\ncached_keys = \"refused\"\n\
    xfam_at_most = [\"x87\", \"sse\", \"avx\", \"pkru\", \"amx-tilecfg\", \"amx-tiledata\"]\n";

/// Rules that the fake platform's flags break, whatever the domain is.
const FLAGS: [RuleId; 2] = [RuleId::TdxSmt, RuleId::TdxDynamicPlatform];

fn policy(text: &str) -> TdxPolicy {
    let section: TdxSection = toml::from_str(text).unwrap();
    TdxPolicy::new(section, text.contains("# debug"), &[Digest::new([5; 48])]).unwrap()
}

/// A body as a strict policy wants it.
fn tighten(body: &mut [u8]) {
    body[128..136].copy_from_slice(&0x0006_0207_u64.to_le_bytes());
    body[232..328].fill(0);
    body[472..520].fill(0);
    body.iter_mut().skip(648).for_each(|byte| *byte = 0);
}

/// Changes a body.
type Change = fn(&mut Vec<u8>);

/// Version, type and change of an old body.
const OLD: [(u16, u16, Change); 3] = [
    (4, 2, |body| tighten(body)),
    (5, 2, |body| tighten(body)),
    (5, 3, |body| tighten(body)),
];

fn plan(body: Change) -> Plan {
    Plan {
        version: 5,
        body_type: 4,
        body,
        ..Plan::default()
    }
}

fn outcome(rules: Rules) -> Result<Vec<RuleId>, Denial> {
    let accepted = |verdict| verdict == Verdict::DangerouslyAccepted;
    rules.finish().map(|checks| {
        let accepted = checks.iter().filter(|check| accepted(check.verdict));
        accepted.map(|check| check.rule).collect()
    })
}

/// The rules dangerously accepted, or why it is denied.
fn judged(quote: &VerifiedQuote, text: &str, now: Timestamp) -> Result<Vec<RuleId>, Denial> {
    let mut rules = Rules::new();
    judge(&mut rules, &policy(text), quote, None, now);
    outcome(rules)
}

fn refused_by(denial: &Denial) -> Vec<RuleId> {
    denial.reasons().iter().map(|reason| reason.rule).collect()
}

/// Refused by this rule alone; with these lines accepted, dangerously where they say so.
fn refuses(plan: &Plan, rule: RuleId, accepting: Option<&str>) {
    let quote = plan.verify().unwrap();
    let denial = judged(&quote, STRICT, NOW).expect_err("must be refused");
    assert_eq!(refused_by(&denial), [rule]);
    let Some(accepting) = accepting else { return };
    let mut dangerously = FLAGS.to_vec();
    if accepting.contains("dangerously") || accepting.contains("# debug") {
        dangerously.insert(0, rule);
    }
    let accepted = judged(&quote, &format!("{STRICT}{accepting}\n"), NOW);
    assert_eq!(accepted.as_deref(), Ok(dangerously.as_slice()), "{rule}");
}

#[test]
fn a_strict_domain_satisfies_a_strict_policy_and_every_rule_is_judged_in_order() {
    let quote = plan(|body| tighten(body)).verify().unwrap();
    let mut rules = Rules::new();
    let floors = "minimum_tcb_date = \"2029-01-01T00:00:00Z\"\n\
                  minimum_tee_tcb_svn = \"05010200000000000000000000000000\"\n";
    judge(
        &mut rules,
        &policy(&format!("{STRICT}{floors}")),
        &quote,
        None,
        NOW,
    );
    let values = registers(|_, value| value, &quote);
    judge_registers(&mut rules, &[&values], &quote);
    let checks = rules.finish().unwrap();
    let mut judged: Vec<_> = checks.iter().map(|check| check.rule).collect();
    assert!(judged.is_sorted(), "policy order");
    judged.dedup();
    let named = |rule: &RuleId| rule.name().starts_with("tdx-");
    let all: Vec<_> = RuleId::ALL.iter().copied().filter(named).collect();
    assert_eq!(judged, all);
}

#[test]
fn an_old_body_is_judged_by_what_it_has() {
    for (version, body_type, body) in OLD {
        let plan = Plan {
            version,
            body_type,
            ..plan(body)
        };
        let accepted = judged(&plan.verify().unwrap(), STRICT, NOW);
        assert_eq!(accepted.as_deref(), Ok(FLAGS.as_slice()));
    }
}

#[test]
fn each_attribute_has_its_rule() {
    let bits: [(Change, RuleId, Option<&str>); 8] = [
        (
            |body| {
                tighten(body);
                body[120] |= 1;
            },
            RuleId::TdxDebug,
            Some("# debug"),
        ),
        (
            |body| {
                tighten(body);
                body[120] |= 0x40;
            },
            RuleId::TdxDebug,
            Some("# debug"),
        ),
        (
            |body| {
                tighten(body);
                body[127] |= 0x80;
            },
            RuleId::TdxPerfmon,
            Some("dangerously_accept_attributes = [\"perfmon\"]"),
        ),
        (
            |body| {
                tighten(body);
                body[123] |= 0x80;
            },
            RuleId::TdxKeyLocker,
            Some("dangerously_accept_attributes = [\"kl\"]"),
        ),
        (
            |body| {
                tighten(body);
                body[123] |= 0x40;
            },
            RuleId::TdxPks,
            Some("dangerously_accept_attributes = [\"pks\"]"),
        ),
        (
            |body| {
                tighten(body);
                body[123] |= 8;
            },
            RuleId::TdxAttributes,
            Some("dangerously_accept_attributes = [\"lass\"]"),
        ),
        (
            |body| {
                tighten(body);
                body[122] |= 3;
            },
            RuleId::TdxAttributes,
            Some("dangerously_accept_attributes = [\"icssd\", \"servtd-ext\"]"),
        ),
        (
            // A bit that is not reserved and has no name yet can be accepted by nobody.
            |body| {
                tighten(body);
                body[122] |= 4;
            },
            RuleId::TdxAttributes,
            None,
        ),
    ];
    for (body, rule, accepting) in bits {
        refuses(&plan(body), rule, accepting);
    }
    // No quote without it is verified; the rule stands all the same.
    let mut rules = Rules::new();
    let none = crate::tdx::tests::attributes(0);
    judge_attributes(&mut rules, &policy(STRICT), none);
    assert_eq!(
        refused_by(&outcome(rules).unwrap_err()),
        [RuleId::TdxSeptVeDisable]
    );
}

#[test]
fn states_are_listed_exactly_or_bounded() {
    let more = plan(|body| {
        tighten(body);
        body[129] |= 1;
    });
    refuses(&more, RuleId::TdxXfam, None);
    let quote = more.verify().unwrap();
    let exactly = |numbers: &str| {
        let text = STRICT.replace("xfam_at_most", "xfam_at_most = [\"x87\", \"sse\", \"avx\", \"pt\", \"pkru\", \"amx-tilecfg\", \"amx-tiledata\"]\n#");
        judged(&quote, &format!("{text}xfam = [{numbers}]\n"), NOW)
    };
    assert_eq!(exactly("0x60307").as_deref(), Ok(FLAGS.as_slice()));
    assert_eq!(exactly("3, 0x60307").as_deref(), Ok(FLAGS.as_slice()));
    for other in ["0x60207", "0x60707", "3"] {
        let denial = exactly(other).unwrap_err();
        assert_eq!(refused_by(&denial), [RuleId::TdxXfam]);
        assert_eq!(denial.reasons()[0].found, "0x60307");
    }
    // Both an exact list and a bound: both hold.
    let denial = judged(&quote, &format!("{STRICT}xfam = [0x60307]\n"), NOW).unwrap_err();
    assert_eq!(refused_by(&denial), [RuleId::TdxXfam]);
}

#[test]
fn owners_and_services_are_zero_or_listed() {
    fn listed(key: &str, byte: u8, length: usize) -> String {
        let value = "00".repeat(length - 1) + &format!("{byte:02x}");
        format!("{key} = [\"{value}\", \"{}\"]", "00".repeat(length))
    }
    let cases: [(Change, RuleId, String); 9] = [
        (
            |body| {
                tighten(body);
                body[279] = 1;
            },
            RuleId::TdxMrOwner,
            listed("mr_owner", 1, 48),
        ),
        (
            |body| {
                tighten(body);
                body[327] = 2;
            },
            RuleId::TdxMrOwnerConfig,
            listed("mr_owner_config", 2, 48),
        ),
        (
            |body| {
                tighten(body);
                body[647] = 3;
            },
            RuleId::TdxServiceTd,
            listed("mr_service_td", 3, 48),
        ),
        (
            |body| {
                tighten(body);
                body[648] = 1;
            },
            RuleId::TdxVm,
            "vm = [0, 1]".to_owned(),
        ),
        (
            |body| {
                tighten(body);
                body[728] = 4;
            },
            RuleId::TdxDeviceInfo,
            listed("device_info", 4, 48),
        ),
        (
            |body| {
                tighten(body);
                body[776] = 5;
            },
            RuleId::TdxServiceHash,
            listed("service_hash", 5, 48),
        ),
        (
            |body| {
                tighten(body);
                body[876] = 6;
            },
            RuleId::TdxServiceHash,
            listed("service_hash", 6, 48),
        ),
        (
            |body| {
                tighten(body);
                body[784] = 7;
            },
            RuleId::TdxServiceAttributes,
            listed("service_attributes", 7, 8),
        ),
        (
            |body| {
                tighten(body);
                body[884] = 8;
            },
            RuleId::TdxServiceAttributes,
            listed("service_attributes", 8, 8),
        ),
    ];
    for (body, rule, accepting) in cases {
        refuses(&plan(body), rule, Some(&accepting));
    }
}

#[test]
fn the_module_is_intels_and_listed_where_the_policy_lists_any() {
    let quote = plan(|body| tighten(body)).verify().unwrap();
    let module = quote.body().mr_seam;
    let with = |line: String| judged(&quote, &format!("{STRICT}{line}\n"), NOW);
    assert!(with(format!("mr_seam = [\"{module}\"]")).is_ok());
    let other = Digest::new([7_u8; 48]);
    let denial = with(format!("mr_seam = [\"{other}\"]")).unwrap_err();
    assert_eq!(refused_by(&denial), [RuleId::TdxMrSeam]);
    assert_eq!(denial.reasons()[0].found, module.to_string());
    let denial = with(format!("mr_signer_seam = [\"{other}\"]")).unwrap_err();
    assert_eq!(refused_by(&denial), [RuleId::TdxMrSignerSeam]);
    // A quote whose module has attributes is verified only where Intel's own words allow them.
    let mut rules = Rules::new();
    let body = TdBody {
        seam_attributes: [1, 0, 0, 0, 0, 0, 0, 0],
        ..*quote.body()
    };
    judge_module(&mut rules, &policy(STRICT), &body);
    assert_eq!(
        refused_by(&outcome(rules).unwrap_err()),
        [RuleId::TdxSeamAttributes]
    );
}

#[test]
fn the_modules_versions_are_compared_byte_by_byte_at_launch_and_now() {
    let quote = plan(|body| tighten(body)).verify().unwrap();
    let with = |svn: &str| {
        let line = format!("minimum_tee_tcb_svn = \"{svn}{}\"\n", "00".repeat(13));
        judged(&quote, &format!("{STRICT}{line}"), NOW)
    };
    for reached in ["050102", "040102", "050002", "000000"] {
        assert!(with(reached).is_ok(), "{reached}");
    }
    for missed in ["060102", "000200", "000003"] {
        assert_eq!(refused_by(&with(missed).unwrap_err()), [RuleId::TdxTeeTcbSvn]);
    }
    let mut rules = Rules::new();
    let mut body = *quote.body();
    body.td15 = body.td15.map(|newer| crate::tdx::Td15 {
        tee_tcb_svn2: [0; 16],
        ..newer
    });
    let text = format!("{STRICT}minimum_tee_tcb_svn = \"01{}\"\n", "00".repeat(15));
    judge_module(&mut rules, &policy(&text), &body);
    assert_eq!(refused_by(&outcome(rules).unwrap_err()), [RuleId::TdxTeeTcbSvn]);
}

/// Values of RTMR0 to RTMR2, as the quote has them or changed.
fn registers(change: impl Fn(u8, Digest<48>) -> Digest<48>, quote: &VerifiedQuote) -> RegisterValues<48> {
    let each = (0_u8..3).zip(quote.body().rtmr);
    let values: BTreeMap<_, _> = each.map(|(n, value)| (n, vec![change(n, value)])).collect();
    RegisterValues::new(values).unwrap()
}

#[test]
fn registers_are_those_of_one_reference_value() {
    let quote = plan(|body| tighten(body)).verify().unwrap();
    let other = Digest::new([1_u8; 48]);
    let right = registers(|_, value| value, &quote);
    let wrong = |which: u8| registers(move |n, value| if n == which { other } else { value }, &quote);
    let judged = |candidates: &[&RegisterValues<48>]| {
        let mut rules = Rules::new();
        judge_registers(&mut rules, candidates, &quote);
        outcome(rules).map_err(|denial| refused_by(&denial))
    };
    assert_eq!(judged(&[&right]), Ok(vec![]));
    assert_eq!(judged(&[&wrong(0), &right, &wrong(1)]), Ok(vec![]));
    let rules = [RuleId::TdxRtmr0, RuleId::TdxRtmr1, RuleId::TdxRtmr2];
    assert_eq!(judged(&[]), Err(rules.to_vec()));
    for (which, rule) in (0..).zip(rules) {
        assert_eq!(judged(&[&wrong(which)]), Err(vec![rule]));
    }
    // Each register is right in one of them, and all in none: no mixture passes.
    let halves = [wrong(0), wrong(1)];
    assert_eq!(judged(&[&halves[0], &halves[1]]).unwrap_err().len(), 1);
    let partial = RegisterValues::new(BTreeMap::from([(0, vec![quote.body().rtmr[0]])])).unwrap();
    assert_eq!(judged(&[&partial]), Err(rules[1..].to_vec()));
}

#[test]
fn the_runtime_register_is_zero_or_one_configuration() {
    let changed = plan(|body| {
        tighten(body);
        let configuration = Digest::new([5_u8; 48]);
        let value = sha384(&[&[0; 48], configuration.as_bytes()]);
        body[472..520].copy_from_slice(value.as_bytes());
    });
    let configured = "runtime_register = \"configuration\"";
    refuses(&changed, RuleId::TdxRtmr3, Some(configured));
    // Another configuration, one twice, and none where one is demanded.
    let wrong: [Change; 3] = [
        |body| {
            tighten(body);
            let value = sha384(&[&[0; 48], &[6; 48]]);
            body[472..520].copy_from_slice(value.as_bytes());
        },
        |body| {
            tighten(body);
            let once = sha384(&[&[0; 48], &[5; 48]]);
            let twice = sha384(&[once.as_bytes(), &[5; 48]]);
            body[472..520].copy_from_slice(twice.as_bytes());
        },
        |body| tighten(body),
    ];
    for body in wrong {
        let quote = plan(body).verify().unwrap();
        let denial = judged(&quote, &format!("{STRICT}{configured}\n"), NOW).unwrap_err();
        assert_eq!(refused_by(&denial), [RuleId::TdxRtmr3]);
    }
}

#[test]
fn a_status_is_bridged_until_its_date_and_unless_an_advisory() {
    let old = Plan {
        cpu_svn: [4; 16],
        ..plan(|body| tighten(body))
    };
    let quote = old.verify().unwrap();
    let with = |more: &str, now| {
        let entry =
            "[[dangerously_accept_status]]\nstatus = \"OutOfDate\"\nuntil = \"2030-01-15T12:00:01Z\"\n";
        judged(&quote, &format!("{STRICT}{entry}{more}\n"), now)
    };
    let both = [RuleId::TdxTcbStatus, RuleId::TdxAdvisories];
    let denial = judged(&quote, STRICT, NOW).unwrap_err();
    assert_eq!(refused_by(&denial), both);
    assert_eq!(
        denial.reasons()[0].to_string(),
        "tdx-tcb-status: expected UpToDate, found OutOfDate"
    );
    assert_eq!(denial.reasons()[1].found, "INTEL-SA-99999");
    let accepted = with("", NOW).unwrap();
    assert_eq!(accepted, [&both[..], &FLAGS[..]].concat());
    let denial = with("", NOW.plus(1)).unwrap_err();
    assert_eq!(refused_by(&denial), both);
    assert_eq!(
        denial.reasons()[0].expected,
        "UpToDate, or OutOfDate until 1894708801"
    );
    let denial = with("unless_advisories = [\"INTEL-SA-99999\"]", NOW).unwrap_err();
    assert_eq!(refused_by(&denial), both);
    assert!(with("unless_advisories = [\"INTEL-SA-00001\"]", NOW).is_ok());
    assert!(with("only_advisories = [\"INTEL-SA-99999\"]", NOW).is_ok());
    let denial = with("only_advisories = [\"INTEL-SA-00001\"]", NOW).unwrap_err();
    assert_eq!(refused_by(&denial), both);
    // Another status than the one that is bridged.
    let other =
        "[[dangerously_accept_status]]\nstatus = \"ConfigurationNeeded\"\nuntil = \"2031-01-01T00:00:00Z\"";
    let denial = judged(&quote, &format!("{STRICT}{other}\n"), NOW).unwrap_err();
    assert_eq!(refused_by(&denial), both);
    // An advisory alone, accepted by name, accepts no status.
    let named = "dangerously_accept_advisories = [\"INTEL-SA-99999\"]";
    let denial = judged(&quote, &format!("{STRICT}{named}\n"), NOW).unwrap_err();
    assert_eq!(refused_by(&denial), [RuleId::TdxTcbStatus]);
}

#[test]
fn advisories_of_an_up_to_date_platform_are_refused_unless_named() {
    let advised = Plan {
        tcb: |tcb| {
            tcb["tcbLevels"][0]["advisoryIDs"] = serde_json::json!(["INTEL-SA-00001", "made \u{7} up"]);
        },
        ..plan(|body| tighten(body))
    };
    let quote = advised.verify().unwrap();
    let denial = judged(&quote, STRICT, NOW).unwrap_err();
    assert_eq!(refused_by(&denial), [RuleId::TdxAdvisories]);
    // What is no advisory's name is counted, never shown.
    assert_eq!(denial.reasons()[0].found, "INTEL-SA-00001 1 of another form");
    let one = Plan {
        tcb: |tcb| tcb["tcbLevels"][0]["advisoryIDs"] = serde_json::json!(["INTEL-SA-00001"]),
        ..plan(|body| tighten(body))
    };
    let accepting = "dangerously_accept_advisories = [\"INTEL-SA-00001\"]";
    refuses(&one, RuleId::TdxAdvisories, Some(accepting));
}

#[test]
fn collateral_and_fixes_have_floors() {
    let quote = plan(|body| tighten(body)).verify().unwrap();
    let evaluated = |least: u32| {
        let text = STRICT.replace("evaluation = 20", &format!("evaluation = {least}"));
        judged(&quote, &text, NOW)
    };
    // 21 of the TCB information, 20 of the quoting enclave's identity.
    assert!(evaluated(20).is_ok() && evaluated(0).is_ok());
    assert_eq!(
        refused_by(&evaluated(21).unwrap_err()),
        [RuleId::TdxTcbEvaluation]
    );
    let dated = |date: &str| judged(&quote, &format!("{STRICT}minimum_tcb_date = \"{date}\"\n"), NOW);
    assert!(dated("2029-11-01T00:00:00Z").is_ok());
    assert_eq!(
        refused_by(&dated("2029-11-01T00:00:01Z").unwrap_err()),
        [RuleId::TdxTcbDate]
    );
}

#[test]
fn flags_of_the_platform_are_refused_unless_chosen_and_unsaid_is_not_clear() {
    let strict = STRICT.replace("dangerously-accepted", "refused");
    let with = |flags: Option<[u8; 3]>, text: &str| {
        let plan = Plan {
            flags,
            names: match flags {
                Some(_) => Plan::default().names,
                None => [
                    "Intel SGX Root CA",
                    "Intel SGX PCK Processor CA",
                    "Intel SGX TCB Signing",
                    "Intel SGX PCK Certificate",
                ],
            },
            ..plan(|body| tighten(body))
        };
        judged(&plan.verify().unwrap(), text, NOW).map_err(|denial| refused_by(&denial))
    };
    let all = [RuleId::TdxSmt, RuleId::TdxDynamicPlatform, RuleId::TdxCachedKeys];
    assert_eq!(with(Some([0; 3]), &strict), Ok(vec![]));
    assert_eq!(with(Some([0xff, 0, 0]), &strict), Err(vec![all[1]]));
    assert_eq!(with(Some([0, 0xff, 0]), &strict), Err(vec![all[2]]));
    assert_eq!(with(Some([0, 0, 0xff]), &strict), Err(vec![all[0]]));
    assert_eq!(with(None, &strict), Err(all.to_vec()));
    let open = STRICT.replace("refused", "dangerously-accepted");
    assert_eq!(with(Some([0xff; 3]), &open), Ok(all.to_vec()));
    assert_eq!(with(None, &open), Ok(all.to_vec()));
}
