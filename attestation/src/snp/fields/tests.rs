//! Nothing that is signed is missing from the list, and a pin sees every change.

use std::collections::BTreeSet;

use crate::claims::Platform;
use crate::denial::Rules;
use crate::field::{Field, Pin, Value};
use crate::snp::fake::{Fake, integer};
use crate::snp::{Product, Report, VerifiedReport};

#[derive(serde::Deserialize)]
struct File {
    pins: Vec<Pin>,
}

/// Pins each field to the value it has.
fn pins(fields: &[Field]) -> Vec<Pin> {
    let text: String = fields
        .iter()
        .map(|field| {
            let demand = match &field.value {
                Value::Number(number) => format!("equals = '{number:#x}'"),
                Value::Flag(flag) => format!("equals = {flag}"),
                Value::Absent => "absent = true".to_owned(),
                value => format!("equals = '{value}'"),
            };
            format!("[[pins]]\nfield = '{}'\n{demand}\n", field.name)
        })
        .collect();
    toml::from_str::<File>(&text).unwrap().pins
}

/// Names of the pins that do not hold.
fn refused(pins: &[Pin], fields: &[Field]) -> BTreeSet<String> {
    let mut rules = Rules::new();
    Pin::judge(pins, &mut rules, Platform::InsecureSimulated, fields);
    match rules.finish() {
        Ok(_) => BTreeSet::new(),
        Err(denial) => denial
            .reasons()
            .iter()
            .map(|reason| reason.expected.split(' ').next().unwrap().to_owned())
            .collect(),
    }
}

fn changed(before: &[Field], after: &[Field]) -> BTreeSet<String> {
    assert_eq!(
        before.len(),
        after.len(),
        "the names are the same for every report"
    );
    before
        .iter()
        .zip(after)
        .inspect(|(before, after)| assert_eq!(before.name, after.name))
        .filter(|(before, after)| before.value != after.value)
        .map(|(before, _)| before.name.to_string())
        .collect()
}

fn proven(change: impl Fn(&mut Fake)) -> VerifiedReport {
    let mut fake = Fake::vcek(Product::Milan);
    change(&mut fake);
    fake.verify().unwrap()
}

/// One bit of the report, and what it changes.
fn flip(place: usize, bit: u32) -> impl Fn(&mut Fake) {
    move |fake: &mut Fake| fake.report[place] ^= 1 << bit
}

/// A component of the reported TCB, with the certificate for it.
fn reported(place: usize, oid: &'static str) -> impl Fn(&mut Fake) {
    move |fake: &mut Fake| {
        fake.report[place] += 1;
        fake.state(oid, integer(fake.report[place]));
    }
}

#[test]
fn a_pin_on_every_field_sees_every_change() {
    let before = proven(|_| {}).fields();
    let pins = pins(&before);
    assert_eq!(refused(&pins, &before), BTreeSet::new());

    let mut all = BTreeSet::new();
    let mut see = |after: &[Field]| {
        let names = changed(&before, after);
        assert!(!names.is_empty());
        assert_eq!(refused(&pins, after), names);
        all.extend(names);
    };
    let places = [
        // SVN, ABI, ids; digests; ids of this guest.
        4, 8, 9, 0x10, 0x1f, 0x20, 0x2f, 0x50, 0x8f, 0x90, 0xbf, 0xc0, 0xdf, 0xe0, 0x10f, 0x110, 0x13f, 0x140,
        0x15f, 0x160, 0x17f, // Privilege level, author key.
        0x30, 0x48, // Model and stepping.
        0x189, 0x18a, // Current, committed and launch TCB.
        0x38, 0x39, 0x3e, 0x3f, 0x1e0, 0x1e1, 0x1e6, 0x1e7, 0x1f0, 0x1f1, 0x1f6, 0x1f7,
        // Firmware, mitigations.
        0x1e8, 0x1e9, 0x1ea, 0x1ec, 0x1ed, 0x1ee, 0x1f8, 0x1ff, 0x200, 0x207,
    ];
    for place in places {
        see(&proven(flip(place, 0)).fields());
    }
    // Guest policy (bit 17 is always one) and platform info, bits without a name among them.
    for bit in [16, 18, 19, 20, 21, 22, 23, 24, 25, 26, 63] {
        see(&proven(flip(8 + bit / 8, bit as u32 % 8)).fields());
    }
    for bit in [0, 1, 2, 3, 4, 5, 6, 7, 8, 63] {
        see(&proven(flip(0x40 + bit / 8, bit as u32 % 8)).fields());
    }
    for (place, oid) in [(0x180, "3.1"), (0x181, "3.2"), (0x186, "3.3"), (0x187, "3.8")] {
        see(&proven(reported(place, oid)).fields());
    }
    see(&proven(|fake| fake.vek.until -= 60 * 60 * 24 * 360).fields());
    // Another version, key, provider and product; no list.
    see(&proven(|fake| {
        fake.report[0] = 4;
        fake.report[0x1f8..0x208].fill(0);
    })
    .fields());
    see(&Fake::vlek(Product::Milan).verify().unwrap().fields());
    see(&Fake::vcek(Product::Turin).verify().unwrap().fields());
    see(&proven(|fake| fake.crl = None).fields());

    let names: BTreeSet<_> = before.iter().map(|field| field.name.to_string()).collect();
    assert_eq!(names.len(), before.len(), "no name twice");
    assert_eq!(all, names, "some change was seen in each");
}

#[test]
fn every_signed_bit_is_in_the_list_or_refused() {
    let report = Fake::vcek(Product::Milan).report;
    let before = Report::parse(&report).unwrap().fields();
    for bit in 0..0x2a0 * 8 {
        let mut report = report.clone();
        report[bit / 8] ^= 1 << (bit % 8);
        // Another product lays out other bytes, and the names stay.
        if let Ok(after) = Report::parse(&report) {
            assert_ne!(changed(&before, &after.fields()), BTreeSet::new(), "bit {bit}");
        }
    }
}

#[test]
fn the_page_names_every_field() {
    let page = include_str!("../../../../docs/platforms/snp.md");
    let section = page.split("## Fields").nth(1).unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let listed: BTreeSet<_> = rows
        .flat_map(|line| line.split('|').nth(1).unwrap().split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect();
    let names: BTreeSet<_> = proven(|_| {})
        .fields()
        .iter()
        .map(|field| field.name.to_string())
        .collect();
    assert_eq!(listed, names);
}
