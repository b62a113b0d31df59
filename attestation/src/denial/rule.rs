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
    /// The policy has a section for the platform's hardware.
    HardwarePolicy = "hardware-policy",
        "say in the policy what its hardware must be: docs/policy.md has a section for each platform";
    /// The evidence is of hardware.
    Simulated = "simulated",
        "nothing is protected here; for a test only, set dangerously_accept_simulated = true";
    /// Nobody but hardware, or a paravisor that it measured, says what the machine runs.
    ProviderTpm = "provider-tpm",
        "only the provider says what runs here; if you trust it, name it in dangerously_trust_provider_tpm";
    /// The host cannot read the machine's memory.
    Debug = "debug",
        "the host can read this machine's memory; launch it without debug";
    /// Reference values of the publishers that the policy names are at hand, and have not ended.
    Published = "published",
        "get the publishers' newest bundle: --reference-values takes it";
    /// The code is one that the policy lists for the platform.
    Measurement = "measurement",
        "this is other code; if it is a release you checked, add its reference value";
    /// The trusted computing base is new enough for that code.
    Tcb = "tcb",
        "the host's firmware is too old; ask its operator to update it";
    /// The measurement is not that of a provider's firmware alone.
    WorkloadMeasured = "workload-measured",
        "the report covers the provider's firmware only: send its TPM's evidence too, as google-snp or aws-snp";
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
    /// TDX: no bit of the group "TD under debug" is set.
    TdxDebug = "tdx-debug",
        "the host can look into this trust domain; launch it without debug and profiling attributes";
    /// TDX: SEPT_VE_DISABLE is set.
    TdxSeptVeDisable = "tdx-sept-ve-disable",
        "launch the trust domain with SEPT_VE_DISABLE, or its host can inject exceptions into it";
    /// TDX: PERFMON is clear.
    TdxPerfmon = "tdx-perfmon",
        "launch the trust domain without PERFMON, or name perfmon in tdx.dangerously_accept_attributes";
    /// TDX: KL is clear.
    TdxKeyLocker = "tdx-key-locker",
        "launch the trust domain without Key Locker, or name kl in tdx.dangerously_accept_attributes";
    /// TDX: PKS is clear.
    TdxPks = "tdx-pks",
        "launch the trust domain without PKS, or name pks in tdx.dangerously_accept_attributes";
    /// TDX: no other attribute is set, with or without a name.
    TdxAttributes = "tdx-attributes",
        "name the attribute in tdx.dangerously_accept_attributes; one without a name needs a newer verifier";
    /// TDX: XFAM is one that the policy lists, or within the states that it lists.
    TdxXfam = "tdx-xfam",
        "compare the domain's processor states with those it was configured for, in tdx.xfam or tdx.xfam_at_most";
    /// TDX: the module's signer is Intel, or one that the policy lists.
    TdxMrSignerSeam = "tdx-mr-signer-seam",
        "the TDX module is not Intel's; zero in tdx.mr_signer_seam is Intel";
    /// TDX: the module's measurement is one that the policy lists, if it lists any.
    TdxMrSeam = "tdx-mr-seam",
        "this is another TDX module than tdx.mr_seam lists; after an update on the host, add it";
    /// TDX: the module has no attributes.
    TdxSeamAttributes = "tdx-seam-attributes",
        "the TDX module runs in a mode for development; do not use this host";
    /// TDX: every component of TEE_TCB_SVN is at least that of the policy, at launch and now.
    TdxTeeTcbSvn = "tdx-tee-tcb-svn",
        "the host's TDX module is too old; ask its operator to update it, then start the domain anew";
    /// TDX: MROWNER is zero, or one that the policy lists.
    TdxMrOwner = "tdx-mr-owner",
        "the domain was launched for another owner; list the owner in tdx.mr_owner if it is right";
    /// TDX: MROWNERCONFIG is zero, or one that the policy lists.
    TdxMrOwnerConfig = "tdx-mr-owner-config",
        "the domain was launched with an owner's configuration; list it in tdx.mr_owner_config if it is right";
    /// TDX: RTMR3 is what the policy says of it: zero, a configuration, or the events it lists.
    TdxRtmr3 = "tdx-rtmr3",
        "something was measured at run time that tdx.runtime_register does not expect; read the event log";
    /// TDX: no service domain is bound, or one that the policy lists.
    TdxServiceTd = "tdx-service-td",
        "a service domain has a part in this one; list it in tdx.mr_service_td if it is right";
    /// TDX: the report is of the domain itself, not of a partition in it.
    TdxVm = "tdx-vm",
        "a partition inside the domain asked for this report; list its index in tdx.vm if it is right";
    /// TDX: no device is bound, or devices that the policy lists.
    TdxDeviceInfo = "tdx-device-info",
        "devices are bound to the domain; list their digest in tdx.device_info if it is right";
    /// TDX: the extended state of service domains is absent, or one that the policy lists.
    TdxServiceHash = "tdx-service-hash",
        "list the service domain's extended state in tdx.service_hash if it is right";
    /// TDX: the attributes of service domains are zero, or some that the policy lists.
    TdxServiceAttributes = "tdx-service-attributes",
        "list the service domain's attributes in tdx.service_attributes if they are right";
    /// TDX: Intel calls the platform up to date, or the policy still accepts what Intel calls it.
    TdxTcbStatus = "tdx-tcb-status",
        "ask the host's operator to update firmware; until then tdx.dangerously_accept_status can bridge the time";
    /// TDX: no advisory of Intel's applies, or the policy accepts those that do.
    TdxAdvisories = "tdx-advisories",
        "read the advisory; if it does not matter to you, name it in tdx.dangerously_accept_advisories";
    /// TDX: the collateral is of an evaluation as new as the policy demands.
    TdxTcbEvaluation = "tdx-tcb-evaluation",
        "fetch Intel's collateral anew; somebody may replay an old one that still calls the platform up to date";
    /// TDX: Intel's fixes up to the policy's date are in the platform.
    TdxTcbDate = "tdx-tcb-date",
        "the host's firmware is older than tdx.minimum_tcb_date; ask its operator to update it";
    /// TDX: no two threads share a core, or the policy accepts it.
    TdxSmt = "tdx-smt",
        "switch SMT off on the host, or set tdx.smt = \"dangerously-accepted\"";
    /// TDX: no package can be added to the machine, or the policy accepts it.
    TdxDynamicPlatform = "tdx-dynamic-platform",
        "register the host as one that cannot grow, or set tdx.dynamic_platform = \"dangerously-accepted\"";
    /// TDX: Intel does not keep the platform's root keys, or the policy accepts it.
    TdxCachedKeys = "tdx-cached-keys",
        "register the host without caching keys, or set tdx.cached_keys = \"dangerously-accepted\"";
    /// TDX: RTMR0 has a value of the reference value.
    TdxRtmr0 = "tdx-rtmr0",
        "firmware saw another virtual machine: other memory, tables or variables than those of the reference value";
    /// TDX: RTMR1 has a value of the reference value.
    TdxRtmr1 = "tdx-rtmr1",
        "firmware started another kernel, or with other partitions, than the reference value has";
    /// TDX: RTMR2 has a value of the reference value.
    TdxRtmr2 = "tdx-rtmr2",
        "the kernel got another command line or initrd than the reference value has";
    /// Azure: the guest has a vTPM.
    AzureTpm = "azure-tpm",
        "the paravisor contradicts its own vTPM; do not use it";
    /// Azure: Secure Boot was on.
    AzureSecureBoot = "azure-secure-boot",
        "enable Secure Boot, or set azure.dangerously_accept_secure_boot_off = true";
    /// Azure: the host cannot read the serial console.
    AzureConsole = "azure-console",
        "disable boot diagnostics and the serial console, or set azure.dangerously_accept_console = true";
    /// Azure: the host cannot write to the serial console.
    AzureInteractiveConsole = "azure-interactive-console",
        "disable the serial console, or set azure.dangerously_accept_interactive_console = true";
    /// Azure: the guest has no emulated IPMI device.
    AzureIpmi = "azure-ipmi",
        "launch without an IPMI device, or set azure.dangerously_accept_ipmi = true";
    /// Azure: the machine keeps no state between boots.
    AzurePersistedState = "azure-persisted-state",
        "launch a machine without stored state, or set azure.dangerously_accept_persisted_state = true";
    /// Azure: no device of the host passes a filter.
    AzureFilteredDevices = "azure-filtered-devices",
        "launch without such devices, or set azure.dangerously_accept_filtered_devices = true";
    /// Azure: the vTPM is of a revision as new as the policy demands.
    AzureTpmVersion = "azure-tpm-version",
        "the paravisor's vTPM is too old; redeploy the machine to get a newer one";
    /// Azure: the authority of the provisioning is one that the policy lists.
    AzureRootCertificate = "azure-root-certificate",
        "the paravisor takes provisioning from another authority than azure.root_thumbprint lists";
    /// Azure: the machine is one that the policy lists.
    AzureVm = "azure-vm",
        "this is another machine; list it in azure.vm_unique_ids, or set azure.any_vm = true";
    /// Azure: what the machine's state is sealed to is not a signer.
    AzureSealing = "azure-sealing",
        "seal to nothing or to a measurement, or set azure.dangerously_accept_sealing_to_signer = true";
    /// Azure: nobody made the guest state file, or someone that the policy lists.
    AzureProvisioner = "azure-provisioner",
        "list who made the guest state file in azure.vmgs_provisioners if it is right";
    /// Azure: no key service defined a context, or one that the policy lists.
    AzureKeyRelease = "azure-key-release",
        "list the key service's digest in azure.key_release_contexts if it is right";
    /// Azure: the host's clock agrees with the Relying Party's.
    AzureClock = "azure-clock",
        "the report is old, or the host's clock or this machine's is wrong";
    /// Azure: the registers of the vTPM have values of the reference value.
    AzurePcrs = "azure-pcrs",
        "the guest booted something else than the reference value describes; compare register by register";
    /// Google and AWS: the registers of the provider's TPM have values of the reference value.
    ProviderPcrs = "provider-pcrs",
        "the machine booted something else than the reference value describes; compare its fields provider.pcr";
    /// NVIDIA: as many GPUs and switches gave evidence as the policy demands, and they are one machine.
    NvidiaTopology = "nvidia-topology",
        "hand over the evidence of every GPU and switch, as many as nvidia.gpus and nvidia.switches say";
    /// NVIDIA: the device answered the nonce that the CPU's evidence commits to.
    NvidiaNonce = "nvidia-nonce-bound",
        "the device's report was not made for this machine's report: replayed or another machine's";
    /// NVIDIA: the device is of a line that the policy names.
    NvidiaArchitecture = "nvidia-architecture",
        "name the device's line in nvidia.architectures if it is right";
    /// NVIDIA: the driver is one that the policy lists, or new enough.
    NvidiaDriver = "nvidia-driver",
        "update the driver in the image, or change nvidia.drivers or nvidia.minimum_driver";
    /// NVIDIA: VBIOS or switch BIOS is one that the policy lists, or new enough for its line.
    NvidiaFirmware = "nvidia-firmware",
        "ask the host's operator to update it, or change nvidia.firmware or nvidia.minimum_firmware";
    /// NVIDIA: the report names the firmware that the device's key was made for.
    NvidiaFirmwareId = "nvidia-firmware-binding",
        "a newer driver reports the firmware id; else name it in nvidia.dangerously_accept_unreported";
    /// NVIDIA: the certificates were checked for revocation.
    NvidiaRevocation = "nvidia-revocation",
        "staple NVIDIA's OCSP answers, or set nvidia.dangerously_accept_unchecked_revocation = true";
    /// NVIDIA: no flag of the device's certificate is set, or those that the policy accepts.
    NvidiaDiceFlags = "nvidia-dice-flags",
        "the device says that it is not in a secure state; name a flag in nvidia.dangerously_accept_dice_flags";
    /// NVIDIA: the GPU is used as the policy says.
    NvidiaFeature = "nvidia-feature",
        "the GPU is in another mode than nvidia.features; set the mode on the host";
    /// NVIDIA: protected PCIe is off, or the policy accepts it.
    NvidiaProtectedPcie = "nvidia-protected-pcie",
        "links between the GPUs are in the clear; if that is meant, set nvidia.dangerously_accept_protected_pcie";
    /// NVIDIA: the host can no longer configure the switch.
    NvidiaSwitchLock = "nvidia-switch-lock",
        "lock the switches, or set nvidia.dangerously_accept_unlocked_switches = true";
    /// NVIDIA: RIMs of the versions that the device reports came with the evidence.
    NvidiaRims = "nvidia-rims",
        "staple NVIDIA's RIM files of the driver and of the VBIOS that the device reports";
    /// NVIDIA: every measurement is one of its RIM's.
    NvidiaMeasurements = "nvidia-measurements-match",
        "an old RIM is the common cause: fetch it anew; if it still differs, the device runs other firmware";
    /// NVIDIA: the certificates of the RIMs' signers were checked for revocation.
    NvidiaRimRevocation = "nvidia-rim-revocation",
        "staple NVIDIA's OCSP answers about its RIMs' signers, or set nvidia.dangerously_accept_unchecked_rim_revocation = true";
    /// NVIDIA: no measurement differs that NVIDIA lets differ.
    NvidiaIdleDecoder = "nvidia-idle-decoder",
        "set nvidia.dangerously_exempt_idle_decoder = true, as NVIDIA's own verifier does";
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
