//! How fast a model is sealed and unsealed, and how much memory that takes beside the model.
//!
//! `cargo run --release -p anchorhold-models --example seal_bench -- [MiB] [folder]`
//!
//! Seals and unseals a made-up model of so many MiB (default 1024) in `folder` (default: the system's
//! temporary one; a folder in memory, `/dev/shm`, leaves the disk out) with 1, 2, 4, … threads. Peak memory is
//! `VmHWM` of Linux, reset before each step.

#![allow(clippy::print_stdout)] // printing is what it is for

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anchorhold_models::{Class, Expected, Manifest, ModelKey, SealOptions, SealedModel, seal_dir};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mib: usize = arguments.next().map_or(Ok(1024), |text| text.parse())?;
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let work = tempfile::tempdir_in(folder)?;
    let model = work.path().join("model");
    make_model(&model, mib)?;

    let cores = std::thread::available_parallelism()?.get();
    let mut threads: Vec<usize> = (0..)
        .map(|power| 1 << power)
        .take_while(|threads| *threads < cores)
        .collect();
    threads.push(cores);
    println!("model of {mib} MiB; peak memory in MiB (unsealing holds the model itself)");
    println!(
        "{:>7} {:>15} {:>11} {:>13} {:>11} {:>13}",
        "threads", "manifest GB/s", "seal GB/s", "peak sealing", "unseal GB/s", "peak unsealing"
    );
    for threads in threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        pool.install(|| measure(&model, work.path(), threads, mib))?;
    }
    Ok(())
}

fn measure(model: &Path, work: &Path, threads: usize, mib: usize) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let rate = |start: Instant| mib as f64 * 1_048_576.0 / start.elapsed().as_secs_f64() / 1e9;
    let start = Instant::now();
    let manifest = Manifest::of_dir(model, &()).map_err(|error| text(&error))?;
    let hashed = rate(start);

    let (key, same_key) = same_key_twice()?;
    let options = SealOptions {
        key_id: "bench".parse().map_err(|error| text(&error))?,
        class: Class::Insecure,
        name: "bench".parse().map_err(|error| text(&error))?,
        private_name: false,
    };
    let out = work.join("model.sealed");
    reset_peak();
    let start = Instant::now();
    seal_dir(model, &out, &key, &options, &()).map_err(|error| text(&error))?;
    let (sealed, sealing_peak) = (rate(start), peak_mib());

    let expected = Expected {
        key_id: options.key_id,
        class: options.class,
        manifest_sha256: manifest.digest(),
        max_plaintext: u64::MAX,
    };
    reset_peak();
    let start = Instant::now();
    let opened = SealedModel::open(&out).and_then(|file| file.unseal(same_key, &expected, &()));
    let (unsealed, unsealing_peak) = (rate(start), peak_mib());
    drop(opened.map_err(|error| text(&error))?);
    fs::remove_file(&out).map_err(|error| text(&error))?;
    println!(
        "{threads:>7} {hashed:>15.2} {sealed:>11.2} {sealing_peak:>13} {unsealed:>11.2} {unsealing_peak:>13}"
    );
    Ok(())
}

/// A model key has no copy; passing it through a wrapping and back makes a second one.
fn same_key_twice() -> Result<(ModelKey, ModelKey), String> {
    let pair = anchorhold_models::TeeKeyPair::generate();
    let key = ModelKey::generate();
    let wrapped = key.wrap_for(pair.public()).to_vec();
    let again = ModelKey::unwrap(&wrapped, pair).map_err(|error| error.to_string())?;
    Ok((key, again))
}

/// Two shards of safetensors, so that chunks cross a file's border.
fn make_model(dir: &Path, mib: usize) -> Result<(), Box<dyn Error>> {
    fs::create_dir(dir)?;
    fs::write(dir.join("config.json"), b"{}")?;
    for (name, mib) in [
        ("model-1.safetensors", mib / 2),
        ("model-2.safetensors", mib - mib / 2),
    ] {
        let length = mib << 20;
        let json = format!(r#"{{"w":{{"dtype":"U8","shape":[{length}],"data_offsets":[0,{length}]}}}}"#);
        let mut file = BufWriter::new(File::create(dir.join(name))?);
        file.write_all(&(json.len() as u64).to_le_bytes())?;
        file.write_all(json.as_bytes())?;
        let piece: Vec<u8> = (0..1 << 20)
            .map(|index: u32| (index.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        for _ in 0..mib {
            file.write_all(&piece)?;
        }
        file.flush()?;
    }
    Ok(())
}

fn reset_peak() {
    // proc(5): 5 resets VmHWM. Where it is not allowed, the figure is that of the whole run.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// 0 where there is no such figure.
fn peak_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
