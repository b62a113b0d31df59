//! The three system calls of Landlock.
//!
//! Why apart: the only file of it with `unsafe`, and nothing is decided in it.
//!
//! # Invariants
//! Structures are those of Linux's include/uapi/linux/landlock.h, as long as the kernel's version has them.

#![allow(unsafe_code)] // three calls into the kernel that no library here has

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};

const CREATE_RULESET_VERSION: u32 = 1;
const RULE_PATH_BENEATH: u32 = 1;
const RULE_NET_PORT: u32 = 2;

/// `struct landlock_ruleset_attr`: what is taken away.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::confine) struct Attributes {
    /// Rights over files.
    pub files: u64,
    /// Rights over TCP ports; since version 4.
    pub ports: u64,
    /// What does not reach beyond the process; since version 6.
    pub scopes: u64,
}

impl Attributes {
    /// Kernels take as much of the structure as they know, and more only when it is zero: so it is cut after the last
    /// field that is in use.
    const fn length(self) -> usize {
        if self.scopes == 0 { 16 } else { 24 }
    }
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: i32,
}

/// `struct landlock_net_port_attr`.
#[repr(C)]
struct NetPort {
    allowed: u64,
    port: u64,
}

const _: () = assert!(size_of::<Attributes>() == 24);
const _: () = assert!(size_of::<PathBeneath>() == 12);
const _: () = assert!(size_of::<NetPort>() == 16);

/// Landlock's part of a kernel, or what stands in for it.
pub(in crate::confine) trait Kernel {
    /// The version of the interface.
    ///
    /// # Errors
    /// There is none.
    fn abi(&self) -> io::Result<u32>;

    /// A set of rules that takes these rights away.
    ///
    /// # Errors
    /// The kernel's.
    fn create(&self, attributes: Attributes) -> io::Result<OwnedFd>;

    /// Gives rights back beneath a path.
    ///
    /// # Errors
    /// The kernel's.
    fn allow_path(&self, rules: &OwnedFd, path: &Path, rights: u64) -> io::Result<()>;

    /// Gives rights over a TCP port back.
    ///
    /// # Errors
    /// The kernel's.
    fn allow_port(&self, rules: &OwnedFd, port: u16, rights: u64) -> io::Result<()>;

    /// Puts the rules into force on this thread, and all that it starts.
    ///
    /// # Errors
    /// The kernel's.
    fn restrict(&self, rules: &OwnedFd) -> io::Result<()>;
}

/// The kernel this process runs on.
pub(in crate::confine) struct Linux;

/// What a system call returned.
fn returned(value: libc::c_long) -> io::Result<i32> {
    if value < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(value).map_err(|_| io::ErrorKind::InvalidData.into())
}

impl Kernel for Linux {
    fn abi(&self) -> io::Result<u32> {
        let none = std::ptr::null::<Attributes>();
        // SAFETY: with this flag the kernel takes no structure and changes nothing.
        let value = unsafe {
            libc::syscall(
                libc::SYS_landlock_create_ruleset,
                none,
                0_usize,
                CREATE_RULESET_VERSION,
            )
        };
        returned(value).map(i32::cast_unsigned)
    }

    fn create(&self, attributes: Attributes) -> io::Result<OwnedFd> {
        let length = attributes.length();
        // SAFETY: the structure lives until the call returns, is at least as long as `length`, and is only read.
        let value = unsafe {
            libc::syscall(
                libc::SYS_landlock_create_ruleset,
                &raw const attributes,
                length,
                0_u32,
            )
        };
        let descriptor = returned(value)?;
        // SAFETY: the kernel has just made this descriptor, and nobody else has it.
        Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
    }

    fn allow_path(&self, rules: &OwnedFd, path: &Path, rights: u64) -> io::Result<()> {
        let parent = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let rule = PathBeneath {
            allowed: rights,
            parent: parent.as_raw_fd(),
        };
        add(rules, RULE_PATH_BENEATH, &raw const rule)
    }

    fn allow_port(&self, rules: &OwnedFd, port: u16, rights: u64) -> io::Result<()> {
        let rule = NetPort {
            allowed: rights,
            port: port.into(),
        };
        add(rules, RULE_NET_PORT, &raw const rule)
    }

    fn restrict(&self, rules: &OwnedFd) -> io::Result<()> {
        // SAFETY: the descriptor is open, and no memory is handed over.
        let value = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0_u32) };
        returned(value).map(drop)
    }
}

/// Adds a rule of this kind.
fn add<T>(rules: &OwnedFd, kind: u32, rule: *const T) -> io::Result<()> {
    // SAFETY: both callers hand over the structure of their kind, which lives until the call returns and is only read.
    let value = unsafe { libc::syscall(libc::SYS_landlock_add_rule, rules.as_raw_fd(), kind, rule, 0_u32) };
    returned(value).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_structure_is_as_long_as_what_is_in_use() {
        let attributes = Attributes {
            files: 1,
            ports: 3,
            scopes: 0,
        };
        assert_eq!(attributes.length(), 16);
        assert_eq!(
            Attributes {
                scopes: 3,
                ..attributes
            }
            .length(),
            24
        );
    }
}
