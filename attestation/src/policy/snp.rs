//! What a policy demands of SEV-SNP machines: the section `[snp]` of docs/policy.md.
//!
//! Why apart: these keys are AMD's vocabulary, and a policy for other machines needs none of them.
//!
//! # Invariants
//! As for the whole policy: unset is strictest, weaker is `dangerously`. A value that only an ID block can give is
//! zero without one, so unset means zero.

use std::collections::BTreeMap;

use anchorhold_encoding::Digest;
use serde::Deserialize;

use super::PolicyError;
use crate::limits;
use crate::snp::{Component, Part, Product, Tcb};

/// The section as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Section {
    smt: Option<Smt>,
    #[serde(default)]
    minimum_tcb: BTreeMap<Part, Floor>,
    vmpl: Option<Vec<u32>>,
    vlek_providers: Option<Vec<String>>,
    minimum_guest_svn: Option<u32>,
    id_keys: Option<Vec<Digest<48>>>,
    author_keys: Option<Vec<Digest<48>>>,
    family_ids: Option<Vec<Digest<16>>>,
    image_ids: Option<Vec<Digest<16>>>,
    #[serde(default)]
    mitigations: Vec<u32>,
    #[serde(default)]
    dangerously_accept_unchecked_revocation: bool,
    #[serde(default)]
    dangerously_accept_provisional_firmware: bool,
    #[serde(default)]
    dangerously_accept_migration: bool,
    #[serde(default)]
    dangerously_accept_cxl: bool,
    #[serde(default)]
    dangerously_accept_rapl: bool,
    #[serde(default)]
    dangerously_accept_visible_ciphertext: bool,
    #[serde(default)]
    dangerously_accept_page_swap: bool,
    #[serde(default)]
    dangerously_accept_unchecked_aliases: bool,
    #[serde(default)]
    dangerously_accept_policy_bits: Vec<u32>,
    #[serde(default)]
    dangerously_accept_platform_bits: Vec<u32>,
}

/// Whether two threads of one core may belong to different owners. There is no default: off costs half the threads,
/// on shares caches and branch predictors with the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Smt {
    /// Off on the platform, and the guest policy forbids it.
    Off,
    /// Off on the platform. The guest policy may allow it: no reboot of the host leaves this machine running.
    OffByHost,
    /// On or off.
    On,
}

/// The oldest TCB that is accepted, whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Floor {
    fmc: Option<u8>,
    boot_loader: u8,
    tee: u8,
    snp: u8,
    microcode: u8,
}

impl Floor {
    /// The oldest level of a component; 0 for one the product has not.
    pub(crate) const fn level(&self, component: Component) -> u8 {
        let tcb = Tcb {
            fmc: self.fmc,
            boot_loader: self.boot_loader,
            tee: self.tee,
            snp: self.snp,
            microcode: self.microcode,
        };
        match tcb.component(component) {
            Some(level) => level,
            None => 0,
        }
    }
}

/// What is demanded of a SEV-SNP machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnpPolicy {
    pub(crate) smt: Smt,
    pub(crate) floors: BTreeMap<Part, Floor>,
    pub(crate) vmpl: Vec<u32>,
    pub(crate) vlek_providers: Vec<String>,
    pub(crate) minimum_guest_svn: Option<u32>,
    pub(crate) id_keys: Vec<Digest<48>>,
    pub(crate) author_keys: Vec<Digest<48>>,
    pub(crate) family_ids: Vec<Digest<16>>,
    pub(crate) image_ids: Vec<Digest<16>>,
    pub(crate) mitigations: u64,
    pub(crate) accept_unchecked_revocation: bool,
    pub(crate) accept_provisional_firmware: bool,
    pub(crate) accept_migration: bool,
    pub(crate) accept_cxl: bool,
    pub(crate) accept_rapl: bool,
    pub(crate) accept_visible_ciphertext: bool,
    pub(crate) accept_page_swap: bool,
    pub(crate) accept_unchecked_aliases: bool,
    pub(crate) accept_policy_bits: u64,
    pub(crate) accept_platform_bits: u64,
}

/// A list that must have something in it if it is there.
fn listed<T>(key: &'static str, list: Option<Vec<T>>, unset: Vec<T>) -> Result<Vec<T>, PolicyError> {
    list.map_or(Ok(unset), |list| super::entries(key, Some(list)))
}

/// Numbers of bits, to a set of bits.
fn bits(key: &'static str, numbers: &[u32]) -> Result<u64, PolicyError> {
    numbers.iter().try_fold(0_u64, |set, number| {
        let bit = 1_u64.checked_shl(*number).ok_or(PolicyError::Range(key))?;
        Ok(set | bit)
    })
}

impl Section {
    /// Checks what types cannot say.
    pub(crate) fn policy(self) -> Result<SnpPolicy, PolicyError> {
        for (part, floor) in &self.minimum_tcb {
            match (part.product(), floor.fmc) {
                (Product::Turin, None) => return Err(PolicyError::Missing("snp.minimum_tcb.fmc")),
                (Product::Milan | Product::Genoa, Some(_)) => {
                    return Err(PolicyError::Range("snp.minimum_tcb.fmc"));
                }
                (Product::Turin, Some(_)) | (Product::Milan | Product::Genoa, None) => {}
            }
        }
        let vmpl = listed("snp.vmpl", self.vmpl, vec![0])?;
        if vmpl.iter().any(|level| *level > 3) {
            return Err(PolicyError::Range("snp.vmpl"));
        }
        let vlek_providers = listed("snp.vlek_providers", self.vlek_providers, Vec::new())?;
        if vlek_providers
            .iter()
            .any(|provider| provider.len() > limits::REFERENCE_NAME)
        {
            return Err(PolicyError::TooLong("snp.vlek_providers"));
        }
        // An ID key signs security versions: whoever lists one must say which of its versions are too old.
        match (&self.id_keys, self.minimum_guest_svn) {
            (Some(_), None) => return Err(PolicyError::Missing("snp.minimum_guest_svn")),
            (None, Some(_)) => return Err(PolicyError::Missing("snp.id_keys")),
            _ => {}
        }
        Ok(SnpPolicy {
            smt: self.smt.ok_or(PolicyError::Missing("snp.smt"))?,
            floors: self.minimum_tcb,
            vmpl,
            vlek_providers,
            minimum_guest_svn: self.minimum_guest_svn,
            id_keys: listed("snp.id_keys", self.id_keys, vec![Digest::new([0; 48])])?,
            author_keys: listed("snp.author_keys", self.author_keys, vec![Digest::new([0; 48])])?,
            family_ids: listed("snp.family_ids", self.family_ids, vec![Digest::new([0; 16])])?,
            image_ids: listed("snp.image_ids", self.image_ids, vec![Digest::new([0; 16])])?,
            mitigations: bits("snp.mitigations", &self.mitigations)?,
            accept_unchecked_revocation: self.dangerously_accept_unchecked_revocation,
            accept_provisional_firmware: self.dangerously_accept_provisional_firmware,
            accept_migration: self.dangerously_accept_migration,
            accept_cxl: self.dangerously_accept_cxl,
            accept_rapl: self.dangerously_accept_rapl,
            accept_visible_ciphertext: self.dangerously_accept_visible_ciphertext,
            accept_page_swap: self.dangerously_accept_page_swap,
            accept_unchecked_aliases: self.dangerously_accept_unchecked_aliases,
            accept_policy_bits: bits(
                "snp.dangerously_accept_policy_bits",
                &self.dangerously_accept_policy_bits,
            )?,
            accept_platform_bits: bits(
                "snp.dangerously_accept_platform_bits",
                &self.dangerously_accept_platform_bits,
            )?,
        })
    }
}

#[cfg(test)]
mod tests;
