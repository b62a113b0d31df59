//! A GGUF file becomes the parts of a model.
//!
//! Why apart: it says in keys of llama.cpp's what a Hugging Face folder says in five files.
//!
//! - [`begin`]: as much of it as the tables are; [`settings`], [`source`]: typed and bounded access to its keys, and what
//!   families may look at
//! - [`decoder`], [`embedder`]: the configuration
//! - [`vocabulary`], [`byte_level`], [`sentence_piece`], [`word_piece`]: the tokenizer
//!
//! # Invariants
//! The file speaks for itself: `config.json` beside it is not read. What stands beside it and counts is a tokenizer, a
//! chat template, stop tokens, and how a sentence model makes one vector. A setting that would change what is computed
//! is honoured or refused by its name.

mod begin;
mod byte_level;
mod decoder;
mod embedder;
mod sentence_piece;
pub(crate) mod settings;
pub(crate) mod source;
mod vocabulary;
mod word_piece;

use crate::gguf::Gguf;
use crate::model::error::{LoadError, SettingProblem};
use crate::model::files::ModelFiles;
use crate::model::parts::{self, DecoderParts, EmbedderParts, NetworkConfig};
use crate::progress::Progress;
use crate::shown::ShownName;
use crate::template::TemplateSource;
use crate::weights::Weights;
use crate::weights::names::Names;
use settings::Settings;
use source::Source;
use vocabulary::Vocabulary;

/// What errors call the file.
const FILE: &str = "the GGUF file";

/// Of whichever kind of model the file is.
pub(crate) enum Parts<'p> {
    Decoder(Box<DecoderParts<'p>>),
    Embedder(Box<EmbedderParts<'p>>),
}

/// The name of the one GGUF file, when there is one.
pub(crate) fn find(files: &ModelFiles) -> Result<Option<String>, LoadError> {
    let mut found = files.names().filter(|name| name.ends_with(".gguf"));
    let first = found.next().map(str::to_owned);
    let more = found.next().is_some() || files.names().any(|name| name.ends_with(".safetensors"));
    if first.is_some() && more {
        return Err(LoadError::TwoModels);
    }
    Ok(first)
}

/// Takes the file apart.
pub(crate) fn parts<'p>(
    file: &str,
    files: &mut ModelFiles,
    progress: &'p dyn Progress,
) -> Result<Parts<'p>, LoadError> {
    let mut bytes = files
        .take(file)
        .ok_or(LoadError::MissingFile("GGUF file that it lists"))?;
    let (length, numbers) = begin::bring(file, &mut bytes)?;
    let begin = bytes.get(..length).unwrap_or_default();
    let gguf = Gguf::parse(begin, bytes.len() as u64).map_err(|problem| LoadError::Gguf {
        file: ShownName::new(file),
        problem,
    })?;
    let settings = Settings::of(&gguf)?;
    let vocabulary = Vocabulary::read(&settings)?;
    let rows = table_rows(&gguf)?;
    if vocabulary.len() != rows {
        return Err(LoadError::VocabularyMismatch {
            tokenizer: vocabulary.len(),
            weights: rows,
        });
    }
    let tokenizer = match parts::tokenizer(files)? {
        Some(tokenizer) => tokenizer,
        None => vocabulary.tokenizer(file)?,
    };
    parts::check_vocabulary(&tokenizer, rows)?;
    let listed = |gguf: &Gguf<'_>| gguf.tensors().iter().map(|tensor| tensor.listed()).collect();
    if settings.architecture() == embedder::ARCHITECTURE {
        let config = embedder::config(&settings, &gguf, rows)?;
        let mut sentence = embedder::sentence(&settings, config.width, config.context())?
            .ok_or_else(|| settings::problem(".pooling_type", SettingProblem::Missing))?;
        parts::read_settings(&mut sentence, files)?;
        let listed = listed(&gguf);
        drop(vocabulary);
        let weights = Weights::of_gguf(bytes, listed, Names::GgufBert, progress)?;
        return Ok(Parts::Embedder(Box::new(EmbedderParts {
            network: NetworkConfig::Encoder(config),
            sentence,
            tokenizer,
            weights,
        })));
    }
    let source = Source {
        settings: &settings,
        gguf: &gguf,
        numbers: &numbers,
    };
    let (config, names) = decoder::config(&source, rows)?;
    // A decoder's file that says how to pool is an embedder's.
    if let Some(mut sentence) = embedder::sentence(&settings, config.width, config.context)? {
        parts::read_settings(&mut sentence, files)?;
        let listed = listed(&gguf);
        drop(vocabulary);
        let mut weights = Weights::of_gguf(bytes, listed, names, progress)?;
        decoder::ignore_factors(&mut weights);
        return Ok(Parts::Embedder(Box::new(EmbedderParts {
            network: NetworkConfig::Decoder(Box::new(config)),
            sentence,
            tokenizer,
            weights,
        })));
    }
    let mut template = TemplateSource::read(files)?;
    let own = vocabulary.template()?;
    template.template = template.template.or(own.template);
    if template.tokens.is_empty() {
        template.tokens = own.tokens;
    }
    template.check()?;
    let mut stop_ids = vocabulary.stop_ids()?;
    stop_ids.extend(parts::generation_stop_ids(files)?);
    let listed = listed(&gguf);
    let mut weights = Weights::of_gguf(bytes, listed, names, progress)?;
    decoder::ignore_factors(&mut weights);
    Ok(Parts::Decoder(Box::new(DecoderParts {
        config,
        tokenizer,
        template,
        stop_ids: parts::sorted(stop_ids),
        weights,
    })))
}

/// Rows of the embedding table.
fn table_rows(gguf: &Gguf<'_>) -> Result<usize, LoadError> {
    use crate::model::error::TensorProblem;
    const TABLE: &str = "token_embd.weight";
    let table = gguf.tensors().iter().find(|tensor| tensor.name == TABLE);
    let rows = table.and_then(|table| table.shape().next());
    rows.and_then(|rows| usize::try_from(rows).ok())
        .ok_or_else(|| LoadError::Tensor {
            name: ShownName::new(TABLE),
            problem: TensorProblem::Missing,
        })
}

#[cfg(test)]
mod tests;
