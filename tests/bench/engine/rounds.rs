//! Both sides in turns.
//!
//! Why apart: the order of things decides what a ratio is worth.
//!
//! # Invariants
//! In each round each unit is measured on both sides, one right after the other; who is first changes from round to
//! round. Nothing of ours runs while the other side does.

use super::compare::{Pairs, Spread};
use super::options::Options;
use super::ours;
use super::prepared::Prepared;
use super::progress::Progress;
use super::rival::{self, Rival, SETTINGS, Setting};
use super::work::{Unit, Work};
use crate::Failure;

/// What came of one work.
pub(crate) struct Row {
    pub(crate) unit: Unit,
    pub(crate) work: Work,
    pub(crate) pairs: Pairs,
    /// The instructions that ours used.
    pub(crate) kernels: String,
    /// The setting that was theirs.
    pub(crate) setting: Option<Setting>,
    /// Peaks of the whole unit.
    pub(crate) ours_mib: Option<Spread>,
    pub(crate) theirs_mib: Option<Spread>,
}

/// All rows, and why some have no figures.
pub(crate) struct Outcome {
    pub(crate) rows: Vec<Row>,
    pub(crate) failures: Vec<String>,
}

/// A unit between its rounds.
struct Running {
    unit: Unit,
    model: Prepared,
    pairs: Vec<Pairs>,
    settings: Vec<Option<Setting>>,
    kernels: String,
    ours_mib: Vec<f64>,
    theirs_mib: Vec<f64>,
    /// A side that failed is not asked again.
    ours_failed: bool,
    theirs_failed: bool,
}

pub(crate) fn run(units: Vec<Unit>, rival: Option<&Rival>, options: &Options) -> Result<Outcome, Failure> {
    let sides = 1 + usize::from(rival.is_some());
    let mut progress = Progress::new(units.len() * (1 + sides * options.rounds));
    let mut failures = Vec::new();
    let mut running = Vec::new();
    for unit in units {
        progress.at(&format!("{}: making the model", unit.name()));
        let model = Prepared::random(&options.models_folder, &unit.shape, unit.mix)?;
        progress.step();
        running.push(Running::new(unit, model));
    }
    for round in 0..options.rounds {
        for running in &mut running {
            let (mut ours, mut theirs) = (None, None);
            let ours_first = round % 2 == 0;
            for ours_now in [ours_first, !ours_first] {
                if ours_now {
                    progress.at(&format!("{}: ours, round {}", running.unit.name(), round + 1));
                    ours = running.ours(options, &mut failures);
                    progress.step();
                } else if let Some(rival) = rival {
                    progress.at(&format!(
                        "{}: llama.cpp, round {}",
                        running.unit.name(),
                        round + 1
                    ));
                    theirs = running.theirs(rival, &mut failures);
                    progress.step();
                }
            }
            let of = |rates: &Option<Vec<(Work, f64)>>, work: Work| {
                let rates = rates.as_ref()?;
                rates.iter().find(|(of, _)| *of == work).map(|(_, rate)| *rate)
            };
            for (work, pairs) in running.unit.works.iter().zip(&mut running.pairs) {
                pairs.push(of(&ours, *work), of(&theirs, *work));
            }
        }
    }
    let rows = running.into_iter().flat_map(Running::rows).collect();
    Ok(Outcome { rows, failures })
}

impl Running {
    fn new(unit: Unit, model: Prepared) -> Self {
        let works = unit.works.len();
        Self {
            unit,
            model,
            pairs: vec![Pairs::default(); works],
            settings: vec![None; works],
            kernels: String::new(),
            ours_mib: Vec::new(),
            theirs_mib: Vec::new(),
            ours_failed: false,
            theirs_failed: false,
        }
    }

    fn ours(&mut self, options: &Options, failures: &mut Vec<String>) -> Option<Vec<(Work, f64)>> {
        if self.ours_failed {
            return None;
        }
        match ours::measure(&self.unit, &self.model, options.plain_gather) {
            Ok(found) => {
                self.kernels = found.kernels;
                self.ours_mib.extend(found.peak_mib);
                Some(found.rates)
            }
            Err(error) => {
                self.ours_failed = true;
                failures.push(error.to_string());
                None
            }
        }
    }

    fn theirs(&mut self, rival: &Rival, failures: &mut Vec<String>) -> Option<Vec<(Work, f64)>> {
        if self.theirs_failed {
            return None;
        }
        let found = if self.settings.iter().all(Option::is_none) {
            self.find_settings(rival)
        } else {
            self.with_settings(rival)
        };
        match found {
            Ok(rates) => Some(rates),
            Err(error) => {
                self.theirs_failed = true;
                failures.push(format!("{}: {error}", self.unit.name()));
                None
            }
        }
    }

    /// Tries the settings and keeps the best of each work.
    fn find_settings(&mut self, rival: &Rival) -> Result<Vec<(Work, f64)>, Failure> {
        let mut last = None;
        for settings in SETTINGS {
            let mut tried: Vec<(Setting, rival::Found)> = Vec::new();
            for setting in settings {
                match rival.measure(&self.unit, &self.unit.works, &self.model.gguf(), setting) {
                    Ok(found) => tried.push((setting, found)),
                    Err(error) => last = Some(error),
                }
            }
            if tried.is_empty() {
                continue;
            }
            let mut best = Vec::new();
            for (work, setting) in self.unit.works.iter().zip(&mut self.settings) {
                let rates = tried.iter().flat_map(|(setting, found)| {
                    found.rates.iter().map(move |(of, rate)| (*of, *setting, *rate))
                });
                let most = rates
                    .filter(|(of, ..)| of == work)
                    .max_by(|(.., one), (.., other)| one.total_cmp(other));
                if let Some((_, best_setting, rate)) = most {
                    *setting = Some(best_setting);
                    best.push((*work, rate));
                }
            }
            let least = tried.iter().filter_map(|(_, found)| found.peak_mib);
            self.theirs_mib.extend(least.min_by(f64::total_cmp));
            return Ok(best);
        }
        Err(last.unwrap_or_else(|| "llama.cpp has no setting".into()))
    }

    /// Each work with its own.
    fn with_settings(&mut self, rival: &Rival) -> Result<Vec<(Work, f64)>, Failure> {
        let mut rates = Vec::new();
        let mut peak = None;
        for setting in SETTINGS.into_iter().flatten() {
            let works: Vec<Work> = self
                .unit
                .works
                .iter()
                .zip(&self.settings)
                .filter(|(_, of)| **of == Some(setting))
                .map(|(work, _)| *work)
                .collect();
            let found = rival.measure(&self.unit, &works, &self.model.gguf(), setting)?;
            rates.extend(found.rates);
            peak = rival::most(peak, found.peak_mib);
        }
        self.theirs_mib.extend(peak);
        Ok(rates)
    }

    fn rows(self) -> Vec<Row> {
        let ours_mib = Spread::of(self.ours_mib.iter().copied());
        let theirs_mib = Spread::of(self.theirs_mib.iter().copied());
        let works = self.unit.works.iter().zip(self.pairs).zip(self.settings);
        works
            .map(|((work, pairs), setting)| Row {
                unit: self.unit.clone(),
                work: *work,
                pairs,
                kernels: self.kernels.clone(),
                setting,
                ours_mib,
                theirs_mib,
            })
            .collect()
    }
}
