//! A door for `fuzz/`: texts that stand behind a bundle's form elsewhere.
//!
//! Why apart: compiled only under `cfg(anchorhold_fuzzing)`, which nothing but `fuzz/run` sets.
//!
//! # Invariants
//! Gives nothing back: no proof can come out of here.

use super::Checkpoint;
use super::note::Note;
use super::proof::Proof;

/// A proof, or the signed note that is the end of one, or the checkpoint in that.
pub fn log_text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let note = Proof::parse(text).map_or(text, |proof| proof.checkpoint);
    if let Ok(note) = Note::parse(note) {
        let lines: String = note.lines.iter().map(|line| line.text()).collect();
        assert!(text.ends_with(&format!("{}\n{lines}", note.text)));
        if let Some(checkpoint) = Checkpoint::parse(note.text) {
            assert_eq!(Checkpoint::parse(&checkpoint.text()).as_ref(), Some(&checkpoint));
        }
    }
}
