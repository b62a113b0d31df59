//! The rules of a guest under Azure's paravisor: each member of `vm-configuration`, and the vTPM's registers.
//!
//! Why apart: what the hardware says of the paravisor has its own rules; these are of what the paravisor says.
//!
//! # Invariants
//! Each accessor of [`VmConfiguration`] is judged here. A member that is not reported is not `false`.

use anchorhold_encoding::Digest;

use crate::azure::{
    CONFIGURATION_REGISTER, HardwareSealing, Registers, RootCertificate, VerifiedGuest, VmConfiguration,
};
use crate::denial::{RuleId, Rules};
use crate::policy::azure::{AzurePolicy, Member};
use crate::reference::RegisterValues;
use crate::time::Timestamp;

const UNREPORTED: &str = "not reported";

/// Judges what the paravisor says, at `now` by the Relying Party's clock.
pub(crate) fn judge(rules: &mut Rules, policy: &AzurePolicy, guest: &VerifiedGuest, now: Timestamp) {
    judge_vm(rules, policy, guest.vm_configuration(), now);
}

pub(crate) fn judge_vm(rules: &mut Rules, policy: &AzurePolicy, vm: &VmConfiguration, now: Timestamp) {
    let tpm = on_or_off(vm.tpm_enabled());
    rules.demand(RuleId::AzureTpm, vm.tpm_enabled(), "on", tpm);
    let secure_boot = on_or_off(vm.secure_boot());
    rules.demand_unless(
        RuleId::AzureSecureBoot,
        vm.secure_boot(),
        policy.accept_secure_boot_off,
        "on",
        secure_boot,
    );
    let console = on_or_off(vm.console_enabled());
    rules.demand_unless(
        RuleId::AzureConsole,
        !vm.console_enabled(),
        policy.accept_console,
        "off",
        console,
    );
    let flags = [
        (
            RuleId::AzureInteractiveConsole,
            vm.interactive_console_enabled(),
            Member::InteractiveConsoleEnabled,
            policy.accept_interactive_console,
        ),
        (
            RuleId::AzureIpmi,
            vm.ipmi_enabled(),
            Member::IpmiEnabled,
            policy.accept_ipmi,
        ),
        (
            RuleId::AzurePersistedState,
            vm.tpm_persisted(),
            Member::TpmPersisted,
            policy.accept_persisted_state,
        ),
        (
            RuleId::AzureFilteredDevices,
            vm.filtered_vpci_devices_allowed(),
            Member::FilteredVpciDevicesAllowed,
            policy.accept_filtered_devices,
        ),
    ];
    for (rule, said, member, accepted) in flags {
        let accepted = match said {
            Some(_) => accepted,
            None => policy.accept_unreported.contains(&member),
        };
        let found = said.map_or(UNREPORTED, on_or_off);
        rules.demand_unless(rule, said == Some(false), accepted, "off", found);
    }
    judge_tpm(rules, policy, vm);
    judge_which(rules, policy, vm);
    judge_state(rules, policy, vm);
    judge_clock(rules, policy, vm, now);
}

const fn on_or_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn judge_tpm(rules: &mut Rules, policy: &AzurePolicy, vm: &VmConfiguration) {
    let version = vm.tpm_version().map(crate::azure::TpmVersion::hundredths);
    let accepted = version.is_none() && policy.accept_unreported.contains(&Member::TpmVersion);
    rules.demand_unless(
        RuleId::AzureTpmVersion,
        version.is_some_and(|version| version >= policy.minimum_tpm_version),
        accepted,
        format_args!("{} hundredths or newer", policy.minimum_tpm_version),
        version.map_or_else(|| UNREPORTED.to_owned(), |version| version.to_string()),
    );
}

fn judge_which(rules: &mut Rules, policy: &AzurePolicy, vm: &VmConfiguration) {
    let root = vm.root_certificate();
    let unreported = root == RootCertificate::NotReported;
    let accepted = unreported && policy.accept_unreported.contains(&Member::RootCertThumbprint);
    rules.demand_unless(
        RuleId::AzureRootCertificate,
        !unreported && policy.roots.contains(&root),
        accepted,
        format_args!("one of {} in the policy", policy.roots.len()),
        match root {
            RootCertificate::NotReported => UNREPORTED.to_owned(),
            RootCertificate::Absent => "none".to_owned(),
            RootCertificate::Thumbprint(digest) => digest.to_string(),
        },
    );
    let id = vm.vm_unique_id();
    let expected = match &policy.vm_unique_ids {
        None => "any".to_owned(),
        Some(list) => format!("one of {} in the policy", list.len()),
    };
    let known = policy
        .vm_unique_ids
        .as_ref()
        .is_none_or(|list| list.contains(&id));
    rules.demand(RuleId::AzureVm, known, expected, id);
}

fn judge_state(rules: &mut Rules, policy: &AzurePolicy, vm: &VmConfiguration) {
    let sealing = vm.hardware_sealing();
    let accepted = match sealing {
        None => policy.accept_unreported.contains(&Member::HardwareSealingPolicy),
        Some(_) => policy.accept_sealing_to_signer,
    };
    rules.demand_unless(
        RuleId::AzureSealing,
        matches!(sealing, Some(HardwareSealing::None | HardwareSealing::Hash)),
        accepted,
        "nothing, or a measurement",
        match sealing {
            None => UNREPORTED,
            Some(HardwareSealing::None) => "nothing",
            Some(HardwareSealing::Hash) => "a measurement",
            Some(HardwareSealing::Signer) => "a signer",
        },
    );
    let provisioner = vm.vmgs_provisioner().map(crate::azure::VmgsProvisioner::id);
    rules.demand(
        RuleId::AzureProvisioner,
        provisioner.is_none_or(|id| policy.vmgs_provisioners.contains(&id)),
        format_args!("none, or one of {} in the policy", policy.vmgs_provisioners.len()),
        provisioner.map_or_else(|| "none".to_owned(), |id| id.to_string()),
    );
    let context = vm.key_release_context_hash();
    rules.demand(
        RuleId::AzureKeyRelease,
        context.is_none_or(|hash| policy.key_release_contexts.contains(hash)),
        format_args!(
            "none, or one of {} in the policy",
            policy.key_release_contexts.len()
        ),
        context.map_or_else(|| "none".to_owned(), ToString::to_string),
    );
}

fn judge_clock(rules: &mut Rules, policy: &AzurePolicy, vm: &VmConfiguration, now: Timestamp) {
    let most = policy.clock_difference_seconds;
    let host = vm.current_time();
    let near = |host: Timestamp| {
        let difference = now.since(host).or_else(|| host.since(now));
        difference.is_some_and(|seconds| seconds <= most)
    };
    let accepted = host.is_none() && policy.accept_unreported.contains(&Member::CurrentTime);
    rules.demand_unless(
        RuleId::AzureClock,
        host.is_some_and(near),
        accepted,
        format_args!("within {most} s of {now}"),
        host.map_or_else(|| UNREPORTED.to_owned(), |host| host.to_string()),
    );
}

/// Judges the vTPM's registers by the reference values that name the paravisor's measurement: all registers of one of
/// them must have one of their values. The register of the configuration is not theirs to say.
pub(crate) fn judge_registers(rules: &mut Rules, candidates: &[&RegisterValues<32>], registers: &Registers) {
    let value = |number| registers.get(number).copied();
    judge_values(
        rules,
        RuleId::AzurePcrs,
        candidates,
        "none for this paravisor",
        value,
    );
}

/// The same for the registers of any TPM, under `rule`; `none` is found where no candidate measures code.
pub(super) fn judge_values<const N: usize>(
    rules: &mut Rules,
    rule: RuleId,
    candidates: &[&RegisterValues<N>],
    none: &'static str,
    register: impl Fn(u8) -> Option<Digest<N>>,
) {
    let differing = |values: &RegisterValues<N>| -> Vec<String> {
        values
            .iter()
            .filter(|(number, list)| !register(*number).is_some_and(|value| list.contains(&value)))
            .map(|(number, _)| number.to_string())
            .collect()
    };
    let measures_code =
        |values: &RegisterValues<N>| values.iter().any(|(number, _)| number != CONFIGURATION_REGISTER);
    let nearest = candidates
        .iter()
        .filter(|values| measures_code(values))
        .map(|values| (values.iter().count(), differing(values)))
        .min_by_key(|(_, differing)| differing.len());
    match nearest {
        None => rules.demand(rule, false, "a reference value with registers", none),
        Some((count, differing)) if differing.is_empty() => rules.demand(
            rule,
            true,
            "all",
            format_args!("all {count} as in the reference value"),
        ),
        Some((count, differing)) => rules.demand(
            rule,
            false,
            format_args!("{count} as in the reference value"),
            format_args!("others in {}", differing.join(" ")),
        ),
    }
}

#[cfg(test)]
mod tests;
