//! dstack's log: JSON, with a rule of its own for what the workload adds at run time.
//!
//! Why apart: by this rule a digest vouches for a name and a payload that no other system would read that way, so
//! it holds only where somebody asked for it by name.
//!
//! # Invariants
//! An array of objects with exactly `imr`, `event_type`, `digest`, `event`, `event_payload`. Runtime events have type
//! 0x08000001, go to RTMR3 and have the digest SHA-384(type as 4 bytes little endian, `:`, name, `:`, payload) (dstack 0.5, `cc-eventlog`);
//! all others have no name, and are as firmware measured them. Digests and payloads are hexadecimal in lower case.

use anchorhold_encoding::Digest;
use serde::Deserialize;

use super::error::{CcelCheck, CcelError};
use super::{Event, EventLog, Register, sha384};
use crate::limits;

const RUNTIME: u32 = 0x0800_0001;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    imr: u32,
    event_type: u32,
    digest: Digest<48>,
    event: String,
    event_payload: String,
}

impl EventLog {
    /// Reads a log of dstack, by dstack's rule for runtime events.
    ///
    /// # Errors
    /// [`CcelError`] with the event that is not as it must be.
    pub fn parse_dstack(json: &[u8]) -> Result<Self, CcelError> {
        let fault = |check| CcelError::Log { check, offset: 0 };
        if json.len() > limits::EVENT_LOG {
            return Err(fault(CcelCheck::Length));
        }
        let wire: Vec<Wire> = serde_json::from_slice(json).map_err(|_| fault(CcelCheck::Shape))?;
        if wire.len() > limits::EVENTS {
            return Err(fault(CcelCheck::Count));
        }
        let events = wire
            .into_iter()
            .enumerate()
            .map(|(index, wire)| event(index, wire));
        Ok(Self {
            events: events.collect::<Result<_, _>>()?,
        })
    }
}

fn event(index: usize, wire: Wire) -> Result<Event, CcelError> {
    let fault = |check| CcelError::Event { check, event: index };
    // dstack counts RTMRs, not indices of a CC event log.
    let register = wire.imr.checked_add(1).and_then(Register::from_index);
    let register = register.ok_or(fault(CcelCheck::RegisterIndex))?;
    let data = payload(&wire.event_payload).ok_or(fault(CcelCheck::Shape))?;
    if wire.event_type != RUNTIME {
        if !wire.event.is_empty() {
            return Err(fault(CcelCheck::Shape));
        }
        return Ok(Event {
            register,
            kind: wire.event_type,
            digest: wire.digest,
            measured: sha384(&[&data]) == wire.digest,
            data,
            name: None,
        });
    }
    let kind = wire.event_type.to_le_bytes();
    // The workload extends RTMR3 alone: in another register somebody else's text could pass for an event of its.
    if register != Register::Rtmr3 {
        return Err(fault(CcelCheck::RuntimeRule));
    }
    if sha384(&[&kind, b":", wire.event.as_bytes(), b":", &data]) != wire.digest {
        return Err(fault(CcelCheck::RuntimeRule));
    }
    Ok(Event {
        register,
        kind: wire.event_type,
        digest: wire.digest,
        measured: true,
        data,
        name: Some(wire.event),
    })
}

/// Lower-case hexadecimal; `None` for anything else.
fn payload(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let byte = |pair: &[u8; 2]| {
        let lower = pair
            .iter()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        let digits = std::str::from_utf8(pair).ok().filter(|_| lower)?;
        u8::from_str_radix(digits, 16).ok()
    };
    pairs.iter().map(byte).collect()
}
