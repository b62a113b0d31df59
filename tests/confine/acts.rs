//! The acts, and what must come of each: under the filter, under Landlock, under both, and under neither.
//!
//! Why apart: the table is the claim.

use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;

use anchorhold_tests::programs;
use anchorhold_tests::testdata::skip;

use crate::{measure, self_check, tries};

/// What came of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It was done.
    Done,
    /// The kernel said this error.
    Refused(i32),
    /// The filter ended the process: SIGSYS.
    Ended,
    /// Another signal ended it.
    Signal(i32),
}

const EACCES: i32 = 13;
const ENOSYS: i32 = 38;
const SIGSYS: i32 = 31;
const SIGABRT: i32 = 6;

/// What Landlock alone does about an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Landlock {
    /// It refuses.
    Refuses,
    /// It has no say.
    Silent,
}

use Landlock::{Refuses, Silent};
use Outcome::{Done, Ended, Refused, Signal};

/// An act; what comes of it under the filter alone; what Landlock alone does.
const ACTS: &[(&str, Outcome, Landlock)] = &[
    ("connect", Done, Silent),
    ("thread", Done, Silent),
    ("memory", Done, Silent),
    ("random", Done, Silent),
    ("abort", Signal(SIGABRT), Silent),
    // No filter sees an address: ports are Landlock's.
    ("connect-elsewhere", Done, Refuses),
    ("listen", Ended, Refuses),
    ("listen-unbound", Ended, Silent),
    ("fast-open", Ended, Silent),
    ("datagrams", Ended, Silent),
    ("multipath", Ended, Silent),
    ("unix-socket", Ended, Silent),
    ("netlink", Ended, Silent),
    ("vsock", Ended, Silent),
    ("packets", Ended, Silent),
    ("socket-filter", Ended, Silent),
    ("fast-open-option", Ended, Silent),
    ("exec", Ended, Refuses),
    ("exec-in-memory", Ended, Silent),
    ("open-to-read", Refused(EACCES), Refuses),
    ("open-to-write", Refused(EACCES), Refuses),
    ("own-memory", Refused(EACCES), Refuses),
    ("make-folder", Ended, Refuses),
    ("executable-memory", Ended, Silent),
    ("memory-made-executable", Ended, Silent),
    ("fork", Ended, Silent),
    ("thread-by-clone3", Refused(ENOSYS), Silent),
    ("namespace", Ended, Silent),
    ("mount", Ended, Silent),
    ("ptrace", Ended, Silent),
    ("read-another", Ended, Silent),
    ("signal-another", Ended, Silent),
    ("signal-a-thread", Ended, Silent),
    ("kexec", Ended, Silent),
    ("module", Ended, Silent),
    ("bpf", Ended, Silent),
    ("io-uring", Ended, Silent),
    ("userfaultfd", Ended, Silent),
    ("perf", Ended, Silent),
    ("keyring", Ended, Silent),
    ("dumpable", Ended, Silent),
    ("core-limit", Ended, Silent),
    ("another-filter", Ended, Silent),
    ("user", Ended, Silent),
    ("terminal", Ended, Silent),
    ("swap", Ended, Silent),
    ("power", Ended, Silent),
    ("x32", Ended, Silent),
    ("32-bit", Ended, Silent),
];

/// Two ports one after the other, both listened on, so that a connection that is not refused is made.
fn two_ports() -> (TcpListener, TcpListener) {
    for _ in 0..1000 {
        let one = TcpListener::bind("127.0.0.1:0").unwrap();
        let next = one.local_addr().unwrap().port().checked_add(1);
        if let Some(two) = next.and_then(|port| TcpListener::bind(("127.0.0.1", port)).ok()) {
            return (one, two);
        }
    }
    panic!("no two ports that follow each other");
}

fn outcome(mode: &str, act: &str, port: u16) -> Outcome {
    let output = tries(mode, act, port);
    if let Some(signal) = output.status.signal() {
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            !said.contains("done") && !said.contains("refused"),
            "{act}: ended after it was tried"
        );
        return if signal == SIGSYS { Ended } else { Signal(signal) };
    }
    let said = String::from_utf8(output.stdout).unwrap();
    let last = said.lines().last().unwrap_or_default();
    match last.strip_prefix("refused ") {
        Some(errno) => Refused(errno.parse().unwrap()),
        // A program that was started in its place says nothing and ends well.
        None if output.status.success() => Done,
        None => panic!("{mode} {act}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// Whether this machine has both; without one, what it would stop cannot be seen here.
fn has(name: &str) -> bool {
    measure(&self_check(None).1, name)["holds"] == true
}

#[test]
fn every_act_is_in_the_table() {
    let listed = anchorhold_tests::process::run(env!("CARGO_BIN_EXE_forbidden-acts"), &[]);
    let known: Vec<_> = ACTS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(listed.stdout.lines().collect::<Vec<_>>(), known);
    assert!(!programs!().enclave.is_empty());
}

#[test]
fn no_forbidden_act_succeeds_in_a_confined_process() {
    if !has("landlock") || !has("seccomp") {
        return skip(
            "no_forbidden_act_succeeds_in_a_confined_process",
            "this machine has not both Landlock and seccomp",
        );
    }
    let (one, _two) = two_ports();
    let port = one.local_addr().unwrap().port();
    for (act, filtered, landlock) in ACTS {
        let expected = match (filtered, landlock) {
            (Done, Refuses) => Refused(EACCES),
            (other, _) => *other,
        };
        assert_eq!(outcome("all", act, port), expected, "{act}");
    }
}

#[test]
fn the_filter_alone_stops_what_it_is_said_to_stop() {
    if !has("seccomp") {
        return skip(
            "the_filter_alone_stops_what_it_is_said_to_stop",
            "no seccomp here",
        );
    }
    let (one, _two) = two_ports();
    let port = one.local_addr().unwrap().port();
    for (act, filtered, _) in ACTS {
        assert_eq!(outcome("seccomp", act, port), *filtered, "{act}");
    }
}

#[test]
fn landlock_alone_stops_what_it_is_said_to_stop() {
    if !has("landlock") {
        return skip("landlock_alone_stops_what_it_is_said_to_stop", "no Landlock here");
    }
    let (one, _two) = two_ports();
    let port = one.local_addr().unwrap().port();
    for (act, _, landlock) in ACTS.iter().filter(|(.., landlock)| *landlock == Refuses) {
        assert_eq!(
            outcome("landlock", act, port),
            Refused(EACCES),
            "{act}: {landlock:?}"
        );
    }
}

/// The control: whatever any process may do is done where nothing confines it.
#[test]
fn without_confinement_the_acts_are_done() {
    let (one, _two) = two_ports();
    let port = one.local_addr().unwrap().port();
    let anyone = [
        "connect",
        "connect-elsewhere",
        "listen",
        "listen-unbound",
        "datagrams",
        "unix-socket",
        "netlink",
        "exec",
        "open-to-read",
        "open-to-write",
        "executable-memory",
        "memory-made-executable",
        "fork",
        "dumpable",
        "keyring",
    ];
    for act in anyone {
        let came = outcome("free", act, port);
        // Containers forbid keyrings.
        assert!(
            came == Done || (act == "keyring" && came != Ended),
            "{act}: {came:?}"
        );
    }
    std::fs::remove_file("/tmp/anchorhold-forbidden").unwrap();
    // The others are the kernel's to refuse, but nobody is ended for trying.
    for (act, ..) in ACTS
        .iter()
        .filter(|(act, ..)| *act != "abort" && !anyone.contains(act))
    {
        if *act == "make-folder" {
            continue;
        }
        let came = outcome("free", act, port);
        assert!(matches!(came, Done | Refused(_)), "{act}: {came:?}");
    }
}
