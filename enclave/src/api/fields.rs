//! The members of a request's JSON object, each taken by name exactly once.
//!
//! Why apart: derived deserializers cannot say which member was wrong without quoting the input, and ignore
//! or echo what they do not know. Here a name is one of our own constants or it is only "unknown".
//!
//! # Invariants
//! What nobody took is refused, by name where OpenAI defines the name. `null` is the same as absent, as in
//! OpenAI's API. Members are slices of the body until they are taken, so nesting in a member nobody takes
//! costs no stack.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::api::error::ApiError;

/// Names a request or a message may carry: OpenAI's (API reference of 2026-11), the sampling extensions
/// that other open servers share, and our own about ids. A name in this list can be repeated to the caller.
const NAMES: &[&str] = &[
    "anchorhold",
    "annotations",
    "arguments",
    "audio",
    "best_of",
    "content",
    "description",
    "dimensions",
    "echo",
    "encoding_format",
    "frequency_penalty",
    "function",
    "function_call",
    "functions",
    "id",
    "include_obfuscation",
    "include_usage",
    "input",
    "json_schema",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "min_p",
    "modalities",
    "model",
    "moderation",
    "n",
    "name",
    "parallel_tool_calls",
    "parameters",
    "prediction",
    "presence_penalty",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "prompt_ids",
    "reasoning_effort",
    "refusal",
    "repetition_penalty",
    "response_format",
    "return_ids",
    "role",
    "safety_identifier",
    "schema",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "strict",
    "suffix",
    "temperature",
    "text",
    "tool_call_id",
    "tool_calls",
    "tool_choice",
    "tools",
    "top_k",
    "top_logprobs",
    "top_p",
    "type",
    "user",
    "verbosity",
    "web_search_options",
];

/// The members of one object that nobody took yet.
pub(super) struct Fields<'a>(Vec<(&'static str, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Reads the object that `text` is; `within` names the field it is an element of, if it is not the body.
    ///
    /// # Errors
    /// [`ApiError`] for anything but one JSON object of known, different names.
    pub(super) fn parse(text: &'a str, within: Option<&'static str>) -> Result<Self, ApiError> {
        let members: Members<'a> = serde_json::from_str(text).map_err(|error| {
            if error.is_data() {
                ApiError::NotAnObject(within)
            } else {
                ApiError::InvalidJson
            }
        })?;
        let mut fields: Vec<(&'static str, &'a RawValue)> = Vec::with_capacity(16);
        for (name, value) in members.0 {
            let name = name.ok_or(ApiError::UnknownField)?;
            if fields.iter().any(|(other, _)| *other == name) {
                return Err(ApiError::DuplicateField(name));
            }
            fields.push((name, value));
        }
        Ok(Self(fields))
    }

    /// Takes a member. `None` when it is absent or `null`.
    ///
    /// # Errors
    /// [`ApiError::InvalidValue`] with `expected` when the value is of another type.
    pub(super) fn take<T: Deserialize<'a>>(
        &mut self,
        name: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, ApiError> {
        debug_assert!(NAMES.contains(&name), "{name} is not in the list");
        let Some(at) = self.0.iter().position(|(other, _)| *other == name) else {
            return Ok(None);
        };
        let (_, value) = self.0.swap_remove(at);
        serde_json::from_str(value.get()).map_err(|_| ApiError::InvalidValue {
            field: name,
            expected,
        })
    }

    /// Takes a member that must be there.
    ///
    /// # Errors
    /// [`ApiError::MissingField`], or as [`Self::take`].
    pub(super) fn require<T: Deserialize<'a>>(
        &mut self,
        name: &'static str,
        expected: &'static str,
    ) -> Result<T, ApiError> {
        self.take(name, expected)?.ok_or(ApiError::MissingField(name))
    }

    /// Takes a member of which only the value that changes nothing is implemented.
    ///
    /// # Errors
    /// [`ApiError::InvalidValue`] for any other value.
    pub(super) fn only<T: Deserialize<'a> + PartialEq>(
        &mut self,
        name: &'static str,
        neutral: T,
        expected: &'static str,
    ) -> Result<(), ApiError> {
        match self.take::<T>(name, expected)? {
            Some(value) if value != neutral => Err(ApiError::InvalidValue {
                field: name,
                expected,
            }),
            _ => Ok(()),
        }
    }

    /// Ends the reading: every member left is refused.
    ///
    /// # Errors
    /// [`ApiError::UnsupportedField`] for the first member in the order of the request that is not `null`.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        match self.0.iter().find(|(_, value)| value.get() != "null") {
            Some((name, _)) => Err(ApiError::UnsupportedField(name)),
            None => Ok(()),
        }
    }
}

/// Each member with its name, where the name is one of ours.
struct Members<'a>(Vec<(Option<&'static str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some(Name(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// A member's name, replaced by our constant of the same letters.
struct Name(Option<&'static str>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Letters;

        impl Visitor<'_> for Letters {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(NAMES.iter().find(|known| **known == name).copied()))
            }
        }

        deserializer.deserialize_str(Letters)
    }
}

/// Text of a caller, wiped on drop.
pub(super) struct Text(pub(super) Zeroizing<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Owned;

        impl Visitor<'_> for Owned {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Zeroizing::new(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Owned)
    }
}

/// One value, or a list of such: OpenAI takes both in several places.
pub(super) fn one_or_many<'a, T: Deserialize<'a>>(
    value: &'a RawValue,
    field: &'static str,
    expected: &'static str,
) -> Result<Vec<T>, ApiError> {
    let text = value.get();
    let parsed = if text.starts_with('[') {
        serde_json::from_str(text)
    } else {
        serde_json::from_str(text).map(|one| vec![one])
    };
    parsed.map_err(|_| ApiError::InvalidValue { field, expected })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_unique() {
        assert!(NAMES.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn what_is_left_is_refused_by_our_name_for_it() {
        let mut fields = Fields::parse(r#"{"model":"m","tools":[],"seed":null}"#, None).unwrap();
        assert_eq!(fields.take::<&str>("model", "text"), Ok(Some("m")));
        assert_eq!(fields.take::<i64>("seed", "a number"), Ok(None));
        assert_eq!(fields.finish(), Err(ApiError::UnsupportedField("tools")));
        assert_eq!(
            Fields::parse(r#"{"canary":1}"#, None).err(),
            Some(ApiError::UnknownField)
        );
        assert_eq!(
            Fields::parse(r#"{"n":1,"n":1}"#, None).err(),
            Some(ApiError::DuplicateField("n"))
        );
        assert_eq!(Fields::parse(r#"{"tools":null}"#, None).unwrap().finish(), Ok(()));
    }

    #[test]
    fn what_is_no_object_is_told_apart_from_what_is_no_json() {
        for text in ["[]", "1", "\"x\"", "null"] {
            assert_eq!(
                Fields::parse(text, None).err(),
                Some(ApiError::NotAnObject(None)),
                "{text}"
            );
        }
        for text in ["", "{", "{\"n\":1}}", "{\"n\"}", "{\"n\":1,}", "nul"] {
            assert_eq!(
                Fields::parse(text, None).err(),
                Some(ApiError::InvalidJson),
                "{text}"
            );
        }
    }

    #[test]
    fn nesting_costs_no_stack() {
        let depth = 1 << 20;
        let deep = format!("{{\"tools\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(
            Fields::parse(&deep, None).unwrap().finish(),
            Err(ApiError::UnsupportedField("tools"))
        );
        let deep = format!("{{\"messages\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        let mut fields = Fields::parse(&deep, None).unwrap();
        assert!(fields.take::<Vec<Text>>("messages", "a list").is_err());
    }
}
