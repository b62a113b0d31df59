//! Calls in pieces of any length.

use proptest::prelude::*;

use super::pieces::{Begin, read};
use super::*;

fn call(name: &str, arguments: &str) -> (String, String) {
    (name.to_owned(), arguments.to_owned())
}

/// Parts of calls, whole and not, and what stands between.
const PARTS: [&str; 16] = [
    "<tool_call>",
    "</tool_call>",
    "\n{\"name\": \"",
    "{\"name\"",
    ": \"",
    "f",
    "\", \"arguments\": ",
    "\", \"parameters\": ",
    "{\"a\": [1, \"\\\"}\"]}",
    "}",
    "[TOOL_CALLS]",
    " [{\"name\": \"",
    "]",
    "\u{e9} ",
    "\n",
    "<tool_",
];

proptest! {
    #[test]
    fn calls_are_the_same_however_they_come(cuts in prop::collection::vec(1usize..9, 1..12)) {
        let nasty = "{\"a\": \"}\\\"]{é\", \"b\": [{}, {\"c\": []}]}";
        let hermes = format!(
            "Wait <tool <tool_call>\n{{\"name\": \"f\", \"arguments\": {nasty}}}\n</tool_call>\n<tool_call>\n\
             {{\"name\": \"g_2\", \"arguments\": {{}} }}\n</tool_call>"
        );
        let place = hermes.find("<tool_call>").unwrap() + "<tool_call>".len();
        let (content, found) = read(Form::Hermes, &hermes, Begin::Behind(place), &cuts);
        prop_assert_eq!(content, "Wait <tool ");
        prop_assert_eq!(found, [call("f", nasty), call("g_2", "{}")]);

        let llama = format!("{{\"name\": \"f\", \"parameters\": {nasty}}}");
        let (content, found) = read(Form::Llama, &llama, Begin::Behind("{\"name\"".len()), &cuts);
        prop_assert_eq!(content, "");
        prop_assert_eq!(found, [call("f", nasty)]);

        let mistral = format!(" [{{\"name\": \"f\", \"arguments\": {nasty}}}, {{\"name\": \"g\", \"arguments\": {{\"x\": 1}}}}]");
        let said = "Say <[TOOL";
        let text = format!("{said}{mistral}");
        let (content, found) = read(Form::Mistral(Some(7)), &text, Begin::Token(said.len()), &cuts);
        prop_assert_eq!(content, said);
        prop_assert_eq!(found, [call("f", nasty), call("g", "{\"x\": 1}")]);
        // What may be text or a call is held back until it is known.
        let (content, found) = read(Form::Llama, &llama, Begin::Held(18), &cuts);
        prop_assert_eq!(content, "");
        prop_assert_eq!(found, [call("f", nasty)]);
    }

    #[test]
    fn a_text_that_nobody_held_to_a_form_is_read_the_same_in_pieces(
        parts in prop::collection::vec(prop::sample::select(PARTS.to_vec()), 0..12),
        place in any::<prop::sample::Index>(),
        cuts in prop::collection::vec(1usize..9, 1..8),
    ) {
        let text = parts.concat();
        let place = place.index(text.len() + 1);
        let place = (place.max(1)..text.len()).find(|place| text.is_char_boundary(*place));
        for form in [Form::Hermes, Form::Llama, Form::Mistral(None), Form::Mistral(Some(7))] {
            let trigger = form.parts().trigger;
            let behind = text.find(trigger).filter(|found| !form.parts().anchored || text[..*found].trim().is_empty());
            let begins = match form.token() {
                Some(_) => vec![place.map(Begin::Token)],
                None => vec![place.map(Begin::Held), behind.map(|found| Begin::Behind(found + trigger.len()))],
            };
            for begin in begins.into_iter().flatten() {
                prop_assert_eq!(read(form, &text, begin, &cuts), read(form, &text, begin, &[]), "{:?}", begin);
            }
        }
    }

    #[test]
    fn what_begins_no_call_is_content(text in "[<tol_ca>é{\"nme ]{0,40}", cuts in prop::collection::vec(1usize..5, 1..8)) {
        for form in [Form::Hermes, Form::Llama, Form::Mistral(None)] {
            let (content, found) = read(form, &text, Begin::Never, &cuts);
            prop_assert_eq!(&content, &text);
            prop_assert!(found.is_empty());
        }
    }
}
