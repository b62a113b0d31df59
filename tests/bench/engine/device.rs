//! The engine on a device: tokens a second and the time to a first token, by streams.
//!
//! Why apart: there is nothing beside it in turns, and only some builds have it.
//!
//! # Invariants
//! The model comes unsealed from a sealed file, as in the enclave. Its weights are random and no secret: the device is not asked
//! for evidence.

use serde_json::{Value, json};

use super::options::Options;
use super::prepared::Prepared;
use super::quantise::Mix;
use super::shape::Shape;
#[cfg(feature = "device")]
use super::step;
use crate::Failure;
use crate::arguments::{Arguments, Usage};
use crate::figures::Report;
#[cfg(feature = "device")]
use crate::figures::rounded;

const COLUMNS: &[&str] = &[
    "model",
    "device",
    "precision",
    "streams",
    "prompt",
    "first token ms",
    "tokens/s",
    "load s",
    "device MiB",
];

/// What stands in a row besides the model.
struct Asked {
    device: String,
    precision: String,
    streams: Vec<usize>,
    prompt: usize,
    tokens: usize,
}

pub(crate) fn run(mut arguments: Arguments) -> Result<Report, Failure> {
    let options = Options::parse(&mut arguments, false)?;
    let shapes: Vec<Shape> = arguments.list("--models", "qwen3-0.6b,qwen3-8b")?;
    let asked = Asked {
        device: arguments.value("--device")?.unwrap_or_else(|| "cuda".to_owned()),
        precision: arguments
            .value("--precision")?
            .unwrap_or_else(|| "bf16".to_owned()),
        streams: arguments.list("--streams", "1,8,32")?,
        prompt: arguments.value("--prompt")?.unwrap_or(128),
        tokens: arguments.value("--tokens")?.unwrap_or(64),
    };
    arguments.end()?;
    if asked.streams.contains(&0) || asked.prompt == 0 || asked.tokens == 0 {
        return Err(Usage("--streams, --prompt and --tokens are at least 1".to_owned()).into());
    }
    let mut report = Report::new("device", COLUMNS);
    for shape in &shapes {
        let model = Prepared::random(&options.models_folder, shape, Mix::Bf16)?;
        for row in rows(&model, shape, &asked, options.rounds)? {
            report.row(row);
        }
    }
    report.single("rounds", json!(options.rounds));
    report.note(
        "random weights; first token: until the last of the streams, which begin together, has it; tokens/s: of all streams \
         together after that; medians of the rounds; device MiB: weights, keys and values, and what a pass needs, computed",
    );
    Ok(report)
}

#[cfg(feature = "device")]
fn rows(model: &Prepared, shape: &Shape, asked: &Asked, rounds: usize) -> Result<Vec<Vec<Value>>, Failure> {
    use anchorhold_models::{LoadOptions, Model};
    use std::time::Instant;

    let most = asked.streams.iter().max().copied().unwrap_or(1);
    // Room for every stream's whole answer.
    let positions = (most * (asked.prompt + asked.tokens + 64)) as u64;
    let number = 2 * (shape.layers * shape.kv_heads * shape.head_width) as u64 * 4;
    let options = LoadOptions {
        kv_bytes: Some(positions * number),
        ..LoadOptions::default()
    };
    let begin = Instant::now();
    let model = Model::load_on(model.unseal()?, device(asked)?, options, &())?;
    let loaded = begin.elapsed().as_secs_f64();
    let Model::Decoder(decoder) = model else {
        return Err("not a model that answers".into());
    };
    let mut rows = Vec::new();
    for streams in &asked.streams {
        let mut found = Vec::new();
        for _ in 0..rounds {
            found.push(step::first_and_rate(
                &decoder,
                *streams,
                asked.prompt,
                asked.tokens,
            )?);
        }
        let median = |pick: fn(&(f64, f64)) -> f64| {
            let mut values: Vec<f64> = found.iter().map(pick).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(0.0)
        };
        rows.push(vec![
            json!(shape.name),
            json!(asked.device),
            json!(asked.precision),
            json!(streams),
            json!(asked.prompt),
            rounded(median(|(first, _)| first * 1000.0)),
            rounded(median(|(_, rate)| *rate)),
            rounded(loaded),
            rounded(decoder.memory().total() as f64 / f64::from(1 << 20)),
        ]);
    }
    Ok(rows)
}

#[cfg(feature = "device")]
fn device(asked: &Asked) -> Result<anchorhold_models::Device, Failure> {
    use anchorhold_models::{Device, DevicePrecision};
    let precision = match asked.precision.as_str() {
        "bf16" => DevicePrecision::Bf16,
        "f16" => DevicePrecision::F16,
        "f32" => DevicePrecision::F32,
        _ => return Err(Usage("--precision is bf16, f16 or f32".to_owned()).into()),
    };
    match asked.device.as_str() {
        "host" => Ok(Device::host(precision)?),
        #[cfg(feature = "cuda")]
        name if name == "cuda" || name.starts_with("cuda:") => {
            let number = name.strip_prefix("cuda:").unwrap_or("0");
            Ok(Device::dangerously_unproven_cuda(number.parse()?, precision)?)
        }
        _ => Err(Usage("--device is host, or cuda[:N] in a build with the feature cuda".to_owned()).into()),
    }
}

#[cfg(not(feature = "device"))]
fn rows(_: &Prepared, _: &Shape, asked: &Asked, _: usize) -> Result<Vec<Vec<Value>>, Failure> {
    let wanted = format!(
        "{} in {} for {} streams of {} + {} tokens",
        asked.device,
        asked.precision,
        asked.streams.len(),
        asked.prompt,
        asked.tokens
    );
    Err(Usage(format!(
        "{wanted}: built without it; add --features cuda (docs/gpu.md)"
    ))
    .into())
}
