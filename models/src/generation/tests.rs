//! Whole answers of the published small model.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::limits::inference as limits;
use crate::sampler::params::SamplingParams;
use crate::testdata;

struct Answer {
    text: String,
    pieces: Vec<String>,
    tokens: Vec<TokenInfo>,
    finish: Finish,
}

fn step(decoder: &Decoder, generation: &mut Generation) -> Result<Step, GenerateError> {
    decoder.step(&mut [generation]).remove(0)
}

fn greedy(max_tokens: usize) -> SamplingParams {
    SamplingParams {
        temperature: 0.0,
        max_tokens: Some(max_tokens),
        ..Default::default()
    }
}

fn answer(decoder: &Decoder, prompt: &str, params: SamplingParams) -> Answer {
    let prompt = decoder.text_prompt(prompt).unwrap();
    let mut generation = decoder.start(prompt, params.validate().unwrap()).unwrap();
    let (mut pieces, mut tokens) = (Vec::new(), Vec::new());
    loop {
        match step(decoder, &mut generation).unwrap() {
            Step::Prefilling { done, total } => assert!(done < total),
            Step::Delta(delta) => {
                pieces.push(delta.text.to_string());
                tokens.extend(delta.tokens);
            }
            Step::Finished(finish) => {
                assert!(
                    matches!(step(decoder, &mut generation), Ok(Step::Finished(again)) if again == finish)
                );
                assert_eq!(generation.usage(), finish.usage);
                return Answer {
                    text: pieces.concat(),
                    pieces,
                    tokens,
                    finish,
                };
            }
        }
    }
}

#[test]
fn greedy_answers_are_the_references_texts() {
    const NAME: &str = "greedy_answers_are_the_references_texts";
    let Some(decoder) = testdata::stories(NAME) else {
        return;
    };
    let path = testdata::shared(NAME, "stories260k").unwrap();
    let reference: Value = testdata::json(path.join("reference.json"));
    for case in reference["cases"].as_array().unwrap() {
        let prompt = case["prompt"].as_str().unwrap();
        let found = answer(&decoder, prompt, greedy(64));
        assert_eq!(
            format!("{prompt}{}", found.text),
            case["greedy_text"].as_str().unwrap()
        );
        assert_eq!(found.finish.reason, FinishReason::Length);
        let usage = Usage {
            prompt_tokens: case["prompt_ids"].as_array().unwrap().len(),
            completion_tokens: 64,
        };
        assert_eq!(found.finish.usage, usage);
        assert!(found.tokens.is_empty() && found.pieces.len() >= 60);
    }
}

#[test]
fn the_models_own_end_ends_the_answer() {
    let Some(decoder) = testdata::stories("the_models_own_end_ends_the_answer") else {
        return;
    };
    let found = answer(
        &decoder,
        "",
        SamplingParams {
            temperature: 0.0,
            ..Default::default()
        },
    );
    assert_eq!(found.finish.reason, FinishReason::Stop);
    assert!(found.finish.usage.completion_tokens < 511 && !found.text.contains('<'));
}

#[test]
fn a_stop_string_ends_the_answer_before_it() {
    let Some(decoder) = testdata::stories("a_stop_string_ends_the_answer_before_it") else {
        return;
    };
    let whole = answer(&decoder, "Once upon a time", greedy(64)).text;
    let stop = ["zebra", " loved to play"].map(|stop| Zeroizing::new(stop.to_owned()));
    let found = answer(
        &decoder,
        "Once upon a time",
        SamplingParams {
            stop: stop.to_vec(),
            logprobs: Some(0),
            ..greedy(64)
        },
    );
    assert_eq!(found.text, whole.split_once(" loved to play").unwrap().0);
    assert_eq!(found.finish.reason, FinishReason::Stop);
    assert!(
        found.pieces.iter().any(String::is_empty),
        "the begin of the stop string was held back"
    );
    let bytes: Vec<u8> = found
        .tokens
        .iter()
        .flat_map(|info| info.token.bytes.to_vec())
        .collect();
    assert_eq!(
        String::from_utf8_lossy(&bytes),
        found.text,
        "tokens of the stop string are not reported"
    );
}

#[test]
fn log_probabilities_belong_to_the_tokens_and_the_greedy_one_is_on_top() {
    const NAME: &str = "log_probabilities_belong_to_the_tokens_and_the_greedy_one_is_on_top";
    let Some(decoder) = testdata::stories(NAME) else {
        return;
    };
    let found = answer(
        &decoder,
        "Tom",
        SamplingParams {
            logprobs: Some(3),
            ..greedy(8)
        },
    );
    assert_eq!(found.tokens.len(), 8);
    for info in &found.tokens {
        assert_eq!(info.top.len(), 3);
        assert_eq!(
            (info.top[0].id, info.top[0].logprob),
            (info.token.id, info.token.logprob)
        );
        assert!(info.token.logprob <= 0.0 && info.top[1].logprob <= info.top[0].logprob);
    }
}

#[test]
fn a_long_prompt_is_computed_in_slices() {
    let Some(decoder) = testdata::stories("a_long_prompt_is_computed_in_slices") else {
        return;
    };
    let prompt = decoder.text_prompt(&"Lily and Tom. ".repeat(75)).unwrap();
    let total = prompt.len();
    assert!(total > limits::PREFILL_SLICE);
    let mut generation = decoder.start(prompt, greedy(1).validate().unwrap()).unwrap();
    let mut slices = 0;
    while let Step::Prefilling { done, .. } = step(&decoder, &mut generation).unwrap() {
        slices += 1;
        assert_eq!(done, slices * limits::PREFILL_SLICE);
    }
    // The last slice gives the first token.
    assert_eq!(slices + 1, total.div_ceil(limits::PREFILL_SLICE));
}

#[test]
fn the_context_is_a_limit_with_both_numbers() {
    let Some(decoder) = testdata::stories("the_context_is_a_limit_with_both_numbers") else {
        return;
    };
    let start = |text: &str, params: SamplingParams| {
        decoder
            .start(decoder.text_prompt(text).unwrap(), params.validate().unwrap())
            .map(|_| ())
    };
    let exceeded = GenerateError::ContextExceeded {
        prompt: 5,
        max_tokens: 508,
        context: 512,
    };
    assert_eq!(start("Once upon a time", greedy(508)), Err(exceeded));
    assert_eq!(start("Once upon a time", greedy(507)), Ok(()));
    let long = "Once upon a time".repeat(200);
    let refused = start(&long, SamplingParams::default());
    assert!(matches!(
        refused,
        Err(GenerateError::ContextExceeded {
            max_tokens: 1,
            context: 512,
            ..
        })
    ));
}

#[test]
fn a_model_without_a_template_refuses_conversations() {
    use crate::chat::{ChatError, ChatMessage, Role};
    let Some(decoder) = testdata::stories("a_model_without_a_template_refuses_conversations") else {
        return;
    };
    let message = ChatMessage::new(Role::User, Zeroizing::new("Hi".to_owned()));
    assert_eq!(
        decoder.chat_prompt(&[message]).map(|_| ()),
        Err(ChatError::NoTemplate)
    );
    assert!(!decoder.info().chat);
}

#[test]
fn answers_made_in_turn_do_not_touch_each_other() {
    let Some(decoder) = testdata::stories("answers_made_in_turn_do_not_touch_each_other") else {
        return;
    };
    let prompts = ["Once upon a time", "Tom said", "One day"];
    let alone = prompts.map(|prompt| answer(&decoder, prompt, greedy(12)).text);
    let begin = |prompt: &str| {
        decoder
            .start(
                decoder.text_prompt(prompt).unwrap(),
                greedy(12).validate().unwrap(),
            )
            .unwrap()
    };
    let mut running = prompts.map(begin);
    let mut texts = [String::new(), String::new(), String::new()];
    for _ in 0..14 {
        for (generation, text) in running.iter_mut().zip(&mut texts) {
            if let Step::Delta(delta) = step(&decoder, generation).unwrap() {
                text.push_str(&delta.text);
            }
        }
    }
    assert_eq!(texts, alone);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn sampled_answers_are_repeated_by_their_seed_and_cut_at_stops(seed in any::<u64>(), stop in "[aeou]{1,2}") {
        let Some(decoder) = testdata::stories("sampled_answers_are_repeated_by_their_seed_and_cut_at_stops") else {
            return Ok(());
        };
        let params = |stop: Vec<Zeroizing<String>>| SamplingParams {
            seed: Some(seed), max_tokens: Some(16), stop, ..Default::default()
        };
        let whole = answer(&decoder, "Once", params(Vec::new()));
        prop_assert_eq!(&whole.text, &answer(&decoder, "Once", params(Vec::new())).text);
        let cut = answer(&decoder, "Once", params(vec![Zeroizing::new(stop.clone())]));
        prop_assert_eq!(cut.text.as_str(), whole.text.split(&stop).next().unwrap());
    }
}
