//! Whoever holds the file but not the key changes nothing unnoticed; whoever holds the key cannot pass one
//! model off as another.

use proptest::prelude::*;

use super::*;
use crate::manifest::ManifestError;

#[test]
fn every_bit_flip_of_every_byte_is_refused() {
    let sealed = Sealed::new(b"a small model");
    assert!(sealed.unseal().is_ok());
    let mut altered = sealed.file.clone();
    for position in 0..altered.len() {
        for bit in [0x01, 0x80] {
            altered[position] ^= bit;
            let refused = sealed.refusal(&altered);
            let in_chunks = position >= sealed.chunk(0);
            assert_eq!(
                refused == UnsealError::Corrupt { chunk: 0 },
                in_chunks,
                "{position}: {refused}"
            );
            let in_commitment = (sealed.prefix()..sealed.chunk(0)).contains(&position);
            assert!(!in_commitment || refused == UnsealError::WrongKey);
            altered[position] ^= bit;
        }
    }
}

#[test]
fn every_truncation_and_every_extension_is_refused() {
    let sealed = Sealed::new(b"a small model");
    for length in 0..sealed.file.len() {
        let expected = if length < 8 {
            UnsealError::NotSealed
        } else {
            UnsealError::Truncated
        };
        assert_eq!(sealed.refusal(&sealed.file[..length]), expected, "{length}");
    }
    for more in [&b"\0"[..], b"more", &sealed.file] {
        assert_eq!(
            sealed.refusal(&[&sealed.file, more].concat()),
            UnsealError::TrailingBytes
        );
    }
}

#[test]
fn a_large_file_cut_at_and_around_every_chunk_is_refused() {
    let sealed = Sealed::new(&bytes(7 * CHUNK / 2));
    for index in 0..4 {
        for around in [-17isize, -16, -1, 0, 1] {
            let length = sealed.chunk(index).checked_add_signed(around).unwrap();
            assert_eq!(sealed.refusal(&sealed.file[..length]), UnsealError::Truncated);
        }
    }
    for more in [1, 16, SEALED_CHUNK] {
        let longer = [&sealed.file[..], &bytes(more)].concat();
        assert_eq!(sealed.refusal(&longer), UnsealError::TrailingBytes);
    }
}

#[test]
fn chunks_cannot_move() {
    let sealed = Sealed::new(&bytes(7 * CHUNK / 2));
    let chunk =
        |index: usize| sealed.chunk(index)..(sealed.chunk(index) + SEALED_CHUNK).min(sealed.file.len());
    // Swapped: each pair of full chunks.
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        let mut altered = sealed.file.clone();
        altered[chunk(one)].copy_from_slice(&sealed.file[chunk(other)]);
        altered[chunk(other)].copy_from_slice(&sealed.file[chunk(one)]);
        assert_eq!(
            sealed.refusal(&altered),
            UnsealError::Corrupt { chunk: one as u64 }
        );
        // Duplicated over another.
        let mut altered = sealed.file.clone();
        altered[chunk(other)].copy_from_slice(&sealed.file[chunk(one)]);
        assert_eq!(
            sealed.refusal(&altered),
            UnsealError::Corrupt { chunk: other as u64 }
        );
    }
    // Left out, with everything after it moved up; put in twice, with everything after it moved down.
    let without = [&sealed.file[..sealed.chunk(1)], &sealed.file[sealed.chunk(2)..]].concat();
    assert_eq!(sealed.refusal(&without), UnsealError::Truncated);
    let twice = [&sealed.file[..sealed.chunk(2)], &sealed.file[sealed.chunk(1)..]].concat();
    assert_eq!(
        sealed.refusal(&twice[..sealed.file.len()]),
        UnsealError::Corrupt { chunk: 2 }
    );
    assert_eq!(sealed.refusal(&twice), UnsealError::TrailingBytes);
}

/// The header says how long the plaintext is and every key depends on it, so a stream cannot be made to end
/// early or go on under a header that agrees with it.
#[test]
fn a_shorter_header_for_a_shorter_stream_is_another_key() {
    let sealed = Sealed::new(&bytes(5 * CHUNK / 2));
    let mut header = sealed.header.clone();
    header.plaintext_length = 2 * CHUNK as u64;
    let cut = [&header.prefix(), &sealed.file[sealed.prefix()..sealed.chunk(2)]].concat();
    assert_eq!(sealed.refusal(&cut), UnsealError::WrongKey);
}

#[test]
fn chunks_of_another_file_under_the_same_key_are_refused() {
    let dir = folder(&bytes(7 * CHUNK / 2));
    // The same model sealed twice: only the salts differ.
    let (one, other) = (
        Sealed::with(&dir, [1; 32], false),
        Sealed::with(&dir, [2; 32], false),
    );
    assert_eq!(one.expected, other.expected);
    for index in 0..4usize {
        let mut altered = one.file.clone();
        let range = one.chunk(index)..(one.chunk(index) + SEALED_CHUNK).min(one.file.len());
        altered[range.clone()].copy_from_slice(&other.file[range]);
        assert_eq!(
            one.refusal(&altered),
            UnsealError::Corrupt { chunk: index as u64 }
        );
    }
    let body = [&one.file[..one.prefix()], &other.file[other.prefix()..]].concat();
    assert_eq!(one.refusal(&body), UnsealError::WrongKey);
}

#[test]
fn a_wrong_key_is_known_before_any_chunk_is_read() {
    let sealed = Sealed::new(b"text");
    // Nothing after the commitment: the answer does not depend on it.
    let head = &sealed.file[..sealed.chunk(0)];
    let with = |byte| {
        let model = SealedModel::from_reader(head).unwrap();
        model.unseal(key(byte), &sealed.expected, &()).err().unwrap()
    };
    assert_eq!(with(2), UnsealError::WrongKey);
    assert_eq!(with(1), UnsealError::Truncated);
}

#[test]
fn what_is_pinned_is_compared_before_the_key_is_used() {
    let sealed = Sealed::new(b"text");
    let with = |change: &dyn Fn(&mut Expected)| {
        let mut expected = sealed.expected.clone();
        change(&mut expected);
        // The wrong key: that it is wrong must not come first.
        let model = SealedModel::from_reader(&sealed.file[..]).unwrap();
        model.unseal(key(2), &expected, &()).err().unwrap()
    };
    let mismatch = |field| UnsealError::HeaderMismatch { field };
    assert_eq!(
        with(&|e| e.key_id = "other".parse().unwrap()),
        mismatch(Field::KeyId)
    );
    assert_eq!(with(&|e| e.class = Class::Real), mismatch(Field::Class));
    assert_eq!(
        with(&|e| e.manifest_sha256 = digest_of(0)),
        mismatch(Field::ManifestSha256)
    );
    assert_eq!(with(&|e| e.max_plaintext = 10), UnsealError::TooLarge);
    assert_eq!(with(&|_| ()), UnsealError::WrongKey);
}

#[test]
fn an_older_version_under_the_same_key_is_refused() {
    let (old, new) = (Sealed::new(b"version 1"), Sealed::new(b"version 2"));
    assert!(old.unseal().is_ok());
    assert_eq!(
        new.refusal(&old.file),
        UnsealError::HeaderMismatch {
            field: Field::ManifestSha256
        }
    );
    let hidden = Sealed::with(&folder(b"version 1"), [9; 32], true);
    assert_eq!(new.refusal(&hidden.file), UnsealError::ManifestMismatch);
}

#[test]
fn a_header_is_read_up_to_the_limit_and_no_further() {
    let sealed = Sealed::new(b"text");
    let claims = |length: usize| {
        let length = u32::try_from(length).unwrap().to_be_bytes();
        sealed.refusal(&[&sealed.file[..12], &length[..]].concat())
    };
    // Within the limit what is missing is looked for; beyond it nothing is set aside.
    assert_eq!(claims(crate::limits::HEADER), UnsealError::Truncated);
    assert_eq!(claims(crate::limits::HEADER + 1), UnsealError::Header);
    assert_eq!(claims(u32::MAX as usize), UnsealError::Header);
}

#[test]
fn headers_have_one_form() {
    let sealed = Sealed::new(b"text");
    let json = String::from_utf8(sealed.header.to_vec()).unwrap();
    let with_json = |json: &str| {
        let length = u32::try_from(json.len()).unwrap().to_be_bytes();
        let file = [
            &sealed.file[..12],
            &length,
            json.as_bytes(),
            &sealed.file[sealed.prefix()..],
        ]
        .concat();
        sealed.refusal(&file)
    };
    for (from, to) in [
        ("1048576", "65536"),
        ("1048576", "1048576.0"),
        ("1048576", "0"),
        ("\"insecure\"", "\"Insecure\""),
        ("\"insecure\"", "\"\""),
        ("test/key", "test//key"),
        ("test/key", "te\\u0073t/key"),
        ("{", "{ "),
        ("{", "{\"zip\":true,"),
        ("{\"chunk_size\":1048576,", "{"),
        (",\"name\":\"tests/model\"", ""),
        (",\"name\":\"tests/model\"", ",\"name\":null"),
        ("}", "}\n"),
    ] {
        let altered = json.replacen(from, to, 1);
        assert_ne!(altered, json);
        assert_eq!(with_json(&altered), UnsealError::Header, "{from} {to}");
    }
    // Beyond what the format allows, without asking what is expected.
    let mut large = sealed.header.clone();
    large.plaintext_length = crate::limits::PLAINTEXT + 1;
    let refused = SealedModel::from_reader(&large.prefix()[..]).err();
    assert_eq!(refused, Some(UnsealError::TooLarge));
    let mut version = sealed.file.clone();
    version[11] = 2;
    assert_eq!(sealed.refusal(&version), UnsealError::UnsupportedVersion);
    // A length beyond the limit is refused before anything is allocated by it.
    let mut long = sealed.file.clone();
    long[12..16].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(sealed.refusal(&long), UnsealError::Header);
}

/// A key holder can seal anything; only the pinned manifest and exactly its files come out.
#[test]
fn a_key_holder_cannot_seal_other_bytes_under_a_pinned_manifest() {
    let sealed = Sealed::new(&bytes(3 * CHUNK + 7));
    let manifest = sealed.manifest.to_vec();
    let weights = safetensors(b"tiny weights");
    let text = bytes(3 * CHUNK + 7);
    let refused = |plaintext: &[u8]| sealed.refusal(&forge(&sealed.header, &key(1), plaintext));
    let whole = plaintext(&manifest, &[b"{}", &weights, &text]);
    assert!(
        sealed
            .unseal_bytes(&forge(&sealed.header, &key(1), &whole))
            .is_ok()
    );

    let file_digest = |name: &str| UnsealError::FileDigest {
        name: name.to_owned(),
    };
    assert_eq!(
        refused(&plaintext(&manifest, &[b"[]", &weights, &text])),
        file_digest("config.json")
    );
    for position in [0, CHUNK - 1, CHUNK, 3 * CHUNK - 1, 3 * CHUNK, 3 * CHUNK + 6] {
        let mut other = text.clone();
        other[position] ^= 1;
        assert_eq!(
            refused(&plaintext(&manifest, &[b"{}", &weights, &other])),
            file_digest("vocab.txt")
        );
    }
    // The right bytes, divided otherwise.
    assert_eq!(
        refused(&plaintext(&manifest, &[&weights, b"{}", &text])),
        file_digest("config.json")
    );
    // Lengths that do not add up: a byte short, a byte over, no file at all, no manifest, nothing.
    assert_eq!(refused(&whole[..whole.len() - 1]), UnsealError::Layout);
    assert_eq!(refused(&[&whole[..], b"x"].concat()), UnsealError::Layout);
    assert_eq!(refused(&plaintext(&manifest, &[])), UnsealError::Layout);
    assert_eq!(refused(&[0xff; 100]), UnsealError::Layout);
    assert_eq!(refused(b"\0\0\0"), UnsealError::Layout);
    assert_eq!(refused(b""), UnsealError::Layout);
    // A manifest that says more than there is, or reaches beyond what a chunk can hold.
    assert_eq!(
        refused(&[&[0, 0, 1, 0][..], b"short"].concat()),
        UnsealError::Layout
    );
    assert_eq!(
        refused(&[&[0, 5, 0, 0][..], &bytes(2 * CHUNK)].concat()),
        UnsealError::Layout
    );
    // Another manifest than the pinned one, though the header repeats the pinned digest.
    let other = Sealed::new(b"another model").manifest.to_vec();
    assert_eq!(
        refused(&plaintext(&other, &[b"{}"])),
        UnsealError::ManifestMismatch
    );
    assert_eq!(refused(&plaintext(b"", &[])), UnsealError::ManifestMismatch);
}

/// Pinning the digest of something does not make it a manifest.
#[test]
fn a_pinned_document_that_is_no_manifest_is_refused() {
    let sealed = Sealed::new(b"text");
    for document in [
        &b"{}"[..],
        b"",
        b"[]",
        &[&sealed.manifest.to_vec()[..], b"\n"].concat(),
    ] {
        let mut header = sealed.header.clone();
        let digest = anchorhold_encoding::sha256(&[document]);
        header.manifest_sha256 = Some(digest);
        let mut expected = sealed.expected.clone();
        expected.manifest_sha256 = digest;
        let file = forge(&header, &key(1), &plaintext(document, &[]));
        let model = SealedModel::from_reader(&file[..]).unwrap();
        let refused = model.unseal(key(1), &expected, &()).err();
        assert_eq!(refused, Some(UnsealError::Manifest(ManifestError::Document)));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        keep in 0usize..17,
    ) {
        let start = [&b"ANCHSEAL\0\0\0\x01\0\0\0\x20"[..keep.min(16)], &bytes].concat();
        let _ = SealedModel::from_reader(&start[..]).map(|model| drop(model.header().to_vec()));
    }

    #[test]
    fn damage_anywhere_in_a_large_file_is_found(
        place in any::<prop::sample::Index>(), length in 1usize..40, byte in 1u8..,
    ) {
        // Made once: the file, not the damage, is what costs time.
        static SEALED: std::sync::OnceLock<Sealed> = std::sync::OnceLock::new();
        let sealed = SEALED.get_or_init(|| Sealed::new(&bytes(2 * CHUNK)));
        let mut altered = sealed.file.clone();
        let from = place.index(altered.len());
        let until = (from + length).min(altered.len());
        altered[from..until].iter_mut().for_each(|altered| *altered ^= byte);
        prop_assert!(sealed.unseal_bytes(&altered).is_err());
    }
}
