//! Files that hold a secret: written so that they are whole, private and never in the place of another.
//!
//! Why apart: one careless `fs::write` of a key is readable by everyone for a moment, or half there after a
//! power cut.
//!
//! # Invariants
//! Mode 0600 from the first byte on; synced before it gets its name; an existing file is never replaced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anchorhold_encoding::Digest;
use aws_lc_rs::rand;

/// Writes `bytes` to a new file at `path`, mode 0600, durable when this returns.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] when there is a file of that name; else what the file system says.
pub fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    let mut random = [0; 8];
    rand::fill(&mut random).map_err(|_| io::ErrorKind::Other)?;
    name.push(format!(".partial-{}", Digest::new(random)));
    let partial = folder.join(name);
    let written = write_private(&partial, bytes)
        // A link, unlike a rename, refuses an existing name.
        .and_then(|()| fs::hard_link(&partial, path));
    let removed = fs::remove_file(&partial);
    written?;
    removed?;
    File::open(folder)?.sync_all()
}

/// Like [`create`], for a secret that is of no use once this process is gone.
///
/// # Errors
/// As [`create`].
pub fn create_for_now(path: &Path, bytes: &[u8]) -> io::Result<ForNow> {
    create(path, bytes)?;
    let meta = fs::symlink_metadata(path)?;
    Ok(ForNow {
        path: path.to_owned(),
        inode: (meta.dev(), meta.ino()),
    })
}

/// A file that goes when this is dropped, if it is still the one that was made.
#[must_use = "the file goes with this"]
pub struct ForNow {
    path: PathBuf,
    inode: (u64, u64),
}

impl Drop for ForNow {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|meta| (meta.dev(), meta.ino()) == self.inode);
        if ours {
            // Nobody is left to tell.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes a folder of mode 0700; one that exists is left as it is.
///
/// # Errors
/// What the file system says.
pub fn create_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn private_whole_and_never_in_the_place_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        create(&path, b"one").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            create(&path, b"two").unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing partial stays"
        );
    }
    #[test]
    fn a_file_for_now_goes_with_its_owner_and_never_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        drop(create_for_now(&path, b"one").unwrap());
        assert!(!path.exists());
        let old = create_for_now(&path, b"two").unwrap();
        fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        create(&path, b"another's").unwrap();
        drop(old);
        assert_eq!(fs::read(&path).unwrap(), b"another's");
    }
}
