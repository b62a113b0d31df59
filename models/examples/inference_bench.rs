//! Tokens a second of the bare engine: `inference_bench DIR [TOKENS]`.
//!
//! Why apart: the cost of confidentiality is what the whole stack loses against these figures.
//!
//! Seals the folder under a key of its own in a temporary folder, unseals and loads it, then answers a fixed
//! prompt greedily. Prints load time, tokens a second of the prompt and of the answer.
//!
//! # Invariants
//! The model takes the same way as in the enclave.

use std::error::Error;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anchorhold_models::{
    Class, Decoder, Expected, LoadOptions, Model, ModelKey, SamplingParams, SealOptions, SealedModel, Step,
    seal_dir,
};

const PROMPT: &str = "Once upon a time, there was a little girl named Lily. She loved to play outside.";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: inference_bench DIR [TOKENS]")?;
    let tokens = arguments.next().map_or(Ok(200), |tokens| tokens.parse())?;
    let begin = Instant::now();
    let model = load(Path::new(&folder))?;
    let mut out = io::stdout();
    writeln!(out, "{:?}", model.info())?;
    writeln!(out, "seal, unseal and load: {:.2?}", begin.elapsed())?;
    let Model::Decoder(decoder) = model else {
        return Err("not a model that answers".into());
    };
    // The first run touches every page for the first time.
    answer(&decoder, tokens)?;
    for _ in 0..3 {
        let (prompt, prompt_time, answered, answer_time) = answer(&decoder, tokens)?;
        let rate = |count: usize, time: Duration| count as f64 / time.as_secs_f64();
        writeln!(
            out,
            "prompt {prompt} tokens: {:.0} tokens/s; answer {answered} tokens: {:.0} tokens/s",
            rate(prompt, prompt_time),
            rate(answered, answer_time),
        )?;
    }
    Ok(())
}

fn answer(decoder: &Decoder, tokens: usize) -> Result<(usize, Duration, usize, Duration), Box<dyn Error>> {
    let params = SamplingParams {
        temperature: 0.0,
        max_tokens: Some(tokens),
        ..Default::default()
    };
    let mut generation = decoder.start(decoder.text_prompt(PROMPT)?, params.validate()?)?;
    let begin = Instant::now();
    let mut prompt_time = Duration::ZERO;
    loop {
        match decoder.step(&mut [&mut generation]).remove(0)? {
            Step::Prefilling { .. } => prompt_time = begin.elapsed(),
            Step::Delta(_) => {}
            Step::Finished(finish) => {
                let usage = finish.usage;
                let answer_time = begin.elapsed() - prompt_time;
                return Ok((
                    usage.prompt_tokens,
                    prompt_time,
                    usage.completion_tokens,
                    answer_time,
                ));
            }
        }
    }
}

fn load(folder: &Path) -> Result<Model, Box<dyn Error>> {
    let work = std::env::temp_dir().join(format!("anchorhold-bench-{}", std::process::id()));
    std::fs::create_dir(&work)?;
    let result = through_sealing(folder, &work);
    std::fs::remove_dir_all(&work)?;
    result
}

fn through_sealing(folder: &Path, work: &Path) -> Result<Model, Box<dyn Error>> {
    let key = ModelKey::generate();
    let options = SealOptions {
        key_id: "bench".parse()?,
        class: Class::Insecure,
        name: "bench".parse()?,
        private_name: false,
    };
    let sealed = work.join("model.sealed");
    let summary = seal_dir(folder, &sealed, &key, &options, &())?;
    let expected = Expected {
        key_id: options.key_id,
        class: options.class,
        manifest_sha256: summary.manifest_sha256,
        max_plaintext: 1 << 40,
    };
    let unsealed = SealedModel::open(&sealed)?.unseal(key, &expected, &())?;
    Ok(Model::load(unsealed, LoadOptions::default(), &())?)
}
