//! Answers of models that know nothing of JSON, held to schemas: whatever they find likely, it fulfils them.

mod calls;
mod either;
mod fulfils;
mod walks;

use fulfils::fulfils;
use serde_json::{Value, json};

use super::*;
use crate::generation::{FinishReason, GenerateError, Generation, Step};
use crate::sampler::params::SamplingParams;
use crate::{Decoder, testdata};

/// Of a template that shows the Hermes form.
const HERMES: &str = "{% if tools %}<|im_start|>{{ tools | tojson }} <tool_call> {\"name\", \"arguments\"} </tool_call>\
    {% endif %}{% for m in messages %}<|im_start|>{{ m.role }} {{ m.content }}{% endfor %}";

struct Answer {
    text: String,
    /// Identifiers and exact log probabilities.
    tokens: Vec<(u32, u32)>,
    calls: Vec<(String, String)>,
    reason: FinishReason,
}

impl Answer {
    fn new() -> Self {
        Self {
            text: String::new(),
            tokens: Vec::new(),
            calls: Vec::new(),
            reason: FinishReason::Length,
        }
    }

    /// `true` when it is complete.
    fn take(&mut self, step: Step) -> bool {
        match step {
            Step::Prefilling { .. } => {}
            Step::Delta(delta) => {
                self.text.push_str(&delta.text);
                let tokens = delta.tokens.iter();
                self.tokens
                    .extend(tokens.map(|info| (info.token.id, info.token.logprob.to_bits())));
                for call in delta.calls {
                    if let Some(name) = call.name {
                        assert_eq!(call.index, self.calls.len());
                        self.calls.push((name.to_string(), String::new()));
                    }
                    self.calls[call.index].1.push_str(&call.arguments);
                }
            }
            Step::Finished(finish) => {
                self.reason = finish.reason;
                return true;
            }
        }
        false
    }
}

fn sampling(seed: u64, most: usize) -> SamplingParams {
    SamplingParams {
        temperature: [0.0, 0.7, 1.0, 3.0][seed as usize % 4],
        top_p: [1.0, 0.9][seed as usize / 4 % 2],
        top_k: [None, Some(3)][seed as usize / 8 % 2],
        repetition_penalty: [1.0, 1.5][seed as usize / 16 % 2],
        seed: Some(seed),
        max_tokens: Some(most),
        logprobs: Some(1),
        ..SamplingParams::default()
    }
}

fn begin(decoder: &Decoder, output: Output, seed: u64, most: usize) -> Generation {
    let constraint = decoder.grammars().compile(output).expect("it is taken");
    let prompt = decoder.text_prompt("Once upon a time").unwrap();
    let sampling = sampling(seed, most).validate().unwrap();
    decoder.start_within(prompt, sampling, Some(constraint)).unwrap()
}

fn whole(decoder: &Decoder, mut generation: Generation) -> Result<Answer, GenerateError> {
    let mut answer = Answer::new();
    while !answer.take(decoder.step(&mut [&mut generation]).remove(0)?) {}
    Ok(answer)
}

fn format_of(schema: &Value) -> Format {
    Format::Schema(Zeroizing::new(schema.to_string()))
}

fn of_schema(schema: &Value) -> Output {
    Output::Json(format_of(schema))
}

/// Schemas whose answers end, however much a model would like to go on.
fn bounded() -> Vec<Value> {
    let short = json!({"type": "string", "maxLength": 6});
    let digit = json!({"type": "integer", "minimum": -9, "maximum": 120});
    vec![
        json!({"type": "boolean"}),
        json!({"enum": ["red", "grün", 7, -1.5, null, [1, {"a": "b"}]]}),
        json!({"const": {"a": [true, "\"quoted\" \\ and \n"]}}),
        digit.clone(),
        json!({"type": "string", "minLength": 3, "maxLength": 9}),
        json!({"type": "string", "pattern": "^[a-f]{2}-[0-9]{1,4}$"}),
        json!({"type": "string", "format": "date"}),
        json!({"type": "string", "format": "uuid"}),
        json!({"type": "array", "items": digit, "minItems": 2, "maxItems": 4}),
        json!({"type": "array", "prefixItems": [digit, short], "items": false, "minItems": 2}),
        json!({"type": "integer", "minimum": 0, "maximum": 999, "multipleOf": 7}),
        json!({
            "type": "object",
            "properties": {
                "name": short, "age": digit, "tags": {"type": "array", "items": short, "maxItems": 2},
                "pet": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/pet"}]},
            },
            "required": ["name", "age", "tags", "pet"],
            "additionalProperties": false,
            "$defs": {"pet": {
                "type": "object", "properties": {"kind": {"enum": ["cat", "dog"]}, "age": digit},
                "required": ["kind"], "additionalProperties": false,
            }},
        }),
        json!({"oneOf": [
            {"type": "object", "properties": {"k": {"const": "a"}, "x": digit}, "required": ["k", "x"], "additionalProperties": false},
            {"type": "object", "properties": {"k": {"const": "b"}, "y": short}, "required": ["k"], "additionalProperties": false},
        ]}),
        json!({"allOf": [
            {"type": "object", "properties": {"a": short}, "required": ["a"]},
            {"type": "object", "properties": {"a": true, "b": {"type": "boolean"}}, "required": ["b"], "additionalProperties": false},
            {"type": "object", "properties": {"a": {"minLength": 2}}},
        ]}),
    ]
}

/// Each schema with several seeds, of which each samples in another way.
fn all_fulfil(decoder: &Decoder) {
    let mut ended = 0;
    let schemas = bounded();
    for (number, schema) in schemas.iter().enumerate() {
        for round in 0..6 {
            let seed = (number * 6 + round) as u64;
            let answer = whole(decoder, begin(decoder, of_schema(schema), seed, 400)).unwrap();
            let text = &answer.text;
            if answer.reason == FinishReason::Stop {
                let value = serde_json::from_str(text).unwrap_or_else(|_| panic!("{schema}: {text}"));
                assert!(fulfils(schema, schema, &value), "{schema}: {text}");
                ended += 1;
            } else {
                // Only white space can make it longer than this.
                assert!(text.contains('\n'), "{schema}: {text}");
            }
        }
    }
    assert!(ended * 10 >= schemas.len() * 6 * 9, "{ended} ended");
}

#[test]
fn answers_of_random_weights_fulfil_their_schemas() {
    all_fulfil(&testdata::byte_level(HERMES));
}

#[test]
fn answers_of_a_model_that_tells_stories_fulfil_their_schemas() {
    const NAME: &str = "answers_of_a_model_that_tells_stories_fulfil_their_schemas";
    if let Some(decoder) = testdata::stories(NAME) {
        all_fulfil(&decoder);
    }
}

#[test]
fn any_object_is_an_object_as_far_as_it_comes() {
    let decoder = testdata::byte_level(HERMES);
    let mut ended = 0;
    // Of random weights one in thirty ends its object by then.
    for seed in 0..200 {
        let answer = whole(&decoder, begin(&decoder, Output::Json(Format::Object), seed, 120)).unwrap();
        let parsed = serde_json::from_str::<Value>(&answer.text);
        // JSON has numbers that the library does not hold.
        let too_large = |error: &serde_json::Error| error.to_string().starts_with("number out of range");
        match (answer.reason, parsed) {
            (FinishReason::Stop, Ok(value)) => {
                assert!(value.is_object(), "{}", answer.text);
                ended += 1;
            }
            (FinishReason::Stop, Err(error)) => assert!(too_large(&error), "{}", answer.text),
            // What came can be gone on with: JSON that breaks off, and not JSON that is wrong.
            (_, parsed) => assert!(
                parsed
                    .as_ref()
                    .map_or_else(|error| error.is_eof() || too_large(error), |_| true),
                "{}",
                answer.text
            ),
        }
    }
    assert!(ended > 0);
}

#[test]
fn an_open_object_never_spells_a_name_of_the_schema_in_another_way() {
    let decoder = testdata::byte_level(HERMES);
    let schema = json!({
        "type": "object", "properties": {"a": {"const": 1}}, "additionalProperties": {"type": "boolean"}, "maxProperties": 9,
    });
    // All of its members may be left out, and how many there are is bounded: that cannot be kept to.
    let refused = ConstraintError::Schema {
        tool: None,
        error: SchemaError::Refused,
    };
    assert_eq!(
        decoder.grammars().compile(of_schema(&schema)).err(),
        Some(refused)
    );
    let schema = json!({"type": "object", "properties": {"a": {"const": 1}}, "additionalProperties": {"type": "boolean"}});
    for seed in 0..12 {
        let answer = whole(&decoder, begin(&decoder, of_schema(&schema), seed, 200)).unwrap();
        assert!(!answer.text.contains("\\u"), "{}", answer.text);
        if answer.reason == FinishReason::Stop {
            let value = serde_json::from_str(&answer.text).unwrap();
            assert!(fulfils(&schema, &schema, &value), "{}", answer.text);
        }
    }
}

#[test]
fn held_answers_are_the_same_alone_and_in_any_company() {
    const NAME: &str = "held_answers_are_the_same_alone_and_in_any_company";
    let Some(decoder) = testdata::stories(NAME) else {
        return;
    };
    let schemas = bounded();
    let output = |index: usize| match index % 4 {
        3 => None,
        _ => Some(of_schema(&schemas[(index * 5 + 1) % schemas.len()])),
    };
    let start = |index: usize| match output(index) {
        Some(output) => begin(&decoder, output, index as u64, 90),
        None => {
            let prompt = decoder.text_prompt("Tom said").unwrap();
            decoder
                .start(prompt, sampling(index as u64, 90).validate().unwrap())
                .unwrap()
        }
    };
    let alone: Vec<Answer> = (0..12)
        .map(|index| whole(&decoder, start(index)).unwrap())
        .collect();
    let mut running: Vec<(usize, Generation, Answer)> = Vec::new();
    let (mut next, mut pass) = (0, 0);
    while next < alone.len() || !running.is_empty() {
        if next < alone.len() && pass % 2 == 0 {
            running.push((next, start(next), Answer::new()));
            next += 1;
        }
        let mut all: Vec<&mut Generation> = running.iter_mut().map(|(_, generation, _)| generation).collect();
        let mut steps = decoder.step(&mut all).into_iter();
        running.retain_mut(|(index, _, answer)| {
            let ended = answer.take(steps.next().unwrap().unwrap());
            if ended {
                let expected = &alone[*index];
                assert_eq!((&answer.text, &answer.tokens), (&expected.text, &expected.tokens));
                assert_eq!(answer.reason, expected.reason);
            }
            !ended
        });
        pass += 1;
    }
    let (free, total) = decoder.pages();
    assert_eq!(free, total);
}

#[test]
fn what_explodes_only_while_it_is_kept_to_ends_its_own_answer() {
    let decoder = testdata::byte_level(HERMES);
    let bombs = [
        json!({"type": "string", "pattern": "^(([a-z]{1,100}){1,100}){100}$"}),
        json!({"type": "string", "pattern": "^((([a-z]{1,100}){1,100}){1,100}){100}$"}),
        json!({"type": "string", "pattern": "\\p{L}{0,1000}.*x.{0,1000}\\p{N}{300}"}),
    ];
    let mut exceeded = 0;
    for bomb in &bombs {
        let Ok(constraint) = decoder.grammars().compile(of_schema(bomb)) else {
            exceeded += 1;
            continue;
        };
        let prompt = decoder.text_prompt("a").unwrap();
        let params = SamplingParams {
            seed: Some(1),
            ..sampling(2, 1500)
        };
        let mut held = decoder
            .start_within(prompt, params.validate().unwrap(), Some(constraint))
            .unwrap();
        let mut beside = begin(&decoder, Output::Json(Format::Object), 2, 8);
        let mut other = Answer::new();
        let mut over = false;
        loop {
            let mut steps = decoder.step(&mut [&mut held, &mut beside]).into_iter();
            let step = steps.next().unwrap();
            over |= other.take(steps.next().unwrap().unwrap());
            match step {
                Ok(Step::Finished(finish)) => {
                    assert_ne!(finish.reason, FinishReason::ToolCalls);
                    break;
                }
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error, GenerateError::Constraint);
                    exceeded += 1;
                    break;
                }
            }
        }
        while !over {
            over = other.take(decoder.step(&mut [&mut beside]).remove(0).unwrap());
        }
    }
    assert!(exceeded > 0);
}

#[test]
fn a_grammar_that_explodes_is_refused_within_its_fuel() {
    let decoder = testdata::byte_level(HERMES);
    let ranges: Value = (0..400)
        .map(|number| {
            let range = json!({"type": "number", "minimum": 0.123_456_78 * f64::from(number), "maximum": 1e15 + f64::from(number)});
            (format!("p{number}"), range)
        })
        .collect();
    let required: Vec<String> = (0..400).map(|number| format!("p{number}")).collect();
    let never = json!({"type": "string", "minLength": 5, "maxLength": 4});
    let ahead = json!({"type": "string", "pattern": "a(?=b)"});
    for schema in [
        json!({"type": "object", "properties": ranges, "required": required}),
        never,
        ahead,
    ] {
        let refused = ConstraintError::Schema {
            tool: None,
            error: SchemaError::Refused,
        };
        assert_eq!(
            decoder.grammars().compile(of_schema(&schema)).err(),
            Some(refused)
        );
    }
}

#[test]
fn stops_and_limits_hold_for_held_answers_too() {
    let decoder = testdata::byte_level(HERMES);
    let schema = json!({"type": "string", "pattern": "^abcdefghij$"});
    let answer = |stop: &str, most: usize| {
        let constraint = decoder.grammars().compile(of_schema(&schema)).unwrap();
        let params = SamplingParams {
            stop: vec![Zeroizing::new(stop.to_owned())],
            ..sampling(1, most)
        };
        let prompt = decoder.text_prompt("x").unwrap();
        let held = decoder.start_within(prompt, params.validate().unwrap(), Some(constraint));
        whole(&decoder, held.unwrap()).unwrap()
    };
    let cut = answer("fg", 100);
    assert_eq!((cut.text.as_str(), cut.reason), ("\"abcde", FinishReason::Stop));
    assert_eq!(cut.tokens.len(), 6);
    let short = answer("none", 4);
    assert_eq!(
        (short.text.as_str(), short.reason),
        ("\"abc", FinishReason::Length)
    );
    let all = answer("none", 100);
    assert_eq!(all.reason, FinishReason::Stop);
    assert_eq!(all.text.trim_end(), "\"abcdefghij\"");
}
