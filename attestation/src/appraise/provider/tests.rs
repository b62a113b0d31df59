//! Each rule alone: a machine of either provider, from evidence to judgement.

use anchorhold_encoding::{Digest, sha256, sha384};

use crate::denial::{RuleId, Verdict};
use crate::provider::fake::{Aws, Google};
use crate::simulated::LaunchRecord;
use crate::snp::{self, FakeAuthority};
use crate::x509::forge::NOW;
use crate::{
    Anchors, Class, Endorsements, Evidence, EvidencePart, FixedConfig, Platform, Policy, ReportData,
    Timestamp, TrustClass, Verified, VerifyError, claims::Claims, verify,
};

const AT: Timestamp = Timestamp::from_unix(NOW);

/// A policy's line that trusts a provider's TPM.
const GOOGLE: &str = "dangerously_trust_provider_tpm = \"google\"\n";
const AWS: &str = "dangerously_trust_provider_tpm = \"aws\"\n";

/// The configuration, as PCR 8 has it in either bank.
fn register() -> (Digest<32>, Digest<48>) {
    let (short, long) = (sha256(&[b"configuration"]), sha384(&[b"configuration"]));
    (
        sha256(&[&[0; 32], short.as_bytes()]),
        sha384(&[&[0; 48], long.as_bytes()]),
    )
}

struct Scene {
    authority: FakeAuthority,
    report: Vec<u8>,
    google: Google,
    aws: Aws,
}

fn data() -> ReportData {
    ReportData::new([9; 64])
}

impl Scene {
    fn new() -> Self {
        let authority = FakeAuthority::new(AT);
        let launch = LaunchRecord {
            measurement: Digest::new([7; 48]),
            host_data: Digest::new([0; 32]),
        };
        let report = authority.chip().report(&launch, &data());
        let number = |number| u8::try_from(number).unwrap();
        let mut short = std::array::from_fn(|index| Digest::new([number(index); 32]));
        let mut long = std::array::from_fn(|index| Digest::new([number(index); 48]));
        (short[8], long[8]) = register();
        Self {
            authority,
            report,
            google: Google::p256(&data(), &short),
            aws: Aws::new(&data(), &long),
        }
    }

    fn google_parts(&self) -> Vec<(EvidencePart, Vec<u8>)> {
        vec![
            (EvidencePart::TpmCertificates, self.google.certificates()),
            (EvidencePart::TpmQuote, self.google.message.clone()),
            (EvidencePart::TpmSignature, self.google.signature.clone()),
            (EvidencePart::TpmRegisters, self.google.registers.clone()),
        ]
    }

    fn parts(&self, platform: Platform) -> Vec<(EvidencePart, Vec<u8>)> {
        match platform {
            Platform::GoogleSnp => self.google_parts(),
            Platform::AwsSnp => vec![(EvidencePart::NitroDocument, self.aws.document())],
            _ => Vec::new(),
        }
    }

    fn verify(
        &self,
        platform: Platform,
        parts: Vec<(EvidencePart, Vec<u8>)>,
    ) -> Result<Verified<Claims>, VerifyError> {
        let sent = Evidence::with_parts(platform, self.report.clone(), parts, vec![]).unwrap();
        // As it travels.
        let evidence = Evidence::from_json(&sent.to_json()).unwrap();
        let roots = snp::Anchors::given(&[(snp::Product::Genoa, self.authority.root())]).unwrap();
        let provider = match platform {
            Platform::GoogleSnp => self.google.anchors(),
            _ => self.aws.anchors(),
        };
        let anchors = Anchors::given(Some(roots), None, None).with_provider(provider);
        verify(&evidence, &self.authority.endorsements(), &anchors, AT)
    }

    fn claims(&self, platform: Platform) -> Verified<Claims> {
        self.verify(platform, self.parts(platform)).unwrap()
    }
}

/// A policy for the machine, strict but for these lines; register 4 has this fill.
fn policy(platform: Platform, lines: &str, fill: u8) -> Policy {
    let (key, length) = match platform {
        Platform::GoogleSnp => ("pcrs", 32),
        _ => ("pcrs_sha384", 48),
    };
    let value = |fill: u8| format!("{fill:02x}").repeat(length);
    let text = format!(
        "version = 1\nmanifest_sha256 = \"{0}\"\nconfig_sha256 = \"{0}\"\nconfig_sha384 = \"{0}{1}\"\n\
         any_chip_of = [\"genoa\"]\n{lines}[snp]\nsmt = \"off\"\n\
         [[reference_values]]\nname = \"n\"\nplatform = \"{platform}\"\nmeasurement = \"{2}\"\n\
         {key} = {{ 4 = \"{3}\", 7 = \"{4}\" }}\n\
         [[reference_values]]\nname = \"plain\"\nplatform = \"snp\"\nmeasurement = \"{2}\"\n",
        "44".repeat(32),
        "44".repeat(16),
        "07".repeat(48),
        value(fill),
        value(7),
    );
    Policy::from_toml(text.as_bytes()).unwrap()
}

fn reasons(policy: &Policy, claims: &Verified<Claims>) -> Vec<RuleId> {
    let judged = policy.judge_machine_alone(claims.get(), AT);
    // A chip that is not listed by number, with weaknesses that have no fix, is another rule's matter.
    judged
        .reasons
        .iter()
        .map(|reason| reason.rule)
        .filter(|rule| *rule != RuleId::KnownWeaknessChip)
        .collect()
}

#[test]
fn the_providers_word_is_believed_only_where_a_policy_names_it() {
    let scene = Scene::new();
    for (platform, named, wrong) in [
        (Platform::GoogleSnp, GOOGLE, AWS),
        (Platform::AwsSnp, AWS, GOOGLE),
    ] {
        let claims = scene.claims(platform);
        let read = claims.get();
        assert_eq!((read.platform, read.class), (platform, Class::Insecure));
        assert_eq!(platform.trust_class(), TrustClass::ProviderMeasured);
        assert_eq!(platform.trust_class().to_string(), "provider-measured");
        assert_eq!((platform.rcar_tee(), platform.class()), ("snp", Class::Real));
        assert_eq!(read.report_data, data());
        let config = match platform {
            Platform::GoogleSnp => FixedConfig::Register(Some(register().0)),
            _ => FixedConfig::Register384(Some(register().1)),
        };
        assert_eq!(read.config, config);
        assert_eq!(config.by(), crate::ConfigBoundBy::Pcr8);
        let of = crate::claims::ConfigDigests {
            sha256: sha256(&[b"configuration"]),
            sha384: sha384(&[b"configuration"]),
        };
        assert!(config.is_of(&of) && config.is_set());
        assert!(read.fields().iter().any(|field| field.name == "provider.pcr.08"));

        assert_eq!(reasons(&policy(platform, named, 4), &claims), []);
        for lines in ["", wrong] {
            let policy = policy(platform, lines, 4);
            assert_eq!(reasons(&policy, &claims), [RuleId::ProviderTpm]);
            let judged = policy.judge_machine_alone(claims.get(), AT);
            let reason = judged
                .reasons
                .iter()
                .find(|reason| reason.rule == RuleId::ProviderTpm);
            assert!(reason.unwrap().found.starts_with("workload not measured"));
        }
        let judged = policy(platform, named, 4).judge_machine_alone(claims.get(), AT);
        let check = judged
            .checks
            .iter()
            .find(|check| check.rule == RuleId::ProviderTpm);
        assert_eq!(check.unwrap().verdict, Verdict::DangerouslyAccepted);
    }
}

#[test]
fn registers_are_those_of_the_reference_value() {
    let scene = Scene::new();
    for (platform, named) in [(Platform::GoogleSnp, GOOGLE), (Platform::AwsSnp, AWS)] {
        let claims = scene.claims(platform);
        assert_eq!(
            reasons(&policy(platform, named, 5), &claims),
            [RuleId::ProviderPcrs]
        );
        // Nothing of the other provider's counts.
        let other = match platform {
            Platform::GoogleSnp => Platform::AwsSnp,
            _ => Platform::GoogleSnp,
        };
        assert_eq!(
            reasons(&policy(other, named, 4), &claims),
            [RuleId::Measurement, RuleId::ProviderPcrs]
        );
    }
}

#[test]
fn a_report_alone_over_a_providers_firmware_measures_no_workload() {
    let scene = Scene::new();
    let claims = scene.claims(Platform::Snp);
    for platform in [Platform::GoogleSnp, Platform::AwsSnp] {
        // The policy lists the same measurement for plain SEV-SNP, too.
        let policy = policy(platform, "", 4);
        assert_eq!(reasons(&policy, &claims), [RuleId::WorkloadMeasured]);
        let judged = policy.judge_machine_alone(claims.get(), AT);
        let found: Vec<_> = judged
            .reasons
            .iter()
            .filter(|reason| reason.rule == RuleId::WorkloadMeasured)
            .map(|reason| reason.found.as_str())
            .collect();
        assert_eq!(found, ["workload not measured"]);
    }
}

#[test]
fn each_part_is_needed_and_no_other() {
    let mut scene = Scene::new();
    for platform in [Platform::GoogleSnp, Platform::AwsSnp] {
        for index in 0..scene.parts(platform).len() {
            let mut parts = scene.parts(platform);
            let (part, _) = parts.remove(index);
            let error = scene.verify(platform, parts).unwrap_err();
            assert_eq!(error, VerifyError::MissingPart(part));
        }
    }
    let mut both = scene.google_parts();
    both.extend(scene.parts(Platform::AwsSnp));
    for (platform, unused) in [
        (Platform::GoogleSnp, EvidencePart::NitroDocument),
        (Platform::AwsSnp, EvidencePart::TpmQuote),
        (Platform::Snp, EvidencePart::TpmQuote),
    ] {
        let error = scene.verify(platform, both.clone()).unwrap_err();
        assert_eq!(error, VerifyError::UnusedPart(unused));
    }
    // A report over other bytes: each TPM's evidence is for those of the first.
    let launch = LaunchRecord {
        measurement: Digest::new([7; 48]),
        host_data: Digest::new([0; 32]),
    };
    scene.report = scene.authority.chip().report(&launch, &ReportData::new([8; 64]));
    for (platform, id) in [
        (Platform::GoogleSnp, "google-qualifying-data"),
        (Platform::AwsSnp, "nitro-user-data"),
    ] {
        let error = scene.verify(platform, scene.parts(platform)).unwrap_err();
        assert_eq!(error.id(), id);
        assert!(!error.to_string().is_empty() && !error.hint().is_empty());
    }
}

#[test]
fn without_a_root_no_provider_is_believed() {
    let scene = Scene::new();
    let roots = snp::Anchors::given(&[(snp::Product::Genoa, scene.authority.root())]).unwrap();
    let anchors = Anchors::given(Some(roots), None, None);
    for platform in [Platform::GoogleSnp, Platform::AwsSnp] {
        let report = scene.report.clone();
        let evidence = Evidence::with_parts(platform, report, scene.parts(platform), vec![]).unwrap();
        let refused = verify(&evidence, &Endorsements::none(), &anchors, AT);
        assert_eq!(refused.unwrap_err(), VerifyError::NoAnchor);
    }
    assert!(Anchors::compiled().provider().google().is_some());
    let named = Anchors::from_certificates(&[scene.google.root.clone(), scene.aws.root.clone()]).unwrap();
    assert!(named.provider().google().is_some() && named.provider().aws().is_some());
    assert_eq!(named.class(), Class::Insecure);
    let made_real = Anchors::compiled().with_provider(scene.google.anchors());
    assert_eq!(made_real.class(), Class::Insecure);
}

#[test]
fn a_reference_value_is_whole() {
    let text = |platform: &str, more: &str| {
        let text = format!(
            "version = 1\nmanifest_sha256 = \"{0}\"\nconfig_sha256 = \"{0}\"\nconfig_sha384 = \"{0}{1}\"\n\
             any_chip_of = [\"genoa\"]\n\
             [[reference_values]]\nname = \"n\"\nplatform = \"{platform}\"\nmeasurement = \"{2}\"\n{more}\n",
            "44".repeat(32),
            "44".repeat(16),
            "07".repeat(48),
        );
        Policy::from_toml(text.as_bytes())
            .map(drop)
            .map_err(|error| error.to_string())
    };
    let (short, long) = ("01".repeat(32), "01".repeat(48));
    let pcrs = format!("pcrs = {{ 4 = \"{short}\", 7 = \"{short}\" }}");
    let wide = format!("pcrs_sha384 = {{ 4 = \"{long}\", 7 = \"{long}\" }}");
    assert_eq!(text("google-snp", &pcrs), Ok(()));
    assert_eq!(text("aws-snp", &wide), Ok(()));
    for (platform, more) in [
        ("google-snp", ""),
        ("aws-snp", ""),
        ("google-snp", wide.as_str()),
        ("aws-snp", pcrs.as_str()),
        ("azure-snp", wide.as_str()),
        ("snp", wide.as_str()),
        ("snp", pcrs.as_str()),
    ] {
        assert!(text(platform, more).is_err(), "{platform} {more}");
    }
    let with_8 = wide.replace("7 =", "8 =");
    assert!(text("aws-snp", &with_8).is_err());
    let with_8 = format!("pcrs_sha384 = {{ 4 = \"{long}\", 7 = \"{long}\", 8 = \"{long}\" }}");
    assert!(text("aws-snp", &with_8).is_err());
}
