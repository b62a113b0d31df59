//! Requests of a few lengths.
//!
//! Why apart: what goes out and what a receipt is about are the same bytes; whoever judges a receipt later has to know how
//! they were made.
//!
//! # Invariants
//! Only spaces are added, after the JSON (RFC 8259, section 2: insignificant whitespace), and as many as the body's own
//! length alone says.

use bytes::Bytes;

use super::limits;
use super::wiped::Wiped;

/// The length of a body that has `length` bytes of its own: the least power of two, or one and a half times one, that is not
/// below it.
#[must_use]
pub fn class(length: usize) -> usize {
    let length = length.max(limits::LEAST_REQUEST);
    let power = length.checked_next_power_of_two().unwrap_or(length);
    let between = power / 4 * 3;
    if length <= between { between } else { power }
}

/// The same JSON with the length of its class; what would become too long stays as it is.
#[must_use]
pub(super) fn padded(body: &Bytes) -> Bytes {
    let length = class(body.len());
    if body.is_empty() || length > limits::REQUEST_BYTES {
        return body.clone();
    }
    let mut padded = Wiped::with_capacity(length);
    padded.extend(body);
    padded.extend(&vec![b' '; length - body.len()]);
    padded.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_keep_their_bytes_and_get_the_length_of_a_class() {
        for length in [1, 1000, 1024, 1025, 1536, 1537, 2048, 100_000] {
            let body = Bytes::from(vec![b'x'; length]);
            let padded = padded(&body);
            assert_eq!(padded.len(), class(length));
            assert_eq!(padded[..length], body);
            assert!(padded[length..].iter().all(|byte| *byte == b' '));
            assert!(padded.len() == limits::LEAST_REQUEST || 2 * padded.len() < 3 * length);
        }
        assert_eq!(padded(&Bytes::new()), Bytes::new());
        // The classes of an enclave's usual limit end with the limit.
        assert_eq!(class(2 << 20), 2 << 20);
        let huge = Bytes::from(vec![b'x'; limits::REQUEST_BYTES + 1]);
        assert_eq!(padded(&huge).len(), huge.len());
    }
}
