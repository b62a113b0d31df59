//! The OpenAI-compatible interface, and the two questions a client asks before it trusts it.
//!
//! Why apart: everything a caller can send and everything it can be told passes through here.
//!
//! - [`attestation`], [`bound`]: evidence, and refusing whoever has not bound its connection to it
//! - `caller`, `body`: who asks, and the bytes of the question; both as proofs that handlers demand
//! - `fields`, `sampling`, `ids`: the JSON of a request, member by member
//! - `form`: what an answer is held to, of `response_format` and `tools`
//! - `chat`, `completions`, `embeddings`, `models`, `health`: the endpoints
//! - `generation`, `answer`, `sse`: from the engine's replies to a body, whole or streamed
//! - `shape`, `frames`: what the network sees of it
//! - `buffer`: bytes that are wiped; `pieces`: bytes that answers share
//! - [`error`]: what a caller is told when there is no answer
//!
//! # Invariants
//! Every path but the open ones answers on bound connections only. An unsupported member is refused by name,
//! never ignored. Nothing of a request is repeated in an error.

mod answer;
pub mod attestation;
mod body;
pub mod bound;
mod buffer;
mod caller;
mod chat;
mod completions;
mod embeddings;
pub mod error;
mod fields;
mod form;
mod frames;
mod generation;
mod health;
mod ids;
mod models;
mod pieces;
mod sampling;
mod shape;
mod sse;
#[cfg(test)]
#[cfg(feature = "insecure-simulated")] // they need an attester
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};

use crate::api::error::ApiError;
use crate::api::fields::Fields;
use crate::auth::Auth;
use crate::batch::EvidenceService;
use crate::clock::{Clock, Moment};
use crate::endorsements::Stapled;
use crate::engine::EngineHandle;
use crate::identity::Identity;
use crate::lease::Lease;
use crate::lifecycle::Lifecycle;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::receipts::Receipts;
use crate::traffic::Shape;

/// What the handlers work with.
pub struct ApiState {
    /// The way to the model.
    pub engine: EngineHandle,
    /// Who answers.
    pub identity: Arc<Identity>,
    /// What requests must name as their `model`.
    pub model_name: String,
    /// The limits in force.
    pub limits: Limits,
    /// What the network sees of answers.
    pub traffic: Option<Shape>,
    /// Who may ask.
    pub auth: Auth,
    /// Told what was done.
    pub metrics: Arc<Metrics>,
    /// Whether new work is taken.
    pub lifecycle: Lifecycle,
    /// Dates answers.
    pub clock: Arc<Clock>,
    /// Told to clients with the evidence.
    pub lease: Arc<Lease>,
    /// Signs with the answers.
    pub receipts: Arc<Receipts>,
    /// Evidence for nonces.
    pub evidence: EvidenceService,
    /// Goes with the evidence.
    pub stapled: Arc<Stapled>,
}

impl fmt::Debug for ApiState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiState")
            .field("model_name", &self.model_name)
            .finish_non_exhaustive()
    }
}

impl ApiState {
    /// What is left of the time for a request whose head had been read at `arrived`.
    fn time_left(&self, arrived: Moment) -> Duration {
        self.limits
            .request_time
            .saturating_sub(self.clock.now().since(arrived))
    }

    /// Takes `model` from a request: it must name the one model there is.
    fn check_model(&self, fields: &mut Fields<'_>) -> Result<(), ApiError> {
        let name: Cow<'_, str> = fields.require("model", "a text")?;
        if name == self.model_name {
            Ok(())
        } else {
            Err(ApiError::ModelNotFound)
        }
    }
}

/// Every path there is. The server must put the [`crate::connection::Connection`] into each request's
/// extensions: without it a request counts as unbound.
pub fn router(state: Arc<ApiState>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat::complete))
        .route("/v1/completions", post(completions::complete))
        .route("/v1/embeddings", post(embeddings::embed))
        .route_layer(from_fn_with_state(Arc::clone(&state), shape::shape))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{id}", get(models::one))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .merge(attestation::router())
        .fallback(async || ApiError::NotFound)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(from_fn(bound::require_bound))
        .with_state(state)
}
