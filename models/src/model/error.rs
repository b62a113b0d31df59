//! Why a model's files did not become a model. The model's owner is to blame.
//!
//! Why apart: every stage of loading returns it.
//!
//! # Invariants
//! Holds constants, numbers and [`ShownName`]s; no bytes of a file, no message of a dependency.

use std::fmt;

use super::name::ShownName;
#[cfg(any(test, feature = "device"))]
use crate::device::DeviceError;
use crate::gguf::error::GgufError;
#[cfg(feature = "inference")]
use crate::matrix::ComputeError;
use crate::sealed::error::UnsealError;

/// A model's files are refused. Nothing partly loaded is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadError {
    /// A file that every model of this kind has is not there.
    MissingFile(&'static str),
    /// A file is not what its name says.
    File {
        /// Its name in the model.
        file: ShownName,
        /// What is wrong with it.
        problem: FileProblem,
    },
    /// A GGUF file's tables are not sound, or hold what is not read.
    Gguf {
        /// Its name in the model.
        file: ShownName,
        /// What is wrong with it.
        problem: GgufError,
    },
    /// More than one GGUF file, or one beside safetensors: which is the model is not said.
    TwoModels,
    /// A setting has the wrong type, is out of bounds or contradicts another.
    Setting {
        /// The file it is in.
        file: &'static str,
        /// Its key.
        key: &'static str,
        /// What is wrong with it.
        problem: SettingProblem,
    },
    /// A setting asks for something that is not built.
    Unsupported {
        /// The file it is in.
        file: &'static str,
        /// Its key.
        key: &'static str,
        /// What it asks for.
        value: ShownName,
    },
    /// A tensor is missing, not wanted, or not as the configuration says.
    Tensor {
        /// Its name in the file.
        name: ShownName,
        /// What is wrong with it.
        problem: TensorProblem,
    },
    /// The tokenizer and the weights do not fit each other.
    VocabularyMismatch {
        /// One more than the highest id the tokenizer can give.
        tokenizer: usize,
        /// Rows of the embedding table.
        weights: usize,
    },
    /// A part of the sealed file could not be read a second time, or has changed since the first.
    Again(UnsealError),
    /// The device that was to compute cannot be given the model.
    #[cfg(any(test, feature = "device"))]
    Device(DeviceError),
    /// An operation was given sizes that do not fit, which no file should be able to cause.
    Compute,
}

#[cfg(feature = "inference")]
impl From<ComputeError> for LoadError {
    fn from(_: ComputeError) -> Self {
        Self::Compute
    }
}

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileProblem {
    /// Larger than the limit in bytes.
    TooLarge(u64),
    /// Not JSON, or not an object.
    NotJson,
    /// Not UTF-8.
    NotText,
    /// Not a safetensors file: header, offsets or length are wrong.
    NotSafetensors,
    /// Not a tokenizer that can be used.
    NotTokenizer,
    /// Not a chat template that can be compiled.
    NotTemplate,
    /// Lists no way to make one vector of many.
    NoPooling,
}

/// What is wrong with a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingProblem {
    /// Needed and absent.
    Missing,
    /// Not of the type it must have.
    Type,
    /// Outside its bounds.
    Bounds,
    /// Contradicts another setting.
    Contradiction,
}

/// What is wrong with a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TensorProblem {
    /// The configuration needs it and no file has it.
    Missing,
    /// A file has it and the configuration gives it no place.
    Unexpected,
    /// Two files have it.
    Twice,
    /// Another shape than the configuration gives.
    Shape {
        /// By the configuration.
        expected: Vec<usize>,
        /// In the file.
        found: Vec<usize>,
    },
    /// Not F32, F16 or BF16.
    Type,
    /// Holds a NaN or an infinity.
    NotFinite,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingFile(file) => write!(f, "the model has no {file}"),
            Self::File { file, problem } => match problem {
                FileProblem::TooLarge(limit) => write!(f, "{file} is larger than {limit} bytes"),
                FileProblem::NotJson => write!(f, "{file} is not a JSON object"),
                FileProblem::NotText => write!(f, "{file} is not UTF-8 text"),
                FileProblem::NotSafetensors => write!(f, "{file} is not a sound safetensors file"),
                FileProblem::NotTokenizer => write!(f, "{file} is not a tokenizer that can be used"),
                FileProblem::NotTemplate => write!(f, "{file} has a chat template that does not compile"),
                FileProblem::NoPooling => write!(f, "{file} lists no pooling"),
            },
            Self::Gguf { file, problem } => write!(f, "{file} is not a GGUF file that is read: {problem}"),
            Self::TwoModels => f.write_str("the files hold the weights of more than one model"),
            Self::Setting { file, key, problem } => match problem {
                SettingProblem::Missing => write!(f, "{file} has no {key}"),
                SettingProblem::Type => write!(f, "{key} in {file} has the wrong type"),
                SettingProblem::Bounds => write!(f, "{key} in {file} is out of bounds"),
                SettingProblem::Contradiction => write!(f, "{key} in {file} contradicts another setting"),
            },
            Self::Unsupported { file, key, value } => {
                write!(f, "{key} in {file} asks for {value}, which is not supported")
            }
            Self::Tensor { name, problem } => match problem {
                TensorProblem::Missing => write!(f, "the tensor {name} is missing"),
                TensorProblem::Unexpected => write!(f, "the tensor {name} has no place in this model"),
                TensorProblem::Twice => write!(f, "the tensor {name} is there twice"),
                TensorProblem::Shape { expected, found } => {
                    write!(
                        f,
                        "the tensor {name} has the shape {found:?} instead of {expected:?}"
                    )
                }
                TensorProblem::Type => write!(f, "the tensor {name} is not F32, F16 or BF16"),
                TensorProblem::NotFinite => write!(f, "the tensor {name} holds a NaN or an infinity"),
            },
            Self::VocabularyMismatch { tokenizer, weights } => {
                write!(
                    f,
                    "the tokenizer gives ids up to {tokenizer}, the weights have {weights} rows"
                )
            }
            Self::Again(error) => write!(f, "the sealed file was read again: {error}"),
            #[cfg(any(test, feature = "device"))]
            Self::Device(error) => error.fmt(f),
            Self::Compute => f.write_str("an operation was given sizes that do not fit"),
        }
    }
}

impl std::error::Error for LoadError {}

impl LoadError {
    /// What the model's owner can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::MissingFile(_) => {
                "seal the whole folder as published, with configuration, tokenizer and weights"
            }
            Self::Gguf { problem, .. } => problem.hint(),
            Self::TwoModels => "seal one GGUF file, or safetensors with their configuration",
            Self::File { .. } => "compare the file's SHA-256 with the published one and seal again",
            Self::Setting { .. } => "compare the configuration with the published one",
            Self::Unsupported { .. } => "choose a model that needs only what is listed as supported",
            Self::Tensor {
                problem: TensorProblem::Type,
                ..
            } => "seal the F32, F16 or BF16 form of the model",
            Self::Tensor { .. } => "configuration and weights must be of the same model and revision",
            Self::VocabularyMismatch { .. } => "tokenizer and weights must be of the same model and revision",
            Self::Again(error) => error.hint(),
            #[cfg(any(test, feature = "device"))]
            Self::Device(error) => error.hint(),
            Self::Compute => "report this as a defect",
        }
    }
}
