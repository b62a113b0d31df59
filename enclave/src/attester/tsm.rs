//! Reports by Linux's TSM interface: one folder in configfs for each report.
//!
//! Why apart: the one interface that serves SEV-SNP and TDX alike. Everything it can do wrong is decided here, over a
//! tree that a test can stand in for.
//!
//! - [`folder`]: the real tree
//!
//! A binary attribute reaches the driver when its file is closed, and closing reports nothing. So what was written is
//! believed by `generation` alone, which counts the writes that were taken.
//!
//! # Invariants
//! Each report has an entry of its own with a random name; one that exists is never used, and the entry is removed
//! whatever happened. A report counts only when `generation` grew by exactly our own writes and it holds the 64
//! bytes that were asked for.
//!
//! Source: Linux, Documentation/ABI/testing/configfs-tsm-report (6.7, 6.10) and drivers/virt/coco/guest/report.c.

mod folder;

use std::io::{self, ErrorKind};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

use super::error::{AttesterError, Fault, Interface};
use super::{RawReport, holds};
use crate::limits;
pub use folder::{Folder, ROOT};

/// A file of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// What to sign. Write-only.
    Inblob,
    /// The report. Reading makes it.
    Outblob,
    /// Certificates beside it, from the host.
    Auxblob,
    /// Whose format the report has.
    Provider,
    /// How many writes were taken.
    Generation,
    /// The privilege level to report. Write-only.
    Privlevel,
    /// The least level that may be asked for: this guest's own.
    PrivlevelFloor,
}

impl Attribute {
    /// Its file's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inblob => "inblob",
            Self::Outblob => "outblob",
            Self::Auxblob => "auxblob",
            Self::Provider => "provider",
            Self::Generation => "generation",
            Self::Privlevel => "privlevel",
            Self::PrivlevelFloor => "privlevel_floor",
        }
    }
}

/// The folder `/sys/kernel/config/tsm/report`, or what stands in for it.
pub trait Tree: Send + Sync {
    /// Makes an entry. Fails with [`ErrorKind::AlreadyExists`] when there is one of that name.
    ///
    /// # Errors
    /// The kernel's.
    fn make(&self, entry: &str) -> io::Result<()>;

    /// Removes an entry.
    ///
    /// # Errors
    /// The kernel's.
    fn remove(&self, entry: &str) -> io::Result<()>;

    /// Writes an attribute: one write, then the file is closed.
    ///
    /// # Errors
    /// The kernel's; for a binary attribute there is none.
    fn write(&self, entry: &str, attribute: Attribute, bytes: &[u8]) -> io::Result<()>;

    /// Reads an attribute to its end, and [`ErrorKind::FileTooLarge`] when that is beyond `limit`.
    ///
    /// # Errors
    /// The kernel's.
    fn read(&self, entry: &str, attribute: Attribute, limit: usize) -> io::Result<Vec<u8>>;
}

/// Whose reports a kernel gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// AMD SEV-SNP: 1184 bytes and a table of certificates.
    SevGuest,
    /// Intel TDX: a quote.
    TdxGuest,
}

impl Provider {
    const fn name(self) -> &'static str {
        match self {
            Self::SevGuest => "sev_guest",
            Self::TdxGuest => "tdx_guest",
        }
    }
}

/// Why one try failed.
enum Failure {
    /// Another try with a new entry may help.
    Passing(Fault),
    /// It will not.
    Lasting(Fault),
}

/// Has `provider` sign `data`. May take long.
///
/// # Errors
/// [`AttesterError::Interface`] with [`Interface::Tsm`].
pub fn report(tree: &dyn Tree, provider: Provider, data: &[u8; 64]) -> Result<RawReport, AttesterError> {
    let mut last = Fault::Busy;
    for _ in 0..limits::REPORT_ATTEMPTS {
        match try_report(tree, provider, data) {
            Ok(report) => return Ok(report),
            Err(Failure::Passing(fault)) => last = fault,
            Err(Failure::Lasting(fault)) => {
                last = fault;
                break;
            }
        }
    }
    Err(Interface::Tsm.fails(last))
}

/// An entry that exists as long as this value.
struct Entry<'a> {
    tree: &'a dyn Tree,
    name: String,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        // What cannot be removed stays behind empty-handed: its name is never used again.
        let _ = self.tree.remove(&self.name);
    }
}

impl<'a> Entry<'a> {
    fn new(tree: &'a dyn Tree) -> Result<Self, Failure> {
        for _ in 0..limits::REPORT_ATTEMPTS {
            let name = random_name().ok_or(Failure::Lasting(Fault::Refused))?;
            match tree.make(&name) {
                Ok(()) => return Ok(Self { tree, name }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failure(&error)),
            }
        }
        Err(Failure::Passing(Fault::Busy))
    }

    fn read(&self, attribute: Attribute, limit: usize) -> Result<Vec<u8>, Failure> {
        self.tree
            .read(&self.name, attribute, limit)
            .map_err(|error| failure(&error))
    }

    /// An attribute that this provider or kernel may not have.
    fn read_if_there(&self, attribute: Attribute, limit: usize) -> Result<Option<Vec<u8>>, Failure> {
        match self.tree.read(&self.name, attribute, limit) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failure(&error)),
        }
    }

    fn write(&self, attribute: Attribute, bytes: &[u8]) -> Result<(), Failure> {
        self.tree
            .write(&self.name, attribute, bytes)
            .map_err(|error| failure(&error))
    }

    fn generation(&self) -> Result<u64, Failure> {
        number(&self.read(Attribute::Generation, limits::TSM_TEXT)?)
    }
}

fn try_report(tree: &dyn Tree, provider: Provider, data: &[u8; 64]) -> Result<RawReport, Failure> {
    let entry = Entry::new(tree)?;
    let named = entry.read(Attribute::Provider, limits::TSM_TEXT)?;
    if named.trim_ascii_end() != provider.name().as_bytes() {
        return Err(Failure::Lasting(Fault::OtherKind));
    }
    let before = entry.generation()?;
    let mut writes = 1;
    if let Some(floor) = entry.read_if_there(Attribute::PrivlevelFloor, limits::TSM_TEXT)? {
        // The guest's own level: the kernel's default of 0 is refused where a service module runs below the guest.
        let level = number(&floor)?;
        entry.write(Attribute::Privlevel, level.to_string().as_bytes())?;
        writes += 1;
    }
    entry.write(Attribute::Inblob, data)?;
    let report = entry.read(Attribute::Outblob, limits::TSM_BLOB)?;
    let auxiliary = entry.read_if_there(Attribute::Auxblob, limits::TSM_BLOB)?;
    if entry.generation()? != before.wrapping_add(writes) {
        return Err(Failure::Passing(Fault::Disturbed));
    }
    if !holds(&report, data) {
        return Err(Failure::Lasting(Fault::Stale));
    }
    Ok(RawReport {
        report,
        auxiliary: auxiliary.filter(|bytes| !bytes.is_empty()),
    })
}

/// A decimal number and a line break.
fn number(text: &[u8]) -> Result<u64, Failure> {
    std::str::from_utf8(text.trim_ascii_end())
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(Failure::Lasting(Fault::Malformed))
}

fn random_name() -> Option<String> {
    let mut random = [0; 16];
    SystemRandom::new().fill(&mut random).ok()?;
    Some(format!("anchorhold-{:032x}", u128::from_be_bytes(random)))
}

fn failure(error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::NotFound => Failure::Lasting(Fault::Missing),
        ErrorKind::PermissionDenied => Failure::Lasting(Fault::Forbidden),
        ErrorKind::FileTooLarge => Failure::Lasting(Fault::TooLarge),
        ErrorKind::WouldBlock | ErrorKind::ResourceBusy | ErrorKind::Interrupted | ErrorKind::TimedOut => {
            Failure::Passing(Fault::Busy)
        }
        // ENXIO of mkdir: configfs is there, but no driver that signs.
        _ if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
            Failure::Lasting(Fault::Missing)
        }
        _ => Failure::Lasting(Fault::Refused),
    }
}

#[cfg(test)]
mod tests;
