//! Profiles are readable, give a reason for each line, and never win over a policy.

use super::*;
use crate::policy::azure::{AzurePolicy, AzureSection};
use crate::policy::nvidia::{NvidiaPolicy, NvidiaSection};
use crate::policy::tdx::{TdxPolicy, TdxSection};

fn completed(profile: Profile, policy: &str) -> Table {
    let mut table: Table = toml::from_str(policy).unwrap();
    profile.complete(&mut table);
    table
}

#[test]
fn each_setting_of_a_profile_has_its_reason_above_it() {
    for profile in Profile::ALL {
        let text = profile.text();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with(&format!("# Profile \"{}\"", profile.name())));
        for (number, line) in lines.iter().enumerate() {
            let setting = !line.is_empty() && !line.starts_with(['#', '[']);
            if setting {
                let above = lines[number - 1];
                let reason = above.starts_with("# ") && above.ends_with('.') && above.len() > 20;
                assert!(reason, "{}: {line}", profile.name());
            }
        }
        let settings: usize = profile
            .defaults()
            .values()
            .map(|section| section.as_table().unwrap().len())
            .sum();
        let reasons = lines.iter().filter(|line| line.contains(" = ")).count();
        assert_eq!(settings, reasons, "a setting takes one line");
    }
}

#[test]
fn the_strict_profile_gives_nothing() {
    assert!(Profile::Strict.defaults().is_empty());
    assert_eq!(Profile::default(), Profile::Strict);
}

#[test]
fn a_profile_completes_the_sections_that_are_there_and_adds_none() {
    let table = completed(Profile::Azure, "version = 1\n[tdx]\n");
    assert!(!table.contains_key("azure") && !table.contains_key("snp"));
    assert_eq!(table["tdx"]["smt"].as_str(), Some("dangerously-accepted"));
    let own = completed(
        Profile::Azure,
        "[tdx]\nsmt = \"refused\"\nxfam_at_most = [\"x87\"]\n[azure]\ndangerously_accept_console = false\n",
    );
    assert_eq!(own["tdx"]["smt"].as_str(), Some("refused"));
    assert_eq!(own["tdx"]["xfam_at_most"].as_array().map(Vec::len), Some(1));
    assert_eq!(own["tdx"]["cached_keys"].as_str(), Some("dangerously-accepted"));
    assert_eq!(own["azure"]["dangerously_accept_console"].as_bool(), Some(false));
}

#[test]
fn tables_inside_sections_are_completed_too() {
    let mut own: Table = toml::from_str("[a.b]\nx = 1\n").unwrap();
    let given: Table = toml::from_str("[a]\ny = 2\n[a.b]\nx = 3\nz = 4\n").unwrap();
    fill(&mut own, &given);
    let expected: Table = toml::from_str("[a]\ny = 2\n[a.b]\nx = 1\nz = 4\n").unwrap();
    assert_eq!(own, expected);
}

/// With the few keys that no profile can know, each profile's sections are whole.
#[test]
fn each_profile_makes_policies() {
    let tdx = "minimum_tcb_evaluation = 17\nruntime_register = \"zero\"\n";
    let azure = "any_vm = true\nroot_thumbprint = [\"none\"]\n";
    for profile in Profile::ALL {
        let table = completed(profile, &format!("[snp]\n[tdx]\n{tdx}[azure]\n{azure}[nvidia]\n"));
        let section = |name: &str| table[name].clone();
        let snp = section("snp").try_into::<crate::policy::snp::Section>();
        let snp = snp.unwrap().policy();
        assert_eq!(
            snp.is_ok(),
            profile != Profile::Strict,
            "{}: smt has no strict value",
            profile.name()
        );
        let tdx = TdxPolicy::new(section("tdx").try_into::<TdxSection>().unwrap(), false, &[]);
        let has_tdx = matches!(profile, Profile::Azure | Profile::Google);
        assert_eq!(tdx.is_ok(), has_tdx, "{}", profile.name());
        let azure = section("azure").try_into::<AzureSection>().unwrap();
        assert_eq!(
            AzurePolicy::new(azure).unwrap().accept_console,
            profile == Profile::Azure
        );
        let nvidia = section("nvidia").try_into::<NvidiaSection>().unwrap();
        assert_eq!(NvidiaPolicy::new(nvidia).unwrap().gpus, 0);
    }
    let table = completed(Profile::Google, "[tdx]\nminimum_tcb_evaluation = 17\n");
    let section: TdxSection = table["tdx"].clone().try_into().unwrap();
    let error = TdxPolicy::new(section, false, &[]).unwrap_err();
    assert_eq!(
        error,
        crate::PolicyError::Missing("config_sha384"),
        "the configuration is never left out unnoticed"
    );
}
