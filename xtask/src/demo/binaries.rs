//! The product's own binaries, built once in the profile the demonstration itself was built in.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::options::Options;
use super::report::Report;
use super::scene::Failure;

/// Where the programs lie.
pub(crate) struct Binaries {
    /// `anchorhold`: owner, client, operator, publisher.
    pub(crate) host: PathBuf,
    /// `anchorhold-enclave`.
    pub(crate) enclave: PathBuf,
    /// `anchorhold-fake-authority`: plays AMD.
    pub(crate) fake_authority: PathBuf,
    /// `anchorhold-relay`: only built for attacks on the wire.
    pub(crate) relay: PathBuf,
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest
        .parent()
        .map_or_else(|| manifest.to_owned(), Path::to_owned)
}

pub(crate) fn build(options: &Options, report: &mut Report) -> Result<Binaries, Failure> {
    let started = Instant::now();
    let running = std::env::current_exe().map_err(|_| Failure::broken("the running program has no path"))?;
    // target/<profile folder>/xtask
    let folder = running
        .parent()
        .ok_or_else(|| Failure::broken("the running program has no folder"))?
        .to_owned();
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args([
        "build",
        "--locked",
        "--profile",
        profile,
        "--package",
        "anchorhold",
        "--package",
        "anchorhold-enclave",
    ]);
    cargo.args(["--features", "anchorhold-enclave/insecure-simulated", "--bins"]);
    let needs_relay = options
        .tamper
        .is_some_and(|tamper| tamper.relay_trick().is_some());
    if needs_relay {
        cargo.args(["--package", "anchorhold-tests"]);
    }
    report.talk("building the broker, the client and the enclave (minutes the first time) ...");
    let status = cargo
        .current_dir(root())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .map_err(|_| Failure::broken("cargo could not be started"))?;
    if !status.success() {
        return Err(Failure::broken("the build failed; cargo's message is above"));
    }
    report.step(
        "you",
        "built the broker, the client and the enclave from source",
        started.elapsed(),
        &[],
    );
    Ok(Binaries {
        host: folder.join("anchorhold"),
        enclave: folder.join("anchorhold-enclave"),
        fake_authority: folder.join("anchorhold-fake-authority"),
        relay: folder.join("anchorhold-relay"),
    })
}
