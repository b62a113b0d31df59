//! `POST /v1/completions`.
//!
//! Why apart: a prompt is taken as it is, without a template.
//!
//! # Invariants
//! One prompt, one answer.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::api::ApiState;
use crate::api::answer::Style;
use crate::api::body::JsonBody;
use crate::api::caller::Caller;
use crate::api::error::ApiError;
use crate::api::fields::{Fields, Text, one_or_many};
use crate::api::generation;
use crate::api::ids;
use crate::api::sampling::{self, Delivery};
use crate::engine::backend::{Order, Prompt};
use crate::limits;

/// Continues a text.
pub(super) async fn complete(
    caller: Caller,
    State(api): State<Arc<ApiState>>,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let (order, delivery) = read(body.text()?, &api)?;
    generation::answer(api, &caller, body, Style::Completion, order, delivery).await
}

fn read(text: &str, api: &ApiState) -> Result<(Order, Delivery), ApiError> {
    let mut fields = Fields::parse(text, None)?;
    api.check_model(&mut fields)?;
    let extension = ids::extension(&mut fields)?;
    let prompt = match extension.prompt_ids {
        // A text beside them is refused with what nobody takes.
        Some(ids) => Prompt::Ids(ids),
        None => Prompt::Text(prompt(&mut fields)?),
    };
    let max_tokens = ("max_tokens", sampling::token_limit(&mut fields, "max_tokens")?);
    let max_tokens = sampling::within(max_tokens, api.limits.max_tokens)?;
    let logprobs = logprobs(&mut fields)?;
    let mut sampling = sampling::sampling(&mut fields, max_tokens, logprobs)?;
    sampling.return_ids = extension.return_ids;
    let delivery = sampling::delivery(&mut fields)?;
    fields.only("echo", false, "false")?;
    fields.only::<u64>("best_of", 1, "1")?;
    fields.finish()?;
    let order = Order {
        prompt,
        tools: None,
        constraint: None,
        sampling,
        most_tokens: limits::COMPLETION_TOKENS.min(api.limits.max_tokens),
    };
    Ok((order, delivery))
}

fn prompt(fields: &mut Fields<'_>) -> Result<Zeroizing<String>, ApiError> {
    let (field, expected) = ("prompt", "a text or a list of one text");
    let value: &RawValue = fields.require(field, expected)?;
    let mut texts = one_or_many::<Text>(value, field, expected)?;
    match (texts.pop(), texts.is_empty()) {
        (Some(Text(text)), true) => Ok(text),
        _ => Err(ApiError::InvalidValue { field, expected }),
    }
}

fn logprobs(fields: &mut Fields<'_>) -> Result<Option<usize>, ApiError> {
    let (field, expected) = ("logprobs", "an integer from 0 to 5");
    match fields.take::<usize>(field, expected)? {
        Some(top) if top > limits::COMPLETION_LOGPROBS => Err(ApiError::InvalidValue { field, expected }),
        other => Ok(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_prompt_is_taken() {
        let read = |json| prompt(&mut Fields::parse(json, None).unwrap()).map(|text| text.to_string());
        assert_eq!(read(r#"{"prompt":"a"}"#).as_deref(), Ok("a"));
        assert_eq!(read(r#"{"prompt":["a"]}"#).as_deref(), Ok("a"));
        for bad in [
            r#"{"prompt":[]}"#,
            r#"{"prompt":["a","b"]}"#,
            r#"{"prompt":[1,2]}"#,
            r#"{"prompt":7}"#,
            r#"{"prompt":null}"#,
            "{}",
        ] {
            assert_eq!(read(bad).unwrap_err().param(), Some("prompt"), "{bad}");
        }
    }
}
