//! The real tree: folders and files under one root.
//!
//! Why apart: nothing but system calls. What they mean is decided by the module above, against any [`Tree`].
//!
//! # Invariants
//! One system call a write, so that it counts once. Reads are bounded.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::{Attribute, Tree};

/// Where Linux has it.
pub const ROOT: &str = "/sys/kernel/config/tsm/report";

/// A tree in the file system.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The tree at `root`, usually [`ROOT`]; `None` when there is no folder.
    #[must_use]
    pub fn open(root: &Path) -> Option<Self> {
        root.is_dir().then(|| Self {
            root: root.to_owned(),
        })
    }

    fn path(&self, entry: &str, attribute: Attribute) -> PathBuf {
        self.root.join(entry).join(attribute.name())
    }
}

impl Tree for Folder {
    fn make(&self, entry: &str) -> io::Result<()> {
        fs::create_dir(self.root.join(entry))
    }

    fn remove(&self, entry: &str) -> io::Result<()> {
        fs::remove_dir(self.root.join(entry))
    }

    fn write(&self, entry: &str, attribute: Attribute, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(self.path(entry, attribute))?;
        if file.write(bytes)? == bytes.len() {
            Ok(())
        } else {
            Err(ErrorKind::WriteZero.into())
        }
    }

    fn read(&self, entry: &str, attribute: Attribute, limit: usize) -> io::Result<Vec<u8>> {
        let file = File::open(self.path(entry, attribute))?;
        let mut bytes = Vec::new();
        file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > limit {
            return Err(ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }
}
