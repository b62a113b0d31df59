//! What is sealed comes out, at every border of the format, and the format has no second form.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;
use crate::progress::Progress;

fn check(text: &[u8]) {
    let sealed = Sealed::new(text);
    let mut model = sealed.unseal().unwrap();
    assert_eq!(model.get("vocab.txt"), Some(text));
    assert_eq!(model.get("config.json"), Some(&b"{}"[..]));
    assert_eq!(
        model.get("model.safetensors"),
        Some(&safetensors(b"tiny weights")[..])
    );
    assert_eq!(model.get("README.md"), None);
    assert_eq!(
        model.names().collect::<Vec<_>>(),
        ["config.json", "model.safetensors", "vocab.txt"]
    );
    assert_eq!(model.manifest(), &sealed.manifest);
    assert_eq!(model.manifest_sha256(), sealed.manifest.digest());
    assert_eq!(&*model.take("vocab.txt").unwrap(), text);
    assert!(model.take("vocab.txt").is_none());
}

#[test]
fn files_of_every_awkward_size() {
    for size in [
        0,
        1,
        CHUNK - 1,
        CHUNK,
        CHUNK + 1,
        2 * CHUNK,
        7 * CHUNK / 2,
        11 * CHUNK + 3,
    ] {
        check(&bytes(size));
    }
}

/// The manifest and small files stand before the text, so a file's border is hardly ever a chunk's: here the
/// plaintext as a whole has the awkward size.
#[test]
fn plaintexts_of_every_awkward_size() {
    for chunks in [1, 2, 3] {
        for target in [chunks * CHUNK - 1, chunks * CHUNK, chunks * CHUNK + 1] {
            let mut size = target;
            let sealed = loop {
                let sealed = Sealed::new(&bytes(size));
                let length = sealed.header.plaintext_length() as usize;
                if length == target {
                    break sealed;
                }
                size -= length - target;
            };
            let count = target.div_ceil(CHUNK);
            assert_eq!(sealed.file.len(), sealed.chunk(0) + target + count * 16);
            assert_eq!(sealed.unseal().unwrap().get("vocab.txt"), Some(&bytes(size)[..]));
        }
    }
}

#[test]
fn many_small_files_in_one_chunk_and_empty_ones_at_the_end() {
    let dir = folder(b"");
    for index in 0..300 {
        fs::write(dir.path().join(format!("{index}.json")), bytes(index % 5)).unwrap();
    }
    let sealed = Sealed::with(&dir, [1; 32], false);
    let model = sealed.unseal().unwrap();
    for index in 0..300 {
        assert_eq!(model.get(&format!("{index}.json")), Some(&bytes(index % 5)[..]));
    }
    assert_eq!(model.get("vocab.txt"), Some(&b""[..]));
}

#[test]
fn through_files_with_a_fresh_salt_each() {
    let dir = folder(&bytes(CHUNK + 1));
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("model.sealed");
    let summary = seal_dir(dir.path(), &path, &key(1), &options(false), &()).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), summary.sealed_size);
    assert_eq!(summary.manifest_sha256, summary.manifest.digest());

    let model = SealedModel::open(&path).unwrap();
    assert_eq!(model.header(), &summary.header);
    assert_eq!(model.sealed_size(), summary.sealed_size);
    let header = model.header();
    assert_eq!(header.key_id().as_str(), "test/key");
    assert_eq!(header.class(), Class::Insecure);
    assert_eq!(header.name().unwrap().as_str(), "tests/model");
    assert_eq!(header.manifest_sha256(), Some(summary.manifest_sha256));
    let expected = Expected {
        key_id: header.key_id().clone(),
        class: header.class(),
        manifest_sha256: summary.manifest_sha256,
        max_plaintext: header.plaintext_length(),
    };
    let model = model.unseal(key(1), &expected, &()).unwrap();
    assert_eq!(model.get("vocab.txt"), Some(&bytes(CHUNK + 1)[..]));

    let second = out.path().join("second.sealed");
    let again = seal_dir(dir.path(), &second, &key(1), &options(false), &()).unwrap();
    assert_ne!(again.header.salt(), summary.header.salt());
    assert_eq!(again.manifest_sha256, summary.manifest_sha256);
    let (one, two) = (fs::read(&path).unwrap(), fs::read(&second).unwrap());
    assert_eq!(one.len(), two.len());
    assert_ne!(
        one[summary.sealed_size as usize - 64..],
        two[summary.sealed_size as usize - 64..]
    );
}

#[test]
fn a_private_name_is_nowhere_in_the_file_and_the_pin_still_holds() {
    let dir = folder(b"text");
    let sealed = Sealed::with(&dir, [9; 32], true);
    let model = SealedModel::from_reader(&sealed.file[..]).unwrap();
    assert_eq!(
        (model.header().name(), model.header().manifest_sha256()),
        (None, None)
    );
    let json = String::from_utf8(model.header().to_vec()).unwrap();
    assert!(!json.contains("name") && !json.contains("manifest"), "{json}");
    assert!(sealed.unseal().is_ok());
    let mut other = sealed.expected.clone();
    other.manifest_sha256 = digest_of(0);
    let model = SealedModel::from_reader(&sealed.file[..]).unwrap();
    assert_eq!(
        model.unseal(key(1), &other, &()).err(),
        Some(UnsealError::ManifestMismatch)
    );
}

/// A source that gives one byte, or an interruption, or a few bytes.
struct Trickle<'a>(&'a [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 += 1;
        match self.1 % 3 {
            0 => Err(io::ErrorKind::Interrupted.into()),
            1 => self.0.read(&mut buffer[..1]),
            _ => {
                let length = buffer.len().min(70_001);
                self.0.read(&mut buffer[..length])
            }
        }
    }
}

#[test]
fn a_source_may_give_its_bytes_in_any_portions() {
    let sealed = Sealed::new(&bytes(3 * CHUNK));
    let model = SealedModel::from_reader(Trickle(&sealed.file, 0)).unwrap();
    let model = model.unseal(key(1), &sealed.expected, &()).unwrap();
    assert_eq!(model.get("vocab.txt"), Some(&bytes(3 * CHUNK)[..]));
}

#[derive(Default)]
struct Counter {
    total: AtomicU64,
    done: AtomicU64,
}

impl Progress for Counter {
    fn total(&self, bytes: u64) {
        self.total.store(bytes, Ordering::Relaxed);
    }
    fn advance(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[test]
fn progress_ends_at_its_total() {
    let dir = folder(&bytes(12 * CHUNK + 5));
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("model.sealed");
    let ends = |work: &dyn Fn(&Counter)| {
        let counter = Counter::default();
        work(&counter);
        assert_eq!(counter.total.into_inner(), counter.done.into_inner());
    };
    let pinned = Manifest::of_dir(dir.path(), &()).unwrap().digest();
    ends(&|counter| drop(Manifest::of_dir(dir.path(), counter).unwrap()));
    ends(&|counter| drop(seal_dir(dir.path(), &path, &key(1), &options(false), counter).unwrap()));
    ends(&|counter| {
        let model = SealedModel::open(&path).unwrap();
        let expected = Expected {
            key_id: "test/key".parse().unwrap(),
            class: Class::Insecure,
            manifest_sha256: pinned,
            max_plaintext: u64::MAX,
        };
        drop(model.unseal(key(1), &expected, counter).unwrap());
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_set_of_files_comes_out_as_it_went_in(
        sizes in proptest::collection::vec(0..3 * CHUNK, 1..6),
        salt in any::<[u8; 32]>(),
        private in any::<bool>(),
    ) {
        let dir = folder(b"");
        for (index, size) in sizes.iter().enumerate() {
            fs::write(dir.path().join(format!("{index}.json")), bytes(*size)).unwrap();
        }
        let model = Sealed::with(&dir, salt, private).unseal().unwrap();
        for (index, size) in sizes.iter().enumerate() {
            prop_assert_eq!(model.get(&format!("{index}.json")), Some(&bytes(*size)[..]));
        }
    }
}
