//! A Hugging Face folder becomes a manifest.
//!
//! Why apart: it reads a disk, and what it takes and leaves must be the same for the owner who seals and for
//! anyone who computes the digest of a public model.
//!
//! Taken: `*.safetensors`, `*.gguf`, `*.json`, `*.jinja`, `merges.txt`, `vocab.txt`, and
//! `1_Pooling/config.json`. Links to regular files are followed, wherever they lead (the Hugging Face cache is
//! made of them): the digest tells what was read. All else is left out and listed. Pickle is never taken; where
//! it is all there is, the folder is refused.
//!
//! # Invariants
//! The result depends on names and contents alone: not on the order of a directory, on times or on owners.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest as sha2;
use rayon::prelude::*;

use anchorhold_encoding::{Digest, tree};

use super::weights;
use super::{Kind, Manifest, ManifestError, ManifestFile};
use crate::limits::{self, CHUNK};
use crate::name::shown;
use crate::progress::Progress;
use crate::unsealed::Plaintext;

/// Endings under which PyTorch and others publish pickled weights.
const PICKLE: [&str; 6] = ["bin", "pt", "pth", "ckpt", "pkl", "pickle"];

/// Bytes of a GGUF file that are read at first: the tables of most are not longer.
const GGUF_BEGIN: u64 = 8 << 20;

/// The files of a model's folder that were chosen, and those that were not.
pub struct Folder {
    files: Vec<Chosen>,
    left_out: Vec<String>,
}

struct Chosen {
    name: String,
    path: PathBuf,
    size: u64,
}

impl Folder {
    /// Chooses the files of the model in `dir` and looks at how its weights begin.
    ///
    /// # Errors
    /// [`ManifestError`], when this is not a folder with a model that can be sealed.
    pub fn open(dir: &Path) -> Result<Self, ManifestError> {
        let folder = Self::choose(dir)?;
        folder.check()?;
        Ok(folder)
    }

    /// As [`Self::open`], whatever is in the files.
    pub(crate) fn choose(dir: &Path) -> Result<Self, ManifestError> {
        if !fs::metadata(dir).map_err(|error| io_error(".", &error))?.is_dir() {
            return Err(ManifestError::NotAFolder);
        }
        let mut names = entries(dir)?;
        if names.iter().any(|name| name == "1_Pooling") {
            names.retain(|name| name != "1_Pooling");
            let inner = entries(&dir.join("1_Pooling"))?;
            names.extend(inner.into_iter().map(|name| format!("1_Pooling/{name}")));
        }
        names.sort();

        let mut folder = Self {
            files: Vec::new(),
            left_out: Vec::new(),
        };
        for name in names {
            if Kind::of(&name).is_some() {
                folder.files.push(Chosen::new(dir, name)?);
            } else if is_misnamed(&name) {
                return Err(ManifestError::Name { name: shown(&name) });
            } else {
                folder.left_out.push(shown(&name));
            }
        }
        Ok(folder)
    }

    /// A model has weights that are what they say, and safetensors say nothing without a `config.json`.
    fn check(&self) -> Result<(), ManifestError> {
        if self.files.len() > limits::FILES {
            return Err(ManifestError::TooManyFiles);
        }
        let has = |kind| self.files.iter().any(|file| Kind::of(&file.name) == Some(kind));
        if !has(Kind::Safetensors) && !has(Kind::Gguf) {
            let pickle = |name: &&String| PICKLE.contains(&ending(name));
            return Err(match self.left_out.iter().find(pickle) {
                Some(name) => ManifestError::Pickle { name: name.clone() },
                None => ManifestError::NoWeights,
            });
        }
        if !has(Kind::Gguf) && !self.files.iter().any(|file| file.name == "config.json") {
            return Err(ManifestError::NoConfig);
        }
        for file in &self.files {
            let mut reader = file.open()?;
            match Kind::of(&file.name) {
                Some(Kind::Safetensors) => weights::check_safetensors(&file.name, file.size, &mut reader)?,
                Some(Kind::Gguf) => weights::check_gguf(&file.name, file.size, GGUF_BEGIN, &mut reader)?,
                Some(Kind::Text) | None => {}
            }
        }
        Ok(())
    }

    /// Names of the files that make up the model, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| file.name.as_str())
    }

    /// Names of what does not belong to the model; foreign characters replaced.
    #[must_use]
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Bytes of the chosen files, as the folder lists them.
    #[must_use]
    pub fn total_size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Reads every file once, on all cores.
    ///
    /// # Errors
    /// [`ManifestError`], when a file cannot be read.
    pub fn manifest(&self, progress: &dyn Progress) -> Result<Manifest, ManifestError> {
        progress.total(self.total_size());
        self.hash(progress)
    }

    /// As [`Self::manifest`], as a part of longer work.
    pub(crate) fn hash(&self, progress: &dyn Progress) -> Result<Manifest, ManifestError> {
        let files = self.files.iter().map(|file| file.hash(progress));
        Manifest::new(files.collect::<Result<_, _>>()?)
    }

    /// Opens the file that a manifest of this folder lists at `index`.
    pub(crate) fn open_file(&self, index: usize) -> Result<File, ManifestError> {
        self.files[index].open()
    }
}

impl Manifest {
    /// The manifest of the model in `dir`: what `client manifest` prints the digest of.
    ///
    /// # Errors
    /// As [`Folder::open`] and [`Folder::manifest`].
    pub fn of_dir(dir: &Path, progress: &dyn Progress) -> Result<Self, ManifestError> {
        Folder::open(dir)?.manifest(progress)
    }
}

impl Chosen {
    fn new(dir: &Path, name: String) -> Result<Self, ManifestError> {
        let path = dir.join(&name);
        let metadata = fs::metadata(&path).map_err(|error| io_error(&name, &error))?;
        if !metadata.is_file() {
            return Err(ManifestError::NotAFile { name });
        }
        Ok(Self {
            name,
            path,
            size: metadata.len(),
        })
    }

    fn open(&self) -> Result<File, ManifestError> {
        File::open(&self.path).map_err(|error| io_error(&self.name, &error))
    }

    fn hash(&self, progress: &dyn Progress) -> Result<ManifestFile, ManifestError> {
        let mut file = self.open()?;
        let mut sha256 = sha2::Context::new(&sha2::SHA256);
        let mut leaves = Vec::new();
        let mut size = 0u64;
        let room = usize::try_from(self.size).unwrap_or(usize::MAX).saturating_add(1);
        let room = room.min(batch() * CHUNK);
        let mut now = Plaintext::zeroed(room);
        let mut next = Plaintext::zeroed(room);
        let mut filled = self.read(&mut file, &mut now)?;
        while filled > 0 {
            let bytes = &now[..filled];
            let hash = || {
                let pieces = || bytes.par_chunks(CHUNK).map(tree::leaf).collect::<Vec<_>>();
                rayon::join(|| sha256.update(bytes), pieces).1
            };
            // A buffer that was not filled was the end of the file.
            let read = || {
                if filled == room {
                    self.read(&mut file, &mut next)
                } else {
                    Ok(0)
                }
            };
            let (read, pieces) = rayon::join(read, hash);
            leaves.extend(pieces);
            size += filled as u64;
            progress.advance(filled as u64);
            filled = read?;
            std::mem::swap(&mut now, &mut next);
        }
        let sha256 = Digest::from_slice(sha256.finish().as_ref()).expect("SHA-256 has 32 bytes");
        Ok(ManifestFile {
            name: self.name.clone(),
            sha256,
            size,
            tree: tree::root(&leaves),
        })
    }

    /// Fills the buffer unless the file ends.
    fn read(&self, file: &mut File, buffer: &mut Plaintext) -> Result<usize, ManifestError> {
        let length = buffer.len();
        fill_up(file, buffer.part_mut(0, length)).map_err(|error| io_error(&self.name, &error))
    }
}

/// Pieces or chunks that are worked on at once: two a core, so that none waits for the slowest; memory stays
/// within a few buffers of as many MiB.
pub(crate) fn batch() -> usize {
    (2 * rayon::current_num_threads()).clamp(4, 64)
}

/// Reads until `buffer` is full or the source ends; how many bytes.
pub(crate) fn fill_up(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn entries(dir: &Path) -> Result<Vec<String>, ManifestError> {
    let entries = fs::read_dir(dir).map_err(|error| io_error(".", &error))?;
    let name = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.map_err(|error| io_error(".", &error))?;
        Ok(entry.file_name().to_string_lossy().into_owned())
    };
    entries.map(name).collect()
}

/// The ending of a model's file under a name that no manifest can have: not to be left out silently.
fn is_misnamed(name: &str) -> bool {
    !name.starts_with('.') && !name.contains('/') && Kind::of(&format!("x.{}", ending(name))).is_some()
}

fn ending(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, ending)| ending)
}

fn io_error(name: &str, error: &io::Error) -> ManifestError {
    ManifestError::Io {
        name: shown(name),
        kind: error.kind(),
    }
}
