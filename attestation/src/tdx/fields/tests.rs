//! Every field is there: what changes in evidence changes in the list, and where it should.

use std::collections::{BTreeMap, BTreeSet};

use super::super::tests::authority::Plan;
use super::*;

/// Changes a body, and so the fields of these names.
type Row = (fn(&mut Vec<u8>), &'static [&'static str]);

fn fields(plan: &Plan) -> BTreeMap<String, Value> {
    let quote = plan.verify().unwrap();
    let fields = quote.fields();
    let count = fields.len();
    let map: BTreeMap<_, _> = fields
        .into_iter()
        .map(|field| (field.name.into_owned(), field.value))
        .collect();
    assert_eq!(map.len(), count, "a name is there twice");
    map
}

fn newest() -> Plan {
    Plan {
        version: 5,
        body_type: 4,
        ..Plan::default()
    }
}

/// The names whose values differ, but for what is new in each authority.
fn changed(plan: &Plan) -> Vec<String> {
    let (before, after) = (fields(&newest()), fields(plan));
    assert!(before.keys().eq(after.keys()));
    before
        .into_iter()
        .filter(|(name, value)| after[name] != *value)
        .map(|(name, _)| name)
        .filter(|name| name != "tdx.platform.certificate" && name != "tdx.qe.report_data")
        .collect()
}

#[test]
fn each_field_of_a_body_is_in_the_list() {
    // Where a byte of the body is, and what else changes with it.
    const BODY: &[Row] = &[
        (|body| body[15] ^= 1, &["tdx.tee_tcb_svn"]),
        (|body| body[63] ^= 1, &["tdx.mr_seam"]),
        (|body| body[120] ^= 1, &["tdx.attributes", "tdx.attributes.debug"]),
        (
            |body| body[127] ^= 0x80,
            &["tdx.attributes", "tdx.attributes.perfmon"],
        ),
        (|body| body[128] ^= 4, &["tdx.xfam", "tdx.xfam.avx"]),
        (|body| body[135] ^= 0x80, &["tdx.xfam", "tdx.xfam.unknown"]),
        (|body| body[183] ^= 1, &["tdx.mr_td"]),
        (|body| body[231] ^= 1, &["tdx.mr_config_id"]),
        (|body| body[279] ^= 1, &["tdx.mr_owner"]),
        (|body| body[327] ^= 1, &["tdx.mr_owner_config"]),
        (|body| body[328] ^= 1, &["tdx.rtmr0"]),
        (|body| body[376] ^= 1, &["tdx.rtmr1"]),
        (|body| body[424] ^= 1, &["tdx.rtmr2"]),
        (|body| body[472] ^= 1, &["tdx.rtmr3"]),
        (|body| body[583] ^= 1, &["tdx.report_data"]),
        (|body| body[599] ^= 1, &["tdx.tee_tcb_svn2"]),
        (|body| body[647] ^= 1, &["tdx.mr_service_td"]),
        (|body| body[648] ^= 1, &["tdx.vm"]),
        (|body| body[649] ^= 1, &["tdx.td_id"]),
        (|body| body[681] ^= 1, &["tdx.device_info"]),
        (|body| body[729] ^= 1, &["tdx.initial.service_hash"]),
        (|body| body[777] ^= 1, &["tdx.initial.service_attributes"]),
        (|body| body[785] ^= 1, &["tdx.initial.cpu_svn"]),
        (|body| body[801] ^= 1, &["tdx.initial.tee_tcb_svn"]),
        (|body| body[817] ^= 1, &["tdx.initial.fmspc"]),
        (|body| body[829] ^= 1, &["tdx.current.service_hash"]),
        (|body| body[884] ^= 1, &["tdx.current.service_attributes"]),
    ];
    for (change, names) in BODY {
        let plan = Plan {
            body: *change,
            ..newest()
        };
        assert_eq!(changed(&plan), *names);
    }
}

#[test]
fn each_field_of_enclave_platform_and_collateral_is_in_the_list() {
    let enclave = |change| Plan {
        enclave: change,
        ..newest()
    };
    assert_eq!(changed(&enclave(|report| report[0] = 1)), ["tdx.qe.cpu_svn"]);
    assert_eq!(changed(&enclave(|report| report[63] = 1)), ["tdx.qe.attributes"]);
    assert_eq!(changed(&enclave(|report| report[64] = 1)), ["tdx.qe.measurement"]);
    assert_eq!(
        changed(&enclave(|report| report[258] = 7)),
        ["tdx.qe.security_version"]
    );
    let newer = Plan {
        cpu_svn: [6; 16],
        ..newest()
    };
    assert_eq!(changed(&newer), ["tdx.platform.cpu_svn"]);
    let old = Plan {
        cpu_svn: [4; 16],
        ..newest()
    };
    assert_eq!(
        changed(&old),
        [
            "tdx.platform.cpu_svn",
            "tdx.tcb.advisories",
            "tdx.tcb.current.advisories",
            "tdx.tcb.current.date",
            "tdx.tcb.current.status",
            "tdx.tcb.platform.advisories",
            "tdx.tcb.platform.date",
            "tdx.tcb.platform.status",
            "tdx.tcb.status",
        ]
    );
    let evaluated = Plan {
        tcb: |tcb| tcb["tcbEvaluationDataNumber"] = 22.into(),
        identity: |qe| qe["tcbEvaluationDataNumber"] = 23.into(),
        ..newest()
    };
    assert_eq!(
        changed(&evaluated),
        ["tdx.collateral.qe_evaluation", "tdx.collateral.tcb_evaluation"]
    );
}

#[test]
fn what_an_old_body_does_not_have_is_absent() {
    let old = fields(&Plan::default());
    assert!(old.keys().eq(fields(&newest()).keys()));
    for name in [
        "tdx.mr_service_td",
        "tdx.vm",
        "tdx.td_id",
        "tdx.tcb.current.status",
    ] {
        assert_eq!(old[name], Value::Absent, "{name}");
    }
    assert_eq!(old["tdx.body"], Value::Text("1.0".to_owned()));
    assert_eq!(old["tdx.platform.smt"], Value::Flag(true));
    assert_eq!(old["tdx.tcb.status"], Value::Text("UpToDate".to_owned()));
    assert_eq!(old["tdx.collateral.pck_crl"], Value::Number(41));
}

/// The names in the page's section "Fields".
fn listed() -> BTreeSet<String> {
    let page = include_str!("../../../../docs/platforms/tdx.md");
    let section = page.split("## Fields").nth(1).unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|line| line.split('|').nth(1).unwrap().split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_page_lists_each_field() {
    let names: BTreeSet<_> = fields(&newest()).into_keys().collect();
    assert_eq!(listed(), names);
}
