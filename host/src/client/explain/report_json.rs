//! An SEV-SNP report that was taken apart: the JSON that the `sev` crate's types make, as guests of Confidential
//! Containers send it (`attestation_report`).
//!
//! Why apart: the signature is over bytes, so they are put together again, each field in its place.
//!
//! # Invariants
//! Only a report whose every field is there is put together. What is not kept (reserved bytes) is zero, as in every
//! genuine report; if it was not, the signature does not hold.

use serde_json::Value;

/// Offset and length of the fields that are arrays (ABI specification 56860, table ATTESTATION_REPORT).
const ARRAYS: [(&str, usize, usize); 10] = [
    ("family_id", 0x10, 16),
    ("image_id", 0x20, 16),
    ("report_data", 0x50, 64),
    ("measurement", 0x90, 48),
    ("host_data", 0xc0, 32),
    ("id_key_digest", 0xe0, 48),
    ("author_key_digest", 0x110, 48),
    ("report_id", 0x140, 32),
    ("report_id_ma", 0x160, 32),
    ("chip_id", 0x1a0, 64),
];

/// Fields that are numbers.
const NUMBERS: [(&str, usize, usize); 6] = [
    ("version", 0, 4),
    ("guest_svn", 4, 4),
    ("policy", 8, 8),
    ("vmpl", 0x30, 4),
    ("sig_algo", 0x34, 4),
    ("plat_info", 0x40, 8),
];

const TCBS: [(&str, usize); 4] = [
    ("current_tcb", 0x38),
    ("reported_tcb", 0x180),
    ("committed_tcb", 0x1e0),
    ("launch_tcb", 0x1f0),
];

/// The report's bytes, when `value` is a report taken apart.
pub(super) fn report(value: &Value) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 1184];
    let mut put = |offset: usize, content: &[u8]| {
        bytes
            .get_mut(offset..offset.checked_add(content.len())?)?
            .copy_from_slice(content);
        Some(())
    };
    for (name, offset, length) in NUMBERS {
        let number = value.get(name)?.as_u64()?.to_le_bytes();
        put(offset, number.get(..length)?)?;
    }
    // Older versions of the crate have the flag alone.
    let key = value
        .get("key_info")
        .or_else(|| value.get("_author_key_en"))
        .or_else(|| value.get("author_key_en"))?;
    put(0x48, &u32::try_from(key.as_u64()?).ok()?.to_le_bytes())?;
    for (name, offset, length) in ARRAYS {
        put(offset, &array(value.get(name)?, length)?)?;
    }
    for (name, offset) in TCBS {
        put(offset, &tcb(value.get(name)?)?)?;
    }
    for (name, offset) in [
        ("cpuid_fam_id", 0x188),
        ("cpuid_mod_id", 0x189),
        ("cpuid_step", 0x18a),
    ] {
        put(offset, &[optional(value.get(name))?.to_le_bytes()[0]])?;
    }
    for (name, offset) in [("current", 0x1e8), ("committed", 0x1ec)] {
        let version = value.get(name)?;
        let part = |name: &str| byte(version.get(name)?);
        put(offset, &[part("build")?, part("minor")?, part("major")?])?;
    }
    for (name, offset) in [("launch_mit_vector", 0x1f8), ("current_mit_vector", 0x200)] {
        put(offset, &optional(value.get(name))?.to_le_bytes())?;
    }
    let signature = value.get("signature")?;
    put(0x2a0, &array(signature.get("r")?, 72)?)?;
    put(0x2e8, &array(signature.get("s")?, 72)?)?;
    Some(bytes)
}

fn byte(value: &Value) -> Option<u8> {
    u8::try_from(value.as_u64()?).ok()
}

/// A number, or 0 where the report's version has none.
fn optional(value: Option<&Value>) -> Option<u64> {
    match value {
        None | Some(Value::Null) => Some(0),
        Some(value) => value.as_u64(),
    }
}

fn array(value: &Value, length: usize) -> Option<Vec<u8>> {
    let bytes: Option<Vec<u8>> = value.as_array()?.iter().map(byte).collect();
    bytes.filter(|bytes| bytes.len() == length)
}

/// A TCB version in its product's order: Turin's has a component more.
fn tcb(value: &Value) -> Option<[u8; 8]> {
    let part = |name: &str| byte(value.get(name)?);
    let [boot, tee, snp, microcode] = [
        part("bootloader")?,
        part("tee")?,
        part("snp")?,
        part("microcode")?,
    ];
    Some(match value.get("fmc").and_then(byte) {
        None => [boot, tee, 0, 0, 0, 0, snp, microcode],
        Some(fmc) => [fmc, boot, tee, snp, 0, 0, 0, microcode],
    })
}
