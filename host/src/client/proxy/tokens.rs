//! Texts become token ids before they leave, and ids of an answer become text when they come.
//!
//! Why apart: where the enclave makes tokens, it looks tables up by what was said, and the host of its machine sees which
//! pages are touched. Here nobody looks.
//!
//! - `json`: documents of which most stays as it is
//!
//! # Invariants
//! A question whose text would still be sent is refused: there is no falling back. The tokenizer is the one of the very model
//! that was attested ([`Wording`]). Receipts are checked before anything here changes an answer.

mod json;

use anchorhold_encoding::Digest;
use anchorhold_models::{AnswerText, ChatError, ChatMessage, PromptError, Role, Wording};
use hyper::Uri;
use zeroize::Zeroizing;

use self::json::{Members, list_of_one, object, quoted, text};
use crate::client::wiped::Wiped;

/// What makes tokens for one model.
pub struct Tokens {
    wording: Wording,
    manifest_sha256: Digest<32>,
}

/// Why a question cannot be sent as ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoTokens {
    /// The enclave now has another model than the tokenizer's.
    OtherModel,
    /// The body is not what the API takes.
    Malformed,
    /// A member that needs the enclave to know texts.
    Member(&'static str),
    /// The model makes no prompt of it.
    Prompt(PromptError),
    /// The model's template makes no prompt of it.
    Chat(ChatError),
}

impl NoTokens {
    /// For a person: constants only.
    #[must_use]
    pub fn message(self) -> String {
        match self {
            Self::OtherModel => "the enclave has another model than the tokenizer of --tokenise".to_owned(),
            Self::Malformed => "the body is not a question that can be made into tokens here".to_owned(),
            Self::Member(name) => {
                format!("`{name}` needs texts in the enclave: leave it out, or leave --tokenise out")
            }
            Self::Prompt(error) => format!("{error}; {}", error.hint()),
            Self::Chat(error) => format!("{error}; {}", error.hint()),
        }
    }
}

/// Members that make sense only where the enclave has texts.
const NEED_TEXT: [&str; 8] = [
    "stop",
    "logprobs",
    "top_logprobs",
    "tools",
    "tool_choice",
    "functions",
    "function_call",
    "anchorhold",
];

/// Which endpoint's shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Chat,
    Completion,
}

/// A question in ids, and what turns its answer into text.
pub(super) struct Asked {
    pub(super) body: Wiped,
    pub(super) answer: Reading,
}

/// An answer on its way back.
pub(super) struct Reading {
    style: Style,
    text: AnswerText,
}

impl Tokens {
    /// For the model with this manifest, whose digest the wording was read under.
    #[must_use]
    pub const fn new(wording: Wording, manifest_sha256: Digest<32>) -> Self {
        Self {
            wording,
            manifest_sha256,
        }
    }

    /// The model that the ids are of.
    #[must_use]
    pub const fn manifest_sha256(&self) -> &Digest<32> {
        &self.manifest_sha256
    }

    /// The question in ids. `None` for paths that carry no prompt for a decoder.
    ///
    /// # Errors
    /// [`NoTokens`]; the question must not be sent then.
    pub(super) fn ask(&self, path: &Uri, body: &[u8]) -> Result<Option<Asked>, NoTokens> {
        let style = match path.path() {
            "/v1/chat/completions" => Style::Chat,
            "/v1/completions" => Style::Completion,
            _ => return Ok(None),
        };
        let mut members = Members::read(body).ok_or(NoTokens::Malformed)?;
        for name in NEED_TEXT {
            if members
                .take(name)
                .is_some_and(|value| !matches!(value, "null" | "false"))
            {
                return Err(NoTokens::Member(name));
            }
        }
        let (ids, continues) = match style {
            Style::Chat => (self.chat(&mut members)?, false),
            Style::Completion => {
                let prompt = members.take("prompt").ok_or(NoTokens::Malformed)?;
                let prompt = list_of_one(prompt).unwrap_or(prompt);
                let prompt = text(prompt).ok_or(NoTokens::Malformed)?;
                let ids = self.wording.text(&prompt).map_err(NoTokens::Prompt)?;
                (ids, !prompt.is_empty())
            }
        };
        let mut extension = Wiped::with_capacity(16 * ids.len() + 64);
        extension.extend(b"{\"prompt_ids\":[");
        for (index, id) in ids.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            // An id's digits are wiped with what they are copied to.
            extension.extend(Zeroizing::new(format!("{comma}{id}")).as_bytes());
        }
        extension.extend(b"],\"return_ids\":true}");
        members.put("anchorhold", &extension);
        Ok(Some(Asked {
            body: members.document(),
            answer: Reading {
                style,
                text: self.wording.answer(continues),
            },
        }))
    }

    fn chat(&self, members: &mut Members<'_>) -> Result<Zeroizing<Vec<u32>>, NoTokens> {
        let malformed = NoTokens::Malformed;
        let list = members.take("messages").ok_or(malformed)?;
        let messages = json::list(list).ok_or(malformed)?;
        let messages = messages
            .into_iter()
            .map(message)
            .collect::<Option<Vec<ChatMessage>>>()
            .ok_or(malformed)?;
        self.wording.chat(&messages).map_err(NoTokens::Chat)
    }
}

/// A message of texts only. `None` for any other: what the template would make of it is not known here.
fn message(value: &str) -> Option<ChatMessage> {
    let mut members = object(value)?;
    let role = match text(members.take("role")?)?.as_str() {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => return None,
    };
    let content = members.take("content")?;
    let content = match json::list(content) {
        None => text(content)?,
        Some(parts) => {
            let parts = parts.into_iter().map(part).collect::<Option<Vec<_>>>()?;
            let length = parts.iter().map(|part| part.len() + 1).sum();
            let mut joined = Zeroizing::new(String::with_capacity(length));
            for (index, part) in parts.iter().enumerate() {
                // As the enclave joins them.
                joined.push_str(if index == 0 { "" } else { "\n" });
                joined.push_str(part);
            }
            joined
        }
    };
    members.rest_is_null().then(|| ChatMessage::new(role, content))
}

fn part(value: &str) -> Option<Zeroizing<String>> {
    let mut members = object(value)?;
    let kind = text(members.take("type")?)?;
    let content = text(members.take("text")?)?;
    (kind.as_str() == "text" && members.rest_is_null()).then_some(content)
}

impl Reading {
    /// A whole answer with its text. `None` when it is not an answer in ids.
    pub(super) fn whole(mut self, tokens: &Tokens, body: &[u8]) -> Option<Wiped> {
        let wanted = match self.style {
            Style::Chat => "message",
            Style::Completion => "text",
        };
        self.rewrite(tokens, body, wanted, true)
    }

    /// An event's document with its text. `None` when it is not part of an answer in ids.
    pub(super) fn piece(&mut self, tokens: &Tokens, document: &[u8]) -> Option<Wiped> {
        let wanted = match self.style {
            Style::Chat => "delta",
            Style::Completion => "text",
        };
        self.rewrite(tokens, document, wanted, false)
    }

    fn rewrite(
        &mut self,
        tokens: &Tokens,
        document: &[u8],
        wanted: &'static str,
        whole: bool,
    ) -> Option<Wiped> {
        let mut document = Members::read(document)?;
        let choices = document.take("choices")?;
        let Some(choice) = list_of_one(choices) else {
            // The chunk of counts has none.
            document.put("choices", choices.as_bytes());
            return Some(document.document());
        };
        let mut choice = object(choice)?;
        let ids = match choice.take("anchorhold") {
            Some(value) => json::ids(object(value)?.take("ids")?)?,
            None => Zeroizing::new(Vec::new()),
        };
        let ends = choice.value("finish_reason")? != "null";
        let mut said = self.text.push(&tokens.wording, &ids);
        let rest = if whole || ends {
            self.text.finish()
        } else {
            Zeroizing::new(String::new())
        };
        if !rest.is_empty() {
            said = Zeroizing::new([said.as_str(), rest.as_str()].concat());
        }
        if !said.is_empty() {
            let said = quoted(&said);
            if wanted == "text" {
                choice.put(wanted, &said);
            } else {
                let mut inner = object(choice.take(wanted)?)?;
                inner.put("content", &said);
                let inner = inner.document();
                choice.put(wanted, &inner);
            }
        }
        let choice = choice.document();
        let mut list = Wiped::with_capacity(choice.len() + 2);
        list.extend(b"[");
        list.extend(&choice);
        list.extend(b"]");
        document.put("choices", &list);
        Some(document.document())
    }
}

#[cfg(test)]
mod tests;
