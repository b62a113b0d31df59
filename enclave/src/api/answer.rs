//! Answers in OpenAI's shapes, whole or chunk by chunk.
//!
//! Why apart: chat and completions differ in shape only; how they are made is one story (`generation`).
//!
//! # Invariants
//! Text goes from the engine's wiped strings straight into a wiped buffer.

mod calls;

use std::borrow::Cow;

use anchorhold_encoding::Digest;
use anchorhold_models::{Delta, Finish, FinishReason, TokenInfo, TokenLogprob, Usage};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use crate::api::ApiState;
use crate::api::answer::calls::{CallId, Pieces};
pub(super) use crate::api::answer::calls::{WholeCall, gather};
use crate::api::buffer::WipedBuffer;
use crate::api::error::ApiError;
use crate::api::ids::{Gathered, Ids};

/// Which endpoint's shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `/v1/chat/completions`
    Chat,
    /// `/v1/completions`
    Completion,
}

/// What all chunks of one answer share.
pub(super) struct Envelope {
    style: Style,
    id: String,
    /// Of the calls in it.
    calls: CallId,
    created: u64,
    model: String,
    /// Log-probabilities were asked for.
    logprobs: bool,
    /// Token counts were asked for at the end of the stream.
    include_usage: bool,
    /// Characters of the answer so far; completions tell where each token begins.
    offset: usize,
    /// Ids were asked for in place of text; those of a whole answer are gathered here.
    ids: Option<Gathered>,
}

impl Envelope {
    /// A new answer, with an identifier of its own.
    ///
    /// # Errors
    /// [`ApiError::ModelFailed`] when the system gives no randomness.
    pub(super) fn new(
        style: Style,
        api: &ApiState,
        logprobs: bool,
        include_usage: bool,
    ) -> Result<Self, ApiError> {
        let random = SystemRandom::new();
        let (mut id, mut calls) = ([0; 16], [0; 16]);
        let filled = random.fill(&mut id).and_then(|()| random.fill(&mut calls));
        filled.map_err(|_| ApiError::ModelFailed)?;
        let prefix = match style {
            Style::Chat => "chatcmpl",
            Style::Completion => "cmpl",
        };
        Ok(Self {
            style,
            id: format!("{prefix}-{}", Digest::new(id)),
            calls: CallId::of_random(calls),
            created: api.clock.calendar().0.unix(),
            model: api.model_name.clone(),
            logprobs,
            include_usage,
            offset: 0,
            ids: None,
        })
    }

    /// The same, with ids in place of text.
    pub(super) fn returning_ids(mut self, asked: bool) -> Self {
        self.ids = asked.then(Gathered::default);
        self
    }

    /// Keeps the ids of a piece for [`Self::whole`].
    pub(super) fn gather(&mut self, piece: &Delta) {
        if let Some(ids) = &mut self.ids {
            ids.extend(&piece.ids);
        }
    }

    /// The chunk that says who speaks; only chats have one.
    pub(super) fn opening(&self) -> Option<WipedBuffer> {
        let delta = ChatDelta {
            role: Some("assistant"),
            content: Some(""),
            tool_calls: None,
        };
        (self.style == Style::Chat).then(|| self.chunk(&[chat_choice(delta, None, None)]))
    }

    /// A chunk of text.
    pub(super) fn piece(&mut self, piece: &Delta) -> WipedBuffer {
        let text = piece.text.as_str();
        let ids = self.ids.as_ref().map(|_| Ids { ids: &piece.ids });
        // A piece of a call alone has no content, and no tokens of it.
        let call = text.is_empty() && piece.tokens.is_empty() && !piece.calls.is_empty();
        let tokens = (self.logprobs && !call).then_some(piece.tokens.as_slice());
        match self.style {
            Style::Chat => {
                let calls = Pieces {
                    id: &self.calls,
                    calls: &piece.calls,
                };
                let delta = ChatDelta {
                    role: None,
                    content: (!call).then_some(text),
                    tool_calls: (!piece.calls.is_empty()).then_some(calls),
                };
                let mut choice = chat_choice(delta, tokens, None);
                choice.anchorhold = ids;
                self.chunk(&[choice])
            }
            Style::Completion => {
                let offset = self.offset;
                self.offset = piece
                    .tokens
                    .iter()
                    .fold(offset, |at, info| at + characters(&info.token));
                let mut choice = completion_choice(text, tokens, offset, None);
                choice.anchorhold = ids;
                self.chunk(&[choice])
            }
        }
    }

    /// The chunk that says why the answer ended.
    pub(super) fn closing(&self, reason: FinishReason) -> WipedBuffer {
        let reason = Some(reason_name(reason));
        match self.style {
            Style::Chat => self.chunk(&[chat_choice(ChatDelta::default(), None, reason)]),
            Style::Completion => self.chunk(&[completion_choice("", None, 0, reason)]),
        }
    }

    /// The chunk of token counts, if it was asked for.
    pub(super) fn usage(&self, usage: Usage) -> Option<WipedBuffer> {
        let choices: &[ChatChoice<'_>] = &[];
        self.include_usage
            .then(|| self.document(self.chunk_object(), choices, Some(Some(usage.into()))))
    }

    /// The whole answer.
    pub(super) fn whole(
        &self,
        text: &str,
        tokens: &[TokenInfo],
        calls: &[WholeCall],
        finish: Finish,
    ) -> WipedBuffer {
        let tokens = self.logprobs.then_some(tokens);
        let reason = reason_name(finish.reason);
        let usage = Some(Some(finish.usage.into()));
        let ids = self.ids.as_ref().map(|ids| Ids { ids: ids.as_slice() });
        match self.style {
            Style::Chat => {
                let choice = WholeChoice {
                    index: 0,
                    message: ChatMessage {
                        role: "assistant",
                        // As in OpenAI's answers: who only calls says nothing.
                        content: (calls.is_empty() || !text.is_empty()).then_some(text),
                        refusal: None,
                        tool_calls: (!calls.is_empty()).then(|| calls::whole(&self.calls, calls)),
                    },
                    logprobs: tokens.map(ChatLogprobs),
                    finish_reason: reason,
                    anchorhold: ids,
                };
                self.document("chat.completion", &[choice], usage)
            }
            Style::Completion => {
                let mut choice = completion_choice(text, tokens, 0, Some(reason));
                choice.anchorhold = ids;
                self.document("text_completion", &[choice], usage)
            }
        }
    }

    fn chunk_object(&self) -> &'static str {
        match self.style {
            Style::Chat => "chat.completion.chunk",
            Style::Completion => "text_completion",
        }
    }

    fn chunk<C: Serialize>(&self, choices: &[C]) -> WipedBuffer {
        // OpenAI: with `include_usage`, every chunk but the last has a null there.
        self.document(self.chunk_object(), choices, self.include_usage.then_some(None))
    }

    fn document<C: Serialize>(
        &self,
        object: &'static str,
        choices: &[C],
        usage: Option<Option<Counts>>,
    ) -> WipedBuffer {
        to_buffer(&Document {
            id: &self.id,
            object,
            created: self.created,
            model: &self.model,
            choices,
            usage,
        })
    }
}

/// About how many bytes of an event a piece takes, beside what every event has.
pub(super) fn weight(piece: &Delta) -> usize {
    /// Bytes of a token's log-probability, and of each alternative's: its text twice, as text and as bytes.
    const ALTERNATIVE: usize = 70;
    let alternatives: usize = piece.tokens.iter().map(|token| token.top.len() + 1).sum();
    let calls: usize = piece.calls.iter().map(|call| call.arguments.len() + 64).sum();
    let ids = piece.ids.len() * 7;
    piece.text.len() + alternatives * ALTERNATIVE + calls + ids
}

/// Pieces that come at one time, as one.
pub(super) fn merged(pieces: Vec<Delta>) -> Delta {
    let mut pieces = pieces.into_iter();
    let Some(mut merged) = pieces.next() else {
        return Delta {
            text: Zeroizing::default(),
            tokens: Vec::new(),
            calls: Vec::new(),
            ids: Zeroizing::default(),
        };
    };
    if pieces.len() == 0 {
        return merged;
    }
    // All at once, so that no smaller block is left behind.
    let rest = pieces.as_slice();
    let bytes = rest.iter().map(|piece| piece.text.len()).sum::<usize>();
    let ids = rest.iter().map(|piece| piece.ids.len()).sum::<usize>();
    let mut text = Zeroizing::new(String::with_capacity(merged.text.len() + bytes));
    let mut all = Zeroizing::new(Vec::with_capacity(merged.ids.len() + ids));
    text.push_str(&merged.text);
    all.extend_from_slice(&merged.ids);
    for piece in pieces {
        text.push_str(&piece.text);
        all.extend_from_slice(&piece.ids);
        merged.tokens.extend(piece.tokens);
        merged.calls.extend(piece.calls);
    }
    (merged.text, merged.ids) = (text, all);
    merged
}

/// JSON in a wiped buffer.
pub(super) fn to_buffer<T: Serialize>(document: &T) -> WipedBuffer {
    let mut buffer = WipedBuffer::with_capacity(512);
    serde_json::to_writer(&mut buffer, document).expect("string keys, and a writer that takes everything");
    buffer
}

/// Documents count in 64 bits on every machine.
pub(super) fn count(tokens: usize) -> u64 {
    u64::try_from(tokens).unwrap_or(u64::MAX)
}

fn reason_name(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
    }
}

#[derive(Serialize)]
struct Document<'a, C> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [C],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Counts>>,
}

#[derive(Serialize)]
struct Counts {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
}

impl From<Usage> for Counts {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: count(usage.prompt_tokens),
            completion_tokens: count(usage.completion_tokens),
            total_tokens: count(usage.prompt_tokens.saturating_add(usage.completion_tokens)),
        }
    }
}

#[derive(Serialize)]
struct WholeChoice<'a> {
    index: u32,
    message: ChatMessage<'a>,
    logprobs: Option<ChatLogprobs<'a>>,
    finish_reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    anchorhold: Option<Ids<'a>>,
}

#[derive(Serialize)]
struct ChatMessage<'a> {
    role: &'static str,
    content: Option<&'a str>,
    refusal: Option<()>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<Vec<calls::Call<'a>>>,
}

#[derive(Serialize)]
struct ChatChoice<'a> {
    index: u32,
    delta: ChatDelta<'a>,
    logprobs: Option<ChatLogprobs<'a>>,
    finish_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anchorhold: Option<Ids<'a>>,
}

#[derive(Default, Serialize)]
struct ChatDelta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<Pieces<'a>>,
}

fn chat_choice<'a>(
    delta: ChatDelta<'a>,
    tokens: Option<&'a [TokenInfo]>,
    finish_reason: Option<&'static str>,
) -> ChatChoice<'a> {
    ChatChoice {
        index: 0,
        delta,
        logprobs: tokens.map(ChatLogprobs),
        finish_reason,
        anchorhold: None,
    }
}

#[derive(Serialize)]
struct CompletionChoice<'a> {
    index: u32,
    text: &'a str,
    logprobs: Option<CompletionLogprobs<'a>>,
    finish_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anchorhold: Option<Ids<'a>>,
}

fn completion_choice<'a>(
    text: &'a str,
    tokens: Option<&'a [TokenInfo]>,
    offset: usize,
    finish_reason: Option<&'static str>,
) -> CompletionChoice<'a> {
    CompletionChoice {
        index: 0,
        text,
        logprobs: tokens.map(|tokens| CompletionLogprobs { tokens, offset }),
        finish_reason,
        anchorhold: None,
    }
}

/// A token's bytes as text; part of a character becomes U+FFFD, as in OpenAI's answers.
fn lossy(token: &TokenLogprob) -> Cow<'_, str> {
    String::from_utf8_lossy(&token.bytes)
}

fn characters(token: &TokenLogprob) -> usize {
    lossy(token).chars().count()
}

/// JSON has no infinity; OpenAI's smallest log-probability is this.
fn finite(logprob: f32) -> f32 {
    logprob.max(-9999.0)
}

struct ChatLogprobs<'a>(&'a [TokenInfo]);

impl Serialize for ChatLogprobs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Entry<'a> {
            token: Cow<'a, str>,
            logprob: f32,
            bytes: &'a [u8],
            #[serde(skip_serializing_if = "Option::is_none")]
            top_logprobs: Option<Vec<Entry<'a>>>,
        }

        fn entry<'a>(token: &'a TokenLogprob, top: Option<&'a [TokenLogprob]>) -> Entry<'a> {
            Entry {
                token: lossy(token),
                logprob: finite(token.logprob),
                bytes: &token.bytes,
                top_logprobs: top.map(|top| top.iter().map(|other| entry(other, None)).collect()),
            }
        }

        let content: Vec<Entry<'_>> = self
            .0
            .iter()
            .map(|info| entry(&info.token, Some(&info.top)))
            .collect();
        let mut object = serializer.serialize_struct("logprobs", 2)?;
        object.serialize_field("content", &content)?;
        object.serialize_field("refusal", &None::<()>)?;
        object.end()
    }
}

struct CompletionLogprobs<'a> {
    tokens: &'a [TokenInfo],
    offset: usize,
}

impl Serialize for CompletionLogprobs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tokens: Vec<_> = self.tokens.iter().map(|info| lossy(&info.token)).collect();
        let logprobs: Vec<_> = self
            .tokens
            .iter()
            .map(|info| finite(info.token.logprob))
            .collect();
        let tops: Vec<_> = self.tokens.iter().map(|info| Tops(&info.top)).collect();
        let offsets: Vec<_> = self
            .tokens
            .iter()
            .scan(self.offset, |next, info| {
                let at = *next;
                *next += characters(&info.token);
                Some(at)
            })
            .collect();
        let mut object = serializer.serialize_struct("logprobs", 4)?;
        object.serialize_field("tokens", &tokens)?;
        object.serialize_field("token_logprobs", &logprobs)?;
        object.serialize_field("top_logprobs", &tops)?;
        object.serialize_field("text_offset", &offsets)?;
        object.end()
    }
}

/// Completions map each alternative's text to its log-probability; of two with one text the likelier stays.
struct Tops<'a>(&'a [TokenLogprob]);

impl Serialize for Tops<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        let mut seen: Vec<Cow<'_, str>> = Vec::with_capacity(self.0.len());
        for other in self.0 {
            let text = lossy(other);
            if !seen.contains(&text) {
                object.serialize_entry(&text, &finite(other.logprob))?;
                seen.push(text);
            }
        }
        object.end()
    }
}
