//! A folder becomes a sealed file.
//!
//! Why apart: it runs where the model's owner is, in clear; nothing of it is needed inside an enclave.
//!
//! # Invariants
//! The final name appears only when the whole file lies on the disk: writing goes to a temporary name in the
//! same folder, which is removed on every failure. What was sealed is what the manifest says: files are read
//! twice, and hashed both times. A file's salt, hence its chunk key, is used once.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use anchorhold_encoding::{Digest, sha512, tree};

use crate::aead::ChunkKey;
use crate::key::ModelKey;
use crate::limits::CHUNK;
use crate::manifest::folder::{Folder, batch, fill_up};
use crate::manifest::{Manifest, ManifestError};
use crate::name::{Class, KeyId, ModelName};
use crate::progress::Progress;
use crate::sealed::error::SealError;
use crate::sealed::header::Header;
use crate::sealed::stream::{COMMITMENT, Commitment, Layout, SEALED_CHUNK, chunk_key};
use crate::secret::random_public;
use crate::unsealed::Plaintext;

/// What goes into a sealed header beside the digests.
pub struct SealOptions {
    /// Which key this is.
    pub key_id: KeyId,
    /// What the key was made for.
    pub class: Class,
    /// What the model is called.
    pub name: ModelName,
    /// Leaves name and manifest digest out of the header. The length still shows.
    pub private_name: bool,
}

/// What was sealed.
pub struct SealedSummary {
    /// The sealed file's header.
    pub header: Header,
    /// The model's files.
    pub manifest: Manifest,
    /// What configurations and policies pin.
    pub manifest_sha256: Digest<32>,
    /// Bytes of the sealed file.
    pub sealed_size: u64,
    /// What in the folder was not sealed.
    pub left_out: Vec<String>,
}

/// Seals the model in `dir` into the file `out`, which must not exist yet.
///
/// Memory: a few buffers of at most 64 MiB, whatever the model's size.
///
/// # Errors
/// [`SealError`]; then nothing lies under the name `out`.
pub fn seal_dir(
    dir: &Path,
    out: &Path,
    key: &ModelKey,
    options: &SealOptions,
    progress: &dyn Progress,
) -> Result<SealedSummary, SealError> {
    let folder = Folder::open(dir)?;
    let mut partial = Partial::create(out)?;
    progress.total(2 * folder.total_size());
    let manifest = folder.hash(progress)?;
    let plan = Plan::new(manifest, options, random_public());
    let sealed_size = plan.write(&folder, key, &mut partial.file, progress)?;
    partial.finish()?;
    Ok(SealedSummary {
        header: plan.header,
        manifest_sha256: plan.manifest.digest(),
        manifest: plan.manifest,
        sealed_size,
        left_out: folder.left_out().to_vec(),
    })
}

/// All that is decided before the first byte is written. The salt is an argument for test vectors alone.
pub(crate) struct Plan {
    pub(crate) manifest: Manifest,
    pub(crate) header: Header,
    /// `be32(length) || manifest`: the plaintext before the files.
    front: Vec<u8>,
}

impl Plan {
    pub(crate) fn new(manifest: Manifest, options: &SealOptions, salt: [u8; 32]) -> Self {
        let json = manifest.to_vec();
        let length = u32::try_from(json.len()).expect("a manifest's files and names are limited");
        let front = [&length.to_be_bytes()[..], &json].concat();
        let header = Header {
            chunk_size: CHUNK as u64,
            class: options.class,
            key_id: options.key_id.clone(),
            manifest_sha256: (!options.private_name).then(|| manifest.digest()),
            name: (!options.private_name).then(|| options.name.clone()),
            plaintext_length: front.len() as u64 + manifest.total_size(),
            salt: Digest::new(salt),
        };
        Self {
            manifest,
            header,
            front,
        }
    }

    /// Writes the whole sealed file; returns its length.
    pub(crate) fn write<W: Write + Send>(
        &self,
        folder: &Folder,
        key: &ModelKey,
        out: &mut W,
        progress: &dyn Progress,
    ) -> Result<u64, SealError> {
        let prefix = self.header.prefix();
        let digest = sha512(&[&prefix]);
        let commitment = Commitment::new(key, &self.header.salt, &digest).publish();
        write(out, &prefix)?;
        write(out, &commitment)?;
        let layout = Layout::new(self.header.plaintext_length);
        let key = chunk_key(key, &self.header.salt, &digest);
        self.write_chunks(folder, layout, &key, out, progress)?;
        Ok(prefix.len() as u64 + COMMITMENT as u64 + layout.sealed_length())
    }

    /// While one batch is encrypted and hashed, the next is read and the one before is written.
    fn write_chunks<W: Write + Send>(
        &self,
        folder: &Folder,
        layout: Layout,
        key: &ChunkKey,
        out: &mut W,
        progress: &dyn Progress,
    ) -> Result<(), SealError> {
        let mut source = Source::new(folder, &self.manifest);
        let mut now = Batch::new();
        let mut next = Batch::new();
        let (mut sealed, mut written) = (Vec::new(), Vec::new());
        let mut leaves = vec![Vec::new(); self.manifest.files().len()];
        let mut index = 0;
        now.carry(&self.front);
        source.fill(&mut now)?;
        while index < layout.count() {
            let sizes = now.whole_chunks(layout, index);
            let bytes: usize = sizes.iter().sum();
            next.carry(&now.plaintext[bytes..now.filled]);
            let ((wrote, read), hashed) = rayon::join(
                || rayon::join(|| write(out, &written), || source.fill(&mut next)),
                || {
                    let seal = || now.seal(layout, key, index, &sizes, &mut sealed);
                    rayon::join(seal, || now.leaves()).1
                },
            );
            wrote?;
            read?;
            for (file, leaf) in hashed {
                leaves[file].push(leaf);
            }
            index += sizes.len() as u64;
            progress.advance(now.fresh);
            std::mem::swap(&mut now, &mut next);
            std::mem::swap(&mut sealed, &mut written);
        }
        write(out, &written)?;
        for (file, leaves) in self.manifest.files().iter().zip(leaves) {
            if tree::root(&leaves) != file.tree {
                return Err(SealError::Changed {
                    name: file.name.clone(),
                });
            }
        }
        Ok(())
    }
}

/// A stretch of plaintext: what the batch before left over, then whole pieces of files.
struct Batch {
    plaintext: Plaintext,
    filled: usize,
    /// Which file each piece belongs to, and where it lies.
    pieces: Vec<(usize, std::ops::Range<usize>)>,
    /// Bytes of files among `filled`, not counting what was carried over.
    fresh: u64,
}

impl Batch {
    fn new() -> Self {
        // One chunk more than is worked on: what is carried over is shorter than a chunk.
        Self {
            plaintext: Plaintext::zeroed((batch() + 1) * CHUNK),
            filled: 0,
            pieces: Vec::new(),
            fresh: 0,
        }
    }

    fn carry(&mut self, rest: &[u8]) {
        self.plaintext.part_mut(0, rest.len()).copy_from_slice(rest);
        self.filled = rest.len();
        self.pieces.clear();
        self.fresh = 0;
    }

    /// Sizes of the chunks from `index` on that lie here as a whole.
    fn whole_chunks(&self, layout: Layout, index: u64) -> Vec<usize> {
        let mut left = self.filled;
        let sizes = (index..layout.count()).map(|index| layout.plaintext_size(index));
        sizes
            .take_while(|size| {
                let fits = *size <= left;
                left = left.saturating_sub(*size);
                fits
            })
            .collect()
    }

    /// The plaintext has at least a manifest, so no chunk is empty.
    fn seal(&self, layout: Layout, key: &ChunkKey, first: u64, sizes: &[usize], sealed: &mut Vec<u8>) {
        let bytes: usize = sizes.iter().sum();
        sealed.resize(bytes + sizes.len() * (SEALED_CHUNK - CHUNK), 0);
        let plaintexts = self.plaintext[..bytes].par_chunks(CHUNK);
        let chunks = sealed.par_chunks_mut(SEALED_CHUNK).zip(plaintexts).enumerate();
        chunks.for_each(|(offset, (sealed, plaintext))| {
            key.seal(layout.nonce(first + offset as u64), plaintext, sealed);
        });
    }

    fn leaves(&self) -> Vec<(usize, Digest<32>)> {
        let leaf = |(file, range): &(usize, std::ops::Range<usize>)| {
            (*file, tree::leaf(&self.plaintext[range.clone()]))
        };
        self.pieces.par_iter().map(leaf).collect()
    }
}

/// The files of a model one after the other, in whole pieces.
struct Source<'a> {
    folder: &'a Folder,
    manifest: &'a Manifest,
    index: usize,
    open: Option<(File, u64)>,
}

impl<'a> Source<'a> {
    fn new(folder: &'a Folder, manifest: &'a Manifest) -> Self {
        Self {
            folder,
            manifest,
            index: 0,
            open: None,
        }
    }

    /// Adds pieces while there is room for a whole one.
    fn fill(&mut self, batch: &mut Batch) -> Result<(), SealError> {
        while let Some(listed) = self.manifest.files().get(self.index) {
            let changed = || SealError::Changed {
                name: listed.name.clone(),
            };
            let failed = |error: std::io::Error| {
                SealError::Model(ManifestError::Io {
                    name: listed.name.clone(),
                    kind: error.kind(),
                })
            };
            let (mut file, left) = match self.open.take() {
                Some(open) => open,
                None => (self.folder.open_file(self.index)?, listed.size),
            };
            if left == 0 {
                // The manifest saw the end here.
                if file.read(&mut [0]).map_err(failed)? != 0 {
                    return Err(changed());
                }
                self.index += 1;
                continue;
            }
            let size = usize::try_from(left.min(CHUNK as u64)).expect("at most a piece");
            let range = batch.filled..batch.filled + size;
            if range.end > batch.plaintext.len() {
                self.open = Some((file, left));
                return Ok(());
            }
            if fill_up(&mut file, batch.plaintext.part_mut(range.start, range.end)).map_err(failed)? != size {
                return Err(changed());
            }
            batch.filled = range.end;
            batch.fresh += size as u64;
            batch.pieces.push((self.index, range));
            self.open = Some((file, left - size as u64));
        }
        Ok(())
    }
}

fn write(out: &mut impl Write, bytes: &[u8]) -> Result<(), SealError> {
    out.write_all(bytes)
        .map_err(|error| SealError::Write(error.kind()))
}

/// A file under a temporary name, removed unless it is finished.
struct Partial {
    file: File,
    path: PathBuf,
    finally: PathBuf,
    finished: bool,
}

impl Partial {
    fn create(out: &Path) -> Result<Self, SealError> {
        match fs::symlink_metadata(out) {
            Ok(_) => return Err(SealError::Exists),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(SealError::Write(error.kind())),
        }
        let name = out.file_name().ok_or(SealError::OutputName)?.to_string_lossy();
        // In the same folder, so that the last step is a rename; named so that a person knows what it is
        // should the machine stop in between.
        let unique = Digest::new(random_public::<4>());
        let path = out.with_file_name(format!(".{name}.{unique}.partial"));
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(|error| SealError::Write(error.kind()))?;
        Ok(Self {
            file,
            path,
            finally: out.to_owned(),
            finished: false,
        })
    }

    fn finish(mut self) -> Result<(), SealError> {
        let failed = |error: std::io::Error| SealError::Write(error.kind());
        self.file.sync_all().map_err(failed)?;
        // A link, unlike a rename, never replaces what came under that name meanwhile.
        match fs::hard_link(&self.path, &self.finally) {
            // What is left is a second name; that it cannot be removed would be no reason to fail.
            Ok(()) => drop(fs::remove_file(&self.path)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(SealError::Exists),
            // Not every file system has links.
            Err(_) => fs::rename(&self.path, &self.finally).map_err(failed)?,
        }
        self.finished = true;
        // Makes the name durable too. Some file systems cannot sync a folder; the contents are safe anyway.
        if let Some(Ok(folder)) = self.finally.parent().map(File::open) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing can be done about a failure here, and an error is already on its way.
            let _ = fs::remove_file(&self.path);
        }
    }
}
