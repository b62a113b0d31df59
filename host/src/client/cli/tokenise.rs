//! `client proxy --tokenise`: the files that make ids of texts, compared with the model that was attested.
//!
//! Why apart: it reads files of somebody who may have another model's.
//!
//! # Invariants
//! Only the attested manifest says which files count; where one is missing or differs, nothing is served.

use std::path::{Path, PathBuf};

use anchorhold_models::{Manifest, Wording};
use clap::Args;

use crate::client::enclave::Enclave;
use crate::client::proxy::tokens::Tokens;
use crate::error::Failure;
use crate::output::Output;
use crate::progress::Bar;

/// Options of the proxy.
#[derive(Args)]
pub struct Tokenise {
    /// Send token ids, not texts, and read ids: the folder with the model's tokenizer.json and chat template. The enclave's host
    /// cannot then tell texts by the tables that are read
    #[arg(long, value_name = "DIR")]
    tokenise: Option<PathBuf>,
    /// The model's manifest, where the folder is not the whole model (`client manifest --json`, member `manifest`)
    #[arg(long, value_name = "FILE", requires = "tokenise")]
    manifest: Option<PathBuf>,
}

impl Tokenise {
    /// What makes the ids, once the enclave was verified.
    pub(super) async fn tokens(&self, enclave: &Enclave, output: &Output) -> Result<Option<Tokens>, Failure> {
        let Some(folder) = &self.tokenise else {
            return Ok(None);
        };
        let manifest = match &self.manifest {
            Some(file) => read_manifest(file)?,
            None => {
                let bar = Bar::new(output, "hashing");
                Manifest::of_dir(folder, &bar)
                    .map_err(|error| Failure::new("model_folder", error.to_string(), error.hint()))?
            }
        };
        let attested = *enclave.affirmed().await?.identity.manifest_sha256();
        let files = Wording::files(&manifest)
            .map(|name| Ok((name.to_owned(), read(&folder.join(name))?)))
            .collect::<Result<Vec<_>, Failure>>()?;
        let wording = Wording::read(&manifest, attested, files)
            .map_err(|error| Failure::new("tokenise", error.to_string(), error.hint()))?;
        Ok(Some(Tokens::new(wording, attested)))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        Failure::new(
            "tokenise",
            format!("cannot read {}: {}", path.display(), error.kind()),
            "name the folder with the model's tokenizer.json, tokenizer_config.json and chat template",
        )
    })
}

fn read_manifest(path: &Path) -> Result<Manifest, Failure> {
    let bytes = read(path)?;
    Manifest::from_slice(bytes.trim_ascii())
        .map_err(|error| Failure::new("manifest", error.to_string(), error.hint()))
}
