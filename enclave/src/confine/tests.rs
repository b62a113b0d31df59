//! What the kernel's answers mean, and that the table is what the documentation says.

use std::collections::BTreeSet;
use std::path::Path;

use super::syscalls::{Answer, Needed, all, table};
use super::*;

const GOOD: Status = Status {
    threads: 3,
    no_new_privs: true,
    filtered: true,
    capabilities: 0,
    bounding: 0,
};

#[test]
fn what_one_thread_lacks_all_lack() {
    let judged = |status: Status, filtered| all_hold(&judge(&status, filtered));
    let installed = Some(Ok(()));
    assert_eq!(judged(GOOD, installed), Ok(()));
    let changed = |change: fn(&mut Status)| {
        let mut status = GOOD;
        change(&mut status);
        judged(status, installed)
    };
    assert_eq!(
        changed(|status| status.no_new_privs = false),
        Err(ConfineError::NoNewPrivs)
    );
    assert_eq!(
        changed(|status| status.capabilities = 1),
        Err(ConfineError::Capabilities)
    );
    assert_eq!(
        changed(|status| status.filtered = false),
        Err(ConfineError::Seccomp)
    );
    // What starting a program could give back is nothing where it gives back nothing.
    assert_eq!(changed(|status| status.bounding = u64::MAX), Ok(()));
    let failed = Some(Err(ConfineError::NoSeccomp));
    assert_eq!(judged(GOOD, failed), Err(ConfineError::NoSeccomp));
    // Where the configuration does without.
    let unfiltered = Status {
        filtered: false,
        ..GOOD
    };
    assert_eq!(judged(unfiltered, None), Ok(()));
}

#[test]
fn a_platform_has_the_rows_it_needs_and_no_more() {
    let names = |needs| -> BTreeSet<_> { table(needs).into_iter().map(|call| call.name).collect() };
    let none = Plan::strictest().needs;
    let plain = names(none);
    for opens in ["mkdir", "rmdir", "ioctl", "eventfd2"] {
        assert!(!plain.contains(opens), "{opens}");
    }
    for never in [
        "execve",
        "execveat",
        "open",
        "creat",
        "bind",
        "listen",
        "ptrace",
        "unshare",
        "mount",
        "bpf",
        "io_uring_setup",
        "userfaultfd",
        "memfd_create",
        "kexec_load",
        "process_vm_readv",
        "sendmsg",
        "fork",
        "vfork",
        "pkey_mprotect",
    ] {
        assert!(!all().iter().any(|call| call.name == never), "{never}");
    }
    let with = |needs: Needs| names(needs).difference(&plain).copied().collect::<Vec<_>>();
    assert_eq!(
        with(Needs { tsm: true, ..none }),
        ["fstat", "lseek", "mkdir", "rmdir", "statx"]
    );
    let sev_guest = Needs {
        sev_guest: true,
        ..none
    };
    assert_eq!(with(sev_guest), ["ioctl"]);
    let quotes = Needs {
        quote_service: true,
        ..none
    };
    assert_eq!(with(quotes), ["epoll_create1", "eventfd2"]);
    let all_needs = [none, Needs { tsm: true, ..none }, sev_guest, quotes];
    for needs in all_needs {
        let rows = table(needs);
        let numbers: BTreeSet<_> = rows.iter().map(|call| call.number).collect();
        assert_eq!(numbers.len(), rows.len(), "one row a call");
        // Where no report is a file, whatever the arguments.
        let opens = rows.iter().find(|call| call.name == "openat").unwrap();
        assert_eq!(matches!(opens.answer, Answer::Error(_)), !needs.tsm);
    }
}

#[test]
fn the_documentation_has_the_table_as_it_is() {
    let place = |needed| match needed {
        Needed::Always => "each",
        Needed::Tsm => "TSM reports",
        Needed::NoTsm => "no TSM reports",
        Needed::SevGuest => "`/dev/sev-guest`",
        Needed::QuoteService => "`azure-tdx`",
    };
    let rows = all().into_iter().map(|call| {
        let words = match (&call.answer, call.words) {
            (Answer::Error(_), words) => format!("refused with {words}"),
            (_, "") => "any".to_owned(),
            (_, words) => words.to_owned(),
        };
        format!(
            "| `{}` | {words} | {} | {} |",
            call.name,
            place(call.needed),
            call.why
        )
    });
    let expected: Vec<String> = rows.collect();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/confinement.md");
    let text = std::fs::read_to_string(file).unwrap();
    let (_, rest) = text
        .split_once("<!-- table -->\n")
        .expect("where the table begins");
    let (found, _) = rest.split_once("<!-- end -->").expect("where the table ends");
    let found: Vec<&str> = found.lines().skip(2).collect();
    assert_eq!(
        found,
        expected,
        "docs/confinement.md; it should be:\n{}",
        expected.join("\n")
    );
}

#[test]
fn every_error_says_what_to_do() {
    for measure in Measure::ALL {
        let named = measure
            .setting()
            .is_none_or(|setting| setting.starts_with("dangerously_"));
        assert!(named, "{}", measure.name());
    }
    let low = ConfineError::MemoryLimit {
        needed: 9,
        allowed: 8,
    };
    assert_eq!(low.to_string(), "RLIMIT_MEMLOCK allows 8 bytes, 9 are needed");
    assert!(low.hint().contains("dangerously_without_locked_memory"));
}
