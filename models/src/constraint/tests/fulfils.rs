//! Whether a value fulfils a schema, for the words that tests of this crate use.
//!
//! Why apart: it is written from JSON Schema 2020-12 alone and knows nothing of grammars.
//!
//! # Invariants
//! A word it does not know is a panic, so that no test passes by it.

use serde_json::Value;

pub(super) fn fulfils(root: &Value, schema: &Value, value: &Value) -> bool {
    let words = match schema {
        Value::Bool(all) => return *all,
        Value::Object(words) => words,
        _ => panic!("no schema"),
    };
    words.iter().all(|(word, said)| {
        let number = value.as_f64();
        let compare =
            |holds: fn(f64, f64) -> bool| number.is_none_or(|number| holds(number, said.as_f64().unwrap()));
        let letters = value.as_str().map(|text| text.chars().count() as u64);
        let items = value.as_array();
        let members = value.as_object();
        match word.as_str() {
            "$defs" | "additionalProperties" | "description" | "title" => true,
            "$ref" => {
                let place = said.as_str().unwrap().strip_prefix('#').unwrap();
                fulfils(root, root.pointer(place).unwrap(), value)
            }
            "type" => is(said, value),
            "const" => same(said, value),
            "enum" => said.as_array().unwrap().iter().any(|one| same(one, value)),
            "allOf" => said
                .as_array()
                .unwrap()
                .iter()
                .all(|one| fulfils(root, one, value)),
            "anyOf" => said
                .as_array()
                .unwrap()
                .iter()
                .any(|one| fulfils(root, one, value)),
            "oneOf" => {
                said.as_array()
                    .unwrap()
                    .iter()
                    .filter(|one| fulfils(root, one, value))
                    .count()
                    == 1
            }
            "minimum" => compare(|number, bound| number >= bound),
            "maximum" => compare(|number, bound| number <= bound),
            "multipleOf" => compare(|number, of| number % of == 0.0),
            "minLength" => letters.is_none_or(|count| count >= said.as_u64().unwrap()),
            "maxLength" => letters.is_none_or(|count| count <= said.as_u64().unwrap()),
            "pattern" => value
                .as_str()
                .is_none_or(|text| pattern(said.as_str().unwrap(), text)),
            "format" => value
                .as_str()
                .is_none_or(|text| format(said.as_str().unwrap(), text)),
            "minItems" => items.is_none_or(|items| items.len() as u64 >= said.as_u64().unwrap()),
            "maxItems" => items.is_none_or(|items| items.len() as u64 <= said.as_u64().unwrap()),
            "prefixItems" => items.is_none_or(|items| {
                items
                    .iter()
                    .zip(said.as_array().unwrap())
                    .all(|(item, one)| fulfils(root, one, item))
            }),
            "items" => items.is_none_or(|items| {
                let before = words
                    .get("prefixItems")
                    .map_or(0, |list| list.as_array().unwrap().len());
                items.iter().skip(before).all(|item| fulfils(root, said, item))
            }),
            "maxProperties" => members.is_none_or(|members| members.len() as u64 <= said.as_u64().unwrap()),
            "required" => members.is_none_or(|members| {
                said.as_array()
                    .unwrap()
                    .iter()
                    .all(|name| members.contains_key(name.as_str().unwrap()))
            }),
            "properties" => members.is_none_or(|members| {
                members.iter().all(|(name, member)| {
                    let others = words.get("additionalProperties").unwrap_or(&Value::Bool(true));
                    fulfils(root, said.get(name).unwrap_or(others), member)
                })
            }),
            other => panic!("{other} is not checked"),
        }
    })
}

fn is(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap() {
        "array" => value.is_array(),
        "boolean" => value.is_boolean(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "object" => value.is_object(),
        "string" => value.is_string(),
        other => panic!("{other} is no type"),
    }
}

/// Numbers are the same by their value.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(name, one)| other.get(name).is_some_and(|other| same(one, other)))
        }
        _ => one == other,
    }
}

fn pattern(pattern: &str, text: &str) -> bool {
    match pattern {
        "^[a-f]{2}-[0-9]{1,4}$" => text.split_once('-').is_some_and(|(letters, digits)| {
            letters.len() == 2
                && letters.bytes().all(|byte| (b'a'..=b'f').contains(&byte))
                && (1..=4).contains(&digits.len())
                && digits.bytes().all(|byte| byte.is_ascii_digit())
        }),
        other => panic!("{other} is not checked"),
    }
}

fn format(format: &str, text: &str) -> bool {
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_hexdigit() { '0' } else { c })
        .collect();
    match format {
        // RFC 9562, section 4.
        "uuid" => shape == "00000000-0000-0000-0000-000000000000",
        // RFC 3339, section 5.6.
        "date" => {
            let numbers: Vec<u32> = text.split('-').map(|part| part.parse().unwrap()).collect();
            text.len() == 10 && (1..=12).contains(&numbers[1]) && (1..=31).contains(&numbers[2])
        }
        other => panic!("{other} is not checked"),
    }
}
