//! Which schemas are taken, and which are refused before any work is done.

use serde_json::json;

use super::*;

fn read(schema: &Value) -> Result<Value, SchemaError> {
    rewrite(&schema.to_string(), &mut Allowance::new()).map(|mut schema| std::mem::take(&mut schema.0))
}

fn nested(depth: usize, wrap: impl Fn(Value) -> Value) -> Value {
    (0..depth).fold(json!({"type": "string"}), |inner, _| wrap(inner))
}

#[test]
fn what_only_tells_is_left_out_and_references_get_names_of_ours() {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "T", "description": "D",
        "type": "object",
        "properties": {
            "title": {"type": "string", "format": "color", "default": "x"},
            "next": {"$ref": "#/$defs/secret", "description": "again"},
            "same": {"$ref": "#/definitions/a~1b"},
        },
        "required": ["title"],
        "additionalProperties": false,
        "$defs": {"secret": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}, "unused": {"not": {}}},
        "definitions": {"a/b": {"type": "integer", "uniqueItems": false}},
    });
    let expected = json!({
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "next": {"$ref": "#/$defs/0"},
            "same": {"$ref": "#/$defs/2"},
        },
        "required": ["title"],
        "additionalProperties": false,
        "$defs": {
            "0": {"anyOf": [{"$ref": "#/$defs/1"}, {"type": "null"}]},
            "1": {
                "type": "object",
                "properties": {
                    "title": {"type": "string"},
                    "next": {"$ref": "#/$defs/0"},
                    "same": {"$ref": "#/$defs/2"},
                },
                "required": ["title"],
                "additionalProperties": false,
            },
            "2": {"type": "integer"},
        },
    });
    assert_eq!(read(&schema), Ok(expected));
    assert_eq!(read(&json!(true)), Ok(json!({})));
    assert_eq!(read(&json!(false)), Err(SchemaError::Refused));
}

#[test]
fn what_is_not_kept_to_is_refused_by_a_name_of_ours() {
    for word in NOT_KEPT {
        let schema = json!({"type": "array", word: {}});
        assert_eq!(read(&schema), Err(SchemaError::NotKept(Some(word))));
    }
    let stranger = json!({"type": "string", "canary": 1});
    assert_eq!(read(&stranger), Err(SchemaError::NotKept(None)));
    for schema in [json!({"type": "text"}), json!({"type": []}), json!({"type": 7})] {
        assert_eq!(read(&schema), Err(SchemaError::NotASchema("type")));
    }
    assert_eq!(read(&json!([])), Err(SchemaError::NotASchema("")));
    assert_eq!(
        rewrite("{", &mut Allowance::new()).err(),
        Some(SchemaError::NotASchema(""))
    );
}

#[test]
fn references_stay_within_the_schema() {
    for reference in [
        "https://example.com/schema.json",
        "other.json#/$defs/a",
        "file:///etc/passwd",
        "#/$defs/none",
        "#anchor",
        "#/%24defs/a",
    ] {
        let schema = json!({"$ref": reference, "$defs": {"a": {"type": "null"}}});
        assert_eq!(read(&schema), Err(SchemaError::Reference), "{reference}");
    }
}

#[test]
fn a_schema_that_explodes_is_refused_before_it_does() {
    let objects = |count: usize, name: &str| -> Value {
        let option = |number| json!({"type": "object", "properties": {name: {"const": number}}});
        json!({"anyOf": (0..count).map(option).collect::<Vec<_>>()})
    };
    let names = |count: usize| -> Value {
        (0..count)
            .map(|number| (format!("p{number}"), json!({"type": "string"})))
            .collect()
    };
    // Each doubles the one before; joined with something it would have to be written out.
    let doubling: Value = (0..60)
        .map(|number| {
            let next = json!({"$ref": format!("#/$defs/d{}", number + 1)});
            (format!("d{number}"), json!({"anyOf": [next, next]}))
        })
        .chain([("d60".to_owned(), json!({"type": "null"}))])
        .collect();
    let tree = json!({"type": "object", "properties": {"child": {"$ref": "#/$defs/tree"}}});
    let bomb = format!("{{\"enum\":[{}1]}}", "1,".repeat(100_000));
    assert_eq!(
        rewrite(&bomb, &mut Allowance::new()).err(),
        Some(SchemaError::TooLarge(""))
    );
    for (schema, expected) in [
        (
            json!({"allOf": [objects(40, "a"), objects(40, "b"), objects(40, "c")]}),
            SchemaError::TooComplex,
        ),
        (
            json!({"allOf": vec![objects(10, "a"); 9]}),
            SchemaError::TooComplex,
        ),
        (
            json!({"enum": (0..2000).collect::<Vec<_>>(), "anyOf": [objects(9, "a"), {"type": "null"}]}),
            SchemaError::TooComplex,
        ),
        (
            nested(
                14,
                |inner| json!({"type": "object", "properties": {"a": inner}, "anyOf": [{"minProperties": 1}, {"maxProperties": 9}]}),
            ),
            SchemaError::TooComplex,
        ),
        (
            nested(40, |inner| json!({"anyOf": [inner, {"type": "null"}]})),
            SchemaError::TooLarge(""),
        ),
        (
            nested(40, |inner| json!({"allOf": [inner]})),
            SchemaError::TooLarge(""),
        ),
        (
            nested(40, |inner| json!({"type": "array", "items": inner})),
            SchemaError::TooLarge(""),
        ),
        (
            json!({"$ref": "#/$defs/d0", "type": "null", "$defs": doubling}),
            SchemaError::TooComplex,
        ),
        (
            json!({"allOf": [{"$ref": "#/$defs/tree"}, {"$ref": "#/$defs/tree"}], "$defs": {"tree": tree}}),
            SchemaError::Recursive,
        ),
        (json!({"$ref": "#", "type": "object"}), SchemaError::Recursive),
        (
            json!({"type": "array", "minItems": 1e12 as u64}),
            SchemaError::TooLarge("minItems"),
        ),
        (
            json!({"type": "array", "maxItems": u64::MAX}),
            SchemaError::TooLarge("maxItems"),
        ),
        (
            json!({"type": "string", "maxLength": 4_000_000_000_u64}),
            SchemaError::TooLarge("maxLength"),
        ),
        (
            json!({"type": "string", "minLength": 100_000}),
            SchemaError::TooLarge("minLength"),
        ),
        (
            json!({"type": "object", "minProperties": 1 << 30}),
            SchemaError::TooLarge("minProperties"),
        ),
        (
            json!({"type": "string", "pattern": "a".repeat(10_000)}),
            SchemaError::TooLarge("pattern"),
        ),
        (
            json!({"type": "integer", "multipleOf": 999_983}),
            SchemaError::TooLarge("multipleOf"),
        ),
        (
            json!({"type": "number", "multipleOf": 0.000_012_3}),
            SchemaError::TooLarge("multipleOf"),
        ),
        (
            json!({"allOf": [{"type": "integer", "multipleOf": 997}, {"type": "integer", "multipleOf": 991}]}),
            SchemaError::TooComplex,
        ),
        (
            json!({"type": "object", "properties": names(600)}),
            SchemaError::TooLarge("properties"),
        ),
        (
            json!({"type": "object", "properties": names(300)}),
            SchemaError::TooLarge("properties"),
        ),
        (
            json!({"oneOf": vec![json!({"type": "null"}); 200]}),
            SchemaError::TooLarge("oneOf"),
        ),
    ] {
        let short: String = schema.to_string().chars().take(120).collect();
        assert_eq!(read(&schema), Err(expected), "{short}");
    }
    // Alone, doubling and recursion take nothing: each definition is one.
    for schema in [
        json!({"$ref": "#/$defs/d0", "$defs": doubling}),
        json!({"$ref": "#/$defs/tree", "$defs": {"tree": tree}}),
        json!({"allOf": [{"$ref": "#/$defs/tree"}], "description": "as pydantic writes it", "$defs": {"tree": tree}}),
        json!({"allOf": [
            {"type": "object", "properties": names(60)}, {"type": "object", "properties": names(60)},
        ]}),
    ] {
        assert!(read(&schema).is_ok());
    }
}

#[test]
fn references_in_a_row_are_as_many_as_are_taken() {
    let chain = |count: usize| -> Value {
        let definitions: Value = (0..count)
            .map(|number| {
                (
                    number.to_string(),
                    json!({"anyOf": [{"$ref": format!("#/$defs/{}", number + 1)}, {"type": "null"}]}),
                )
            })
            .chain([(count.to_string(), json!({"type": "boolean"}))])
            .collect();
        json!({"$ref": "#/$defs/0", "$defs": definitions})
    };
    assert!(read(&chain(limits::SCHEMA_REFERENCES - 1)).is_ok());
    assert_eq!(
        read(&chain(limits::SCHEMA_REFERENCES)),
        Err(SchemaError::TooLarge("$ref"))
    );
}

#[test]
fn the_schemas_of_one_request_share_an_allowance() {
    let mut left = Allowance::new();
    let schema = json!({"enum": vec![0; 3000]}).to_string();
    assert!(rewrite(&schema, &mut left).is_ok());
    assert!(rewrite(&schema, &mut left).is_ok());
    assert_eq!(rewrite(&schema, &mut left).err(), Some(SchemaError::TooLarge("")));
}
