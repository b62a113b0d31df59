//! What a request may ask of sampling, and its bounds.
//!
//! Why apart: requests are checked before they wait for the model.
//!
//! # Invariants
//! Only [`SamplingParams::validate`] makes a [`Sampling`], so a sampler never sees a number out of bounds.

use std::fmt;

use zeroize::Zeroizing;

use crate::limits::inference as limits;

/// Settings as a request gives them. The default samples from the model's own distribution.
pub struct SamplingParams {
    /// Divisor of the logits, 0 to 10; 0 always takes the likeliest token, the lowest id among equals.
    pub temperature: f32,
    /// Keep the likeliest tokens that together reach this probability, above 0 and at most 1.
    pub top_p: f32,
    /// Keep so many of the likeliest tokens.
    pub top_k: Option<usize>,
    /// Keep tokens at least so likely as this part of the likeliest, 0 to 1.
    pub min_p: f32,
    /// Same seed, same model, same prompt, same settings: same answer. Without one, a fresh random one.
    pub seed: Option<u64>,
    /// The answer ends before the first of these texts, which is not part of it.
    pub stop: Vec<Zeroizing<String>>,
    /// Most tokens of the answer; without it the answer may fill the context.
    pub max_tokens: Option<usize>,
    /// Divides positive and multiplies negative logits of tokens of prompt and answer (Keskar et al.,
    /// arXiv:1909.05858, section 4.1), above 0 and at most 10; 1 changes nothing.
    pub repetition_penalty: f32,
    /// Taken off the logits of tokens that the answer has, -2 to 2, as in the OpenAI interface.
    pub presence_penalty: f32,
    /// Taken off for each time that the answer has a token, -2 to 2, as in the OpenAI interface.
    pub frequency_penalty: f32,
    /// Report each token's log probability, and so many of the likeliest beside it (at most 20).
    pub logprobs: Option<usize>,
    /// Give out the answer's ids and make no text of them, so that no table is read by what the answer says. Stop texts and log
    /// probabilities, which come with text, cannot be asked for then.
    pub return_ids: bool,
}

impl Default for SamplingParams {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_p: 1.0,
            top_k: None,
            min_p: 0.0,
            seed: None,
            stop: Vec::new(),
            max_tokens: None,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            logprobs: None,
            return_ids: false,
        }
    }
}

/// Settings within their bounds.
pub struct Sampling(SamplingParams);

/// A setting is out of its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SamplingError {
    /// The setting's name as in [`SamplingParams`].
    pub field: &'static str,
    /// What it may be.
    pub bounds: &'static str,
}

impl fmt::Display for SamplingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must be {}", self.field, self.bounds)
    }
}

impl std::error::Error for SamplingError {}

impl SamplingError {
    /// What the client can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        "correct the named setting of the request"
    }
}

impl SamplingParams {
    /// Checks every setting.
    ///
    /// # Errors
    /// The first setting that is out of its bounds; a NaN is out of all.
    pub fn validate(self) -> Result<Sampling, SamplingError> {
        let checks = [
            ("temperature", "0 to 10", (0.0..=10.0).contains(&self.temperature)),
            (
                "top_p",
                "above 0 and at most 1",
                self.top_p > 0.0 && self.top_p <= 1.0,
            ),
            ("top_k", "at least 1", self.top_k != Some(0)),
            ("min_p", "0 to 1", (0.0..=1.0).contains(&self.min_p)),
            ("max_tokens", "at least 1", self.max_tokens != Some(0)),
            (
                "repetition_penalty",
                "above 0 and at most 10",
                self.repetition_penalty > 0.0 && self.repetition_penalty <= 10.0,
            ),
            (
                "presence_penalty",
                "-2 to 2",
                (-2.0..=2.0).contains(&self.presence_penalty),
            ),
            (
                "frequency_penalty",
                "-2 to 2",
                (-2.0..=2.0).contains(&self.frequency_penalty),
            ),
            (
                "logprobs",
                "at most 20",
                self.logprobs.is_none_or(|top| top <= limits::TOP_LOGPROBS),
            ),
            (
                "logprobs",
                "left out where ids are returned",
                !self.return_ids || self.logprobs.is_none(),
            ),
            (
                "stop",
                "left out where ids are returned",
                !self.return_ids || self.stop.is_empty(),
            ),
            (
                "stop",
                "at most 16 texts of 1 to 256 bytes",
                self.stop.len() <= limits::STOP_STRINGS
                    && self
                        .stop
                        .iter()
                        .all(|stop| (1..=limits::STOP_STRING_BYTES).contains(&stop.len())),
            ),
        ];
        match checks.into_iter().find(|(_, _, fine)| !fine) {
            Some((field, bounds, _)) => Err(SamplingError { field, bounds }),
            None => Ok(Sampling(self)),
        }
    }
}

impl Sampling {
    pub(crate) fn params(&self) -> &SamplingParams {
        &self.0
    }

    /// Most tokens of the answer, when the request says.
    #[must_use]
    pub fn max_tokens(&self) -> Option<usize> {
        self.0.max_tokens
    }

    pub(crate) fn take_stop(&mut self) -> Vec<Zeroizing<String>> {
        std::mem::take(&mut self.0.stop)
    }
}
