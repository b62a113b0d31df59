//! An authority in AMD's place, and a chip of its making: real formats, worthless keys.
//!
//! Why apart: the demonstration and tests of the whole show SEV-SNP on machines without it. What they show passes
//! through the real verifier, under a root that nobody believes unless told to (`--anchors`).
//!
//! # Invariants
//! Compiled with `insecure-simulated` only. No key here is a vendor's, so everything under it is of class insecure.

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};

use super::fake::{Fake, integer, sign_report};
use crate::binding::ReportData;
use crate::endorsements::{Endorsement, EndorsementKind, Endorsements};
use crate::parse::{ParseError, Part};
use crate::simulated::LaunchRecord;
use crate::snp::{Product, REPORT_LENGTH};
use crate::time::Timestamp;
use crate::x509::forge::Key;

const DAY: u64 = 24 * 60 * 60;
/// Long enough for any demonstration.
const LIFE: u64 = 30 * DAY;
/// Levels of boot loader, operating system, SNP firmware and microcode: newer than any known weakness.
const LEVELS: [u8; 4] = [20, 5, 60, 200];

/// An authority that vouches for one Genoa chip, with the newest firmware and every protection on.
pub struct FakeAuthority(Fake);

impl FakeAuthority {
    /// Makes keys and certificates, valid from a day before `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        let mut fake = Fake::vcek(Product::Genoa);
        for (oid, level) in ["3.1", "3.2", "3.3", "3.8"].into_iter().zip(LEVELS) {
            fake.state(oid, integer(level));
        }
        let (from, until) = (now.unix().saturating_sub(DAY), now.unix().saturating_add(LIFE));
        for draft in [&mut fake.ark, &mut fake.ask, &mut fake.vek] {
            (draft.from, draft.until) = (from, until);
        }
        if let Some(list) = &mut fake.crl {
            (list.this_update, list.next_update) = (from, Some(until));
        }
        fake.report = newest(fake.report);
        Self(fake)
    }

    /// The root certificate in DER: who believes it believes everything made here.
    #[must_use]
    pub fn root(&self) -> Vec<u8> {
        self.0.ark.sign(&self.0.ark_key, &self.0.ark_key)
    }

    /// Certificates and revocation list, as the vendor's service would give them.
    #[must_use]
    pub fn endorsements(&self) -> Endorsements {
        let list = self.0.crl.as_ref().map(|draft| draft.sign(&self.0.ark_key));
        let items = [
            (EndorsementKind::AmdVek, Some(self.0.vek_der())),
            (EndorsementKind::AmdAuthority, Some(self.0.ask_der())),
            (EndorsementKind::AmdCrl, list),
        ];
        let items = items
            .into_iter()
            .filter_map(|(kind, der)| Endorsement::new(kind, der?).ok());
        Endorsements::new(items.collect()).expect("three endorsements of a few KiB")
    }

    /// The chip, to be put under a guest.
    #[must_use]
    pub fn chip(&self) -> FakeChip {
        let Key::P384(key) = &self.0.vek_key else {
            unreachable!("the fake's VEK is a key on P-384")
        };
        FakeChip {
            template: self.0.report.clone(),
            key: key
                .to_pkcs8v1()
                .expect("a key of its own making")
                .as_ref()
                .to_vec(),
        }
    }
}

/// The report of a new machine with every protection on, and nothing of a guest in it.
fn newest(mut report: Vec<u8>) -> Vec<u8> {
    let [boot_loader, tee, snp, microcode] = LEVELS;
    let tcb = [boot_loader, tee, 0, 0, 0, 0, snp, microcode];
    let mut put = |place: usize, content: &[u8]| {
        if let Some(field) = report.get_mut(place..place.saturating_add(content.len())) {
            field.copy_from_slice(content);
        }
    };
    // Offsets: docs/platforms/snp.md. No security version, family or image; no ID block.
    put(0x04, &[0; 4]);
    put(0x08, &0x0302_001f_u64.to_le_bytes());
    put(0x10, &[0; 32]);
    for place in [0x38, 0x180, 0x1e0, 0x1f0] {
        put(place, &tcb);
    }
    put(0x40, &0x24_u64.to_le_bytes());
    put(0xe0, &[0; 96]);
    put(0x1e8, &[3, 58, 1, 0, 3, 58, 1, 0]);
    put(0x1f8, &u64::MAX.to_le_bytes());
    put(0x200, &u64::MAX.to_le_bytes());
    report
}

/// A chip: what its reports say of the machine, and the key that signs them. Worth nothing, so it may be copied.
#[derive(Clone)]
pub struct FakeChip {
    template: Vec<u8>,
    key: Vec<u8>,
}

impl FakeChip {
    /// Its bytes: a report without a guest, then the key (PKCS #8).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.template.as_slice(), &self.key].concat()
    }

    /// Reads a chip.
    ///
    /// # Errors
    /// [`ParseError`] when these are not a report's length and a key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ParseError> {
        let chip = bytes.split_at_checked(REPORT_LENGTH).map(|(template, key)| Self {
            template: template.to_vec(),
            key: key.to_vec(),
        });
        chip.filter(|chip| chip.pair().is_some())
            .ok_or(ParseError::Shape(Part::LaunchRecord))
    }

    fn pair(&self) -> Option<EcdsaKeyPair> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &self.key).ok()
    }

    /// The report of a guest that was launched so, with its report data.
    #[must_use]
    pub fn report(&self, launch: &LaunchRecord, report_data: &ReportData) -> Vec<u8> {
        let mut report = self.template.clone();
        for (place, content) in [
            (0x50_usize, report_data.as_bytes().as_slice()),
            (0x90, launch.measurement.as_bytes()),
            (0xc0, launch.host_data.as_bytes()),
        ] {
            if let Some(field) = report.get_mut(place..place.saturating_add(content.len())) {
                field.copy_from_slice(content);
            }
        }
        let pair = self.pair().expect("checked when it was read or made");
        sign_report(report, &Key::P384(pair))
    }

    /// Its number, as a policy lists it: the VCEK's hardware id.
    #[must_use]
    pub fn id(&self) -> &[u8] {
        self.template.get(0x1a0..0x1e0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Anchors, Evidence, Platform, Policy, snp, verify};
    use anchorhold_encoding::Digest;

    const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

    fn launch() -> LaunchRecord {
        LaunchRecord {
            measurement: Digest::new([7; 48]),
            host_data: Digest::new([5; 32]),
        }
    }

    #[test]
    fn the_real_verifier_believes_it_under_its_own_root_only() {
        let authority = FakeAuthority::new(NOW);
        let chip = FakeChip::from_bytes(&authority.chip().to_bytes()).unwrap();
        let data = ReportData::new([9; 64]);
        let evidence = Evidence::new(Platform::Snp, chip.report(&launch(), &data), vec![]).unwrap();
        let roots = snp::Anchors::given(&[(Product::Genoa, authority.root())]).unwrap();
        let anchors = Anchors::given(Some(roots), None, None);
        let claims = verify(&evidence, &authority.endorsements(), &anchors, NOW).unwrap();
        let claims = claims.get();
        assert_eq!(claims.class, crate::Class::Insecure);
        assert_eq!(claims.measurement, launch().measurement);
        assert_eq!(claims.config, crate::FixedConfig::HostData(launch().host_data));
        assert_eq!(claims.report_data, data);
        assert_eq!(claims.chip_ids[0].as_bytes(), chip.id());

        let refused = verify(&evidence, &authority.endorsements(), &Anchors::compiled(), NOW);
        assert_eq!(refused.unwrap_err().id(), "x509-issuer");

        // Strict in everything that a policy can leave unset, with the chip by its number.
        let policy = format!(
            "version = 1\nmanifest_sha256 = \"{0}\"\nconfig_sha256 = \"{0}\"\nchips = [\"{1}\"]\n\
             [snp]\nsmt = \"off\"\n\
             [[reference_values]]\nname = \"n\"\nplatform = \"snp\"\nmeasurement = \"{2}\"\n",
            launch().host_data,
            claims.chip_ids[0],
            launch().measurement,
        );
        let judged = Policy::from_toml(policy.as_bytes())
            .unwrap()
            .judge_machine_alone(claims, NOW);
        assert_eq!(judged.reasons, [], "{:?}", judged.reasons);
        assert!(judged.checks.len() > 20);
    }

    #[test]
    fn what_is_no_chip_is_refused() {
        let chip = FakeAuthority::new(NOW).chip().to_bytes();
        for bytes in [&chip[..REPORT_LENGTH], &chip[..chip.len() - 1], &[]] {
            assert!(FakeChip::from_bytes(bytes).is_err());
        }
    }
}
