//! Typed and bounded access to the settings in a model's JSON files.
//!
//! Why apart: each setting is refused by its own name, which a derived parser cannot do.
//!
//! # Invariants
//! `null` is the same as absent, but for who asks [`Keys::names`]. No number leaves without having been inside its bounds.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::model::error::{FileProblem, LoadError, SettingProblem};
use crate::model::name::ShownName;

/// The members of one JSON object in one file.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'a> {
    file: &'static str,
    members: &'a Map<String, Value>,
}

/// Parses a JSON object of at most `limit` bytes.
pub(crate) fn parse_object(file: &str, bytes: &[u8], limit: usize) -> Result<Map<String, Value>, LoadError> {
    let refuse = |problem| LoadError::File {
        file: ShownName::new(file),
        problem,
    };
    if bytes.len() > limit {
        return Err(refuse(FileProblem::TooLarge(limit as u64)));
    }
    serde_json::from_slice(bytes).map_err(|_| refuse(FileProblem::NotJson))
}

impl<'a> Keys<'a> {
    pub(crate) fn new(file: &'static str, members: &'a Map<String, Value>) -> Self {
        Self { file, members }
    }

    /// The value under `key` unless it is absent or null.
    pub(crate) fn value(&self, key: &str) -> Option<&'a Value> {
        self.members.get(key).filter(|value| !value.is_null())
    }

    /// Whether `key` is there, be it with null: to some classes that is not the same as absent.
    pub(crate) fn names(&self, key: &str) -> bool {
        self.members.contains_key(key)
    }

    pub(crate) fn problem(&self, key: &'static str, problem: SettingProblem) -> LoadError {
        LoadError::Setting {
            file: self.file,
            key,
            problem,
        }
    }

    pub(crate) fn unsupported(&self, key: &'static str, value: &str) -> LoadError {
        LoadError::Unsupported {
            file: self.file,
            key,
            value: ShownName::new(value),
        }
    }

    fn typed<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, LoadError> {
        match self.value(key) {
            None => Ok(None),
            Some(value) => read(value)
                .map(Some)
                .ok_or_else(|| self.problem(key, SettingProblem::Type)),
        }
    }

    /// A whole number within `bounds`.
    pub(crate) fn count(
        &self,
        key: &'static str,
        bounds: RangeInclusive<usize>,
    ) -> Result<Option<usize>, LoadError> {
        let Some(number) = self.typed(key, Value::as_u64)? else {
            return Ok(None);
        };
        match usize::try_from(number) {
            Ok(number) if bounds.contains(&number) => Ok(Some(number)),
            _ => Err(self.problem(key, SettingProblem::Bounds)),
        }
    }

    /// A whole number from 1 to `most` that must be there.
    pub(crate) fn need_count(&self, key: &'static str, most: usize) -> Result<usize, LoadError> {
        self.count(key, 1..=most)?
            .ok_or_else(|| self.problem(key, SettingProblem::Missing))
    }

    /// A number within `bounds`, whole or not.
    pub(crate) fn number(
        &self,
        key: &'static str,
        bounds: RangeInclusive<f64>,
    ) -> Result<Option<f64>, LoadError> {
        match self.typed(key, Value::as_f64)? {
            Some(number) if !bounds.contains(&number) => Err(self.problem(key, SettingProblem::Bounds)),
            number => Ok(number),
        }
    }

    /// A number within `bounds` that must be there.
    pub(crate) fn need_number(
        &self,
        key: &'static str,
        bounds: RangeInclusive<f64>,
    ) -> Result<f64, LoadError> {
        self.number(key, bounds)?
            .ok_or_else(|| self.problem(key, SettingProblem::Missing))
    }

    pub(crate) fn flag(&self, key: &'static str) -> Result<Option<bool>, LoadError> {
        self.typed(key, Value::as_bool)
    }

    pub(crate) fn text(&self, key: &'static str) -> Result<Option<&'a str>, LoadError> {
        self.typed(key, Value::as_str)
    }

    pub(crate) fn object(&self, key: &'static str) -> Result<Option<Keys<'a>>, LoadError> {
        let file = self.file;
        Ok(self
            .typed(key, Value::as_object)?
            .map(|members| Keys { file, members }))
    }

    pub(crate) fn list(&self, key: &'static str) -> Result<Option<&'a [Value]>, LoadError> {
        Ok(self.typed(key, Value::as_array)?.map(Vec::as_slice))
    }

    /// A token id or a list of them, as `eos_token_id` is written.
    pub(crate) fn token_ids(&self, key: &'static str) -> Result<Vec<u32>, LoadError> {
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        let ids = self.typed(key, |value| match value {
            Value::Array(values) => values.iter().map(id).collect::<Option<Vec<u32>>>(),
            value => id(value).map(|id| vec![id]),
        })?;
        Ok(ids.unwrap_or_default())
    }

    /// Refuses a setting that is there and not `harmless`.
    pub(crate) fn refuse_unless(&self, key: &'static str, harmless: &Value) -> Result<(), LoadError> {
        match self.value(key) {
            Some(value) if value != harmless => {
                let shown = match value {
                    Value::String(text) => text.clone(),
                    Value::Object(_) => "an_object".to_owned(),
                    Value::Array(_) => "a_list".to_owned(),
                    value => value.to_string(),
                };
                Err(self.unsupported(key, &shown))
            }
            _ => Ok(()),
        }
    }
}
