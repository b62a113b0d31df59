//! Known weaknesses of hardware: a dated table, and what it makes an appraisal demand.
//!
//! Why apart: "strict" must have numbers, the numbers age, and whoever updates them should touch nothing else.
//!
//! # Invariants
//! Every row names its source and the day it was last compared with it. A level is never guessed: where the source
//! gives none that evidence can show, the row counts as without a fix. A weakness without a fix is a matter of where
//! the chip stands, so the policy must name the chip.

use std::fmt;

use serde::Deserialize;

use crate::denial::{RuleId, Rules};
use crate::snp::{Component, Part, Report, Tcb, VerifiedReport};

mod table;

pub use table::known_weaknesses;

/// One published weakness.
#[derive(Debug, PartialEq, Eq)]
pub struct Weakness {
    /// Its CVE, or the name of the paper in lower case: what `dangerously_accept_weakness` names.
    pub id: &'static str,
    /// What it is called, and what it breaks.
    pub title: &'static str,
    /// When it was published: year, month, and day if known; "continuously" for what comes with Intel's collateral.
    pub published: &'static str,
    /// When this row was last compared with its sources: year, month, day.
    pub checked: &'static str,
    /// The vendor's bulletin, the paper, and where the levels were read.
    pub source: &'static str,
    /// What evidence must show; all of them that are for the processor.
    pub demands: &'static [Demand],
    /// Processors on which no fix exists, or none that evidence can show: the chip must be named.
    pub by_chip: &'static [Affected],
}

/// Levels at which a weakness is fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// A component of the TCB at least this new: reported, committed and at launch.
    Level(&'static [Part], Component, u8),
    /// A bit of the mitigation vectors is one, at launch and now.
    Mitigation(&'static [Part], u32),
    /// What a rule of its own demands of every machine.
    Rule(RuleId),
    /// Intel's collateral knows it: the platform's TCB status and its advisories are judged with each quote.
    Collateral,
}

/// Hardware a weakness is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affected {
    /// This AMD silicon.
    Amd(Part),
    /// Every Intel platform that runs TDX.
    IntelTdx,
}

/// The weaknesses a policy accepts, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct AcceptedWeaknesses(Vec<&'static str>);

/// An id that the table does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownWeakness;

impl fmt::Display for UnknownWeakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the id of a known weakness")
    }
}

impl TryFrom<Vec<String>> for AcceptedWeaknesses {
    type Error = UnknownWeakness;

    fn try_from(ids: Vec<String>) -> Result<Self, UnknownWeakness> {
        let known = |id: String| {
            known_weaknesses()
                .iter()
                .map(|row| row.id)
                .find(|known| *known == id)
        };
        ids.into_iter()
            .map(|id| known(id).ok_or(UnknownWeakness))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl AcceptedWeaknesses {
    fn has(&self, id: &str) -> bool {
        self.0.contains(&id)
    }
}

/// How a policy names the chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// By its own number.
    Listed,
    /// By its product line only, or not at all.
    NotListed,
    /// It cannot: the evidence is signed for a provider and hides the chip (VLEK).
    Nameless,
}

impl fmt::Display for Naming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Listed => "the policy lists the chip",
            Self::NotListed => "the policy does not list the chip",
            Self::Nameless => "a key of a provider (VLEK) signed, which names no chip that could be listed",
        })
    }
}

/// What the table is held against.
pub(crate) struct Machine<'a> {
    parts: Vec<Part>,
    /// Reported, committed, at launch.
    tcbs: [&'a Tcb; 3],
    /// Bits that are one in both vectors; none before version 5 of the report.
    mitigations: u64,
    naming: Naming,
}

impl<'a> Machine<'a> {
    pub(crate) fn of(report: &'a VerifiedReport, naming: Naming) -> Self {
        let said: &Report = report.report();
        Self {
            parts: Part::possible(said, report.product()),
            tcbs: [&said.reported_tcb, &said.committed_tcb, &said.launch_tcb],
            mitigations: said.launch_mitigations.unwrap_or(0) & said.current_mitigations.unwrap_or(0),
            naming,
        }
    }

    fn any_of(&self, parts: &[Part]) -> bool {
        self.parts.iter().any(|part| parts.contains(part))
    }
}

/// Judges an AMD machine by every row.
pub(crate) fn judge(rules: &mut Rules, accepted: &AcceptedWeaknesses, machine: &Machine<'_>) {
    for row in known_weaknesses() {
        row.judge_levels(rules, accepted, machine);
        let affected =
            |affected: &Affected| matches!(affected, Affected::Amd(part) if machine.any_of(&[*part]));
        if row.by_chip.iter().any(affected) {
            row.judge_chip(rules, accepted, machine.naming);
        }
    }
}

/// Judges an Intel machine by the rows that its collateral does not know.
pub(crate) fn judge_intel(rules: &mut Rules, accepted: &AcceptedWeaknesses, naming: Naming) {
    for row in known_weaknesses() {
        if row.by_chip.contains(&Affected::IntelTdx) {
            row.judge_chip(rules, accepted, naming);
        }
    }
}

impl Weakness {
    fn judge_levels(&self, rules: &mut Rules, accepted: &AcceptedWeaknesses, machine: &Machine<'_>) {
        let accepted = accepted.has(self.id);
        for demand in self.demands {
            match *demand {
                Demand::Level(parts, component, minimum) if machine.any_of(parts) => {
                    let levels = machine.tcbs.map(|tcb| tcb.component(component).unwrap_or(0));
                    let [reported, committed, launch] = levels;
                    rules.demand_unless(
                        RuleId::KnownWeakness,
                        levels.iter().all(|level| *level >= minimum),
                        accepted,
                        format_args!("{} fixed: {} {minimum}", self.id, component.name()),
                        format_args!("{reported} reported, {committed} committed, {launch} at launch"),
                    );
                }
                Demand::Mitigation(parts, bit) if machine.any_of(parts) => {
                    let mask = 1_u64.checked_shl(bit).unwrap_or(0);
                    rules.demand_unless(
                        RuleId::KnownWeakness,
                        machine.mitigations & mask != 0,
                        accepted,
                        format_args!("{} fixed: mitigation {bit} at launch and now", self.id),
                        format_args!("{:#x} at launch and now", machine.mitigations),
                    );
                }
                Demand::Level(..) | Demand::Mitigation(..) | Demand::Rule(_) | Demand::Collateral => {}
            }
        }
    }

    fn judge_chip(&self, rules: &mut Rules, accepted: &AcceptedWeaknesses, naming: Naming) {
        rules.demand_unless(
            RuleId::KnownWeaknessChip,
            naming == Naming::Listed,
            accepted.has(self.id),
            format_args!("{}: a chip the policy lists", self.id),
            naming,
        );
    }
}

#[cfg(test)]
mod tests;
