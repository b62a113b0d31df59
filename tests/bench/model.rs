//! Models made on the spot: random weights of a stated size, with the demo model's tokenizer and template.
//!
//! Why apart: time and memory depend on a model's size and shape, not on what it knows; a benchmark that
//! needs a download is one that nobody runs.
//!
//! # Invariants
//! The same size gives the same bytes everywhere.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anchorhold_tests::world::World;
use serde_json::{Map, Value, json};

use crate::Failure;

/// A size of model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// The demo model itself: trained, 1.8 million parameters.
    Demo,
    /// Random weights.
    Random(Shape),
}

/// A Llama's shape; heads have 64 numbers, and each has keys and values of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    name: &'static str,
    width: usize,
    layers: usize,
    inner: usize,
}

const SHAPES: &[Shape] = &[
    Shape {
        name: "25m",
        width: 512,
        layers: 8,
        inner: 1408,
    },
    Shape {
        name: "125m",
        width: 768,
        layers: 16,
        inner: 2304,
    },
    Shape {
        name: "500m",
        width: 1536,
        layers: 18,
        inner: 4096,
    },
];

impl FromStr for Size {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "demo" {
            return Ok(Self::Demo);
        }
        let shape = SHAPES.iter().find(|shape| shape.name == text);
        shape.copied().map(Self::Random).ok_or(())
    }
}

impl Size {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::Random(shape) => shape.name,
        }
    }

    /// The model's folder, made under `work` if it must be made.
    pub(crate) fn folder(self, work: &Path) -> Result<PathBuf, Failure> {
        match self {
            Self::Demo => Ok(World::demo_model()),
            Self::Random(shape) => {
                let folder = work.join(shape.name);
                shape.write(&folder)?;
                Ok(folder)
            }
        }
    }
}

/// What F16 calls 1.
const ONE: u16 = 0x3c00;

impl Shape {
    fn write(self, folder: &Path) -> Result<(), Failure> {
        fs::create_dir(folder)?;
        let demo = World::demo_model();
        for name in [
            "tokenizer.json",
            "tokenizer_config.json",
            "generation_config.json",
        ] {
            fs::copy(demo.join(name), folder.join(name))?;
        }
        let mut config: Map<String, Value> = serde_json::from_slice(&fs::read(demo.join("config.json"))?)?;
        let heads = self.width / 64;
        for (key, value) in [
            ("hidden_size", self.width),
            ("num_hidden_layers", self.layers),
            ("intermediate_size", self.inner),
            ("num_attention_heads", heads),
            ("num_key_value_heads", heads),
            ("head_dim", 64),
            ("max_position_embeddings", 2048),
        ] {
            config.insert(key.to_owned(), json!(value));
        }
        let vocabulary = config["vocab_size"]
            .as_u64()
            .ok_or("the demo model has no vocab_size")?;
        let vocabulary = usize::try_from(vocabulary)?;
        fs::write(folder.join("config.json"), serde_json::to_vec(&config)?)?;
        let mut random = Random(1);
        let tensors = self.tensors(vocabulary);
        write_safetensors(
            &folder.join("model.safetensors"),
            "F16",
            2,
            &tensors,
            |name, bytes| {
                if name.contains("norm") {
                    bytes
                        .chunks_exact_mut(2)
                        .for_each(|value| value.copy_from_slice(&ONE.to_le_bytes()));
                } else {
                    random.fill(bytes);
                    // Any sign and mantissa, and the exponent of 2^-6: magnitudes between 0.016 and 0.031.
                    for value in bytes.chunks_exact_mut(2) {
                        value[1] = value[1] & 0x83 | 9 << 2;
                    }
                }
            },
        )
    }

    fn tensors(self, vocabulary: usize) -> Vec<(String, Vec<usize>)> {
        let (width, inner) = (self.width, self.inner);
        let mut tensors = vec![
            ("model.embed_tokens.weight".to_owned(), vec![vocabulary, width]),
            ("model.norm.weight".to_owned(), vec![width]),
        ];
        for layer in 0..self.layers {
            let named = |name: &str| format!("model.layers.{layer}.{name}.weight");
            for name in ["q_proj", "k_proj", "v_proj", "o_proj"] {
                tensors.push((named(&format!("self_attn.{name}")), vec![width, width]));
            }
            tensors.push((named("mlp.gate_proj"), vec![inner, width]));
            tensors.push((named("mlp.up_proj"), vec![inner, width]));
            tensors.push((named("mlp.down_proj"), vec![width, inner]));
            tensors.push((named("input_layernorm"), vec![width]));
            tensors.push((named("post_attention_layernorm"), vec![width]));
        }
        tensors
    }
}

/// Something that seals but does not answer: two files of bytes, so that chunks cross a file's border.
pub(crate) fn write_filler(folder: &Path, mib: usize) -> Result<(), Failure> {
    fs::create_dir(folder)?;
    fs::write(folder.join("config.json"), b"{}")?;
    let mut random = Random(2);
    for (name, mib) in [("model-1", mib / 2), ("model-2", mib - mib / 2)] {
        let pieces: Vec<_> = (0..mib)
            .map(|piece| (format!("piece.{piece}"), vec![1 << 20]))
            .collect();
        let path = folder.join(format!("{name}.safetensors"));
        write_safetensors(&path, "U8", 1, &pieces, |_, bytes| random.fill(bytes))?;
    }
    Ok(())
}

fn write_safetensors(
    path: &Path,
    dtype: &str,
    size: usize,
    tensors: &[(String, Vec<usize>)],
    mut fill: impl FnMut(&str, &mut [u8]),
) -> Result<(), Failure> {
    let mut header = Map::new();
    let mut at = 0;
    for (name, shape) in tensors {
        let length = size * shape.iter().product::<usize>();
        let entry = json!({"dtype": dtype, "shape": shape, "data_offsets": [at, at + length]});
        header.insert(name.clone(), entry);
        at += length;
    }
    let header = serde_json::to_vec(&header)?;
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&u64::try_from(header.len())?.to_le_bytes())?;
    file.write_all(&header)?;
    for (name, shape) in tensors {
        let mut bytes = vec![0; size * shape.iter().product::<usize>()];
        fill(name, &mut bytes);
        file.write_all(&bytes)?;
    }
    file.flush()?;
    Ok(())
}

/// xorshift64*, Vigna 2016: fast, and the same everywhere.
pub(crate) struct Random(u64);

impl Random {
    /// `seed` is not 0.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(8) {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let value = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes();
            piece.copy_from_slice(&value[..piece.len()]);
        }
    }
}
