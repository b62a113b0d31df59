//! A model as an enclave has it.
//!
//! Why apart: what some tests compare an enclave with must have come the same way.
//!
//! # Invariants
//! Nothing of the sealed file stays.

use std::path::Path;

use anchorhold_models::{Class, Expected, LoadOptions, Model, ModelKey, SealOptions, SealedModel, seal_dir};

/// A folder's model: sealed, unsealed and loaded.
///
/// # Panics
/// When it is no model.
#[must_use]
pub fn load(folder: &Path) -> Model {
    let place = tempfile::tempdir().unwrap();
    let sealed = place.path().join("model.sealed");
    let key = ModelKey::generate();
    let options = SealOptions {
        key_id: "demo".parse().unwrap(),
        class: Class::Insecure,
        name: "demo".parse().unwrap(),
        private_name: false,
    };
    let summary = seal_dir(folder, &sealed, &key, &options, &()).unwrap();
    let expected = Expected {
        key_id: options.key_id,
        class: options.class,
        manifest_sha256: summary.manifest_sha256,
        max_plaintext: 1 << 30,
    };
    let unsealed = SealedModel::open(&sealed)
        .unwrap()
        .unseal(key, &expected, &())
        .unwrap();
    Model::load(unsealed, LoadOptions::default(), &()).unwrap()
}
