//! Machines with a provider's TPM beside an SEV-SNP report, put before their verifier.
//!
//! Why apart: here two signers are told as one story, and the second has its own roots.
//!
//! # Invariants
//! As in [`super::machines`]: everything that was given and is of use is handed to the verifier.

use anchorhold_attestation::provider::{self, GoogleQuote, Tpm};
use anchorhold_attestation::{Anchors, EvidencePart, Platform};

use super::amd::Found;
use super::appraise::Material;
use super::machines::{
    amd_anchors, amd_endorsements, conclude, devices_of, lacks_amd, no_root, nvidia_anchors, of, only,
    snp_given,
};
use super::peel::Piece;
use super::sniff::{Kind, contains};
use super::story::{MISSING_PART, Told};
use super::{Machine, Question};
use crate::error::Failure;

/// Explains the pieces of one machine of Google's or AWS's.
pub(super) fn explain(
    question: &Question,
    pieces: &[Piece],
    given: Option<&[Piece]>,
    told: &mut Told,
) -> Result<(), Failure> {
    let report = only(pieces, Kind::SnpReport)?;
    let roots = amd_anchors(given)?;
    let anchors = anchors(question.machine, given)?;
    let found = Found::among(pieces, &report.bytes);
    let first = |kind| of(pieces, kind).next().map(|piece| piece.bytes.as_slice());
    let mut parts = Vec::new();
    let (platform, tpm) = if question.machine == Machine::Google {
        let kinds = [
            (Kind::TpmCertificates, EvidencePart::TpmCertificates),
            (Kind::TpmMessage, EvidencePart::TpmQuote),
            (Kind::TpmSignature, EvidencePart::TpmSignature),
            (Kind::TpmValues, EvidencePart::TpmRegisters),
        ];
        for (kind, part) in kinds {
            parts.extend(first(kind).map(|bytes| (part, bytes.to_vec())));
        }
        let quote = match kinds.map(|(kind, _)| first(kind)) {
            [
                Some(certificates),
                Some(message),
                Some(signature),
                Some(registers),
            ] => Some(GoogleQuote {
                certificates,
                message,
                signature,
                registers,
            }),
            _ => None,
        };
        (Platform::GoogleSnp, Tpm::Google(quote))
    } else {
        let document = first(Kind::NitroDocument);
        parts.extend(document.map(|bytes| (EvidencePart::NitroDocument, bytes.to_vec())));
        (Platform::AwsSnp, Tpm::Aws(document))
    };
    let beside = provider::Beside {
        snp: (snp_given(&found), &roots),
        tpm,
        anchors: &anchors,
    };
    let verified = told.add("", provider::explain(&report.bytes, &beside, question.at));
    lacks_amd(told, &found, &report.bytes);
    match tpm {
        Tpm::Google(None) => told.lacks(
            MISSING_PART,
            "the vTPM's quote: TPMS_ATTEST, signature, register values, and the certificates of its key",
            "hand over the evidence as JSON with its parts tpm-quote, tpm-signature, tpm-registers, tpm-certificates"
                .to_owned(),
        ),
        Tpm::Aws(None) => told.lacks(
            MISSING_PART,
            "the NitroTPM attestation document",
            "hand over the document as the TPM gives it, or the evidence as JSON with its part nitro-document"
                .to_owned(),
        ),
        Tpm::Google(Some(_)) | Tpm::Aws(Some(_)) => {}
    }
    if verified.is_some() {
        told.notes.push(
            "the report covers the provider's firmware and nothing that it boots: what the TPM measured is the provider's \
             word, and a policy refuses it unless it says dangerously_trust_provider_tpm"
                .to_owned(),
        );
    }
    drop(verified);
    let believed = match given {
        None => Anchors::compiled(),
        Some(_) => Anchors::given(Some(roots), None, nvidia_anchors(given).ok()).with_provider(anchors),
    };
    let material = Material {
        platform,
        report: report.bytes.clone(),
        parts,
        devices: devices_of(question, pieces, given, told)?,
        endorsements: amd_endorsements(&found),
        anchors: believed,
    };
    conclude(question, pieces, material, told);
    Ok(())
}

/// The provider's root: compiled in, or the one of a folder that bears its name and is a root.
fn anchors(machine: Machine, given: Option<&[Piece]>) -> Result<provider::Anchors, Failure> {
    let Some(pieces) = given else {
        return Ok(provider::Anchors::compiled());
    };
    let google = machine == Machine::Google;
    let name = if google {
        "EK/AK CA Root"
    } else {
        "aws.nitro-enclaves"
    };
    let make = |der: &[u8]| match google {
        true => provider::Anchors::given(Some(der), None),
        false => provider::Anchors::given(None, Some(der)),
    };
    of(pieces, Kind::Certificate)
        .filter(|piece| contains(&piece.bytes, name.as_bytes()))
        .find_map(|piece| make(&piece.bytes).ok())
        .ok_or_else(|| no_root(name))
}
