//! What the liar answers.
//!
//! Why apart: each lie is one line here, beside the truth it replaces.
//!
//! # Invariants
//! Everything a client sends is recorded as it came, before it is looked at.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use anchorhold_attestation::channel::{EXPORTER_LABEL, channel_message};
use anchorhold_attestation::rcar::{additional_evidence, primary_report_data};
use anchorhold_attestation::receipt::{
    ContentHasher, FinishReason, ReceiptVersion, Salt, TimeSource, request_commitment,
};
use anchorhold_attestation::{
    AttestationDocument, DevicesDigest, Evidence, HashAlgorithm, IdentityDocument, Nonce, NonceBatch,
    Platform, Receipt, SignedReceipt, Timestamp,
};
use anchorhold_encoding::Digest;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rcgen::{KeyPair, SigningKey as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::liar::{Heard, Lie, State};

/// A TLS stream that two can hold, with what came over it.
#[derive(Clone)]
struct Line {
    stream: Arc<Mutex<TlsStream<TcpStream>>>,
    heard: Arc<Mutex<Heard>>,
}

impl Line {
    fn export(&self, label: &[u8], nonce: &Nonce) -> [u8; 32] {
        let stream = self.stream.lock().unwrap();
        let exported = stream
            .get_ref()
            .1
            .export_keying_material([0; 32], label, Some(nonce.as_bytes()));
        exported.expect("the handshake is over")
    }
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut *self.stream.lock().unwrap()).poll_read(context, buffer);
        let mut heard = self.heard.lock().unwrap();
        heard.bytes.extend_from_slice(&buffer.filled()[before..]);
        polled
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream.lock().unwrap()).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.lock().unwrap()).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.lock().unwrap()).poll_shutdown(context)
    }
}

/// Serves one connection to its end.
pub(crate) async fn serve(tls: TlsStream<TcpStream>, state: Arc<State>) {
    let line = Line {
        stream: Arc::new(Mutex::new(tls)),
        heard: Arc::default(),
    };
    state.heard.lock().unwrap().push(Arc::clone(&line.heard));
    let bound = Arc::new(Mutex::new(None));
    let onto = line.clone();
    let service = service_fn(move |request| {
        let (state, line, bound) = (Arc::clone(&state), line.clone(), Arc::clone(&bound));
        async move {
            let is_question = request.uri().path().starts_with("/v1/");
            let answer = answer(&state, &line, &bound, request).await;
            let hangs_up = is_question && *state.lie.lock().unwrap() == Lie::HangUp;
            if hangs_up {
                Err(io::Error::other("as told"))
            } else {
                Ok(answer)
            }
        }
    });
    // A client that hangs up is what the tests want to see.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(onto), service)
        .await;
}

fn reply(status: u16, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
        .headers_mut()
        .insert("content-type", kind.parse().expect("a header"));
    response
}

async fn answer(
    state: &State,
    line: &Line,
    bound: &Mutex<Option<Nonce>>,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    const JSON: &str = "application/json";
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return reply(400, JSON, "{}");
    };
    let body = body.to_bytes();
    let nonce = || -> Nonce {
        let query = parts.uri.query().expect("a query");
        query["nonce=".len()..].parse().expect("a nonce")
    };
    let name = *bound.lock().unwrap();
    match (parts.uri.path(), name) {
        ("/.well-known/anchorhold/attestation", _) => reply(200, JSON, attestation(state, nonce())),
        ("/.well-known/anchorhold/channel", _) => {
            let mut heard = line.heard.lock().unwrap();
            heard.bound_at = heard.bound_at.or(Some(heard.bytes.len()));
            drop(heard);
            *bound.lock().unwrap() = Some(nonce());
            let signature = channel(state, line, &nonce());
            reply(200, JSON, format!("{{\"signature\":\"{signature}\"}}"))
        }
        // It takes prompts on connections that nobody bound, and would be glad of one.
        ("/v1/chat/completions", name) => {
            let name = name.unwrap_or(Nonce::from_random([0; 32]));
            match body.windows(13).any(|part| part == b"\"stream\":true") {
                true => reply(200, "text/event-stream", streamed(state, &name, &body)),
                false => whole(state, &name, &body),
            }
        }
        _ => reply(
            404,
            JSON,
            "{\"error\":{\"code\":\"not_found\",\"message\":\"no\"}}",
        ),
    }
}

fn attestation(state: &State, nonce: Nonce) -> Vec<u8> {
    let lender = state.lender.lock().unwrap().clone();
    if let Some(lender) = lender {
        return attestation(&lender, nonce);
    }
    let lie = *state.lie.lock().unwrap();
    let mut first = state.first_evidence.lock().unwrap();
    if let (Lie::OldEvidence, Some(first)) = (lie, &*first) {
        return first.clone();
    }
    // Not alone in its batch, so that the path has a length.
    let batch = NonceBatch::collect(vec![Nonce::from_random([7; 32]), nonce]).expect("two nonces");
    let mut report_data = batch.report_data(&state.identity.digest(), &DevicesDigest::of(&[]));
    if lie == Lie::EvidenceForBroker {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(nonce.as_bytes());
        let key = serde_json::json!({"kty": "EC", "crv": "P-256"});
        let additional = additional_evidence(&state.identity);
        report_data = primary_report_data(&additional, &text, &key, HashAlgorithm::Sha512);
    }
    let mut report = state.platform.report(&report_data);
    if lie == Lie::FlippedReport {
        *report.last_mut().expect("a report has bytes") ^= 1;
    }
    let mut identity = state.identity.bytes().to_vec();
    if lie == Lie::AlteredIdentity {
        let document = state.identity.document().clone();
        identity = IdentityDocument {
            receipt_key: document.channel_key,
            ..document
        }
        .encode();
    }
    let at = if lie == Lie::OtherLeaf { 0 } else { 1 };
    let document = AttestationDocument {
        identity,
        evidence: Evidence::new(Platform::InsecureSimulated, report, Vec::new()).expect("evidence"),
        proof: batch.proof(at).expect("it is in the batch"),
        lease: None,
        endorsements: Vec::new(),
    };
    let document = document.to_json();
    first.get_or_insert_with(|| document.clone());
    document
}

fn sign(key: &KeyPair, message: &[u8]) -> Digest<64> {
    Digest::from_slice(&key.sign(message).expect("it signs")).expect("64 bytes")
}

fn channel(state: &State, line: &Line, nonce: &Nonce) -> Digest<64> {
    let lie = *state.lie.lock().unwrap();
    let exported = match lie {
        Lie::OtherLabel => line.export(b"EXPORTER-anchorhold-channel-v0", nonce),
        Lie::OtherConnection => [9; 32],
        _ => line.export(EXPORTER_LABEL, nonce),
    };
    let other = Nonce::from_random([9; 32]);
    let nonce = if lie == Lie::OtherNonce { &other } else { nonce };
    let identity = match lie {
        Lie::OtherIdentity => Digest::new([9; 64]),
        _ => state.identity.digest(),
    };
    let key = match lie {
        Lie::OtherKey => &state.receipt_key,
        _ => &state.channel_key,
    };
    sign(key, channel_message(&exported, nonce, &identity).as_bytes())
}

/// The receipt for `events`, or none.
fn receipt(state: &State, nonce: &Nonce, body: &[u8], events: &[&[u8]]) -> Option<String> {
    let lie = *state.lie.lock().unwrap();
    let salt = Salt::from_random([5; 32]);
    let mut answer = ContentHasher::answer(&salt);
    for event in events {
        answer.event(event);
    }
    let binding_nonce = match lie {
        Lie::BorrowedReceipt => Digest::new([9; 32]),
        _ => Digest::new(*nonce.as_bytes()),
    };
    let asked: &[u8] = if lie == Lie::OtherRequest { b"{}" } else { body };
    let mut receipt = Receipt {
        version: ReceiptVersion::V1,
        request_commitment: request_commitment(&salt, asked),
        answer_commitment: answer.finish(),
        binding_nonce,
        manifest_sha256: state.identity.document().model.manifest_sha256,
        identity_sha512: state.identity.digest(),
        evidence_sha512: Digest::new([0; 64]),
        prompt_tokens: 3,
        completion_tokens: 4,
        finish_reason: FinishReason::Stop,
        sequence: 1,
        time: Timestamp::from_unix(1_800_000_000),
        time_source: TimeSource::Broker,
    };
    let signature = sign(&state.receipt_key, receipt.signing_preimage().as_bytes());
    if lie == Lie::AlteredReceipt {
        receipt.completion_tokens = 3;
    }
    (lie != Lie::NoReceipt).then(|| SignedReceipt::new(receipt, salt, signature).encode())
}

/// `Paris.`, or what a liar makes of it on the way.
fn altered(state: &State, text: String) -> String {
    match *state.lie.lock().unwrap() {
        Lie::AlteredAnswer => text.replace("ris.", "rma."),
        _ => text,
    }
}

fn whole(state: &State, nonce: &Nonce, body: &[u8]) -> Response<Full<Bytes>> {
    let text = "{\"choices\":[{\"message\":{\"content\":\"Paris.\"}}]}".to_owned();
    let receipt = receipt(state, nonce, body, &[text.as_bytes()]);
    let mut response = reply(200, "application/json", altered(state, text));
    if let Some(receipt) = receipt {
        response
            .headers_mut()
            .insert("anchorhold-receipt", receipt.parse().expect("a header"));
    }
    response
}

fn streamed(state: &State, nonce: &Nonce, body: &[u8]) -> String {
    let event = |text: &str| format!("{{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}");
    let end = "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}".to_owned();
    let events = [event("Pa"), event("ris."), end];
    let payloads: Vec<&[u8]> = events.iter().map(String::as_bytes).collect();
    let receipt = receipt(state, nonce, body, &payloads);
    let mut text: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    text = altered(state, text);
    if let Some(receipt) = receipt {
        text.push_str(&format!(": anchorhold-receipt {receipt}\n\n"));
    }
    text + "data: [DONE]\n\n"
}
