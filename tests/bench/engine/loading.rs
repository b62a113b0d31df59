//! From a sealed file to a model that answers, beside what the cipher, the hash and the disk allow.
//!
//! Why apart: what bounds it are rates of this machine, measured in the same run.
//!
//! # Invariants
//! Loading is timed as in the enclave: read, decrypt, check, pack. A process for each load. Where a file's pages cannot be
//! dropped from memory or read past it, there is no figure for the disk.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anchorhold_encoding::tree;
use anchorhold_models::{LoadOptions, Model};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde_json::{Value, json};

use super::memory::made;
use super::options::{Options, subjects};
use super::ours;
use super::prepared::Prepared;
use crate::arguments::Arguments;
use crate::figures::{Report, gigabytes, median, rounded};
use crate::{Failure, machine};

const COLUMNS: &[&str] = &[
    "model",
    "format",
    "made",
    "sealed MiB",
    "from",
    "unseal s",
    "pack s",
    "GB/s",
    "cipher+hash GB/s",
    "source GB/s",
    "to the lesser",
];

/// Bytes of a chunk of the sealed format.
const CHUNK: usize = 1 << 20;
const TAG: usize = 16;
/// How long a rate is measured.
const TIME: Duration = Duration::from_secs(3);

pub(crate) fn run(mut arguments: Arguments) -> Result<Report, Failure> {
    let quick = arguments.flag("--quick");
    let options = Options::parse(&mut arguments, quick)?;
    let (shapes, mixes) = subjects(&mut arguments, "q8_0,q4_0,q4_k_m,bf16")?;
    let quantise: Option<String> = arguments.value("--quantise")?;
    arguments.end()?;
    made(quantise.as_deref())?;
    let mut report = Report::new("loading", COLUMNS);
    for shape in &shapes {
        for mix in &mixes {
            let model = Prepared::random(&options.models_folder, shape, *mix)?;
            let sealed = model.sealed();
            for cold in [false, true] {
                let mut rounds = Vec::new();
                for _ in 0..options.rounds {
                    rounds.extend(round(&model, quantise.as_deref(), cold)?);
                }
                let bytes = std::fs::metadata(&sealed)?.len();
                let mut row = vec![json!(shape.name), json!(mix.name()), json!(quantise)];
                row.push(rounded(bytes as f64 / f64::from(1 << 20)));
                row.push(json!(if cold { "disk" } else { "page cache" }));
                row.extend((0..6).map(|column| {
                    let values: Vec<f64> = rounds.iter().map(|round: &[f64; 6]| round[column]).collect();
                    if values.is_empty() {
                        Value::Null
                    } else {
                        rounded(median(&values))
                    }
                }));
                report.row(row);
            }
        }
    }
    report.single("rounds", json!(options.rounds));
    report.note(
        "medians; GB/s: bytes of the sealed file by the time from its opening until the model is ready; cipher+hash: AES-256-GCM \
         and SHA-256 over chunks of 1 MiB on all cores, nothing else; source: reading the file alone, from where it lies; to the \
         lesser: loading's rate to the lesser of both, within a round",
    );
    Ok(report)
}

/// Seconds of unsealing and of packing, rates of loading, of cipher with hash, of the source, and the ratio. `None` where the
/// disk cannot be measured.
fn round(model: &Prepared, quantise: Option<&str>, cold: bool) -> Result<Option<[f64; 6]>, Failure> {
    let sealed = model.sealed();
    let bytes = std::fs::metadata(&sealed)?.len();
    let roof = cipher_and_hash()?;
    let source = if cold {
        match from_disk(&sealed) {
            Some(rate) if forget(&sealed) => rate,
            _ => return Ok(None),
        }
    } else {
        // The first reading puts it there.
        read(&sealed)?;
        read(&sealed)?
    };
    let step = ["loading-step", "--model"].map(str::to_owned).into_iter();
    let step = step.chain([model.folder().display().to_string()]);
    let step = step.chain(
        quantise
            .iter()
            .flat_map(|to| ["--quantise".to_owned(), (*to).to_owned()]),
    );
    let found = ours::child(&step.collect::<Vec<_>>())?;
    let seconds = |name: &str| found[name].as_f64().ok_or("a step gives numbers");
    let (unseal, pack) = (seconds("unseal_s")?, seconds("pack_s")?);
    let rate = gigabytes(bytes, Duration::from_secs_f64(unseal + pack));
    Ok(Some([unseal, pack, rate, roof, source, rate / roof.min(source)]))
}

pub(crate) fn step(mut arguments: Arguments) -> Result<Value, Failure> {
    let folder: PathBuf = arguments.needed("--model")?;
    let quantise: Option<String> = arguments.value("--quantise")?;
    arguments.end()?;
    let options = LoadOptions {
        quantise: made(quantise.as_deref())?,
        ..LoadOptions::default()
    };
    let begin = Instant::now();
    let unsealed = Prepared::at(folder).unseal_for(options.quantise)?;
    let unseal = begin.elapsed();
    let model = Model::load(unsealed, options, &())?;
    let whole = begin.elapsed();
    drop(model);
    Ok(json!({"unseal_s": unseal.as_secs_f64(), "pack_s": (whole - unseal).as_secs_f64()}))
}

/// GB/s of decrypting and hashing chunks, one after the other on each core.
fn cipher_and_hash() -> Result<f64, Failure> {
    let begin = Instant::now();
    let threads: Vec<_> = (0..machine::cores())
        .map(|_| {
            std::thread::spawn(move || -> Option<u64> {
                let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).ok()?);
                let nonce = || Nonce::assume_unique_for_key([0; NONCE_LEN]);
                let mut plain = vec![7; CHUNK];
                let (mut sealed, mut tag) = (vec![0; CHUNK], [0; TAG]);
                key.seal_out_of_place_scatter(nonce(), Aad::empty(), &plain, &mut sealed, &[], &mut tag)
                    .ok()?;
                let mut bytes = 0;
                while begin.elapsed() < TIME {
                    key.open_separate_gather(nonce(), Aad::empty(), &sealed, &tag, &mut plain)
                        .ok()?;
                    std::hint::black_box(tree::leaf(std::hint::black_box(&plain)));
                    bytes += CHUNK as u64;
                }
                Some(bytes)
            })
        })
        .collect();
    let mut bytes = 0;
    for thread in threads {
        bytes += thread
            .join()
            .ok()
            .flatten()
            .ok_or("the cipher opens what it sealed")?;
    }
    Ok(gigabytes(bytes, begin.elapsed()))
}

/// GB/s of reading a file in pieces, as unsealing does.
fn read(path: &Path) -> Result<f64, Failure> {
    let begin = Instant::now();
    let mut file = File::open(path)?;
    let mut piece = vec![0; 8 * CHUNK];
    let mut bytes = 0;
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(gigabytes(bytes, begin.elapsed())),
            count => bytes += count as u64,
        }
    }
}

/// GB/s of the disk itself, past the page cache.
fn from_disk(path: &Path) -> Option<f64> {
    let bytes = std::fs::metadata(path).ok()?.len();
    let begin = Instant::now();
    let from = format!("if={}", path.display());
    dd(&[&from, "of=/dev/null", "bs=16M", "iflag=direct"]).then(|| gigabytes(bytes, begin.elapsed()))
}

/// Drops the file's pages from the page cache (`nocache` of GNU dd).
fn forget(path: &Path) -> bool {
    dd(&[&format!("if={}", path.display()), "iflag=nocache", "count=0"])
}

fn dd(arguments: &[&str]) -> bool {
    let status = Command::new("dd").args(arguments).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
