//! Arguments of the benchmarks.
//!
//! # Invariants
//! What nobody took is an error: a mistyped option never measures something else.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use crate::Failure;

/// Arguments that make no sense: exit status 2.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Usage {}

/// Arguments not yet taken.
pub(crate) struct Arguments(Vec<String>);

impl Arguments {
    pub(crate) fn new(arguments: impl Iterator<Item = String>) -> Self {
        Self(arguments.collect())
    }

    /// The first argument.
    pub(crate) fn word(&mut self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    /// Whether `name` is there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|argument| argument != name);
        self.0.len() < before
    }

    /// The value after `name`.
    pub(crate) fn value<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, Failure> {
        let Some(at) = self.0.iter().position(|argument| argument == name) else {
            return Ok(None);
        };
        if at + 1 >= self.0.len() {
            return Err(Usage(format!("{name} needs a value")).into());
        }
        self.0.remove(at);
        let text = self.0.remove(at);
        let value = text
            .parse()
            .map_err(|_| Usage(format!("{name} cannot be {text:?}")))?;
        Ok(Some(value))
    }

    /// The value after `name`, which must be there: one program of ours calls another so.
    pub(crate) fn needed<T: FromStr>(&mut self, name: &str) -> Result<T, Failure> {
        let value = self.value(name)?;
        value.ok_or_else(|| Usage(format!("{name} is missing")).into())
    }

    /// The number after `name`, at least 1.
    pub(crate) fn count(&mut self, name: &str, usual: usize) -> Result<usize, Failure> {
        match self.value(name)?.unwrap_or(usual) {
            0 => Err(Usage(format!("{name} is at least 1")).into()),
            count => Ok(count),
        }
    }

    /// The values after `name`, between commas.
    pub(crate) fn list<T: FromStr>(&mut self, name: &str, default: &str) -> Result<Vec<T>, Failure> {
        let text = self.value::<String>(name)?.unwrap_or_else(|| default.to_owned());
        let item = |item: &str| {
            item.parse()
                .map_err(|_| Usage(format!("{name} cannot have {item:?}")).into())
        };
        text.split(',').map(item).collect()
    }

    /// Demands that all were taken.
    pub(crate) fn end(self) -> Result<(), Failure> {
        match self.0.first() {
            None => Ok(()),
            Some(left) => Err(Usage(format!("unknown argument {left:?}")).into()),
        }
    }
}
