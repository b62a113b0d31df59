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
    /// The report is signed by the chip's own key, or by a provider's that the policy lists.
    SnpSigner = "snp-signer",
        "a provider's key signed for it, not the chip; if you trust that provider, add it to snp.vlek_providers";
    /// A current revocation list was looked at.
    SnpRevocation = "snp-revocation",
        "add AMD's current revocation list (amd-crl) to the endorsements";
    /// The TCB that the signing key is for is new enough.
    SnpReportedTcb = "snp-reported-tcb",
        "the host's firmware or microcode is too old; ask its operator to update it and to report the new level";
    /// The TCB that the platform can go back to is new enough.
    SnpCommittedTcb = "snp-committed-tcb",
        "the host can go back to firmware that is too old; ask its operator to commit the current one";
    /// The TCB at launch was new enough.
    SnpLaunchTcb = "snp-launch-tcb",
        "the machine was launched under firmware that is too old; launch it anew";
    /// The host cannot go back to other firmware.
    SnpFirmware = "snp-firmware",
        "the host runs firmware on trial; ask its operator to commit it";
    /// The machine cannot be given to a migration agent.
    SnpMigration = "snp-migration",
        "launch it with MIGRATE_MA 0 in its guest policy";
    /// Simultaneous multithreading is as the policy names it.
    SnpSmt = "snp-smt",
        "launch it without SMT on a host without SMT, or choose another snp.smt in the policy";
    /// The machine's memory is not on CXL devices.
    SnpCxl = "snp-cxl",
        "launch it with CXL_ALLOW 0 in its guest policy";
    /// The host cannot measure the machine's power.
    SnpRapl = "snp-rapl",
        "launch it with RAPL_DIS 1 in its guest policy, on a host that supports it";
    /// The host does not see the machine's ciphertext.
    SnpCiphertextHiding = "snp-ciphertext-hiding",
        "launch it with CIPHERTEXT_HIDING_DRAM 1 in its guest policy, on a host that supports it";
    /// The host cannot move the machine's pages.
    SnpPageSwap = "snp-page-swap",
        "launch it with PAGE_SWAP_DISABLE 1 in its guest policy, on a host that supports it";
    /// Every bit of the guest policy is known.
    SnpPolicyBits = "snp-policy-bits",
        "the guest policy has bits this version does not know; update this program, or look them up and accept them";
    /// The platform looked for addresses that alias.
    SnpAliasCheck = "snp-alias-check",
        "the host has not proven that its memory modules tell the truth; ask its operator to update its firmware";
    /// Every bit of the platform's configuration is known.
    SnpPlatformBits = "snp-platform-bits",
        "the platform has settings this version does not know; update this program, or look them up and accept them";
    /// The most privileged software asked for the report.
    SnpVmpl = "snp-vmpl",
        "software of another privilege level asked; if that is how this image works, list the level in snp.vmpl";
    /// The guest's own security version is new enough.
    SnpGuestSvn = "snp-guest-svn",
        "this guest's security version is not the one its ID block should give";
    /// The ID block is signed by a key the policy lists, or there is none.
    SnpIdKey = "snp-id-key",
        "another key signed the ID block; if it is right, add its digest to snp.id_keys";
    /// The ID key is signed by a key the policy lists, or by none.
    SnpAuthorKey = "snp-author-key",
        "another key signed the ID key; if it is right, add its digest to snp.author_keys";
    /// The family id is one that the policy lists, or zero.
    SnpFamilyId = "snp-family-id",
        "the ID block has another family id; if it is right, add it to snp.family_ids";
    /// The image id is one that the policy lists, or zero.
    SnpImageId = "snp-image-id",
        "the ID block has another image id; if it is right, add it to snp.image_ids";
    /// The mitigations that the policy demands were on at launch and are now.
    SnpMitigations = "snp-mitigations",
        "the host lacks mitigations; ask its operator to update it, and launch the machine anew";
    /// No weakness with a fix is known at the machine's levels.
    KnownWeakness = "known-weakness",
        "the host's firmware has a published weakness; docs/known-weaknesses.md has the source and what fixes it";
    /// A chip that has a weakness without a fix is listed by number.
    KnownWeaknessChip = "known-weakness-chip",
        "whoever holds a chip of this line can forge its evidence; list chips whose place you know by number";
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
