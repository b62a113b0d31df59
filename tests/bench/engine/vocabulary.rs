//! A tokenizer of any size for models without knowledge.
//!
//! Why apart: loaders check a tokenizer as they check weights, so that it must be whole: all bytes, and merges whose results
//! are tokens.
//!
//! # Invariants
//! Each digit of a text is one token, so that a prompt has exactly as many tokens as its writer wants.

use serde_json::{Map, Value, json};

/// `token_type` of GGUF.
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;

/// As GGUF holds a byte-level BPE.
pub(crate) struct Vocabulary {
    pub(crate) tokens: Vec<String>,
    pub(crate) types: Vec<i32>,
    pub(crate) merges: Vec<String>,
}

impl Vocabulary {
    /// All bytes, then pairs and triples of letters, then the token that ends an answer. `None` for a size that cannot
    /// be reached so.
    pub(crate) fn of_size(size: usize) -> Option<Self> {
        let mut tokens: Vec<String> = byte_characters().map(String::from).to_vec();
        let mut merges = Vec::new();
        let room = size.checked_sub(tokens.len() + 1)?;
        let letters: Vec<char> = ('A'..='Z').chain('a'..='z').chain('À'..='Ç').collect();
        let pairs: Vec<String> = letters
            .iter()
            .flat_map(|first| letters.iter().map(move |second| format!("{first}{second}")))
            .collect();
        let of_pairs = pairs.iter().map(|pair| {
            let mut characters = pair.chars();
            (
                characters.next().map(String::from).unwrap_or_default(),
                characters.collect(),
            )
        });
        let of_triples = pairs
            .iter()
            .flat_map(|pair| letters.iter().map(move |third| (pair.clone(), third.to_string())));
        for (left, right) in of_pairs.chain(of_triples).take(room) {
            tokens.push(format!("{left}{right}"));
            merges.push(format!("{left} {right}"));
        }
        if merges.len() < room {
            return None;
        }
        let mut types = vec![NORMAL; tokens.len()];
        tokens.push("<|endoftext|>".to_owned());
        types.push(CONTROL);
        Some(Self {
            tokens,
            types,
            merges,
        })
    }
}

impl Vocabulary {
    /// The same as a `tokenizer.json`.
    pub(crate) fn file(&self) -> Value {
        let (mut vocab, mut added) = (Map::new(), Vec::new());
        for (id, (token, kind)) in self.tokens.iter().zip(&self.types).enumerate() {
            vocab.insert(token.clone(), Value::from(id));
            if *kind == CONTROL {
                added.push(
                    json!({"id": id, "content": token, "special": true, "single_word": false,
                                  "lstrip": false, "rstrip": false, "normalized": false}),
                );
            }
        }
        let pair = |merge: &String| Value::from_iter(merge.split(' '));
        let merges: Vec<Value> = self.merges.iter().map(pair).collect();
        let bytes =
            json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
        json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
            "pre_tokenizer": bytes, "post_processor": null, "decoder": bytes,
            "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                      "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
                      "ignore_merges": false, "vocab": vocab, "merges": merges},
        })
    }
}

/// The characters by which byte-level BPE writes the bytes: those that print stand for themselves, the others follow from
/// U+0100 on (Radford et al. 2019, the published tokenizer of GPT-2).
fn byte_characters() -> [char; 256] {
    let mut others = (0x100_u32..).filter_map(char::from_u32);
    std::array::from_fn(|byte| {
        let byte = byte as u8;
        match byte {
            b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte),
            _ => others.next().unwrap_or_default(),
        }
    })
}

/// A text of so many tokens, of which each `number` has another.
pub(crate) fn prompt(tokens: usize, number: usize) -> String {
    let digit =
        |at: usize| char::from(b'0' + (at.wrapping_mul(at).wrapping_add(7 * number + at / 7) % 10) as u8);
    (0..tokens).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn merges_make_tokens_of_tokens() {
        for size in [300, 1024, 151_936] {
            let vocabulary = Vocabulary::of_size(size).unwrap();
            assert_eq!(vocabulary.tokens.len(), size);
            assert_eq!(vocabulary.types.len(), size);
            let tokens: HashSet<&str> = vocabulary.tokens.iter().map(String::as_str).collect();
            assert_eq!(tokens.len(), size, "each token once");
            for merge in &vocabulary.merges {
                let (left, right) = merge.split_once(' ').unwrap();
                assert!(tokens.contains(left) && tokens.contains(right), "{merge}");
                assert!(tokens.contains(format!("{left}{right}").as_str()), "{merge}");
            }
        }
        assert!(Vocabulary::of_size(100).is_none());
        assert!(Vocabulary::of_size(1_000_000).is_none());
    }

    #[test]
    fn bytes_are_written_as_published() {
        let characters = byte_characters();
        assert_eq!(characters[usize::from(b' ')], 'Ġ');
        assert_eq!(characters[usize::from(b'\n')], 'Ċ');
        assert_eq!(characters[usize::from(b'a')], 'a');
        assert_eq!(characters[0xad], 'Ń');
    }

    #[test]
    fn prompts_have_their_length_and_differ() {
        assert_eq!(prompt(512, 0).len(), 512);
        assert!(prompt(64, 1).bytes().all(|byte| byte.is_ascii_digit()));
        assert_ne!(prompt(64, 1), prompt(64, 2));
    }
}
