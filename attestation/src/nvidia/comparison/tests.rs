//! Devices and RIMs that belong together, and each way in which they do not.

use super::*;
use crate::nvidia::fixture::{
    AT, Chain, NONCE, RimDraft, anchors, device_chain, gpu_fields, gpu_report, measurement, rim_chain,
    signed, switch_fields, unsigned,
};
use crate::nvidia::rim::verify_rim;
use crate::nvidia::tests::real;
use crate::nvidia::xml;
use crate::nvidia::{Anchors, verify_device};
use crate::testdata;

const DRIVER: &str = "570.86.10";
const VBIOS: &str = "96.00.5E.00.01";
const DRIVER_INDICES: [u8; 4] = [7, 34, 35, 36];
const VBIOS_INDICES: [u8; 3] = [0, 8, 63];

/// A device, and who signs RIMs for it.
struct World {
    device: VerifiedDevice,
    signer: Chain,
    signer_der: Vec<Vec<u8>>,
    anchors: Anchors,
}

impl World {
    fn new(chip: &str, make: impl FnOnce(&Chain) -> Vec<u8>) -> Self {
        let (chain, signer) = (device_chain(chip), rim_chain());
        let (der, signer_der) = (chain.der(), signer.der());
        let anchors = anchors(&der, &signer_der);
        let device = verify_device(&make(&chain), &der, &NONCE, &[], &anchors, AT).unwrap();
        Self {
            device,
            signer,
            signer_der,
            anchors,
        }
    }

    fn gpu(fields: &[(u16, Vec<u8>)]) -> Self {
        Self::new("GH100", |chain| gpu_report(fields, chain.leaf_key()))
    }

    fn switch() -> Self {
        let fields = switch_fields([1; 8], &[[2; 8]; 8]);
        Self::new("LS_10", |chain| signed(unsigned(31, &fields), chain.leaf_key()))
    }

    fn rim(&self, draft: &RimDraft) -> VerifiedRim {
        let text = draft.sign(&self.signer_der, self.signer.leaf_key());
        verify_rim(text.as_bytes(), &[], &self.anchors, AT).unwrap()
    }

    fn compare(&self, driver: &RimDraft, vbios: &RimDraft) -> Result<MatchedDevice<'_>, ComparisonError> {
        match_gpu(&self.device, &self.rim(driver), &self.rim(vbios))
    }
}

fn drafts() -> (RimDraft, RimDraft) {
    (
        RimDraft::gpu(DRIVER, &DRIVER_INDICES),
        RimDraft::gpu(VBIOS, &VBIOS_INDICES),
    )
}

fn alter(draft: &mut RimDraft, index: u8) {
    draft.resources[usize::from(index)].2 = vec![measurement(index.wrapping_add(1))];
}

#[test]
fn a_gpu_that_runs_what_its_rims_say_is_matched() {
    let world = World::gpu(&gpu_fields());
    let (driver, vbios) = drafts();
    let matched = world.compare(&driver, &vbios).unwrap();
    assert_eq!(
        (matched.driver(), matched.bios()),
        (&DRIVER_INDICES[..], &VBIOS_INDICES[..])
    );
    assert_eq!((matched.exempt(), matched.rims().len()), (&[][..], 2));
    assert_eq!(matched.device().leaf_digest(), world.device.leaf_digest());
    assert!(matched.expires() <= world.device.expires());
}

#[test]
fn each_index_that_differs_is_named_and_inactive_ones_are_not_compared() {
    let world = World::gpu(&gpu_fields());
    let (mut driver, mut vbios) = drafts();
    for index in [7, 36, 37] {
        alter(&mut driver, index);
    }
    alter(&mut vbios, 63);
    let expected = ComparisonError::Differs {
        driver: vec![7, 36],
        bios: vec![63],
    };
    assert_eq!(world.compare(&driver, &vbios).unwrap_err(), expected);
    assert_eq!(differing(&world.device, &world.rim(&driver)).unwrap(), [7, 36]);
}

#[test]
fn any_alternative_will_do() {
    let world = World::gpu(&gpu_fields());
    let (mut driver, vbios) = drafts();
    driver.resources[7].2 = vec![measurement(1), measurement(7), measurement(2)];
    assert!(world.compare(&driver, &vbios).is_ok());
    driver.resources[7].2 = vec![measurement(1), measurement(2)];
    assert!(world.compare(&driver, &vbios).is_err());
}

#[test]
fn the_decoders_firmware_may_differ_only_while_the_decoder_is_off() {
    let (mut driver, vbios) = drafts();
    alter(&mut driver, 35);
    let off = World::gpu(&gpu_fields());
    assert_eq!(off.compare(&driver, &vbios).unwrap().exempt(), [35]);
    let mut fields = gpu_fields();
    fields.retain(|(number, _)| *number != 11);
    fields.push((11, vec![0xaa]));
    let on = World::gpu(&fields);
    assert_eq!(
        on.compare(&driver, &vbios).unwrap_err().id(),
        "nvidia-measurements"
    );
}

#[test]
fn rims_must_be_of_the_chip_and_the_versions_and_not_overlap() {
    let world = World::gpu(&gpu_fields());
    let (driver, vbios) = drafts();
    let refused = |driver: &RimDraft, vbios: &RimDraft| world.compare(driver, vbios).unwrap_err();
    assert_eq!(
        refused(&vbios, &driver),
        ComparisonError::Version(RimRole::Driver)
    );
    let mut other = vbios.clone();
    other.version = "96.00.5E.00.02";
    assert_eq!(refused(&driver, &other), ComparisonError::Version(RimRole::Bios));
    let mut lower = vbios.clone();
    lower.version = "96.00.5e.00.01";
    assert!(world.compare(&driver, &lower).is_ok());
    let mut other = driver.clone();
    other.product = "GB100";
    assert_eq!(refused(&other, &vbios), ComparisonError::Product(RimRole::Driver));
    let mut other = vbios.clone();
    other.edition = "SWITCH";
    assert_eq!(refused(&driver, &other), ComparisonError::Product(RimRole::Bios));
    let mut both = vbios.clone();
    both.resources[7].1 = true;
    assert_eq!(refused(&driver, &both), ComparisonError::Conflict { index: 7 });
    let mut beyond = vbios.clone();
    beyond.resources.push((64, true, vec![measurement(64)]));
    assert_eq!(refused(&driver, &beyond), ComparisonError::Beyond { index: 64 });
}

#[test]
fn a_blackwell_takes_its_own_rims_or_those_of_its_line() {
    for (chip, product, fits) in [
        ("GB202", "GB202", true),
        ("GB202", "GB100", true),
        ("GB202", "GB102", false),
        ("GB202", "GH100", false),
    ] {
        let world = World::new(chip, |chain| gpu_report(&gpu_fields(), chain.leaf_key()));
        let (mut driver, vbios) = drafts();
        let mut vbios = vbios;
        (driver.product, vbios.product) = (product, product);
        assert_eq!(world.compare(&driver, &vbios).is_ok(), fits, "{chip} {product}");
    }
}

#[test]
fn a_switch_is_matched_with_its_bios_alone() {
    let world = World::switch();
    let mut bios = RimDraft::gpu("96.10.55.00.01", &[0, 30]);
    (bios.edition, bios.product) = ("SWITCH", "LS10");
    let proven = world.rim(&bios);
    let matched = match_switch(&world.device, &proven).unwrap();
    assert_eq!((matched.driver(), matched.bios()), (&[][..], &[0, 30][..]));
    assert_eq!(
        match_gpu(&world.device, &proven, &proven).unwrap_err(),
        ComparisonError::Kind
    );
    alter(&mut bios, 30);
    let differs = match_switch(&world.device, &world.rim(&bios)).unwrap_err();
    assert_eq!(differs.to_string(), "measurements differ: driver [], BIOS [30]");
    bios.resources[31].1 = true;
    assert_eq!(
        match_switch(&world.device, &world.rim(&bios)).unwrap_err(),
        ComparisonError::Beyond { index: 31 }
    );
    bios.version = "96.10.55.00.02";
    assert_eq!(
        match_switch(&world.device, &world.rim(&bios)).unwrap_err(),
        ComparisonError::Version(RimRole::Bios)
    );
}

#[test]
fn the_altered_driver_rim_of_535_would_differ_at_fifteen_indices() {
    let test = "the_altered_driver_rim_of_535_would_differ_at_fifteen_indices";
    let path = "nvidia/h100-535-sdk/driver_rim_measurement_mismatch.xml";
    let (Some(device), Some(text)) = (real(test, "h100-535-sdk"), testdata::evidence(test, path)) else {
        return;
    };
    // Its digest does not hold, so only the tag inside is read: no proof comes of it.
    let mut document = xml::parse(&text).unwrap();
    document.children.retain(|child| match child {
        xml::Node::Element(element) => element.local != "Signature",
        xml::Node::Text(_) => true,
    });
    let rim = Rim::read(&document).unwrap();
    assert_eq!(Part::compare(device.report(), &rim).unwrap().differs.len(), 15);
}
