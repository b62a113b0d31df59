//! JSON objects of which a few members are taken or replaced, and the rest goes on letter by letter.
//!
//! Why apart: a parsed document is copies of plaintext that nobody wipes; here a member is a slice until it is wanted.
//!
//! # Invariants
//! A name that comes twice makes no object: two readers could take different ones. Replaced values are wiped.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::client::wiped::Wiped;

/// Members of an object, in their order.
pub(super) struct Members<'a>(Vec<(String, Value<'a>)>);

enum Value<'a> {
    Read(&'a str),
    Put(Wiped),
}

impl Value<'_> {
    fn text(&self) -> &str {
        match self {
            Self::Read(text) => text,
            // Only JSON of our own is put.
            Self::Put(bytes) => std::str::from_utf8(bytes).unwrap_or("null"),
        }
    }
}

impl<'a> Members<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        object(std::str::from_utf8(bytes).ok()?)
    }

    /// Takes a member out.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a str> {
        let at = self.0.iter().position(|(other, _)| other == name)?;
        match self.0.remove(at).1 {
            Value::Read(text) => Some(text),
            Value::Put(_) => None,
        }
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.text())
    }

    /// Puts a value in the place of the one with this name, or at the end.
    pub(super) fn put(&mut self, name: &str, json: &[u8]) {
        let value = Value::Put(Wiped::from(json));
        match self.0.iter_mut().find(|(other, _)| other == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// Whether nothing that is left says anything.
    pub(super) fn rest_is_null(&self) -> bool {
        self.0.iter().all(|(_, value)| value.text() == "null")
    }

    pub(super) fn document(&self) -> Wiped {
        let length = self
            .0
            .iter()
            .map(|(name, value)| name.len() + value.text().len() + 8)
            .sum();
        let mut document = Wiped::with_capacity(length);
        document.extend(b"{");
        for (index, (name, value)) in self.0.iter().enumerate() {
            document.extend(if index == 0 { b"" } else { b"," });
            document.extend(&quoted(name));
            document.extend(b":");
            document.extend(value.text().as_bytes());
        }
        document.extend(b"}");
        document
    }
}

/// The members of the object that `text` is.
pub(super) fn object(text: &str) -> Option<Members<'_>> {
    let members: Raw<'_> = serde_json::from_str(text).ok()?;
    let mut names: Vec<&str> = members.0.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let unique = names.len() == members.0.len();
    let mut read = Vec::with_capacity(members.0.len() + 1);
    for (name, value) in members.0 {
        read.push((name, Value::Read(value.get())));
    }
    unique.then_some(Members(read))
}

/// The elements of the list that `text` is.
pub(super) fn list(text: &str) -> Option<Vec<&str>> {
    let list: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    Some(list.into_iter().map(RawValue::get).collect())
}

/// The one element of the list that `text` is.
pub(super) fn list_of_one(text: &str) -> Option<&str> {
    match list(text)?.as_slice() {
        [one] => Some(one),
        _ => None,
    }
}

/// The text that a JSON string is.
pub(super) fn text(json: &str) -> Option<Zeroizing<String>> {
    serde_json::from_str(json).ok().map(Zeroizing::new)
}

/// A list of token ids.
pub(super) fn ids(json: &str) -> Option<Zeroizing<Vec<u32>>> {
    let list = list(json)?;
    // Never grows, so that no copy is left behind.
    let mut ids = Zeroizing::new(Vec::with_capacity(list.len()));
    for id in list {
        ids.push(id.parse().ok()?);
    }
    Some(ids)
}

/// A text as JSON.
pub(super) fn quoted(text: &str) -> Wiped {
    let mut json = Wiped::with_capacity(text.len() + text.len() / 8 + 2);
    serde_json::to_writer(&mut json, text).expect("a string, and a writer that takes everything");
    json
}

struct Raw<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Raw<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Raw<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Raw(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_touched_stays_letter_by_letter() {
        let text = r#"{"b":1.50,"a":{"x":"\u00e9 "},"c":null}"#;
        let mut members = object(text).unwrap();
        assert_eq!(&*members.document(), text.as_bytes());
        assert_eq!(members.take("b"), Some("1.50"));
        assert_eq!(members.take("b"), None);
        members.put("a", b"[1]");
        members.put("d", &quoted("q\"\n"));
        assert_eq!(&*members.document(), br#"{"a":[1],"c":null,"d":"q\"\n"}"#);
        assert!(!members.rest_is_null());
        assert!(object(r#"{"c":null}"#).unwrap().rest_is_null());
    }

    #[test]
    fn what_is_none_is_refused() {
        for bad in [
            "",
            "[]",
            "1",
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":1} x"#,
        ] {
            assert!(object(bad).is_none(), "{bad}");
        }
        assert_eq!(ids("[1,2, 4294967295]").unwrap()[2], u32::MAX);
        assert!(ids("[1.0]").is_none() && ids("[4294967296]").is_none() && ids("7").is_none());
        assert_eq!(list_of_one("[\"x\"]"), Some("\"x\""));
        assert_eq!(list_of_one("[1,2]"), None);
        assert_eq!(text("\"\\u00e9\"").unwrap().as_str(), "é");
    }
}
