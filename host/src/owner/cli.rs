//! The owner's commands.
//!
//! Why apart: arguments and words only; the work is in the modules beside.
//!
//! - `broker`: runs the broker until a signal
//! - `log`: checks and shows the release log
//!
//! # Invariants
//! Decides nothing. Prints no secret: the KEK and the keys never reach a terminal.

mod broker;
mod log;

use std::path::{Path, PathBuf};

use anchorhold_attestation::{Class, KeyId};
use anchorhold_encoding::Digest;
use anchorhold_models::{ModelName, SealOptions, SealedModel, seal_dir};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::error::StoreError;
use super::store::keys::{sealing_class, sealing_id};
use super::store::{Store, default_kek};
use crate::error::{Exit, Failure};
use crate::output::{Output, table};
use crate::progress::Bar;

/// What a model's owner does.
#[derive(Subcommand)]
pub enum OwnerCommand {
    /// Make a model key, and the store when there is none
    Keygen {
        /// Which store
        #[command(flatten)]
        store: StoreArguments,
        /// The new key's name: lower-case letters, digits and '-'
        #[arg(long, value_parser = key_id, value_name = "ID")]
        key_id: KeyId,
        /// What the key is for; fixed for the whole store when it is made
        #[arg(long, value_enum, default_value = "real")]
        class: ClassName,
    },
    /// Seal a model's folder into one file
    Seal {
        /// Which store
        #[command(flatten)]
        store: StoreArguments,
        /// The key to seal under
        #[arg(long, value_parser = key_id, value_name = "ID")]
        key_id: KeyId,
        /// The model's folder, as published (safetensors or GGUF)
        #[arg(long, value_name = "DIR")]
        model: PathBuf,
        /// The sealed file to write; must not exist
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// What the model is called, for people
        #[arg(long)]
        name: String,
        /// Leave name and manifest digest out of the readable header
        #[arg(long)]
        private_name: bool,
    },
    /// Show what a sealed file says about itself; needs no key
    Inspect {
        /// The sealed file
        file: PathBuf,
    },
    /// Run the key broker (RCAR 0.4.0)
    Broker {
        /// Which store
        #[command(flatten)]
        store: StoreArguments,
        /// The broker's configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// The release log: what was given and denied
    #[command(subcommand)]
    Log(log::LogCommand),
}

/// Which store.
#[derive(Args)]
pub struct StoreArguments {
    /// The store's folder
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    /// The file with the key-encryption key, unless it is `kek` in the store's folder
    #[arg(long, value_name = "FILE")]
    kek: Option<PathBuf>,
}

impl StoreArguments {
    fn kek(&self) -> PathBuf {
        self.kek.clone().unwrap_or_else(|| default_kek(&self.store))
    }

    fn open(&self) -> Result<Store, StoreError> {
        Store::open(&self.store, &self.kek())
    }
}

/// Classes by their names on the command line.
#[derive(Clone, Copy, ValueEnum)]
pub enum ClassName {
    /// Released only to evidence of hardware
    Real,
    /// For trying things out: may be released to simulated evidence, protects nothing
    Insecure,
}

impl From<ClassName> for Class {
    fn from(name: ClassName) -> Self {
        match name {
            ClassName::Real => Self::Real,
            ClassName::Insecure => Self::Insecure,
        }
    }
}

fn key_id(text: &str) -> Result<KeyId, &'static str> {
    text.parse()
        .map_err(|_| "use 1 to 64 lower-case letters, digits and '-'")
}

/// Runs one command.
///
/// # Errors
/// What the command reports.
pub async fn run(command: OwnerCommand, output: &Output) -> Result<Exit, Failure> {
    match command {
        OwnerCommand::Keygen { store, key_id, class } => keygen(&store, &key_id, class.into(), output),
        OwnerCommand::Seal {
            store,
            key_id,
            model,
            out,
            name,
            private_name,
        } => {
            let name = name.parse::<ModelName>().map_err(|error| {
                Failure::usage("model_name", "--name is not a portable name", error.hint())
            })?;
            let options = SealOptions {
                key_id: sealing_id(&key_id),
                class: sealing_class(Class::Insecure),
                name,
                private_name,
            };
            seal(&store, &key_id, &model, &out, options, output)
        }
        OwnerCommand::Inspect { file } => inspect(&file, output),
        OwnerCommand::Broker { store, config } => broker::run(&store, &config, output).await,
        OwnerCommand::Log(command) => log::run(command, output),
    }
}

#[derive(Serialize)]
struct KeygenDocument<'a> {
    key_id: &'a KeyId,
    class: Class,
    tls_spki_sha256: Digest<32>,
    release_key: Digest<32>,
}

fn keygen(
    arguments: &StoreArguments,
    key_id: &KeyId,
    class: Class,
    output: &Output,
) -> Result<Exit, Failure> {
    let made = if Store::exists(&arguments.store) {
        Err(StoreError::Exists)
    } else {
        Store::create(&arguments.store, &arguments.kek(), class)
    };
    let mut store = match made {
        // There already, or made by another command at this moment.
        Err(StoreError::Exists) => arguments.open()?,
        made => made?,
    };
    if store.class() != class {
        let found = store.class();
        return Err(StoreError::Class { asked: class, found }.into());
    }
    store.add_key(key_id)?;
    let identity = store.keys().identity();
    let document = KeygenDocument {
        key_id,
        class,
        tls_spki_sha256: identity.tls_spki_sha256,
        release_key: identity.release_key,
    };
    output.data(&document, || {
        format!(
            "key_id:          {key_id}\nclass:           {class}\ntls_spki_sha256: {}\nrelease_key:     {}",
            identity.tls_spki_sha256, identity.release_key
        )
    })?;
    if class == Class::Insecure {
        output.talk("warning: class insecure: what is sealed under this key is protected from nobody");
    }
    Ok(Exit::Yes)
}

#[derive(Serialize)]
struct SealDocument<'a> {
    key_id: &'a KeyId,
    class: Class,
    manifest_sha256: Digest<32>,
    files: usize,
    sealed_bytes: u64,
    left_out: &'a [String],
}

fn seal(
    arguments: &StoreArguments,
    key_id: &KeyId,
    model: &Path,
    out: &Path,
    mut options: SealOptions,
    output: &Output,
) -> Result<Exit, Failure> {
    let mut store = arguments.open()?;
    options.class = sealing_class(store.class());
    let key = store.model_key(key_id)?;
    let bar = Bar::new(output, "sealing");
    let sealed = seal_dir(model, out, &key, &options, &bar)?;
    drop(bar);
    drop(key);
    store.register_manifest(key_id, &sealed.manifest_sha256)?;
    let document = SealDocument {
        key_id,
        class: store.class(),
        manifest_sha256: sealed.manifest_sha256,
        files: sealed.manifest.files().len(),
        sealed_bytes: sealed.sealed_size,
        left_out: &sealed.left_out,
    };
    output.data(&document, || {
        format!(
            "manifest_sha256: {}\nfiles:           {}\nsealed bytes:    {}",
            document.manifest_sha256, document.files, document.sealed_bytes
        )
    })?;
    if !sealed.left_out.is_empty() {
        output.talk(&format!(
            "left out, not part of a model: {}",
            sealed.left_out.join(", ")
        ));
    }
    Ok(Exit::Yes)
}

#[derive(Serialize)]
struct InspectDocument<'a> {
    header: &'a anchorhold_models::Header,
    sealed_bytes: u64,
    authentic: &'static str,
}

fn inspect(file: &Path, output: &Output) -> Result<Exit, Failure> {
    let sealed = SealedModel::open(file)?;
    let header = sealed.header();
    let document = InspectDocument {
        header,
        sealed_bytes: sealed.sealed_size(),
        authentic: "unknown until unsealed",
    };
    output.data(&document, || {
        let private = || "private".to_owned();
        let rows = [
            ["key_id", &header.key_id().to_string()],
            ["class", &header.class().to_string()],
            ["name", &header.name().map_or_else(private, ToString::to_string)],
            [
                "manifest_sha256",
                &header
                    .manifest_sha256()
                    .map_or_else(private, |digest| digest.to_string()),
            ],
            ["plaintext bytes", &header.plaintext_length().to_string()],
            ["sealed bytes", &document.sealed_bytes.to_string()],
            ["authentic", document.authentic],
        ];
        let rows = rows.map(|row| row.map(str::to_owned));
        table(["field", "value"], &rows).trim_end().to_owned()
    })?;
    Ok(Exit::Yes)
}
