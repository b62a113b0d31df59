//! Who may ask: holders of API keys, or anyone under a quota.
//!
//! Why apart: [`Admitted`] is the proof that somebody decided to answer, and only this file makes one.
//!
//! # Invariants
//! A key is compared with every entry, each in constant time, so neither the time nor the order tells which
//! entry came near. Nothing is compared on a connection that is not bound: [`Auth::admit`] demands the
//! [`Bound`]. The key of a request is in no error.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use subtle::{Choice, ConstantTimeEq};

use crate::clock::{Clock, Moment};
use crate::config::{Access, ApiKey, Quota};
use crate::connection::Bound;

const LABEL: &[u8] = b"anchorhold api key v1";

/// A request may be answered. Made only by [`Auth::admit`]; for one request.
#[must_use]
#[derive(Debug)]
pub struct Admitted(());

/// Why a request may not be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAdmitted {
    /// Keys are configured and none was sent.
    MissingKey,
    /// The key is none of them.
    WrongKey,
    /// The quota is used up.
    QuotaSpent {
        /// Seconds until one request is allowed again, rounded up.
        retry_after: u64,
    },
}

impl fmt::Display for NotAdmitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingKey => f.write_str("an API key is needed"),
            Self::WrongKey => f.write_str("the API key is not known"),
            Self::QuotaSpent { retry_after } => write!(f, "the quota is used up for {retry_after} s"),
        }
    }
}

impl std::error::Error for NotAdmitted {}

/// Decides about each request.
pub struct Auth(Rule);

enum Rule {
    Keys(Vec<ApiKey>),
    Anonymous(Bucket),
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").finish_non_exhaustive()
    }
}

impl Auth {
    /// By the configuration; quotas are counted in `clock`'s time.
    #[must_use]
    pub fn new(access: Access, clock: Arc<Clock>) -> Self {
        Self(match access {
            Access::Keys(keys) => Rule::Keys(keys),
            Access::Anonymous(quota) => Rule::Anonymous(Bucket::full(quota, clock)),
        })
    }

    /// Admits one request that arrived on a bound connection.
    ///
    /// # Errors
    /// [`NotAdmitted`].
    pub fn admit(&self, _on: Bound, headers: &HeaderMap) -> Result<Admitted, NotAdmitted> {
        match &self.0 {
            Rule::Keys(keys) => {
                let key = bearer(headers).ok_or(NotAdmitted::MissingKey)?;
                let mut known = Choice::from(0);
                for entry in keys {
                    known |= digest(entry, key).ct_eq(entry.sha256.as_bytes());
                }
                if bool::from(known) {
                    Ok(Admitted(()))
                } else {
                    Err(NotAdmitted::WrongKey)
                }
            }
            // OpenAI's packages always send a key; without keys of our own it means nothing.
            Rule::Anonymous(bucket) => bucket.take(),
        }
    }
}

/// The credentials of RFC 6750, section 2.1. The scheme's case does not matter (RFC 9110, section 11.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?.as_bytes();
    // Two of them would let a proxy and this server read different ones.
    if values.next().is_some() {
        return None;
    }
    let (scheme, key) = value.split_at_checked(7)?;
    let key = key.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !key.is_empty()).then_some(key)
}

/// `SHA-256(LP(label) || LP(salt) || LP(key))`, without a copy of the key.
fn digest(entry: &ApiKey, key: &[u8]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for field in [LABEL, entry.salt.as_bytes(), key] {
        let length = u32::try_from(field.len()).expect("headers are shorter than 4 GiB");
        context.update(&length.to_be_bytes());
        context.update(field);
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

/// A token bucket: holds one minute's quota, refills evenly.
struct Bucket {
    clock: Arc<Clock>,
    /// Time that one request costs.
    cost: Duration,
    capacity: Duration,
    state: Mutex<Level>,
}

#[derive(Clone, Copy)]
struct Level {
    saved: Duration,
    at: Moment,
}

impl Bucket {
    fn full(quota: Quota, clock: Arc<Clock>) -> Self {
        let capacity = Duration::from_secs(60);
        Self {
            cost: capacity / quota.requests_per_minute.max(1),
            capacity,
            state: Mutex::new(Level {
                saved: capacity,
                at: clock.now(),
            }),
            clock,
        }
    }

    fn take(&self) -> Result<Admitted, NotAdmitted> {
        let mut level = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let saved = level.saved.saturating_add(now.since(level.at)).min(self.capacity);
        *level = Level { saved, at: now };
        match saved.checked_sub(self.cost) {
            Some(rest) => {
                level.saved = rest;
                Ok(Admitted(()))
            }
            None => Err(NotAdmitted::QuotaSpent {
                retry_after: self.cost.saturating_sub(saved).as_secs().saturating_add(1),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anchorhold_attestation::binding::Nonce;
    use anchorhold_encoding::{Digest, Preimage};
    use axum::http::HeaderValue;

    fn entry(key: &str, salt: u8) -> ApiKey {
        let salt = [salt; 32];
        ApiKey {
            name: "test".to_owned(),
            salt: Digest::new(salt),
            sha256: Preimage::new("anchorhold api key v1")
                .lp(&salt)
                .lp(key.as_bytes())
                .sha256(),
        }
    }

    fn bound() -> Bound {
        Bound::for_tests(Nonce::from_random([1; 32]))
    }

    fn admit(auth: &Auth, header: Option<&str>) -> Result<(), NotAdmitted> {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(AUTHORIZATION, HeaderValue::from_str(header).unwrap());
        }
        auth.admit(bound(), &headers).map(|Admitted(())| ())
    }

    #[test]
    fn only_a_configured_key_is_admitted() {
        let access = Access::Keys(vec![entry("first", 1), entry("second", 2)]);
        let auth = Auth::new(access, Arc::new(Clock::for_tests()));
        assert_eq!(admit(&auth, Some("Bearer first")), Ok(()));
        assert_eq!(admit(&auth, Some("bearer second")), Ok(()));
        for wrong in ["Bearer third", "Bearer firs", "Bearer firstt", "Bearer First"] {
            assert_eq!(admit(&auth, Some(wrong)), Err(NotAdmitted::WrongKey), "{wrong}");
        }
        for missing in [
            None,
            Some("Bearer "),
            Some("Basic first"),
            Some("first"),
            Some("Bearer"),
        ] {
            assert_eq!(admit(&auth, missing), Err(NotAdmitted::MissingKey), "{missing:?}");
        }
        let mut twice = HeaderMap::new();
        twice.append(AUTHORIZATION, HeaderValue::from_static("Bearer first"));
        twice.append(AUTHORIZATION, HeaderValue::from_static("Bearer first"));
        assert!(auth.admit(bound(), &twice).is_err());
    }

    #[test]
    fn the_anonymous_quota_refills_evenly() {
        let clock = Arc::new(Clock::for_tests());
        let access = Access::Anonymous(Quota {
            requests_per_minute: 2,
        });
        let auth = Auth::new(access, Arc::clone(&clock));
        assert_eq!(admit(&auth, None), Ok(()));
        assert_eq!(admit(&auth, Some("Bearer whatever")), Ok(()));
        assert!(matches!(
            admit(&auth, None),
            Err(NotAdmitted::QuotaSpent { retry_after: 29..=31 })
        ));
        clock.skip(Duration::from_secs(31));
        assert_eq!(admit(&auth, None), Ok(()));
        assert!(admit(&auth, None).is_err());
    }
}
