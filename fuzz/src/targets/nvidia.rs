//! NVIDIA's formats.

use anchorhold_attestation::nvidia::{DeviceKind, Report, fuzzing};

pub(super) fn gpu(bytes: &[u8]) {
    report(bytes, DeviceKind::Gpu);
}

pub(super) fn switch(bytes: &[u8]) {
    report(bytes, DeviceKind::Switch);
}

fn report(bytes: &[u8], kind: DeviceKind) {
    if let Ok(report) = Report::parse(bytes, kind) {
        let _ = (
            report.measurements().len(),
            report.measurement(9),
            report.opaque(),
        );
    }
}

pub(super) fn leaf(bytes: &[u8]) {
    fuzzing::leaf(bytes);
}

pub(super) fn rim(bytes: &[u8]) {
    fuzzing::rim(bytes);
}
