//! Answers that keep to a form: any JSON, JSON of a schema, calls of functions.
//!
//! Why apart: a form is asked for by whoever asks, is turned into a grammar before the model is bothered, and then says at
//! each token which may come next.
//!
//! - [`schema`]: a schema from outside, taken apart and written anew; [`weight`]: how much it could grow
//! - `grammar`: what a grammar is made of
//! - `vocabulary`, `mask`: tokens as the library wants them, and its work beside the pass
//! - `steering`: when an answer is held to its grammar
//!
//! The grammars are those of `llguidance`. What it allocates for a schema and an answer is not wiped.
//!
//! # Invariants
//! Work is bounded in steps before it is done. The tokens of an answer depend on its request alone. Nothing of a schema is in
//! an error.

#[cfg(anchorhold_fuzzing)]
pub mod fuzzing;
mod grammar;
mod mask;
pub mod schema;
pub(crate) mod steering;
mod vocabulary;
#[cfg(any(test, anchorhold_fuzzing))]
mod walk;
mod weight;

use std::fmt;
use std::sync::{Arc, OnceLock};

use anchorhold_memory::stack;
use llguidance::Matcher;
use llguidance::api::TopLevelGrammar;
use zeroize::Zeroizing;

use crate::limits::constraint as limits;
use crate::tokenizer::Pieces;
use crate::tools::{Form, ToolChoice, Tools};
pub(crate) use mask::Exceeded;
use mask::{Masks, Parser};
use schema::{Allowance, SchemaError};
use steering::{Spelling, Steering, Watch};
use vocabulary::Vocabulary;

/// What an answer has to be.
pub enum Output {
    /// JSON.
    Json(Format),
    /// A text, or calls of these functions.
    Tools(Arc<Tools>),
    /// JSON, or calls of these functions; calls alone where they are forced. What could be either is a call.
    Either(Arc<Tools>, Format),
}

/// Which JSON.
pub enum Format {
    /// Any object.
    Object,
    /// What fulfils this schema (JSON Schema 2020-12, as JSON text).
    Schema(Zeroizing<String>),
}

/// An answer cannot be held to a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConstraintError {
    /// The schema is not taken; of a function, the one with this number, when it is of one.
    Schema {
        /// Which function's.
        tool: Option<usize>,
        /// Why.
        error: SchemaError,
    },
    /// Nothing fulfils what the functions ask for together, or it is not understood.
    Tools,
    /// The model's chat template says nothing of functions, or in a form that is not known here.
    NoToolForm,
    /// The model's tokens cannot be held to a grammar.
    Vocabulary,
    /// The system gives no thread for it.
    NoThread,
}

impl fmt::Display for ConstraintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schema { tool: None, error } => error.fmt(f),
            Self::Schema {
                tool: Some(number),
                error,
            } => write!(f, "function {number}: {error}"),
            Self::Tools => f.write_str("nothing fulfils the schema of a function, or it is not understood"),
            Self::NoToolForm => {
                f.write_str("the model's chat template has no form for functions that is known here")
            }
            Self::Vocabulary => f.write_str("the model's tokens cannot be held to a grammar"),
            Self::NoThread => f.write_str("the system gives no thread"),
        }
    }
}

impl std::error::Error for ConstraintError {}

impl ConstraintError {
    /// What the client, or for the last two the operator, can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Schema { error, .. } => error.hint(),
            Self::Tools => SchemaError::Refused.hint(),
            Self::NoToolForm => "use a model whose template is of Qwen's, Llama's or Mistral's form",
            Self::Vocabulary => "use a model with a published tokenizer",
            Self::NoThread => "raise the limit of processes (RLIMIT_NPROC, or the cgroup's pids.max)",
        }
    }
}

/// The form that one answer is held to. No `Clone` or `Debug`: it holds what was asked for.
pub struct Constraint(pub(crate) Steering);

/// Makes grammars for one model's answers, on any thread. Clones make the same.
#[derive(Clone)]
pub struct Grammars(Arc<Shared>);

struct Shared {
    pieces: Arc<Pieces>,
    vocabulary: usize,
    stop_ids: Vec<u32>,
    form: Option<Form>,
    threads: usize,
    /// Made for the first answer that needs it: it takes a second and some ten MB.
    made: OnceLock<Option<Made>>,
}

struct Made {
    vocabulary: Arc<Vocabulary>,
    masks: Arc<Masks>,
}

impl Grammars {
    pub(crate) fn new(
        pieces: Arc<Pieces>,
        vocabulary: usize,
        stop_ids: Vec<u32>,
        form: Option<Form>,
        threads: usize,
    ) -> Self {
        Self(Arc::new(Shared {
            pieces,
            vocabulary,
            stop_ids,
            form,
            threads: threads.min(limits::MASK_THREADS),
            made: OnceLock::new(),
        }))
    }

    /// Whether the model's template has a form for functions that is known here.
    #[must_use]
    pub fn knows_tools(&self) -> bool {
        self.0.form.is_some()
    }

    /// Makes the grammar for one answer. Takes up to some hundred milliseconds, and longer the first time.
    ///
    /// # Errors
    /// [`ConstraintError`]: what is asked for cannot be kept to within the limits on work.
    pub fn compile(&self, output: Output) -> Result<Constraint, ConstraintError> {
        // Schemas nest, and the library follows them by recursion: the stack is as deep as the limits on them allow.
        let shared = Arc::clone(&self.0);
        let thread = std::thread::Builder::new()
            .name("grammar".to_owned())
            .stack_size(limits::COMPILE_STACK)
            .spawn(move || stack::scrubbed(|| shared.compile(&output)))
            .map_err(|_| ConstraintError::NoThread)?;
        thread.join().unwrap_or(Err(ConstraintError::Vocabulary))
    }
}

impl Shared {
    fn made(&self) -> Result<&Made, ConstraintError> {
        let make = || {
            Some(Made {
                vocabulary: Arc::new(Vocabulary::new(&self.pieces, self.vocabulary, &self.stop_ids)?),
                masks: Arc::new(Masks::start(self.threads)?),
            })
        };
        self.made
            .get_or_init(make)
            .as_ref()
            .ok_or(ConstraintError::Vocabulary)
    }

    fn compile(&self, output: &Output) -> Result<Constraint, ConstraintError> {
        let mut allowance = Allowance::new();
        let (tools, format) = match output {
            Output::Json(format) => {
                return Ok(Constraint(Steering::throughout(
                    self.json(format, &mut allowance)?,
                )));
            }
            Output::Either(tools, format) if tools.choice == ToolChoice::Auto => (tools, Some(format)),
            // Where it has to call, there is no text to have a format.
            Output::Tools(tools) | Output::Either(tools, _) => (tools, None),
        };
        let form = self.form.ok_or(ConstraintError::NoToolForm)?;
        let text = format.map(|format| self.json(format, &mut allowance));
        let text = text.transpose()?;
        let calls = grammar::calls(form, tools, text.is_some(), &mut allowance)?;
        let calls = self.parser(calls)?.ok_or(ConstraintError::Tools)?;
        let vocabulary = &self.made()?.vocabulary;
        let spelling: Arc<dyn Spelling> = Arc::<Vocabulary>::clone(vocabulary);
        let watch = Watch::new(form, spelling, Arc::clone(&self.pieces));
        let forced = match (tools.choice, form.token()) {
            (ToolChoice::Auto, _) => Some(Vec::new()),
            (_, Some(token)) => Some(vec![token]),
            (_, None) => vocabulary.spell(form.parts().trigger.as_bytes()),
        };
        let forced = forced.ok_or(ConstraintError::Vocabulary)?;
        Ok(Constraint(match text {
            Some(text) => Steering::either(calls, text, watch),
            None => Steering::calls(calls, watch, forced),
        }))
    }

    fn json(&self, format: &Format, allowance: &mut Allowance) -> Result<Parser, ConstraintError> {
        let refused = |error| ConstraintError::Schema { tool: None, error };
        let grammar = match format {
            Format::Object => grammar::object(),
            Format::Schema(schema) => grammar::json(schema, allowance).map_err(refused)?,
        };
        self.parser(grammar)?.ok_or(refused(SchemaError::Refused))
    }

    /// None when nothing fits the grammar, or it takes too many steps.
    fn parser(&self, grammar: TopLevelGrammar) -> Result<Option<Parser>, ConstraintError> {
        let made = self.made()?;
        let parser = Matcher::new(made.vocabulary.factory.create_parser(grammar));
        Ok(Parser::new(Box::new(parser), Arc::clone(&made.masks)).ok())
    }
}

#[cfg(test)]
mod tests;
