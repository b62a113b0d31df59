//! Writes a fake authority of SEV-SNP into a folder: `anchors/ark-genoa.der`, `endorsements.json`, `chip` and `chip-id`.
//!
//! Why apart: it plays AMD for the demonstration and for tests, and is in no image. Built with `insecure-simulated` only.
//!
//! # Invariants
//! The folder must not be there yet: nothing is overwritten. Keys of the authority itself are forgotten at once.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anchorhold_attestation::Timestamp;
use anchorhold_attestation::snp::FakeAuthority;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(folder), Some(now), None) = (
        arguments.next().map(PathBuf::from),
        arguments.next().and_then(|now| now.to_str()?.parse().ok()),
        arguments.next(),
    ) else {
        return Err("usage: anchorhold-fake-authority DIR SECONDS-SINCE-1970".into());
    };
    let authority = FakeAuthority::new(Timestamp::from_unix(now));
    let chip = authority.chip();
    let mut id = String::new();
    for byte in chip.id() {
        write!(id, "{byte:02x}")?;
    }
    fs::create_dir(&folder)?;
    fs::create_dir(folder.join("anchors"))?;
    fs::write(folder.join("anchors/ark-genoa.der"), authority.root())?;
    fs::write(
        folder.join("endorsements.json"),
        authority.endorsements().to_bundle(),
    )?;
    fs::write(folder.join("chip"), chip.to_bytes())?;
    fs::write(folder.join("chip-id"), id)?;
    Ok(())
}
