//! Each setting on known logits, against what it is defined to do.

use super::*;
use proptest::prelude::*;

fn sampler(params: SamplingParams, prompt: &[u32], vocabulary: usize) -> Sampler {
    Sampler::new(params.validate().unwrap(), prompt, vocabulary)
}

fn draw(sampler: &mut Sampler, logits: &mut [f32]) -> u32 {
    sampler.draw(Kernels::detect(), logits, None)
}

/// How often each id is drawn, of 20,000 draws.
fn shares(logits: &[f32], params: SamplingParams) -> Vec<f64> {
    let mut sampler = sampler(
        SamplingParams {
            seed: Some(7),
            ..params
        },
        &[],
        logits.len(),
    );
    let mut counts = vec![0.0; logits.len()];
    for _ in 0..20_000 {
        counts[draw(&mut sampler, &mut logits.to_vec()) as usize] += 1.0 / 20_000.0;
    }
    counts
}

fn near(found: &[f64], expected: &[f64]) {
    // Four standard deviations of a share of 20,000 draws are at most 0.0142.
    let fine = found
        .iter()
        .zip(expected)
        .all(|(found, expected)| (found - expected).abs() < 0.0142);
    assert!(fine, "{found:?} is not {expected:?}");
    let never = found
        .iter()
        .zip(expected)
        .all(|(found, expected)| *expected > 0.0 || *found == 0.0);
    assert!(never, "{found:?} draws what {expected:?} excludes");
}

/// Logits of the probabilities 0.5, 0.3, 0.15, 0.05 in another order than their ids.
fn logits() -> Vec<f32> {
    [0.15f32, 0.5, 0.05, 0.3]
        .iter()
        .map(|share| share.ln() + 3.0)
        .collect()
}

#[test]
fn the_default_draws_from_the_models_distribution() {
    near(
        &shares(&logits(), SamplingParams::default()),
        &[0.15, 0.5, 0.05, 0.3],
    );
}

#[test]
fn temperature_sharpens() {
    let squares = [0.0225, 0.25, 0.0025, 0.09].map(|square: f64| square / 0.365);
    near(
        &shares(
            &logits(),
            SamplingParams {
                temperature: 0.5,
                ..Default::default()
            },
        ),
        &squares,
    );
}

#[test]
fn top_k_keeps_the_likeliest() {
    let expected = [0.0, 0.625, 0.0, 0.375];
    near(
        &shares(
            &logits(),
            SamplingParams {
                top_k: Some(2),
                ..Default::default()
            },
        ),
        &expected,
    );
    let all = SamplingParams {
        top_k: Some(9),
        ..Default::default()
    };
    near(&shares(&logits(), all), &[0.15, 0.5, 0.05, 0.3]);
}

#[test]
fn top_p_keeps_the_token_that_crosses_it() {
    let expected = [0.0, 0.625, 0.0, 0.375];
    near(
        &shares(
            &logits(),
            SamplingParams {
                top_p: 0.6,
                ..Default::default()
            },
        ),
        &expected,
    );
    near(
        &shares(
            &logits(),
            SamplingParams {
                top_p: 0.4,
                ..Default::default()
            },
        ),
        &[0.0, 1.0, 0.0, 0.0],
    );
}

#[test]
fn min_p_is_relative_to_the_likeliest() {
    let expected = [0.15 / 0.95, 0.5 / 0.95, 0.0, 0.3 / 0.95];
    near(
        &shares(
            &logits(),
            SamplingParams {
                min_p: 0.2,
                ..Default::default()
            },
        ),
        &expected,
    );
}

#[test]
fn top_p_counts_after_top_k() {
    // Of 0.625 and 0.375, the first alone reaches 0.6.
    let params = SamplingParams {
        top_k: Some(2),
        top_p: 0.6,
        ..Default::default()
    };
    near(&shares(&logits(), params), &[0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn temperature_zero_takes_the_lowest_of_the_likeliest() {
    let mut sampler = sampler(
        SamplingParams {
            temperature: 0.0,
            ..Default::default()
        },
        &[],
        4,
    );
    assert_eq!(draw(&mut sampler, &mut [1.0, 2.0, 2.0, 0.0]), 1);
    assert_eq!(draw(&mut sampler, &mut [-1.0, -2.0, -1.0, -3.0]), 0);
}

#[test]
fn penalties_follow_their_definitions() {
    let params = SamplingParams {
        repetition_penalty: 2.0,
        presence_penalty: 0.5,
        frequency_penalty: 0.25,
        temperature: 0.0,
        ..Default::default()
    };
    // Ids 0 and 1 are in the prompt; the answer then has 2 twice.
    let mut sampler = sampler(params, &[0, 1], 4);
    assert_eq!(draw(&mut sampler, &mut [0.0, 0.0, 9.0, 0.0]), 2);
    assert_eq!(draw(&mut sampler, &mut [0.0, 0.0, 9.0, 0.0]), 2);
    let mut logits = [4.0, -4.0, 4.0, 1.0];
    draw(&mut sampler, &mut logits);
    assert_eq!(logits, [2.0, -8.0, 4.0 / 2.0 - 0.5 - 2.0 * 0.25, 1.0]);
}

#[test]
fn a_seed_decides_everything_and_none_is_random() {
    let flat = vec![0.0f32; 1000];
    let run = |seed| {
        let mut sampler = sampler(
            SamplingParams {
                seed,
                ..Default::default()
            },
            &[],
            1000,
        );
        (0..32)
            .map(|_| draw(&mut sampler, &mut flat.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(Some(1)), run(Some(1)));
    assert_ne!(run(Some(1)), run(Some(2)));
    assert_ne!(run(None), run(None));
}

/// A race that was held elsewhere counts as a draw, and gives what would have been drawn.
#[test]
fn a_race_held_before_is_the_draw() {
    let seeded = || {
        let params = SamplingParams {
            seed: Some(3),
            ..Default::default()
        };
        sampler(params, &[], 50)
    };
    let (mut here, mut elsewhere) = (seeded(), seeded());
    let logits: Vec<f32> = (0..50).map(|i| (i * 7 % 5) as f32).collect();
    let mut all = Vec::new();
    for _ in 0..20 {
        let mut scores = logits.clone();
        elsewhere.race().unwrap().score(Kernels::detect(), &mut scores);
        let winner = Lead::of(Kernels::detect(), 0, &scores).output();
        let drawn = draw(&mut here, &mut logits.clone());
        assert_eq!(
            elsewhere.draw(Kernels::detect(), &mut logits.clone(), Some(winner)),
            drawn
        );
        all.push(drawn);
    }
    all.dedup();
    assert!(all.len() > 5);
}

/// Where not all run, or not by the model's logits, nobody races before.
#[test]
fn filters_and_penalties_are_no_race() {
    let default = SamplingParams::default;
    let race = |params: SamplingParams| sampler(params, &[], 9).race().is_some();
    assert!(race(default()));
    for params in [
        SamplingParams {
            top_k: Some(3),
            ..default()
        },
        SamplingParams {
            top_p: 0.9,
            ..default()
        },
        SamplingParams {
            min_p: 0.1,
            ..default()
        },
    ] {
        assert!(!race(params));
    }
    let cold = |params| SamplingParams {
        temperature: 0.0,
        ..params
    };
    assert!(race(cold(SamplingParams {
        top_p: 0.9,
        ..default()
    })));
    for params in [
        SamplingParams {
            presence_penalty: 0.1,
            ..default()
        },
        SamplingParams {
            frequency_penalty: 0.1,
            ..default()
        },
        SamplingParams {
            repetition_penalty: 1.1,
            ..default()
        },
    ] {
        assert!(!race(cold(params)));
    }
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert_eq!(Sampler::check(&[bad, 0.0]), Err(NotFinite));
    }
}

#[test]
fn settings_out_of_bounds_are_refused_by_name() {
    let long = || Zeroizing::new("x".repeat(257));
    let default = SamplingParams::default;
    let cases = [
        (
            "temperature",
            SamplingParams {
                temperature: -0.1,
                ..default()
            },
        ),
        (
            "temperature",
            SamplingParams {
                temperature: f32::NAN,
                ..default()
            },
        ),
        (
            "top_p",
            SamplingParams {
                top_p: 0.0,
                ..default()
            },
        ),
        (
            "top_p",
            SamplingParams {
                top_p: f32::NAN,
                ..default()
            },
        ),
        (
            "top_k",
            SamplingParams {
                top_k: Some(0),
                ..default()
            },
        ),
        (
            "min_p",
            SamplingParams {
                min_p: 1.1,
                ..default()
            },
        ),
        (
            "max_tokens",
            SamplingParams {
                max_tokens: Some(0),
                ..default()
            },
        ),
        (
            "repetition_penalty",
            SamplingParams {
                repetition_penalty: 0.0,
                ..default()
            },
        ),
        (
            "presence_penalty",
            SamplingParams {
                presence_penalty: 2.1,
                ..default()
            },
        ),
        (
            "frequency_penalty",
            SamplingParams {
                frequency_penalty: f32::NAN,
                ..default()
            },
        ),
        (
            "logprobs",
            SamplingParams {
                logprobs: Some(21),
                ..default()
            },
        ),
        (
            "stop",
            SamplingParams {
                stop: vec![Zeroizing::new(String::new())],
                ..default()
            },
        ),
        (
            "stop",
            SamplingParams {
                stop: vec![long()],
                ..default()
            },
        ),
        (
            "stop",
            SamplingParams {
                stop: (0..10_000).map(|_| Zeroizing::new("x".into())).collect(),
                ..default()
            },
        ),
    ];
    for (field, params) in cases {
        assert_eq!(
            params.validate().map(|_| ()).map_err(|error| error.field),
            Err(field)
        );
    }
}

#[test]
fn log_probabilities_are_of_the_softmax() {
    let logits = logits();
    let of = |id: usize| f64::from(logits[id]) - logprobs::normaliser(&logits);
    assert!((of(1) - 0.5f64.ln()).abs() < 1e-6);
    assert!((of(2) - 0.05f64.ln()).abs() < 1e-6);
    assert_eq!(*logprobs::likeliest(&logits, 3), [1, 3, 0]);
    assert_eq!(*logprobs::likeliest(&[1.0, 1.0, 1.0], 2), [0, 1]);
    assert!(logprobs::likeliest(&logits, 0).is_empty());
}

proptest! {
    #[test]
    fn what_is_drawn_was_kept_by_every_filter(
        logits in prop::collection::vec(-20.0f32..20.0, 1..50),
        temperature in 0.1f32..3.0, top_p in 0.01f32..1.0, top_k in 1usize..60, min_p in 0.0f32..1.0, seed in any::<u64>(),
    ) {
        let params = SamplingParams {
            temperature, top_p, top_k: Some(top_k), min_p, seed: Some(seed), ..Default::default()
        };
        let id = draw(&mut sampler(params, &[], logits.len()), &mut logits.clone());
        let mut order: Vec<u32> = (0..logits.len() as u32).collect();
        order.sort_by(|x, y| logits[*y as usize].total_cmp(&logits[*x as usize]).then(x.cmp(y)));
        let rank = order.iter().position(|other| *other == id).unwrap();
        prop_assert!(rank < top_k);
        let weight = |id: u32| (f64::from(logits[id as usize] - logits[order[0] as usize]) / f64::from(temperature)).exp();
        prop_assert!(weight(id) >= f64::from(min_p));
        let kept = &order[..top_k.min(order.len())];
        let before: f64 = kept[..rank].iter().map(|id| weight(*id)).sum();
        let total: f64 = kept.iter().map(|id| weight(*id)).sum();
        prop_assert!(before < f64::from(top_p) * total + 1e-9);
    }
}
