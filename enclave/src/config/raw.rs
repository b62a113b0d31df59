//! From TOML to a checked [`Config`].
//!
//! Why apart: the file's shape and its meaning are judged key by key, each error with its line.
//!
//! # Invariants
//! Every table refuses unknown keys. Nothing of the file is copied into an error.

mod access;
mod traffic;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anchorhold_attestation::policy::nvidia::{NvidiaPolicy, NvidiaSection};
use anchorhold_attestation::{Class, Platform, Timestamp};
use anchorhold_kernels::KernelSet;
use anchorhold_models::{DevicePrecision, KvPrecision, Quantise};
use serde::Deserialize;
use toml::Spanned;

use self::access::{RawAnonymous, RawApiKey};
use self::traffic::RawTraffic;
use super::confine::ConfineConfig;
use super::{BrokerConfig, BrokerUrl, Config, ConfigError, EngineConfig, ListenConfig, ModelConfig};
use crate::clock::HostTime;
use crate::devices::DevicesConfig;
use crate::limits::{self, Bound, Limits};

type Field<T> = Option<Spanned<T>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    version: Field<String>,
    algorithm: Field<String>,
    not_after: Field<u64>,
    platform: Field<String>,
    dangerously_host_time: Field<bool>,
    broker: Option<RawBroker>,
    model: Option<RawModel>,
    listen: Option<RawListen>,
    #[serde(default)]
    engine: RawEngine,
    #[serde(default)]
    confine: RawConfine,
    devices: Option<RawDevices>,
    #[serde(default)]
    limits: RawLimits,
    #[serde(default)]
    traffic: RawTraffic,
    anonymous: Field<RawAnonymous>,
    #[serde(default)]
    api_key: Vec<RawApiKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBroker {
    url: Field<String>,
    tls_spki_sha256: Field<String>,
    release_key: Field<String>,
    resource: Field<String>,
    attempts: Field<u64>,
    timeout_seconds: Field<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModel {
    name: Field<String>,
    key_id: Field<String>,
    class: Field<String>,
    path: Field<String>,
    manifest_sha256: Field<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawListen {
    api: Field<String>,
    metrics: Field<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawEngine {
    running: Field<u64>,
    threads: Field<u64>,
    kv_mib: Field<u64>,
    kv_precision: Field<String>,
    mask_kv: Field<bool>,
    kernels: Field<String>,
    quantise: Field<String>,
    dangerously_token_dependent_addresses: Field<bool>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawConfine {
    dangerously_without_landlock: Field<bool>,
    dangerously_without_locked_memory: Field<bool>,
    dangerously_without_seccomp: Field<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDevices {
    precision: Field<String>,
    endorsements: Field<String>,
    /// The words of a policy: docs/policy.md.
    nvidia: Option<Spanned<NvidiaSection>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    queue: Field<u64>,
    max_tokens: Field<u64>,
    request_bytes: Field<u64>,
    request_seconds: Field<u64>,
    header_seconds: Field<u64>,
    idle_seconds: Field<u64>,
    connections: Field<u64>,
    drain_seconds: Field<u64>,
}

/// Every platform that an enclave can run on.
const PLATFORMS: [Platform; 5] = [
    Platform::Snp,
    Platform::Tdx,
    Platform::AzureSnp,
    Platform::AzureTdx,
    Platform::InsecureSimulated,
];

/// Every key there is: an error names one of these or none.
const KEYS: [&str; 59] = [
    "version",
    "algorithm",
    "not_after",
    "platform",
    "dangerously_host_time",
    "broker",
    "url",
    "tls_spki_sha256",
    "release_key",
    "resource",
    "attempts",
    "timeout_seconds",
    "model",
    "name",
    "key_id",
    "class",
    "path",
    "manifest_sha256",
    "listen",
    "api",
    "metrics",
    "engine",
    "running",
    "threads",
    "kv_mib",
    "kv_precision",
    "mask_kv",
    "kernels",
    "quantise",
    "dangerously_token_dependent_addresses",
    "confine",
    "dangerously_without_landlock",
    "dangerously_without_locked_memory",
    "dangerously_without_seccomp",
    "devices",
    "precision",
    "endorsements",
    "nvidia",
    "limits",
    "queue",
    "max_tokens",
    "request_bytes",
    "request_seconds",
    "header_seconds",
    "idle_seconds",
    "connections",
    "drain_seconds",
    "traffic",
    "tick_ms",
    "frame_bytes",
    "least_ticks",
    "dangerously_unshaped_traffic",
    "anonymous",
    "requests_per_minute",
    "api_key",
    "tokens_per_minute",
    "concurrent",
    "salt",
    "sha256",
];

const HEX_32: &str = "64 lower-case hexadecimal digits";

pub(super) fn parse(bytes: &[u8]) -> Result<Config, ConfigError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ConfigError::NotText)?;
    // Two passes, so that a syntax error is told from a key or a type that is wrong.
    if let Err(error) = text.parse::<toml::Table>() {
        let line = line_of(text, error.span().map_or(0, |span| span.start));
        return Err(ConfigError::Syntax { line });
    }
    let raw: RawConfig = toml::from_str(text).map_err(|error| shape_error(text, &error))?;
    Reader { text }.config(raw)
}

fn line_of(text: &str, offset: usize) -> u32 {
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    let breaks = before.iter().filter(|byte| **byte == b'\n').count();
    u32::try_from(breaks).map_or(u32::MAX, |breaks| breaks.saturating_add(1))
}

/// The parser's message holds text of the file, so only its beginning is looked at, and nothing is kept.
fn shape_error(text: &str, error: &toml::de::Error) -> ConfigError {
    let offset = error.span().map_or(0, |span| span.start);
    let line = line_of(text, offset);
    if error.message().starts_with("unknown field") {
        return ConfigError::UnknownKey { line };
    }
    let source = text.lines().nth(line.saturating_sub(1) as usize).unwrap_or("");
    let written = source
        .split('=')
        .next()
        .unwrap_or("")
        .trim_matches(|c: char| c.is_whitespace() || "[]\"'".contains(c));
    let key = KEYS.iter().find(|key| **key == written).copied().unwrap_or("");
    ConfigError::WrongType { key, line }
}

struct Reader<'a> {
    text: &'a str,
}

impl Reader<'_> {
    fn config(&self, raw: RawConfig) -> Result<Config, ConfigError> {
        self.exactly(
            "version",
            raw.version,
            "0.1.0",
            "this enclave reads version \"0.1.0\"",
        )?;
        let not_after = required("not_after", raw.not_after)?;
        let expected = "seconds since 1970, after this release was built";
        let not_after = self.value("not_after", not_after, expected, |seconds| {
            let time = Timestamp::from_unix(*seconds);
            (time > crate::clock::BUILD_DATE && time.unix() == *seconds).then_some(time)
        })?;
        let expected = "one of \"snp\", \"tdx\", \"azure-snp\", \"azure-tdx\", \"insecure-simulated\"; `--version` lists \
                        those of this build";
        let platform = self.value(
            "platform",
            required("platform", raw.platform)?,
            expected,
            |name| PLATFORMS.into_iter().find(|platform| name == platform.name()),
        )?;
        let (hash, expected) = match platform {
            // MRCONFIGID has 48 bytes.
            Platform::Tdx => (
                "sha384",
                "the field this platform binds is hashed with \"sha384\"",
            ),
            _ => (
                "sha256",
                "the field this platform binds is hashed with \"sha256\"",
            ),
        };
        self.exactly("algorithm", raw.algorithm, hash, expected)?;
        let line = required("dangerously_host_time", raw.dangerously_host_time)?;
        let expected = "this platform has no protected clock: say true, and clients will see it";
        let host_time = self.value("dangerously_host_time", line, expected, |yes| {
            HostTime::from_configuration(*yes)
        })?;
        Ok(Config {
            not_after,
            platform,
            host_time,
            broker: self.broker(raw.broker.ok_or(ConfigError::Missing { key: "broker" })?)?,
            model: self.model(raw.model.ok_or(ConfigError::Missing { key: "model" })?, platform)?,
            listen: self.listen(raw.listen.ok_or(ConfigError::Missing { key: "listen" })?)?,
            engine: self.engine(raw.engine)?,
            confine: confine(&raw.confine),
            devices: raw.devices.map(|raw| self.devices(raw)).transpose()?,
            limits: self.limits(raw.limits)?,
            traffic: self.traffic(raw.traffic)?,
            access: self.access(raw.api_key, raw.anonymous)?,
        })
    }

    fn broker(&self, raw: RawBroker) -> Result<BrokerConfig, ConfigError> {
        let url = required("url", raw.url)?;
        let expected = "https://host:port, perhaps with a path, nothing else";
        let url = self.value("url", url, expected, |url| broker_url(url))?;
        let resource = required("resource", raw.resource)?;
        let timeout = self.number(
            "timeout_seconds",
            raw.timeout_seconds,
            limits::BROKER_SECONDS,
            1,
            limits::BROKER_SECONDS_MAX,
        )?;
        let attempts = self.number(
            "attempts",
            raw.attempts,
            u64::from(limits::BROKER_ATTEMPTS),
            1,
            u64::from(limits::BROKER_ATTEMPTS_MAX),
        )?;
        Ok(BrokerConfig {
            url,
            tls_spki_sha256: self.text("tls_spki_sha256", raw.tls_spki_sha256, HEX_32)?,
            release_key: self.text("release_key", raw.release_key, HEX_32)?,
            resource: self.value("resource", resource, "repository/type/tag", |path| {
                path.parse().ok()
            })?,
            attempts: u32::try_from(attempts).unwrap_or(limits::BROKER_ATTEMPTS_MAX),
            timeout: Duration::from_secs(timeout),
        })
    }

    fn model(&self, raw: RawModel, platform: Platform) -> Result<ModelConfig, ConfigError> {
        let name = self.name("name", raw.name)?;
        let key_id = required("key_id", raw.key_id)?;
        let expected = "1 to 64 of a-z, 0-9 and -";
        let key_id = self.value("key_id", key_id, expected, |id| id.parse().ok())?;
        let class = required("class", raw.class)?;
        let expected = "\"insecure\", or on hardware \"real\"";
        let class = self.value("class", class, expected, |class| match class.as_str() {
            // Hardware may open what is insecure: whoever seals so, seals for anyone.
            "insecure" => Some(Class::Insecure),
            "real" if platform.class() == Class::Real => Some(Class::Real),
            _ => None,
        })?;
        let path = required("path", raw.path)?;
        let path = self.value("path", path, "an absolute path", |path| absolute(path))?;
        Ok(ModelConfig {
            name,
            key_id,
            class,
            path,
            manifest_sha256: self.text("manifest_sha256", raw.manifest_sha256, HEX_32)?,
        })
    }

    fn devices(&self, raw: RawDevices) -> Result<DevicesConfig, ConfigError> {
        let expected = "\"bf16\" or \"f16\"";
        let precision = self.choice("precision", raw.precision, expected, |name| match name {
            "bf16" => Some(DevicePrecision::Bf16),
            "f16" => Some(DevicePrecision::F16),
            _ => None,
        })?;
        let path = required("endorsements", raw.endorsements)?;
        let endorsements = self.value("endorsements", path, "an absolute path", |path| absolute(path))?;
        let section = required("nvidia", raw.nvidia)?;
        let line = line_of(self.text, section.span().start);
        let expected = "a [devices.nvidia] as docs/policy.md has it, of at least one GPU";
        let policy = NvidiaPolicy::new(section.into_inner()).ok();
        let policy = policy.filter(|policy| policy.gpus() > 0);
        Ok(DevicesConfig {
            policy: policy.ok_or(ConfigError::BadValue {
                key: "nvidia",
                line,
                expected,
            })?,
            precision: precision.unwrap_or(DevicePrecision::Bf16),
            endorsements,
        })
    }

    fn listen(&self, raw: RawListen) -> Result<ListenConfig, ConfigError> {
        let expected = "address:port, the address as numbers";
        Ok(ListenConfig {
            api: self.text("api", raw.api, expected)?,
            metrics: match raw.metrics {
                None => None,
                some => Some(self.text("metrics", some, expected)?),
            },
        })
    }

    fn engine(&self, raw: RawEngine) -> Result<EngineConfig, ConfigError> {
        // Where the machine decides, only a number that was written is one.
        let number = |field: Field<u64>, bound: Bound| -> Result<Option<u64>, ConfigError> {
            let number = self.number(bound.key, field, bound.default, bound.least, bound.most)?;
            Ok((number > 0).then_some(number))
        };
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let running = number(raw.running, limits::RUNNING)?.unwrap_or(limits::RUNNING.default);
        let (key, expected) = ("kv_precision", "\"f16\", \"bf16\" or \"q8\"");
        let kv_precision = self.choice(key, raw.kv_precision, expected, |name| match name {
            "f16" => Some(KvPrecision::F16),
            "bf16" => Some(KvPrecision::Bf16),
            "q8" => Some(KvPrecision::Q8),
            _ => None,
        })?;
        let expected = "one of \"scalar\", \"avx2\", \"avx-vnni\", \"avx512-vnni\", \"avx512-bf16\", \"amx\"";
        let kernels = self.choice("kernels", raw.kernels, expected, |name| name.parse().ok())?;
        let expected = "\"q8_0\" or \"q4_0\"";
        let quantise = self.choice("quantise", raw.quantise, expected, |name| match name {
            "q8_0" => Some(Quantise::Q8),
            "q4_0" => Some(Quantise::Q4),
            _ => None,
        })?;
        let plain = raw.dangerously_token_dependent_addresses;
        Ok(EngineConfig {
            running: size(running),
            threads: number(raw.threads, limits::THREADS)?.map(size),
            kv_bytes: number(raw.kv_mib, limits::KV_MIB)?.map(|mib| mib << 20),
            kv_precision: kv_precision.unwrap_or(KvPrecision::F16),
            mask_kv: raw.mask_kv.is_some_and(Spanned::into_inner),
            kernels: kernels.unwrap_or(KernelSet::Amx),
            quantise,
            token_dependent_addresses: plain.is_some_and(Spanned::into_inner),
        })
    }

    fn limits(&self, raw: RawLimits) -> Result<Limits, ConfigError> {
        let number =
            |field, bound: Bound| self.number(bound.key, field, bound.default, bound.least, bound.most);
        let size = |field, bound| number(field, bound).map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        let time = |field, bound| number(field, bound).map(Duration::from_secs);
        Ok(Limits {
            queue: size(raw.queue, limits::QUEUE)?,
            max_tokens: size(raw.max_tokens, limits::MAX_TOKENS)?,
            request_bytes: size(raw.request_bytes, limits::REQUEST_BYTES)?,
            request_time: time(raw.request_seconds, limits::REQUEST_SECONDS)?,
            header_time: time(raw.header_seconds, limits::HEADER_SECONDS)?,
            idle_time: time(raw.idle_seconds, limits::IDLE_SECONDS)?,
            connections: size(raw.connections, limits::CONNECTIONS)?,
            drain_time: time(raw.drain_seconds, limits::DRAIN_SECONDS)?,
        })
    }

    fn name(&self, key: &'static str, field: Field<String>) -> Result<String, ConfigError> {
        let expected = "1 to 128 bytes without control characters";
        self.value(key, required(key, field)?, expected, |name| {
            let fits = !name.is_empty() && name.len() <= limits::NAME_CHARS;
            (fits && !name.chars().any(char::is_control)).then(|| name.clone())
        })
    }

    fn choice<T>(
        &self,
        key: &'static str,
        field: Field<String>,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        field
            .map(|field| self.value(key, field, expected, |name| read(name)))
            .transpose()
    }

    fn exactly(
        &self,
        key: &'static str,
        field: Field<String>,
        only: &str,
        expected: &'static str,
    ) -> Result<(), ConfigError> {
        self.value(key, required(key, field)?, expected, |text| {
            (text == only).then_some(())
        })
    }

    fn text<T: FromStr>(
        &self,
        key: &'static str,
        field: Field<String>,
        expected: &'static str,
    ) -> Result<T, ConfigError> {
        self.value(key, required(key, field)?, expected, |text| text.parse().ok())
    }

    fn number(
        &self,
        key: &'static str,
        field: Field<u64>,
        default: u64,
        least: u64,
        most: u64,
    ) -> Result<u64, ConfigError> {
        let Some(field) = field else {
            return Ok(default);
        };
        let expected = "outside the bounds of limits.rs for this key";
        self.value(key, field, expected, |number| {
            (least..=most).contains(number).then_some(*number)
        })
    }

    fn value<V, T>(
        &self,
        key: &'static str,
        field: Spanned<V>,
        expected: &'static str,
        read: impl FnOnce(&V) -> Option<T>,
    ) -> Result<T, ConfigError> {
        read(field.get_ref()).ok_or_else(|| ConfigError::BadValue {
            key,
            line: line_of(self.text, field.span().start),
            expected,
        })
    }
}

fn confine(raw: &RawConfine) -> ConfineConfig {
    let set = |field: &Field<bool>| field.as_ref().is_some_and(|field| *field.get_ref());
    ConfineConfig {
        without_landlock: set(&raw.dangerously_without_landlock),
        without_locked_memory: set(&raw.dangerously_without_locked_memory),
        without_seccomp: set(&raw.dangerously_without_seccomp),
    }
}

fn required<T>(key: &'static str, field: Field<T>) -> Result<Spanned<T>, ConfigError> {
    field.ok_or(ConfigError::Missing { key })
}

fn absolute(path: &str) -> Option<PathBuf> {
    let plain = path.starts_with('/') && path.len() <= limits::PATH_CHARS && !path.contains('\0');
    plain.then(|| PathBuf::from(path))
}

fn broker_url(url: &str) -> Option<BrokerUrl> {
    let uri: hyper::Uri = url.parse().ok()?;
    let plain = uri.scheme_str() == Some("https") && uri.query().is_none() && !url.contains(['@', '#']);
    if !plain {
        return None;
    }
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    let prefix = uri.path().trim_end_matches('/');
    Some(BrokerUrl {
        host: host.to_owned(),
        port: uri
            .port()
            .map_or(Some(443), |port| (port.as_u16() != 0).then_some(port.as_u16()))?,
        prefix: prefix.to_owned(),
    })
}
