//! What the fake answers.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use anchorhold_attestation::channel::{EXPORTER_LABEL, channel_message};
use anchorhold_attestation::rcar::primary_report_data;
use anchorhold_attestation::receipt::{
    ContentHasher, FinishReason, ReceiptVersion, Salt, TimeSource, request_commitment,
};
use anchorhold_attestation::{
    AttestationDocument, DevicesDigest, Evidence, HashAlgorithm, IdentityDocument, Nonce, NonceBatch,
    Platform, Receipt, SignedReceipt, Timestamp,
};
use anchorhold_encoding::Digest;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::stream::Shared;
use super::{Fault, START, Seen, State};
use crate::client::proxy::answer::LocalBody;

struct Connection {
    stream: Shared,
    bound: Mutex<Option<Nonce>>,
    state: Arc<State>,
}

pub(super) async fn serve(tls: TlsStream<TcpStream>, state: Arc<State>) {
    let stream = Shared::new(tls);
    let connection = Arc::new(Connection {
        stream: stream.clone(),
        bound: Mutex::default(),
        state,
    });
    let service = service_fn(move |request| {
        let connection = Arc::clone(&connection);
        async move { Ok::<_, Infallible>(connection.answer(request).await) }
    });
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn reply(status: u16, body: impl Into<Vec<u8>>) -> Response<LocalBody> {
    let mut response = Response::new(LocalBody::Whole(Some(body.into().into())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
        .headers_mut()
        .insert("content-type", "application/json".parse().unwrap());
    response
}

impl Connection {
    async fn answer(&self, request: Request<Incoming>) -> Response<LocalBody> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        let path = parts.uri.path().to_owned();
        let bound = *self.bound.lock().unwrap();
        let mut headers: Vec<_> = parts
            .headers
            .keys()
            .map(|name| name.as_str().to_owned())
            .collect();
        headers.sort();
        let authorization = parts
            .headers
            .get("authorization")
            .map(|value| value.to_str().unwrap().to_owned());
        let seen = Seen {
            bound: bound.is_some(),
            path: path.clone(),
            headers,
            authorization,
            body: body.clone(),
        };
        self.state.seen.lock().unwrap().push(seen);
        let nonce = || {
            parts
                .uri
                .query()
                .unwrap()
                .strip_prefix("nonce=")
                .unwrap()
                .parse::<Nonce>()
                .unwrap()
        };
        match (path.as_str(), bound) {
            ("/.well-known/anchorhold/attestation", _) => reply(200, self.state.attestation(nonce())),
            ("/.well-known/anchorhold/channel", _) => self.channel(nonce()),
            (_, None) => reply(403, "{\"error\":{\"code\":\"channel_not_bound\"}}"),
            ("/v1/models", _) => reply(200, "{\"data\":[]}"),
            ("/v1/chat/completions", Some(nonce)) if body.windows(13).any(|w| w == b"\"stream\":true") => {
                self.state.stream(&nonce, &body)
            }
            ("/v1/chat/completions", Some(nonce)) => self.state.whole(&nonce, &body),
            _ => reply(404, "{\"error\":{\"code\":\"not_found\",\"message\":\"no\"}}"),
        }
    }

    fn channel(&self, nonce: Nonce) -> Response<LocalBody> {
        let fault = self.state.fault();
        if matches!(fault, Fault::ChannelRefused) {
            return reply(503, "{}");
        }
        let label = if matches!(fault, Fault::ExporterLabel) {
            b"EXPORTER-anchorhold-channel-v2"
        } else {
            EXPORTER_LABEL
        };
        let signed_nonce = if matches!(fault, Fault::ChannelNonce) {
            Nonce::from_random([9; 32])
        } else {
            nonce
        };
        let identity = match fault {
            Fault::ChannelIdentity => Digest::new([9; 64]),
            _ => self.state.identity.digest(),
        };
        let key = match fault {
            Fault::ChannelKey => &self.state.receipt_key,
            _ => &self.state.channel_key,
        };
        let exporter = self.stream.exporter(label, nonce.as_bytes());
        let signature = key.sign(channel_message(&exporter, &signed_nonce, &identity).as_bytes());
        *self.bound.lock().unwrap() = Some(nonce);
        let signature = Digest::<64>::from_slice(signature.as_ref()).unwrap();
        reply(200, format!("{{\"signature\":\"{signature}\"}}"))
    }
}

impl State {
    pub(in crate::client) fn attestation(&self, nonce: Nonce) -> Vec<u8> {
        let fault = self.fault();
        if let Fault::Replay(document) = fault {
            return document;
        }
        // Not alone in the batch, so that the path has a length.
        let batch = NonceBatch::collect(vec![Nonce::from_random([7; 32]), nonce]).unwrap();
        let mut data = batch.report_data(&self.identity.digest(), &DevicesDigest::of(&[]));
        if matches!(fault, Fault::RcarEvidence) {
            let key = serde_json::json!({"kty": "EC"});
            data = primary_report_data("", &nonce.to_string(), &key, HashAlgorithm::Sha512);
        }
        let mut report = self.platform.report(&data);
        if matches!(fault, Fault::BrokenReport) {
            *report.last_mut().unwrap() ^= 1;
        }
        let identity = match fault {
            Fault::AlteredIdentity(tls_spki_sha256) => IdentityDocument {
                tls_spki_sha256,
                ..self.identity.document().clone()
            }
            .encode(),
            _ => self.identity.bytes().to_vec(),
        };
        let document = AttestationDocument {
            identity,
            evidence: Evidence::new(Platform::InsecureSimulated, report, Vec::new()).unwrap(),
            proof: batch.proof(1).unwrap(),
            lease: None,
            endorsements: Vec::new(),
        };
        document.to_json()
    }

    fn receipt(&self, nonce: &Nonce, body: &[u8], events: &[&[u8]]) -> String {
        let fault = self.fault();
        let salt = Salt::from_random([5; 32]);
        let mut answer = ContentHasher::answer(&salt);
        for event in events {
            answer.event(event);
        }
        if matches!(fault, Fault::ReceiptAnswer) {
            answer.event(b"more");
        }
        let nine = Digest::new([9; 32]);
        let document = self.identity.document();
        let request: &[u8] = if matches!(fault, Fault::ReceiptRequest) {
            b"another"
        } else {
            body
        };
        let receipt = Receipt {
            version: ReceiptVersion::V1,
            request_commitment: request_commitment(&salt, request),
            answer_commitment: answer.finish(),
            binding_nonce: if matches!(fault, Fault::ReceiptNonce) {
                nine
            } else {
                Digest::new(*nonce.as_bytes())
            },
            manifest_sha256: if matches!(fault, Fault::ReceiptModel) {
                nine
            } else {
                document.model.manifest_sha256
            },
            identity_sha512: match fault {
                Fault::ReceiptIdentity => Digest::new([9; 64]),
                _ => self.identity.digest(),
            },
            evidence_sha512: Digest::new([0; 64]),
            prompt_tokens: 3,
            completion_tokens: 4,
            finish_reason: FinishReason::Stop,
            sequence: self.sequence.fetch_add(1, Ordering::SeqCst),
            time: Timestamp::from_unix(START),
            time_source: TimeSource::Broker,
        };
        let key = if matches!(fault, Fault::ReceiptKey) {
            &self.channel_key
        } else {
            &self.receipt_key
        };
        let signature = Digest::from_slice(key.sign(receipt.signing_preimage().as_bytes()).as_ref()).unwrap();
        SignedReceipt::new(receipt, salt, signature).encode()
    }

    fn whole(&self, nonce: &Nonce, body: &[u8]) -> Response<LocalBody> {
        let answer = b"{\"choices\":[{\"message\":{\"content\":\"Paris.\"}}]}";
        let mut response = reply(200, answer.as_slice());
        if matches!(self.fault(), Fault::Redirect) {
            *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            let elsewhere = "http://192.0.2.1/v1/chat/completions".parse().unwrap();
            response.headers_mut().insert("location", elsewhere);
            return response;
        }
        let receipt = self.receipt(nonce, body, &[answer]);
        let copies = match self.fault() {
            Fault::NoReceipt => 0,
            Fault::TwoReceipts => 2,
            _ => 1,
        };
        for _ in 0..copies {
            response
                .headers_mut()
                .append("anchorhold-receipt", receipt.parse().unwrap());
        }
        response
    }

    fn stream(self: &Arc<Self>, nonce: &Nonce, body: &[u8]) -> Response<LocalBody> {
        let event = |text: &str| format!("{{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}");
        let end = "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}".to_owned();
        let events = [event("Pa"), event("ris."), end];
        let contents: Vec<_> = events.iter().map(String::as_bytes).collect();
        let receipt = format!(
            ": anchorhold-receipt {}\n\n",
            self.receipt(nonce, body, &contents)
        );
        let done = "data: [DONE]\n\n".to_owned();
        let mut pieces = vec![": filler\n\n".to_owned()];
        pieces.extend(events.iter().map(|event| format!("data: {event}\n\n")));
        let fault = self.fault();
        match fault {
            Fault::NoReceipt => pieces.push(done),
            Fault::TwoReceipts => pieces.extend([receipt.clone(), receipt, done]),
            Fault::CutStream => pieces.push(receipt),
            Fault::DataAfterReceipt => pieces.extend([receipt, format!("data: {}\n\n", event("!")), done]),
            Fault::DoneFirst => pieces.extend([done, receipt]),
            Fault::DoneTwice => pieces.extend([receipt, done.clone(), done]),
            Fault::HalfAfterDone => pieces.extend([receipt, done, "data: {}\n".to_owned()]),
            Fault::EmptyEvents => pieces.extend(["data:\n\n".repeat(260_000), receipt, done]),
            Fault::OddLine => pieces.extend(["event: x\n\n".to_owned(), receipt, done]),
            _ => pieces.extend([receipt, done]),
        }
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let state = Arc::clone(self);
        tokio::spawn(async move {
            for piece in pieces {
                // In two halves, so that pieces do not end where events do.
                let (one, two) = piece.as_bytes().split_at(piece.len() / 2);
                for half in [one, two] {
                    let _ = sender.send(half.to_vec().into()).await;
                }
                if matches!(fault, Fault::SilentStream) {
                    sender.closed().await;
                    state.left.fetch_add(1, Ordering::SeqCst);
                    return;
                }
            }
        });
        let mut response = Response::new(LocalBody::Pieces(receiver));
        response
            .headers_mut()
            .insert("content-type", "text/event-stream".parse().unwrap());
        response
    }
}
