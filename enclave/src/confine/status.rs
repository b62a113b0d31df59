//! What the kernel says of this process's threads.
//!
//! Why apart: a measure counts when the kernel says that it holds, not when a call came back.
//!
//! # Invariants
//! All threads are asked, and all must answer alike. The files are opened before the last measure forbids opening, and
//! read after it.
//!
//! Source: Linux, Documentation/filesystems/proc.rst, table 1-2; capabilities(7), the five sets of a thread.

use std::fs::{self, File};
use std::io::{self, Read};

/// The folder of this process's threads.
const TASKS: &str = "/proc/self/task";

/// Bytes of one status file; it has about 1500.
const STATUS_BYTES: u64 = 16 * 1024;

/// What holds for every thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status {
    /// How many threads were asked.
    pub threads: usize,
    /// No thread can gain privileges by starting a program.
    pub no_new_privs: bool,
    /// A filter decides on each thread's system calls.
    pub filtered: bool,
    /// The union of all threads' inheritable, permitted, effective and ambient capabilities.
    pub capabilities: u64,
    /// The union of their bounding sets.
    pub bounding: u64,
}

/// The open status files of all threads there are.
pub(super) struct Threads(Vec<File>);

impl Threads {
    /// Opens them. Threads that begin later have what the thread that began them has.
    ///
    /// # Errors
    /// The system's: no `/proc`, or no leave to read it.
    pub(super) fn open() -> io::Result<Self> {
        let mut files = Vec::new();
        for entry in fs::read_dir(TASKS)? {
            match File::open(entry?.path().join("status")) {
                Ok(file) => files.push(file),
                // It has ended meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self(files))
    }

    /// What the kernel says now.
    ///
    /// # Errors
    /// No thread answers, or in a form that is not known.
    pub(super) fn ask(self) -> io::Result<Status> {
        let mut all: Option<Status> = None;
        for file in self.0 {
            let mut text = String::new();
            match file.take(STATUS_BYTES).read_to_string(&mut text) {
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => continue,
                Err(error) => return Err(error),
            }
            let one = parse(&text).ok_or(io::ErrorKind::InvalidData)?;
            all = Some(all.map_or(one, |all| Status {
                threads: all.threads + 1,
                no_new_privs: all.no_new_privs && one.no_new_privs,
                filtered: all.filtered && one.filtered,
                capabilities: all.capabilities | one.capabilities,
                bounding: all.bounding | one.bounding,
            }));
        }
        all.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn parse(text: &str) -> Option<Status> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.strip_prefix(':')?.trim())
    };
    let set = |name| u64::from_str_radix(field(name)?, 16).ok();
    Some(Status {
        threads: 1,
        no_new_privs: field("NoNewPrivs")? == "1",
        // A kernel without seccomp has no such line.
        filtered: field("Seccomp") == Some("2"),
        capabilities: set("CapInh")? | set("CapPrm")? | set("CapEff")? | set("CapAmb")?,
        bounding: set("CapBnd")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Name:\tmodel\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n\
                        CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\n\
                        NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t2\n";

    #[test]
    fn each_line_counts() {
        let good = parse(TEXT).unwrap();
        assert!(good.no_new_privs && good.filtered && good.capabilities == 0 && good.bounding == 0);
        let with = |from: &str, to: &str| parse(&TEXT.replace(from, to)).unwrap();
        assert!(!with("NoNewPrivs:\t1", "NoNewPrivs:\t0").no_new_privs);
        assert!(!with("Seccomp:\t2", "Seccomp:\t1").filtered);
        assert!(!with("Seccomp:\t2\n", "").filtered);
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            let some = with(&format!("{set}:\t0000"), &format!("{set}:\t0001"));
            assert_eq!(some.capabilities, 1 << 48, "{set}");
        }
        assert_eq!(with("CapBnd:\t0000", "CapBnd:\t0100").bounding, 1 << 56);
        for line in ["NoNewPrivs", "CapEff", "CapBnd"] {
            assert!(parse(&TEXT.replace(line, "Other")).is_none(), "{line}");
        }
    }

    #[test]
    fn the_kernel_answers_for_every_thread() {
        let (stop, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || wait.recv());
        let status = Threads::open().unwrap().ask().unwrap();
        assert!(status.threads >= 2, "{status:?}");
        drop(stop);
        assert!(thread.join().unwrap().is_err());
    }
}
