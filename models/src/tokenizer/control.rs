//! Control tokens: where they count and where they are only text.
//!
//! Why apart: a template renders the owner's control tokens and the users' texts into one string. If a
//! user's text could spell a control token, a user could speak as the system.
//!
//! Before rendering, each control token spelled in a user's text is protected by a marker: sixteen random
//! private-use characters that nobody can guess, that no case change, trimming or JSON escaping touches.
//! After rendering, a control token counts only where no marker protects it, and markers are removed, so
//! that the ids of ordinary text are exactly those of the text as it was written.
//!
//! In a special token the marker stands after the first character, so that nothing a template does with the
//! text can bring the token back. Tokens like `</think>` that the tokenizer does not call special have it
//! in front, because templates search for them in earlier answers.
//!
//! # Invariants
//! Every control token in a marked text is protected, in whatever case it is written, and so is the begin of
//! one at the text's end, where the next message may stand. A marker protects the character behind it from
//! beginning a control token.

use std::collections::HashSet;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::TokenizeError;
use super::spellings::{Like, Spellings};
use crate::secret::random_public;

/// Sixteen random characters of U+E000 to U+E0FF: 128 bits.
pub(crate) struct Marker(String);

impl Marker {
    pub(crate) fn new() -> Self {
        let random: [u8; 16] = random_public();
        let character = |byte: &u8| char::from_u32(0xe000 + u32::from(*byte)).unwrap_or('\u{e000}');
        Self(random.iter().map(character).collect())
    }

    /// Whether markers consist of such characters.
    pub(crate) fn has(character: char) -> bool {
        matches!(character, '\u{e000}'..='\u{e0ff}')
    }
}

/// A token that means something to the model besides its spelling.
pub(super) struct Control {
    text: String,
    id: u32,
    /// The tokenizer calls it special: it is not shown in answers.
    special: bool,
    /// It swallows white space before it.
    strips_left: bool,
    /// It swallows white space behind it.
    strips_right: bool,
    /// The library does not know it. See [`hide_from_unigram`].
    hidden_from_library: bool,
}

impl Control {
    pub(super) fn id(&self) -> u32 {
        self.id
    }
}

/// All control tokens, longest first.
pub(super) struct Controls {
    all: Vec<Control>,
    ids: HashSet<u32>,
    /// First bytes of their spellings.
    first_bytes: HashSet<u8>,
    /// Of all, in their order.
    spellings: Spellings,
}

impl Controls {
    /// Reads the added tokens of a `tokenizer.json`, and makes the library treat as special all those that
    /// are control tokens here. `None` when the file is not as it should be.
    pub(super) fn read(json: &mut Map<String, Value>) -> Option<Self> {
        let mut all = Vec::new();
        let added = match json.get_mut("added_tokens") {
            None | Some(Value::Null) => &mut Vec::new(),
            Some(added) => added.as_array_mut()?,
        };
        for token in added {
            let token = token.as_object_mut()?;
            let text = token.get("content")?.as_str()?.to_owned();
            let id = u32::try_from(token.get("id")?.as_u64()?).ok()?;
            let flag = |key: &str| token.get(key).and_then(Value::as_bool).unwrap_or(false);
            let special = flag("special");
            if text.is_empty() || !(special || is_markup(&text)) {
                continue;
            }
            all.push(Control {
                text,
                id,
                special,
                strips_left: flag("lstrip"),
                strips_right: flag("rstrip"),
                hidden_from_library: false,
            });
            token.insert("special".to_owned(), Value::Bool(true));
        }
        all.sort_by_key(|control| std::cmp::Reverse(control.text.len()));
        hide_from_unigram(json, &mut all);
        let first_bytes = all
            .iter()
            .filter_map(|control| control.text.bytes().next())
            .collect();
        Some(Self {
            ids: all.iter().map(|control| control.id).collect(),
            spellings: Spellings::new(all.iter().map(|control| control.text.as_str())),
            all,
            first_bytes,
        })
    }

    /// Takes the ids that the library gave: where a file's ids have holes, they are not those it names, and the
    /// library's are what transformers uses. `None` when it does not know a token.
    pub(super) fn renumber(&mut self, id: impl Fn(&str) -> Option<u32>) -> Option<()> {
        for control in self.all.iter_mut().filter(|control| !control.hidden_from_library) {
            control.id = id(&control.text)?;
        }
        self.ids = self.all.iter().map(|control| control.id).collect();
        Some(())
    }

    /// The id of the control token with this text.
    pub(super) fn id(&self, text: &str) -> Option<u32> {
        let control = self.all.iter().find(|control| control.text == text)?;
        Some(control.id)
    }

    pub(super) fn has_id(&self, id: u32) -> bool {
        self.ids.contains(&id)
    }

    /// Whether a control token is shown in answers: `<think>` is, `<|im_end|>` is not.
    pub(super) fn is_hidden(&self, id: u32) -> bool {
        self.all.iter().any(|control| control.id == id && control.special)
    }

    /// The longest control token that `text` begins with.
    fn at(&self, text: &str) -> Option<&Control> {
        let first = text.bytes().next()?;
        if !self.first_bytes.contains(&first) {
            return None;
        }
        self.all.iter().find(|control| text.starts_with(&control.text))
    }

    /// Whether a special token has more than one character.
    fn has_inside(&self, number: usize) -> bool {
        let inside = |control: &Control| control.special && control.text.chars().nth(1).is_some();
        self.all.get(number).is_some_and(inside)
    }

    pub(super) fn mark(&self, text: &str, marker: &Marker) -> Zeroizing<String> {
        let mut marked = Zeroizing::new(String::with_capacity(text.len() + text.len() / 8));
        for (place, character) in text.char_indices() {
            let rest = text.get(place..).unwrap_or_default();
            // A template may change the case of a text, and put another behind its end.
            match self.spellings.at(rest) {
                Some(Like::Whole(number)) if self.has_inside(number) => {
                    marked.push(character);
                    marked.push_str(&marker.0);
                }
                Some(_) => {
                    marked.push_str(&marker.0);
                    marked.push(character);
                }
                None => marked.push(character),
            }
        }
        marked
    }

    /// Calls `each` with every stretch of plain text and the control token behind it, in order.
    pub(super) fn split(
        &self,
        text: &str,
        marker: &Marker,
        mut each: impl FnMut(&str, Option<&Control>) -> Result<(), TokenizeError>,
    ) -> Result<(), TokenizeError> {
        let mut plain = Zeroizing::new(String::with_capacity(text.len()));
        let mut rest = text;
        while !rest.is_empty() {
            let mut protected = false;
            while let Some(behind) = rest.strip_prefix(marker.0.as_str()) {
                rest = behind;
                protected = true;
            }
            if let Some(control) = self.at(rest).filter(|_| !protected) {
                rest = rest.get(control.text.len()..).unwrap_or_default();
                if control.strips_right {
                    rest = rest.trim_start();
                }
                let before = if control.strips_left {
                    plain.trim_end()
                } else {
                    plain.as_str()
                };
                each(before, Some(control))?;
                plain.clear();
                continue;
            }
            let mut characters = rest.chars();
            plain.extend(characters.next());
            rest = characters.as_str();
        }
        each(&plain, None)
    }
}

/// A Unigram vocabulary lists control tokens among its pieces, as likely as can be, and the library would find
/// them in any text: `</s>` in a text of HTML. SentencePiece itself never does. So these pieces get spellings that
/// no text has, and the library, which then could not tell their ids, does not hear of the tokens at all.
fn hide_from_unigram(json: &mut Map<String, Value>, all: &mut [Control]) {
    let model = json.get_mut("model").and_then(Value::as_object_mut);
    let Some(model) = model.filter(|model| model.get("type") == Some(&"Unigram".into())) else {
        return;
    };
    // What the vocabulary cannot express is this piece, and may come out of a text.
    let unknown = model.get("unk_id").and_then(Value::as_u64);
    let Some(pieces) = model.get_mut("vocab").and_then(Value::as_array_mut) else {
        return;
    };
    let secret = Marker::new();
    for control in all
        .iter_mut()
        .filter(|control| Some(u64::from(control.id)) != unknown)
    {
        let piece = pieces
            .get_mut(control.id as usize)
            .and_then(|piece| piece.get_mut(0));
        if let Some(piece) = piece.filter(|piece| piece.as_str() == Some(&control.text)) {
            *piece = Value::from(format!("{}{}", secret.0, control.text));
            control.hidden_from_library = true;
        }
    }
    let hidden = |token: &Value| {
        let text = token.get("content").and_then(Value::as_str);
        all.iter()
            .any(|control| control.hidden_from_library && Some(control.text.as_str()) == text)
    };
    if let Some(added) = json.get_mut("added_tokens").and_then(Value::as_array_mut) {
        added.retain(|token| !hidden(token));
    }
}

/// Whether a token is spelled like `<...>` or `[...]`: roles and tool calls are, whether or not the
/// tokenizer calls them special; words and runs of spaces are not.
fn is_markup(text: &str) -> bool {
    let inside = |open, close| text.len() > 2 && text.starts_with(open) && text.ends_with(close);
    inside('<', '>') || inside('[', ']')
}
