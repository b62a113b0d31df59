//! A fake Intel: root, certification authorities, quoting enclave, TCB information, all made in the test.
//!
//! Why apart: it shows what no real file can, and runs where there are no real files.
//!
//! # Invariants
//! Unchanged, a [`Plan`] makes a quote that is verified at [`NOW`] under the plan's own root, and no other.

use anchorhold_encoding::Digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DnType, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData as _, RevokedCertParams, SerialNumber,
    date_time_ymd,
};
use serde_json::{Value, json};

use super::*;

/// 2030-01-15T12:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp::from_unix(1_894_708_800);

pub(crate) const FMSPC: [u8; 6] = [0x50, 0x80, 0x6f, 0, 0, 0];
pub(crate) const PPID: [u8; 16] = [9; 16];

/// Years for which a certificate is valid, by their first days.
type Years = (i32, i32);

/// Everything that can be made differently.
pub(crate) struct Plan {
    pub(crate) names: [&'static str; 4],
    pub(crate) years: [Years; 4],
    pub(crate) authority_is_ca: bool,
    pub(crate) signer_is_ca: bool,
    pub(crate) pck_curve: &'static rcgen::SignatureAlgorithm,
    pub(crate) pck_extension: bool,
    /// Serial numbers in the root's and in the PCK authority's list; root 1, authority 2, signer 3, PCK 4.
    pub(crate) revoked: [&'static [u64]; 2],
    pub(crate) crl_years: [Years; 2],
    /// What the root's key signs though it is another's to sign: "pck-crl", "pck", "tcb", "qe"; or "root-crl", which
    /// then the PCK authority's key signs.
    pub(crate) usurped: &'static str,
    pub(crate) version: u16,
    pub(crate) body_type: u16,
    pub(crate) cpu_svn: [u8; 16],
    pub(crate) pce_id: [u8; 2],
    /// Dynamic platform, cached keys, SMT as DER has a flag; `None` is a certificate of the Processor CA.
    pub(crate) flags: Option<[u8; 3]>,
    pub(crate) body: fn(&mut Vec<u8>),
    pub(crate) enclave: fn(&mut [u8; 384]),
    pub(crate) tcb: fn(&mut Value),
    pub(crate) identity: fn(&mut Value),
    pub(crate) authentication: Vec<u8>,
}

/// The parts of a collateral and the quote.
pub(crate) struct Made {
    pub(crate) quote: Vec<u8>,
    pub(crate) collateral: Value,
    pub(crate) root: Vec<u8>,
    /// The PCK certificate's key, as its curve encodes a point.
    pub(crate) pck: Vec<u8>,
}

const ROOT: usize = 0;
const AUTHORITY: usize = 1;
const SIGNER: usize = 2;
const PCK: usize = 3;

impl Default for Plan {
    fn default() -> Self {
        Self {
            names: [
                "Intel SGX Root CA",
                "Intel SGX PCK Platform CA",
                "Intel SGX TCB Signing",
                "Intel SGX PCK Certificate",
            ],
            years: [(2025, 2040); 4],
            authority_is_ca: true,
            signer_is_ca: false,
            pck_curve: &rcgen::PKCS_ECDSA_P256_SHA256,
            pck_extension: true,
            revoked: [&[], &[]],
            crl_years: [(2029, 2031); 2],
            usurped: "",
            version: 4,
            body_type: 2,
            cpu_svn: [5; 16],
            pce_id: [0; 2],
            flags: Some([0xff, 0, 0xff]),
            body: |_| {},
            enclave: |_| {},
            tcb: |_| {},
            identity: |_| {},
            authentication: (0..32).collect(),
        }
    }
}

/// A body of 885 bytes that is as it must be; shorter bodies are its beginning.
fn body() -> Vec<u8> {
    let mut body: Vec<u8> = (0..885_u32).map(|index| (index % 251) as u8).collect();
    body[..16].fill(0);
    body[..3].copy_from_slice(&[5, 1, 2]);
    body[64..120].fill(0);
    body[120..128].copy_from_slice(&[0, 0, 0, 0x10, 0, 0, 0, 0]);
    body[584..600].fill(0);
    body[584..587].copy_from_slice(&[5, 1, 2]);
    body[600..648].fill(0);
    body
}

fn enclave(key: &[u8], authentication: &[u8]) -> [u8; 384] {
    let mut report = [0; 384];
    report[48] = 0x15;
    report[56] = 0xe7;
    report[64..96].fill(0x11);
    report[128..160].fill(0x22);
    report[256..258].copy_from_slice(&[2, 0]);
    report[258..260].copy_from_slice(&[6, 0]);
    report[320..352].copy_from_slice(&crypto::sha256(&[key, authentication].concat()));
    report
}

fn tcb_info() -> Value {
    let components = |svn: u8| vec![json!({ "svn": svn }); 16];
    let level = |svn: u8, tdx: [u8; 3], date: &str, status: &str, advisories: Value| {
        let mut td = vec![json!({"svn": 0}); 16];
        for (at, svn) in tdx.iter().enumerate() {
            td[at] = json!({ "svn": svn });
        }
        json!({
            "tcb": { "sgxtcbcomponents": components(svn), "pcesvn": 13, "tdxtcbcomponents": td },
            "tcbDate": date, "tcbStatus": status, "advisoryIDs": advisories,
        })
    };
    let zero = "0".repeat(96);
    json!({
        "id": "TDX", "version": 3, "issueDate": "2030-01-01T00:00:00Z", "nextUpdate": "2030-01-31T00:00:00Z",
        "fmspc": "50806F000000", "pceId": "0000", "tcbType": 0, "tcbEvaluationDataNumber": 21,
        "tdxModule": { "mrsigner": zero, "attributes": "0000000000000000", "attributesMask": "FFFFFFFFFFFFFFFF" },
        "tdxModuleIdentities": [{
            "id": "TDX_01", "mrsigner": zero, "attributes": "0000000000000000", "attributesMask": "FFFFFFFFFFFFFFFF",
            "tcbLevels": [
                { "tcb": { "isvsvn": 5 }, "tcbDate": "2029-11-01T00:00:00Z", "tcbStatus": "UpToDate" },
                { "tcb": { "isvsvn": 3 }, "tcbDate": "2028-11-01T00:00:00Z", "tcbStatus": "OutOfDate" },
            ],
        }],
        "tcbLevels": [
            level(5, [5, 0, 2], "2029-11-01T00:00:00Z", "UpToDate", json!([])),
            level(4, [5, 0, 2], "2028-11-01T00:00:00Z", "OutOfDate", json!(["INTEL-SA-99999"])),
        ],
    })
}

fn qe_identity() -> Value {
    json!({
        "id": "TD_QE", "version": 2, "issueDate": "2030-01-01T00:00:00Z", "nextUpdate": "2030-01-31T00:00:00Z",
        "tcbEvaluationDataNumber": 20, "miscselect": "00000000", "miscselectMask": "FFFFFFFF",
        "attributes": "11000000000000000000000000000000", "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
        "mrsigner": "22".repeat(32), "isvprodid": 2,
        "tcbLevels": [
            { "tcb": { "isvsvn": 6 }, "tcbDate": "2029-11-01T00:00:00Z", "tcbStatus": "UpToDate" },
            { "tcb": { "isvsvn": 4 }, "tcbDate": "2027-11-01T00:00:00Z", "tcbStatus": "OutOfDate",
              "advisoryIDs": ["INTEL-SA-88888"] },
        ],
    })
}

impl Plan {
    fn params(&self, whose: usize) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, self.names[whose]);
        let (from, to) = self.years[whose];
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        params.serial_number = Some(SerialNumber::from(whose as u64 + 1));
        let authority = whose == ROOT
            || whose == AUTHORITY && self.authority_is_ca
            || whose == SIGNER && self.signer_is_ca;
        if authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        } else {
            params.is_ca = IsCa::ExplicitNoCa;
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign];
        }
        params.use_authority_key_identifier_extension = true;
        if whose == PCK && self.pck_extension {
            let oid = [1, 2, 840, 113_741, 1, 13, 1];
            params.custom_extensions = vec![CustomExtension::from_oid_content(&oid, self.sgx_extension())];
        }
        params
    }

    /// Intel's extension of a PCK certificate (PCK profile 1.3).
    fn sgx_extension(&self) -> Vec<u8> {
        let octets = |bytes: &[u8]| der(4, &[bytes]);
        let svn = self.cpu_svn;
        let mut tcb: Vec<Vec<u8>> = (1..=16)
            .map(|at| entry(&[2, at], &der(2, &[&[svn[at as usize - 1]]])))
            .collect();
        tcb.push(entry(&[2, 17], &der(2, &[&[13]])));
        tcb.push(entry(&[2, 18], &octets(&svn)));
        let flag = |at, value| entry(&[7, at], &der(1, &[&[value]]));
        let sequence = |parts: &[Vec<u8>]| der(0x30, &parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let mut entries = vec![
            entry(&[1], &octets(&PPID)),
            entry(&[2], &sequence(&tcb)),
            entry(&[3], &octets(&self.pce_id)),
            entry(&[4], &octets(&FMSPC)),
            entry(&[5], &der(0x0a, &[&[1]])),
        ];
        if let Some([dynamic, cached, smt]) = self.flags {
            entries.push(entry(&[6], &octets(&[7; 16])));
            let flags = [flag(1, dynamic), flag(2, cached), flag(3, smt)];
            entries.push(entry(&[7], &sequence(&flags)));
        }
        sequence(&entries)
    }

    fn crl(&self, whose: usize, issuer: &Issuer<'_, &KeyPair>) -> Vec<u8> {
        let (from, to) = self.crl_years[whose];
        let revoked = self.revoked[whose].iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2029, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(from, 1, 1),
            next_update: date_time_ymd(to, 1, 1),
            crl_number: SerialNumber::from(40 + whose as u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(issuer).unwrap().der().to_vec()
    }

    /// Quote, collateral and root.
    pub(crate) fn make(&self) -> Made {
        let p256 = || KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let (root, authority, signer, attestation) = (p256(), p256(), p256(), p256());
        let pck = KeyPair::generate_for(self.pck_curve).unwrap();
        let issuer = |whose, key| Issuer::new(self.params(whose), key);
        let or_root = |what: &str, key| if self.usurped == what { &root } else { key };

        let root_lister = if self.usurped == "root-crl" {
            &authority
        } else {
            &root
        };

        let root_der = self.params(ROOT).self_signed(&root).unwrap().der().to_vec();
        let by_root = |whose, key: &KeyPair| {
            let certificate = self.params(whose).signed_by(key, &issuer(ROOT, &root)).unwrap();
            certificate.der().to_vec()
        };
        let authority_der = by_root(AUTHORITY, &authority);
        let signer_der = by_root(SIGNER, &signer);
        let by = issuer(AUTHORITY, or_root("pck", &authority));
        let pck_der = self.params(PCK).signed_by(&pck, &by).unwrap().der().to_vec();

        let (mut tcb, mut identity) = (tcb_info(), qe_identity());
        (self.tcb)(&mut tcb);
        (self.identity)(&mut identity);
        let (tcb, identity) = (tcb.to_string(), identity.to_string());
        let signers = pem::text(&[&signer_der, &root_der]);
        let collateral = json!({
            "pck_crl_issuer_chain": pem::text(&[&authority_der, &root_der]),
            "root_ca_crl": culprit::hexadecimal(&self.crl(0, &issuer(ROOT, root_lister))),
            "pck_crl": culprit::hexadecimal(&self.crl(1, &issuer(AUTHORITY, or_root("pck-crl", &authority)))),
            "tcb_info_issuer_chain": signers,
            "tcb_info_signature": culprit::hexadecimal(&sign(or_root("tcb", &signer), tcb.as_bytes())),
            "tcb_info": tcb,
            "qe_identity_issuer_chain": signers,
            "qe_identity_signature": culprit::hexadecimal(&sign(or_root("qe", &signer), identity.as_bytes())),
            "qe_identity": identity,
        });

        let chain = pem::text(&[&pck_der, &authority_der, &root_der]);
        Made {
            quote: self.quote(&attestation, &pck, &chain),
            collateral,
            root: root_der,
            pck: pck.der_bytes().to_vec(),
        }
    }

    fn quote(&self, attestation: &KeyPair, pck: &KeyPair, chain: &str) -> Vec<u8> {
        let le16 = |value: u16| value.to_le_bytes().to_vec();
        let sized = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_le_bytes(), bytes].concat();
        let mut body = body();
        body.truncate(match self.body_type {
            2 => 584,
            3 => 648,
            _ => 885,
        });
        (self.body)(&mut body);
        let mut quote = [le16(self.version), le16(2), vec![0x81, 0, 0, 0, 0, 0, 0, 0]].concat();
        quote.extend([
            0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07,
        ]);
        quote.extend([3; 20]);
        if self.version == 5 {
            quote.extend(le16(self.body_type));
            quote.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
        }
        quote.extend(body);

        let key = attestation.der_bytes()[1..].to_vec();
        let mut report = enclave(&key, &self.authentication);
        (self.enclave)(&mut report);
        let length = u16::try_from(self.authentication.len()).unwrap();
        // A PCK key of another curve cannot sign like this; its certificate is refused before.
        let endorsed = if pck.der_bytes().len() == 65 {
            sign(pck, &report)
        } else {
            vec![1; 64]
        };
        let inner = [
            report.to_vec(),
            endorsed,
            le16(length),
            self.authentication.clone(),
            le16(5),
            sized(chain.as_bytes()),
        ];
        let data = [sign(attestation, &quote), key, le16(6), sized(&inner.concat())].concat();
        [quote, sized(&data)].concat()
    }

    /// Verifies what the plan makes, under its own root.
    pub(crate) fn verify(&self) -> Result<VerifiedQuote, TdxError> {
        self.make().verify(NOW)
    }
}

impl Made {
    pub(crate) fn verify(&self, now: Timestamp) -> Result<VerifiedQuote, TdxError> {
        let collateral = Collateral::parse(self.collateral.to_string().as_bytes())?;
        verify(&self.quote, &collateral, &Anchors::given(self.root.clone()), now)
    }
}

/// r then s.
fn sign(key: &KeyPair, message: &[u8]) -> Vec<u8> {
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der()).unwrap();
    key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
}

fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = match content.len() {
        short @ 0..128 => vec![short as u8],
        middle @ 128..256 => vec![0x81, middle as u8],
        long => vec![0x82, (long >> 8) as u8, long as u8],
    };
    [vec![tag], length, content].concat()
}

/// `SEQUENCE { 1.2.840.113741.1.13.1.x, value }`.
fn entry(x: &[u8], value: &[u8]) -> Vec<u8> {
    let arc = [0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 1, 13, 1];
    der(0x30, &[&der(6, &[&arc, x]), value])
}

#[test]
fn a_plan_is_verified_field_by_field() {
    let quote = Plan {
        version: 5,
        body_type: 4,
        ..Plan::default()
    };
    let quote = quote.verify().unwrap();
    assert_eq!(
        (quote.version(), quote.body_kind(), quote.class()),
        (5, BodyKind::Td15Ex, Class::Insecure)
    );
    assert_eq!(
        (quote.status(), quote.advisories()),
        (TcbStatus::UpToDate, [].as_slice())
    );
    let bytes = body();
    let digest = |at: usize| Digest::<48>::from_slice(&bytes[at..at + 48]).unwrap();
    let body = quote.body();
    assert_eq!(body.tee_tcb_svn[..3], [5, 1, 2]);
    assert_eq!((body.mr_seam, body.mr_td), (digest(16), digest(136)));
    assert_eq!(
        (body.mr_config_id, body.mr_owner, body.mr_owner_config),
        (digest(184), digest(232), digest(280))
    );
    assert_eq!(body.rtmr, [digest(328), digest(376), digest(424), digest(472)]);
    assert_eq!(body.report_data, bytes[520..584]);
    assert!(body.mr_signer_seam.is_zero() && body.td15.unwrap().mr_service_td.is_zero());
    assert_eq!(body.td15.unwrap().tee_tcb_svn2[..3], [5, 1, 2]);
    let more = body.td15_ex.unwrap();
    assert_eq!(
        (more.vm, more.td_id.as_bytes().as_slice()),
        (bytes[648], &bytes[649..681])
    );
    assert_eq!(
        (more.device_info, more.initial_service_hash),
        (digest(681), digest(729))
    );
    assert_eq!(more.initial_service_attributes, bytes[777..785]);
    assert_eq!(
        (
            more.initial_cpu_svn.as_slice(),
            more.initial_tee_tcb_svn.as_slice()
        ),
        (&bytes[785..801], &bytes[801..817])
    );
    assert_eq!(
        (more.initial_fmspc.as_slice(), more.current_service_hash),
        (&bytes[817..829], digest(829))
    );
    assert_eq!(more.current_service_attributes, bytes[877..885]);

    let platform = quote.platform();
    assert_eq!((platform.fmspc, platform.ppid), (FMSPC, Digest::new(PPID)));
    assert_eq!(
        (platform.cpu_svn, platform.pce_svn, platform.pce_id),
        ([5; 16], 13, [0, 0])
    );
    assert_eq!(
        (platform.sgx_type, platform.platform_instance),
        (1, Some(Digest::new([7; 16])))
    );
    assert_eq!(
        (platform.dynamic, platform.cached_keys, platform.smt),
        (Some(true), Some(false), Some(true))
    );
    let used = quote.collateral();
    assert_eq!((used.tcb_evaluation, used.qe_evaluation), (21, 20));
    assert_eq!((used.root_crl, used.pck_crl), (40, 41));
    assert_eq!(used.earliest_issue, time("2025-01-01T00:00:00Z"));
    assert_eq!(used.latest_issue, time("2030-01-01T00:00:00Z"));
    assert_eq!(used.expires, time("2030-01-31T00:00:00Z"));
    let enclave = quote.quoting_enclave();
    assert_eq!((enclave.product, enclave.security_version), (2, 6));
    assert_eq!(
        (enclave.measurement, enclave.signer),
        (Digest::new([0x11; 32]), Digest::new([0x22; 32]))
    );
    assert_eq!(quote.platform_level().date, time("2029-11-01T00:00:00Z"));
    assert_eq!(quote.current_level(), Some(quote.platform_level()));
    assert_eq!(quote.enclave_level().status, TcbStatus::UpToDate);
    assert_eq!(quote.user_data(), &[3; 20]);
}
