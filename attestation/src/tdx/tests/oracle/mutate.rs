//! Inputs for a comparison: changed as someone would who knows the formats.
//!
//! Why apart: what is compared and what it is fed are two questions.
//!
//! # Invariants
//! All choices come from the generator that is given.

use std::cell::Cell;

use serde_json::{Value, json};

use super::super::authority::{NOW, Plan};
use super::*;

/// Places and lengths of the fields of a quote's body, from its beginning; the last two only in TDX 1.5.
const BODY: [(usize, usize); 17] = [
    (0, 16),
    (16, 48),
    (64, 48),
    (112, 8),
    (120, 8),
    (128, 8),
    (136, 48),
    (184, 48),
    (232, 48),
    (280, 48),
    (328, 48),
    (376, 48),
    (424, 48),
    (472, 48),
    (520, 64),
    (584, 16),
    (600, 48),
];

/// Those of a quoting enclave's report that are not reserved, and two that are.
const ENCLAVE: [(usize, usize); 9] = [
    (0, 16),
    (16, 4),
    (20, 28),
    (48, 16),
    (64, 32),
    (128, 32),
    (256, 2),
    (258, 2),
    (320, 64),
];

/// Members of a collateral file.
const MEMBERS: [&str; 9] = [
    "pck_crl_issuer_chain",
    "root_ca_crl",
    "pck_crl",
    "tcb_info_issuer_chain",
    "tcb_info",
    "tcb_info_signature",
    "qe_identity_issuer_chain",
    "qe_identity",
    "qe_identity_signature",
];

/// Every field of a quote, by its version.
fn fields(quote: &[u8]) -> Vec<(usize, usize)> {
    let header = [(0, 2), (2, 2), (4, 4), (8, 4), (12, 16), (28, 20)];
    let newer = quote.first() == Some(&5);
    let (body, length, members) = if newer { (54, 648, 17) } else { (48, 584, 15) };
    let data = body + length;
    let enclave = data + 4 + 64 + 64 + 2 + 4;
    let behind = enclave + 384;
    let descriptor: &[_] = if newer { &[(48, 2), (50, 4)] } else { &[] };
    let mut all = [header.as_slice(), descriptor].concat();
    all.extend(BODY[..members].iter().map(|(at, length)| (body + at, *length)));
    all.extend([
        (data, 4),
        (data + 4, 64),
        (data + 68, 64),
        (data + 132, 2),
        (data + 134, 4),
    ]);
    all.extend(ENCLAVE.iter().map(|(at, length)| (enclave + at, *length)));
    all.extend([
        (behind, 64),
        (behind + 64, 2),
        (behind + 66, 32),
        (behind + 98, 2),
        (behind + 100, 4),
    ]);
    all.retain(|(at, length)| at + length <= quote.len());
    all
}

/// A bit, a byte, a small number, all zeros, all ones, one more or less.
fn change(field: &mut [u8], random: &mut Random) {
    if field.is_empty() {
        return;
    }
    let byte = random.below(field.len());
    match random.below(7) {
        0 => field.fill(0),
        1 => field.fill(0xff),
        2 => field[byte] = random.next() as u8,
        3 => field[0] = random.below(9) as u8,
        4 => field[byte] = field[byte].wrapping_add(1),
        5 => field[byte] = field[byte].wrapping_sub(1),
        _ => field[byte] ^= 1 << random.below(8),
    }
}

/// Cuts, inserts, appends, or changes a byte anywhere.
fn alter(bytes: &mut Vec<u8>, random: &mut Random) {
    let place = random.below(bytes.len());
    match random.below(8) {
        0 => bytes.truncate(place),
        1 => bytes.insert(place, random.next() as u8),
        2 => bytes.extend(vec![0; 1 + random.below(64)]),
        3 => bytes.extend(random.next().to_le_bytes()),
        4 => bytes[place] = random.next() as u8,
        _ => bytes[place] ^= 1 << random.below(8),
    }
}

/// One of the corpus, spoilt.
pub(super) fn real(corpus: &[Given], random: &mut Random) -> (Given, &'static str) {
    let mut given = random.of(corpus).clone();
    let other = random.of(corpus).clone();
    let how = match random.below(12) {
        0..=2 => {
            let (at, length) = *random.of(&fields(&given.quote));
            change(&mut given.quote[at..at + length], random);
            "a field changed"
        }
        3 => {
            let (at, length) = *random.of(&fields(&given.quote));
            if let Some(theirs) = other.quote.get(at..at + length) {
                given.quote[at..at + length].copy_from_slice(theirs);
            }
            "a field of another quote"
        }
        4 => {
            alter(&mut given.quote, random);
            "bytes altered"
        }
        5 => {
            given.quote.truncate(random.below(700));
            "cut in header or body"
        }
        6 => {
            (given.collateral, given.at) = (other.collateral, other.at);
            "collateral of another"
        }
        7 => {
            let name = *random.of(&MEMBERS);
            let theirs: Value = serde_json::from_slice(&other.collateral).unwrap();
            member(&mut given, name, |value| *value = theirs[name].clone());
            "a member of another's collateral"
        }
        8 => {
            let name = *random.of(&MEMBERS);
            member(&mut given, name, |value| {
                let mut bytes = value.as_str().unwrap_or_default().as_bytes().to_vec();
                alter(&mut bytes, random);
                *value = String::from_utf8_lossy(&bytes).into_owned().into();
            });
            "a member altered"
        }
        9 => {
            let at = given
                .quote
                .windows(2)
                .position(|part| part == b"\n-")
                .unwrap_or(0);
            let texts: [&[u8]; 4] = [b"\r", b"\n", b" ", b"\n# text\n"];
            let text = *random.of(&texts);
            given.quote.splice(at..at, text.iter().copied());
            "text in the chain"
        }
        10 => {
            let shift = 86_400 * random.below(900) as u64;
            let at = given.at.unix();
            given.at = Timestamp::from_unix(if random.below(2) == 0 {
                at + shift
            } else {
                at - shift
            });
            "another day"
        }
        _ => {
            let start = |quote: &[u8]| quote.windows(6).position(|part| part == b"-----B");
            if let (Some(ours), Some(theirs)) = (start(&given.quote), start(&other.quote)) {
                given.quote.truncate(ours);
                given.quote.extend(&other.quote[theirs..]);
            }
            "the chain of another quote"
        }
    };
    (given, how)
}

fn member(given: &mut Given, name: &str, change: impl FnOnce(&mut Value)) {
    let mut json: Value = serde_json::from_slice(&given.collateral).unwrap();
    change(&mut json[name]);
    given.collateral = json.to_string().into_bytes();
}

thread_local! {
    /// What a plan's changes draw from: they are plain functions and carry nothing.
    static SEED: Cell<u64> = const { Cell::new(0) };
}

fn seeded() -> Random {
    Random(SEED.get())
}

#[allow(clippy::ptr_arg)] // the type that a plan has
fn change_body(body: &mut Vec<u8>) {
    let random = &mut seeded();
    let known: Vec<_> = BODY
        .into_iter()
        .filter(|(at, length)| at + length <= body.len())
        .collect();
    let (at, length) = *random.of(&known);
    change(&mut body[at..at + length], random);
}

fn change_enclave(report: &mut [u8; 384]) {
    let random = &mut seeded();
    let (at, length) = *random.of(&ENCLAVE);
    change(&mut report[at..at + length], random);
}

/// Walks into the document by chance and changes what is there.
fn change_document(document: &mut Value) {
    let random = &mut seeded();
    let mut here = document;
    loop {
        let children = match &*here {
            Value::Array(all) => all.len(),
            Value::Object(all) => all.len(),
            _ => 0,
        };
        if children == 0 || random.below(6) == 0 {
            break;
        }
        let chosen = random.below(children);
        here = match here {
            Value::Array(all) => &mut all[chosen],
            Value::Object(all) => all.values_mut().nth(chosen).unwrap(),
            _ => unreachable!("it has children"),
        };
    }
    *here = match &*here {
        Value::Number(number) => {
            let number = number.as_i64().unwrap_or(0);
            json!(*random.of(&[number + 1, number - 1, 0, 255, 256, 65_536, -1]))
        }
        Value::String(text) if text.ends_with('Z') => json!(*random.of(&[
            "2030-01-15T12:00:00Z",
            "2030-01-15T12:00:01Z",
            "2030-01-15T11:59:59Z",
            "2030-01-15T12:00:00+00:00",
            "2029-02-30T00:00:00Z",
            "2031-01-01T00:00:00Z",
        ])),
        Value::String(text) if random.below(2) == 0 => json!(*random.of(&[
            "UpToDate",
            "OutOfDate",
            "Revoked",
            "SWHardeningNeeded",
            "ConfigurationNeeded",
            "OutOfDateConfigurationNeeded",
            "TDRelaunchAdvised",
            "TDX",
            "SGX",
            "QE",
            "TD_QE",
            text.to_lowercase().as_str(),
        ])),
        Value::String(text) => {
            let mut bytes = text.clone().into_bytes();
            if !bytes.is_empty() {
                let at = random.below(bytes.len());
                bytes[at] = *random.of(b"0123456789abcdefABCDEF");
            }
            json!(String::from_utf8_lossy(&bytes))
        }
        Value::Array(all) => {
            let mut all = all.clone();
            match random.below(3) {
                0 => all.reverse(),
                1 => drop(all.pop()),
                _ => all.extend(all.clone()),
            }
            json!(all)
        }
        Value::Object(all) => {
            let mut all = all.clone();
            let name = all.keys().nth(random.below(all.len().max(1))).cloned();
            match (random.below(3), name) {
                (0, Some(name)) => drop(all.remove(&name)),
                (1, Some(name)) => drop(all.insert(name, Value::Null)),
                _ => drop(all.insert("unknown".to_owned(), json!(1))),
            }
            json!(all)
        }
        other => other.clone(),
    };
}

/// A fake Intel's quote and collateral, with one thing different that its keys have signed.
pub(super) fn signed(random: &mut Random) -> (Given, &'static str) {
    SEED.set(random.next());
    let (version, body_type) = *random.of(&[(4, 2), (4, 2), (5, 2), (5, 3), (5, 4)]);
    let mut plan = Plan {
        version,
        body_type,
        ..Plan::default()
    };
    let how = match random.below(16) {
        0..=3 => {
            plan.body = change_body;
            "body"
        }
        4..=5 => {
            plan.enclave = change_enclave;
            "enclave"
        }
        6..=8 => {
            plan.tcb = change_document;
            "TCB information"
        }
        9..=10 => {
            plan.identity = change_document;
            "QE identity"
        }
        11 => {
            let names = [
                "Intel SGX Root CA",
                "Intel SGX PCK Platform CA",
                "Intel SGX PCK Processor CA",
                "Intel SGX TCB Signing",
                "Intel SGX PCK Certificate",
                "Elsewhere",
            ];
            plan.names[random.below(4)] = *random.of(&names);
            "a name"
        }
        12 => {
            let years = [(2025, 2030), (2031, 2040), (2030, 2031), (2029, 2031)];
            match random.below(6) {
                list @ 4.. => plan.crl_years[list - 4] = *random.of(&years),
                link => plan.years[link] = *random.of(&years),
            }
            "dates"
        }
        13 => {
            let serials: [&[u64]; 5] = [&[1], &[2], &[3], &[4], &[77]];
            plan.revoked[random.below(2)] = *random.of(&serials);
            "revocation"
        }
        14 => {
            plan.usurped = *random.of(&["pck-crl", "pck", "tcb", "qe", "root-crl"]);
            "another's key"
        }
        _ => {
            match random.below(6) {
                0 => plan.cpu_svn[random.below(16)] = random.below(9) as u8,
                1 => plan.pce_id = [0, random.below(3) as u8],
                2 => plan.authentication = vec![7; *random.of(&[0, 31, 32, 33, 64])],
                3 => plan.pck_extension = false,
                4 => plan.authority_is_ca = false,
                _ => plan.signer_is_ca = true,
            }
            "platform"
        }
    };
    let made = plan.make();
    let mut given = Given {
        quote: made.quote,
        collateral: made.collateral.to_string().into_bytes(),
        root: made.root,
        pck: made.pck,
        at: NOW,
    };
    // What surrounds a signed quote is not signed.
    match random.below(12) {
        0 => given.quote.extend(vec![0; 1 + random.below(9)]),
        1 => given.quote.extend(random.next().to_le_bytes()),
        2 => {
            // The quote's own chain with a line more, or none.
            let start = given
                .quote
                .windows(6)
                .position(|part| part == b"-----B")
                .unwrap_or(0);
            let own = String::from_utf8_lossy(&given.quote[start..]).into_owned();
            let text = random.of(&[format!("{own}\n"), "another".to_owned()]).clone();
            member(&mut given, "pck_certificate_chain", |value| *value = text.into());
        }
        3 => member(&mut given, "unknown", |value| *value = 1.into()),
        4 => {
            let name = *random.of(&MEMBERS);
            member(&mut given, name, |value| {
                let text = value.as_str().unwrap_or_default();
                let texts = [text.to_uppercase(), format!("{text}\n"), format!(" {text}")];
                *value = random.of(&texts).clone().into();
            });
        }
        _ => {}
    }
    (given, how)
}
