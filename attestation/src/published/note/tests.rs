//! Keys and notes of others' making, and texts that are neither.

use super::*;

/// The key of the Go project's tests of signed notes, and the id that they give it: an independent computation.
#[test]
fn key_ids_are_what_others_compute() {
    let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let key: LogKey = text.parse().unwrap();
    assert_eq!(key.name().as_str(), "PeterNeumann");
    assert_eq!(key.id().to_string(), "c74f20a3");
    assert_eq!(key.to_string(), text);
    assert!(text.parse::<WitnessKey>().is_err(), "a log's key is no witness's");
}

#[test]
fn no_other_text_is_the_same_key() {
    let key = WitnessKey::new("w.example/1".parse().unwrap(), Digest::new([9; 32]));
    let text = key.to_string();
    assert_eq!(text.parse(), Ok(key));
    for place in 0..text.len() {
        for bit in 0..8 {
            let mut bytes = text.clone().into_bytes();
            bytes[place] ^= 1 << bit;
            let Ok(other) = String::from_utf8(bytes) else {
                continue;
            };
            assert!(other.parse::<WitnessKey>().is_err(), "{other}");
        }
        assert!(text[..place].parse::<WitnessKey>().is_err());
    }
    assert!(format!("{text}\n").parse::<WitnessKey>().is_err());
}

#[test]
fn names_are_not_ambiguous() {
    for bad in [
        "",
        "a b",
        "a+b",
        "a\u{a0}b",
        "a\u{2003}b",
        "a\nb",
        "a\tb",
        "a\u{7f}",
    ] {
        assert!(bad.parse::<KeyName>().is_err(), "{bad:?}");
    }
    assert!("x".repeat(256).parse::<KeyName>().is_ok());
    assert!("x".repeat(257).parse::<KeyName>().is_err());
    assert!("log.example/é".parse::<KeyName>().is_ok());
}

/// The example of C2SP tlog-cosignature (section *Format*), parsed: the key ids and lengths that it shows.
#[test]
fn the_example_of_tlog_cosignature_is_a_note() {
    let note = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
        — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
        — witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";
    let parsed = Note::parse(note).unwrap();
    assert_eq!(parsed.text.lines().count(), 3);
    let [log, witness] = parsed.lines.as_slice() else {
        panic!("two lines")
    };
    assert_eq!(
        (log.name.as_str(), log.signature.len()),
        ("example.com/behind-the-sofa", 64)
    );
    assert_eq!(
        (witness.name.as_str(), witness.signature.len()),
        ("witness.example.com/w1", 72)
    );
    assert_eq!(witness.id.to_string(), "8d66cf3f");
    // The time that the section's example of a signed message names.
    assert_eq!(witness.signature[..8], 1_679_315_147_u64.to_be_bytes());
}

#[test]
fn a_note_has_one_form() {
    let line = "— a AAAAAAE=\n";
    let parse = |note: &str| {
        let parsed = Note::parse(note).map_err(|error| error.check());
        parsed.map(|note| note.text.to_owned())
    };
    assert!(parse(&format!("text\n\n{line}")).is_ok());
    assert_eq!(parse(&format!("one\n\ntwo\n\n{line}")).unwrap(), "one\n\ntwo\n");
    for bad in [
        String::new(),
        "text\n".to_owned(),
        "text\n\n".to_owned(),
        line.to_owned(),
        format!("text\n{line}"),
        format!("text\n\n{}", line.trim_end()),
        format!("text\n\n{line}\n"),
        format!("te\txt\n\n{line}"),
        format!("text\r\n\n{line}"),
        "text\n\n- a AAAAAAE=\n".to_owned(),
        "text\n\n— a AAAAAAE\n".to_owned(),
        "text\n\n— a AAAAAAF=\n".to_owned(),
        "text\n\n— a AAAAAA==\n".to_owned(),
        "text\n\n— a  AAAAAAE=\n".to_owned(),
        "text\n\n—  AAAAAAE=\n".to_owned(),
        "text\n\n— a+b AAAAAAE=\n".to_owned(),
    ] {
        assert_eq!(parse(&bad).err(), Some(PublishedCheck::NoteForm), "{bad:?}");
    }
    let twice = format!("text\n\n{line}— a AAAAAAI=\n");
    assert_eq!(parse(&twice).err(), Some(PublishedCheck::NoteRepeated));
    let many: String = (0..limits::NOTE_SIGNATURES)
        .map(|key| format!("— k{key} AAAAAAE=\n"))
        .collect();
    assert!(parse(&format!("text\n\n{many}")).is_ok());
    assert!(parse(&format!("text\n\n{many}{line}")).is_err());
}
