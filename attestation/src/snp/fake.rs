//! An AMD for one test: a hierarchy, chips and reports of any kind, right or wrong.
//!
//! Why apart: real files cannot show a revoked authority or a key for another use, and a bare clone has none.
//!
//! # Invariants
//! Built for tests only. The bytes are laid out as AMD's; only the keys are not AMD's.

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};

use crate::snp::{Anchors, Endorsements, Product, REPORT_LENGTH, SnpError, VerifiedReport, VerifiedVek};
use crate::time::Timestamp;
use crate::x509::forge::{CrlDraft, Draft, Key, NOW, certificate_usage, constraints, extension, name, tlv};

/// The moment at which everything is valid.
pub(crate) const AT: Timestamp = Timestamp::from_unix(NOW);

/// An extension of AMD's: object identifier below 1.3.6.1.4.1.3704.1, and content.
pub(crate) type Statement = (&'static str, Vec<u8>);

/// INTEGER of one byte.
pub(crate) fn integer(value: u8) -> Vec<u8> {
    if value < 0x80 {
        vec![2, 1, value]
    } else {
        vec![2, 2, 0, value]
    }
}

/// A whole hierarchy with one chip, all right unless a test changes a part.
pub(crate) struct Fake {
    pub(crate) product: Product,
    pub(crate) ark_key: Key,
    pub(crate) ask_key: Key,
    pub(crate) vek_key: Key,
    pub(crate) ark: Draft,
    pub(crate) ask: Draft,
    pub(crate) vek: Draft,
    pub(crate) statements: Vec<Statement>,
    pub(crate) crl: Option<CrlDraft>,
    pub(crate) report: Vec<u8>,
}

/// TCB of the fake chips: boot loader, TEE, SNP, microcode (and FMC 1 on Turin).
const LEVELS: [u8; 4] = [4, 1, 23, 213];

impl Fake {
    /// With a VCEK.
    pub(crate) fn vcek(product: Product) -> Self {
        let line = product.name();
        let (ark, ask) = (format!("ARK-{line}"), format!("SEV-{line}"));
        let chip: Vec<u8> = match product {
            Product::Turin => (1..=8).collect(),
            _ => (1..=64).collect(),
        };
        let mut statements = levels(product);
        statements.push(("4", chip.clone()));
        Self {
            product,
            ark_key: Key::shared_rsa(false),
            ask_key: Key::shared_rsa(true),
            vek_key: Key::P384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap()),
            ark: Draft {
                trailer: true,
                ..Draft::authority(&ark, &ark)
            },
            ask: Draft {
                serial: vec![2],
                extensions: vec![constraints(Some(0)), certificate_usage()],
                ..Draft::authority(&ask, &ark)
            },
            vek: Draft::leaf("SEV-VCEK", &ask),
            statements,
            crl: Some(CrlDraft::empty(&ark)),
            report: report(product, &chip),
        }
    }

    /// With a VLEK, and the chip id masked.
    pub(crate) fn vlek(product: Product) -> Self {
        let mut fake = Self::vcek(product);
        let ask = format!("SEV-VLEK-{}", product.name());
        fake.ask.subject = name(&ask);
        fake.vek = Draft::leaf("SEV-VLEK", &ask);
        fake.statements.retain(|(oid, _)| *oid != "4");
        fake.statements.push(("5", tlv(0x16, b"CN=cc-test.example")));
        fake.report[0x48] = 1 << 2;
        fake.report[0x1a0..0x1e0].fill(0);
        fake
    }

    /// Replaces what an extension says, or adds it.
    pub(crate) fn state(&mut self, oid: &'static str, content: Vec<u8>) {
        self.statements.retain(|(other, _)| *other != oid);
        self.statements.push((oid, content));
    }

    pub(crate) fn anchors(&self) -> Anchors {
        let root = self.ark.sign(&self.ark_key, &self.ark_key);
        Anchors::given(&[(self.product, root)]).unwrap()
    }

    pub(crate) fn vek_der(&self) -> Vec<u8> {
        let mut draft = self.vek.clone();
        for (oid, content) in &self.statements {
            let oid = format!("1.3.6.1.4.1.3704.1.{oid}");
            draft.extensions.push(extension(&oid, false, content));
        }
        draft.sign(&self.vek_key, &self.ask_key)
    }

    pub(crate) fn ask_der(&self) -> Vec<u8> {
        self.ask.sign(&self.ask_key, &self.ark_key)
    }

    /// Proves the VEK under this hierarchy's own root.
    pub(crate) fn prove(&self) -> Result<VerifiedVek, SnpError> {
        let crl = self.crl.as_ref().map(|draft| draft.sign(&self.ark_key));
        let endorsements = Endorsements {
            vek: &self.vek_der(),
            authority: &self.ask_der(),
            root: None,
            crl: crl.as_deref(),
        };
        VerifiedVek::verify(&endorsements, &self.anchors(), AT)
    }

    /// The report, signed.
    pub(crate) fn signed_report(&self) -> Vec<u8> {
        sign_report(self.report.clone(), &self.vek_key)
    }

    /// Proves everything.
    pub(crate) fn verify(&self) -> Result<VerifiedReport, SnpError> {
        VerifiedReport::verify(&self.signed_report(), &self.prove()?, AT)
    }

    /// The identifier of the check that refuses.
    pub(crate) fn refusal(&self) -> &'static str {
        self.verify().expect_err("must be refused").id()
    }
}

/// `report` with its signature, r and s each little endian in 72 bytes.
pub(crate) fn sign_report(mut report: Vec<u8>, key: &Key) -> Vec<u8> {
    let signature = key.sign(&report[..0x2a0]);
    for (place, scalar) in [(0x2a0, &signature[..48]), (0x2e8, &signature[48..])] {
        for (index, byte) in scalar.iter().rev().enumerate() {
            report[place + index] = *byte;
        }
    }
    report
}

fn levels(product: Product) -> Vec<Statement> {
    let [boot_loader, tee, snp, microcode] = LEVELS;
    let mut all = vec![
        ("1", integer(u8::from(product == Product::Turin))),
        ("2", tlv(0x16, product.name().as_bytes())),
        ("3.1", integer(boot_loader)),
        ("3.2", integer(tee)),
        ("3.3", integer(snp)),
        ("3.5", integer(0)),
        ("3.6", integer(0)),
        ("3.7", integer(0)),
        ("3.8", integer(microcode)),
    ];
    all.push(match product {
        Product::Turin => ("3.9", integer(1)),
        _ => ("3.4", integer(0)),
    });
    all
}

/// A report of version 5, unsigned.
fn report(product: Product, chip: &[u8]) -> Vec<u8> {
    let [boot_loader, tee, snp, microcode] = LEVELS;
    let tcb = match product {
        Product::Turin => [1, boot_loader, tee, snp, 0, 0, 0, microcode],
        _ => [boot_loader, tee, 0, 0, 0, 0, snp, microcode],
    };
    let cpuid = match product {
        Product::Milan => [0x19, 0x01, 1],
        Product::Genoa => [0x19, 0x11, 1],
        Product::Turin => [0x1a, 0x02, 1],
    };
    let mut bytes = vec![0; REPORT_LENGTH];
    let mut put = |place: usize, content: &[u8]| bytes[place..place + content.len()].copy_from_slice(content);
    put(0, &5_u32.to_le_bytes());
    put(4, &7_u32.to_le_bytes());
    put(8, &0x0003_001f_u64.to_le_bytes());
    put(0x34, &1_u32.to_le_bytes());
    put(0x40, &0x25_u64.to_le_bytes());
    for place in [0x38, 0x180, 0x1e0, 0x1f0] {
        put(place, &tcb);
    }
    for (place, length, fill) in [
        (0x10, 16, 0xa1),
        (0x20, 16, 0xa2),
        (0x50, 64, 0xa3),
        (0x90, 48, 0xa4),
        (0xc0, 32, 0xa5),
        (0xe0, 48, 0xa6),
        (0x110, 48, 0xa7),
        (0x140, 32, 0xa8),
        (0x160, 32, 0xa9),
    ] {
        put(place, &vec![fill; length]);
    }
    put(0x188, &cpuid);
    put(0x1a0, chip);
    put(0x1e8, &[3, 55, 1, 0, 2, 54, 1, 0]);
    put(0x1f8, &1_u64.to_le_bytes());
    put(0x200, &3_u64.to_le_bytes());
    bytes
}
