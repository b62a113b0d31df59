//! Which of AMD's certificates is which, and where the missing one is to be had.
//!
//! Why apart: people hand over what they have; the verifier wants each in its place, and judges it there.
//!
//! # Invariants
//! Certificates are told apart by the names in them, altered ones too, so that the verifier says what is wrong. A wrong
//! guess is refused by it.

use anchorhold_attestation::snp::{CertTable, Component, Entry, Product, Report, SigningKey, Tcb};

use super::peel::Piece;
use super::sniff::{Kind, contains};

/// AMD's certificates among pieces, by role.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) vek: Option<Vec<u8>>,
    pub(super) authority: Option<Vec<u8>>,
    pub(super) root: Option<Vec<u8>>,
    pub(super) list: Option<Vec<u8>>,
}

/// AMD's names that stand in a certificate or list. What follows one may look like more of it.
fn names(der: &[u8]) -> Vec<&'static str> {
    const NAMES: [&str; 11] = [
        "SEV-VCEK",
        "SEV-VLEK",
        "SEV-Milan",
        "SEV-Genoa",
        "SEV-Turin",
        "SEV-VLEK-Milan",
        "SEV-VLEK-Genoa",
        "SEV-VLEK-Turin",
        "ARK-Milan",
        "ARK-Genoa",
        "ARK-Turin",
    ];
    let stands = |name: &&str| {
        let name = name.as_bytes();
        let mut places = der
            .windows(name.len())
            .enumerate()
            .filter(|(_, window)| *window == name);
        // `SEV-VLEK-Milan` does not name a `SEV-VLEK`.
        places.any(|(place, _)| der.get(place + name.len()) != Some(&b'-'))
    };
    NAMES.into_iter().filter(stands).collect()
}

fn is_leaf(der: &[u8]) -> bool {
    names(der).iter().any(|name| LEAVES.contains(name))
}

/// A root's certificate, or its list.
pub(super) fn is_root(der: &[u8]) -> bool {
    let names = names(der);
    !names.is_empty() && names.iter().all(|name| name.starts_with("ARK-"))
}

fn is_authority(der: &[u8]) -> bool {
    !is_leaf(der) && names(der).iter().any(|name| name.starts_with("SEV-"))
}

const LEAVES: [&str; 2] = ["SEV-VCEK", "SEV-VLEK"];

/// Whose list: `ARK-Milan` of both.
fn same_root(one: &[u8], other: &[u8]) -> bool {
    let ark = |der| names(der).into_iter().find(|name| name.starts_with("ARK-"));
    ark(one) == ark(other)
}

impl Found {
    /// The certificates for this report: its chip's where several were given.
    pub(super) fn among(pieces: &[Piece], report: &[u8]) -> Self {
        let mut certificates: Vec<Vec<u8>> = Vec::new();
        let mut lists: Vec<Vec<u8>> = Vec::new();
        for piece in pieces {
            match piece.kind {
                Kind::Certificate => certificates.push(piece.bytes.clone()),
                Kind::RevocationList => lists.push(piece.bytes.clone()),
                Kind::CertTable => {
                    if let Ok(table) = CertTable::parse(&piece.bytes) {
                        for entry in [Entry::Vcek, Entry::Vlek, Entry::Ask, Entry::Ark] {
                            certificates.extend(table.get(entry).map(<[u8]>::to_vec));
                        }
                        lists.extend(table.get(Entry::Crl).map(<[u8]>::to_vec));
                    }
                }
                _ => {}
            }
        }
        // A leaf with the chip's identity and TCB is this report's; a VLEK has no chip.
        let chip = report.get(0x1a0..0x1a8).unwrap_or_default();
        let leaves: Vec<&Vec<u8>> = certificates.iter().filter(|der| is_leaf(der)).collect();
        let vek = leaves
            .iter()
            .find(|der| !chip.is_empty() && contains(der, chip))
            .or_else(|| leaves.first())
            .map(|der| (*der).clone());
        let issuer = |vek: &Vec<u8>| names(vek).into_iter().find(|name| !LEAVES.contains(name));
        let wanted = vek.as_ref().and_then(issuer);
        let authorities: Vec<&Vec<u8>> = certificates.iter().filter(|der| is_authority(der)).collect();
        let authority = authorities
            .iter()
            .find(|der| wanted.is_some_and(|wanted| names(der).contains(&wanted)))
            .or_else(|| authorities.first())
            .map(|der| (*der).clone());
        let of = |der: &&Vec<u8>| {
            authority
                .as_ref()
                .is_none_or(|authority| same_root(der, authority))
        };
        Self {
            root: certificates.iter().filter(|der| is_root(der)).find(of).cloned(),
            list: lists.iter().find(of).cloned(),
            vek,
            authority,
        }
    }
}

/// Where AMD's key distribution service has what this report needs (KDS specification 57230, sections 3 and 4).
pub(super) fn addresses(report: &Report) -> Vec<String> {
    let Some(product) = report.product() else {
        return vec!["the report is of version 2 and does not say its product: https://kdsintf.amd.com/vcek/v1/{Milan or Genoa}/...".to_owned()];
    };
    let kind = match report.signing_key {
        SigningKey::Vcek => "vcek",
        SigningKey::Vlek => "vlek",
    };
    let base = format!("https://kdsintf.amd.com/{kind}/v1/{product}");
    let mut all = Vec::new();
    if report.signing_key == SigningKey::Vcek && !report.chip_id_masked() {
        let length = if product == Product::Turin { 8 } else { 64 };
        let id: String = report
            .chip_id
            .iter()
            .take(length)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        all.push(format!("{base}/{id}?{}", levels(&report.reported_tcb)));
    }
    all.push(format!("{base}/cert_chain"));
    all.push(format!("{base}/crl"));
    all
}

fn levels(tcb: &Tcb) -> String {
    let name = |component| match component {
        Component::Fmc => "fmcSPL",
        Component::BootLoader => "blSPL",
        Component::Tee => "teeSPL",
        Component::Snp => "snpSPL",
        Component::Microcode => "ucodeSPL",
    };
    let parts: Vec<String> = Component::ALL
        .into_iter()
        .filter_map(|component| Some(format!("{}={}", name(component), tcb.component(component)?)))
        .collect();
    parts.join("&")
}
