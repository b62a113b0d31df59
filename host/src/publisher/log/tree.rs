//! Entries and tiles of a log in a folder (C2SP tlog-tiles).
//!
//! Why apart: names and widths of tiles are others' format, and a mistake in one is a file nobody finds.
//!
//! # Invariants
//! A file that a signed size demands never changes: what lies at a name that no signed size demands is the rest of an
//! append that did not end, and is replaced.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anchorhold_attestation::limits::PUBLISHED_ENTRY;
use anchorhold_attestation::published::{Line, SignedStatement};
use anchorhold_encoding::{Digest, tree};

use crate::limits::LOG_ENTRIES;
use crate::publisher::error::PublisherError;
use crate::state_file::{self, sync_folder_of};

/// Hashes in a full tile, entries in a full bundle.
const WIDTH: u64 = 256;
const ENTRIES: &str = "entries";
const PUBLIC: u32 = 0o644;
const A_TILE: &str = "a file of the log";

/// Entries of a log, in order, with their leaf hashes.
#[derive(Debug, Default)]
pub struct Tree {
    entries: Vec<Vec<u8>>,
    leaves: Vec<Digest<32>>,
}

/// The path of a tile below the log's folder: `level` is a number or `entries`, `width` 1 to 256.
fn tile_path(level: &str, index: u64, width: u64) -> PathBuf {
    let mut path = PathBuf::from("tile");
    path.push(level);
    let mut groups = vec![format!("{:03}", index % 1000)];
    let mut rest = index / 1000;
    while rest > 0 {
        groups.push(format!("x{:03}", rest % 1000));
        rest /= 1000;
    }
    let name = groups.remove(0);
    groups.reverse();
    path.extend(groups);
    if width == WIDTH {
        path.push(name);
    } else {
        path.push(format!("{name}.p"));
        path.push(width.to_string());
    }
    path
}

/// Index and width of each tile of `count` hashes.
fn tiles(count: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..count.div_ceil(WIDTH)).map(move |index| (index, WIDTH.min(count - index * WIDTH)))
}

fn at(number: u64) -> usize {
    // Numbers here are below LOG_ENTRIES.
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Tree {
    /// Reads the entries of a log of `size`.
    ///
    /// # Errors
    /// [`PublisherError::Damaged`] when a bundle is missing or not in form; [`PublisherError::Full`] beyond
    /// [`LOG_ENTRIES`].
    pub fn read(folder: &Path, size: u64) -> Result<Self, PublisherError> {
        if size > LOG_ENTRIES {
            return Err(PublisherError::Full);
        }
        let mut read = Self::default();
        for (index, width) in tiles(size) {
            let path = folder.join(tile_path(ENTRIES, index, width));
            let most = at(width) * (PUBLISHED_ENTRY + 2);
            let bytes = match state_file::read(&path, most) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(PublisherError::Damaged("entries are missing"));
                }
                read => read.map_err(PublisherError::io(A_TILE))?,
            };
            let mut rest = bytes.as_slice();
            for _ in 0..width {
                let (entry, after) = split_entry(rest).ok_or(PublisherError::Damaged("entries end early"))?;
                read.push(entry.to_vec());
                rest = after;
            }
            if !rest.is_empty() {
                return Err(PublisherError::Damaged("bytes follow the entries"));
            }
        }
        Ok(read)
    }

    /// Adds an entry; returns its place.
    pub fn push(&mut self, entry: Vec<u8>) -> u64 {
        self.leaves.push(tree::leaf(&entry));
        self.entries.push(entry);
        self.size() - 1
    }

    /// The number of entries.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// The leaf hashes.
    #[must_use]
    pub fn leaves(&self) -> &[Digest<32>] {
        &self.leaves
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[Vec<u8>] {
        &self.entries
    }

    /// The root of the whole.
    #[must_use]
    pub fn root(&self) -> Digest<32> {
        tree::root(&self.leaves)
    }

    /// The root when there were `size` entries; `None` when there never were.
    #[must_use]
    pub fn root_at(&self, size: u64) -> Option<Digest<32>> {
        Some(tree::root(self.leaves.get(..at(size))?))
    }

    /// Where an entry of this leaf hash is.
    #[must_use]
    pub fn place(&self, leaf: &Digest<32>) -> Option<u64> {
        let place = self.leaves.iter().position(|other| other == leaf)?;
        Some(place as u64)
    }

    /// The last statement of a line and its place.
    ///
    /// # Errors
    /// When an entry is not a signed statement.
    pub fn newest(&self, line: &Line) -> Result<Option<(u64, SignedStatement)>, PublisherError> {
        for (place, entry) in self.entries.iter().enumerate().rev() {
            let signed = SignedStatement::parse(entry)?;
            if signed.statement().line == *line {
                return Ok(Some((place as u64, signed)));
            }
        }
        Ok(None)
    }

    /// Name and content of each file with an entry or a hash beyond the first `from` entries.
    fn files(&self, from: u64) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        for (index, width) in tiles(self.size()).filter(|(index, width)| index * WIDTH + width > from) {
            let start = at(index * WIDTH);
            let entries = &self.entries[start..start + at(width)];
            let mut bytes = Vec::new();
            for entry in entries {
                let length = u16::try_from(entry.len()).expect("an entry is below 64 KiB");
                bytes.extend_from_slice(&length.to_be_bytes());
                bytes.extend_from_slice(entry);
            }
            files.push((tile_path(ENTRIES, index, width), bytes));
        }
        let (mut level, mut span) = (0_u32, 1_u64);
        while self.size() / span > 0 {
            let (count, before) = (self.size() / span, from / span);
            for (index, width) in tiles(count).filter(|(index, width)| index * WIDTH + width > before) {
                let hashes = (0..width).map(|offset| {
                    let start = (index * WIDTH + offset) * span;
                    tree::root(&self.leaves[at(start)..at(start + span)])
                });
                let bytes = hashes.flat_map(|hash| *hash.as_bytes()).collect();
                files.push((tile_path(&level.to_string(), index, width), bytes));
            }
            level += 1;
            span *= WIDTH;
        }
        files
    }

    /// Writes what the log needs beyond a signed size of `from`, durably.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, folder: &Path, from: u64) -> Result<(), PublisherError> {
        for (name, bytes) in self.files(from) {
            write(folder, &name, &bytes).map_err(PublisherError::io(A_TILE))?;
        }
        Ok(())
    }

    /// Compares every tile on disk with what the entries give.
    ///
    /// # Errors
    /// [`PublisherError::Damaged`] when one is missing or differs.
    pub fn check_tiles(&self, folder: &Path) -> Result<(), PublisherError> {
        for (name, bytes) in self.files(0) {
            let same = state_file::read(&folder.join(name), bytes.len()).is_ok_and(|found| found == bytes);
            if !same {
                return Err(PublisherError::Damaged(
                    "a tile is missing or not what the entries give",
                ));
            }
        }
        Ok(())
    }
}

fn split_entry(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// Writes a file below `folder` with the folders above it.
fn write(folder: &Path, name: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = folder.join(name);
    if let Some(above) = path.parent() {
        fs::create_dir_all(above)?;
    }
    state_file::replace(&path, bytes, PUBLIC)?;
    // Folders that are new are durable when those above them are.
    for above in path.ancestors().skip(1) {
        if above == folder {
            break;
        }
        sync_folder_of(above)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of C2SP tlog-tiles, *Merkle Tree* and *Partial Tiles*.
    #[test]
    fn names_and_widths_are_those_of_the_specification() {
        let path = |index, width| tile_path("0", index, width).display().to_string();
        assert_eq!(path(1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(path(0, 256), "tile/0/000");
        assert_eq!(path(0, 1), "tile/0/000.p/1");
        assert_eq!(path(1000, 255), "tile/0/x001/000.p/255");
        assert_eq!(
            tile_path(ENTRIES, 5, 3).display().to_string(),
            "tile/entries/005.p/3"
        );
        let level = |count| tiles(count).last();
        assert_eq!(level(70_000), Some((273, 112)));
        assert_eq!(level(70_000 / 256), Some((1, 17)));
        assert_eq!(level(70_000 / 65_536), Some((0, 1)));
        assert_eq!(level(256), Some((0, 256)));
    }

    fn sized(size: u64) -> Tree {
        let mut tree = Tree::default();
        for index in 0..size {
            tree.push(index.to_be_bytes().to_vec());
        }
        tree
    }

    #[test]
    fn what_is_written_is_read_and_any_touched_tile_is_found() {
        let folder = tempfile::tempdir().unwrap();
        for (from, size) in [(0, 1), (1, 2), (2, 256), (256, 300)] {
            sized(size).write(folder.path(), from).unwrap();
            let read = Tree::read(folder.path(), size).unwrap();
            assert_eq!(read.root(), sized(size).root());
            read.check_tiles(folder.path()).unwrap();
        }
        let tree = Tree::read(folder.path(), 300).unwrap();
        assert_eq!(tree.root_at(256), Some(sized(256).root()));
        assert_eq!(tree.root_at(301), None);
        let files = tree.files(0);
        assert_eq!(files.len(), 5, "two bundles, two tiles of hashes, one above");
        let level_one = files.iter().find(|(name, _)| name.starts_with("tile/1")).unwrap();
        assert_eq!(level_one.1, sized(256).root().as_bytes());
        for (name, bytes) in files {
            let path = folder.path().join(name);
            let mut spoilt = bytes.clone();
            *spoilt.last_mut().unwrap() ^= 1;
            fs::write(&path, spoilt).unwrap();
            assert!(tree.check_tiles(folder.path()).is_err());
            fs::write(&path, [&bytes[..], b"x"].concat()).unwrap();
            assert!(tree.check_tiles(folder.path()).is_err());
            fs::write(&path, bytes).unwrap();
        }
        tree.check_tiles(folder.path()).unwrap();
    }

    #[test]
    fn bundles_that_are_cut_or_longer_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        sized(2).write(folder.path(), 0).unwrap();
        let path = folder.path().join(tile_path(ENTRIES, 0, 2));
        let good = fs::read(&path).unwrap();
        for bad in [
            &good[..good.len() - 1],
            &good[..1],
            &[],
            &[&good[..], &[0, 0]].concat(),
        ] {
            fs::write(&path, bad).unwrap();
            assert!(matches!(
                Tree::read(folder.path(), 2),
                Err(PublisherError::Damaged(_))
            ));
        }
        assert!(matches!(
            Tree::read(folder.path(), 3),
            Err(PublisherError::Damaged(_))
        ));
        assert!(matches!(
            Tree::read(folder.path(), LOG_ENTRIES + 1),
            Err(PublisherError::Full)
        ));
    }
}
