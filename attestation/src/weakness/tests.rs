//! Each row refuses exactly below its levels; the page says what the table says.

use std::collections::BTreeSet;

use super::*;
use crate::denial::Verdict;

const ALL: Tcb = Tcb {
    fmc: Some(255),
    boot_loader: 255,
    tee: 255,
    snp: 255,
    microcode: 255,
};

fn machine<'a>(part: Part, tcbs: [&'a Tcb; 3], mitigations: u64, naming: Naming) -> Machine<'a> {
    Machine {
        parts: vec![part],
        tcbs,
        mitigations,
        naming,
    }
}

fn accepting(ids: &[&str]) -> AcceptedWeaknesses {
    let ids: Vec<_> = ids.iter().map(|id| (*id).to_owned()).collect();
    ids.try_into().unwrap()
}

/// Rules that refuse, with what they expected.
fn refusals(accepted: &AcceptedWeaknesses, machine: &Machine<'_>) -> Vec<(RuleId, String)> {
    let mut rules = Rules::new();
    judge(&mut rules, accepted, machine);
    rules.finish().map_or_else(
        |denial| {
            let reasons = denial.reasons().iter();
            reasons
                .map(|reason| (reason.rule, reason.expected.clone()))
                .collect()
        },
        |_| Vec::new(),
    )
}

fn with(component: Component, level: u8) -> Tcb {
    let mut tcb = ALL;
    match component {
        Component::Fmc => tcb.fmc = Some(level),
        Component::BootLoader => tcb.boot_loader = level,
        Component::Tee => tcb.tee = level,
        Component::Snp => tcb.snp = level,
        Component::Microcode => tcb.microcode = level,
    }
    tcb
}

#[test]
fn a_listed_chip_at_the_newest_levels_passes() {
    for part in Part::ALL {
        let newest = machine(*part, [&ALL; 3], u64::MAX, Naming::Listed);
        assert_eq!(refusals(&AcceptedWeaknesses::default(), &newest), [], "{part}");
    }
}

#[test]
fn each_level_refuses_below_it_in_each_tcb() {
    let mut seen = 0;
    for row in known_weaknesses() {
        for demand in row.demands {
            let Demand::Level(parts, component, minimum) = *demand else {
                continue;
            };
            let (at, below) = (with(component, minimum), with(component, minimum - 1));
            for part in parts {
                let wanted = format!("{} fixed: {} {minimum}", row.id, component.name());
                let found = |tcbs| {
                    let machine = machine(*part, tcbs, u64::MAX, Naming::Listed);
                    refusals(&AcceptedWeaknesses::default(), &machine)
                        .into_iter()
                        .inspect(|(rule, _)| assert_eq!(*rule, RuleId::KnownWeakness))
                        .map(|(_, expected)| expected)
                        .filter(|expected| expected.starts_with(&format!("{} ", row.id)))
                        .collect::<Vec<_>>()
                };
                assert_eq!(found([&at; 3]), Vec::<String>::new());
                for tcbs in [[&below, &ALL, &ALL], [&ALL, &below, &ALL], [&ALL, &ALL, &below]] {
                    assert_eq!(found(tcbs), std::slice::from_ref(&wanted));
                }
                let named = |other: &Part| {
                    row.demands.iter().any(|demand| {
                        matches!(demand, Demand::Level(parts, of, _) if *of == component && parts.contains(other))
                    })
                };
                for other in Part::ALL.iter().filter(|other| !named(other)) {
                    let elsewhere = machine(*other, [&below; 3], u64::MAX, Naming::Listed);
                    let row_level = |(_, expected): &(_, String)| *expected == wanted;
                    assert!(
                        !refusals(&AcceptedWeaknesses::default(), &elsewhere)
                            .iter()
                            .any(row_level)
                    );
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 20);
}

#[test]
fn a_mitigation_that_is_off_refuses() {
    let found = |mitigations| {
        let machine = machine(Part::Milan, [&ALL; 3], mitigations, Naming::Listed);
        refusals(&AcceptedWeaknesses::default(), &machine)
    };
    assert_eq!(found(1 << 1 | 1 << 2 | 1 << 4), []);
    let reason = |id: &str, bit: u32| {
        let expected = format!("{id} fixed: mitigation {bit} at launch and now");
        (RuleId::KnownWeakness, expected)
    };
    assert_eq!(found(1 << 2 | 1 << 4), [reason("CVE-2025-0033", 1)]);
    assert_eq!(found(1 << 1 | 1 << 4), [reason("CVE-2023-20585", 2)]);
    assert_eq!(found(1 << 1 | 1 << 2), [reason("CVE-2025-61971", 4)]);
}

#[test]
fn a_weakness_without_a_fix_wants_the_chip_by_number() {
    for row in known_weaknesses() {
        for part in Part::ALL {
            let affected = row.by_chip.contains(&Affected::Amd(*part));
            let reason = (
                RuleId::KnownWeaknessChip,
                format!("{}: a chip the policy lists", row.id),
            );
            for naming in [Naming::NotListed, Naming::Nameless] {
                let machine = machine(*part, [&ALL; 3], u64::MAX, naming);
                let found = refusals(&AcceptedWeaknesses::default(), &machine);
                assert_eq!(found.contains(&reason), affected, "{} {part}", row.id);
                let accepted = refusals(&accepting(&[row.id]), &machine);
                assert!(!accepted.contains(&reason));
            }
        }
    }
    // No line of chips is without one, so `any_chip_of` alone is never enough.
    for part in Part::ALL {
        let affected = |row: &Weakness| row.by_chip.contains(&Affected::Amd(*part));
        assert!(known_weaknesses().iter().any(affected), "{part}");
    }
}

#[test]
fn a_provider_key_says_that_it_names_no_chip() {
    let mut rules = Rules::new();
    let nameless = machine(Part::Milan, [&ALL; 3], u64::MAX, Naming::Nameless);
    judge(&mut rules, &AcceptedWeaknesses::default(), &nameless);
    let denial = rules.finish().unwrap_err();
    assert!(denial.reasons().iter().all(|reason| reason.found
        == "a key of a provider (VLEK) signed, which names no chip that could be listed"));
}

#[test]
fn intel_machines_are_named_too() {
    let found = |ids: &[&str], naming| {
        let mut rules = Rules::new();
        judge_intel(&mut rules, &accepting(ids), naming);
        rules.finish()
    };
    let denial = found(&[], Naming::NotListed).unwrap_err();
    let expected: Vec<_> = denial.reasons().iter().map(|reason| &reason.expected).collect();
    assert_eq!(expected, ["tee.fail: a chip the policy lists"]);
    assert_eq!(found(&[], Naming::Listed).unwrap()[0].verdict, Verdict::Holds);
    let accepted = found(&["tee.fail"], Naming::NotListed).unwrap();
    assert_eq!(accepted[0].verdict, Verdict::DangerouslyAccepted);
}

#[test]
fn a_row_is_accepted_by_its_id_alone() {
    let old = with(Component::Microcode, 0);
    let machine = machine(Part::Milan, [&old; 3], u64::MAX, Naming::Listed);
    let ids = |accepted: &[&str]| -> BTreeSet<String> {
        refusals(&accepting(accepted), &machine)
            .into_iter()
            .map(|(_, expected)| expected.split(' ').next().unwrap().to_owned())
            .collect()
    };
    let both = ["CVE-2023-20592", "CVE-2024-56161"];
    assert_eq!(ids(&[]), both.map(str::to_owned).into());
    assert_eq!(
        ids(&both[..1]),
        both[1..].iter().map(|id| (*id).to_owned()).collect()
    );
    assert_eq!(ids(&both), BTreeSet::new());
    for unknown in ["CVE-2024-56162", "cve-2024-56161", "", "all"] {
        let ids = vec![unknown.to_owned()];
        assert_eq!(AcceptedWeaknesses::try_from(ids), Err(UnknownWeakness));
    }
}

#[test]
fn rows_are_dated_cited_and_unique() {
    let rows = known_weaknesses();
    let dated = |date: &str| {
        let form: Vec<_> = date.split('-').map(str::len).collect();
        let digits = date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        digits && (form == [4, 2, 2] || form == [4, 2])
    };
    for row in rows {
        let continuously = row.demands == [Demand::Collateral] && row.published == "continuously";
        assert!(
            continuously || dated(row.published) && row.published <= row.checked,
            "{}",
            row.id
        );
        assert!(dated(row.checked) && row.checked.len() == 10, "{}", row.id);
        assert!(!row.source.is_empty() && !row.title.is_empty());
        assert!(!(row.demands.is_empty() && row.by_chip.is_empty()), "{}", row.id);
    }
    assert!(rows.is_sorted_by_key(|row| row.published));
    let ids: BTreeSet<_> = rows.iter().map(|row| row.id).collect();
    assert_eq!(ids.len(), rows.len());
}

fn names<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

/// A row as the page has it.
fn line(row: &Weakness) -> String {
    let demands = row.demands.iter().map(|demand| match demand {
        Demand::Level(parts, component, level) => {
            let parts = names(parts.iter().map(|part| part.name()));
            format!("{parts}: {} {level:#04x}", component.name())
        }
        Demand::Mitigation(parts, bit) => {
            let parts = names(parts.iter().map(|part| part.name()));
            format!("{parts}: mitigation {bit}")
        }
        Demand::Rule(rule) => format!("rule `{rule}`"),
        Demand::Collateral => "with each quote, by its collateral".to_owned(),
    });
    let chips = names(row.by_chip.iter().map(|affected| match affected {
        Affected::Amd(part) => part.name(),
        Affected::IntelTdx => "intel-tdx",
    }));
    format!(
        "| `{}` | {} | {} | {} | {} | {} | {} |",
        row.id,
        row.title,
        row.published,
        demands.collect::<Vec<_>>().join("; "),
        chips,
        row.source,
        row.checked
    )
}

#[test]
fn the_page_has_the_table() {
    let page = include_str!("../../../docs/known-weaknesses.md");
    let found: Vec<_> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let rows: Vec<_> = known_weaknesses().iter().map(line).collect();
    assert_eq!(found.join("\n"), rows.join("\n"));
}
