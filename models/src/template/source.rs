//! Where a model keeps its chat template, and the tokens that templates name.
//!
//! Why apart: it stands in one of two files and in three forms.
//!
//! # Invariants
//! Of several named templates only `default` is used.

use serde_json::{Map, Value};

use crate::config::keys::{Keys, parse_object};
use crate::limits::inference as limits;
use crate::model::error::{FileProblem, LoadError, SettingProblem};
use crate::model::files::ModelFiles;
use crate::model::name::ShownName;

const CONFIG: &str = "tokenizer_config.json";
const FILE: &str = "chat_template.jinja";

/// The template's text and the tokens it may name.
#[derive(Default)]
pub(crate) struct TemplateSource {
    pub(crate) template: Option<String>,
    /// `bos_token` and the like, by their names.
    pub(crate) tokens: Vec<(&'static str, String)>,
}

impl TemplateSource {
    pub(crate) fn read(files: &mut ModelFiles) -> Result<Self, LoadError> {
        let mut source = Self::default();
        if let Some(bytes) = files.take(CONFIG) {
            let config = parse_object(CONFIG, &bytes, limits::CONFIG_BYTES)?;
            let keys = Keys::new(CONFIG, &config);
            source.template = in_config(&keys)?;
            for name in ["bos_token", "eos_token", "unk_token", "pad_token"] {
                source
                    .tokens
                    .extend(token(&keys, name).map(|token| (name, token)));
            }
        }
        // transformers 5 writes the file and leaves the setting out; where both are, the file counts.
        if let Some(bytes) = files.take(FILE) {
            let refuse = |problem| LoadError::File {
                file: ShownName::new(FILE),
                problem,
            };
            let text = std::str::from_utf8(&bytes).map_err(|_| refuse(FileProblem::NotText))?;
            source.template = Some(text.to_owned());
        }
        source.check()?;
        Ok(source)
    }

    /// Refuses a template that is too long.
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        match &self.template {
            Some(template) if template.len() > limits::TEMPLATE_BYTES => Err(LoadError::File {
                file: ShownName::new("chat_template"),
                problem: FileProblem::TooLarge(limits::TEMPLATE_BYTES as u64),
            }),
            _ => Ok(()),
        }
    }

    pub(crate) fn token(&self, name: &str) -> Option<&str> {
        self.tokens
            .iter()
            .find(|(other, _)| *other == name)
            .map(|(_, token)| token.as_str())
    }
}

fn in_config(config: &Keys<'_>) -> Result<Option<String>, LoadError> {
    const KEY: &str = "chat_template";
    match config.value(KEY) {
        None => Ok(None),
        Some(Value::String(template)) => Ok(Some(template.clone())),
        Some(Value::Array(named)) => {
            let text = |entry: &Map<String, Value>, key: &str| {
                entry.get(key).and_then(Value::as_str).map(str::to_owned)
            };
            let default = named
                .iter()
                .filter_map(Value::as_object)
                .find(|entry| text(entry, "name").as_deref() == Some("default"));
            match default.and_then(|entry| text(entry, "template")) {
                Some(template) => Ok(Some(template)),
                None => Err(config.problem(KEY, SettingProblem::Missing)),
            }
        }
        Some(_) => Err(config.problem(KEY, SettingProblem::Type)),
    }
}

/// A token is written as its text, or as an object with its text in `content`.
fn token(config: &Keys<'_>, name: &str) -> Option<String> {
    let value = config.value(name)?;
    value
        .as_str()
        .or_else(|| value.get("content")?.as_str())
        .map(str::to_owned)
}

/// Makes `{% generation %}` blocks, by which transformers marks what to train on, blocks without effect.
pub(super) fn without_generation_marks(template: &str) -> String {
    let mut result = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        result.push_str(before);
        let Some(end) = tag.find("%}") else {
            rest = tag;
            break;
        };
        let (tag, after) = tag.split_at(end);
        let word = tag
            .trim_start_matches(['{', '%', '-', '+'])
            .trim_end_matches(['-', '+'])
            .trim();
        match word {
            "generation" => result.push_str(&tag.replace(word, "if true")),
            "endgeneration" => result.push_str(&tag.replace(word, "endif")),
            _ => result.push_str(tag),
        }
        rest = after;
    }
    result.push_str(rest);
    result
}
