//! AMD's formats, and the certificates and lists that all vendors use.

use anchorhold_attestation::snp::{CertTable, Entry, Report, fuzzing};
use anchorhold_attestation::x509::{Certificate, Crl, OcspResponse};

pub(super) fn report(bytes: &[u8]) {
    if let Ok(report) = Report::parse(bytes) {
        let _ = (report.product(), report.chip_id_masked(), format!("{report:?}"));
    }
}

pub(super) fn table(bytes: &[u8]) {
    if let Ok(table) = CertTable::parse(bytes) {
        for entry in [Entry::Vcek, Entry::Vlek, Entry::Ask, Entry::Ark] {
            let _ = table.get(entry);
        }
    }
}

pub(super) fn certificate(bytes: &[u8]) {
    if let Ok(certificate) = Certificate::parse(bytes) {
        assert_eq!(certificate.der(), bytes);
        let _ = (certificate.serial(), certificate.extension_ids().count());
    }
}

pub(super) fn vek(bytes: &[u8]) {
    fuzzing::vek(bytes);
}

pub(super) fn crl(bytes: &[u8]) {
    if let Ok(list) = Crl::parse(bytes) {
        let _ = list.issuer();
    }
}

pub(super) fn ocsp(bytes: &[u8]) {
    if let Ok(response) = OcspResponse::parse(bytes) {
        let _ = format!("{response:?}");
    }
}
