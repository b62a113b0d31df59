//! The real quotes, each with the verdict of the collection's README at its times, and the reason.

use super::*;

/// What a quote of the collection comes to.
enum Verdict {
    /// Verified: status, advisories, FMSPC, debug.
    Claims(TcbStatus, &'static [&'static str], &'static str),
    /// Refused by this check.
    Refused(&'static str),
}
use Verdict::{Claims, Refused};

const TABLE: &[(&str, &str, Verdict)] = &[
    (
        "v4-emr-phala",
        "2025-07-01T00:00:00Z",
        Claims(TcbStatus::UpToDate, &[], "b0c06f000000"),
    ),
    (
        "v4-emr-phala",
        "2025-06-19T10:32:27Z",
        Claims(TcbStatus::UpToDate, &[], "b0c06f000000"),
    ),
    ("v4-emr-phala", "2025-06-01T00:00:00Z", Refused("tdx-crl-not-yet")),
    ("v4-emr-phala", "2025-07-20T00:00:00Z", Refused("tdx-crl-expired")),
    (
        "v5-emr-phala-nomatch",
        "2026-03-01T00:00:00Z",
        Refused("tdx-platform-level"),
    ),
    (
        "sgx-v3-phala",
        "2025-06-25T00:00:00Z",
        Refused("tdx-quote-is-sgx"),
    ),
    (
        "v5-emr-gotdxguest",
        "2026-03-01T00:00:00Z",
        Claims(TcbStatus::UpToDate, &[], "90c06f000000"),
    ),
    (
        "v5-emr-gotdxguest",
        "2026-02-18T10:58:50Z",
        Refused("tdx-document-not-yet"),
    ),
    (
        "v5-emr-gotdxguest",
        "2026-03-20T10:58:52Z",
        Refused("tdx-crl-expired"),
    ),
    (
        "v4-gcp-cos113-ccel",
        "2025-07-15T00:00:00Z",
        Claims(TcbStatus::UpToDate, &[], "00806f050000"),
    ),
    (
        "v4-gcp-outofdate",
        "2025-07-15T00:00:00Z",
        Claims(
            TcbStatus::OutOfDate,
            &["INTEL-SA-00960", "INTEL-SA-00982", "INTEL-SA-00986"],
            "00806f050000",
        ),
    ),
    // The file ends in text that somebody added to test this; see below for the quote without it.
    (
        "v4-spr-e4-gotdxguest",
        "2023-07-01T00:00:00Z",
        Refused("tdx-quote-padding"),
    ),
    (
        "v4-azure-trustee",
        "2025-07-15T00:00:00Z",
        Refused("tdx-domain-sept-ve"),
    ),
    (
        "v4-emr-dstack-rtmr",
        "2026-03-01T00:00:00Z",
        Claims(TcbStatus::UpToDate, &[], "90c06f000000"),
    ),
];

#[test]
fn real_quotes_get_the_verdict_of_their_collection() {
    const NAME: &str = "tdx::real_quotes_get_the_verdict_of_their_collection";
    for (folder, now, verdict) in TABLE {
        let Some((quote, json)) = real(NAME, folder) else {
            return;
        };
        let verified = Collateral::parse(&json)
            .and_then(|collateral| verify(&quote, &collateral, &Anchors::intel(), time(now)));
        match (verdict, verified) {
            (Claims(status, advisories, fmspc), Ok(quote)) => {
                assert_eq!(quote.status(), *status, "{folder}");
                assert_eq!(quote.advisories(), *advisories, "{folder}");
                assert_eq!(culprit::hexadecimal(&quote.platform().fmspc), *fmspc, "{folder}");
                assert_eq!(quote.class(), Class::Real);
                assert!(quote.body().attributes.has(TdAttribute::SeptVeDisable));
                assert!(!quote.body().attributes.under_debug());
            }
            (Refused(id), Err(error)) => assert_eq!(error.id(), *id, "{folder} at {now}: {error}"),
            (_, Ok(quote)) => panic!("{folder} at {now}: accepted as {:?}", quote.status()),
            (_, Err(error)) => panic!("{folder} at {now}: {error}"),
        }
    }
}

#[test]
fn debug_is_a_claim_of_a_verified_quote() {
    const NAME: &str = "tdx::debug_is_a_claim_of_a_verified_quote";
    let Some((quote, json)) = real(NAME, "v4-debug-trustee") else {
        return;
    };
    let collateral = Collateral::parse(&json).unwrap();
    let quote = verify(
        &quote,
        &collateral,
        &Anchors::intel(),
        time("2023-07-01T00:00:00Z"),
    )
    .unwrap();
    assert!(quote.body().attributes.under_debug());
    assert!(quote.body().attributes.has(TdAttribute::Debug));
}

#[test]
fn a_quote_followed_by_text_is_judged_without_it_only_where_it_is_cut() {
    const NAME: &str = "tdx::a_quote_followed_by_text_is_judged_without_it_only_where_it_is_cut";
    let Some((quote, json)) = real(NAME, "v4-spr-e4-gotdxguest") else {
        return;
    };
    let collateral = Collateral::parse(&json).unwrap();
    let judged = |quote| {
        verify(
            quote,
            &collateral,
            &Anchors::intel(),
            time("2023-07-01T00:00:00Z"),
        )
        .unwrap_err()
    };
    assert_eq!(
        judged(&quote),
        TdxError::Quote {
            check: QuoteCheck::Padding,
            offset: 4935
        }
    );
    // As go-tdx-guest and dcap-qvl say of it: all signatures hold, and no TCB level is reached.
    let error = judged(&quote[..4935]);
    assert_eq!(error.id(), "tdx-platform-level");
    assert!(matches!(
        error,
        TdxError::Platform {
            shortfall: Some(_),
            ..
        }
    ));
}
