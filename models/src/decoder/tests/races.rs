//! Tokens whose rows are had while logits are computed: the same logits, the same rows, the same answers.

use anchorhold_kernels::race::{Lead, Race};

use super::batch::alone;
use super::*;

fn race(row: usize) -> Race {
    Race::new(&[row as u8 + 1; 32], 5, (row % 2) as f32)
}

#[test]
fn winners_are_drawn_and_bring_their_rows() {
    const NAME: &str = "winners_are_drawn_and_bring_their_rows";
    for kernels in sets(NAME) {
        for (model, quantise) in [
            ("qwen3", None),
            ("qwen3", Some(Quantise::Q8)),
            ("gemma2", None),
            ("gemma3", Some(Quantise::Q4)),
            ("llama", None),
        ] {
            let options = LoadOptions {
                quantise,
                ..options(kernels, KvPrecision::F16)
            };
            let (network, _) = tiny(model, &options);
            let mut scratch = network.new_scratch();
            let mut cache = network.new_cache(20).unwrap();
            let part = Part {
                ids: &[1, 20, 37, 4, 5, 60, 7],
                cache: &mut cache,
                logits: Logits::All,
                row: None,
                drawn: false,
            };
            assert_eq!(network.forward(&mut scratch, &mut [part]).unwrap(), 7);
            let expected = network.logits(&mut scratch, 1, 5).to_vec();
            let races = [(0, race(0)), (1, race(1)), (4, race(4))];
            let (logits, winners) = network.races(&mut scratch, (1, 5), &races).unwrap();
            assert!(bits(logits) == bits(&expected), "{model}");
            if !network.config().tied {
                assert_eq!(winners.iter().count(), 0, "{model} has a table for logits alone");
                continue;
            }
            assert_eq!(winners.iter().count(), 3, "{model}");
            let vocabulary = network.config().vocabulary;
            for ((row, race), (id, weights)) in races.iter().zip(winners.iter()) {
                let mut scores = expected[row * vocabulary..][..vocabulary].to_vec();
                race.score(kernels, &mut scores);
                assert_eq!(id, Lead::of(kernels, 0, &scores).output(), "{model} {row}");
                // Going on by the row is going on by the id, alone and beside others.
                let next = |row: Option<&[f32]>| {
                    let (mut first, mut second) =
                        (network.new_cache(9).unwrap(), network.new_cache(9).unwrap());
                    let part = |ids, cache, row| Part {
                        ids,
                        cache,
                        logits: Logits::Last,
                        row,
                        drawn: false,
                    };
                    let ids = [id];
                    let mut parts = [part(&[3, 4, 5], &mut first, None), part(&ids, &mut second, row)];
                    let mut scratch = network.new_scratch();
                    let wanted = network.forward(&mut scratch, &mut parts).unwrap();
                    bits(network.logits(&mut scratch, 0, wanted))
                };
                assert!(next(Some(weights)) == next(None), "{model} {row}");
            }
        }
    }
}

#[test]
fn a_row_of_another_width_is_an_error() {
    let (network, _) = tiny("qwen3", &LoadOptions::default());
    let mut cache = network.new_cache(4).unwrap();
    let part = Part {
        ids: &[1],
        cache: &mut cache,
        logits: Logits::Last,
        row: Some(&[0.0; 3]),
        drawn: true,
    };
    assert_eq!(
        network.forward(&mut network.new_scratch(), &mut [part]),
        Err(ComputeError)
    );
}

/// A table that is read plainly holds no races.
#[test]
fn answers_are_the_same_whether_rows_come_from_races_or_the_table() {
    const NAME: &str = "answers_are_the_same_whether_rows_come_from_races_or_the_table";
    let Some(racing) = testdata::stories(NAME) else {
        return;
    };
    let plain = LoadOptions {
        dangerously_plain_gather: true,
        ..LoadOptions::default()
    };
    let reading = testdata::stories_with(NAME, &plain).unwrap();
    for index in 0..8 {
        assert_eq!(alone(&racing, index), alone(&reading, index), "{index}");
    }
}
