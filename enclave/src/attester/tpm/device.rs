//! The real TPM: the kernel's resource manager.
//!
//! Why apart: nothing but system calls.
//!
//! # Invariants
//! A command is one write and its response one read, with nobody between them.
//!
//! Source: Linux drivers/char/tpm/tpm-dev-common.c: a write runs the command, the next read gives the response.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::Tpm;
use crate::limits;

/// Where Linux has it.
pub const PATH: &str = "/dev/tpmrm0";

/// An open TPM.
#[derive(Debug)]
pub struct Device(Mutex<File>);

impl Device {
    /// Opens it.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Self(Mutex::new(file)))
    }
}

impl Tpm for Device {
    fn exchange(&self, command: &[u8]) -> io::Result<Vec<u8>> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if file.write(command)? != command.len() {
            return Err(ErrorKind::WriteZero.into());
        }
        let mut response = vec![0; limits::TPM_RESPONSE];
        let length = file.read(&mut response)?;
        response.truncate(length);
        Ok(response)
    }
}
