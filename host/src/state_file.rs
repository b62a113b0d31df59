//! Files that are replaced as a whole: states that must never go back, and what a log serves.
//!
//! Why apart: a state that is half written, or written by two at once, forgets what it is there to remember.
//!
//! # Invariants
//! A reader finds the old bytes or the new ones. The new ones are durable when [`replace`] returns. A [`StateFile`] is
//! held by one process at a time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anchorhold_encoding::Digest;
use aws_lc_rs::rand;

/// Mode of a state: what was seen is nobody else's business.
const PRIVATE: u32 = 0o600;

/// A state, locked until this is dropped.
pub struct StateFile {
    path: PathBuf,
    _lock: File,
}

impl StateFile {
    /// Waits until no other process holds the state at `path`, which need not exist. The lock is on `<path>.lock`,
    /// which stays: whoever removed it would let two in.
    ///
    /// # Errors
    /// What the file system says.
    pub fn lock(path: &Path) -> io::Result<Self> {
        let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        name.push(".lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(PRIVATE)
            .open(path.with_file_name(name))?;
        lock.lock()?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// The state; `None` when there is no file.
    ///
    /// # Errors
    /// What the file system says, also [`io::ErrorKind::FileTooLarge`] above `limit` bytes.
    pub fn read(&self, limit: usize) -> io::Result<Option<Vec<u8>>> {
        match read(&self.path, limit) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    /// Puts `bytes` in the file's place, mode 0600, durable when this returns.
    ///
    /// # Errors
    /// What the file system says; the old state is there then.
    pub fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        replace(&self.path, bytes, PRIVATE)
    }
}

/// The whole of a file, at most `limit` bytes.
///
/// # Errors
/// What the file system says; [`io::ErrorKind::FileTooLarge`].
pub fn read(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Puts `bytes` in the place of the file at `path`, if there is one; durable when this returns.
///
/// # Errors
/// What the file system says; nothing has changed then, or everything.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    let mut random = [0; 8];
    rand::fill(&mut random).map_err(|_| io::ErrorKind::Other)?;
    name.push(format!(".partial-{}", Digest::new(random)));
    let partial = path.with_file_name(name);
    let written = write_new(&partial, bytes, mode).and_then(|()| fs::rename(&partial, path));
    if written.is_err() {
        // The error of before is the one to tell.
        let _ = fs::remove_file(&partial);
    }
    written?;
    sync_folder_of(path)
}

/// Makes the names in a file's folder durable.
///
/// # Errors
/// What the file system says.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn a_state_is_private_whole_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let mut state = StateFile::lock(&path).unwrap();
        assert_eq!(state.read(10).unwrap(), None);
        state.replace(b"one").unwrap();
        state.replace(b"three").unwrap();
        assert_eq!(state.read(5).unwrap().unwrap(), b"three");
        assert_eq!(state.read(4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let names = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 2, "the state and its lock, nothing partial");
    }

    #[test]
    fn a_state_has_one_holder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let first = StateFile::lock(&path).unwrap();
        let (send, receive) = mpsc::channel();
        let other = {
            let path = path.clone();
            std::thread::spawn(move || {
                let held = StateFile::lock(&path).is_ok();
                send.send(held).unwrap();
            })
        };
        assert!(
            receive.recv_timeout(Duration::from_millis(50)).is_err(),
            "it waits"
        );
        drop(first);
        assert!(receive.recv().unwrap());
        other.join().unwrap();
    }
}
