//! The enclave with measures against residue that can be left out, built once.
//!
//! Why apart: features of one build are the same for all its programs, so that this one needs a build of its own, and a name of its own.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The program, built by the same cargo into the same folder as this test.
pub(crate) fn program() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build).clone()
}

fn build() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    // TARGET/PROFILE/deps/residue-HASH
    let profile = test.parent().unwrap().parent().unwrap();
    let target = profile.parent().unwrap();
    let name = "anchorhold-enclave-with-switches";
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "anchorhold-enclave",
            "--bin",
            name,
        ])
        .args(["--features", "insecure-simulated,residue-switches"])
        .arg("--target-dir")
        .arg(target)
        .current_dir(anchorhold_tests::tree::root());
    match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") => &mut cargo,
        Some(profile) => cargo.args(["--profile", profile]),
        None => panic!("the test lies in a profile's folder"),
    };
    assert!(
        cargo.status().unwrap().success(),
        "the enclave with switches is built"
    );
    profile.join(name)
}
