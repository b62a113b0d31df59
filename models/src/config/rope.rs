//! Rotary position settings: `rope_theta` and `rope_scaling`, or the newer `rope_parameters`.
//!
//! Why apart: the same rules hold for every decoder family.
//!
//! # Invariants
//! An unknown or unbuilt type is refused by its name, never taken for the default.

use super::keys::Keys;
use crate::limits::inference as limits;
use crate::model::error::{LoadError, SettingProblem};

/// How the angles of positions are made.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RopeConfig {
    /// Base of the geometric series of wavelengths.
    pub(crate) theta: f64,
    /// How much of each head turns.
    pub(crate) part: f64,
    pub(crate) scaling: RopeScaling,
}

/// How the wavelengths are stretched for long contexts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RopeScaling {
    None,
    /// All wavelengths by one factor.
    Linear {
        factor: f64,
    },
    /// Llama 3.1: long wavelengths by the factor, short ones not, a ramp between.
    Llama3 {
        factor: f64,
        low_frequency: f64,
        high_frequency: f64,
        original_context: f64,
    },
    /// YaRN (Peng et al., arXiv:2309.00071): pairs that turn more than `beta_fast` times within the context the model
    /// was trained on stay, those that turn less than `beta_slow` times are stretched by the factor, a ramp between.
    Yarn {
        factor: f64,
        original_context: f64,
        beta_fast: f64,
        beta_slow: f64,
        /// Cosines and sines are multiplied by it.
        attention_factor: f64,
        /// The ramp begins and ends at whole pairs.
        truncate: bool,
    },
    /// Each pair's by a factor of its own, as a GGUF file of Llama 3.1 has it.
    Factors(Vec<f64>),
    /// LongRoPE (Ding et al., arXiv:2402.13753): each pair's by a factor of its own, and by another in sequences that may
    /// grow beyond the context the model was trained on.
    LongRope {
        short: Vec<f64>,
        long: Vec<f64>,
        original_context: usize,
        /// Cosines and sines are multiplied by it.
        attention_factor: f64,
    },
}

impl RopeConfig {
    /// As [`Self::plain`] or as the configuration says.
    pub(crate) fn read(config: &Keys<'_>) -> Result<Self, LoadError> {
        match config.object("rope_parameters")? {
            // transformers 5 puts theta beside the type; before, theta stands on its own.
            Some(parameters) => {
                let full = parameters.object(FULL)?;
                Self::of_parameters(&full.unwrap_or(parameters), config)
            }
            None => Self::of_old_keys(config),
        }
    }

    /// Whether layers with a window have settings of their own.
    pub(super) fn by_kind(config: &Keys<'_>) -> Result<bool, LoadError> {
        let parameters = config.object("rope_parameters")?;
        Ok(parameters.is_some_and(|parameters| parameters.names(FULL)))
    }

    /// Nothing stretched, and all of a head turned.
    pub(crate) fn plain(theta: f64) -> Self {
        Self {
            theta,
            part: 1.0,
            scaling: RopeScaling::None,
        }
    }

    /// `rope_theta`, `rope_scaling` and `partial_rotary_factor`.
    pub(super) fn of_old_keys(config: &Keys<'_>) -> Result<Self, LoadError> {
        let theta = config.number("rope_theta", THETA)?.unwrap_or(10_000.0);
        let scaling = match config.object("rope_scaling")? {
            Some(settings) => scaling(&settings, "rope_scaling", config)?,
            None => RopeScaling::None,
        };
        let part = self::part(config)?.unwrap_or(1.0);
        Ok(Self { theta, part, scaling })
    }

    /// One object that says all.
    pub(super) fn of_parameters(parameters: &Keys<'_>, config: &Keys<'_>) -> Result<Self, LoadError> {
        let theta = match parameters.number("rope_theta", THETA)? {
            Some(theta) => theta,
            None => config.number("rope_theta", THETA)?.unwrap_or(10_000.0),
        };
        let part = match self::part(parameters)? {
            Some(part) => part,
            None => self::part(config)?.unwrap_or(1.0),
        };
        let scaling = scaling(parameters, "rope_parameters", config)?;
        Ok(Self { theta, part, scaling })
    }

    /// How many numbers of a head of this width turn.
    pub(crate) fn turned(&self, head_width: usize) -> usize {
        ((head_width as f64 * self.part) as usize).min(head_width)
    }
}

/// The settings of layers without a window, where those with one have others.
const FULL: &str = "full_attention";

const THETA: std::ops::RangeInclusive<f64> = 1.0..=1e12;

fn part(settings: &Keys<'_>) -> Result<Option<f64>, LoadError> {
    settings.number("partial_rotary_factor", 0.0..=1.0)
}

fn scaling(settings: &Keys<'_>, key: &'static str, config: &Keys<'_>) -> Result<RopeScaling, LoadError> {
    let kind = match settings.text("rope_type")? {
        Some(kind) => kind,
        None => settings
            .text("type")?
            .ok_or_else(|| settings.problem("rope_type", SettingProblem::Missing))?,
    };
    let factor = || settings.need_number("factor", 1.0..=1e6);
    match kind {
        "default" => Ok(RopeScaling::None),
        "linear" => Ok(RopeScaling::Linear { factor: factor()? }),
        "llama3" => {
            let low_frequency = settings.need_number("low_freq_factor", 1e-6..=1e6)?;
            let high_frequency = settings.need_number("high_freq_factor", 1e-6..=1e6)?;
            if high_frequency <= low_frequency {
                return Err(settings.problem("high_freq_factor", SettingProblem::Contradiction));
            }
            let original = settings.need_count("original_max_position_embeddings", limits::CONTEXT)?;
            Ok(RopeScaling::Llama3 {
                factor: factor()?,
                low_frequency,
                high_frequency,
                original_context: original as f64,
            })
        }
        // Stretches only what is longer than the context, and no sequence here is.
        "dynamic" => {
            factor()?;
            match original_context(settings, config)? {
                original
                    if original < config.need_count("max_position_embeddings", limits::CONTEXT)? as f64 =>
                {
                    Err(settings.unsupported("original_max_position_embeddings", "a_shorter_context"))
                }
                _ => Ok(RopeScaling::None),
            }
        }
        "yarn" => yarn(settings, factor()?, original_context(settings, config)?),
        // "su" is what the first Phi-3 files call it.
        "longrope" | "su" => long_rope(settings, config),
        other => Err(settings.unsupported(key, other)),
    }
}

fn long_rope(settings: &Keys<'_>, config: &Keys<'_>) -> Result<RopeScaling, LoadError> {
    let context = config.need_count("max_position_embeddings", limits::CONTEXT)?;
    const ORIGINAL: &str = "original_max_position_embeddings";
    let original = match config.count(ORIGINAL, 1..=limits::CONTEXT)? {
        Some(original) => Some(original),
        None => settings.count(ORIGINAL, 1..=limits::CONTEXT)?,
    };
    let factor = match original {
        Some(original) => context as f64 / original as f64,
        None => settings.number("factor", 1.0..=1e6)?.unwrap_or(1.0),
    };
    let original = original.unwrap_or(context);
    for other in ["short_mscale", "long_mscale"] {
        settings.refuse_unless(other, &serde_json::Value::Null)?;
    }
    let attention_factor = match settings.number("attention_factor", 1e-6..=1e6)? {
        Some(factor) => factor,
        None if factor <= 1.0 => 1.0,
        None if original < 2 => return Err(settings.problem(ORIGINAL, SettingProblem::Bounds)),
        None => long_attention_factor(factor, original),
    };
    Ok(RopeScaling::LongRope {
        short: factors(settings, "short_factor")?,
        long: factors(settings, "long_factor")?,
        original_context: original,
        attention_factor,
    })
}

/// Section 3.3 of the paper: `sqrt(1 + ln(factor) / ln(original context))`.
pub(crate) fn long_attention_factor(factor: f64, original_context: usize) -> f64 {
    (1.0 + factor.ln() / (original_context as f64).ln()).sqrt()
}

/// Bounds of a pair's factor.
pub(crate) const FACTOR: std::ops::RangeInclusive<f64> = 1e-3..=1e6;

fn factors(settings: &Keys<'_>, key: &'static str) -> Result<Vec<f64>, LoadError> {
    let list = settings
        .list(key)?
        .ok_or_else(|| settings.problem(key, SettingProblem::Missing))?;
    if list.len() > limits::HEAD_WIDTH {
        return Err(settings.problem(key, SettingProblem::Bounds));
    }
    let factor = |value: &serde_json::Value| match value.as_f64() {
        Some(factor) if FACTOR.contains(&factor) => Ok(factor),
        Some(_) => Err(settings.problem(key, SettingProblem::Bounds)),
        None => Err(settings.problem(key, SettingProblem::Type)),
    };
    list.iter().map(factor).collect()
}

/// The context the model was trained on: the configuration's, unless the scaling names another.
fn original_context(settings: &Keys<'_>, config: &Keys<'_>) -> Result<f64, LoadError> {
    let original = match settings.count("original_max_position_embeddings", 1..=limits::CONTEXT)? {
        Some(original) => original,
        None => config.need_count("max_position_embeddings", limits::CONTEXT)?,
    };
    Ok(original as f64)
}

fn yarn(settings: &Keys<'_>, factor: f64, original_context: f64) -> Result<RopeScaling, LoadError> {
    let number = |key| settings.number(key, 1e-6..=1e6);
    let beta_fast = number("beta_fast")?.unwrap_or(32.0);
    let beta_slow = number("beta_slow")?.unwrap_or(1.0);
    if beta_fast <= beta_slow {
        return Err(settings.problem("beta_fast", SettingProblem::Contradiction));
    }
    let stretch = |scale: f64| {
        if factor <= 1.0 {
            1.0
        } else {
            0.1 * scale * factor.ln() + 1.0
        }
    };
    let scales = (
        settings
            .number("mscale", 0.0..=1e6)?
            .filter(|scale| *scale != 0.0),
        settings
            .number("mscale_all_dim", 0.0..=1e6)?
            .filter(|scale| *scale != 0.0),
    );
    let attention_factor = match (number("attention_factor")?, scales) {
        (Some(factor), _) => factor,
        (None, (Some(scale), Some(all))) => stretch(scale) / stretch(all),
        (None, _) => stretch(1.0),
    };
    Ok(RopeScaling::Yarn {
        factor,
        original_context,
        beta_fast,
        beta_slow,
        attention_factor,
        truncate: settings.flag("truncate")?.unwrap_or(true),
    })
}
