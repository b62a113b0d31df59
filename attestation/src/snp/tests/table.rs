//! Certificate tables, right and wrong.

use super::*;

const VCEK: [u8; 16] = [
    0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd,
];
const OTHER: [u8; 16] = [9; 16];

fn table(rows: &[([u8; 16], u32, u32)], rest: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (guid, offset, length) in rows {
        bytes.extend(guid);
        bytes.extend(offset.to_le_bytes());
        bytes.extend(length.to_le_bytes());
    }
    bytes.extend([0; 24]);
    bytes.extend(rest);
    bytes
}

fn refusal(bytes: &[u8]) -> &'static str {
    CertTable::parse(bytes).unwrap_err().id()
}

#[test]
fn entries_are_found_and_unknown_ones_left_out() {
    let bytes = table(&[(VCEK, 72, 4), (OTHER, 76, 4)], b"certelse\0\0\0");
    let found = CertTable::parse(&bytes).unwrap();
    assert_eq!(found.get(Entry::Vcek), Some(&b"cert"[..]));
    for absent in [Entry::Ark, Entry::Ask, Entry::Vlek, Entry::Crl] {
        assert_eq!(found.get(absent), None);
    }
    assert_eq!(CertTable::parse(&[0; 24]).unwrap().get(Entry::Vcek), None);
}

#[test]
fn a_table_has_one_reading() {
    assert_eq!(refusal(&[]), "snp-table-entries");
    assert_eq!(refusal(&[1; 48]), "snp-table-entries");
    assert_eq!(refusal(&vec![0; 64 * 1024 + 1]), "snp-table-length");
    assert_eq!(refusal(&[1; 24 * 20]), "snp-table-entries");
    assert_eq!(refusal(&table(&[(VCEK, 48, 5)], b"cert")), "snp-table-bounds");
    assert_eq!(
        refusal(&table(&[(VCEK, u32::MAX, u32::MAX)], b"cert")),
        "snp-table-bounds"
    );
    assert_eq!(refusal(&table(&[(VCEK, 47, 4)], b"cert")), "snp-table-bounds");
    assert_eq!(
        refusal(&table(&[(VCEK, 72, 4), (VCEK, 76, 4)], b"certcert")),
        "snp-table-repeated"
    );
    assert_eq!(
        refusal(&table(&[(VCEK, 72, 4), (OTHER, 74, 4)], b"certif")),
        "snp-table-gaps"
    );
    assert_eq!(refusal(&table(&[(VCEK, 48, 4)], b"certx")), "snp-table-gaps");
    assert_eq!(refusal(&table(&[(VCEK, 49, 4)], b"xcert")), "snp-table-gaps");
}
