//! Which crate may use which, checked on what cargo resolved, and a reason beside each dependency.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anchorhold_tests::tree::{files, no_findings, root};
use serde_json::Value;

/// Crates of the workspace that a crate may use, and crates that must not be anywhere below it.
struct Rule {
    package: &'static str,
    ours: &'static [&'static str],
    never: &'static [&'static str],
}

const RULES: &[Rule] = &[
    Rule {
        package: "anchorhold-memory",
        ours: &[],
        never: &["tokio", "hyper", "rustls", "candle-core", "serde"],
    },
    Rule {
        package: "anchorhold-encoding",
        ours: &[],
        never: &["tokio", "hyper", "rustls", "candle-core"],
    },
    Rule {
        package: "anchorhold-attestation",
        ours: &["anchorhold-encoding"],
        never: &[
            "tokio",
            "hyper",
            "axum",
            "rustls",
            "candle-core",
            "rusqlite",
            "clap",
        ],
    },
    Rule {
        package: "anchorhold-kernels",
        ours: &["anchorhold-memory"],
        never: &["tokio", "hyper", "rustls", "candle-core", "rayon", "serde"],
    },
    Rule {
        package: "anchorhold-models",
        ours: &["anchorhold-memory", "anchorhold-encoding", "anchorhold-kernels"],
        never: &["tokio", "hyper", "axum", "rustls", "rusqlite", "clap"],
    },
    Rule {
        package: "anchorhold-enclave",
        ours: &[
            "anchorhold-memory",
            "anchorhold-encoding",
            "anchorhold-attestation",
            "anchorhold-kernels",
            "anchorhold-models",
        ],
        never: &["clap", "reqwest", "rusqlite", "ureq", "hyper-tls", "indicatif"],
    },
    Rule {
        package: "anchorhold",
        ours: &[
            "anchorhold-memory",
            "anchorhold-encoding",
            "anchorhold-attestation",
            "anchorhold-models",
        ],
        never: &["candle-core", "reqwest"],
    },
    Rule {
        package: "xtask",
        ours: &[],
        never: &["tokio", "candle-core"],
    },
];

#[test]
fn each_crate_uses_only_what_it_may() {
    let mut findings = Vec::new();
    for rule in RULES {
        let below = tree_below(rule.package);
        for name in &below {
            let is_ours = name.starts_with("anchorhold") || name == "xtask";
            if is_ours && name != rule.package && !rule.ours.contains(&name.as_str()) {
                findings.push(format!("{} must not use {name}", rule.package));
            }
            if name == "tdx-quote" || rule.never.contains(&name.as_str()) {
                findings.push(format!("{name} must never be below {}", rule.package));
            }
        }
        assert!(below.contains(rule.package), "cargo tree knows {}", rule.package);
    }
    no_findings("dependency rules", &findings);
}

/// Names of everything a package links, development dependencies left out, with its own features alone.
fn tree_below(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
            "--package",
            package,
        ])
        .current_dir(root())
        .output()
        .expect("cargo tree runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("cargo prints UTF-8");
    text.lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn roles_of_the_host_never_import_one_another() {
    let roles = ["owner", "client", "operator", "publisher"];
    let mut findings = Vec::new();
    for file in files()
        .into_iter()
        .filter(|file| file.path.starts_with("host/src/") && file.path.ends_with(".rs"))
    {
        let Some(own) = roles.iter().find(|role| {
            file.path.starts_with(&format!("host/src/{role}/")) || file.path == format!("host/src/{role}.rs")
        }) else {
            continue;
        };
        for other in roles.iter().filter(|role| *role != own) {
            if file.text.contains(&format!("crate::{other}"))
                || file.text.contains(&format!("super::{other}"))
            {
                findings.push(format!("{} imports {other}", file.path));
            }
        }
    }
    // What belongs to no role borrows no role's trust either.
    for file in files()
        .into_iter()
        .filter(|file| file.path.starts_with("host/src/endorsements"))
    {
        for role in roles {
            if file.text.contains(&format!("crate::{role}")) {
                findings.push(format!("{} imports {role}", file.path));
            }
        }
    }
    no_findings(
        "owner, client, operator and publisher do not trust each other",
        &findings,
    );
}

#[test]
fn each_dependency_has_a_reason() {
    let mut findings = Vec::new();
    for file in files()
        .into_iter()
        .filter(|file| file.path.ends_with("Cargo.toml"))
    {
        let mut inside = false;
        for line in file.text.lines() {
            if line.starts_with('[') {
                inside = line.contains("dependencies");
            } else if inside
                && line.contains('=')
                && !line.trim_start().starts_with('#')
                && !line.contains(" # ")
            {
                let own = line.starts_with("anchorhold") && file.path == "Cargo.toml";
                if !own {
                    findings.push(format!("{}: {line}", file.path));
                }
            }
        }
    }
    no_findings("a dependency without a reason", &findings);
}

#[test]
fn simulated_platform_is_off_unless_asked_for() {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--offline",
            "--locked",
            "--no-deps",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .expect("cargo metadata runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let mut seen = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let defaults = package["features"]["default"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let on = defaults
            .iter()
            .any(|feature| feature.as_str().is_some_and(|name| name.contains("simulated")));
        seen.insert(package["name"].as_str().unwrap().to_owned(), on);
    }
    assert_eq!(seen.get("anchorhold-enclave"), Some(&false));
    assert_eq!(seen.get("anchorhold-attestation"), Some(&false));
}
