//! Tests of the configuration: every key, and how it can be wrong.

use anchorhold_kernels::{KernelSet, Kernels};
use anchorhold_models::{DevicePrecision, KvPrecision, LoadOptions, Quantise};

use super::*;
use crate::clock::BUILD_DATE;
use crate::limits;

/// A complete configuration; unit tests change one line of it.
pub(crate) const EXAMPLE: &str = r#"version = "0.1.0"
algorithm = "sha256"
not_after = 1900000000
platform = "insecure-simulated"
dangerously_host_time = true

[broker]
url = "https://127.0.0.1:8443"
tls_spki_sha256 = "1111111111111111111111111111111111111111111111111111111111111111"
release_key = "2222222222222222222222222222222222222222222222222222222222222222"
resource = "default/model/demo"

[model]
name = "demo"
key_id = "demo"
class = "insecure"
path = "/nowhere/model.sealed"
manifest_sha256 = "3333333333333333333333333333333333333333333333333333333333333333"

[listen]
api = "127.0.0.1:0"
"#;

impl Config {
    /// For unit tests of any module.
    pub(crate) fn for_tests() -> Self {
        Self::parse(EXAMPLE.as_bytes()).expect("the example is right")
    }
}

fn with(line: &str, other: &str) -> Result<Config, ConfigError> {
    assert!(EXAMPLE.contains(line), "{line}");
    Config::parse(EXAMPLE.replacen(line, other, 1).as_bytes())
}

fn and(more: &str) -> Result<Config, ConfigError> {
    Config::parse(format!("{EXAMPLE}{more}").as_bytes())
}

fn error(result: Result<Config, ConfigError>) -> ConfigError {
    result.expect_err("this configuration is wrong")
}

#[test]
fn the_example_has_the_strict_defaults() {
    let config = Config::for_tests();
    assert_eq!(config.limits.queue as u64, limits::QUEUE.default);
    assert_eq!(config.limits.connections as u64, limits::CONNECTIONS.default);
    assert_eq!(config.broker.attempts, limits::BROKER_ATTEMPTS);
    assert_eq!(config.broker.timeout.as_secs(), limits::BROKER_SECONDS);
    assert!(config.listen.metrics.is_none());
    assert_eq!(config.engine.load_options(), LoadOptions::default());
    assert_eq!(config.engine.running as u64, limits::RUNNING.default);
    assert_eq!(config.weakened(), [Weakening::HostTime]);
    let Access::Anonymous(quota) = config.access else {
        panic!("no keys are configured");
    };
    assert_eq!(quota.requests_per_minute, limits::ANONYMOUS_PER_MINUTE);
}

#[test]
fn every_required_line_is_required() {
    let mut required = 0;
    for (index, line) in EXAMPLE.lines().enumerate() {
        let Some((key, _)) = line.split_once(" = ") else {
            continue;
        };
        let rest: Vec<_> = EXAMPLE
            .lines()
            .enumerate()
            .filter(|(other, _)| *other != index)
            .map(|(_, line)| line)
            .collect();
        let error = error(Config::parse(rest.join("\n").as_bytes()));
        assert_eq!(error.key(), key);
        assert!(matches!(error, ConfigError::Missing { .. }), "{error}");
        required += 1;
    }
    assert_eq!(required, 15);
    for table in ["broker", "model", "listen"] {
        let start = EXAMPLE.find(&format!("[{table}]")).unwrap();
        let end = EXAMPLE[start + 1..]
            .find("\n[")
            .map_or(EXAMPLE.len(), |at| start + 1 + at);
        let without = format!("{}{}", &EXAMPLE[..start], &EXAMPLE[end..]);
        assert_eq!(
            error(Config::parse(without.as_bytes())),
            ConfigError::Missing { key: table }
        );
    }
}

#[test]
fn every_platform_has_its_name_its_class_and_the_hash_of_its_field() {
    for platform in ["snp", "tdx", "azure-snp", "azure-tdx"] {
        let hash = if platform == "tdx" { "sha384" } else { "sha256" };
        let text = |hash: &str, class: &str| {
            EXAMPLE
                .replace("insecure-simulated", platform)
                .replace("\"sha256\"", &format!("\"{hash}\""))
                .replace("\"insecure\"", &format!("\"{class}\""))
        };
        let config = Config::parse(text(hash, "real").as_bytes()).unwrap();
        assert_eq!(config.platform.name(), platform);
        // What is sealed as insecure anyone may open, hardware too.
        let insecure = Config::parse(text(hash, "insecure").as_bytes()).unwrap();
        assert_eq!(insecure.model.class, anchorhold_attestation::Class::Insecure);
        assert_eq!(error(Config::parse(text(hash, "any").as_bytes())).key(), "class");
        let other = if platform == "tdx" { "sha256" } else { "sha384" };
        assert_eq!(
            error(Config::parse(text(other, "real").as_bytes())).key(),
            "algorithm"
        );
    }
}

#[test]
fn every_wrong_value_is_named_by_key_and_line() {
    let long_name = format!("name = \"{}\"", "x".repeat(129));
    let cases = [
        ("version", "version = \"0.1.0\"", "version = \"0.2.0\"", 1),
        ("algorithm", "algorithm = \"sha256\"", "algorithm = \"sha384\"", 2),
        ("not_after", "not_after = 1900000000", "not_after = 1790000000", 3),
        (
            "platform",
            "platform = \"insecure-simulated\"",
            "platform = \"sgx\"",
            4,
        ),
        (
            "dangerously_host_time",
            "host_time = true",
            "host_time = false",
            5,
        ),
        ("url", "https://127.0.0.1:8443", "http://127.0.0.1:8443", 8),
        ("url", "https://127.0.0.1:8443", "https://user@127.0.0.1:8443", 8),
        ("url", "https://127.0.0.1:8443", "https://127.0.0.1:8443/?a=b", 8),
        ("url", "https://127.0.0.1:8443", "https://127.0.0.1:0", 8),
        ("url", "https://127.0.0.1:8443", "127.0.0.1", 8),
        ("tls_spki_sha256", "\"1111", "\"1", 9),
        ("release_key", "\"2222", "\"ZZZZ", 10),
        ("resource", "default/model/demo", "default/../demo", 11),
        ("resource", "default/model/demo", "demo", 11),
        ("name", "name = \"demo\"", "name = \"\"", 14),
        ("name", "name = \"demo\"", "name = \"a\\nb\"", 14),
        ("name", "name = \"demo\"", long_name.as_str(), 14),
        ("key_id", "key_id = \"demo\"", "key_id = \"Demo!\"", 15),
        ("class", "class = \"insecure\"", "class = \"real\"", 16),
        ("path", "/nowhere/model.sealed", "model.sealed", 17),
        ("manifest_sha256", "\"3333", "\"33333", 18),
        ("api", "api = \"127.0.0.1:0\"", "api = \"localhost:80\"", 21),
    ];
    for (key, line, other, number) in cases {
        let error = error(with(line, other));
        assert!(matches!(error, ConfigError::BadValue { .. }), "{other}: {error}");
        assert_eq!((error.key(), error.line()), (key, number), "{other}");
        assert!(!error.hint().is_empty());
    }
}

#[test]
fn types_syntax_and_unknown_keys_are_told_apart() {
    let wrong = error(with("not_after = 1900000000", "not_after = \"soon\""));
    assert_eq!(
        wrong,
        ConfigError::WrongType {
            key: "not_after",
            line: 3
        }
    );
    let wrong = error(with("not_after = 1900000000", "not_after = -1"));
    assert_eq!(
        wrong,
        ConfigError::WrongType {
            key: "not_after",
            line: 3
        }
    );
    assert_eq!(
        error(with("algorithm =", "algorithm")),
        ConfigError::Syntax { line: 2 }
    );
    assert_eq!(
        error(and("secret_key_of_mine = 1")),
        ConfigError::UnknownKey { line: 22 }
    );
    assert_eq!(
        error(and("[limits]\nqueues = 1")),
        ConfigError::UnknownKey { line: 23 }
    );
    assert_eq!(error(Config::parse(b"\xff")), ConfigError::NotText);
    let twice = error(with("algorithm = \"sha256\"", "version = \"0.1.0\""));
    assert!(matches!(twice, ConfigError::Syntax { .. }), "{twice}");
}

#[test]
fn no_error_repeats_what_the_file_says() {
    let secret = "hunter2";
    let cases = [
        EXAMPLE.replace("https://127.0.0.1:8443", secret),
        EXAMPLE.replace("sha256\"\n", &format!("{secret}\"\n")),
        EXAMPLE.replace("not_after = 1900000000", &format!("not_after = \"{secret}\"")),
        format!("{EXAMPLE}{secret} = 1"),
        format!("{EXAMPLE}{secret}"),
        format!("{EXAMPLE}[{secret}]\na = 1"),
    ];
    for text in cases {
        let error = error(Config::parse(text.as_bytes()));
        let said = format!("{error} {error:?} {} {}", error.hint(), error.key());
        assert!(!said.contains(secret), "{said}");
    }
}

#[test]
fn the_engine_is_set_key_by_key() {
    let engine = |lines: &str| and(&format!("[engine]\n{lines}"));
    let set = engine(
        "running = 3\nthreads = 2\nkv_mib = 5\nkv_precision = \"bf16\"\nmask_kv = true\nkernels = \"scalar\"\nquantise = \"q4_0\"\n\
         dangerously_token_dependent_addresses = true\n",
    )
    .unwrap();
    assert_eq!(set.engine.running, 3);
    let options = LoadOptions {
        kernels: Kernels::at_most(KernelSet::Scalar),
        threads: 2,
        kv_bytes: Some(5 << 20),
        kv_precision: KvPrecision::Bf16,
        quantise: Some(Quantise::Q4),
        dangerously_plain_gather: true,
        mask_kv: true,
    };
    assert_eq!(set.engine.load_options(), options);
    assert_eq!(
        set.weakened(),
        [Weakening::HostTime, Weakening::TokenDependentAddresses]
    );
    for kernels in KernelSet::ALL {
        let set = engine(&format!("kernels = \"{kernels}\"")).unwrap().engine;
        assert_eq!(set.load_options().kernels, Kernels::at_most(kernels));
    }
    let small = engine("kv_precision = \"q8\"").unwrap().engine;
    assert_eq!((small.kv_precision, small.mask_kv), (KvPrecision::Q8, false));
    let q8 = engine("quantise = \"q8_0\"").unwrap().engine;
    assert_eq!(q8.quantise, Some(Quantise::Q8));
    let strict = engine("dangerously_token_dependent_addresses = false\nkv_precision = \"f16\"").unwrap();
    assert_eq!(strict.weakened(), [Weakening::HostTime]);
    assert_eq!(strict.engine, Config::for_tests().engine);
}

#[test]
fn traffic_is_shaped_unless_the_configuration_says_dangerously() {
    let traffic = |lines: &str| and(&format!("[traffic]\n{lines}"));
    let default = Config::for_tests();
    let expected = Shape {
        tick: Duration::from_millis(50),
        frame: 1024,
        least_ticks: 8,
    };
    assert_eq!(default.traffic, Some(expected));
    assert_eq!(
        traffic("dangerously_unshaped_traffic = false").unwrap().traffic,
        Some(expected)
    );
    let set = traffic("tick_ms = 20\nframe_bytes = 2048\nleast_ticks = 32").unwrap();
    let expected = Shape {
        tick: Duration::from_millis(20),
        frame: 2048,
        least_ticks: 32,
    };
    assert_eq!(
        (set.traffic, set.weakened()),
        (Some(expected), vec![Weakening::HostTime])
    );
    let plain = traffic("dangerously_unshaped_traffic = true").unwrap();
    assert_eq!(plain.traffic, None);
    assert_eq!(
        plain.weakened(),
        [Weakening::HostTime, Weakening::UnshapedTraffic]
    );
    // A shape that would not be kept to is not taken.
    let both = error(traffic("dangerously_unshaped_traffic = true\ntick_ms = 20"));
    assert!(
        matches!(
            both,
            ConfigError::Conflict {
                key: "tick_ms",
                line: 24,
                ..
            }
        ),
        "{both}"
    );
    for line in [
        "tick_ms = 1",
        "frame_bytes = 1000",
        "frame_bytes = 8192",
        "least_ticks = 0",
    ] {
        let wrong = error(traffic(line));
        assert!(
            matches!(wrong, ConfigError::BadValue { line: 23, .. }),
            "{line}: {wrong}"
        );
    }
}

#[test]
fn each_measure_is_given_up_by_its_own_name_alone() {
    let settings = [
        ("dangerously_without_landlock", Weakening::WithoutLandlock),
        (
            "dangerously_without_locked_memory",
            Weakening::WithoutLockedMemory,
        ),
        ("dangerously_without_seccomp", Weakening::WithoutSeccomp),
    ];
    for (setting, name) in settings {
        let said = |value: &str| and(&format!("[confine]\n{setting} = {value}"));
        let set = said("true").unwrap();
        assert_eq!(set.weakened(), [Weakening::HostTime, name]);
        assert_eq!(name.name(), setting);
        let strict = said("false").unwrap();
        assert_eq!(strict.confine, Config::for_tests().confine);
        assert_eq!(strict.weakened(), [Weakening::HostTime]);
        assert_eq!(
            error(said("1")),
            ConfigError::WrongType {
                key: setting,
                line: 23
            }
        );
    }
    assert_eq!(
        error(and("[confine]\nseccomp = false")),
        ConfigError::UnknownKey { line: 23 }
    );
}

/// A `[devices]` that wants one GPU and nothing weaker than the strictest.
const DEVICES: &str = "[devices]\nendorsements = \"/nowhere/nvidia.json\"\n[devices.nvidia]\ngpus = 1\n\
                       architectures = [\"hopper\"]\nminimum_driver = \"570.86.10\"\n\
                       minimum_firmware = [\"96.00.5E.00.01\"]\n";

#[test]
fn devices_are_a_policy_a_bundle_and_a_precision() {
    assert!(Config::for_tests().devices.is_none());
    let strict = and(DEVICES).unwrap();
    assert_eq!(strict.weakened(), [Weakening::HostTime]);
    let devices = strict.devices.unwrap();
    assert_eq!(devices.policy.gpus(), 1);
    assert_eq!(devices.precision, DevicePrecision::Bf16);
    assert_eq!(devices.endorsements, std::path::Path::new("/nowhere/nvidia.json"));
    let half = DEVICES.replace("[devices]\n", "[devices]\nprecision = \"f16\"\n");
    assert_eq!(
        and(&half).unwrap().devices.unwrap().precision,
        DevicePrecision::F16
    );
    // Whatever weakens the appraisal is told to every client.
    let weaker = and(&format!(
        "{DEVICES}dangerously_accept_unchecked_revocation = true\n"
    ))
    .unwrap();
    assert_eq!(
        weaker.weakened(),
        [Weakening::AppraisedDevices, Weakening::HostTime]
    );

    let refused = |from: &str, to: &str| {
        assert!(DEVICES.contains(from));
        error(and(&DEVICES.replacen(from, to, 1)))
    };
    let missing = ConfigError::Missing { key: "endorsements" };
    assert_eq!(refused("endorsements = \"/nowhere/nvidia.json\"\n", ""), missing);
    let missing = ConfigError::Missing { key: "nvidia" };
    assert_eq!(
        error(and("[devices]\nendorsements = \"/nowhere/nvidia.json\"\n")),
        missing
    );
    for (from, to) in [
        ("/nowhere", "nowhere"),
        ("gpus = 1", "gpus = 0"),
        ("gpus = 1", "gpus = 17"),
        // A floor is no default.
        ("minimum_driver = \"570.86.10\"\n", ""),
        ("architectures = [\"hopper\"]\n", ""),
        ("[devices]\n", "[devices]\nprecision = \"f32\"\n"),
    ] {
        assert!(
            matches!(refused(from, to), ConfigError::BadValue { .. }),
            "{from} {to}"
        );
    }
    let unknown = refused("gpus = 1", "gpus = 1\ncheck = false");
    assert!(matches!(unknown, ConfigError::UnknownKey { .. }), "{unknown}");
}

#[test]
fn what_the_engine_does_not_have_is_refused() {
    let engine = |line: &str| error(and(&format!("[engine]\n{line}")));
    for (key, line) in [
        ("kernels", "kernels = \"fast\""),
        ("quantise", "quantise = \"q2\""),
        ("kv_precision", "kv_precision = \"q4\""),
        ("threads", "threads = 0"),
    ] {
        let wrong = engine(line);
        assert!(matches!(wrong, ConfigError::BadValue { .. }), "{wrong}");
        assert_eq!((wrong.key(), wrong.line()), (key, 23));
    }
    for key in [
        "dangerously_token_dependent_addresses",
        "threads",
        "kernels",
        "mask_kv",
    ] {
        let wrong = engine(&format!("{key} = [1]"));
        assert_eq!(wrong, ConfigError::WrongType { key, line: 23 });
    }
    assert_eq!(engine("fast = true"), ConfigError::UnknownKey { line: 23 });
}

#[test]
fn limits_have_bounds_on_both_sides() {
    let tables = [
        ("limits", limits::BOUNDS.as_slice()),
        ("engine", &limits::ENGINE_BOUNDS),
    ];
    let bounds = tables
        .iter()
        .flat_map(|(table, bounds)| bounds.iter().map(move |bound| (table, bound)));
    for (table, bound) in bounds {
        let set = |value: u64| and(&format!("[{table}]\n{} = {value}", bound.key));
        assert!(
            set(bound.least).is_ok() && set(bound.most).is_ok(),
            "{}",
            bound.key
        );
        assert_eq!(error(set(bound.most + 1)).key(), bound.key);
        if bound.least > 0 {
            assert_eq!(error(set(bound.least - 1)).key(), bound.key);
        }
    }
}

#[test]
fn the_broker_is_asked_within_bounds() {
    let set = |line: &str| with("[model]", &format!("{line}\n[model]"));
    assert_eq!(set("attempts = 20").unwrap().broker.attempts, 20);
    assert_eq!(error(set("attempts = 21")).key(), "attempts");
    assert_eq!(error(set("attempts = 0")).key(), "attempts");
    assert_eq!(error(set("timeout_seconds = 0")).key(), "timeout_seconds");
    assert_eq!(error(set("timeout_seconds = 121")).key(), "timeout_seconds");
}

#[test]
fn broker_urls() {
    let url = |text: &str| with("https://127.0.0.1:8443", text).unwrap().broker.url;
    let expected = |host: &str, port, prefix: &str| BrokerUrl {
        host: host.to_owned(),
        port,
        prefix: prefix.to_owned(),
    };
    assert_eq!(url("https://kbs.example"), expected("kbs.example", 443, ""));
    assert_eq!(url("https://[::1]:9/a/b/"), expected("::1", 9, "/a/b"));
}

#[test]
fn keys_and_anonymous_callers_exclude_each_other() {
    let digits = "4".repeat(64);
    let key = format!("[[api_key]]\nname = \"alice\"\nsalt = \"{digits}\"\nsha256 = \"{digits}\"\n");
    let Access::Keys(keys) = and(&key).unwrap().access else {
        panic!("a key is configured");
    };
    assert_eq!(keys.len(), 1);
    let quota = KeyQuota {
        requests_per_minute: 600,
        tokens_per_minute: 600_000,
        concurrent: 32,
    };
    assert_eq!(keys[0].quota, quota, "unset is a limit");
    let set = format!("{key}requests_per_minute = 1\ntokens_per_minute = 2\nconcurrent = 3\n");
    let Access::Keys(keys) = and(&set).unwrap().access else {
        panic!("a key is configured");
    };
    let quota = KeyQuota {
        requests_per_minute: 1,
        tokens_per_minute: 2,
        concurrent: 3,
    };
    assert_eq!(keys[0].quota, quota);
    for name in ["requests_per_minute", "tokens_per_minute", "concurrent"] {
        assert_eq!(error(and(&format!("{key}{name} = 0\n"))).key(), name);
    }
    let both = format!("[anonymous]\nrequests_per_minute = 5\n{key}");
    let expected = ConfigError::Conflict {
        key: "anonymous",
        with: "api_key",
        line: 22,
    };
    assert_eq!(error(and(&both)), expected);
    assert_eq!(error(and(&key.replace("alice", ""))).key(), "name");
    assert_eq!(
        error(and(&key.replace("salt", "pepper"))),
        ConfigError::UnknownKey { line: 24 }
    );
    assert_eq!(error(and("[anonymous]\n")).key(), "requests_per_minute");
    assert_eq!(error(and("[anonymous]\nrequests_per_minute = 0")).line(), 23);
    let many = key.repeat(limits::API_KEYS + 1);
    assert_eq!(error(and(&many)).key(), "api_key");
    let Access::Anonymous(quota) = and("[anonymous]\nrequests_per_minute = 600").unwrap().access else {
        panic!("no key is configured");
    };
    assert_eq!(quota.requests_per_minute, 600);
}

#[test]
fn a_configuration_does_not_outlive_its_build() {
    let at = |seconds: u64| with("1900000000", &seconds.to_string());
    assert!(at(BUILD_DATE.unix() + 1).is_ok());
    assert_eq!(error(at(BUILD_DATE.unix())).key(), "not_after");
    assert_eq!(error(at(1 << 53)).key(), "not_after");
}
