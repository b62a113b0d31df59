//! Pins hold for exactly what they say; values show as they are.

use super::*;
use crate::claims::Platform;
use crate::denial::{RuleId, Rules};

const HERE: Platform = Platform::InsecureSimulated;

#[derive(serde::Deserialize)]
struct File {
    pins: Vec<Pin>,
}

fn pins(entry: &str) -> Result<Vec<Pin>, toml::de::Error> {
    toml::from_str::<File>(&format!("[[pins]]\n{entry}\n")).map(|file| file.pins)
}

fn fields() -> Vec<Field> {
    vec![
        Field::new("a.number", 0x25_u64),
        Field::new("a.large", u64::MAX),
        Field::new("a.bytes", [0xab_u8, 0xcd]),
        Field::new("a.flag", true),
        Field::new("a.text", "550.90"),
        Field::new("a.absent", None::<u64>),
        Field::new("a.twice", 7_u8),
        Field::new("a.twice", 8_u8),
    ]
}

/// What is wrong, or nothing.
fn judged(entry: &str) -> Vec<String> {
    let mut rules = Rules::new();
    Pin::judge(&pins(entry).unwrap(), &mut rules, HERE, &fields());
    match rules.finish() {
        Ok(_) => Vec::new(),
        Err(denial) => denial
            .reasons()
            .iter()
            .inspect(|reason| assert_eq!(reason.rule, RuleId::Pin))
            .map(|reason| format!("{}, not {}", reason.expected, reason.found))
            .collect(),
    }
}

#[test]
fn a_pin_holds_for_what_it_says() {
    for entry in [
        "field = 'a.number'\nequals = 37",
        "field = 'a.number'\nequals = '0x25'",
        "field = 'a.large'\nequals = '0xffffffffffffffff'",
        "field = 'a.number'\none_of = [1, 37]",
        "field = 'a.number'\nmask = '04'\nequals = 4",
        "field = 'a.number'\nat_least = 37",
        "field = 'a.number'\nat_most = 37",
        "field = 'a.number'\nat_least = 1\nat_most = 99",
        "field = 'a.bytes'\nequals = 'abcd'",
        "field = 'a.bytes'\nmask = 'ff00'\nequals = 'ab00'",
        "field = 'a.flag'\nequals = true",
        "field = 'a.text'\nequals = '550.90'",
        "field = 'a.absent'\nabsent = true",
        "field = 'a.twice'\nat_least = 7",
        "field = 'a.number'\nequals = 37\nonly_on = ['insecure-simulated']",
    ] {
        assert_eq!(judged(entry), Vec::<String>::new(), "{entry}");
    }
}

#[test]
fn a_pin_refuses_everything_else() {
    for (entry, reason) in [
        ("field = 'a.number'\nequals = 36", "a.number = 36, not 37"),
        ("field = 'a.number'\nequals = '25'", "a.number = 25, not 37"),
        ("field = 'a.number'\nequals = '0x+25'", "a.number = 0x+25, not 37"),
        ("field = 'a.number'\nequals = true", "a.number = true, not 37"),
        (
            "field = 'a.number'\none_of = [1, 2]",
            "a.number = one of 2 values, not 37",
        ),
        (
            "field = 'a.number'\nmask = '04'\nequals = 0",
            "a.number & 04 = 0, not 37",
        ),
        (
            "field = 'a.number'\nmask = '010000000000000000'\nequals = 0",
            "a.number & 010000000000000000 = 0, not 37",
        ),
        ("field = 'a.number'\nat_least = 38", "a.number >= 38, not 37"),
        ("field = 'a.number'\nat_most = 36", "a.number <= 36, not 37"),
        (
            "field = 'a.number'\nat_least = 38\nat_most = 39",
            "a.number in 38..=39, not 37",
        ),
        ("field = 'a.bytes'\nequals = 'abce'", "a.bytes = abce, not abcd"),
        ("field = 'a.bytes'\nequals = 'ABCD'", "a.bytes = ABCD, not abcd"),
        ("field = 'a.bytes'\nequals = 'abc'", "a.bytes = abc, not abcd"),
        (
            "field = 'a.bytes'\nmask = 'ff'\nequals = 'ab'",
            "a.bytes & ff = ab, not abcd",
        ),
        ("field = 'a.bytes'\nat_most = 99", "a.bytes <= 99, not abcd"),
        ("field = 'a.flag'\nequals = false", "a.flag = false, not true"),
        ("field = 'a.flag'\nequals = 1", "a.flag = 1, not true"),
        ("field = 'a.text'\nequals = '550.9'", "a.text = 550.9, not 550.90"),
        ("field = 'a.absent'\nequals = 0", "a.absent = 0, not absent"),
        ("field = 'a.number'\nabsent = true", "a.number absent, not 37"),
        ("field = 'a.twice'\nequals = 7", "a.twice = 7, not 8"),
        (
            "field = 'a.missing'\nabsent = true",
            "a.missing absent, not no such field",
        ),
    ] {
        assert_eq!(judged(entry), [reason], "{entry}");
    }
}

#[test]
fn a_pin_that_demands_nothing_cannot_be_written() {
    for entry in [
        "field = 'a'",
        "equals = 1",
        "field = ''\nequals = 1",
        "field = 'A'\nequals = 1",
        "field = 'a b'\nequals = 1",
        "field = 'a'\nequals = 1\none_of = [2]",
        "field = 'a'\none_of = []",
        "field = 'a'\nmask = 'ff'",
        "field = 'a'\nmask = '00'\nequals = 0",
        "field = 'a'\nmask = ''\nequals = ''",
        "field = 'a'\nmask = 'FF'\nequals = 0",
        "field = 'a'\nmask = 'ff'\nat_least = 3",
        "field = 'a'\nat_least = 0",
        "field = 'a'\nat_least = 3\nat_most = 2",
        "field = 'a'\nequals = 1\nat_most = 2",
        "field = 'a'\nequals = -1",
        "field = 'a'\nequals = 1.0",
        "field = 'a'\nequals = [1]",
        "field = 'a'\nabsent = false",
        "field = 'a'\nabsent = true\nequals = 1",
        "field = 'a'\nequals = 1\nonly_on = []",
        "field = 'a'\nequals = 1\nonly_on = ['nowhere']",
        "field = 'a'\nequals = 1\nskip = true",
    ] {
        assert!(pins(entry).is_err(), "{entry}");
    }
    let long = format!("field = '{}'\nequals = 1", "a".repeat(limits::FIELD_NAME + 1));
    assert!(pins(&long).is_err());
}

#[test]
fn values_show_and_serialize_as_they_are() {
    let shown: Vec<_> = fields().iter().map(|field| field.value.to_string()).collect();
    assert_eq!(
        shown,
        [
            "37",
            "18446744073709551615",
            "abcd",
            "true",
            "550.90",
            "absent",
            "7",
            "8"
        ]
    );
    let json: Vec<_> = fields()
        .iter()
        .map(|field| serde_json::to_string(&field.value).unwrap())
        .collect();
    assert_eq!(
        json,
        [
            "37",
            "\"0xffffffffffffffff\"",
            "\"abcd\"",
            "true",
            "\"550.90\"",
            "null",
            "7",
            "8"
        ]
    );
    assert_eq!(Value::from("line\nbreak").to_string(), "a text of 10 bytes");
    assert_eq!(
        Value::from("x".repeat(65).as_str()).to_string(),
        "a text of 65 bytes"
    );
}
