//! Functions that a model may call, and the texts by which it does.
//!
//! Why apart: each family of models was trained to write calls in a form of its own, which its chat template shows it.
//!
//! - [`form`]: the forms, and which of them a template shows
//! - `calls`: calls out of the text of an answer, as it comes
//!
//! # Invariants
//! Names of functions are letters, digits, `_` and `-`: in every form they stand for themselves. Functions and calls are
//! plaintext: no `Clone` or `Debug`, wiped when dropped.

pub(crate) mod calls;
pub(crate) mod form;
#[cfg(anchorhold_fuzzing)]
pub mod fuzzing;

use std::fmt;

use anchorhold_encoding::bounded;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::limits::constraint as limits;
use crate::wiped::WipedJson;
pub use calls::CallDelta;
#[cfg(feature = "inference")]
pub(crate) use form::Form;

/// A function that the model may call.
pub struct Function {
    /// Its name.
    pub name: Zeroizing<String>,
    /// JSON Schema of its arguments, an object; without one it takes none.
    pub parameters: Option<Zeroizing<String>>,
    /// The whole tool as JSON text, as the chat template gets it.
    pub listed: Zeroizing<String>,
}

/// Which functions the model calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolChoice {
    /// Any or none, as it likes.
    Auto,
    /// At least one.
    Required,
    /// The one with this number, once.
    Named(usize),
}

/// Functions, and how they may be called.
pub struct Tools {
    pub(crate) functions: Vec<Function>,
    pub(crate) choice: ToolChoice,
    /// More than one call in an answer.
    pub(crate) parallel: bool,
    listed: Vec<WipedJson>,
}

/// Functions are not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolsError {
    /// None, or more than are taken.
    Count,
    /// The name of this one is not 1 to 64 letters, digits, `_` or `-`, or two have it.
    Name(usize),
    /// This one is not a JSON object, or all hold more values than are taken.
    Listed(usize),
    /// The one that is to be called is none of them.
    Choice,
}

impl fmt::Display for ToolsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count => write!(f, "there must be 1 to {} functions", limits::TOOLS),
            Self::Name(number) => write!(f, "function {number} has no name of its own that is taken"),
            Self::Listed(number) => write!(f, "function {number} is no object, or too large"),
            Self::Choice => f.write_str("the function to call is none of those given"),
        }
    }
}

impl std::error::Error for ToolsError {}

impl ToolsError {
    /// What the client can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Count | Self::Listed(_) => "send fewer or smaller functions",
            Self::Name(_) => "give each function a name of letters, digits, `_` and `-`",
            Self::Choice => "name one of the functions that are sent",
        }
    }
}

impl Tools {
    /// Checks all that can be checked without a model.
    ///
    /// # Errors
    /// [`ToolsError`] of the first function that is not taken.
    pub fn new(functions: Vec<Function>, choice: ToolChoice, parallel: bool) -> Result<Self, ToolsError> {
        if functions.is_empty() || functions.len() > limits::TOOLS {
            return Err(ToolsError::Count);
        }
        let mut listed = Vec::with_capacity(functions.len());
        let mut bytes = limits::SCHEMA_BYTES;
        for (number, function) in functions.iter().enumerate() {
            let mut before = functions.iter().take(number);
            if !is_name(&function.name) || before.any(|other| *other.name == *function.name) {
                return Err(ToolsError::Name(number));
            }
            let refused = ToolsError::Listed(number);
            bytes = bytes.checked_sub(function.listed.len()).ok_or(refused)?;
            let tool = bounded::from_slice(function.listed.as_bytes(), limits::SCHEMA_VALUES);
            let mut tool = WipedJson(tool.map_err(|_| refused)?);
            if !tool.0.is_object() {
                return Err(refused);
            }
            // It speaks to the server: no model was trained to read it.
            if let Some(function) = tool.0.get_mut("function").and_then(Value::as_object_mut) {
                function.shift_remove("strict");
            }
            listed.push(tool);
        }
        match choice {
            ToolChoice::Named(number) if number >= functions.len() => Err(ToolsError::Choice),
            _ => Ok(Self {
                functions,
                choice,
                parallel,
                listed,
            }),
        }
    }

    /// The tools as a chat template gets them.
    pub(crate) fn listed(&self) -> impl Iterator<Item = &Value> {
        self.listed.iter().map(|tool| &tool.0)
    }
}

fn is_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=limits::TOOL_NAME).contains(&name.len()) && name.bytes().all(letter)
}
