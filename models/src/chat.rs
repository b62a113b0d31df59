//! Conversations: what was said by whom, and the prompt that a model's template makes of it.
//!
//! Why apart: the roles of a conversation are what control tokens protect.
//!
//! # Invariants
//! What a message says cannot become a control token, nor run as a part of the template. Errors carry no
//! text of a message.

use std::collections::BTreeMap;
use std::fmt;

use minijinja::value::Value;
use zeroize::Zeroizing;

use crate::limits::inference as limits;
use crate::template::{Template, TemplateError};
use crate::tokenizer::{Ids, Marker, TokenizeError, Tokenizer};

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
    template: &Template,
    names: &[(&'static str, String)],
    tokenizer: &Tokenizer,
) -> Result<Ids, ChatError> {
    if messages.is_empty() {
        return Err(ChatError::Empty);
    }
    let bytes: usize = messages.iter().map(|message| message.content.len()).sum();
    if messages.len() > limits::MESSAGES || bytes > limits::TEXT_BYTES {
        return Err(ChatError::TooLong);
    }
    let marker = Marker::new();
    let said = messages.iter().map(|message| {
        let content = tokenizer.mark(&message.content, &marker);
        let role = Value::from(message.role.name());
        Value::from(BTreeMap::from([
            ("role", role),
            ("content", Value::from(content.as_str())),
        ]))
    });
    let tokens = names
        .iter()
        .map(|(name, token)| (*name, Value::from(token.as_str())));
    let mut variables: BTreeMap<&str, Value> = tokens.collect();
    variables.insert("messages", said.collect());
    variables.insert("add_generation_prompt", Value::from(true));
    // transformers passes these always, and to some templates none and undefined are not the same.
    variables.insert("tools", Value::from(()));
    variables.insert("documents", Value::from(()));
    let rendered = template.render(Value::from(variables))?;
    Ok(tokenizer.encode_rendered(&rendered, &marker)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::tests::byte_level;

    /// Whether one message of a user renders as `expected`.
    fn renders_as(template: &str, expected: &str) -> bool {
        let tokenizer = byte_level();
        let template = Template::compile(template).unwrap();
        let message = ChatMessage {
            role: Role::User,
            content: Zeroizing::new("hello".to_owned()),
        };
        let ids = encode(&[message], &template, &[], &tokenizer).unwrap();
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
