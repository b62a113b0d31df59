//! Chip numbers and fixed configurations.

use anchorhold_encoding::{Digest, sha256, sha384};

use super::*;
use crate::azure::configuration_register_of;
use crate::identity::ConfigBoundBy;

#[test]
fn a_chip_number_has_one_text_and_is_never_nothing() {
    let id = ChipId::new(&[0xab, 0, 0x0c]).unwrap();
    assert_eq!(id.to_string(), "ab000c");
    assert_eq!("ab000c".parse(), Ok(id.clone()));
    assert_eq!(serde_json::to_string(&id).unwrap(), "\"ab000c\"");
    for wrong in [
        "",
        "a",
        "AB000C",
        "ab00zz",
        "00",
        "0000",
        &"11".repeat(65),
        "ab 0",
    ] {
        assert!(wrong.parse::<ChipId>().is_err(), "{wrong}");
    }
    assert!("11".repeat(64).parse::<ChipId>().is_ok());
    assert!(ChipId::new(&[]).is_none());
    assert!(ChipId::new(&[0; 64]).is_none());
}

#[test]
fn a_configuration_is_told_by_the_hash_of_its_field() {
    let config = b"model = \"demo\"\n";
    let digests = ConfigDigests {
        sha256: sha256(&[config]),
        sha384: sha384(&[config]),
    };
    let register = configuration_register_of(&digests.sha256);
    let other = Digest::new([1; 32]);
    let host_data = FixedConfig::HostData(digests.sha256);
    let mr_config_id = FixedConfig::MrConfigId(digests.sha384);
    let rtmr3 = FixedConfig::Rtmr3(sha384(&[&[0; 48], digests.sha384.as_bytes()]));
    let pcr = FixedConfig::Register(Some(register));
    for (fixed, by) in [
        (host_data, ConfigBoundBy::HostData),
        (mr_config_id, ConfigBoundBy::MrConfigId),
        (rtmr3, ConfigBoundBy::Rtmr3),
        (pcr, ConfigBoundBy::Pcr8),
    ] {
        assert!(fixed.is_set());
        assert!(fixed.is_of(&digests));
        assert_eq!(fixed.by(), by);
        let wrong = ConfigDigests {
            sha256: other,
            sha384: Digest::new([1; 48]),
        };
        assert!(!fixed.is_of(&wrong));
    }
    assert_eq!(mr_config_id.is_sha256(&digests.sha256), None);
    assert_eq!(pcr.is_sha256(&other), Some(false));
    // The digest itself is not what an extended register holds.
    assert_eq!(
        FixedConfig::Register(Some(digests.sha256)).is_sha256(&digests.sha256),
        Some(false)
    );
}

#[test]
fn zeros_and_uncovered_registers_fix_nothing() {
    for nothing in [
        FixedConfig::HostData(Digest::new([0; 32])),
        FixedConfig::MrConfigId(Digest::new([0; 48])),
        FixedConfig::Rtmr3(Digest::new([0; 48])),
        FixedConfig::Register(Some(Digest::new([0; 32]))),
        FixedConfig::Register(None),
    ] {
        assert!(!nothing.is_set());
    }
}
