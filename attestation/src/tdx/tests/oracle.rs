//! The same bytes through `dcap-qvl` and `tdx-quote`: where they differ, this verifier is the stricter, by name.
//!
//! Why apart: the only test that knows other verifiers. Ours asks dcap-qvl too; here it runs by itself on what came, and
//! tdx-quote brings its own cryptography.
//!
//! # Invariants
//! Mutations come from a seeded generator: the same inputs every time, but for keys and signatures.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use dcap_qvl::QuoteCollateralV3;
use dcap_qvl::verify::QuoteVerifier;
use serde_json::Value;

use super::*;
use crate::random::{Random, mutations_asked_for};

mod mutate;

/// Checks by which this verifier refuses what `dcap-qvl` accepts; docs/differential.md has the reasons.
const STRICTER_THAN_DCAP_QVL: &[&str] = &[
    // Bytes around and between what is signed.
    "tdx-collateral-pck-chain",
    "tdx-collateral-shape",
    "tdx-quote-certification",
    "tdx-quote-padding",
    "tdx-quote-pck-type",
    "tdx-quote-qe-reserved",
    "tdx-certificate-text",
    // The root a chain shows, whose dates and bytes it does not look at; and what each certificate is named.
    "tdx-certificate-encoding",
    "tdx-certificate-expired",
    "tdx-certificate-issuer",
    "tdx-certificate-name",
    "tdx-certificate-not-yet",
    "tdx-certificate-root",
    // Lists of the future.
    "tdx-crl-not-yet",
    // Documents of other kinds, and dates in other forms.
    "tdx-document-kind",
    "tdx-document-shape",
    "tdx-platform-pce-id",
    // Not a trust domain at all.
    "tdx-quote-is-sgx",
];

/// Beginnings of checks by which this verifier refuses what `tdx-quote` accepts; docs/differential.md has the reasons.
const STRICTER_THAN_TDX_QUOTE: &[&str] = &[
    // It gets no collateral, and the PCK's key from this test.
    "tdx-collateral-",
    "tdx-certificate-",
    "tdx-crl-",
    "tdx-document-",
    "tdx-platform-",
    "tdx-domain-",
    "tdx-qe-",
    // Sizes and fillings of a quote's parts.
    "tdx-quote-certification",
    "tdx-quote-length",
    "tdx-quote-padding",
    "tdx-quote-pck-type",
    "tdx-quote-qe-authentication",
    "tdx-quote-qe-reserved",
];

/// What all verifiers get.
#[derive(Clone)]
struct Given {
    quote: Vec<u8>,
    /// A collateral file.
    collateral: Vec<u8>,
    root: Vec<u8>,
    /// The key that `tdx-quote` is told to believe: its own look at the chain is another feature, and five more curves.
    pck: Vec<u8>,
    at: Timestamp,
}

impl Given {
    fn ours(&self) -> Result<VerifiedQuote, TdxError> {
        let collateral = Collateral::parse(&self.collateral)?;
        verify(
            &self.quote,
            &collateral,
            &Anchors::given(self.root.clone()),
            self.at,
        )
    }

    /// Debug and service domains are policy here, so `dcap-qvl` is told to let them pass.
    fn dcap_qvl(&self) -> bool {
        let Some(collateral) = raw_collateral(&self.collateral) else {
            return false;
        };
        QuoteVerifier::<crypto::Backend>::new_with_config(self.root.clone())
            .allow_debug(true)
            .allow_service_td(true)
            .verify(&self.quote, &collateral, self.at.unix())
            .is_ok()
    }

    fn tdx_quote(&self) -> Theirs {
        let answer = catch_unwind(AssertUnwindSafe(|| {
            let Ok(key) = tdx_quote::VerifyingKey::from_sec1_bytes(&self.pck) else {
                return false;
            };
            tdx_quote::Quote::from_bytes(&self.quote).is_ok_and(|quote| quote.verify_with_pck(&key).is_ok())
        }));
        match answer {
            Ok(true) => Theirs::Accepted,
            Ok(false) => Theirs::Refused,
            Err(_) => Theirs::Panicked,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Theirs {
    Accepted,
    Refused,
    Panicked,
}

/// A collateral file as its owner would hand it to `dcap-qvl`: hexadecimal becomes bytes, nothing else is looked at.
fn raw_collateral(json: &[u8]) -> Option<QuoteCollateralV3> {
    let json: Value = serde_json::from_slice(json).ok()?;
    let text = |name: &str| Some(json[name].as_str()?.to_owned());
    let bytes = |name: &str| {
        let text = json[name].as_str()?;
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
            return None;
        };
        let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        pairs.iter().map(byte).collect::<Option<Vec<u8>>>()
    };
    Some(QuoteCollateralV3 {
        pck_crl_issuer_chain: text("pck_crl_issuer_chain")?,
        root_ca_crl: bytes("root_ca_crl")?,
        pck_crl: bytes("pck_crl")?,
        tcb_info_issuer_chain: text("tcb_info_issuer_chain")?,
        tcb_info: text("tcb_info")?,
        tcb_info_signature: bytes("tcb_info_signature")?,
        qe_identity_issuer_chain: text("qe_identity_issuer_chain")?,
        qe_identity: text("qe_identity")?,
        qe_identity_signature: bytes("qe_identity_signature")?,
        pck_certificate_chain: text("pck_certificate_chain"),
    })
}

/// How often which check refused what another verifier accepted, and other outcomes worth a count.
#[derive(Debug, Default)]
struct Found {
    /// Accepted by all.
    accepted: u32,
    dcap_qvl: BTreeMap<&'static str, u32>,
    tdx_quote: BTreeMap<&'static str, u32>,
    /// Panics of `tdx-quote`: quotes that end before their body does.
    panics: u32,
    /// Quotes of version 5 that `tdx-quote` refuses and this verifier accepts: it reads the body six bytes early.
    version_five: u32,
    /// Differences that have no name, the first of each kind.
    objections: BTreeMap<String, String>,
}

/// Counts where this verifier is stricter. What nobody named, and what is laxer here, ends the test after all inputs.
fn compare(given: &Given, what: &str, found: &mut Found) {
    let (ours, dcap, tdx) = (given.ours(), given.dcap_qvl(), given.tdx_quote());
    if tdx == Theirs::Panicked {
        assert!(
            ours.is_err() && (48..48 + 648).contains(&given.quote.len()),
            "{what}"
        );
        found.panics += 1;
    }
    match ours {
        Ok(quote) => {
            found.accepted += 1;
            if !dcap {
                found.object(format!("laxer than dcap-qvl: {what}"));
            }
            if quote.version() == 5 {
                assert_eq!(tdx, Theirs::Refused, "{what}");
                found.version_five += 1;
            } else if tdx != Theirs::Accepted {
                found.object(format!("laxer than tdx-quote: {what}"));
            }
        }
        Err(error) => {
            let id = error.id();
            if dcap {
                *found.dcap_qvl.entry(id).or_default() += 1;
                if !STRICTER_THAN_DCAP_QVL.contains(&id) {
                    found.object(format!("dcap-qvl accepts: {id}: {what}: {error}"));
                }
            }
            if tdx == Theirs::Accepted {
                *found.tdx_quote.entry(id).or_default() += 1;
                if !STRICTER_THAN_TDX_QUOTE.iter().any(|name| id.starts_with(name)) {
                    found.object(format!("tdx-quote accepts: {id}: {what}: {error}"));
                }
            }
        }
    }
}

impl Found {
    /// Keeps an objection, one of a kind and a way of making.
    fn object(&mut self, text: String) {
        let short: String = text.split(':').take(2).collect();
        self.objections.entry(short).or_insert(text);
    }

    fn nothing_without_a_name(&self) {
        let all: Vec<_> = self.objections.values().map(String::as_str).collect();
        assert!(all.is_empty(), "{}\n{self:?}", all.join("\n"));
    }
}

/// Folder, and a moment at which its collateral holds.
const REAL: &[(&str, &str)] = &[
    ("v4-emr-phala", "2025-07-01T00:00:00Z"),
    ("v5-emr-phala-nomatch", "2026-03-01T00:00:00Z"),
    ("sgx-v3-phala", "2025-06-25T00:00:00Z"),
    ("v5-emr-gotdxguest", "2026-03-01T00:00:00Z"),
    ("v4-gcp-cos113-ccel", "2025-07-15T00:00:00Z"),
    ("v4-gcp-outofdate", "2025-07-15T00:00:00Z"),
    ("v4-spr-e4-gotdxguest", "2023-07-01T00:00:00Z"),
    ("v4-debug-trustee", "2023-07-01T00:00:00Z"),
    ("v4-azure-trustee", "2025-07-15T00:00:00Z"),
    ("v4-emr-dstack-rtmr", "2026-03-01T00:00:00Z"),
];

/// The real quotes, each with the key its own chain certifies.
fn real_quotes(test: &str) -> Option<Vec<Given>> {
    let root = evidence(test, "anchors/intel/IntelSGXRootCA.der")?;
    let mut all = Vec::new();
    for (folder, at) in REAL {
        let (quote, collateral) = real(test, folder)?;
        all.push(Given {
            pck: certified_key(&quote).unwrap_or_default(),
            quote,
            collateral,
            root: root.clone(),
            at: time(at),
        });
    }
    Some(all)
}

/// The key of the first certificate in a quote, wherever that stands.
fn certified_key(quote: &[u8]) -> Option<Vec<u8>> {
    let start = b"-----BEGIN CERTIFICATE-----";
    let at = quote.windows(start.len()).position(|part| part == start)?;
    let end = b"-----END CERTIFICATE-----\n";
    let length = quote[at..].windows(end.len()).position(|part| part == end)?;
    let [leaf] = pem::chain::<1>(&quote[at..at + length + end.len()]).ok()?;
    Some(certificate::Facts::parse(leaf)?.key)
}

/// The corpus as it is, and `count` mutations of it: nobody can sign them again.
fn on_real_quotes(count: usize, seed: u64, test: &str, found: &mut Found) -> Option<()> {
    let corpus = real_quotes(test)?;
    for (given, (folder, _)) in corpus.iter().zip(REAL) {
        compare(given, folder, found);
    }
    let mut random = Random(seed);
    for number in 0..count {
        let (given, how) = mutate::real(&corpus, &mut random);
        compare(&given, &format!("real {number}: {how}"), found);
    }
    Some(())
}

/// Mutations that are signed again: here every check must stand by itself.
fn on_signed_quotes(count: usize, seed: u64, found: &mut Found) {
    let mut random = Random(seed);
    for number in 0..count {
        let (given, how) = mutate::signed(&mut random);
        compare(&given, &format!("signed {number}: {how}"), found);
    }
}

#[test]
fn every_difference_has_its_line_in_the_documentation() {
    let page = include_str!("../../../../docs/differential.md");
    for name in [STRICTER_THAN_DCAP_QVL, STRICTER_THAN_TDX_QUOTE].concat() {
        assert!(
            page.contains(&format!("`{name}`")) || page.contains(&format!("`{name}*`")),
            "{name}"
        );
    }
}

#[test]
fn others_are_never_stricter_on_real_quotes_and_their_mutations() {
    const NAME: &str = "tdx::others_are_never_stricter_on_real_quotes_and_their_mutations";
    let mut found = Found::default();
    if on_real_quotes(300, 1, NAME, &mut found).is_some() {
        found.nothing_without_a_name();
        assert!(
            found.accepted > 5 && found.version_five > 0 && found.panics > 0,
            "{found:?}"
        );
    }
}

#[test]
fn others_are_never_stricter_on_what_is_signed_again() {
    let mut found = Found::default();
    on_signed_quotes(300, 2, &mut found);
    found.nothing_without_a_name();
    assert!(found.accepted > 20, "{found:?}");
    for id in ["tdx-certificate-name", "tdx-platform-pce-id"] {
        assert!(found.dcap_qvl.contains_key(id), "{id}: {found:?}");
    }
    assert!(
        found.tdx_quote.contains_key("tdx-certificate-revoked"),
        "{found:?}"
    );
}

/// A nightly run sets `ANCHORHOLD_MUTATIONS` to 100000.
#[test]
fn others_are_never_stricter_in_a_nightly_run_and_every_difference_is_seen() {
    const NAME: &str = "tdx::others_are_never_stricter_in_a_nightly_run_and_every_difference_is_seen";
    let Some(count) = mutations_asked_for() else {
        // Past the capture of test output: nobody is left to tell when standard error is gone.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED {NAME}: set ANCHORHOLD_MUTATIONS to 100000"
        );
        return;
    };
    let mut found = Found::default();
    let Some(()) = on_real_quotes(count / 3, 4, NAME, &mut found) else {
        return;
    };
    on_signed_quotes(count - count / 3, 3, &mut found);
    found.nothing_without_a_name();
    let _ = writeln!(std::io::stderr(), "{NAME}: {count} mutations: {found:?}");
    let unseen = |names: &'static [&'static str], seen: &BTreeMap<&'static str, u32>| {
        let never = |name: &&&str| !seen.keys().any(|id| id.starts_with(**name));
        names.iter().filter(never).copied().collect::<Vec<_>>()
    };
    let unseen = [
        unseen(STRICTER_THAN_DCAP_QVL, &found.dcap_qvl),
        unseen(STRICTER_THAN_TDX_QUOTE, &found.tdx_quote),
    ]
    .concat();
    assert!(unseen.is_empty(), "{unseen:?} of {found:?}");
}
