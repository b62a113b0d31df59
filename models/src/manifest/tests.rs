//! Which folders are models, which bytes are manifests.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use anchorhold_encoding::tree;

use super::*;
use crate::gguf::written::{Setting, Written};

/// A safetensors file without tensors but with `data` bytes that one tensor claims.
pub(crate) fn safetensors(data: &[u8]) -> Vec<u8> {
    let json = format!(
        r#"{{"w":{{"dtype":"U8","shape":[{0}],"data_offsets":[0,{0}]}}}}"#,
        data.len()
    );
    [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), data].concat()
}

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    dir
}

fn refusal(files: &[(&str, &[u8])]) -> ManifestError {
    Manifest::of_dir(folder(files).path(), &()).err().unwrap()
}

fn name(text: &str) -> String {
    text.to_owned()
}

#[test]
fn a_folder_of_the_hub_becomes_a_manifest() {
    let weights = safetensors(&vec![7; 3 * limits::CHUNK]);
    let dir = folder(&[
        ("config.json", b"{}"),
        ("merges.txt", b""),
        ("model.safetensors", &weights),
        ("1_Pooling/config.json", b"{ }"),
        ("chat_template.jinja", b"x"),
        ("README.md", b"hello"),
        ("pytorch_model.bin", b"PK\x03\x04"),
        (".gitattributes", b""),
        (".hidden.json", b""),
        ("onnx/model.onnx", b""),
        ("requirements.txt", b""),
    ]);
    let chosen = Folder::open(dir.path()).unwrap();
    let left_out = [
        ".gitattributes",
        ".hidden.json",
        "README.md",
        "onnx",
        "pytorch_model.bin",
        "requirements.txt",
    ];
    assert_eq!(chosen.left_out(), left_out);
    let manifest = chosen.manifest(&()).unwrap();
    let names: Vec<_> = manifest.files().iter().map(|file| file.name.as_str()).collect();
    let expected = [
        "1_Pooling/config.json",
        "chat_template.jinja",
        "config.json",
        "merges.txt",
        "model.safetensors",
    ];
    assert_eq!(names, expected);
    let listed = &manifest.files()[4];
    assert_eq!(listed.size, weights.len() as u64);
    assert_eq!(listed.sha256, sha256(&[&weights]));
    let leaves: Vec<_> = weights.chunks(limits::CHUNK).map(tree::leaf).collect();
    assert_eq!(leaves.len(), 4);
    assert_eq!(listed.tree, tree::root(&leaves));
    assert_eq!(manifest.files()[3].tree, tree::root(&[]));
    assert_eq!(manifest.total_size(), weights.len() as u64 + 6);
    assert_eq!(Manifest::from_slice(&manifest.to_vec()).unwrap(), manifest);
    assert_eq!(manifest.digest(), sha256(&[&manifest.to_vec()]));
}

#[test]
fn links_into_a_cache_are_followed_and_change_nothing() {
    let weights = safetensors(b"abc");
    let cache = folder(&[("blob1", b"{}"), ("blob2", &weights)]);
    let plain = folder(&[("config.json", b"{}"), ("model.safetensors", &weights)]);
    let linked = tempfile::tempdir().unwrap();
    for (blob, name) in [("blob1", "config.json"), ("blob2", "model.safetensors")] {
        std::os::unix::fs::symlink(cache.path().join(blob), linked.path().join(name)).unwrap();
    }
    let of = |dir: &TempDir| Manifest::of_dir(dir.path(), &()).unwrap().digest();
    assert_eq!(of(&linked), of(&plain));
    fs::remove_file(cache.path().join("blob2")).unwrap();
    assert_eq!(
        Manifest::of_dir(linked.path(), &()),
        Err(ManifestError::Io {
            name: name("model.safetensors"),
            kind: io::ErrorKind::NotFound
        })
    );
}

fn gguf() -> Vec<u8> {
    let mut file = Written::default();
    file.set("general.architecture", Setting::Text("llama".into()));
    file.tensor("token_embd.weight", &[2, 4], 0, &[0; 32]);
    file.bytes()
}

#[test]
fn tables_longer_than_what_is_read_at_first_are_read() {
    let file = gguf();
    for begin in [4, 5, 30, 1 << 20] {
        let checked = super::weights::check_gguf("m.gguf", file.len() as u64, begin, &mut &file[..]);
        assert_eq!(checked, Ok(()), "{begin}");
    }
}

#[test]
fn what_is_not_a_model_is_refused_by_name() {
    use ManifestError::*;
    let good = safetensors(b"abc");
    let config: (&str, &[u8]) = ("config.json", b"{}");
    assert_eq!(refusal(&[]), NoWeights);
    assert_eq!(refusal(&[config]), NoWeights);
    assert_eq!(refusal(&[("model.safetensors", &good)]), NoConfig);
    let pickle = |file: &str| Pickle { name: name(file) };
    for ending in ["bin", "pt", "pth", "ckpt", "pkl"] {
        let file = format!("model.{ending}");
        assert_eq!(refusal(&[config, (&file, b"\x80\x02}q\0.")]), pickle(&file));
    }
    let weights = |bytes: &[u8]| refusal(&[config, ("model.safetensors", bytes)]);
    let incomplete = Incomplete {
        name: name("model.safetensors"),
    };
    assert_eq!(
        weights(b"PK\x03\x04\x14\0\0\0\0\0\0\0"),
        pickle("model.safetensors")
    );
    assert_eq!(
        weights(b"\x80\x02}q\0(X\x01\0\0\0wq\x01K\x01u."),
        pickle("model.safetensors")
    );
    assert_eq!(
        weights(&[0xff; 100]),
        NotWeights {
            name: name("model.safetensors")
        }
    );
    assert_eq!(
        weights(&[b"\x10\0\0\0\0\0\0\0".as_slice(), &[b'{'; 16]].concat()),
        NotWeights {
            name: name("model.safetensors")
        }
    );
    // A download that is under way: every shorter length, and one byte too many.
    for length in 0..good.len() {
        assert_eq!(weights(&good[..length]), incomplete, "{length}");
    }
    assert_eq!(weights(&[&good[..], b"x"].concat()), incomplete);
    // A header length of zero bytes, and one far beyond the file.
    assert_eq!(weights(b"\0\0\0\0\0\0\0\0{"), incomplete);
    assert_eq!(weights(b"\0\0\0\x01\0\0\0\0{"), incomplete);
    assert_eq!(
        refusal(&[("m.gguf", b"GGML")]),
        NotWeights { name: name("m.gguf") }
    );
    // A pickle under another name, and a download that is under way.
    assert_eq!(refusal(&[("m.gguf", b"PK\x03\x04\x14\0\0\0")]), pickle("m.gguf"));
    let sound = gguf();
    assert!(Manifest::of_dir(folder(&[("m.gguf", &sound)]).path(), &()).is_ok());
    let incomplete = Incomplete { name: name("m.gguf") };
    for length in 4..sound.len() {
        assert_eq!(refusal(&[("m.gguf", &sound[..length])]), incomplete, "{length}");
    }
    assert_eq!(
        refusal(&[("m.gguf", &[&sound[..], &[0; 32]].concat())]),
        incomplete
    );
    let mut old = sound;
    old[4] = 1;
    let problem = GgufError::Version(1);
    assert_eq!(
        refusal(&[("m.gguf", &old)]),
        Gguf {
            name: name("m.gguf"),
            problem
        }
    );
    let misnamed = refusal(&[config, ("model.safetensors", &good), ("a b.json", b"")]);
    assert_eq!(
        misnamed,
        Name {
            name: name("a?b.json")
        }
    );
}

#[test]
fn paths_that_are_no_folder_and_names_that_are_no_file() {
    let dir = folder(&[("file", b""), ("inner/config.json/x", b"")]);
    let of = |name: &str| Manifest::of_dir(&dir.path().join(name), &()).err().unwrap();
    assert_eq!(of("file"), ManifestError::NotAFolder);
    assert_eq!(
        of("missing"),
        ManifestError::Io {
            name: name("."),
            kind: io::ErrorKind::NotFound
        }
    );
    assert_eq!(
        of("inner"),
        ManifestError::NotAFile {
            name: name("config.json")
        }
    );
}

fn entry(name: &str) -> ManifestFile {
    ManifestFile {
        name: name.to_owned(),
        sha256: sha256(&[]),
        size: 1,
        tree: tree::root(&[]),
    }
}

#[test]
fn only_the_one_canonical_document_is_read() {
    let manifest = Manifest::new(vec![entry("m.gguf"), entry("config.json")]).unwrap();
    let text = String::from_utf8(manifest.to_vec()).unwrap();
    assert!(
        text.starts_with(r#"{"files":[{"name":"config.json","sha256":""#),
        "{text}"
    );
    assert!(
        text.ends_with(r#"}],"version":"anchorhold manifest v1"}"#),
        "{text}"
    );
    assert!(Manifest::from_slice(text.as_bytes()).is_ok());
    let refused = |from: &str, to: &str| {
        let altered = text.replacen(from, to, 1);
        assert_ne!(altered, text);
        Manifest::from_slice(altered.as_bytes()).err().unwrap()
    };
    for (from, to) in [
        ("v1", "v2"),
        ("\"files\"", " \"files\""),
        ("\"size\":1", "\"size\":1.0"),
        ("\"size\":1", "\"size\":-1"),
        ("\"size\":1", "\"size\":\"1\""),
        ("\"size\":1,", ""),
        ("\"size\":1", "\"size\":1,\"time\":0"),
        ("e3b0", "E3B0"),
    ] {
        assert_eq!(refused(from, to), ManifestError::Document, "{from} {to}");
    }
    assert_eq!(
        refused("\"size\":1", "\"size\":17592186044417"),
        ManifestError::TooLarge
    );
    for bad in [
        "../config.json",
        "/config.json",
        "a//config.json",
        "config",
        "x.bin",
        ".a.json",
        "a/config.json",
    ] {
        let expected = ManifestError::Name { name: shown(bad) };
        assert_eq!(refused("config.json", bad), expected);
    }
    assert_eq!(refused("config.json", "z.json"), ManifestError::Order);
    assert_eq!(refused("config.json", "m.gguf"), ManifestError::Order);
}

#[test]
fn the_limits_hold_and_the_largest_manifest_fits_its_limit() {
    // 19 characters of prefix in front of the ending and the number: the longest name there is.
    let file = |index: usize| {
        let mut entry = entry(&format!(
            "{}{index:03}.safetensors",
            "a".repeat(limits::FILE_NAME - 15)
        ));
        entry.size = limits::PLAINTEXT / limits::FILES as u64;
        entry
    };
    let largest = Manifest::new((0..limits::FILES).map(file).collect()).unwrap();
    assert_eq!(largest.files()[0].name.len(), limits::FILE_NAME);
    assert!(
        largest.to_vec().len() <= limits::MANIFEST,
        "{}",
        largest.to_vec().len()
    );
    const { assert!(4 + limits::MANIFEST <= limits::CHUNK) };
    assert!(Manifest::from_slice(&largest.to_vec()).is_ok());
    let more = (0..=limits::FILES).map(file).collect();
    assert_eq!(Manifest::new(more), Err(ManifestError::TooManyFiles));
    assert_eq!(Manifest::new(Vec::new()), Err(ManifestError::NoWeights));
    let long = entry(&format!("{}.safetensors", "a".repeat(limits::FILE_NAME)));
    assert!(Manifest::new(vec![long]).is_err());
}

#[test]
fn every_error_says_what_to_do() {
    for error in [
        ManifestError::Document,
        ManifestError::Pickle { name: name("a.bin") },
    ] {
        assert!(!error.hint().is_empty());
        assert!(!error.to_string().contains('\n'));
    }
}

/// Whether the folder's order or the size of a batch mattered would show here.
#[test]
fn the_tree_is_that_of_the_definition_at_every_border() {
    for size in [
        0,
        1,
        limits::CHUNK - 1,
        limits::CHUNK,
        limits::CHUNK + 1,
        9 * limits::CHUNK + 5,
    ] {
        let bytes: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
        let dir = folder(&[("m.gguf", &gguf()), ("vocab.txt", &bytes)]);
        let listed = Manifest::of_dir(Path::new(dir.path()), &()).unwrap().files()[1].clone();
        let leaves: Vec<_> = bytes.chunks(limits::CHUNK).map(tree::leaf).collect();
        assert_eq!((listed.size, listed.tree), (size as u64, tree::root(&leaves)));
        assert_eq!(listed.sha256, sha256(&[&bytes]));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Manifest::from_slice(&bytes);
    }

    #[test]
    fn any_order_gives_one_manifest(seed in any::<u64>()) {
        let mut files = vec![entry("a.json"), entry("b.gguf"), entry("1_Pooling/config.json"), entry("B.json")];
        let sorted = Manifest::new(files.clone()).unwrap();
        files.rotate_left((seed % 4) as usize);
        files.swap(0, (seed / 4 % 4) as usize);
        prop_assert_eq!(Manifest::new(files).unwrap().digest(), sorted.digest());
    }
}
