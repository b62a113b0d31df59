//! AMD's items of a fake authority; Intel's and NVIDIA's are tested beside their own authorities.

use super::*;
use crate::snp::fake::{AT, Fake};
use crate::x509::forge::ocsp::{AnswerDraft, OcspDraft, responder};
use crate::x509::forge::{Draft, Key, NOW};

fn said(kind: EndorsementKind, body: Vec<u8>) -> Result<Said, NotOfItsKind> {
    Endorsement::new(kind, body).unwrap().said()
}

#[test]
fn certificates_say_whose_they_are_and_until_when() {
    for product in Product::ALL {
        let mut fake = Fake::vcek(product);
        fake.vek.until = NOW + 10;
        let found = said(EndorsementKind::AmdVek, fake.vek_der()).unwrap();
        assert_eq!(found.until, Timestamp::from_unix(NOW + 10));
        assert!(found.valid_at(AT) && found.valid_at(found.until) && found.valid_at(found.from));
        assert!(!found.valid_at(found.until.plus(1)));
        let before = Timestamp::from_unix(found.from.unix() - 1);
        assert!(!found.valid_at(before));
        let start = format!("{product} chip 0102030405060708 at ");
        assert!(found.whose.to_string().starts_with(&start), "{}", found.whose);
        let Whose::AmdChip { hardware_id, tcb, .. } = found.whose else {
            panic!("a VCEK is a chip's")
        };
        assert_eq!(hardware_id[..8], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(hardware_id[8] == 0, product == Product::Turin);
        assert_eq!((tcb.boot_loader, tcb.microcode), (4, 213));

        let found = said(EndorsementKind::AmdAuthority, fake.ask_der()).unwrap();
        assert_eq!(found.whose.to_string(), format!("SEV-{product}"));
    }
    let found = said(EndorsementKind::AmdVek, Fake::vlek(Product::Milan).vek_der()).unwrap();
    let text = found.whose.to_string();
    assert!(
        text.starts_with("Milan provider CN=cc-test.example at "),
        "{text}"
    );
}

#[test]
fn a_list_says_its_number_and_its_window() {
    let fake = Fake::vcek(Product::Genoa);
    let mut draft = fake.crl.clone().unwrap();
    draft.next_update = Some(NOW + 77);
    let found = said(EndorsementKind::AmdCrl, draft.sign(&fake.ark_key)).unwrap();
    assert_eq!(found.whose.to_string(), "ARK-Genoa");
    assert_eq!(found.until, Timestamp::from_unix(NOW + 77));
    assert!(found.number.is_some());
    assert_eq!(hexadecimal(&[0, 0x0a, 0xbc]), "abc");
    assert_eq!(hexadecimal(&[0]), "0");
}

#[test]
fn an_answer_of_ocsp_says_about_which_certificate_and_until_when() {
    let (issuer, key) = (Key::p384(), Key::p384());
    let mut leaf = Draft::leaf("leaf", "issuer");
    leaf.serial = vec![0x00, 0xb4, 0xeb];
    let mut answer = AnswerDraft::good(&leaf, &issuer);
    answer.next_update = Some(NOW + 60);
    let certificate = responder("issuer").sign(&key, &issuer);
    let body = OcspDraft::delegated(vec![answer], &key, certificate).sign(&key);
    let found = said(EndorsementKind::NvidiaOcsp, body).unwrap();
    assert_eq!(found.whose.to_string(), "certificate b4eb");
    assert_eq!(found.until, Timestamp::from_unix(NOW + 60));
    assert!(found.valid_at(AT));
}

#[test]
fn bytes_of_another_kind_are_named() {
    let certificate = Fake::vcek(Product::Milan).ask_der();
    for kind in EndorsementKind::ALL {
        assert_eq!(said(kind, vec![1]), Err(NotOfItsKind(kind)));
        let authority = matches!(
            kind,
            EndorsementKind::AmdAuthority | EndorsementKind::ProviderAuthority
        );
        assert_eq!(said(kind, certificate.clone()).is_ok(), authority, "{kind}");
    }
}

#[test]
fn only_printable_text_is_shown() {
    assert_eq!(printable("ARK-Milan").as_deref(), Some("ARK-Milan"));
    for bad in ["", "a\u{1b}[31m", "a\nb", "é", &"x".repeat(TEXT + 1)] {
        assert_eq!(printable(bad), None, "{bad:?}");
    }
}
