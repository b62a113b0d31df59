//! What of the engine is measured, from the command line.
//!
//! # Invariants
//! Every number is at least 1 where 0 would measure nothing.

use std::path::PathBuf;

use anchorhold_kernels::KernelSet;

use super::quantise::Mix;
use super::shape::Shape;
use super::work::{Unit, Work};
use crate::arguments::{Arguments, Usage};
use crate::{Failure, machine};

/// Tokens of each prompt of several streams.
const STREAM_PROMPT: usize = 16;

/// The part that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Decode,
    Prefill,
    Batch,
    Depth,
    All,
}

/// How it is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) rounds: usize,
    /// llama.cpp beside ours, or ours alone.
    pub(crate) rival: bool,
    /// Ours reads only the rows of the embedding table that it needs.
    pub(crate) plain_gather: bool,
    pub(crate) models_folder: PathBuf,
    pub(crate) tools_folder: PathBuf,
    /// Where the picture goes.
    pub(crate) svg: Option<PathBuf>,
}

impl Options {
    /// What all parts share.
    pub(crate) fn parse(arguments: &mut Arguments, quick: bool) -> Result<Self, Failure> {
        let target = target()?;
        let folder = |named: Option<PathBuf>, usual: &str| named.unwrap_or_else(|| target.join(usual));
        Ok(Self {
            rounds: arguments.count("--rounds", if quick { 3 } else { 5 })?,
            rival: !arguments.flag("--no-rival"),
            plain_gather: arguments.flag("--plain-gather"),
            models_folder: folder(arguments.value("--models-folder")?, "bench-models"),
            tools_folder: folder(arguments.value("--tools-folder")?, "bench-tools"),
            svg: arguments.value("--svg")?,
        })
    }
}

/// Which models, and in which formats.
pub(super) fn subjects(arguments: &mut Arguments, formats: &str) -> Result<(Vec<Shape>, Vec<Mix>), Failure> {
    Ok((
        arguments.list("--models", "qwen3-0.6b")?,
        arguments.list("--formats", formats)?,
    ))
}

/// The units of `part`.
pub(crate) fn units(part: Part, arguments: &mut Arguments, quick: bool) -> Result<Vec<Unit>, Failure> {
    let one_and_all = if machine::cores() > 1 {
        format!("1,{}", machine::cores())
    } else {
        "1".to_owned()
    };
    let all = machine::cores().to_string();
    let usual_threads = if part == Part::Decode { &one_and_all } else { &all };
    let usual_formats = match part {
        Part::Depth => "q4_0",
        Part::Batch => "q8_0,q4_0,q4_k_m",
        Part::Decode | Part::Prefill | Part::All => "q8_0,q4_0,q4_k_m,bf16",
    };
    let (shapes, mixes) = subjects(arguments, usual_formats)?;
    if part == Part::All {
        return Ok(everything(&shapes, &mixes, quick));
    }
    let threads: Vec<usize> = arguments.list("--threads", usual_threads)?;
    positive("--threads", &threads)?;
    let kernels: Option<KernelSet> = arguments.value("--kernels")?;
    let tokens: Option<usize> = arguments.value("--tokens")?;
    positive("--tokens", tokens.as_slice())?;
    let works: Vec<Work> = match part {
        Part::Decode => {
            let tokens = tokens.unwrap_or(if quick { 32 } else { 64 });
            vec![Work::Decode { depth: 0, tokens }]
        }
        Part::Prefill => {
            let tokens = tokens.unwrap_or(512);
            vec![Work::Prefill { tokens }]
        }
        Part::Depth | Part::All => {
            let depths: Vec<usize> = arguments.list("--depths", "0,512,2048")?;
            let tokens = tokens.unwrap_or(if quick { 16 } else { 32 });
            let work = |depth| Work::Decode { depth, tokens };
            different("--depths", &depths)?
                .iter()
                .copied()
                .map(work)
                .collect()
        }
        Part::Batch => {
            let streams: Vec<usize> = arguments.list("--streams", "1,2,4,8,16")?;
            positive("--streams", &streams)?;
            let tokens = tokens.unwrap_or(if quick { 16 } else { 32 });
            let work = |streams| batch(streams, tokens);
            different("--streams", &streams)?
                .iter()
                .copied()
                .map(work)
                .collect()
        }
    };
    let unit = |shape: &Shape, mix: Mix, threads: usize| Unit {
        shape: *shape,
        mix,
        threads,
        kernels,
        works: works.clone(),
    };
    let mut units = Vec::new();
    for shape in &shapes {
        for mix in &mixes {
            units.extend(threads.iter().map(|threads| unit(shape, *mix, *threads)));
        }
    }
    Ok(units)
}

fn batch(streams: usize, tokens: usize) -> Work {
    Work::Batch {
        streams,
        prompt: STREAM_PROMPT,
        tokens,
    }
}

/// Every line of the table in docs/performance.md: all formats of the first shapes, the narrow instructions, and one
/// larger model.
fn everything(shapes: &[Shape], mixes: &[Mix], quick: bool) -> Vec<Unit> {
    let (tokens, each, deep) = if quick { (32, 16, 16) } else { (64, 32, 32) };
    let all = machine::cores();
    let prefill = Work::Prefill { tokens: 512 };
    let decode = Work::Decode { depth: 0, tokens };
    let mut units = Vec::new();
    let mut add = |shape: &Shape, mix, threads, kernels, works: Vec<Work>| {
        units.push(Unit {
            shape: *shape,
            mix,
            threads,
            kernels,
            works,
        });
    };
    for shape in shapes {
        for mix in mixes {
            let mut works = vec![prefill, decode];
            let streams: &[usize] = match mix {
                Mix::Q4_0 => &[1, 2, 4, 8, 16],
                Mix::Bf16 | Mix::F16 | Mix::F32 => &[],
                _ => &[4, 8, 16],
            };
            works.extend(streams.iter().map(|streams| batch(*streams, each)));
            if *mix == Mix::Q4_0 {
                works.extend([512, 2048].map(|depth| Work::Decode { depth, tokens: deep }));
            }
            add(shape, *mix, all, None, works);
            if all > 1 {
                add(shape, *mix, 1, None, vec![decode]);
            }
            if matches!(mix, Mix::Q8_0 | Mix::Q4_0) {
                add(shape, *mix, all, Some(KernelSet::Avx2), vec![prefill]);
            }
        }
    }
    if let Ok(larger) = "qwen3-1.7b".parse::<Shape>()
        && !shapes.contains(&larger)
    {
        let works = vec![
            Work::Prefill { tokens: 256 },
            Work::Decode { depth: 0, tokens: 16 },
        ];
        add(&larger, Mix::Q4KM, all, None, works);
    }
    units
}

pub(super) fn positive(name: &str, numbers: &[usize]) -> Result<(), Failure> {
    if numbers.contains(&0) {
        return Err(Usage(format!("{name} is at least 1")).into());
    }
    Ok(())
}

fn different<'a>(name: &str, numbers: &'a [usize]) -> Result<&'a [usize], Failure> {
    let repeated = numbers
        .iter()
        .enumerate()
        .any(|(at, number)| numbers[..at].contains(number));
    if repeated {
        return Err(Usage(format!("{name} has a number twice")).into());
    }
    Ok(numbers)
}

/// The build folder: this program lies in a folder of it.
pub(crate) fn target() -> Result<PathBuf, Failure> {
    let program = std::env::current_exe()?;
    let folder = program.parent().and_then(std::path::Path::parent);
    Ok(folder.ok_or("a program lies in a build folder")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(part: Part, line: &str) -> Result<Vec<Unit>, Failure> {
        let mut arguments = Arguments::new(line.split_whitespace().map(str::to_owned));
        let quick = arguments.flag("--quick");
        Options::parse(&mut arguments, quick)?;
        let units = units(part, &mut arguments, quick)?;
        arguments.end()?;
        Ok(units)
    }

    #[test]
    fn each_model_format_and_number_of_threads_is_a_unit() {
        let units = parsed(
            Part::Decode,
            "--models tiny,qwen3-0.6b --formats q8_0,q4_0 --threads 1,2,3 --tokens 5 --kernels avx2",
        )
        .unwrap();
        assert_eq!(units.len(), 12);
        assert_eq!(units[11].name(), "qwen3-0.6b q4_0 3T avx2");
        assert_eq!(units[0].works, [Work::Decode { depth: 0, tokens: 5 }]);
        let deep = parsed(Part::Depth, "--depths 0,8192 --quick").unwrap();
        assert_eq!(deep.len(), 1);
        assert_eq!(deep[0].works[1].name(), "decode at 8192");
        let batch = parsed(Part::Batch, "--streams 1,64").unwrap();
        assert_eq!(batch[0].works[1].name(), "64 streams");
    }

    #[test]
    fn all_covers_every_format_and_a_larger_model() {
        let units = parsed(Part::All, "--quick").unwrap();
        for mix in ["q8_0", "q4_0", "q4_k_m", "bf16"] {
            assert!(units.iter().any(|unit| unit.mix.name() == mix));
        }
        assert!(units.iter().any(|unit| unit.shape.name == "qwen3-1.7b"));
        assert!(units.iter().any(|unit| unit.kernels == Some(KernelSet::Avx2)));
        assert!(units.iter().all(|unit| !unit.works.is_empty()));
    }

    #[test]
    fn what_makes_no_sense_is_a_usage_error() {
        for (part, line) in [
            (Part::Decode, "--models qwen4"),
            (Part::Decode, "--formats q3_k"),
            (Part::Decode, "--kernels sse2"),
            (Part::Decode, "--threads 0"),
            (Part::Decode, "--threads"),
            (Part::Decode, "--tokens 0"),
            (Part::Decode, "--rounds 0"),
            (Part::Decode, "--rounds x"),
            (Part::Decode, "--streams 1"),
            (Part::Batch, "--streams 0,1"),
            (Part::Batch, "--streams 4,4"),
            (Part::Depth, "--depths -1"),
            (Part::All, "--threads 2"),
            (Part::Prefill, "more"),
        ] {
            let Err(error) = parsed(part, line) else {
                panic!("{line} is accepted");
            };
            assert!(error.is::<Usage>(), "{line}: {error}");
        }
    }
}
