//! A door for `fuzz/`: calls out of texts that come in pieces.
//!
//! Why apart: compiled only under `cfg(anchorhold_fuzzing)`, which nothing but `fuzz/run` sets.
//!
//! # Invariants
//! Gives nothing back.

use super::calls::pieces::{Begin, read};
use super::form::Form;

/// Reads a text twice: in pieces whose lengths are the first eight bytes', behind one that chooses the form and how calls
/// begin, and whole.
///
/// # Panics
/// When the two are not the same.
pub fn calls(bytes: &[u8]) {
    let Some((choice, rest)) = bytes.split_first() else {
        return;
    };
    let Some((cuts, text)) = rest.split_first_chunk::<8>() else {
        return;
    };
    let text = String::from_utf8_lossy(text);
    let form = match choice % 4 {
        0 => Form::Hermes,
        1 => Form::Llama,
        2 => Form::Mistral(None),
        _ => Form::Mistral(Some(7)),
    };
    // A place for what is chosen by none of the text's bytes.
    let place = (usize::from(choice / 16) * text.len() / 16).max(1);
    let place = (place..text.len()).find(|place| text.is_char_boundary(*place));
    let trigger = form.parts().trigger;
    let begin = match (form.token(), choice / 4 % 4) {
        (_, 0) => Begin::Never,
        (Some(_), _) => place.map_or(Begin::Never, Begin::Token),
        (None, 1) => place.map_or(Begin::Never, Begin::Held),
        (None, _) => {
            let anchored = form.parts().anchored && !text.trim_start().starts_with(trigger);
            let found = text.find(trigger).filter(|_| !anchored);
            found.map_or(Begin::Never, |found| Begin::Behind(found + trigger.len()))
        }
    };
    let cuts = cuts.map(usize::from);
    assert!(read(form, &text, begin, &cuts) == read(form, &text, begin, &[]));
}
