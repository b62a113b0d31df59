//! Brings endorsements to an enclave, which staples them to its answers.
//!
//! Why apart: it talks to the enclave's plain listener, where nothing is secret and nothing is believed.
//!
//! # Invariants
//! The bundle is read first, so that a wrong one is refused here, in words. Neither side is trusted: clients prove what
//! was stapled.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anchorhold_attestation::{Endorsements, ParseError, limits as formats};
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::endorsements::error::FetchError;
use crate::endorsements::http::{Http, Times};
use crate::endorsements::listing::Row;
use crate::endorsements::origin::{Origin, OriginError, PlainHttp};
use crate::error::{Exit, Explain};
use crate::limits;

/// What was brought.
#[derive(Debug, Serialize)]
pub struct Brought {
    /// How many endorsements the enclave staples now, by its own words.
    pub items: usize,
    /// Those of them that are not valid now: clients will refuse what they need of these.
    pub not_valid: Vec<Row>,
}

#[derive(Deserialize)]
struct Answer {
    items: usize,
}

/// Endorsements cannot be brought.
#[derive(Debug)]
pub enum EndorseError {
    /// The file cannot be read.
    File(PathBuf, io::ErrorKind),
    /// The file is no bundle.
    Bundle(ParseError),
    /// The address is none.
    Url(OriginError),
    /// The enclave does not take them.
    Enclave(FetchError),
}

impl fmt::Display for EndorseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, kind) => write!(f, "cannot read {}: {kind}", path.display()),
            Self::Bundle(error) => error.fmt(f),
            Self::Url(error) => error.fmt(f),
            Self::Enclave(error) => write!(f, "the enclave does not take the bundle: {error}"),
        }
    }
}

impl std::error::Error for EndorseError {}

impl Explain for EndorseError {
    fn code(&self) -> &'static str {
        "endorse"
    }

    fn hint(&self) -> String {
        match self {
            Self::File(..) => "check the path and its permissions",
            Self::Bundle(_) => "make one: anchorhold client endorsements bundle FILE",
            Self::Url(_) => "the port of the enclave's event `metrics_listening`: --url http://HOST:PORT",
            Self::Enclave(_) => {
                "is this the enclave's metrics listener (event `metrics_listening`), and of the same version?"
            }
        }
        .to_owned()
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Url(_) => Exit::Usage,
            _ => Exit::Error,
        }
    }
}

/// Puts the bundle in `file` to the enclave whose plain listener is at `url`.
///
/// # Errors
/// [`EndorseError`].
pub async fn endorse(url: &str, file: &Path, clock: &Clock) -> Result<Brought, EndorseError> {
    let bundle = read(file).map_err(|error| EndorseError::File(file.to_owned(), error.kind()))?;
    let endorsements = Endorsements::from_bundle(&bundle).map_err(EndorseError::Bundle)?;
    // The listener is plain, in a network of the operator's own: what goes there is public and proven by others.
    let origin = Origin::parse(url, PlainHttp::DangerouslyAnywhere).map_err(EndorseError::Url)?;
    let http = Http::new(&[], clock, Times::default()).expect("there is no extra authority to refuse");
    let sent = http.put(&origin, "/endorsements", bundle, limits::HEALTH_BODY_BYTES);
    let answer = sent.await.map_err(EndorseError::Enclave)?;
    let answer: Answer =
        serde_json::from_slice(&answer.body).map_err(|_| EndorseError::Enclave(FetchError::Malformed))?;
    let rows = endorsements
        .items()
        .iter()
        .map(|item| Row::new(item, clock.now()));
    Ok(Brought {
        items: answer.items,
        not_valid: rows.filter(|row| !row.is_valid()).collect(),
    })
}

/// At most one byte more than a bundle has, which is then none.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    let most = u64::try_from(formats::ENDORSEMENT_BUNDLE)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let mut bytes = Vec::new();
    File::open(file)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use anchorhold_attestation::{Endorsement, EndorsementKind};
    use axum::Router;
    use axum::body::Bytes;
    use axum::routing::put;

    use super::*;

    #[tokio::test]
    async fn a_bundle_is_put_as_it_is_and_what_is_not_valid_is_named() {
        let item = Endorsement::new(EndorsementKind::AmdCrl, b"opaque".to_vec()).unwrap();
        let bundle = Endorsements::new(vec![item]).unwrap().to_bundle();
        let expected = bundle.clone();
        let app = Router::new().route(
            "/endorsements",
            put(async move |body: Bytes| {
                assert_eq!(body, expected);
                "{\"items\":1}"
            }),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("b"), folder.path().join("c"));
        std::fs::write(&file, &bundle).unwrap();
        std::fs::write(&other, b"{}").unwrap();
        let clock = Clock::system();
        let brought = endorse(&url, &file, &clock).await.unwrap();
        assert_eq!((brought.items, brought.not_valid.len()), (1, 1));
        assert_eq!(brought.not_valid[0].state, "unreadable");
        let refused = endorse(&url, &other, &clock).await;
        assert!(matches!(refused, Err(EndorseError::Bundle(_))), "{refused:?}");
        let refused = endorse(&url, &folder.path().join("d"), &clock).await;
        assert!(matches!(refused, Err(EndorseError::File(..))), "{refused:?}");
        let refused = endorse("127.0.0.1:1", &file, &clock).await;
        assert!(matches!(refused, Err(EndorseError::Url(_))), "{refused:?}");
        server.abort();
        let refused = endorse(&format!("{url}/elsewhere"), &file, &clock).await;
        assert!(matches!(refused, Err(EndorseError::Enclave(_))), "{refused:?}");
    }
}
