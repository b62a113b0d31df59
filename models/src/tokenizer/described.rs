//! What a `tokenizer.json` says, with the model's tokens and merges as tables.
//!
//! Why apart: as a tree of JSON a vocabulary of 150,000 tokens with as many merges takes 65 MiB, while the weights lie in memory.
//!
//! # Invariants
//! Tokens and merges leave the text one at a time, into the form in which the library takes them. What is no such table stays
//! JSON, for the library to judge.

use std::fmt;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};
use serde_json::{Map, Value};
use tokenizers::models::bpe::{Merges, Vocab};

const MODEL: &str = "model";
const VOCAB: &str = "vocab";
const MERGES: &str = "merges";

/// All that makes a tokenizer.
pub(crate) struct Described {
    /// The members of the file, without what is in the tables.
    pub(super) members: Map<String, Value>,
    pub(super) tables: Tables,
}

/// The model's large members, where they have their usual form.
#[derive(Default)]
pub(crate) struct Tables {
    /// Ids by tokens.
    pub(crate) vocab: Option<Vocab>,
    /// Pairs of tokens that become one, the first ones first.
    pub(crate) merges: Option<Merges>,
}

impl Described {
    /// For who has the tables already: `members` as a file would have them, without these.
    pub(crate) fn new(members: Map<String, Value>, tables: Tables) -> Self {
        Self { members, tables }
    }

    /// The kind of its model, where the file says it.
    pub(super) fn kind(&self) -> Option<&str> {
        self.members.get(MODEL)?.get("type")?.as_str()
    }

    /// The file's members with everything in its place: a large tree.
    pub(super) fn into_members(self) -> Map<String, Value> {
        let Self { mut members, tables } = self;
        if let Some(model) = members.get_mut(MODEL).and_then(Value::as_object_mut) {
            if let Some(vocab) = tables.vocab {
                let vocab = vocab.into_iter().map(|(token, id)| (token, Value::from(id)));
                model.insert(VOCAB.to_owned(), Value::Object(vocab.collect()));
            }
            if let Some(merges) = tables.merges {
                let merges = merges
                    .into_iter()
                    .map(|(left, right)| Value::from(vec![left, right]));
                model.insert(MERGES.to_owned(), merges.collect());
            }
        }
        members
    }
}

impl<'de> Deserialize<'de> for Described {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(File)
    }
}

/// The whole file.
struct File;

impl<'de> Visitor<'de> for File {
    type Value = Described;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tokenizer")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Described, A::Error> {
        let mut described = Described::new(Map::new(), Tables::default());
        while let Some(key) = map.next_key::<String>()? {
            let value = if key == MODEL {
                let model: Model = map.next_value()?;
                described.tables = model.tables;
                model.rest
            } else {
                map.next_value()?
            };
            described.members.insert(key, value);
        }
        Ok(described)
    }
}

/// The member `model`.
struct Model {
    rest: Value,
    tables: Tables,
}

impl<'de> Deserialize<'de> for Model {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Model;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a model")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Model, A::Error> {
        let (mut rest, mut tables) = (Map::new(), Tables::default());
        while let Some(key) = map.next_key::<String>()? {
            // Of two members of one name the second counts, as in a tree.
            let value = match key.as_str() {
                VOCAB => match map.next_value()? {
                    Tokens::Table(vocab) => {
                        tables.vocab = Some(vocab);
                        rest.shift_remove(VOCAB);
                        continue;
                    }
                    Tokens::List(list) => {
                        tables.vocab = None;
                        list
                    }
                },
                MERGES => {
                    let Pairs(merges) = map.next_value()?;
                    tables.merges = Some(merges);
                    continue;
                }
                _ => map.next_value()?,
            };
            rest.insert(key, value);
        }
        let rest = Value::Object(rest);
        Ok(Model { rest, tables })
    }
}

/// The member `vocab`.
enum Tokens {
    Table(Vocab),
    /// Unigram's, with scores.
    List(Value),
}

impl<'de> Deserialize<'de> for Tokens {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Tokens;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tokens")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Tokens, A::Error> {
                Vocab::deserialize(MapAccessDeserializer::new(map)).map(Tokens::Table)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Tokens, A::Error> {
                Value::deserialize(SeqAccessDeserializer::new(list)).map(Tokens::List)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// The member `merges`: pairs, or lines as older files have them.
struct Pairs(Merges);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("merges")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Pairs, A::Error> {
                let (mut merges, mut lines) = (Merges::new(), None);
                while let Some(merge) = list.next_element::<Merge>()? {
                    let (line, pair) = match merge {
                        Merge::Pair(pair) => (false, Some(pair)),
                        Merge::Line(pair) => (true, pair),
                    };
                    if *lines.get_or_insert(line) != line {
                        return Err(A::Error::custom("merges of two kinds"));
                    }
                    merges.extend(pair);
                }
                Ok(Pairs(merges))
            }
        }
        deserializer.deserialize_seq(All)
    }
}

enum Merge {
    Pair((String, String)),
    /// `None` for the line by which files of merges begin.
    Line(Option<(String, String)>),
}

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Merge;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("two tokens")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Merge, A::Error> {
                match (list.next_element()?, list.next_element()?, list.next_element()?) {
                    (Some(left), Some(right), None::<IgnoredAny>) => Ok(Merge::Pair((left, right))),
                    _ => Err(A::Error::custom("a merge is of two tokens")),
                }
            }

            fn visit_str<E: Error>(self, line: &str) -> Result<Merge, E> {
                if line.starts_with("#version") {
                    return Ok(Merge::Line(None));
                }
                match line.split_once(' ') {
                    Some((left, right)) if !right.contains(' ') => {
                        Ok(Merge::Line(Some((left.to_owned(), right.to_owned()))))
                    }
                    _ => Err(E::invalid_value(Unexpected::Other("a line"), &self)),
                }
            }
        }
        deserializer.deserialize_any(Either)
    }
}
