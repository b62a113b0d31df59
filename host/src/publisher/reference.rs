//! Statements of reference values: read from a file, signed by one publisher after another.
//!
//! Why apart: a publisher states what it has itself computed; a log and its witnesses state nothing about it.
//!
//! # Invariants
//! Each publisher reads its own file; signatures of others are taken only if they are of the very same bytes.

use std::path::Path;

use anchorhold_attestation::Timestamp;
use anchorhold_attestation::limits::{POLICY, PUBLISHED_ENTRY};
use anchorhold_attestation::published::statement::{PublisherSignature, RevokedList, StatementVersion};
use anchorhold_attestation::published::{Line, SignedStatement, Statement};
use anchorhold_attestation::reference::ReferenceValue;
use serde::{Deserialize, Deserializer};
use x509_cert::der::DateTime;

use super::error::PublisherError;
use super::key::SigningKey;
use crate::state_file;

/// The file that a publisher writes: TOML, or JSON with the same members.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatementFile {
    line: Line,
    serial: u64,
    #[serde(deserialize_with = "time")]
    not_before: Timestamp,
    #[serde(deserialize_with = "time")]
    not_after: Timestamp,
    #[serde(default)]
    revoked: RevokedList,
    reference_values: Vec<ReferenceValue>,
}

/// RFC 3339 in UTC with whole seconds: `2026-12-01T00:00:00Z`.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    use serde::de::Error as _;
    let text = String::deserialize(deserializer)?;
    let time: DateTime = text.parse().map_err(|_| D::Error::custom("not a time"))?;
    Ok(Timestamp::from_unix(time.unix_duration().as_secs()))
}

/// Reads a statement. Lists of what is revoked may be in any order.
///
/// # Errors
/// [`PublisherError::Statement`] when the file is not one.
pub fn statement(path: &Path) -> Result<Statement, PublisherError> {
    let bytes = state_file::read(path, POLICY).map_err(PublisherError::io("the statement"))?;
    parse(&bytes).ok_or(PublisherError::Statement)
}

fn parse(bytes: &[u8]) -> Option<Statement> {
    let text = str::from_utf8(bytes).ok()?;
    let mut file: StatementFile = if text.trim_start().starts_with('{') {
        serde_json::from_str(text).ok()?
    } else {
        toml::from_str(text).ok()?
    };
    file.revoked.measurements.sort();
    file.revoked.statements.sort();
    Some(Statement {
        line: file.line,
        not_after: file.not_after,
        not_before: file.not_before,
        reference_values: file.reference_values,
        revoked: file.revoked,
        serial: file.serial,
        version: StatementVersion::V1,
    })
}

/// Signs a statement beside others' signatures of it.
///
/// # Errors
/// [`PublisherError::OtherStatement`], [`PublisherError::SignedAlready`]; a statement or signature that does not hold.
pub fn sign(
    statement: Statement,
    key: &SigningKey,
    others: &[SignedStatement],
) -> Result<SignedStatement, PublisherError> {
    let mut signatures = vec![PublisherSignature {
        key: *key.public(),
        signature: key.sign(&statement.message()),
    }];
    let bytes = statement.encode();
    for other in others {
        if other.statement().encode() != bytes {
            return Err(PublisherError::OtherStatement);
        }
        for signature in other.signatures() {
            if signature.key == *key.public() {
                return Err(PublisherError::SignedAlready);
            }
            // Two files may carry the same third signature.
            if !signatures.contains(signature) {
                signatures.push(*signature);
            }
        }
    }
    signatures.sort();
    Ok(SignedStatement::new(statement, signatures)?)
}

/// Reads a signed statement.
///
/// # Errors
/// When it does not hold.
pub fn entry(path: &Path) -> Result<SignedStatement, PublisherError> {
    let bytes =
        state_file::read(path, PUBLISHED_ENTRY).map_err(PublisherError::io("the signed statement"))?;
    Ok(SignedStatement::parse(&bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOML: &str = r#"
line = "enclave"
serial = 7
not_before = "2026-12-01T00:00:00Z"
not_after = "2027-02-01T00:00:00Z"
reference_values = []
[revoked]
measurements = ["2222222222222222222222222222222222222222222222222222222222222222", "1111111111111111111111111111111111111111111111111111111111111111"]
statements = []
"#;

    #[test]
    fn toml_and_json_give_the_same_bytes() {
        let one = parse(TOML.as_bytes()).unwrap();
        let table: toml::Table = TOML.parse().unwrap();
        let json = serde_json::to_vec(&table).unwrap();
        assert_eq!(parse(&json).unwrap().encode(), one.encode());
        assert_eq!(one.not_before.unix(), 1_796_083_200);
        assert!(one.revoked.measurements.is_sorted());
        for (what, by) in [
            ("serial", "serials"),
            ("00Z", "00+01:00"),
            ("2026-12-01T", "2026-12-01 "),
            ("2026-12", "2026-13"),
        ] {
            assert!(parse(TOML.replacen(what, by, 1).as_bytes()).is_none(), "{by}");
        }
    }
}
