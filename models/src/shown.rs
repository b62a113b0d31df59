//! Names out of a model's files, made fit to be shown.
//!
//! Why apart: everything else in an error is a constant or a number.
//!
//! # Invariants
//! At most [`LENGTH`] visible ASCII characters; anything else is shown by its length only.

use std::fmt;

/// Longest name shown in full; the tensor names of published models stay below 80.
const LENGTH: usize = 96;

/// A tensor, file, architecture or type name as a model's files spell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownName(String);

impl ShownName {
    pub(crate) fn new(name: &str) -> Self {
        let visible = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        if visible && name.len() <= LENGTH {
            Self(name.to_owned())
        } else {
            Self(format!("<a name of {} bytes>", name.len()))
        }
    }
}

impl fmt::Display for ShownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_visible_ascii_is_shown() {
        assert_eq!(
            ShownName::new("model.norm.weight").to_string(),
            "model.norm.weight"
        );
        assert_eq!(ShownName::new("a\u{1b}[2J").to_string(), "<a name of 5 bytes>");
        assert_eq!(ShownName::new("").to_string(), "<a name of 0 bytes>");
        assert_eq!(
            ShownName::new(&"x".repeat(97)).to_string(),
            "<a name of 97 bytes>"
        );
    }
}
