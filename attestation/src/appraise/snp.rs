//! The rules for SEV-SNP machines, every field in its turn.
//!
//! Why apart: these are AMD's fields; what all platforms share is judged beside them.
//!
//! # Invariants
//! Every rule is evaluated. Debug, measurement, chip and host data are rules that all platforms share; fields that no
//! rule names can be pinned. Weaknesses are judged by `weakness.rs`.

use anchorhold_encoding::Digest;

use crate::denial::{RuleId, Rules};
use crate::field::Value;
use crate::policy::snp::{Smt, SnpPolicy};
use crate::snp::{
    Component, Part, PlatformBit, PolicyBit, Product, Report, Revocation, SignerKind, Tcb, VerifiedReport,
};

/// Judges what a proven report says.
pub(crate) fn judge(rules: &mut Rules, policy: &SnpPolicy, report: &VerifiedReport) {
    judge_signer(rules, policy, report);
    judge_versions(rules, policy, report);
    judge_guest_policy(rules, policy, report);
    judge_platform(rules, policy, report.report());
    judge_identity(rules, policy, report.report());
}

fn judge_signer(rules: &mut Rules, policy: &SnpPolicy, report: &VerifiedReport) {
    let (known, found) = match report.signer() {
        SignerKind::Vcek { .. } => (true, "the chip's own key (VCEK)".to_owned()),
        SignerKind::Vlek { provider } => (
            policy.vlek_providers.contains(provider),
            format!("a provider's key (VLEK) of {}", Value::from(provider.as_str())),
        ),
    };
    rules.demand(RuleId::SnpSigner, known, "a key the policy accepts", found);

    let (looked, found) = match report.revocation() {
        Revocation::NotChecked => (false, "no revocation list"),
        Revocation::NotRevoked { .. } => (true, "a current revocation list"),
    };
    rules.demand_unless(
        RuleId::SnpRevocation,
        looked,
        policy.accept_unchecked_revocation,
        "a current revocation list",
        found,
    );
}

fn judge_versions(rules: &mut Rules, policy: &SnpPolicy, report: &VerifiedReport) {
    let parts = Part::possible(report.report(), report.product());
    let said = report.report();
    let without_floor = parts
        .iter()
        .find(|part| !policy.floors.is_empty() && !policy.floors.contains_key(part));
    for (rule, tcb) in [
        (RuleId::SnpReportedTcb, &said.reported_tcb),
        (RuleId::SnpCommittedTcb, &said.committed_tcb),
        (RuleId::SnpLaunchTcb, &said.launch_tcb),
    ] {
        let floor = floor(policy, &parts, tcb);
        let new_enough = Component::ALL
            .iter()
            .all(|component| tcb.component(*component) >= floor.component(*component));
        match without_floor {
            // Who gives floors means every machine: one of another kind must not pass for want of one.
            Some(part) => {
                let expected = format_args!("a floor for {} in minimum_tcb", part.name()).to_string();
                rules.demand(rule, false, expected, tcb);
            }
            None => rules.demand(rule, new_enough, format_args!("{floor} or newer"), tcb),
        }
    }

    let (current, committed) = (said.current_firmware, said.committed_firmware);
    rules.demand_unless(
        RuleId::SnpFirmware,
        current == committed && said.current_tcb == said.committed_tcb,
        policy.accept_provisional_firmware,
        format_args!("{current}, {} committed", said.current_tcb),
        format_args!("{committed}, {} committed", said.committed_tcb),
    );
}

/// The highest of the floors of what the processor may be, with the components that `tcb` has.
fn floor(policy: &SnpPolicy, parts: &[Part], tcb: &Tcb) -> Tcb {
    let level = |component| {
        parts
            .iter()
            .filter_map(|part| policy.floors.get(part))
            .map(|floor| floor.level(component))
            .max()
            .unwrap_or(0)
    };
    Tcb {
        fmc: tcb.fmc.map(|_| level(Component::Fmc)),
        boot_loader: level(Component::BootLoader),
        tee: level(Component::Tee),
        snp: level(Component::Snp),
        microcode: level(Component::Microcode),
    }
}

fn judge_guest_policy(rules: &mut Rules, policy: &SnpPolicy, report: &VerifiedReport) {
    let said = report.report();
    let has = |bit| said.policy.has(bit);
    let shown = |bit: PolicyBit| format!("{} {}", bit.name(), u8::from(said.policy.has(bit)));

    rules.demand_unless(
        RuleId::SnpMigration,
        !has(PolicyBit::MigrateMa),
        policy.accept_migration,
        "MIGRATE_MA 0",
        shown(PolicyBit::MigrateMa),
    );

    let (allowed, enabled) = (has(PolicyBit::Smt), said.platform_info.has(PlatformBit::SmtEn));
    let (as_named, expected) = match policy.smt {
        Smt::Off => (!allowed && !enabled, "SMT 0, SMT_EN 0"),
        Smt::OffByHost => (!enabled, "SMT_EN 0"),
        Smt::On => (true, "any SMT, any SMT_EN"),
    };
    let found = format_args!("SMT {}, SMT_EN {}", u8::from(allowed), u8::from(enabled)).to_string();
    rules.demand(RuleId::SnpSmt, as_named, expected, found);

    rules.demand_unless(
        RuleId::SnpCxl,
        !has(PolicyBit::CxlAllow),
        policy.accept_cxl,
        "CXL_ALLOW 0",
        shown(PolicyBit::CxlAllow),
    );
    for (rule, bit, accepted) in [
        (RuleId::SnpRapl, PolicyBit::RaplDis, policy.accept_rapl),
        (
            RuleId::SnpCiphertextHiding,
            PolicyBit::CiphertextHiding,
            policy.accept_visible_ciphertext,
        ),
        (
            RuleId::SnpPageSwap,
            PolicyBit::PageSwapDisable,
            policy.accept_page_swap,
        ),
    ] {
        if demanded(bit, report.product()) {
            rules.demand_unless(
                rule,
                has(bit),
                accepted,
                format_args!("{} 1", bit.name()),
                shown(bit),
            );
        }
    }

    let unknown = said.policy.unknown();
    rules.demand_unless(
        RuleId::SnpPolicyBits,
        unknown == 0,
        unknown & !policy.accept_policy_bits == 0,
        "no bits without a name",
        format_args!("{unknown:#x}"),
    );
}

/// Whether the protection is demanded of this product: of older ones only what their firmware is known to offer.
const fn demanded(bit: PolicyBit, product: Product) -> bool {
    match bit {
        PolicyBit::RaplDis | PolicyBit::CiphertextHiding => matches!(product, Product::Turin),
        PolicyBit::PageSwapDisable
        | PolicyBit::Smt
        | PolicyBit::MigrateMa
        | PolicyBit::Debug
        | PolicyBit::SingleSocket
        | PolicyBit::CxlAllow
        | PolicyBit::MemAes256Xts => true,
    }
}

fn judge_platform(rules: &mut Rules, policy: &SnpPolicy, said: &Report) {
    let checked = said.platform_info.has(PlatformBit::AliasCheckComplete);
    rules.demand_unless(
        RuleId::SnpAliasCheck,
        checked,
        policy.accept_unchecked_aliases,
        "ALIAS_CHECK_COMPLETE 1",
        format_args!("ALIAS_CHECK_COMPLETE {}", u8::from(checked)),
    );

    let unknown = said.platform_info.unknown();
    rules.demand_unless(
        RuleId::SnpPlatformBits,
        unknown == 0,
        unknown & !policy.accept_platform_bits == 0,
        "no bits without a name",
        format_args!("{unknown:#x}"),
    );
}

fn judge_identity(rules: &mut Rules, policy: &SnpPolicy, said: &Report) {
    rules.demand(
        RuleId::SnpVmpl,
        policy.vmpl.contains(&said.vmpl),
        format_args!("one of {:?}", policy.vmpl),
        said.vmpl,
    );
    match policy.minimum_guest_svn {
        Some(minimum) => rules.demand(
            RuleId::SnpGuestSvn,
            said.guest_svn >= minimum,
            format_args!("{minimum} or newer"),
            said.guest_svn,
        ),
        None => rules.demand(
            RuleId::SnpGuestSvn,
            said.guest_svn == 0,
            "0, as without an ID block",
            said.guest_svn,
        ),
    }
    let listed = |count| format!("one of {count} the policy accepts");
    rules.demand(
        RuleId::SnpIdKey,
        policy.id_keys.contains(&said.id_key_digest),
        listed(policy.id_keys.len()),
        said.id_key_digest,
    );
    rules.demand(
        RuleId::SnpAuthorKey,
        policy.author_keys.contains(&said.author_key_digest)
            && said.author_key_enabled != said.author_key_digest.is_zero(),
        listed(policy.author_keys.len()),
        format_args!(
            "{}, AUTHOR_KEY_EN {}",
            said.author_key_digest,
            u8::from(said.author_key_enabled)
        ),
    );
    let (family, image) = (Digest::new(said.family_id), Digest::new(said.image_id));
    rules.demand(
        RuleId::SnpFamilyId,
        policy.family_ids.contains(&family),
        listed(policy.family_ids.len()),
        family,
    );
    rules.demand(
        RuleId::SnpImageId,
        policy.image_ids.contains(&image),
        listed(policy.image_ids.len()),
        image,
    );

    let wanted = policy.mitigations;
    let (launch, current) = (
        said.launch_mitigations.unwrap_or(0),
        said.current_mitigations.unwrap_or(0),
    );
    rules.demand(
        RuleId::SnpMitigations,
        wanted & launch & current == wanted,
        format_args!("{wanted:#x} at launch and now"),
        format_args!("{launch:#x} at launch, {current:#x} now"),
    );
}

#[cfg(test)]
mod tests;
