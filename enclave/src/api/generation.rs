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
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use crate::api::ApiState;
use crate::api::answer::{self, Envelope, Style, count};
use crate::api::body::JsonBody;
use crate::api::buffer::WipedBuffer;
use crate::api::caller::Caller;
use crate::api::error::ApiError;
use crate::api::frames::Frames;
use crate::api::sampling::Delivery;
use crate::api::shape::{Paced, pad_body};
use crate::api::sse::{self, Left, Writer};
use crate::auth::Admitted;
use crate::clock::Moment;
use crate::engine::backend::Order;
use crate::engine::job::{Answering, Refusal, Reply};
use crate::limits;
use crate::receipts::{Draft, NoSalt, RECEIPT};
use crate::traffic::Ticks;

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
    let logprobs = order.sampling.logprobs;
    let envelope = Envelope::new(style, &api, logprobs.is_some(), delivery.include_usage)?
        .returning_ids(order.sampling.return_ids);
    let draft = api.receipts.draft(caller.bound, body.bytes())?;
    let ticks = body.ticks;
    drop(body);
    api.metrics.request();
    let answer = async {
        let work = Work {
            answering: api.engine.on_account(caller.admitted.account()).generate(order)?,
            admitted: caller.admitted.clone(),
            envelope,
            draft,
        };
        match (delivery.stream, ticks) {
            (true, Some(ticks)) => work.paced(&api, caller.arrived, ticks, lanes(logprobs)).await,
            (true, None) => work.streamed(Arc::clone(&api), caller.arrived).await,
            (false, ticks) => work.whole(ticks.is_some()).await,
        }
    };
    let outcome = tokio::time::timeout(api.time_left(caller.arrived), answer)
        .await
        .unwrap_or(Err(ApiError::Deadline))
        .inspect_err(|error| {
            if error.status().is_server_error() || *error == ApiError::Deadline {
                api.metrics.failed();
            }
        });
    match outcome {
        Err(error) => refuse(error, ticks, logprobs, &delivery).await,
        answer => answer,
    }
}

/// Refuses a request in the shape that its answer would have had.
///
/// # Errors
/// `error`, where no stream was asked for.
pub(super) async fn refuse(
    error: ApiError,
    ticks: Option<Ticks>,
    logprobs: Option<usize>,
    delivery: &Delivery,
) -> Result<Response, ApiError> {
    match ticks {
        Some(ticks) if delivery.stream => Ok(paced_refusal(error, ticks, lanes(logprobs)).await),
        _ => Err(error),
    }
}

/// Frames of each beat. Log-probabilities have some 70 bytes for each alternative of each token.
fn lanes(logprobs: Option<usize>) -> usize {
    logprobs.map_or(1, |alternatives| alternatives.div_ceil(2).saturating_add(1))
}

/// An error with its status, in the shape of a stream.
async fn paced_refusal(error: ApiError, ticks: Ticks, lanes: usize) -> Response {
    let (mut parts, _) = error.into_response().into_parts();
    let first = ticks.next();
    let (writer, stream) = sse::stream();
    let mut frames = Frames::of_document(writer, ticks, lanes, first, &error.to_json());
    tokio::spawn(async move { frames.end(b"").await });
    parts.headers.remove(CONTENT_LENGTH);
    parts.extensions.insert(Paced);
    ticks.reach(first).await;
    Response::from_parts(parts, stream.into_body())
}

/// An answer in the making.
struct Work {
    answering: Answering,
    envelope: Envelope,
    draft: Draft,
    /// Its place in its account.
    admitted: Admitted,
}

impl Work {
    async fn whole(mut self, padded: bool) -> Result<Response, ApiError> {
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
        let mut body = self.envelope.whole(text, &tokens, &calls, finish);
        if padded {
            pad_body(&mut body);
        }
        self.draft.sent(body.as_slice());
        let receipt = sign(self.draft, finish);
        let headers = [
            (CONTENT_TYPE.as_str(), "application/json"),
            (CACHE_CONTROL.as_str(), "no-store"),
            (RECEIPT, &receipt),
        ];
        Ok((headers, body.into_bytes()).into_response())
    }

    /// Waits until the prompt is accepted, so that a refusal has its own status.
    async fn started(&mut self) -> Result<(), ApiError> {
        match self.answering.next().await {
            Reply::Refused(refusal) => Err(refusal.into()),
            Reply::Started | Reply::Piece(_) | Reply::Finished(_) => Ok(()),
        }
    }

    /// A stream of frames at the beats of `ticks`; the head leaves with the first of them.
    async fn paced(
        mut self,
        api: &Arc<ApiState>,
        arrived: Moment,
        ticks: Ticks,
        lanes: usize,
    ) -> Result<Response, ApiError> {
        self.started().await?;
        let left = api.time_left(arrived);
        let first = ticks.next();
        let most = ticks.shape().ticks_in(left);
        let (writer, mut response) = sse::stream();
        response.extensions_mut().insert(Paced);
        let mut frames = Frames::of_events(writer, ticks, lanes, first, most);
        let (api, admitted) = (Arc::clone(api), self.admitted.clone());
        tokio::spawn(async move {
            let writer = frames.writer();
            let answer = async {
                let said = tokio::time::timeout(left, self.say(&mut frames)).await;
                let last: &[u8] = match said.unwrap_or(Err(Stopped::Failed(ApiError::Deadline))) {
                    Ok(()) => sse::DONE,
                    Err(Stopped::Left) => return,
                    Err(Stopped::Failed(error)) => {
                        api.metrics.failed();
                        frames.event(&error.to_json());
                        b""
                    }
                };
                // Whoever left needs no last word.
                let _ = frames.end(last).await;
            };
            tokio::select! {
                // Leaving is looked at first: a fast model must not hide it.
                biased;
                _ = writer.left() => {}
                () = answer => {}
            }
            // Until the last frame: when an answer was really ready is nobody's business.
            drop(admitted);
        });
        ticks.reach(first).await;
        Ok(response)
    }

    /// Says all that is to be said, at each beat what is there and fits.
    async fn say(mut self, frames: &mut Frames) -> Result<(), Stopped> {
        if let Some(opening) = self.envelope.opening() {
            self.append(frames, &opening);
        }
        loop {
            frames.reach().await;
            if let Some(finish) = self.gather(frames)? {
                let closing = self.envelope.closing(finish.reason);
                self.append(frames, &closing);
                if let Some(counts) = self.envelope.usage(finish.usage) {
                    self.append(frames, &counts);
                }
                frames.receipt(&sign(self.draft, finish));
                return Ok(());
            }
            frames.send().await?;
        }
    }

    /// Appends what has come, as one event, while the next beat has room for it; gives the end, if it has come.
    fn gather(&mut self, frames: &mut Frames) -> Result<Option<Finish>, Stopped> {
        let mut pieces = Vec::new();
        let mut room = frames.room();
        let mut finished = Ok(None);
        while room > 0 {
            match self.answering.try_next() {
                None => break,
                Some(Reply::Started) => {}
                Some(Reply::Piece(piece)) => {
                    room = room.saturating_sub(answer::weight(&piece));
                    pieces.push(piece);
                }
                Some(Reply::Finished(finish)) => {
                    finished = Ok(Some(finish));
                    break;
                }
                Some(Reply::Refused(refusal)) => {
                    finished = Err(Stopped::Failed(refusal.into()));
                    break;
                }
            }
        }
        if !pieces.is_empty() {
            let chunk = self.envelope.piece(&answer::merged(pieces));
            self.append(frames, &chunk);
        }
        finished
    }

    fn append(&mut self, frames: &mut Frames, payload: &WipedBuffer) {
        self.draft.sent(payload.as_slice());
        frames.event(payload.as_slice());
    }

    /// A stream of events as they come; the rest goes on by itself.
    async fn streamed(mut self, api: Arc<ApiState>, arrived: Moment) -> Result<Response, ApiError> {
        self.started().await?;
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
