//! Every bit and every end of reports, certificates, lists and tables: of each kind, real and made.
//!
//! Why apart: these take seconds, and in a thorough run minutes.
//!
//! # Invariants
//! No bit of a report, a VEK, an authority, a root or a list is without meaning. Of a table's, only what names an
//! entry of a kind that is not known.

use super::fake::{AT, Fake};
use super::real::{CASES, Case};
use super::*;
use crate::spoil::{Grain, bits, ends};
use crate::testdata::evidence;
use crate::time::Timestamp;

fn fakes() -> impl Iterator<Item = (String, Fake)> {
    Product::ALL.into_iter().flat_map(|product| {
        [("VCEK", Fake::vcek(product)), ("VLEK", Fake::vlek(product))]
            .map(|(kind, fake)| (format!("{} {kind}", product.name()), fake))
    })
}

#[test]
fn no_bit_of_a_made_report_of_any_kind_is_without_meaning() {
    for (what, fake) in fakes() {
        let vek = fake.prove().unwrap();
        let proven = |report: &[u8]| VerifiedReport::verify(report, &vek, AT).is_ok();
        let report = fake.signed_report();
        let grain = match fake.product {
            Product::Turin => Grain::Bits,
            _ => Grain::Every(1),
        };
        bits(&what, &report, grain, &[], proven);
        ends(&what, &report, &[], proven);
    }
}

#[test]
fn no_byte_of_made_endorsements_of_any_kind_is_without_meaning() {
    for (what, fake) in fakes() {
        let anchors = fake.anchors();
        let root = fake.ark.sign(&fake.ark_key, &fake.ark_key);
        let crl = fake.crl.as_ref().unwrap().sign(&fake.ark_key);
        let parts = [fake.vek_der(), fake.ask_der(), root, crl];
        each_part(&what, &parts, 5, |parts| prove(parts, &anchors, AT));
    }
}

fn prove([vek, authority, root, crl]: &[Vec<u8>; 4], anchors: &Anchors, at: Timestamp) -> bool {
    let endorsements = Endorsements {
        vek,
        authority,
        root: Some(root),
        crl: (!crl.is_empty()).then_some(crl),
    };
    VerifiedVek::verify(&endorsements, anchors, at).is_ok()
}

/// Each of the four alone: at byte grain, another bit each time, and at every length.
fn each_part(what: &str, parts: &[Vec<u8>; 4], step: usize, proven: impl Fn(&[Vec<u8>; 4]) -> bool) {
    for (which, part) in ["VEK", "authority", "root", "list"].iter().enumerate() {
        if parts[which].is_empty() {
            continue;
        }
        let with = |bytes: &[u8]| {
            let mut parts = parts.clone();
            parts[which] = bytes.to_vec();
            // No list at all is another question than a list of no bytes.
            !bytes.is_empty() && proven(&parts)
        };
        let what = format!("{what}: {part}");
        bits(&what, &parts[which], Grain::Every(step), &[], with);
        ends(&what, &parts[which], &[], with);
    }
}

/// One folder of each report version, product and kind of key, with the list of its time.
const REAL: [(&str, &str); 6] = [
    ("milan-v2-virtee", ""),
    ("milan-v3-vlek-aws", "crl_milan_2025-05"),
    ("milan-v3-oak", "crl_milan_2025-05"),
    ("genoa-v3-azure", ""),
    ("genoa-v5-oak", "crl_genoa_2024-10"),
    ("turin-v5-oak", "crl_turin_2026-08"),
];

fn real_case(folder: &str) -> &'static Case {
    let genuine = |case: &&Case| case.folder == folder && case.refused_by.is_none();
    CASES.iter().find(genuine).unwrap()
}

#[test]
fn no_bit_of_a_real_report_of_any_kind_is_without_meaning() {
    const NAME: &str = "snp::no_bit_of_a_real_report_of_any_kind_is_without_meaning";
    for (folder, _) in REAL {
        let case = real_case(folder);
        let Some([report, vek, authority, _]) = case.read(NAME) else {
            return;
        };
        let endorsements = Endorsements {
            vek: &vek,
            authority: &authority,
            root: None,
            crl: None,
        };
        let at = Timestamp::from_unix(case.at);
        let vek = VerifiedVek::verify(&endorsements, Anchors::amd(), at).unwrap();
        let proven = |report: &[u8]| VerifiedReport::verify(report, &vek, at).is_ok();
        // One of each version in every run.
        let grain = match folder {
            "milan-v2-virtee" | "milan-v3-vlek-aws" | "turin-v5-oak" => Grain::Bits,
            _ => Grain::Every(1),
        };
        bits(folder, &report, grain, &[], proven);
        ends(folder, &report, &[], proven);
    }
}

#[test]
fn no_byte_of_real_endorsements_of_any_kind_is_without_meaning() {
    const NAME: &str = "snp::no_byte_of_real_endorsements_of_any_kind_is_without_meaning";
    for (folder, list) in REAL {
        let case = real_case(folder);
        let Some([_, vek, authority, root]) = case.read(NAME) else {
            return;
        };
        let crl = if list.is_empty() {
            Vec::new()
        } else {
            let Some(crl) = evidence(NAME, &format!("anchors/amd/{list}.der")) else {
                return;
            };
            crl
        };
        // A moment at which the list holds too.
        let at = if folder == "turin-v5-oak" {
            1_788_220_800
        } else {
            case.at
        };
        let parts = [vek, authority, root, crl];
        each_part(folder, &parts, 11, |parts| {
            prove(parts, Anchors::amd(), Timestamp::from_unix(at))
        });
    }
}

/// A table only finds bytes: spoilt, it is refused, or finds other bytes or none. Never the same from elsewhere.
#[test]
fn no_bit_of_a_table_lets_its_certificate_pass_unchanged() {
    let guid = [
        0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd,
    ];
    let vek = Fake::vcek(Product::Milan).vek_der();
    let length = u32::try_from(vek.len()).unwrap();
    let entry = [guid.as_slice(), &48_u32.to_le_bytes(), &length.to_le_bytes()].concat();
    let table = [entry.as_slice(), &[0; 24], &vek, &[0; 8]].concat();
    let found =
        |table: &[u8]| CertTable::parse(table).is_ok_and(|table| table.get(Entry::Vcek) == Some(&vek[..]));
    bits("table", &table, Grain::Bits, &[], found);
    // Behind its last entry a table may be padded with zeros, as it comes in pages.
    let whole: Vec<usize> = (table.len() - 8..table.len()).collect();
    ends("table", &table, &whole, found);
}
