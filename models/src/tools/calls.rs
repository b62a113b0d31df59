//! Calls out of the text of an answer, as it comes.
//!
//! Why apart: a stream shows the name of a function and then its arguments piece by piece, and none of the form around them.
//!
//! # Invariants
//! The text was held to the form's grammar, so that its fixed parts are where they should be. Text that may be the begin of
//! the first call is held back. Content and calls together, however they were cut, are the same.

use zeroize::Zeroizing;

use super::form::{Form, Parts};

/// A piece of a call. No `Clone` or `Debug`: it is plaintext.
pub struct CallDelta {
    /// Which call of the answer.
    pub index: usize,
    /// The function's name, with the first piece.
    pub name: Option<Zeroizing<String>>,
    /// More of its arguments, which are a JSON object.
    pub arguments: Zeroizing<String>,
}

/// Tells content from calls.
pub(crate) struct Calls {
    form: Form,
    state: State,
    /// Content that may be the begin of the first call.
    held: Zeroizing<String>,
    /// Bytes of content that came out.
    content: usize,
    /// Calls begun.
    count: usize,
}

enum State {
    Content,
    /// So much of a fixed part has been seen, and what comes after it.
    Fixed {
        part: &'static str,
        seen: usize,
        then: Then,
    },
    Name(Zeroizing<String>),
    /// Depth of brackets, and whether inside a string and behind a backslash.
    Arguments {
        depth: usize,
        string: bool,
        escaped: bool,
    },
    Over,
}

#[derive(Clone, Copy)]
enum Then {
    /// The part from what begins calls to the first name.
    Head,
    Name,
    Arguments,
    /// The part between this call and the next.
    Again,
}

impl Calls {
    pub(crate) fn new(form: Form) -> Self {
        Self {
            form,
            state: State::Content,
            held: Zeroizing::new(String::new()),
            content: 0,
            count: 0,
        }
    }

    /// Whether calls have begun.
    pub(crate) fn begun(&self) -> bool {
        !matches!(self.state, State::Content)
    }

    /// Whether a function was called.
    pub(crate) fn any(&self) -> bool {
        self.count > 0
    }

    /// Bytes of content that came out.
    pub(crate) fn content(&self) -> usize {
        self.content
    }

    /// Takes text that belongs to no call as far as is known, and gives what certainly does not.
    pub(crate) fn content_of(&mut self, text: &str) -> Zeroizing<String> {
        self.held.push_str(text);
        let free = if self.form.token().is_some() {
            self.held.len()
        } else {
            self.held.len() - self.begin_held()
        };
        let out = Zeroizing::new(self.held.get(..free).unwrap_or_default().to_owned());
        self.held = Zeroizing::new(self.held.get(free..).unwrap_or_default().to_owned());
        self.content += out.len();
        out
    }

    /// Takes text of which more must come before it is known whether it belongs to a call.
    pub(crate) fn hold(&mut self, text: &str) -> Zeroizing<String> {
        self.held.push_str(text);
        Zeroizing::new(String::new())
    }

    /// Calls begin `length` bytes before the end of `text`, or of what is held and `text`. Gives the content before.
    pub(crate) fn begin(
        &mut self,
        text: &str,
        length: usize,
        into: &mut Vec<CallDelta>,
    ) -> Zeroizing<String> {
        let Parts { trigger, head, .. } = *self.form.parts();
        let mut all = std::mem::take(&mut self.held);
        all.push_str(text);
        let before = all.len().saturating_sub(length);
        let content = Zeroizing::new(all.get(..before).unwrap_or_default().to_owned());
        self.content += content.len();
        let (part, then) = match self.form.token() {
            Some(_) => (head, Then::Name),
            None => (trigger, Then::Head),
        };
        self.state = State::Fixed { part, seen: 0, then };
        self.push(all.get(before..).unwrap_or_default(), into);
        content
    }

    /// The answer ends: gives content that was held back.
    pub(crate) fn finish(&mut self) -> Zeroizing<String> {
        let out = std::mem::take(&mut self.held);
        self.content += out.len();
        out
    }

    /// Takes text after calls have begun.
    pub(crate) fn push(&mut self, text: &str, into: &mut Vec<CallDelta>) {
        let parts = self.form.parts();
        let mut arguments = Zeroizing::new(String::with_capacity(text.len()));
        for character in text.chars() {
            match &mut self.state {
                State::Content | State::Over => {}
                State::Fixed { part, seen, then } => {
                    let left = part.get(*seen..).unwrap_or_default();
                    if left.starts_with(character) {
                        *seen += character.len_utf8();
                    } else if *seen == 0 && character.is_whitespace() {
                        // White space may stand between an object and what follows it.
                    } else {
                        // The end of a list, and not the next in it.
                        self.state = State::Over;
                        continue;
                    }
                    if *seen == part.len() {
                        self.state = match (*then, parts.again) {
                            (Then::Head, _) => State::Fixed {
                                part: parts.head,
                                seen: 0,
                                then: Then::Name,
                            },
                            (Then::Name, _) => State::Name(Zeroizing::new(String::new())),
                            (Then::Arguments, _) => State::Arguments {
                                depth: 0,
                                string: false,
                                escaped: false,
                            },
                            (Then::Again, None) => State::Over,
                            (Then::Again, Some(again)) => State::Fixed {
                                part: again,
                                seen: 0,
                                then: Then::Name,
                            },
                        };
                    }
                }
                State::Name(name) if character != '"' => name.push(character),
                State::Name(name) => {
                    into.push(CallDelta {
                        index: self.count,
                        name: Some(std::mem::take(name)),
                        arguments: Zeroizing::new(String::new()),
                    });
                    self.count += 1;
                    self.state = State::Fixed {
                        part: parts.middle,
                        seen: '"'.len_utf8(),
                        then: Then::Arguments,
                    };
                }
                State::Arguments {
                    depth,
                    string,
                    escaped,
                } => {
                    if *depth == 0 && character != '{' {
                        continue;
                    }
                    arguments.push(character);
                    match character {
                        _ if *escaped => *escaped = false,
                        '\\' if *string => *escaped = true,
                        '"' => *string = !*string,
                        '{' | '[' if !*string => *depth += 1,
                        '}' | ']' if !*string => *depth -= 1,
                        _ => {}
                    }
                    if *depth == 0 {
                        give(self.count, &mut arguments, into);
                        self.state = State::Fixed {
                            part: parts.tail,
                            seen: 0,
                            then: Then::Again,
                        };
                    }
                }
            }
        }
        give(self.count, &mut arguments, into);
    }

    /// Length of the longest end of what is held that begins the first call.
    fn begin_held(&self) -> usize {
        let trigger = self.form.parts().trigger;
        // A form that begins an answer is begun by nothing later.
        if self.form.parts().anchored {
            let all = self.content == 0 && trigger.starts_with(self.held.trim_start());
            return if all { self.held.len() } else { 0 };
        }
        let ends = |length: &usize| {
            let begin = trigger.get(..*length);
            begin.is_some_and(|begin| self.held.ends_with(begin))
        };
        (1..trigger.len()).rev().find(ends).unwrap_or(0)
    }
}

/// Gives out the arguments so far, of the call begun last.
fn give(count: usize, arguments: &mut Zeroizing<String>, into: &mut Vec<CallDelta>) {
    if arguments.is_empty() {
        return;
    }
    let arguments = std::mem::take(arguments);
    let index = count.saturating_sub(1);
    match into.last_mut() {
        // The piece with its name came out of the same token.
        Some(last) if last.index == index => last.arguments.push_str(&arguments),
        _ => into.push(CallDelta {
            index,
            name: None,
            arguments,
        }),
    }
}

#[cfg(any(test, anchorhold_fuzzing))]
pub(crate) mod pieces;
#[cfg(test)]
mod tests;
