//! How much of anything from outside this crate takes, each with its reason.
//!
//! Why apart: a limit that is written where it is used is forgotten where it is used twice.
//!
//! # Invariants
//! Every length read from a file is compared with one of these before anything is allocated by it.

#[cfg(feature = "text")]
#[cfg_attr(not(feature = "inference"), allow(dead_code))]
pub(crate) mod constraint;
pub(crate) mod gguf;
#[cfg(feature = "text")]
#[cfg_attr(not(feature = "inference"), allow(dead_code))]
pub(crate) mod inference;

/// Plaintext bytes in a chunk and in a leaf of a file's tree. Fixed in version 1 of the format: large
/// enough that key set-up and tags cost nothing, small enough that a few per core are not felt.
pub const CHUNK: usize = 1 << 20;

/// The canonical JSON of a sealed header. Its longest members are two names of [`NAME`] bytes.
pub const HEADER: usize = 4096;

/// Chunks of ciphertext in each of the two buffers of unsealing: together they stay below the 64 MiB by which loading may
/// exceed what it leaves.
pub(crate) const UNSEAL_BATCH: usize = 24;

/// Characters of a key id or a model's name: a Hugging Face `owner/name` has at most 96 + 1 + 96.
pub const NAME: usize = 200;

/// Characters of a file's name in a manifest.
pub const FILE_NAME: usize = 128;

/// Files in a manifest. The largest published models come in fewer than 200 shards.
pub const FILES: usize = 512;

/// The canonical JSON of a manifest: [`FILES`] entries of at most [`FILE_NAME`] + 212 bytes, and the frame.
/// Less than [`CHUNK`], so that a manifest always lies within the first chunk.
pub const MANIFEST: usize = 256 * 1024;

/// Plaintext of one sealed file: 16 TiB, far above any model, far below where numbers could overflow.
pub const PLAINTEXT: u64 = 1 << 44;

/// The JSON header of a safetensors file, as the format's own library has it.
pub const SAFETENSORS_HEADER: u64 = 100_000_000;

/// A JWE that carries one 32-byte key: about 500 bytes, and room for longer `epk` members.
pub const JWE: usize = 4096;

/// A key-encryption-key file: the prefix, 64 digits, a line end.
pub const KEK_FILE: usize = 128;
