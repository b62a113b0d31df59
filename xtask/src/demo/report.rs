//! What the person, or the script, sees.
//!
//! # Invariants
//! With `--json` stdout carries exactly one document, at the end.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Numbered steps, as text while they happen or as one document at the end.
pub(crate) struct Report {
    json: bool,
    steps: Vec<Value>,
    answer: Option<String>,
    started: Instant,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            steps: Vec::new(),
            answer: None,
            started: Instant::now(),
        }
    }

    /// One step that succeeded: who did it, what it was, and the facts it proved.
    pub(crate) fn step(&mut self, who: &str, what: &str, took: Duration, facts: &[(&str, String)]) {
        let number = self.steps.len() + 1;
        if !self.json {
            println!("{number:>2}. {who}: {what}  ({})", seconds(took));
            for (name, value) in facts {
                println!("      {name:<18} {value}");
            }
        }
        let facts: serde_json::Map<String, Value> = facts
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())))
            .collect();
        self.steps.push(json!({
            "number": number, "who": who, "what": what, "seconds": took.as_secs_f64(), "facts": facts,
        }));
    }

    /// An attack that is about to be refused.
    pub(crate) fn attack(&mut self, what: &str) {
        if !self.json {
            println!("  ! attacker: {what}");
        }
        self.steps.push(json!({ "attack": what }));
    }

    /// The enclave's answer to `--once`.
    pub(crate) fn answer(&mut self, question: &str, answer: &str) {
        if !self.json {
            println!("\n  you: {question}\nmodel: {}\n", printable(answer));
        }
        self.answer = Some(answer.to_owned());
    }

    /// A line of talk between steps, on stderr.
    pub(crate) fn talk(&self, line: &str) {
        eprintln!("{line}");
    }

    /// The end with a refusal: the attack, or anything else, was noticed.
    pub(crate) fn refused(&self, by: &str, reasons: &[String]) -> ExitCode {
        if self.json {
            self.print(&json!({ "verdict": "refused", "by": by, "reasons": reasons }));
        } else {
            println!("\nREFUSED by {by}:");
            for reason in reasons {
                println!("  - {reason}");
            }
        }
        ExitCode::from(3)
    }

    /// The end without a refusal.
    pub(crate) fn finish(&self, code: u8, problem: Option<&str>) -> ExitCode {
        if let Some(problem) = problem {
            eprintln!("error: {problem}");
        }
        if self.json {
            let verdict = if code == 0 { "done" } else { "error" };
            self.print(&json!({ "verdict": verdict, "answer": self.answer, "error": problem }));
        } else if code == 0 {
            println!(
                "done in {}; nothing was left behind",
                seconds(self.started.elapsed())
            );
        }
        ExitCode::from(code)
    }

    fn print(&self, end: &Value) {
        let mut document = json!({ "steps": self.steps, "seconds": self.started.elapsed().as_secs_f64() });
        if let (Some(document), Some(end)) = (document.as_object_mut(), end.as_object()) {
            document.extend(end.clone());
        }
        println!("{document}");
    }
}

fn seconds(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

/// What a model wrote, without what could move a terminal's cursor, change its title or answer for the person.
fn printable(text: &str) -> String {
    let harmless = |c: char| !c.is_control() || c == '\n' || c == '\t';
    text.chars()
        .map(|c| {
            if harmless(c) {
                c
            } else {
                char::REPLACEMENT_CHARACTER
            }
        })
        .collect()
}

/// A digest as people compare it: its first eight digits.
pub(crate) fn short(digest: &str) -> String {
    format!("{}…", digest.get(..8).unwrap_or(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_words_give_a_terminal_no_commands() {
        assert_eq!(
            printable("a\tb\n\u{1b}[2Jc\u{9b}\r"),
            "a\tb\n\u{fffd}[2Jc\u{fffd}\u{fffd}"
        );
    }
}
