//! Endorsements from their vendors: fetched with patience, kept on disk, carried as bundles.
//!
//! Why apart: the verifier takes endorsements as an argument and reaches out to nobody. This reaches out, and decides
//! nothing: what it brings is proven again by whoever uses it. Owner, client and operator all need it and none may
//! borrow it from another, so it belongs to no role.
//!
//! - [`item`]: what can be asked for, and whether an answer is one to it
//! - [`wanted`]: what a piece of evidence needs
//! - [`kds`], [`pcs`], [`nvidia`]: how AMD, Intel and NVIDIA are asked; [`ocsp`]: one of NVIDIA's questions in DER
//! - [`vendor`]: asking, and asking again; [`pacing`]: when
//! - [`origin`], [`http`]: where a service is, and one request to it
//! - [`cache`]: items on disk; [`store`]: cache and vendors as one
//! - [`listing`]: items as people and scripts see them
//! - [`error`]: why there is none
//!
//! # Invariants
//! A vendor that is down is no outage while a cached item is valid. An expired item leaves [`store`] only under a
//! policy's grace. The window is the one the vendor signed. Nothing here trusts what it read from disk or network.

pub mod cache;
pub mod error;
pub mod http;
pub mod item;
pub mod kds;
pub mod listing;
pub mod nvidia;
pub mod ocsp;
pub mod origin;
pub mod pacing;
pub mod pcs;
pub(crate) mod pem;
pub mod store;
pub mod vendor;
pub mod wanted;

pub use cache::Cache;
pub use error::FetchError;
pub use item::Item;
pub use store::{Held, Store};
pub use vendor::Vendor;

#[cfg(test)]
pub(crate) mod fake;
