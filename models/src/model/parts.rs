//! What a model is made of, whatever files it came in.
//!
//! Why apart: a Hugging Face folder and a GGUF file say the same things in different words; behind this, nobody asks
//! which it was.
//!
//! # Invariants
//! Configuration, tokenizer and weights are of the same files. Nothing is computed yet.

use crate::config::decoder::{DecoderConfig, Family};
use crate::config::embedder::EmbedderConfig;
use crate::config::keys::{Keys, parse_object};
use crate::limits::inference as limits;
use crate::model::error::LoadError;
use crate::model::files::ModelFiles;
use crate::progress::Progress;
use crate::template::TemplateSource;
use crate::tokenizer::Tokenizer;
use crate::weights::Weights;

const TOKENIZER: &str = "tokenizer.json";

/// Of a model that answers.
pub(crate) struct DecoderParts<'p> {
    pub(crate) config: DecoderConfig,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) template: TemplateSource,
    /// All ids that end an answer.
    pub(crate) stop_ids: Vec<u32>,
    pub(crate) weights: Weights<'p>,
}

/// Of a model that turns texts into vectors.
pub(crate) struct EmbedderParts<'p> {
    pub(crate) config: EmbedderConfig,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) weights: Weights<'p>,
}

impl<'p> DecoderParts<'p> {
    /// Out of a folder with `config.json` and safetensors.
    pub(crate) fn of_folder(
        family: Family,
        config: &Keys<'_>,
        files: &mut ModelFiles,
        progress: &'p dyn Progress,
    ) -> Result<Self, LoadError> {
        let config = DecoderConfig::read(family, config)?;
        let tokenizer = tokenizer(files)?.ok_or(LoadError::MissingFile(TOKENIZER))?;
        check_vocabulary(&tokenizer, config.vocabulary)?;
        let template = TemplateSource::read(files)?;
        let mut stop_ids = config.stop_ids.clone();
        stop_ids.extend(generation_stop_ids(files)?);
        stop_ids.extend(template.token("eos_token").and_then(|token| tokenizer.id(token)));
        Ok(Self {
            config,
            tokenizer,
            template,
            stop_ids: sorted(stop_ids),
            weights: Weights::open(files, progress)?,
        })
    }
}

impl<'p> EmbedderParts<'p> {
    /// Out of a folder with `config.json` and safetensors.
    pub(crate) fn of_folder(
        config: &Keys<'_>,
        files: &mut ModelFiles,
        progress: &'p dyn Progress,
    ) -> Result<Self, LoadError> {
        let mut config = EmbedderConfig::read(config)?;
        read_settings(&mut config, files)?;
        let tokenizer = tokenizer(files)?.ok_or(LoadError::MissingFile(TOKENIZER))?;
        check_vocabulary(&tokenizer, config.vocabulary)?;
        Ok(Self {
            config,
            tokenizer,
            weights: Weights::open(files, progress)?,
        })
    }
}

/// The tokenizer that stands beside the weights, if one does.
pub(super) fn tokenizer(files: &mut ModelFiles) -> Result<Option<Tokenizer>, LoadError> {
    let bytes = files.take(TOKENIZER);
    bytes.map(|bytes| Tokenizer::load(&bytes)).transpose()
}

pub(super) fn check_vocabulary(tokenizer: &Tokenizer, rows: usize) -> Result<(), LoadError> {
    if tokenizer.size() > rows {
        return Err(LoadError::VocabularyMismatch {
            tokenizer: tokenizer.size(),
            weights: rows,
        });
    }
    Ok(())
}

/// The ids that `generation_config.json` says end an answer.
pub(super) fn generation_stop_ids(files: &mut ModelFiles) -> Result<Vec<u32>, LoadError> {
    const FILE: &str = "generation_config.json";
    let Some(bytes) = files.take(FILE) else {
        return Ok(Vec::new());
    };
    let settings = parse_object(FILE, &bytes, limits::CONFIG_BYTES)?;
    Keys::new(FILE, &settings).token_ids("eos_token_id")
}

pub(super) fn sorted(mut ids: Vec<u32>) -> Vec<u32> {
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The files of sentence-transformers beside `config.json`.
pub(super) fn read_settings(config: &mut EmbedderConfig, files: &mut ModelFiles) -> Result<(), LoadError> {
    const LENGTHS: &str = "sentence_bert_config.json";
    const PROMPTS: &str = "config_sentence_transformers.json";
    const POOLING: &str = "1_Pooling/config.json";
    if let Some(bytes) = files.take(LENGTHS) {
        let settings = parse_object(LENGTHS, &bytes, limits::CONFIG_BYTES)?;
        config.apply_lengths(&Keys::new(LENGTHS, &settings))?;
    }
    if let Some(bytes) = files.take(PROMPTS) {
        let settings = parse_object(PROMPTS, &bytes, limits::CONFIG_BYTES)?;
        EmbedderConfig::check_prompts(&Keys::new(PROMPTS, &settings))?;
    }
    let Some(bytes) = files.take("modules.json") else {
        return Ok(());
    };
    if let Some(path) = config.apply_modules(&bytes)? {
        let bytes = files
            .take(&format!("{path}/config.json"))
            .ok_or(LoadError::MissingFile(POOLING))?;
        let settings = parse_object(POOLING, &bytes, limits::CONFIG_BYTES)?;
        config.apply_pooling(&Keys::new(POOLING, &settings))?;
    }
    Ok(())
}
