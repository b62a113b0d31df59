//! A maker of devices and RIMs for tests: an own root, chains, reports and signed tags in NVIDIA's formats.
//!
//! Why apart: real files cannot show what NVIDIA never makes, and a bare clone has none.
//!
//! # Invariants
//! Built for tests only. A RIM is written in canonical form by hand, so that what verifies it is not what made it.

use anchorhold_encoding::{Digest, sha384};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::nvidia::{
    ANSWERED_FOR, Anchors, SIGNER_ANSWERED_FOR, VerifiedDevice, VerifiedRim, verify_device, verify_rim,
};
use crate::time::Timestamp;
use crate::x509::forge::ocsp::{AnswerDraft, OcspDraft, responder};
use crate::x509::forge::{Draft, Key, NOW, constraints, extension, sequence, tlv};

pub(crate) const AT: Timestamp = Timestamp::from_unix(NOW);
pub(crate) const NONCE: Digest<32> = Digest::new([0x5a; 32]);
pub(crate) const FIRMWARE: [u8; 48] = [0xf1; 48];

const SWID: &str = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd";
const HASHES: &str = "http://www.w3.org/2001/04/xmlenc#sha384";
const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
const TCG: &str =
    "https://trustedcomputinggroup.org/resource/tcg-reference-integrity-manifest-rim-information-model/";

/// r and s of 48 bytes each, from their form in DER.
fn fixed(der: &[u8]) -> Vec<u8> {
    let mut rest = &der[2..];
    let mut out = Vec::new();
    for _ in 0..2 {
        let length = usize::from(rest[1]);
        let (number, tail) = rest[2..].split_at(length);
        let digits = number.strip_prefix(&[0]).unwrap_or(number);
        out.extend(vec![0; 48 - digits.len()]);
        out.extend(digits);
        rest = tail;
    }
    out
}

fn firmware_id(value: &[u8; 48]) -> Vec<u8> {
    let sha384 = b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02";
    sequence(&[sha384, &tlv(0x04, value)])
}

fn digital_signature() -> Vec<u8> {
    extension("2.5.29.15", true, b"\x03\x02\x07\x80")
}

/// What a leaf says of its device.
pub(crate) fn device_info(text: &str) -> Vec<u8> {
    let id = b"\x06\x0a\x2b\x06\x01\x04\x01\x83\x1c\x82\x12\x01";
    let name = tlv(
        0xa0,
        &[id.as_slice(), &tlv(0xa0, &tlv(0x0c, text.as_bytes()))].concat(),
    );
    extension("2.5.29.17", false, &sequence(&[&name]))
}

/// A Hopper leaf's firmware id, under the key of the one who issued it.
pub(crate) fn composite(device_id: &Key, firmware: &[u8; 48]) -> Vec<u8> {
    let content = sequence(&[&[0x02, 0x01, 0x01], &device_id.key_info(), &firmware_id(firmware)]);
    extension("2.23.133.5.4.1", false, &content)
}

/// A Blackwell leaf's TCB info.
pub(crate) fn tcb_info(firmware: &[u8; 48], flags: [u8; 4]) -> Vec<u8> {
    let ids = [firmware_id(firmware), firmware_id(&[0; 48])].concat();
    let content = sequence(&[
        &tlv(0x80, b"NVIDIA"),
        &tlv(0xa6, &ids),
        &tlv(0x87, &[&[0], flags.as_slice()].concat()),
    ]);
    extension("2.23.133.5.4.1.1", false, &content)
}

/// A chain of certificates under an own root; each test changes drafts as it likes.
pub(crate) struct Chain {
    /// Root first.
    pub(crate) keys: Vec<Key>,
    pub(crate) drafts: Vec<Draft>,
}

impl Chain {
    /// A root, authorities down to a leaf without extensions but its usage: `length` certificates.
    pub(crate) fn new(length: usize) -> Self {
        let keys: Vec<_> = (0..length).map(|_| Key::p384()).collect();
        let mut drafts = vec![Draft::authority("0", "0")];
        for place in 1..length {
            drafts.push(Draft::authority(&place.to_string(), &(place - 1).to_string()));
        }
        drafts[length - 1].extensions = vec![digital_signature()];
        Self { keys, drafts }
    }

    pub(crate) fn leaf(&mut self) -> &mut Draft {
        self.drafts.last_mut().unwrap()
    }

    pub(crate) fn leaf_key(&self) -> &Key {
        self.keys.last().unwrap()
    }

    /// The key that issues the leaf.
    pub(crate) fn issuer_key(&self) -> &Key {
        &self.keys[self.keys.len() - 2]
    }

    /// In DER, the leaf first.
    pub(crate) fn der(&self) -> Vec<Vec<u8>> {
        let sign =
            |place: usize| self.drafts[place].sign(&self.keys[place], &self.keys[place.saturating_sub(1)]);
        (0..self.keys.len()).rev().map(sign).collect()
    }

    /// Gives every certificate a number of its own, by which answers tell them apart.
    pub(crate) fn numbered(mut self) -> Self {
        for (place, draft) in self.drafts.iter_mut().enumerate() {
            draft.serial = vec![u8::try_from(place + 1).unwrap()];
        }
        self
    }

    /// The answer of the responder `key` about the certificate at `link`, 0 the leaf; good unless `change` says otherwise.
    pub(crate) fn answer(&self, key: &Key, link: usize, change: impl FnOnce(&mut AnswerDraft)) -> Vec<u8> {
        let place = self.keys.len() - 1 - link;
        let issuer = place - 1;
        let mut answer = AnswerDraft::good(&self.drafts[place], &self.keys[issuer]);
        change(&mut answer);
        let certificate = responder(&issuer.to_string()).sign(key, &self.keys[issuer]);
        OcspDraft::delegated(vec![answer], key, certificate).sign(key)
    }

    fn root(&self) -> Vec<u8> {
        self.drafts[0].sign(&self.keys[0], &self.keys[0])
    }
}

/// A chip's chain: `GH100`, `GB100` or `LS_10`.
pub(crate) fn device_chain(chip: &str) -> Chain {
    let mut chain = Chain::new(5);
    let own = if chip.starts_with("GB") {
        tcb_info(&FIRMWARE, [0x80, 0, 0, 1])
    } else {
        composite(chain.issuer_key(), &FIRMWARE)
    };
    let info = device_info(&format!("NVIDIA:{chip}:48B02D51C9C1070B"));
    chain.leaf().extensions.extend([info, own]);
    chain
}

/// A RIM signer's chain.
pub(crate) fn rim_chain() -> Chain {
    let mut chain = Chain::new(4);
    chain.drafts[2].extensions[0] = constraints(Some(0));
    chain
}

/// The roots of a device's chain and of a RIM's; chains sign anew each time, so the DER is taken once.
pub(crate) fn anchors(device: &[Vec<u8>], rim: &[Vec<u8>]) -> Anchors {
    Anchors::other(device.last().unwrap(), rim.last().unwrap()).unwrap()
}

/// Anchors for a device alone.
pub(crate) fn device_anchors(device: &[Vec<u8>]) -> Anchors {
    Anchors::other(device.last().unwrap(), &rim_chain().root()).unwrap()
}

/// One field of the opaque data.
pub(crate) fn field(number: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_le_bytes();
    [&number.to_le_bytes(), &length, value].concat()
}

/// The fields that every GPU has: driver 570.86.10, VBIOS 96.00.5E.00.01, project 1010, SKU 0200, chip SKU 882.
pub(crate) fn gpu_fields() -> Vec<(u16, Vec<u8>)> {
    vec![
        (6, vec![0x00, 0x5e, 0x00, 0x96, 0x01, 0, 0, 0]),
        (14, vec![1, 2, 3, 4]),
        (15, b"882\0".to_vec()),
        (16, b"0\0".to_vec()),
        (17, b"1010\0".to_vec()),
        (18, b"0200\0".to_vec()),
        (19, b"\0\0".to_vec()),
        (3, b"570.86.10\0".to_vec()),
        (4, vec![9; 8]),
        (12, vec![0; 256]),
        (13, vec![7; 4]),
        (11, vec![0x55]),
    ]
}

/// The fields that every switch has: BIOS 96.10.55.00.01.
pub(crate) fn switch_fields(pdi: [u8; 8], gpus: &[[u8; 8]; 8]) -> Vec<(u16, Vec<u8>)> {
    vec![
        (6, b"96.10.55.00.01".to_vec()),
        (22, pdi.to_vec()),
        (12, vec![0; 104]),
        (26, [gpus.concat(), vec![0xff; 64]].concat()),
        (23, vec![0xec, 0]),
        (24, vec![2, 0]),
        (25, vec![1, 0]),
    ]
}

/// A measurement's value in [`report`].
pub(crate) fn measurement(rim_index: u8) -> Digest<48> {
    Digest::new([rim_index.wrapping_mul(3).wrapping_add(1); 48])
}

/// The part of a report that is signed.
pub(crate) fn unsigned(blocks: u8, fields: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut out = vec![0x11, 0xe0, 0x01, 0xff];
    out.extend(NONCE.as_bytes());
    out.push(0);
    out.extend([0x11, 0x60, 0, 0, blocks]);
    out.extend(&(u32::from(blocks) * 55).to_le_bytes()[..3]);
    for index in 0..blocks {
        out.extend([index + 1, 1, 51, 0, 1, 48, 0]);
        out.extend(measurement(index).as_bytes());
    }
    out.extend([0xdd; 32]);
    let opaque: Vec<u8> = fields
        .iter()
        .flat_map(|(number, value)| field(*number, value))
        .collect();
    out.extend(u16::try_from(opaque.len()).unwrap().to_le_bytes());
    out.extend(opaque);
    out
}

/// `message` and its signature by `key`.
pub(crate) fn signed(mut message: Vec<u8>, key: &Key) -> Vec<u8> {
    let signature = fixed(&key.sign(&message));
    message.extend(signature);
    message
}

/// A GPU's report.
pub(crate) fn gpu_report(fields: &[(u16, Vec<u8>)], key: &Key) -> Vec<u8> {
    signed(unsigned(64, fields), key)
}

/// What a RIM will say.
#[derive(Clone)]
pub(crate) struct RimDraft {
    pub(crate) edition: &'static str,
    pub(crate) product: &'static str,
    pub(crate) version: &'static str,
    /// Index, whether it is active, alternatives.
    pub(crate) resources: Vec<(u8, bool, Vec<Digest<48>>)>,
}

impl RimDraft {
    /// A RIM that agrees with [`gpu_report`] at `active` and speaks of no other.
    pub(crate) fn gpu(version: &'static str, active: &[u8]) -> Self {
        let resource = |index| (index, active.contains(&index), vec![measurement(index)]);
        Self {
            edition: "GPU",
            product: "GH100",
            version,
            resources: (0..64).map(resource).collect(),
        }
    }

    /// The tag in canonical form up to where the signature stands.
    fn head(&self) -> String {
        let Self {
            edition,
            product,
            version,
            ..
        } = self;
        let mut out = format!(
            "<SoftwareIdentity xmlns=\"{SWID}\" xmlns:ns0=\"{SWID}\" xmlns:ns2=\"{HASHES}\" corpus=\"false\" \
             name=\"{product}\" patch=\"false\" supplemental=\"false\" tagId=\"0123\" tagVersion=\"0\" \
             version=\"1.0\">\n    \
             <ns0:Entity name=\"NVIDIA Corporation\" role=\"softwareCreator tagCreator\"></ns0:Entity>\n    \
             <ns0:Meta xmlns:ns1=\"{TCG}\" PayloadType=\"direct\" colloquialVersion=\"{version}\" \
             edition=\"{edition}\" product=\"{product}\" revision=\"r1\" ns1:BindingSpec=\"RIMIM\" \
             ns1:BindingSpecVersion=\"1.01\" ns1:FirmwareManufacturer=\"NVIDIA Corporation\" \
             ns1:FirmwareManufacturerId=\"5703\" ns1:PlatformManufacturerId=\"5703\" \
             ns1:PlatformManufacturerStr=\"NVIDIA Corporation\" ns1:PlatformModel=\"{product}\"></ns0:Meta>\n    \
             <ns0:Payload xmlns:SHA384=\"{HASHES}\">\n"
        );
        for (index, active, digests) in &self.resources {
            let active = if *active { "True" } else { "False" };
            let count = digests.len();
            out += &format!(
                "        <ns0:Resource active=\"{active}\" alternatives=\"{count}\" index=\"{index}\" \
                 name=\"Measurement_{index}\" size=\"48\" type=\"Measurement\""
            );
            let mut digests: Vec<_> = digests
                .iter()
                .enumerate()
                .map(|(number, digest)| (format!("Hash{number}"), digest))
                .collect();
            digests.sort_unstable();
            for (name, digest) in digests {
                out += &format!(" ns2:{name}=\"{digest}\"");
            }
            out += "></ns0:Resource>\n";
        }
        out + "    </ns0:Payload>\n"
    }

    /// The file.
    pub(crate) fn sign(&self, chain: &[Vec<u8>], key: &Key) -> String {
        sign_text(&self.head(), chain, key)
    }

    /// The file as NVIDIA writes it: empty-element tags, and attributes in another order.
    pub(crate) fn sign_as_nvidia(&self, chain: &[Vec<u8>], key: &Key) -> String {
        let text = self.sign(chain, key);
        let text = text
            .replace("></ns0:Resource>", "/>")
            .replace("></ns0:Meta>", "/>");
        let swapped = text.replace(
            " size=\"48\" type=\"Measurement\"",
            " type=\"Measurement\" size=\"48\"",
        );
        assert_ne!(swapped, text);
        swapped + "\n"
    }
}

/// A document from all of it up to its signature, in canonical form.
pub(crate) fn sign_text(head: &str, chain: &[Vec<u8>], key: &Key) -> String {
    let digest = STANDARD.encode(sha384(&[head.as_bytes(), b"</SoftwareIdentity>"]).as_bytes());
    let inside = format!(
        "<ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2006/12/xml-c14n11\"></ds:CanonicalizationMethod>\
         <ds:SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384\"></ds:SignatureMethod>\
         <ds:Reference URI=\"\"><ds:Transforms><ds:Transform Algorithm=\"{DSIG}enveloped-signature\"></ds:Transform>\
         <ds:Transform Algorithm=\"http://www.w3.org/2006/12/xml-c14n11\"></ds:Transform></ds:Transforms>\
         <ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#sha384\"></ds:DigestMethod>\
         <ds:DigestValue>{digest}</ds:DigestValue></ds:Reference></ds:SignedInfo>"
    );
    // Inclusive C14N writes what is in scope into the apex.
    let apex = format!(
        "<ds:SignedInfo xmlns=\"{SWID}\" xmlns:ds=\"{DSIG}\" xmlns:ns0=\"{SWID}\" xmlns:ns2=\"{HASHES}\">{inside}"
    );
    let value = STANDARD.encode(fixed(&key.sign(apex.as_bytes())));
    let certificates: String = chain
        .iter()
        .map(|der| {
            format!(
                "<ds:X509Certificate>{}</ds:X509Certificate>",
                STANDARD.encode(der)
            )
        })
        .collect();
    format!(
        "{head}<ds:Signature xmlns:ds=\"{DSIG}\"><ds:SignedInfo>{inside}<ds:SignatureValue>{value}\
         </ds:SignatureValue><ds:KeyInfo><ds:X509Data>{certificates}</ds:X509Data></ds:KeyInfo></ds:Signature>\
         </SoftwareIdentity>"
    )
}

/// Whoever makes devices, signs RIMs for them and answers for them, all in one test.
pub(crate) struct Maker {
    signer: Chain,
    signer_der: Vec<Vec<u8>>,
    responder: Key,
}

impl Maker {
    pub(crate) fn new() -> Self {
        let signer = rim_chain().numbered();
        Self {
            signer_der: signer.der(),
            signer,
            responder: Key::p384(),
        }
    }

    /// A device with these opaque fields, proven; `answered`: with good answers for its certificates.
    pub(crate) fn device(&self, chip: &str, fields: &[(u16, Vec<u8>)], answered: bool) -> VerifiedDevice {
        self.of_chain(&device_chain(chip).numbered(), chip, fields, answered)
    }

    /// The same, of a chain that a test has changed.
    pub(crate) fn of_chain(
        &self,
        chain: &Chain,
        chip: &str,
        fields: &[(u16, Vec<u8>)],
        answered: bool,
    ) -> VerifiedDevice {
        let der = chain.der();
        let blocks = if chip.starts_with("LS") { 31 } else { 64 };
        let report = signed(unsigned(blocks, fields), chain.leaf_key());
        let answers: Vec<_> = ANSWERED_FOR
            .map(|link| chain.answer(&self.responder, link, |_| {}))
            .to_vec();
        let answers: Vec<_> = answers.iter().filter(|_| answered).map(Vec::as_slice).collect();
        let anchors = anchors(&der, &self.signer_der);
        verify_device(&report, &der, &NONCE, &answers, &anchors, AT).unwrap()
    }

    /// A RIM, proven, with good answers for its signer's certificates.
    pub(crate) fn rim(&self, draft: &RimDraft) -> VerifiedRim {
        let answers = SIGNER_ANSWERED_FOR.map(|link| self.signer.answer(&self.responder, link, |_| {}));
        self.rim_answered(draft, &answers)
    }

    /// A RIM, proven with these answers.
    pub(crate) fn rim_answered(&self, draft: &RimDraft, answers: &[Vec<u8>]) -> VerifiedRim {
        let text = draft.sign(&self.signer_der, self.signer.leaf_key());
        let anchors = anchors(&device_chain("GH100").der(), &self.signer_der);
        let answers: Vec<&[u8]> = answers.iter().map(Vec::as_slice).collect();
        verify_rim(text.as_bytes(), &answers, &anchors, AT).unwrap()
    }
}

/// Reports, leaves and a RIM, for the targets of `fuzz/`.
pub(crate) fn seeds() -> Vec<crate::seeds::Seed> {
    let switch = unsigned(32, &switch_fields([9; 8], &[[7; 8]; 8]));
    let mut all = vec![
        ("nvidia-gpu", gpu_report(&gpu_fields(), &Key::p384())),
        ("nvidia-switch", signed(switch, &Key::p384())),
    ];
    for chip in ["GH100", "GB100", "LS_10"] {
        all.push(("nvidia-leaf", device_chain(chip).der().swap_remove(0)));
    }
    let chain = rim_chain();
    let draft = RimDraft::gpu("570.86.10", &[1, 2]);
    all.push((
        "nvidia-rim",
        draft.sign_as_nvidia(&chain.der(), chain.leaf_key()).into_bytes(),
    ));
    all
}
