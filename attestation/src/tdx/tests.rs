//! Verification of quotes: real ones with the verdicts of their collection, and a fake authority's.

use super::*;
use crate::claims::Class;
use crate::testdata::evidence;

mod asks;
pub(crate) mod authority;
mod bits;
mod corpus;
mod explain;
mod oracle;
mod refusals;

/// A verified quote of TDX 1.5 with this change of its body, for tests of what is bound to quotes.
pub(crate) fn verified(body: fn(&mut Vec<u8>)) -> VerifiedQuote {
    let plan = authority::Plan {
        version: 5,
        body_type: 3,
        body,
        ..authority::Plan::default()
    };
    plan.verify().unwrap()
}

/// Attributes with these bits, for tests of rules.
pub(crate) fn attributes(bits: u64) -> TdAttributes {
    TdAttributes::new(bits.to_le_bytes())
}

/// A real quote, verified at a time of `YYYY-MM-DDThh:mm:ssZ`, and that time.
pub(crate) fn verified_real(test: &str, folder: &str, now: &str) -> Option<(VerifiedQuote, Timestamp)> {
    let (quote, json) = real(test, folder)?;
    let collateral = Collateral::parse(&json).unwrap();
    let now = time(now);
    Some((verify(&quote, &collateral, &Anchors::intel(), now).unwrap(), now))
}

/// Quotes of every version and body with their collateral, for the targets of `fuzz/`.
pub(crate) fn seeds() -> Vec<crate::seeds::Seed> {
    let mut all = Vec::new();
    for (version, body_type) in [(4, 2), (5, 2), (5, 3), (5, 4)] {
        let plan = authority::Plan {
            version,
            body_type,
            ..authority::Plan::default()
        };
        let made = plan.make();
        let chain = quote::Quote::parse(&made.quote).unwrap().pck_chain.to_vec();
        all.extend([
            ("tdx-certificates", chain),
            ("tdx-certificates", made.root.clone()),
        ]);
        all.push(("tdx-collateral", made.collateral.to_string().into_bytes()));
        all.push(("tdx-quote", made.quote));
    }
    all
}

/// Seconds since 1970 of `YYYY-MM-DDThh:mm:ssZ`.
fn time(text: &str) -> Timestamp {
    collateral::date(text).unwrap()
}

/// A quote and its collateral, by folder.
fn real(test: &str, folder: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let quote = evidence(test, &format!("tdx/{folder}/quote.bin"))?;
    Some((quote, evidence(test, &format!("tdx/{folder}/collateral.json"))?))
}

#[test]
fn every_check_has_its_own_identifier_and_its_line_in_the_documentation() {
    let page = include_str!("../../../docs/platforms/tdx.md");
    let mut ids: Vec<&str> = [
        QuoteCheck::ALL.iter().map(|check| check.id()).collect::<Vec<_>>(),
        CertificateCheck::ALL.iter().map(|check| check.id()).collect(),
        CrlCheck::ALL.iter().map(|check| check.id()).collect(),
        DocumentCheck::ALL.iter().map(|check| check.id()).collect(),
        EnclaveCheck::ALL.iter().map(|check| check.id()).collect(),
        PlatformCheck::ALL.iter().map(|check| check.id()).collect(),
        DomainCheck::ALL.iter().map(|check| check.id()).collect(),
        CollateralCheck::ALL.iter().map(|check| check.id()).collect(),
        vec![TdxError::UNEXPLAINED],
    ]
    .concat();
    for id in &ids {
        assert!(page.contains(&format!("| `{id}` |")), "{id}");
    }
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

#[test]
fn the_compiled_root_is_intels() {
    const NAME: &str = "tdx::the_compiled_root_is_intels";
    let Some(root) = evidence(NAME, "anchors/intel/IntelSGXRootCA.der") else {
        return;
    };
    assert_eq!(Anchors::intel(), Anchors::given(root));
    assert_eq!(Anchors::intel().class(), Class::Real);
    assert_eq!(Anchors::given(vec![0]).class(), Class::Insecure);
}
