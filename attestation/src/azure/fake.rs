//! A paravisor and a vTPM that do not exist: evidence in the real formats, signed with keys of the test.
//!
//! Why apart: what Azure's real machines will not show (other keys, stale data, wrong schemes) is made here and goes
//! through the real verifier.
//!
//! # Invariants
//! Built for tests only. Every default is what a genuine machine would send.

use std::sync::OnceLock;

use anchorhold_encoding::{Digest, sha256, sha384};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
};

use super::bind::{Guest, Signed};
use super::tdreport::QuotedBody;
use super::{AzureError, Hardware, HclReport, Quote, SNP_REPORT_LENGTH, VerifiedGuest, bind};
use crate::base64_text::encode_url;
use crate::binding::ReportData;
use crate::endorsements::{Endorsement, EndorsementKind, Endorsements};
use crate::evidence::{Evidence, EvidencePart};
use crate::{Platform, snp};

/// A vTPM's attestation key.
pub(super) enum FakeKey {
    Rsa(KeyPair),
    P256(EcdsaKeyPair),
}

impl FakeKey {
    pub(super) fn rsa() -> &'static Self {
        static KEY: OnceLock<FakeKey> = OnceLock::new();
        KEY.get_or_init(Self::new_rsa)
    }

    pub(super) fn other_rsa() -> &'static Self {
        static KEY: OnceLock<FakeKey> = OnceLock::new();
        KEY.get_or_init(Self::new_rsa)
    }

    pub(super) fn p256() -> &'static Self {
        static KEY: OnceLock<FakeKey> = OnceLock::new();
        KEY.get_or_init(|| Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()))
    }

    fn new_rsa() -> Self {
        Self::Rsa(KeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    /// The modulus of an RSAPublicKey (RFC 8017 A.1.1): after two headers of four bytes and a zero.
    fn modulus(&self) -> Vec<u8> {
        match self {
            Self::Rsa(pair) => pair.public_key().as_ref()[9..265].to_vec(),
            Self::P256(_) => Vec::new(),
        }
    }

    pub(super) fn jwk(&self) -> String {
        match self {
            Self::Rsa(_) => format!(
                r#"{{"kid":"HCLAkPub","key_ops":["sign"],"kty":"RSA","e":"AQAB","n":"{}"}}"#,
                encode_url(&self.modulus())
            ),
            Self::P256(pair) => {
                let point = pair.public_key().as_ref();
                format!(
                    r#"{{"kid":"HCLAkPub","key_ops":["sign"],"kty":"EC","crv":"P-256","x":"{}","y":"{}"}}"#,
                    encode_url(&point[1..33]),
                    encode_url(&point[33..])
                )
            }
        }
    }

    /// TPMT_SIGNATURE over `message`.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; 256];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .unwrap();
                [&[0, 0x14, 0, 0x0b, 1, 0], signature.as_slice()].concat()
            }
            Self::P256(pair) => {
                let signature = pair.sign(&random, message).unwrap();
                let (r, s) = signature.as_ref().split_at(32);
                [&[0, 0x18, 0, 0x0b, 0, 32], r, &[0, 32], s].concat()
            }
        }
    }

    /// RSASSA-PSS in a TPMT_SIGNATURE that says so, or that claims to be RSASSA.
    pub(super) fn sign_pss(&self, message: &[u8], scheme: u8) -> Vec<u8> {
        let Self::Rsa(pair) = self else { return Vec::new() };
        let mut signature = vec![0; 256];
        pair.sign(&RSA_PSS_SHA256, &SystemRandom::new(), message, &mut signature)
            .unwrap();
        [&[0, scheme, 0, 0x0b, 1, 0], signature.as_slice()].concat()
    }

    /// The qualified name as the specification says, computed from its parts once more.
    pub(super) fn qualified_name(&self, attributes: u32, hierarchy: u32) -> [u8; 32] {
        let mut public = Vec::new();
        let kind: u16 = if matches!(self, Self::Rsa(_)) { 1 } else { 0x23 };
        public.extend(kind.to_be_bytes());
        public.extend([0, 0x0b]);
        public.extend(attributes.to_be_bytes());
        public.extend([0, 0]);
        match self {
            Self::Rsa(_) => {
                public.extend([0, 0x10, 0, 0x14, 0, 0x0b, 8, 0, 0, 0, 0, 0, 1, 0]);
                public.extend(self.modulus());
            }
            Self::P256(pair) => {
                let point = pair.public_key().as_ref();
                public.extend([0, 0x10, 0, 0x18, 0, 0x0b, 0, 3, 0, 0x10, 0, 32]);
                public.extend(&point[1..33]);
                public.extend([0, 32]);
                public.extend(&point[33..]);
            }
        }
        let name = [&[0, 0x0b], sha256(&[&public]).as_bytes().as_slice()].concat();
        *sha256(&[&hierarchy.to_be_bytes(), &name]).as_bytes()
    }
}

/// Everything that one machine sends. Tests change a field and send it.
pub(super) struct Fake {
    pub(super) key: &'static FakeKey,
    pub(super) signer: &'static FakeKey,
    pub(super) attributes: u32,
    pub(super) hierarchy: u32,
    pub(super) claims: String,
    pub(super) report_data: [u8; 64],
    pub(super) qualifying_data: Vec<u8>,
    pub(super) values: Vec<Digest<32>>,
    pub(super) expected: ReportData,
}

/// The vm-configuration of a machine of 2026.
pub(crate) const VM: &str = r#"{"current-time":1790000000,"root-cert-thumbprint":"","console-enabled":false,"interactive-console-enabled":false,"ipmi-enabled":false,"secure-boot":true,"tpm-enabled":true,"tpm-version":"1.38","tpm-persisted":true,"filtered-vpci-devices-allowed":false,"vmUniqueId":"0123ABCD-4567-89EF-0123-456789ABCDEF","hardware-sealing-policy":"none"}"#;

pub(super) const AK_ATTRIBUTES: u32 = 0x0005_0472;
pub(super) const ENDORSEMENT: u32 = 0x4000_000b;

impl Fake {
    pub(super) fn new(key: &'static FakeKey) -> Self {
        let expected = ReportData::new(std::array::from_fn(|i| u8::try_from(i + 1).unwrap()));
        let claims = claims(&key.jwk(), VM, &expected);
        let mut fake = Self {
            key,
            signer: key,
            attributes: AK_ATTRIBUTES,
            hierarchy: ENDORSEMENT,
            claims: String::new(),
            report_data: [0; 64],
            qualifying_data: sha256(&[expected.as_bytes()]).as_bytes().to_vec(),
            values: (0..24).map(|i| Digest::new([i; 32])).collect(),
            expected,
        };
        fake.claim(claims);
        fake
    }

    /// Other claims, named by the hardware report.
    pub(super) fn claim(&mut self, claims: String) {
        self.report_data[..32].copy_from_slice(sha256(&[claims.as_bytes()]).as_bytes());
        self.claims = claims;
    }

    /// TPMS_ATTEST over all registers.
    pub(super) fn message(&self) -> Vec<u8> {
        let values: Vec<&[u8]> = self
            .values
            .iter()
            .map(|value| value.as_bytes().as_slice())
            .collect();
        let name = self.key.qualified_name(self.attributes, self.hierarchy);
        let size = u16::try_from(self.qualifying_data.len()).unwrap();
        [
            [0xff, 0x54, 0x43, 0x47, 0x80, 0x18, 0, 34, 0, 0x0b].as_slice(),
            &name,
            &size.to_be_bytes(),
            &self.qualifying_data,
            &77_u64.to_be_bytes(),
            &3_u32.to_be_bytes(),
            &2_u32.to_be_bytes(),
            &[1],
            &0x2020_0312_0012_0003_u64.to_be_bytes(),
            &[0, 0, 0, 1, 0, 0x0b, 3, 0xff, 0xff, 0xff, 0, 32],
            sha256(&values).as_bytes(),
        ]
        .concat()
    }

    /// The report of a fake AMD's chip over this report data, not signed.
    pub(super) fn snp_report(&self) -> [u8; SNP_REPORT_LENGTH] {
        static REPORT: OnceLock<Vec<u8>> = OnceLock::new();
        let report = REPORT.get_or_init(|| snp::fake::Fake::vcek(snp::Product::Milan).report);
        let mut report: [u8; SNP_REPORT_LENGTH] = report.as_slice().try_into().unwrap();
        report[0x50..0x90].copy_from_slice(&self.report_data);
        report
    }

    pub(super) fn bind_snp(&self) -> Result<Guest, AzureError> {
        let report = self.snp_report();
        let verified = snp::Report::parse(&report).unwrap();
        self.bind(&hcl(2, &report, self.claims.as_bytes()), &Signed::Snp(&verified))
    }

    pub(super) fn bind(&self, hcl: &[u8], signed: &Signed<'_>) -> Result<Guest, AzureError> {
        let message = self.message();
        self.bind_quote(hcl, signed, &message, &self.signer.sign(&message))
    }

    pub(super) fn bind_quote(
        &self,
        hcl: &[u8],
        signed: &Signed<'_>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<Guest, AzureError> {
        let quote = Quote::parse(message, signature, &self.values)?;
        Guest::bind(&HclReport::parse(hcl)?, signed, quote, &self.expected)
    }
}

/// Claims with these parts.
pub(super) fn claims(ak: &str, vm: &str, user_data: &ReportData) -> String {
    let ek = r#"{"kid":"HCLEkPub","key_ops":["encrypt"],"kty":"RSA","e":"AQAB","n":"gQ"}"#;
    format!(r#"{{"keys":[{ak},{ek}],"vm-configuration":{vm},"user-data":"{user_data}"}}"#)
}

/// An HCL report as NV index 0x01400001 gives it.
pub(super) fn hcl(kind: u32, hardware: &[u8], claims: &[u8]) -> Vec<u8> {
    let size = u32::try_from(claims.len()).unwrap();
    let mut bytes = b"HCLA".to_vec();
    for word in [2, 1236 + size, 2, 0, 0, 0, 0] {
        bytes.extend(u32::to_le_bytes(word));
    }
    bytes.extend(hardware);
    bytes.resize(1216, 0);
    for word in [20 + size, 1, kind, 1, size] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(claims);
    bytes.resize(2600, 0);
    bytes
}

/// A TDREPORT over this report data, and the body of a quote made of it.
pub(super) fn td_report(report_data: &[u8; 64], service_td: [u8; 48]) -> ([u8; 1024], QuotedBody) {
    let body = QuotedBody {
        seam: [8; 120],
        td: [9; 400],
        report_data: *report_data,
        newer: Some(([8; 16], service_td)),
    };
    (td_report_of(&body), body)
}

/// The TDREPORT of which a quote with this body (of TDX 1.5) is made.
pub(super) fn td_report_of(body: &QuotedBody) -> [u8; 1024] {
    let (tcb_svn_2, service_td) = body.newer.unwrap();
    let mut report = [0; 1024];
    report[0] = 0x81;
    report[2] = u8::from(service_td != [0; 48]);
    report[16..32].fill(6);
    report[128..192].copy_from_slice(&body.report_data);
    report[224..256].fill(7);
    report[256..264].copy_from_slice(&[0xff, 1, 3, 0, 0, 0, 0, 0]);
    report[264..384].copy_from_slice(&body.seam);
    report[384..400].copy_from_slice(&tcb_svn_2);
    report[512..912].copy_from_slice(&body.td);
    report[912..960].copy_from_slice(&service_td);
    let hashes = [sha384(&[&report[256..495]]), sha384(&[&report[512..]])];
    report[32..80].copy_from_slice(hashes[0].as_bytes());
    report[80..128].copy_from_slice(hashes[1].as_bytes());
    report
}

/// A guest on the fake AMD's chip with this vm-configuration and these registers, proven and bound.
pub(crate) fn guest(vm: &str, values: &[Digest<32>; 24]) -> VerifiedGuest {
    let mut fake = Fake::new(FakeKey::p256());
    fake.claim(claims(&fake.key.jwk(), vm, &fake.expected));
    fake.values = values.to_vec();
    let mut chip = snp::fake::Fake::vcek(snp::Product::Milan);
    chip.report[0x50..0x90].copy_from_slice(&fake.report_data);
    let report = chip.signed_report();
    let verified = snp::VerifiedReport::verify(&report, &chip.prove().unwrap(), snp::fake::AT).unwrap();
    let bytes = hcl(2, &report, fake.claims.as_bytes());
    let message = fake.message();
    let signature = fake.signer.sign(&message);
    let quote = Quote::parse(&message, &signature, &fake.values).unwrap();
    let hardware = Hardware::Snp(Box::new(verified));
    bind(
        &HclReport::parse(&bytes).unwrap(),
        hardware,
        quote,
        &fake.expected,
    )
    .unwrap()
}

/// Evidence of a guest on the fake AMD's chip, with what proves it: as an enclave sends it, nothing verified.
pub(crate) fn evidence() -> (Evidence, Endorsements, snp::Anchors, ReportData) {
    let fake = Fake::new(FakeKey::p256());
    let mut chip = snp::fake::Fake::vcek(snp::Product::Milan);
    chip.report[0x50..0x90].copy_from_slice(&fake.report_data);
    let message = fake.message();
    let parts = vec![
        (EvidencePart::TpmSignature, fake.signer.sign(&message)),
        (EvidencePart::TpmQuote, message),
        (
            EvidencePart::TpmRegisters,
            fake.values.iter().flat_map(|value| *value.as_bytes()).collect(),
        ),
    ];
    let hcl = hcl(2, &chip.signed_report(), fake.claims.as_bytes());
    let evidence = Evidence::with_parts(Platform::AzureSnp, hcl, parts, vec![]).unwrap();
    let items = [
        (EndorsementKind::AmdVek, chip.vek_der()),
        (EndorsementKind::AmdAuthority, chip.ask_der()),
    ];
    let items = items.map(|(kind, der)| Endorsement::new(kind, der).unwrap());
    let endorsements = Endorsements::new(items.to_vec()).unwrap();
    (evidence, endorsements, chip.anchors(), fake.expected)
}

/// What one machine of each kind of key sends, for the targets of `fuzz/`.
pub(crate) fn seeds() -> Vec<crate::seeds::Seed> {
    let mut all = Vec::new();
    for key in [FakeKey::rsa(), FakeKey::p256()] {
        let fake = Fake::new(key);
        let (message, claims) = (fake.message(), fake.claims.as_bytes());
        let (td, _) = td_report(&fake.report_data, [3; 48]);
        // The target's own framing: length of the message, number of values.
        let lengths = [u8::try_from(message.len()).unwrap(), 24];
        all.push((
            "azure-quote",
            [&lengths, message.as_slice(), &key.sign(&message)].concat(),
        ));
        all.push(("azure-claims", claims.to_vec()));
        all.push(("azure-hcl", hcl(2, &fake.snp_report(), claims)));
        all.push(("azure-hcl", hcl(4, &td, claims)));
    }
    all
}
