//! From a file's bytes to what is in it, layer by layer: compression, text forms, PEM, JSON.
//!
//! Why apart: evidence comes as tools and people leave it, and every layer is announced so that nobody wonders what
//! was judged.
//!
//! # Invariants
//! At most [`limits::EXPLAIN_DEPTH`] layers, [`limits::EXPLAIN_BYTES`] bytes in all of them together, and
//! [`limits::EXPLAIN_PIECES`] pieces. A piece's bytes are exactly those that were inside.

use std::io::Read as _;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use super::report_json;
use super::sniff::{Kind, describe, kind};
use crate::client::limits;

/// Something that a verifier takes, and where it was.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) kind: Kind,
    pub(super) bytes: Vec<u8>,
    /// The file, as the person named it.
    pub(super) file: String,
    /// Where inside: a JSON pointer, or empty.
    pub(super) path: String,
}

/// What was done to a file, and what was found in it.
#[derive(Debug, Default)]
pub(super) struct Peeled {
    pub(super) pieces: Vec<Piece>,
    /// One sentence a piece.
    pub(super) said: Vec<String>,
    /// Why nothing more was found: the deepest layer that was understood, and what is under it.
    pub(super) stuck: Option<String>,
}

/// Where the layers are.
#[derive(Clone, Default)]
struct Place {
    layers: Vec<String>,
    path: String,
    depth: usize,
}

struct Peeler {
    file: String,
    out: Peeled,
    budget: usize,
}

/// Everything in `bytes` of the file named `file`.
pub(super) fn peel(file: &str, bytes: &[u8]) -> Peeled {
    let mut peeler = Peeler {
        file: file.to_owned(),
        out: Peeled::default(),
        budget: limits::EXPLAIN_BYTES,
    };
    peeler.layer(bytes, &Place::default(), true);
    peeler.out
}

impl Place {
    fn under(&self, layer: &str) -> Self {
        let mut place = self.clone();
        place.layers.push(layer.to_owned());
        place.depth += 1;
        place
    }

    fn member(&self, name: &str) -> Self {
        let mut place = self.clone();
        // A member's name is a stranger's text: only a plain one is shown.
        let plain = name.len() <= 48
            && name
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || b"_-.".contains(&c));
        place.path = format!("{}/{}", self.path, if plain { name } else { "?" });
        place
    }
}

impl Peeler {
    /// Finds what `bytes` are; `whole` when a person would miss it if nothing were found.
    fn layer(&mut self, bytes: &[u8], place: &Place, whole: bool) -> bool {
        if place.depth > limits::EXPLAIN_DEPTH {
            return self.stuck(place, "nested too deep", whole);
        }
        let Some(left) = self.budget.checked_sub(bytes.len()) else {
            return self.stuck(place, "too much in one file", whole);
        };
        self.budget = left;
        if let Some((kind, wrapping)) = kind(bytes) {
            let place = match wrapping {
                0 => place.clone(),
                32 => place.under("answer of the guest device"),
                _ => place.under("TPM2B"),
            };
            let mut inner = bytes.get(wrapping..).unwrap_or_default();
            if wrapping == 32 {
                inner = inner.get(..1184).unwrap_or(inner);
            }
            self.piece(kind, inner.to_vec(), &place);
            return true;
        }
        if bytes.starts_with(&[0x1f, 0x8b]) {
            return self.gzip(bytes, place, whole);
        }
        let Some(text) = std::str::from_utf8(bytes).ok().filter(|text| {
            !text
                .bytes()
                .any(|c| c.is_ascii_control() && !c.is_ascii_whitespace())
        }) else {
            return self.stuck(place, &format!("bytes of no known form: {}", head(bytes)), whole);
        };
        let trimmed = text.trim();
        if starts_json(trimmed) {
            return match serde_json::from_str::<Value>(trimmed) {
                Ok(value) => self.json(&value, trimmed, &place.under("JSON"), whole),
                Err(error) => {
                    let at = format!(
                        "JSON that breaks at line {}, column {}",
                        error.line(),
                        error.column()
                    );
                    self.stuck(place, &at, whole)
                }
            };
        }
        if trimmed.contains("-----BEGIN ") {
            return self.pem(trimmed, place, whole);
        }
        match decode(trimmed) {
            Ok((layer, inner)) => self.layer(&inner, &place.under(layer), whole),
            Err(at) => self.stuck(place, &format!("text of no known form (character {at})"), whole),
        }
    }

    fn piece(&mut self, kind: Kind, bytes: Vec<u8>, place: &Place) {
        if self.out.pieces.len() >= limits::EXPLAIN_PIECES {
            self.stuck(place, "too many pieces in one file", true);
            return;
        }
        let mut said = self.file.clone();
        if !place.path.is_empty() {
            said.push_str(&format!(" at {}", place.path));
        }
        said.push_str(": ");
        for layer in &place.layers {
            said.push_str(&format!("{layer} -> "));
        }
        said.push_str(&describe(kind, &bytes));
        self.out.said.push(said);
        self.out.pieces.push(Piece {
            kind,
            bytes,
            file: self.file.clone(),
            path: place.path.clone(),
        });
    }

    fn stuck(&mut self, place: &Place, why: &str, whole: bool) -> bool {
        if whole {
            let layers: Vec<&str> = place.layers.iter().map(String::as_str).collect();
            let at = match place.path.as_str() {
                "" => String::new(),
                path => format!(" at {path}"),
            };
            let before = match layers.as_slice() {
                [] => String::new(),
                layers => format!("{} -> ", layers.join(" -> ")),
            };
            self.out.stuck = Some(format!("{}{at}: {before}{why}", self.file));
        }
        false
    }

    fn gzip(&mut self, bytes: &[u8], place: &Place, whole: bool) -> bool {
        let mut inner = Vec::new();
        let most = self.budget as u64;
        let read = flate2::read::MultiGzDecoder::new(bytes)
            .take(most.saturating_add(1))
            .read_to_end(&mut inner);
        match read {
            Ok(length) if length as u64 <= most => self.layer(&inner, &place.under("gzip"), whole),
            Ok(_) => self.stuck(place, "gzip of more than one file may hold", whole),
            Err(_) => self.stuck(
                place,
                &format!("gzip that breaks after {} bytes", inner.len()),
                whole,
            ),
        }
    }

    fn pem(&mut self, text: &str, place: &Place, whole: bool) -> bool {
        let mut found = false;
        for (index, part) in text.split("-----BEGIN ").skip(1).enumerate() {
            let Some((label, rest)) = part.split_once("-----") else {
                self.stuck(
                    place,
                    &format!("PEM whose block {index} has no end of its first line"),
                    whole,
                );
                continue;
            };
            let body = rest.split("-----END ").next().unwrap_or_default();
            let inner: String = body.split_whitespace().collect();
            let Ok(der) = engine(false).decode(&inner) else {
                self.stuck(place, &format!("PEM whose block {index} is not base64"), whole);
                continue;
            };
            let kind = match label {
                "CERTIFICATE" | "TRUSTED CERTIFICATE" | "X509 CERTIFICATE" => Kind::Certificate,
                "X509 CRL" => Kind::RevocationList,
                _ => {
                    self.stuck(
                        place,
                        &format!("PEM whose block {index} is neither certificate nor list"),
                        whole,
                    );
                    continue;
                }
            };
            self.piece(kind, der, &place.under("PEM"));
            found = true;
        }
        found
    }

    fn json(&mut self, value: &Value, text: &str, place: &Place, whole: bool) -> bool {
        // What is judged as a text must keep its bytes.
        if value.get("tcb_info").is_some() && value.get("qe_identity").is_some() {
            self.piece(Kind::Collateral, text.as_bytes().to_vec(), place);
            return true;
        }
        let dstack = |event: &Value| event.get("imr").is_some() && event.get("event_payload").is_some();
        if value
            .as_array()
            .is_some_and(|events| events.first().is_some_and(dstack))
        {
            self.piece(Kind::DstackLog, text.as_bytes().to_vec(), place);
            return true;
        }
        let found = self.members(value, place);
        if found {
            return true;
        }
        self.stuck(place, "no member holds anything known", whole)
    }

    fn members(&mut self, value: &Value, place: &Place) -> bool {
        match value {
            Value::Object(members) => {
                if let Some(report) = report_json::report(value) {
                    self.piece(Kind::SnpReport, report, &place.under("fields of the sev crate"));
                    return true;
                }
                let mut found = self.tpm(value, place);
                for (name, member) in members {
                    let place = place.member(name);
                    if name == "nonce"
                        && let Some(nonce) = member.as_str().and_then(|text| unhex(text.trim()))
                        && nonce.len() == 32
                    {
                        self.piece(Kind::NvidiaNonce, nonce, &place.under("hexadecimal"));
                        continue;
                    }
                    // Nothing in the values of registers says what they are.
                    if name == "tpm-registers"
                        && let Some(values) = blob(member)
                    {
                        self.piece(Kind::TpmValues, values, &place);
                        continue;
                    }
                    found |= self.members(member, &place);
                }
                found
            }
            Value::Array(items) => match bytes_of(items) {
                Some(bytes) => self.layer(&bytes, &place.under("array of bytes"), false),
                None => {
                    let mut found = false;
                    for (index, item) in items.iter().enumerate().take(limits::EXPLAIN_PIECES) {
                        found |= self.members(item, &place.member(&index.to_string()));
                    }
                    found
                }
            },
            // Shorter texts are names and numbers.
            Value::String(text) if text.len() >= 48 => {
                self.layer(text.as_bytes(), &place.under("text"), false)
            }
            _ => false,
        }
    }

    /// A TPM quote comes as three members: what was signed, a bare RSASSA signature, and values.
    fn tpm(&mut self, value: &Value, place: &Place) -> bool {
        let part = |name: &str| value.get(name).and_then(blob);
        let (Some(message), Some(signature)) = (part("message"), part("signature")) else {
            return false;
        };
        if !message.starts_with(b"\xffTCG") {
            return false;
        }
        self.piece(Kind::TpmMessage, message, &place.member("message"));
        let (layer, signature) = match u16::try_from(signature.len()) {
            // RSASSA with SHA-256 and its size in front, as a TPM gives it (TPM 2.0 Part 2, 11.3.4).
            Ok(length @ (256 | 384 | 512)) if !signature.starts_with(&[0, 0x14, 0, 0x0b]) => {
                let whole = [&[0, 0x14, 0, 0x0b], length.to_be_bytes().as_slice(), &signature].concat();
                ("bare RSASSA signature", whole)
            }
            _ => ("bytes", signature),
        };
        self.piece(
            Kind::TpmSignature,
            signature,
            &place.member("signature").under(layer),
        );
        let values: Option<Vec<Vec<u8>>> = value
            .get("pcrs")
            .and_then(Value::as_array)
            .and_then(|values| values.iter().map(blob).collect());
        if let Some(values) = values {
            self.piece(Kind::TpmValues, values.concat(), &place.member("pcrs"));
        }
        true
    }
}

fn starts_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
}

/// Bytes that a JSON value stands for: a text in hexadecimal or base64, or an array of numbers.
fn blob(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => decode(text.trim()).ok().map(|(_, bytes)| bytes),
        Value::Array(items) => bytes_of(items),
        _ => None,
    }
}

/// An array of bytes, long enough to be something.
fn bytes_of(items: &[Value]) -> Option<Vec<u8>> {
    if items.len() < 32 {
        return None;
    }
    items
        .iter()
        .map(|item| item.as_u64().and_then(|number| u8::try_from(number).ok()))
        .collect()
}

/// Hexadecimal or base64 with white space anywhere; the error is the first character that is neither's.
fn decode(text: &str) -> Result<(&'static str, Vec<u8>), usize> {
    let plain: String = text.split_whitespace().collect();
    let digits = plain.strip_prefix("0x").unwrap_or(&plain);
    if let Some(bytes) = unhex(digits) {
        return Ok(("hexadecimal", bytes));
    }
    for (layer, url) in [("base64", false), ("base64url", true)] {
        if let Ok(bytes) = engine(url).decode(&plain)
            && !bytes.is_empty()
        {
            return Ok((layer, bytes));
        }
    }
    let known = |c: u8| c.is_ascii_alphanumeric() || b"+/-_=".contains(&c) || c.is_ascii_whitespace();
    let bad = text.bytes().position(|c| !known(c));
    Err(bad.unwrap_or(text.len()))
}

fn engine(url: bool) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(
        if url {
            &alphabet::URL_SAFE
        } else {
            &alphabet::STANDARD
        },
        config,
    )
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    if pairs.is_empty() {
        return None;
    }
    let digit = |c: u8| {
        char::from(c)
            .to_digit(16)
            .and_then(|value| u8::try_from(value).ok())
    };
    pairs
        .iter()
        .map(|[high, low]| Some((digit(*high)? << 4) | digit(*low)?))
        .collect()
}

/// The first bytes, as hexadecimal: enough to recognise a format by.
fn head(bytes: &[u8]) -> String {
    let shown: Vec<String> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{} bytes that begin {}", bytes.len(), shown.join(" "))
}

#[cfg(test)]
mod tests;
