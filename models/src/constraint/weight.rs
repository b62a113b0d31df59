//! How many schemas a schema becomes when its alternatives are multiplied out.
//!
//! Why apart: it is arithmetic on bounds, and what it says decides whether any work is done.
//!
//! Joining two schemas that both have alternatives makes each of one with each of the other, within members too: at most
//! the product of both. Without alternatives, and without a schema for "whatever else", each place of one meets at most one
//! of the other: at most the sum.
//!
//! # Invariants
//! A bound is never too low, and does not overflow.

use serde_json::Value;

use super::schema::SchemaError;

/// A bound for one schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Weight {
    /// As it stands, references counting as one.
    size: u64,
    /// With references followed; none when one leads back.
    whole: Option<u64>,
    /// It has no alternatives and no schema for whatever else there is.
    plain: bool,
    /// It asks for multiples.
    multiple: bool,
}

impl Weight {
    pub(super) const ONE: Self = Self {
        size: 1,
        whole: Some(1),
        plain: true,
        multiple: false,
    };
    /// Of a word that adds no schema.
    pub(super) const NONE: Self = Self {
        size: 0,
        whole: Some(0),
        ..Self::ONE
    };
    /// Of `multipleOf`.
    pub(super) const MULTIPLE: Self = Self {
        multiple: true,
        ..Self::NONE
    };

    pub(super) fn size(self) -> u64 {
        self.size
    }

    /// Both, side by side.
    pub(super) fn with(self, other: Self) -> Self {
        Self {
            size: self.size.saturating_add(other.size),
            whole: self
                .whole
                .zip(other.whole)
                .map(|(one, two)| one.saturating_add(two)),
            plain: self.plain && other.plain,
            multiple: self.multiple || other.multiple,
        }
    }

    pub(super) fn sum(all: &[Self]) -> Self {
        all.iter().fold(Self::NONE, |sum, weight| sum.with(*weight))
    }

    /// One of them.
    pub(super) fn any_of(all: &[Self]) -> Self {
        match all {
            [one] => *one,
            _ => Self::sum(all).spread(),
        }
    }

    /// The same, meeting more than one place of what it is joined with.
    pub(super) fn spread(self) -> Self {
        Self { plain: false, ..self }
    }

    /// Of a schema for values of so many types.
    pub(super) fn of_types(self, count: usize) -> Self {
        let others = Self {
            size: count as u64,
            whole: Some(count as u64),
            ..Self::ONE
        };
        self.with(others).spread()
    }

    /// Of given values.
    pub(super) fn of_values(values: &[Value]) -> Self {
        fn size(value: &Value) -> u64 {
            1 + match value {
                Value::Array(items) => items.iter().map(size).sum(),
                Value::Object(members) => members.values().map(size).sum(),
                _ => 0,
            }
        }
        let size = values.iter().map(size).sum();
        Self {
            size,
            whole: Some(size),
            plain: values.len() == 1,
            multiple: false,
        }
    }

    /// Of a reference to a schema of this weight; none while that is still being read, and the reference leads back.
    pub(super) fn of_reference(target: Option<Self>) -> Self {
        Self {
            size: 1,
            whole: target.and_then(|target| target.whole),
            plain: target.is_some_and(|target| target.plain),
            multiple: target.is_some_and(|target| target.multiple),
        }
    }

    /// All at one time.
    pub(super) fn all_of(all: &[Self]) -> Result<Self, SchemaError> {
        let (first, others) = match all {
            [] => return Ok(Self::ONE),
            [one] => return Ok(*one),
            [first, others @ ..] => (first, others),
        };
        others.iter().try_fold(*first, |joined, other| {
            // Common multiples multiply the states of an automaton.
            if joined.multiple && other.multiple {
                return Err(SchemaError::TooComplex);
            }
            let (one, two) = joined.whole.zip(other.whole).ok_or(SchemaError::Recursive)?;
            let plain = joined.plain && other.plain;
            let size = if plain {
                one.saturating_add(two)
            } else {
                one.saturating_mul(two)
            };
            Ok(Self {
                size,
                whole: Some(size),
                plain,
                multiple: joined.multiple || other.multiple,
            })
        })
    }
}
