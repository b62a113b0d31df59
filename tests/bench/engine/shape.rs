//! Shapes of published models, without their weights.
//!
//! Why apart: time and memory follow from a model's shape, not from what it knows.
//!
//! # Invariants
//! Names and orders of tensors are those of GGUF (llama.cpp's `docs/` and gguf-py); a shape's widths are whole blocks of
//! 256, so that every format can hold it.

use std::str::FromStr;

use anchorhold_kernels::BlockFormat;

use super::quantise::Mix;

/// A decoder's shape. Embedding and output are one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) family: Family,
    pub(crate) vocabulary: usize,
    pub(crate) width: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_width: usize,
    pub(crate) inner: usize,
    pub(crate) context: usize,
}

/// What the shapes' families differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// Biases on queries, keys and values.
    Qwen2,
    /// Norms on queries and keys.
    Qwen3,
}

impl Family {
    /// The architecture's name in GGUF.
    pub(crate) fn architecture(self) -> &'static str {
        match self {
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }
}

/// Numbers of the models' published `config.json`; `tiny`, `small` and `words` (little but a vocabulary) are nobody's.
pub(crate) const SHAPES: &[Shape] = &[
    Shape {
        name: "tiny",
        family: Family::Qwen3,
        vocabulary: 1024,
        width: 256,
        layers: 8,
        heads: 4,
        kv_heads: 2,
        head_width: 64,
        inner: 512,
        context: 4096,
    },
    Shape {
        name: "small",
        family: Family::Qwen3,
        vocabulary: 8192,
        width: 768,
        layers: 12,
        heads: 12,
        kv_heads: 4,
        head_width: 64,
        inner: 2048,
        context: 4096,
    },
    Shape {
        name: "words",
        family: Family::Qwen3,
        vocabulary: 151_936,
        width: 256,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_width: 64,
        inner: 512,
        context: 4096,
    },
    Shape {
        name: "qwen3-0.6b",
        family: Family::Qwen3,
        vocabulary: 151_936,
        width: 1024,
        layers: 28,
        heads: 16,
        kv_heads: 8,
        head_width: 128,
        inner: 3072,
        context: 40_960,
    },
    Shape {
        name: "qwen2.5-1.5b",
        family: Family::Qwen2,
        vocabulary: 151_936,
        width: 1536,
        layers: 28,
        heads: 12,
        kv_heads: 2,
        head_width: 128,
        inner: 8960,
        context: 32_768,
    },
    Shape {
        name: "qwen3-1.7b",
        family: Family::Qwen3,
        vocabulary: 151_936,
        width: 2048,
        layers: 28,
        heads: 16,
        kv_heads: 8,
        head_width: 128,
        inner: 6144,
        context: 40_960,
    },
    Shape {
        name: "qwen2.5-3b",
        family: Family::Qwen2,
        vocabulary: 151_936,
        width: 2048,
        layers: 36,
        heads: 16,
        kv_heads: 2,
        head_width: 128,
        inner: 11_008,
        context: 32_768,
    },
    Shape {
        // The published one has an output matrix of its own, of 622 million numbers more.
        name: "qwen3-8b",
        family: Family::Qwen3,
        vocabulary: 151_936,
        width: 4096,
        layers: 36,
        heads: 32,
        kv_heads: 8,
        head_width: 128,
        inner: 12_288,
        context: 40_960,
    },
];

impl FromStr for Shape {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        SHAPES.iter().find(|shape| shape.name == name).copied().ok_or(())
    }
}

/// A tensor before it has numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    /// Rows, 1 for a vector.
    pub(crate) outputs: usize,
    /// Numbers of a row.
    pub(crate) inputs: usize,
    pub(crate) format: BlockFormat,
    pub(crate) content: Content,
}

/// What a tensor is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Random numbers whose squares add up to about 1 in a row.
    Random,
    /// The same, with a row of zeros for the token that ends an answer: it is never the likeliest.
    Embedding,
    /// Ones.
    Scale,
    /// Small random numbers.
    Bias,
}

impl Shape {
    /// All tensors, in the order of the file.
    pub(crate) fn tensors(&self, mix: Mix) -> Vec<Tensor> {
        let mut tensors = Vec::new();
        let mut matrix = |name: String, outputs, inputs, format, content| {
            tensors.push(Tensor {
                name,
                outputs,
                inputs,
                format,
                content,
            });
        };
        let vector = BlockFormat::F32;
        matrix(
            "token_embd.weight".to_owned(),
            self.vocabulary,
            self.width,
            mix.embedding(),
            Content::Embedding,
        );
        matrix(
            "output_norm.weight".to_owned(),
            1,
            self.width,
            vector,
            Content::Scale,
        );
        let (queries, keys) = (self.heads * self.head_width, self.kv_heads * self.head_width);
        for layer in 0..self.layers {
            let named = |name: &str| format!("blk.{layer}.{name}");
            let more = mix.careful(layer, self.layers);
            for (name, outputs, inputs, format) in [
                ("attn_q.weight", queries, self.width, mix.usual()),
                ("attn_k.weight", keys, self.width, mix.usual()),
                ("attn_v.weight", keys, self.width, more),
                ("attn_output.weight", self.width, queries, mix.usual()),
                ("ffn_gate.weight", self.inner, self.width, mix.usual()),
                ("ffn_up.weight", self.inner, self.width, mix.usual()),
                ("ffn_down.weight", self.width, self.inner, more),
            ] {
                matrix(named(name), outputs, inputs, format, Content::Random);
            }
            for name in ["attn_norm.weight", "ffn_norm.weight"] {
                matrix(named(name), 1, self.width, vector, Content::Scale);
            }
            match self.family {
                Family::Qwen2 => {
                    for (name, length) in [
                        ("attn_q.bias", queries),
                        ("attn_k.bias", keys),
                        ("attn_v.bias", keys),
                    ] {
                        matrix(named(name), 1, length, vector, Content::Bias);
                    }
                }
                Family::Qwen3 => {
                    for name in ["attn_q_norm.weight", "attn_k_norm.weight"] {
                        matrix(named(name), 1, self.head_width, vector, Content::Scale);
                    }
                }
            }
        }
        tensors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_have_the_parameters_of_their_names() {
        let parameters = |name: &str| -> usize {
            let shape: Shape = name.parse().unwrap();
            let tensors = shape.tensors(Mix::Q8_0);
            tensors.iter().map(|tensor| tensor.outputs * tensor.inputs).sum()
        };
        // As the published files count them.
        assert_eq!(parameters("qwen3-0.6b"), 596_049_920);
        assert_eq!(parameters("qwen2.5-1.5b"), 1_543_714_304);
        assert_eq!(parameters("qwen3-1.7b"), 1_720_574_976);
        assert_eq!(parameters("qwen2.5-3b"), 3_085_938_688);
        assert_eq!(parameters("qwen3-8b"), 8_190_735_360 - 151_936 * 4096);
        assert!("qwen3".parse::<Shape>().is_err());
    }

    #[test]
    fn every_format_can_hold_every_shape() {
        for shape in SHAPES {
            for mix in Mix::ALL {
                for tensor in shape.tensors(mix) {
                    let bytes = tensor.format.row_bytes(tensor.inputs);
                    assert!(bytes.is_some(), "{} of {}", tensor.name, shape.name);
                }
            }
        }
    }
}
