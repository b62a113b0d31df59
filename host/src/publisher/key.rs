//! Signing keys of publishers, logs and witnesses, in files.
//!
//! Why apart: the list of doors for secrets is short enough to read on one page.
//!
//! # Invariants
//! A key has one kind, fixed when it is made: what signs statements never signs checkpoints. Files have mode 0600 and
//! are never replaced. The seed is wiped; it has no Debug and no Display.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anchorhold_attestation::published::{KeyName, LogKey, WitnessKey};
use anchorhold_encoding::Digest;
use aws_lc_rs::rand;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use zeroize::Zeroizing;

use super::error::PublisherError;
use crate::limits::SIGNING_KEY_BYTES;
use crate::secret_file;

/// The file's first line.
const HEAD: &str = "anchorhold signing key v1";

/// What a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Statements.
    Publisher,
    /// Checkpoints, as the log.
    Log,
    /// Checkpoints, as a witness.
    Witness,
}

impl Kind {
    /// As the file has it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Publisher => "publisher",
            Self::Log => "log",
            Self::Witness => "witness",
        }
    }
}

/// A signing key of one kind.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: Digest<32>,
}

fn pair(seed: &[u8; 32]) -> Result<SigningKey, PublisherError> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| PublisherError::KeyGeneration)?;
    let public = Digest::from_slice(pair.public_key().as_ref()).ok_or(PublisherError::KeyGeneration)?;
    Ok(SigningKey { pair, public })
}

/// Makes a key and writes it to a new file. Returns the public half as others write it: a publisher's in hexadecimal,
/// a log's and a witness's as verifier keys (C2SP signed-note).
///
/// # Errors
/// When `path` exists, the name does not fit the kind, or the system fails.
pub fn generate(kind: Kind, name: Option<&KeyName>, path: &Path) -> Result<String, PublisherError> {
    match (kind, name) {
        (Kind::Publisher, Some(_)) => return Err(PublisherError::KeyNameTooMany),
        (Kind::Log | Kind::Witness, None) => return Err(PublisherError::KeyNameNeeded),
        _ => {}
    }
    let mut seed = Zeroizing::new([0; 32]);
    rand::fill(seed.as_mut()).map_err(|_| PublisherError::KeyGeneration)?;
    let key = pair(&seed)?;
    let mut text = Zeroizing::new(String::with_capacity(1024));
    text.push_str(HEAD);
    text.push_str(&format!("\nkind {}\n", kind.word()));
    if let Some(name) = name {
        text.push_str(&format!("name {name}\n"));
    }
    text.push_str(&format!("public {}\nseed ", key.public));
    for byte in seed.iter() {
        for nibble in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(nibble), 16));
        }
    }
    text.push('\n');
    secret_file::create(path, text.as_bytes()).map_err(PublisherError::io("the key's file"))?;
    Ok(match (kind, name) {
        (Kind::Log, Some(name)) => LogKey::new(name.clone(), key.public).to_string(),
        (Kind::Witness, Some(name)) => WitnessKey::new(name.clone(), key.public).to_string(),
        _ => key.public.to_string(),
    })
}

fn read(path: &Path, kind: Kind) -> Result<(SigningKey, Option<KeyName>), PublisherError> {
    let io = PublisherError::io("the key's file");
    let file = fs::File::open(path).map_err(&io)?;
    if file.metadata().map_err(&io)?.permissions().mode() & 0o077 != 0 {
        return Err(PublisherError::KeyReadable);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(SIGNING_KEY_BYTES + 1));
    file.take(SIGNING_KEY_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(&io)?;
    parse(&bytes, kind).ok_or(PublisherError::NotTheKey)
}

fn parse(bytes: &[u8], kind: Kind) -> Option<(SigningKey, Option<KeyName>)> {
    if bytes.len() > SIGNING_KEY_BYTES {
        return None;
    }
    let text = str::from_utf8(bytes).ok()?;
    let mut lines = text.strip_suffix('\n')?.split('\n');
    if lines.next()? != HEAD || lines.next()?.strip_prefix("kind ")? != kind.word() {
        return None;
    }
    let name = match kind {
        Kind::Publisher => None,
        Kind::Log | Kind::Witness => Some(lines.next()?.strip_prefix("name ")?.parse().ok()?),
    };
    let public: Digest<32> = lines.next()?.strip_prefix("public ")?.parse().ok()?;
    let digits = lines.next()?.strip_prefix("seed ")?.as_bytes();
    let mut seed = Zeroizing::new([0; 32]);
    if digits.len() != 64 || lines.next().is_some() {
        return None;
    }
    for (byte, pair) in seed.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?;
    }
    let key = pair(&seed).ok()?;
    (key.public == public).then_some((key, name))
}

impl SigningKey {
    /// A publisher's key.
    ///
    /// # Errors
    /// When the file is not one, or can be read by others.
    pub fn publisher(path: &Path) -> Result<Self, PublisherError> {
        Ok(read(path, Kind::Publisher)?.0)
    }

    /// A log's key, and what others know it by.
    ///
    /// # Errors
    /// As [`SigningKey::publisher`].
    pub fn log(path: &Path) -> Result<(Self, LogKey), PublisherError> {
        let (key, name) = read(path, Kind::Log)?;
        let known = LogKey::new(name.ok_or(PublisherError::NotTheKey)?, key.public);
        Ok((key, known))
    }

    /// A witness's key, and what others know it by.
    ///
    /// # Errors
    /// As [`SigningKey::publisher`].
    pub fn witness(path: &Path) -> Result<(Self, WitnessKey), PublisherError> {
        let (key, name) = read(path, Kind::Witness)?;
        let known = WitnessKey::new(name.ok_or(PublisherError::NotTheKey)?, key.public);
        Ok((key, known))
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &Digest<32> {
        &self.public
    }

    /// An Ed25519 signature.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Digest<64> {
        let signature = self.pair.sign(message);
        Digest::from_slice(signature.as_ref()).expect("an Ed25519 signature has 64 bytes")
    }
}

/// Where the memory of a log's or a witness's key is: beside it, `<key>.state`.
#[must_use]
pub fn state_of(key: &Path) -> PathBuf {
    let mut name = key.file_name().unwrap_or_default().to_owned();
    name.push(".state");
    key.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_private_has_one_kind_and_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.key");
        let name = "log.example/r".parse().unwrap();
        let told = generate(Kind::Log, Some(&name), &path).unwrap();
        let (key, known) = SigningKey::log(&path).unwrap();
        assert_eq!(told, known.to_string());
        assert_eq!(known.key(), key.public());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for other in [
            SigningKey::publisher(&path).err(),
            SigningKey::witness(&path).err(),
        ] {
            assert_eq!(other, Some(PublisherError::NotTheKey));
        }
        assert!(matches!(
            generate(Kind::Log, Some(&name), &path),
            Err(PublisherError::Io(_, std::io::ErrorKind::AlreadyExists))
        ));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(SigningKey::log(&path).err(), Some(PublisherError::KeyReadable));
        assert_eq!(
            generate(Kind::Witness, None, &folder.path().join("w")).err(),
            Some(PublisherError::KeyNameNeeded)
        );
        assert_eq!(
            generate(Kind::Publisher, Some(&name), &folder.path().join("p")).err(),
            Some(PublisherError::KeyNameTooMany)
        );
    }

    #[test]
    fn a_key_file_that_was_touched_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.key");
        generate(Kind::Publisher, None, &path).unwrap();
        let good = fs::read(&path).unwrap();
        assert!(parse(&good, Kind::Publisher).is_some());
        for place in 0..good.len() {
            let mut spoilt = good.clone();
            spoilt[place] ^= 1;
            assert!(parse(&spoilt, Kind::Publisher).is_none(), "byte {place}");
        }
        assert!(parse(&good[..good.len() - 1], Kind::Publisher).is_none());
        assert!(parse(&[&good[..], b"\n"].concat(), Kind::Publisher).is_none());
    }
}
