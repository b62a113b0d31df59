//! What a model is made of, whatever files it came in.
//!
//! Why apart: a Hugging Face folder and a GGUF file say the same things in different words; behind this, nobody asks
//! which it was.
//!
//! # Invariants
//! Configuration, tokenizer and weights are of the same files. Nothing is computed yet.

use crate::config::decoder::DecoderConfig;
use crate::config::encoder::EncoderConfig;
use crate::config::family::Family;
use crate::config::keys::{Keys, parse_object};
use crate::config::sentence::{Pooling, SentenceConfig};
use crate::limits::inference as limits;
use crate::model::error::LoadError;
use crate::model::files::ModelFiles;
use crate::progress::Progress;
use crate::template::TemplateSource;
use crate::tokenizer::Tokenizer;
use crate::weights::Weights;

const TOKENIZER: &str = "tokenizer.json";
/// Lists what follows the network of an embedder.
pub(super) const MODULES: &str = "modules.json";

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
    pub(crate) network: NetworkConfig,
    pub(crate) sentence: SentenceConfig,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) weights: Weights<'p>,
}

/// The network of an embedder.
pub(crate) enum NetworkConfig {
    /// Sees in both directions.
    Encoder(EncoderConfig),
    /// Sees what came before.
    Decoder(Box<DecoderConfig>),
}

impl NetworkConfig {
    fn vocabulary(&self) -> usize {
        match self {
            Self::Encoder(config) => config.vocabulary,
            Self::Decoder(config) => config.vocabulary,
        }
    }
}

impl<'p> DecoderParts<'p> {
    /// Out of a folder with `config.json` and safetensors.
    pub(crate) fn of_folder(
        family: &Family,
        config: &Keys<'_>,
        files: &mut ModelFiles,
        progress: &'p dyn Progress,
    ) -> Result<Self, LoadError> {
        let config = family.read(config)?;
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
    /// An encoder out of a folder with `config.json` and safetensors.
    pub(crate) fn of_encoder(
        architecture: &'static str,
        config: &Keys<'_>,
        files: &mut ModelFiles,
        progress: &'p dyn Progress,
    ) -> Result<Self, LoadError> {
        let config = EncoderConfig::read(architecture, config)?;
        let sentence = SentenceConfig::new(config.width, config.context());
        Self::of_folder(NetworkConfig::Encoder(config), sentence, files, progress)
    }

    /// A decoder whose vectors of tokens become one of the text.
    pub(crate) fn of_decoder(
        family: &Family,
        config: &Keys<'_>,
        files: &mut ModelFiles,
        progress: &'p dyn Progress,
    ) -> Result<Self, LoadError> {
        // Which of its tokens tells about the whole text is its makers' choice.
        if !files.contains(MODULES) {
            return Err(LoadError::MissingFile(MODULES));
        }
        let config = family.read(config)?;
        let sentence = SentenceConfig::new(config.width, config.context);
        Self::of_folder(
            NetworkConfig::Decoder(Box::new(config)),
            sentence,
            files,
            progress,
        )
    }

    fn of_folder(
        network: NetworkConfig,
        mut sentence: SentenceConfig,
        files: &mut ModelFiles,
        progress: &'p dyn Progress,
    ) -> Result<Self, LoadError> {
        read_settings(&mut sentence, files)?;
        // What sentence-transformers does with an encoder that has no such files.
        sentence.pooling.get_or_insert(Pooling::Mean);
        let tokenizer = tokenizer(files)?.ok_or(LoadError::MissingFile(TOKENIZER))?;
        check_vocabulary(&tokenizer, network.vocabulary())?;
        Ok(Self {
            network,
            sentence,
            tokenizer,
            weights: Weights::open(files, progress)?,
        })
    }
}

/// The tokenizer that stands beside the weights, if one does.
pub(super) fn tokenizer(files: &mut ModelFiles) -> Result<Option<Tokenizer>, LoadError> {
    let Some(bytes) = files.take(TOKENIZER) else {
        return Ok(None);
    };
    let described = Tokenizer::describe(&bytes)?;
    // Not beside the tables that are made now.
    drop(bytes);
    Tokenizer::of(described).map(Some)
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
pub(super) fn read_settings(config: &mut SentenceConfig, files: &mut ModelFiles) -> Result<(), LoadError> {
    const LENGTHS: &str = "sentence_bert_config.json";
    const PROMPTS: &str = "config_sentence_transformers.json";
    const POOLING: &str = "1_Pooling/config.json";
    if let Some(bytes) = files.take(LENGTHS) {
        let settings = parse_object(LENGTHS, &bytes, limits::CONFIG_BYTES)?;
        config.apply_lengths(&Keys::new(LENGTHS, &settings))?;
    }
    if let Some(bytes) = files.take(PROMPTS) {
        let settings = parse_object(PROMPTS, &bytes, limits::CONFIG_BYTES)?;
        SentenceConfig::check_prompts(&Keys::new(PROMPTS, &settings))?;
    }
    let Some(bytes) = files.take(MODULES) else {
        // Pooling that nothing asks for: whoever reads the one file does another thing than who reads the other.
        return match files.contains(POOLING) {
            true => Err(LoadError::MissingFile(MODULES)),
            false => Ok(()),
        };
    };
    let path = config.apply_modules(&bytes)?;
    let bytes = files
        .take(&format!("{path}/config.json"))
        .ok_or(LoadError::MissingFile(POOLING))?;
    let settings = parse_object(POOLING, &bytes, limits::CONFIG_BYTES)?;
    config.apply_pooling(&Keys::new(POOLING, &settings))
}
