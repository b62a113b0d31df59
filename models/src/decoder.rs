//! A model that answers, of one of the families in [`crate::config::family`].
//!
//! Why apart: it joins the computation with the model's own tokenizer and template.
//!
//! - [`pass`]: all that runs goes over the weights together
//! - [`network`]: from ids to logits, of [`block`]s with [`feed_forward`] parts, which are an [`mlp`] or [`experts`]
//! - [`rope`], [`norm`]: positions and scales
//! - [`engine`]: what computes: a CPU, or a device by `on_device`
//! - [`cache`]: keys and values of one sequence
//! - [`scratch`]: what a pass works in
//! - `trace`: what a prompt leaves in memory, for tests alone
//! - [`likelihood`]: how well a text is foretold
//!
//! # Invariants
//! Only a [`Prompt`] made here starts a [`Generation`]: its ids are of this vocabulary and its control
//! tokens are the template's, or whoever sent ids placed them.

mod block;
pub(crate) mod cache;
mod engine;
mod experts;
mod feed_forward;
mod likelihood;
mod mlp;
pub(crate) mod network;
mod norm;
#[cfg(any(test, feature = "device"))]
mod on_device;
mod pass;
mod rope;
pub(crate) mod scratch;
#[cfg(feature = "trace")]
pub mod trace;

use std::sync::{Arc, Mutex, PoisonError};

use anchorhold_kernels::kv;
use zeroize::Zeroizing;

use crate::chat::{self, ChatError, ChatMessage};
use crate::config::decoder::DecoderConfig;
use crate::constraint::{Constraint, Grammars};
#[cfg(any(test, feature = "device"))]
use crate::device::{Device, DeviceError};
use crate::generation::{GenerateError, Generation};
use crate::limits::inference as limits;
use crate::model::error::{FileProblem, LoadError};
use crate::model::info::ModelInfo;
use crate::model::name::ShownName;
use crate::model::options::{LoadOptions, Memory};
use crate::model::parts::DecoderParts;
use crate::prompt::PromptError;
use crate::sampler::params::Sampling;
use crate::template::Template;
use crate::tokenizer::{Ids, Pieces, Tokenizer};
use crate::tools::{Form, Tools};
use crate::weights::Weights;
use engine::{Engine, Workspace};
use network::Network;
#[cfg(any(test, feature = "device"))]
use on_device::DeviceNetwork;

/// A decoder with its tokenizer and template.
pub struct Decoder {
    network: Engine,
    scratch: Mutex<Workspace>,
    /// Generations of other models are told by it.
    identity: Arc<()>,
    tokenizer: Tokenizer,
    pieces: Arc<Pieces>,
    grammars: Grammars,
    template: Option<Template>,
    /// Tokens that the template may name.
    names: Vec<(&'static str, String)>,
    stop_ids: Vec<u32>,
    info: ModelInfo,
}

/// A prompt as tokens. No `Clone` or `Debug`: it is plaintext.
pub struct Prompt {
    ids: Ids,
    continues: bool,
}

impl Prompt {
    /// How many tokens, control tokens included; at least 1.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // a prompt is never empty
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub(crate) fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Whether the answer continues the prompt's own text.
    pub(crate) fn continues(&self) -> bool {
        self.continues
    }
}

impl Decoder {
    /// Positions of one answer, prompt included, that a page holds.
    pub const PAGE: usize = kv::POSITIONS;

    pub(crate) fn load(parts: DecoderParts<'_>, options: &LoadOptions) -> Result<Self, LoadError> {
        Self::assemble(parts, options.threads, |weights, config| {
            Ok(Engine::Cpu(Box::new(Network::load(weights, config, options)?)))
        })
    }

    /// The same on a device.
    #[cfg(any(test, feature = "device"))]
    pub(crate) fn load_on(
        parts: DecoderParts<'_>,
        device: Device,
        options: &LoadOptions,
    ) -> Result<Self, LoadError> {
        let leave = device.leave.clone();
        let loaded = Self::assemble(parts, options.threads, |weights, config| {
            let network = DeviceNetwork::load(weights, config, device, options)?;
            Ok(Engine::Device(Box::new(network)))
        });
        // No file makes an operation fail that was checked: it is the device.
        loaded.map_err(|error| match error {
            LoadError::Compute if leave.holds() => LoadError::Device(DeviceError::Failed),
            LoadError::Compute => LoadError::Device(DeviceError::Revoked),
            other => other,
        })
    }

    fn assemble(
        parts: DecoderParts<'_>,
        threads: usize,
        load: impl FnOnce(Weights<'_>, DecoderConfig) -> Result<Engine, LoadError>,
    ) -> Result<Self, LoadError> {
        let DecoderParts {
            config,
            tokenizer,
            template: source,
            stop_ids,
            weights,
        } = parts;
        let compile = |text: &String| {
            let file = ShownName::new("chat_template");
            Template::compile(text).ok_or(LoadError::File {
                file,
                problem: FileProblem::NotTemplate,
            })
        };
        let template = source.template.as_ref().map(compile).transpose()?;
        let pieces = Arc::new(tokenizer.pieces()?);
        let form = source
            .template
            .as_ref()
            .and_then(|text| Form::of(text, &tokenizer));
        let network = load(weights, config)?;
        let grammars = Grammars::new(
            Arc::clone(&pieces),
            network.config().vocabulary,
            stop_ids.clone(),
            form,
            threads,
        );
        let info = info(&network, template.is_some());
        Ok(Self {
            scratch: Mutex::new(network.new_workspace()?),
            identity: Arc::new(()),
            network,
            tokenizer,
            pieces,
            grammars,
            template,
            names: source.tokens,
            stop_ids,
            info,
        })
    }

    /// What the model is.
    #[must_use]
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// The prompt that the model's template makes of a conversation, ready for the model's turn.
    ///
    /// # Errors
    /// When the model has no template, the template refuses the conversation, or it cannot fit in the context.
    pub fn chat_prompt(&self, messages: &[ChatMessage]) -> Result<Prompt, ChatError> {
        self.chat_prompt_with(messages, None)
    }

    /// As [`Self::chat_prompt`], with functions that the template tells the model of.
    ///
    /// # Errors
    /// As there.
    pub fn chat_prompt_with(
        &self,
        messages: &[ChatMessage],
        tools: Option<&Tools>,
    ) -> Result<Prompt, ChatError> {
        let template = self.template.as_ref().ok_or(ChatError::NoTemplate)?;
        if messages.iter().map(ChatMessage::bytes).sum::<usize>() > self.most_bytes() {
            return Err(ChatError::TooLong);
        }
        let ids = chat::encode(messages, tools, template, &self.names, &self.tokenizer)?;
        if ids.is_empty() {
            Err(ChatError::Empty)
        } else {
            Ok(Prompt {
                ids,
                continues: false,
            })
        }
    }

    /// A text to continue, with the begin token that the tokenizer puts before a text. Spelled control
    /// tokens are plain text.
    ///
    /// # Errors
    /// When the text gives no token, or cannot fit in the context.
    pub fn text_prompt(&self, text: &str) -> Result<Prompt, PromptError> {
        if text.len() > self.most_bytes() {
            return Err(PromptError::TooLong);
        }
        let ids = self.tokenizer.encode_text(text)?;
        if ids.is_empty() {
            Err(PromptError::Empty)
        } else {
            Ok(Prompt {
                ids,
                continues: !text.is_empty(),
            })
        }
    }

    /// A prompt that whoever asks has made into tokens, so that no table here is read by what it says. Control tokens are the
    /// asker's to place: it is the asker's own conversation, and no other's text is in it.
    ///
    /// # Errors
    /// When there is no token, or one that the tokenizer does not have.
    pub fn ids_prompt(&self, ids: Zeroizing<Vec<u32>>) -> Result<Prompt, PromptError> {
        if ids.is_empty() {
            return Err(PromptError::Empty);
        }
        if ids.len() > self.info.context_length {
            return Err(PromptError::TooLong);
        }
        // All are looked at, whichever is the first that is none.
        let size = self.tokenizer.size();
        let unknown = ids.iter().filter(|id| **id as usize >= size).count();
        if unknown > 0 {
            return Err(PromptError::UnknownId);
        }
        Ok(Prompt {
            ids,
            continues: false,
        })
    }

    /// Begins an answer: reserves the pages that prompt and answer may take. Computes nothing yet.
    ///
    /// # Errors
    /// When prompt and answer do not fit in the context, or in the pages that are free.
    pub fn start(&self, prompt: Prompt, sampling: Sampling) -> Result<Generation, GenerateError> {
        self.start_within(prompt, sampling, None)
    }

    /// As [`Self::start`], held to a form that this model's [`Self::grammars`] made.
    ///
    /// # Errors
    /// As there.
    pub fn start_within(
        &self,
        prompt: Prompt,
        sampling: Sampling,
        constraint: Option<Constraint>,
    ) -> Result<Generation, GenerateError> {
        Generation::new(self, prompt, sampling, constraint)
    }

    /// Makes grammars for answers, on any thread.
    #[must_use]
    pub fn grammars(&self) -> Grammars {
        self.grammars.clone()
    }

    /// Pages of keys and values that nobody has, and all there are.
    #[must_use]
    pub fn pages(&self) -> (usize, usize) {
        self.network.pages()
    }

    /// Bytes that the model takes, computed and not measured.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        self.network.memory(&scratch)
    }

    /// Overwrites what computing left in memory that is kept, and asks the threads that compute to do so with their stacks. For when
    /// somebody's answer has ended.
    pub fn forget(&self) {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        scratch.forget();
        self.network.machine().pool.scrub();
    }

    /// More text cannot fit in the context, and splitting it would only take time.
    fn most_bytes(&self) -> usize {
        self.info
            .context_length
            .saturating_mul(self.pieces.longest())
            .saturating_mul(limits::SHORTENING)
    }

    pub(crate) fn network(&self) -> &Engine {
        &self.network
    }

    pub(crate) fn identity(&self) -> &Arc<()> {
        &self.identity
    }

    pub(crate) fn pieces(&self) -> &Pieces {
        &self.pieces
    }

    pub(crate) fn stops_at(&self, id: u32) -> bool {
        self.stop_ids.contains(&id)
    }
}

fn info(network: &Engine, chat: bool) -> ModelInfo {
    let config = network.config();
    ModelInfo {
        architecture: config.architecture,
        parameters: network.parameters(),
        context_length: config.context,
        vocabulary: config.vocabulary,
        width: config.width,
        layers: config.layers(),
        chat,
    }
}

#[cfg(test)]
mod tests;
