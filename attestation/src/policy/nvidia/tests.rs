//! The section `[nvidia]`: what must be there, what may be, and what an unset key means.

use super::*;

/// The least that a section with a GPU must say.
const LEAST: &str = "gpus = 1\narchitectures = [\"hopper\"]\nminimum_driver = \"550.90.07\"\n\
                     minimum_firmware = [\"96.00.9F.00.01\"]\n";

fn parse(text: &str) -> Option<Result<NvidiaPolicy, PolicyError>> {
    toml::from_str(text).ok().map(NvidiaPolicy::new)
}

fn accepted(text: &str) -> NvidiaPolicy {
    parse(text).expect("a section").unwrap()
}

fn refused(text: &str) -> PolicyError {
    parse(text).expect("a section").expect_err("must be refused")
}

#[test]
fn unset_is_no_device() {
    let policy = NvidiaPolicy::new(NvidiaSection::default()).unwrap();
    assert_eq!((policy.gpus, policy.switches), (0, 0));
    assert!(policy.architectures.is_empty() && policy.accept_unreported.is_empty());
    let weak = [
        policy.accept_protected_pcie,
        policy.accept_unchecked_revocation,
        policy.accept_unchecked_rim_revocation,
        policy.exempt_idle_decoder,
        policy.accept_unlocked_switches,
    ];
    assert_eq!((weak, policy.accept_dice_flags), ([false; 5], 0));
}

#[test]
fn with_devices_lines_and_versions_must_be_given() {
    for (line, key) in LEAST.lines().skip(1).zip([
        "nvidia.architectures",
        "nvidia.minimum_driver",
        "nvidia.minimum_firmware",
    ]) {
        assert_eq!(refused(&LEAST.replace(line, "")), PolicyError::Missing(key));
    }
    let exact = "gpus = 1\narchitectures = [\"blackwell\"]\ndrivers = [\"575.32\"]\nfirmware = [\"97.00.88.00.0F\"]\n";
    let policy = accepted(exact);
    assert!(policy.minimum_driver.is_none() && policy.minimum_firmware.is_none());
    assert_eq!(policy.drivers.unwrap()[0].as_str(), "575.32");
}

#[test]
fn one_gpu_is_used_alone_and_several_with_encrypted_links_unless_it_is_said() {
    assert_eq!(accepted(LEAST).features, [FeatureFlag::SINGLE_GPU]);
    let several = LEAST.replace("gpus = 1", "gpus = 8");
    assert_eq!(accepted(&several).features, [FeatureFlag::MULTI_GPU]);
    let said = format!("{LEAST}features = [\"multi-gpu\", \"single-gpu\"]\n");
    assert_eq!(accepted(&said).features.len(), 2);
}

#[test]
fn machines_have_sizes() {
    let sized =
        |gpus: u8, switches: u8| LEAST.replace("gpus = 1", &format!("gpus = {gpus}\nswitches = {switches}"));
    let policy = accepted(&sized(8, 4));
    assert_eq!((policy.gpus, policy.switches), (8, 4));
    assert!(parse(&sized(12, 4)).unwrap().is_ok());
    for (gpus, switches) in [(13, 4), (0, 4), (17, 0), (255, 255)] {
        assert_eq!(
            refused(&sized(gpus, switches)),
            PolicyError::Range("nvidia.gpus"),
            "{gpus}"
        );
    }
}

#[test]
fn unknown_words_are_no_section() {
    for line in [
        "gpu = 1",
        "features = [\"ppcie\"]",
        "features = [\"SPT\"]",
        "drivers = [\"550\"]",
        "drivers = [\"latest\"]",
        "firmware = [\"96.00.9f.00.01\"]",
        "firmware = [\"9600\"]",
        "dangerously_accept_unreported = [\"nonce\"]",
        "dangerously_accept_dice_flags = [\"all\"]",
        "dangerously_accept_unchecked_revocation = \"yes\"",
        "dangerously_accept_unchecked_rim_revocation = 1",
    ] {
        assert!(parse(&format!("{LEAST}{line}\n")).is_none(), "{line}");
    }
    assert!(parse(&LEAST.replace("hopper", "ampere")).is_none());
}

#[test]
fn each_dice_flag_is_a_bit_of_its_own() {
    let names = [
        "not-configured",
        "not-secure",
        "recovery",
        "debug",
        "not-replay-protected",
        "not-integrity-protected",
        "not-runtime-measured",
        "not-immutable",
        "not-tcb",
    ];
    for (place, name) in names.iter().enumerate() {
        let policy = accepted(&format!("{LEAST}dangerously_accept_dice_flags = [\"{name}\"]\n"));
        assert_eq!(policy.accept_dice_flags, 1 << (31 - place), "{name}");
    }
}

#[test]
fn lists_are_never_empty() {
    for (line, key) in [
        ("drivers = []", "nvidia.drivers"),
        ("firmware = []", "nvidia.firmware"),
        ("features = []", "nvidia.features"),
        (
            "dangerously_accept_unreported = []",
            "nvidia.dangerously_accept_unreported",
        ),
        (
            "dangerously_accept_dice_flags = []",
            "nvidia.dangerously_accept_dice_flags",
        ),
    ] {
        assert_eq!(refused(&format!("{LEAST}{line}\n")), PolicyError::Empty(key));
    }
}
