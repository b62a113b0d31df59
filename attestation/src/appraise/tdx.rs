//! The rules of a trust domain: attributes, states, measurements, and what Intel says of the platform.
//!
//! Why apart: a quote has many fields, and each is named here once, in the order of docs/policy.md.
//!
//! # Invariants
//! Every field of a quote's body is judged here, in [`crate::appraise`] (MRTD, MRCONFIGID, REPORTDATA), or is for pins
//! (TD_ID, what the domain was made on). Nothing holds because a field is missing, but where the body's form has no
//! such field.

use anchorhold_encoding::{Digest, sha384};

use crate::ccel::{Register, ReplayedLog};
use crate::denial::{RuleId, Rules};
use crate::policy::Choice;
use crate::policy::tdx::{AcceptedStatus, Advisory, RuntimeEvent, RuntimeRegister, TdxPolicy};
use crate::reference::RegisterValues;
use crate::tdx::{TcbStatus, TdAttribute, TdAttributes, TdBody, VerifiedQuote};
use crate::time::Timestamp;

/// Judges a quote, and the log behind its registers where one came.
pub(crate) fn judge(
    rules: &mut Rules,
    policy: &TdxPolicy,
    quote: &VerifiedQuote,
    log: Option<&ReplayedLog>,
    now: Timestamp,
) {
    let body = quote.body();
    judge_attributes(rules, policy, body.attributes);
    judge_states(rules, policy, body.xfam.bits());
    judge_module(rules, policy, body);
    judge_owner(rules, policy, body);
    judge_runtime_register(rules, &policy.runtime_register, body, log);
    judge_newer(rules, policy, body);
    judge_tcb(rules, policy, quote, now);
    judge_platform(rules, policy, quote);
}

/// Judges RTMR0 to RTMR2 by the reference values that name the domain's MRTD: one of them must have all three.
pub(crate) fn judge_registers(rules: &mut Rules, candidates: &[&RegisterValues<48>], quote: &VerifiedQuote) {
    let found = quote.body().rtmr.iter().take(3);
    let found: Vec<_> = found
        .zip([RuleId::TdxRtmr0, RuleId::TdxRtmr1, RuleId::TdxRtmr2])
        .zip(0_u8..)
        .map(|((value, rule), number)| (rule, number, value))
        .collect();
    let agrees = |values: &RegisterValues<48>, number, value| {
        values.get(number).is_some_and(|list| list.contains(value))
    };
    let agreeing =
        |values: &&&RegisterValues<48>| found.iter().filter(|(_, n, v)| agrees(values, *n, v)).count();
    // The one to which the domain is nearest tells the most.
    let nearest = candidates.iter().max_by_key(agreeing);
    for (rule, number, value) in &found {
        let holds = nearest.is_some_and(|values| agrees(values, *number, value));
        let count = nearest
            .and_then(|values| values.get(*number))
            .map_or(0, <[_]>::len);
        rules.demand(*rule, holds, one_of(count, "in the reference value"), value);
    }
}

fn one_of(count: usize, place: &str) -> String {
    format!("one of {count} {place}")
}

/// One of a list of which a single entry is shown.
fn demand_listed<T: PartialEq + std::fmt::Display>(rules: &mut Rules, rule: RuleId, list: &[T], found: T) {
    let expected = match list {
        [only] => only.to_string(),
        _ => one_of(list.len(), "in the policy"),
    };
    rules.demand(rule, list.contains(&found), expected, found);
}

fn judge_attributes(rules: &mut Rules, policy: &TdxPolicy, attributes: TdAttributes) {
    rules.demand_unless(
        RuleId::TdxDebug,
        !attributes.under_debug(),
        policy.accept_debug,
        "bits 0 to 7 clear",
        attributes,
    );
    rules.demand(
        RuleId::TdxSeptVeDisable,
        attributes.has(TdAttribute::SeptVeDisable),
        "sept-ve-disable",
        attributes,
    );
    let own = [
        (RuleId::TdxPerfmon, TdAttribute::PerformanceMonitoring),
        (RuleId::TdxKeyLocker, TdAttribute::KeyLocker),
        (RuleId::TdxPks, TdAttribute::SupervisorProtectionKeys),
    ];
    for (rule, attribute) in own {
        rules.demand_unless(
            rule,
            !attributes.has(attribute),
            policy.accept_attributes.contains(&attribute),
            format_args!("no {}", attribute.name()),
            attributes,
        );
    }
    let judged = |attribute: &TdAttribute| {
        attribute.bit() < 8
            || *attribute == TdAttribute::SeptVeDisable
            || own.iter().any(|(_, named)| named == attribute)
    };
    let others: Vec<_> = TdAttribute::ALL
        .into_iter()
        .filter(|attribute| attributes.has(*attribute) && !judged(attribute))
        .collect();
    // Bits 0 to 7 are of the group that is judged above, with or without a name.
    let unknown = attributes.unknown() & !0xff;
    let accepted = unknown == 0
        && others
            .iter()
            .all(|other| policy.accept_attributes.contains(other));
    rules.demand_unless(
        RuleId::TdxAttributes,
        unknown == 0 && others.is_empty(),
        accepted,
        "no other attribute",
        attributes,
    );
}

fn judge_states(rules: &mut Rules, policy: &TdxPolicy, xfam: u64) {
    let within = xfam & !policy.xfam_at_most == 0;
    let listed = policy.xfam.as_ref().is_none_or(|list| list.contains(&xfam));
    let expected = match policy.xfam.as_deref() {
        None => format!("within {:#x}", policy.xfam_at_most),
        Some([only]) => format!("{only:#x}"),
        Some(list) => one_of(list.len(), "in the policy"),
    };
    rules.demand(
        RuleId::TdxXfam,
        within && listed,
        expected,
        format_args!("{xfam:#x}"),
    );
}

fn judge_module(rules: &mut Rules, policy: &TdxPolicy, body: &TdBody) {
    demand_listed(
        rules,
        RuleId::TdxMrSignerSeam,
        &policy.mr_signer_seam,
        body.mr_signer_seam,
    );
    let expected = match policy.mr_seam.as_deref() {
        None => "any that its signer signed".to_owned(),
        Some(list) => one_of(list.len(), "in the policy"),
    };
    let known = policy
        .mr_seam
        .as_ref()
        .is_none_or(|list| list.contains(&body.mr_seam));
    rules.demand(RuleId::TdxMrSeam, known, expected, body.mr_seam);
    let attributes = Digest::new(body.seam_attributes);
    rules.demand(
        RuleId::TdxSeamAttributes,
        attributes.is_zero(),
        "zero",
        attributes,
    );
    if let Some(minimum) = &policy.minimum_tee_tcb_svn {
        let now = body.td15.map_or(body.tee_tcb_svn, |newer| newer.tee_tcb_svn2);
        let reaches = |found: &[u8; 16]| found.iter().zip(minimum.as_bytes()).all(|(a, b)| a >= b);
        rules.demand(
            RuleId::TdxTeeTcbSvn,
            reaches(&body.tee_tcb_svn) && reaches(&now),
            format_args!("each byte at least that of {minimum}"),
            format_args!(
                "{} at launch, {} now",
                Digest::new(body.tee_tcb_svn),
                Digest::new(now)
            ),
        );
    }
}

fn judge_owner(rules: &mut Rules, policy: &TdxPolicy, body: &TdBody) {
    demand_listed(rules, RuleId::TdxMrOwner, &policy.mr_owner, body.mr_owner);
    demand_listed(
        rules,
        RuleId::TdxMrOwnerConfig,
        &policy.mr_owner_config,
        body.mr_owner_config,
    );
}

fn judge_runtime_register(
    rules: &mut Rules,
    expected: &RuntimeRegister,
    body: &TdBody,
    log: Option<&ReplayedLog>,
) {
    let [_, _, _, found] = body.rtmr;
    let rule = RuleId::TdxRtmr3;
    match expected {
        RuntimeRegister::Zero => rules.demand(rule, found.is_zero(), "zero", found),
        RuntimeRegister::Configuration(list) => {
            let extended = |digest: &Digest<48>| sha384(&[&[0; 48], digest.as_bytes()]) == found;
            rules.demand(
                rule,
                list.iter().any(extended),
                format_args!("extended once, with one of {}", list.len()),
                found,
            );
        }
        RuntimeRegister::Dstack(events) => {
            let expected = format!("the {} events of the policy", events.len());
            match log.map(|log| unexpected(events, log)) {
                None => rules.demand(rule, false, expected, "no event log"),
                Some(None) => rules.demand(rule, true, expected, found),
                Some(Some(index)) => {
                    rules.demand(rule, false, expected, format_args!("event {index} is another"));
                }
            }
        }
    }
}

/// The first event of RTMR3, from 0, that is not as expected, or that is missing.
fn unexpected(expected: &[RuntimeEvent], log: &ReplayedLog) -> Option<usize> {
    let events: Vec<_> = log.extended(Register::Rtmr3).collect();
    let same = expected.iter().zip(&events).take_while(|(expected, event)| {
        let known = |data: &[u8]| match &expected.payloads {
            Some(payloads) => payloads.iter().any(|payload| payload == data),
            None => true,
        };
        event.name() == Some(&expected.name) && event.measured_data().is_some_and(known)
    });
    let same = same.count();
    (same < expected.len().max(events.len())).then_some(same)
}

/// What TDX 1.5 and 1.5ex added. An older body has no such fields, and no such features.
fn judge_newer(rules: &mut Rules, policy: &TdxPolicy, body: &TdBody) {
    if let Some(newer) = body.td15 {
        demand_listed(
            rules,
            RuleId::TdxServiceTd,
            &policy.mr_service_td,
            newer.mr_service_td,
        );
    }
    let Some(newer) = body.td15_ex else { return };
    demand_listed(rules, RuleId::TdxVm, &policy.vm, newer.vm);
    demand_listed(
        rules,
        RuleId::TdxDeviceInfo,
        &policy.device_info,
        newer.device_info,
    );
    for hash in [newer.initial_service_hash, newer.current_service_hash] {
        demand_listed(rules, RuleId::TdxServiceHash, &policy.service_hash, hash);
    }
    for attributes in [newer.initial_service_attributes, newer.current_service_attributes] {
        demand_listed(
            rules,
            RuleId::TdxServiceAttributes,
            &policy.service_attributes,
            Digest::new(attributes),
        );
    }
}

fn judge_tcb(rules: &mut Rules, policy: &TdxPolicy, quote: &VerifiedQuote, now: Timestamp) {
    let status = quote.status();
    let bridged = policy.accept_status.iter().any(|entry| entry.covers(quote, now));
    let entries = policy.accept_status.iter().filter(|entry| entry.status == status);
    let expected = entries.fold(TcbStatus::UpToDate.name().to_owned(), |text, entry| {
        format!("{text}, or {entry}")
    });
    rules.demand_unless(
        RuleId::TdxTcbStatus,
        status == TcbStatus::UpToDate,
        bridged,
        expected,
        status.name(),
    );
    let advisories = quote.advisories();
    let accepted = |advisory: &String| {
        policy
            .accept_advisories
            .iter()
            .any(|known| known.as_str() == advisory)
    };
    rules.demand_unless(
        RuleId::TdxAdvisories,
        advisories.is_empty(),
        bridged || advisories.iter().all(accepted),
        "none but those accepted",
        names(advisories),
    );
    let used = quote.collateral();
    let evaluation = used.tcb_evaluation.min(used.qe_evaluation);
    rules.demand(
        RuleId::TdxTcbEvaluation,
        evaluation >= policy.minimum_tcb_evaluation,
        format_args!("{} or newer", policy.minimum_tcb_evaluation),
        evaluation,
    );
    if let Some(minimum) = policy.minimum_tcb_date {
        let date = quote.platform_level().date.min(quote.enclave_level().date);
        rules.demand(
            RuleId::TdxTcbDate,
            date >= minimum,
            format_args!("{minimum} or later"),
            date,
        );
    }
}

impl AcceptedStatus {
    fn covers(&self, quote: &VerifiedQuote, now: Timestamp) -> bool {
        let among = |list: &[Advisory], name: &String| list.iter().any(|one| one.as_str() == name);
        let advisories = quote.advisories();
        let only = self.only.as_ref();
        self.status == quote.status()
            && now < self.until
            && !advisories.iter().any(|name| among(&self.unless, name))
            && only.is_none_or(|only| advisories.iter().all(|name| among(only, name)))
    }
}

impl std::fmt::Display for AcceptedStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} until {}", self.status.name(), self.until)?;
        for advisory in &self.unless {
            write!(f, " unless {}", advisory.as_str())?;
        }
        if let Some(only) = &self.only {
            f.write_str(" with only")?;
            only.iter()
                .try_for_each(|advisory| write!(f, " {}", advisory.as_str()))?;
        }
        Ok(())
    }
}

/// Advisories by name; what is no name of Intel's is counted, not shown.
fn names(advisories: &[String]) -> String {
    let known: Vec<_> = advisories
        .iter()
        .filter_map(|name| Advisory::parse(name))
        .collect();
    let mut shown: Vec<_> = known
        .iter()
        .map(|advisory| advisory.as_str().to_owned())
        .collect();
    let unknown = advisories.len().saturating_sub(known.len());
    if unknown > 0 {
        shown.push(format!("{unknown} of another form"));
    }
    if shown.is_empty() {
        return "none".to_owned();
    }
    shown.join(" ")
}

fn judge_platform(rules: &mut Rules, policy: &TdxPolicy, quote: &VerifiedQuote) {
    let platform = quote.platform();
    let mut flag = |rule, said: Option<bool>, choice: Choice| {
        let found = match said {
            Some(true) => "yes",
            Some(false) => "no",
            None => "the certificate does not say",
        };
        rules.demand_unless(rule, said == Some(false), choice.accepts(), "no", found);
    };
    flag(RuleId::TdxSmt, platform.smt, policy.smt);
    flag(
        RuleId::TdxDynamicPlatform,
        platform.dynamic,
        policy.dynamic_platform,
    );
    flag(RuleId::TdxCachedKeys, platform.cached_keys, policy.cached_keys);
}

#[cfg(test)]
mod tests;
