//! How many passes anybody waits, counted and not timed.
//!
//! Why apart: what a pass takes is a benchmark's business; who takes part in it is decided here.
//!
//! # Invariants
//! The model is the repository's own, so that nothing is skipped.

use super::*;
use crate::generation::{Generation, Step};
use crate::model::Model;
use crate::sampler::params::SamplingParams;

/// Answers that run when others come.
const STREAMS: usize = 32;

#[test]
fn a_newcomer_waits_for_its_own_slices_and_nobody_waits_for_it() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask/demo-model");
    let Model::Decoder(decoder) = testdata::load(testdata::folder(&path)).unwrap() else {
        panic!("the demo model answers");
    };
    let begin = |text: &str, max_tokens| {
        // Each token said before is ever likelier, so that no answer ends early.
        let params = SamplingParams {
            temperature: 0.0,
            repetition_penalty: 0.01,
            frequency_penalty: -2.0,
            presence_penalty: -2.0,
            max_tokens: Some(max_tokens),
            ..SamplingParams::default()
        };
        let prompt = decoder.text_prompt(text).unwrap();
        let length = prompt.len();
        (decoder.start(prompt, params.validate().unwrap()).unwrap(), length)
    };
    let mut running: Vec<Generation> = (0..STREAMS).map(|_| begin("one two three", 100).0).collect();
    while running.iter().any(|generation| !generation.answers()) {
        let mut all: Vec<&mut Generation> = running.iter_mut().collect();
        assert!(decoder.step(&mut all).into_iter().all(|step| step.is_ok()));
    }
    // A row of a prompt for each row of an answer: a pass takes about twice as long as without.
    let slice = STREAMS.clamp(limits::PREFILL_BESIDE, limits::PREFILL_SLICE);
    for words in [1, 8, 60] {
        let (mut newcomer, length) = begin(&"one two three ".repeat(words), 2);
        let mut passes = 0;
        loop {
            let mut all: Vec<&mut Generation> = running.iter_mut().chain([&mut newcomer]).collect();
            let mut steps = decoder.step(&mut all);
            passes += 1;
            let own = steps.pop().unwrap().unwrap();
            assert!(
                steps.iter().all(|step| matches!(step, Ok(Step::Delta(_)))),
                "who runs already gets a token in each pass"
            );
            match own {
                Step::Prefilling { done, .. } => assert_eq!(done, passes * slice),
                Step::Delta(_) => break,
                Step::Finished(_) => panic!("it has two tokens"),
            }
        }
        assert_eq!(
            passes,
            length.div_ceil(slice),
            "the last slice gives the first token"
        );
    }
}
