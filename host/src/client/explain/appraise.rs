//! From what was told to what a policy says of it.
//!
//! Why apart: the same pieces once more, as the evidence and endorsements that `verify` takes; only its claims are
//! ever put before a policy.
//!
//! # Invariants
//! Appraised means that [`anchorhold_attestation::verify()`] proves it and every rule about the machine holds. Without a
//! policy nothing is appraised, and each of its rules is a row that nobody checked.

use anchorhold_attestation::{
    Anchors, Check, Claims, DeviceEvidence, Endorsement, EndorsementKind, Endorsements, Evidence,
    EvidencePart, Platform, Policy, Reason, RuleId, Timestamp, Verdict, Verified, verify,
};

use super::story::{POLICY, Row, Told};

/// The pieces, as a verifier takes them.
pub(super) struct Material {
    pub(super) platform: Platform,
    pub(super) report: Vec<u8>,
    pub(super) parts: Vec<(EvidencePart, Vec<u8>)>,
    pub(super) devices: Vec<DeviceEvidence>,
    pub(super) endorsements: Vec<(EndorsementKind, Vec<u8>)>,
    pub(super) anchors: Anchors,
}

impl Material {
    fn verify(self, at: Timestamp) -> Result<Verified<Claims>, (&'static str, String)> {
        let malformed = |_| ("explain-limits", "the evidence is beyond a limit".to_owned());
        let evidence =
            Evidence::with_parts(self.platform, self.report, self.parts, self.devices).map_err(malformed)?;
        let endorsements: Result<Vec<Endorsement>, _> = self
            .endorsements
            .into_iter()
            .map(|(kind, body)| Endorsement::new(kind, body))
            .collect();
        let endorsements = endorsements.and_then(Endorsements::new).map_err(malformed)?;
        verify(&evidence, &endorsements, &self.anchors, at)
            .map_err(|error| (error.id(), format!("{error}; {}", error.hint())))
    }
}

/// Appraises what was verified. A verdict of the whole that is another than that of its parts counts.
pub(super) fn appraise(material: Material, policy: Option<&Policy>, at: Timestamp, told: &mut Told) {
    let platform = material.platform;
    let claims = match material.verify(at) {
        Ok(claims) => claims,
        Err((id, found)) => {
            told.row(Row {
                id,
                ok: Some(false),
                of: "the whole".to_owned(),
                expected: "what was told is one machine's evidence".to_owned(),
                found,
                hint: "hand over what belongs together".to_owned(),
                source: "ours",
            });
            return;
        }
    };
    told.claim("", claims.get().fields());
    let Some(policy) = policy else {
        unjudged(platform, told);
        return;
    };
    let judgement = policy.judge_machine_alone(claims.get(), at);
    judgement.checks.iter().for_each(|check| told.row(held(check)));
    judgement
        .reasons
        .iter()
        .for_each(|reason| told.row(broken(reason)));
    told.appraised = judgement.reasons.is_empty();
    told.notes.push(
        "appraised is the machine alone: nonce, identity, configuration and model are not in these files"
            .to_owned(),
    );
}

fn held(check: &Check) -> Row {
    let expected = match check.verdict {
        Verdict::Holds => "the policy's rule holds",
        Verdict::DangerouslyAccepted => "the policy dangerously accepts that the rule does not hold",
    };
    Row {
        id: check.rule.name(),
        ok: Some(true),
        of: POLICY.to_owned(),
        expected: expected.to_owned(),
        found: check.found.clone(),
        hint: check.rule.hint().to_owned(),
        source: "docs/policy.md",
    }
}

fn broken(reason: &Reason) -> Row {
    Row {
        id: reason.rule.name(),
        ok: Some(false),
        of: POLICY.to_owned(),
        expected: reason.expected.clone(),
        found: reason.found.clone(),
        hint: reason.hint.to_owned(),
        source: "docs/policy.md",
    }
}

/// Every rule about a machine of this platform, as one that nobody checked.
fn unjudged(platform: Platform, told: &mut Told) {
    let others = match platform {
        Platform::Snp => ["tdx-", "azure-", "provider-"].as_slice(),
        Platform::Tdx => &["snp-", "azure-", "provider-"],
        Platform::AzureSnp => &["tdx-", "provider-"],
        Platform::AzureTdx => &["snp-", "provider-"],
        Platform::GoogleSnp | Platform::AwsSnp => &["tdx-", "azure-"],
        _ => &[],
    };
    let mine = |rule: &&RuleId| !others.iter().any(|start| rule.name().starts_with(start));
    for rule in RuleId::ALL.iter().filter(mine) {
        told.row(Row {
            id: rule.name(),
            ok: None,
            of: POLICY.to_owned(),
            expected: "what a policy says".to_owned(),
            found: "no policy was given (--policy)".to_owned(),
            hint: rule.hint().to_owned(),
            source: "docs/policy.md",
        });
    }
}
