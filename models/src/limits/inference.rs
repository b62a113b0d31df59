//! Limits of the engine on what comes from a model's files and from a request.
//!
//! Why apart: the sealed format is used without the engine.
//!
//! # Invariants
//! Nothing is allocated from a number in a file before it was compared with one of these, and weights only
//! after the file was seen to hold that many.

/// Largest JSON file besides the tokenizer and the shard index: published ones stay below 100 KiB.
pub(crate) const CONFIG_BYTES: usize = 1 << 20;
/// Largest `tokenizer.json`: the largest published vocabularies (262,144 pieces with merges) take 35 MB.
pub(crate) const TOKENIZER_BYTES: usize = 128 << 20;
/// Largest `model.safetensors.index.json`: about 100 bytes a tensor.
pub(crate) const INDEX_BYTES: usize = 16 << 20;
/// Largest header of a safetensors file: about 150 bytes a tensor.
pub(crate) const WEIGHTS_HEADER_BYTES: u64 = 16 << 20;
/// Most tensors in all files of a model: 94 layers of 128 experts of 3, as Qwen3-235B has, and room.
pub(crate) const TENSORS: usize = 65_536;
/// Most layers: Llama 3.1 405B has 126.
pub(crate) const LAYERS: usize = 512;
/// Widest hidden state: Llama 3.1 405B has 16,384.
pub(crate) const WIDTH: usize = 65_536;
/// Widest feed-forward part: Llama 3.1 405B has 53,248.
pub(crate) const FEED_FORWARD: usize = 1 << 19;
/// Most attention heads: Llama 3.1 405B has 128.
pub(crate) const HEADS: usize = 1_024;
/// Widest head: 256 is the widest published.
pub(crate) const HEAD_WIDTH: usize = 1_024;
/// Most experts of a layer: 512 is the most published.
pub(crate) const EXPERTS: usize = 1_024;
/// Largest vocabulary: 262,144 is the largest published.
pub(crate) const VOCABULARY: usize = 1 << 20;
/// Longest context: ten million positions is the longest announced.
pub(crate) const CONTEXT: usize = 1 << 24;

/// Bytes of a file's rows that are packed before their memory goes back: enough for all cores. Of a file that is not kept they lie
/// in memory three times, which beside a large tokenizer has to stay within the 64 MiB by which loading may exceed what it leaves.
pub(crate) const PACK_BYTES: usize = 6 << 20;

/// What a program takes before it has a model, its threads' stacks included; measured.
pub(crate) const PROGRAM_BYTES: u64 = 16 << 20;
/// What the tokenizer and its library take for each token; measured with vocabularies of 8,192 and of 151,936 tokens.
pub(crate) const TOKEN_BYTES: u64 = 280;

/// Largest chat template: published ones stay below 40 KiB.
pub(crate) const TEMPLATE_BYTES: usize = 256 << 10;
/// Instructions that a template may run: a long conversation of 10,000 messages stays below a tenth.
pub(crate) const TEMPLATE_FUEL: u64 = 20_000_000;
/// Most bytes that a template may render: no context holds more text than this.
pub(crate) const RENDERED_BYTES: usize = 64 << 20;
/// Most messages of a conversation.
pub(crate) const MESSAGES: usize = 10_000;
/// Most JSON values in the arguments of one earlier call: a few members, or a table.
pub(crate) const CALL_VALUES: usize = 8_192;
/// Most bytes of text that are turned into tokens at once.
pub(crate) const TEXT_BYTES: usize = 16 << 20;

/// How much shorter a tokenizer may make a text before it splits it: by composing characters or joining
/// spaces, a few times at most.
pub(crate) const SHORTENING: usize = 4;

/// Most stop strings of a request: the OpenAI interface allows 4, others up to 16.
pub(crate) const STOP_STRINGS: usize = 16;
/// Longest stop string in bytes: so much text at most is held back.
pub(crate) const STOP_STRING_BYTES: usize = 256;
/// Most alternatives reported beside each token: the OpenAI interface allows 20.
pub(crate) const TOP_LOGPROBS: usize = 20;
/// Tokens of prompts computed in one pass while no answer runs: a request that comes waits so long before its own begin.
pub(crate) const PREFILL_SLICE: usize = 256;
/// The same while answers run: together with as many rows for them a pass takes twice as long as without.
pub(crate) const PREFILL_BESIDE: usize = 16;
/// Rows of one pass: memory is taken for so many. More answers than this take turns.
pub(crate) const PASS_ROWS: usize = 256;
/// Rows whose logits are computed at a time: a vocabulary of 262,144 takes a MiB for each.
pub(crate) const LOGIT_ROWS: usize = 32;
/// Bytes of keys and values when nothing was said: a small server's share.
pub(crate) const KV_BYTES: u64 = 1 << 30;
/// Whole contexts that keys and values have room for when nothing was said: as many answers as usually run.
pub(crate) const KV_CONTEXTS: usize = 32;
/// Tokens of texts that an encoder computes in one pass, when one text alone is not longer: beyond, weights are read so
/// seldom that nothing is gained.
pub(crate) const EMBEDDING_ROWS: usize = 1_024;
/// Tokens that one thread of an encoder takes through a layer at a time, at most: so many stay in its second cache.
pub(crate) const EMBEDDING_ROWS_PART: usize = 128;
/// Tokens a thread from which on each thread takes some through a layer by itself. With fewer, reading all weights costs more
/// than waiting for each other.
pub(crate) const EMBEDDING_ROWS_ALONE: usize = 24;
/// Most texts of one embedding call: the OpenAI interface allows 2,048.
pub(crate) const EMBEDDING_TEXTS: usize = 2_048;
