//! A scan of this very process, and of a core made by hand.

use super::*;
use std::hint::black_box;

fn random(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed ^ u64::from(std::process::id()) << 32;
    std::iter::repeat_with(move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    })
}

/// The forms found in a core with one segment.
fn forms_in(canaries: &Canaries, memory: &[u8]) -> Vec<&'static str> {
    let mut core = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0".to_vec();
    core.resize(32, 0);
    core.extend(64_u64.to_le_bytes());
    core.resize(54, 0);
    core.extend(56_u16.to_le_bytes());
    core.extend(1_u16.to_le_bytes());
    core.resize(64, 0);
    let length = memory.len() as u64;
    for (bytes, word) in [
        (4, 1),
        (4, 6),
        (8, 120),
        (8, 0x7000),
        (8, 0),
        (8, length),
        (8, length),
        (8, 1_u64),
    ] {
        core.extend(&word.to_le_bytes()[..bytes]);
    }
    core.extend(memory);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), core).unwrap();
    let report = scan(&Image::of_core(file.path()).unwrap(), canaries, false).unwrap();
    assert_eq!((report.mappings, report.bytes), (1, length));
    assert!(report.unread.is_empty());
    report.hits.iter().map(|hit| hit.form).collect()
}

#[test]
fn each_form_is_seen_wherever_it_lies() {
    let text = "Zq7f3a9c1e\u{e9}\"55d2b804Wv\u{4e2d}";
    let ids: Vec<u32> = random(1).take(8).map(|id| id as u32 % 60_000 + 300).collect();
    let numbers: Vec<f32> = random(2).take(8).map(|n| n as f32 / 3e8 - 3.0).collect();
    let canaries = [
        Canary::Text(text.to_owned()),
        Canary::Ids(ids.clone()),
        Canary::Numbers(numbers.clone()),
    ];
    let canaries = Canaries::new(&canaries).unwrap();
    use base64::Engine as _;
    let base64 = |before: &str| {
        let standard = base64::engine::general_purpose::STANDARD;
        standard.encode(format!("{before}{text}after")).into_bytes()
    };
    let utf16 = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    let bf16 = |number: &f32| ((number.to_bits() + 0x7fff + (number.to_bits() >> 16 & 1)) >> 16) as u16;
    let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    let planted: [(&str, Vec<u8>); 14] = [
        ("UTF-8", text.into()),
        ("lower case", text.to_lowercase().into()),
        ("UTF-16 LE", utf16(u16::to_le_bytes)),
        ("UTF-16 BE", utf16(u16::to_be_bytes)),
        ("JSON escapes", escaped.into()),
        ("JSON", serde_json::to_vec(text).unwrap()),
        ("base64", base64("")),
        ("base64", base64("a")),
        ("base64", base64("ab")),
        (
            "ids of 32 bits",
            ids.iter().flat_map(|id| id.to_le_bytes()).collect(),
        ),
        (
            "ids of 64 bits",
            ids.iter().flat_map(|id| i64::from(*id).to_le_bytes()).collect(),
        ),
        (
            "ids of 16 bits",
            ids.iter().flat_map(|id| (*id as u16).to_le_bytes()).collect(),
        ),
        ("binary32", numbers.iter().flat_map(|n| n.to_le_bytes()).collect()),
        (
            "bfloat16",
            numbers.iter().map(bf16).flat_map(u16::to_le_bytes).collect(),
        ),
    ];
    for (form, bytes) in planted {
        // In the middle, across the border of two reads, at the end.
        for place in [7, (1 << 20) - 5, (2 << 20) - bytes.len()] {
            let mut memory = vec![0; 2 << 20];
            memory[place..place + bytes.len()].copy_from_slice(&bytes);
            let found = forms_in(&canaries, &memory);
            // One order of UTF-16 is the other, a byte later, for as long as the upper bytes are zero.
            let seen =
                |found: &&str| **found == *form || form.starts_with("UTF-16") && found.starts_with("UTF-16");
            assert!(found.iter().any(seen), "{form} at {place}: {found:?}");
        }
    }
    let noise: Vec<u8> = random(3).take(1 << 20).map(|byte| byte as u8).collect();
    assert_eq!(forms_in(&canaries, &noise), Vec::<&str>::new());
}

#[test]
#[cfg(target_os = "linux")]
fn a_process_is_looked_through_and_told_where() {
    let ids: Vec<u32> = random(9).take(40).map(|id| id as u32).collect();
    let canaries = Canaries::new(&[Canary::Ids(ids.clone())]).unwrap();
    // In the middle of a block, so that no other copy is near.
    let mut block = vec![0; 4096];
    block[2000..2040].copy_from_slice(&ids);
    let address = black_box(&block)[2000..].as_ptr() as u64;
    let image = Image::of_process(std::process::id()).unwrap();
    let report = scan(&image, &canaries, false).unwrap();
    let starts: Vec<u64> = image.mappings().iter().map(|mapping| mapping.start).collect();
    let is_there = |hit: &Hit| starts.iter().any(|start| start + hit.offset == address);
    assert!(report.hits.iter().any(is_there), "{}", report.text());
    assert!(report.hits.iter().all(|hit| hit.dangerously_shown.is_none()));
    drop(block);
}

#[test]
fn what_is_no_core_and_no_canary_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"\x7fELF").unwrap();
    assert_eq!(Image::of_core(file.path()).err(), Some(ScanError::NotCore));
    assert!(matches!(
        Image::of_process(u32::MAX - 1),
        Err(ScanError::Process(_))
    ));
    let short = [Canary::Text("too short".to_owned())];
    assert_eq!(Canaries::new(&short).err(), Some(ScanError::TooShort));
    let same = [Canary::Text("a".repeat(100))];
    assert_eq!(Canaries::new(&same).err(), Some(ScanError::TooShort));
    std::fs::write(file.path(), r#"{"texts": 5}"#).unwrap();
    assert_eq!(Canaries::read(file.path()).err(), Some(ScanError::NotCanaries));
    std::fs::write(file.path(), "one-line-of-text-7431\n\nand-another-of-them-99\n").unwrap();
    assert_eq!(Canaries::read(file.path()).unwrap().len(), 2);
    std::fs::write(
        file.path(),
        r#"{"texts": ["a text of its own"], "ids": [[1,2]], "numbers": [[0.5]]}"#,
    )
    .unwrap();
    assert_eq!(Canaries::read(file.path()).unwrap().len(), 3);
}
