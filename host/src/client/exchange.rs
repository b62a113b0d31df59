//! One question and its answer, which is handed on as it comes and proven by its receipt at the end.
//!
//! Why apart: the proxy and the command line must not differ in what they call a proven answer.
//!
//! # Invariants
//! A successful answer to a POST is proven or an error: by the receipt in its header, or, for an event stream,
//! by the receipt before `[DONE]`, which is handed on only after the receipt was checked. An answer cut off
//! anywhere is an error. The connection goes back to the pool only after an answer was read to its end.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::{Method, Response, StatusCode};

use super::bound::Question;
use super::connection::{collect, next_piece};
use super::enclave::{Bound, Enclave};
use super::error::{ClientError, ReceiptFault, Stage};
use super::kept::KeptReceipt;
use super::limits::{ANSWER_BYTES, EVENT_COST};
use super::receipt::{Answer, Commitment};
use super::sse::{Part, Splitter, StreamError};
use super::wiped::{Wiped, wipe};

/// The header that carries the receipt of an answer that is no event stream.
pub const RECEIPT_HEADER: &str = "anchorhold-receipt";

/// An answer whose head has arrived.
pub struct Exchange {
    enclave: Arc<Enclave>,
    bound: Bound,
    question: Question,
    status: StatusCode,
    headers: HeaderMap,
    body: Incoming,
    stream: Stream,
}

#[derive(Default)]
struct Stream {
    splitter: Splitter,
    waiting: std::collections::VecDeque<Part>,
    events: Vec<Wiped>,
    size: usize,
    receipt: Option<Vec<u8>>,
    proven: bool,
    ended: bool,
}

/// A whole answer.
pub struct Whole {
    /// As received.
    pub body: Wiped,
    /// What proves it: always there after a successful POST.
    pub receipt: Option<KeptReceipt>,
}

/// A piece of a streamed answer.
pub struct Piece {
    /// To be handed on as it is.
    pub raw: Wiped,
    /// The payload, when the piece is an event with one and not the end mark.
    pub data: Option<Wiped>,
    /// With the end mark: what proves all that came before.
    pub proof: Option<KeptReceipt>,
}

impl Exchange {
    pub(super) fn new(
        enclave: Arc<Enclave>,
        bound: Bound,
        question: Question,
        answer: Response<Incoming>,
    ) -> Self {
        let (parts, body) = answer.into_parts();
        Self {
            enclave,
            bound,
            question,
            status: parts.status,
            headers: parts.headers,
            body,
            stream: Stream::default(),
        }
    }

    /// The answer's status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The answer's headers.
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// True for a successful event stream, which is read with [`Self::next_piece`].
    #[must_use]
    pub fn is_stream(&self) -> bool {
        let kind = self
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let essence = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
        self.status.is_success()
            && essence.is_some_and(|essence| essence.eq_ignore_ascii_case("text/event-stream"))
    }

    fn commitment(&self) -> Commitment<'_> {
        Commitment {
            affirmed: &self.bound.affirmed,
            nonce: self.bound.connection.nonce(),
            request: &self.question.body,
            now: self.enclave.clock().now(),
        }
    }

    /// Reads the answer to its end and checks its receipt. Answers to GET, and errors, have none.
    ///
    /// # Errors
    /// [`ClientError::Receipt`] when a successful answer to a POST is not proven; else what broke.
    pub async fn whole(mut self) -> Result<Whole, ClientError> {
        let body = collect(&mut self.body, Stage::Answer, ANSWER_BYTES).await?;
        let mut receipts = self.headers.get_all(RECEIPT_HEADER).iter();
        let receipt = match (receipts.next(), receipts.next()) {
            (_, Some(_)) => return Err(ClientError::Receipt(ReceiptFault::Misplaced)),
            (Some(text), None) => Some(self.commitment().check(text.as_bytes(), Answer::Whole(&body))?),
            (None, None) if self.status.is_success() && self.question.method == Method::POST => {
                return Err(ClientError::Receipt(ReceiptFault::Missing));
            }
            (None, None) => None,
        };
        self.enclave.give_back(self.bound);
        Ok(Whole { body, receipt })
    }

    /// The next piece of an event stream; `None` after its proven end.
    ///
    /// # Errors
    /// [`ClientError`]: the answer is not proven, and its end mark was not handed on.
    pub async fn next_piece(&mut self) -> Result<Option<Piece>, ClientError> {
        loop {
            if let Some(part) = self.stream.waiting.pop_front() {
                return self.take(part).map(Some);
            }
            let Some(bytes) = next_piece(&mut self.body, Stage::Answer).await? else {
                self.stream.ended = self.stream.splitter.is_at_border() && self.stream.proven;
                return match self.stream.ended {
                    true => Ok(None),
                    false => Err(ClientError::Receipt(ReceiptFault::Unfinished)),
                };
            };
            let mut parts = Vec::new();
            let read = self.stream.splitter.push(&bytes, &mut parts);
            wipe(bytes);
            read.map_err(|error| match error {
                StreamError::TooLong => ClientError::TooLarge(Stage::Answer),
                StreamError::UnknownField | StreamError::SecondDataLine | StreamError::AlmostDone => {
                    ClientError::Receipt(ReceiptFault::Ambiguous)
                }
            })?;
            self.stream.waiting.extend(parts);
        }
    }

    fn take(&mut self, part: Part) -> Result<Piece, ClientError> {
        let misplaced = Err(ClientError::Receipt(ReceiptFault::Misplaced));
        match part {
            Part::Filler(raw) => Ok(Piece {
                raw,
                data: None,
                proof: None,
            }),
            // After the receipt, and so after the end mark, nothing may come that a program would read.
            Part::Data { .. } | Part::Receipt { .. } if self.stream.receipt.is_some() => misplaced,
            Part::Done(_) if self.stream.proven => misplaced,
            Part::Data { raw, data } => {
                self.stream.size += raw.len() + EVENT_COST;
                if self.stream.size > ANSWER_BYTES {
                    return Err(ClientError::TooLarge(Stage::Answer));
                }
                self.stream.events.push(Wiped::from(&*data));
                Ok(Piece {
                    raw,
                    data: Some(data),
                    proof: None,
                })
            }
            Part::Receipt { raw, receipt } => {
                self.stream.receipt = Some(receipt);
                Ok(Piece {
                    raw,
                    data: None,
                    proof: None,
                })
            }
            Part::Done(raw) => {
                let receipt = self.stream.receipt.as_deref();
                let receipt = receipt.ok_or(ClientError::Receipt(ReceiptFault::Missing))?;
                let proof = self
                    .commitment()
                    .check(receipt, Answer::Stream(&self.stream.events))?;
                self.stream.proven = true;
                // Nothing may follow that could need them.
                self.stream.events.clear();
                Ok(Piece {
                    raw,
                    data: None,
                    proof: Some(proof),
                })
            }
        }
    }

    /// Ends an exchange. Its connection is kept when the stream was read to its proven end, else closed.
    pub fn finish(self) {
        if self.stream.ended {
            self.enclave.give_back(self.bound);
        }
    }
}
