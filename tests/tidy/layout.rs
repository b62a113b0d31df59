//! Files: names, sizes, headers, and what may stand where.

use anchorhold_tests::tree::{files, no_findings, root, rust_files};

const MAX_LINES: usize = 600;
const MAX_MEDIAN_LINES: usize = 200;

/// Files that may contain `unsafe`, each with the reason.
const UNSAFE_ALLOWED: &[(&str, &str)] = &[
    ("memory/src/allocator.rs", "an allocator is unsafe to write"),
    (
        "memory/src/locked.rs",
        "keys lie in pages that are asked of the system as they are",
    ),
    (
        "enclave/src/process.rs",
        "clearing the environment before the first thread is unsafe since edition 2024",
    ),
    (
        "tests/confine/forbidden.rs",
        "system calls that no library offers to do wrong; it is in nothing that ships",
    ),
    (
        "enclave/src/confine/landlock/kernel.rs",
        "Landlock's system calls are in no library here",
    ),
    (
        "enclave/src/attester/ioctl.rs",
        "the kernel's older ways to a report are ioctls",
    ),
    (
        "enclave/src/attester/nvml/library.rs",
        "NVIDIA's management library is loaded at run time and speaks C",
    ),
    (
        "kernels/src/attention/part.rs",
        "threads read pages that other threads write elsewhere",
    ),
    (
        "kernels/src/attention/plan.rs",
        "threads write different heads of a page, and different rows of what comes out",
    ),
    (
        "kernels/src/attention/tile.rs",
        "instructions that only some CPUs have are called",
    ),
    (
        "kernels/src/attention/whole.rs",
        "instructions that only some CPUs have are called, and threads write different heads of what comes out",
    ),
    (
        "kernels/src/vector.rs",
        "instructions that only some CPUs have are called",
    ),
    (
        "kernels/src/vector/tests.rs",
        "instructions that only some CPUs have are called",
    ),
    (
        "kernels/src/disjoint.rs",
        "threads write different parts of a slice",
    ),
    (
        "kernels/src/kv/eight.rs",
        "code compiled for instructions that only some CPUs have is called",
    ),
    (
        "kernels/src/keystream.rs",
        "code compiled for instructions that only some CPUs have is called",
    ),
    ("kernels/src/kv/pages.rs", "owners share one buffer, a page each"),
    (
        "kernels/src/memory.rs",
        "bytes of large pages are read as numbers",
    ),
    (
        "kernels/src/packed/tile.rs",
        "tiles of weights lie in large pages as plain bytes",
    ),
    (
        "kernels/src/packed/gather.rs",
        "instructions that only some CPUs have are called",
    ),
    (
        "kernels/src/race.rs",
        "code compiled for instructions that only some CPUs have is called",
    ),
    (
        "kernels/src/race/lead.rs",
        "instructions that only some CPUs have are called",
    ),
    (
        "kernels/src/cpu/amx.rs",
        "registers and a system call say whether tiles may be used",
    ),
    (
        "kernels/src/matmul/amx.rs",
        "kernels around instructions that only some CPUs have",
    ),
    (
        "kernels/src/matmul/amx/tests.rs",
        "kernels around instructions that only some CPUs have are called",
    ),
    (
        "kernels/src/matmul/amx/unit.rs",
        "stable Rust has AMX as inline assembly alone",
    ),
    (
        "kernels/src/matmul.rs",
        "threads write their own columns of one result",
    ),
    (
        "kernels/src/matmul/output.rs",
        "threads write their own columns of one result",
    ),
    (
        "kernels/src/matmul/rounding.rs",
        "instructions that only some CPUs have are called",
    ),
    (
        "kernels/src/matmul/dispatch.rs",
        "instructions that only some CPUs have are called",
    ),
    ("kernels/src/simd.rs", "vectors are loaded from arrays"),
    (
        "kernels/src/pool.rs",
        "workers take part in what the caller borrows",
    ),
    (
        "models/src/device/pinned.rs",
        "CUDA's driver gives page-locked memory as it is",
    ),
    (
        "fuzz/src/allocator.rs",
        "an allocator that counts is unsafe to write; it is in nothing that ships",
    ),
];

#[test]
fn files_are_short() {
    let files = rust_files();
    let mut lengths: Vec<usize> = files.iter().map(|file| file.text.lines().count()).collect();
    lengths.sort_unstable();
    let long: Vec<String> = files
        .iter()
        .filter(|file| file.text.lines().count() > MAX_LINES)
        .map(|file| format!("{}: {} lines", file.path, file.text.lines().count()))
        .collect();
    no_findings("a file has at most 600 lines", &long);
    let median = lengths[lengths.len() / 2];
    assert!(
        median <= MAX_MEDIAN_LINES,
        "the median file has {median} lines, at most {MAX_MEDIAN_LINES} wanted"
    );
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<String> = rust_files()
        .into_iter()
        .filter(|file| !file.text.starts_with("//! ") && !is_misuse_sample(&file.path))
        .map(|file| file.path)
        .collect();
    no_findings("a file opens with `//! ` and what it is", &silent);
}

/// Programs that must not compile are shown to the compiler as a stranger would write them.
fn is_misuse_sample(path: &str) -> bool {
    path.contains("/misuse/")
}

#[test]
fn names_say_what_is_inside() {
    let bad: Vec<String> = rust_files()
        .into_iter()
        .filter(|file| {
            let name = file.path.rsplit('/').next().unwrap();
            [
                "mod.rs",
                "utils.rs",
                "util.rs",
                "common.rs",
                "helpers.rs",
                "misc.rs",
            ]
            .contains(&name)
        })
        .map(|file| file.path)
        .collect();
    no_findings("no mod.rs and no drawer for everything", &bad);
}

#[test]
fn unsafe_stands_only_where_it_is_allowed() {
    let mut findings = Vec::new();
    for file in rust_files() {
        let code = code_lines(&file.text).filter(|(_, line)| line.contains("unsafe "));
        let uses: Vec<usize> = code
            .filter(|(_, line)| !line.contains("unsafe_code"))
            .map(|(number, _)| number)
            .collect();
        let allowed = UNSAFE_ALLOWED.iter().any(|(path, _)| *path == file.path);
        if !uses.is_empty() && !allowed && !file.path.starts_with("tests/tidy/") {
            findings.push(format!("{}: lines {uses:?}", file.path));
        }
    }
    no_findings("unsafe code outside the allow-list", &findings);
    for (path, _) in UNSAFE_ALLOWED {
        assert!(
            rust_files().iter().any(|file| file.path == *path),
            "{path} is allowed unsafe code but is not there"
        );
    }
}

#[test]
fn devices_are_vouched_for_by_the_enclaves_appraisal_alone() {
    let findings: Vec<String> = rust_files()
        .into_iter()
        .filter(|file| !file.path.ends_with("/tests.rs") && !file.path.starts_with("tests/tidy/"))
        .filter(|file| code_lines(&file.text).any(|(_, line)| line.contains("DeviceProof for ")))
        .map(|file| file.path)
        .collect();
    assert_eq!(
        findings,
        ["enclave/src/devices.rs"],
        "who says that a GPU may have weights"
    );
    // Its value is made at one place, behind every check.
    let makers: Vec<String> = rust_files()
        .into_iter()
        .filter(|file| code_lines(&file.text).any(|(_, line)| line.contains("= ReadyDevices {")))
        .map(|file| file.path)
        .filter(|path| !path.starts_with("tests/tidy/"))
        .collect();
    assert_eq!(makers, ["enclave/src/devices/appraisal.rs"]);
}

#[test]
fn ciphers_are_named_in_one_module() {
    let names = ["aes_gcm", "aws_lc_rs::aead", "aead::AES_256_GCM", "AES_256_GCM"];
    let findings: Vec<String> = rust_files()
        .into_iter()
        .filter(|file| !file.path.starts_with("models/src/aead") && !file.path.starts_with("tests/"))
        // The attack on AES-GCM without a key commitment is written against the cipher itself.
        .filter(|file| file.path != "models/src/sealed/tests/collision.rs")
        .filter(|file| {
            // TLS suites are rustls's own business and have other names for the same word.
            code_lines(&file.text)
                .any(|(_, line)| names.iter().any(|name| line.contains(name)) && !line.contains("TLS13_"))
        })
        .map(|file| file.path)
        .collect();
    no_findings("only models/src/aead names a cipher", &findings);
}

#[test]
fn the_enclave_has_one_door_to_output() {
    let doors = [
        "println!",
        "eprintln!",
        "print!(",
        "eprint!(",
        "io::stdout",
        "io::stderr",
        "log::",
        "tracing::",
    ];
    let mut findings = Vec::new();
    for file in rust_files()
        .into_iter()
        .filter(|file| file.path.starts_with("enclave/src/"))
    {
        // Unit tests are not in the enclave; event.rs is the door itself.
        if file.path == "enclave/src/event.rs" || file.path.contains("/tests") {
            continue;
        }
        for (number, line) in code_lines(&file.text) {
            if doors.iter().any(|door| line.contains(door)) {
                findings.push(format!("{}:{number}", file.path));
            }
        }
    }
    no_findings("only enclave/src/event.rs writes anything out", &findings);
}

#[test]
fn the_enclave_never_asks_for_the_time_of_day() {
    let findings: Vec<String> = rust_files()
        .into_iter()
        .filter(|file| file.path.starts_with("enclave/src/") || file.path.starts_with("attestation/src/"))
        .filter(|file| {
            code_lines(&file.text).any(|(_, line)| line.contains("SystemTime") || line.contains("UNIX_EPOCH"))
        })
        .map(|file| file.path)
        .collect();
    no_findings("no wall clock inside the trust boundary", &findings);
}

#[test]
fn nothing_is_left_unfinished_or_silently_skipped() {
    let marks = ["todo!(", "unimplemented!(", "dbg!(", "FIXME", "XXX", "#[ignore"];
    let findings: Vec<String> = rust_files()
        .into_iter()
        .filter(|file| !file.path.starts_with("tests/tidy/"))
        .flat_map(|file| {
            let hits = file
                .text
                .lines()
                .enumerate()
                .filter(|(_, line)| marks.iter().any(|mark| line.contains(mark)));
            hits.map(|(number, _)| format!("{}:{}", file.path, number + 1))
                .collect::<Vec<_>>()
        })
        .collect();
    no_findings("unfinished work or an ignored test", &findings);
}

#[test]
fn nothing_names_a_machine() {
    // Where people's files lie, and where this checkout does.
    let here = format!("{}/", root().display());
    let prefixes = ["/root/", "/home/", "/Users/", &here];
    let findings: Vec<String> = files()
        .into_iter()
        .filter(|file| !file.path.starts_with("tests/tidy/") && file.path != "Cargo.lock")
        .filter(|file| prefixes.iter().any(|prefix| starts_a_path(&file.text, prefix)))
        .map(|file| file.path)
        .collect();
    no_findings("a path of somebody's machine", &findings);
}

/// True where `prefix` begins a path, not where it stands inside a longer one or an address.
fn starts_a_path(text: &str, prefix: &str) -> bool {
    text.match_indices(prefix).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "_.-/}".contains(c))
    })
}

/// Lines that are neither comments nor documentation, numbered from 1.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}
