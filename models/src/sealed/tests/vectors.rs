//! The published vectors are what this crate makes. `tests/vectors/check_sealed.py` reads them with other
//! libraries. `ANCHORHOLD_WRITE_VECTORS=1` writes them anew: only for a new version of the format.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::*;
use crate::aead::tests::hex;

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// A file is given in full, or by its length alone: byte `i` is then `(7 i + floor(i / 251)) mod 256`.
fn content(file: &Value) -> Vec<u8> {
    match file["hex"].as_str() {
        Some(text) => hex(text),
        None => bytes(usize::try_from(file["pattern_length"].as_u64().unwrap()).unwrap()),
    }
}

fn model(files: &Value) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, file) in files.as_object().unwrap() {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content(file)).unwrap();
    }
    dir
}

fn compare(name: &str, made: &Value) {
    let path = vectors_folder().join(name);
    let text = serde_json::to_string_pretty(made).unwrap() + "\n";
    if std::env::var_os("ANCHORHOLD_WRITE_VECTORS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap() == text,
        "{name} is not what this crate makes"
    );
}

fn sealed_vector(about: &str, private_name: bool, files: &Value) -> Value {
    let model_key: Vec<u8> = (0..32).collect();
    let salt: [u8; 32] = std::array::from_fn(|index| 0xa0 + index as u8);
    let key = || ModelKey::from_secret(Secret::filled_by(|key| key.copy_from_slice(&model_key)));
    let dir = model(files);
    let folder = Folder::choose(dir.path()).unwrap();
    let plan = Plan::new(folder.manifest(&()).unwrap(), &options(private_name), salt);
    let mut file = Vec::new();
    plan.write(&folder, &key(), &mut file, &()).unwrap();

    let digest = sha512(&[&plan.header.prefix()]);
    let derived = |label| to_hex(key().derive(&salt, label, &digest).expose());
    let mut vector = json!({
        "about": about,
        "model_key": to_hex(&model_key),
        "files": files,
        "manifest": String::from_utf8(plan.manifest.to_vec()).unwrap(),
        "manifest_sha256": plan.manifest.digest(),
        "header": String::from_utf8(plan.header.to_vec()).unwrap(),
        "prefix_sha512": digest,
        "chunk_key": derived("anchorhold sealed v1 chunk key"),
        "commitment": derived("anchorhold sealed v1 commitment"),
        "sealed_length": file.len(),
        "sealed_sha256": anchorhold_encoding::sha256(&[&file]),
    });
    if file.len() < 4096 {
        vector["sealed"] = to_hex(&file).into();
    }

    let expected = Expected {
        key_id: plan.header.key_id().clone(),
        class: plan.header.class(),
        manifest_sha256: plan.manifest.digest(),
        max_plaintext: plan.header.plaintext_length(),
    };
    let model = SealedModel::from_reader(&file[..])
        .unwrap()
        .unseal(key(), &expected, &())
        .unwrap();
    for (name, file) in files.as_object().unwrap() {
        assert_eq!(model.get(name), Some(&content(file)[..]));
    }
    vector
}

fn hex_file(bytes: &[u8]) -> Value {
    json!({ "hex": to_hex(bytes) })
}

#[test]
fn sealed_files() {
    let small = json!({
        "config.json": hex_file(b"{}"),
        "merges.txt": hex_file(b""),
        "model.safetensors": hex_file(&safetensors(b"tiny weights")),
    });
    let large = json!({
        "config.json": hex_file(b"{}"),
        "m.gguf": hex_file(b"GGUF"),
        "vocab.txt": { "pattern_length": 2_500_000 },
    });
    let vectors = json!([
        sealed_vector("one chunk", false, &small),
        sealed_vector("the same with a private name", true, &small),
        sealed_vector("three chunks, files across their borders", false, &large),
    ]);
    compare("sealed.json", &vectors);
}

#[test]
fn manifests() {
    let sizes = [
        ("0.json", 0),
        ("1.json", 1),
        ("1_Pooling/config.json", 2),
        ("mib.json", CHUNK),
        ("mib1.json", CHUNK + 1),
        ("mib5.json", 5 * CHUNK + 17),
    ];
    let mut files: Value = sizes
        .into_iter()
        .map(|(name, size)| (name.to_owned(), json!({ "pattern_length": size })))
        .collect();
    files["m.gguf"] = hex_file(b"GGUF");
    let folder = model(&files);
    let manifest = Folder::choose(folder.path()).unwrap().manifest(&()).unwrap();
    let vector = json!({
        "files": files,
        "manifest": String::from_utf8(manifest.to_vec()).unwrap(),
        "manifest_sha256": manifest.digest(),
    });
    compare("manifest.json", &vector);
}
