//! From claims to a decision: policy only. Reads as a list of rules.
//!
//! Why apart: this is the file an auditor reads first. Every rule is evaluated, and every reason gathered.
//!
//! # Invariants
//! Only this file makes an [`Appraised`], and only when every rule holds or the policy `dangerously` accepts
//! that it does not. What was appraised for a client is another type than what was appraised for a broker.

use anchorhold_encoding::Digest;

use crate::binding::{Binding, BrokerUse, ClientUse};
use crate::channel::PinnedIdentity;
use crate::claims::{Claims, Class, FixedConfig, Hardware, TrustClass};
use crate::denial::{Check, Denial, RuleId, Rules};
use crate::field::Pin;
use crate::identity::ReceivedIdentity;
use crate::policy::{Chips, Policy};
use crate::release::KeyId;
use crate::time::Timestamp;
use crate::verify::Verified;

mod azure;
pub(crate) mod devices;
mod hardware;
mod nvidia;
mod provider;
mod snp;
mod tdx;

/// Evidence that satisfied a policy, for the purpose `U`. What a broker appraised is no channel for a client,
/// and what a client appraised grants no key:
///
/// ```compile_fail
/// use anchorhold_attestation::{Appraised, BrokerUse, PinnedIdentity};
/// fn misuse(appraised: Appraised<BrokerUse>) -> PinnedIdentity { appraised.into_channel() }
/// ```
/// ```compile_fail
/// use anchorhold_attestation::{Appraised, Class, ClientUse, KeyId, Timestamp};
/// fn misuse(appraised: &Appraised<ClientUse>, key: &KeyId, now: Timestamp) {
///     let _ = appraised.grant(key, Class::Insecure, &[], now);
/// }
/// ```
#[must_use]
#[derive(Debug)]
pub struct Appraised<U> {
    claims: Claims,
    identity: ReceivedIdentity,
    policy_id: Digest<32>,
    valid_until: Timestamp,
    checks: Vec<Check>,
    purpose: U,
}

impl Policy {
    /// Judges claims under this policy, for one binding, at `now` by the Relying Party's clock.
    ///
    /// # Errors
    /// [`Denial`] with every rule that does not hold.
    pub fn appraise<U>(
        &self,
        claims: Verified<Claims>,
        binding: Binding<U>,
        now: Timestamp,
    ) -> Result<Appraised<U>, Denial> {
        let claims = claims.into_inner();
        let mut rules = Rules::new();
        judge_binding(&mut rules, &claims, &binding);
        judge_age(&mut rules, self.max_age_seconds, binding.drawn_at, now);
        let named = binding.identity.document().platform;
        rules.demand(RuleId::Platform, named == claims.platform, claims.platform, named);
        let rims_expire = self.judge_machine(&mut rules, &claims, binding.device_nonce, now);
        self.judge_config(&mut rules, &claims, &binding);
        self.judge_identity(&mut rules, &claims, &binding.identity, now);
        let checks = rules.finish()?;
        let not_after = binding.identity.document().not_after;
        let deadline = binding.drawn_at.plus(self.max_age_seconds);
        Ok(Appraised {
            valid_until: self
                .published_until
                .unwrap_or(Timestamp::MAX)
                .min(self.usable_until(&claims))
                .min(rims_expire)
                .min(not_after)
                .min(deadline),
            claims,
            identity: binding.identity,
            policy_id: self.id,
            checks,
            purpose: binding.purpose,
        })
    }

    /// Everything about the machine that is no question of who asked; gives the first expiry of the RIMs used.
    fn judge_machine(
        &self,
        rules: &mut Rules,
        claims: &Claims,
        device_nonce: Option<Digest<32>>,
        now: Timestamp,
    ) -> Timestamp {
        self.has_sections(rules, claims);

        let simulated = claims.platform.trust_class() == TrustClass::Simulated;
        let found = claims.platform.trust_class();
        rules.demand_unless(
            RuleId::Simulated,
            !simulated,
            self.accept_simulated,
            "evidence of hardware",
            found,
        );

        self.judge_provider(rules, claims);

        let found = if claims.debug { "debug on" } else { "debug off" };
        rules.demand_unless(
            RuleId::Debug,
            !claims.debug,
            self.accept_debug,
            "debug off",
            found,
        );

        self.judge_published(rules, now);
        self.judge_code(rules, claims);
        self.judge_workload(rules, claims);

        let known = match &self.chips {
            Chips::Named(chips) => claims.chip_ids.iter().any(|id| chips.contains(id)),
            Chips::AnyOf(products) => products.contains(&claims.product),
        };
        let product = claims.product.name();
        let found = match claims.chip_ids.first() {
            Some(id) => format!("{id} of {product}"),
            None => format!("a chip without a number of {product}"),
        };
        rules.demand(RuleId::Chip, known, "a chip the policy names", found);
        self.judge_hardware(rules, claims, now);
        let rims_expire = self.judge_devices(rules, claims, device_nonce);
        Pin::judge(&self.pins, rules, claims.platform, &claims.fields());
        rims_expire
    }

    /// A policy that names publishers is not content with what stands in itself.
    fn judge_published(&self, rules: &mut Rules, now: Timestamp) {
        if self.publishers.is_none() {
            return;
        }
        let found = match self.published_until {
            Some(until) => format!("values until {until}"),
            None => "none".to_owned(),
        };
        rules.demand(
            RuleId::Published,
            self.published_until.is_some_and(|until| now < until),
            format_args!("published values that end later than {now}"),
            found,
        );
    }

    fn judge_code(&self, rules: &mut Rules, claims: &Claims) {
        let named = || self.reference_values.iter().filter(|value| value.names(claims));
        rules.demand(
            RuleId::Measurement,
            named().next().is_some(),
            format_args!("one of {} reference values", self.reference_values.len()),
            claims.measurement,
        );
        let minimum = named().filter_map(|value| value.minimum_tcb).min();
        if let (Hardware::Simulated { tcb }, Some(minimum)) = (&claims.hardware, minimum) {
            let expected = format_args!("{minimum} or newer");
            rules.demand(RuleId::Tcb, *tcb >= minimum, expected, tcb);
        }
    }

    fn judge_config<U>(&self, rules: &mut Rules, claims: &Claims, binding: &Binding<U>) {
        let fixed = &claims.config;
        rules.demand(
            RuleId::ConfigFixed,
            fixed.is_set(),
            "a digest that is not zero",
            fixed,
        );

        let document = binding.identity.document();
        let (named, by) = (&document.config_sha256, document.config_bound_by);
        let found = if by == fixed.by() {
            named.to_string()
        } else {
            format!("{named} by {}", by.name())
        };
        // MRCONFIGID and its like are another hash: there the configuration's two digests meet in the policy and in the init-data.
        let agrees = fixed.is_sha256(named).unwrap_or(true) && by == fixed.by();
        rules.demand(RuleId::ConfigIdentity, agrees, fixed, found);

        if let Some(sent) = &binding.init_data {
            let same_names = fixed.is_sha256(named).is_some() || *named == sent.sha256;
            let is_sent = fixed.is_of(sent) && same_names;
            rules.demand(RuleId::InitData, is_sent, fixed, sent.sha256);
        }
        let allowed = match fixed {
            FixedConfig::MrConfigId(_) | FixedConfig::Rtmr3(_) | FixedConfig::Register384(_) => {
                let listed = |config| fixed.is_sha384(config) == Some(true);
                self.configs_sha384.iter().any(listed) && self.configs.contains(named)
            }
            FixedConfig::HostData(_) | FixedConfig::Register(_) => self
                .configs
                .iter()
                .any(|config| fixed.is_sha256(config) == Some(true)),
        };
        rules.demand(
            RuleId::ConfigAllowed,
            allowed,
            format_args!("one of {} in {}", self.configs.len(), fixed.policy_key()),
            fixed,
        );
    }

    fn judge_identity(
        &self,
        rules: &mut Rules,
        claims: &Claims,
        identity: &ReceivedIdentity,
        now: Timestamp,
    ) {
        let identity = identity.document();
        let manifest = identity.model.manifest_sha256;
        rules.demand(
            RuleId::Manifest,
            self.manifests.contains(&manifest),
            format_args!("one of {} in manifest_sha256", self.manifests.len()),
            manifest,
        );

        let weakened: Vec<_> = identity.weakened.iter().map(|setting| setting.name()).collect();
        let accepted = identity
            .weakened
            .iter()
            .all(|setting| self.accept_weakened.contains(setting));
        let found = if weakened.is_empty() {
            "nothing weakened".to_owned()
        } else {
            weakened.join(", ")
        };
        rules.demand_unless(
            RuleId::Weakened,
            weakened.is_empty(),
            accepted,
            "no weakened setting beyond those the policy accepts",
            found,
        );

        rules.demand(
            RuleId::Devices,
            identity.devices == claims.devices,
            format_args!("the {} devices of the evidence", claims.devices.len()),
            format_args!("{} devices", identity.devices.len()),
        );
        rules.demand(
            RuleId::NotAfter,
            identity.not_after > now,
            format_args!("later than {now}"),
            identity.not_after,
        );
        rules.demand(
            RuleId::Endorsements,
            self.usable_until(claims) > now,
            format_args!("later than {now}"),
            claims.expires,
        );
    }
}

fn judge_binding<U>(rules: &mut Rules, claims: &Claims, binding: &Binding<U>) {
    let found = claims.report_data;
    match binding.report_data {
        Some(expected) => {
            rules.demand(RuleId::ReportData, expected == found, expected, found);
        }
        None => rules.demand(
            RuleId::InclusionProof,
            false,
            "a path from the nonce to a root of at most 4096 nonces",
            "a void proof",
        ),
    }
}

/// Fresh by the clock that drew it: a nonce from that clock's future is not.
fn judge_age(rules: &mut Rules, max_age_seconds: u64, drawn_at: Timestamp, now: Timestamp) {
    let fresh = now.since(drawn_at).is_some_and(|age| age < max_age_seconds);
    rules.demand(
        RuleId::NonceAge,
        fresh,
        format_args!("drawn less than {max_age_seconds} s before {now}"),
        format_args!("drawn at {drawn_at}"),
    );
}

impl<U> Appraised<U> {
    /// What the evidence says.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// What the enclave says it is, and the evidence commits to.
    #[must_use]
    pub const fn identity(&self) -> &ReceivedIdentity {
        &self.identity
    }

    /// Which policy decided.
    #[must_use]
    pub const fn policy_id(&self) -> &Digest<32> {
        &self.policy_id
    }

    /// Real or insecure.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.claims.class
    }

    /// What the measurement rests on.
    #[must_use]
    pub const fn trust_class(&self) -> TrustClass {
        self.claims.platform.trust_class()
    }

    /// The earliest of all expiries: from then on it says nothing.
    #[must_use]
    pub const fn valid_until(&self) -> Timestamp {
        self.valid_until
    }

    /// Every rule that was satisfied, in policy order, for a person to read.
    #[must_use]
    pub fn explain(&self) -> &[Check] {
        &self.checks
    }
}

impl Appraised<ClientUse> {
    /// The identity to bind connections to.
    #[must_use]
    pub fn into_channel(self) -> PinnedIdentity {
        PinnedIdentity::new(&self.claims, &self.identity, self.policy_id, self.valid_until)
    }
}

/// The right to send one key to one guest. One use: the broker consumes it when it wraps the key.
#[must_use]
#[derive(Debug)]
pub struct ReleaseGrant {
    key_id: KeyId,
    class: Class,
    nonce: [u8; 32],
    tee_pubkey_sha256: Digest<32>,
    policy_id: Digest<32>,
}

impl Appraised<BrokerUse> {
    /// Grants a key of `key_class` that opens `manifests`, at `now`.
    ///
    /// # Errors
    /// [`Denial`] when the classes differ, the key does not open the model of the identity document, or
    /// this appraisal has expired.
    pub fn grant(
        &self,
        key_id: &KeyId,
        key_class: Class,
        manifests: &[Digest<32>],
        now: Timestamp,
    ) -> Result<ReleaseGrant, Denial> {
        let mut rules = Rules::new();
        let class = self.claims.class;
        rules.demand(RuleId::KeyClass, key_class == class, class, key_class);
        let manifest = self.identity.document().model.manifest_sha256;
        rules.demand(
            RuleId::KeyManifest,
            manifests.contains(&manifest),
            format_args!("one of the key's {} manifests", manifests.len()),
            manifest,
        );
        rules.demand(
            RuleId::StillValid,
            now < self.valid_until,
            format_args!("earlier than {}", self.valid_until),
            now,
        );
        rules.finish()?;
        Ok(ReleaseGrant {
            key_id: key_id.clone(),
            class,
            nonce: self.purpose.nonce,
            tee_pubkey_sha256: self.purpose.tee_pubkey_sha256,
            policy_id: self.policy_id,
        })
    }
}

impl ReleaseGrant {
    /// The key granted.
    #[must_use]
    pub const fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// Its class, which is that of the evidence.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.class
    }

    /// The session's nonce, for the signed release.
    #[must_use]
    pub const fn nonce(&self) -> &[u8; 32] {
        &self.nonce
    }

    /// The guest's key: the JWE must be made for a key with this digest (see [`crate::rcar::tee_pubkey_digest`]).
    #[must_use]
    pub const fn tee_pubkey_sha256(&self) -> &Digest<32> {
        &self.tee_pubkey_sha256
    }

    /// Which policy decided.
    #[must_use]
    pub const fn policy_id(&self) -> &Digest<32> {
        &self.policy_id
    }
}

#[cfg(test)]
mod tests;
