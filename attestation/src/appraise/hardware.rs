//! Which section of a policy judges which hardware.
//!
//! Why apart: a guest under a paravisor is judged by two sections, its devices by a third, and none may be left out.
//!
//! # Invariants
//! Hardware without its section is refused, and so are devices without theirs.

use anchorhold_encoding::Digest;

use super::{azure, nvidia, snp, tdx};
use crate::azure::Hardware as Paravisor;
use crate::ccel::ReplayedLog;
use crate::claims::{Claims, Hardware, Platform};
use crate::denial::{Check, Reason, RuleId, Rules};
use crate::endorsements::Grace;
use crate::policy::{Chips, Policy};
use crate::snp::{SignerKind, VerifiedReport};
use crate::tdx::VerifiedQuote;
use crate::time::Timestamp;
use crate::weakness::{self, Machine, Naming};

/// What a policy says of a machine, without a question that it answered. Never a reason to trust it: that takes
/// [`Policy::appraise`].
#[derive(Debug)]
pub struct MachineJudgement {
    /// Rules that hold, in policy order.
    pub checks: Vec<Check>,
    /// Rules that do not.
    pub reasons: Vec<Reason>,
}

impl Policy {
    /// Judges the machine of `claims` alone, for a person to read: no nonce, identity, configuration or model.
    #[must_use]
    pub fn judge_machine_alone(&self, claims: &Claims, now: Timestamp) -> MachineJudgement {
        let mut rules = Rules::new();
        let nonce = claims.gpus.first().map(|device| device.report().nonce());
        let _expiry = self.judge_machine(&mut rules, claims, nonce, now);
        rules.demand(
            RuleId::Endorsements,
            self.usable_until(claims) > now,
            format_args!("later than {now}"),
            claims.expires,
        );
        let (checks, reasons) = rules.into_parts();
        MachineJudgement { checks, reasons }
    }

    /// Until when the endorsements may be used: past their end only as far as the policy dangerously says.
    pub(super) fn usable_until(&self, claims: &Claims) -> Timestamp {
        claims.expires.plus(self.grace.map_or(0, Grace::seconds))
    }

    pub(super) fn has_sections(&self, rules: &mut Rules, claims: &Claims) {
        let needed: &[(&str, bool)] = match claims.platform {
            Platform::InsecureSimulated => &[],
            Platform::Snp | Platform::GoogleSnp | Platform::AwsSnp => &[("snp", self.snp.is_some())],
            Platform::Tdx => &[("tdx", self.tdx.is_some())],
            Platform::AzureSnp => &[("snp", self.snp.is_some()), ("azure", self.azure.is_some())],
            Platform::AzureTdx => &[("tdx", self.tdx.is_some()), ("azure", self.azure.is_some())],
        };
        let devices = !claims.gpus.is_empty();
        let needed = needed
            .iter()
            .copied()
            .chain(devices.then_some(("nvidia", self.nvidia.is_some())));
        for (section, there) in needed {
            let found = if there { "there" } else { "none" };
            let expected = format_args!("a section [{section}] in the policy");
            rules.demand(RuleId::HardwarePolicy, there, expected, found);
        }
    }

    pub(super) fn judge_hardware(&self, rules: &mut Rules, claims: &Claims, now: Timestamp) {
        match &claims.hardware {
            Hardware::Simulated { .. } => {}
            Hardware::Snp(report) => self.judge_snp(rules, claims, report),
            Hardware::Tdx { quote, log } => {
                self.judge_tdx(rules, claims, quote, log.as_ref(), now);
                let candidates: Vec<_> = self
                    .reference_values
                    .iter()
                    .filter(|value| value.names(claims))
                    .filter_map(|value| value.rtmrs.as_ref())
                    .collect();
                tdx::judge_registers(rules, &candidates, quote);
            }
            Hardware::Azure(guest) => {
                match guest.hardware() {
                    Paravisor::Snp(report) => self.judge_snp(rules, claims, report),
                    Paravisor::Tdx(quote) => self.judge_tdx(rules, claims, quote, None, now),
                }
                if let Some(policy) = &self.azure {
                    azure::judge(rules, policy, guest, now);
                }
                let candidates: Vec<_> = self
                    .reference_values
                    .iter()
                    .filter(|value| value.names(claims))
                    .filter_map(|value| value.pcrs.as_ref())
                    .collect();
                azure::judge_registers(rules, &candidates, guest.registers());
            }
            Hardware::Provider { report, machine } => {
                self.judge_snp(rules, claims, report);
                self.judge_provider_registers(rules, claims, machine.registers());
            }
        }
    }

    fn judge_snp(&self, rules: &mut Rules, claims: &Claims, report: &VerifiedReport) {
        let naming = match report.signer() {
            SignerKind::Vcek { .. } => self.naming(claims),
            SignerKind::Vlek { .. } => Naming::Nameless,
        };
        if let Some(policy) = &self.snp {
            snp::judge(rules, policy, report);
        }
        weakness::judge(rules, &self.accept_weakness, &Machine::of(report, naming));
    }

    fn judge_tdx(
        &self,
        rules: &mut Rules,
        claims: &Claims,
        quote: &VerifiedQuote,
        log: Option<&ReplayedLog>,
        now: Timestamp,
    ) {
        if let Some(policy) = &self.tdx {
            tdx::judge(rules, policy, quote, log, now);
        }
        weakness::judge_intel(rules, &self.accept_weakness, self.naming(claims));
    }

    fn naming(&self, claims: &Claims) -> Naming {
        let listed = |list: &Vec<_>| claims.chip_ids.iter().any(|id| list.contains(id));
        match &self.chips {
            Chips::Named(list) if listed(list) => Naming::Listed,
            Chips::Named(_) | Chips::AnyOf(_) => Naming::NotListed,
        }
    }

    /// Devices are judged whenever the policy has a section for them: one that wants two GPUs is not content with
    /// none.
    pub(super) fn judge_devices(
        &self,
        rules: &mut Rules,
        claims: &Claims,
        nonce: Option<Digest<32>>,
    ) -> Timestamp {
        match &self.nvidia {
            Some(policy) => {
                let rims = nvidia::Rims {
                    proven: &claims.rims,
                    refused: &claims.rims_refused,
                };
                nvidia::judge(rules, policy, &claims.gpus, rims, nonce)
            }
            None => Timestamp::MAX,
        }
    }
}
