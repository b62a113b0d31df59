//! Names of tensors: the engine asks by Hugging Face's, a GGUF file has llama.cpp's.
//!
//! Why apart: the one place that knows both.
//!
//! # Invariants
//! A name that has no other stays as it is, and is then missing under it.

/// Whose names a source of weights has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    HuggingFace,
    /// Hugging Face's of a decoder that was saved without its output for tokens.
    Base,
    /// llama.cpp's, of a decoder. `others` are names within a layer that this one has instead of the usual. `interleaved` is the width of a head whose queries and keys turn neighbouring
    /// numbers; `None` where they turn halves, as Hugging Face has them.
    GgufDecoder {
        interleaved: Option<usize>,
        others: &'static [(&'static str, &'static str)],
    },
    /// llama.cpp's, of the BERT family.
    GgufBert,
}

/// Outside of layers, and in one.
type Table = (
    &'static [(&'static str, &'static str)],
    &'static [(&'static str, &'static str)],
);

const DECODER: Table = (
    &[
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("lm_head", "output"),
    ],
    &[
        ("input_layernorm", "attn_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ],
);

const BERT: Table = (
    &[
        ("embeddings.word_embeddings", "token_embd"),
        ("embeddings.position_embeddings", "position_embd"),
        ("embeddings.token_type_embeddings", "token_types"),
        ("embeddings.LayerNorm", "token_embd_norm"),
    ],
    &[
        ("attention.self.query", "attn_q"),
        ("attention.self.key", "attn_k"),
        ("attention.self.value", "attn_v"),
        ("attention.output.dense", "attn_output"),
        ("attention.output.LayerNorm", "attn_output_norm"),
        ("intermediate.dense", "ffn_up"),
        ("output.dense", "ffn_down"),
        ("output.LayerNorm", "layer_output_norm"),
    ],
);

impl Names {
    /// What the source calls the tensor.
    pub(crate) fn in_file(self, name: &str) -> String {
        let ((outside, inside), others, layers) = match self {
            Self::HuggingFace => return name.to_owned(),
            Self::Base => return name.strip_prefix("model.").unwrap_or(name).to_owned(),
            Self::GgufDecoder { others, .. } => (DECODER, others, "model.layers."),
            Self::GgufBert => (BERT, &[][..], "encoder.layer."),
        };
        let other = |table: &[(&str, &'static str)], part: &str| {
            let found = table.iter().find(|(ours, _)| *ours == part);
            found.map(|(_, theirs)| *theirs)
        };
        let found = name.rsplit_once('.').and_then(|(part, end)| {
            let theirs = match part.strip_prefix(layers).and_then(|rest| rest.split_once('.')) {
                Some((layer, part)) => {
                    format!(
                        "blk.{layer}.{}",
                        other(others, part).or_else(|| other(inside, part))?
                    )
                }
                None => other(outside, part)?.to_owned(),
            };
            Some(format!("{theirs}.{end}"))
        });
        found.unwrap_or_else(|| name.to_owned())
    }

    /// The width of heads whose numbers the source has in another order than Hugging Face, for this tensor.
    pub(super) fn interleaved(self, name: &str) -> Option<usize> {
        let turned = name.contains(".self_attn.q_proj.") || name.contains(".self_attn.k_proj.");
        match self {
            Self::GgufDecoder { interleaved, .. } if turned => interleaved,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_and_outside_of_layers() {
        let decoder = Names::GgufDecoder {
            interleaved: Some(8),
            others: &[],
        };
        for (ours, theirs) in [
            ("model.embed_tokens.weight", "token_embd.weight"),
            ("lm_head.weight", "output.weight"),
            ("model.layers.12.self_attn.q_proj.bias", "blk.12.attn_q.bias"),
            ("model.layers.0.mlp.down_proj.weight", "blk.0.ffn_down.weight"),
            ("model.layers.0.unknown.weight", "model.layers.0.unknown.weight"),
            ("unknown", "unknown"),
        ] {
            assert_eq!(decoder.in_file(ours), theirs);
            assert_eq!(Names::HuggingFace.in_file(ours), ours);
        }
        let output = Names::GgufBert.in_file("encoder.layer.3.attention.output.LayerNorm.bias");
        assert_eq!(output, "blk.3.attn_output_norm.bias");
        assert_eq!(
            decoder.interleaved("model.layers.0.self_attn.k_proj.weight"),
            Some(8)
        );
        assert_eq!(
            decoder.interleaved("model.layers.0.self_attn.v_proj.weight"),
            None
        );
        assert_eq!(
            Names::HuggingFace.interleaved("model.layers.0.self_attn.k_proj.weight"),
            None
        );
    }
}
