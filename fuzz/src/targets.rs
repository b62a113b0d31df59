//! The list of parsers, and how much memory each may hold.
//!
//! Why apart: docs/fuzzing.md has the same table, and one place decides the bounds.
//!
//! # Invariants
//! A bound is a constant and a multiple of the input's length; none is above [`MOST`].

mod amd;
mod azure;
mod intel;
mod nvidia;
mod ours;

/// No parser may hold more than this for inputs of the size that libFuzzer is told to make (`fuzz/run`).
const MOST: usize = 64 << 20;

/// One parser under test.
pub(crate) struct Target {
    /// As `fuzz/run` and `ANCHORHOLD_FUZZ` name it.
    pub(crate) name: &'static str,
    /// Parses, and writes again what has a written form. Panics when that does not come back.
    pub(crate) run: fn(&[u8]),
    /// Bytes of the longest input that is tried.
    pub(crate) longest: usize,
    /// Bytes that any input may cost.
    constant: usize,
    /// Bytes that each byte of input may cost.
    each: usize,
}

impl Target {
    /// `longest` in KiB; then the bound: `constant` in KiB, and `each`.
    const fn new(name: &'static str, run: fn(&[u8]), longest: usize, constant: usize, each: usize) -> Self {
        Self {
            name,
            run,
            longest: longest << 10,
            constant: constant << 10,
            each,
        }
    }

    /// Bytes that an input of this length may make the parser hold at once.
    pub(crate) fn bound(&self, length: usize) -> usize {
        (self.constant + self.each * length).min(MOST)
    }
}

/// Every parser of bytes from outside.
pub(crate) const TARGETS: &[Target] = &[
    Target::new("snp-report", amd::report, 2, 16, 0),
    Target::new("snp-table", amd::table, 8, 4, 2),
    Target::new("snp-vek", amd::vek, 4, 16, 32),
    Target::new("x509-certificate", amd::certificate, 4, 16, 32),
    Target::new("x509-crl", amd::crl, 4, 16, 32),
    Target::new("ocsp", amd::ocsp, 8, 16, 32),
    Target::new("tdx-quote", intel::quote, 8, 16, 16),
    Target::new("tdx-certificates", intel::certificates, 8, 16, 32),
    Target::new("tdx-collateral", intel::collateral, 32, 64, 64),
    Target::new("ccel", intel::event_log, 64, 64, 16),
    Target::new("dstack", intel::dstack, 16, 64, 64),
    Target::new("azure-hcl", azure::hcl, 3, 4, 2),
    Target::new("azure-claims", azure::claims, 4, 64, 64),
    Target::new("azure-quote", azure::quote, 2, 4, 4),
    Target::new("nvidia-gpu", nvidia::gpu, 8, 64, 8),
    Target::new("nvidia-switch", nvidia::switch, 8, 64, 8),
    Target::new("nvidia-leaf", nvidia::leaf, 4, 16, 32),
    Target::new("nvidia-rim", nvidia::rim, 32, 64, 128),
    Target::new("evidence", ours::evidence, 16, 64, 64),
    Target::new("document", ours::document, 16, 64, 64),
    Target::new("identity", ours::identity, 4, 64, 64),
    // Two bytes of a dotted key are a table of 1.2 KiB, and the file is read twice: 890 for each byte at worst.
    Target::new("policy", ours::policy, 4, 128, 1024),
    Target::new("endorsements", ours::endorsements, 8, 64, 64),
    Target::new("published", ours::published, 16, 64, 64),
    Target::new("log-text", ours::log_text, 8, 64, 32),
    Target::new("rcar", ours::rcar, 4, 512, 64),
    Target::new("receipt", ours::receipt, 4, 64, 64),
    Target::new("release", ours::release, 4, 64, 64),
    Target::new("sealed-header", ours::sealed_header, 4, 64, 64),
    Target::new("manifest", ours::manifest, 8, 64, 64),
    Target::new("gguf", ours::gguf, 32, 16, 16),
    Target::new("wrapped-key", ours::wrapped_key, 4, 64, 64),
    // A grammar's automaton may have 50,000 states of 400 bytes, and its symbols take some MiB.
    #[cfg(feature = "engine")]
    Target::new("schema", ours::schema, 4, 65536, 0),
    #[cfg(feature = "engine")]
    Target::new("calls", ours::calls, 4, 64, 64),
];
