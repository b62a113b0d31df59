//! Questions from the command line: one, or a conversation.
//!
//! Why apart: what is sent and what is shown of an answer is the same for both.
//!
//! # Invariants
//! Text is shown as it streams in and is proven only when [`Asker::ask`] returns: a caller that showed text and
//! then gets an error must say so loudly. Questions and answers are wiped.

use std::fmt;
use std::sync::Arc;

use anchorhold_attestation::Denial;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Uri};
use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

use super::bound::Question;
use super::enclave::Enclave;
use super::error::{ClientError, Stage};
use super::exchange::Exchange;
use super::format::Format;
use super::kept::KeptReceipt;
use super::wiped::Wiped;
use crate::error::{Exit, Explain};

/// Who said a message, in OpenAI's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// One message of a conversation. Wiped when dropped.
pub struct Message {
    /// Who said it.
    pub role: Role,
    /// What was said.
    pub content: Zeroizing<String>,
}

impl Message {
    /// A message.
    #[must_use]
    pub fn new(role: Role, content: String) -> Self {
        Self {
            role,
            content: Zeroizing::new(content),
        }
    }
}

/// Asks one enclave.
pub struct Asker {
    /// Whom.
    pub enclave: Arc<Enclave>,
    /// What to present as Authorization.
    pub api_key: Option<HeaderValue>,
    /// The model's name; that of the identity document when none is given.
    pub model: Option<String>,
    /// How tokens are drawn.
    pub drawing: Drawing,
    /// What answers have to be; any text when it is none.
    pub format: Option<Format>,
}

/// How the enclave draws tokens; what is `None` is the enclave's own default.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Drawing {
    /// From 0, the likeliest token each time, to 2. The API's default is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// The same seed and request give the same answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
}

/// A proven answer.
pub struct Answered {
    /// Its text.
    pub text: Zeroizing<String>,
    /// Why it ended, when the enclave said so in a word of ours.
    pub finish_reason: Option<&'static str>,
    /// What proves it.
    pub receipt: KeptReceipt,
}

/// Why a question has no proven answer.
#[derive(Debug)]
pub enum AskError {
    /// As for any request.
    Client(ClientError),
    /// The enclave refused the request, with an error of its API.
    Refused {
        /// HTTP status.
        status: u16,
        /// OpenAI's `code`, when it is a plain word.
        code: Option<PlainWord>,
    },
    /// The enclave broke off with an error.
    BrokenOff,
}

/// A word of lower-case letters and underscores, at most 64: the one form in which an enclave's error code is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainWord(String);

impl PlainWord {
    fn new(word: String) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        ((1..=64).contains(&word.len()) && word.bytes().all(plain)).then_some(Self(word))
    }
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(error) => error.fmt(f),
            Self::Refused {
                status,
                code: Some(PlainWord(code)),
            } => {
                write!(f, "the enclave refused the request: {status} {code}")
            }
            Self::Refused { status, code: None } => write!(f, "the enclave refused the request: {status}"),
            Self::BrokenOff => f.write_str("the enclave broke off its answer with an error"),
        }
    }
}

impl std::error::Error for AskError {}

impl Explain for AskError {
    fn code(&self) -> &'static str {
        match self {
            Self::Client(error) => error.code(),
            Self::Refused { .. } => "request_refused",
            Self::BrokenOff => "answer_broken_off",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Client(error) => error.hint(),
            Self::Refused { status: 401, .. } => "give the enclave's API key with --api-key-file".to_owned(),
            Self::Refused { status: 404, .. } => {
                "leave out --model to use the model the enclave serves".to_owned()
            }
            Self::Refused { status: 429, .. } => {
                "the enclave is busy or your quota is used up; try again later".to_owned()
            }
            Self::Refused { .. } => "the request does not fit this model or this enclave's limits".to_owned(),
            Self::BrokenOff => "try again; nothing of this answer is proven".to_owned(),
        }
    }

    fn denial(&self) -> Option<&Denial> {
        match self {
            Self::Client(error) => error.denial(),
            _ => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Client(error) => error.exit(),
            _ => Exit::Error,
        }
    }
}

impl From<ClientError> for AskError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

#[derive(Serialize)]
struct ChatRequest<'a> {
    model: &'a str,
    #[serde(serialize_with = "messages")]
    messages: &'a [Message],
    stream: bool,
    #[serde(flatten)]
    drawing: Drawing,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<&'a Format>,
}

#[derive(Serialize)]
struct WireMessage<'a> {
    role: Role,
    content: &'a str,
}

fn messages<S: Serializer>(messages: &&[Message], serializer: S) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(Some(messages.len()))?;
    for message in *messages {
        list.serialize_element(&WireMessage {
            role: message.role,
            content: &message.content,
        })?;
    }
    list.end()
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    error: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Delta,
    finish_reason: Option<String>,
}

#[derive(Deserialize, Default)]
struct Delta {
    content: Option<String>,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: ErrorBody,
}

#[derive(Deserialize)]
struct ErrorBody {
    code: Option<String>,
}

impl Asker {
    /// Asks for the next message of `conversation`. `show` gets the answer's text as it comes, unproven.
    ///
    /// # Errors
    /// [`AskError`]: what was shown is not proven.
    pub async fn ask(
        &self,
        conversation: &[Message],
        mut show: impl FnMut(&str),
    ) -> Result<Answered, AskError> {
        let affirmed = self.enclave.affirmed().await?;
        let served = &affirmed.received.document().model.name;
        let question = self.question(self.model.as_deref().unwrap_or(served), conversation);
        let mut exchange = self.enclave.ask(question).await?;
        if !exchange.is_stream() {
            return Err(refusal(exchange).await?);
        }
        // Room for a long answer, so that it does not move while it grows.
        let mut text = Zeroizing::new(String::with_capacity(64 * 1024));
        let (mut finish_reason, mut receipt) = (None, None);
        while let Some(piece) = exchange.next_piece().await? {
            if let Some(data) = piece.data {
                let chunk: Chunk =
                    serde_json::from_slice(&data).map_err(|_| ClientError::Malformed(Stage::Answer))?;
                if chunk.error.is_some() {
                    return Err(AskError::BrokenOff);
                }
                for choice in chunk.choices {
                    finish_reason = choice
                        .finish_reason
                        .as_deref()
                        .map_or(finish_reason, known_reason);
                    if let Some(content) = choice.delta.content.map(Zeroizing::new) {
                        show(&content);
                        text = appended(text, &content);
                    }
                }
            }
            receipt = piece.proof.or(receipt);
        }
        exchange.finish();
        // A stream's end was proven, so it had a receipt.
        let receipt = receipt.ok_or(ClientError::Malformed(Stage::Answer))?;
        Ok(Answered {
            text,
            finish_reason,
            receipt,
        })
    }

    fn question(&self, model: &str, conversation: &[Message]) -> Question {
        let mut body = Wiped::with_capacity(4096);
        let request = ChatRequest {
            model,
            messages: conversation,
            stream: true,
            drawing: self.drawing,
            response_format: self.format.as_ref(),
        };
        serde_json::to_writer(&mut body, &request).expect("strings have a JSON form and memory takes all");
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(key) = &self.api_key {
            headers.insert(AUTHORIZATION, key.clone());
        }
        Question {
            method: Method::POST,
            path: Uri::from_static("/v1/chat/completions"),
            headers,
            body: body.into_bytes(),
        }
    }
}

/// Appends without leaving the old text behind when the buffer must grow.
fn appended(text: Zeroizing<String>, more: &str) -> Zeroizing<String> {
    if text.len() + more.len() <= text.capacity() {
        let mut text = text;
        text.push_str(more);
        return text;
    }
    let mut larger = Zeroizing::new(String::with_capacity(2 * (text.len() + more.len())));
    larger.push_str(&text);
    larger.push_str(more);
    larger
}

async fn refusal(exchange: Exchange) -> Result<AskError, ClientError> {
    let status = exchange.status();
    let answer = exchange.whole().await?;
    if status.is_success() {
        // It was asked for a stream.
        return Err(ClientError::Malformed(Stage::Answer));
    }
    let parsed = serde_json::from_slice::<ErrorAnswer>(&answer.body).ok();
    let code = parsed
        .and_then(|answer| answer.error.code)
        .and_then(PlainWord::new);
    Ok(AskError::Refused {
        status: status.as_u16(),
        code,
    })
}

fn known_reason(reason: &str) -> Option<&'static str> {
    ["stop", "length"].into_iter().find(|known| *known == reason)
}

/// What may go to a terminal: control characters could move its cursor, change its title or answer for the person.
#[must_use]
pub fn printable(text: &str) -> Zeroizing<String> {
    let harmless = |c: char| !c.is_control() || c == '\n' || c == '\t';
    let replaced = text.chars().map(|c| {
        if harmless(c) {
            c
        } else {
            char::REPLACEMENT_CHARACTER
        }
    });
    Zeroizing::new(replaced.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fake::{Fake, Fault, GENUINE, Hands, policy};
    use crate::client::format::Schema;

    fn asker(fake: &Fake) -> Asker {
        let enclave = Enclave::new(fake.endpoint(), policy(), Hands::new().clock());
        Asker {
            enclave: Arc::new(enclave),
            api_key: None,
            model: None,
            drawing: Drawing::default(),
            format: None,
        }
    }

    #[tokio::test]
    async fn an_answer_is_shown_as_it_comes_and_proven_at_the_end() {
        let fake = Fake::start(GENUINE).await;
        let conversation = [
            Message::new(Role::System, "short".to_owned()),
            Message::new(Role::User, "a \"quoted\"\nline".to_owned()),
        ];
        let mut shown = Vec::new();
        let show = |text: &str| shown.push(text.to_owned());
        let answered = asker(&fake).ask(&conversation, show).await.unwrap();
        assert_eq!(shown, ["Pa", "ris."]);
        assert_eq!(
            (answered.text.as_str(), answered.finish_reason),
            ("Paris.", Some("stop"))
        );
        let sent = fake.seen().last().unwrap().body.clone();
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&sent).unwrap(),
            serde_json::json!({
                "model": "fake-model",
                "messages": [
                    {"role": "system", "content": "short"},
                    {"role": "user", "content": "a \"quoted\"\nline"},
                ],
                "stream": true,
            })
        );
    }

    #[tokio::test]
    async fn how_tokens_are_drawn_is_said_when_it_is_given() {
        let fake = Fake::start(GENUINE).await;
        let mut asker = asker(&fake);
        asker.drawing = Drawing {
            temperature: Some(0.0),
            seed: Some(-7),
        };
        let question = [Message::new(Role::User, "x".to_owned())];
        asker.ask(&question, |_| {}).await.unwrap();
        let sent = fake.seen().last().unwrap().body.clone();
        let sent: serde_json::Value = serde_json::from_slice(&sent).unwrap();
        assert_eq!((&sent["temperature"], &sent["seed"]), (&0.0.into(), &(-7).into()));
    }

    #[tokio::test]
    async fn what_the_answer_has_to_be_is_said_when_it_is_given() {
        let fake = Fake::start(GENUINE).await;
        let mut asker = asker(&fake);
        let schema = Schema::parse(Zeroizing::new(r#"{ "type": "object" }"#.to_owned()));
        asker.format = schema.map(Format::Schema);
        let question = [Message::new(Role::User, "x".to_owned())];
        asker.ask(&question, |_| {}).await.unwrap();
        let sent = fake.seen().last().unwrap().body.clone();
        let sent = std::str::from_utf8(&sent).unwrap();
        let schema = r#""schema":{ "type": "object" }"#;
        assert!(sent.contains(schema), "as it was written");
        let sent: serde_json::Value = serde_json::from_str(sent).unwrap();
        assert_eq!(sent["response_format"]["type"], "json_schema");
    }

    #[tokio::test]
    async fn text_that_was_shown_and_is_not_proven_ends_in_a_refusal() {
        let fake = Fake::start(GENUINE).await;
        for fault in [Fault::ReceiptAnswer, Fault::CutStream, Fault::NoReceipt] {
            fake.set(fault);
            let question = [Message::new(Role::User, "x".to_owned())];
            let refused = asker(&fake).ask(&question, |_| {}).await.err().unwrap();
            assert!(
                matches!(refused, AskError::Client(ClientError::Receipt(_))),
                "{refused}"
            );
            assert_eq!(refused.exit(), Exit::Denied);
        }
    }

    #[test]
    fn a_terminal_gets_no_commands() {
        assert_eq!(
            *printable("a\tb\n\u{1b}[2Jc\u{9b}d\r"),
            "a\tb\n\u{fffd}[2Jc\u{fffd}d\u{fffd}"
        );
    }

    #[test]
    fn only_plain_words_of_an_enclave_are_shown() {
        assert!(PlainWord::new("model_not_found".to_owned()).is_some());
        for bad in ["", "A", "a b", "a\u{1b}", "ä", &"a".repeat(65)] {
            assert_eq!(PlainWord::new(bad.to_owned()), None, "{bad}");
        }
    }

    #[test]
    fn text_survives_growth() {
        let mut text = Zeroizing::new(String::new());
        for _ in 0..100 {
            text = appended(text, "abc");
        }
        assert_eq!(*text, "abc".repeat(100));
    }
}
