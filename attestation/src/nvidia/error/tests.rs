//! Every identifier is documented, and every error says something of its own.

use std::collections::BTreeSet;

use super::*;
use crate::nvidia::{ComparisonError, RimRole, TopologyError};
use crate::time::Timestamp;
use crate::x509::{Fault, OcspFault, RevocationReason};

const PAGE: &str = include_str!("../../../../docs/platforms/nvidia.md");

const LINK: ChainError = ChainError {
    link: 1,
    fault: Fault::Issuer,
};

/// Identifier, text and hint of each error.
fn all() -> Vec<(&'static str, String, &'static str)> {
    let field = ReportField::OpaqueValue(12);
    let fault = XmlFault::Construct;
    let devices = [
        DeviceError::Form { field, offset: 9 },
        DeviceError::ChainLength,
        DeviceError::Root,
        DeviceError::Certificate(LINK),
        DeviceError::Chip,
        DeviceError::Ocsp {
            response: 1,
            fault: OcspFault::Signature,
        },
        DeviceError::Revoked {
            link: 1,
            since: Timestamp::MAX,
            reason: RevocationReason::KeyCompromise,
        },
        DeviceError::Nonce,
        DeviceError::Signature,
        DeviceError::LeafFirmwareId,
        DeviceError::LeafDeviceId,
        DeviceError::FirmwareId,
    ];
    let rims = [
        RimError::Xml { fault, offset: 9 },
        RimError::SignatureForm,
        RimError::ChainLength,
        RimError::Root,
        RimError::Certificate(LINK),
        RimError::Signature,
        RimError::Digest,
        RimError::Ocsp {
            response: 1,
            fault: OcspFault::Signature,
        },
        RimError::Revoked {
            link: 1,
            since: Timestamp::MAX,
            reason: RevocationReason::KeyCompromise,
        },
        RimError::Schema(RimField::Resource(3)),
    ];
    let comparisons = [
        ComparisonError::Kind,
        ComparisonError::Product(RimRole::Driver),
        ComparisonError::Version(RimRole::Bios),
        ComparisonError::Conflict { index: 3 },
        ComparisonError::Beyond { index: 3 },
        ComparisonError::Differs {
            driver: vec![3],
            bios: Vec::new(),
        },
    ];
    let position = 3;
    let topologies = [
        TopologyError::Count,
        TopologyError::Kind { position },
        TopologyError::Nonce { position },
        TopologyError::Repeated { position },
        TopologyError::Silent { position },
        TopologyError::Switches { position },
        TopologyError::Stranger { position },
        TopologyError::Gpus { position },
    ];
    let mut all = Vec::new();
    all.extend(
        devices
            .iter()
            .map(|error| (error.id(), error.to_string(), error.hint())),
    );
    all.extend(
        rims.iter()
            .map(|error| (error.id(), error.to_string(), error.hint())),
    );
    all.extend(
        comparisons
            .iter()
            .map(|error| (error.id(), error.to_string(), error.hint())),
    );
    all.extend(
        topologies
            .iter()
            .map(|error| (error.id(), error.to_string(), error.hint())),
    );
    all
}

#[test]
fn each_identifier_is_one_row_of_the_page() {
    let rows: BTreeSet<&str> = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("| `nvidia-")?.split_once('`'))
        .map(|(rest, _)| rest)
        .collect();
    let ids: BTreeSet<&str> = all()
        .iter()
        .map(|(id, ..)| id.strip_prefix("nvidia-").unwrap())
        .collect();
    assert_eq!(rows, ids);
    assert_eq!(ids.len(), all().len(), "an identifier stands for one check");
}

#[test]
fn each_error_says_something_of_its_own_and_what_to_do() {
    let texts: BTreeSet<String> = all().into_iter().map(|(_, text, _)| text).collect();
    assert_eq!(texts.len(), all().len());
    assert!(
        all()
            .iter()
            .all(|(_, text, hint)| !text.is_empty() && !hint.is_empty())
    );
}

#[test]
fn a_malformed_part_is_named_with_its_place() {
    let field = ReportField::OpaqueValue(12);
    let error = DeviceError::Form { field, offset: 9 };
    assert_eq!(
        error.to_string(),
        "the report is malformed at byte 9: opaque data: value 12"
    );
    let fields = [
        ReportField::Length,
        ReportField::SpdmVersion,
        ReportField::Code,
        ReportField::Param1,
        ReportField::Param2,
        ReportField::SlotId,
        ReportField::NumberOfBlocks,
        ReportField::MeasurementRecordLength,
        ReportField::MeasurementIndex,
        ReportField::MeasurementSpecification,
        ReportField::MeasurementSize,
        ReportField::MeasurementValueType,
        ReportField::OpaqueLength,
        ReportField::OpaqueType,
        ReportField::OpaqueRepeated,
        ReportField::OpaqueMissing(3),
    ];
    let names: BTreeSet<String> = fields.iter().map(ToString::to_string).collect();
    assert_eq!(names.len(), fields.len());
    let error = RimError::Schema(RimField::Resource(3));
    assert_eq!(
        error.to_string(),
        "the RIM is not a tag of the known form: Resource 3"
    );
}
