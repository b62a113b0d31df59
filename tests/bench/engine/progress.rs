//! How far a run has come, for whoever sits before it.
//!
//! Why apart: figures go to standard output, and a bar is only for a terminal.
//!
//! # Invariants
//! Nothing is written where standard error is no terminal. Drawing happens between measurements, never during one.

use std::io::{IsTerminal, Write, stderr};
use std::time::Instant;

const WIDTH: usize = 24;

pub(crate) struct Progress {
    shown: bool,
    begin: Instant,
    done: usize,
    total: usize,
}

impl Progress {
    pub(crate) fn new(total: usize) -> Self {
        Self {
            shown: stderr().is_terminal(),
            begin: Instant::now(),
            done: 0,
            total,
        }
    }

    /// Something begins.
    pub(crate) fn at(&self, what: &str) {
        self.draw(&self.line(what));
    }

    /// It ended.
    pub(crate) fn step(&mut self) {
        self.done += 1;
    }

    fn line(&self, what: &str) -> String {
        let filled = (WIDTH * self.done)
            .checked_div(self.total)
            .unwrap_or(0)
            .min(WIDTH);
        let bar: String = (0..WIDTH).map(|at| if at < filled { '#' } else { '.' }).collect();
        let seconds = self.begin.elapsed().as_secs();
        format!(
            "[{bar}] {}/{} {}:{:02} {what}",
            self.done,
            self.total,
            seconds / 60,
            seconds % 60
        )
    }

    /// Nobody is told when standard error is gone.
    fn draw(&self, line: &str) {
        if self.shown {
            let _ = write!(stderr(), "\r{line}\x1b[K");
            let _ = stderr().flush();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.draw("");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_and_never_overflows() {
        let mut progress = Progress::new(2);
        assert!(
            progress
                .line("x")
                .starts_with("[........................] 0/2 0:00 x")
        );
        progress.step();
        assert!(progress.line("").starts_with("[############............] 1/2"));
        progress.step();
        progress.step();
        assert!(progress.line("").starts_with("[########################] 3/2"));
        assert!(
            Progress::new(0)
                .line("")
                .starts_with("[........................] 0/0")
        );
    }
}
