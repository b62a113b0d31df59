//! A progress bar for work on many bytes.
//!
//! Why apart: the crate that does the work knows bytes, not terminals.
//!
//! # Invariants
//! Nothing is drawn unless standard error is a terminal.

use anchorhold_models::Progress;
use indicatif::{ProgressBar, ProgressStyle};

use crate::output::Output;

/// Shows bytes done, of how many, how fast and how long still.
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar named `what`; invisible unless a person watches `output`.
    #[must_use]
    pub fn new(output: &Output, what: &'static str) -> Self {
        let bar = if output.is_watched() && !output.is_json() {
            ProgressBar::new(0)
        } else {
            ProgressBar::hidden()
        };
        let style = ProgressStyle::with_template(
            "{prefix} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} eta {eta}",
        );
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(what);
        Self(bar)
    }
}

impl Progress for Bar {
    fn total(&self, bytes: u64) {
        self.0.set_length(bytes);
        self.0.set_position(0);
    }

    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
