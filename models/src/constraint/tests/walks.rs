//! Schemas that nobody wrote, and answers that nobody chose: what ends fulfils its schema, and all of it ends.

use proptest::prelude::*;

use super::*;
use crate::constraint::walk::{Walked, grammars, walk};

/// Schemas of the words that [`fulfils`] knows.
fn schema() -> impl Strategy<Value = Value> {
    let bound = 0u64..4;
    let leaf = prop_oneof![
        Just(json!(true)),
        Just(json!({})),
        prop::sample::select(vec![
            "string", "integer", "number", "boolean", "null", "array", "object"
        ])
        .prop_map(|name| json!({"type": name})),
        prop::collection::vec(
            prop::sample::select(vec![json!(1), json!("a"), json!(null), json!({"a": [1, "b"]})]),
            1..4
        )
        .prop_map(|values| json!({"enum": values})),
        (-30i64..30, 0i64..200).prop_map(|(least, more)| {
            json!({"type": "integer", "minimum": least, "maximum": least + more})
        }),
        (bound.clone(), bound.clone()).prop_map(
            |(least, more)| json!({"type": "string", "minLength": least, "maxLength": least + more})
        ),
    ];
    leaf.prop_recursive(3, 12, 3, move |inner| {
        let several = prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            (inner.clone(), bound.clone(), bound.clone()).prop_map(|(items, least, more)| {
                json!({"type": "array", "items": items, "minItems": least, "maxItems": least + more})
            }),
            several
                .clone()
                .prop_map(|list| json!({"type": "array", "prefixItems": list, "items": false})),
            (several.clone(), any::<u8>(), any::<bool>()).prop_map(|(list, required, open)| {
                let names = ["a", "b", "long name"];
                let required: Vec<&str> = names
                    .into_iter()
                    .take(list.len())
                    .enumerate()
                    .filter(|(bit, _)| required >> bit & 1 == 1)
                    .map(|(_, name)| name)
                    .collect();
                let members: serde_json::Map<String, Value> =
                    names.map(str::to_owned).into_iter().zip(list).collect();
                json!({"type": "object", "properties": members, "required": required, "additionalProperties": open})
            }),
            several.clone().prop_map(|list| json!({"anyOf": list})),
            several.clone().prop_map(|list| json!({"allOf": list})),
            several.prop_map(|list| json!({"oneOf": list})),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_ends_fulfils_its_schema(schema in schema(), choices in prop::collection::vec(any::<u8>(), 0..120)) {
        // Every answer that can end does so in time.
        let choices: Vec<u8> = choices.into_iter().flat_map(|choice| [choice, u8::MAX]).collect();
        if let Walked::Whole(text) = walk(&grammars(), of_schema(&schema), &choices) {
            // Numbers beyond 64 bits have no value here.
            if let Ok(value) = serde_json::from_slice::<Value>(&text) {
                prop_assert!(fulfils(&schema, &schema, &value), "{} {}", schema, value);
            }
        }
    }

    #[test]
    fn damaged_schemas_are_refused_or_kept_to(
        schema in schema(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        choices in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut bytes = schema.to_string().into_bytes();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
        walk(&grammars(), Output::Json(Format::Schema(text)), &choices);
    }
}

#[test]
fn walks_come_to_their_ends() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"], "additionalProperties": false});
    let walked = walk(&grammars(), of_schema(&schema), &[u8::MAX; 100]);
    let Walked::Whole(text) = walked else {
        panic!("it ends");
    };
    assert!(serde_json::from_slice::<Value>(&text).unwrap()["a"].is_boolean());
    let refused = walk(&grammars(), of_schema(&json!({"not": {}})), &[]);
    assert!(matches!(refused, Walked::Refused(ConstraintError::Schema { .. })));
    let open = walk(
        &grammars(),
        of_schema(&json!({"type": "string", "minLength": 9})),
        &[0, 1],
    );
    assert!(matches!(open, Walked::Open(text) if !text.is_empty()));
}
