//! From the files of an unsealed model to a model that answers.
//!
//! Why apart: it decides by `config.json`, or by a GGUF file's own settings, which kind of model the files are.
//!
//! - [`error`]: why files did not become a model
//! - [`gguf`]: a GGUF file becomes the parts of a model
//! - [`info`]: what a model is
//! - [`options`]: how it is loaded
//! - [`mod@parts`]: what a model is made of
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
#[cfg(any(test, feature = "device"))]
use crate::device::{Device, DeviceError};
use crate::embedder::Embedder;
use crate::limits::inference as limits;
use crate::progress::Progress;
use crate::unsealed::UnsealedModel;
use error::{LoadError, SettingProblem};
use files::ModelFiles;
use gguf::Parts;
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

    /// The same, computed by a device that may be given the weights.
    ///
    /// # Errors
    /// As [`Self::load`], and [`LoadError::Device`], also for embedders, which only the CPU computes.
    #[cfg(feature = "device")]
    pub fn load_on(
        model: UnsealedModel,
        device: Device,
        options: LoadOptions,
        progress: &dyn Progress,
    ) -> Result<Self, LoadError> {
        Self::load_files_on(ModelFiles::new(model), device, &options, progress)
    }

    pub(crate) fn load_files(
        mut files: ModelFiles,
        options: &LoadOptions,
        progress: &dyn Progress,
    ) -> Result<Self, LoadError> {
        Ok(match parts(&mut files, progress)? {
            Parts::Decoder(parts) => Self::Decoder(Box::new(Decoder::load(*parts, options)?)),
            Parts::Embedder(parts) => Self::Embedder(Box::new(Embedder::load(*parts, options)?)),
        })
    }

    #[cfg(any(test, feature = "device"))]
    pub(crate) fn load_files_on(
        mut files: ModelFiles,
        device: Device,
        options: &LoadOptions,
        progress: &dyn Progress,
    ) -> Result<Self, LoadError> {
        match parts(&mut files, progress)? {
            Parts::Decoder(parts) => Ok(Self::Decoder(Box::new(Decoder::load_on(
                *parts, device, options,
            )?))),
            Parts::Embedder(_) => Err(LoadError::Device(DeviceError::Unsupported("embedders"))),
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

/// What the files describe, read and not computed with yet.
fn parts<'p>(files: &mut ModelFiles, progress: &'p dyn Progress) -> Result<Parts<'p>, LoadError> {
    if let Some(file) = gguf::find(files)? {
        return gguf::parts(&file, files, progress);
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
        let parts = EmbedderParts::of_encoder(architecture, &config, files, progress)?;
        return Ok(Parts::Embedder(Box::new(parts)));
    }
    // Embedders are saved as one class or the other; what makes them embedders are the files beside.
    let base = Family::of_base(architecture);
    match Family::of(architecture).or(base) {
        Some(family) if base.is_some() || files.contains(parts::MODULES) => {
            let parts = EmbedderParts::of_decoder(family, &config, files, progress)?;
            Ok(Parts::Embedder(Box::new(parts)))
        }
        Some(family) => {
            let parts = DecoderParts::of_folder(family, &config, files, progress)?;
            Ok(Parts::Decoder(Box::new(parts)))
        }
        None => Err(config.unsupported("architectures", architecture)),
    }
}

#[cfg(test)]
mod tests;
