//! NitroTPM's attestation document: a COSE_Sign1 (RFC 9052, section 4.2) over registers, certificates and user data.
//!
//! Why apart: AWS has no quote and no key for a TPM: its hypervisor signs a document of its own.
//!
//! # Invariants
//! One form of the envelope: no tag, the protected header `{1: -35}` (ES384, RFC 9053 section 2.1) and nothing
//! unprotected. Each member of the payload at most once, none unknown. What is signed is what was received.
//!
//! Source: *Amazon EC2 User Guide*, Validate a NitroTPM Attestation Document (structure, and validation steps).

use std::collections::BTreeMap;

use anchorhold_encoding::{Digest, sha256};
use subtle::ConstantTimeEq as _;

use super::cbor::Reader;
use super::error::{Check, ProviderError};
use super::machine::{MachineRegisters, ProviderMachine, Said};
use crate::binding::ReportData;
use crate::limits;
use crate::signature::Scheme;
use crate::time::Timestamp;
use crate::x509::{Anchor, Certificate, ChainError, VerifiedChain};

/// An array of four: the envelope, and what is signed.
const FOUR: &[u8] = &[0x84];
/// The protected header as a byte string: `{1: -35}`.
const PROTECTED: &[u8] = &[0x44, 0xa1, 0x01, 0x38, 0x22];
/// An empty map.
const UNPROTECTED: &[u8] = &[0xa0];
/// `Signature1`, the context of what is signed.
const CONTEXT: &[u8] = b"\x6aSignature1";
/// An empty byte string: no external data.
const EXTERNAL: &[u8] = &[0x40];
/// r and s of 48 bytes.
const SIGNATURE: usize = 96;

/// The members of a payload that anything is made of.
struct Payload<'a> {
    module: &'a str,
    milliseconds: u64,
    registers: BTreeMap<u8, Digest<48>>,
    certificate: &'a [u8],
    authorities: Vec<&'a [u8]>,
    user_data: Option<&'a [u8]>,
}

/// Members as they are found.
#[derive(Default)]
struct Found<'a> {
    module: Option<&'a str>,
    digest: Option<&'a str>,
    milliseconds: Option<u64>,
    registers: Option<BTreeMap<u8, Digest<48>>>,
    certificate: Option<&'a [u8]>,
    authorities: Option<Vec<&'a [u8]>>,
    public_key: Option<Option<&'a [u8]>>,
    user_data: Option<Option<&'a [u8]>>,
    nonce: Option<Option<&'a [u8]>>,
}

/// Proves a document over `report_data`, those of the machine's SEV-SNP report, at `now`. `public_key` and `nonce` are
/// not looked at.
///
/// # Errors
/// [`ProviderError`]: the first check that fails, in the order of docs/platforms/provider.md.
pub fn verify(
    document: &[u8],
    report_data: &ReportData,
    anchor: &Anchor,
    now: Timestamp,
) -> Result<ProviderMachine, ProviderError> {
    let mut reader = Reader::new(document);
    let (framed, signature) = envelope(&mut reader).ok_or(ProviderError::Form {
        check: Check::NitroForm,
        at: reader.at(),
    })?;
    let payload = Reader::new(framed).bytes().ok_or(ProviderError::Form {
        check: Check::NitroForm,
        at: 0,
    })?;
    let mut reader = Reader::new(payload);
    let payload = Payload::read(&mut reader).ok_or(ProviderError::Form {
        check: Check::NitroPayload,
        at: reader.at(),
    })?;
    let chain = payload.chain(anchor, now)?;
    let signed = [FOUR, CONTEXT, PROTECTED, EXTERNAL, framed].concat();
    let binding = |check| ProviderError::Binding { check };
    let _genuine = chain
        .key()
        .verify(Scheme::EcdsaP384Fixed, &signed, signature)
        .ok_or(binding(Check::NitroSignature))?;
    let expected = sha256(&[report_data.as_bytes()]);
    let bound = payload
        .user_data
        .is_some_and(|said| said.ct_eq(expected.as_bytes()).into());
    if !bound {
        return Err(binding(Check::NitroUserData));
    }
    Ok(ProviderMachine {
        registers: MachineRegisters::Sha384(payload.registers),
        certificate: sha256(&[payload.certificate]),
        not_after: chain.not_after(),
        said: Said::Module {
            id: payload.module.to_owned(),
            milliseconds: payload.milliseconds,
        },
    })
}

/// The payload with its length, and the signature.
fn envelope<'a>(reader: &mut Reader<'a>) -> Option<(&'a [u8], &'a [u8])> {
    reader.literal(FOUR)?;
    reader.literal(PROTECTED)?;
    reader.literal(UNPROTECTED)?;
    let before = reader.rest();
    reader.bytes()?;
    let length = before.len().checked_sub(reader.rest().len())?;
    let framed = before.get(..length)?;
    let signature = reader.bytes()?;
    (signature.len() == SIGNATURE && reader.rest().is_empty()).then_some((framed, signature))
}

impl<'a> Payload<'a> {
    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let mut left = reader.any_map()?;
        let mut found = Found::default();
        loop {
            match &mut left {
                Some(0) => break,
                Some(left) => *left = left.checked_sub(1)?,
                None if reader.end() => break,
                None => {}
            }
            found.member(reader)?;
        }
        let sha384 = found.digest? == "SHA384";
        let whole = reader.rest().is_empty();
        let module = found.module?;
        (sha384 && whole && !module.is_empty()).then_some(Self {
            module,
            milliseconds: found.milliseconds?,
            registers: found.registers?,
            certificate: found.certificate?,
            authorities: found.authorities?,
            user_data: found.user_data.flatten(),
        })
    }

    /// Proves the certificate of the key that signs. The bundle begins with the root.
    fn chain(&self, anchor: &Anchor, now: Timestamp) -> Result<VerifiedChain, ProviderError> {
        let wrong = |error| ProviderError::Chain {
            check: Check::NitroChain,
            error,
        };
        let mut links = std::iter::once(&self.certificate)
            .chain(self.authorities.iter().rev())
            .enumerate()
            .map(|(link, der)| Certificate::parse(der).map_err(|fault| wrong(ChainError { link, fault })));
        let leaf = links.next().ok_or(ProviderError::Binding {
            check: Check::NitroChain,
        })??;
        let authorities = links.collect::<Result<Vec<_>, _>>()?;
        VerifiedChain::verify(leaf, authorities, anchor, &[], now).map_err(wrong)
    }
}

impl<'a> Found<'a> {
    /// One name and its value.
    fn member(&mut self, reader: &mut Reader<'a>) -> Option<()> {
        match reader.text()? {
            "module_id" => once(&mut self.module, reader.text()?),
            "digest" => once(&mut self.digest, reader.text()?),
            "timestamp" => once(&mut self.milliseconds, reader.number()?),
            "nitrotpm_pcrs" => once(&mut self.registers, registers(reader)?),
            "certificate" => once(&mut self.certificate, reader.bytes()?),
            "cabundle" => once(&mut self.authorities, bundle(reader)?),
            "public_key" => once(&mut self.public_key, reader.bytes_or_null()?),
            "user_data" => once(&mut self.user_data, reader.bytes_or_null()?),
            "nonce" => once(&mut self.nonce, reader.bytes_or_null()?),
            _ => None,
        }
    }
}

fn once<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

fn registers(reader: &mut Reader<'_>) -> Option<BTreeMap<u8, Digest<48>>> {
    let count = reader.map()?;
    let mut registers = BTreeMap::new();
    for _ in 0..count {
        let number = u8::try_from(reader.number()?).ok();
        let number = number.filter(|number| *number < limits::NITRO_REGISTERS)?;
        let value = Digest::from_slice(reader.bytes()?)?;
        if registers.insert(number, value).is_some() {
            return None;
        }
    }
    (!registers.is_empty()).then_some(registers)
}

fn bundle<'a>(reader: &mut Reader<'a>) -> Option<Vec<&'a [u8]>> {
    let count = usize::try_from(reader.array()?).ok();
    let count = count.filter(|count| (1..limits::PATH).contains(count))?;
    (0..count).map(|_| reader.bytes()).collect()
}
