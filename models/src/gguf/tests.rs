//! What is and is not taken for the tables of a GGUF file.

use proptest::prelude::*;

use super::written::{Setting, Written};
use super::*;

fn parse(bytes: &[u8]) -> Result<Gguf<'_>, GgufError> {
    Gguf::parse(bytes, bytes.len() as u64)
}

fn refusal(bytes: &[u8]) -> GgufError {
    match parse(bytes) {
        Ok(_) => panic!("it was taken"),
        Err(error) => {
            assert!(!error.to_string().is_empty() && !error.hint().is_empty());
            error
        }
    }
}

fn sample() -> Written {
    let mut file = Written::default();
    file.set("general.architecture", Setting::Text("llama".into()));
    file.set("a.number", Setting::U32(7));
    file.set("a.truth", Setting::Bool(true));
    file.set(
        "a.list",
        Setting::Texts(vec!["one".into(), "".into(), "three".into()]),
    );
    file.tensor("first", &[2, 3], 0, &[1; 24]);
    file.tensor("second", &[1, 32], 8, &[2; 34]);
    file.tensor("third", &[5], 1, &[3; 10]);
    file
}

#[test]
fn what_was_written_is_read() {
    let bytes = sample().bytes();
    let gguf = parse(&bytes).unwrap();
    assert_eq!(gguf.value("a.number").and_then(Value::whole), Some(7));
    assert!(matches!(gguf.value("a.truth"), Some(Value::Bool(true))));
    let Some(Value::List(list)) = gguf.value("a.list") else {
        panic!("it is a list");
    };
    let texts: Vec<&str> = list
        .values()
        .map(|value| match value {
            Value::Text(text) => text,
            _ => panic!("it is a text"),
        })
        .collect();
    assert_eq!(texts, ["one", "", "three"]);
    let places: Vec<(&str, Vec<u64>, &[u8])> = gguf
        .tensors()
        .iter()
        .map(|tensor| {
            let place = tensor.place.start as usize..tensor.place.end as usize;
            (tensor.name, tensor.shape().collect(), &bytes[place])
        })
        .collect();
    assert_eq!(places[0], ("first", vec![2, 3], &[1; 24][..]));
    assert_eq!(places[1], ("second", vec![1, 32], &[2; 34][..]));
    assert_eq!(places[2], ("third", vec![5], &[3; 10][..]));
    // Padding behind the last tensor may be there or not.
    let start = gguf.tensors()[0].place.start;
    let end = gguf.tensors()[2].place.end as usize;
    assert_eq!(start % 32, 0);
    for length in [end, end + 1, end.next_multiple_of(32)] {
        let mut bytes = bytes.clone();
        bytes.resize(length, 0);
        assert!(parse(&bytes).is_ok(), "{length}");
    }
    for length in [end - 1, end.next_multiple_of(32) + 1] {
        let mut bytes = bytes.clone();
        bytes.resize(length, 0);
        assert_eq!(
            refusal(&bytes),
            GgufError::Length {
                expected: end as u64,
                found: length as u64
            }
        );
    }
}

#[test]
fn the_begin_of_a_file_is_enough() {
    let bytes = sample().bytes();
    let length = bytes.len() as u64;
    let data = parse(&bytes).unwrap().tensors()[0].place.start as usize;
    assert!(Gguf::parse(&bytes[..data], length).is_ok());
    for cut in 0..data - 32 {
        assert!(matches!(
            Gguf::parse(&bytes[..cut], length),
            Err(GgufError::Cut { .. })
        ));
    }
}

#[test]
fn versions_and_magic_are_looked_at() {
    let bytes = sample().bytes();
    let with = |at: usize, number: u32| {
        let mut bytes = bytes.clone();
        bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
        bytes
    };
    assert!(parse(&with(4, 2)).is_ok());
    assert_eq!(refusal(&with(4, 1)), GgufError::Version(1));
    assert_eq!(refusal(&with(4, 4)), GgufError::Version(4));
    assert_eq!(refusal(&with(4, 3u32.swap_bytes())), GgufError::BigEndian);
    assert_eq!(refusal(&with(0, 0)), GgufError::Magic);
    for at in [8, 16] {
        let mut bytes = bytes.clone();
        bytes[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(refusal(&bytes), GgufError::TooMany { .. }));
    }
}

#[test]
fn names_come_once_and_are_short() {
    let mut file = sample();
    file.set("a.number", Setting::U32(8));
    assert_eq!(
        refusal(&file.bytes()),
        GgufError::KeyTwice(ShownName::new("a.number"))
    );
    let mut file = sample();
    file.tensor("first", &[1], 0, &[0; 4]);
    assert_eq!(
        refusal(&file.bytes()),
        GgufError::TensorTwice(ShownName::new("first"))
    );
    for name in [String::new(), "x".repeat(65)] {
        let mut file = sample();
        file.tensor(&name, &[1], 0, &[0; 4]);
        assert!(matches!(
            refusal(&file.bytes()),
            GgufError::NameLength { most: 64, .. }
        ));
    }
    let mut file = sample();
    file.set("", Setting::U32(8));
    assert!(matches!(refusal(&file.bytes()), GgufError::NameLength { .. }));
    // What a file calls its things is not shown unless it can be.
    let mut file = sample();
    file.set("\u{1b}[2J", Setting::Raw(13, Vec::new()));
    assert!(!refusal(&file.bytes()).to_string().contains('\u{1b}'));
}

#[test]
fn values_are_what_the_format_has() {
    let refused = |setting: Setting| {
        let mut file = sample();
        file.set("key", setting);
        refusal(&file.bytes())
    };
    let key = || ShownName::new("key");
    assert_eq!(
        refused(Setting::Raw(13, vec![0; 64])),
        GgufError::ValueType {
            key: key(),
            found: 13
        }
    );
    assert_eq!(
        refused(Setting::Raw(7, vec![2])),
        GgufError::NotBool { key: key(), found: 2 }
    );
    let text = |bytes: &[u8]| {
        let mut raw = (bytes.len() as u64).to_le_bytes().to_vec();
        raw.extend(bytes);
        raw
    };
    assert_eq!(refused(Setting::Raw(8, text(&[0xff]))), GgufError::NotText(key()));
    let list = |kind: u32, count: u64, values: &[u8]| {
        let mut raw = kind.to_le_bytes().to_vec();
        raw.extend(count.to_le_bytes());
        raw.extend(values);
        raw
    };
    assert_eq!(
        refused(Setting::Raw(9, list(8, 1, &text(&[0xff])))),
        GgufError::NotText(key())
    );
    assert!(matches!(
        refused(Setting::Raw(9, list(0, u64::MAX, &[]))),
        GgufError::TooMany { .. }
    ));
    assert!(matches!(
        refused(Setting::Raw(9, list(13, 0, &[]))),
        GgufError::ValueType { found: 13, .. }
    ));
    assert!(matches!(
        refused(Setting::Raw(9, list(4, 1 << 22, &[]))),
        GgufError::Cut { .. }
    ));
    let nested = |depth: usize| (1..depth).fold(list(4, 0, &[]), |inner, _| list(9, 1, &inner));
    let mut file = sample();
    file.set("key", Setting::Raw(9, nested(4)));
    assert!(parse(&file.bytes()).is_ok());
    for depth in [5, 10_000] {
        assert_eq!(
            refused(Setting::Raw(9, nested(depth))),
            GgufError::Depth { key: key(), most: 4 }
        );
    }
}

#[test]
fn tensors_are_refused_by_name() {
    let refused = |dimensions: &[u64], kind: u32, bytes: usize| {
        let mut file = sample();
        file.tensor("bad", dimensions, kind, &vec![0; bytes]);
        refusal(&file.bytes())
    };
    let name = || ShownName::new("bad");
    for found in [0usize, 5] {
        assert_eq!(
            refused(&vec![1; found], 0, 4),
            GgufError::Dimensions {
                name: name(),
                found: found as u32
            }
        );
    }
    assert_eq!(refused(&[3, 0], 0, 0), GgufError::Empty(name()));
    assert_eq!(
        refused(&[256], 10, 84).to_string(),
        "the tensor bad is Q2_K, which is not read"
    );
    assert_eq!(
        refused(&[32], 4, 18).to_string(),
        "the tensor bad has the unknown type 4"
    );
    assert_eq!(
        refused(&[33], 8, 68),
        GgufError::Row {
            name: name(),
            kind: "Q8_0",
            expected: 32,
            found: 33
        }
    );
    assert_eq!(refused(&[u64::MAX], 0, 0), GgufError::TensorTooLarge(name()));
    assert_eq!(
        refused(&[1 << 40, 1 << 40], 0, 0),
        GgufError::TensorTooLarge(name())
    );
}

#[test]
fn tensors_lie_behind_each_other() {
    let moved = |by: i64| {
        let mut file = sample();
        file.move_tensor("second", by);
        file.bytes()
    };
    for by in [-32, -1, 1, 32, 1 << 40] {
        assert_eq!(
            refusal(&moved(by)),
            GgufError::Place {
                name: ShownName::new("second"),
                expected: 32,
                found: 32u64.wrapping_add_signed(by)
            },
            "{by}"
        );
    }
    let mut aligned = sample();
    aligned.set("general.alignment", Setting::U32(64));
    assert!(matches!(refusal(&aligned.bytes()), GgufError::Place { .. }));
    for bad in [
        Setting::U32(0),
        Setting::U32(4),
        Setting::U32(48),
        Setting::U32(1 << 17),
        Setting::Bool(true),
        Setting::Text("32".into()),
    ] {
        let mut file = sample();
        file.set("general.alignment", bad);
        assert!(matches!(refusal(&file.bytes()), GgufError::Alignment(_)));
    }
}

#[test]
fn every_cut_and_every_flipped_bit_is_borne() {
    let bytes = sample().bytes();
    let data = parse(&bytes).unwrap().tensors()[0].place.start as usize;
    for length in 0..bytes.len() - 32 {
        assert!(parse(&bytes[..length]).is_err(), "cut to {length}");
    }
    for bit in 0..data * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        // Taken or refused: either ends.
        let _ = parse(&flipped).map(|gguf| gguf.tensors().len());
    }
}

proptest! {
    #[test]
    fn random_bytes_behind_a_sound_begin_are_borne(
        tail in prop::collection::vec(any::<u8>(), 0..400),
        counts in (0u64..4, 0u64..4),
    ) {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(counts.0.to_le_bytes());
        bytes.extend(counts.1.to_le_bytes());
        bytes.extend(&tail);
        if let Ok(gguf) = parse(&bytes) {
            prop_assert!(gguf.tensors().iter().all(|tensor| tensor.place.end <= bytes.len() as u64));
        }
    }
}

#[cfg(feature = "inference")]
#[test]
fn blocks_are_as_large_as_the_kernels_have_them() {
    use anchorhold_kernels::BlockFormat;
    let mut seen = 0;
    for number in 0..64 {
        if let Ok(kind) = Kind::of(number) {
            let format = BlockFormat::from(kind);
            assert_eq!(kind.block_weights(), format.block_weights() as u64);
            assert_eq!(kind.block_bytes(), format.block_bytes() as u64);
            seen += 1;
        }
    }
    assert_eq!(seen, BlockFormat::ALL.len());
}
