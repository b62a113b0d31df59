//! The member `anchorhold`: token ids in place of texts, made and read by whoever asks.
//!
//! Why apart: it is this server's own, and both endpoints read it the same way.
//!
//! # Invariants
//! Ids are plaintext: they go from the body into a list that is wiped and never grows.

use std::fmt;

use serde::Serialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::api::error::ApiError;
use crate::api::fields::Fields;
use crate::limits;

/// What a request asks of ids.
#[derive(Default)]
pub(super) struct Extension {
    /// The whole prompt, in place of the endpoint's own member.
    pub(super) prompt_ids: Option<Zeroizing<Vec<u32>>>,
    /// The answer comes as ids, without text.
    pub(super) return_ids: bool,
}

/// Takes the member, if it is there.
pub(super) fn extension(fields: &mut Fields<'_>) -> Result<Extension, ApiError> {
    const MEMBER: &str = "anchorhold";
    let Some(value) = fields.take::<&RawValue>(MEMBER, "an object")? else {
        return Ok(Extension::default());
    };
    let mut fields = Fields::parse(value.get(), Some(MEMBER))?;
    let (field, expected) = ("prompt_ids", "a list of 1 to 1048576 token ids");
    let refused = ApiError::InvalidValue { field, expected };
    let prompt_ids = match fields.take::<&RawValue>(field, expected)? {
        Some(list) => Some(ids(list.get()).ok_or(refused)?),
        None => None,
    };
    let return_ids = fields.take("return_ids", "true or false")?.unwrap_or(false);
    fields.finish()?;
    Ok(Extension {
        prompt_ids,
        return_ids,
    })
}

fn ids(text: &str) -> Option<Zeroizing<Vec<u32>>> {
    // One more than its commas: a list of anything else is refused in a moment.
    let count = text.bytes().filter(|byte| *byte == b',').count() + 1;
    if count > limits::PROMPT_IDS {
        return None;
    }
    let mut list = Zeroizing::new(Vec::with_capacity(count));
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.deserialize_seq(Into(&mut list)).ok()?;
    (!list.is_empty()).then_some(list)
}

/// Ids go where there is room for all of them.
struct Into<'a>(&'a mut Vec<u32>);

impl<'de> Visitor<'de> for Into<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("token ids")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(id) = list.next_element()? {
            self.0.push(id);
        }
        Ok(())
    }
}

/// Ids of an answer, for its document: `{"ids":[...]}`.
#[derive(Serialize)]
pub(super) struct Ids<'a> {
    pub(super) ids: &'a [u32],
}

/// Ids of a whole answer as they come: what they grow out of is wiped.
#[derive(Default)]
pub(super) struct Gathered(Zeroizing<Vec<u32>>);

impl Gathered {
    pub(super) fn extend(&mut self, ids: &[u32]) {
        let needed = self.0.len() + ids.len();
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(2 * self.0.capacity()).max(64)));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(ids);
    }

    pub(super) fn as_slice(&self) -> &[u32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<(Option<Vec<u32>>, bool), ApiError> {
        let mut fields = Fields::parse(json, None)?;
        let read = extension(&mut fields)?;
        fields.finish()?;
        Ok((read.prompt_ids.map(|ids| ids.to_vec()), read.return_ids))
    }

    #[test]
    fn ids_are_read_and_nothing_else_is() {
        assert_eq!(read("{}"), Ok((None, false)));
        assert_eq!(read(r#"{"anchorhold":{}}"#), Ok((None, false)));
        let both = r#"{"anchorhold":{"prompt_ids":[0, 7,4294967295],"return_ids":true}}"#;
        assert_eq!(read(both), Ok((Some(vec![0, 7, u32::MAX]), true)));
        for (bad, param) in [
            (r#"{"anchorhold":[]}"#, "anchorhold"),
            (r#"{"anchorhold":{"prompt_ids":[]}}"#, "prompt_ids"),
            (r#"{"anchorhold":{"prompt_ids":[-1]}}"#, "prompt_ids"),
            (r#"{"anchorhold":{"prompt_ids":[4294967296]}}"#, "prompt_ids"),
            (r#"{"anchorhold":{"prompt_ids":[1.5]}}"#, "prompt_ids"),
            (r#"{"anchorhold":{"prompt_ids":["1"]}}"#, "prompt_ids"),
            (r#"{"anchorhold":{"prompt_ids":"1,2"}}"#, "prompt_ids"),
            (r#"{"anchorhold":{"prompt_ids":[[1],2]}}"#, "prompt_ids"),
            (r#"{"anchorhold":{"return_ids":1}}"#, "return_ids"),
            (r#"{"anchorhold":{"prompt":"x"}}"#, "prompt"),
        ] {
            assert_eq!(read(bad).unwrap_err().param(), Some(param), "{bad}");
        }
        let many = format!(
            "{{\"anchorhold\":{{\"prompt_ids\":[{}1]}}}}",
            "1,".repeat(limits::PROMPT_IDS)
        );
        assert_eq!(read(&many).unwrap_err().param(), Some("prompt_ids"));
    }

    #[test]
    fn gathered_ids_are_all_there() {
        let mut gathered = Gathered::default();
        for id in 0..1000 {
            gathered.extend(&[id, id + 1]);
        }
        assert_eq!(gathered.as_slice().len(), 2000);
        assert_eq!(gathered.as_slice()[1998..], [999, 1000]);
    }
}
