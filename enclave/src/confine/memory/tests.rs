//! What a limit means, and that the kernel says what is locked.

use super::*;

#[test]
fn a_low_limit_is_told_with_both_numbers() {
    let low = ConfineError::MemoryLimit {
        needed: 1 << 34,
        allowed: 8 << 20,
    };
    assert_eq!(enough(Some(8 << 20), 1 << 34), Err(low));
    assert_eq!(enough(Some(1 << 34), 1 << 34), Ok(()));
    assert_eq!(enough(None, 1 << 34), Ok(()));
    assert!(machine_bytes() > 1 << 20);
}

/// What it does where it may: the whole test program's memory is locked for a moment.
#[test]
#[allow(clippy::disallowed_methods)] // what is skipped is said
fn the_kernel_says_what_is_locked() {
    assert_eq!(is_locked(), Err(ConfineError::Memory));
    if lock().is_err() {
        let mut output = std::io::stderr().lock();
        let said = b"SKIPPED the_kernel_says_what_is_locked: this process may not lock its memory\n";
        std::io::Write::write_all(&mut output, said).unwrap();
        return;
    }
    let held = is_locked();
    rustix::mm::munlockall().unwrap();
    assert_eq!(held, Ok(()));
}

#[test]
fn numbers_of_a_status_are_read() {
    assert_eq!(
        kibibytes("VmPeak:\t  10 kB\nVmLck:\t       8 kB\n", "VmLck:"),
        Some(8)
    );
    assert_eq!(kibibytes("VmLck:\t       8 MB\n", "VmLck:"), None);
    assert_eq!(kibibytes("", "VmLck:"), None);
}
