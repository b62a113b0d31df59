//! The main job in numbered steps: who did what, what was proven, how long it took.
//!
//! # Invariants
//! Every statement printed is read from what a binary of the product reported; nothing is assumed to have
//! worked. The folder and every process are gone at the end, whatever the end was.

mod amd;
mod binaries;
mod confining;
mod options;
mod report;
mod scene;
mod stage;
mod tamper;

use std::process::ExitCode;
use std::time::Duration;

pub(crate) use options::Options;
use report::Report;
use scene::{Failure, Scene};

/// How long a signal that ended a process may take to end this one.
const SIGNAL_IN_FLIGHT: Duration = Duration::from_millis(200);

/// Runs the demonstration. Exit status: 0 done, 1 something broke, 3 refused (which `--tamper` is to show).
pub(crate) fn run(options: &Options) -> ExitCode {
    let mut report = Report::new(options.json);
    let outcome = play(options, &mut report);
    if matches!(outcome, Err(Failure::Broken(_))) {
        // Ctrl-C reaches the processes too, and their end may be seen before the handler runs, which then
        // leaves: that somebody stopped the demonstration is no error of it.
        std::thread::sleep(SIGNAL_IN_FLIGHT);
    }
    match outcome {
        Ok(()) => report.finish(0, None),
        Err(Failure::Refused { by, reasons }) => report.refused(&by, &reasons),
        Err(Failure::Broken(problem)) => report.finish(1, Some(&problem)),
    }
}

fn play(options: &Options, report: &mut Report) -> Result<(), Failure> {
    let binaries = binaries::build(options, report)?;
    let mut scene = Scene::new(binaries, options.snp_fake)?;
    scene.play_amd(report)?;
    scene.keygen(report)?;
    scene.seal(options, report)?;
    if options.tamper == Some(tamper::Tamper::Model) {
        tamper::sealed_model(&scene, report)?;
    }
    scene.check_machine(report)?;
    scene.configure(report)?;
    if options.tamper == Some(tamper::Tamper::Measurement) {
        tamper::enclave_binary(&mut scene, report)?;
    }
    scene.start_broker(report)?;
    scene.launch(report)?;
    if let Some(trick) = options.tamper.and_then(tamper::Tamper::relay_trick) {
        tamper::relay(&mut scene, trick, report)?;
    }
    scene.verify(report)?;
    match &options.once {
        Some(question) => scene.ask(question, report)?,
        None if options.tamper.is_some() => scene.ask("What is the capital of France?", report)?,
        None => scene.chat(report)?,
    }
    if options.tamper.is_some() {
        return Err(Failure::Broken(
            "the attack was not noticed: this is a defect, please report it".to_owned(),
        ));
    }
    Ok(())
}
