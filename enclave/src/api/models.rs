//! Which model is served: one.
//!
//! Why apart: clients list models before they ask.
//!
//! # Invariants
//! Says what the identity document says, and nothing about requests.

use std::sync::Arc;

use anchorhold_encoding::Digest;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use serde::Serialize;

use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::error::ApiError;
use crate::clock::BUILD_DATE;
use crate::engine::backend::Abilities;

#[derive(Serialize)]
pub(super) struct List {
    object: &'static str,
    data: [Card; 1],
}

#[derive(Serialize)]
pub(super) struct Card {
    id: String,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
    /// Beyond OpenAI: what the model *is*; the name is for display.
    manifest_sha256: Digest<32>,
    /// Beyond OpenAI: which endpoints answer.
    endpoints: &'static [&'static str],
}

fn card(api: &ApiState) -> Card {
    Card {
        id: api.model_name.clone(),
        object: "model",
        // When the model was made is not known; the code that serves it is from this day.
        created: BUILD_DATE.unix(),
        owned_by: "anchorhold",
        manifest_sha256: api.identity.manifest_sha256(),
        endpoints: match api.engine.abilities() {
            Abilities::Decode { chat: true } => &["/v1/chat/completions", "/v1/completions"],
            Abilities::Decode { chat: false } => &["/v1/completions"],
            Abilities::Embed { .. } => &["/v1/embeddings"],
        },
    }
}

/// `GET /v1/models`.
pub(super) async fn list(_caller: Caller, State(api): State<Arc<ApiState>>) -> Json<List> {
    Json(List {
        object: "list",
        data: [card(&api)],
    })
}

/// `GET /v1/models/{id}`.
pub(super) async fn one(
    _caller: Caller,
    State(api): State<Arc<ApiState>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Card>, ApiError> {
    match id {
        Ok(Path(id)) if id == api.model_name => Ok(Json(card(&api))),
        _ => Err(ApiError::ModelNotFound),
    }
}
