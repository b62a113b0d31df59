//! The real machines of the collection, and the documentation's list.

use anchorhold_encoding::Digest;

use super::bind::{Guest, Signed};
use super::key::AttestationKey;
use super::tdreport::QuotedBody;
use super::*;
use crate::base64_text::{decode_standard, decode_url};
use crate::binding::ReportData;
use crate::snp::{Anchors, Endorsements, VerifiedReport, VerifiedVek};
use crate::testdata::evidence;
use crate::time::Timestamp;

mod bits;

/// 2025-06-01: the chips' certificates are valid.
const AT: Timestamp = Timestamp::from_unix(1_748_736_000);

/// What one machine sent, as its files have it.
struct Real {
    hcl: Vec<u8>,
    hardware: RealHardware,
    message: Vec<u8>,
    /// TPMT_SIGNATURE, of the bare RSASSA signature that the files have.
    signature: Vec<u8>,
    values: Vec<Digest<32>>,
}

enum RealHardware {
    /// The chip's key, proven under AMD's own root, and the report, proven under it.
    Snp {
        vek: Box<VerifiedVek>,
        proven: Box<VerifiedReport>,
    },
    /// A quote of a preview, with SEPT_VE_DISABLE clear, which dcap-qvl refuses: its bytes. What it proves is
    /// tested where quotes are verified.
    Td(Vec<u8>),
}

impl Real {
    fn read(test: &str, folder: &str) -> Option<Self> {
        let file = |name: &str| evidence(test, &format!("{folder}/{name}"));
        let json: serde_json::Value = serde_json::from_slice(&file("evidence.json")?).unwrap();
        let tpm = json.get("tpm_quote").unwrap_or(&json["quote"]);
        let hcl = file("hcl.bin")?;
        let hardware = match folder {
            "snp/genoa-v3-azure" => RealHardware::snp(test, &file("vcek.pem")?, "ask_ark_genoa", &hcl)?,
            "snp/milan-v3-azure" => RealHardware::snp(test, &file("vcek.der")?, "ask_ark_milan", &hcl)?,
            _ => RealHardware::Td(file("quote.bin")?),
        };
        Some(Self {
            hcl,
            hardware,
            message: bytes(&tpm["message"]),
            signature: [&[0, 0x14, 0, 0x0b, 1, 0], bytes(&tpm["signature"]).as_slice()].concat(),
            values: tpm["pcrs"]
                .as_array()
                .unwrap()
                .iter()
                .map(|value| Digest::from_slice(&bytes(value)).unwrap())
                .collect(),
        })
    }

    fn parsed_quote(&self) -> Quote<'_> {
        Quote::parse(&self.message, &self.signature, &self.values).unwrap()
    }

    /// Everything from the HCL report on; `None` when the hardware's own verifier refuses.
    fn bind(&self, hcl: &[u8], quote: Quote<'_>, expected: &ReportData) -> Option<Result<Guest, AzureError>> {
        let hcl = match HclReport::parse(hcl) {
            Ok(hcl) => hcl,
            Err(error) => return Some(Err(error)),
        };
        Some(match (&self.hardware, hcl.hardware()) {
            (RealHardware::Snp { vek, proven }, HclHardware::Snp(inside)) => {
                // What is unchanged was proven once.
                let anew = if inside[..] == self.hcl[32..1216] {
                    None
                } else {
                    Some(VerifiedReport::verify(inside.as_slice(), vek, AT).ok()?)
                };
                let verified = anew.as_ref().unwrap_or(proven);
                Guest::bind(&hcl, &Signed::Snp(verified.report()), quote, expected)
            }
            (RealHardware::Td(quoted), _) => {
                let body = QuotedBody {
                    seam: quoted[48..168].try_into().unwrap(),
                    td: quoted[168..568].try_into().unwrap(),
                    report_data: quoted[568..632].try_into().unwrap(),
                    newer: None,
                };
                Guest::bind(&hcl, &Signed::Td(Box::new(body)), quote, expected)
            }
            (RealHardware::Snp { .. }, HclHardware::Tdx(_)) => Err(AzureError::Binding {
                check: Check::HardwareKind,
            }),
        })
    }

    /// The check that refuses, when 64 zero bytes are expected, which is what these machines had.
    fn refused_by(&self, hcl: &[u8], quote: Quote<'_>) -> Option<Check> {
        let outcome = self.bind(hcl, quote, &ReportData::new([0; 64]))?;
        Some(outcome.expect_err("their qualifying data are others").check())
    }

    /// Whether a changed report gets as far as the unchanged one.
    fn unnoticed(&self, hcl: &[u8]) -> bool {
        self.refused_by(hcl, self.parsed_quote()) == Some(Check::QuoteQualifyingData)
    }
}

impl RealHardware {
    fn snp(test: &str, vek: &[u8], chain: &str, hcl: &[u8]) -> Option<Self> {
        let chain = certificates(&evidence(test, &format!("anchors/amd/{chain}.pem"))?);
        let endorsements = Endorsements {
            vek: &certificates(vek)[0],
            authority: &chain[0],
            root: Some(&chain[1]),
            crl: None,
        };
        let vek = VerifiedVek::verify(&endorsements, Anchors::amd(), AT).unwrap();
        let proven = VerifiedReport::verify(&hcl[32..1216], &vek, AT).unwrap();
        Some(Self::Snp {
            vek: Box::new(vek),
            proven: Box::new(proven),
        })
    }
}

/// Certificates of a PEM text, or the one in DER.
fn certificates(bytes: &[u8]) -> Vec<Vec<u8>> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return vec![bytes.to_vec()];
    };
    let body = |part: &str| {
        part.split("-----END")
            .next()
            .unwrap()
            .split_whitespace()
            .collect::<String>()
    };
    text.split("-----BEGIN CERTIFICATE-----")
        .skip(1)
        .map(|part| decode_standard(&body(part)).unwrap())
        .collect()
}

/// Bytes as one of the three ways in which the files write them.
fn bytes(value: &serde_json::Value) -> Vec<u8> {
    match value {
        serde_json::Value::String(text) => {
            let (pairs, _) = text.as_bytes().as_chunks::<2>();
            let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
            pairs.iter().map(byte).collect()
        }
        other => {
            let number = |value: &serde_json::Value| u8::try_from(value.as_u64().unwrap()).unwrap();
            other.as_array().unwrap().iter().map(number).collect()
        }
    }
}

const SNP: [&str; 2] = ["snp/genoa-v3-azure", "snp/milan-v3-azure"];
const ALL: [&str; 3] = ["snp/genoa-v3-azure", "snp/milan-v3-azure", "tdx/v4-azure-trustee"];

#[test]
fn every_check_has_its_line_in_the_documentation() {
    let page = include_str!("../../../docs/platforms/azure.md");
    for check in Check::ALL {
        assert!(page.contains(&format!("| `{}` |", check.id())), "{}", check.id());
    }
}

/// Who made these files bound nothing in the claims, so `user-data` is 64 zeros, and chose qualifying data of
/// his own. Everything before that check holds on all of them, and what is after it is tested on its own.
#[test]
fn real_machines_are_bound_as_far_as_their_makers_bound_them() {
    const NAME: &str = "azure::real_machines_are_bound_as_far_as_their_makers_bound_them";
    for folder in ALL {
        let Some(real) = Real::read(NAME, folder) else {
            return;
        };
        assert!(real.unnoticed(&real.hcl), "{folder}");
        assert!(real.parsed_quote().covers_values(), "{folder}");
        let other = real.bind(&real.hcl, real.parsed_quote(), &ReportData::new([1; 64]));
        assert_eq!(other.unwrap().unwrap_err().check(), Check::UserData, "{folder}");
    }
}

#[test]
fn real_claims_are_what_the_machines_were() {
    const NAME: &str = "azure::real_claims_are_what_the_machines_were";
    let thumbprint = decode_url("6nZZnYaJc4KqUZ_yvA-mucFdYNouvlPnITnNMXsHl-0").unwrap();
    let azure = RootCertificate::Thumbprint(Digest::from_slice(&thumbprint).unwrap());
    let expected = [
        (azure, Some(true), "390cbcf5-6c67-4d9b-98ef-c3f1699cc8fc"),
        (
            RootCertificate::NotReported,
            None,
            "26f8bc30-774e-4290-8e7a-535f3b672aee",
        ),
        (azure, Some(false), "6332533d-5649-4d02-8aa7-8f64b7c3ee21"),
    ];
    for (folder, (root, persisted, id)) in ALL.into_iter().zip(expected) {
        let Some(real) = Real::read(NAME, folder) else {
            return;
        };
        let hcl = HclReport::parse(&real.hcl).unwrap();
        let claims = RuntimeClaims::parse(hcl.claims_bytes()).unwrap();
        let vm = claims.vm_configuration();
        // The console was open on all of them.
        assert!(
            vm.console_enabled() && vm.secure_boot() && vm.tpm_enabled(),
            "{folder}"
        );
        assert_eq!(
            (vm.root_certificate(), vm.tpm_persisted()),
            (root, persisted),
            "{folder}"
        );
        assert_eq!(vm.vm_unique_id().to_string(), id, "{folder}");
        assert_eq!(claims.user_data(), Some(&ReportData::new([0; 64])), "{folder}");
        let (clock, registers) = real.parsed_quote().into_parts();
        assert_eq!(clock.firmware_version, 0x2020_0312_0012_0003, "{folder}");
        assert!(clock.safe, "{folder}");
        // GRUB extends register 8 with its commands; where it did not run the register is zero.
        let grub = folder == "snp/genoa-v3-azure";
        assert_eq!(registers.get(8).is_some_and(Digest::is_zero), !grub, "{folder}");
    }
}

/// The HCL of 2023: its key was not yet one for signing only, and it had no `user-data`.
#[test]
fn a_report_of_2023_is_read_and_refused() {
    const NAME: &str = "azure::a_report_of_2023_is_read_and_refused";
    let Some(bytes) = evidence(NAME, "snp/milan-v2-kinvolk-other-chip/hcl.bin") else {
        return;
    };
    // It was read into a buffer of 2048 bytes.
    let error = HclReport::parse(&bytes).err().unwrap();
    assert_eq!(
        error,
        AzureError::Report {
            check: Check::HclLength,
            at: 8
        }
    );
    let hcl = HclReport::parse(&bytes[..1819]).unwrap();
    let error = RuntimeClaims::parse(hcl.claims_bytes()).unwrap_err();
    assert_eq!(error.check(), Check::ClaimsAttestationKey);
    let text = String::from_utf8(hcl.claims_bytes().to_vec()).unwrap();
    let claims = RuntimeClaims::parse(text.replace("encrypt", "sign").as_bytes()).unwrap();
    assert_eq!(claims.user_data(), None);
    let time = Timestamp::from_unix(1_678_652_405);
    assert_eq!(claims.vm_configuration().current_time(), Some(time));
}

#[test]
fn every_bit_of_real_reports_is_refused_but_those_listed() {
    const NAME: &str = "azure::every_bit_of_real_reports_is_refused_but_those_listed";
    // One of each kind.
    for folder in [ALL[0], ALL[2]] {
        let Some(real) = Real::read(NAME, folder) else {
            return;
        };
        assert!(real.unnoticed(&real.hcl));
        // CPUSVN and MAC of a TDREPORT: only the CPU that made it can check them, and no accessor shows them.
        let td = matches!(real.hardware, RealHardware::Td(_));
        let meaningless = |at: usize| td && ((48..64).contains(&at) || (256..288).contains(&at));
        let mut hcl = real.hcl.clone();
        for at in 0..hcl.len() {
            for bit in 0..8 {
                hcl[at] ^= 1 << bit;
                assert_eq!(real.unnoticed(&hcl), meaningless(at), "{folder} {at}.{bit}");
                hcl[at] ^= 1 << bit;
            }
        }
    }
}

#[test]
fn every_truncation_of_real_reports_is_refused_but_that_to_their_length() {
    const NAME: &str = "azure::every_truncation_of_real_reports_is_refused_but_that_to_their_length";
    for (folder, length) in ALL.into_iter().zip([2436, 2346, 2437]) {
        let Some(real) = Real::read(NAME, folder) else {
            return;
        };
        for end in 0..real.hcl.len() {
            assert_eq!(real.unnoticed(&real.hcl[..end]), end == length, "{folder} {end}");
        }
    }
}

/// Versions 1 and 2 of the header have one layout and nothing signs the number: two bits together mean nothing.
#[test]
fn the_header_version_means_nothing() {
    const NAME: &str = "azure::the_header_version_means_nothing";
    for folder in SNP {
        let Some(mut real) = Real::read(NAME, folder) else {
            return;
        };
        real.hcl[4] ^= 3;
        assert!(real.unnoticed(&real.hcl), "{folder}");
    }
}

#[test]
fn every_bit_of_a_real_quote_is_refused() {
    const NAME: &str = "azure::every_bit_of_a_real_quote_is_refused";
    let Some(real) = Real::read(NAME, ALL[0]) else {
        return;
    };
    let unnoticed = |message: &[u8], signature: &[u8], values: &[Digest<32>]| {
        Quote::parse(message, signature, values).is_ok_and(|quote| {
            quote.covers_values() && real.refused_by(&real.hcl, quote) == Some(Check::QuoteQualifyingData)
        })
    };
    let (message, signature, values) = (&real.message, &real.signature, &real.values);
    assert!(unnoticed(message, signature, values));
    for at in 0..message.len() {
        assert!(!unnoticed(&message[..at], signature, values), "{at}");
        for bit in 0..8 {
            let mut changed = message.clone();
            changed[at] ^= 1 << bit;
            assert!(!unnoticed(&changed, signature, values), "{at}.{bit}");
        }
    }
    for at in 0..signature.len() {
        assert!(!unnoticed(message, &signature[..at], values), "{at}");
        for bit in 0..8 {
            let mut changed = signature.clone();
            changed[at] ^= 1 << bit;
            assert!(!unnoticed(message, &changed, values), "{at}.{bit}");
        }
    }
    for index in 0..values.len() {
        for at in 0..256 {
            let mut changed = values.clone();
            let mut bytes = *changed[index].as_bytes();
            bytes[at / 8] ^= 1 << (at % 8);
            changed[index] = Digest::new(bytes);
            assert!(!unnoticed(message, signature, &changed), "{index} {at}");
        }
    }
}

/// A quote of one real machine says nothing of another.
#[test]
fn real_quotes_are_not_exchangeable() {
    const NAME: &str = "azure::real_quotes_are_not_exchangeable";
    for folder in ALL {
        for other in ALL {
            let (Some(real), Some(with)) = (Real::read(NAME, folder), Real::read(NAME, other)) else {
                return;
            };
            let refused_by = real.refused_by(&real.hcl, with.parsed_quote());
            let check = if folder == other {
                Check::QuoteQualifyingData
            } else {
                Check::QuoteSignature
            };
            assert_eq!(refused_by, Some(check), "{folder} {other}");
        }
    }
}

/// The signer's qualified name is in what real vTPMs sign, and it is the one computed from the key.
#[test]
fn real_signers_are_named_as_restricted_keys() {
    const NAME: &str = "azure::real_signers_are_named_as_restricted_keys";
    for folder in ALL {
        let Some(real) = Real::read(NAME, folder) else {
            return;
        };
        let hcl = HclReport::parse(&real.hcl).unwrap();
        let claims = RuntimeClaims::parse(hcl.claims_bytes()).unwrap();
        let key: &AttestationKey = claims.attestation_key();
        assert_eq!(key.qualified_name(), *real.parsed_quote().signer(), "{folder}");
        assert!(
            key.verify(&real.message, real.parsed_quote().signature())
                .is_some(),
            "{folder}"
        );
    }
}
