//! `client receipt verify`: what a kept receipt proves, and what it does not.
//!
//! # Invariants
//! What is not proven is printed beside what is, always.

use std::path::Path;

use super::files::{policy, read};
use crate::client::kept::judge::{Finding, Judgement, Texts, judge};
use crate::client::limits::{ANSWER_BYTES, FILE_BYTES, REQUEST_BYTES};
use crate::client::trust::Trust;
use crate::error::{Exit, Failure};
use crate::output::{Output, table};

/// Judges and prints.
pub(super) fn run(
    file: &Path,
    policy_file: Option<&Path>,
    texts: Option<(&Path, &Path)>,
    output: &Output,
) -> Result<Exit, Failure> {
    let trust = policy_file.map(policy).transpose()?.map(Trust::from);
    let kept = read(file, FILE_BYTES)?;
    let texts = match texts {
        None => None,
        // A stream has its framing beside its content: twice is generous.
        Some((request, answer)) => Some((
            read(request, REQUEST_BYTES as u64)?,
            read(answer, 2 * ANSWER_BYTES as u64)?,
        )),
    };
    let texts = texts.as_ref().map(|(request, answer)| Texts { request, answer });
    let judgement = judge(&kept, trust.as_ref(), texts.as_ref())?;
    output.data(&judgement, || text(&judgement))?;
    Ok(Exit::Yes)
}

fn text(judgement: &Judgement) -> String {
    let row = |finding: &Finding| [finding.check.clone(), finding.found.clone()];
    let rows: Vec<_> = judgement.proven.iter().map(row).collect();
    let receipt = &judgement.receipt;
    let mut text = table(["proven", "found"], &rows);
    text.push_str(&format!(
        "\nthe enclave signed: {} tokens read, {} written, number {} of its boot, at {}\n\nnot proven:\n",
        receipt.prompt_tokens, receipt.completion_tokens, receipt.sequence, receipt.time,
    ));
    for sentence in &judgement.not_proven {
        text.push_str(&format!("- {sentence}\n"));
    }
    text.truncate(text.trim_end().len());
    text
}
