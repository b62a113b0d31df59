//! Finds spellings in a text, whatever the case of their letters.
//!
//! Why apart: a text may be nothing but begins of control tokens, of which a model may have thousands, so that
//! trying each at each place would take long.
//!
//! # Invariants
//! Looking at a place takes time by the length of the longest spelling that begins there, not by their number.

use std::collections::HashMap;

/// A tree of letters in lower case.
#[derive(Default)]
pub(super) struct Spellings {
    /// From a node by a letter to the next; the root is 0.
    edges: HashMap<(usize, char), usize>,
    /// Nodes where a spelling ends, and its number.
    ends: HashMap<usize, usize>,
}

/// How a text is like a spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Like {
    /// It begins with the spelling of this number, the longest of those it begins with.
    Whole(usize),
    /// It ends within one.
    Begin,
}

impl Spellings {
    /// Numbers them from 0 in their order.
    pub(super) fn new<'a>(spellings: impl IntoIterator<Item = &'a str>) -> Self {
        let mut tree = Self::default();
        for (number, spelling) in spellings.into_iter().enumerate() {
            let mut node = 0;
            for letter in lower(spelling) {
                let next = tree.edges.len() + 1;
                node = *tree.edges.entry((node, letter)).or_insert(next);
            }
            tree.ends.entry(node).or_insert(number);
        }
        tree
    }

    /// What `text` begins with.
    pub(super) fn at(&self, text: &str) -> Option<Like> {
        let (mut node, mut longest) = (0, None);
        for letter in lower(text) {
            match self.edges.get(&(node, letter)) {
                Some(next) => node = *next,
                None => return longest,
            }
            longest = self.ends.get(&node).copied().map(Like::Whole).or(longest);
        }
        longest.or((node != 0).then_some(Like::Begin))
    }
}

fn lower(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_spelling_or_the_begin_of_one_is_found_in_any_case() {
        let spellings = Spellings::new(["<s>", "<start>", "<s>end", "\u{ff5c}K"]);
        for (text, found) in [
            ("<s> more", Some(Like::Whole(0))),
            ("<s>e", Some(Like::Whole(0))),
            ("<S>END", Some(Like::Whole(2))),
            ("<Start>", Some(Like::Whole(1))),
            ("\u{ff5c}\u{212a}", Some(Like::Whole(3))),
            ("<", Some(Like::Begin)),
            ("<star", Some(Like::Begin)),
            ("<t", None),
            ("", None),
            ("a<s>", None),
        ] {
            assert_eq!(spellings.at(text), found, "{text:?}");
        }
    }
}
