//! Server-sent events, split as they arrive and handed on byte for byte.
//!
//! Why apart: the receipt commits to the data of each event, so what is hashed and what the program sees must
//! come from one reading of the bytes.
//!
//! # Invariants
//! The bytes of all parts, in order, are the bytes pushed. A part is complete: half an event is never handed
//! on. Only what the enclave sends is understood (WHATWG HTML, section 9.2.6, with line feeds): a `data` line,
//! a comment, a blank line. Any other field, a carriage return, a second data line in an event or a payload that is
//! nearly the end mark is an error, because a reader that understands more would see another answer than the one that was hashed.

use super::limits::EVENT_BYTES;
use super::wiped::Wiped;

/// Prefix of the comment that carries the receipt.
const RECEIPT: &[u8] = b": anchorhold-receipt ";

/// One complete piece of a stream.
pub(crate) enum Part {
    /// An event with data. `raw` includes its blank line.
    Data {
        /// As received.
        raw: Wiped,
        /// The payload of the event's one data line.
        data: Wiped,
    },
    /// The event `data: [DONE]`.
    Done(Wiped),
    /// A comment with the receipt.
    Receipt {
        /// As received.
        raw: Wiped,
        /// The receipt's text.
        receipt: Vec<u8>,
    },
    /// Comments and blank lines: fillers.
    Filler(Wiped),
}

/// The stream is not what an enclave sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamError {
    /// A line that is neither data, comment nor blank.
    UnknownField,
    /// Two data lines in one event.
    SecondDataLine,
    /// A payload that some readers take for the end mark, and that is not the end mark.
    AlmostDone,
    /// One event is longer than the limit.
    TooLong,
}

/// Takes bytes as they come, gives complete parts.
#[derive(Default)]
pub(crate) struct Splitter {
    /// The part under way, up to and including its last complete line.
    raw: Wiped,
    /// The line under way.
    line: Wiped,
    data: Option<Wiped>,
}

impl Splitter {
    /// Reads on. The parts that `bytes` completed are appended to `parts`.
    ///
    /// # Errors
    /// [`StreamError`]; parts before the fault are in `parts`, and the splitter is of no further use.
    pub(crate) fn push(&mut self, bytes: &[u8], parts: &mut Vec<Part>) -> Result<(), StreamError> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.raw.len() + self.line.len() + piece.len() > EVENT_BYTES {
                return Err(StreamError::TooLong);
            }
            self.line.extend(piece);
            if piece.ends_with(b"\n")
                && let Some(part) = self.end_line()?
            {
                parts.push(part);
            }
        }
        Ok(())
    }

    /// True when nothing is left over: the stream ended between parts.
    pub(crate) fn is_at_border(&self) -> bool {
        self.raw.is_empty() && self.line.is_empty()
    }

    fn end_line(&mut self) -> Result<Option<Part>, StreamError> {
        let line = std::mem::take(&mut self.line);
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        // A lone carriage return ends a line for other readers; they would see lines that we did not.
        if text.contains(&b'\r') {
            return Err(StreamError::UnknownField);
        }
        self.raw.extend(&line);
        if text.is_empty() {
            return self.end_event().map(Some);
        }
        if text.starts_with(b":") {
            // Inside an event a comment belongs to the event's bytes; a receipt stands alone.
            if self.data.is_some() {
                return Ok(None);
            }
            let raw = std::mem::take(&mut self.raw);
            return Ok(Some(match text.strip_prefix(RECEIPT) {
                Some(receipt) => Part::Receipt {
                    raw,
                    receipt: receipt.to_vec(),
                },
                None => Part::Filler(raw),
            }));
        }
        let Some(data) = text.strip_prefix(b"data:") else {
            return Err(StreamError::UnknownField);
        };
        if self.data.is_some() {
            return Err(StreamError::SecondDataLine);
        }
        let data = data.strip_prefix(b" ").unwrap_or(data);
        self.data = Some(Wiped::from(data));
        Ok(None)
    }

    fn end_event(&mut self) -> Result<Part, StreamError> {
        let raw = std::mem::take(&mut self.raw);
        match self.data.take() {
            None => Ok(Part::Filler(raw)),
            Some(data) if &*data == b"[DONE]" => Ok(Part::Done(raw)),
            // OpenAI's package looks at how the payload begins, others trim it: for them the answer would end
            // here, before its receipt.
            Some(data) if data.trim_ascii().starts_with(b"[DONE]") => Err(StreamError::AlmostDone),
            Some(data) => Ok(Part::Data { raw, data }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] =
        b": hi\n\ndata: {\"a\":1}\n\ndata:x\n: inside\n\n: anchorhold-receipt abc\n\ndata: [DONE]\n\n";

    fn describe(parts: &[Part]) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        parts
            .iter()
            .filter_map(|part| match part {
                Part::Data { data, .. } => Some(format!("data {}", text(data))),
                Part::Done(_) => Some("done".to_owned()),
                Part::Receipt { receipt, .. } => Some(format!("receipt {}", text(receipt))),
                Part::Filler(_) => None,
            })
            .collect()
    }

    fn raw(part: &Part) -> &[u8] {
        match part {
            Part::Data { raw, .. } | Part::Done(raw) | Part::Receipt { raw, .. } | Part::Filler(raw) => raw,
        }
    }

    #[test]
    fn parts_are_the_same_however_the_bytes_are_cut_and_add_up_to_them() {
        for size in 1..=STREAM.len() {
            let (mut splitter, mut parts) = (Splitter::default(), Vec::new());
            for piece in STREAM.chunks(size) {
                splitter.push(piece, &mut parts).expect("well formed");
            }
            assert!(splitter.is_at_border());
            assert_eq!(
                describe(&parts),
                ["data {\"a\":1}", "data x", "receipt abc", "done"]
            );
            let together: Vec<u8> = parts.iter().flat_map(|part| raw(part).to_vec()).collect();
            assert_eq!(together, STREAM);
        }
    }

    #[test]
    fn half_an_event_is_never_handed_on() {
        let (mut splitter, mut parts) = (Splitter::default(), Vec::new());
        splitter.push(b"data: half\n", &mut parts).expect("well formed");
        assert!(parts.is_empty());
        assert!(!splitter.is_at_border());
    }

    #[test]
    fn what_another_reader_could_read_otherwise_is_refused() {
        for (stream, error) in [
            (&b"data: a\ndata: b\n\n"[..], StreamError::SecondDataLine),
            (b"event: x\n\n", StreamError::UnknownField),
            (b"id: 1\n", StreamError::UnknownField),
            (b"data: a\r\r\n", StreamError::UnknownField),
            (b": a\rdata: b\n", StreamError::UnknownField),
            (b"\xef\xbb\xbfdata: a\n", StreamError::UnknownField),
            (b"data: [DONE] \n\n", StreamError::AlmostDone),
            (b"data:  [DONE]\n\n", StreamError::AlmostDone),
            (b"data: [DONE]!\n\n", StreamError::AlmostDone),
        ] {
            let found = Splitter::default().push(stream, &mut Vec::new());
            assert_eq!(found, Err(error), "{}", String::from_utf8_lossy(stream));
        }
        let long = vec![b':'; EVENT_BYTES + 1];
        assert_eq!(
            Splitter::default().push(&long, &mut Vec::new()),
            Err(StreamError::TooLong)
        );
    }
}
