//! Every field is there: what changes in the claims or the quote changes in the list, and where it should.

use std::collections::{BTreeMap, BTreeSet};

use anchorhold_encoding::Digest;

use super::*;
use crate::azure::fake::{VM, guest};

type Fields = BTreeMap<String, Value>;

const ROOT: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";

fn values() -> [Digest<32>; 24] {
    std::array::from_fn(|number| Digest::new([u8::try_from(number).unwrap(); 32]))
}

fn fields(vm: &str, values: &[Digest<32>; 24]) -> Fields {
    let fields = guest(vm, values).fields();
    let count = fields.len();
    let map: Fields = fields
        .into_iter()
        .map(|field| (field.name.into_owned(), field.value))
        .collect();
    assert_eq!(map.len(), count, "a name is there twice");
    map
}

fn changed(before: &Fields, after: &Fields) -> Vec<String> {
    assert!(before.keys().eq(after.keys()));
    let differs = |name: &&String| name.starts_with("azure.") && before[*name] != after[*name];
    before.keys().filter(differs).cloned().collect()
}

#[test]
fn each_member_of_the_configuration_is_in_the_list() {
    let before = fields(VM, &values());
    for (from, to, name) in [
        (
            r#""console-enabled":false"#,
            r#""console-enabled":true"#,
            "console-enabled",
        ),
        (
            r#""interactive-console-enabled":false"#,
            r#""interactive-console-enabled":true"#,
            "interactive-console-enabled",
        ),
        (
            r#""ipmi-enabled":false"#,
            r#""ipmi-enabled":true"#,
            "ipmi-enabled",
        ),
        (r#""secure-boot":true"#, r#""secure-boot":false"#, "secure-boot"),
        (r#""tpm-enabled":true"#, r#""tpm-enabled":false"#, "tpm-enabled"),
        ("1.38", "1.59", "tpm-version-hundredths"),
        (
            r#""tpm-persisted":true"#,
            r#""tpm-persisted":false"#,
            "tpm-persisted",
        ),
        (
            r#""filtered-vpci-devices-allowed":false"#,
            r#""filtered-vpci-devices-allowed":true"#,
            "filtered-vpci-devices-allowed",
        ),
        (
            r#""root-cert-thumbprint":"""#,
            &format!(r#""root-cert-thumbprint":"{ROOT}""#),
            "root-cert-thumbprint",
        ),
        ("456789ABCDEF\"", "456789ABCDE0\"", "vm-unique-id"),
        ("1790000000", "1790000001", "current-time"),
        (
            r#""hardware-sealing-policy":"none""#,
            r#""hardware-sealing-policy":"signer""#,
            "hardware-sealing-policy",
        ),
        (
            r#""hardware-sealing-policy":"none""#,
            r#""hardware-sealing-policy":"none","key-release-context-hash":"0707070707070707070707070707070707070707070707070707070707070707""#,
            "key-release-context-hash",
        ),
    ] {
        // With the comma before it: `console-enabled` also ends another member's name.
        let (from, to) = match from.starts_with('"') {
            true => (format!(",{from}"), format!(",{to}")),
            false => (from.to_owned(), to.to_owned()),
        };
        let vm = VM.replacen(&from, &to, 1);
        assert_ne!(vm, VM, "{from}");
        let after = fields(&vm, &values());
        let mut names = changed(&before, &after);
        // Another machine's claims are signed by the same key of the vTPM.
        names.retain(|name| name != "azure.attestation_key");
        assert_eq!(names, [format!("azure.vm.{name}")]);
    }
    let provisioned = VM.replacen(
        '{',
        r#"{"vmgs-provisioner":{"id":"6F2626C0-BE6B-4DC4-9D41-990911B067C0","signer":"did:x509"},"#,
        1,
    );
    assert_eq!(
        changed(&before, &fields(&provisioned, &values())),
        ["azure.vm.vmgs-provisioner.id", "azure.vm.vmgs-provisioner.signer"]
    );
}

#[test]
fn registers_clock_and_hardware_are_in_the_list() {
    let before = fields(VM, &values());
    for number in 0..24 {
        let mut other = values();
        other[number] = Digest::new([0xff; 32]);
        assert_eq!(
            changed(&before, &fields(VM, &other)),
            [format!("azure.pcr.{number:02}")]
        );
    }
    assert_eq!(before["azure.tpm.milliseconds"], Value::Number(77));
    assert_eq!(before["azure.tpm.resets"], Value::Number(3));
    assert_eq!(before["azure.tpm.restarts"], Value::Number(2));
    assert_eq!(before["azure.tpm.safe"], Value::Flag(true));
    assert_eq!(
        before["azure.tpm.firmware_version"],
        Value::Number(0x2020_0312_0012_0003)
    );
    assert_eq!(before["azure.hcl_measurement"], before["snp.measurement"]);
    assert!(before.contains_key("azure.attestation_key"));
}

/// The names in the page's section "Fields".
fn listed() -> BTreeSet<String> {
    let page = include_str!("../../../../docs/platforms/azure.md");
    let section = page.split("## Fields").nth(1).unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|line| line.split('|').nth(1).unwrap().split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_page_lists_each_field() {
    let names = fields(VM, &values()).into_keys();
    let names: BTreeSet<_> = names.filter(|name| name.starts_with("azure.")).collect();
    assert_eq!(listed(), names);
}
