//! Versions of drivers and firmware, and the names of the RIM files that belong to them.
//!
//! Why apart: the same version is bytes in a report, text in a RIM and part of a file's name, and policies
//! set floors on it.
//!
//! # Invariants
//! A version has one text. Text from outside is digits and dots, or hexadecimal digits and dots, nothing else.

use std::fmt;

/// Groups of digits in a driver's version: `580.159.03` has three, and no version is known with more.
const GROUPS: usize = 4;

/// Digits in one group.
const GROUP_DIGITS: usize = 4;

/// A driver's version, such as `550.90.07`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverVersion(String);

impl DriverVersion {
    /// Two to four groups of one to four digits with dots between them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = |group: &str| {
            (1..=GROUP_DIGITS).contains(&group.len()) && group.bytes().all(|c| c.is_ascii_digit())
        };
        let count = text.split('.').take(GROUPS.saturating_add(1)).count();
        ((2..=GROUPS).contains(&count) && text.split('.').all(digits)).then(|| Self(text.to_owned()))
    }

    /// Its groups as numbers, zero where there is none, for comparison with a floor.
    #[must_use]
    pub fn groups(&self) -> [u32; GROUPS] {
        let mut groups = [0; GROUPS];
        for (number, text) in groups.iter_mut().zip(self.0.split('.')) {
            *number = text.parse().expect("at most four digits, as checked when parsed");
        }
        groups
    }

    /// As the report and the RIM write it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DriverVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A VBIOS or switch BIOS version, such as `96.00.5E.00.01`. Later ones of one line compare greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FirmwareVersion([u8; 5]);

impl FirmwareVersion {
    /// From its five bytes in the order they are written.
    #[must_use]
    pub const fn new(bytes: [u8; 5]) -> Self {
        Self(bytes)
    }

    /// From a GPU report's eight bytes: a little-endian number of which the low 32 bits are the first four
    /// parts, the next byte is the last, and the rest is zero.
    #[must_use]
    pub const fn from_report(field: [u8; 8]) -> Option<Self> {
        match field {
            [d, c, b, a, e, 0, 0, 0] => Some(Self([a, b, c, d, e])),
            _ => None,
        }
    }

    /// From text: five pairs of hexadecimal digits with dots between them, in either case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let mut bytes = [0; 5];
        for byte in &mut bytes {
            let part = parts.next()?;
            if part.len() != 2 || !part.bytes().all(|c| c.is_ascii_hexdigit()) {
                return None;
            }
            *byte = u8::from_str_radix(part, 16).ok()?;
        }
        parts.next().is_none().then_some(Self(bytes))
    }

    /// Its five bytes in the order they are written.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 5] {
        &self.0
    }

    /// Without dots, as in the names of RIM files.
    fn undotted(&self) -> String {
        let [a, b, c, d, e] = self.0;
        format!("{a:02X}{b:02X}{c:02X}{d:02X}{e:02X}")
    }
}

impl fmt::Display for FirmwareVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e] = self.0;
        write!(f, "{a:02X}.{b:02X}.{c:02X}.{d:02X}.{e:02X}")
    }
}

/// The name of a Hopper driver's RIM at NVIDIA's RIM service (`rim.attestation.nvidia.com`).
#[must_use]
pub fn hopper_driver_rim_id(version: &DriverVersion) -> String {
    format!("NV_GPU_DRIVER_GH100_{version}")
}

/// The name of a Blackwell driver's RIM; `chip` is what the report's chip information names, `GB100` without.
#[must_use]
pub fn blackwell_driver_rim_id(chip: Option<&str>, version: &DriverVersion) -> String {
    format!("NV_GPU_CC_DRIVER_{}_{version}", chip.unwrap_or("GB100"))
}

/// The name of a VBIOS's RIM.
#[must_use]
pub fn vbios_rim_id(project: &str, project_sku: &str, chip_sku: &str, version: FirmwareVersion) -> String {
    let [project, project_sku, chip_sku] = [project, project_sku, chip_sku].map(str::to_ascii_uppercase);
    let version = version.undotted();
    format!("NV_GPU_VBIOS_{project}_{project_sku}_{chip_sku}_{version}")
}

/// The name of an LS10 switch BIOS's RIM. The three parts are constants of the board.
#[must_use]
pub fn switch_rim_id(version: FirmwareVersion) -> String {
    format!("NV_SWITCH_BIOS_5612_0002_890_{}", version.undotted())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_version_is_groups_of_digits() {
        for good in ["545.00", "550.90.07", "580.159.03", "1.2.3.4"] {
            assert_eq!(DriverVersion::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "545",
            "545.",
            ".545",
            "545..00",
            "545.0a",
            "1.2.3.4.5",
            "12345.0",
            "545.00 ",
            "-1.0",
        ] {
            assert_eq!(DriverVersion::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn driver_versions_compare_by_number() {
        let groups = |text| DriverVersion::parse(text).unwrap().groups();
        assert!(groups("570.86.10") < groups("570.124.03"));
        assert!(groups("545.00") < groups("545.00.01"));
        assert_eq!(groups("580.159.03"), [580, 159, 3, 0]);
    }

    #[test]
    fn a_firmware_version_has_one_text_and_the_report_has_it_backwards() {
        let version = FirmwareVersion::from_report([0x00, 0x5e, 0x00, 0x96, 0x01, 0, 0, 0]).unwrap();
        assert_eq!(version.to_string(), "96.00.5E.00.01");
        assert_eq!(FirmwareVersion::parse("96.00.5e.00.01"), Some(version));
        assert_eq!(FirmwareVersion::from_report([0, 0x5e, 0, 0x96, 1, 0, 0, 1]), None);
        for bad in [
            "",
            "96.00.5E.00",
            "96.00.5E.00.01.",
            "96.00.5E.00.01.00",
            "96.00.5E.00.1",
            "96.00.5E.00.+1",
        ] {
            assert_eq!(FirmwareVersion::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_names_of_rims_are_those_of_the_published_files() {
        let driver = DriverVersion::parse("550.144.03").unwrap();
        assert_eq!(hopper_driver_rim_id(&driver), "NV_GPU_DRIVER_GH100_550.144.03");
        assert_eq!(
            blackwell_driver_rim_id(None, &driver),
            "NV_GPU_CC_DRIVER_GB100_550.144.03"
        );
        assert_eq!(
            blackwell_driver_rim_id(Some("GB102"), &driver),
            "NV_GPU_CC_DRIVER_GB102_550.144.03"
        );
        let vbios = FirmwareVersion::parse("96.00.74.00.01").unwrap();
        assert_eq!(
            vbios_rim_id("g520", "0200", "885", vbios),
            "NV_GPU_VBIOS_G520_0200_885_9600740001"
        );
        let bios = FirmwareVersion::parse("96.10.55.00.01").unwrap();
        assert_eq!(switch_rim_id(bios), "NV_SWITCH_BIOS_5612_0002_890_9610550001");
    }
}
