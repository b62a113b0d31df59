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
                scaling: scaling(&parameters, "rope_parameters")?,
            });
        }
        let theta = config.number("rope_theta", bounds)?.unwrap_or(10_000.0);
        let scaling = match config.object("rope_scaling")? {
            Some(settings) => scaling(&settings, "rope_scaling")?,
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

fn scaling(settings: &Keys<'_>, key: &'static str) -> Result<RopeScaling, LoadError> {
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
        other => Err(settings.unsupported(key, other)),
    }
}
