//! `POST /v1/chat/completions`.
//!
//! Why apart: messages exist here only.
//!
//! # Invariants
//! Roles and kinds of content that the engine does not know are refused by name.

use std::borrow::Cow;
use std::sync::Arc;

use anchorhold_models::{ChatMessage, Role, ToolCall};
use axum::extract::State;
use axum::response::Response;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::api::ApiState;
use crate::api::answer::Style;
use crate::api::body::JsonBody;
use crate::api::caller::Caller;
use crate::api::error::ApiError;
use crate::api::fields::{Fields, Text};
use crate::api::form::{self, Form};
use crate::api::generation;
use crate::api::ids;
use crate::api::sampling::{self, Delivery};
use crate::engine::backend::{Order, Prompt};
use crate::limits;

/// Answers the last message of a chat.
pub(super) async fn complete(
    caller: Caller,
    State(api): State<Arc<ApiState>>,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let (mut order, delivery, form) = read(body.text()?, &api)?;
    match form.make(&api, caller.arrived).await {
        Ok(constraint) => order.constraint = constraint,
        Err(error) => {
            let logprobs = order.sampling.logprobs;
            return generation::refuse(error, body.ticks, logprobs, &delivery).await;
        }
    }
    generation::answer(api, &caller, body, Style::Chat, order, delivery).await
}

fn read(text: &str, api: &ApiState) -> Result<(Order, Delivery, Form), ApiError> {
    let mut fields = Fields::parse(text, None)?;
    api.check_model(&mut fields)?;
    let extension = ids::extension(&mut fields)?;
    let by_ids = extension.prompt_ids.is_some() || extension.return_ids;
    let prompt = match extension.prompt_ids {
        // Messages beside them are refused with what nobody takes.
        Some(ids) => Prompt::Ids(ids),
        None => Prompt::Chat(messages(&mut fields)?),
    };
    let max_tokens = sampling::within(max_tokens(&mut fields)?, api.limits.max_tokens)?;
    let logprobs = logprobs(&mut fields)?;
    let mut sampling = sampling::sampling(&mut fields, max_tokens, logprobs)?;
    sampling.return_ids = extension.return_ids;
    let delivery = sampling::delivery(&mut fields)?;
    let form = Form::take(&mut fields)?;
    if by_ids && form.tools().is_some() {
        // The template tells of tools, and calls are read out of text: neither is here.
        return Err(ApiError::InvalidValue {
            field: "tools",
            expected: "none beside `anchorhold`: with ids, tools are the caller's own",
        });
    }
    fields.only("modalities", vec![Cow::Borrowed("text")], "[\"text\"]")?;
    fields.finish()?;
    let order = Order {
        prompt,
        tools: form.tools(),
        constraint: None,
        sampling,
        most_tokens: api.limits.max_tokens,
    };
    Ok((order, delivery, form))
}

/// The limit of tokens under its old or its new name, and which.
fn max_tokens(fields: &mut Fields<'_>) -> Result<(&'static str, Option<usize>), ApiError> {
    let (old, new) = ("max_tokens", "max_completion_tokens");
    match (
        sampling::token_limit(fields, old)?,
        sampling::token_limit(fields, new)?,
    ) {
        (Some(_), Some(_)) => Err(ApiError::InvalidValue {
            field: old,
            expected: "left out where `max_completion_tokens` is given",
        }),
        (Some(limit), None) => Ok((old, Some(limit))),
        (None, limit) => Ok((new, limit)),
    }
}

fn logprobs(fields: &mut Fields<'_>) -> Result<Option<usize>, ApiError> {
    let (field, expected) = (
        "top_logprobs",
        "an integer from 0 to 20, where `logprobs` is true",
    );
    let asked = fields.take("logprobs", "true or false")?.unwrap_or(false);
    match (asked, fields.take::<usize>(field, expected)?) {
        (false, None) => Ok(None),
        (true, top) if top.unwrap_or(0) <= limits::TOP_LOGPROBS => Ok(Some(top.unwrap_or(0))),
        _ => Err(ApiError::InvalidValue { field, expected }),
    }
}

fn messages(fields: &mut Fields<'_>) -> Result<Vec<ChatMessage>, ApiError> {
    let (field, expected) = ("messages", "a list of 1 to 4096 messages");
    let list: Vec<&RawValue> = fields.require(field, expected)?;
    if list.is_empty() || list.len() > limits::MESSAGES {
        return Err(ApiError::InvalidValue { field, expected });
    }
    list.into_iter().map(message).collect()
}

fn message(value: &RawValue) -> Result<ChatMessage, ApiError> {
    let mut fields = Fields::parse(value.get(), Some("messages"))?;
    let (field, expected) = ("role", "`system`, `developer`, `user`, `assistant` or `tool`");
    let role = match &*fields.require::<Cow<'_, str>>(field, expected)? {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        _ => return Err(ApiError::InvalidValue { field, expected }),
    };
    let mut message = ChatMessage::new(role, Zeroizing::new(String::new()));
    match role {
        Role::Assistant => message.calls = calls(&mut fields)?,
        Role::Tool => message.call_id = Some(fields.require::<Text>("tool_call_id", "a text")?.0),
        Role::System | Role::User => {}
    }
    // Who calls functions need not say anything.
    match content(&mut fields) {
        Err(ApiError::MissingField(_)) if !message.calls.is_empty() => {}
        content => message.content = content?,
    }
    fields.finish()?;
    Ok(message)
}

/// The functions that the model called earlier.
fn calls(fields: &mut Fields<'_>) -> Result<Vec<ToolCall>, ApiError> {
    let (field, expected) = ("tool_calls", "a list of 1 to 128 calls of functions");
    let Some(list) = fields.take::<Vec<&RawValue>>(field, expected)? else {
        return Ok(Vec::new());
    };
    if list.is_empty() || list.len() > limits::MESSAGE_CALLS {
        return Err(ApiError::InvalidValue { field, expected });
    }
    list.into_iter().map(call).collect()
}

fn call(value: &RawValue) -> Result<ToolCall, ApiError> {
    let mut fields = Fields::parse(value.get(), Some("tool_calls"))?;
    let Text(id) = fields.require("id", "a text")?;
    form::function_type(&mut fields)?;
    let mut function = Fields::parse(
        fields.require::<&RawValue>("function", "an object")?.get(),
        Some("function"),
    )?;
    fields.finish()?;
    let Text(name) = function.require("name", "a text")?;
    let (field, expected) = ("arguments", "a JSON object as a text");
    let Text(arguments) = function.require(field, expected)?;
    function.finish()?;
    ToolCall::new(id, name, &arguments).ok_or(ApiError::InvalidValue { field, expected })
}

/// A text, or parts of text that a line break joins.
fn content(fields: &mut Fields<'_>) -> Result<Zeroizing<String>, ApiError> {
    let (field, expected) = ("content", "a text or a list of parts of type `text`");
    let refused = ApiError::InvalidValue { field, expected };
    let value: &RawValue = fields.require(field, expected)?;
    if !value.get().starts_with('[') {
        return serde_json::from_str(value.get())
            .map(|Text(text)| text)
            .map_err(|_| refused);
    }
    let list: Vec<&RawValue> = serde_json::from_str(value.get()).map_err(|_| refused)?;
    if list.is_empty() || list.len() > limits::CONTENT_PARTS {
        return Err(refused);
    }
    let parts = list
        .into_iter()
        .map(part)
        .collect::<Result<Vec<Text>, ApiError>>()?;
    // All at once, so that no smaller block is left behind.
    let length = parts.iter().map(|Text(text)| text.len().saturating_add(1)).sum();
    let mut joined = Zeroizing::new(String::with_capacity(length));
    for (index, Text(text)) in parts.iter().enumerate() {
        if index > 0 {
            joined.push('\n');
        }
        joined.push_str(text);
    }
    Ok(joined)
}

fn part(value: &RawValue) -> Result<Text, ApiError> {
    let mut fields = Fields::parse(value.get(), Some("content"))?;
    let (field, expected) = ("type", "`text`: other content is not supported");
    if fields.require::<Cow<'_, str>>(field, expected)? != "text" {
        return Err(ApiError::InvalidValue { field, expected });
    }
    let text = fields.require("text", "a text")?;
    fields.finish()?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_messages(json: &str) -> Result<Vec<(Role, String)>, ApiError> {
        let mut fields = Fields::parse(json, None)?;
        let messages = messages(&mut fields)?;
        fields.finish()?;
        Ok(messages
            .into_iter()
            .map(|message| (message.role, message.content.to_string()))
            .collect())
    }

    #[test]
    fn texts_and_parts_are_content() {
        let read = read_messages(
            r#"{"messages":[
                {"role":"developer","content":"d"},
                {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b\u00e9"}]},
                {"role":"assistant","content":"","refusal":null,"annotations":null,
                    "audio":null,"function_call":null,"tool_calls":null},
                {"role":"assistant","content":null,"tool_calls":[
                    {"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},
                {"role":"tool","tool_call_id":"c","content":"42"}]}"#,
        );
        let expected = [
            (Role::System, "d".to_owned()),
            (Role::User, "a\nbé".to_owned()),
            (Role::Assistant, String::new()),
            (Role::Assistant, String::new()),
            (Role::Tool, "42".to_owned()),
        ];
        assert_eq!(read, Ok(expected.to_vec()));
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        for (json, param) in [
            (r#"{}"#, "messages"),
            (r#"{"messages":[]}"#, "messages"),
            (r#"{"messages":"x"}"#, "messages"),
            (r#"{"messages":["x"]}"#, "messages"),
            (r#"{"messages":[{"content":"x"}]}"#, "role"),
            (r#"{"messages":[{"role":"tool","content":"x"}]}"#, "tool_call_id"),
            (r#"{"messages":[{"role":"function","content":"x"}]}"#, "role"),
            (
                r#"{"messages":[{"role":"user","content":"x","tool_call_id":"c"}]}"#,
                "tool_call_id",
            ),
            (
                r#"{"messages":[{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]}]}"#,
                "type",
            ),
            (
                r#"{"messages":[{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"[]"}}]}]}"#,
                "arguments",
            ),
            (
                r#"{"messages":[{"role":"assistant","tool_calls":[{"type":"function","function":{"name":"f","arguments":"{}"}}]}]}"#,
                "id",
            ),
            (r#"{"messages":[{"role":"user"}]}"#, "content"),
            (r#"{"messages":[{"role":"user","content":null}]}"#, "content"),
            (r#"{"messages":[{"role":"user","content":[]}]}"#, "content"),
            (r#"{"messages":[{"role":"user","content":["x"]}]}"#, "content"),
            (
                r#"{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}"#,
                "type",
            ),
            (
                r#"{"messages":[{"role":"user","content":[{"type":"text"}]}]}"#,
                "text",
            ),
            (
                r#"{"messages":[{"role":"user","content":"x","name":"n"}]}"#,
                "name",
            ),
            (
                r#"{"messages":[{"role":"assistant","content":"x","tool_calls":[]}]}"#,
                "tool_calls",
            ),
            (
                r#"{"messages":[{"role":"assistant","content":"x","annotations":[]}]}"#,
                "annotations",
            ),
        ] {
            let error = read_messages(json).unwrap_err();
            assert_eq!(error.param(), Some(param), "{json}");
        }
    }

    #[test]
    fn logprobs_are_a_pair() {
        let read = |json| logprobs(&mut Fields::parse(json, None).unwrap());
        assert_eq!(read("{}"), Ok(None));
        assert_eq!(read(r#"{"logprobs":true}"#), Ok(Some(0)));
        assert_eq!(read(r#"{"logprobs":true,"top_logprobs":20}"#), Ok(Some(20)));
        assert!(read(r#"{"logprobs":true,"top_logprobs":21}"#).is_err());
        assert!(read(r#"{"top_logprobs":1}"#).is_err());
        assert!(read(r#"{"logprobs":1}"#).is_err());
    }
}
