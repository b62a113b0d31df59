//! Who asks: proof that the connection is bound and that somebody decided to answer.
//!
//! Why apart: a handler that takes a [`Caller`] cannot run for anyone else, and it is made from the head of a
//! request, before its body is read.
//!
//! # Invariants
//! A request passes the bound connection first, then the drain, then the key: an API key sent too early is
//! not looked at.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::api::ApiState;
use crate::api::error::ApiError;
use crate::auth::{Admitted, NotAdmitted};
use crate::clock::Moment;
use crate::connection::Bound;

/// Whoever may have an answer.
pub(super) struct Caller {
    /// The connection it is on.
    pub(super) bound: Bound,
    /// When the head of the request had been read: its time counts from here.
    pub(super) arrived: Moment,
    /// Its place in its account, kept until its answer has left.
    pub(super) admitted: Admitted,
}

impl FromRequestParts<Arc<ApiState>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<ApiState>) -> Result<Self, ApiError> {
        let bound = *parts.extensions.get::<Bound>().ok_or(ApiError::ChannelNotBound)?;
        if api.lifecycle.cause().is_some() {
            return Err(ApiError::ShuttingDown);
        }
        let admitted = api.auth.admit(bound, &parts.headers)?;
        Ok(Self {
            bound,
            arrived: api.clock.now(),
            admitted,
        })
    }
}

impl From<NotAdmitted> for ApiError {
    fn from(reason: NotAdmitted) -> Self {
        match reason {
            NotAdmitted::MissingKey => Self::MissingKey,
            NotAdmitted::WrongKey => Self::WrongKey,
            NotAdmitted::TooManyAtOnce => Self::TooManyAtOnce,
            NotAdmitted::QuotaSpent { retry_after } => Self::QuotaSpent { retry_after },
        }
    }
}
