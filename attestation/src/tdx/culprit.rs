//! Who is to blame when dcap-qvl refuses: its checks again, one by one, until one fails.
//!
//! Why apart: dcap-qvl's errors are prose, which may change and may quote the input. This runs only after a
//! refusal, so it costs nothing when all is well, and nothing it finds could turn a refusal into anything else.
//!
//! # Invariants
//! Returns an error, always. The order is that of trust: root, collateral, platform, quoting enclave, quote, levels.

use dcap_qvl::intel::parse_pck_extension_with;
use dcap_qvl::tcb_info::{TdxModule, TdxModuleIdentity};
use dcap_qvl::{SvnComponent, SvnShortfall, TcbStatus};

use super::attributes::TdAttribute;
use super::body::BodyKind;
use super::checks::{PckChain, wrong};
use super::collateral::Collateral;
use super::crypto::{Backend, sha256};
use super::error::{
    Certificate, CertificateCheck, DomainCheck, EnclaveCheck, PlatformCheck, QuoteCheck, Shortfall, TdxError,
};
use super::quote::Quote;
use super::signatures::{collateral_signatures, issued, raw, require};

/// The check that fails.
pub(super) fn find(quote: &Quote<'_>, chain: &PckChain<'_>, collateral: &Collateral) -> TdxError {
    collateral_signatures(&chain.root, &chain.authority, collateral)
        .and_then(|()| quote_signatures(quote, chain))
        .and_then(|()| enclave(quote, collateral))
        .and_then(|()| platform(quote, chain, collateral))
        .and_then(|()| domain(quote))
        .err()
        .unwrap_or(TdxError::Unexplained)
}

fn quote_signatures(quote: &Quote<'_>, chain: &PckChain) -> Result<(), TdxError> {
    let pck = issued(&chain.authority, &chain.pck.der);
    require(pck, wrong(CertificateCheck::Signature, Certificate::Pck))?;
    let report = raw(&chain.pck.key, quote.qe_signed, quote.qe_signature);
    require(report, TdxError::Enclave(EnclaveCheck::Signature))?;
    let digest = sha256(&[quote.attestation_key.as_slice(), quote.qe_authentication].concat());
    let vouched = quote.qe_report.report_data.first_chunk() == Some(&digest);
    require(vouched, TdxError::Enclave(EnclaveCheck::KeyDigest))?;
    let key = [&[4], quote.attestation_key.as_slice()].concat();
    require(
        raw(&key, quote.signed, quote.signature),
        TdxError::Quote {
            check: QuoteCheck::Signature,
            offset: 0,
        },
    )
}

fn enclave(quote: &Quote<'_>, collateral: &Collateral) -> Result<(), TdxError> {
    const DEBUG: u8 = 2;
    let (report, identity) = (&quote.qe_report, &collateral.qe_identity);
    let flags = report.attributes.first().copied().unwrap_or(DEBUG);
    let mask = u32::from_le_bytes(identity.miscselect_mask);
    let misc = u32::from_le_bytes(identity.miscselect);
    for (holds, check) in [
        (flags & DEBUG == 0, EnclaveCheck::Debug),
        (
            *report.signer.as_bytes() == identity.mrsigner,
            EnclaveCheck::Signer,
        ),
        (report.product == identity.isvprodid, EnclaveCheck::Product),
        (report.misc_select & mask == misc & mask, EnclaveCheck::MiscSelect),
        (
            masked(
                &report.attributes,
                &identity.attributes,
                &identity.attributes_mask,
            ),
            EnclaveCheck::Attributes,
        ),
    ] {
        require(holds, TdxError::Enclave(check))?;
    }
    let mut levels = identity.tcb_levels.iter();
    let level = levels.find(|level| report.security_version >= level.tcb.isvsvn);
    let level = level.ok_or(TdxError::Enclave(EnclaveCheck::Level))?;
    require(
        level.tcb_status != TcbStatus::Revoked,
        TdxError::Enclave(EnclaveCheck::Revoked),
    )
}

fn masked(has: &[u8], wanted: &[u8], mask: &[u8]) -> bool {
    let pairs = has.iter().zip(wanted).zip(mask);
    has.len() == wanted.len()
        && pairs
            .into_iter()
            .all(|((has, wanted), mask)| has & mask == wanted & mask)
}

fn platform(quote: &Quote<'_>, chain: &PckChain<'_>, collateral: &Collateral) -> Result<(), TdxError> {
    let fault = |check, shortfall| TdxError::Platform { check, shortfall };
    let pck = parse_pck_extension_with::<Backend>(&chain.pck.der)
        .map_err(|_| wrong(CertificateCheck::Extension, Certificate::Pck))?;
    let info = &collateral.tcb_info;
    let same = info.fmspc.eq_ignore_ascii_case(&hexadecimal(&pck.fmspc));
    require(same, fault(PlatformCheck::Fmspc, None))?;
    let now = quote.body.td15.map(|added| added.tee_tcb_svn2);
    for svn in [Some(quote.body.tee_tcb_svn), now].into_iter().flatten() {
        let mut nearest: Option<Vec<SvnShortfall>> = None;
        let mut reached = None;
        for level in &info.tcb_levels {
            let missing = level
                .shortfalls(&pck.cpu_svn, pck.pce_svn, Some(&svn))
                .map_err(|_| fault(PlatformCheck::Level, None))?;
            if missing.is_empty() {
                reached = Some(level);
                break;
            }
            if nearest.as_ref().is_none_or(|best| missing.len() < best.len()) {
                nearest = Some(missing);
            }
        }
        let missing = nearest
            .and_then(|missing| missing.first().copied())
            .map(shortfall);
        let level = reached.ok_or_else(|| fault(PlatformCheck::Level, missing))?;
        require(
            level.tcb_status != TcbStatus::Revoked,
            fault(PlatformCheck::Revoked, None),
        )?;
        let identity = info
            .tdx_module_identity(&svn)
            .map_err(|_| fault(PlatformCheck::Module, None))?;
        if let Some(identity) = identity {
            module_level(identity, &svn)?;
        }
        if svn == quote.body.tee_tcb_svn {
            module(quote, info.tdx_module.as_ref(), identity)?;
        }
    }
    Ok(())
}

fn module(
    quote: &Quote<'_>,
    base: Option<&TdxModule>,
    identity: Option<&TdxModuleIdentity>,
) -> Result<(), TdxError> {
    let fault = |check| TdxError::Platform {
        check,
        shortfall: None,
    };
    let base = base.ok_or(fault(PlatformCheck::Module))?;
    let (signer, attributes) = identity.map_or((&base.mrsigner, &base.attributes), |identity| {
        (&identity.mrsigner, &identity.attributes)
    });
    let signed = signer.eq_ignore_ascii_case(&quote.body.mr_signer_seam.to_string());
    require(signed, fault(PlatformCheck::ModuleSigner))?;
    // dcap-qvl refuses bits outside the mask too, so with any mask these are the only attributes it lets pass.
    let same = attributes.eq_ignore_ascii_case(&hexadecimal(&quote.body.seam_attributes));
    require(same, fault(PlatformCheck::ModuleAttributes))
}

fn module_level(identity: &TdxModuleIdentity, svn: &[u8; 16]) -> Result<(), TdxError> {
    let mut missing = None;
    for level in &identity.tcb_levels {
        match level.shortfall(svn) {
            None if level.tcb_status == TcbStatus::Revoked => {
                return Err(TdxError::Platform {
                    check: PlatformCheck::Revoked,
                    shortfall: None,
                });
            }
            None => return Ok(()),
            Some(short) => missing = Some(shortfall(short)),
        }
    }
    Err(TdxError::Platform {
        check: PlatformCheck::ModuleLevel,
        shortfall: missing,
    })
}

const fn shortfall(missing: SvnShortfall) -> Shortfall {
    let (component, index) = match missing.component {
        SvnComponent::Sgx(index) => ("cpusvn", index),
        SvnComponent::Tdx(index) => ("tee-tcb-svn", index),
        SvnComponent::PceSvn => ("pcesvn", 0),
        SvnComponent::TdxModuleIsvSvn => ("module-isvsvn", 0),
    };
    Shortfall {
        component,
        index,
        has: missing.have,
        needs: missing.needs,
    }
}

fn domain(quote: &Quote<'_>) -> Result<(), TdxError> {
    let attributes = quote.body.attributes;
    let service = attributes.has(TdAttribute::ServiceTdExtension) && quote.body_kind == BodyKind::Td10;
    for (holds, check) in [
        (attributes.reserved() == 0, DomainCheck::Reserved),
        (!attributes.has(TdAttribute::Migratable), DomainCheck::Migratable),
        (!service, DomainCheck::ServiceExtension),
        (attributes.has(TdAttribute::SeptVeDisable), DomainCheck::SeptVe),
    ] {
        require(holds, TdxError::Domain(check))?;
    }
    Ok(())
}

/// Lower-case hexadecimal.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
