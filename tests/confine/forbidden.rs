//! `forbidden-acts MODE ACT PORT`: confines itself as an enclave does, then tries ACT from a thread that was there before.
//!
//! Why apart: what a process must not do can only be tried from inside it, and nothing that tries may be in the enclave.
//! So it is a program of its own, around the enclave's own two steps.
//!
//! MODE is `all`, `landlock` or `seccomp` (the other is done without), or `free` (neither, as a control). PORT is the only one that
//! may be connected to. Says `done`, or `refused ERRNO`; a filter that ends the process lets it say nothing.

#![allow(
    unsafe_code,
    clippy::print_stdout,
    reason = "a test program: each act is one system call that no library offers to do wrong"
)]

use std::ffi::c_long;
use std::process::ExitCode;
use std::sync::mpsc;

use anchorhold_enclave::config::Config;
use anchorhold_enclave::confine::{Plan, restrict};
use anchorhold_enclave::process;

/// Any valid configuration; the broker's port is the one that may be connected to.
const CONFIG: &str = r#"version = "0.1.0"
algorithm = "sha256"
not_after = 4000000000
platform = "insecure-simulated"
dangerously_host_time = true

[broker]
url = "https://127.0.0.1:PORT"
tls_spki_sha256 = "HEX"
release_key = "HEX"
resource = "default/model/demo"

[model]
name = "demo"
key_id = "demo"
class = "insecure"
path = "/model.sealed"
manifest_sha256 = "HEX"

[listen]
api = "127.0.0.1:0"

[confine]
dangerously_without_locked_memory = true
"#;

/// What a system call gave: -1 leaves the error in `errno`.
type Call = fn(u16) -> c_long;

/// The acts. Each is tried as it stands; one that needs several calls gives the first that fails.
const ACTS: &[(&str, Call)] = &[
    // What an enclave does.
    ("connect", |port| connect(port)),
    ("thread", |_| thread()),
    ("memory", |_| map(64 << 20, libc::PROT_READ | libc::PROT_WRITE)),
    ("random", |_| call(libc::SYS_getrandom, [spare(), 16, 0, 0, 0, 0])),
    ("abort", |_| std::process::abort()),
    // What it does not.
    ("connect-elsewhere", |port| connect(port + 1)),
    ("listen", |_| listen()),
    ("listen-unbound", |_| {
        call(
            libc::SYS_listen,
            [socket(libc::AF_INET, libc::SOCK_STREAM, 0), 1, 0, 0, 0, 0],
        )
    }),
    ("fast-open", |port| fast_open(port + 1)),
    ("datagrams", |_| socket(libc::AF_INET, libc::SOCK_DGRAM, 0)),
    ("multipath", |_| {
        socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP)
    }),
    ("unix-socket", |_| socket(libc::AF_UNIX, libc::SOCK_STREAM, 0)),
    ("netlink", |_| socket(libc::AF_NETLINK, libc::SOCK_RAW, 0)),
    ("vsock", |_| socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0)),
    ("packets", |_| socket(libc::AF_PACKET, libc::SOCK_RAW, 0)),
    ("socket-filter", |_| {
        option(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER)
    }),
    ("fast-open-option", |_| {
        option(libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT)
    }),
    ("exec", |_| exec(c"/bin/true")),
    ("exec-in-memory", |_| exec_in_memory()),
    ("open-to-read", |_| open(c"/etc/passwd", libc::O_RDONLY)),
    ("open-to-write", |_| {
        open(c"/tmp/anchorhold-forbidden", libc::O_WRONLY | libc::O_CREAT)
    }),
    ("own-memory", |_| open(c"/proc/self/mem", libc::O_RDWR)),
    ("make-folder", |_| {
        call(
            libc::SYS_mkdir,
            [at(c"/tmp/anchorhold-forbidden-folder"), 0o700, 0, 0, 0, 0],
        )
    }),
    ("executable-memory", |_| {
        map(4096, libc::PROT_READ | libc::PROT_EXEC)
    }),
    ("memory-made-executable", |_| made_executable()),
    ("fork", |_| fork()),
    ("thread-by-clone3", |_| call(libc::SYS_clone3, [0, 0, 0, 0, 0, 0])),
    ("namespace", |_| {
        call(
            libc::SYS_unshare,
            [c_long::from(libc::CLONE_NEWUSER), 0, 0, 0, 0, 0],
        )
    }),
    ("mount", |_| mount()),
    ("ptrace", |_| {
        call(
            libc::SYS_ptrace,
            [c_long::from(libc::PTRACE_PEEKDATA), parent(), 0, 0, 0, 0],
        )
    }),
    ("read-another", |_| {
        call(libc::SYS_process_vm_readv, [parent(), 0, 0, 0, 0, 0])
    }),
    ("signal-another", |_| {
        call(libc::SYS_kill, [parent(), 0, 0, 0, 0, 0])
    }),
    ("signal-a-thread", |_| {
        call(libc::SYS_tgkill, [parent(), parent(), 0, 0, 0, 0])
    }),
    ("kexec", |_| call(libc::SYS_kexec_load, [0, 0, 0, 0, 0, 0])),
    ("module", |_| {
        call(libc::SYS_init_module, [0, 0, at(c""), 0, 0, 0])
    }),
    ("bpf", |_| call(libc::SYS_bpf, [0, spare(), 72, 0, 0, 0])),
    ("io-uring", |_| {
        call(libc::SYS_io_uring_setup, [1, spare(), 0, 0, 0, 0])
    }),
    ("userfaultfd", |_| call(libc::SYS_userfaultfd, [1, 0, 0, 0, 0, 0])),
    ("perf", |_| {
        call(libc::SYS_perf_event_open, [spare(), 0, -1, -1, 0, 0])
    }),
    ("keyring", |_| call(libc::SYS_keyctl, [0, -3, 1, 0, 0, 0])),
    ("dumpable", |_| {
        call(
            libc::SYS_prctl,
            [c_long::from(libc::PR_SET_DUMPABLE), 1, 0, 0, 0, 0],
        )
    }),
    ("core-limit", |_| {
        call(libc::SYS_prlimit64, [0, 4, 0, spare(), 0, 0])
    }),
    ("another-filter", |_| call(libc::SYS_seccomp, [2, 0, 0, 0, 0, 0])),
    ("user", |_| call(libc::SYS_setuid, [0, 0, 0, 0, 0, 0])),
    ("terminal", |_| {
        call(libc::SYS_ioctl, [0, 0x5413, spare(), 0, 0, 0])
    }),
    ("swap", |_| {
        call(libc::SYS_swapon, [at(c"/nowhere"), 0, 0, 0, 0, 0])
    }),
    ("power", |_| call(libc::SYS_reboot, [0, 0, 0, 0, 0, 0])),
    ("x32", |_| {
        call(libc::SYS_getpid | 0x4000_0000, [0, 0, 0, 0, 0, 0])
    }),
    ("32-bit", |_| by_interrupt()),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, act, port] = arguments.as_slice() else {
        println!(
            "{}",
            ACTS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join("\n")
        );
        return ExitCode::SUCCESS;
    };
    process::prepare().expect("the environment can be cleared");
    let without = |setting: &str| format!("dangerously_without_{setting} = true\n");
    let without = match mode.as_str() {
        "landlock" => without("seccomp"),
        "seccomp" => without("landlock"),
        _ => String::new(),
    };
    let config = CONFIG.replace("HEX", &"11".repeat(32)).replace("PORT", port) + &without;
    let config = Config::parse(config.as_bytes()).expect("a configuration");
    let port: u16 = port.parse().expect("a port");
    let (_, act) = ACTS.iter().find(|(name, _)| name == act).expect("an act");
    let act = *act;

    let boundary = (mode != "free").then(|| restrict(&Plan::of(&config)).expect("the first step"));
    // A thread between the two steps, as all of an enclave's are.
    let (begin, wait) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        wait.recv().expect("a beginning");
        let value = act(port);
        let error = std::io::Error::last_os_error().raw_os_error();
        (value, error)
    });
    let _confined = boundary.map(|boundary| boundary.confine().expect("the second step"));
    begin.send(()).expect("a thread");
    match thread.join().expect("an act") {
        (-1, error) => println!("refused {}", error.unwrap_or(0)),
        _ => println!("done"),
    }
    ExitCode::SUCCESS
}

fn call(number: c_long, [a, b, c, d, e, f]: [c_long; 6]) -> c_long {
    // SAFETY: whatever a call does to this process, it only says what came of it and ends. Pointers are null, to static
    // strings, or to the spare page.
    unsafe { libc::syscall(number, a, b, c, d, e, f) }
}

/// Room for whatever a kernel writes.
fn spare() -> c_long {
    static SPARE: [std::sync::atomic::AtomicU64; 512] = [const { std::sync::atomic::AtomicU64::new(0) }; 512];
    SPARE.as_ptr() as c_long
}

fn at(text: &'static std::ffi::CStr) -> c_long {
    text.as_ptr() as c_long
}

fn parent() -> c_long {
    // The first process: it is there, and not ours.
    1
}

fn socket(family: i32, kind: i32, protocol: i32) -> c_long {
    call(
        libc::SYS_socket,
        [family.into(), kind.into(), protocol.into(), 0, 0, 0],
    )
}

/// `struct sockaddr_in` of the loopback address, in two words.
fn loopback(port: u16) -> [u64; 2] {
    let family = u16::try_from(libc::AF_INET).expect("a family").to_ne_bytes();
    let port = port.to_be_bytes();
    let bytes = [family[0], family[1], port[0], port[1], 127, 0, 0, 1];
    [u64::from_ne_bytes(bytes), 0]
}

fn connect(port: u16) -> c_long {
    let (socket, address) = (socket(libc::AF_INET, libc::SOCK_STREAM, 0), loopback(port));
    call(
        libc::SYS_connect,
        [socket, address.as_ptr() as c_long, 16, 0, 0, 0],
    )
}

fn listen() -> c_long {
    let (socket, address) = (socket(libc::AF_INET, libc::SOCK_STREAM, 0), loopback(0));
    match call(libc::SYS_bind, [socket, address.as_ptr() as c_long, 16, 0, 0, 0]) {
        -1 => -1,
        _ => call(libc::SYS_listen, [socket, 1, 0, 0, 0, 0]),
    }
}

fn fast_open(port: u16) -> c_long {
    let (socket, address) = (socket(libc::AF_INET, libc::SOCK_STREAM, 0), loopback(port));
    let flags = libc::MSG_FASTOPEN.into();
    call(
        libc::SYS_sendto,
        [socket, spare(), 1, flags, address.as_ptr() as c_long, 16],
    )
}

fn option(level: i32, name: i32) -> c_long {
    let socket = socket(libc::AF_INET, libc::SOCK_STREAM, 0);
    call(
        libc::SYS_setsockopt,
        [socket, level.into(), name.into(), spare(), 16, 0],
    )
}

fn open(path: &'static std::ffi::CStr, flags: i32) -> c_long {
    call(
        libc::SYS_openat,
        [libc::AT_FDCWD.into(), at(path), flags.into(), 0o600, 0, 0],
    )
}

fn exec(path: &'static std::ffi::CStr) -> c_long {
    let arguments = [at(path), 0];
    let arguments = arguments.as_ptr() as c_long;
    call(libc::SYS_execve, [at(path), arguments, arguments + 8, 0, 0, 0])
}

fn exec_in_memory() -> c_long {
    match call(libc::SYS_memfd_create, [at(c"x"), 0, 0, 0, 0, 0]) {
        -1 => -1,
        file => {
            // A script of one line: the kernel starts its interpreter.
            let script = c"#!/bin/true\n";
            call(libc::SYS_write, [file, at(script), 12, 0, 0, 0]);
            let arguments = [at(script), 0];
            let arguments = arguments.as_ptr() as c_long;
            let empty = libc::AT_EMPTY_PATH.into();
            call(
                libc::SYS_execveat,
                [file, at(c""), arguments, arguments + 8, empty, 0],
            )
        }
    }
}

fn map(length: c_long, protection: i32) -> c_long {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    call(
        libc::SYS_mmap,
        [0, length, protection.into(), flags.into(), -1, 0],
    )
}

fn made_executable() -> c_long {
    let page = map(4096, libc::PROT_READ | libc::PROT_WRITE);
    call(
        libc::SYS_mprotect,
        [page, 4096, (libc::PROT_READ | libc::PROT_EXEC).into(), 0, 0, 0],
    )
}

fn fork() -> c_long {
    match call(libc::SYS_fork, [0; 6]) {
        0 => call(libc::SYS_exit_group, [0; 6]),
        other => other,
    }
}

fn thread() -> c_long {
    std::thread::Builder::new()
        .name("another".to_owned())
        .spawn(|| ())
        .map_or(-1, |thread| thread.join().map_or(-1, |()| 0))
}

fn mount() -> c_long {
    call(
        libc::SYS_mount,
        [at(c"none"), at(c"/tmp"), at(c"nonesuch"), 0, 0, 0],
    )
}

/// A call by the way of 32-bit programs, whose numbers are others: 20 is getpid there, and writev here.
fn by_interrupt() -> c_long {
    let value: i64;
    // SAFETY: getpid has no argument and touches no memory; the registers it may change are named.
    unsafe {
        std::arch::asm!(
            "int 0x80",
            inlateout("rax") 20_i64 => value,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    value
}
