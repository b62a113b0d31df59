//! The rules, each with a name and a hint that never change their meaning.
//!
//! Why apart: a list to read through, and to append to, without the machinery around it.
//!
//! # Invariants
//! In policy order: the order of the list is that of reasons in a denial. Names are kebab-case and unique; so are
//! hints. docs/policy.md has a line for each.

use std::fmt;

/// Defines the rules: what holds, name, stable identifier, what a person can do when it does not hold.
macro_rules! rules {
    ($($(#[$holds:meta])+ $rule:ident = $name:literal, $hint:literal;)+) => {
        /// A rule of an appraisal or of a grant, in policy order.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum RuleId {
            $($(#[$holds])+ $rule,)+
        }

        impl RuleId {
            /// Each of them, in policy order.
            pub const ALL: &[Self] = &[$(Self::$rule),+];

            /// Its name, stable, for logs and scripts.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$rule => $name),+ }
            }

            /// What a person can do when it does not hold.
            #[must_use]
            pub const fn hint(self) -> &'static str {
                match self { $(Self::$rule => $hint),+ }
            }
        }
    };
}

rules! {
    /// The nonce is in the tree that the evidence covers.
    InclusionProof = "inclusion-proof",
        "the answer is not for this nonce: it may be replayed or mixed up; ask again";
    /// The signed report data is what this binding expects.
    ReportData = "report-data",
        "the evidence is for another nonce, identity, key or device: replayed, relayed or altered";
    /// The nonce was drawn not long ago, by the Relying Party's own clock.
    NonceAge = "nonce-age",
        "ask again; if it persists, check this machine's clock and the network's delay";
    /// The identity document names the platform whose evidence it is.
    Platform = "platform",
        "the enclave contradicts its own evidence; do not use it";
    /// The evidence is of hardware.
    Simulated = "simulated",
        "nothing is protected here; for a test only, set dangerously_accept_simulated = true";
    /// The host cannot read the machine's memory.
    Debug = "debug",
        "the host can read this machine's memory; launch it without debug";
    /// The code is one that the policy lists for the platform.
    Measurement = "measurement",
        "this is other code; if it is a release you checked, add its reference value";
    /// The trusted computing base is new enough for that code.
    Tcb = "tcb",
        "the host's firmware is too old; ask its operator to update it";
    /// The chip is one the policy names.
    Chip = "chip",
        "this chip is not named by chips or any_chip_of in the policy";
    /// A field has the value that the policy pins.
    Pin = "pin",
        "the evidence has another value than an entry of pins in the policy demands";
    /// Some configuration was fixed at launch.
    ConfigFixed = "config-fixed",
        "launch it with the configuration's digest in HOST_DATA";
    /// The identity document names the configuration that was fixed.
    ConfigIdentity = "config-identity",
        "the enclave runs under another configuration than it says; do not use it";
    /// The init-data that was sent is the configuration that was fixed.
    InitData = "init-data",
        "the init-data that was sent is not the configuration of the launch";
    /// The configuration is one that the policy lists.
    ConfigAllowed = "config",
        "compare the configuration with the one you approved; if it is right, add its digest";
    /// The model is one that the policy lists.
    Manifest = "manifest",
        "this is another model; if it is the right one, add its digest to manifest_sha256";
    /// Every weakened setting is accepted by the policy.
    Weakened = "weakened",
        "remove the setting, or list it in dangerously_accept_weakened";
    /// The identity document names the devices that gave evidence.
    Devices = "devices",
        "the enclave names other devices than gave evidence";
    /// The identity document has not expired.
    NotAfter = "not-after",
        "restart the enclave, or check this machine's clock";
    /// No endorsement that was used has expired.
    Endorsements = "endorsements",
        "fetch the vendor's endorsements anew";
    /// The key's class is that of the evidence.
    KeyClass = "key-class",
        "real keys go to real evidence only, insecure keys to insecure evidence only";
    /// The key opens the model of the identity document.
    KeyManifest = "key-manifest",
        "this key is for other models; register it for this manifest";
    /// The appraisal has not expired.
    StillValid = "still-valid",
        "attest again";
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
