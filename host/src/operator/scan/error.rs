//! Why memory could not be looked through.
//!
//! Why apart: each stage has its own errors.
//!
//! # Invariants
//! No text of a file or of memory is in an error.

use std::fmt;
use std::io;

use crate::error::{Exit, Explain};

/// No scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanError {
    /// A file of canaries cannot be read, or is too long.
    Canaries(io::ErrorKind),
    /// It is not lines of text, nor the JSON that is taken.
    NotCanaries,
    /// A canary is so short that chance could put it there.
    TooShort,
    /// There is no such process, or it may not be read.
    Process(io::ErrorKind),
    /// The core cannot be read.
    Core(io::ErrorKind),
    /// It is no ELF core of 64 bits.
    NotCore,
    /// Not a byte could be read.
    Nothing,
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Canaries(kind) => write!(f, "the canaries cannot be read: {kind}"),
            Self::NotCanaries => {
                f.write_str("the canaries are neither lines of text nor the JSON that is taken")
            }
            Self::TooShort => f.write_str("a canary is too short: chance could put it there"),
            Self::Process(kind) => write!(f, "the process cannot be read: {kind}"),
            Self::Core(kind) => write!(f, "the core cannot be read: {kind}"),
            Self::NotCore => f.write_str("the file is no ELF core of 64 bits"),
            Self::Nothing => f.write_str("no memory could be read"),
        }
    }
}

impl std::error::Error for ScanError {}

impl Explain for ScanError {
    fn code(&self) -> &'static str {
        "scan"
    }

    fn hint(&self) -> String {
        match self {
            Self::Canaries(_) => "give --canary-file a file, or - for standard input",
            Self::NotCanaries => {
                "one text a line, or {\"texts\": [\"...\"], \"ids\": [[1, 2, ...]], \"numbers\": [[0.5, ...]]}"
            }
            Self::TooShort => "use texts of 12 characters, 6 ids or 6 numbers at least, drawn at random",
            Self::Process(_) | Self::Nothing => {
                "reading another process's memory takes the right to trace it: run as root, in the same PID namespace"
            }
            Self::Core(_) | Self::NotCore => "make a core with gcore, or with kill -ABRT where cores are allowed",
        }
        .to_owned()
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NotCanaries | Self::TooShort => Exit::Usage,
            _ => Exit::Error,
        }
    }
}
