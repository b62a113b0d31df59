//! Cache and vendors as one: an endorsement that is valid, from wherever it is had.
//!
//! Why apart: when a kept item is used, refreshed or refused is one rule, and everybody who needs an endorsement gets
//! it by this rule only.
//!
//! # Invariants
//! A valid kept item is handed out at once, whatever the vendor does. It is fetched anew past half of its life, a list
//! or a document after a day, never by more than one at a time, and no newer item is given up for an older one. An
//! expired item leaves only under a [`Grace`], and says so. The window is what the vendor signed. Nothing is kept, and nothing
//! that is kept is used, that its vendor is not proven to have signed: a forgery does not stand in the way of the right
//! answer. Whoever judges evidence proves it again.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anchorhold_attestation::endorsements::{Beside, Grace, Said};
use anchorhold_attestation::{Anchors, Endorsement, EndorsementKind, Timestamp};
use tokio::sync::Mutex as AsyncMutex;

use super::cache::{Cache, CacheError, Cached};
use super::error::FetchError;
use super::item::Item;
use super::vendor::Vendor;
use crate::clock::Clock;
use crate::error::Explain;
use crate::limits;

/// Where a held item came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// From its vendor, now.
    Fetched,
    /// From the cache, young enough.
    Kept,
    /// From the cache, valid, but old enough to ask the vendor; what became of that, if it is known.
    Stale(Option<FetchError>),
    /// From the cache and expired, under a policy's grace.
    Expired {
        /// Until when it was valid.
        until: Timestamp,
        /// Why there is no other.
        why: FetchError,
    },
}

/// An endorsement that may be used now, by what it says of itself.
#[derive(Debug, Clone)]
pub struct Held {
    /// The item.
    pub endorsement: Endorsement,
    /// What it says of itself.
    pub said: Said,
    /// Where it came from.
    pub freshness: Freshness,
    /// A file that stood in its place in the cache and was not it, or nobody is known to have signed.
    pub poisoned: Option<PathBuf>,
}

/// There is no endorsement that may be used.
#[derive(Debug)]
pub enum StoreError {
    /// None is kept, and the vendor gave none.
    Missing {
        /// The item's name.
        item: String,
        /// Why the vendor gave none.
        why: FetchError,
        /// A file that stood in its place and was not it.
        poisoned: Option<PathBuf>,
    },
    /// The one that is kept has expired, and the vendor gave no other.
    Expired {
        /// The item's name.
        item: String,
        /// Until when the kept one was valid.
        until: Timestamp,
        /// Why the vendor gave no other.
        why: FetchError,
    },
    /// The cache cannot be used.
    Cache(CacheError),
}

impl From<CacheError> for StoreError {
    fn from(error: CacheError) -> Self {
        Self::Cache(error)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { item, why, poisoned } => {
                write!(f, "{item}: {why}")?;
                match poisoned {
                    Some(path) => write!(f, "; {} is not it and was left out", path.display()),
                    None => Ok(()),
                }
            }
            Self::Expired { item, until, why } => {
                write!(f, "{item}: the kept one expired at {until}, and {why}")
            }
            Self::Cache(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StoreError {}

impl Explain for StoreError {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing { why, .. } => why.id(),
            Self::Expired { .. } => "endorsement-expired",
            Self::Cache(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Missing { why, .. } | Self::Expired { why, .. } => why.hint(),
            Self::Cache(error) => error.hint(),
        }
    }
}

/// Why an item counts for nothing.
enum NotProven {
    /// What stands between it and its root is not there.
    AuthorityMissing,
    /// A check failed, by its name.
    Forged(&'static str),
}

/// What is known of an item between two fetches.
#[derive(Default)]
struct Slot {
    /// Held while the vendor is asked.
    asking: AsyncMutex<()>,
    outcome: Mutex<Outcome>,
}

#[derive(Default, Clone, Copy)]
struct Outcome {
    /// How often the vendor was asked.
    asked: u64,
    /// What became of the last time, when nothing came.
    failed: Option<FetchError>,
    /// Not before this is a valid item refreshed again.
    pause_until: Option<Timestamp>,
}

/// Cache and vendors. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    cache: Cache,
    vendor: Vendor,
    anchors: Anchors,
    clock: Clock,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
}

impl Store {
    /// Keeps in `cache` what `vendor` gives and is proven under `anchors`.
    #[must_use]
    pub fn new(cache: Cache, vendor: Vendor, anchors: Anchors, clock: Clock) -> Self {
        let slots = Mutex::default();
        Self {
            inner: Arc::new(Inner {
                cache,
                vendor,
                anchors,
                clock,
                slots,
            }),
        }
    }

    /// `item`, valid now. A kept one is handed out at once, and refreshed behind the caller's back when it is old.
    ///
    /// # Errors
    /// [`StoreError`] when there is none that may be used; without `grace` an expired one may not.
    pub async fn get(&self, item: &Item, grace: Option<Grace>) -> Result<Held, StoreError> {
        let (kept, poisoned) = self.kept(item)?;
        let now = self.inner.clock.now();
        if let Some(kept) = kept.filter(|kept| kept.said.valid_at(now)) {
            if !self.is_due(&kept, now) {
                return Ok(held(kept, Freshness::Kept));
            }
            let (store, item) = (self.clone(), item.clone());
            tokio::spawn(async move {
                // Whoever needs the item next sees what became of it.
                let _ = store.ask(&item, true).await;
            });
            let failed = self.outcome(&kept.name).failed;
            return Ok(held(kept, Freshness::Stale(failed)));
        }
        self.fetch_or_keep(item, grace, poisoned).await
    }

    /// `item`, valid now: a kept one if it is young enough, else one that was asked for anew, if there is one.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn fresh(&self, item: &Item, grace: Option<Grace>) -> Result<Held, StoreError> {
        let (kept, poisoned) = self.kept(item)?;
        let now = self.inner.clock.now();
        match kept.filter(|kept| kept.said.valid_at(now)) {
            Some(kept) if !self.is_due(&kept, now) => Ok(held(kept, Freshness::Kept)),
            _ => self.fetch_or_keep(item, grace, poisoned).await,
        }
    }

    /// `item`, asked for anew; a kept one only when nothing better came.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn refresh(&self, item: &Item, grace: Option<Grace>) -> Result<Held, StoreError> {
        let (_, poisoned) = self.kept(item)?;
        self.fetch_or_keep(item, grace, poisoned).await
    }

    async fn fetch_or_keep(
        &self,
        item: &Item,
        grace: Option<Grace>,
        poisoned: Option<PathBuf>,
    ) -> Result<Held, StoreError> {
        let asked = self.ask(item, false).await?;
        let (kept, _) = self.kept(item)?;
        let now = self.inner.clock.now();
        let mut found = match (kept, asked) {
            (Some(kept), None) if kept.said.valid_at(now) => held(kept, Freshness::Fetched),
            (Some(kept), Some(why)) if kept.said.valid_at(now) => held(kept, Freshness::Stale(Some(why))),
            (Some(kept), why) => {
                let (until, why) = (kept.said.until, why.unwrap_or(FetchError::NotAsked));
                let within = |grace: Grace| kept.said.from <= now && now <= until.plus(grace.seconds());
                if !grace.is_some_and(within) {
                    let item = kept.name;
                    return Err(StoreError::Expired { item, until, why });
                }
                held(kept, Freshness::Expired { until, why })
            }
            (None, why) => {
                return Err(StoreError::Missing {
                    item: item.name(),
                    why: why.unwrap_or(FetchError::NotAsked),
                    poisoned,
                });
            }
        };
        found.poisoned = poisoned;
        Ok(found)
    }

    /// What is kept and proven; what stands in its place and is not it.
    fn kept(&self, item: &Item) -> Result<(Option<Cached>, Option<PathBuf>), StoreError> {
        let cache = &self.inner.cache;
        match cache.read(item) {
            Ok(None) => Ok((None, None)),
            Ok(Some(kept)) => match self.prove(item, &kept.endorsement, &kept.said) {
                Ok(()) => Ok((Some(kept), None)),
                Err(NotProven::AuthorityMissing) => Ok((None, None)),
                Err(NotProven::Forged(_)) => Ok((None, Some(cache.path(item)))),
            },
            Err(CacheError::Poisoned(path)) => Ok((None, Some(path))),
            Err(error) => Err(error.into()),
        }
    }

    /// Proves that the vendor signed it: as of now, or of the end of its window that is nearest to now, for whether it is still
    /// valid is another question.
    fn prove(&self, item: &Item, endorsement: &Endorsement, said: &Said) -> Result<(), NotProven> {
        let at = self.inner.clock.now().min(said.until).max(said.from);
        let authority = match item.authority() {
            None => None,
            Some(authority) => {
                let kept = self.inner.cache.read(&authority);
                Some(kept.ok().flatten().ok_or(NotProven::AuthorityMissing)?)
            }
        };
        let beside = match (item, &authority) {
            (_, Some(authority)) => Beside::Authority(authority.endorsement.body()),
            (Item::NvidiaOcsp(question), None) => {
                let (certificates, link) = question.chain();
                Beside::Chain { certificates, link }
            }
            _ => Beside::Nothing,
        };
        endorsement
            .prove(beside, &self.inner.anchors, at)
            .map_err(|error| NotProven::Forged(error.0))
    }

    /// Sees to it that what is needed to prove `item` is there, if it can be had.
    async fn with_authority(&self, item: &Item) -> Result<(), StoreError> {
        let Some(authority) = item.authority() else {
            return Ok(());
        };
        if self.kept(&authority)?.0.is_none()
            && let Ok(found) = self.inner.vendor.fetch(&authority).await
        {
            self.keep(&authority, &found)?;
        }
        Ok(())
    }

    fn is_due(&self, kept: &Cached, now: Timestamp) -> bool {
        // A time of fetching in the future is a clock that was wrong then or is now: ask.
        let old = now.since(kept.fetched).is_none_or(|age| age >= refresh_age(kept));
        let pause = self.outcome(&kept.name).pause_until;
        old && pause.is_none_or(|until| now >= until)
    }

    fn slot(&self, name: &str) -> Arc<Slot> {
        let mut slots = self.inner.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(name.to_owned()).or_default())
    }

    fn outcome(&self, name: &str) -> Outcome {
        *self
            .slot(name)
            .outcome
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the vendor and keeps what comes. Those who ask meanwhile wait and share the outcome; `None` is success.
    async fn ask(&self, item: &Item, unless_asked: bool) -> Result<Option<FetchError>, StoreError> {
        let slot = self.slot(&item.name());
        let before = slot.outcome.lock().unwrap_or_else(PoisonError::into_inner).asked;
        let asking = if unless_asked {
            // A refresh is under way already.
            let Ok(asking) = slot.asking.try_lock() else {
                return Ok(None);
            };
            asking
        } else {
            slot.asking.lock().await
        };
        {
            let outcome = slot.outcome.lock().unwrap_or_else(PoisonError::into_inner);
            if outcome.asked != before {
                return Ok(outcome.failed);
            }
        }
        let failed = match self.inner.vendor.fetch(item).await {
            Ok(endorsement) => {
                self.with_authority(item).await?;
                self.keep(item, &endorsement)?
            }
            Err(error) => Some(error),
        };
        let mut outcome = slot.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        outcome.asked += 1;
        outcome.failed = failed;
        let pause = limits::REFRESH_PAUSE_SECONDS;
        outcome.pause_until = failed.map(|_| self.inner.clock.now().plus(pause));
        drop(outcome);
        drop(asking);
        Ok(failed)
    }

    /// Keeps a new item that is proven, unless a valid one that is kept is newer.
    fn keep(&self, item: &Item, new: &Endorsement) -> Result<Option<FetchError>, StoreError> {
        let now = self.inner.clock.now();
        let Ok(said) = new.said() else {
            return Ok(Some(FetchError::Malformed));
        };
        match self.prove(item, new, &said) {
            Ok(()) => {}
            Err(NotProven::Forged(check)) => return Ok(Some(FetchError::Unproven { check })),
            Err(NotProven::AuthorityMissing) => {
                let check = "no-endorsement";
                return Ok(Some(FetchError::Unproven { check }));
            }
        }
        let (kept, _) = self.kept(item)?;
        if kept.is_some_and(|kept| kept.said.valid_at(now) && said.from < kept.said.from) {
            return Ok(Some(FetchError::Older));
        }
        self.inner.cache.write(item, new, now)?;
        Ok(None)
    }
}

/// The age at which a valid item is fetched anew: in time before it ends, and soon enough to see what replaces it.
/// The same certificate comes back for the same chip and TCB, so there is nothing to see.
fn refresh_age(kept: &Cached) -> u64 {
    let half = kept.said.until.since(kept.fetched).unwrap_or(0) / 2;
    match kept.endorsement.kind() {
        // Still once a month: what a mirror once answered wrongly is not kept for as long as it says of itself.
        EndorsementKind::AmdVek | EndorsementKind::AmdAuthority | EndorsementKind::ProviderAuthority => {
            half.min(limits::LONGEST_REFRESH_SECONDS)
        }
        _ => half.min(limits::REFRESH_SECONDS),
    }
}

fn held(kept: Cached, freshness: Freshness) -> Held {
    Held {
        endorsement: kept.endorsement,
        said: kept.said,
        freshness,
        poisoned: None,
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("cache", &self.inner.cache)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
