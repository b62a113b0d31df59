//! SEV-SNP without a processor: a fake AMD, and what each side is told of it.
//!
//! # Invariants
//! The verifier is the real one. What changes is whom it is told to believe, in the open: `--anchors`.

use std::process::Command;
use std::time::Instant;

use super::report::{Report, short};
use super::scene::{Failure, Scene, unix_now};

impl Scene {
    /// Makes an authority in AMD's place, where the demonstration shows SEV-SNP.
    pub(crate) fn play_amd(&mut self, report: &mut Report) -> Result<(), Failure> {
        if !self.snp_fake {
            return Ok(());
        }
        let started = Instant::now();
        let folder = self.path_text("amd");
        let output = self
            .stage
            .run(Command::new(&self.binaries.fake_authority).args([folder, unix_now()?.to_string()]))?;
        if !output.status.success() {
            return Err(Failure::broken("the fake authority could not be made"));
        }
        report.step(
            "a fake AMD",
            "made a root, certificates, a revocation list and a chip: real formats, worthless keys",
            started.elapsed(),
            &[("chip", short(&self.chip_id()?))],
        );
        Ok(())
    }

    fn chip_id(&self) -> Result<String, Failure> {
        std::fs::read_to_string(self.path("amd/chip-id"))
            .map_err(|_| Failure::broken("the fake authority wrote no chip"))
    }

    pub(super) fn platform(&self) -> &'static str {
        if self.snp_fake {
            "snp"
        } else {
            "insecure-simulated"
        }
    }

    /// What tells `anchorhold` to believe the fake authority, if there is one.
    pub(super) fn trust(&self) -> Vec<String> {
        if !self.snp_fake {
            return Vec::new();
        }
        let (anchors, bundle) = (
            self.path_text("amd/anchors"),
            self.path_text("amd/endorsements.json"),
        );
        [
            "--anchors".to_owned(),
            anchors,
            "--endorsements".to_owned(),
            bundle,
        ]
        .to_vec()
    }

    /// What a policy says of the machine, in two pieces: keys, and what follows its reference value's measurement.
    pub(super) fn machine(&self) -> Result<(String, &'static str), Failure> {
        if self.snp_fake {
            let chip = self.chip_id()?;
            let keys = format!("chips = [\"{chip}\"]\n");
            return Ok((keys, "\n[snp]\nsmt = \"off\"\n"));
        }
        let keys = "any_chip_of = [\"insecure-simulated\"]\ndangerously_accept_simulated = true\n".to_owned();
        Ok((keys, "minimum_tcb = 1\n"))
    }
}
