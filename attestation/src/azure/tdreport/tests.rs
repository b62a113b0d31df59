//! The form of a TDREPORT, and which of its bits nobody can check.

use super::super::fake::td_report;
use super::*;

/// CPUSVN and the MAC: only the CPU that made the report can check them, and nothing here shows them.
fn unchecked(at: usize) -> bool {
    (16..32).contains(&at) || (224..256).contains(&at)
}

#[test]
fn every_bit_is_refused_but_those_only_the_cpu_can_check() {
    for service_td in [[0; 48], [3; 48]] {
        let (right, body) = td_report(&[5; 64], service_td);
        assert!(TdReport::parse(&right).unwrap().is_of(&body));
        for at in 0..right.len() {
            for bit in 0..8 {
                let mut changed = right;
                changed[at] ^= 1 << bit;
                let accepted = TdReport::parse(&changed).is_ok_and(|report| report.is_of(&body));
                assert_eq!(accepted, unchecked(at), "{at}.{bit}");
            }
        }
    }
}

#[test]
fn hashes_are_of_the_parts() {
    // Either part, at its first and last byte that is not reserved; either hash.
    for at in [256, 399, 512, 911, 32, 127] {
        let (mut report, _) = td_report(&[5; 64], [0; 48]);
        report[at] ^= 1;
        assert_eq!(
            TdReport::parse(&report).err(),
            Some(wrong(Check::TdReportHashes, 32)),
            "{at}"
        );
    }
}

#[test]
fn reserved_bytes_are_zero_even_under_a_right_hash() {
    let rehash = |report: &mut [u8; 1024]| {
        let hashes = [sha384(&[&report[256..495]]), sha384(&[&report[512..]])];
        report[32..80].copy_from_slice(hashes[0].as_bytes());
        report[80..128].copy_from_slice(hashes[1].as_bytes());
    };
    for at in (400..495).chain(960..1024) {
        let (mut report, _) = td_report(&[5; 64], [0; 48]);
        report[at] = 1;
        rehash(&mut report);
        let error = TdReport::parse(&report).err().map(|error| error.check());
        assert_eq!(error, Some(Check::TdReportReserved), "{at}");
    }
    for at in 912..960 {
        let (mut report, _) = td_report(&[5; 64], [0; 48]);
        report[at] = 1;
        rehash(&mut report);
        assert_eq!(
            TdReport::parse(&report).err(),
            Some(wrong(Check::TdReportType, 512)),
            "{at}"
        );
    }
}
