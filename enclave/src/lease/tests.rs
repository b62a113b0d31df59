//! Tests of the lease: its end by time and by tokens.

use super::*;

fn lease(seconds: u64, tokens: u64) -> (Arc<Clock>, Lifecycle, Lease) {
    let clock = Arc::new(Clock::for_tests());
    let lifecycle = Lifecycle::new();
    let terms = Terms::new(clock.now(), seconds, tokens);
    let lease = Lease::new(terms, Arc::clone(&clock), lifecycle.clone());
    (clock, lifecycle, lease)
}

#[test]
fn it_ends_its_lifetime_after_the_request_was_sent() {
    let clock = Arc::new(Clock::for_tests());
    let sent = clock.now();
    // The answer takes 40 seconds: they count.
    clock.skip(Duration::from_secs(40));
    let lifecycle = Lifecycle::new();
    let lease = Lease::new(Terms::new(sent, 100, 0), Arc::clone(&clock), lifecycle.clone());
    assert_eq!(lease.seconds_left(), 59);
    clock.skip(Duration::from_secs(59));
    assert!(lease.spend(1).is_ok());
    assert_eq!(lifecycle.cause(), None);
    clock.skip(Duration::from_secs(1));
    assert!(lease.spend(1).is_err());
    assert_eq!(lease.seconds_left(), 0);
    assert_eq!(lifecycle.cause(), Some(Cause::LeaseEnded));
}

#[test]
fn a_budget_is_spent_to_the_last_token_and_not_beyond() {
    let (_, lifecycle, lease) = lease(100, 10);
    assert!(lease.spend(9).is_ok());
    assert!(lease.spend(0).is_ok());
    assert!(lease.spend(1).is_ok());
    assert_eq!(lifecycle.cause(), None);
    assert_eq!(lease.spend(1).err(), Some(LeaseEnded));
    assert_eq!(lifecycle.cause(), Some(Cause::LeaseEnded));
}

#[test]
fn asking_for_more_than_is_left_ends_it() {
    let (_, _, lease) = lease(100, 10);
    assert!(lease.spend(11).is_err());
    assert!(lease.spend(1).is_err(), "once ended it stays ended");
    assert!(lease.spend(0).is_err());
}

#[test]
fn a_prompt_beyond_the_budget_takes_nothing_until_the_budget_is_used_up() {
    let (_, lifecycle, lease) = lease(100, 10);
    assert_eq!(lease.admit(11).err(), Some(NotCovered::Budget));
    assert!(lease.admit(4).is_ok());
    assert_eq!(lease.admit(7).err(), Some(NotCovered::Budget));
    assert_eq!(lifecycle.cause(), None);
    assert!(lease.admit(6).is_ok());
    assert_eq!(lease.admit(1).err(), Some(NotCovered::Ended));
    assert_eq!(lifecycle.cause(), Some(Cause::LeaseEnded));
}

#[test]
fn no_budget_means_time_alone() {
    let (_, _, lease) = lease(100, 0);
    assert!(lease.spend(u64::MAX).is_ok());
    assert!(lease.spend(u64::MAX).is_ok());
}

#[test]
fn a_lease_of_no_time_is_over_at_once() {
    let (_, lifecycle, lease) = lease(0, 0);
    assert!(lease.spend(0).is_err());
    assert_eq!(lifecycle.cause(), Some(Cause::LeaseEnded));
}

#[test]
fn renewal_replaces_time_and_budget_but_revives_nothing() {
    let (clock, lifecycle, lease) = lease(100, 10);
    assert!(lease.spend(10).is_ok());
    clock.skip(Duration::from_secs(90));
    lease.renew(Terms::new(clock.now(), 100, 5)).unwrap();
    assert_eq!(lease.seconds_left(), 99);
    assert!(lease.spend(5).is_ok());
    clock.skip(Duration::from_secs(100));
    assert!(lease.renew(Terms::new(clock.now(), 100, 5)).is_err());
    assert!(lease.spend(0).is_err());
    assert_eq!(lifecycle.cause(), Some(Cause::LeaseEnded));
}

#[test]
fn an_answer_held_back_beyond_its_own_lifetime_renews_nothing() {
    let (clock, lifecycle, lease) = lease(1000, 0);
    let sent = clock.now();
    clock.skip(Duration::from_secs(100));
    assert!(lease.renew(Terms::new(sent, 100, 0)).is_err());
    assert_eq!(lifecycle.cause(), Some(Cause::LeaseEnded));
}

#[test]
fn an_absurd_lifetime_is_cut() {
    let terms = Terms::new(Moment::START, u64::MAX, 0);
    assert_eq!(terms.lifetime.as_secs(), limits::LEASE_SECONDS_MAX);
}

#[tokio::test]
async fn half_is_by_time_or_by_tokens() {
    let (clock, _, by_time) = lease(1000, 0);
    clock.skip(Duration::from_secs(500));
    assert!(by_time.half().await.is_ok());

    let (_, _, by_tokens) = lease(1000, 10);
    assert!(by_tokens.spend(4).is_ok());
    let half = by_tokens.half();
    tokio::pin!(half);
    tokio::select! {
        biased;
        _ = &mut half => panic!("six of ten are left"),
        () = tokio::task::yield_now() => {}
    }
    assert!(by_tokens.spend(1).is_ok());
    assert!(half.await.is_ok());
}

#[tokio::test]
async fn whoever_waits_hears_of_the_end() {
    let (_, _, lease) = lease(1000, 10);
    let lease = Arc::new(lease);
    let half = tokio::spawn({
        let lease = Arc::clone(&lease);
        async move { lease.half().await }
    });
    let ended = tokio::spawn({
        let lease = Arc::clone(&lease);
        async move { lease.ended().await }
    });
    tokio::task::yield_now().await;
    assert!(lease.spend(11).is_err());
    assert_eq!(half.await.unwrap(), Err(LeaseEnded));
    assert_eq!(ended.await.unwrap(), LeaseEnded);
    assert_eq!(lease.pause(Duration::from_secs(100)).await, Err(LeaseEnded));
}
