//! Ends an answer before a stop string, also when it comes in pieces.
//!
//! Why apart: what has been sent cannot be taken back, so the begin of a possible stop string is held.
//!
//! # Invariants
//! What comes out in all is the text up to the first stop string that is complete, the longest one among
//! those that end at the same place, however the text was cut into pieces. At most one byte less than the
//! longest stop string is held back.

use zeroize::Zeroizing;

pub(super) struct StopFilter {
    stops: Vec<Zeroizing<String>>,
    held: Zeroizing<String>,
}

/// Whether a stop string was found; then nothing more is to be pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    No,
    Stop,
}

impl StopFilter {
    pub(super) fn new(stops: Vec<Zeroizing<String>>) -> Self {
        Self {
            stops,
            held: Zeroizing::new(String::new()),
        }
    }

    /// Takes text and appends to `into` what can no longer be part of a stop string.
    pub(super) fn push(&mut self, text: &str, into: &mut Zeroizing<String>) -> Found {
        self.held.push_str(text);
        let ends = |stop: &Zeroizing<String>| {
            self.held
                .find(stop.as_str())
                .map(|start| (start + stop.len(), start))
        };
        if let Some((_, start)) = self.stops.iter().filter_map(ends).min() {
            into.push_str(self.held.get(..start).unwrap_or_default());
            self.held = Zeroizing::new(String::new());
            return Found::Stop;
        }
        let free = self.held.len() - self.begun();
        let rest = Zeroizing::new(self.held.get(free..).unwrap_or_default().to_owned());
        into.push_str(self.held.get(..free).unwrap_or_default());
        self.held = rest;
        Found::No
    }

    /// No more text comes: what was held back was no stop string.
    pub(super) fn finish(&mut self, into: &mut Zeroizing<String>) {
        into.push_str(&std::mem::take(&mut self.held));
    }

    /// Length of the longest end of the held text that begins a stop string.
    fn begun(&self) -> usize {
        let longest = |stop: &Zeroizing<String>| {
            let begins = |length: &usize| {
                stop.get(..*length)
                    .is_some_and(|begin| self.held.ends_with(begin))
            };
            (1..stop.len()).rev().find(begins).unwrap_or(0)
        };
        self.stops.iter().map(longest).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(stops: &[String], pieces: &[&str]) -> (String, Found) {
        let mut filter = StopFilter::new(stops.iter().cloned().map(Zeroizing::new).collect());
        let mut out = Zeroizing::new(String::new());
        for piece in pieces {
            if filter.push(piece, &mut out) == Found::Stop {
                return (out.to_string(), Found::Stop);
            }
        }
        filter.finish(&mut out);
        (out.to_string(), Found::No)
    }

    #[test]
    fn a_stop_string_over_pieces_is_cut_and_its_begin_is_held() {
        let stops = ["\n\nUser:".to_owned()];
        let mut filter = StopFilter::new(stops.iter().cloned().map(Zeroizing::new).collect());
        let mut out = Zeroizing::new(String::new());
        assert_eq!(filter.push("Paris.\n", &mut out), Found::No);
        assert_eq!(*out, "Paris.");
        assert_eq!(filter.push("\nUs", &mut out), Found::No);
        assert_eq!(*out, "Paris.");
        assert_eq!(filter.push("er: more", &mut out), Found::Stop);
        assert_eq!(*out, "Paris.");
        assert_eq!(run(&stops, &["a\n\nUse"]), ("a\n\nUse".to_owned(), Found::No));
    }

    proptest! {
        #[test]
        fn the_result_is_a_prefix_without_stops_however_it_is_cut(
            text in "[abé]{0,40}",
            stops in prop::collection::vec("[abé]{1,4}", 0..4),
            cuts in prop::collection::vec(1usize..6, 1..20),
        ) {
            let characters: Vec<char> = text.chars().collect();
            let mut pieces = Vec::new();
            let mut rest = characters.as_slice();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece.iter().collect::<String>());
                rest = after;
            }
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let (out, found) = run(&stops, &pieces);
            prop_assert!(text.starts_with(&out));
            prop_assert!(stops.iter().all(|stop| !out.contains(stop.as_str())));
            prop_assert_eq!(found == Found::Stop, stops.iter().any(|stop| text.contains(stop.as_str())));
            prop_assert_eq!((out, found), run(&stops, &[&text]));
        }
    }
}
