//! What is asked of each version of the interface: a kernel of our own stands in for those that are not here.

use std::cell::RefCell;
use std::io::{Error, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::Path;

use super::*;

/// A kernel of some version that writes down what it is asked.
struct Played {
    abi: Result<u32, ErrorKind>,
    missing: Option<PathBuf>,
    asked: RefCell<Vec<String>>,
}

fn played(abi: u32) -> Played {
    Played {
        abi: Ok(abi),
        missing: None,
        asked: RefCell::default(),
    }
}

impl Kernel for Played {
    fn abi(&self) -> io::Result<u32> {
        self.abi.map_err(Error::from)
    }

    fn create(&self, attributes: Attributes) -> io::Result<OwnedFd> {
        // As a kernel: a right it does not know is an error.
        let unknown = attributes.files & !files(self.abi.unwrap()) != 0
            || (self.abi.unwrap() < 6 && attributes.scopes != 0);
        if unknown {
            return Err(ErrorKind::InvalidInput.into());
        }
        self.asked.borrow_mut().push(format!(
            "take {:x} {:x} {:x}",
            attributes.files, attributes.ports, attributes.scopes
        ));
        Ok(File::open("/dev/null")?.into())
    }

    fn allow_path(&self, _: &OwnedFd, path: &Path, rights: u64) -> io::Result<()> {
        if rights & !files(self.abi.unwrap()) != 0 {
            return Err(ErrorKind::InvalidInput.into());
        }
        if self.missing.as_deref() == Some(path) {
            return Err(ErrorKind::NotFound.into());
        }
        let line = format!("{} {rights:x}", path.display());
        self.asked.borrow_mut().push(line);
        Ok(())
    }

    fn allow_port(&self, _: &OwnedFd, port: u16, rights: u64) -> io::Result<()> {
        self.asked.borrow_mut().push(format!("port {port} {rights:x}"));
        Ok(())
    }

    fn restrict(&self, _: &OwnedFd) -> io::Result<()> {
        self.asked.borrow_mut().push("restrict".to_owned());
        Ok(())
    }
}

fn reach() -> Reach {
    Reach {
        paths: vec![
            ("/model".into(), Use::Read),
            ("/dev/sev-guest".into(), Use::Device),
            ("/reports".into(), Use::Reports),
        ],
        ports: vec![8443],
    }
}

#[test]
fn each_version_is_asked_for_all_it_has_and_nothing_it_has_not() {
    let rows = [
        (4, "take 7fff 3 0", "/dev/sev-guest 6"),
        (5, "take ffff 3 0", "/dev/sev-guest 8006"),
        (6, "take ffff 3 3", "/dev/sev-guest 8006"),
        (7, "take ffff 3 3", "/dev/sev-guest 8006"),
        (99, "take ffff 3 3", "/dev/sev-guest 8006"),
    ];
    for (abi, take, device) in rows {
        let kernel = played(abi);
        assert_eq!(restrict(&kernel, &reach()), Ok(abi));
        let expected = [take, "/model 4", device, "/reports 9e", "port 8443 2", "restrict"];
        assert_eq!(*kernel.asked.borrow(), expected, "version {abi}");
    }
}

#[test]
fn a_kernel_without_ports_or_without_landlock_is_refused() {
    for abi in 1..LEAST {
        let kernel = played(abi);
        assert_eq!(
            restrict(&kernel, &reach()),
            Err(ConfineError::OldLandlock { abi })
        );
        assert!(kernel.asked.borrow().is_empty());
    }
    let none = Played {
        abi: Err(ErrorKind::Unsupported),
        ..played(0)
    };
    assert_eq!(restrict(&none, &reach()), Err(ConfineError::NoLandlock));
}

#[test]
fn a_path_that_is_not_there_is_left_out() {
    let kernel = Played {
        missing: Some("/model".into()),
        ..played(7)
    };
    assert_eq!(restrict(&kernel, &reach()), Ok(7));
    assert!(
        !kernel
            .asked
            .borrow()
            .iter()
            .any(|line| line.starts_with("/model"))
    );
}

#[test]
fn nothing_holds_where_nothing_was_restricted() {
    assert_eq!(holds(&reach()), Err(ConfineError::Landlock));
}
