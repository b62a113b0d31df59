//! Files a client reads: policies, API keys, receipts, texts.
//!
//! Why apart: each is read with a limit and named in its error.
//!
//! # Invariants
//! No error repeats a file's content.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anchorhold_attestation::Policy;
use hyper::header::HeaderValue;
use zeroize::Zeroizing;

use crate::client::format::Schema;
use crate::client::limits::{FILE_BYTES, SCHEMA_BYTES};
use crate::client::wiped::Wiped;
use crate::error::Failure;

/// The whole of a file, at most `limit` bytes.
pub(super) fn read(path: &Path, limit: u64) -> Result<Wiped, Failure> {
    let failure = |what: String| {
        Failure::new(
            "file",
            format!("cannot read {}: {what}", path.display()),
            "check the path and its permissions",
        )
    };
    let mut file = File::open(path).map_err(|error| failure(error.kind().to_string()))?;
    let mut bytes = Wiped::default();
    let mut piece = Zeroizing::new([0; 8192]);
    loop {
        let count = file
            .read(piece.as_mut())
            .map_err(|error| failure(error.kind().to_string()))?;
        if count == 0 {
            return Ok(bytes);
        }
        bytes.extend(piece.get(..count).unwrap_or_default());
        if bytes.len() as u64 > limit {
            return Err(failure(format!("it is larger than {limit} bytes")));
        }
    }
}

/// A policy.
pub(super) fn policy(path: &Path) -> Result<Policy, Failure> {
    let bytes = read(path, FILE_BYTES)?;
    Policy::from_toml(&bytes)
        .map_err(|error| Failure::new("policy", format!("{}: {error}", path.display()), error.hint()))
}

/// A JSON Schema.
pub(super) fn schema(path: &Path) -> Result<Schema, Failure> {
    let bytes = read(path, SCHEMA_BYTES)?;
    let text = std::str::from_utf8(&bytes).ok();
    let schema = text.and_then(|text| Schema::parse(Zeroizing::new(text.to_owned())));
    schema.ok_or_else(|| {
        Failure::usage(
            "json_schema",
            format!("{} holds no JSON Schema", path.display()),
            "the file must hold one JSON object; docs/structured-output.md says what it may say",
        )
    })
}

/// An API key as the value of Authorization.
pub(super) fn api_key(path: &Path) -> Result<HeaderValue, Failure> {
    let bytes = read(path, FILE_BYTES)?;
    let key = bytes.trim_ascii();
    let mut value = Wiped::with_capacity(key.len() + 7);
    value.extend(b"Bearer ");
    value.extend(key);
    let header = if key.is_empty() {
        None
    } else {
        HeaderValue::from_bytes(&value).ok()
    };
    let mut header = header.ok_or_else(|| {
        Failure::new(
            "api_key",
            format!("{} holds no API key", path.display()),
            "the file must hold the key and nothing else, on one line",
        )
    })?;
    header.set_sensitive(true);
    Ok(header)
}
