//! The families of decoders, each in a file of its own.
//!
//! Why apart: to add one is to add a file here, with what its `config.json` and its GGUF files say, and a line in
//! [`FAMILIES`]. Nothing else knows families by name.
//!
//! # Invariants
//! A family's file decides numbers only; what is computed from them is the decoder's. A setting that the family's class
//! has and that is not honoured is refused by its name.

mod gemma;
mod llama;
mod mistral;
mod phi;
mod qwen;
mod qwen_moe;

use serde_json::{Map, Value};

use super::decoder::DecoderConfig;
use super::keys::Keys;
use crate::model::error::LoadError;
use crate::model::gguf::source::Source;

/// All of them.
static FAMILIES: [&Family; 8] = [
    &gemma::GEMMA2,
    &gemma::GEMMA3,
    &llama::LLAMA,
    &mistral::MISTRAL,
    &phi::PHI3,
    &qwen::QWEN2,
    &qwen::QWEN3,
    &qwen_moe::QWEN3_MOE,
];

/// Models of one class of transformers'.
pub(crate) struct Family {
    /// The class, as `architectures` names it.
    architecture: &'static str,
    /// What its `config.json` says.
    read: fn(&Keys<'_>) -> Result<DecoderConfig, LoadError>,
    /// What its GGUF files say, where there are such.
    gguf: Option<GgufWords>,
}

/// How a family's GGUF files differ from those of all.
pub(crate) struct GgufWords {
    /// What `general.architecture` says.
    architecture: &'static str,
    /// Keys of the architecture's that are honoured besides those that all have.
    pub(crate) honoured: &'static [&'static str],
    /// Puts them into the words of `config.json`.
    pub(crate) members: fn(&Source<'_>, &mut Map<String, Value>) -> Result<(), LoadError>,
    /// Sets what `config.json` has no words for.
    pub(crate) adjust: fn(&Source<'_>, &mut DecoderConfig) -> Result<(), LoadError>,
    /// Tensors within a layer that are called otherwise than most: Hugging Face's names and theirs.
    pub(crate) names: &'static [(&'static str, &'static str)],
    /// Rows of queries and keys are in the order of neighbours that turn together.
    pub(crate) interleaved: bool,
}

impl GgufWords {
    /// What most architectures do.
    const fn of(architecture: &'static str) -> Self {
        Self {
            architecture,
            honoured: &[],
            members: |_, _| Ok(()),
            adjust: |_, _| Ok(()),
            names: &[],
            interleaved: false,
        }
    }
}

impl Family {
    /// By the class in `architectures`.
    pub(crate) fn of(architecture: &str) -> Option<&'static Self> {
        FAMILIES
            .into_iter()
            .find(|family| family.architecture == architecture)
    }

    /// By the class that has no output for tokens, as embedders are sometimes saved: `Qwen3Model` of `Qwen3ForCausalLM`.
    pub(crate) fn of_base(architecture: &str) -> Option<&'static Self> {
        let base = architecture.strip_suffix("Model")?;
        FAMILIES
            .into_iter()
            .find(|family| family.architecture.strip_suffix("ForCausalLM") == Some(base))
    }

    /// By `general.architecture`.
    pub(crate) fn of_gguf(architecture: &str) -> Option<(&'static Self, &'static GgufWords)> {
        FAMILIES.into_iter().find_map(|family| {
            let words = family.gguf.as_ref()?;
            (words.architecture == architecture).then_some((family, words))
        })
    }

    /// What a configuration of this family says.
    pub(crate) fn read(&self, config: &Keys<'_>) -> Result<DecoderConfig, LoadError> {
        (self.read)(config)
    }
}

#[cfg(test)]
mod tests;
