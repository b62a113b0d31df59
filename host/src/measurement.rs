//! What the simulated platform measures of an enclave.
//!
//! Why apart: the operator's launcher and the publisher's calculator must agree, and roles never import one
//! another.
//!
//! # Invariants
//! The measurement is SHA-384 of the binary's bytes, the configuration's digest SHA-256 of its bytes.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anchorhold_encoding::{Digest, sha256};
use aws_lc_rs::digest::{Context, SHA384};

use crate::error::Explain;
use crate::limits;

/// SHA-384 of an enclave's binary.
///
/// # Errors
/// When it cannot be read, or is larger than [`limits::ENCLAVE_BYTES`].
pub fn enclave(path: &Path) -> Result<Digest<48>, FileError> {
    let failed = |error: io::Error| FileError::new("the enclave", error.kind());
    let mut file = File::open(path).map_err(failed)?.take(limits::ENCLAVE_BYTES + 1);
    let mut context = Context::new(&SHA384);
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => break,
            length => context.update(&buffer[..length]),
        }
    }
    if file.limit() == 0 {
        return Err(FileError::new("the enclave", io::ErrorKind::FileTooLarge));
    }
    let digest = context.finish();
    Ok(Digest::from_slice(digest.as_ref()).expect("SHA-384 has 48 bytes"))
}

/// An enclave's configuration, as its launch fixes it.
pub struct Configuration {
    bytes: Vec<u8>,
}

impl Configuration {
    /// Reads a configuration; nothing is parsed.
    ///
    /// # Errors
    /// When it cannot be read, or is larger than [`limits::ENCLAVE_CONFIG_BYTES`].
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| {
                file.take(limits::ENCLAVE_CONFIG_BYTES + 1)
                    .read_to_end(&mut bytes)
            })
            .map_err(|error| FileError::new("the configuration", error.kind()))?;
        if bytes.len() as u64 > limits::ENCLAVE_CONFIG_BYTES {
            return Err(FileError::new("the configuration", io::ErrorKind::FileTooLarge));
        }
        Ok(Self { bytes })
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of the bytes: `config_sha256` everywhere.
    #[must_use]
    pub fn digest(&self) -> Digest<32> {
        sha256(&[&self.bytes])
    }
}

/// A file cannot be measured.
#[derive(Debug, PartialEq, Eq)]
pub struct FileError {
    what: &'static str,
    kind: io::ErrorKind,
}

impl FileError {
    fn new(what: &'static str, kind: io::ErrorKind) -> Self {
        Self { what, kind }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.kind)
    }
}

impl std::error::Error for FileError {}

impl Explain for FileError {
    fn code(&self) -> &'static str {
        "file"
    }

    fn hint(&self) -> String {
        match self.kind {
            io::ErrorKind::FileTooLarge => {
                "a configuration has 64 KiB at most, an enclave 1 GiB: is this the file?"
            }
            _ => "check the path and its permissions",
        }
        .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anchorhold_encoding::sha384;

    #[test]
    fn the_measurement_is_the_hash_of_the_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("enclave");
        let bytes = vec![5; (1 << 20) + 7];
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(enclave(&path).unwrap(), sha384(&[&bytes]));
        assert_eq!(
            enclave(&folder.path().join("none")).unwrap_err().kind,
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn a_configuration_that_an_enclave_would_refuse_is_refused_here() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        let limit = usize::try_from(limits::ENCLAVE_CONFIG_BYTES).unwrap();
        std::fs::write(&path, vec![b'#'; limit]).unwrap();
        assert_eq!(
            Configuration::read(&path).unwrap().digest(),
            sha256(&[&vec![b'#'; limit]])
        );
        std::fs::write(&path, vec![b'#'; limit + 1]).unwrap();
        assert!(Configuration::read(&path).is_err());
    }
}
