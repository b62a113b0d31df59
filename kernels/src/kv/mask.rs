//! A keystream over what pages hold, so that equal rows never look equal.
//!
//! Why apart: where a machine encrypts memory deterministically and a host can read the result, equal bytes at equal
//! addresses tell that two sequences say the same. This hides that and nothing else: secrecy is the machine's.
//!
//! The keystream is keyed for a sequence, with the place as its nonce: head, layer and keys or values, page of the sequence.
//!
//! # Invariants
//! A place of a sequence has one keystream, and a row is written there once. Keys are wiped.

use crate::cpu::Kernels;
use crate::keystream::Key;

/// The key of a sequence.
pub(crate) struct Mask(Key);

/// What is masked.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) layer: usize,
    pub(crate) kv_head: usize,
    pub(crate) is_values: bool,
    /// The page, counted within the sequence.
    pub(crate) page: usize,
}

impl Mask {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(Key::new(key))
    }

    /// `out = units ^ keystream`.
    pub(crate) fn apply(&self, kernels: Kernels, place: Place, units: &[u16], out: &mut [u16]) {
        let nonce = [
            place.page as u32,
            (place.layer << 1 | usize::from(place.is_values)) as u32,
            place.kv_head as u32,
        ];
        self.0.apply(kernels, nonce, units, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::POSITIONS;
    use super::*;
    use crate::KernelSet;

    const PLACE: Place = Place {
        layer: 3,
        kv_head: 2,
        is_values: false,
        page: 7,
    };

    fn keystream(kernels: Kernels, key: u8, place: Place) -> Vec<u16> {
        let mut out = vec![0; 24 * POSITIONS];
        Mask::new(&[key; 32]).apply(kernels, place, &[0; 24 * POSITIONS], &mut out);
        out
    }

    #[test]
    fn all_sets_agree_and_all_places_differ() {
        let plain = Kernels::at_most(KernelSet::Scalar);
        let first = keystream(plain, 1, PLACE);
        for set in KernelSet::ALL {
            assert!(keystream(Kernels::at_most(set), 1, PLACE) == first);
        }
        let others = [
            (2, PLACE),
            (1, Place { layer: 2, ..PLACE }),
            (1, Place { kv_head: 3, ..PLACE }),
            (
                1,
                Place {
                    is_values: true,
                    ..PLACE
                },
            ),
            (1, Place { page: 8, ..PLACE }),
        ];
        for (key, place) in others {
            let other = keystream(plain, key, place);
            assert!(first.chunks(8).zip(other.chunks(8)).all(|(a, b)| a != b));
        }
    }
}
