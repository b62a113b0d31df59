//! What the configuration says of traffic.
//!
//! Why apart: these keys decide what an observer of the network learns.
//!
//! # Invariants
//! Unset is shaped. Without a shape, nothing else of it may be given.

use std::time::Duration;

use serde::Deserialize;

use super::{ConfigError, Field, Reader, Spanned, line_of};
use crate::limits;
use crate::traffic::Shape;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTraffic {
    tick_ms: Field<u64>,
    frame_bytes: Field<u64>,
    least_ticks: Field<u64>,
    dangerously_unshaped_traffic: Field<bool>,
}

impl Reader<'_> {
    pub(super) fn traffic(&self, raw: RawTraffic) -> Result<Option<Shape>, ConfigError> {
        if raw.dangerously_unshaped_traffic.is_some_and(Spanned::into_inner) {
            let given = [
                ("tick_ms", &raw.tick_ms),
                ("frame_bytes", &raw.frame_bytes),
                ("least_ticks", &raw.least_ticks),
            ];
            let given = given
                .into_iter()
                .find_map(|(key, field)| Some((key, field.as_ref()?)));
            return given.map_or(Ok(None), |(key, field)| {
                Err(ConfigError::Conflict {
                    key,
                    with: "dangerously_unshaped_traffic",
                    line: line_of(self.text, field.span().start),
                })
            });
        }
        let number = |field: Field<u64>, bound: limits::Bound| {
            self.number(bound.key, field, bound.default, bound.least, bound.most)
        };
        let line = raw
            .frame_bytes
            .as_ref()
            .map(|field| line_of(self.text, field.span().start));
        let frame = number(raw.frame_bytes, limits::FRAME_BYTES)?;
        if !frame.is_power_of_two() {
            return Err(ConfigError::BadValue {
                key: "frame_bytes",
                line: line.unwrap_or(0),
                expected: "a power of two from 512 to 4096",
            });
        }
        Ok(Some(Shape {
            tick: Duration::from_millis(number(raw.tick_ms, limits::TICK_MS)?),
            frame: usize::try_from(frame).unwrap_or(limits::FRAME_BYTES_MOST),
            least_ticks: number(raw.least_ticks, limits::LEAST_TICKS)?,
        }))
    }
}
