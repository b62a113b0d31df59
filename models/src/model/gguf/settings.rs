//! Typed and bounded access to the keys of a GGUF file.
//!
//! Why apart: each is refused by its own name, and keys begin with the architecture's.
//!
//! # Invariants
//! No number leaves without having been inside its bounds. A key of the architecture's that nobody knows is refused.

use std::ops::RangeInclusive;

use super::FILE;
use crate::gguf::{Gguf, Value};
use crate::model::error::{LoadError, SettingProblem};
use crate::shown::ShownName;

const ARCHITECTURE: &str = "general.architecture";

/// The keys of one file.
pub(crate) struct Settings<'a> {
    gguf: &'a Gguf<'a>,
    architecture: &'a str,
}

pub(crate) fn problem(key: &'static str, problem: SettingProblem) -> LoadError {
    LoadError::Setting {
        file: FILE,
        key,
        problem,
    }
}

pub(crate) fn unsupported(key: &'static str, value: &str) -> LoadError {
    LoadError::Unsupported {
        file: FILE,
        key,
        value: ShownName::new(value),
    }
}

impl<'a> Settings<'a> {
    pub(super) fn of(gguf: &'a Gguf<'a>) -> Result<Self, LoadError> {
        let architecture = match gguf.value(ARCHITECTURE) {
            Some(Value::Text(architecture)) => architecture,
            Some(_) => return Err(problem(ARCHITECTURE, SettingProblem::Type)),
            None => return Err(problem(ARCHITECTURE, SettingProblem::Missing)),
        };
        let settings = Self { gguf, architecture };
        match settings.text("general.type")? {
            None | Some("model") => {}
            Some(other) => return Err(unsupported("general.type", other)),
        }
        // A part of a model in many files says how many they are.
        if settings.count("split.count", 0..=usize::MAX)?.unwrap_or(0) > 1 {
            return Err(unsupported("split.count", "several_files"));
        }
        Ok(settings)
    }

    pub(crate) fn architecture(&self) -> &'a str {
        self.architecture
    }

    /// The value under a key; those that begin with a dot are the architecture's.
    pub(super) fn value(&self, key: &str) -> Option<&'a Value<'a>> {
        if key.starts_with('.') {
            self.gguf.value(&format!("{}{key}", self.architecture))
        } else {
            self.gguf.value(key)
        }
    }

    fn typed<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&'a Value<'a>) -> Option<T>,
    ) -> Result<Option<T>, LoadError> {
        match self.value(key) {
            None => Ok(None),
            Some(value) => read(value)
                .map(Some)
                .ok_or_else(|| problem(key, SettingProblem::Type)),
        }
    }

    /// A whole number within `bounds`.
    pub(crate) fn count(
        &self,
        key: &'static str,
        bounds: RangeInclusive<usize>,
    ) -> Result<Option<usize>, LoadError> {
        let Some(number) = self.typed(key, Value::whole)? else {
            return Ok(None);
        };
        match usize::try_from(number) {
            Ok(number) if bounds.contains(&number) => Ok(Some(number)),
            _ => Err(problem(key, SettingProblem::Bounds)),
        }
    }

    /// A whole number from 1 to `most` that must be there.
    pub(crate) fn need_count(&self, key: &'static str, most: usize) -> Result<usize, LoadError> {
        self.count(key, 1..=most)?
            .ok_or_else(|| problem(key, SettingProblem::Missing))
    }

    /// A number within `bounds`.
    pub(crate) fn number(
        &self,
        key: &'static str,
        bounds: RangeInclusive<f64>,
    ) -> Result<Option<f64>, LoadError> {
        let number = self.typed(key, |value| match value {
            Value::F32(number) => Some(f64::from(*number)),
            Value::F64(number) => Some(*number),
            _ => None,
        })?;
        match number {
            Some(number) if !bounds.contains(&number) => Err(problem(key, SettingProblem::Bounds)),
            number => Ok(number),
        }
    }

    pub(crate) fn flag(&self, key: &'static str) -> Result<Option<bool>, LoadError> {
        self.typed(key, |value| match value {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        })
    }

    pub(crate) fn text(&self, key: &'static str) -> Result<Option<&'a str>, LoadError> {
        self.typed(key, |value| match value {
            Value::Text(text) => Some(*text),
            _ => None,
        })
    }

    /// The values of a list of at most `most`, each read by `read`.
    pub(super) fn list<T>(
        &self,
        key: &'static str,
        most: usize,
        read: impl Fn(Value<'a>) -> Option<T>,
    ) -> Result<Option<Vec<T>>, LoadError> {
        let list = self.typed(key, |value| match value {
            Value::List(list) => Some(list),
            _ => None,
        })?;
        let Some(list) = list else { return Ok(None) };
        if list.len() > most as u64 {
            return Err(problem(key, SettingProblem::Bounds));
        }
        let values: Option<Vec<T>> = list.values().map(read).collect();
        values.map(Some).ok_or_else(|| problem(key, SettingProblem::Type))
    }

    pub(super) fn texts(&self, key: &'static str, most: usize) -> Result<Option<Vec<&'a str>>, LoadError> {
        self.list(key, most, |value| match value {
            Value::Text(text) => Some(text),
            _ => None,
        })
    }

    /// The id under a key, of `tokens`. The largest number stands for none.
    pub(super) fn token_id(&self, key: &'static str, tokens: usize) -> Result<Option<u32>, LoadError> {
        match self.typed(key, Value::whole)? {
            None => Ok(None),
            Some(none) if none == u64::from(u32::MAX) => Ok(None),
            Some(id) => match u32::try_from(id) {
                Ok(id) if (id as usize) < tokens => Ok(Some(id)),
                _ => Err(problem(key, SettingProblem::Bounds)),
            },
        }
    }

    /// Refuses keys that begin with `prefix` and whose rest nobody knows.
    pub(super) fn refuse_unknown(&self, prefix: &str, known: impl Fn(&str) -> bool) -> Result<(), LoadError> {
        let unknown = self
            .gguf
            .keys()
            .find(|key| key.strip_prefix(prefix).is_some_and(|rest| !known(rest)));
        match unknown {
            Some(key) => Err(unsupported("a setting", key)),
            None => Ok(()),
        }
    }
}
