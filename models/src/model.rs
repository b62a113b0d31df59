//! From the files of an unsealed model to a model that answers.
//!
//! Why apart: it decides by `config.json`, or by a GGUF file's own settings, which kind of model the files are.
//!
//! - [`error`]: why files did not become a model
//! - [`gguf`]: a GGUF file becomes the parts of a model
//! - [`info`]: what a model is
//! - [`options`]: how it is loaded
//! - [`parts`]: what a model is made of
//!
//! # Invariants
//! The only door is an [`UnsealedModel`]: nothing unauthenticated is parsed. A model comes out whole or not
//! at all, and files are wiped as they are used up.

pub mod error;
pub(crate) mod files;
pub(crate) mod gguf;
pub mod info;
pub mod options;
pub(crate) mod parts;

pub use crate::shown as name;

use serde_json::Value;

use crate::config::encoder::EncoderConfig;
use crate::config::family::Family;
use crate::config::keys::{Keys, parse_object};
use crate::decoder::Decoder;
use crate::embedder::Embedder;
use crate::limits::inference as limits;
use crate::progress::Progress;
use crate::unsealed::UnsealedModel;
use error::{LoadError, SettingProblem};
use files::ModelFiles;
use info::ModelInfo;
use options::LoadOptions;
use parts::{DecoderParts, EmbedderParts};

/// A loaded model.
pub enum Model {
    /// Answers texts and conversations.
    Decoder(Box<Decoder>),
    /// Turns texts into vectors.
    Embedder(Box<Embedder>),
}

impl Model {
    /// Builds the model that the files describe. `progress` counts bytes of weights.
    ///
    /// # Errors
    /// When a file is missing, unsound or asks for something that is not supported, by its name.
    pub fn load(
        model: UnsealedModel,
        options: LoadOptions,
        progress: &dyn Progress,
    ) -> Result<Self, LoadError> {
        Self::load_files(ModelFiles::new(model), &options, progress)
    }

    pub(crate) fn load_files(
        mut files: ModelFiles,
        options: &LoadOptions,
        progress: &dyn Progress,
    ) -> Result<Self, LoadError> {
        if let Some(file) = gguf::find(&files)? {
            return match gguf::parts(&file, &mut files, progress)? {
                gguf::Parts::Decoder(parts) => Ok(Self::Decoder(Box::new(Decoder::load(*parts, options)?))),
                gguf::Parts::Embedder(parts) => {
                    Ok(Self::Embedder(Box::new(Embedder::load(*parts, options)?)))
                }
            };
        }
        const FILE: &str = "config.json";
        let bytes = files.take(FILE).ok_or(LoadError::MissingFile(FILE))?;
        let config = parse_object(FILE, &bytes, limits::CONFIG_BYTES)?;
        let config = Keys::new(FILE, &config);
        let architecture = config
            .list("architectures")?
            .and_then(|list| list.first())
            .and_then(Value::as_str);
        let architecture =
            architecture.ok_or_else(|| config.problem("architectures", SettingProblem::Missing))?;
        if let Some(architecture) = EncoderConfig::class(architecture) {
            let parts = EmbedderParts::of_encoder(architecture, &config, &mut files, progress)?;
            return Ok(Self::Embedder(Box::new(Embedder::load(parts, options)?)));
        }
        // Embedders are saved as one class or the other; what makes them embedders are the files beside.
        let base = Family::of_base(architecture);
        match Family::of(architecture).or(base) {
            Some(family) if base.is_some() || files.contains(parts::MODULES) => {
                let parts = EmbedderParts::of_decoder(family, &config, &mut files, progress)?;
                Ok(Self::Embedder(Box::new(Embedder::load(parts, options)?)))
            }
            Some(family) => {
                let parts = DecoderParts::of_folder(family, &config, &mut files, progress)?;
                Ok(Self::Decoder(Box::new(Decoder::load(parts, options)?)))
            }
            None => Err(config.unsupported("architectures", architecture)),
        }
    }

    /// What the model is.
    #[must_use]
    pub fn info(&self) -> &ModelInfo {
        match self {
            Self::Decoder(decoder) => decoder.info(),
            Self::Embedder(embedder) => embedder.info(),
        }
    }
}

#[cfg(test)]
mod tests;
