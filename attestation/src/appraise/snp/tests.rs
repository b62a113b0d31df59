//! Each rule alone: a report that satisfies a strict policy, one change, exactly that rule.

use super::*;
use crate::denial::{Denial, Verdict};
use crate::policy::snp::Section;
use crate::snp::fake::{Fake, integer};
use crate::snp::tests::real;
use crate::weakness::{self, AcceptedWeaknesses, Machine, Naming};

const STRICT: &str = "smt = 'off'\n";
const FLOORS: &str = "[minimum_tcb.milan]\nboot_loader = 4\ntee = 1\nsnp = 23\nmicrocode = 213\n\
     [minimum_tcb.genoa]\nboot_loader = 4\ntee = 1\nsnp = 23\nmicrocode = 213\n\
     [minimum_tcb.turin]\nfmc = 1\nboot_loader = 4\ntee = 1\nsnp = 23\nmicrocode = 213\n";

// Places of the TCB versions.
const CURRENT: usize = 0x38;
const REPORTED: usize = 0x180;
const COMMITTED: usize = 0x1e0;
const LAUNCH: usize = 0x1f0;

fn policy(text: &str) -> SnpPolicy {
    toml::from_str::<Section>(text).unwrap().policy().unwrap()
}

/// As a strict policy wants it.
fn scene(product: Product) -> Fake {
    let mut fake = Fake::vcek(product);
    tighten(&mut fake);
    fake
}

fn tighten(fake: &mut Fake) {
    let protections = if fake.product == Product::Turin {
        7 << 23
    } else {
        1 << 25
    };
    fake.report[4] = 0;
    fake.report[8..16].copy_from_slice(&(0x0002_001f_u64 | protections).to_le_bytes());
    fake.report[0x10..0x30].fill(0);
    fake.report[0x40] = 0x24;
    fake.report[0xe0..0x140].fill(0);
    fake.report.copy_within(0x1e8..0x1ec, 0x1ec);
}

fn judged(fake: &Fake, text: &str) -> Result<Vec<RuleId>, Denial> {
    let mut rules = Rules::new();
    judge(&mut rules, &policy(text), &fake.verify().unwrap());
    let accepted = |verdict| verdict == Verdict::DangerouslyAccepted;
    rules.finish().map(|checks| {
        checks
            .iter()
            .filter(|check| accepted(check.verdict))
            .map(|check| check.rule)
            .collect()
    })
}

fn refused_by(denial: &Denial) -> Vec<RuleId> {
    denial.reasons().iter().map(|reason| reason.rule).collect()
}

/// Refused by this rule alone, and accepted with these lines: dangerously, if they say so.
fn refuses(fake: &Fake, rule: RuleId, accepting: &str) {
    let denial = judged(fake, &format!("{STRICT}{FLOORS}")).expect_err("must be refused");
    assert_eq!(refused_by(&denial), [rule]);
    let accepted = judged(fake, &format!("{STRICT}{accepting}\n{FLOORS}"));
    let dangerously: &[RuleId] = if accepting.contains("dangerously") {
        &[rule]
    } else {
        &[]
    };
    assert_eq!(accepted.as_deref(), Ok(dangerously), "{rule} {accepting}");
}

fn changed(product: Product, change: impl FnOnce(&mut Fake)) -> Fake {
    let mut fake = scene(product);
    change(&mut fake);
    fake
}

#[test]
fn a_strict_machine_satisfies_a_strict_policy() {
    let strict = judged(&scene(Product::Milan), &format!("{STRICT}{FLOORS}"));
    assert_eq!(strict, Ok(Vec::new()));
    for product in Product::ALL {
        assert_eq!(judged(&scene(product), STRICT), Ok(Vec::new()), "{product}");
    }
}

#[test]
fn every_rule_is_judged_in_order() {
    let mut rules = Rules::new();
    let report = scene(Product::Turin).verify().unwrap();
    judge(&mut rules, &policy(STRICT), &report);
    let judged: Vec<_> = rules.finish().unwrap().iter().map(|check| check.rule).collect();
    assert!(judged.is_sorted(), "policy order");
    let of_snp: Vec<_> = RuleId::ALL
        .iter()
        .copied()
        .filter(|rule| rule.name().starts_with("snp-"))
        .collect();
    assert_eq!(judged, of_snp);
}

#[test]
fn signer_and_revocation() {
    let mut fake = Fake::vlek(Product::Milan);
    tighten(&mut fake);
    refuses(
        &fake,
        RuleId::SnpSigner,
        "vlek_providers = ['CN=cc-test.example']",
    );
    let denial = judged(&fake, &format!("{STRICT}vlek_providers = ['CN=other.example']"));
    assert_eq!(refused_by(&denial.unwrap_err()), [RuleId::SnpSigner]);

    let fake = changed(Product::Milan, |fake| fake.crl = None);
    refuses(
        &fake,
        RuleId::SnpRevocation,
        "dangerously_accept_unchecked_revocation = true",
    );
}

#[test]
fn floors_hold_for_each_component_of_each_tcb() {
    for (place, oid) in [(0, "3.1"), (1, "3.2"), (6, "3.3"), (7, "3.8")] {
        let low = |places: &[usize]| {
            changed(Product::Milan, |fake| {
                for tcb in places {
                    fake.report[tcb + place] -= 1;
                }
            })
        };
        let floors = format!("{STRICT}{FLOORS}");
        let by = |fake: &Fake| refused_by(&judged(fake, &floors).unwrap_err());
        let mut reported = low(&[REPORTED]);
        reported.state(oid, integer(reported.report[REPORTED + place]));
        assert_eq!(by(&reported), [RuleId::SnpReportedTcb]);
        assert_eq!(by(&low(&[CURRENT, COMMITTED])), [RuleId::SnpCommittedTcb]);
        assert_eq!(by(&low(&[LAUNCH])), [RuleId::SnpLaunchTcb]);
        // Without a table nothing here is too old.
        assert_eq!(judged(&low(&[LAUNCH]), STRICT), Ok(Vec::new()));
    }
}

#[test]
fn floors_are_for_one_kind_of_silicon() {
    let floor = |part: &str, fmc: &str, microcode: u8| {
        format!(
            "{STRICT}[minimum_tcb.{part}]\n{fmc}boot_loader = 4\ntee = 1\nsnp = 23\nmicrocode = {microcode}\n"
        )
    };
    let all = [
        RuleId::SnpReportedTcb,
        RuleId::SnpCommittedTcb,
        RuleId::SnpLaunchTcb,
    ];
    let genoa_x = floor("genoa-x", "", 214);
    // A machine of a kind without a floor must not pass for want of one.
    assert_eq!(
        refused_by(&judged(&scene(Product::Genoa), &genoa_x).unwrap_err()),
        all
    );
    let both = format!("{genoa_x}[minimum_tcb.genoa]\nboot_loader = 4\ntee = 1\nsnp = 23\nmicrocode = 213\n");
    assert_eq!(judged(&scene(Product::Genoa), &both), Ok(Vec::new()));
    let unknown = changed(Product::Genoa, |fake| fake.report[0x18a] = 7);
    assert_eq!(refused_by(&judged(&unknown, &genoa_x).unwrap_err()), all);
    let turin = |fmc: u8| floor("turin", &format!("fmc = {fmc}\n"), 213);
    assert_eq!(judged(&scene(Product::Turin), &turin(1)), Ok(Vec::new()));
    assert_eq!(
        refused_by(&judged(&scene(Product::Turin), &turin(2)).unwrap_err()),
        all
    );
}

#[test]
fn what_runs_is_committed() {
    for place in [CURRENT, CURRENT + 7, 0x1e8, 0x1e9, 0x1ea] {
        let fake = changed(Product::Milan, |fake| fake.report[place] += 1);
        refuses(
            &fake,
            RuleId::SnpFirmware,
            "dangerously_accept_provisional_firmware = true",
        );
    }
}

#[test]
fn bits_of_the_guest_policy() {
    for (product, bit, rule, key) in [
        (Product::Milan, 18, RuleId::SnpMigration, "migration = true"),
        (Product::Milan, 21, RuleId::SnpCxl, "cxl = true"),
        (Product::Turin, 23, RuleId::SnpRapl, "rapl = true"),
        (
            Product::Turin,
            24,
            RuleId::SnpCiphertextHiding,
            "visible_ciphertext = true",
        ),
        (Product::Turin, 25, RuleId::SnpPageSwap, "page_swap = true"),
        (Product::Milan, 25, RuleId::SnpPageSwap, "page_swap = true"),
        (Product::Milan, 26, RuleId::SnpPolicyBits, "policy_bits = [26]"),
        (Product::Genoa, 63, RuleId::SnpPolicyBits, "policy_bits = [1, 63]"),
    ] {
        let fake = changed(product, |fake| fake.report[8 + bit / 8] ^= 1 << (bit % 8));
        refuses(&fake, rule, &format!("dangerously_accept_{key}"));
    }
    // Others are for pins.
    for bit in [20, 22, 23, 24] {
        let fake = changed(Product::Milan, |fake| fake.report[8 + bit / 8] ^= 1 << (bit % 8));
        assert_eq!(judged(&fake, STRICT), Ok(Vec::new()), "bit {bit}");
    }
    // An accepted bit is not another.
    let fake = changed(Product::Milan, |fake| fake.report[11] ^= 1 << 2);
    let other = judged(&fake, &format!("{STRICT}dangerously_accept_policy_bits = [27]"));
    assert_eq!(refused_by(&other.unwrap_err()), [RuleId::SnpPolicyBits]);
}

#[test]
fn multithreading_is_as_named() {
    let machine = |allowed: bool, enabled: bool| {
        changed(Product::Milan, |fake| {
            fake.report[10] |= u8::from(allowed);
            fake.report[0x40] |= u8::from(enabled);
        })
    };
    for (named, passes) in [
        ("off", [true, false, false, false]),
        ("off-by-host", [true, true, false, false]),
        ("on", [true; 4]),
    ] {
        let machines = [(false, false), (true, false), (false, true), (true, true)];
        for ((allowed, enabled), passes) in machines.into_iter().zip(passes) {
            match judged(&machine(allowed, enabled), &format!("smt = '{named}'")) {
                Ok(_) => assert!(passes, "{named} {allowed} {enabled}"),
                Err(denial) => assert_eq!((refused_by(&denial), passes), (vec![RuleId::SnpSmt], false)),
            }
        }
    }
}

#[test]
fn bits_of_the_platform() {
    let fake = changed(Product::Milan, |fake| fake.report[0x40] ^= 1 << 5);
    refuses(
        &fake,
        RuleId::SnpAliasCheck,
        "dangerously_accept_unchecked_aliases = true",
    );
    let fake = changed(Product::Turin, |fake| fake.report[0x40] = 0x66);
    let denial = judged(&fake, STRICT).unwrap_err();
    assert_eq!(refused_by(&denial), [RuleId::SnpPlatformBits]);
    assert_eq!(denial.reasons()[0].found, "0x40");
    refuses(
        &fake,
        RuleId::SnpPlatformBits,
        "dangerously_accept_platform_bits = [6]",
    );
    let more = changed(Product::Turin, |fake| fake.report[0x41] = 1);
    let other = judged(&more, &format!("{STRICT}dangerously_accept_platform_bits = [6]"));
    assert_eq!(refused_by(&other.unwrap_err()), [RuleId::SnpPlatformBits]);
    // Others are for pins.
    for bit in [1, 2, 3, 4, 7] {
        let fake = changed(Product::Milan, |fake| fake.report[0x40] ^= 1 << bit);
        assert_eq!(judged(&fake, STRICT), Ok(Vec::new()), "bit {bit}");
    }
}

#[test]
fn whose_guest_it_is() {
    let vmpl = changed(Product::Milan, |fake| fake.report[0x30] = 1);
    refuses(&vmpl, RuleId::SnpVmpl, "vmpl = [1, 2]");

    let (key, id) = ("a6".repeat(48), "a1".repeat(16));
    let family = changed(Product::Milan, |fake| fake.report[0x10..0x20].fill(0xa1));
    refuses(&family, RuleId::SnpFamilyId, &format!("family_ids = ['{id}']"));
    let image = changed(Product::Milan, |fake| fake.report[0x20..0x30].fill(0xa1));
    refuses(&image, RuleId::SnpImageId, &format!("image_ids = ['{id}']"));

    let id_key = changed(Product::Milan, |fake| fake.report[0xe0..0x110].fill(0xa6));
    let listed = format!("id_keys = ['{key}']\nminimum_guest_svn = 0");
    refuses(&id_key, RuleId::SnpIdKey, &listed);
    let author = |enabled: u8| {
        changed(Product::Milan, |fake| {
            fake.report[0x48] |= enabled;
            fake.report[0x110..0x140].fill(0xa6);
        })
    };
    let listed = format!("author_keys = ['{key}']");
    refuses(&author(1), RuleId::SnpAuthorKey, &listed);
    // A digest without the flag, and the flag without a digest.
    let text = format!("{STRICT}{listed}");
    assert_eq!(
        refused_by(&judged(&author(0), &text).unwrap_err()),
        [RuleId::SnpAuthorKey]
    );
    let flag = changed(Product::Milan, |fake| fake.report[0x48] |= 1);
    assert_eq!(
        refused_by(&judged(&flag, STRICT).unwrap_err()),
        [RuleId::SnpAuthorKey]
    );
}

#[test]
fn security_versions_are_those_of_a_listed_key() {
    let key = "a6".repeat(48);
    let guest = |svn: u8| {
        changed(Product::Milan, |fake| {
            fake.report[4] = svn;
            fake.report[0xe0..0x110].fill(0xa6);
        })
    };
    let text = format!("{STRICT}id_keys = ['{key}']\nminimum_guest_svn = 7");
    assert_eq!(judged(&guest(7), &text), Ok(Vec::new()));
    assert_eq!(judged(&guest(8), &text), Ok(Vec::new()));
    assert_eq!(
        refused_by(&judged(&guest(6), &text).unwrap_err()),
        [RuleId::SnpGuestSvn]
    );
    // Without an ID block nothing can have set it.
    let fake = changed(Product::Milan, |fake| fake.report[4] = 1);
    assert_eq!(
        refused_by(&judged(&fake, STRICT).unwrap_err()),
        [RuleId::SnpGuestSvn]
    );
}

#[test]
fn mitigations_are_on_at_launch_and_now() {
    // The fake machine has 1 at launch and 3 now.
    let text = |bits: &str| format!("{STRICT}mitigations = [{bits}]");
    assert_eq!(judged(&scene(Product::Milan), &text("0")), Ok(Vec::new()));
    for bits in ["1", "0, 1", "2"] {
        let denial = judged(&scene(Product::Milan), &text(bits)).unwrap_err();
        assert_eq!(refused_by(&denial), [RuleId::SnpMitigations], "{bits}");
    }
    let older = changed(Product::Milan, |fake| {
        fake.report[0] = 4;
        fake.report[0x1f8..0x208].fill(0);
    });
    assert_eq!(judged(&older, STRICT), Ok(Vec::new()));
    assert_eq!(
        refused_by(&judged(&older, &text("0")).unwrap_err()),
        [RuleId::SnpMitigations]
    );
}

/// What refuses each real report, under the strictest policy that names SMT, with every chip listed.
#[test]
fn real_reports_under_the_strictest_policy() {
    const NAME: &str = "appraise::snp::real_reports_under_the_strictest_policy";
    let Some(reports) = real::proven(NAME) else { return };
    let mut table = Vec::new();
    for (folder, report) in &reports {
        let mut rules = Rules::new();
        judge(&mut rules, &policy("smt = 'on'"), report);
        weakness::judge(
            &mut rules,
            &AcceptedWeaknesses::default(),
            &Machine::of(report, Naming::Listed),
        );
        let mut names: Vec<_> = refused_by(&rules.finish().unwrap_err())
            .iter()
            .map(|rule| rule.name())
            .collect();
        names.dedup();
        table.push(format!("{folder}: {}", names.join(" ")));
    }
    // A real firmware of 2026 or older has published weaknesses; the debug guest is for the rule all platforms share.
    let expected = [
        "milan-v2-gosevguest: snp-revocation snp-page-swap snp-alias-check known-weakness",
        "milan-v2-virtee: snp-revocation snp-page-swap snp-alias-check known-weakness",
        "milan-v2-trustee: snp-revocation snp-firmware snp-page-swap snp-alias-check snp-guest-svn snp-id-key \
         snp-family-id snp-image-id known-weakness",
        "milan-v3-vlek-aws: snp-signer snp-revocation snp-firmware snp-page-swap snp-vmpl known-weakness",
        "genoa-v3-azure: snp-revocation snp-page-swap snp-guest-svn snp-id-key snp-family-id snp-image-id \
         known-weakness",
        "milan-v3-azure: snp-revocation snp-page-swap snp-guest-svn snp-id-key snp-family-id snp-image-id \
         known-weakness",
        "milan-v3-dstack: snp-revocation snp-page-swap known-weakness",
        "milan-v3-oak: snp-revocation snp-page-swap known-weakness",
        "genoa-v5-oak: snp-revocation snp-page-swap known-weakness",
        "turin-v5-oak: snp-revocation snp-rapl snp-ciphertext-hiding snp-page-swap snp-platform-bits known-weakness",
    ];
    assert_eq!(table, expected);
}

#[test]
fn a_floor_above_the_reported_level_refuses_a_real_report() {
    const NAME: &str = "appraise::snp::a_floor_above_the_reported_level_refuses_a_real_report";
    let Some(reports) = real::proven(NAME) else { return };
    let (_, report) = reports
        .iter()
        .find(|(folder, _)| *folder == "milan-v3-dstack")
        .unwrap();
    let by = |snp: u8| {
        let text = format!(
            "smt = 'on'\n[minimum_tcb.milan]\nboot_loader = 4\ntee = 0\nsnp = {snp}\nmicrocode = 213\n"
        );
        let mut rules = Rules::new();
        judge(&mut rules, &policy(&text), report);
        refused_by(&rules.finish().unwrap_err())
    };
    // Current and committed are 24, the host reports 23.
    assert!(!by(23).contains(&RuleId::SnpReportedTcb));
    let at_24 = by(24);
    assert!(at_24.contains(&RuleId::SnpReportedTcb));
    assert!(!at_24.contains(&RuleId::SnpCommittedTcb));
}
