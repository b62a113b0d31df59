//! One step of `seal`, in a process of its own.
//!
//! # Invariants
//! The time is that of the library's one call; opening and reading the key are outside it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anchorhold_encoding::tree;
use anchorhold_models::{
    Class, Expected, Kek, KeyId, Manifest, ModelKey, SealOptions, SealedModel, seal_dir,
};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde_json::{Value, json};

use super::figures;
use crate::arguments::Arguments;
use crate::figures::gigabytes;
use crate::{Failure, machine};

/// Bytes of a chunk of the sealed format.
const CHUNK: usize = 1 << 20;
/// Bytes of a tag of AES-GCM.
const TAG: usize = 16;
/// How long each roof is measured, as `openssl speed -seconds 3` does.
const TIME: Duration = Duration::from_secs(3);

pub(crate) fn key_id() -> KeyId {
    "bench".parse().expect("a plain word")
}

pub(crate) fn run(mut arguments: Arguments) -> Result<Value, Failure> {
    let step = arguments.word();
    let folder = arguments.word().map(PathBuf::from).unwrap_or_default();
    arguments.end()?;
    match step.as_deref() {
        Some("roofs") => roofs(),
        Some("manifest") => manifest(&folder),
        Some("seal") => seal(&folder),
        Some("unseal") => unseal(&folder),
        _ => Err("no such step".into()),
    }
}

fn manifest(folder: &Path) -> Result<Value, Failure> {
    figures(|| Ok(Manifest::of_dir(&folder.join("model"), &())?.total_size()))
}

fn seal(folder: &Path) -> Result<Value, Failure> {
    let key = model_key(folder)?;
    let options = SealOptions {
        key_id: key_id(),
        class: Class::Insecure,
        name: "bench".parse()?,
        private_name: false,
    };
    let (model, out) = (folder.join("model"), folder.join("model.sealed"));
    figures(|| {
        let summary = seal_dir(&model, &out, &key, &options, &())?;
        Ok(summary.manifest.total_size())
    })
}

fn unseal(folder: &Path) -> Result<Value, Failure> {
    let key = model_key(folder)?;
    let file = folder.join("model.sealed");
    let opened = SealedModel::open(&file)?;
    let expected = Expected {
        key_id: key_id(),
        class: Class::Insecure,
        manifest_sha256: opened
            .header()
            .manifest_sha256()
            .ok_or("sealed under a public name")?,
        max_plaintext: u64::MAX,
    };
    let mut model = None;
    let measured = figures(|| {
        let unsealed = opened.unseal(key, &expected, &())?;
        let size = unsealed.manifest().total_size();
        // Wiping it is no part of it.
        model = Some(unsealed);
        Ok(size)
    });
    drop(model);
    measured
}

fn model_key(folder: &Path) -> Result<ModelKey, Failure> {
    let kek = Kek::parse(&std::fs::read(folder.join("kek"))?)?;
    let wrapped = std::fs::read(folder.join("key"))?;
    Ok(kek.unwrap(&wrapped, &key_id(), Class::Insecure)?)
}

/// The cipher as the sealed format calls it, from one buffer into another, and the hash of a piece.
fn roofs() -> Result<Value, Failure> {
    let key = UnboundKey::new(&AES_256_GCM, &[7; 32]).map_err(|_| "the key has the cipher's length")?;
    let key = LessSafeKey::new(key);
    let nonce = || Nonce::assume_unique_for_key([0; NONCE_LEN]);
    let mut plaintext = vec![7; CHUNK];
    let mut sealed = vec![0; CHUNK];
    let mut tag = [0; TAG];
    let seal = rate(|| {
        key.seal_out_of_place_scatter(nonce(), Aad::empty(), &plaintext, &mut sealed, &[], &mut tag)
            .map_err(|_| "the cipher seals")
    })?;
    let open = rate(|| {
        key.open_separate_gather(nonce(), Aad::empty(), &sealed, &tag, &mut plaintext)
            .map_err(|_| "the cipher opens")
    })?;
    let hash = rate(|| {
        std::hint::black_box(tree::leaf(std::hint::black_box(&plaintext)));
        Ok(())
    })?;
    Ok(json!({"seal": seal, "open": open, "sha256": hash}))
}

/// By the time the thread ran, which is how `openssl speed` counts too.
fn rate(mut work: impl FnMut() -> Result<(), &'static str>) -> Result<f64, Failure> {
    let (begin, ran) = (Instant::now(), machine::on_cpu());
    let mut bytes = 0;
    while begin.elapsed() < TIME {
        work()?;
        bytes += CHUNK as u64;
    }
    let (elapsed, ran) = (begin.elapsed(), machine::on_cpu().zip(ran));
    Ok(gigabytes(bytes, ran.map_or(elapsed, |(end, begin)| end - begin)))
}
