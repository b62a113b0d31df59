//! Calls of functions in OpenAI's shapes.
//!
//! Why apart: a whole answer lists calls, a stream cuts them into pieces.
//!
//! # Invariants
//! Arguments are gathered in a wiped buffer. A call has the same identifier in all its pieces.

use anchorhold_encoding::{Preimage, sha256};
use anchorhold_models::CallDelta;
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use crate::api::buffer::WipedBuffer;

/// What identifiers of calls are made of: nine of these, as Mistral's chat templates want to get them back.
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const LENGTH: usize = 9;

/// Makes the identifiers of one answer's calls.
pub(super) struct CallId([u8; 16]);

impl CallId {
    pub(super) fn of_random(random: [u8; 16]) -> Self {
        Self(random)
    }

    fn of(&self, index: usize) -> String {
        let preimage = Preimage::new("anchorhold tool call v1").lp(&self.0);
        let digest = sha256(&[preimage.lp(&index.to_be_bytes()).as_bytes()]);
        let letter = |byte: &u8| LETTERS.get(usize::from(*byte) % LETTERS.len()).copied();
        digest
            .as_bytes()
            .iter()
            .take(LENGTH)
            .filter_map(letter)
            .map(char::from)
            .collect()
    }
}

/// A call that is complete, or as far as it came.
pub(in crate::api) struct WholeCall {
    name: Zeroizing<String>,
    arguments: WipedBuffer,
}

/// Puts pieces together.
pub(in crate::api) fn gather(pieces: Vec<CallDelta>, into: &mut Vec<WholeCall>) {
    for piece in pieces {
        if let Some(name) = piece.name {
            into.push(WholeCall {
                name,
                arguments: WipedBuffer::with_capacity(256),
            });
        }
        if let Some(call) = into.get_mut(piece.index) {
            call.arguments.push(piece.arguments.as_bytes());
        }
    }
}

/// A whole call.
#[derive(Serialize)]
pub(super) struct Call<'a> {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

pub(super) fn whole<'a>(id: &CallId, calls: &'a [WholeCall]) -> Vec<Call<'a>> {
    let call = |(index, call): (usize, &'a WholeCall)| Call {
        id: id.of(index),
        kind: "function",
        function: Function {
            name: Some(call.name.as_str()),
            arguments: std::str::from_utf8(call.arguments.as_slice()).expect("each piece is a string"),
        },
    };
    calls.iter().enumerate().map(call).collect()
}

/// Pieces of calls in a chunk of a stream.
pub(super) struct Pieces<'a> {
    pub(super) id: &'a CallId,
    pub(super) calls: &'a [CallDelta],
}

impl Serialize for Pieces<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Piece<'a> {
            index: usize,
            #[serde(skip_serializing_if = "Option::is_none")]
            id: Option<String>,
            #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
            kind: Option<&'static str>,
            function: Function<'a>,
        }

        serializer.collect_seq(self.calls.iter().map(|call| {
            let name = call.name.as_ref().map(|name| name.as_str());
            Piece {
                index: call.index,
                id: name.map(|_| self.id.of(call.index)),
                kind: name.map(|_| "function"),
                function: Function {
                    name,
                    arguments: &call.arguments,
                },
            }
        }))
    }
}
