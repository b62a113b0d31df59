//! The forms in which models write calls.
//!
//! Why apart: a new form is one more table, and everything else goes by the table.
//!
//! - Hermes (Qwen2.5, Qwen3): `<tool_call>`, a line with `{"name": ..., "arguments": ...}`, `</tool_call>`; again for the next
//! - Llama 3.1 and later: `{"name": ..., "parameters": ...}` is the whole answer; one call
//! - Mistral: the control token `[TOOL_CALLS]` and a list of `{"name": ..., "arguments": ...}`
//!
//! # Invariants
//! The fixed parts of each form are constants, so that what lies between them is found without parsing.

use crate::tokenizer::Tokenizer;

/// A form of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Hermes,
    Llama,
    /// With the id of its control token, where it has one.
    Mistral(Option<u32>),
}

/// The fixed parts of a form, in order.
pub(crate) struct Parts {
    /// Begins the first call.
    pub(crate) trigger: &'static str,
    /// From there to the name of the function.
    pub(crate) head: &'static str,
    /// Between name and arguments.
    pub(crate) middle: &'static str,
    /// After the arguments.
    pub(crate) tail: &'static str,
    /// From there to the name of a next function; none where there is one call.
    pub(crate) again: Option<&'static str>,
    /// After the last call.
    pub(crate) end: &'static str,
    /// A space may stand before the head.
    pub(crate) space: bool,
    /// It begins calls at the begin of an answer only.
    pub(crate) anchored: bool,
}

impl Form {
    /// The form that a chat template shows; none when it does not list tools, or shows a form that is not known here.
    pub(crate) fn of(template: &str, tokenizer: &Tokenizer) -> Option<Self> {
        const MISTRAL: &str = "[TOOL_CALLS]";
        let shows = |text: &str| template.contains(text);
        if !shows("tools") {
            return None;
        }
        if shows("<tool_call>") && shows("</tool_call>") {
            // Qwen3-Coder and others write XML between the same marks.
            return (!shows("<function=") && shows("arguments")).then_some(Self::Hermes);
        }
        // Later Mistral templates write names and arguments apart, behind marks of their own.
        if shows(MISTRAL) && !shows("[ARGS]") && !shows("[CALL_ID]") {
            return Some(Self::Mistral(tokenizer.hidden(MISTRAL)));
        }
        (shows("parameters") && shows("<|start_header_id|>")).then_some(Self::Llama)
    }

    /// Its fixed parts.
    pub(crate) fn parts(self) -> &'static Parts {
        match self {
            Self::Hermes => &Parts {
                trigger: "<tool_call>",
                head: "\n{\"name\": \"",
                middle: "\", \"arguments\": ",
                tail: "}\n</tool_call>",
                again: Some("\n<tool_call>\n{\"name\": \""),
                end: "",
                space: false,
                anchored: false,
            },
            Self::Llama => &Parts {
                trigger: "{\"name\"",
                head: ": \"",
                middle: "\", \"parameters\": ",
                tail: "}",
                again: None,
                end: "",
                space: false,
                anchored: true,
            },
            Self::Mistral(_) => &Parts {
                trigger: "[TOOL_CALLS]",
                head: "[{\"name\": \"",
                middle: "\", \"arguments\": ",
                tail: "}",
                again: Some(", {\"name\": \""),
                end: "]",
                space: true,
                anchored: false,
            },
        }
    }

    /// The control token that begins the calls, where it is one that has no text.
    pub(crate) fn token(self) -> Option<u32> {
        match self {
            Self::Mistral(token) => token,
            Self::Hermes | Self::Llama => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::testdata;
    use crate::tokenizer::tests::byte_level;

    #[test]
    fn templates_in_use_show_their_forms() {
        let reference: Value = testdata::json(testdata::tiny("templates.json"));
        let tokenizer = byte_level();
        let mut found = Vec::new();
        for template in reference["templates"].as_array().unwrap() {
            let form = Form::of(template["template"].as_str().unwrap(), &tokenizer);
            found.extend(form.map(|form| (template["name"].as_str().unwrap(), form)));
        }
        for (name, form) in &found {
            let expected = match *name {
                name if name.contains("chatml") => Form::Hermes,
                name if name.contains("mistral") => Form::Mistral(None),
                _ => Form::Llama,
            };
            assert_eq!(*form, expected, "{name}");
        }
        let has = |form: Form| found.iter().any(|(_, other)| *other == form);
        assert!(has(Form::Hermes) && has(Form::Llama), "{found:?}");
    }
}
