//! SEV-SNP without a processor: a chip that a fake authority made, handed over by the launcher.
//!
//! Why apart: the demonstration and tests show the whole way of SEV-SNP's evidence where there is none. Nobody believes
//! this chip who was not given its authority's root.
//!
//! # Invariants
//! Compiled with `insecure-simulated` only. The chip comes after the launch record and before the configuration, and is
//! not covered by the configuration's digest, as no hardware is.

use anchorhold_attestation::simulated::LaunchRecord;
use anchorhold_attestation::snp::FakeChip;
use anchorhold_attestation::{FixedConfig, ReportData};
use anchorhold_encoding::Digest;

use super::{CpuReport, Reporter};
use crate::attester::AttesterError;

/// The machine of a launch record with a made-up chip.
pub(super) struct FakeSnp {
    chip: FakeChip,
    launch: LaunchRecord,
}

impl FakeSnp {
    /// `chip` as its authority wrote it.
    pub(super) fn new(launch: &LaunchRecord, chip: &[u8]) -> Result<Self, AttesterError> {
        Ok(Self {
            chip: FakeChip::from_bytes(chip).map_err(|_| AttesterError::NoReport)?,
            launch: *launch,
        })
    }
}

impl Reporter for FakeSnp {
    fn report(&self, report_data: &ReportData) -> Result<CpuReport, AttesterError> {
        Ok(self.chip.report(&self.launch, report_data).into())
    }

    fn fixed_config(&self, _config_sha256: &Digest<32>) -> Result<FixedConfig, AttesterError> {
        Ok(FixedConfig::HostData(self.launch.host_data))
    }
}
