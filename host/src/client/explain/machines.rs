//! Each platform's pieces, put before its verifier.
//!
//! Why apart: which file is which is guesswork; what becomes of it is not, and is decided elsewhere.
//!
//! # Invariants
//! Everything that was given and is of use is handed to the verifier, so that nothing is quietly passed over.

use anchorhold_attestation::ccel::{self, LogForm};
use anchorhold_attestation::{
    Anchors, DeviceEvidence, EndorsementKind, EvidencePart, Platform, azure, nvidia, snp, tdx,
};
use anchorhold_encoding::Digest;

use super::amd::{self, Found};
use super::appraise::{Material, appraise};
use super::peel::Piece;
use super::providers;
use super::sniff::{Kind, contains};
use super::story::{MISSING_PART, NO_ENDORSEMENT, Told};
use super::{Machine, Question};
use crate::error::Failure;

/// Explains the pieces of one question.
pub(super) fn explain(
    question: &Question,
    pieces: &[Piece],
    anchors: &[Piece],
    told: &mut Told,
) -> Result<(), Failure> {
    if question.anchors.is_some() {
        told.class = "insecure";
    }
    let given = question.anchors.is_some().then_some(anchors);
    match question.machine {
        Machine::Snp => of_snp(question, pieces, given, told),
        Machine::Tdx => of_tdx(question, pieces, given, told),
        Machine::Azure => of_azure(question, pieces, given, told),
        Machine::Nvidia => of_nvidia(question, pieces, given, told),
        Machine::Google | Machine::Aws => providers::explain(question, pieces, given, told),
    }
}

pub(super) fn of(pieces: &[Piece], kind: Kind) -> impl Iterator<Item = &Piece> {
    pieces.iter().filter(move |piece| piece.kind == kind)
}

/// The one piece of a kind that the machine is about.
pub(super) fn only(pieces: &[Piece], kind: Kind) -> Result<&Piece, Failure> {
    let mut found = of(pieces, kind);
    let lacking = || {
        Failure::usage(
            "explain_input",
            format!("there is no {} among the files", kind.name()),
            "name the machine that the files are of: snp, tdx, azure, google, aws or nvidia",
        )
    };
    let first = found.next().ok_or_else(lacking)?;
    if found.any(|other| other.bytes != first.bytes) {
        return Err(Failure::usage(
            "explain_input",
            format!("there is more than one {} among the files", kind.name()),
            "explain one machine at a time",
        ));
    }
    Ok(first)
}

pub(super) fn no_root(what: &str) -> Failure {
    Failure::new(
        "explain_anchors",
        format!("the folder of anchors has no {what}"),
        "put the root certificates of the test hierarchy there, in DER or PEM",
    )
}

pub(super) fn amd_anchors(given: Option<&[Piece]>) -> Result<snp::Anchors, Failure> {
    let Some(pieces) = given else {
        return Ok(snp::Anchors::amd().clone());
    };
    let product = |piece: &Piece| {
        let named = |product: &snp::Product| contains(&piece.bytes, format!("ARK-{product}").as_bytes());
        snp::Product::ALL.into_iter().find(named)
    };
    let roots: Vec<(snp::Product, Vec<u8>)> = of(pieces, Kind::Certificate)
        .filter(|piece| amd::is_root(&piece.bytes))
        .filter_map(|piece| Some((product(piece)?, piece.bytes.clone())))
        .collect();
    if roots.is_empty() {
        return Err(no_root("ARK"));
    }
    snp::Anchors::given(&roots).map_err(|fault| {
        Failure::new(
            "explain_anchors",
            format!("an anchor is no root: {fault}"),
            fault.hint(),
        )
    })
}

fn intel_anchors(given: Option<&[Piece]>) -> Result<tdx::Anchors, Failure> {
    let Some(pieces) = given else {
        return Ok(tdx::Anchors::intel());
    };
    let root = |piece: &&Piece| contains(&piece.bytes, b"SGX Root CA");
    let root = of(pieces, Kind::Certificate)
        .find(root)
        .ok_or_else(|| no_root("Intel SGX Root CA"))?;
    Ok(tdx::Anchors::given(root.bytes.clone()))
}

pub(super) fn nvidia_anchors(given: Option<&[Piece]>) -> Result<nvidia::Anchors, Failure> {
    let Some(pieces) = given else {
        return Ok(nvidia::Anchors::nvidia());
    };
    let is_rim = |piece: &&Piece| contains(&piece.bytes, b"RIM");
    let rim = of(pieces, Kind::Certificate).find(is_rim);
    let device = of(pieces, Kind::Certificate).find(|piece| !is_rim(piece)).or(rim);
    let device = device.ok_or_else(|| no_root("root of devices"))?;
    nvidia::Anchors::other(&device.bytes, &rim.unwrap_or(device).bytes).map_err(|fault| {
        Failure::new(
            "explain_anchors",
            format!("an anchor is no root: {fault}"),
            fault.hint(),
        )
    })
}

/// Certificates as the verifier wants them.
pub(super) fn snp_given(found: &Found) -> snp::Given<'_> {
    match (&found.vek, &found.authority) {
        (Some(vek), Some(authority)) => snp::Given::Endorsements(snp::Endorsements {
            vek,
            authority,
            root: found.root.as_deref(),
            crl: found.list.as_deref(),
        }),
        _ => snp::Given::Nothing,
    }
}

/// Says which of AMD's certificates are missing, and where they are.
pub(super) fn lacks_amd(told: &mut Told, found: &Found, report: &[u8]) {
    let addresses = snp::Report::parse(report).map(|report| amd::addresses(&report));
    let addresses = addresses.unwrap_or_default();
    let fetch = match addresses.as_slice() {
        [] => "fetch them from AMD's key distribution service".to_owned(),
        all => format!("fetch and put into --endorsements: {}", all.join(" ")),
    };
    if found.vek.is_none() {
        told.lacks(
            NO_ENDORSEMENT,
            "the certificate of the key that signed the report (VCEK or VLEK)",
            fetch,
        );
    } else if found.authority.is_none() {
        told.lacks(
            NO_ENDORSEMENT,
            "the certificate of its authority (ASK or ASVK)",
            fetch,
        );
    }
    if found.list.is_none() {
        told.notes
            .push("no revocation list was given: whether AMD withdrew the ASK is not known".to_owned());
    }
}

fn of_snp(
    question: &Question,
    pieces: &[Piece],
    given: Option<&[Piece]>,
    told: &mut Told,
) -> Result<(), Failure> {
    let report = only(pieces, Kind::SnpReport)?;
    let anchors = amd_anchors(given)?;
    let found = Found::among(pieces, &report.bytes);
    let trace = snp::explain(&report.bytes, &snp_given(&found), &anchors, question.at);
    let verified = told.add("", trace);
    lacks_amd(told, &found, &report.bytes);
    drop(verified);
    let material = Material {
        platform: Platform::Snp,
        report: report.bytes.clone(),
        parts: Vec::new(),
        devices: devices_of(question, pieces, given, told)?,
        endorsements: amd_endorsements(&found),
        anchors: all_anchors(given, Some(anchors), None),
    };
    conclude(question, pieces, material, told);
    Ok(())
}

/// Says that Intel's collateral is missing.
fn lacks_collateral(told: &mut Told) {
    told.lacks(NO_ENDORSEMENT, "Intel's collateral for this platform, as one JSON file",
        "fetch it from Intel's PCS or your PCCS for the FMSPC of the quote's PCK certificate, with dcap-qvl's names".to_owned(),
    );
}

fn of_tdx(
    question: &Question,
    pieces: &[Piece],
    given: Option<&[Piece]>,
    told: &mut Told,
) -> Result<(), Failure> {
    let quote = only(pieces, Kind::TdxQuote)?;
    let collateral = of(pieces, Kind::Collateral).next();
    let anchors = intel_anchors(given)?;
    let bytes = collateral.map(|piece| piece.bytes.as_slice());
    let verified = told.add("", tdx::explain(&quote.bytes, bytes, &anchors, question.at));
    if collateral.is_none() {
        lacks_collateral(told);
    }
    let logs = pieces.iter().filter_map(|piece| match piece.kind {
        Kind::EventLog => Some((piece, LogForm::Ccel)),
        Kind::DstackLog => Some((piece, LogForm::Dstack)),
        _ => None,
    });
    let mut logged = false;
    for (piece, form) in logs {
        logged = true;
        let failed = told.checks.iter().any(|row| row.ok == Some(false));
        let trace = ccel::explain(&piece.bytes, form, verified.as_ref());
        // Without a verified quote that is the quote's failure, not the log's.
        let log = told.add("", trace);
        if let (Some(log), false) = (log, failed) {
            told.notes.push(format!(
                "the event log gives all four registers: {} events",
                log.events().len()
            ));
        }
    }
    if !logged {
        told.notes
            .push("no event log was given: what RTMR0 to RTMR3 are made of is not told".to_owned());
    }
    drop(verified);
    let mut parts = Vec::new();
    let log = pieces
        .iter()
        .find(|piece| matches!(piece.kind, Kind::EventLog | Kind::DstackLog));
    parts.extend(log.map(|piece| (EvidencePart::EventLog, piece.bytes.clone())));
    let material = Material {
        platform: Platform::Tdx,
        report: quote.bytes.clone(),
        parts,
        devices: devices_of(question, pieces, given, told)?,
        endorsements: collateral.map(intel_endorsement).into_iter().collect(),
        anchors: all_anchors(given, None, Some(anchors)),
    };
    conclude(question, pieces, material, told);
    Ok(())
}

fn of_azure(
    question: &Question,
    pieces: &[Piece],
    given: Option<&[Piece]>,
    told: &mut Told,
) -> Result<(), Failure> {
    let hcl = only(pieces, Kind::HclReport)?;
    // Offset 1224: 2 is SEV-SNP, 4 is TDX.
    let is_td = super::sniff::number(&hcl.bytes, 1224) == Some(4);
    let (amd, intel) = match is_td {
        true => (snp::Anchors::amd().clone(), intel_anchors(given)?),
        false => (amd_anchors(given)?, tdx::Anchors::intel()),
    };
    let inside = hcl.bytes.get(32..1216).unwrap_or_default();
    let found = Found::among(pieces, inside);
    let quote = of(pieces, Kind::TdxQuote).next();
    let collateral = of(pieces, Kind::Collateral).next();
    let parts = [Kind::TpmMessage, Kind::TpmSignature, Kind::TpmValues].map(|kind| of(pieces, kind).next());
    let values: Vec<Digest<32>> = parts[2]
        .map(|piece| piece.bytes.chunks(32).filter_map(Digest::from_slice).collect())
        .unwrap_or_default();
    let [message, signature, _] = parts;
    let selected = message.map(|piece| selected(&piece.bytes, &values));
    let tpm = match (message, signature, &selected) {
        (Some(message), Some(signature), Some(values)) => Some(azure::TpmQuote {
            message: &message.bytes,
            signature: &signature.bytes,
            values,
        }),
        _ => None,
    };
    let beside = azure::Beside {
        snp: (snp_given(&found), &amd),
        tdx: (
            quote.map(|piece| piece.bytes.as_slice()),
            collateral.map(|piece| piece.bytes.as_slice()),
            &intel,
        ),
        quote: tpm,
        expected: None,
    };
    let verified = told.add("", azure::explain(&hcl.bytes, &beside, question.at));
    match (is_td, quote, collateral) {
        (false, ..) => lacks_amd(told, &found, inside),
        (true, None, _) => told.lacks(
            MISSING_PART,
            "Intel's quote of the TDREPORT inside the HCL report",
            "post the TDREPORT to http://169.254.169.254/acc/tdquote on the machine, and hand over the quote"
                .to_owned(),
        ),
        (true, Some(_), None) => lacks_collateral(told),
        (true, Some(_), Some(_)) => {}
    }
    if tpm.is_none() {
        told.lacks(
            MISSING_PART,
            "the vTPM's quote: TPMS_ATTEST, signature and register values",
            "make a quote with the key at 0x81000003 and hand it over as JSON: message, signature, pcrs"
                .to_owned(),
        );
    }
    drop(verified);
    let mut parts = Vec::new();
    parts.extend(message.map(|piece| (EvidencePart::TpmQuote, piece.bytes.clone())));
    parts.extend(signature.map(|piece| (EvidencePart::TpmSignature, piece.bytes.clone())));
    let registers: Vec<u8> = selected
        .iter()
        .flatten()
        .flat_map(|value| value.as_bytes().to_vec())
        .collect();
    parts.push((EvidencePart::TpmRegisters, registers));
    let platform = match is_td {
        true => Platform::AzureTdx,
        false => Platform::AzureSnp,
    };
    if is_td {
        parts.extend(quote.map(|piece| (EvidencePart::TdxQuote, piece.bytes.clone())));
    }
    let mut endorsements = amd_endorsements(&found);
    endorsements.extend(collateral.map(intel_endorsement));
    let material = Material {
        platform,
        report: hcl.bytes.clone(),
        parts,
        devices: devices_of(question, pieces, given, told)?,
        endorsements,
        anchors: all_anchors(given, Some(amd), Some(intel)),
    };
    conclude(question, pieces, material, told);
    Ok(())
}

/// Tools hand over all 24 registers, and the quote covers those it selects: their bits are in the three bytes before the
/// digest (TPM 2.0 Part 2, 10.6.2, 10.12.4).
fn selected(message: &[u8], values: &[Digest<32>]) -> Vec<Digest<32>> {
    let bits = message
        .len()
        .checked_sub(32 + 2 + 3)
        .and_then(|at| message.get(at..at + 3))
        .unwrap_or_default();
    let chosen = |index: usize| {
        bits.get(index / 8)
            .is_some_and(|byte| byte >> (index % 8) & 1 == 1)
    };
    let count = (0..24).filter(|index| chosen(*index)).count();
    if values.len() == 24 && count < 24 {
        return (0..24)
            .filter(|index| chosen(*index))
            .filter_map(|index| values.get(index).copied())
            .collect();
    }
    values.to_vec()
}

/// One device's pieces.
struct Device<'a> {
    report: &'a Piece,
    certificates: Vec<Vec<u8>>,
    nonce: Option<Digest<32>>,
}

/// The folder, or the JSON object, that a piece lies in.
fn group(piece: &Piece) -> (&str, &str) {
    let object = piece.path.rsplit_once('/').map_or("", |(object, _)| object);
    (piece.file.as_str(), object)
}

fn devices(pieces: &[Piece]) -> Vec<Device<'_>> {
    let chains: Vec<&Piece> = of(pieces, Kind::Certificate)
        .filter(|piece| contains(&piece.bytes, b"NVIDIA") || piece.path.contains("/certificate"))
        .collect();
    let reports: Vec<&Piece> = of(pieces, Kind::NvidiaReport).collect();
    let mut loose = chains.iter().filter(|piece| piece.path.is_empty());
    let mut files: Vec<&str> = loose.by_ref().map(|piece| piece.file.as_str()).collect();
    files.dedup();
    reports
        .iter()
        .enumerate()
        .map(|(index, report)| {
            let (file, object) = group(report);
            let near = |piece: &&&Piece| {
                piece.file == file && !object.is_empty() && piece.path.starts_with(&format!("{object}/"))
            };
            let mut certificates: Vec<Vec<u8>> = chains
                .iter()
                .filter(near)
                .map(|piece| piece.bytes.clone())
                .collect();
            if certificates.is_empty() {
                // A file a chain, in the order in which reports and chains were named.
                let chain = files.get(index).or(files.first()).copied().unwrap_or_default();
                certificates = chains
                    .iter()
                    .filter(|piece| piece.path.is_empty() && piece.file == chain)
                    .map(|piece| piece.bytes.clone())
                    .collect();
            }
            let nonce = of(pieces, Kind::NvidiaNonce)
                .find(|piece| group(piece) == (file, object))
                .and_then(|piece| Digest::from_slice(&piece.bytes));
            Device {
                report,
                certificates,
                nonce,
            }
        })
        .collect()
}

/// The endorsements of AMD's that were found.
pub(super) fn amd_endorsements(found: &Found) -> Vec<(EndorsementKind, Vec<u8>)> {
    let parts = [
        (EndorsementKind::AmdVek, &found.vek),
        (EndorsementKind::AmdAuthority, &found.authority),
        (EndorsementKind::AmdCrl, &found.list),
    ];
    parts
        .into_iter()
        .filter_map(|(kind, der)| Some((kind, der.clone()?)))
        .collect()
}

fn intel_endorsement(piece: &Piece) -> (EndorsementKind, Vec<u8>) {
    (EndorsementKind::IntelCollateral, piece.bytes.clone())
}

/// The vendors' roots, or those of a folder: a vendor without one there is not believed.
fn all_anchors(given: Option<&[Piece]>, snp: Option<snp::Anchors>, tdx: Option<tdx::Anchors>) -> Anchors {
    match given {
        None => Anchors::compiled(),
        Some(_) => Anchors::given(snp, tdx, nvidia_anchors(given).ok()),
    }
}

/// Puts the whole before a policy, if all of its parts hold.
pub(super) fn conclude(question: &Question, pieces: &[Piece], mut material: Material, told: &mut Told) {
    if !told.holds() {
        return;
    }
    let with = |kind, as_kind| of(pieces, kind).map(move |piece| (as_kind, piece.bytes.clone()));
    material
        .endorsements
        .extend(with(Kind::Rim, EndorsementKind::NvidiaRim));
    material
        .endorsements
        .extend(with(Kind::OcspResponse, EndorsementKind::NvidiaOcsp));
    appraise(material, question.policy.as_ref(), question.at, told);
}

/// The devices beside a CPU, told with it.
pub(super) fn devices_of(
    question: &Question,
    pieces: &[Piece],
    given: Option<&[Piece]>,
    told: &mut Told,
) -> Result<Vec<DeviceEvidence>, Failure> {
    let found = devices(pieces);
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let verified = tell_devices(question, pieces, given, told)?;
    let evidence = found
        .into_iter()
        .zip(&verified)
        .filter_map(|(device, (_, proven))| {
            let kind = match proven.identity().architecture().kind() {
                nvidia::DeviceKind::Gpu => nvidia::GPU,
                nvidia::DeviceKind::Switch => nvidia::SWITCH,
            };
            DeviceEvidence::new(kind.to_owned(), device.report.bytes.clone(), device.certificates).ok()
        })
        .collect();
    Ok(evidence)
}

/// Devices without the CPU they are beside: nothing says which machine they are in, so nothing is appraised.
fn of_nvidia(
    question: &Question,
    pieces: &[Piece],
    given: Option<&[Piece]>,
    told: &mut Told,
) -> Result<(), Failure> {
    let verified = tell_devices(question, pieces, given, told)?;
    for (name, device) in &verified {
        told.claim(&format!("{name}: "), device.fields());
    }
    told.notes.push(
        "devices alone are verified and never appraised: only the CPU's evidence ties them to a machine"
            .to_owned(),
    );
    Ok(())
}

fn tell_devices(
    question: &Question,
    pieces: &[Piece],
    given: Option<&[Piece]>,
    told: &mut Told,
) -> Result<Vec<(String, nvidia::VerifiedDevice)>, Failure> {
    let anchors = nvidia_anchors(given)?;
    let responses: Vec<&[u8]> = of(pieces, Kind::OcspResponse)
        .map(|piece| piece.bytes.as_slice())
        .collect();
    let found = devices(pieces);
    let mut rims = Vec::new();
    for (index, piece) in of(pieces, Kind::Rim).enumerate() {
        let trace = nvidia::explain_rim(&piece.bytes, &responses, &anchors, question.at);
        rims.extend(told.add(&format!("RIM {index}"), trace));
    }
    if found.is_empty() && rims.is_empty() && of(pieces, Kind::Rim).next().is_none() {
        only(pieces, Kind::NvidiaReport)?;
    }
    let mut verified = Vec::new();
    for (index, device) in found.iter().enumerate() {
        let name = format!("device {index}");
        if device.certificates.is_empty() {
            told.notes.push(format!(
                "{name} ({}): no certificate chain was found for it",
                device.report.file
            ));
        }
        if device.nonce.is_some() {
            told.notes.push(format!(
                "{name}: the nonce compared with is the one in its own file"
            ));
        }
        let trace = nvidia::explain_device(
            &device.report.bytes,
            &device.certificates,
            device.nonce.as_ref(),
            &responses,
            &anchors,
            question.at,
        );
        verified.extend(told.add(&name, trace).map(|device| (name, device)));
    }
    for (name, device) in &verified {
        let fitting = nvidia::fitting(device, &rims);
        let trace = nvidia::explain_match(device, &fitting);
        let missing = trace.verdict.is_none();
        let _ = told.add(name, trace);
        if missing {
            told.lacks(
                NO_ENDORSEMENT,
                "the RIM files of the device's driver and BIOS",
                format!(
                    "fetch from NVIDIA's RIM service: {}",
                    nvidia::wanted(device).join(", ")
                ),
            );
        }
    }
    if found.len() > 1 && verified.len() == found.len() {
        let is_gpu = |device: &nvidia::VerifiedDevice| {
            device.identity().architecture().kind() == nvidia::DeviceKind::Gpu
        };
        let (gpus, switches): (Vec<_>, Vec<_>) = verified
            .iter()
            .map(|(_, device)| device)
            .partition(|device| is_gpu(device));
        let _ = told.add("machine", nvidia::explain_topology(&gpus, &switches));
    }
    Ok(verified)
}
