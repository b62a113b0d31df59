//! What the sections of a policy share: bounded lists, and values for which TOML has no type.
//!
//! Why apart: a list that may be empty, or a date in a second form, would mean something else in each section.
//!
//! # Invariants
//! A list that is given has 1 to [`limits::POLICY_ENTRIES`] entries. Every value has one text.

use anchorhold_encoding::Digest;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::{PolicyError, entries};
use crate::limits;
use crate::time::Timestamp;

/// A list, when it is given.
pub(super) fn listed<T>(key: &'static str, list: Option<Vec<T>>) -> Result<Option<Vec<T>>, PolicyError> {
    list.map(|list| entries(key, Some(list))).transpose()
}

/// The values given; all zeros, which a platform writes where nobody set a value, when none is.
pub(super) fn zero_unless<const N: usize>(
    key: &'static str,
    list: Option<Vec<Digest<N>>>,
) -> Result<Vec<Digest<N>>, PolicyError> {
    Ok(listed(key, list)?.unwrap_or_else(|| vec![Digest::new([0; N])]))
}

/// A choice that has no default: somebody must have thought of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// It must not be so.
    Refused,
    /// It may be so.
    DangerouslyAccepted,
}

impl Choice {
    pub(crate) const fn accepts(self) -> bool {
        matches!(self, Self::DangerouslyAccepted)
    }
}

/// A point in time, as `YYYY-MM-DDThh:mm:ssZ` (RFC 3339, in UTC, without fractions).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date(pub(super) Timestamp);

impl Date {
    fn parse(text: &str) -> Option<Self> {
        let date: x509_cert::der::DateTime = text.parse().ok()?;
        Some(Self(Timestamp::from_unix(date.unix_duration().as_secs())))
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("not a date"))
    }
}

/// Bytes as lower-case hexadecimal, at most [`limits::POLICY_BYTES`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hex(pub(super) Vec<u8>);

impl Hex {
    fn parse(text: &str) -> Option<Self> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if !rest.is_empty() || pairs.len() > limits::POLICY_BYTES {
            return None;
        }
        let byte = |[high, low]: &[u8; 2]| digit(*high)?.checked_mul(16)?.checked_add(digit(*low)?);
        pairs.iter().map(byte).collect::<Option<_>>().map(Self)
    }
}

const fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => character.checked_sub(b'0'),
        b'a'..=b'f' => character.checked_sub(b'a' - 10),
        _ => None,
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("not lower-case hexadecimal"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Profile;
    use crate::policy::azure::{AzurePolicy, AzureSection};
    use crate::policy::nvidia::{NvidiaPolicy, NvidiaSection};
    use crate::policy::tdx::{TdxPolicy, TdxSection};

    #[test]
    fn a_date_has_one_form() {
        let date = Date::parse("2026-12-31T00:00:00Z").unwrap();
        assert_eq!(date.0.unix(), 1_798_675_200);
        for bad in [
            "",
            "2026-12-31",
            "2026-12-31 00:00:00Z",
            "2026-12-31T00:00:00",
            "2026-12-31T00:00:00+01:00",
            "2026-12-31T00:00:00.5Z",
            "2026-02-30T00:00:00Z",
        ] {
            assert_eq!(Date::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn bytes_have_one_form() {
        assert_eq!(Hex::parse("00ff"), Some(Hex(vec![0, 255])));
        assert_eq!(Hex::parse(""), Some(Hex(vec![])));
        for bad in ["0", "0g", "FF", "0x", " 0"] {
            assert_eq!(Hex::parse(bad), None, "{bad}");
        }
        let longest = "00".repeat(limits::POLICY_BYTES);
        assert!(Hex::parse(&longest).is_some());
        assert_eq!(Hex::parse(&(longest + "00")), None);
    }

    #[test]
    fn lists_are_bounded_and_never_empty() {
        assert_eq!(listed::<u8>("k", None), Ok(None));
        assert_eq!(listed("k", Some(vec![1])), Ok(Some(vec![1])));
        assert_eq!(listed::<u8>("k", Some(vec![])), Err(PolicyError::Empty("k")));
        let many = vec![0; limits::POLICY_ENTRIES + 1];
        assert_eq!(listed("k", Some(many)), Err(PolicyError::TooLong("k")));
        assert_eq!(zero_unless::<2>("k", None), Ok(vec![Digest::new([0; 2])]));
        let given = vec![Digest::new([1; 2])];
        assert_eq!(zero_unless("k", Some(given.clone())), Ok(given));
    }

    /// The keys that a section knows: what its reader would have taken instead of one that it does not know.
    fn keys<T: serde::de::DeserializeOwned>() -> Vec<String> {
        let error = toml::from_str::<T>("no-such-key = 1").err().unwrap().to_string();
        let (_, known) = error.split_once("expected one of").unwrap();
        known.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    /// A section of the documentation.
    fn page(title: &str) -> &'static str {
        let page = include_str!("../../../docs/policy.md");
        let (_, section) = page.split_once(&format!("\n## {title}\n")).unwrap();
        section
            .split_once("\n## ")
            .map_or(section, |(section, _)| section)
    }

    fn example(title: &str) -> toml::Table {
        let (_, text) = page(title).split_once("```toml\n").unwrap();
        text.split_once("```").unwrap().0.parse().unwrap()
    }

    #[test]
    fn the_documentation_lists_each_key_and_its_examples_are_policies() {
        let sections = [
            ("tdx", keys::<TdxSection>()),
            ("azure", keys::<AzureSection>()),
            ("nvidia", keys::<NvidiaSection>()),
        ];
        for (name, keys) in sections {
            assert!(keys.len() > 10, "{name}");
            let page = page(&format!("Section `[{name}]`"));
            let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| `")).collect();
            let named = |row: &&str| -> Vec<String> {
                let cell = row.split('|').nth(1).unwrap();
                cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
            };
            let listed: Vec<String> = rows.iter().flat_map(named).collect();
            for key in &keys {
                assert!(listed.contains(key), "docs/policy.md lacks {name}.{key}");
            }
            for key in listed.iter().filter(|key| !key.contains('.')) {
                assert!(keys.contains(key), "docs/policy.md has {name}.{key}");
            }
        }
        let table = |title, name: &str| example(title)[name].clone();
        let tdx: TdxSection = table("Section `[tdx]`", "tdx").try_into().unwrap();
        assert!(TdxPolicy::new(tdx, false, &[]).is_ok());
        let azure: AzureSection = table("Section `[azure]`", "azure").try_into().unwrap();
        assert!(AzurePolicy::new(azure).is_ok());
        let nvidia: NvidiaSection = table("Section `[nvidia]`", "nvidia").try_into().unwrap();
        assert_eq!(NvidiaPolicy::new(nvidia).unwrap().gpus, 1);
        let mut profiled = example("Profiles");
        let profile: Profile = profiled["profile"].clone().try_into().unwrap();
        profile.complete(&mut profiled);
        let tdx: TdxSection = profiled["tdx"].clone().try_into().unwrap();
        assert!(TdxPolicy::new(tdx, false, &[Digest::new([1; 48])]).is_ok());
    }
}
