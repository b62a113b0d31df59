//! The attacks of `--tamper`: each real, each on the real files, binaries and sockets.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use super::report::Report;
use super::scene::{Failure, Scene};

/// What the attacker goes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tamper {
    /// A byte of the sealed file.
    Model,
    /// A byte of the evidence on its way to the client.
    Evidence,
    /// Evidence made for somebody else's nonce.
    Nonce,
    /// The enclave's program.
    Measurement,
    /// The client's TLS connection.
    Channel,
}

impl Tamper {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "model" => Self::Model,
            "evidence" => Self::Evidence,
            "nonce" => Self::Nonce,
            "measurement" => Self::Measurement,
            "channel" => Self::Channel,
            _ => return None,
        })
    }

    /// The relay's trick and what it does, for attacks on the wire.
    pub(crate) fn relay_trick(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Evidence => Some((
                "flip-evidence",
                "sits between client and enclave and flips a bit of the evidence",
            )),
            Self::Nonce => Some((
                "replay-evidence",
                "sits in between and replays evidence made for another nonce",
            )),
            Self::Channel => Some((
                "terminate",
                "sits in between, passes the evidence on, and ends TLS to read along",
            )),
            Self::Model | Self::Measurement => None,
        }
    }
}

/// Flips one bit in the middle of the sealed file.
pub(crate) fn sealed_model(scene: &Scene, report: &mut Report) -> Result<(), Failure> {
    report.attack("flips one bit of the sealed model on the operator's disk");
    let path = scene.path("model.sealed");
    let broken = |_| Failure::broken("the sealed file could not be altered");
    let mut bytes = std::fs::read(&path).map_err(broken)?;
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    std::fs::write(&path, bytes).map_err(broken)
}

/// Replaces the enclave by a copy with one more byte: it runs just the same, and measures differently.
pub(crate) fn enclave_binary(scene: &mut Scene, report: &mut Report) -> Result<(), Failure> {
    report.attack("launches an altered enclave binary (one byte longer)");
    let altered = scene.path("altered-enclave");
    let broken = |_| Failure::broken("the enclave's binary could not be copied");
    // A copy keeps the permission to execute.
    std::fs::copy(&scene.binaries.enclave, &altered).map_err(broken)?;
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(&altered)
        .map_err(broken)?;
    std::io::Write::write_all(&mut file, &[0]).map_err(broken)?;
    scene.binaries.enclave = altered;
    Ok(())
}

/// Puts the relay between client and enclave.
pub(crate) fn relay(
    scene: &mut Scene,
    (trick, what): (&str, &str),
    report: &mut Report,
) -> Result<(), Failure> {
    report.attack(what);
    let mut command = Command::new(&scene.binaries.relay);
    command
        .args([&scene.enclave_address, trick])
        .stderr(Stdio::null());
    let output = scene.stage.start(&mut command)?;
    let mut address = String::new();
    let read = BufReader::new(output).read_line(&mut address);
    if read.is_err() || address.trim().is_empty() {
        return Err(Failure::broken("the relay did not start"));
    }
    scene.enclave_address = address.trim().to_owned();
    Ok(())
}
