//! The folder and the processes of one demonstration, and their end.
//!
//! Why apart: whatever happens, including Ctrl-C at any moment, no process and no file may remain.
//!
//! # Invariants
//! Every process is registered here before it is used. Dropping the stage, and the signal handler, end all of
//! them, wait for them and remove the folder.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
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
        DirBuilder::new().mode(0o700).create(&folder).map_err(|_| {
            Failure::broken("a folder for the demonstration could not be made in the temporary folder")
        })?;
        let inner = Arc::new(Mutex::new(Inner {
            folder: folder.clone(),
            children: Vec::new(),
        }));
        let handled = Arc::clone(&inner);
        ctrlc::set_handler(move || {
            handled.lock().unwrap_or_else(PoisonError::into_inner).end();
            leave();
        })
        .map_err(|_| Failure::broken("Ctrl-C could not be handled"))?;
        Ok(Self { inner, folder })
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts a process that ends with the stage. Its output can be read from the returned pipe.
    pub(crate) fn start(&self, command: &mut Command) -> Result<std::process::ChildStdout, Failure> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|_| Failure::broken("a program could not be started"))?;
        let stdout = child
            .stdout
            .take()
            .ok_or_else(|| Failure::broken("a program has no output"))?;
        inner.children.push(child);
        Ok(stdout)
    }

    /// Waits for the newest process to end by itself and gives its exit code.
    pub(crate) fn exit_code_of_newest(&self) -> Option<i32> {
        let mut child = self
            .inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .children
            .pop()?;
        child.wait().ok()?.code()
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

#[allow(clippy::exit, reason = "the handler of Ctrl-C has no caller to return to")]
fn leave() -> ! {
    std::process::exit(130)
}
