//! The whole way on the command line, by exit status: keys, signatures, log, witness, bundle, verdict.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anchorhold_attestation::published::{KeyName, LogKey, WitnessKey};
use anchorhold_encoding::Digest;

use crate::cli;
use crate::publisher::key::SigningKey;

/// Runs `anchorhold publisher ...` in `folder`; words that begin with `@` are files in it.
fn publisher(folder: &Path, words: &str) -> String {
    let words = words.split(' ').map(|word| match word.strip_prefix('@') {
        Some(name) => folder.join(name).into_os_string(),
        None => word.into(),
    });
    let arguments = ["anchorhold".into(), "publisher".into()].into_iter().chain(words);
    format!("{:?}", cli::run(arguments))
}

fn status(code: u8) -> String {
    format!("{:?}", ExitCode::from(code))
}

/// A time `days` from now, as a statement's file has it.
fn day(days: u64) -> String {
    let now = crate::clock::Clock::system().now().unix();
    let time = std::time::Duration::from_secs(now + days * 86_400);
    x509_cert::der::DateTime::from_unix_duration(time)
        .unwrap()
        .to_string()
}

#[test]
fn from_keys_to_a_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let run = |words: &str| publisher(at, words);
    for key in ["alice", "bob"] {
        assert_eq!(run(&format!("keygen --kind publisher --key @{key}")), status(0));
    }
    assert_eq!(run("keygen --kind log --name log.example --key @log"), status(0));
    assert_eq!(
        run("keygen --kind witness --name w.example --key @witness"),
        status(0)
    );
    assert_eq!(
        run("keygen --kind log --key @other"),
        status(2),
        "a log has a name"
    );
    assert_eq!(
        run("keygen --kind publisher --key @alice"),
        status(1),
        "never replaced"
    );

    let statement = format!(
        "line = \"enclave\"\nserial = 1\nnot_before = \"{}\"\nnot_after = \"{}\"\n[[reference_values]]\nname = \"e\"\nplatform = \"insecure-simulated\"\nmeasurement = \"{}\"\nminimum_tcb = 1\n",
        day(0),
        day(89),
        "7".repeat(96),
    );
    fs::write(at.join("s.toml"), statement).unwrap();
    assert_eq!(
        run("reference sign --statement @s.toml --key @alice --out @a"),
        status(0)
    );
    assert_eq!(
        run("reference sign --statement @s.toml --key @log --out @x"),
        status(1)
    );
    assert_eq!(
        run("reference sign --statement @s.toml --key @bob --with @a --out @ab"),
        status(0)
    );
    assert_eq!(run("log append @dir --key @log @ab"), status(0));

    let (_, log) = SigningKey::log(&at.join("log")).unwrap();
    let (_, witness) = SigningKey::witness(&at.join("witness")).unwrap();
    assert_eq!(
        run(&format!("log cosign @dir --key @witness --log {log} --attach")),
        status(0)
    );
    assert_eq!(run(&format!("log show @dir --log {log} --json")), status(0));
    assert_eq!(
        run(&format!(
            "log bundle @dir --log {log} --line enclave --out @bundle"
        )),
        status(0)
    );
    assert_eq!(run("reference show @bundle"), status(0));
    assert_eq!(run("reference show @ab --json"), status(0));
    assert_eq!(run("reference show @s.toml"), status(1));

    let trust = |log: &LogKey, witness: &WitnessKey, witnesses: u8| {
        let key = |name| *SigningKey::publisher(&at.join(name)).unwrap().public();
        let text = format!(
            "line = \"enclave\"\npublishers = [\"{}\", \"{}\"]\npublisher_threshold = 1\nlog = \"{log}\"\nwitnesses = [\"{witness}\"]\nwitness_threshold = {witnesses}\n",
            key("alice"),
            key("bob"),
        );
        fs::write(at.join("trust"), text).unwrap();
    };
    let verify = "reference verify @bundle --trust @trust";
    trust(&log, &witness, 1);
    assert_eq!(run(verify), status(0));
    assert_eq!(run(&format!("{verify} --json")), status(0));
    trust(&log, &witness, 0);
    assert_eq!(run(verify), status(1), "such a trust cannot be");
    let name: KeyName = "w.example".parse().unwrap();
    trust(&log, &WitnessKey::new(name, Digest::new([7; 32])), 1);
    assert_eq!(run(verify), status(3), "another witness");
    assert_eq!(run("reference verify @none --trust @trust"), status(1));
    assert_eq!(run("reference verify @bundle"), status(2));
}
