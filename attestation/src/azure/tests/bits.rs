//! Every bit and every end of what a made machine sends, of each kind of hardware and of key; and the listed bits
//! without meaning.
//!
//! Why apart: real machines, in the file beside, have RSA keys only, and a bare clone has none.
//!
//! # Invariants
//! What means nothing is what docs/platforms/azure.md lists.

use super::super::fake::{Fake, FakeKey, hcl, td_report};
use super::*;
use crate::snp;
use crate::spoil::{Free, Grain, bits, ends};

fn keys() -> [(&'static str, &'static FakeKey); 2] {
    [("RSA", FakeKey::rsa()), ("P-256", FakeKey::p256())]
}

#[test]
fn no_bit_of_a_made_report_on_snp_is_without_meaning() {
    for (what, key) in keys() {
        let fake = Fake::new(key);
        let inside = fake.snp_report();
        let verified = snp::Report::parse(&inside).unwrap();
        let message = fake.message();
        let signature = key.sign(&message);
        let bound = |bytes: &[u8]| {
            fake.bind_quote(bytes, &Signed::Snp(&verified), &message, &signature)
                .is_ok()
        };
        let bytes = hcl(2, &inside, fake.claims.as_bytes());
        // The hardware report's own signature is for its own verifier: it is not in the fields that are compared here,
        // and a_guest_on_a_fake_chip_is_verified_from_end_to_end flips its bits.
        let elsewhere = Free {
            bytes: 32 + 0x2a0..32 + 0x2d0,
            why: "the signature is the hardware verifier's",
        };
        let s = Free {
            bytes: 32 + 0x2e8..32 + 0x318,
            why: "the signature is the hardware verifier's",
        };
        bits(what, &bytes, Grain::Every(1), &[elsewhere, s], bound);
        // Cut to its own length it is whole: the zeros after it are the index's.
        ends(what, &bytes, &[1236 + fake.claims.len()], bound);
    }
}

#[test]
fn no_bit_of_a_made_report_on_tdx_is_without_meaning_but_those_listed() {
    for (what, key) in keys() {
        let fake = Fake::new(key);
        for service_td in [[0; 48], [3; 48]] {
            let (inside, _) = td_report(&fake.report_data, service_td);
            let message = fake.message();
            let signature = key.sign(&message);
            let bound = |bytes: &[u8]| {
                let (_, body) = td_report(&fake.report_data, service_td);
                fake.bind_quote(bytes, &Signed::Td(body.into()), &message, &signature)
                    .is_ok()
            };
            let bytes = hcl(4, &inside, fake.claims.as_bytes());
            let free = [
                Free {
                    bytes: 32 + 16..32 + 32,
                    why: "only the CPU checks CPUSVN, and no accessor shows it",
                },
                Free {
                    bytes: 32 + 224..32 + 256,
                    why: "only the CPU checks its MAC",
                },
            ];
            bits(what, &bytes, Grain::Every(1), &free, bound);
            ends(what, &bytes, &[1236 + fake.claims.len()], bound);
        }
    }
}

#[test]
fn no_bit_of_a_made_quote_its_signature_or_its_values_is_without_meaning() {
    for (what, key) in keys() {
        let fake = Fake::new(key);
        let report = fake.snp_report();
        let bytes = hcl(2, &report, fake.claims.as_bytes());
        let verified = snp::Report::parse(&report).unwrap();
        let (message, values) = (
            fake.message(),
            fake.values.iter().flat_map(|value| *value.as_bytes()),
        );
        let values: Vec<u8> = values.collect();
        let signature = key.sign(&message);
        let bound = |message: &[u8], signature: &[u8], values: &[u8]| {
            let (values, []) = values.as_chunks::<32>() else {
                return false;
            };
            let values: Vec<_> = values.iter().map(|value| Digest::new(*value)).collect();
            let hcl = HclReport::parse(&bytes).unwrap();
            Quote::parse(message, signature, &values)
                .and_then(|quote| Guest::bind(&hcl, &Signed::Snp(&verified), quote, &fake.expected))
                .is_ok()
        };
        bits(what, &message, Grain::Bits, &[], |message| {
            bound(message, &signature, &values)
        });
        ends(what, &message, &[], |message| bound(message, &signature, &values));
        bits(what, &signature, Grain::Bits, &[], |signature| {
            bound(&message, signature, &values)
        });
        ends(what, &signature, &[], |signature| {
            bound(&message, signature, &values)
        });
        bits(what, &values, Grain::Every(1), &[], |values| {
            bound(&message, &signature, values)
        });
        ends(what, &values, &[], |values| bound(&message, &signature, values));
    }
}

/// The order of P-256 (SEC 2 section 2.4.2).
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
    0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// (r, n - s) says what (r, s) says; it is another byte string, and nothing here is keyed by a signature's bytes.
#[test]
fn a_signatures_twin_is_the_only_other_signature() {
    let fake = Fake::new(FakeKey::p256());
    let report = fake.snp_report();
    let bytes = hcl(2, &report, fake.claims.as_bytes());
    let verified = snp::Report::parse(&report).unwrap();
    let message = fake.message();
    let mut twin = fake.key.sign(&message);
    let mut borrow = 0;
    for at in (0..32).rev() {
        let place = twin.len() - 32 + at;
        let difference = i16::from(ORDER[at]) - i16::from(twin[place]) - borrow;
        borrow = i16::from(difference < 0);
        twin[place] = difference.rem_euclid(256) as u8;
    }
    let bound = |signature: &[u8]| {
        fake.bind_quote(&bytes, &Signed::Snp(&verified), &message, signature)
            .is_ok()
    };
    bits("twin", &twin, Grain::Bits, &[], bound);
}
