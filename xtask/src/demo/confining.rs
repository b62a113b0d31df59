//! What the machine at hand does not let an enclave do.
//!
//! Why apart: a demonstration runs anywhere, an enclave with secrets should not. What is lacking is asked of the enclave
//! itself, said aloud, and written into the configuration and both policies by name.

use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use super::report::Report;
use super::scene::{Failure, Scene, field};

impl Scene {
    /// What this machine does not let an enclave do, by the enclave's own word. A demonstration goes on without it, and
    /// says so; an enclave with secrets should not.
    pub(crate) fn check_machine(&mut self, report: &mut Report) -> Result<(), Failure> {
        let started = Instant::now();
        let mut command = Command::new(&self.binaries.enclave);
        let output = self.stage.run(command.args(["self-check", "--json"]))?;
        let checked: Value = serde_json::from_slice(&output.stdout)
            .map_err(|_| Failure::broken("the enclave's self-check said nothing"))?;
        let measures = checked["measures"].as_array().cloned().unwrap_or_default();
        let missing: Vec<&Value> = measures
            .iter()
            .filter(|measure| measure["holds"] != true)
            .collect();
        for measure in &missing {
            let setting = field(measure, "setting");
            if setting.is_empty() {
                return Err(Failure::Broken(format!(
                    "the enclave cannot start here: {}",
                    field(measure, "code")
                )));
            }
            self.settings.push(setting);
        }
        let lacks: Vec<(&str, String)> = missing
            .iter()
            .map(|measure| {
                let what = format!(
                    "{} = true ({})",
                    field(measure, "setting"),
                    field(measure, "code")
                );
                (measure["measure"].as_str().unwrap_or(""), what)
            })
            .collect();
        let said = if lacks.is_empty() {
            "this machine lets an enclave confine itself: no new privileges, locked memory, Landlock, seccomp"
        } else {
            "THIS MACHINE does not let an enclave confine itself fully; the configuration and both policies say so"
        };
        report.step("operator", said, started.elapsed(), &lacks);
        Ok(())
    }
}
