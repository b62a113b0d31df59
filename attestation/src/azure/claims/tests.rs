//! The claims' members: each known, each of its type, each with an accessor.

use proptest::prelude::*;

use super::super::fake::{FakeKey, VM, claims};
use super::*;

const FULL: &str = r#"{"current-time":1790000000,"root-cert-thumbprint":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc","console-enabled":true,"interactive-console-enabled":true,"ipmi-enabled":true,"secure-boot":true,"tpm-enabled":true,"tpm-version":"1.85","tpm-persisted":false,"filtered-vpci-devices-allowed":true,"vmUniqueId":"0123ABCD-4567-89EF-0123-456789ABCDEF","vmgs-provisioner":{"id":"6F2626C0-BE6B-4DC4-9D41-990911B067C0","signer":"did:x509:0:sha256:thumb::subject:CN:Contoso"},"hardware-sealing-policy":"signer","key-release-context-hash":"0707070707070707070707070707070707070707070707070707070707070707"}"#;

fn with_vm(vm: &str) -> Result<RuntimeClaims, AzureError> {
    let text = claims(&FakeKey::p256().jwk(), vm, &ReportData::new([0xab; 64]));
    RuntimeClaims::parse(text.as_bytes())
}

fn shape() -> AzureError {
    wrong(Check::ClaimsShape, "runtime-claims")
}

#[test]
fn every_member_has_an_accessor() {
    let claims = with_vm(FULL).unwrap();
    assert_eq!(claims.user_data(), Some(&ReportData::new([0xab; 64])));
    let vm = claims.vm_configuration();
    assert!(vm.console_enabled() && vm.secure_boot() && vm.tpm_enabled());
    assert_eq!(vm.current_time(), Some(Timestamp::from_unix(1_790_000_000)));
    assert_eq!(
        vm.root_certificate(),
        RootCertificate::Thumbprint(Digest::new([7; 32]))
    );
    assert_eq!(vm.interactive_console_enabled(), Some(true));
    assert_eq!(vm.ipmi_enabled(), Some(true));
    assert_eq!(vm.tpm_version(), TpmVersion::parse("1.85"));
    assert_eq!(vm.tpm_persisted(), Some(false));
    assert_eq!(vm.filtered_vpci_devices_allowed(), Some(true));
    assert_eq!(
        vm.vm_unique_id().to_string(),
        "0123abcd-4567-89ef-0123-456789abcdef"
    );
    assert_eq!(vm.hardware_sealing(), Some(HardwareSealing::Signer));
    let provisioner = vm.vmgs_provisioner().unwrap();
    assert_eq!(
        provisioner.id(),
        Uuid::parse("6f2626c0-be6b-4dc4-9d41-990911b067c0").unwrap()
    );
    assert_eq!(
        provisioner.signer(),
        "did:x509:0:sha256:thumb::subject:CN:Contoso"
    );
    assert_eq!(vm.key_release_context_hash(), Some(&Digest::new([7; 32])));
}

#[test]
fn a_missing_member_is_not_false() {
    let least = r#"{"console-enabled":false,"secure-boot":false,"tpm-enabled":false,"vmUniqueId":"0123ABCD-4567-89EF-0123-456789ABCDEF"}"#;
    let claims = with_vm(least).unwrap();
    let vm = claims.vm_configuration();
    assert_eq!(vm.interactive_console_enabled(), None);
    assert_eq!((vm.ipmi_enabled(), vm.tpm_persisted()), (None, None));
    assert_eq!(vm.filtered_vpci_devices_allowed(), None);
    assert_eq!(vm.root_certificate(), RootCertificate::NotReported);
    assert_eq!((vm.tpm_version(), vm.hardware_sealing()), (None, None));
    assert_eq!((vm.current_time(), vm.key_release_context_hash()), (None, None));
    assert!(vm.vmgs_provisioner().is_none());
    for member in ["console-enabled", "secure-boot", "tpm-enabled", "vmUniqueId"] {
        let value: serde_json::Value = serde_json::from_str(least).unwrap();
        let mut map = value.as_object().unwrap().clone();
        map.remove(member);
        let text = serde_json::to_string(&map).unwrap();
        assert_eq!(with_vm(&text).unwrap_err(), shape(), "{member}");
    }
}

#[test]
fn members_are_known_of_their_type_and_there_once() {
    let value: serde_json::Value = serde_json::from_str(FULL).unwrap();
    let members: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
    assert_eq!(members.len(), 14);
    for member in &members {
        for wrong in ["null", "-1", "[]", "{}", "\"x\"", "1.5"] {
            let mut map = value.as_object().unwrap().clone();
            map.insert(member.clone(), serde_json::from_str(wrong).unwrap());
            let text = serde_json::to_string(&map).unwrap();
            assert_eq!(with_vm(&text).unwrap_err(), shape(), "{member}: {wrong}");
        }
        let again = format!("{{\"{member}\":{},{}", value[member], &FULL[1..]);
        assert_eq!(with_vm(&again).unwrap_err(), shape(), "{member} twice");
        let upper = FULL.replacen(member.as_str(), &member.to_uppercase(), 1);
        assert_eq!(with_vm(&upper).unwrap_err(), shape(), "{member} in upper case");
    }
    for other in ["debug-enabled", "Secure-Boot", ""] {
        let text = format!("{{\"{other}\":false,{}", &FULL[1..]);
        assert_eq!(with_vm(&text).unwrap_err(), shape(), "{other}");
    }
    for (from, to) in [
        ("\"1.85\"", "\"2.0\""),
        ("\"signer\",\"key", "\"Signer\",\"key"),
        ("\"id\":", "\"id\":\"\",\"more\":"),
        ("0707070707\"", "07070707\""),
    ] {
        let text = FULL.replacen(from, to, 1);
        assert_ne!(text, FULL);
        assert_eq!(with_vm(&text).unwrap_err(), shape(), "{to}");
    }
}

#[test]
fn the_document_has_three_members() {
    let text = claims(&FakeKey::p256().jwk(), VM, &ReportData::new([1; 64]));
    assert!(RuntimeClaims::parse(text.as_bytes()).is_ok());
    for (from, to) in [
        ("{\"keys\"", "{\"more\":1,\"keys\""),
        ("\"user-data\"", "\"user_data\""),
        ("\"vm-configuration\"", "\"vm_configuration\""),
        ("\"keys\":[", "\"keys\":null,\"x\":["),
    ] {
        let text = text.replacen(from, to, 1);
        assert_eq!(
            RuntimeClaims::parse(text.as_bytes()).unwrap_err(),
            shape(),
            "{to}"
        );
    }
    for length in 0..text.len() {
        assert_eq!(
            RuntimeClaims::parse(&text.as_bytes()[..length]).unwrap_err(),
            shape()
        );
    }
    let longer = format!("{text}x");
    assert_eq!(RuntimeClaims::parse(longer.as_bytes()).unwrap_err(), shape());
}

#[test]
fn user_data_is_64_bytes_in_hexadecimal() {
    let text = claims(&FakeKey::p256().jwk(), VM, &ReportData::new([0xab; 64]));
    let expected = wrong(Check::ClaimsUserData, "user-data");
    for (from, to) in [
        ("abab\"}", "ab\"}"),
        ("abab\"}", "ababab\"}"),
        ("abab\"}", "abag\"}"),
        ("abab\"}", "ab+1\"}"),
    ] {
        let text = text.replacen(from, to, 1);
        assert_eq!(
            RuntimeClaims::parse(text.as_bytes()).unwrap_err(),
            expected,
            "{to}"
        );
    }
    let at = text.rfind("\"ab").unwrap();
    let empty = format!("{}\"\"}}", &text[..at]);
    assert_eq!(RuntimeClaims::parse(empty.as_bytes()).unwrap_err(), expected);
}

#[test]
fn there_is_one_attestation_key() {
    let ak = FakeKey::p256().jwk();
    let parse = |keys: &str| {
        let text = format!("{{\"keys\":[{keys}],\"vm-configuration\":{VM}}}");
        RuntimeClaims::parse(text.as_bytes()).map(|_| ())
    };
    let ek = ak.replace("HCLAkPub", "HCLEkPub");
    assert_eq!(parse(&ak), Ok(()));
    assert_eq!(parse(&format!("{ek},{ak}")), Ok(()));
    let keys = Err(wrong(Check::ClaimsKeys, "keys"));
    assert_eq!(parse(&format!("{ak},{ak}")), keys);
    assert_eq!(parse(&format!("{ak},{ek},{ek}")), keys);
    assert_eq!(
        parse(&format!("{ak},{}", ak.replace("HCLAkPub", "HCLTransferKey"))),
        keys
    );
    let none = Err(wrong(Check::ClaimsKeys, "HCLAkPub"));
    assert_eq!(parse(&ek), none);
    assert_eq!(parse(""), none);
}

#[test]
fn an_attestation_key_signs_and_nothing_else() {
    let parse = |key: &str| {
        let text = format!("{{\"keys\":[{key}],\"vm-configuration\":{VM}}}");
        RuntimeClaims::parse(text.as_bytes()).map(|_| ())
    };
    let weak = Err(wrong(Check::ClaimsAttestationKey, "HCLAkPub"));
    for key in [FakeKey::rsa().jwk(), FakeKey::p256().jwk()] {
        assert_eq!(parse(&key), Ok(()));
        for operations in [
            "[]",
            "[\"encrypt\"]",
            "[\"sign\",\"encrypt\"]",
            "[\"sign\",\"sign\"]",
        ] {
            assert_eq!(
                parse(&key.replace("[\"sign\"]", operations)),
                weak,
                "{operations}"
            );
        }
        assert!(parse(&key.replace("[\"sign\"]", "[\"verify\"]")).is_err());
        assert!(parse(&key.replace("\"kty\"", "\"alg\":\"RS256\",\"kty\"")).is_err());
        assert!(parse(&key.replace("\"kty\"", "\"d\":\"AA\",\"kty\"")).is_err());
    }
    let rsa = FakeKey::rsa().jwk();
    for exponent in ["Aw", "AAEAAQ", "AQ", "", "AQAA"] {
        assert_eq!(parse(&rsa.replace("AQAB", exponent)), weak, "{exponent}");
    }
    let modulus = |bytes: &[u8]| {
        let n = crate::base64_text::encode_url(bytes);
        format!(r#"{{"kid":"HCLAkPub","key_ops":["sign"],"kty":"RSA","e":"AQAB","n":"{n}"}}"#)
    };
    for length in [256, 384, 512] {
        assert_eq!(parse(&modulus(&vec![0xff; length])), Ok(()));
    }
    let mut even = [0xff; 256];
    even[255] = 0xfe;
    let mut short = [0xff; 256];
    short[0] = 0x7f;
    for bytes in [
        even.as_slice(),
        &short,
        &[0xff; 128],
        &[0xff; 255],
        &[0xff; 257],
        &[0xff; 1024],
        &[],
    ] {
        assert_eq!(parse(&modulus(bytes)), weak, "{}", bytes.len());
    }
    let ec = FakeKey::p256().jwk();
    for (from, to) in [
        ("P-256", "P-384"),
        ("P-256", "P-256K"),
        ("\"x\":\"", "\"x\":\"AAAA"),
        ("\"EC\"", "\"RSA\""),
    ] {
        assert_eq!(parse(&ec.replace(from, to)), weak, "{to}");
    }
    // A member of the other kind of key beside those of this one.
    assert_eq!(parse(&ec.replace("\"crv\"", "\"n\":\"AA\",\"crv\"")), weak);
    assert_eq!(parse(&rsa.replace("\"n\"", "\"crv\":\"P-256\",\"n\"")), weak);
    assert!(parse(&rsa.replace("\"n\"", "\"crv\":null,\"n\"")).is_err());
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = RuntimeClaims::parse(&bytes);
    }

    #[test]
    fn no_changed_claims_panic(at in any::<prop::sample::Index>(), value in any::<u8>()) {
        let mut bytes = claims(&FakeKey::p256().jwk(), FULL, &ReportData::new([1; 64])).into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = value;
        let _ = RuntimeClaims::parse(&bytes);
    }
}
