//! Landlock: which files, devices and TCP ports this process can reach at all.
//!
//! Why apart: rights grow with the kernel. What is asked of each version of the interface is decided here, over a kernel
//! that a test can stand in for.
//!
//! - [`kernel`]: the three system calls
//!
//! # Invariants
//! Every right that the kernel's version has is taken away, and given back only where a [`Reach`] says so. A kernel without
//! TCP ports (version 4, Linux 6.7) is refused: a system call filter cannot see addresses. Later versions add rights that
//! the filter holds as well (devices' ioctls, signals, sockets without a name in the file system).
//!
//! Source: Linux, Documentation/userspace-api/landlock.rst and include/uapi/linux/landlock.h.

mod kernel;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use super::ConfineError;
pub(super) use kernel::Linux;
use kernel::{Attributes, Kernel};

/// The first version that has TCP ports.
const LEAST: u32 = 4;

// LANDLOCK_ACCESS_FS_*
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const REMOVE_DIR: u64 = 1 << 4;
const MAKE_DIR: u64 = 1 << 7;
const IOCTL_DEV: u64 = 1 << 15;

// LANDLOCK_ACCESS_NET_*
const BIND_TCP: u64 = 1 << 0;
const CONNECT_TCP: u64 = 1 << 1;

// LANDLOCK_SCOPE_*
const SCOPES: u64 = 1 << 0 | 1 << 1;

/// What a path may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// A file is read.
    Read,
    /// Everything beneath a folder is read.
    ReadBeneath,
    /// A device is read, written and asked by ioctl.
    Device,
    /// Reports are made beneath a folder: entries come and go, attributes are written and read.
    Reports,
}

impl Use {
    /// The rights, of those that this version has.
    const fn rights(self, abi: u32) -> u64 {
        let rights = match self {
            Self::Read => READ_FILE,
            Self::ReadBeneath => READ_FILE | READ_DIR,
            Self::Device => READ_FILE | WRITE_FILE | IOCTL_DEV,
            Self::Reports => READ_FILE | READ_DIR | WRITE_FILE | MAKE_DIR | REMOVE_DIR,
        };
        rights & files(abi)
    }
}

/// What is left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reach {
    /// Paths, and what for. One that does not exist is left out: nothing can be done with it.
    pub paths: Vec<(PathBuf, Use)>,
    /// TCP ports that may be connected to, wherever. None may be bound.
    pub ports: Vec<u16>,
}

/// All rights over files that a version has: 13 at first; REFER, TRUNCATE and IOCTL_DEV came later.
const fn files(abi: u32) -> u64 {
    let count = match abi {
        0 | 1 => 13,
        2 => 14,
        3 | 4 => 15,
        _ => 16,
    };
    (1 << count) - 1
}

const fn attributes(abi: u32) -> Attributes {
    Attributes {
        files: files(abi),
        ports: BIND_TCP | CONNECT_TCP,
        scopes: if abi >= 6 { SCOPES } else { 0 },
    }
}

/// Takes everything away from this thread, and all that it starts, but `reach`. Gives the version of the interface.
///
/// # Errors
/// [`ConfineError::NoLandlock`], [`ConfineError::OldLandlock`], [`ConfineError::Landlock`].
pub(super) fn restrict(kernel: &dyn Kernel, reach: &Reach) -> Result<u32, ConfineError> {
    let abi = kernel.abi().map_err(|_| ConfineError::NoLandlock)?;
    if abi < LEAST {
        return Err(ConfineError::OldLandlock { abi });
    }
    let failed = |_: io::Error| ConfineError::Landlock;
    let rules = kernel.create(attributes(abi)).map_err(failed)?;
    for (path, purpose) in &reach.paths {
        match kernel.allow_path(&rules, path, purpose.rights(abi)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    for port in &reach.ports {
        kernel.allow_port(&rules, *port, CONNECT_TCP).map_err(failed)?;
    }
    kernel.restrict(&rules).map_err(failed)?;
    Ok(abi)
}

/// Tries what must be refused now: opening a folder, listening, and connecting to a port that is not in `reach`. A kernel
/// that refuses does so before anything is sent.
///
/// # Errors
/// [`ConfineError::Landlock`]: one of them was not refused, or for another reason.
pub(super) fn holds(reach: &Reach) -> Result<(), ConfineError> {
    let refused =
        |error: Option<io::Error>| error.and_then(|error| error.raw_os_error()) == Some(libc::EACCES);
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let other = (1..=u16::MAX).find(|port| !reach.ports.contains(port));
    let other = at(other.ok_or(ConfineError::Landlock)?);
    let connecting = TcpStream::connect_timeout(&other, Duration::from_millis(100));
    let all = refused(File::open("/").err())
        && refused(TcpListener::bind(at(0)).err())
        && refused(connecting.err());
    if all { Ok(()) } else { Err(ConfineError::Landlock) }
}
