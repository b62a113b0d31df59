//! The members that chat and completions share: how tokens are chosen, and how the answer travels.
//!
//! Why apart: both endpoints must read them the same way.
//!
//! # Invariants
//! Ranges are OpenAI's where OpenAI has the member; the others' are those in which the number has a meaning.
//! What is absent has OpenAI's default, except the limit of tokens, which is this server's.

use std::ops::RangeInclusive;

use anchorhold_models::SamplingParams;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::api::error::ApiError;
use crate::api::fields::{Fields, Text, one_or_many};
use crate::limits;

/// How an answer travels.
pub(super) struct Delivery {
    /// Event by event.
    pub(super) stream: bool,
    /// A stream ends with its token counts.
    pub(super) include_usage: bool,
}

const AT_LEAST_ONE: &str = "an integer of at least 1";

/// The limit of tokens that `name` gives.
pub(super) fn token_limit(fields: &mut Fields<'_>, name: &'static str) -> Result<Option<usize>, ApiError> {
    match fields.take::<usize>(name, AT_LEAST_ONE)? {
        Some(0) => Err(ApiError::InvalidValue {
            field: name,
            expected: AT_LEAST_ONE,
        }),
        other => Ok(other),
    }
}

/// Refuses a limit of tokens that is above this server's.
pub(super) fn within(
    (field, tokens): (&'static str, Option<usize>),
    limit: usize,
) -> Result<Option<usize>, ApiError> {
    if tokens.is_some_and(|tokens| tokens > limit) {
        return Err(ApiError::AboveLimit { field, limit });
    }
    Ok(tokens)
}

/// Takes the shared members about sampling. `max_tokens` and `logprobs` have been read by the endpoint, whose
/// names for them differ.
pub(super) fn sampling(
    fields: &mut Fields<'_>,
    max_tokens: Option<usize>,
    logprobs: Option<usize>,
) -> Result<SamplingParams, ApiError> {
    Ok(SamplingParams {
        temperature: number(fields, "temperature", 1.0, 0.0..=2.0, "a number from 0 to 2")?,
        top_p: number(
            fields,
            "top_p",
            1.0,
            f32::MIN_POSITIVE..=1.0,
            "a number above 0 and at most 1",
        )?,
        top_k: token_limit(fields, "top_k")?,
        min_p: number(fields, "min_p", 0.0, 0.0..=1.0, "a number from 0 to 1")?,
        // Negative seeds are OpenAI's too: the same 64 bits.
        seed: fields
            .take::<i64>("seed", "a 64-bit integer")?
            .map(i64::cast_unsigned),
        stop: stop(fields)?,
        max_tokens,
        repetition_penalty: repetition_penalty(fields)?,
        presence_penalty: penalty(fields, "presence_penalty")?,
        frequency_penalty: penalty(fields, "frequency_penalty")?,
        logprobs,
        return_ids: false,
    })
}

/// Takes the shared members about everything else.
pub(super) fn delivery(fields: &mut Fields<'_>) -> Result<Delivery, ApiError> {
    fields.only::<u64>("n", 1, "1: ask again for another answer")?;
    fields.only("store", false, "false: nothing is stored here")?;
    let stream = fields.take("stream", "true or false")?.unwrap_or(false);
    Ok(Delivery {
        stream,
        include_usage: include_usage(fields, stream)?,
    })
}

fn number(
    fields: &mut Fields<'_>,
    name: &'static str,
    default: f32,
    range: RangeInclusive<f32>,
    expected: &'static str,
) -> Result<f32, ApiError> {
    match fields.take::<f32>(name, expected)? {
        None => Ok(default),
        Some(value) if range.contains(&value) => Ok(value),
        Some(_) => Err(ApiError::InvalidValue {
            field: name,
            expected,
        }),
    }
}

fn penalty(fields: &mut Fields<'_>, name: &'static str) -> Result<f32, ApiError> {
    number(fields, name, 0.0, -2.0..=2.0, "a number from -2 to 2")
}

fn repetition_penalty(fields: &mut Fields<'_>) -> Result<f32, ApiError> {
    let name = "repetition_penalty";
    // It divides: nothing near 0 has a meaning.
    number(fields, name, 1.0, 0.01..=10.0, "a number from 0.01 to 10")
}

fn stop(fields: &mut Fields<'_>) -> Result<Vec<Zeroizing<String>>, ApiError> {
    let (field, expected) = (
        "stop",
        "a text or a list of at most 4 texts, each of 1 to 256 bytes",
    );
    let refused = ApiError::InvalidValue { field, expected };
    let Some(value) = fields.take::<&RawValue>(field, expected)? else {
        return Ok(Vec::new());
    };
    let texts = one_or_many::<Text>(value, field, expected)?;
    let fits = |text: &Text| (1..=limits::STOP_BYTES).contains(&text.0.len());
    if texts.len() > limits::STOP_TEXTS || !texts.iter().all(fits) {
        return Err(refused);
    }
    Ok(texts.into_iter().map(|text| text.0).collect())
}

fn include_usage(fields: &mut Fields<'_>, stream: bool) -> Result<bool, ApiError> {
    let (field, expected) = ("stream_options", "an object, and only where `stream` is true");
    let Some(value) = fields.take::<&RawValue>(field, expected)? else {
        return Ok(false);
    };
    if !stream {
        return Err(ApiError::InvalidValue { field, expected });
    }
    let mut options = Fields::parse(value.get(), Some(field))?;
    let include_usage = options.take("include_usage", "true or false")?.unwrap_or(false);
    options.only("include_obfuscation", false, "false")?;
    options.finish()?;
    Ok(include_usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<(SamplingParams, Delivery), ApiError> {
        let mut fields = Fields::parse(json, None)?;
        let read = (sampling(&mut fields, None, None)?, delivery(&mut fields)?);
        fields.finish()?;
        Ok(read)
    }

    #[test]
    fn what_is_absent_has_openais_default() {
        let (sampling, delivery) = read("{}").unwrap();
        assert_eq!(
            (sampling.temperature, sampling.top_p, sampling.min_p),
            (1.0, 1.0, 0.0)
        );
        assert_eq!(
            (sampling.top_k, sampling.seed, sampling.logprobs),
            (None, None, None)
        );
        assert_eq!(sampling.repetition_penalty, 1.0);
        assert_eq!(
            (sampling.presence_penalty, sampling.frequency_penalty),
            (0.0, 0.0)
        );
        assert!(sampling.stop.is_empty() && !delivery.stream && !delivery.include_usage);
    }

    #[test]
    fn each_number_is_taken_within_its_range_only() {
        for (good, bad) in [
            ("\"temperature\":2", "\"temperature\":2.01"),
            ("\"temperature\":0", "\"temperature\":-0.1"),
            ("\"top_p\":0.5", "\"top_p\":1.1"),
            ("\"top_p\":1", "\"top_p\":0"),
            ("\"top_k\":1", "\"top_k\":0"),
            ("\"min_p\":1", "\"min_p\":-1"),
            ("\"seed\":-7", "\"seed\":1.5"),
            ("\"presence_penalty\":-2", "\"presence_penalty\":-2.1"),
            ("\"frequency_penalty\":2", "\"frequency_penalty\":3"),
            ("\"repetition_penalty\":1.1", "\"repetition_penalty\":0"),
            ("\"n\":1", "\"n\":2"),
            ("\"stop\":\"a\"", "\"stop\":\"\""),
            (
                "\"stop\":[\"a\",\"b\"]",
                "\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\"]",
            ),
            ("\"stop\":null", "\"stop\":[1]"),
            ("\"stream\":true", "\"stream\":1"),
            (
                "\"stream\":true,\"stream_options\":{\"include_usage\":true}",
                "\"stream_options\":{}",
            ),
            ("\"store\":false", "\"store\":true"),
            ("\"temperature\":1e0", "\"temperature\":1e99"),
            ("\"temperature\":0.7", "\"temperature\":\"0.7\""),
        ] {
            assert!(read(&format!("{{{good}}}")).is_ok(), "{good}");
            assert!(
                matches!(read(&format!("{{{bad}}}")), Err(ApiError::InvalidValue { .. })),
                "{bad}"
            );
        }
    }

    #[test]
    fn ten_thousand_stop_texts_are_refused_in_words() {
        let texts = vec!["\"x\""; 10_000].join(",");
        assert_eq!(
            read(&format!("{{\"stop\":[{texts}]}}"))
                .err()
                .and_then(ApiError::param),
            Some("stop")
        );
    }

    #[test]
    fn more_tokens_than_the_limit_are_refused() {
        assert_eq!(within(("max_tokens", Some(8)), 8), Ok(Some(8)));
        assert_eq!(within(("max_tokens", None), 8), Ok(None));
        assert_eq!(
            within(("max_tokens", Some(9)), 8),
            Err(ApiError::AboveLimit {
                field: "max_tokens",
                limit: 8
            })
        );
    }
}
