//! llama.cpp's side of a round: its own llama-bench and llama-batched-bench on the same file.
//!
//! Why apart: what its programs want and say is known here alone. tests/bench/llama.sh builds them.
//!
//! # Invariants
//! It is judged by its better setting for each work (flash attention on or off), found in the first round. A setting
//! with which it crashes is left out; where all crash, repacking of weights is switched off, which has helped on
//! processors with AMX.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anchorhold_kernels::KernelSet;
use serde_json::Value;

use super::work::{Unit, Work};
use crate::{Failure, machine};

/// How often a running process is asked for its memory.
const GLANCE: Duration = Duration::from_millis(50);

/// How it is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) flash_attention: bool,
    pub(crate) repack: bool,
}

/// The ones tried first, and the ones tried when those crash.
pub(crate) const SETTINGS: [[Setting; 2]; 2] = [
    [setting(false, true), setting(true, true)],
    [setting(false, false), setting(true, false)],
];

const fn setting(flash_attention: bool, repack: bool) -> Setting {
    Setting {
        flash_attention,
        repack,
    }
}

impl Setting {
    /// For a table.
    pub(crate) fn name(self) -> String {
        let flash = if self.flash_attention { "fa on" } else { "fa off" };
        let repack = if self.repack { "" } else { ", no repacking" };
        format!("{flash}{repack}")
    }
}

/// What some processes found.
pub(crate) struct Found {
    pub(crate) rates: Vec<(Work, f64)>,
    pub(crate) peak_mib: Option<f64>,
}

/// The programs.
pub(crate) struct Rival {
    tools: PathBuf,
}

impl Rival {
    /// The ones that tests/bench/llama.sh put into `tools`.
    pub(crate) fn find(tools: &Path) -> Result<Self, Failure> {
        for build in ["native", "avx2"] {
            for program in ["llama-bench", "llama-batched-bench", "llama-perplexity"] {
                let path = tools.join(build).join(program);
                if !path.is_file() {
                    let why = format!("{} is not there", path.display());
                    return Err(format!("{why}: run tests/bench/llama.sh, or say --no-rival").into());
                }
            }
        }
        Ok(Self {
            tools: tools.to_owned(),
        })
    }

    pub(crate) fn program(&self, name: &str, kernels: Option<KernelSet>) -> PathBuf {
        let narrow = kernels.is_some_and(|set| set < KernelSet::Avx512Vnni);
        self.tools.join(if narrow { "avx2" } else { "native" }).join(name)
    }

    /// Does `works`, which are of `unit`. As few processes as its programs allow.
    pub(crate) fn measure(
        &self,
        unit: &Unit,
        works: &[Work],
        gguf: &Path,
        setting: Setting,
    ) -> Result<Found, Failure> {
        let mut found = Found {
            rates: Vec::new(),
            peak_mib: None,
        };
        for call in calls(works) {
            let program = match call[..] {
                [Work::Batch { .. }, ..] => "llama-batched-bench",
                _ => "llama-bench",
            };
            let mut command = Command::new(self.program(program, unit.kernels));
            command.arg("-m").arg(gguf);
            command.args(arguments(&call, unit.threads, setting));
            let said = watched(&mut command)?;
            let rates = read(&said.text)?;
            for work in call {
                let rate = rates.iter().find(|(of, _)| *of == work);
                let (_, rate) = rate.ok_or_else(|| format!("llama.cpp says nothing of {}", work.name()))?;
                found.rates.push((work, *rate));
            }
            found.peak_mib = most(found.peak_mib, said.peak_mib);
        }
        Ok(found)
    }
}

/// Works that one process can do.
fn calls(works: &[Work]) -> Vec<Vec<Work>> {
    let place = |work: &Work| match work {
        Work::Prefill { .. } | Work::Decode { depth: 0, .. } => 0,
        Work::Decode { .. } => 1,
        Work::Batch { .. } => 2,
    };
    let of = |number| {
        works
            .iter()
            .copied()
            .filter(|work| place(work) == number)
            .collect()
    };
    let calls: [Vec<Work>; 3] = [of(0), of(1), of(2)];
    calls.into_iter().filter(|call| !call.is_empty()).collect()
}

fn arguments(call: &[Work], threads: usize, setting: Setting) -> Vec<String> {
    let mut prompts = Vec::new();
    let (mut answers, mut depths, mut streams) = (Vec::new(), Vec::new(), Vec::new());
    for work in call {
        match *work {
            Work::Prefill { tokens } => prompts.push(tokens),
            Work::Decode { depth, tokens } => {
                answers.push(tokens);
                depths.push(depth);
            }
            Work::Batch {
                streams: number,
                prompt,
                tokens,
            } => {
                streams.push(number);
                prompts.push(prompt);
                answers.push(tokens);
            }
        }
    }
    let list = |numbers: &mut Vec<usize>| {
        numbers.sort_unstable();
        numbers.dedup();
        let texts: Vec<String> = numbers.iter().map(usize::to_string).collect();
        if texts.is_empty() {
            "0".to_owned()
        } else {
            texts.join(",")
        }
    };
    let flash = if setting.flash_attention { "on" } else { "off" };
    let mut arguments = vec![
        "-t".to_owned(),
        threads.to_string(),
        "-fa".to_owned(),
        flash.to_owned(),
    ];
    let mut push = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    if let Some(most) = streams.iter().max() {
        let each = prompts.iter().max().unwrap_or(&0) + answers.iter().max().unwrap_or(&0);
        push("-tb", threads.to_string());
        push("-c", (most * each).to_string());
        push("-npp", list(&mut prompts));
        push("-ntg", list(&mut answers));
        // It may lose the last line that it writes: one more, which nobody reads.
        push("-npl", list(&mut streams) + ",1");
        push("--output-format", "jsonl".to_owned());
        if !setting.repack {
            arguments.push("--no-repack".to_owned());
        }
    } else {
        push("-p", list(&mut prompts));
        push("-n", list(&mut answers));
        push("-d", list(&mut depths));
        push("-r", "1".to_owned());
        push("-o", "jsonl".to_owned());
        push("--repack", u8::from(setting.repack).to_string());
    }
    arguments
}

/// Lines of JSON among others: llama-bench's have `n_prompt`, llama-batched-bench's have `pl`.
fn read(text: &str) -> Result<Vec<(Work, f64)>, Failure> {
    let mut rates = Vec::new();
    for line in text.lines().filter(|line| line.starts_with('{')) {
        let line: Value = serde_json::from_str(line)?;
        let number = |name: &str| {
            line[name]
                .as_u64()
                .and_then(|number| usize::try_from(number).ok())
        };
        if let (Some(streams), Some(prompt), Some(tokens)) = (number("pl"), number("pp"), number("tg")) {
            let work = Work::Batch {
                streams,
                prompt,
                tokens,
            };
            rates.extend(line["speed_tg"].as_f64().map(|rate| (work, rate)));
        } else if let (Some(prompt), Some(tokens), Some(depth)) =
            (number("n_prompt"), number("n_gen"), number("n_depth"))
        {
            let work = match (prompt, tokens) {
                (tokens, 0) => Work::Prefill { tokens },
                (_, tokens) => Work::Decode { depth, tokens },
            };
            rates.extend(line["avg_ts"].as_f64().map(|rate| (work, rate)));
        }
    }
    Ok(rates)
}

/// What a process said, and the memory it took.
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) peak_mib: Option<f64>,
}

/// Runs a program to its end, looking at its peak memory meanwhile.
pub(crate) fn watched(command: &mut Command) -> Result<Said, Failure> {
    let folder = tempfile::tempdir()?;
    let (out, errors) = (folder.path().join("out"), folder.path().join("errors"));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(File::create(&out)?)
        .stderr(File::create(&errors)?)
        .spawn()?;
    let id = child.id().to_string();
    let mut peak_mib = None;
    let status = loop {
        let now = machine::peak_kib(&id).map(|kib| kib as f64 / 1024.0);
        peak_mib = most(peak_mib, now);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(GLANCE);
    };
    let text = |path: &Path| std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    if !status.success() {
        let errors = text(&errors)?;
        let last = errors.lines().rev().find(|line| !line.trim().is_empty());
        return Err(format!("llama.cpp ended with {status}: {}", last.unwrap_or_default()).into());
    }
    Ok(Said {
        text: text(&out)? + &text(&errors)?,
        peak_mib,
    })
}

/// The larger of what is known.
pub(crate) fn most(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.max(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: Work = Work::Batch {
        streams: 4,
        prompt: 16,
        tokens: 32,
    };
    const DEEP: Work = Work::Decode {
        depth: 2048,
        tokens: 16,
    };
    const FLAT: Work = Work::Decode { depth: 0, tokens: 32 };
    const PREFILL: Work = Work::Prefill { tokens: 512 };

    #[test]
    fn works_that_one_process_can_do_go_together() {
        assert_eq!(
            calls(&[BATCH, PREFILL, DEEP, FLAT]),
            [vec![PREFILL, FLAT], vec![DEEP], vec![BATCH]]
        );
        assert!(calls(&[]).is_empty());
    }

    #[test]
    fn programs_are_asked_for_the_work() {
        let text = |call: &[Work], setting| arguments(call, 2, setting).join(" ");
        assert_eq!(
            text(&[PREFILL, FLAT], SETTINGS[0][1]),
            "-t 2 -fa on -p 512 -n 32 -d 0 -r 1 -o jsonl --repack 1"
        );
        assert_eq!(
            text(&[DEEP], SETTINGS[1][0]),
            "-t 2 -fa off -p 0 -n 16 -d 2048 -r 1 -o jsonl --repack 0"
        );
        assert_eq!(
            text(&[BATCH], SETTINGS[0][0]),
            "-t 2 -fa off -tb 2 -c 192 -npp 16 -ntg 32 -npl 4,1 --output-format jsonl"
        );
    }

    #[test]
    fn their_lines_are_read_and_others_are_not() {
        let said = "load: something\n\
            {\"n_prompt\": 512, \"n_gen\": 0, \"n_depth\": 0, \"avg_ts\": 171.5}\n\
            {\"n_prompt\": 0, \"n_gen\": 16, \"n_depth\": 2048, \"avg_ts\": 18}\n\
            {\"pp\": 16, \"tg\": 32, \"pl\": 4, \"speed_tg\": 98.25}\n";
        assert_eq!(
            read(said).unwrap(),
            [(PREFILL, 171.5), (DEEP, 18.0), (BATCH, 98.25)]
        );
        assert!(read("{\"n_prompt\"").is_err());
    }

    #[test]
    fn a_program_that_fails_gives_its_last_words() {
        let Err(error) = watched(Command::new("sh").args(["-c", "echo no model >&2; exit 3"])) else {
            panic!("exit status 3 is a failure");
        };
        assert!(error.to_string().contains("no model"), "{error}");
        let said = watched(Command::new("sh").args(["-c", "echo well"])).unwrap();
        assert_eq!(said.text, "well\n");
    }
}
