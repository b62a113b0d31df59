//! Documents: a guarantee names a test that exists, a vector says where it comes from.

use anchorhold_tests::tree::{File, files, no_findings, rust_files};

/// Each line `| G<n> | ... | test names in backticks |` of THREAT_MODEL.md.
#[test]
fn each_guarantee_names_tests_that_exist() {
    let all = files();
    let threat_model = document(&all, "THREAT_MODEL.md");
    let sources = rust_files();
    let mut findings = Vec::new();
    let mut guarantees = 0;
    for line in threat_model.text.lines().filter(|line| line.starts_with("| G")) {
        guarantees += 1;
        let proofs = line.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap();
        let names: Vec<&str> = proofs.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            findings.push(format!("no test: {line}"));
        }
        for name in names {
            let function = format!("fn {}(", name.rsplit("::").next().unwrap());
            if !sources.iter().any(|file| file.text.contains(&function)) {
                findings.push(format!("no such test: {name}"));
            }
        }
    }
    assert!(
        guarantees >= 10,
        "THREAT_MODEL.md has only {guarantees} guarantees"
    );
    no_findings("guarantees and their tests", &findings);
}

#[test]
fn the_readme_has_its_two_commands() {
    let all = files();
    let readme = document(&all, "README.md");
    for command in ["cargo demo", "cargo test --workspace"] {
        assert!(readme.text.contains(command), "README.md lacks `{command}`");
    }
}

#[test]
fn each_vector_says_where_it_comes_from() {
    let all = files();
    let readme = document(&all, "tests/vectors/README.md");
    let findings: Vec<String> = all
        .iter()
        .filter_map(|file| file.path.strip_prefix("tests/vectors/"))
        .filter(|name| *name != "README.md" && !readme.text.contains(&format!("`{name}`")))
        .map(str::to_owned)
        .collect();
    no_findings(
        "a file that tests/vectors/README.md does not account for",
        &findings,
    );
}

#[test]
fn documents_link_to_files_that_exist() {
    let all = files();
    let mut findings = Vec::new();
    for file in all.iter().filter(|file| file.path.ends_with(".md")) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in links(&file.text) {
            let target = anchorhold_tests::tree::root().join(folder).join(link);
            if !target.exists() {
                findings.push(format!("{}: {link}", file.path));
            }
        }
    }
    no_findings("broken links", &findings);
}

/// Targets of `](target)` that are files, without anchors.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| {
        let target = rest.split([')', '#', ' ']).next()?;
        let is_file = !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:");
        is_file.then_some(target)
    })
}

fn document<'a>(files: &'a [File], path: &str) -> &'a File {
    files
        .iter()
        .find(|file| file.path == path)
        .unwrap_or_else(|| panic!("{path} is missing"))
}

/// The lock names each file; where the data is at hand, it is that file to the byte.
#[test]
fn test_data_is_what_the_lock_says() {
    let Some(folder) = anchorhold_tests::testdata::folder() else {
        return anchorhold_tests::testdata::skip(
            "test_data_is_what_the_lock_says",
            "no ../shared and no ANCHORHOLD_TESTDATA",
        );
    };
    let all = files();
    let lock: toml::Table = document(&all, "tests/testdata.lock")
        .text
        .parse()
        .expect("the lock is TOML");
    let mut findings = Vec::new();
    let mut compared = 0;
    for file in lock["file"].as_array().unwrap() {
        for key in ["path", "sha256", "repository", "commit", "source"] {
            assert!(
                file[key].as_str().is_some_and(|text| !text.is_empty()),
                "{key} is missing: {file}"
            );
        }
        let path = folder.join(file["path"].as_str().unwrap());
        let Ok(bytes) = std::fs::read(&path) else { continue };
        compared += 1;
        if anchorhold_encoding::sha256(&[&bytes]).to_string() != file["sha256"].as_str().unwrap() {
            findings.push(format!("{} is another file than the lock says", file["path"]));
        }
    }
    assert!(
        compared > 0,
        "none of the files in the lock is in {}",
        folder.display()
    );
    no_findings("test data and its lock", &findings);
}

/// The list of targets decides; the page says the same, to the bound.
#[test]
fn each_fuzz_target_has_its_line_in_the_documentation() {
    let all = files();
    let (targets, page) = (
        document(&all, "fuzz/src/targets.rs"),
        document(&all, "docs/fuzzing.md"),
    );
    let mut findings = Vec::new();
    let mut known = 0;
    for line in targets.text.lines() {
        let Some(fields) = line.trim().strip_prefix("Target::new(\"") else {
            continue;
        };
        let fields: Vec<&str> = fields.trim_end_matches("),").split(", ").collect();
        let [name, _, longest, constant, each] = fields[..] else {
            panic!("a target in another form: {line}");
        };
        known += 1;
        let start = format!("| `{} |", name.replace('"', "`"));
        let end = format!("| {longest} | {constant} | {each} |");
        if !page
            .text
            .lines()
            .any(|row| row.starts_with(&start) && row.ends_with(&end))
        {
            findings.push(format!("{start} ... {end}"));
        }
    }
    assert!(known >= 25, "only {known} targets are found");
    no_findings(
        "a target of fuzz/ that docs/fuzzing.md does not have so",
        &findings,
    );
}

/// `tdx-quote` is AGPL: an oracle of one crate's tests, below nothing that is built to run.
#[test]
fn the_agpl_oracle_is_for_tests_alone() {
    let mut findings = Vec::new();
    for file in files()
        .into_iter()
        .filter(|file| file.path.ends_with("Cargo.toml"))
    {
        let mut section = "";
        for line in file.text.lines() {
            if line.starts_with('[') {
                section = line;
            }
            let allowed = ["[dev-dependencies]", "[workspace.dependencies]"].contains(&section);
            if line.starts_with("tdx-quote") && !allowed {
                findings.push(format!("{}: {section} {line}", file.path));
            }
        }
    }
    no_findings("tdx-quote outside of development dependencies", &findings);
}
