//! A JSON Schema from outside, taken apart and written anew.
//!
//! Why apart: the library that makes grammars of schemas ignores words it does not know, reads options of its own out of
//! them, and can be kept at work without end by short ones. It only ever sees what is written here.
//!
//! Taken is JSON Schema 2020-12 (and `items` lists of older drafts) but for the words in [`NOT_KEPT`]; words that only tell
//! (`title`, `description`) are left out. A schema is refused rather than kept to in part.
//!
//! # Invariants
//! How much a schema can grow while its alternatives are multiplied out is known before anything is multiplied. Errors name
//! words of ours alone.

use std::fmt;

use anchorhold_encoding::bounded;
use serde_json::{Map, Value, json};

use super::weight::Weight;
use crate::limits::constraint as limits;
use crate::wiped::WipedJson;

/// Words that say something about a value and are not kept to.
const NOT_KEPT: [&str; 18] = [
    "$dynamicRef",
    "$recursiveRef",
    "contains",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "if",
    "maxContains",
    "minContains",
    "not",
    "nullable",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
    "x-guidance",
];

/// Words that say nothing about a value (JSON Schema 2020-12, sections 8 and 9 of Core and Validation; `discriminator` of
/// OpenAPI 3.1 is a hint).
const TELLING: [&str; 20] = [
    "$anchor",
    "$comment",
    "$defs",
    "$dynamicAnchor",
    "$id",
    "$schema",
    "$vocabulary",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "default",
    "definitions",
    "deprecated",
    "description",
    "discriminator",
    "examples",
    "id",
    "readOnly",
    "title",
    "writeOnly",
];

/// Formats that are kept to. Any other tells only, as JSON Schema 2020-12 has it (Validation, section 7.2.1).
const FORMATS: [&str; 10] = [
    "date",
    "date-time",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "time",
    "uri",
    "uuid",
];

/// Names of types.
const TYPES: [&str; 7] = [
    "array", "boolean", "integer", "null", "number", "object", "string",
];

/// A schema is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaError {
    /// Not JSON, or not a JSON Schema: what stands under this word, or the whole.
    NotASchema(&'static str),
    /// More bytes, values, levels or references than are taken, or a number too high under this word.
    TooLarge(&'static str),
    /// It could grow beyond what is taken.
    TooComplex,
    /// A word that is not kept to; without its name where nobody defined it.
    NotKept(Option<&'static str>),
    /// A reference that leaves the schema, or points nowhere in it.
    Reference,
    /// A reference to itself where two schemas would have to be joined.
    Recursive,
    /// Nothing fulfils it, or it is not understood.
    Refused,
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotASchema("") => f.write_str("the schema is not a JSON Schema"),
            Self::NotASchema(word) => write!(f, "`{word}` is not as JSON Schema has it"),
            Self::TooLarge("") => f.write_str("the schema is too large"),
            Self::TooLarge(word) => write!(f, "`{word}` is more than is taken"),
            Self::TooComplex => f.write_str("the schema is too complex"),
            Self::NotKept(Some(word)) => write!(f, "`{word}` is not kept to"),
            Self::NotKept(None) => f.write_str("a word of the schema is not known"),
            Self::Reference => f.write_str("a `$ref` does not point to a schema in the schema"),
            Self::Recursive => f.write_str("a `$ref` leads to itself where schemas are joined"),
            Self::Refused => f.write_str("nothing fulfils the schema, or it is not understood"),
        }
    }
}

impl std::error::Error for SchemaError {}

impl SchemaError {
    /// What the client can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotASchema(_) => "compare it with JSON Schema 2020-12",
            Self::TooLarge(_) | Self::TooComplex => "ask for less in one answer",
            Self::NotKept(_) => "leave it out, and check the answer yourself",
            Self::Reference => "use `#` and `#/$defs/NAME` only",
            Self::Recursive => "put the reference alone into its schema",
            Self::Refused => {
                "look for bounds that exclude each other, and for patterns that look ahead or behind"
            }
        }
    }
}

/// How many bytes and values the schemas of one request may still have.
pub(super) struct Allowance {
    bytes: usize,
    values: usize,
}

impl Allowance {
    pub(super) fn new() -> Self {
        Self {
            bytes: limits::SCHEMA_BYTES,
            values: limits::SCHEMA_VALUES,
        }
    }
}

/// A schema as the library gets it.
pub(super) fn rewrite(text: &str, left: &mut Allowance) -> Result<WipedJson, SchemaError> {
    left.bytes = left
        .bytes
        .checked_sub(text.len())
        .ok_or(SchemaError::TooLarge(""))?;
    let parsed = bounded::from_slice(text.as_bytes(), left.values);
    let root = WipedJson(parsed.map_err(|error| match error {
        bounded::BoundedError::TooMany => SchemaError::TooLarge(""),
        bounded::BoundedError::Shape => SchemaError::NotASchema(""),
    })?);
    left.values = left.values.saturating_sub(bounded_values(&root.0));
    let mut rewriting = Rewriting {
        root: &root.0,
        targets: Vec::new(),
    };
    let (mut schema, _) = rewriting.schema(&root.0, 0)?;
    if !schema.is_object() {
        // `true` is any value, `false` none.
        schema = if schema == true {
            json!({})
        } else {
            return Err(SchemaError::Refused);
        };
    }
    let definitions = rewriting.targets.into_iter().enumerate();
    let definitions: Map<String, Value> = definitions
        .map(|(number, target)| (number.to_string(), target.schema))
        .collect();
    let mut schema = WipedJson(schema);
    if !definitions.is_empty() {
        schema.0["$defs"] = Value::Object(definitions);
    }
    Ok(schema)
}

fn bounded_values(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(bounded_values).sum(),
        Value::Object(members) => members.values().map(bounded_values).sum(),
        _ => 0,
    }
}

/// What a reference points to.
struct Target<'a> {
    place: &'a Value,
    schema: Value,
    /// None while it is being read.
    weight: Option<Weight>,
}

struct Rewriting<'a> {
    root: &'a Value,
    targets: Vec<Target<'a>>,
}

impl<'a> Rewriting<'a> {
    fn schema(&mut self, value: &'a Value, depth: usize) -> Result<(Value, Weight), SchemaError> {
        if depth > limits::SCHEMA_DEPTH {
            return Err(SchemaError::TooLarge(""));
        }
        let members = match value {
            Value::Bool(_) => return Ok((value.clone(), Weight::ONE)),
            Value::Object(members) => members,
            _ => return Err(SchemaError::NotASchema("")),
        };
        let mut written = Map::new();
        // What all has to hold at one time.
        let mut joined = Vec::new();
        let mut own = Weight::ONE;
        let (mut says, mut types) = (false, None);
        for (word, value) in members {
            let word = word.as_str();
            if TELLING.contains(&word) || (word == "format" && !is_kept_format(value)) {
                continue;
            }
            if let Some(word) = NOT_KEPT.iter().find(|other| **other == word) {
                // The one value with which it says nothing.
                if *word == "uniqueItems" && value == false {
                    continue;
                }
                return Err(SchemaError::NotKept(Some(word)));
            }
            let (word, rewritten) = match word {
                "type" => {
                    types = Some(type_count(value)?);
                    ("type", value.clone())
                }
                "$ref" => {
                    let (rewritten, weight) = self.reference(value)?;
                    joined.push(weight);
                    ("$ref", rewritten)
                }
                "const" => {
                    joined.push(Weight::of_values(std::slice::from_ref(value)));
                    ("const", value.clone())
                }
                "enum" => {
                    let values = value.as_array().filter(|values| !values.is_empty());
                    let values = values.ok_or(SchemaError::NotASchema("enum"))?;
                    joined.push(Weight::of_values(values));
                    ("enum", value.clone())
                }
                "allOf" => {
                    let (rewritten, weights) = self.list("allOf", value, depth)?;
                    joined.extend(weights);
                    ("allOf", rewritten)
                }
                "anyOf" => {
                    let (rewritten, weights) = self.list("anyOf", value, depth)?;
                    joined.push(Weight::any_of(&weights));
                    ("anyOf", rewritten)
                }
                "oneOf" => {
                    let (rewritten, weights) = self.list("oneOf", value, depth)?;
                    if weights.len() > limits::SCHEMA_ONE_OF {
                        return Err(SchemaError::TooLarge("oneOf"));
                    }
                    joined.push(Weight::any_of(&weights));
                    ("oneOf", rewritten)
                }
                other => {
                    says = true;
                    let (word, rewritten, weight) = self.of_type(other, value, depth)?;
                    own = own.with(weight);
                    (word, rewritten)
                }
            };
            written.insert(word.to_owned(), rewritten);
        }
        if says && members.contains_key("properties") {
            check_members(members)?;
        }
        match types {
            // Without a type the words of each count for values of that type, and any other value will do.
            None if says => joined.push(own.of_types(TYPES.len() - 1)),
            Some(count) if count > 1 => joined.push(own.of_types(count)),
            Some(_) => joined.push(own),
            None => {}
        }
        let weight = Weight::all_of(&joined)?;
        if weight.size() > limits::SCHEMA_WEIGHT {
            return Err(SchemaError::TooComplex);
        }
        Ok((Value::Object(written), weight))
    }

    /// A word that counts for one type of values.
    fn of_type(
        &mut self,
        word: &str,
        value: &'a Value,
        depth: usize,
    ) -> Result<(&'static str, Value, Weight), SchemaError> {
        let taken = |word| Ok((word, value.clone(), Weight::NONE));
        match word {
            "properties" => self.named("properties", value, limits::SCHEMA_PROPERTIES, depth),
            "patternProperties" => {
                let (word, rewritten, weight) =
                    self.named("patternProperties", value, limits::SCHEMA_PATTERNS, depth)?;
                let short = |pattern: &String| pattern.len() <= limits::SCHEMA_PATTERN;
                if !value.as_object().is_some_and(|members| members.keys().all(short)) {
                    return Err(SchemaError::TooLarge(word));
                }
                Ok((word, rewritten, weight.spread()))
            }
            "additionalProperties" => self.one("additionalProperties", value, depth),
            "additionalItems" => self.one("additionalItems", value, depth),
            "items" if value.is_array() => self.prefix("items", value, depth),
            "items" => self.one("items", value, depth),
            "prefixItems" => self.prefix("prefixItems", value, depth),
            "required" => {
                let names = value
                    .as_array()
                    .filter(|names| names.iter().all(Value::is_string));
                match names {
                    Some(names) if names.len() <= limits::SCHEMA_PROPERTIES => taken("required"),
                    Some(_) => Err(SchemaError::TooLarge("required")),
                    None => Err(SchemaError::NotASchema("required")),
                }
            }
            "minItems" => count("minItems", value, limits::SCHEMA_COUNT),
            "maxItems" => count("maxItems", value, limits::SCHEMA_COUNT),
            "minProperties" => count("minProperties", value, limits::SCHEMA_COUNT),
            "maxProperties" => count("maxProperties", value, limits::SCHEMA_COUNT),
            "minLength" => count("minLength", value, limits::SCHEMA_LENGTH),
            "maxLength" => count("maxLength", value, limits::SCHEMA_LENGTH),
            "pattern" => match value.as_str() {
                Some(pattern) if pattern.len() <= limits::SCHEMA_PATTERN => taken("pattern"),
                Some(_) => Err(SchemaError::TooLarge("pattern")),
                None => Err(SchemaError::NotASchema("pattern")),
            },
            "format" => taken("format"),
            "minimum" => number("minimum", value),
            "maximum" => number("maximum", value),
            "exclusiveMinimum" => number("exclusiveMinimum", value),
            "exclusiveMaximum" => number("exclusiveMaximum", value),
            "multipleOf" => multiple(value),
            _ => Err(SchemaError::NotKept(None)),
        }
    }

    fn one(
        &mut self,
        word: &'static str,
        value: &'a Value,
        depth: usize,
    ) -> Result<(&'static str, Value, Weight), SchemaError> {
        let (rewritten, weight) = self.schema(value, depth + 1)?;
        // A schema for whatever else there is meets everything that the other side of a joint names.
        let weight = if value.is_boolean() {
            weight
        } else {
            weight.spread()
        };
        Ok((word, rewritten, weight))
    }

    fn prefix(
        &mut self,
        word: &'static str,
        value: &'a Value,
        depth: usize,
    ) -> Result<(&'static str, Value, Weight), SchemaError> {
        let (rewritten, weights) = self.list(word, value, depth)?;
        Ok((word, rewritten, Weight::sum(&weights).spread()))
    }

    fn named(
        &mut self,
        word: &'static str,
        value: &'a Value,
        most: usize,
        depth: usize,
    ) -> Result<(&'static str, Value, Weight), SchemaError> {
        let members = value.as_object().ok_or(SchemaError::NotASchema(word))?;
        if members.len() > most {
            return Err(SchemaError::TooLarge(word));
        }
        let mut rewritten = Map::with_capacity(members.len());
        let mut weights = Vec::with_capacity(members.len());
        for (name, schema) in members {
            let (schema, weight) = self.schema(schema, depth + 1)?;
            rewritten.insert(name.clone(), schema);
            weights.push(weight);
        }
        Ok((word, Value::Object(rewritten), Weight::sum(&weights)))
    }

    fn list(
        &mut self,
        word: &'static str,
        value: &'a Value,
        depth: usize,
    ) -> Result<(Value, Vec<Weight>), SchemaError> {
        let schemas = value.as_array().filter(|schemas| !schemas.is_empty());
        let schemas = schemas.ok_or(SchemaError::NotASchema(word))?;
        let mut rewritten = Vec::with_capacity(schemas.len());
        let mut weights = Vec::with_capacity(schemas.len());
        for schema in schemas {
            let (schema, weight) = self.schema(schema, depth + 1)?;
            rewritten.push(schema);
            weights.push(weight);
        }
        Ok((Value::Array(rewritten), weights))
    }

    /// A reference within the schema, which becomes one to a definition of ours.
    fn reference(&mut self, value: &Value) -> Result<(Value, Weight), SchemaError> {
        let pointer = value.as_str().ok_or(SchemaError::NotASchema("$ref"))?;
        let pointer = pointer.strip_prefix('#').ok_or(SchemaError::Reference)?;
        // Escapes of addresses are not read, so that no place has two names.
        if pointer.contains('%') {
            return Err(SchemaError::Reference);
        }
        let pointer = if pointer == "/" { "" } else { pointer };
        let place = self.root.pointer(pointer).ok_or(SchemaError::Reference)?;
        let known = self
            .targets
            .iter()
            .position(|target| std::ptr::eq(target.place, place));
        let number = match known {
            Some(number) => number,
            None => {
                let number = self.targets.len();
                if number >= limits::SCHEMA_REFERENCES {
                    return Err(SchemaError::TooLarge("$ref"));
                }
                self.targets.push(Target {
                    place,
                    schema: Value::Null,
                    weight: None,
                });
                let (schema, weight) = self.schema(place, 0)?;
                if let Some(target) = self.targets.get_mut(number) {
                    (target.schema, target.weight) = (schema, Some(weight));
                }
                number
            }
        };
        let weight = self.targets.get(number).and_then(|target| target.weight);
        let written = Value::String(format!("#/$defs/{number}"));
        Ok((written, Weight::of_reference(weight)))
    }
}

fn is_kept_format(value: &Value) -> bool {
    value.as_str().is_none_or(|name| FORMATS.contains(&name))
}

fn type_count(value: &Value) -> Result<usize, SchemaError> {
    let is_type = |name: &Value| name.as_str().is_some_and(|name| TYPES.contains(&name));
    match value {
        Value::String(_) if is_type(value) => Ok(1),
        Value::Array(names)
            if !names.is_empty() && names.len() <= TYPES.len() && names.iter().all(is_type) =>
        {
            Ok(names.len())
        }
        _ => Err(SchemaError::NotASchema("type")),
    }
}

/// Counts the members that may be left out.
fn check_members(members: &Map<String, Value>) -> Result<(), SchemaError> {
    let named = members.get("properties").and_then(Value::as_object);
    let required = members.get("required").and_then(Value::as_array);
    let is_required =
        |name: &String| required.is_some_and(|names| names.iter().any(|other| other == name.as_str()));
    let optional = named.map_or(0, |named| named.keys().filter(|name| !is_required(name)).count());
    if optional > limits::SCHEMA_OPTIONAL {
        return Err(SchemaError::TooLarge("properties"));
    }
    Ok(())
}

fn count(word: &'static str, value: &Value, most: u64) -> Result<(&'static str, Value, Weight), SchemaError> {
    match value.as_u64() {
        Some(number) if number <= most => Ok((word, value.clone(), Weight::NONE)),
        Some(_) => Err(SchemaError::TooLarge(word)),
        None => Err(SchemaError::NotASchema(word)),
    }
}

fn number(word: &'static str, value: &Value) -> Result<(&'static str, Value, Weight), SchemaError> {
    // Drafts up to 4 had `true` and `false` for what is excluded.
    if value.is_number() || (word.starts_with("exclusive") && value.is_boolean()) {
        Ok((word, value.clone(), Weight::NONE))
    } else {
        Err(SchemaError::NotASchema(word))
    }
}

fn multiple(value: &Value) -> Result<(&'static str, Value, Weight), SchemaError> {
    const WORD: &str = "multipleOf";
    let number = value.as_f64().filter(|number| *number > 0.0);
    let number = number.ok_or(SchemaError::NotASchema(WORD))?;
    // Up to six places after the point, and few digits in all.
    let digits = (0..=6).map(|places| number * 10_f64.powi(places));
    let mut whole = digits.filter(|digits| digits.fract().abs() < 1e-6);
    match whole.next() {
        Some(digits) if digits <= limits::SCHEMA_MULTIPLE => Ok((WORD, value.clone(), Weight::MULTIPLE)),
        _ => Err(SchemaError::TooLarge(WORD)),
    }
}

#[cfg(test)]
mod tests;
