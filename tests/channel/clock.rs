//! The client's own clock, moved by hand: what it calls old is refused, and that it is wrong by an hour is no
//! enclave's affair.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anchorhold::client::{ClientError, Enclave, bind, connect, verify};
use anchorhold::clock::Clock;
use anchorhold::tls::PeerKey;
use anchorhold_attestation::{ChannelError, RuleId, Timestamp};
use anchorhold_tests::process::PATIENCE;

use crate::caller::{Proxy, question};
use crate::genuine;
use crate::liar::{Build, Desk, GENUINE, Liar, MODEL, policy, url};
use crate::pool::asked;
use crate::wire::runtime;

/// Where the hands of a test's clock start.
const START: u64 = 1_800_000_000;

/// A clock whose first reading is [`START`] and all later ones `later` seconds after it.
fn jumping(later: i64) -> Clock {
    let readings = AtomicU64::new(0);
    Clock::new(move || {
        let first = readings.fetch_add(1, Ordering::SeqCst) == 0;
        let later = if first { 0 } else { later };
        Timestamp::from_unix(START.saturating_add_signed(later))
    })
}

/// A clock that a test sets.
fn hands() -> (Arc<AtomicI64>, Clock) {
    let moved = Arc::new(AtomicI64::new(0));
    let read = Arc::clone(&moved);
    let clock =
        Clock::new(move || Timestamp::from_unix(START.saturating_add_signed(read.load(Ordering::SeqCst))));
    (moved, clock)
}

fn rule(error: &ClientError) -> RuleId {
    match error {
        ClientError::Denied(denial) => denial.reasons()[0].rule,
        other => panic!("{other}"),
    }
}

#[test]
fn a_nonce_that_became_stale_or_comes_from_the_future_is_denied() {
    let liar = Liar::start();
    let endpoint = liar.url().parse().unwrap();
    runtime().block_on(async {
        for (line, age) in [("", 600), ("max_age_seconds = 7", 7)] {
            for (later, denied) in [
                (0, false),
                (age - 1, false),
                (age, true),
                (-1, true),
                (3600, true),
            ] {
                let judged = verify(&endpoint, &policy(line).into(), &jumping(later)).await;
                match judged {
                    Ok(_) => assert!(!denied, "{line} {later}"),
                    Err(error) => {
                        assert!(denied, "{line} {later}: {error}");
                        assert_eq!(rule(&error), RuleId::NonceAge);
                    }
                }
            }
        }
    });
}

#[test]
fn evidence_ends_with_the_enclaves_life_by_the_clients_clock() {
    let liar = Liar::of(Build {
        not_after: START + 100,
        ..GENUINE
    });
    let endpoint = liar.url().parse().unwrap();
    let (moved, clock) = hands();
    runtime().block_on(async {
        moved.store(99, Ordering::SeqCst);
        let verified = verify(&endpoint, &policy("").into(), &clock).await.unwrap();
        assert_eq!(verified.identity.valid_until().unix(), START + 100);
        moved.store(100, Ordering::SeqCst);
        let late = verify(&endpoint, &policy("").into(), &clock).await.err().unwrap();
        assert_eq!(rule(&late), RuleId::NotAfter);
    });
}

#[test]
fn nothing_is_sent_or_bound_under_evidence_that_is_too_old() {
    let liar = Liar::start();
    let endpoint = liar.url().parse().unwrap();
    let (moved, clock) = hands();
    runtime().block_on(async {
        let verified = verify(&endpoint, &policy("").into(), &clock).await.unwrap();
        let identity = Arc::new(verified.identity);
        let mut bound = bind(verified.connection, Arc::clone(&identity), &clock)
            .await
            .unwrap();
        moved.store(600, Ordering::SeqCst);
        let late = bound.request(&asked(MODEL, false)).await.err().unwrap();
        assert!(
            late.unsent && matches!(late.error, ClientError::Expired),
            "{late:?}"
        );
        let another = connect(&endpoint, PeerKey::Unknown).await.unwrap();
        let late = bind(another, Arc::clone(&identity), &clock).await.err().unwrap();
        assert!(
            matches!(late, ClientError::Channel(ChannelError::Expired)),
            "{late}"
        );
        assert_eq!(liar.questions(), 0);
        moved.store(599, Ordering::SeqCst);
        assert!(bound.request(&asked(MODEL, false)).await.is_ok());
        assert_eq!(liar.questions(), 1);
    });
}

#[test]
fn a_client_whose_clock_is_an_hour_off_talks_to_a_real_enclave() {
    let genuine = genuine::shared();
    runtime().block_on(async {
        for off in [-3600, 3600] {
            let clock = crate::liar::clock_off_by(off);
            let endpoint = url(genuine.address(0)).parse().unwrap();
            let enclave = Arc::new(Enclave::new(endpoint, genuine.policy(), clock));
            let exchange = enclave
                .ask(asked(anchorhold_tests::world::MODEL_NAME, false))
                .await;
            let whole = exchange.unwrap().whole().await.unwrap();
            assert!(whole.receipt.is_some(), "{off}");
        }
    });
}

#[test]
fn the_client_verifies_again_before_the_evidence_is_too_old() {
    let liar = Liar::start();
    let (moved, clock) = hands();
    runtime().block_on(async {
        let enclave = Arc::new(Enclave::new(liar.url().parse().unwrap(), policy(""), clock));
        for (seconds, attested) in [(0, 1), (479, 1), (480, 2), (959, 2), (960, 3)] {
            moved.store(seconds, Ordering::SeqCst);
            let exchange = enclave.ask(asked(MODEL, false)).await.unwrap();
            exchange.whole().await.unwrap();
            assert_eq!(liar.attested(), attested, "after {seconds} s");
        }
    });
}

#[test]
fn an_idle_proxy_verifies_again_by_itself_and_answers_under_new_evidence() {
    let (liar, desk) = (Liar::start(), Desk::with("max_age_seconds = 3"));
    let proxy = Proxy::start(&liar.url(), &desk.text("policy.toml"), &[]);
    let started = Instant::now();
    while liar.attested() < 3 {
        assert!(
            started.elapsed() < PATIENCE,
            "it does not verify again: {}",
            liar.attested()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(liar.questions(), 0, "nobody asked anything");
    proxy.ask(&question(MODEL, "q", false)).expect_text();
}
