//! Intel's formats, and event logs.

use anchorhold_attestation::ccel;
use anchorhold_attestation::tdx::{Collateral, fuzzing};

pub(super) fn quote(bytes: &[u8]) {
    fuzzing::quote(bytes);
}

pub(super) fn certificates(bytes: &[u8]) {
    fuzzing::certificates(bytes);
}

pub(super) fn collateral(bytes: &[u8]) {
    let _ = Collateral::parse(bytes);
}

pub(super) fn event_log(bytes: &[u8]) {
    ccel::fuzzing::replay(bytes, false);
}

pub(super) fn dstack(bytes: &[u8]) {
    ccel::fuzzing::replay(bytes, true);
}
