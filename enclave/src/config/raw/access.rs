//! What the configuration says of who may ask, and how much.
//!
//! Why apart: keys and the quota of callers without one exclude each other.
//!
//! # Invariants
//! Unset is a limit, never none.

use serde::Deserialize;

use super::super::{Access, ApiKey, ConfigError, KeyQuota, Quota};
use super::{Field, HEX_32, Reader, line_of, required};
use crate::limits::{self, Bound};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAnonymous {
    requests_per_minute: Field<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawApiKey {
    name: Field<String>,
    salt: Field<String>,
    sha256: Field<String>,
    requests_per_minute: Field<u64>,
    tokens_per_minute: Field<u64>,
    concurrent: Field<u64>,
}

impl Reader<'_> {
    pub(super) fn access(
        &self,
        keys: Vec<RawApiKey>,
        anonymous: Field<RawAnonymous>,
    ) -> Result<Access, ConfigError> {
        if keys.is_empty() {
            let per_minute = match anonymous {
                None => u64::from(limits::ANONYMOUS_PER_MINUTE),
                Some(table) => {
                    let field = table.into_inner().requests_per_minute;
                    let value = required("requests_per_minute", field)?;
                    let most = u64::from(limits::ANONYMOUS_PER_MINUTE_MAX);
                    self.number("requests_per_minute", Some(value), 1, 1, most)?
                }
            };
            let requests_per_minute = u32::try_from(per_minute).unwrap_or(limits::ANONYMOUS_PER_MINUTE);
            return Ok(Access::Anonymous(Quota { requests_per_minute }));
        }
        if let Some(table) = anonymous {
            return Err(ConfigError::Conflict {
                key: "anonymous",
                with: "api_key",
                line: line_of(self.text, table.span().start),
            });
        }
        if keys.len() > limits::API_KEYS {
            return Err(ConfigError::BadValue {
                key: "api_key",
                line: 0,
                expected: "at most 256 entries",
            });
        }
        let keys: Result<Vec<_>, _> = keys.into_iter().map(|raw| self.api_key(raw)).collect();
        Ok(Access::Keys(keys?))
    }

    fn api_key(&self, raw: RawApiKey) -> Result<ApiKey, ConfigError> {
        let number =
            |field, bound: Bound| self.number(bound.key, field, bound.default, bound.least, bound.most);
        Ok(ApiKey {
            name: self.name("name", raw.name)?,
            salt: self.text("salt", raw.salt, HEX_32)?,
            sha256: self.text("sha256", raw.sha256, HEX_32)?,
            quota: KeyQuota {
                requests_per_minute: u32::try_from(number(raw.requests_per_minute, limits::KEY_REQUESTS)?)
                    .unwrap_or(limits::ANONYMOUS_PER_MINUTE_MAX),
                tokens_per_minute: number(raw.tokens_per_minute, limits::KEY_TOKENS)?,
                concurrent: usize::try_from(number(raw.concurrent, limits::KEY_CONCURRENT)?)
                    .unwrap_or(usize::MAX),
            },
        })
    }
}
