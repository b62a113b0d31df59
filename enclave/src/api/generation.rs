//! From the engine's replies to an answer, whole or as a stream.
//!
//! Why apart: deadline, cancellation and receipt are the same for chat and completions.
//!
//! # Invariants
//! A request that cannot be answered is refused with its status before a stream begins. A stream that cannot
//! be completed ends with an error event, without `[DONE]` and without a receipt. Dropping the response, at any
//! time, cancels the work.

use std::sync::Arc;
use std::time::Duration;

use anchorhold_attestation::receipt;
use anchorhold_models::{Finish, FinishReason};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use crate::api::ApiState;
use crate::api::answer::{self, Envelope, Style, count};
use crate::api::body::JsonBody;
use crate::api::buffer::WipedBuffer;
use crate::api::caller::Caller;
use crate::api::error::ApiError;
use crate::api::sampling::Delivery;
use crate::api::sse::{self, Left, Writer};
use crate::clock::Moment;
use crate::engine::backend::Order;
use crate::engine::job::{Answering, Refusal, Reply};
use crate::limits;
use crate::receipts::{Draft, NoSalt, RECEIPT};

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::QueueFull => Self::QueueFull,
            Refusal::WrongModelKind => Self::WrongModelKind,
            Refusal::NoChatTemplate => Self::NoChatTemplate,
            Refusal::TemplateRefused => Self::TemplateRefused,
            Refusal::ContextExceeded { limit } => Self::ContextExceeded { limit },
            Refusal::NoCapacity => Self::NoCapacity,
            Refusal::NeverFits { needed, total } => Self::ExceedsMemory { needed, total },
            Refusal::EmptyPrompt => Self::EmptyPrompt,
            Refusal::InputTooLong { limit } => Self::InputTooLong { limit },
            Refusal::Sampling { field, bounds } => Self::InvalidValue {
                field,
                expected: bounds,
            },
            Refusal::Form(error) => Self::Form {
                field: "tools",
                error,
            },
            Refusal::FormExceeded => Self::FormExceeded,
            Refusal::LeaseBudget => Self::LeaseBudget,
            Refusal::ShuttingDown => Self::ShuttingDown,
            Refusal::Failed => Self::ModelFailed,
        }
    }
}

impl From<NoSalt> for ApiError {
    fn from(_: NoSalt) -> Self {
        Self::ModelFailed
    }
}

/// Generates what `order` asks for.
///
/// # Errors
/// [`ApiError`], before anything was sent.
pub(super) async fn answer(
    api: Arc<ApiState>,
    caller: &Caller,
    body: JsonBody,
    style: Style,
    order: Order,
    delivery: Delivery,
) -> Result<Response, ApiError> {
    let logprobs = order.sampling.logprobs.is_some();
    let envelope = Envelope::new(style, &api, logprobs, delivery.include_usage)?
        .returning_ids(order.sampling.return_ids);
    let draft = api.receipts.draft(caller.bound, body.bytes())?;
    drop(body);
    api.metrics.request();
    let work = Work {
        answering: api.engine.generate(order)?,
        envelope,
        draft,
    };
    let answer = async {
        if delivery.stream {
            work.streamed(Arc::clone(&api), caller.arrived).await
        } else {
            work.whole().await
        }
    };
    let outcome = tokio::time::timeout(api.time_left(caller.arrived), answer)
        .await
        .unwrap_or(Err(ApiError::Deadline));
    outcome.inspect_err(|error| {
        if error.status().is_server_error() || *error == ApiError::Deadline {
            api.metrics.failed();
        }
    })
}

/// An answer in the making.
struct Work {
    answering: Answering,
    envelope: Envelope,
    draft: Draft,
}

impl Work {
    async fn whole(mut self) -> Result<Response, ApiError> {
        let mut text = WipedBuffer::with_capacity(4096);
        let mut tokens = Vec::new();
        let mut calls = Vec::new();
        let finish = loop {
            match self.answering.next().await {
                Reply::Started => {}
                Reply::Piece(piece) => {
                    text.push(piece.text.as_bytes());
                    self.envelope.gather(&piece);
                    tokens.extend(piece.tokens);
                    answer::gather(piece.calls, &mut calls);
                }
                Reply::Finished(finish) => break finish,
                Reply::Refused(refusal) => return Err(refusal.into()),
            }
        };
        let text = std::str::from_utf8(text.as_slice()).expect("each piece is a string");
        let body = self.envelope.whole(text, &tokens, &calls, finish);
        self.draft.sent(body.as_slice());
        let receipt = sign(self.draft, finish);
        let headers = [
            (CONTENT_TYPE.as_str(), "application/json"),
            (CACHE_CONTROL.as_str(), "no-store"),
            (RECEIPT, &receipt),
        ];
        Ok((headers, body.into_bytes()).into_response())
    }

    /// Waits until the prompt is accepted, so that a refusal has its own status; the rest goes on by itself.
    async fn streamed(mut self, api: Arc<ApiState>, arrived: Moment) -> Result<Response, ApiError> {
        match self.answering.next().await {
            Reply::Refused(refusal) => return Err(refusal.into()),
            Reply::Started | Reply::Piece(_) | Reply::Finished(_) => {}
        }
        let (writer, response) = sse::stream();
        tokio::spawn(async move {
            let left = api.time_left(arrived);
            // Whoever left needs no last word.
            if let Err(Stopped::Failed(error)) = self.feed(&writer, left).await {
                api.metrics.failed();
                let last_word = async {
                    writer.event(&error.to_json()).await?;
                    writer.end().await
                };
                // A reader that takes nothing has its connection closed instead.
                drop(tokio::time::timeout(limits::LAST_WORD, last_word).await);
            }
        });
        Ok(response)
    }

    async fn feed(self, writer: &Writer, time: Duration) -> Result<(), Stopped> {
        tokio::select! {
            // Leaving is looked at first: a fast model must not hide it.
            biased;
            left = writer.left() => Err(left.into()),
            () = tokio::time::sleep(time) => Err(Stopped::Failed(ApiError::Deadline)),
            outcome = self.write(writer) => outcome,
        }
    }

    async fn write(mut self, writer: &Writer) -> Result<(), Stopped> {
        if let Some(opening) = self.envelope.opening() {
            self.send(writer, &opening).await?;
        }
        let finish = loop {
            match self.answering.next().await {
                Reply::Started => {}
                Reply::Piece(piece) => {
                    let chunk = self.envelope.piece(&piece);
                    self.send(writer, &chunk).await?;
                }
                Reply::Finished(finish) => break finish,
                Reply::Refused(refusal) => return Err(Stopped::Failed(refusal.into())),
            }
        };
        let closing = self.envelope.closing(finish.reason);
        self.send(writer, &closing).await?;
        if let Some(counts) = self.envelope.usage(finish.usage) {
            self.send(writer, &counts).await?;
        }
        writer.receipt(&sign(self.draft, finish)).await?;
        writer.done().await?;
        Ok(())
    }

    async fn send(&mut self, writer: &Writer, payload: &WipedBuffer) -> Result<(), Left> {
        self.draft.sent(payload.as_slice());
        writer.event(payload.as_slice()).await
    }
}

fn sign(draft: Draft, finish: Finish) -> String {
    let reason = match finish.reason {
        // Receipts tell who ended it: with calls the model did.
        FinishReason::Stop | FinishReason::ToolCalls => receipt::FinishReason::Stop,
        FinishReason::Length => receipt::FinishReason::Length,
    };
    draft.finish(
        count(finish.usage.prompt_tokens),
        count(finish.usage.completion_tokens),
        reason,
    )
}

/// Why a stream was not completed.
enum Stopped {
    Left,
    Failed(ApiError),
}

impl From<Left> for Stopped {
    fn from(_: Left) -> Self {
        Self::Left
    }
}
