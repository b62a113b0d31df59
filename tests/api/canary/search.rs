//! Finding a secret in whatever form it may have been written.
//!
//! Why apart: a search that finds nothing proves nothing unless it is shown to find.
//!
//! # Invariants
//! Each half of the secret is looked for by itself, so that a piece that was cut off is found as well.

use std::path::Path;

use anchorhold_encoding::sha256;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use tokenizers::Tokenizer;

/// Token ids in a row that no chance puts together: the smaller vocabulary has 1024.
const IDS: usize = 6;

/// A text that nobody has ever written before.
pub(crate) struct Canary {
    /// Letters and digits only, so that no escaping changes it.
    core: String,
    needles: Vec<Needle>,
    /// For each pair of bytes, the needles that begin with it.
    beginnings: Vec<Vec<usize>>,
}

struct Needle {
    form: &'static str,
    bytes: Vec<u8>,
}

impl Canary {
    /// A new one, as the tokenizer of the model in `folder` cuts it.
    pub(crate) fn new(folder: &Path) -> Self {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        let seed = format!("{} {:?}", std::process::id(), now);
        let random = sha256(&[seed.as_bytes()]).to_string();
        let core = format!("Zq{}Wv{}Kx", &random[..18], &random[18..36]);
        let mut needles = Vec::new();
        let (first, second) = core.split_at(core.len() / 2);
        for half in [first, second] {
            write_forms(half, &mut needles);
        }
        write_ids(&core, folder, &mut needles);
        let mut beginnings = vec![Vec::new(); 1 << 16];
        for (index, needle) in needles.iter().enumerate() {
            beginnings[pair(&needle.bytes)].push(index);
        }
        Self {
            core,
            needles,
            beginnings,
        }
    }

    /// What is put into requests: with characters around it that JSON escapes.
    pub(crate) fn text(&self) -> String {
        format!("\u{bf}\"{}\"\t\u{e9}", self.core)
    }

    /// Without anything around it, for headers and paths.
    pub(crate) fn word(&self) -> &str {
        &self.core
    }

    /// The forms in which it is in `bytes`.
    pub(crate) fn forms_in(&self, bytes: &[u8]) -> Vec<&'static str> {
        let mut found = Vec::new();
        for at in 0..bytes.len().saturating_sub(1) {
            for index in &self.beginnings[pair(&bytes[at..])] {
                let needle = &self.needles[*index];
                if bytes[at..].starts_with(&needle.bytes) && !found.contains(&needle.form) {
                    found.push(needle.form);
                }
            }
        }
        found
    }

    /// Demands that it is not in `bytes`.
    #[track_caller]
    pub(crate) fn is_not_in(&self, place: &str, bytes: &[u8]) {
        let forms = self.forms_in(bytes);
        assert!(forms.is_empty(), "{place} has the canary as {forms:?}");
    }

    /// Demands that it is in no file below `folder`; returns how many there were.
    #[track_caller]
    pub(crate) fn is_in_no_file(&self, folder: &Path) -> usize {
        let mut files = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            self.is_not_in("the name of a file", entry.file_name().as_encoded_bytes());
            if entry.file_type().unwrap().is_dir() {
                files += self.is_in_no_file(&entry.path());
            } else {
                self.is_not_in(
                    &entry.path().display().to_string(),
                    &std::fs::read(entry.path()).unwrap(),
                );
                files += 1;
            }
        }
        files
    }
}

fn pair(bytes: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn write_forms(text: &str, needles: &mut Vec<Needle>) {
    let mut put = |form, bytes: Vec<u8>| needles.push(Needle { form, bytes });
    let each = |write: &dyn Fn(u8) -> String, between: &str| {
        text.bytes()
            .map(write)
            .collect::<Vec<_>>()
            .join(between)
            .into_bytes()
    };
    put("UTF-8", text.into());
    put("lower case", text.to_lowercase().into());
    put(
        "UTF-16 LE",
        text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
    );
    put(
        "UTF-16 BE",
        text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
    );
    put("JSON escapes", each(&|byte| format!("\\u{byte:04x}"), ""));
    put("hexadecimal", each(&|byte| format!("{byte:02x}"), ""));
    put("HEXADECIMAL", each(&|byte| format!("{byte:02X}"), ""));
    put("escaped bytes", each(&|byte| format!("\\x{byte:02x}"), ""));
    put("per cent", each(&|byte| format!("%{byte:02X}"), ""));
    put("list of bytes", each(&|byte| byte.to_string(), ","));
    put("spaced list of bytes", each(&|byte| byte.to_string(), ", "));
    for (shift, form) in ["base64", "base64, shifted by one", "base64, shifted by two"]
        .into_iter()
        .enumerate()
    {
        let bytes = [vec![0; shift], text.into()].concat();
        // What neighbours share is cut away: the characters of the shift, and the last that is not whole.
        let (begin, end) = ([0, 2, 3][shift], bytes.len() / 3 * 4);
        put(form, STANDARD_NO_PAD.encode(&bytes)[begin..end].into());
        put(form, URL_SAFE_NO_PAD.encode(&bytes)[begin..end].into());
    }
}

fn write_ids(text: &str, folder: &Path, needles: &mut Vec<Needle>) {
    let tokenizer = Tokenizer::from_file(folder.join("tokenizer.json")).expect("the model has a tokenizer");
    let encoding = tokenizer.encode(text, false).expect("a text has tokens");
    let ids: Vec<u32> = encoding.get_ids().iter().copied().filter(|id| *id > 0).collect();
    assert!(ids.len() >= IDS + 2, "{ids:?}");
    // The outermost tokens depend on what stands beside them.
    for window in ids[1..ids.len() - 1].windows(IDS) {
        let numbers: Vec<String> = window.iter().map(u32::to_string).collect();
        for between in [",", ", ", " ", "\n"] {
            needles.push(Needle {
                form: "token ids",
                bytes: numbers.join(between).into_bytes(),
            });
        }
        needles.push(Needle {
            form: "token ids as bytes",
            bytes: window.iter().flat_map(|id| id.to_le_bytes()).collect(),
        });
    }
}

#[test]
fn the_search_sees_each_form() {
    let folder = anchorhold_tests::world::World::demo_model();
    let canary = Canary::new(&folder);
    assert!(canary.needles.len() > 40);
    for needle in &canary.needles {
        let planted = [b"before".as_slice(), &needle.bytes, b"after"].concat();
        assert!(
            canary.forms_in(&planted).contains(&needle.form),
            "{}",
            needle.form
        );
    }
    // As programs write it, not as the search imagines it.
    let text = canary.text();
    for before in ["", "a", "ab"] {
        let encoded = STANDARD_NO_PAD.encode(format!("{before}{text} and more"));
        assert!(!canary.forms_in(encoded.as_bytes()).is_empty(), "{before:?}");
    }
    assert_eq!(
        canary.forms_in(serde_json::to_string(&text).unwrap().as_bytes()),
        ["UTF-8"]
    );
    assert_eq!(
        canary.forms_in(format!("{:?}", text.as_bytes()).as_bytes()),
        ["spaced list of bytes"]
    );
    let tokenizer = Tokenizer::from_file(folder.join("tokenizer.json")).unwrap();
    let ids = tokenizer
        .encode(format!("Tell me about {text}, please."), false)
        .unwrap();
    assert_eq!(
        canary.forms_in(format!("{:?}", ids.get_ids()).as_bytes()),
        ["token ids"]
    );
    assert_eq!(canary.forms_in(b"nothing of the kind"), Vec::<&str>::new());
    // And in a file, deep in a folder.
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir(place.path().join("below")).unwrap();
    std::fs::write(place.path().join("below/file"), "innocent").unwrap();
    assert_eq!(canary.is_in_no_file(place.path()), 1);
    std::fs::write(place.path().join("below/file"), &text).unwrap();
    assert!(std::panic::catch_unwind(|| canary.is_in_no_file(place.path())).is_err());
}
