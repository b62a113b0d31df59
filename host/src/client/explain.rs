//! `client explain`: why evidence is refused, check by check, offline.
//!
//! Why apart: `verify` answers yes or no to a program; this answers a person who was told no, with files that came from
//! somewhere.
//!
//! - [`peel`], [`sniff`], [`report_json`]: from files to pieces that verifiers take
//! - [`folder`]: endorsements and anchors, recognised by content
//! - [`amd`]: which certificate is which
//! - [`machines`], [`providers`]: each platform's pieces, put before its verifier
//! - [`mod@appraise`]: what a policy says
//! - [`story`]: rows, and how they are printed
//!
//! # Invariants
//! Nothing is fetched, and nothing is decided here: verdicts are those of `anchorhold_attestation`. Every input is
//! announced with what it was taken for. Text of the input is never printed.

use std::path::PathBuf;

use anchorhold_attestation::{Policy, Timestamp};

use self::sniff::Kind;
use crate::error::Failure;

mod amd;
mod appraise;
mod folder;
mod machines;
mod peel;
mod providers;
mod report_json;
mod sniff;
mod story;

pub use story::Told;

/// Whose evidence it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Machine {
    /// AMD SEV-SNP
    Snp,
    /// Intel TDX
    Tdx,
    /// Azure confidential VMs, of either
    Azure,
    /// Google Cloud, SEV-SNP with the provider's vTPM
    Google,
    /// Amazon EC2, SEV-SNP with `NitroTPM`
    Aws,
    /// NVIDIA GPUs and switches
    Nvidia,
}

impl Machine {
    const fn name(self) -> &'static str {
        match self {
            Self::Snp => "snp",
            Self::Tdx => "tdx",
            Self::Azure => "azure",
            Self::Google => "google",
            Self::Aws => "aws",
            Self::Nvidia => "nvidia",
        }
    }
}

/// What is asked.
#[derive(Debug)]
pub struct Question {
    /// Whose evidence.
    pub machine: Machine,
    /// The files, of any form that is recognised.
    pub files: Vec<PathBuf>,
    /// A folder of certificates, lists, collateral and RIM files.
    pub endorsements: Option<PathBuf>,
    /// A folder of other roots than the vendors'.
    pub anchors: Option<PathBuf>,
    /// What must hold beyond being genuine.
    pub policy: Option<Policy>,
    /// As of when.
    pub at: Timestamp,
    /// Whether that was given, or is the machine's clock.
    pub at_given: bool,
}

/// Explains.
///
/// # Errors
/// [`Failure`] with exit status 1 when a file cannot be read or is of no known form, 2 when the files are not what the
/// machine needs.
pub fn explain(question: &Question) -> Result<Told, Failure> {
    let mut pieces = Vec::new();
    let mut told = Told::new(question.machine, question.at, question.at_given);
    for file in &question.files {
        let found = folder::file(file)?;
        if let (true, Some(stuck)) = (found.pieces.is_empty(), &found.stuck) {
            return Err(Failure::new(
                "explain_unreadable",
                format!("cannot tell what this is: {stuck}"),
                "give the evidence as the machine made it: raw, hexadecimal, base64, gzip, PEM or JSON (docs/explain.md)",
            ));
        }
        told.inputs.extend(found.said);
        pieces.extend(found.pieces);
    }
    if let Some(folder) = &question.endorsements {
        let found = folder::files(folder)?;
        told.inputs.extend(found.said);
        // Lists and collateral of the folder go first: an older list hidden in someone's evidence must not be taken before
        // the one that was given beside it.
        let (withdraw, rest): (Vec<_>, Vec<_>) = found
            .pieces
            .into_iter()
            .partition(|piece| matches!(piece.kind, Kind::RevocationList | Kind::Collateral));
        pieces.splice(0..0, withdraw);
        pieces.extend(rest);
    }
    let anchors = match &question.anchors {
        None => Vec::new(),
        Some(folder) => {
            let found = folder::files(folder)?;
            told.inputs
                .extend(found.said.into_iter().map(|said| format!("anchor {said}")));
            found.pieces
        }
    };
    machines::explain(question, &pieces, &anchors, &mut told)?;
    told.conclude();
    Ok(told)
}

#[cfg(test)]
mod tests;
