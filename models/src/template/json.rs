//! JSON text as Python's `json.dumps` writes it.
//!
//! Why apart: prompts must be the same bytes that the model was trained on.
//!
//! # Invariants
//! `", "` and `": "` between members; non-ASCII characters stay unless asked otherwise.

use minijinja::value::Value;
use serde_json::Value as Json;

use crate::tokenizer::Marker;

/// `None` when the value is not JSON.
pub(super) fn write(value: &Value, indent: Option<usize>, ascii: bool) -> Option<String> {
    let json = serde_json::to_value(value).ok()?;
    let mut text = String::new();
    Writer { indent, ascii }.value(&json, 0, &mut text)?;
    Some(text)
}

struct Writer {
    indent: Option<usize>,
    ascii: bool,
}

impl Writer {
    fn value(&self, value: &Json, depth: usize, text: &mut String) -> Option<()> {
        match value {
            Json::Array(items) if items.is_empty() => text.push_str("[]"),
            Json::Object(members) if members.is_empty() => text.push_str("{}"),
            Json::Array(items) => {
                text.push('[');
                for (index, item) in items.iter().enumerate() {
                    self.separate(index, depth + 1, text);
                    self.value(item, depth + 1, text)?;
                }
                self.close(depth, text);
                text.push(']');
            }
            Json::Object(members) => {
                text.push('{');
                for (index, (key, item)) in members.iter().enumerate() {
                    self.separate(index, depth + 1, text);
                    self.string(key, text)?;
                    text.push_str(": ");
                    self.value(item, depth + 1, text)?;
                }
                self.close(depth, text);
                text.push('}');
            }
            Json::String(string) => self.string(string, text)?,
            other => text.push_str(&other.to_string()),
        }
        Some(())
    }

    fn separate(&self, index: usize, depth: usize, text: &mut String) {
        match (index, self.indent) {
            (0, None) => {}
            (_, None) => text.push_str(", "),
            (0, Some(_)) => self.line(depth, text),
            (_, Some(_)) => {
                text.push(',');
                self.line(depth, text);
            }
        }
    }

    fn close(&self, depth: usize, text: &mut String) {
        if self.indent.is_some() {
            self.line(depth, text);
        }
    }

    fn line(&self, depth: usize, text: &mut String) {
        text.push('\n');
        text.extend(std::iter::repeat_n(' ', depth * self.indent.unwrap_or(0)));
    }

    fn string(&self, string: &str, text: &mut String) -> Option<()> {
        let quoted = serde_json::to_string(string).ok()?;
        for character in quoted.chars() {
            // Python escapes DEL only together with everything above it. What protects users' texts is left to protect them.
            if self.ascii && !character.is_ascii() && !Marker::has(character) {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    text.push_str(&format!("\\u{unit:04x}"));
                }
            } else {
                text.push(character);
            }
        }
        Some(())
    }
}
