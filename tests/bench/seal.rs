//! Sealing and unsealing: gigabytes a second, the bare cipher beside them, and peak memory.
//!
//! Why apart: each figure comes from a child process ([`step`]), so that its peak memory is its own and its
//! threads are as many as were asked for.
//!
//! # Invariants
//! openssl runs in the same program, on the same core, between the rounds of the bare cipher.

pub(crate) mod step;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anchorhold_models::{Class, Kek, ModelKey};
use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::figures::{Report, gigabytes, median, rounded};
use crate::{Failure, machine, model};

const COLUMNS: &[&str] = &[
    "threads",
    "manifest GB/s",
    "seal GB/s",
    "seal GB/core-s",
    "seal peak MiB",
    "unseal GB/s",
    "unseal GB/core-s",
    "unseal peak MiB",
];

pub(crate) fn run(mut arguments: Arguments) -> Result<Report, Failure> {
    let mib: usize = arguments.value("--mib")?.unwrap_or(1024);
    let rounds: usize = arguments.value("--rounds")?.unwrap_or(5);
    let folder = arguments.value::<String>("--folder")?;
    arguments.end()?;
    if mib < 2 || rounds < 1 {
        return Err("--mib is at least 2 and --rounds at least 1".into());
    }
    // Memory leaves the disk out of it.
    let folder = match folder {
        Some(folder) => folder.into(),
        None if Path::new("/dev/shm").is_dir() => Path::new("/dev/shm").to_owned(),
        None => std::env::temp_dir(),
    };
    let work = tempfile::tempdir_in(folder)?;
    let mut report = Report::new("seal", COLUMNS);
    roofs(&mut report, rounds)?;

    let model = work.path().join("model");
    model::write_filler(&model, mib)?;
    let kek = Kek::generate();
    std::fs::write(work.path().join("kek"), &*kek.encode())?;
    let wrapped = kek.wrap(&ModelKey::generate(), &step::key_id(), Class::Insecure);
    std::fs::write(work.path().join("key"), wrapped)?;

    let mut threads = vec![1, machine::cores()];
    threads.dedup();
    for threads in threads {
        let mut seen: Vec<[f64; 7]> = Vec::new();
        for _ in 0..rounds {
            let manifest = child(&["manifest"], work.path(), threads)?;
            let seal = child(&["seal"], work.path(), threads)?;
            let unseal = child(&["unseal"], work.path(), threads)?;
            std::fs::remove_file(work.path().join("model.sealed"))?;
            let number = |value: &Value| value.as_f64().ok_or("a step gives numbers");
            seen.push([
                number(&manifest["gigabytes_per_second"])?,
                number(&seal["gigabytes_per_second"])?,
                number(&seal["gigabytes_per_core_second"])?,
                number(&seal["peak_mib"])?,
                number(&unseal["gigabytes_per_second"])?,
                number(&unseal["gigabytes_per_core_second"])?,
                number(&unseal["peak_mib"])?,
            ]);
        }
        let mut row = vec![json!(threads)];
        row.extend((0..7).map(|column| {
            let values: Vec<f64> = seen.iter().map(|round| round[column]).collect();
            rounded(median(&values))
        }));
        report.row(row);
    }
    report.single("model_mib", json!(mib));
    report.note(format!(
        "medians of {rounds} rounds; GB/s by the clock, GB/core-s by the time the threads ran; seal includes \
         making the manifest; the unsealed model itself is in \
         unseal's peak; files are in {}",
        if work.path().starts_with("/dev/shm") {
            "memory (tmpfs)"
        } else {
            "a folder on disk"
        },
    ));
    Ok(report)
}

/// The bare cipher and the bare hash, with openssl's cipher in turns with ours.
fn roofs(report: &mut Report, rounds: usize) -> Result<(), Failure> {
    let core = machine::cores() - 1;
    let (mut seal, mut open, mut hash, mut openssl) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let figures =
            run_child(pinned(core, &std::env::current_exe()?.to_string_lossy()).args(["step", "roofs"]))?;
        for (name, values) in [("seal", &mut seal), ("open", &mut open), ("sha256", &mut hash)] {
            values.push(figures[name].as_f64().ok_or("a step gives numbers")?);
        }
        openssl.extend(openssl_speed(core));
    }
    let (seal, open, hash) = (median(&seal), median(&open), median(&hash));
    report.note(
        "cipher, hash and openssl: by the time the thread ran, as `openssl speed` counts, so that other programs \
         on the core take nothing from either",
    );
    report.single("cipher_seal_gb_s", rounded(seal));
    report.single("cipher_open_gb_s", rounded(open));
    report.single("sha256_gb_s", rounded(hash));
    let bound = |cipher: f64, hashes: f64| 1.0 / (1.0 / cipher + hashes / hash);
    report.single("unseal_bound_one_thread_gb_s", rounded(bound(open, 1.0)));
    report.single("seal_bound_one_thread_gb_s", rounded(bound(seal, 3.0)));
    if openssl.is_empty() {
        report.single("openssl_gb_s", Value::Null);
        report.note("openssl is not installed: no comparison");
        return Ok(());
    }
    let openssl = median(&openssl);
    report.single("openssl_version", json!(openssl_version()));
    report.single("openssl_gb_s", rounded(openssl));
    report.single("cipher_seal_to_openssl", rounded(seal / openssl));
    report.single("cipher_open_to_openssl", rounded(open / openssl));
    report.note(
        "bounds: one thread can unseal no faster than one pass of the cipher and one of SHA-256, and seal no \
         faster than one of the cipher and three of SHA-256 (each file's digest, its pieces, and its pieces \
         again while sealing)",
    );
    Ok(())
}

/// On one core, where the system can do that.
fn pinned(core: usize, program: &str) -> Command {
    let there = Command::new("taskset")
        .args(["-c", &core.to_string(), "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !there {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string(), program]);
    command
}

/// `None` where openssl is missing or speaks another way.
fn openssl_speed(core: usize) -> Option<f64> {
    let output = pinned(core, "openssl")
        .args([
            "speed",
            "-evp",
            "aes-256-gcm",
            "-bytes",
            "1048576",
            "-seconds",
            "3",
        ])
        .output()
        .ok()?;
    parse_openssl(&String::from_utf8_lossy(&output.stdout))
}

/// The last line ends with thousands of bytes a second: `AES-256-GCM   4430000.00k`.
fn parse_openssl(output: &str) -> Option<f64> {
    let line = output
        .lines()
        .rev()
        .find(|line| line.to_ascii_lowercase().starts_with("aes-256-gcm"))?;
    let thousands: f64 = line.split_whitespace().last()?.strip_suffix('k')?.parse().ok()?;
    Some(thousands * 1e3 / 1e9)
}

fn openssl_version() -> Option<String> {
    let output = Command::new("openssl").arg("version").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn child(step: &[&str], work: &Path, threads: usize) -> Result<Value, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("step")
        .args(step)
        .arg(work)
        .env("RAYON_NUM_THREADS", threads.to_string());
    run_child(&mut command)
}

fn run_child(command: &mut Command) -> Result<Value, Failure> {
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err("a step failed".into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// For the steps: what `work` does with so many bytes, by the clock and by the time it ran, and the memory of
/// this process so far.
fn figures(work: impl FnOnce() -> Result<u64, Failure>) -> Result<Value, Failure> {
    let (begin, ran) = (Instant::now(), machine::on_cpu());
    let bytes = work()?;
    let (elapsed, ran) = (begin.elapsed(), machine::on_cpu().zip(ran));
    Ok(json!({
        "gigabytes_per_second": gigabytes(bytes, elapsed),
        "gigabytes_per_core_second": gigabytes(bytes, ran.map_or(elapsed, |(end, begin)| end - begin)),
        "peak_mib": machine::peak_kib("self").map(|kib| kib as f64 / 1024.0),
    }))
}
