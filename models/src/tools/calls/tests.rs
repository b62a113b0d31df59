//! Calls in pieces of any length.

use proptest::prelude::*;

use super::*;

/// Feeds text in pieces, where `place` is where the first call's begin ends.
fn run(form: Form, text: &str, place: Option<usize>, cuts: &[usize]) -> (String, Vec<(String, String)>) {
    let mut calls = Calls::new(form);
    let (mut content, mut found) = (String::new(), Vec::<(String, String)>::new());
    let (mut at, mut cut) = (0, cuts.iter().cycle());
    while at < text.len() {
        let mut end = (at + cut.next().unwrap()).min(text.len());
        while !text.is_char_boundary(end) {
            end += 1;
        }
        let piece = &text[at..end];
        let mut out = Vec::new();
        match place {
            _ if calls.begun() => calls.push(piece, &mut out),
            Some(place) if (at..end).contains(&(place - 1)) => {
                content.push_str(&calls.begin(piece, end - place + form.parts().trigger.len(), &mut out));
            }
            _ => content.push_str(&calls.content_of(piece)),
        }
        for delta in out {
            if let Some(name) = delta.name {
                found.push((name.to_string(), String::new()));
            }
            assert_eq!(delta.index + 1, found.len());
            found[delta.index].1.push_str(&delta.arguments);
        }
        at = end;
    }
    content.push_str(&calls.finish());
    assert_eq!(calls.content(), content.len());
    assert_eq!(calls.any(), !found.is_empty());
    (content, found)
}

fn call(name: &str, arguments: &str) -> (String, String) {
    (name.to_owned(), arguments.to_owned())
}

proptest! {
    #[test]
    fn calls_are_the_same_however_they_come(cuts in prop::collection::vec(1usize..9, 1..12)) {
        let nasty = "{\"a\": \"}\\\"]{é\", \"b\": [{}, {\"c\": []}]}";
        let hermes = format!(
            "Wait <tool <tool_call>\n{{\"name\": \"f\", \"arguments\": {nasty}}}\n</tool_call>\n<tool_call>\n\
             {{\"name\": \"g_2\", \"arguments\": {{}} }}\n</tool_call>"
        );
        let place = hermes.find("<tool_call>").unwrap() + "<tool_call>".len();
        let (content, found) = run(Form::Hermes, &hermes, Some(place), &cuts);
        prop_assert_eq!(content, "Wait <tool ");
        prop_assert_eq!(found, [call("f", nasty), call("g_2", "{}")]);

        let llama = format!("{{\"name\": \"f\", \"parameters\": {nasty}}}");
        let (content, found) = run(Form::Llama, &llama, Some("{\"name\"".len()), &cuts);
        prop_assert_eq!(content, "");
        prop_assert_eq!(found, [call("f", nasty)]);

        let mistral = format!(" [{{\"name\": \"f\", \"arguments\": {nasty}}}, {{\"name\": \"g\", \"arguments\": {{\"x\": 1}}}}]");
        let mut calls = Vec::new();
        let mut state = Calls::new(Form::Mistral(Some(7)));
        prop_assert!(*state.content_of("Say <[TOOL") == "Say <[TOOL");
        prop_assert!(state.begin("", 0, &mut calls).is_empty());
        let mut rest = mistral.as_str();
        for cut in cuts.iter().cycle() {
            let length = rest.char_indices().nth(*cut).map_or(rest.len(), |(at, _)| at);
            state.push(&rest[..length], &mut calls);
            rest = &rest[length..];
            if rest.is_empty() {
                break;
            }
        }
        let all = |index| -> String { calls.iter().filter(|call| call.index == index).map(|call| call.arguments.as_str()).collect() };
        prop_assert_eq!(all(0), nasty);
        prop_assert_eq!(all(1), "{\"x\": 1}");
    }

    #[test]
    fn what_begins_no_call_is_content(text in "[<tol_ca>é{\"nme ]{0,40}", cuts in prop::collection::vec(1usize..5, 1..8)) {
        for form in [Form::Hermes, Form::Llama, Form::Mistral(None)] {
            let (content, found) = run(form, &text, None, &cuts);
            prop_assert_eq!(&content, &text);
            prop_assert!(found.is_empty());
        }
    }
}
