//! Pins of a policy: a demand on any field by name.
//!
//! Why apart: the one place where a value from a policy meets a value of any vendor.
//!
//! # Invariants
//! A pin whose field is not in the evidence, or has a value of another type, does not hold. It must hold for every
//! device that has the field. A pin that demands nothing cannot be written.

use std::fmt;

use serde::Deserialize;

use crate::claims::Platform;
use crate::denial::{RuleId, Rules};
use crate::field::{Field, Hex, Value};
use crate::limits;

/// One entry of `[[pins]]`: docs/policy.md.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Pin {
    field: String,
    only_on: Vec<Platform>,
    demand: Demand,
}

/// A value as a policy writes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Literal {
    Flag(bool),
    Number(u64),
    /// A text; hexadecimal digits for bytes; `0x` and hexadecimal digits for a number.
    Text(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Demand {
    OneOf(Vec<Literal>),
    Masked(Vec<u8>, Vec<Literal>),
    Between(u64, u64),
    Absent,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    field: String,
    only_on: Option<Vec<Platform>>,
    equals: Option<Literal>,
    one_of: Option<Vec<Literal>>,
    mask: Option<String>,
    at_least: Option<u64>,
    at_most: Option<u64>,
    absent: Option<bool>,
}

/// Why an entry is none. The policy's error names its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NoPin(&'static str);

impl fmt::Display for NoPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl TryFrom<Raw> for Pin {
    type Error = NoPin;

    fn try_from(raw: Raw) -> Result<Self, NoPin> {
        let name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        if raw.field.is_empty() || raw.field.len() > limits::FIELD_NAME || !raw.field.bytes().all(name) {
            return Err(NoPin("not the name of a field"));
        }
        if raw.only_on.as_ref().is_some_and(Vec::is_empty) {
            return Err(NoPin("a pin for no platform"));
        }
        let listed = match (raw.equals, raw.one_of) {
            (Some(value), None) => Some(vec![value]),
            (None, values) => values,
            (Some(_), Some(_)) => return Err(NoPin("both equals and one_of")),
        };
        if listed
            .as_ref()
            .is_some_and(|values| values.is_empty() || values.len() > limits::POLICY_ENTRIES)
        {
            return Err(NoPin("one_of is empty or too long"));
        }
        let mask = match raw.mask {
            None => None,
            Some(digits) => Some(
                unhex(&digits)
                    .filter(|mask| mask.iter().any(|byte| *byte != 0))
                    .ok_or(NoPin("a mask is hexadecimal and selects something"))?,
            ),
        };
        let demand = match (listed, mask, raw.at_least, raw.at_most, raw.absent) {
            (Some(values), None, None, None, None) => Demand::OneOf(values),
            (Some(values), Some(mask), None, None, None) => Demand::Masked(mask, values),
            (None, None, Some(low), None, None) if low > 0 => Demand::Between(low, u64::MAX),
            (None, None, None, Some(high), None) => Demand::Between(0, high),
            (None, None, Some(low), Some(high), None) if low <= high => Demand::Between(low, high),
            (None, None, None, None, Some(true)) => Demand::Absent,
            _ => return Err(NoPin("a pin demands one thing")),
        };
        Ok(Self {
            field: raw.field,
            only_on: raw.only_on.unwrap_or_default(),
            demand,
        })
    }
}

impl Pin {
    /// Judges all pins that are for this platform.
    pub(crate) fn judge(pins: &[Self], rules: &mut Rules, platform: Platform, fields: &[Field]) {
        for pin in pins
            .iter()
            .filter(|pin| pin.only_on.is_empty() || pin.only_on.contains(&platform))
        {
            let mut there = false;
            for field in fields.iter().filter(|field| field.name == pin.field) {
                there = true;
                rules.demand(RuleId::Pin, pin.demand.holds(&field.value), pin, &field.value);
            }
            if !there {
                rules.demand(RuleId::Pin, false, pin, "no such field");
            }
        }
    }
}

impl Demand {
    fn holds(&self, found: &Value) -> bool {
        match (self, found) {
            (Self::OneOf(values), _) => values.iter().any(|value| value.equals(found)),
            (Self::Masked(mask, values), _) => {
                masked(found, mask).is_some_and(|selected| values.iter().any(|value| value.equals(&selected)))
            }
            (Self::Between(low, high), Value::Number(number)) => (*low..=*high).contains(number),
            (Self::Between(..), _) => false,
            (Self::Absent, _) => *found == Value::Absent,
        }
    }
}

impl Literal {
    fn equals(&self, found: &Value) -> bool {
        match (self, found) {
            (Self::Flag(wanted), Value::Flag(flag)) => wanted == flag,
            (Self::Number(wanted), Value::Number(number)) => wanted == number,
            (Self::Text(digits), Value::Number(number)) => hex_number(digits) == Some(*number),
            (Self::Text(digits), Value::Bytes(bytes)) => unhex(digits).as_ref() == Some(bytes),
            (Self::Text(wanted), Value::Text(text)) => wanted == text,
            _ => false,
        }
    }
}

/// What the mask selects; `None` when it cannot be laid over the value.
fn masked(found: &Value, mask: &[u8]) -> Option<Value> {
    match found {
        Value::Number(number) => {
            let mask = mask.iter().try_fold(0_u64, |sum, byte| {
                sum.checked_mul(256)?.checked_add((*byte).into())
            })?;
            Some(Value::Number(number & mask))
        }
        Value::Bytes(bytes) if bytes.len() == mask.len() => Some(Value::Bytes(
            bytes.iter().zip(mask).map(|(byte, mask)| byte & mask).collect(),
        )),
        _ => None,
    }
}

/// Lower-case digits only, as everywhere in a policy.
fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => byte.checked_sub(b'0'),
        b'a'..=b'f' => byte.checked_sub(b'a')?.checked_add(10),
        _ => None,
    };
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| digit(*high)?.checked_mul(16)?.checked_add(digit(*low)?))
        .collect()
}

fn hex_number(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x")?;
    if !digits
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    {
        return None;
    }
    u64::from_str_radix(digits, 16).ok()
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, values: &[Literal]) -> fmt::Result {
    match values {
        [only] => write!(f, "{only}"),
        many => write!(f, "one of {} values", many.len()),
    }
}

/// As in `snp.vmpl = 0`.
impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.field)?;
        match &self.demand {
            Demand::OneOf(values) => {
                f.write_str(" = ")?;
                list(f, values)
            }
            Demand::Masked(mask, values) => {
                write!(f, " & {} = ", Hex(mask))?;
                list(f, values)
            }
            Demand::Between(low, u64::MAX) => write!(f, " >= {low}"),
            Demand::Between(0, high) => write!(f, " <= {high}"),
            Demand::Between(low, high) => write!(f, " in {low}..={high}"),
            Demand::Absent => f.write_str(" absent"),
        }
    }
}
