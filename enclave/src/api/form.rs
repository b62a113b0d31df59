//! What an answer is held to: `response_format`, `tools`, `tool_choice`, `parallel_tool_calls`.
//!
//! Why apart: they are read with a request, and made into a grammar before the model hears of it.
//!
//! `strict` changes nothing: every schema is kept to, or refused.
//!
//! # Invariants
//! Schemas go from the body into wiped texts, and nothing of them into an error.

use std::borrow::Cow;
use std::sync::Arc;

use anchorhold_models::{
    Constraint, ConstraintError, Format, Function, Output, ToolChoice, Tools, ToolsError,
};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::api::ApiState;
use crate::api::error::ApiError;
use crate::api::fields::{Fields, Text};
use crate::clock::Moment;
use crate::engine::job::Refusal;
use crate::limits;

/// The form of an answer, as it was asked for.
pub(super) enum Form {
    /// Any text.
    Text,
    /// Of `response_format`.
    Json(Format),
    /// Of `tools`.
    Calls(Arc<Tools>),
    /// Of `tools`, or text of `response_format`.
    Either(Arc<Tools>, Format),
}

impl Form {
    /// Takes the members that say it.
    pub(super) fn take(fields: &mut Fields<'_>) -> Result<Self, ApiError> {
        let format = response_format(fields)?;
        let tools = tools(fields)?;
        match (format, tools) {
            (None, None) => Ok(Self::Text),
            (Some(format), None) => Ok(Self::Json(format)),
            (None, Some(tools)) => Ok(Self::Calls(tools)),
            (Some(format), Some(tools)) => Ok(Self::Either(tools, format)),
        }
    }

    /// The tools that the model is told of.
    pub(super) fn tools(&self) -> Option<Arc<Tools>> {
        match self {
            Self::Calls(tools) | Self::Either(tools, _) => Some(Arc::clone(tools)),
            Self::Text | Self::Json(_) => None,
        }
    }

    /// Makes the grammar, within the time of the request.
    pub(super) async fn make(self, api: &ApiState, arrived: Moment) -> Result<Option<Constraint>, ApiError> {
        let (field, output) = match self {
            Self::Text => return Ok(None),
            Self::Json(format) => ("response_format", Output::Json(format)),
            Self::Calls(tools) => ("tools", Output::Tools(tools)),
            Self::Either(tools, format) => ("tools", Output::Either(tools, format)),
        };
        let made = tokio::time::timeout(api.time_left(arrived), api.engine.form(output)).await;
        match made.map_err(|_| ApiError::Deadline)? {
            Ok(constraint) => Ok(Some(constraint)),
            Err(Refusal::Form(error)) => Err(ApiError::Form {
                field: match error {
                    ConstraintError::Schema { tool: None, .. } => "response_format",
                    _ => field,
                },
                error,
            }),
            Err(refusal) => Err(refusal.into()),
        }
    }
}

/// `type`, where a function is all it can be.
pub(super) fn function_type(fields: &mut Fields<'_>) -> Result<(), ApiError> {
    let (field, expected) = ("type", "`function`: other tools are not supported");
    match &*fields.require::<Cow<'_, str>>(field, expected)? {
        "function" => Ok(()),
        _ => Err(ApiError::InvalidValue { field, expected }),
    }
}

fn response_format(fields: &mut Fields<'_>) -> Result<Option<Format>, ApiError> {
    const FIELD: &str = "response_format";
    let Some(value) = fields.take::<&RawValue>(FIELD, "an object")? else {
        return Ok(None);
    };
    let mut format = Fields::parse(value.get(), Some(FIELD))?;
    let (field, expected) = ("type", "`text`, `json_object` or `json_schema`");
    let kind: Cow<'_, str> = format.require(field, expected)?;
    let asked = match &*kind {
        "text" => None,
        "json_object" => Some(Format::Object),
        "json_schema" => Some(Format::Schema(json_schema(&mut format)?)),
        _ => return Err(ApiError::InvalidValue { field, expected }),
    };
    format.finish()?;
    Ok(asked)
}

fn json_schema(format: &mut Fields<'_>) -> Result<Zeroizing<String>, ApiError> {
    const FIELD: &str = "json_schema";
    let value: &RawValue = format.require(FIELD, "an object")?;
    let mut named = Fields::parse(value.get(), Some(FIELD))?;
    // It names the schema for whoever reads the request.
    let (field, expected) = ("name", "1 to 64 letters, digits, `_` or `-`");
    let Text(name) = named.require(field, expected)?;
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !(1..=64).contains(&name.len()) || !name.bytes().all(letter) {
        return Err(ApiError::InvalidValue { field, expected });
    }
    described(&mut named)?;
    let schema: &RawValue = named.require("schema", "a JSON Schema")?;
    named.finish()?;
    Ok(Zeroizing::new(schema.get().to_owned()))
}

/// Members that change nothing, and must be of their types.
fn described(fields: &mut Fields<'_>) -> Result<(), ApiError> {
    let _: Option<Text> = fields.take("description", "a text")?;
    let _: Option<bool> = fields.take("strict", "true or false")?;
    Ok(())
}

/// The tools that the model may call, unless it may not.
fn tools(fields: &mut Fields<'_>) -> Result<Option<Arc<Tools>>, ApiError> {
    let (field, expected) = ("tools", "a list of 1 to 128 tools");
    let list = fields.take::<Vec<&RawValue>>(field, expected)?;
    let parallel = fields.take::<bool>("parallel_tool_calls", "true or false")?;
    let Some(list) = list else {
        let choice: Option<Cow<'_, str>> = fields.take("tool_choice", "`none` where there are no `tools`")?;
        return match (choice.as_deref(), parallel) {
            (None | Some("none"), None) => Ok(None),
            (_, Some(_)) => Err(ApiError::InvalidValue {
                field: "parallel_tool_calls",
                expected: "left out where there are no `tools`",
            }),
            _ => Err(ApiError::InvalidValue {
                field: "tool_choice",
                expected: "`none` where there are no `tools`",
            }),
        };
    };
    if list.is_empty() || list.len() > limits::TOOLS {
        return Err(ApiError::InvalidValue { field, expected });
    }
    let functions = list.into_iter().map(function).collect::<Result<Vec<_>, _>>()?;
    let choice = choice(fields, &functions)?;
    // Read all the same: what is wrong is refused, whether it is used or not.
    let used = choice.unwrap_or(ToolChoice::Auto);
    let tools = Tools::new(functions, used, parallel.unwrap_or(true)).map_err(|error| match error {
        ToolsError::Count => ApiError::InvalidValue { field, expected },
        ToolsError::Name(_) => ApiError::InvalidValue {
            field,
            expected: "functions, each with a name of its own of 1 to 64 letters, digits, `_` or `-`",
        },
        ToolsError::Listed(_) => ApiError::InvalidValue {
            field,
            expected: "at most 128 KiB and 8192 values in all",
        },
        ToolsError::Choice => UNKNOWN,
    })?;
    Ok(choice.map(|_| Arc::new(tools)))
}

fn function(value: &RawValue) -> Result<Function, ApiError> {
    let mut tool = Fields::parse(value.get(), Some("tools"))?;
    function_type(&mut tool)?;
    let inside: &RawValue = tool.require("function", "an object")?;
    tool.finish()?;
    let mut function = Fields::parse(inside.get(), Some("function"))?;
    let Text(name) = function.require("name", "a text")?;
    described(&mut function)?;
    let parameters: Option<&RawValue> = function.take("parameters", "a JSON Schema")?;
    function.finish()?;
    Ok(Function {
        name,
        parameters: parameters.map(|schema| Zeroizing::new(schema.get().to_owned())),
        listed: Zeroizing::new(value.get().to_owned()),
    })
}

const UNKNOWN: ApiError = ApiError::InvalidValue {
    field: "tool_choice",
    expected: "`none`, `auto`, `required` or a function of `tools`",
};

/// None where the model may call nothing.
fn choice(fields: &mut Fields<'_>, functions: &[Function]) -> Result<Option<ToolChoice>, ApiError> {
    const FIELD: &str = "tool_choice";
    let Some(value) = fields.take::<&RawValue>(FIELD, "a text or an object")? else {
        return Ok(Some(ToolChoice::Auto));
    };
    if !value.get().starts_with('{') {
        return match serde_json::from_str::<Cow<'_, str>>(value.get()).as_deref() {
            Ok("none") => Ok(None),
            Ok("auto") => Ok(Some(ToolChoice::Auto)),
            Ok("required") => Ok(Some(ToolChoice::Required)),
            _ => Err(UNKNOWN),
        };
    }
    let mut named = Fields::parse(value.get(), Some(FIELD))?;
    function_type(&mut named)?;
    let inside: &RawValue = named.require("function", "an object")?;
    named.finish()?;
    let mut function = Fields::parse(inside.get(), Some("function"))?;
    let Text(name) = function.require("name", "a text")?;
    function.finish()?;
    let number = functions.iter().position(|function| *function.name == *name);
    Ok(Some(ToolChoice::Named(number.ok_or(UNKNOWN)?)))
}

#[cfg(test)]
mod tests;
