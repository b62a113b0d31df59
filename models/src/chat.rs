//! Conversations: what was said by whom, and the prompt that a model's template makes of it.
//!
//! Why apart: the roles of a conversation are what control tokens protect.
//!
//! # Invariants
//! What a message says, and what a function is called and says of itself, cannot become a control token, nor run as a part of
//! the template. Errors carry no text of a message.

use std::collections::BTreeMap;
use std::fmt;

use anchorhold_encoding::bounded;
use minijinja::value::{Serde, Value};
use serde_json::Value as Json;
use zeroize::Zeroizing;

use crate::limits::inference as limits;
use crate::template::{Template, TemplateError};
use crate::tokenizer::{Ids, Marker, TokenizeError, Tokenizer};
use crate::tools::Tools;
use crate::wiped::WipedJson;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Whoever set up the conversation; `developer` in newer interfaces.
    System,
    /// The one who asks.
    User,
    /// The model, earlier.
    Assistant,
    /// The result of a function that the model called.
    Tool,
}

impl Role {
    /// The role's name as templates know it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// One message. No `Clone` or `Debug`: it is plaintext.
pub struct ChatMessage {
    /// Who said it.
    pub role: Role,
    /// What was said.
    pub content: Zeroizing<String>,
    /// Functions that the model called then.
    pub calls: Vec<ToolCall>,
    /// Of a function's result: the call's identifier.
    pub call_id: Option<Zeroizing<String>>,
}

impl ChatMessage {
    /// A message without calls.
    #[must_use]
    pub fn new(role: Role, content: Zeroizing<String>) -> Self {
        Self {
            role,
            content,
            calls: Vec::new(),
            call_id: None,
        }
    }

    /// Bytes of all its texts.
    pub(crate) fn bytes(&self) -> usize {
        let calls: usize = self.calls.iter().map(|call| call.bytes).sum();
        self.content.len() + calls + self.call_id.as_ref().map_or(0, |id| id.len())
    }
}

/// A call of a function, earlier. No `Clone` or `Debug`: it is plaintext.
pub struct ToolCall {
    id: Zeroizing<String>,
    name: Zeroizing<String>,
    arguments: WipedJson,
    bytes: usize,
}

impl ToolCall {
    /// `None` when `arguments` is not a JSON object as text, or has more values than are taken.
    #[must_use]
    pub fn new(id: Zeroizing<String>, name: Zeroizing<String>, arguments: &str) -> Option<Self> {
        let object = bounded::from_slice(arguments.as_bytes(), limits::CALL_VALUES);
        let object = WipedJson(object.ok()?);
        object.0.is_object().then(|| Self {
            bytes: id.len() + name.len() + arguments.len(),
            id,
            name,
            arguments: object,
        })
    }
}

/// A conversation does not become a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChatError {
    /// The model has no chat template: it completes texts only.
    NoTemplate,
    /// No message.
    Empty,
    /// More messages than are taken, or more text than fits in the model's context.
    TooLong,
    /// The model's template refuses this conversation.
    Refused,
    /// The model's template or tokenizer failed.
    Failed,
}

impl fmt::Display for ChatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoTemplate => "this model has no chat template",
            Self::Empty => "the conversation has no message",
            Self::TooLong => "the conversation is too long",
            Self::Refused => "the model's chat template refuses this conversation",
            Self::Failed => "the model's chat template or tokenizer failed",
        })
    }
}

impl std::error::Error for ChatError {}

impl ChatError {
    /// What the client, or for the first and last the model's owner, can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoTemplate => "use plain completions, or a model that was tuned for conversations",
            Self::Empty => "send at least one message",
            Self::TooLong => "send fewer or shorter messages",
            Self::Refused => "many templates want user and assistant in turn, and some know no system role",
            Self::Failed => "compare the model's template and tokenizer with the published ones",
        }
    }
}

impl From<TemplateError> for ChatError {
    fn from(error: TemplateError) -> Self {
        match error {
            TemplateError::Refused => Self::Refused,
            TemplateError::TooMuch => Self::TooLong,
            TemplateError::Failed => Self::Failed,
        }
    }
}

impl From<TokenizeError> for ChatError {
    fn from(error: TokenizeError) -> Self {
        match error {
            TokenizeError::TooLong => Self::TooLong,
            TokenizeError::Failed => Self::Failed,
        }
    }
}

/// Tokens of a conversation, ready for the model's answer.
pub(crate) fn encode(
    messages: &[ChatMessage],
    tools: Option<&Tools>,
    template: &Template,
    names: &[(&'static str, String)],
    tokenizer: &Tokenizer,
) -> Result<Ids, ChatError> {
    if messages.is_empty() {
        return Err(ChatError::Empty);
    }
    let bytes: usize = messages.iter().map(ChatMessage::bytes).sum();
    if messages.len() > limits::MESSAGES || bytes > limits::TEXT_BYTES {
        return Err(ChatError::TooLong);
    }
    let protection = Protection {
        tokenizer,
        marker: Marker::new(),
    };
    let said = messages.iter().map(|message| protection.message(message));
    let tokens = names
        .iter()
        .map(|(name, token)| (*name, Value::from(token.as_str())));
    let mut variables: BTreeMap<&str, Value> = tokens.collect();
    variables.insert("messages", said.collect());
    variables.insert("add_generation_prompt", Value::from(true));
    // transformers passes these always, and to some templates none and undefined are not the same.
    let list = |tools: &Tools| tools.listed().map(|tool| protection.tree(tool)).collect();
    variables.insert("tools", tools.map_or(Value::from(()), list));
    variables.insert("documents", Value::from(()));
    let rendered = template.render(Value::from(variables))?;
    Ok(tokenizer.encode_rendered(&rendered, &protection.marker)?)
}

/// Makes texts of users values of a template, in which no control token counts.
struct Protection<'a> {
    tokenizer: &'a Tokenizer,
    marker: Marker,
}

impl Protection<'_> {
    fn text(&self, text: &str) -> Value {
        Value::from(self.tokenizer.mark(text, &self.marker).as_str())
    }

    fn message(&self, message: &ChatMessage) -> Value {
        let mut members = BTreeMap::from([
            ("role", Value::from(message.role.name())),
            ("content", self.text(&message.content)),
        ]);
        // Templates ask whether there are any by asking whether the member is there.
        if !message.calls.is_empty() {
            members.insert(
                "tool_calls",
                message.calls.iter().map(|call| self.call(call)).collect(),
            );
        }
        if let Some(id) = &message.call_id {
            members.insert("tool_call_id", self.text(id));
        }
        Value::from(members)
    }

    /// As transformers has it: the arguments are a tree, not a text.
    fn call(&self, call: &ToolCall) -> Value {
        // Some templates write the whole function as JSON: name first.
        let name = ("name", self.text(&call.name));
        let function = Value::from_pairs([name, ("arguments", self.tree(&call.arguments.0))]);
        Value::from(BTreeMap::from([
            ("id", self.text(&call.id)),
            ("type", Value::from("function")),
            ("function", function),
        ]))
    }

    fn tree(&self, tree: &Json) -> Value {
        Value::from(Serde(&self.marked(tree).0))
    }

    /// The tree with all texts and names protected, in its order.
    fn marked(&self, tree: &Json) -> WipedJson {
        let text = |text: &str| self.tokenizer.mark(text, &self.marker).as_str().to_owned();
        let inner = |tree: &Json| std::mem::take(&mut self.marked(tree).0);
        WipedJson(match tree {
            Json::String(string) => Json::String(text(string)),
            Json::Array(items) => Json::Array(items.iter().map(inner).collect()),
            Json::Object(members) => {
                let members = members.iter().map(|(name, value)| (text(name), inner(value)));
                Json::Object(members.collect())
            }
            other => other.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::tests::byte_level;

    /// Whether one message of a user renders as `expected`.
    fn renders_as(template: &str, expected: &str) -> bool {
        let tokenizer = byte_level();
        let template = Template::compile(template).unwrap();
        let message = ChatMessage::new(Role::User, Zeroizing::new("hello".to_owned()));
        let ids = encode(&[message], None, &template, &[], &tokenizer).unwrap();
        *ids == *tokenizer.encode_text(expected).unwrap()
    }

    #[test]
    fn tools_and_documents_are_none_as_in_transformers() {
        let answer = |question: &str| format!("{{% if {question} %}}yes{{% else %}}no{{% endif %}}");
        for (question, expected) in [
            ("tools is not none", "no"),
            ("documents is not none", "no"),
            ("tools is defined and documents is defined", "yes"),
            ("tools is iterable and tools | length > 0", "no"),
            ("messages is iterable and messages[0].content is iterable", "yes"),
        ] {
            assert!(renders_as(&answer(question), expected), "{question}");
        }
    }
}
