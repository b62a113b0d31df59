//! Random weights in a shape, as a GGUF file.
//!
//! Why apart: it joins shape, tokenizer and format; nothing else knows all three.
//!
//! # Invariants
//! The same shape and format give the same bytes everywhere. Activations neither grow nor vanish from layer to layer.

use std::path::Path;

use super::gguf::{self, Described, Value};
use super::quantise::{self, Mix};
use super::shape::{Content, Shape};
use super::vocabulary::Vocabulary;
use crate::Failure;
use crate::model::Random;

/// Random weights of `shape` with a tokenizer, as a GGUF file.
pub(crate) fn write(path: &Path, shape: &Shape, mix: Mix) -> Result<(), Failure> {
    let vocabulary = Vocabulary::of_size(shape.vocabulary).ok_or("no tokenizer has this size")?;
    let tensors = shape.tensors(mix);
    let described: Vec<_> = tensors
        .iter()
        .map(|tensor| Described {
            name: &tensor.name,
            outputs: tensor.outputs,
            inputs: tensor.inputs,
            format: tensor.format,
        })
        .collect();
    let number = |value: usize| u32::try_from(value).map(Value::U32);
    let last = shape.vocabulary - 1;
    let of_family = [
        ("context_length", number(shape.context)?),
        ("embedding_length", number(shape.width)?),
        ("block_count", number(shape.layers)?),
        ("feed_forward_length", number(shape.inner)?),
        ("attention.head_count", number(shape.heads)?),
        ("attention.head_count_kv", number(shape.kv_heads)?),
        ("attention.key_length", number(shape.head_width)?),
        ("attention.value_length", number(shape.head_width)?),
        ("attention.layer_norm_rms_epsilon", Value::F32(1e-6)),
        ("rope.freq_base", Value::F32(1e6)),
    ]
    .map(|(key, value)| (format!("{}.{key}", shape.family.architecture()), value));
    let mut metadata = vec![
        ("general.architecture", Value::Text(shape.family.architecture())),
        ("general.name", Value::Text(shape.name)),
        ("general.file_type", Value::U32(mix.file_type())),
        ("general.quantization_version", Value::U32(2)),
    ];
    metadata.extend(of_family.iter().map(|(key, value)| (key.as_str(), value.clone())));
    metadata.extend([
        ("tokenizer.ggml.model", Value::Text("gpt2")),
        ("tokenizer.ggml.pre", Value::Text("qwen2")),
        ("tokenizer.ggml.tokens", Value::Texts(&vocabulary.tokens)),
        ("tokenizer.ggml.token_type", Value::Numbers(&vocabulary.types)),
        ("tokenizer.ggml.merges", Value::Texts(&vocabulary.merges)),
        ("tokenizer.ggml.eos_token_id", number(last)?),
        ("tokenizer.ggml.padding_token_id", number(last)?),
        ("tokenizer.ggml.add_bos_token", Value::Bool(false)),
    ]);
    let mut random = Random::new(1);
    let (mut numbers, mut bytes, mut out) = (Vec::new(), Vec::new(), Vec::new());
    gguf::write(path, &metadata, &described, |index, put| {
        let tensor = &tensors[index];
        // Uniform numbers up to `reach` have a variance of a third of its square.
        let reach = match tensor.content {
            Content::Random | Content::Embedding => (3.0 / tensor.inputs as f32).sqrt(),
            Content::Bias => 0.01,
            Content::Scale => 0.0,
        };
        for row in 0..tensor.outputs {
            numbers.clear();
            match tensor.content {
                Content::Scale => numbers.resize(tensor.inputs, 1.0),
                Content::Embedding if row == last => numbers.resize(tensor.inputs, 0.0),
                Content::Random | Content::Embedding | Content::Bias => {
                    bytes.resize(2 * tensor.inputs, 0);
                    random.fill(&mut bytes);
                    numbers.extend(bytes.chunks_exact(2).map(|pair| {
                        let number = i16::from_le_bytes([pair[0], pair[1]]);
                        f32::from(number) * (reach / 32_768.0)
                    }));
                }
            }
            out.clear();
            quantise::row(tensor.format, &numbers, &mut out)?;
            put(&out)?;
        }
        Ok(())
    })
}
