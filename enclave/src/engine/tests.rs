//! Passes, cancellation, lease, drain and failure of the model's thread.

use std::sync::Arc;
use std::time::Duration;

use anchorhold_models::{Finish, FinishReason, SamplingParams, Usage};
use zeroize::Zeroizing;

use super::fake::{Did, Fake, SLICE, Seen};
use super::job::Reply;
use super::*;
use crate::clock::{Clock, Moment};
use crate::lease::Terms;
use crate::limits;

/// Requests that run at one time.
const RUNNING: usize = 8;

struct World {
    engine: Engine,
    lifecycle: Lifecycle,
    metrics: Arc<Metrics>,
    clock: Arc<Clock>,
}

impl World {
    fn new(fake: Fake, queue: usize, lease_tokens: u64) -> Self {
        let clock = Arc::new(Clock::for_tests());
        let lifecycle = Lifecycle::new();
        let terms = Terms::new(Moment::START, 3600, lease_tokens);
        let metrics = Arc::new(Metrics::new(Arc::clone(&clock)));
        let settings = Settings {
            queue,
            running: RUNNING,
            lease: Arc::new(Lease::new(terms, Arc::clone(&clock), lifecycle.clone())),
            lifecycle: lifecycle.clone(),
            metrics: Arc::clone(&metrics),
        };
        Self {
            engine: start(fake, settings).unwrap(),
            lifecycle,
            metrics,
            clock,
        }
    }

    fn ask(&self, text: &str) -> Result<Answering, Refusal> {
        self.engine.handle.generate(Order {
            prompt: Prompt::Text(Zeroizing::new(text.to_owned())),
            tools: None,
            constraint: None,
            sampling: SamplingParams::default(),
            most_tokens: 1_000_000,
        })
    }
}

/// The whole answer, or how far it came.
async fn whole(mut answering: Answering) -> (String, Result<Finish, Refusal>) {
    let mut text = String::new();
    loop {
        match answering.next().await {
            Reply::Started => {}
            Reply::Piece(delta) => text.push_str(&delta.text),
            Reply::Finished(finish) => return (text, Ok(finish)),
            Reply::Refused(refusal) => return (text, Err(refusal)),
        }
    }
}

async fn pieces(answering: &mut Answering, count: usize) {
    let mut seen = 0;
    while seen < count {
        match answering.next().await {
            Reply::Piece(_) => seen += 1,
            Reply::Started => {}
            Reply::Finished(_) | Reply::Refused(_) => panic!("it ended after {seen} pieces"),
        }
    }
}

#[tokio::test]
async fn an_answer_comes_back_with_its_counts() {
    let (fake, _) = Fake::decoder();
    let world = World::new(fake, 8, 0);
    let (text, finish) = whole(world.ask("a bc d").unwrap()).await;
    assert_eq!(text, "a bc d");
    let usage = Usage {
        prompt_tokens: 3,
        completion_tokens: 3,
    };
    assert_eq!(
        finish,
        Ok(Finish {
            reason: FinishReason::Stop,
            usage
        })
    );
}

#[tokio::test]
async fn an_endless_answer_does_not_hold_up_a_short_one() {
    let (fake, _) = Fake::decoder();
    let world = World::new(fake, 8, 0);
    let _endless = world.ask("endless").unwrap();
    assert!(whole(world.ask("short").unwrap()).await.1.is_ok());
}

#[tokio::test]
async fn leaving_frees_the_model_within_one_token() {
    let (fake, seen, permit) = Fake::paced();
    let world = World::new(fake, 8, 0);
    let mut answering = world.ask("endless").unwrap();
    for _ in 0..3 {
        permit.send(()).unwrap();
    }
    pieces(&mut answering, 3).await;
    drop(answering);
    drop(permit);
    // An answer after it proves that the thread went on; its steps are one prefill, two tokens and the end.
    assert!(whole(world.ask("a b").unwrap()).await.1.is_ok());
    // One prefill and three tokens were wanted; at most one more pass was under way.
    assert!((8..=9).contains(&seen.steps()), "{}", seen.steps());
}

#[tokio::test]
async fn leaving_ends_the_work_on_a_long_prompt() {
    let (fake, seen) = Fake::decoder();
    let world = World::new(fake, 8, 0);
    let mut answering = world.ask("slices").unwrap();
    assert!(matches!(answering.next().await, Reply::Started));
    drop(answering);
    assert!(whole(world.ask("a").unwrap()).await.1.is_ok());
    let steps = seen.steps();
    assert!(whole(world.ask("a").unwrap()).await.1.is_ok());
    // A prefill, a token and the end, and nothing beside them.
    assert_eq!(seen.steps(), steps + 3);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_those_who_left_make_room() {
    let (fake, _, permit) = Fake::paced();
    let world = World::new(fake, 2, 0);
    let mut first = world.ask("endless").unwrap();
    permit.send(()).unwrap();
    pieces(&mut first, 1).await;
    // The thread waits for a permit within a step: it takes nothing from the queue.
    let waiting = world.ask("a").unwrap();
    let leaving = world.ask("b").unwrap();
    assert_eq!(world.ask("c").err(), Some(Refusal::QueueFull));
    drop(leaving);
    let late = world.ask("d").unwrap();
    assert_eq!(world.ask("e").err(), Some(Refusal::QueueFull));
    world.clock.skip(Duration::from_secs(61));
    assert!(world.metrics.text().contains("anchorhold_queue_full_total 16"));
    drop((first, permit));
    assert!(whole(waiting).await.1.is_ok());
    assert!(whole(late).await.1.is_ok());
}

#[tokio::test]
async fn no_more_than_the_limit_runs_at_one_time() {
    let (fake, seen) = Fake::decoder();
    let world = World::new(fake, 64, 0);
    let running: Vec<_> = (0..RUNNING).map(|_| world.ask("endless").unwrap()).collect();
    let mut waiting = world.ask("a").unwrap();
    while seen.steps() < 10 * RUNNING {
        tokio::task::yield_now().await;
    }
    assert!(
        tokio::time::timeout(Duration::from_millis(20), waiting.next())
            .await
            .is_err()
    );
    drop(running);
    assert!(whole(waiting).await.1.is_ok());
}

/// The passes that `text` was in, by number, and what each did for it.
fn passes_of(seen: &Seen, text: usize) -> Vec<(usize, Did)> {
    let passes = seen.passes().into_iter().enumerate();
    passes
        .flat_map(|(number, pass)| pass.into_iter().map(move |(of, did)| (number, of, did)))
        .filter(|(_, of, _)| *of == text)
        .map(|(number, _, did)| (number, did))
        .collect()
}

#[tokio::test]
async fn one_pass_serves_all_that_run_and_they_join_and_leave_between_two() {
    let (fake, seen, permit) = Fake::paced();
    let world = World::new(fake, 8, 0);
    let mut first = world.ask("endless").unwrap();
    permit.send(()).unwrap();
    pieces(&mut first, 1).await;
    let second = world.ask("a b").unwrap();
    let third = world.ask("c").unwrap();
    drop(permit);
    assert_eq!(whole(second).await.0, "a b");
    assert_eq!(whole(third).await.0, "c");
    drop(first);
    world.engine.stop();
    world.engine.stopped().await;
    let passes = seen.passes();
    assert!(passes.iter().any(|pass| pass.len() == 3), "all three at once");
    for (text, words) in [(1, 2), (2, 1)] {
        let own = passes_of(&seen, text);
        // Its prompt, its words and its end, in passes that follow one another, and it is in none after.
        let expected: Vec<Did> = std::iter::once(Did::Prompt(words))
            .chain(std::iter::repeat_n(Did::Word, words + 1))
            .collect();
        assert_eq!(own.iter().map(|(_, did)| *did).collect::<Vec<_>>(), expected);
        let (start, end) = (own[0].0, own[own.len() - 1].0);
        assert_eq!(end - start + 1, own.len());
        assert!(
            passes[start..=end]
                .iter()
                .all(|pass| pass.contains(&(0, Did::Word))),
            "who runs already gets a token in each pass"
        );
    }
}

#[tokio::test]
async fn a_long_prompt_holds_up_neither_running_answers_nor_short_prompts() {
    let (fake, seen) = Fake::decoder();
    let world = World::new(fake, 8, 0);
    let mut running = world.ask("endless").unwrap();
    pieces(&mut running, 1).await;
    let long = world.ask("slices").unwrap();
    while passes_of(&seen, 1).len() < 20 {
        tokio::task::yield_now().await;
    }
    assert_eq!(whole(world.ask("a b c").unwrap()).await.0, "a b c");
    drop(long);
    drop(running);
    world.engine.stop();
    world.engine.stopped().await;
    let passes = seen.passes();
    let (joined, _) = passes_of(&seen, 1)[0];
    let short = passes_of(&seen, 2);
    for pass in &passes[joined..=short[short.len() - 1].0] {
        assert!(pass.contains(&(0, Did::Word)), "{pass:?}");
    }
    // The short prompt waits for one pass at most, however long the other one is.
    let waited = short.iter().take_while(|(_, did)| *did == Did::Waited).count();
    assert!(waited <= 1, "it waited for {waited} passes");
}

#[tokio::test]
async fn long_prompts_take_turns_and_a_crowd_of_short_ones_starves_none() {
    let (fake, seen) = Fake::decoder();
    let world = World::new(fake, 64, 0);
    let long: Vec<_> = (0..3).map(|_| world.ask("slices").unwrap()).collect();
    while seen.passes().iter().filter(|pass| pass.len() == 3).count() < 30 {
        tokio::task::yield_now().await;
    }
    let alone = seen.passes().len();
    for _ in 0..20 {
        assert!(whole(world.ask("a b c d").unwrap()).await.1.is_ok());
    }
    let crowded = seen.passes().len();
    drop(long);
    world.engine.stop();
    world.engine.stopped().await;
    let passes = seen.passes();
    let moved = |pass: &[(usize, Did)]| -> Vec<usize> {
        let moved = pass.iter().filter(|(_, did)| matches!(did, Did::Prompt(_)));
        moved.map(|(text, _)| *text).collect()
    };
    let all = passes.iter().position(|pass| pass.len() == 3).unwrap();
    // A slice is as long as what each of them wants, so that one gets on in each pass: each in its turn.
    for window in passes[all..alone].windows(3) {
        let mut turns: Vec<usize> = window.iter().flat_map(|pass| moved(pass)).collect();
        turns.sort_unstable();
        assert_eq!(turns, [0, 1, 2], "{SLICE} words are one slice");
    }
    // With one short prompt after the other beside them, each still has its turn.
    for window in passes[alone..crowded].windows(6) {
        let turns: Vec<usize> = window.iter().flat_map(|pass| moved(pass)).collect();
        assert!((0..3).all(|text| turns.contains(&text)), "{turns:?}");
    }
}

#[tokio::test]
async fn without_memory_a_request_is_refused_at_once_and_taken_when_another_left() {
    let (fake, seen, permit) = Fake::paced();
    let world = World::new(fake.with_places(1), 8, 0);
    let mut first = world.ask("endless").unwrap();
    permit.send(()).unwrap();
    pieces(&mut first, 1).await;
    let second = world.ask("a").unwrap();
    permit.send(()).unwrap();
    assert_eq!(whole(second).await.1, Err(Refusal::NoCapacity));
    // A prompt and two tokens, and the step that waits for a permit: meanwhile nobody joins.
    while seen.steps() < 4 {
        tokio::task::yield_now().await;
    }
    let third = world.ask("b").unwrap();
    drop((first, permit));
    // Who left made room before the next one was looked at.
    assert_eq!(whole(third).await.0, "b");
    assert_eq!(whole(world.ask("c").unwrap()).await.0, "c");
    world.clock.skip(Duration::from_secs(61));
    assert!(world.metrics.text().contains("anchorhold_no_capacity_total 16"));
}

#[tokio::test]
async fn what_fits_no_memory_is_refused_with_both_numbers() {
    let (fake, seen) = Fake::decoder();
    let world = World::new(fake, 8, 0);
    let refused = Refusal::NeverFits {
        needed: 96,
        total: 64,
    };
    assert_eq!(whole(world.ask("vast").unwrap()).await.1, Err(refused));
    assert_eq!(seen.steps(), 0);
}

#[tokio::test]
async fn a_panic_fails_the_request_and_drops_the_model() {
    let (fake, seen) = Fake::decoder();
    let world = World::new(fake, 8, 0);
    let beside = world.ask("endless").unwrap();
    let (_, outcome) = whole(world.ask("panic").unwrap()).await;
    assert_eq!(outcome, Err(Refusal::Failed));
    assert_eq!(world.lifecycle.draining().await, Cause::ModelFailed);
    assert_eq!(whole(beside).await.1, Err(Refusal::Failed));
    let handle = world.engine.handle();
    world.engine.stopped().await;
    assert!(seen.is_dropped());
    let texts = Vec::new();
    assert_eq!(handle.embed(texts).err(), Some(Refusal::WrongModelKind));
    assert_eq!(
        handle.push(job::embed(Vec::new(), Arc::clone(&handle.account)).0),
        Err(Refusal::ShuttingDown)
    );
}

#[tokio::test]
async fn a_failed_step_fails_its_request_alone() {
    let (fake, _) = Fake::decoder();
    let world = World::new(fake, 8, 0);
    assert_eq!(whole(world.ask("fail").unwrap()).await.1, Err(Refusal::Failed));
    assert!(whole(world.ask("a").unwrap()).await.1.is_ok());
    assert_eq!(world.lifecycle.cause(), None);
}

#[tokio::test]
async fn the_lease_covers_prompt_and_answer_to_the_token() {
    // Two tokens of prompt and two of answer, exactly.
    let (fake, _) = Fake::decoder();
    let world = World::new(fake, 8, 4);
    assert!(whole(world.ask("a b").unwrap()).await.1.is_ok());
    assert_eq!(world.lifecycle.cause(), None);

    let (fake, seen) = Fake::decoder();
    let world = World::new(fake, 8, 3);
    let (text, outcome) = whole(world.ask("a b").unwrap()).await;
    assert_eq!((text.as_str(), outcome), ("a ", Err(Refusal::ShuttingDown)));
    assert_eq!(world.lifecycle.draining().await, Cause::LeaseEnded);
    world.engine.stopped().await;
    assert!(seen.is_dropped());

    let (fake, seen) = Fake::decoder();
    let world = World::new(fake, 8, 1);
    assert_eq!(
        whole(world.ask("a b").unwrap()).await,
        (String::new(), Err(Refusal::LeaseBudget))
    );
    assert_eq!(seen.steps(), 0);
    // One long prompt ends nothing for the others.
    assert_eq!(world.lifecycle.cause(), None);
}

#[tokio::test]
async fn a_lease_that_ends_by_time_ends_what_runs() {
    let (fake, seen) = Fake::decoder();
    let world = World::new(fake, 8, 0);
    let mut answering = world.ask("endless").unwrap();
    pieces(&mut answering, 1).await;
    world.clock.skip(Duration::from_secs(3600));
    assert_eq!(whole(answering).await.1, Err(Refusal::ShuttingDown));
    assert_eq!(world.lifecycle.draining().await, Cause::LeaseEnded);
    world.engine.stopped().await;
    assert!(seen.is_dropped());
}

#[tokio::test]
async fn draining_finishes_what_was_taken_and_takes_no_more() {
    let (fake, seen, permit) = Fake::paced();
    let world = World::new(fake, 8, 0);
    let mut running = world.ask("a b").unwrap();
    permit.send(()).unwrap();
    pieces(&mut running, 1).await;
    let queued = world.ask("c").unwrap();
    world.lifecycle.drain(Cause::Signal);
    while world.ask("d").is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.ask("d").err(), Some(Refusal::ShuttingDown));
    drop(permit);
    assert!(whole(running).await.1.is_ok());
    assert!(whole(queued).await.1.is_ok());
    world.engine.stopped().await;
    assert!(seen.is_dropped());
}

#[tokio::test]
async fn stopping_ends_everything_within_one_step() {
    let (fake, seen, permit) = Fake::paced();
    let world = World::new(fake, 8, 0);
    let mut running = world.ask("endless").unwrap();
    permit.send(()).unwrap();
    pieces(&mut running, 1).await;
    let queued = world.ask("c").unwrap();
    world.engine.stop();
    assert_eq!(whole(queued).await.1, Err(Refusal::ShuttingDown));
    drop(permit);
    assert_eq!(whole(running).await.1, Err(Refusal::ShuttingDown));
    world.engine.stopped().await;
    assert!(seen.is_dropped());
}

#[tokio::test]
async fn texts_are_embedded_in_order_until_one_is_refused() {
    let (fake, seen) = Fake::new(Abilities::Embed { width: 3 });
    let world = World::new(fake, 8, 0);
    let texts = |texts: &[&str]| {
        texts
            .iter()
            .map(|text| Zeroizing::new((*text).to_owned()))
            .collect()
    };
    let mut embeddings = world.engine.handle.embed(texts(&["a", "b c"])).unwrap();
    assert_eq!(embeddings.next().await.unwrap().values[0], 1.0);
    let second = embeddings.next().await.unwrap();
    assert_eq!((second.values[0], second.tokens), (3.0, 2));
    assert_eq!(seen.steps(), 1, "short texts are embedded together");
    let mut embeddings = world.engine.handle.embed(texts(&["long", "never"])).unwrap();
    assert_eq!(
        embeddings.next().await.err(),
        Some(Refusal::InputTooLong { limit: 32 })
    );
    assert_eq!(embeddings.next().await.err(), Some(Refusal::Failed));
    assert_eq!(seen.steps(), 3);
    // What stands before a text that is refused is given, as if each came alone.
    let mut embeddings = world.engine.handle.embed(texts(&["a", "long", "never"])).unwrap();
    assert_eq!(embeddings.next().await.unwrap().values[0], 1.0);
    assert_eq!(
        embeddings.next().await.err(),
        Some(Refusal::InputTooLong { limit: 32 })
    );
    assert_eq!(embeddings.next().await.err(), Some(Refusal::Failed));
    assert_eq!(seen.steps(), 6);
    // Long ones have a pass each.
    let long = "x".repeat(limits::EMBEDDED_TOGETHER);
    let mut embeddings = world.engine.handle.embed(texts(&["a", &long, "b"])).unwrap();
    for _ in 0..3 {
        assert!(embeddings.next().await.is_ok());
    }
    assert_eq!(seen.steps(), 9);
    assert_eq!(world.ask("a").err(), Some(Refusal::WrongModelKind));
}

/// How long anybody waits, in passes: what that takes in time is `anchorhold-bench cadence`.
#[tokio::test]
async fn a_newcomers_first_word_comes_a_step_after_its_slices_and_nobody_misses_a_pass() {
    const SLICES: usize = 3;
    let (fake, seen) = Fake::decoder();
    let world = World::new(fake, 64, 0);
    let mut running = Vec::new();
    for _ in 1..RUNNING {
        let mut answering = world.ask("endless").unwrap();
        pieces(&mut answering, 1).await;
        running.push(answering);
    }
    let prompt = ["a"; SLICES * SLICE].join(" ");
    for _ in 0..4 {
        assert!(whole(world.ask(&prompt).unwrap()).await.1.is_ok());
    }
    drop(running);
    world.engine.stop();
    world.engine.stopped().await;
    let passes = seen.passes();
    for newcomer in RUNNING - 1..RUNNING + 3 {
        let own = passes_of(&seen, newcomer);
        let first_word = own.iter().position(|(_, did)| *did == Did::Word);
        assert_eq!(first_word, Some(SLICES), "{own:?}");
        let (joined, said) = (own[0].0, own[SLICES].0);
        assert_eq!(said - joined, SLICES, "each pass has a slice of it");
        for pass in &passes[joined..=said] {
            for running in 0..RUNNING - 1 {
                assert!(pass.contains(&(running, Did::Word)), "{running} in {pass:?}");
            }
        }
    }
}
