//! How long verifying takes, beside the libraries that do a part of the same: `cargo bench -p anchorhold-attestation`.
//!
//! Why apart: a speed is a claim; this is the program behind each figure of docs/performance.md.
//!
//! # Invariants
//! Real evidence, whole jobs, one thread. `-- ratios` compares in turns and alone; otherwise criterion measures each job and the
//! comparison follows. What has no file is named and left out.

#![allow(clippy::disallowed_methods)] // a measurement reads its arguments

#[path = "../src/tdx/crypto.rs"]
#[allow(dead_code, unreachable_pub)] // the same backend for both sides of the comparison
mod crypto;
#[path = "verify/files.rs"]
mod files;
#[path = "verify/jobs.rs"]
mod jobs;
#[path = "verify/turns.rs"]
mod turns;

use criterion::Criterion;

use jobs::{NvidiaJob, SnpJob, TdxJob};
use turns::compare;

fn main() {
    let only_ratios = std::env::args().any(|argument| argument == "ratios");
    let measures = std::env::args().any(|argument| argument == "--bench");
    let jobs = (SnpJob::read(), TdxJob::read(), NvidiaJob::read());
    if !only_ratios {
        let mut criterion = Criterion::default().configure_from_args();
        if let Some(job) = &jobs.0 {
            snp(&mut criterion, job);
        }
        if let Some(job) = &jobs.1 {
            tdx(&mut criterion, job);
        }
        if let Some(job) = &jobs.2 {
            nvidia(&mut criterion, job);
        }
        criterion.final_summary();
    }
    if measures {
        ratios(&jobs);
    }
}

fn snp(criterion: &mut Criterion, job: &SnpJob) {
    let mut group = criterion.benchmark_group("snp");
    let vek = job.vek();
    group.bench_function("report alone, read", |b| b.iter(|| job.read_report()));
    group.bench_function("certificates", |b| b.iter(|| job.vek()));
    group.bench_function("certificates and report", |b| b.iter(|| job.full()));
    group.bench_function("certificates, list and report", |b| {
        b.iter(|| job.full_with_list())
    });
    group.bench_function("report, certificates proven before", |b| {
        b.iter(|| job.cached(&vek))
    });
    group.bench_function("sev: certificates and report", |b| b.iter(|| job.theirs()));
    group.finish();
}

fn tdx(criterion: &mut Criterion, job: &TdxJob) {
    let mut group = criterion.benchmark_group("tdx");
    group.bench_function("quote", |b| b.iter(|| job.ours()));
    group.bench_function("collateral, read", |b| b.iter(|| job.collateral()));
    group.bench_function("dcap-qvl: quote", |b| b.iter(|| job.theirs()));
    group.finish();
}

fn nvidia(criterion: &mut Criterion, job: &NvidiaJob) {
    let mut group = criterion.benchmark_group("nvidia");
    let (driver, vbios) = job.rims();
    group.bench_function("device", |b| b.iter(|| job.device()));
    group.bench_function("one RIM", |b| b.iter(|| job.driver_rim()));
    group.bench_function("device, two RIMs, measurements", |b| b.iter(|| job.full()));
    group.bench_function("device and measurements, RIMs proven before", |b| {
        b.iter(|| job.cached(&driver, &vbios));
    });
    group.finish();
}

fn ratios(jobs: &(Option<SnpJob>, Option<TdxJob>, Option<NvidiaJob>)) {
    if let Some(job) = &jobs.0 {
        compare(
            "snp, certificates and report, beside sev crypto_nossl",
            400,
            || job.full(),
            || job.theirs(),
        );
        let (vek, theirs) = (job.vek(), job.their_chain());
        compare(
            "snp, report under proven certificates, beside sev crypto_nossl",
            800,
            || job.cached(&vek),
            || job.theirs_cached(&theirs),
        );
    }
    if let Some(job) = &jobs.1 {
        compare(
            "tdx, quote, beside dcap-qvl on the same backend",
            2000,
            || job.ours(),
            || job.theirs(),
        );
        compare(
            "tdx, dcap-qvl beside itself",
            2000,
            || job.theirs(),
            || job.theirs(),
        );
    }
    if let Some(job) = &jobs.2 {
        let (driver, vbios) = job.rims();
        compare(
            "nvidia, device with two RIMs, beside the same with RIMs proven before",
            400,
            || job.full(),
            || job.cached(&driver, &vbios),
        );
    }
}
