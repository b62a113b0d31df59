//! Who may ask: holders of API keys, or anyone under a quota.
//!
//! Why apart: [`Admitted`] is the proof that somebody decided to answer, and only this file makes one.
//!
//! # Invariants
//! A key is compared with every entry, each in constant time, so neither the time nor the order tells which
//! entry came near. Nothing is compared on a connection that is not bound: [`Auth::admit`] demands the
//! [`Bound`]. The key of a request is in no error.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::account::{Account, Counts, Exhausted, Place};
use crate::clock::Clock;
use crate::config::{Access, ApiKey, Quota};
use crate::connection::Bound;

const LABEL: &[u8] = b"anchorhold api key v1";

/// A request may be answered. Made only by [`Auth::admit`]; for one request, whose place in its account it holds.
#[must_use]
#[derive(Debug, Clone)]
pub struct Admitted(Arc<Place>);

impl Admitted {
    /// On whose account.
    #[must_use]
    pub fn account(&self) -> &Arc<Account> {
        self.0.account()
    }
}

/// Why a request may not be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAdmitted {
    /// Keys are configured and none was sent.
    MissingKey,
    /// The key is none of them.
    WrongKey,
    /// As many answers are in the making on this key as may be.
    TooManyAtOnce,
    /// The quota of this key, or of all callers without one, is used up.
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
            Self::TooManyAtOnce => f.write_str("too many answers are in the making on this key"),
            Self::QuotaSpent { retry_after } => write!(f, "the quota is used up for {retry_after} s"),
        }
    }
}

impl std::error::Error for NotAdmitted {}

impl From<Exhausted> for NotAdmitted {
    fn from(why: Exhausted) -> Self {
        match why {
            Exhausted::Rate { retry_after } => Self::QuotaSpent { retry_after },
            Exhausted::Concurrency => Self::TooManyAtOnce,
        }
    }
}

/// Decides about each request.
pub struct Auth(Rule);

enum Rule {
    Keys(Vec<(ApiKey, Arc<Account>)>),
    Anonymous(Arc<Account>),
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
            Access::Keys(keys) => {
                let shares = keys.len() > 1;
                let account = |(ordinal, key): (usize, &ApiKey)| {
                    Account::of_key(ordinal, shares, key.quota, Arc::clone(&clock))
                };
                let accounts: Vec<_> = keys.iter().enumerate().map(account).collect();
                Rule::Keys(keys.into_iter().zip(accounts).collect())
            }
            Access::Anonymous(Quota { requests_per_minute }) => {
                Rule::Anonymous(Account::of_all(requests_per_minute, clock))
            }
        })
    }

    /// What is counted of each key, in the order of the configuration.
    #[must_use]
    pub fn counts(&self) -> Vec<Arc<Counts>> {
        match &self.0 {
            Rule::Keys(keys) => keys.iter().map(|(_, account)| account.counts()).collect(),
            Rule::Anonymous(_) => Vec::new(),
        }
    }

    /// Admits one request that arrived on a bound connection.
    ///
    /// # Errors
    /// [`NotAdmitted`].
    pub fn admit(&self, _on: Bound, headers: &HeaderMap) -> Result<Admitted, NotAdmitted> {
        match &self.0 {
            Rule::Keys(keys) => {
                let key = bearer(headers).ok_or(NotAdmitted::MissingKey)?;
                // One beyond the last is none.
                let mut found = keys.len() as u64;
                for (index, (entry, _)) in keys.iter().enumerate() {
                    let same = digest(entry, key).ct_eq(entry.sha256.as_bytes());
                    found.conditional_assign(&(index as u64), same);
                }
                let found = usize::try_from(found).ok().and_then(|index| keys.get(index));
                let (_, account) = found.ok_or(NotAdmitted::WrongKey)?;
                Ok(Admitted(Arc::new(account.take()?)))
            }
            // OpenAI's packages always send a key; without keys of our own it means nothing.
            Rule::Anonymous(account) => Ok(Admitted(Arc::new(account.take()?))),
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use anchorhold_attestation::binding::Nonce;
    use anchorhold_encoding::{Digest, Preimage};
    use axum::http::HeaderValue;

    use crate::config::KeyQuota;

    fn entry(key: &str, salt: u8) -> ApiKey {
        let salt = [salt; 32];
        ApiKey {
            name: "test".to_owned(),
            salt: Digest::new(salt),
            sha256: Preimage::new("anchorhold api key v1")
                .lp(&salt)
                .lp(key.as_bytes())
                .sha256(),
            quota: QUOTA,
        }
    }

    const QUOTA: KeyQuota = KeyQuota {
        requests_per_minute: 600,
        tokens_per_minute: 600,
        concurrent: 1,
    };

    fn bound() -> Bound {
        Bound::for_tests(Nonce::from_random([1; 32]))
    }

    fn admit(auth: &Auth, header: Option<&str>) -> Result<(), NotAdmitted> {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(AUTHORIZATION, HeaderValue::from_str(header).unwrap());
        }
        auth.admit(bound(), &headers).map(drop)
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
    fn what_one_key_uses_is_not_told_to_another() {
        let access = Access::Keys(vec![entry("first", 1), entry("second", 2)]);
        let auth = Auth::new(access, Arc::new(Clock::for_tests()));
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer first"));
        let held = auth.admit(bound(), &headers).unwrap();
        assert_eq!(
            admit(&auth, Some("Bearer first")),
            Err(NotAdmitted::TooManyAtOnce)
        );
        assert_eq!(admit(&auth, Some("Bearer second")), Ok(()));
        held.account().charge(100_000);
        drop(held);
        assert!(matches!(
            admit(&auth, Some("Bearer first")),
            Err(NotAdmitted::QuotaSpent { .. })
        ));
        assert_eq!(admit(&auth, Some("Bearer second")), Ok(()));
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
