//! One request of a local program: forwarded, answered, proven.
//!
//! Why apart: which bytes go out to the enclave, and which come back before they are proven, is decided here.
//!
//! # Invariants
//! Only `/v1/` paths, only GET and POST. Of the program's headers only Content-Type and Accept go on; its
//! Authorization is the proxy's token and never leaves this machine. The body goes on byte for byte with spaces after it
//! (`padding`), or in token ids where the person wanted that. A whole
//! answer is handed out after its receipt was checked, and kept where the person wanted that; of a stream the
//! end mark is.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, Uri};
use tokio::sync::mpsc;

use super::Shared;
use super::access::{Access, Admitted};
use super::answer::{Fault, LocalBody, whole};
use super::tokens::{Asked, NoTokens, Reading};
use crate::client::bound::Question;
use crate::client::exchange::{Exchange, Piece, RECEIPT_HEADER};
use crate::client::kept::KeptReceipt;
use crate::client::limits;
use crate::client::wiped::{Wiped, wipe};

/// Headers of an answer that speak about one connection only (RFC 9110 section 7.6.1), or about a body whose
/// framing is ours.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// How the comment begins that carries the receipt of a stream.
const RECEIPT_COMMENT: &[u8] = b": anchorhold-receipt ";

/// Answers a local program's request, with its proven answer or with what is wrong.
pub(super) async fn answer(
    access: &Access,
    shared: &Shared,
    request: Request<Incoming>,
) -> Response<LocalBody> {
    let (parts, mut body) = request.into_parts();
    let answer = match access.admit(&parts.headers) {
        Ok(admitted) => forward(admitted, shared, parts, &mut body).await,
        Err(refused) => Err(Fault::Access(refused)),
    };
    match answer {
        Ok(answer) => answer,
        Err(fault) => {
            shared.notice(&fault);
            // A connection closed with unread bytes is reset, and the program would not see why it was refused.
            let _ = tokio::time::timeout(limits::PROXY_DISCARD, discard(&mut body)).await;
            fault.response()
        }
    }
}

async fn discard(body: &mut Incoming) {
    let mut left = limits::REQUEST_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(piece) = frame.into_data() {
            left = left.saturating_sub(piece.len());
            wipe(piece);
            if left == 0 {
                return;
            }
        }
    }
}

async fn forward(
    _admitted: Admitted,
    shared: &Shared,
    parts: Parts,
    body: &mut Incoming,
) -> Result<Response<LocalBody>, Fault> {
    let path = allowed_path(&parts.uri).ok_or(Fault::Path)?;
    if parts.method != Method::GET && parts.method != Method::POST {
        return Err(Fault::Method);
    }
    let body = tokio::time::timeout(limits::PROXY_BODY, read(body))
        .await
        .map_err(|_| Fault::RequestBody)??;
    let (body, reading) = in_ids(shared, &parts.method, &path, body).await?;
    let question = Question {
        method: parts.method,
        path,
        headers: onward(&parts.headers, shared.api_key.as_ref()),
        body: body.into_bytes(),
    };
    let exchange = shared.enclave.ask(question).await.map_err(Fault::Enclave)?;
    let mut response = Response::new(LocalBody::Whole(None));
    *response.status_mut() = exchange.status();
    *response.headers_mut() = back(exchange.headers());
    *response.body_mut() = if exchange.is_stream() {
        let (sender, pieces) = mpsc::channel(limits::STREAM_PIECES);
        tokio::spawn(pump(shared.clone(), exchange, sender, reading));
        LocalBody::Pieces(pieces)
    } else {
        let successful = exchange.status().is_success();
        let answer = exchange.whole().await.map_err(Fault::Enclave)?;
        keep(shared, answer.receipt).await?;
        match (reading, &shared.tokens) {
            (Some(reading), Some(tokens)) if successful => {
                // It is of the answer in ids, which is not what goes on.
                response.headers_mut().remove(RECEIPT_HEADER);
                whole(reading.whole(tokens, &answer.body).ok_or(Fault::NotIds)?)
            }
            _ => whole(answer.body),
        }
    };
    Ok(response)
}

/// The body to send. In ids, with what reads its answer, where a proxy that makes them is asked for a text.
async fn in_ids(
    shared: &Shared,
    method: &Method,
    path: &Uri,
    body: Wiped,
) -> Result<(Wiped, Option<Reading>), Fault> {
    let Some(tokens) = shared.tokens.as_ref().filter(|_| *method == Method::POST) else {
        return Ok((body, None));
    };
    let affirmed = shared.enclave.affirmed().await.map_err(Fault::Enclave)?;
    if affirmed.identity.manifest_sha256() != tokens.manifest_sha256() {
        return Err(Fault::Tokens(NoTokens::OtherModel));
    }
    match tokens.ask(path, &body).map_err(Fault::Tokens)? {
        Some(Asked { body, answer }) => Ok((body, Some(answer))),
        None => Ok((body, None)),
    }
}

/// A piece as it goes on. Of a stream in ids the receipt does not: it is of what came.
fn onward_piece(
    shared: &Shared,
    reading: Option<&mut Reading>,
    piece: Piece,
) -> Result<Option<Bytes>, Fault> {
    let (Some(reading), Some(tokens)) = (reading, &shared.tokens) else {
        return Ok(Some(piece.raw.into_bytes()));
    };
    match piece.data {
        Some(data) if !is_error(&data) => {
            let document = reading.piece(tokens, &data).ok_or(Fault::NotIds)?;
            let mut event = Wiped::with_capacity(document.len() + 8);
            event.extend(b"data: ");
            event.extend(&document);
            event.extend(b"\n\n");
            Ok(Some(event.into_bytes()))
        }
        None if piece.raw.starts_with(RECEIPT_COMMENT) => Ok(None),
        Some(_) | None => Ok(Some(piece.raw.into_bytes())),
    }
}

/// The event with which a stream breaks off holds no ids.
fn is_error(data: &[u8]) -> bool {
    data.starts_with(b"{\"error\":")
}

/// Moves a stream's pieces until its proven end. When the program leaves, the exchange is dropped, its
/// connection closed, and the enclave stops.
async fn pump(
    shared: Shared,
    mut exchange: Exchange,
    sender: mpsc::Sender<Bytes>,
    mut reading: Option<Reading>,
) {
    loop {
        let piece = tokio::select! {
            () = sender.closed() => return,
            piece = exchange.next_piece() => piece,
        };
        let fault = match piece {
            Ok(Some(piece)) if piece.proof.is_none() => {
                match onward_piece(&shared, reading.as_mut(), piece) {
                    Ok(Some(bytes)) => match sender.send(bytes).await {
                        Ok(()) => continue,
                        Err(_) => return,
                    },
                    Ok(None) => continue,
                    Err(fault) => fault,
                }
            }
            // The end mark: held back until its receipt is kept.
            Ok(Some(piece)) => match keep(&shared, piece.proof).await {
                Ok(()) if sender.send(piece.raw.into_bytes()).await.is_ok() => continue,
                Ok(()) => return,
                Err(fault) => fault,
            },
            Ok(None) => return exchange.finish(),
            Err(error) => Fault::Enclave(error),
        };
        shared.notice(&fault);
        // A program that left needs no error.
        let _ = sender.send(fault.event()).await;
        return;
    }
}

async fn keep(shared: &Shared, receipt: Option<KeptReceipt>) -> Result<(), Fault> {
    match (&shared.keeper, receipt) {
        (Some(keeper), Some(receipt)) => keeper.keep(receipt).await.map(|_| ()).map_err(|_| Fault::Keep),
        _ => Ok(()),
    }
}

/// The path and query to forward; `None` for anything that is not plainly under `/v1/`.
fn allowed_path(uri: &Uri) -> Option<Uri> {
    // Absolute form is for forward proxies, which this is not.
    if uri.authority().is_some() {
        return None;
    }
    let path = uri.path();
    let rest = path.strip_prefix("/v1/")?;
    let dots = |segment: &str| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    };
    // What another server would take for a way out of /v1/.
    if rest.split(['/', '\\']).any(dots) {
        return None;
    }
    uri.path_and_query().cloned().map(Uri::from)
}

fn onward(received: &HeaderMap, api_key: Option<&HeaderValue>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in [CONTENT_TYPE, ACCEPT] {
        if let Some(value) = received.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    if let Some(key) = api_key {
        headers.insert(AUTHORIZATION, key.clone());
    }
    headers
}

fn back(received: &HeaderMap) -> HeaderMap {
    // What Connection names is of that connection too.
    let named = received.get_all("connection").iter();
    let named: Vec<HeaderName> = named
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let mut headers = received.clone();
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    for name in named {
        headers.remove(name);
    }
    headers
}

async fn read(body: &mut Incoming) -> Result<Wiped, Fault> {
    let mut bytes = Wiped::default();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Fault::RequestBody)?;
        if let Ok(piece) = frame.into_data() {
            if bytes.len() + piece.len() > limits::REQUEST_BYTES {
                return Err(Fault::RequestTooLarge);
            }
            bytes.extend(&piece);
            wipe(piece);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_api_is_forwarded() {
        let allowed = |uri: &str| allowed_path(&uri.parse().expect(uri)).map(|uri| uri.to_string());
        assert_eq!(allowed("/v1/models"), Some("/v1/models".to_owned()));
        assert_eq!(
            allowed("/v1/models/a.b..c?x=1"),
            Some("/v1/models/a.b..c?x=1".to_owned())
        );
        for bad in [
            "/",
            "/v1",
            "/v2/models",
            "/metrics",
            "/.well-known/anchorhold/channel?nonce=0",
            "/v1/../metrics",
            "/v1/%2e%2E/metrics",
            "/v1/a/..",
            "/v1/.%2e/metrics",
            "http://127.0.0.1/v1/models",
            "127.0.0.1:80",
            "*",
        ] {
            assert_eq!(allowed(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_programs_headers_stay_here() {
        let mut received = HeaderMap::new();
        for (name, value) in [
            ("content-type", "application/json"),
            ("accept", "*/*"),
            ("authorization", "Bearer local-token"),
            ("cookie", "a=b"),
            ("user-agent", "x"),
            ("accept-encoding", "gzip"),
            ("connection", "close"),
        ] {
            received.insert(name, HeaderValue::from_static(value));
        }
        let plain = onward(&received, None);
        assert_eq!(
            plain.keys().map(HeaderName::as_str).collect::<Vec<_>>(),
            ["content-type", "accept"]
        );
        let keyed = onward(&received, Some(&HeaderValue::from_static("Bearer enclave-key")));
        assert_eq!(keyed[AUTHORIZATION], "Bearer enclave-key");
    }

    #[test]
    fn hop_by_hop_headers_end_here() {
        let mut received = HeaderMap::new();
        for (name, value) in [
            ("content-type", "application/json"),
            ("retry-after", "3"),
            ("connection", "close, x-private"),
            ("x-private", "1"),
            ("transfer-encoding", "chunked"),
            ("keep-alive", "timeout=5"),
        ] {
            received.insert(name, HeaderValue::from_static(value));
        }
        let headers = back(&received);
        assert_eq!(
            headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(),
            ["content-type", "retry-after"]
        );
    }
}
