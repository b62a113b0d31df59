//! Bytes to text, as they come.
//!
//! Why apart: a character may be spread over tokens and must not be shown in halves.
//!
//! # Invariants
//! What comes out in all equals `String::from_utf8_lossy` of all bytes. At most three bytes are held back.

use zeroize::Zeroizing;

pub(crate) struct TextStream {
    /// Begin of a character whose end has not come.
    held: Zeroizing<Vec<u8>>,
    /// The next character is dropped when it is a space.
    strips_begin: bool,
}

impl TextStream {
    pub(super) fn new(strips_begin: bool) -> Self {
        Self {
            held: Zeroizing::new(Vec::new()),
            strips_begin,
        }
    }

    /// Takes bytes and appends the text that is complete.
    pub(crate) fn push(&mut self, bytes: &[u8], into: &mut Zeroizing<String>) {
        let mut bytes = bytes;
        if self.strips_begin && !bytes.is_empty() {
            self.strips_begin = false;
            bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
        }
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        let mut rest: &[u8] = &all;
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    into.push_str(text);
                    return;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    into.push_str(std::str::from_utf8(valid).unwrap_or_default());
                    let Some(bad) = error.error_len() else {
                        self.held = Zeroizing::new(after.to_vec());
                        return;
                    };
                    into.push(char::REPLACEMENT_CHARACTER);
                    rest = after.get(bad..).unwrap_or_default();
                }
            }
        }
    }

    /// No more bytes come: a character that was begun is replaced.
    pub(crate) fn finish(&mut self, into: &mut Zeroizing<String>) {
        if !std::mem::take(&mut self.held).is_empty() {
            into.push(char::REPLACEMENT_CHARACTER);
        }
    }
}
