//! The folder and the processes of one demonstration, and their end.
//!
//! Why apart: whatever happens, including Ctrl-C at any moment, no process and no file may remain.
//!
//! # Invariants
//! Every process is registered here before it is used. Dropping the stage, and the signal handler, end all of
//! them, wait for them and remove the folder.

use std::fs::DirBuilder;
use std::io::Read;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::scene::Failure;

/// How long a process may take to end when asked, before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// Owner of the folder and the processes.
pub(crate) struct Stage {
    inner: Arc<Mutex<Inner>>,
    folder: PathBuf,
}

struct Inner {
    folder: PathBuf,
    children: Vec<Child>,
}

impl Stage {
    /// Makes a folder nobody else can enter, and arranges for Ctrl-C.
    pub(crate) fn new() -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("anchorhold-demo-{}", std::process::id()));
        let inner = Arc::new(Mutex::new(Inner {
            folder: folder.clone(),
            children: Vec::new(),
        }));
        let handled = Arc::clone(&inner);
        // Before the folder is there, so that no Ctrl-C leaves it.
        ctrlc::set_handler(move || {
            // Held to the end: whoever waits for a process must not report it as broken meanwhile.
            let mut inner = handled.lock().unwrap_or_else(PoisonError::into_inner);
            inner.end();
            leave();
        })
        .map_err(|_| Failure::broken("Ctrl-C could not be handled"))?;
        DirBuilder::new().mode(0o700).create(&folder).map_err(|_| {
            Failure::broken("a folder for the demonstration could not be made in the temporary folder")
        })?;
        Ok(Self { inner, folder })
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts a process that ends with the stage. Its output can be read from the returned pipe.
    pub(crate) fn start(&self, command: &mut Command) -> Result<ChildStdout, Failure> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let (stdout, _) = self.spawn(command)?;
        stdout.ok_or_else(|| Failure::broken("a program has no output"))
    }

    /// Runs a process to its end, or to the stage's, and gives what it printed.
    pub(crate) fn run(&self, command: &mut Command) -> Result<Output, Failure> {
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let (stdout, stderr) = self.spawn(command)?;
        // Both at once, so that the process never waits for a reader.
        let errors = std::thread::spawn(move || all_of(stderr));
        let stdout = all_of(stdout);
        Ok(Output {
            status: self.wait_for_newest()?,
            stdout,
            stderr: errors.join().unwrap_or_default(),
        })
    }

    /// Runs a process at the person's terminal to its end, or to the stage's.
    pub(crate) fn converse(&self, command: &mut Command) -> Result<ExitStatus, Failure> {
        self.spawn(command)?;
        self.wait_for_newest()
    }

    fn spawn(&self, command: &mut Command) -> Result<(Option<ChildStdout>, Option<ChildStderr>), Failure> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut child = command
            .spawn()
            .map_err(|_| Failure::broken("a program could not be started"))?;
        let pipes = (child.stdout.take(), child.stderr.take());
        inner.children.push(child);
        Ok(pipes)
    }

    /// Waits for the newest process to end by itself. It stays registered until then.
    pub(crate) fn wait_for_newest(&self) -> Result<ExitStatus, Failure> {
        loop {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            let ended = inner.children.last_mut().map(Child::try_wait);
            match ended {
                Some(Ok(None)) => {}
                Some(Ok(Some(status))) => {
                    inner.children.pop();
                    return Ok(status);
                }
                Some(Err(_)) | None => return Err(Failure::broken("a program could not be waited for")),
            }
            drop(inner);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Inner {
    /// Ends everything, newest first: the enclave drains before its broker goes.
    fn end(&mut self) {
        while let Some(mut child) = self.children.pop() {
            ask_to_end(&child);
            let asked = Instant::now();
            while matches!(child.try_wait(), Ok(None)) && asked.elapsed() < GRACE {
                std::thread::sleep(Duration::from_millis(10));
            }
            // Already gone is what we want.
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).end();
    }
}

/// SIGTERM, so that the launcher passes it on to the enclave: killing the launcher would orphan it.
fn ask_to_end(child: &Child) {
    if let Some(pid) = i32::try_from(child.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

fn all_of(pipe: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        // What could be read is what there is to report.
        let _ = pipe.read_to_end(&mut bytes);
    }
    bytes
}

#[allow(clippy::exit, reason = "the handler of Ctrl-C has no caller to return to")]
fn leave() -> ! {
    std::process::exit(130)
}
