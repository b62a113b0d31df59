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
}

impl RopeConfig {
    pub(crate) fn read(config: &Keys<'_>) -> Result<Self, LoadError> {
        let bounds = 1.0..=1e12;
        // transformers 5 puts theta beside the type; before, theta stands on its own.
        if let Some(parameters) = config.object("rope_parameters")? {
            let theta = match parameters.number("rope_theta", bounds.clone())? {
                Some(theta) => theta,
                None => config.number("rope_theta", bounds)?.unwrap_or(10_000.0),
            };
            refuse_partial(&parameters)?;
            return Ok(Self {
                theta,
                scaling: scaling(&parameters, "rope_parameters", config)?,
            });
        }
        let theta = config.number("rope_theta", bounds)?.unwrap_or(10_000.0);
        let scaling = match config.object("rope_scaling")? {
            Some(settings) => scaling(&settings, "rope_scaling", config)?,
            None => RopeScaling::None,
        };
        Ok(Self { theta, scaling })
    }
}

/// Rotation of a part of each head only is not built.
pub(super) fn refuse_partial(settings: &Keys<'_>) -> Result<(), LoadError> {
    match settings.number("partial_rotary_factor", 0.0..=1.0)? {
        Some(part) if part < 1.0 => Err(settings.unsupported("partial_rotary_factor", "a_part_of_each_head")),
        _ => Ok(()),
    }
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
        other => Err(settings.unsupported(key, other)),
    }
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
