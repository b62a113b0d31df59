//! Grammars for the forms of answers.
//!
//! Why apart: it writes what the library reads, and nothing else does.
//!
//! # Invariants
//! What stands in a grammar's own text is ours, but for names of functions, which are letters, digits, `_` and `-`. White
//! space in JSON is a space, or a line's end and up to 40 spaces, so that no answer fills with it. No `\u` escapes are
//! written, so that a member's name is spelled in one way only.

use std::fmt::Write as _;

use llguidance::api::{GrammarWithLexer, TopLevelGrammar};
use serde_json::{Value, json};

use super::ConstraintError;
use super::schema::{self, Allowance, SchemaError};
use crate::tools::form::Form;
use crate::tools::{ToolChoice, Tools};
use crate::wiped::WipedJson;

/// Any object.
pub(super) fn object() -> TopLevelGrammar {
    TopLevelGrammar::from_json_schema(with_options(WipedJson(json!({"type": "object"}))))
}

/// What fulfils a schema.
pub(super) fn json(schema: &str, allowance: &mut Allowance) -> Result<TopLevelGrammar, SchemaError> {
    let schema = schema::rewrite(schema, allowance)?;
    Ok(TopLevelGrammar::from_json_schema(with_options(schema)))
}

/// Calls of functions, from behind what begins the first; `whole`: with that, where it has text.
pub(super) fn calls(
    form: Form,
    tools: &Tools,
    whole: bool,
    allowance: &mut Allowance,
) -> Result<TopLevelGrammar, ConstraintError> {
    let parts = form.parts();
    let mut grammars = Vec::with_capacity(tools.functions.len() + 1);
    let mut text = String::from("start: ");
    if whole && form.token().is_none() {
        text.push_str(&quoted(parts.trigger));
        text.push(' ');
    }
    if parts.space {
        text.push_str("\" \"? ");
    }
    text.push_str(&quoted(parts.head));
    text.push_str(" call");
    match parts.again {
        Some(again) if tools.parallel && !matches!(tools.choice, ToolChoice::Named(_)) => {
            let _ = write!(text, " ({} call)*", quoted(again));
        }
        _ => {}
    }
    if !parts.end.is_empty() {
        let _ = write!(text, " {}", quoted(parts.end));
    }
    let mut names = Vec::new();
    let mut functions = String::new();
    for (number, function) in tools.functions.iter().enumerate() {
        if matches!(tools.choice, ToolChoice::Named(named) if named != number) {
            continue;
        }
        let refused = |error| ConstraintError::Schema {
            tool: Some(number),
            error,
        };
        let schema = match &function.parameters {
            Some(schema) => arguments(schema::rewrite(schema, allowance).map_err(refused)?),
            None => Ok(WipedJson(
                json!({"type": "object", "additionalProperties": false}),
            )),
        };
        let name = format!("{}{}", &*function.name, parts.middle);
        let _ = write!(functions, "\nf{number}: {} @t{number}", quoted(&name));
        names.push(format!("f{number}"));
        grammars.push(GrammarWithLexer {
            name: Some(format!("t{number}")),
            json_schema: Some(with_options(schema.map_err(refused)?)),
            lark_grammar: None,
        });
    }
    let _ = write!(
        text,
        "\ncall: ({}) {}{functions}\n",
        names.join(" | "),
        quoted(parts.tail)
    );
    grammars.insert(0, GrammarWithLexer::from_lark(text));
    Ok(TopLevelGrammar {
        grammars,
        max_tokens: None,
    })
}

/// Arguments are an object: a schema that says nothing is taken for any.
fn arguments(mut schema: WipedJson) -> Result<WipedJson, SchemaError> {
    let says_nothing = schema.0.as_object().is_some_and(serde_json::Map::is_empty);
    if says_nothing {
        schema.0["type"] = Value::from("object");
    }
    if schema.0.get("type").and_then(Value::as_str) == Some("object") {
        Ok(schema)
    } else {
        Err(SchemaError::NotASchema("parameters"))
    }
}

/// The schema with the library's options. It is the library's then, and not wiped.
fn with_options(mut schema: WipedJson) -> Value {
    let mut schema = std::mem::take(&mut schema.0);
    schema["x-guidance"] = json!({
        "whitespace_pattern": " |\\n[ \\t]{0,40}",
        "json_allowed_escapes": "nrbtf\\\"",
    });
    schema
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
