//! Signing simulated reports.
//!
//! Why apart: compiled only where simulated evidence is made, never into a release image.
//!
//! # Invariants
//! Signs only [`ReportData`], which only the modules that define it can make.

use anchorhold_encoding::{Digest, Preimage};
use aws_lc_rs::signature::Ed25519KeyPair;

use super::{FLAG_DEBUG, LABEL, LaunchRecord, MAGIC, SIGNING_KEY_SEED, VERSION};
use crate::binding::ReportData;

/// A machine that does not exist.
#[derive(Debug, Clone)]
pub struct SimulatedPlatform {
    /// What it says was launched.
    pub measurement: Digest<48>,
    /// What it says was fixed at launch.
    pub host_data: Digest<32>,
    /// The chip it says it is.
    pub chip_id: Digest<32>,
    /// The version it says its firmware has.
    pub tcb: u64,
    /// Whether it says that debug is on.
    pub debug: bool,
}

impl SimulatedPlatform {
    /// A machine launched with `record`, of chip zero and firmware version 1, debug off.
    #[must_use]
    pub const fn launched(record: &LaunchRecord) -> Self {
        Self {
            measurement: record.measurement,
            host_data: record.host_data,
            chip_id: Digest::new([0; 32]),
            tcb: 1,
            debug: false,
        }
    }

    /// A signed report over `report_data`.
    ///
    /// # Panics
    /// Never: any 32 bytes are a seed.
    #[must_use]
    pub fn report(&self, report_data: &ReportData) -> Vec<u8> {
        let flags = if self.debug { FLAG_DEBUG } else { 0 };
        let mut report = [
            MAGIC.as_slice(),
            &VERSION.to_be_bytes(),
            &flags.to_be_bytes(),
            &self.tcb.to_be_bytes(),
            self.measurement.as_bytes(),
            self.host_data.as_bytes(),
            report_data.as_bytes(),
            self.chip_id.as_bytes(),
        ]
        .concat();
        let key = Ed25519KeyPair::from_seed_unchecked(&SIGNING_KEY_SEED).expect("a seed is any 32 bytes");
        let signature = key.sign(Preimage::new(LABEL).lp(&report).as_bytes());
        report.extend_from_slice(signature.as_ref());
        report
    }
}
