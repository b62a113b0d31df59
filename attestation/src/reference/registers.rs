//! Values that registers must have: RTMR0 to RTMR2 of a trust domain, PCRs of a vTPM.
//!
//! Why apart: both platforms measure into numbered registers, and a list of them has one form for both.
//!
//! # Invariants
//! At least one register, each with at least one value of which any one will do. Numbers are decimal, as text:
//! TOML and JSON have no other keys.

use std::collections::BTreeMap;

use anchorhold_encoding::Digest;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits;

/// The highest number of a register: PCR 23.
const HIGHEST: u8 = 23;

/// Expected values by the number of their register: `{ "0" = "<hex>", "1" = ["<hex>", "<hex>"] }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterValues<const N: usize>(BTreeMap<u8, Vec<Digest<N>>>);

impl<const N: usize> RegisterValues<N> {
    /// `None` when there is no register, one has no values or too many, or a number is too high.
    #[must_use]
    pub fn new(values: BTreeMap<u8, Vec<Digest<N>>>) -> Option<Self> {
        let bounded = |(number, list): (&u8, &Vec<_>)| {
            *number <= HIGHEST && (1..=limits::POLICY_ENTRIES).contains(&list.len())
        };
        (!values.is_empty() && values.iter().all(bounded)).then_some(Self(values))
    }

    /// The values that register `number` may have.
    #[must_use]
    pub fn get(&self, number: u8) -> Option<&[Digest<N>]> {
        self.0.get(&number).map(Vec::as_slice)
    }

    /// All of them, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &[Digest<N>])> {
        self.0.iter().map(|(number, list)| (*number, list.as_slice()))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum OneOrMore<const N: usize> {
    One(Digest<N>),
    More(Vec<Digest<N>>),
}

impl<const N: usize> Serialize for RegisterValues<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(number, list)| (number.to_string(), list)))
    }
}

impl<'de, const N: usize> Deserialize<'de> for RegisterValues<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = BTreeMap::<String, OneOrMore<N>>::deserialize(deserializer)?;
        let number = |text: &str| text.parse().ok().filter(|number: &u8| number.to_string() == text);
        let values = written.into_iter().map(|(text, values)| {
            let list = match values {
                OneOrMore::One(value) => vec![value],
                OneOrMore::More(list) => list,
            };
            Some((number(&text)?, list))
        });
        values
            .collect::<Option<_>>()
            .and_then(Self::new)
            .ok_or_else(|| D::Error::custom("not registers and their values"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_numbers_with_values() {
        let read = |text: &str| serde_json::from_str::<RegisterValues<2>>(text).ok();
        let values = read(r#"{"0":"0001","10":["0002","0003"],"2":["0004"]}"#).unwrap();
        let numbers: Vec<u8> = values.iter().map(|(number, _)| number).collect();
        assert_eq!(numbers, [0, 2, 10]);
        assert_eq!(
            values.get(10),
            Some([Digest::new([0, 2]), Digest::new([0, 3])].as_slice())
        );
        assert_eq!(values.get(1), None);
        let again = serde_json::to_string(&values).unwrap();
        assert_eq!(read(&again), Some(values));
        for bad in [
            "{}",
            r#"{"0":[]}"#,
            r#"{"00":"0001"}"#,
            r#"{"+1":"0001"}"#,
            r#"{"24":"0001"}"#,
            r#"{"256":"0001"}"#,
            r#"{"rtmr0":"0001"}"#,
            r#"{"0":"01"}"#,
            r#"{"0":null}"#,
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
