//! `POST /v1/embeddings`.
//!
//! Why apart: the only endpoint of embedders.
//!
//! # Invariants
//! All texts are embedded or none is answered; a text that is too long is refused, never cut.

use std::borrow::Cow;
use std::sync::Arc;

use anchorhold_attestation::receipt::FinishReason;
use anchorhold_models::Embedding;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::api::ApiState;
use crate::api::answer::{count, to_buffer};
use crate::api::body::JsonBody;
use crate::api::caller::Caller;
use crate::api::error::ApiError;
use crate::api::fields::{Fields, Text, one_or_many};
use crate::api::shape::pad_body;
use crate::engine::backend::Abilities;
use crate::engine::job::{Embeddings, Refusal};
use crate::limits;
use crate::receipts::RECEIPT;

/// How numbers are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Encoding {
    /// A list of JSON numbers.
    Float,
    /// Base64 of the numbers, each four bytes, little endian.
    Base64,
}

/// Turns texts into vectors.
pub(super) async fn embed(
    caller: Caller,
    State(api): State<Arc<ApiState>>,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let (texts, encoding) = read(body.text()?, &api)?;
    let mut draft = api.receipts.draft(caller.bound, body.bytes())?;
    drop(body);
    api.metrics.request();
    let wanted = texts.len();
    let embeddings = api.engine.on_account(caller.admitted.account()).embed(texts)?;
    let vectors = tokio::time::timeout(api.time_left(caller.arrived), gather(embeddings, wanted))
        .await
        .map_err(|_| ApiError::Deadline)
        .and_then(|vectors| Ok(vectors?))
        .inspect_err(|error| {
            if error.status().is_server_error() || *error == ApiError::Deadline {
                api.metrics.failed();
            }
        })?;
    let tokens = vectors
        .iter()
        .map(|vector| count(vector.tokens))
        .fold(0, u64::saturating_add);
    let mut document = to_buffer(&Document {
        object: "list",
        data: vectors
            .iter()
            .enumerate()
            .map(|(index, vector)| Item {
                object: "embedding",
                index,
                embedding: Numbers(&vector.values, encoding),
            })
            .collect(),
        model: &api.model_name,
        usage: Counts {
            prompt_tokens: tokens,
            total_tokens: tokens,
        },
    });
    if api.traffic.is_some() {
        pad_body(&mut document);
    }
    draft.sent(document.as_slice());
    let receipt = draft.finish(tokens, 0, FinishReason::None);
    let headers = [
        (CONTENT_TYPE.as_str(), "application/json"),
        (CACHE_CONTROL.as_str(), "no-store"),
        (RECEIPT, &receipt),
    ];
    Ok((headers, document.into_bytes()).into_response())
}

async fn gather(mut embeddings: Embeddings, wanted: usize) -> Result<Vec<Embedding>, Refusal> {
    let mut vectors = Vec::with_capacity(wanted);
    while vectors.len() < wanted {
        vectors.push(embeddings.next().await?);
    }
    Ok(vectors)
}

fn read(text: &str, api: &ApiState) -> Result<(Vec<Zeroizing<String>>, Encoding), ApiError> {
    let mut fields = Fields::parse(text, None)?;
    api.check_model(&mut fields)?;
    let Abilities::Embed { width } = api.engine.abilities() else {
        return Err(ApiError::WrongModelKind);
    };
    let texts = input(&mut fields)?;
    let encoding = encoding(&mut fields)?;
    fields.only(
        "dimensions",
        width,
        "left out: the vectors of this model have one length",
    )?;
    fields.finish()?;
    Ok((texts, encoding))
}

fn input(fields: &mut Fields<'_>) -> Result<Vec<Zeroizing<String>>, ApiError> {
    let (field, expected) = (
        "input",
        "a text or a list of 1 to 2048 texts, none empty; token ids are not taken",
    );
    let value: &RawValue = fields.require(field, expected)?;
    let texts = one_or_many::<Text>(value, field, expected)?;
    let count = 1..=limits::EMBEDDING_INPUTS;
    if !count.contains(&texts.len()) || texts.iter().any(|Text(text)| text.is_empty()) {
        return Err(ApiError::InvalidValue { field, expected });
    }
    Ok(texts.into_iter().map(|Text(text)| text).collect())
}

fn encoding(fields: &mut Fields<'_>) -> Result<Encoding, ApiError> {
    let (field, expected) = ("encoding_format", "`float` or `base64`");
    match fields.take::<Cow<'_, str>>(field, expected)?.as_deref() {
        None | Some("float") => Ok(Encoding::Float),
        Some("base64") => Ok(Encoding::Base64),
        Some(_) => Err(ApiError::InvalidValue { field, expected }),
    }
}

#[derive(Serialize)]
struct Document<'a> {
    object: &'static str,
    data: Vec<Item<'a>>,
    model: &'a str,
    usage: Counts,
}

#[derive(Serialize)]
struct Counts {
    prompt_tokens: u64,
    total_tokens: u64,
}

#[derive(Serialize)]
struct Item<'a> {
    object: &'static str,
    index: usize,
    embedding: Numbers<'a>,
}

struct Numbers<'a>(&'a [f32], Encoding);

impl Serialize for Numbers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(values, encoding) = self;
        match encoding {
            Encoding::Float => values.serialize(serializer),
            Encoding::Base64 => {
                let mut bytes = Zeroizing::new(Vec::with_capacity(values.len().saturating_mul(4)));
                for value in *values {
                    bytes.extend_from_slice(&value.to_le_bytes());
                }
                serializer.serialize_str(&Zeroizing::new(STANDARD.encode(&bytes)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_taken_and_token_ids_are_not() {
        let read = |json| input(&mut Fields::parse(json, None).unwrap()).map(|texts| texts.len());
        assert_eq!(read(r#"{"input":"a"}"#), Ok(1));
        assert_eq!(read(r#"{"input":["a","b"]}"#), Ok(2));
        for bad in [
            r#"{"input":[]}"#,
            r#"{"input":""}"#,
            r#"{"input":["a",""]}"#,
            r#"{"input":[1,2]}"#,
            r#"{"input":[[1]]}"#,
            "{}",
        ] {
            assert_eq!(read(bad).unwrap_err().param(), Some("input"), "{bad}");
        }
    }

    #[test]
    fn numbers_are_written_either_way() {
        let json = |encoding| serde_json::to_string(&Numbers(&[1.0, -0.5], encoding)).unwrap();
        assert_eq!(json(Encoding::Float), "[1.0,-0.5]");
        assert_eq!(json(Encoding::Base64), "\"AACAPwAAAL8=\"");
    }
}
