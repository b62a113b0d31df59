//! Anchors and endorsements from files.
//!
//! Why apart: every command of every role reads them the same way, with the same limits.
//!
//! # Invariants
//! A file that is not what it should be is an error: nothing is left out in silence.

use std::fmt;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anchorhold_attestation::{Anchors, AnchorsError, Endorsement, Endorsements, ParseError, limits};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::Verifier;
use crate::error::Explain;
use crate::limits::{ANCHOR_FILE_BYTES, ANCHOR_FILES};

/// Anchors or endorsements cannot be read.
#[derive(Debug)]
pub enum TrustError {
    /// A file or folder.
    File(PathBuf, std::io::ErrorKind),
    /// A file is larger than such files are.
    TooLarge(PathBuf),
    /// More files than a folder of anchors has.
    TooMany(PathBuf),
    /// A file that is neither a certificate nor certificates in PEM.
    Pem(PathBuf),
    /// The certificates are no anchors.
    Anchors(AnchorsError),
    /// The file is no bundle of endorsements.
    Bundle(PathBuf, ParseError),
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, kind) => write!(f, "cannot read {}: {kind}", path.display()),
            Self::TooLarge(path) => write!(f, "{} is too large", path.display()),
            Self::TooMany(path) => write!(f, "{} has more than {ANCHOR_FILES} files", path.display()),
            Self::Pem(path) => write!(f, "{} holds no certificate", path.display()),
            Self::Anchors(error) => write!(f, "the anchors: {error}"),
            Self::Bundle(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for TrustError {}

impl Explain for TrustError {
    fn code(&self) -> &'static str {
        match self {
            Self::File(..) | Self::TooLarge(_) => "file",
            Self::TooMany(_) | Self::Pem(_) | Self::Anchors(_) => "anchors",
            Self::Bundle(..) => "endorsements",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::File(..) => "check the path and its permissions",
            Self::TooLarge(_) | Self::TooMany(_) | Self::Pem(_) => {
                "a folder of anchors has root certificates and nothing else, in DER or PEM"
            }
            Self::Anchors(error) => error.hint(),
            Self::Bundle(..) => "`anchorhold client endorsements bundle` makes such files",
        }
        .to_owned()
    }
}

impl Verifier {
    /// Under the roots in the folder `anchors`, with the endorsements of the file `bundle`: where neither is given,
    /// under the vendors' own, with none.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn read(anchors: Option<&Path>, bundle: Option<&Path>) -> Result<Self, TrustError> {
        let anchors = anchors.map_or_else(|| Ok(Anchors::compiled()), folder)?;
        let endorsements = bundle.map_or_else(|| Ok(Vec::new()), items)?;
        Ok(Self::new(anchors, endorsements))
    }
}

fn items(path: &Path) -> Result<Vec<Endorsement>, TrustError> {
    let bytes = read(path, limits::ENDORSEMENT_BUNDLE)?;
    let bundle = Endorsements::from_bundle(&bytes);
    let bundle = bundle.map_err(|error| TrustError::Bundle(path.to_owned(), error))?;
    Ok(bundle.items().to_vec())
}

fn folder(path: &Path) -> Result<Anchors, TrustError> {
    let failed = |error: std::io::Error| TrustError::File(path.to_owned(), error.kind());
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        files.push(entry.map_err(failed)?.path());
        if files.len() > ANCHOR_FILES {
            return Err(TrustError::TooMany(path.to_owned()));
        }
    }
    files.sort();
    let mut roots = Vec::new();
    for file in files {
        roots.extend(certificates(&file)?);
    }
    Anchors::from_certificates(&roots).map_err(TrustError::Anchors)
}

/// The certificates of one file: DER starts with a SEQUENCE, anything else is read as PEM.
fn certificates(path: &Path) -> Result<Vec<Vec<u8>>, TrustError> {
    let bytes = read(path, ANCHOR_FILE_BYTES)?;
    if bytes.first() == Some(&0x30) {
        return Ok(vec![bytes]);
    }
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all.into_iter().map(|der| der.to_vec()).collect()),
        _ => Err(TrustError::Pem(path.to_owned())),
    }
}

fn read(path: &Path, limit: usize) -> Result<Vec<u8>, TrustError> {
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|error| TrustError::File(path.to_owned(), error.kind()))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > limit) {
        return Err(TrustError::TooLarge(path.to_owned()));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anchorhold_attestation::snp::FakeAuthority;
    use anchorhold_attestation::{Class, Timestamp};
    use base64::Engine as _;

    fn pem(der: &[u8]) -> String {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    }

    #[test]
    fn anchors_and_endorsements_come_from_files_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let authority = FakeAuthority::new(Timestamp::from_unix(1_800_000_000));
        let (anchors, bundle) = (folder.path().join("anchors"), folder.path().join("bundle"));
        fs::create_dir(&anchors).unwrap();
        // Signatures are random: the same authority signs another list each time.
        let endorsements = authority.endorsements();
        fs::write(&bundle, endorsements.to_bundle()).unwrap();
        let compiled = Verifier::read(None, None).unwrap();
        assert_eq!(compiled.anchors().class(), Class::Real);
        let error = |anchors: &Path, bundle: &Path| Verifier::read(Some(anchors), Some(bundle)).unwrap_err();
        assert!(matches!(
            error(&anchors, &bundle),
            TrustError::Anchors(AnchorsError::None)
        ));

        fs::write(anchors.join("root"), authority.root()).unwrap();
        let given = Verifier::read(Some(&anchors), Some(&bundle)).unwrap();
        assert_eq!(given.anchors().class(), Class::Insecure);
        assert_eq!(given.endorsements, endorsements.items());
        fs::write(anchors.join("root"), pem(&authority.root())).unwrap();
        assert!(Verifier::read(Some(&anchors), None).is_ok());

        fs::write(anchors.join("notes"), "roots of the test").unwrap();
        assert!(matches!(error(&anchors, &bundle), TrustError::Pem(_)));
        fs::write(anchors.join("notes"), vec![0x30; ANCHOR_FILE_BYTES + 1]).unwrap();
        assert!(matches!(error(&anchors, &bundle), TrustError::TooLarge(_)));
        fs::remove_file(anchors.join("notes")).unwrap();
        fs::write(&bundle, "{}").unwrap();
        assert!(matches!(error(&anchors, &bundle), TrustError::Bundle(..)));
        assert!(matches!(
            error(&folder.path().join("none"), &bundle),
            TrustError::File(..)
        ));
        for error in [
            error(&anchors, &bundle),
            TrustError::TooMany("d".into()),
            TrustError::Pem("f".into()),
        ] {
            assert!(!error.to_string().is_empty() && !error.hint().is_empty() && !error.code().is_empty());
        }
    }
}
