//! Logs: real ones against real registers, made ones against what real ones cannot show.

use proptest::prelude::*;

use super::*;
use crate::testdata::evidence;

fn rtmrs(quote: &[u8]) -> [Digest<48>; 4] {
    // Version 4: a header of 48 bytes, RTMR0 at 328 of the body.
    std::array::from_fn(|index| Digest::from_slice(&quote[376 + 48 * index..][..48]).unwrap())
}

#[test]
fn every_check_has_its_own_identifier_and_its_line_in_the_documentation() {
    let page = include_str!("../../../docs/platforms/tdx.md");
    for check in CcelCheck::ALL {
        assert!(page.contains(&format!("| `{}` |", check.id())), "{}", check.id());
        assert_eq!(
            CcelCheck::ALL
                .iter()
                .filter(|other| other.id() == check.id())
                .count(),
            1
        );
    }
}

/// Log, number of events, first bytes of what it makes of the registers, by the collection's README.
const REAL: [(&str, usize, [&str; 4]); 5] = [
    (
        "ccel/grub-trustee/ccel_data.bin",
        37,
        ["cec0a104f691", "6c289e0c6218", "08919d017ba0", "000000000000"],
    ),
    (
        "ccel/ovmf-goeventlog/ccel_data.bin",
        27,
        ["f68df15175d7", "8adfd9a44e11", "000000000000", "000000000000"],
    ),
    (
        "ccel/dupe-separator-goeventlog/ccel_data.bin",
        43,
        ["a4de2df23e96", "0ee9366c928a", "4969684dc873", "000000000000"],
    ),
    (
        "ccel/aael-alibaba-trustee/ccel_data.bin",
        87,
        ["b796e1c11396", "3b0b906140fc", "35f2801338c1", "5e4ecd49d3c7"],
    ),
    (
        "tdx/v4-gcp-cos113-ccel/ccel_data.bin",
        43,
        ["3fa2f61f395b", "f62dbc072bd5", "4969684dc873", "000000000000"],
    ),
];

#[test]
fn real_logs_give_the_registers_of_their_collection() {
    const NAME: &str = "ccel::real_logs_give_the_registers_of_their_collection";
    for (path, events, registers) in REAL {
        let Some(bytes) = evidence(NAME, path) else {
            return;
        };
        let log = EventLog::parse(&bytes).unwrap();
        assert_eq!(log.events.len(), events, "{path}");
        for (register, start) in Register::EXTENDED.into_iter().zip(registers) {
            assert!(
                log.value(register).to_string().starts_with(start),
                "{path} {}",
                register.name()
            );
        }
    }
}

#[test]
fn a_log_replays_to_the_quote_of_its_machine_and_no_other() {
    const NAME: &str = "ccel::a_log_replays_to_the_quote_of_its_machine_and_no_other";
    let (Some(quote), Some(bytes), Some(altered)) = (
        evidence(NAME, "tdx/v4-gcp-cos113-ccel/quote.bin"),
        evidence(NAME, "tdx/v4-gcp-cos113-ccel/ccel_data.bin"),
        evidence(NAME, "ccel/dupe-separator-goeventlog/ccel_data.bin"),
    ) else {
        return;
    };
    let registers = rtmrs(&quote);
    let log = EventLog::parse(&bytes).unwrap().against(&registers).unwrap();
    assert_eq!(log.events().len(), 43);
    assert_eq!(log.extended(Register::Rtmr3).count(), 0);
    assert!(
        log.extended(Register::Rtmr0)
            .any(|event| event.measured_data() == Some(&[0; 4]))
    );
    // Another boot's log, whose second separator was moved from RTMR1 to RTMR0.
    let error = EventLog::parse(&altered)
        .unwrap()
        .against(&registers)
        .unwrap_err();
    assert_eq!(
        error,
        CcelError::Register {
            register: Register::Rtmr0,
            divergence: Divergence::Unknown
        }
    );
    assert_eq!(error.id(), "ccel-replay");
}

#[test]
fn dstacks_log_replays_by_its_rule_and_only_where_asked_for() {
    const NAME: &str = "ccel::dstacks_log_replays_by_its_rule_and_only_where_asked_for";
    let (Some(quote), Some(json)) = (
        evidence(NAME, "tdx/v4-emr-dstack-rtmr/quote.bin"),
        evidence(NAME, "tdx/v4-emr-dstack-rtmr/eventlog.json"),
    ) else {
        return;
    };
    assert_eq!(EventLog::parse(&json).unwrap_err().id(), "ccel-header");
    let log = EventLog::parse_dstack(&json)
        .unwrap()
        .against(&rtmrs(&quote))
        .unwrap();
    let named: Vec<&str> = log.extended(Register::Rtmr3).filter_map(Event::name).collect();
    assert_eq!(named.len(), 8);
    assert_eq!(named[..3], ["system-preparing", "app-id", "compose-hash"]);
    let app = log
        .extended(Register::Rtmr3)
        .find(|event| event.name() == Some("app-id"))
        .unwrap();
    assert_eq!(app.measured_data().unwrap().len(), 20);

    let text = String::from_utf8(json).unwrap();
    let renamed = text.replace("\"app-id\"", "\"app-ie\"");
    let error = EventLog::parse_dstack(renamed.as_bytes()).unwrap_err();
    assert_eq!(
        error,
        CcelError::Event {
            check: CcelCheck::RuntimeRule,
            event: 21
        }
    );
    let at = text.find("\"imr\":3").unwrap();
    let moved = [&text[..at], "\"imr\":2", &text[at + 7..]].concat();
    assert_eq!(
        EventLog::parse_dstack(moved.as_bytes()).unwrap_err().id(),
        "ccel-dstack-rule"
    );
    let lifted = text.replacen("\"event\":\"\"", "\"event\":\"x\"", 1);
    assert_eq!(
        EventLog::parse_dstack(lifted.as_bytes()).unwrap_err().id(),
        "ccel-dstack-shape"
    );
}

/// A log in our own hand: register index, type, data; digests are the data's.
fn written(events: &[(u32, u32, &[u8])]) -> Vec<u8> {
    let mut log = [
        [1_u32, 3].map(u32::to_le_bytes).concat(),
        vec![0; 20],
        33_u32.to_le_bytes().to_vec(),
    ]
    .concat();
    log.extend(b"Spec ID Event03\0");
    log.extend([0, 0, 0, 0, 0, 2, 0, 2, 1, 0, 0, 0, 0x0c, 0, 48, 0, 0]);
    for (register, kind, data) in events {
        log.extend([*register, *kind, 1].map(u32::to_le_bytes).concat());
        log.extend([0x0c, 0]);
        log.extend(sha384(&[data]).as_bytes());
        log.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        log.extend(*data);
    }
    log
}

const STORY: [(u32, u32, &[u8]); 6] = [
    (1, 0xd, b"one"),
    (2, 0xd, b"two"),
    (1, 4, &[0; 4]),
    (1, 0xd, b"three"),
    (4, 6, b"workload"),
    (1, 3, b"no action"),
];

fn divergence(log: &[(u32, u32, &[u8])], truth: &[(u32, u32, &[u8])]) -> Option<(Register, Divergence)> {
    let truth = EventLog::parse(&written(truth)).unwrap();
    let registers = Register::EXTENDED.map(|register| truth.value(register));
    match EventLog::parse(&written(log)).unwrap().against(&registers) {
        Ok(_) => None,
        Err(CcelError::Register { register, divergence }) => Some((register, divergence)),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn the_event_to_blame_is_named() {
    assert_eq!(divergence(&STORY, &STORY), None);
    let mut log = STORY.to_vec();
    log.pop();
    // An event without action is in no register.
    assert_eq!(divergence(&log, &STORY), None);
    log.push((1, 0xd, b"later"));
    assert_eq!(
        divergence(&log, &STORY),
        Some((Register::Rtmr0, Divergence::Unextended(5)))
    );
    log.insert(1, (1, 0xd, b"added"));
    log.pop();
    assert_eq!(
        divergence(&log, &STORY),
        Some((Register::Rtmr0, Divergence::Surplus(1)))
    );
    let mut log = STORY.to_vec();
    log.swap(0, 2);
    assert_eq!(
        divergence(&log, &STORY),
        Some((Register::Rtmr0, Divergence::Exchanged(0)))
    );
    let mut log = STORY.to_vec();
    log.remove(4);
    assert_eq!(
        divergence(&log, &STORY),
        Some((Register::Rtmr3, Divergence::Unlogged))
    );
    let mut log = STORY.to_vec();
    log[3].2 = b"other";
    assert_eq!(
        divergence(&log, &STORY),
        Some((Register::Rtmr0, Divergence::Unknown))
    );
}

#[test]
fn every_bit_and_every_end_of_a_log_matters() {
    let good = written(&STORY);
    let registers = {
        let log = EventLog::parse(&good).unwrap();
        Register::EXTENDED.map(|register| log.value(register))
    };
    let accepted = |bytes: &[u8]| {
        EventLog::parse(bytes)
            .and_then(|log| log.against(&registers))
            .ok()
    };
    let no_action = good.len() - (12 + 50 + 4 + 9);
    for end in 0..good.len() {
        // A log may end after any event; without the last, which is in no register, it is the same story.
        assert_eq!(accepted(&good[..end]).is_some(), end == no_action, "{end}");
    }
    for byte in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[byte] ^= 1 << bit;
            let Some(log) = accepted(&bad) else { continue };
            // What is accepted changes nothing that the registers vouch for: the header's register and errata and word
            // size, data that is not measured, the type of an event, and the event without action.
            let original = EventLog::parse(&good).unwrap();
            for (ours, theirs) in log.events().iter().zip(&original.events) {
                if ours.extends() {
                    assert_eq!(
                        (ours.register, ours.digest),
                        (theirs.register, theirs.digest),
                        "byte {byte}"
                    );
                    assert!(
                        ours.data == theirs.data || !ours.measured,
                        "byte {byte} bit {bit}"
                    );
                }
            }
        }
    }
}

#[test]
fn limits_and_forms_are_kept() {
    let good = written(&STORY);
    let id = |bytes: &[u8]| EventLog::parse(bytes).unwrap_err().id();
    assert_eq!(id(&vec![0; crate::limits::EVENT_LOG + 1]), "ccel-length");
    assert_eq!(id(&[]), "ccel-length");
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    assert_eq!(id(&with(4, 4)), "ccel-header");
    assert_eq!(id(&with(32, b's')), "ccel-header");
    assert_eq!(id(&with(53, 1)), "ccel-header");
    assert_eq!(id(&with(56, 9)), "ccel-algorithms");
    assert_eq!(id(&with(60, 0x0b)), "ccel-algorithms");
    assert_eq!(id(&with(62, 32)), "ccel-algorithms");
    assert_eq!(id(&with(65, 5)), "ccel-register-index");
    assert_eq!(id(&with(73, 2)), "ccel-digests");
    assert_eq!(id(&with(77, 0x0b)), "ccel-digests");
    for filler in [[0; 9], [0xff; 9]] {
        let mut padded = [good.as_slice(), &filler].concat();
        assert_eq!(EventLog::parse(&padded).unwrap().events.len(), 6);
        *padded.last_mut().unwrap() ^= 1;
        assert!(EventLog::parse(&padded).is_err());
    }
    let many = vec![(1, 3, [].as_slice()); crate::limits::EVENTS + 1];
    assert_eq!(id(&written(&many)), "ccel-count");
    let separator = good
        .windows(8)
        .rposition(|bytes| bytes == [4, 0, 0, 0, 0, 0, 0, 0])
        .unwrap();
    assert_eq!(
        EventLog::parse(&with(separator + 4, 1)).unwrap_err(),
        CcelError::Event {
            check: CcelCheck::Data,
            event: 2
        }
    );
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..512), at in 65_usize..400) {
        let _ = EventLog::parse(&bytes);
        let _ = EventLog::parse_dstack(&bytes);
        let mut log = written(&STORY);
        log.truncate(at);
        log.extend(&bytes);
        let _ = EventLog::parse(&log);
    }
}
