//! The words of a model without its weights: texts and conversations to ids, and ids of an answer to text.
//!
//! Why apart: whoever asks a model may do this for it, so that the machine that computes looks nothing up by what was said.
//! It is the engine's own code, so that both make the same ids.
//!
//! # Invariants
//! Only files of the pinned manifest are read: another tokenizer would make another conversation. Ids and texts are wiped
//! when dropped.

use std::fmt;

use anchorhold_encoding::{Digest, tree};
use zeroize::Zeroizing;

use crate::chat::{self, ChatError, ChatMessage};
use crate::limits::{CHUNK, inference as limits};
use crate::manifest::Manifest;
use crate::model::error::{FileProblem, LoadError};
use crate::model::files::ModelFiles;
use crate::prompt::PromptError;
use crate::shown::ShownName;
use crate::template::{Template, TemplateSource};
use crate::tokenizer::{Pieces, TextStream, Tokenizer};

/// Files that say how a model's texts are made, where a model has them.
const FILES: [&str; 3] = ["chat_template.jinja", "tokenizer.json", "tokenizer_config.json"];
const TOKENIZER: &str = "tokenizer.json";

/// A model's tokenizer and chat template.
pub struct Wording {
    tokenizer: Tokenizer,
    pieces: Pieces,
    template: Option<Template>,
    /// Tokens that the template may name.
    names: Vec<(&'static str, String)>,
}

/// Files are not the words of the pinned model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WordingError {
    /// The manifest is another model's.
    Manifest,
    /// The model has no `tokenizer.json`: a GGUF file's tokenizer is in the file itself, with the weights.
    NoTokenizer,
    /// A file that the manifest lists was not given.
    Missing(&'static str),
    /// A file differs from the one that the manifest lists.
    Differs(&'static str),
    /// A file is of no use.
    Unusable(LoadError),
}

impl fmt::Display for WordingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest => f.write_str("the manifest is not that of the model that was attested"),
            Self::NoTokenizer => f.write_str("the model has no tokenizer.json"),
            Self::Missing(file) => write!(f, "{file} is missing, which the model's manifest lists"),
            Self::Differs(file) => write!(f, "{file} is not the one that the model's manifest lists"),
            Self::Unusable(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for WordingError {}

impl WordingError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Manifest => "ask the model's owner for the manifest whose digest your policy names",
            Self::NoTokenizer => "let the enclave make the tokens of this model",
            Self::Missing(_) | Self::Differs(_) => "take the files of the revision that the owner sealed",
            Self::Unusable(error) => error.hint(),
        }
    }
}

impl Wording {
    /// Which files of the model are needed.
    pub fn files(manifest: &Manifest) -> impl Iterator<Item = &'static str> {
        let listed = |name: &&'static str| manifest.files().iter().any(|file| file.name == *name);
        FILES.into_iter().filter(listed)
    }

    /// Out of the files that [`Self::files`] names, each with its name. The manifest must have the pinned digest.
    ///
    /// # Errors
    /// [`WordingError`]. No file is read before all were compared with the manifest.
    pub fn read(
        manifest: &Manifest,
        pinned: Digest<32>,
        files: Vec<(String, Vec<u8>)>,
    ) -> Result<Self, WordingError> {
        if manifest.digest() != pinned {
            return Err(WordingError::Manifest);
        }
        let mut authentic = Vec::new();
        for name in Self::files(manifest) {
            let listed = manifest.files().iter().find(|file| file.name == name);
            let given = files.iter().find(|(other, _)| other == name);
            let (Some(listed), Some((_, bytes))) = (listed, given) else {
                return Err(WordingError::Missing(name));
            };
            let leaves: Vec<Digest<32>> = bytes.chunks(CHUNK).map(tree::leaf).collect();
            if bytes.len() as u64 != listed.size || tree::root(&leaves) != listed.tree {
                return Err(WordingError::Differs(name));
            }
            authentic.push((name.to_owned(), bytes.clone()));
        }
        Self::of_files(&mut ModelFiles::of_bytes(authentic))
    }

    fn of_files(files: &mut ModelFiles) -> Result<Self, WordingError> {
        let bytes = files.take(TOKENIZER).ok_or(WordingError::NoTokenizer)?;
        let tokenizer = Tokenizer::load(&bytes).map_err(WordingError::Unusable)?;
        let pieces = tokenizer.pieces().map_err(WordingError::Unusable)?;
        let source = TemplateSource::read(files).map_err(WordingError::Unusable)?;
        let compile = |text: &String| {
            Template::compile(text).ok_or(WordingError::Unusable(LoadError::File {
                file: ShownName::new("chat_template"),
                problem: FileProblem::NotTemplate,
            }))
        };
        Ok(Self {
            template: source.template.as_ref().map(compile).transpose()?,
            tokenizer,
            pieces,
            names: source.tokens,
        })
    }

    /// The ids that the engine would make of a conversation.
    ///
    /// # Errors
    /// [`ChatError`], as the engine's.
    pub fn chat(&self, messages: &[ChatMessage]) -> Result<Zeroizing<Vec<u32>>, ChatError> {
        let template = self.template.as_ref().ok_or(ChatError::NoTemplate)?;
        let ids = chat::encode(messages, None, template, &self.names, &self.tokenizer)?;
        if ids.is_empty() {
            return Err(ChatError::Empty);
        }
        Ok(ids)
    }

    /// The ids that the engine would make of a text that is to be continued.
    ///
    /// # Errors
    /// [`PromptError`], as the engine's.
    pub fn text(&self, text: &str) -> Result<Zeroizing<Vec<u32>>, PromptError> {
        if text.len() > limits::TEXT_BYTES {
            return Err(PromptError::TooLong);
        }
        let ids = self.tokenizer.encode_text(text)?;
        if ids.is_empty() {
            return Err(PromptError::Empty);
        }
        Ok(ids)
    }

    /// The text of an answer that is to come; `continues` where it goes on with a text of the prompt's.
    #[must_use]
    pub fn answer(&self, continues: bool) -> AnswerText {
        AnswerText(self.pieces.stream(continues))
    }
}

/// An answer's ids become text as they come. A character that is spread over several is held back.
pub struct AnswerText(TextStream);

impl AnswerText {
    /// The text that is now complete.
    #[must_use]
    pub fn push(&mut self, wording: &Wording, ids: &[u32]) -> Zeroizing<String> {
        let bytes = ids
            .iter()
            .map(|id| wording.pieces.bytes(*id).len())
            .sum::<usize>();
        // Enough for what was held back, and for what replaces a byte that is none of a character's.
        let mut text = Zeroizing::new(String::with_capacity(3 * (bytes + 4)));
        for id in ids {
            self.0.push(wording.pieces.bytes(*id), &mut text);
        }
        text
    }

    /// The text at the end: a character that never became whole is replaced.
    #[must_use]
    pub fn finish(&mut self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(4));
        self.0.finish(&mut text);
        text
    }
}

#[cfg(test)]
#[cfg(feature = "inference")]
mod tests;
