//! Answers that call functions, or whose text has a format.

use super::calls::{LLAMA, MISTRAL, check, function, tools_of, weather};
use super::*;
use crate::constraint::steering::Took;
use crate::tools::{ToolChoice, Tools};

fn either(choice: ToolChoice, parallel: bool, format: Format) -> Output {
    Output::Either(tools_of(choice, parallel), format)
}

fn visit() -> Value {
    json!({
        "type": "object", "properties": {"stay": {"type": "boolean"}, "note": {"type": "string", "maxLength": 4}},
        "required": ["stay", "note"], "additionalProperties": false,
    })
}

/// An object that begins as a call of Llama's form does.
fn named() -> Value {
    json!({
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 5}, "parameters": {"type": "integer", "minimum": 0, "maximum": 9}},
        "required": ["name", "parameters"], "additionalProperties": false,
    })
}

/// With logits of the model, and the tokens of these bytes made as likely as wanted.
fn led(decoder: &Decoder, output: Output, text: &str) -> (Vec<Took>, String) {
    let Constraint(mut steering) = decoder.grammars().compile(output).expect("it is taken");
    let (mut took, mut said) = (Vec::new(), String::new());
    for byte in text.bytes() {
        let count = decoder.network().config().vocabulary;
        let mut logits = vec![0.0; count];
        steering.restrict(&mut logits, true).unwrap();
        let pieces = decoder.pieces();
        let fits = |id: &u32| pieces.bytes(*id) == [byte] && logits[*id as usize] == 0.0;
        let Some(id) = (0..u32::try_from(count).unwrap()).find(fits) else {
            break;
        };
        said.push(char::from(byte));
        took.push(steering.take(id).unwrap());
    }
    (took, said)
}

#[test]
fn an_answer_is_of_the_format_or_calls_functions() {
    for (template, schema) in [
        (HERMES, visit()),
        (LLAMA, visit()),
        (LLAMA, named()),
        (MISTRAL, visit()),
        (
            MISTRAL,
            json!({"type": "array", "items": {"type": "boolean"}, "maxItems": 3}),
        ),
    ] {
        let decoder = testdata::byte_level(template);
        let (mut said, mut called) = (0, 0);
        for seed in 0..40 {
            let output = either(ToolChoice::Auto, true, format_of(&schema));
            let answer = whole(&decoder, begin(&decoder, output, seed, 400)).unwrap();
            match answer.reason {
                FinishReason::ToolCalls => {
                    assert_eq!(answer.text, "", "nothing is said beside a call");
                    assert!(answer.tokens.is_empty() && !answer.calls.is_empty());
                    check(&answer);
                    called += 1;
                }
                FinishReason::Stop => {
                    assert!(answer.calls.is_empty());
                    let value = serde_json::from_str(&answer.text).unwrap();
                    assert!(fulfils(&schema, &schema, &value), "{}", answer.text);
                    assert!(!answer.tokens.is_empty());
                    said += 1;
                }
                FinishReason::Length => {}
            }
        }
        assert!(said + called >= 30, "said {said}, called {called}");
    }
}

#[test]
fn each_way_is_open_at_the_begin_and_one_of_them_later() {
    use Took::{Begins, Open, Text};
    let asked = |schema: &Value| either(ToolChoice::Auto, true, format_of(schema));
    let call = "<tool_call>\n{\"name\": \"get\", \"arguments\": {";
    let decoder = testdata::byte_level(HERMES);
    let (took, said) = led(&decoder, asked(&visit()), call);
    assert_eq!((said.as_str(), &took[..2]), (call, [Begins(1), Text].as_slice()));
    let (took, said) = led(
        &decoder,
        asked(&visit()),
        "{\"stay\": true, \"note\": \"<tool_call>",
    );
    // The text's own bound on its length ends it.
    assert_eq!(said, "{\"stay\": true, \"note\": \"<too");
    assert!(took.iter().all(|took| *took == Text));

    // Llama's calls are objects, too.
    let decoder = testdata::byte_level(LLAMA);
    let (took, _) = led(&decoder, asked(&visit()), "{\"stay");
    assert_eq!(took, [Open, Open, Text, Text, Text, Text]);
    let begin = "{\"name\": \"get\", \"parameters\": ";
    let (took, said) = led(&decoder, asked(&named()), &format!("{begin}{{}}"));
    assert_eq!(said, format!("{begin}{{}}"), "a function's name makes it a call");
    let last = begin.len() - 1;
    assert!(took[..last].iter().all(|took| *took == Open));
    assert_eq!(took[last], Begins(begin.len()));
    // From there on nothing but its arguments fits.
    assert_eq!(led(&decoder, asked(&named()), &format!("{begin}5")).1, begin);
    let (took, said) = led(
        &decoder,
        asked(&named()),
        "{\"name\": \"gel\", \"parameters\": 5}",
    );
    assert_eq!(said, "{\"name\": \"gel\", \"parameters\": 5}");
    let (last, rest) = took[12..].split_last().unwrap();
    assert!(
        rest.iter().all(|took| *took == Text) && *last == Took::Ended,
        "{took:?}"
    );
}

#[test]
fn a_control_token_begins_calls_where_the_form_has_one() {
    let decoder = testdata::byte_level(MISTRAL);
    let Some(token) = decoder.grammars().0.form.and_then(|form| form.token()) else {
        panic!("the tokenizer has it");
    };
    let start = || {
        let output = either(ToolChoice::Auto, true, format_of(&visit()));
        let Constraint(mut steering) = decoder.grammars().compile(output).unwrap();
        let mut logits = vec![0.0; decoder.network().config().vocabulary];
        assert!(steering.restrict(&mut logits, true).unwrap());
        (steering, logits)
    };
    let open = |logits: &[f32], bytes: &[u8]| {
        let of = |id: &u32| decoder.pieces().bytes(*id) == bytes;
        let id = (0..u32::try_from(logits.len()).unwrap()).find(of).unwrap();
        (logits[id as usize] == 0.0, id)
    };
    let (mut steering, mut logits) = start();
    assert_eq!(logits[token as usize], 0.0);
    assert!(open(&logits, b"{").0 && !open(&logits, b"[").0);
    assert_eq!(steering.take(token), Ok(Took::Begins(0)));
    logits.fill(0.0);
    steering.restrict(&mut logits, true).unwrap();
    assert!(open(&logits, b"[").0 && !open(&logits, b"{").0);

    // Behind the first token of a text no call begins.
    let (mut steering, mut logits) = start();
    assert_eq!(steering.take(open(&logits, b"{").1), Ok(Took::Text));
    logits.fill(0.0);
    steering.restrict(&mut logits, true).unwrap();
    assert!(logits[token as usize].is_infinite());
}

#[test]
fn what_breaks_off_shows_nothing_of_a_call_that_is_none_yet() {
    let decoder = testdata::byte_level(HERMES);
    let mut cut = 0;
    for seed in 0..40 {
        let output = either(ToolChoice::Auto, true, Format::Object);
        let answer = whole(&decoder, begin(&decoder, output, seed, 3)).unwrap();
        assert!(
            answer.text.is_empty() || answer.text.starts_with('{'),
            "{}",
            answer.text
        );
        cut += usize::from(answer.text.is_empty());
    }
    assert!(cut > 0, "some begin calls");
}

#[test]
fn forced_calls_have_no_text_to_have_a_format() {
    let decoder = testdata::byte_level(HERMES);
    for choice in [ToolChoice::Required, ToolChoice::Named(1)] {
        let answer = |output| whole(&decoder, begin(&decoder, output, 5, 200)).unwrap();
        let one = answer(either(choice, false, Format::Object));
        let other = answer(Output::Tools(tools_of(choice, false)));
        assert_eq!((one.calls, one.reason), (other.calls, other.reason));
    }
}

#[test]
fn either_is_the_same_alone_and_in_company() {
    let decoder = testdata::byte_level(LLAMA);
    let start = |seed: u64| {
        let schema = if seed.is_multiple_of(2) { named() } else { visit() };
        let output = either(ToolChoice::Auto, true, format_of(&schema));
        begin(&decoder, output, seed, 120)
    };
    let alone: Vec<Answer> = (0..10)
        .map(|seed| whole(&decoder, start(seed)).unwrap())
        .collect();
    let mut running: Vec<Generation> = (0..10).map(start).collect();
    let mut answers: Vec<Answer> = (0..10).map(|_| Answer::new()).collect();
    let mut over = [false; 10];
    while over.contains(&false) {
        let steps = decoder.step(&mut running.iter_mut().collect::<Vec<_>>());
        for ((answer, step), over) in answers.iter_mut().zip(steps).zip(&mut over) {
            *over = *over || answer.take(step.unwrap());
        }
    }
    for (answer, expected) in answers.iter().zip(&alone) {
        assert_eq!((&answer.text, &answer.calls), (&expected.text, &expected.calls));
        assert_eq!(
            (&answer.tokens, answer.reason),
            (&expected.tokens, expected.reason)
        );
    }
}

#[test]
fn faults_say_whose_they_are_and_bounds_hold_for_both_together() {
    let decoder = testdata::byte_level(HERMES);
    let refusal = |parameters: &Value, format: &Value| {
        let tools = Tools::new(vec![function("f", Some(parameters))], ToolChoice::Auto, true).unwrap();
        let output = Output::Either(Arc::new(tools), format_of(format));
        decoder.grammars().compile(output).err()
    };
    let schema = |tool, error| Some(ConstraintError::Schema { tool, error });
    let (fine, not) = (weather(), json!({"type": "object", "not": {}}));
    assert_eq!(refusal(&fine, &fine), None);
    assert_eq!(
        refusal(&not, &fine),
        schema(Some(0), SchemaError::NotKept(Some("not")))
    );
    assert_eq!(
        refusal(&fine, &not),
        schema(None, SchemaError::NotKept(Some("not")))
    );
    let never = json!({"type": "string", "minLength": 5, "maxLength": 4});
    let holding = |schema: &Value| json!({"type": "object", "properties": {"a": schema}, "required": ["a"], "additionalProperties": false});
    assert_eq!(refusal(&fine, &never), schema(None, SchemaError::Refused));
    assert_eq!(refusal(&holding(&never), &fine), Some(ConstraintError::Tools));
    let half = json!({"type": "object", "properties": {"a": {"enum": vec![1; 5_000]}}});
    assert_eq!(refusal(&half, &fine), None);
    assert_eq!(refusal(&half, &half), schema(Some(0), SchemaError::TooLarge("")));
}
