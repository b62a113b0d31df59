//! Which RIM files a device's report asks for, read without any proof.
//!
//! Why apart: what is to be fetched must be known before anything can be compared with it. A report that lies here gets
//! RIMs that do not match it.
//!
//! # Invariants
//! The names are those of docs/platforms/nvidia.md; nothing that is said here is used by a verdict.

use crate::nvidia::error::DeviceError;
use crate::nvidia::identity::{Architecture, said_architecture};
use crate::nvidia::report::{OpaqueData, Report};
use crate::nvidia::version::{blackwell_driver_rim_id, hopper_driver_rim_id, switch_rim_id, vbios_rim_id};
use crate::x509::Certificate;

/// Names of the RIM files for a device at NVIDIA's RIM service. `certificates` are in DER, the device's own first.
///
/// # Errors
/// [`DeviceError`]: what of the report or its leaf certificate is not of its form.
pub fn rims_asked(report: &[u8], certificates: &[Vec<u8>]) -> Result<Vec<String>, DeviceError> {
    let leaf = certificates.first().ok_or(DeviceError::Chip)?;
    let leaf = Certificate::parse(leaf).map_err(|_| DeviceError::Chip)?;
    let architecture = said_architecture(&leaf).ok_or(DeviceError::Chip)?;
    let report = Report::parse(report, architecture.kind())?;
    Ok(match (architecture, report.opaque()) {
        (Architecture::Ls10, OpaqueData::Switch(data)) => vec![switch_rim_id(data.bios_version())],
        (Architecture::Hopper, OpaqueData::Gpu(data)) => {
            vec![hopper_driver_rim_id(data.driver_version()), vbios(data)]
        }
        (Architecture::Blackwell, OpaqueData::Gpu(data)) => vec![
            blackwell_driver_rim_id(data.chip_info(), data.driver_version()),
            vbios(data),
        ],
        // A report is read as what its architecture is.
        (_, OpaqueData::Gpu(_) | OpaqueData::Switch(_)) => return Err(DeviceError::Chip),
    })
}

fn vbios(data: &crate::nvidia::GpuData) -> String {
    vbios_rim_id(
        data.project(),
        data.project_sku(),
        data.chip_sku(),
        data.vbios_version(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endorsements::{Endorsement, EndorsementKind};
    use crate::nvidia::fixture::{
        RimDraft, device_chain, gpu_fields, gpu_report, rim_chain, signed, switch_fields, unsigned,
    };
    use crate::testdata::evidence;
    use crate::x509::forge::NOW;

    #[test]
    fn each_architecture_asks_for_its_files() {
        let hopper = device_chain("GH100");
        let report = gpu_report(&gpu_fields(), hopper.leaf_key());
        let asked = rims_asked(&report, &hopper.der()).unwrap();
        let [driver, vbios] = asked.as_slice() else {
            panic!("a GPU has a driver and a VBIOS")
        };
        assert!(driver.starts_with("NV_GPU_DRIVER_GH100_"), "{driver}");
        assert!(vbios.starts_with("NV_GPU_VBIOS_"), "{vbios}");
        let blackwell = rims_asked(&report, &device_chain("GB100").der()).unwrap();
        assert!(
            blackwell[0].starts_with("NV_GPU_CC_DRIVER_GB100_"),
            "{}",
            blackwell[0]
        );

        let switch = device_chain("LS_10");
        let message = unsigned(31, &switch_fields([1; 8], &[[2; 8]; 8]));
        let asked = rims_asked(&signed(message, switch.leaf_key()), &switch.der()).unwrap();
        assert_eq!(asked.len(), 1);
        assert!(asked[0].starts_with("NV_SWITCH_BIOS_"));
        assert!(rims_asked(&report, &switch.der()).is_err());
        assert!(rims_asked(&report, &[]).is_err());
        assert!(rims_asked(&report, &[vec![1]]).is_err());
    }

    #[test]
    fn a_rim_says_its_product_and_its_signers_dates() {
        let mut chain = rim_chain();
        chain.leaf().until = NOW + 5;
        let text = RimDraft::gpu("545.00", &[7]).sign(&chain.der(), chain.leaf_key());
        let rim = Endorsement::new(EndorsementKind::NvidiaRim, text.into_bytes()).unwrap();
        let said = rim.said().unwrap();
        assert_eq!(said.whose.to_string(), "GH100 545.00");
        assert_eq!(said.until.unix(), NOW + 5);
    }

    #[test]
    fn a_real_rim_says_its_version() {
        const NAME: &str = "nvidia::a_real_rim_says_its_version";
        let Some(text) = evidence(NAME, "nvidia/rims/driver_550.144.03.xml") else {
            return;
        };
        let rim = Endorsement::new(EndorsementKind::NvidiaRim, text).unwrap();
        assert_eq!(rim.said().unwrap().whose.to_string(), "GH100 550.144.03");
    }
}
