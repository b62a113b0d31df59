//! Models ready to be measured: a GGUF file for llama.cpp, and the same file sealed for our engine.
//!
//! Why apart: making one takes longer than measuring it, so they are kept in the build folder.
//!
//! # Invariants
//! The same shape and format give the same weights everywhere. Only a whole model is ever found again.

use std::fs;
use std::path::{Path, PathBuf};

use anchorhold_models::{
    Class, Expected, Kek, KeyId, ModelKey, Quantise, SealOptions, SealedModel, UnsealedModel, seal_dir,
};

use super::quantise::Mix;
use super::shape::Shape;
use super::vocabulary::Vocabulary;
use super::weights;
use crate::Failure;
use crate::model::Size;

/// Counts changes to what [`weights`] writes: older models are made anew.
const VERSION: &str = "1";
/// Of a model's folder.
const GGUF: &str = "model/model.gguf";

/// A model in a folder of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prepared {
    folder: PathBuf,
}

impl Prepared {
    /// The model of random weights, made under `models` unless it is there.
    pub(crate) fn random(models: &Path, shape: &Shape, mix: Mix) -> Result<Self, Failure> {
        let folder = models.join(format!("{}-{}", shape.name, mix.name()));
        Self::find_or_make(&folder, VERSION, |folder| {
            weights::write(&folder.join(GGUF), shape, mix)
        })
    }

    /// The same with its tokenizer as a `tokenizer.json` beside it, which is what counts then.
    pub(crate) fn random_beside(models: &Path, shape: &Shape, mix: Mix) -> Result<Self, Failure> {
        let folder = models.join(format!("{}-{}-beside", shape.name, mix.name()));
        Self::find_or_make(&folder, VERSION, |folder| {
            let vocabulary = Vocabulary::of_size(shape.vocabulary).ok_or("no tokenizer has this size")?;
            let file = serde_json::to_vec(&vocabulary.file())?;
            fs::write(folder.join("model/tokenizer.json"), file)?;
            weights::write(&folder.join(GGUF), shape, mix)
        })
    }

    /// Random weights as a folder with safetensors.
    pub(crate) fn safetensors(models: &Path, size: Size) -> Result<Self, Failure> {
        let folder = models.join(format!("{}-safetensors", size.name()));
        Self::find_or_make(&folder, VERSION, |folder| {
            let made = size.folder(folder)?;
            fs::remove_dir(folder.join("model"))?;
            Ok(fs::rename(made, folder.join("model"))?)
        })
    }

    /// Copies of somebody's files, each with its name in the model, sealed under `models` unless they are there.
    pub(crate) fn copy(models: &Path, name: &str, files: &[(&Path, &str)]) -> Result<Self, Failure> {
        let mut made_from = String::new();
        for (path, _) in files {
            let bytes = fs::metadata(path)?.len();
            made_from.push_str(&format!("{bytes} bytes of {}\n", path.display()));
        }
        Self::find_or_make(&models.join(name), &made_from, |model| {
            for (path, name) in files {
                let to = model.join("model").join(name);
                if let Some(folder) = to.parent() {
                    fs::create_dir_all(folder)?;
                }
                fs::copy(path, to)?;
            }
            Ok(())
        })
    }

    fn find_or_make(
        folder: &Path,
        made_from: &str,
        write: impl FnOnce(&Path) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        let prepared = Self::at(folder.to_owned());
        // Written last, so that a broken run is repeated.
        let mark = folder.join("made");
        if fs::read_to_string(&mark).is_ok_and(|text| text == made_from) {
            return Ok(prepared);
        }
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder.join("model"))?;
        write(folder)?;
        prepared.seal()?;
        fs::write(mark, made_from)?;
        Ok(prepared)
    }

    /// One that was made before.
    pub(crate) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What llama.cpp is given.
    pub(crate) fn gguf(&self) -> PathBuf {
        self.folder.join(GGUF)
    }

    pub(crate) fn sealed(&self) -> PathBuf {
        self.folder.join("model.sealed")
    }

    fn seal(&self) -> Result<(), Failure> {
        let (kek, key) = (Kek::generate(), ModelKey::generate());
        fs::write(self.folder.join("kek"), &*kek.encode())?;
        fs::write(
            self.folder.join("key"),
            kek.wrap(&key, &key_id()?, Class::Insecure),
        )?;
        let options = SealOptions {
            key_id: key_id()?,
            class: Class::Insecure,
            name: "bench".parse()?,
            private_name: false,
        };
        seal_dir(&self.folder.join("model"), &self.sealed(), &key, &options, &())?;
        Ok(())
    }

    /// The way of every model in the enclave, without the broker.
    pub(crate) fn unseal(&self) -> Result<UnsealedModel, Failure> {
        self.unseal_for(None)
    }

    /// The same, for weights that may become smaller.
    pub(crate) fn unseal_for(&self, quantise: Option<Quantise>) -> Result<UnsealedModel, Failure> {
        let kek = Kek::parse(&fs::read(self.folder.join("kek"))?)?;
        let key = kek.unwrap(&fs::read(self.folder.join("key"))?, &key_id()?, Class::Insecure)?;
        let opened = SealedModel::open(&self.sealed())?;
        let manifest_sha256 = opened.header().manifest_sha256();
        let expected = Expected {
            key_id: key_id()?,
            class: Class::Insecure,
            manifest_sha256: manifest_sha256.ok_or("sealed under a public name")?,
            max_plaintext: u64::MAX,
        };
        Ok(match quantise {
            Some(_) => opened.unseal_sparing(key, &expected, &())?,
            None => opened.unseal(key, &expected, &())?,
        })
    }
}

fn key_id() -> Result<KeyId, Failure> {
    Ok("bench".parse()?)
}

#[cfg(test)]
mod tests {
    use anchorhold_models::{LoadOptions, Model};

    use super::*;

    /// Both sides are given the same file: ours must take every one that is written.
    #[test]
    fn every_format_is_read_by_our_loader() {
        let folder = tempfile::tempdir().unwrap();
        let shape: Shape = "tiny".parse().unwrap();
        for mix in Mix::ALL {
            let prepared = Prepared::random(folder.path(), &shape, mix).unwrap();
            let options = LoadOptions {
                threads: 1,
                ..LoadOptions::default()
            };
            let model = Model::load(prepared.unseal().unwrap(), options, &()).unwrap();
            let Model::Decoder(decoder) = model else {
                panic!("{}: a decoder was written", mix.name());
            };
            let info = decoder.info();
            assert_eq!((info.layers, info.width), (shape.layers, shape.width));
            assert_eq!(info.vocabulary, shape.vocabulary);
            let tensors = shape.tensors(mix);
            let parameters: usize = tensors.iter().map(|tensor| tensor.outputs * tensor.inputs).sum();
            assert_eq!(info.parameters, parameters as u64, "{}", mix.name());
            let prompt = decoder.text_prompt("0123").unwrap();
            assert_eq!(prompt.len(), 4, "a digit a token");
            // Found again, and whole.
            assert_eq!(Prepared::random(folder.path(), &shape, mix).unwrap(), prepared);
        }
    }
}
