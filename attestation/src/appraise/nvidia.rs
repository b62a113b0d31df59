//! The rules of GPUs and switches: one by one, then together as one machine.
//!
//! Why apart: a machine has several of them, and each must satisfy every rule.
//!
//! # Invariants
//! Every device is judged by every rule, and named by its position among those that gave evidence. RIMs are chosen by
//! what the device reports: product and version. More than one may fit, and any that matches will do; one whose signer was
//! checked for revocation goes first.

use anchorhold_encoding::Digest;

use crate::denial::{RuleId, Rules};
use crate::nvidia::{
    Architecture, ComparisonError, DeviceKind, Edition, FeatureFlag, FirmwareBinding, FirmwareVersion,
    GpuData, MatchedDevice, OpaqueData, RimError, Switched, VerifiedDevice, VerifiedRim, differing,
    match_gpu, match_switch, verify_topology,
};
use crate::policy::nvidia::{NvidiaPolicy, Unreported};
use crate::time::Timestamp;

/// What the flags of every known Blackwell leaf have last: that the list of flags has a fixed length, which is no state
/// (TCG DICE Attestation Architecture 1.1, 6.1.1.1, `fixedWidth`).
const FIXED_WIDTH: u32 = 1;

/// RIMs that came: those that were proven, and why others were not.
#[derive(Clone, Copy)]
pub(crate) struct Rims<'a> {
    pub(crate) proven: &'a [VerifiedRim],
    pub(crate) refused: &'a [RimError],
}

/// Judges devices that answered `expected_nonce`, with the RIMs that came; gives the first expiry of the RIMs used.
pub(crate) fn judge(
    rules: &mut Rules,
    policy: &NvidiaPolicy,
    devices: &[VerifiedDevice],
    rims: Rims<'_>,
    expected_nonce: Option<Digest<32>>,
) -> Timestamp {
    judge_topology(rules, policy, devices);
    let mut expires = Timestamp::MAX;
    for (position, device) in devices.iter().enumerate() {
        let mut one = Device { rules, position };
        one.judge_nonce(device, expected_nonce);
        one.judge_versions(policy, device);
        one.judge_identity(policy, device);
        match device.report().opaque() {
            OpaqueData::Gpu(data) => one.judge_use(policy, data),
            OpaqueData::Switch(data) => {
                let locked = data.lock_status() == 1;
                let accepted = policy.accept_unlocked_switches;
                one.demand_unless(
                    RuleId::NvidiaSwitchLock,
                    locked,
                    accepted,
                    "1",
                    data.lock_status(),
                );
            }
        }
        expires = expires.min(one.judge_measurements(policy, device, rims));
    }
    expires
}

fn judge_topology(rules: &mut Rules, policy: &NvidiaPolicy, devices: &[VerifiedDevice]) {
    let of_kind = |kind| -> Vec<&VerifiedDevice> {
        let own = |device: &&VerifiedDevice| device.identity().architecture().kind() == kind;
        devices.iter().filter(own).collect()
    };
    let (gpus, switches) = (of_kind(DeviceKind::Gpu), of_kind(DeviceKind::Switch));
    let expected = format!("{} GPUs and {} switches", policy.gpus, policy.switches);
    let found = format!("{} GPUs and {} switches", gpus.len(), switches.len());
    if policy.gpus == 0 {
        return rules.demand(RuleId::NvidiaTopology, devices.is_empty(), expected, found);
    }
    match verify_topology(&gpus, &switches, policy.gpus.into(), policy.switches.into()) {
        Ok(_) => rules.demand(RuleId::NvidiaTopology, true, expected, found),
        Err(error) => rules.demand(
            RuleId::NvidiaTopology,
            false,
            format_args!("{expected} of one machine"),
            format_args!("{found}: {error}"),
        ),
    }
}

/// One device, whose position stands before what was found.
struct Device<'a> {
    rules: &'a mut Rules,
    position: usize,
}

impl Device<'_> {
    fn demand(
        &mut self,
        rule: RuleId,
        holds: bool,
        expected: impl std::fmt::Display,
        found: impl std::fmt::Display,
    ) {
        self.demand_unless(rule, holds, false, expected, found);
    }

    fn demand_unless(
        &mut self,
        rule: RuleId,
        holds: bool,
        accepted: bool,
        expected: impl std::fmt::Display,
        found: impl std::fmt::Display,
    ) {
        let found = format_args!("device {}: {found}", self.position).to_string();
        self.rules.demand_unless(rule, holds, accepted, expected, found);
    }

    fn judge_nonce(&mut self, device: &VerifiedDevice, expected: Option<Digest<32>>) {
        let found = device.report().nonce();
        let wanted = expected.map_or_else(
            || "a nonce of the CPU's evidence".to_owned(),
            |nonce| nonce.to_string(),
        );
        self.demand(RuleId::NvidiaNonce, expected == Some(found), wanted, found);
    }

    fn judge_versions(&mut self, policy: &NvidiaPolicy, device: &VerifiedDevice) {
        let line = device.identity().architecture();
        let known: Vec<_> = policy.architectures.iter().map(|line| line.name()).collect();
        let named = policy.architectures.contains(&line);
        self.demand(
            RuleId::NvidiaArchitecture,
            named,
            format_args!("one of [{}]", known.join(" ")),
            line.name(),
        );
        let firmware = match device.report().opaque() {
            OpaqueData::Gpu(data) => {
                self.judge_driver(policy, data);
                data.vbios_version()
            }
            OpaqueData::Switch(data) => data.bios_version(),
        };
        let listed = policy
            .firmware
            .as_ref()
            .is_none_or(|list| list.contains(&firmware));
        let floor = policy.minimum_firmware.as_ref().map(|floors| {
            let own = floors.iter().filter(|floor| same_line(**floor, firmware));
            own.max().copied()
        });
        let reached = floor.is_none_or(|floor| floor.is_some_and(|floor| firmware >= floor));
        let expected = match (listed, floor) {
            (false, _) => "one of nvidia.firmware".to_owned(),
            (true, Some(Some(floor))) => format!("{floor} or newer"),
            (true, Some(None)) => "a line with a floor in nvidia.minimum_firmware".to_owned(),
            (true, None) => "one of nvidia.firmware".to_owned(),
        };
        self.demand(RuleId::NvidiaFirmware, listed && reached, expected, firmware);
    }

    fn judge_driver(&mut self, policy: &NvidiaPolicy, data: &GpuData) {
        let driver = data.driver_version();
        let listed = policy.drivers.as_ref().is_none_or(|list| list.contains(driver));
        let floor = policy.minimum_driver.as_ref();
        let reached = floor.is_none_or(|floor| driver.groups() >= floor.groups());
        let expected = match floor {
            Some(floor) if listed => format!("{floor} or newer"),
            _ => "one of nvidia.drivers".to_owned(),
        };
        self.demand(RuleId::NvidiaDriver, listed && reached, expected, driver);
    }

    fn judge_identity(&mut self, policy: &NvidiaPolicy, device: &VerifiedDevice) {
        let bound = device.firmware_binding() == FirmwareBinding::Same;
        let unreported = match device.report().opaque() {
            OpaqueData::Gpu(_) => Unreported::FirmwareId,
            OpaqueData::Switch(_) => Unreported::SwitchFirmwareId,
        };
        self.demand_unless(
            RuleId::NvidiaFirmwareId,
            bound,
            policy.accept_unreported.contains(&unreported),
            "the firmware id of its certificate",
            if bound { "the same" } else { "not reported" },
        );
        let checked = device.revocation().is_checked();
        self.demand_unless(
            RuleId::NvidiaRevocation,
            checked,
            policy.accept_unchecked_revocation,
            "not revoked, by NVIDIA's word",
            if checked { "not revoked" } else { "not checked" },
        );
        let flags = device
            .identity()
            .flags()
            .map_or(0, crate::nvidia::DiceFlags::bits)
            & !FIXED_WIDTH;
        self.demand_unless(
            RuleId::NvidiaDiceFlags,
            flags == 0,
            flags & !policy.accept_dice_flags == 0,
            "no flag",
            format_args!("{flags:#010x}"),
        );
    }

    /// How a GPU is used.
    fn judge_use(&mut self, policy: &NvidiaPolicy, data: &GpuData) {
        let flag = data.feature_flag();
        let protected = flag == Some(FeatureFlag::PROTECTED_PCIE);
        let accepted = match flag {
            None => policy.accept_unreported.contains(&Unreported::FeatureFlag),
            Some(_) => protected && policy.accept_protected_pcie,
        };
        let name = |flag: FeatureFlag| flag.name().unwrap_or("unknown");
        let expected: Vec<_> = policy.features.iter().map(|flag| name(*flag)).collect();
        self.demand_unless(
            RuleId::NvidiaFeature,
            flag.is_some_and(|flag| policy.features.contains(&flag)),
            accepted,
            format_args!("one of [{}]", expected.join(" ")),
            flag.map_or("not reported", name),
        );
        let pcie = data.protected_pcie();
        let accepted = match pcie {
            None => policy.accept_unreported.contains(&Unreported::ProtectedPcie),
            Some(_) => policy.accept_protected_pcie,
        };
        self.demand_unless(
            RuleId::NvidiaProtectedPcie,
            pcie == Some(Switched::Off),
            accepted,
            "off",
            match pcie {
                None => "not reported",
                Some(Switched::On) => "on",
                Some(Switched::Off) => "off",
            },
        );
    }

    /// Measurements against the RIMs that fit; gives their first expiry.
    fn judge_measurements(
        &mut self,
        policy: &NvidiaPolicy,
        device: &VerifiedDevice,
        rims: Rims<'_>,
    ) -> Timestamp {
        let fitting = Fitting::of(device, rims.proven);
        let expected = match device.report().opaque() {
            OpaqueData::Gpu(_) => "RIMs of its driver and VBIOS",
            OpaqueData::Switch(_) => "the RIM of its BIOS",
        };
        let mut found = fitting.found();
        if let (false, Some(first)) = (fitting.complete(), rims.refused.first()) {
            found = format!("{found}; {} refused: {first}", rims.refused.len());
        }
        self.demand(RuleId::NvidiaRims, fitting.complete(), expected, found);
        let (mut matches, mut nearest) = (Vec::new(), None);
        for attempt in fitting.attempts(device) {
            match attempt {
                Ok(matched) => matches.push(matched),
                Err(error)
                    if nearest
                        .as_ref()
                        .is_none_or(|known| weight(&error) < weight(known)) =>
                {
                    nearest = Some(error);
                }
                Err(_) => {}
            }
        }
        let best = matches
            .iter()
            .min_by_key(|matched| (!matched.signers_checked(), matched.exempt().len()));
        if let Some(matched) = best {
            return self.judge_match(policy, matched);
        }
        if let Some(error) = nearest {
            self.demand(RuleId::NvidiaMeasurements, false, "as in its RIMs", error);
        } else {
            // What is there may tell more than what is not.
            for rim in fitting.bios.iter().chain(fitting.driver.iter().flatten()) {
                let indices = differing(device, rim).unwrap_or_default();
                if !indices.is_empty() {
                    let found =
                        format_args!("of version {}, others at {indices:?}", rim.rim().version()).to_string();
                    self.demand(RuleId::NvidiaMeasurements, false, "as in its RIMs", found);
                }
            }
        }
        Timestamp::MAX
    }

    /// A device that runs what its RIMs say: whose word that is, and what may differ.
    fn judge_match(&mut self, policy: &NvidiaPolicy, matched: &MatchedDevice<'_>) -> Timestamp {
        self.demand(
            RuleId::NvidiaMeasurements,
            true,
            "as in its RIMs",
            format_args!("{} equal", count(matched)),
        );
        let checked = matched.signers_checked();
        self.demand_unless(
            RuleId::NvidiaRimRevocation,
            checked,
            policy.accept_unchecked_rim_revocation,
            "signers of its RIMs not revoked, by NVIDIA's word",
            if checked { "not revoked" } else { "not checked" },
        );
        self.demand_unless(
            RuleId::NvidiaIdleDecoder,
            matched.exempt().is_empty(),
            policy.exempt_idle_decoder,
            "no exempt measurement",
            format_args!("{:?}", matched.exempt()),
        );
        matched.expires()
    }
}

/// A floor holds for versions that begin with the same two bytes: chip and family of firmware.
fn same_line(one: FirmwareVersion, other: FirmwareVersion) -> bool {
    one.as_bytes().first_chunk::<2>() == other.as_bytes().first_chunk::<2>()
}

fn count(matched: &MatchedDevice<'_>) -> usize {
    matched.driver().len().saturating_add(matched.bios().len())
}

/// How far a device is from what a RIM says.
fn weight(error: &ComparisonError) -> usize {
    match error {
        ComparisonError::Differs { driver, bios } => driver.len().saturating_add(bios.len()),
        _ => usize::MAX,
    }
}

/// The RIMs that are of what a device reports.
struct Fitting<'a> {
    /// None for a switch, which has no driver.
    driver: Option<Vec<&'a VerifiedRim>>,
    bios: Vec<&'a VerifiedRim>,
}

impl<'a> Fitting<'a> {
    fn of(device: &VerifiedDevice, rims: &'a [VerifiedRim]) -> Self {
        let of_chip = |rim: &&VerifiedRim| {
            let (edition, product) = (rim.rim().edition(), rim.rim().product());
            let chip = device.identity().chip();
            match device.identity().architecture() {
                Architecture::Hopper => edition == Edition::Gpu && product == chip,
                Architecture::Blackwell => edition == Edition::Gpu && [chip, "GB100"].contains(&product),
                Architecture::Ls10 => edition == Edition::Switch && product == "LS10",
            }
        };
        let select = |version: &dyn Fn(&str) -> bool| {
            let fits = |rim: &&VerifiedRim| of_chip(rim) && version(rim.rim().version());
            rims.iter().filter(fits).collect()
        };
        let (driver, firmware) = match device.report().opaque() {
            OpaqueData::Gpu(data) => {
                let version = data.driver_version().as_str();
                (Some(select(&|text| text == version)), data.vbios_version())
            }
            OpaqueData::Switch(data) => (None, data.bios_version()),
        };
        Self {
            driver,
            bios: select(&|text| FirmwareVersion::parse(text) == Some(firmware)),
        }
    }

    fn complete(&self) -> bool {
        !self.bios.is_empty() && self.driver.as_ref().is_none_or(|driver| !driver.is_empty())
    }

    fn found(&self) -> String {
        match &self.driver {
            Some(driver) => format!("{} of its driver, {} of its VBIOS", driver.len(), self.bios.len()),
            None => format!("{} of its BIOS", self.bios.len()),
        }
    }

    /// Each RIM, or pair of RIMs, compared.
    fn attempts<'d>(&self, device: &'d VerifiedDevice) -> Vec<Result<MatchedDevice<'d>, ComparisonError>> {
        match &self.driver {
            None => self.bios.iter().map(|bios| match_switch(device, bios)).collect(),
            Some(driver) => {
                let pairs = driver
                    .iter()
                    .flat_map(|driver| self.bios.iter().map(move |bios| (driver, bios)));
                pairs
                    .map(|(driver, bios)| match_gpu(device, driver, bios))
                    .collect()
            }
        }
    }
}

#[cfg(test)]
mod tests;
