//! The system calls that a confined enclave may make, each with its reason.
//!
//! Why apart: one table, read by the filter, by the documentation's test and by whoever judges it.
//!
//! # Invariants
//! What is not here ends the process. A platform has one row a call. Nothing here starts a program, makes memory executable, creates a file or makes a
//! socket that is not TCP. docs/confinement.md has the same rows, compared by a test.
//!
//! Numbers and constants: Linux's uapi headers for x86-64, by the crate `libc`.

use anchorhold_attestation::Platform;
use libc::c_long;

use crate::attester::Places;
use crate::attester::ioctl;

/// What one argument must be. All are compared as 32 bits but pointers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// This number.
    Is(i32),
    /// This number in the bits of the mask, which comes first.
    Masked(u32, u32),
    /// No pointer, in all 64 bits.
    Null,
    /// The id of this process.
    OwnProcess,
}

/// An argument, from 0, and what it must be.
pub type Check = (u8, Test);

/// What happens at a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is made, whatever its arguments.
    Any,
    /// It is made when all checks of one of these cases hold; anything else ends the process.
    Only(Vec<Vec<Check>>),
    /// The caller is told this error and goes on: a library asks and copes.
    Error(i32),
}

/// When a row is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    /// On each platform.
    Always,
    /// Where reports are files: the TSM folder.
    Tsm,
    /// Where they are not.
    NoTsm,
    /// Where reports are ioctls of a device.
    SevGuest,
    /// Where quotes are fetched by HTTP: Azure's TDX.
    QuoteService,
}

/// What a platform needs beyond what each does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Files beneath the TSM folder.
    pub tsm: bool,
    /// The ioctl of `/dev/sev-guest`.
    pub sev_guest: bool,
    /// A runtime for each quote.
    pub quote_service: bool,
}

impl Needs {
    /// What evidence takes on `platform`, on this machine.
    #[must_use]
    pub fn of(platform: Platform, places: &Places) -> Self {
        let tsm = matches!(platform, Platform::Snp | Platform::Tdx) && places.tsm.is_dir();
        Self {
            tsm,
            sev_guest: platform == Platform::Snp && !tsm,
            quote_service: platform == Platform::AzureTdx,
        }
    }

    const fn include(self, needed: Needed) -> bool {
        match needed {
            Needed::Always => true,
            Needed::Tsm => self.tsm,
            Needed::NoTsm => !self.tsm,
            Needed::SevGuest => self.sev_guest,
            Needed::QuoteService => self.quote_service,
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its number.
    pub number: c_long,
    /// Its name, as Linux has it.
    pub name: &'static str,
    /// When it is in force.
    pub needed: Needed,
    /// What happens.
    pub answer: Answer,
    /// The checks in words; empty when there are none.
    pub words: &'static str,
    /// Why it is there.
    pub why: &'static str,
}

/// A number and its name, which cannot differ.
macro_rules! named {
    ($constant:ident) => {
        (libc::$constant, stringify!($constant))
    };
}

type Named = (c_long, &'static str);

fn row(
    (number, constant): Named,
    needed: Needed,
    answer: Answer,
    words: &'static str,
    why: &'static str,
) -> Call {
    Call {
        number,
        name: constant.trim_start_matches("SYS_"),
        needed,
        answer,
        words,
        why,
    }
}

fn any(call: Named, why: &'static str) -> Call {
    row(call, Needed::Always, Answer::Any, "", why)
}

fn only(call: Named, cases: &[&[Check]], words: &'static str, why: &'static str) -> Call {
    let cases = cases.iter().map(|case| case.to_vec()).collect();
    row(call, Needed::Always, Answer::Only(cases), words, why)
}

fn refused(call: Named, errno: i32, words: &'static str, why: &'static str) -> Call {
    row(call, Needed::Always, Answer::Error(errno), words, why)
}

/// The rows in force under `needs`.
#[must_use]
pub fn table(needs: Needs) -> Vec<Call> {
    let mut rows = all();
    rows.retain(|call| needs.include(call.needed));
    rows
}

/// Every row there is.
#[must_use]
pub fn all() -> Vec<Call> {
    let groups = [
        streams(),
        connections(),
        memory(),
        threads(),
        signals(),
        reports(),
    ];
    groups.into_iter().flatten().collect()
}

/// Bits of a 32-bit argument.
const fn bits(number: i32) -> u32 {
    number.cast_unsigned()
}

fn streams() -> Vec<Call> {
    use Test::Is;
    let descriptor_flags = [libc::F_GETFL, libc::F_SETFL, libc::F_GETFD, libc::F_SETFD];
    let descriptor_flags = descriptor_flags.map(|command| [(1, Is(command))]);
    let descriptor_flags: Vec<&[Check]> = descriptor_flags.iter().map(<[Check; 1]>::as_slice).collect();
    vec![
        any(
            named!(SYS_read),
            "descriptors that are open: the runtime's wake-up, a device's answer",
        ),
        any(
            named!(SYS_write),
            "events, the runtime's wake-up, a vTPM's command",
        ),
        any(named!(SYS_writev), "a head and a body in one packet"),
        any(named!(SYS_close), "connections that ended"),
        only(
            named!(SYS_fcntl),
            &descriptor_flags,
            "F_GETFL, F_SETFL, F_GETFD, F_SETFD",
            "the runtime looks whether a descriptor blocks",
        ),
        any(named!(SYS_epoll_ctl), "the runtime watches a connection"),
        any(named!(SYS_epoll_wait), "the runtime waits"),
    ]
}

fn connections() -> Vec<Call> {
    use Test::{Is, Masked, Null};
    let kind = Masked(
        !bits(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC),
        bits(libc::SOCK_STREAM),
    );
    let tcp = |family| [(0, Is(family)), (1, kind)];
    let [v4, v6] = [tcp(libc::AF_INET), tcp(libc::AF_INET6)];
    let with = |pair: [Check; 2], protocol| [pair[0], pair[1], (2, Is(protocol))];
    let sockets = [
        with(v4, 0),
        with(v4, libc::IPPROTO_TCP),
        with(v6, 0),
        with(v6, libc::IPPROTO_TCP),
    ];
    let sockets: Vec<&[Check]> = sockets.iter().map(<[Check; 3]>::as_slice).collect();
    vec![
        any(
            named!(SYS_accept4),
            "clients; the listeners are there, and no other can be made",
        ),
        only(
            named!(SYS_socket),
            &sockets,
            "AF_INET or AF_INET6, SOCK_STREAM, protocol 0 or IPPROTO_TCP",
            "to the broker, when the lease is renewed; no datagrams, no MPTCP, no other family",
        ),
        any(
            named!(SYS_connect),
            "the same; addresses are out of a filter's sight, ports are Landlock's",
        ),
        any(named!(SYS_recvfrom), "what peers send"),
        only(
            named!(SYS_sendto),
            &[&[(3, Masked(bits(libc::MSG_FASTOPEN), 0)), (4, Null)]],
            "no address, no MSG_FASTOPEN",
            "what peers are sent; with an address it would connect behind Landlock's back",
        ),
        any(named!(SYS_shutdown), "the end of a connection"),
        any(
            named!(SYS_getsockname),
            "the port that the system chose for a listener",
        ),
        only(
            named!(SYS_getsockopt),
            &[&[(1, Is(libc::SOL_SOCKET)), (2, Is(libc::SO_ERROR))]],
            "SOL_SOCKET SO_ERROR",
            "whether connecting has succeeded",
        ),
        only(
            named!(SYS_setsockopt),
            &[&[(1, Is(libc::IPPROTO_TCP)), (2, Is(libc::TCP_NODELAY))]],
            "IPPROTO_TCP TCP_NODELAY",
            "small answers do not wait",
        ),
    ]
}

fn memory() -> Vec<Call> {
    let plain: &[&[Check]] = &[&[(2, Test::Masked(bits(libc::PROT_EXEC), 0))]];
    vec![
        only(
            named!(SYS_mmap),
            plain,
            "no PROT_EXEC",
            "the allocator, stacks of new threads",
        ),
        only(
            named!(SYS_mprotect),
            plain,
            "no PROT_EXEC",
            "the allocator, guard pages",
        ),
        any(named!(SYS_munmap), "the allocator"),
        any(
            named!(SYS_mremap),
            "the allocator; what was not executable stays so",
        ),
        any(named!(SYS_brk), "the allocator"),
        any(
            named!(SYS_madvise),
            "the allocator, stacks of ended threads, memory left out of dumps",
        ),
        any(named!(SYS_mlock), "keys in memory that stays"),
        any(named!(SYS_munlock), "the same, given back"),
    ]
}

fn threads() -> Vec<Call> {
    use Test::{Is, Masked};
    let thread =
        libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SIGHAND | libc::CLONE_THREAD;
    let apart = libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_PTRACE
        | libc::CLONE_VFORK;
    let commands = [
        libc::PR_SET_NAME,
        libc::PR_GET_NO_NEW_PRIVS,
        libc::PR_GET_SECCOMP,
        libc::PR_GET_DUMPABLE,
    ];
    let commands = commands.map(|command| [(0, Is(command))]);
    let commands: Vec<&[Check]> = commands.iter().map(<[Check; 1]>::as_slice).collect();
    vec![
        only(
            named!(SYS_clone),
            &[&[(0, Masked(bits(thread | apart), bits(thread)))]],
            "a thread of this process: CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND and CLONE_THREAD, no namespace",
            "the runtime's threads for work that blocks come and go",
        ),
        refused(
            named!(SYS_clone3),
            libc::ENOSYS,
            "ENOSYS",
            "its flags are out of a filter's sight; the C library then calls clone",
        ),
        any(named!(SYS_set_robust_list), "a thread begins"),
        any(named!(SYS_rseq), "a thread begins"),
        any(named!(SYS_futex), "locks and waiting"),
        any(named!(SYS_sched_yield), "the model's threads wait for each other"),
        any(named!(SYS_sched_getaffinity), "how many cores there are"),
        any(named!(SYS_gettid), "a thread's own number"),
        any(named!(SYS_getpid), "an abort names its own process"),
        only(
            named!(SYS_prctl),
            &commands,
            "PR_SET_NAME, PR_GET_NO_NEW_PRIVS, PR_GET_SECCOMP, PR_GET_DUMPABLE",
            "a thread's name; what holds is asked",
        ),
        any(named!(SYS_nanosleep), "waiting"),
        any(named!(SYS_clock_nanosleep), "waiting"),
        any(
            named!(SYS_clock_gettime),
            "where the clock is not read in user space",
        ),
        any(named!(SYS_getrandom), "keys, nonces, sampling"),
        any(named!(SYS_exit), "a thread ends"),
        any(named!(SYS_exit_group), "the process ends"),
    ]
}

fn signals() -> Vec<Call> {
    use Test::{Is, OwnProcess};
    vec![
        only(
            named!(SYS_tgkill),
            &[&[(0, OwnProcess), (2, Is(libc::SIGABRT))]],
            "this process, SIGABRT",
            "an abort",
        ),
        any(named!(SYS_rt_sigaction), "an abort; the end of the runtime"),
        any(named!(SYS_rt_sigprocmask), "a thread begins; an abort"),
        any(named!(SYS_rt_sigreturn), "the end of a signal's handler"),
        any(
            named!(SYS_sigaltstack),
            "a thread begins and ends: where an overflow of its stack is noticed",
        ),
        any(named!(SYS_restart_syscall), "a wait goes on after a signal"),
    ]
}

fn reports() -> Vec<Call> {
    use Test::{Is, Masked};
    let create = libc::O_CREAT | libc::O_TRUNC | libc::O_TMPFILE | libc::O_PATH;
    // O_TMPFILE contains O_DIRECTORY, which opens nothing that could be written.
    let create = create & !libc::O_DIRECTORY;
    let tsm = |call, answer, words, why| row(call, Needed::Tsm, answer, words, why);
    let quotes = |call, why| row(call, Needed::QuoteService, Answer::Any, "", why);
    let request = ioctl::SNP_GET_EXT_REPORT.cast_signed();
    vec![
        row(
            named!(SYS_openat),
            Needed::NoTsm,
            Answer::Error(libc::EACCES),
            "EACCES",
            "the C library's allocator asks /sys how many cores there are, and then the scheduler; nothing is opened",
        ),
        tsm(
            named!(SYS_openat),
            Answer::Only(vec![vec![(2, Masked(bits(create), 0))]]),
            "nothing that creates or empties a file",
            "attributes of a report, how many cores there are; where is Landlock's",
        ),
        tsm(
            named!(SYS_mkdir),
            Answer::Any,
            "",
            "a report's entry; where it is is Landlock's",
        ),
        tsm(named!(SYS_rmdir), Answer::Any, "", "the same, removed"),
        tsm(named!(SYS_statx), Answer::Any, "", "how long an attribute is"),
        tsm(named!(SYS_fstat), Answer::Any, "", "the same"),
        tsm(named!(SYS_lseek), Answer::Any, "", "the same"),
        row(
            named!(SYS_ioctl),
            Needed::SevGuest,
            Answer::Only(vec![vec![(1, Is(request))]]),
            "SNP_GET_EXT_REPORT",
            "a report by the device that is open",
        ),
        quotes(
            named!(SYS_epoll_create1),
            "a runtime for one request to the host's quoting service",
        ),
        quotes(named!(SYS_eventfd2), "the same"),
    ]
}
