//! Tokens a second of the bare engine.
//!
//! ```text
//! inference_bench DIR|SHAPE [--keep DIR] [--tokens N] [--batches 1,4,8,16] [--prompt N] [--depth N] [--quantise q8|q4]
//!                 [--kernels SET] [--threads N] [--plain-gather]
//! ```
//!
//! Why apart: the cost of confidentiality is what the whole stack loses against these figures.
//!
//! A folder is a model as published; a shape (`qwen3-0.6b`, `tiny`) is made on the spot of random BF16 weights, and kept
//! with `--keep`. It is sealed under a key of its own in a temporary folder, unsealed and loaded, as in the enclave.
//! Prints for each batch the tokens a second of all its answers together, and those of one long prompt.
//!
//! # Invariants
//! The model takes the same way as in the enclave. The same shape gives the same weights everywhere.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anchorhold_models::{
    Class, Decoder, Expected, Generation, LoadOptions, Model, ModelKey, Quantise, SamplingParams,
    SealOptions, SealedModel, Step, seal_dir,
};
use serde_json::{Map, json};

type Failure = Box<dyn Error>;

struct Arguments {
    model: String,
    keep: Option<PathBuf>,
    tokens: usize,
    batches: Vec<usize>,
    prompt: usize,
    depth: usize,
    options: LoadOptions,
}

fn arguments() -> Result<Arguments, Failure> {
    let mut words = std::env::args().skip(1);
    let mut found = Arguments {
        model: words.next().ok_or("usage: inference_bench DIR|SHAPE [OPTIONS]")?,
        keep: None,
        tokens: 32,
        batches: vec![1, 4, 8, 16],
        prompt: 512,
        depth: 8,
        options: LoadOptions::default(),
    };
    while let Some(word) = words.next() {
        if word == "--plain-gather" {
            found.options.dangerously_plain_gather = true;
            continue;
        }
        let value = words.next().ok_or("an option without its value")?;
        match word.as_str() {
            "--keep" => found.keep = Some(value.into()),
            "--tokens" => found.tokens = value.parse()?,
            "--batches" => {
                found.batches = value.split(',').map(str::parse).collect::<Result<_, _>>()?;
            }
            "--prompt" => found.prompt = value.parse()?,
            "--depth" => found.depth = value.parse()?,
            "--quantise" => {
                found.options.quantise = Some(match value.as_str() {
                    "q8" => Quantise::Q8,
                    "q4" => Quantise::Q4,
                    _ => return Err("q8 or q4".into()),
                });
            }
            "--kernels" => {
                let set = value.parse()?;
                found.options.kernels = anchorhold_kernels::Kernels::exactly(set).ok_or("not on this CPU")?;
            }
            "--threads" => found.options.threads = value.parse()?,
            _ => return Err("an option that is not known".into()),
        }
    }
    Ok(found)
}

fn main() -> Result<(), Failure> {
    let arguments = arguments()?;
    let work = std::env::temp_dir().join(format!("anchorhold-bench-{}", std::process::id()));
    fs::create_dir(&work)?;
    let result = measure(&arguments, &work);
    fs::remove_dir_all(&work)?;
    result
}

fn measure(arguments: &Arguments, work: &Path) -> Result<(), Failure> {
    let mut out = io::stdout();
    let folder = match Shape::named(&arguments.model) {
        None => PathBuf::from(&arguments.model),
        Some(shape) => {
            let folder = arguments.keep.clone().unwrap_or_else(|| work.join("model"));
            if !folder.exists() {
                shape.write(&folder)?;
            }
            folder
        }
    };
    let begin = Instant::now();
    let model = through_sealing(&folder, work, arguments.options)?;
    let Model::Decoder(decoder) = model else {
        return Err("not a model that answers".into());
    };
    writeln!(out, "{:?}", decoder.info())?;
    writeln!(out, "{:?}", arguments.options)?;
    writeln!(out, "seal, unseal and load: {:.2?}", begin.elapsed())?;
    writeln!(out, "{:?}, resident at most {}", decoder.memory(), peak())?;
    // The first run touches every page for the first time.
    answers(&decoder, 1, arguments.depth, 4)?;
    for batch in &arguments.batches {
        let rate = answers(&decoder, *batch, arguments.depth, arguments.tokens)?;
        writeln!(out, "answers of {batch} at once: {rate:.1} tokens/s")?;
    }
    let (tokens, rate) = prompt(&decoder, arguments.prompt)?;
    writeln!(out, "prompt of {tokens} tokens: {rate:.0} tokens/s")?;
    writeln!(out, "resident at most {}", peak())?;
    Ok(())
}

/// Starts an answer to a prompt of at least so many tokens.
fn begin(decoder: &Decoder, prompt: usize, tokens: usize) -> Result<Generation, Failure> {
    let params = SamplingParams {
        temperature: 0.0,
        max_tokens: Some(tokens),
        ..SamplingParams::default()
    };
    let mut text = String::from("one");
    let mut found = decoder.text_prompt(&text)?;
    while found.len() < prompt {
        text.push_str(&" two".repeat((prompt - found.len()).div_ceil(4)));
        found = decoder.text_prompt(&text)?;
    }
    Ok(decoder.start(found, params.validate()?)?)
}

/// Tokens a second of `batch` answers together, once all have begun.
fn answers(decoder: &Decoder, batch: usize, depth: usize, tokens: usize) -> Result<f64, Failure> {
    let mut running = (0..batch)
        .map(|_| begin(decoder, depth, tokens + batch * depth + 8))
        .collect::<Result<Vec<_>, _>>()?;
    let pass = |running: &mut Vec<Generation>| -> Result<usize, Failure> {
        let mut all: Vec<&mut Generation> = running.iter_mut().collect();
        let mut made = 0;
        for step in decoder.step(&mut all) {
            match step? {
                Step::Prefilling { .. } => {}
                Step::Delta(_) => made += 1,
                Step::Finished(_) => return Err("an answer ended early: nothing can be said".into()),
            }
        }
        Ok(made)
    };
    while pass(&mut running)? < batch {}
    let begin = Instant::now();
    let mut made = 0;
    for _ in 0..tokens {
        made += pass(&mut running)?;
    }
    Ok(made as f64 / begin.elapsed().as_secs_f64())
}

/// Tokens of a prompt, and how many of them are computed in a second.
fn prompt(decoder: &Decoder, tokens: usize) -> Result<(usize, f64), Failure> {
    let mut generation = begin(decoder, tokens, 1)?;
    let tokens = generation.usage().prompt_tokens;
    let begin = Instant::now();
    while let Step::Prefilling { .. } = decoder.step(&mut [&mut generation]).remove(0)? {}
    Ok((tokens, tokens as f64 / begin.elapsed().as_secs_f64()))
}

/// What the system says was resident at most.
fn peak() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |line| line.trim().to_owned())
}

fn through_sealing(folder: &Path, work: &Path, options: LoadOptions) -> Result<Model, Failure> {
    let key = ModelKey::generate();
    let seal = SealOptions {
        key_id: "bench".parse()?,
        class: Class::Insecure,
        name: "bench".parse()?,
        private_name: false,
    };
    let sealed = work.join("model.sealed");
    let summary = seal_dir(folder, &sealed, &key, &seal, &())?;
    let expected = Expected {
        key_id: seal.key_id,
        class: seal.class,
        manifest_sha256: summary.manifest_sha256,
        max_plaintext: 1 << 40,
    };
    let unsealed = SealedModel::open(&sealed)?.unseal(key, &expected, &())?;
    Ok(Model::load(unsealed, options, &())?)
}

/// A Qwen3 with tied tables.
struct Shape {
    width: usize,
    layers: usize,
    inner: usize,
    heads: usize,
    kv_heads: usize,
    head_width: usize,
    vocabulary: usize,
}

impl Shape {
    fn named(name: &str) -> Option<Self> {
        let (width, layers, inner, heads, vocabulary) = match name {
            "qwen3-0.6b" => (1024, 28, 3072, 16, 151_936),
            "tiny" => (256, 4, 768, 4, 4096),
            _ => return None,
        };
        Some(Self {
            width,
            layers,
            inner,
            heads,
            kv_heads: heads / 2,
            head_width: 128,
            vocabulary,
        })
    }

    /// The model's folder, with the demo's tokenizer: what texts are is of no matter here.
    fn write(&self, folder: &Path) -> Result<(), Failure> {
        fs::create_dir_all(folder)?;
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask/demo-model");
        for name in ["tokenizer.json", "tokenizer_config.json"] {
            fs::copy(demo.join(name), folder.join(name))?;
        }
        let config = json!({
            "architectures": ["Qwen3ForCausalLM"], "hidden_size": self.width, "num_hidden_layers": self.layers,
            "intermediate_size": self.inner, "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads, "head_dim": self.head_width, "vocab_size": self.vocabulary,
            "max_position_embeddings": 40_960, "rms_norm_eps": 1e-6, "rope_theta": 1e6,
            "tie_word_embeddings": true, "torch_dtype": "bfloat16",
        });
        fs::write(folder.join("config.json"), serde_json::to_vec(&config)?)?;
        let tensors = self.tensors();
        let mut header = Map::new();
        let mut at = 0;
        for (name, shape) in &tensors {
            let length = 2 * shape.iter().product::<usize>();
            let entry = json!({"dtype": "BF16", "shape": shape, "data_offsets": [at, at + length]});
            header.insert(name.clone(), entry);
            at += length;
        }
        let header = serde_json::to_vec(&header)?;
        let mut file = BufWriter::new(File::create(folder.join("model.safetensors"))?);
        file.write_all(&u64::try_from(header.len())?.to_le_bytes())?;
        file.write_all(&header)?;
        let mut random = 1u64;
        for (name, shape) in &tensors {
            let count = shape.iter().product::<usize>();
            let width = *shape.last().unwrap_or(&1) as f32;
            for _ in 0..count {
                let value = if name.contains("norm") {
                    1.0
                } else {
                    // Uniform, so that products keep the size of what comes in.
                    random ^= random >> 12;
                    random ^= random << 25;
                    random ^= random >> 27;
                    let bits = random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40;
                    (bits as f32 / (1 << 23) as f32 - 1.0) * (3.0 / width).sqrt()
                };
                file.write_all(&value.to_bits().to_le_bytes()[2..])?;
            }
        }
        file.flush()?;
        Ok(())
    }

    fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let (width, inner) = (self.width, self.inner);
        let (queries, keys) = (self.heads * self.head_width, self.kv_heads * self.head_width);
        let mut tensors = vec![
            (
                "model.embed_tokens.weight".to_owned(),
                vec![self.vocabulary, width],
            ),
            ("model.norm.weight".to_owned(), vec![width]),
        ];
        for layer in 0..self.layers {
            for (name, shape) in [
                ("self_attn.q_proj", vec![queries, width]),
                ("self_attn.k_proj", vec![keys, width]),
                ("self_attn.v_proj", vec![keys, width]),
                ("self_attn.o_proj", vec![width, queries]),
                ("self_attn.q_norm", vec![self.head_width]),
                ("self_attn.k_norm", vec![self.head_width]),
                ("mlp.gate_proj", vec![inner, width]),
                ("mlp.up_proj", vec![inner, width]),
                ("mlp.down_proj", vec![width, inner]),
                ("input_layernorm", vec![width]),
                ("post_attention_layernorm", vec![width]),
            ] {
                tensors.push((format!("model.layers.{layer}.{name}.weight"), shape));
            }
        }
        tensors
    }
}
