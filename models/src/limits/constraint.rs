//! Limits on schemas and tools, which come from whoever asks and are turned into grammars.
//!
//! Why apart: a short schema can stand for a grammar that never ends being built.
//!
//! # Invariants
//! Work is bounded in counts and steps, never by a clock, so that the same schema is taken or refused on every machine.

/// Bytes of all schemas of a request: OpenAI takes 120,000 characters of names and values.
pub(crate) const SCHEMA_BYTES: usize = 128 << 10;
/// JSON values in all schemas of a request: OpenAI takes 5,000 properties, and a property of a strict schema is one or two.
pub(crate) const SCHEMA_VALUES: usize = 8_192;
/// Schemas in schemas: OpenAI takes 10 levels, published ones stay below 20.
pub(crate) const SCHEMA_DEPTH: usize = 32;
/// Places that `$ref` points to. What they say is followed once each, one within the other at worst.
pub(crate) const SCHEMA_REFERENCES: usize = 128;
/// Schemas after alternatives were multiplied out, as `allOf` and keywords beside `anyOf` or `$ref` want it.
pub(crate) const SCHEMA_WEIGHT: u64 = 16_384;
/// Members that an object names. The grammar takes them one within the other.
pub(crate) const SCHEMA_PROPERTIES: usize = 512;
/// Those of them that may be left out: after each, all that are left may come.
pub(crate) const SCHEMA_OPTIONAL: usize = 256;
/// Alternatives of one `oneOf`, which are compared each with each.
pub(crate) const SCHEMA_ONE_OF: usize = 128;
/// Patterns of one `patternProperties`, which are compared each with each.
pub(crate) const SCHEMA_PATTERNS: usize = 8;
/// Bytes of a regular expression.
pub(crate) const SCHEMA_PATTERN: usize = 512;
/// Characters that `minLength` and `maxLength` may name: each is some fourteen of [`LEXER_STATES`].
pub(crate) const SCHEMA_LENGTH: u64 = 2_000;
/// Items and members that `minItems` and the like may name: more than an answer has tokens.
pub(crate) const SCHEMA_COUNT: u64 = 1 << 20;
/// Digits of `multipleOf` as a number without its point: an automaton has a state for each remainder.
pub(crate) const SCHEMA_MULTIPLE: f64 = 1_000.0;

/// Tools of a request, as OpenAI has it.
pub(crate) const TOOLS: usize = 128;
/// Characters of a function's name, as OpenAI has it.
pub(crate) const TOOL_NAME: usize = 64;

/// Steps for the automaton of all texts and numbers of a schema. The largest schemas in use (FHIR) take a few more; building
/// takes some 20 ms for these.
pub(crate) const COMPILE_FUEL: u64 = 300_000;
/// Symbols of a grammar: some MB.
pub(crate) const GRAMMAR_SYMBOLS: usize = 100_000;
/// Steps of the automaton for the mask of one token: some milliseconds with a vocabulary of 150,000.
pub(crate) const MASK_FUEL: u64 = 50_000;
/// Places in the grammar that are looked at for the mask of one token: about a millisecond.
pub(crate) const MASK_ITEMS: usize = 20_000;
/// Places in the grammar at one byte of an answer: [`SCHEMA_OPTIONAL`] takes four for each.
pub(crate) const ROW_ITEMS: usize = 4_000;
/// States of the automaton that one answer may visit, of some 400 bytes each.
pub(crate) const LEXER_STATES: usize = 50_000;
/// Stack of the thread that builds a grammar: [`SCHEMA_REFERENCES`] times [`SCHEMA_DEPTH`] levels at worst, of some KiB each.
/// Only what is used takes memory.
pub(crate) const COMPILE_STACK: usize = 128 << 20;
/// Threads that compute masks, at most. They stand beside a pass of milliseconds and take some ten microseconds for each
/// answer in it.
pub(crate) const MASK_THREADS: usize = 4;
/// Bytes of the longest token that may stand in a constrained answer; the library's table of tokens has this depth.
pub(crate) const TOKEN_BYTES: usize = 512;
