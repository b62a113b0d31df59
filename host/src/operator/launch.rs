//! Starts an enclave on the simulated platform, or on a chip of a fake authority.
//!
//! Why apart: a hypervisor fixes measurement and configuration digest at launch; here this file plays it.
//!
//! The launcher becomes the enclave (`execve`): what it is sent (signals), what it writes (events) and how it
//! ends (status) are the enclave's own, and nobody stands between.
//!
//! # Invariants
//! The enclave gets no argument and no environment. Its descriptor 0 is a file without a name: the launch
//! record, then the configuration.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anchorhold_attestation::Platform;
use anchorhold_attestation::simulated::LaunchRecord;
use anchorhold_encoding::Digest;
use aws_lc_rs::rand;

use crate::error::Explain;
use crate::limits::CHIP_BYTES;
use crate::measurement::{self, Configuration, FileError};

/// A launch that is ready to happen.
pub struct Launch {
    enclave: PathBuf,
    record: LaunchRecord,
    input: File,
}

impl Launch {
    /// Measures the enclave and its configuration as the platform does.
    ///
    /// # Errors
    /// [`LaunchError`].
    pub fn prepare(config: &Path, enclave: &Path, chip: Option<&Path>) -> Result<Self, LaunchError> {
        let config = Configuration::read(config)?;
        let chip = chip.map(read_chip).transpose()?;
        check_platform(&config, chip.is_some())?;
        let record = LaunchRecord {
            measurement: measurement::enclave(enclave)?,
            host_data: config.digest(),
        };
        let mut input = unnamed_file().map_err(LaunchError::Input)?;
        input
            .write_all(&record.encode())
            .and_then(|()| input.write_all(&chip.unwrap_or_default()))
            .and_then(|()| input.write_all(config.bytes()))
            .and_then(|()| input.rewind())
            .map_err(LaunchError::Input)?;
        Ok(Self {
            enclave: enclave.to_owned(),
            record,
            input,
        })
    }

    /// What the platform fixed.
    #[must_use]
    pub fn record(&self) -> &LaunchRecord {
        &self.record
    }

    /// Replaces this process by the enclave. Returns only when that failed.
    #[must_use]
    pub fn become_enclave(self) -> LaunchError {
        // A bare name would be looked for in PATH, which is not the file that was measured.
        let path = if self.enclave.components().count() == 1 {
            Path::new(".").join(&self.enclave)
        } else {
            self.enclave
        };
        LaunchError::Start(Command::new(path).env_clear().stdin(self.input).exec())
    }
}

/// Only the key `platform` is looked at: what else the file says is between its owner and the enclave.
fn check_platform(config: &Configuration, has_chip: bool) -> Result<(), LaunchError> {
    let platform = if has_chip {
        Platform::Snp
    } else {
        Platform::InsecureSimulated
    };
    let text = std::str::from_utf8(config.bytes()).map_err(|_| LaunchError::Config)?;
    let table: toml::Table = text.parse().map_err(|_| LaunchError::Config)?;
    match table.get("platform").and_then(toml::Value::as_str) {
        Some(name) if name == platform.name() => Ok(()),
        Some(_) | None => Err(LaunchError::Platform(platform)),
    }
}

/// Before the bytes of a chip that a fake authority made, and their length: the enclave's boot reads both.
const CHIP: &[u8; 8] = b"ANCHCHP1";

/// A chip as the enclave reads it: after the launch record, before the configuration.
fn read_chip(path: &Path) -> Result<Vec<u8>, LaunchError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(CHIP_BYTES + 1).read_to_end(&mut bytes))
        .map_err(LaunchError::Input)?;
    let length = u32::try_from(bytes.len()).ok();
    match length {
        Some(length) if u64::from(length) <= CHIP_BYTES => {
            Ok([CHIP.as_slice(), &length.to_be_bytes(), &bytes].concat())
        }
        _ => Err(LaunchError::Input(io::ErrorKind::InvalidData.into())),
    }
}

/// A file that nobody else can open: its name is gone before anything is written.
fn unnamed_file() -> io::Result<File> {
    let mut name = [0; 16];
    rand::fill(&mut name).map_err(|_| io::ErrorKind::Other)?;
    let path = std::env::temp_dir().join(format!("anchorhold-launch-{}", Digest::new(name)));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

/// An enclave cannot be launched.
#[derive(Debug)]
pub enum LaunchError {
    /// The binary or the configuration cannot be read.
    File(FileError),
    /// The configuration is not TOML.
    Config,
    /// The configuration is for a platform that this command cannot launch on.
    Platform(Platform),
    /// The enclave's input cannot be prepared.
    Input(io::Error),
    /// The enclave cannot be started.
    Start(io::Error),
}

impl From<FileError> for LaunchError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Config => f.write_str("the configuration is not TOML"),
            Self::Platform(launched) => write!(f, "the configuration's platform is not {launched}"),
            Self::Input(error) => write!(f, "cannot prepare the enclave's input: {}", error.kind()),
            Self::Start(error) => write!(f, "cannot start the enclave: {}", error.kind()),
        }
    }
}

impl std::error::Error for LaunchError {}

impl Explain for LaunchError {
    fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.code(),
            Self::Config | Self::Platform(_) => "enclave_config",
            Self::Input(_) | Self::Start(_) => "launch",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::File(error) => error.hint(),
            Self::Config => "fix the file: the enclave reads it as TOML".to_owned(),
            Self::Platform(_) => {
                "this command launches platform = \"insecure-simulated\", and with --fake-chip platform = \"snp\""
                    .to_owned()
            }
            Self::Input(_) => "check that the folder for temporary files can be written".to_owned(),
            Self::Start(_) => "check that --enclave names an executable built for this machine".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anchorhold_encoding::{sha256, sha384};

    #[test]
    fn the_enclave_gets_the_record_and_then_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let (config, enclave) = (folder.path().join("c.toml"), folder.path().join("e"));
        let text = b"platform = \"insecure-simulated\"\n";
        fs::write(&config, text).unwrap();
        fs::write(&enclave, b"binary").unwrap();
        let mut launch = Launch::prepare(&config, &enclave, None).unwrap();
        let mut input = Vec::new();
        launch.input.read_to_end(&mut input).unwrap();
        let (record, rest) = input.split_at(LaunchRecord::LENGTH);
        let record = LaunchRecord::parse(record).unwrap();
        assert_eq!(record.measurement, sha384(&[b"binary"]));
        assert_eq!(record.host_data, sha256(&[text]));
        assert_eq!(rest, text);
    }

    #[test]
    fn another_platform_is_not_launched_as_a_process() {
        let folder = tempfile::tempdir().unwrap();
        let (config, enclave) = (folder.path().join("c.toml"), folder.path().join("e"));
        fs::write(&enclave, b"binary").unwrap();
        for text in ["platform = \"snp\"\n", "", "platform = 1\n"] {
            fs::write(&config, text).unwrap();
            assert!(
                matches!(
                    Launch::prepare(&config, &enclave, None),
                    Err(LaunchError::Platform(_))
                ),
                "{text}"
            );
        }
        fs::write(&config, "platform = \n").unwrap();
        assert!(matches!(
            Launch::prepare(&config, &enclave, None),
            Err(LaunchError::Config)
        ));
    }
}
