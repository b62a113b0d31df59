//! The same tokens alone and in any company, and what a reservation is worth.

use zeroize::Zeroizing;

use super::*;
use crate::generation::{GenerateError, Generation, Step};
use crate::sampler::params::SamplingParams;
use crate::{Decoder, FinishReason};

/// xorshift64* (Vigna 2016): schedules that are the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}

/// Ids of one sequence, of which some are computed at a time.
struct Sequence {
    ids: Vec<u32>,
    cache: Cache,
    /// Logits after each position at which a part ended.
    found: Vec<(usize, Vec<u32>)>,
}

/// Computes sequences in random company and random slices, joining and leaving at different times.
fn in_company(network: &Network, sequences: &mut [Sequence], random: &mut Random) {
    let mut scratch = network.new_scratch();
    while sequences
        .iter()
        .any(|sequence| sequence.cache.length() < sequence.ids.len())
    {
        let mut parts = Vec::new();
        let mut places = Vec::new();
        for (index, sequence) in sequences.iter_mut().enumerate() {
            let (from, left) = (
                sequence.cache.length(),
                sequence.ids.len() - sequence.cache.length(),
            );
            if left == 0 || random.below(3) == 0 {
                continue;
            }
            let most = [1, 30][random.below(2)];
            let to = from + (1 + random.below(most)).min(left);
            places.push((index, to));
            parts.push(Part {
                ids: &sequence.ids[from..to],
                cache: &mut sequence.cache,
                logits: Logits::Last,
                row: None,
                drawn: false,
            });
        }
        if parts.is_empty() {
            continue;
        }
        let wanted = network.forward(&mut scratch, &mut parts).unwrap();
        drop(parts);
        assert_eq!(wanted, places.len());
        let logits = network.logits(&mut scratch, 0, wanted);
        for ((index, to), row) in places.into_iter().zip(logits.chunks_exact(logits.len() / wanted)) {
            sequences[index].found.push((to, bits(row)));
        }
    }
}

#[test]
fn logits_are_the_same_bit_for_bit_alone_and_in_any_company() {
    const NAME: &str = "logits_are_the_same_bit_for_bit_alone_and_in_any_company";
    let mut random = Random(7);
    for kernels in sets(NAME) {
        for (model, quantise) in [
            ("qwen3", None),
            ("mistral", Some(Quantise::Q8)),
            ("llama", Some(Quantise::Q4)),
            ("gemma2", None),
            ("gemma3", Some(Quantise::Q8)),
            ("phi3", Some(Quantise::Q8)),
            ("qwen3-moe", None),
            ("qwen3-moe", Some(Quantise::Q4)),
        ] {
            let options = LoadOptions {
                quantise,
                // Each sequence has another keystream, and none may be seen in a number.
                mask_kv: model == "mistral",
                // Where only chosen experts are computed, who is beside decides how many rows they have.
                dangerously_plain_gather: model == "qwen3-moe",
                ..options(kernels, KvPrecision::F16)
            };
            let (network, _) = tiny(model, &options);
            for count in [1, 3, 8] {
                let mut sequences: Vec<Sequence> = (0..count)
                    .map(|_| {
                        let ids: Vec<u32> = (0..20 + random.below(60))
                            .map(|_| random.below(256) as u32)
                            .collect();
                        Sequence {
                            cache: network.new_cache(ids.len()).unwrap(),
                            ids,
                            found: Vec::new(),
                        }
                    })
                    .collect();
                in_company(&network, &mut sequences, &mut random);
                for sequence in &sequences {
                    let mut cache = network.new_cache(sequence.ids.len()).unwrap();
                    let alone = forward(&network, &sequence.ids, &mut cache, Logits::All).unwrap();
                    let rows: Vec<&[f32]> = alone.chunks_exact(alone.len() / sequence.ids.len()).collect();
                    for (to, found) in &sequence.found {
                        assert!(
                            bits(rows[to - 1]) == *found,
                            "{model} {options:?} of {count}, at {to}"
                        );
                    }
                }
            }
        }
    }
}

/// What a request gave: its text and the exact log probabilities of its tokens.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    text: String,
    tokens: Vec<(u32, u32)>,
    reason: Option<FinishReason>,
}

impl Answer {
    fn new() -> Self {
        Self {
            text: String::new(),
            tokens: Vec::new(),
            reason: None,
        }
    }

    fn take(&mut self, step: Result<Step, GenerateError>) {
        match step.unwrap() {
            Step::Prefilling { done, total } => assert!(done < total),
            Step::Delta(delta) => {
                self.text.push_str(&delta.text);
                for info in &delta.tokens {
                    self.tokens.push((info.token.id, info.token.logprob.to_bits()));
                }
            }
            Step::Finished(finish) => self.reason = Some(finish.reason),
        }
    }
}

fn begin(decoder: &Decoder, index: usize) -> Generation {
    let prompts = ["Once upon a time", "Tom said", "One day, Lily", "The sun"];
    let prompt = format!("{} {}", prompts[index % 4], "and a dog ".repeat(index * 5));
    let params = SamplingParams {
        temperature: if index.is_multiple_of(2) { 0.0 } else { 0.9 },
        seed: Some(index as u64),
        max_tokens: Some(10 + 7 * index),
        repetition_penalty: if index == 3 { 1.3 } else { 1.0 },
        stop: if index == 5 {
            vec![Zeroizing::new("the".to_owned())]
        } else {
            Vec::new()
        },
        logprobs: Some(2),
        ..SamplingParams::default()
    };
    decoder
        .start(decoder.text_prompt(&prompt).unwrap(), params.validate().unwrap())
        .unwrap()
}

pub(super) fn alone(decoder: &Decoder, index: usize) -> Answer {
    let mut generation = begin(decoder, index);
    let mut answer = Answer::new();
    while answer.reason.is_none() {
        answer.take(decoder.step(&mut [&mut generation]).remove(0));
    }
    answer
}

#[test]
fn answers_are_the_same_in_any_company_and_a_cancelled_one_leaves_no_trace() {
    const NAME: &str = "answers_are_the_same_in_any_company_and_a_cancelled_one_leaves_no_trace";
    if let Some(decoder) = testdata::stories(NAME) {
        answers_are_the_same_in_any_company(&decoder);
    }
}

/// Eight answers alone, then one, three and eight of them with others that join, end and are cancelled.
pub(in crate::decoder) fn answers_are_the_same_in_any_company(decoder: &Decoder) {
    let (free, total) = decoder.pages();
    assert_eq!(free, total);
    let expected: Vec<Answer> = (0..8).map(|index| alone(decoder, index)).collect();
    for count in [1, 3, 8] {
        let mut running: Vec<(usize, Generation, Answer)> = Vec::new();
        let (mut next, mut pass) = (0, 0);
        while next < count || !running.is_empty() {
            // One joins every third pass, and beside it one that will be cancelled in the middle.
            if next < count && pass % 3 == 0 {
                running.push((next, begin(decoder, next), Answer::new()));
                running.push((usize::MAX, begin(decoder, 7 - next), Answer::new()));
                next += 1;
            }
            if pass % 5 == 4 {
                running.retain(|(index, _, _)| *index != usize::MAX);
            }
            let mut all: Vec<&mut Generation> =
                running.iter_mut().map(|(_, generation, _)| generation).collect();
            let steps = decoder.step(&mut all);
            assert_eq!(steps.len(), running.len());
            for ((_, _, answer), step) in running.iter_mut().zip(steps) {
                answer.take(step);
            }
            running.retain(|(index, _, answer)| {
                if answer.reason.is_some() && *index != usize::MAX {
                    assert_eq!(answer, &expected[*index]);
                }
                answer.reason.is_none()
            });
            pass += 1;
        }
        assert_eq!(decoder.pages(), (total, total));
    }
}

#[test]
fn pages_are_reserved_before_and_come_back_with_the_last_token() {
    const NAME: &str = "pages_are_reserved_before_and_come_back_with_the_last_token";
    let Some(whole) = testdata::stories(NAME) else {
        return;
    };
    let page = whole.memory().kv / whole.pages().1 as u64;
    let options = LoadOptions {
        kv_bytes: Some(4 * page + page / 2),
        ..LoadOptions::default()
    };
    let decoder = testdata::stories_with(NAME, &options).unwrap();
    assert_eq!(decoder.pages(), (4, 4));
    assert_eq!(decoder.memory().kv, 4 * page);
    let start = |max_tokens: usize| {
        let params = SamplingParams {
            temperature: 0.0,
            max_tokens: Some(max_tokens),
            ..SamplingParams::default()
        };
        let prompt = decoder.text_prompt("Once upon a time").unwrap();
        assert_eq!(prompt.len(), 5);
        decoder.start(prompt, params.validate().unwrap())
    };
    let never = GenerateError::NeverFits { needed: 5, total: 4 };
    assert_eq!(start(4 * Decoder::PAGE - 4).map(|_| ()), Err(never));
    let mut first = start(2 * Decoder::PAGE - 5).unwrap();
    assert_eq!(decoder.pages(), (2, 4));
    let now = GenerateError::OutOfPages { needed: 3, free: 2 };
    assert_eq!(start(2 * Decoder::PAGE - 4).map(|_| ()), Err(now));
    let second = start(2 * Decoder::PAGE - 5).unwrap();
    assert_eq!(decoder.pages(), (0, 4));
    drop(second);
    assert_eq!(decoder.pages(), (2, 4));
    while first.finish().is_none() {
        assert!(decoder.step(&mut [&mut first]).remove(0).is_ok());
    }
    assert_eq!(
        decoder.pages(),
        (4, 4),
        "an answer that ended holds nothing, dropped or not"
    );
    // Another model's generation is refused and touches no other.
    let mut stranger = begin(&whole, 0);
    let mut own = start(3).unwrap();
    let steps = decoder.step(&mut [&mut stranger, &mut own]);
    assert!(matches!(steps[0], Err(GenerateError::Compute)));
    assert!(matches!(steps[1], Ok(Step::Delta(_))));
}
