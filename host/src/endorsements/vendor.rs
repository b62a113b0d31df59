//! Asking vendors, and asking again.
//!
//! Why apart: what a question is belongs to each service; how patiently it is asked is the same for all.
//!
//! # Invariants
//! An endorsement leaves here only when it says of itself that it is what was asked for and valid now. That it is true
//! is proven by whoever uses it.

use anchorhold_attestation::Endorsement;

use super::error::FetchError;
use super::http::{Answer, Http};
use super::item::Item;
use super::origin::{Origin, OriginError, PlainHttp};
use super::pacing::Pacing;
use super::{kds, nvidia, pcs};
use crate::clock::Clock;

/// Where the services are.
#[derive(Debug, Clone)]
pub struct Sources {
    /// AMD's key distribution service.
    pub kds: Origin,
    /// Intel's provisioning certification service, or a cache of it.
    pub pcs: Origin,
    /// NVIDIA's manifests.
    pub rim: Origin,
    /// NVIDIA's word on revocation.
    pub ocsp: Origin,
}

impl Sources {
    /// The vendors' own services; a mirror where one is named.
    ///
    /// # Errors
    /// [`OriginError`] of the first address that is none.
    pub fn new(
        kds: Option<&str>,
        pcs: Option<&str>,
        rim: Option<&str>,
        ocsp: Option<&str>,
        plain: PlainHttp,
    ) -> Result<Self, OriginError> {
        let origin = |named: Option<&str>, own| Origin::parse(named.unwrap_or(own), plain);
        Ok(Self {
            kds: origin(kds, kds::KDS)?,
            pcs: origin(pcs, pcs::PCS)?,
            rim: origin(rim, nvidia::RIM)?,
            ocsp: origin(ocsp, nvidia::OCSP)?,
        })
    }
}

/// All vendors.
#[derive(Debug, Clone)]
pub struct Vendor {
    http: Http,
    sources: Sources,
    pacing: Pacing,
    clock: Clock,
}

impl Vendor {
    /// Asks `sources` by `http`, at the pace of `pacing`.
    #[must_use]
    pub fn new(http: Http, sources: Sources, pacing: Pacing, clock: Clock) -> Self {
        Self {
            http,
            sources,
            pacing,
            clock,
        }
    }

    /// Where it asks.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Fetches `item` from its vendor.
    ///
    /// # Errors
    /// [`FetchError`] of the last attempt.
    pub async fn fetch(&self, item: &Item) -> Result<Endorsement, FetchError> {
        let endorsement = match item {
            Item::AmdVcek {
                product,
                hardware_id,
                tcb,
            } => kds::vcek(self, *product, hardware_id, tcb).await?,
            Item::AmdAuthority { product, signer } => kds::authority(self, *product, *signer).await?,
            Item::AmdCrl { product } => kds::list(self, *product).await?,
            Item::IntelCollateral {
                fmspc,
                authority,
                update,
            } => pcs::collateral(self, *fmspc, *authority, *update).await?,
            Item::NvidiaRim { id } => nvidia::rim(self, id).await?,
            Item::NvidiaOcsp(question) => nvidia::ocsp(self, question).await?,
        };
        let said = endorsement.said().map_err(|_| FetchError::Malformed)?;
        if !item.is_answered_by(&said) {
            return Err(FetchError::NotAsked);
        }
        if !said.valid_at(self.clock.now()) {
            return Err(FetchError::NotValid {
                from: said.from,
                until: said.until,
            });
        }
        Ok(endorsement)
    }

    pub(super) async fn get(&self, origin: &Origin, path: &str, limit: usize) -> Result<Answer, FetchError> {
        self.patiently(|| self.http.get(origin, path, limit)).await
    }

    pub(super) async fn ask_ocsp(
        &self,
        origin: &Origin,
        question: &[u8],
        limit: usize,
    ) -> Result<Answer, FetchError> {
        let kind = "application/ocsp-request";
        self.patiently(|| self.http.post(origin, "/", kind, question.to_vec(), limit))
            .await
    }

    async fn patiently<F>(&self, attempt: impl Fn() -> F) -> Result<Answer, FetchError>
    where
        F: Future<Output = Result<Answer, FetchError>>,
    {
        let mut failed = 0;
        loop {
            let error = match attempt().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let Some(pause) = self.pacing.pause(failed, &error) else {
                return Err(error);
            };
            self.pacing.sleep(pause).await;
            failed += 1;
        }
    }
}

#[cfg(test)]
mod tests;
