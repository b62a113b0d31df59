//! `client verify`: each check, for a person or a script.
//!
//! # Invariants
//! The connection is bound as well: evidence alone could have been relayed from another machine.

use std::sync::Arc;

use anchorhold_attestation::{Check, Verdict};
use serde::Serialize;

use super::{Whom, warn_of_class};
use crate::client::bound::bind;
use crate::client::verify::{Verification, verify};
use crate::clock::Clock;
use crate::error::{Exit, Failure};
use crate::output::{Output, table};

#[derive(Serialize)]
struct Affirmed {
    verdict: &'static str,
    url: String,
    platform: &'static str,
    class: String,
    model: String,
    manifest_sha256: String,
    config_sha256: String,
    tls_spki_sha256: String,
    identity_sha512: String,
    evidence_sha512: String,
    boot_id: String,
    policy_sha256: String,
    weakened: Vec<&'static str>,
    valid_until: u64,
    key_exchange: &'static str,
    checks: Vec<Checked>,
}

#[derive(Serialize)]
struct Checked {
    check: &'static str,
    verdict: &'static str,
    found: String,
}

impl From<&Check> for Checked {
    fn from(check: &Check) -> Self {
        Self {
            check: check.rule.name(),
            verdict: match check.verdict {
                Verdict::Holds => "holds",
                Verdict::DangerouslyAccepted => "dangerously-accepted",
            },
            found: check.found.clone(),
        }
    }
}

/// Verifies and prints.
pub(super) async fn run(whom: &Whom, output: &Output) -> Result<Exit, Failure> {
    let trust = whom.trust()?;
    let clock = Clock::system();
    let Verification {
        identity,
        received,
        checks,
        connection,
        ..
    } = verify(&whom.url, &trust, &clock).await?;
    let identity = Arc::new(identity);
    let bound = bind(connection, Arc::clone(&identity), &clock).await?;

    let mut checks: Vec<Checked> = checks.iter().map(Checked::from).collect();
    checks.push(Checked {
        check: "tls-key",
        verdict: "holds",
        found: identity.tls_spki_sha256().to_string(),
    });
    checks.push(Checked {
        check: "channel",
        verdict: "holds",
        found: format!(
            "TLS 1.3, {}, signed by {}",
            bound.key_exchange(),
            identity.channel_key()
        ),
    });
    let document = received.document();
    let affirmed = Affirmed {
        verdict: "affirmed",
        url: whom.url.to_string(),
        platform: document.platform.name(),
        class: identity.class().to_string(),
        model: document.model.name.clone(),
        manifest_sha256: identity.manifest_sha256().to_string(),
        config_sha256: identity.config_sha256().to_string(),
        tls_spki_sha256: identity.tls_spki_sha256().to_string(),
        identity_sha512: identity.identity_digest().to_string(),
        evidence_sha512: identity.evidence_digest().to_string(),
        boot_id: identity.boot_id().to_string(),
        policy_sha256: identity.policy_id().to_string(),
        weakened: document.weakened.iter().map(|setting| setting.name()).collect(),
        valid_until: identity.valid_until().unix(),
        key_exchange: bound.key_exchange(),
        checks,
    };
    warn_of_class(identity.class(), output);
    output.data(&affirmed, || text(&affirmed))?;
    Ok(Exit::Yes)
}

fn text(affirmed: &Affirmed) -> String {
    let row = |checked: &Checked| {
        [
            checked.check.to_owned(),
            checked.verdict.to_owned(),
            checked.found.clone(),
        ]
    };
    let rows: Vec<_> = affirmed.checks.iter().map(row).collect();
    format!(
        "{}\naffirmed: {} serves {} (class {}, until {})",
        table(["check", "verdict", "found"], &rows),
        affirmed.url,
        affirmed.manifest_sha256,
        affirmed.class,
        affirmed.valid_until,
    )
}
