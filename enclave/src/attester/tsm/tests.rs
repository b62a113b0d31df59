//! The rules of configfs-tsm-report, against a tree that keeps them as the kernel does.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use super::*;

/// What an entry of the fake kernel holds.
#[derive(Default)]
struct State {
    inblob: Vec<u8>,
    level: Option<String>,
    written: u64,
    /// The generation the cached report is of.
    cached: Option<(u64, Vec<u8>)>,
}

/// A kernel's folder: reports are made when they are read, writes are counted, names collide.
struct FakeKernel {
    provider: &'static str,
    floor: Option<u32>,
    auxiliary: Option<Vec<u8>>,
    entries: Mutex<BTreeMap<String, State>>,
    made: Mutex<Vec<String>>,
    hooks: Hooks,
}

/// What goes wrong, and how often.
#[derive(Default)]
struct Hooks {
    /// `make` finds the name taken.
    collisions: Mutex<u32>,
    /// Somebody writes `inblob` after we did, before the report is read.
    racing: Mutex<u32>,
    /// Somebody writes `inblob` after the report was read.
    late: Mutex<u32>,
    /// The write of `inblob` is lost, as configfs loses errors of binary writes.
    lost: Mutex<u32>,
    /// Reading the report fails with this.
    failing: Mutex<Vec<ErrorKind>>,
    /// The report is always over these bytes.
    stale: Option<[u8; 64]>,
    report_length: usize,
}

fn take(count: &Mutex<u32>) -> bool {
    let mut count = count.lock().unwrap();
    let any = *count > 0;
    *count = count.saturating_sub(1);
    any
}

impl FakeKernel {
    fn snp() -> Self {
        Self {
            provider: "sev_guest",
            floor: Some(0),
            auxiliary: Some(vec![0; 24]),
            entries: Mutex::default(),
            made: Mutex::default(),
            hooks: Hooks {
                report_length: 1184,
                ..Hooks::default()
            },
        }
    }

    fn tdx() -> Self {
        let mut kernel = Self::snp();
        kernel.provider = "tdx_guest";
        (kernel.floor, kernel.auxiliary) = (None, None);
        kernel.hooks.report_length = 5000;
        kernel
    }

    fn entries_left(&self) -> usize {
        self.entries.lock().unwrap().len()
    }

    fn made(&self) -> Vec<String> {
        self.made.lock().unwrap().clone()
    }
}

impl Tree for FakeKernel {
    fn make(&self, entry: &str) -> io::Result<()> {
        self.made.lock().unwrap().push(entry.to_owned());
        if take(&self.hooks.collisions) || self.entries.lock().unwrap().contains_key(entry) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.entries
            .lock()
            .unwrap()
            .insert(entry.to_owned(), State::default());
        Ok(())
    }

    fn remove(&self, entry: &str) -> io::Result<()> {
        let gone = self.entries.lock().unwrap().remove(entry);
        gone.map(drop).ok_or(ErrorKind::NotFound.into())
    }

    fn write(&self, entry: &str, attribute: Attribute, bytes: &[u8]) -> io::Result<()> {
        let mut entries = self.entries.lock().unwrap();
        let state = entries.get_mut(entry).ok_or(ErrorKind::NotFound)?;
        match attribute {
            Attribute::Inblob if take(&self.hooks.lost) => return Ok(()),
            Attribute::Inblob => {
                state.inblob = bytes.to_vec();
                if take(&self.hooks.racing) {
                    state.inblob = vec![0xee; 64];
                    state.written += 1;
                }
            }
            Attribute::Privlevel => {
                let level = String::from_utf8(bytes.to_vec()).unwrap();
                if level.parse::<u32>().unwrap() < self.floor.ok_or(ErrorKind::NotFound)? {
                    return Err(ErrorKind::InvalidInput.into());
                }
                state.level = Some(level);
            }
            _ => return Err(ErrorKind::PermissionDenied.into()),
        }
        state.written += 1;
        Ok(())
    }

    fn read(&self, entry: &str, attribute: Attribute, limit: usize) -> io::Result<Vec<u8>> {
        let mut entries = self.entries.lock().unwrap();
        let state = entries.get_mut(entry).ok_or(ErrorKind::NotFound)?;
        let bytes = match attribute {
            Attribute::Provider => format!("{}\n", self.provider).into_bytes(),
            Attribute::Generation => format!("{}\n", state.written).into_bytes(),
            Attribute::PrivlevelFloor => format!("{}\n", self.floor.ok_or(ErrorKind::NotFound)?).into_bytes(),
            Attribute::Auxblob => self.auxiliary.clone().ok_or(ErrorKind::NotFound)?,
            Attribute::Outblob => {
                if let Some(kind) = self.hooks.failing.lock().unwrap().pop() {
                    return Err(kind.into());
                }
                if state.inblob.is_empty() {
                    return Err(ErrorKind::InvalidInput.into());
                }
                // The level a guest may not have is refused when the report is made.
                let level: u32 = state.level.as_deref().unwrap_or("0").parse().unwrap();
                if self.floor.is_some_and(|floor| level < floor) {
                    return Err(ErrorKind::InvalidInput.into());
                }
                if state.cached.as_ref().is_none_or(|(of, _)| *of != state.written) {
                    let mut report = vec![level.to_string().into_bytes()[0]; self.hooks.report_length];
                    let data = self
                        .hooks
                        .stale
                        .map_or(state.inblob.clone(), |data| data.to_vec());
                    report[80..80 + data.len()].copy_from_slice(&data);
                    state.cached = Some((state.written, report));
                }
                let report = state.cached.as_ref().unwrap().1.clone();
                if take(&self.hooks.late) {
                    state.inblob = vec![0xee; 64];
                    state.written += 1;
                }
                report
            }
            Attribute::Inblob | Attribute::Privlevel => return Err(ErrorKind::PermissionDenied.into()),
        };
        if bytes.len() > limit {
            return Err(ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }
}

const DATA: [u8; 64] = [0x5a; 64];

fn refused(kernel: &FakeKernel, provider: Provider) -> Fault {
    let error = report(kernel, provider, &DATA).unwrap_err();
    assert_eq!(kernel.entries_left(), 0, "an entry is removed also on errors");
    match error {
        AttesterError::Interface {
            interface: Interface::Tsm,
            fault,
        } => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_report_has_its_own_entry_and_leaves_none() {
    let kernel = FakeKernel::snp();
    let one = report(&kernel, Provider::SevGuest, &DATA).unwrap();
    assert_eq!(one.report.len(), 1184);
    assert_eq!(one.report[80..144], DATA);
    assert_eq!(one.auxiliary, Some(vec![0; 24]));
    let other = report(&kernel, Provider::SevGuest, &[1; 64]).unwrap();
    assert_eq!(other.report[80..144], [1; 64]);
    let made = kernel.made();
    assert_eq!(made.len(), 2);
    assert_ne!(made[0], made[1]);
    assert_eq!(made[0].len(), "anchorhold-".len() + 32);
    assert_eq!(kernel.entries_left(), 0);
}

#[test]
fn a_quote_has_no_level_and_no_certificates() {
    let quote = report(&FakeKernel::tdx(), Provider::TdxGuest, &DATA).unwrap();
    assert_eq!((quote.report.len(), quote.auxiliary), (5000, None));
    let mut empty = FakeKernel::snp();
    empty.auxiliary = Some(Vec::new());
    assert_eq!(report(&empty, Provider::SevGuest, &DATA).unwrap().auxiliary, None);
}

#[test]
fn the_level_asked_for_is_the_guests_own() {
    let mut kernel = FakeKernel::snp();
    kernel.floor = Some(2);
    assert_eq!(
        report(&kernel, Provider::SevGuest, &DATA).unwrap().report[0],
        b'2'
    );
}

#[test]
fn a_name_that_exists_is_left_alone() {
    let kernel = FakeKernel::snp();
    *kernel.hooks.collisions.lock().unwrap() = 2;
    report(&kernel, Provider::SevGuest, &DATA).unwrap();
    let made = kernel.made();
    assert_eq!(made.len(), 3);
    assert!(made[0] != made[1] && made[1] != made[2]);
    *kernel.hooks.collisions.lock().unwrap() = u32::MAX;
    assert_eq!(refused(&kernel, Provider::SevGuest), Fault::Busy);
    let most = limits::REPORT_ATTEMPTS * limits::REPORT_ATTEMPTS;
    assert_eq!(kernel.made().len(), 3 + most);
}

#[test]
fn a_second_writer_is_noticed_and_the_report_made_anew() {
    for late in [false, true] {
        let kernel = FakeKernel::snp();
        let hook = if late {
            &kernel.hooks.late
        } else {
            &kernel.hooks.racing
        };
        *hook.lock().unwrap() = 2;
        let signed = report(&kernel, Provider::SevGuest, &DATA).unwrap();
        assert_eq!(signed.report[80..144], DATA);
        assert_eq!(kernel.made().len(), 3, "a new entry each time");
        *hook.lock().unwrap() = u32::MAX;
        assert_eq!(refused(&kernel, Provider::SevGuest), Fault::Disturbed);
        assert_eq!(kernel.made().len(), 3 + limits::REPORT_ATTEMPTS);
    }
}

#[test]
fn a_write_that_the_kernel_lost_is_noticed() {
    // Nobody said that it failed; an entry without data just signs nothing.
    let kernel = FakeKernel::snp();
    *kernel.hooks.lost.lock().unwrap() = 1;
    assert_eq!(refused(&kernel, Provider::SevGuest), Fault::Refused);
}

#[test]
fn what_passes_is_tried_again_and_what_lasts_is_not() {
    use ErrorKind::{FileTooLarge, Interrupted, Other, PermissionDenied, ResourceBusy, TimedOut, WouldBlock};
    for kind in [WouldBlock, ResourceBusy, Interrupted, TimedOut] {
        let kernel = FakeKernel::tdx();
        *kernel.hooks.failing.lock().unwrap() = vec![kind];
        report(&kernel, Provider::TdxGuest, &DATA).unwrap();
        *kernel.hooks.failing.lock().unwrap() = vec![kind; 100];
        assert_eq!(refused(&kernel, Provider::TdxGuest), Fault::Busy);
        assert_eq!(kernel.made().len(), 2 + limits::REPORT_ATTEMPTS);
    }
    let lasting = [
        (FileTooLarge, Fault::TooLarge),
        (PermissionDenied, Fault::Forbidden),
        (Other, Fault::Refused),
    ];
    for (kind, fault) in lasting {
        let kernel = FakeKernel::tdx();
        *kernel.hooks.failing.lock().unwrap() = vec![kind; 100];
        assert_eq!(refused(&kernel, Provider::TdxGuest), fault);
        assert_eq!(kernel.made().len(), 1);
    }
}

#[test]
fn another_machines_reports_are_not_taken() {
    assert_eq!(refused(&FakeKernel::tdx(), Provider::SevGuest), Fault::OtherKind);
    assert_eq!(refused(&FakeKernel::snp(), Provider::TdxGuest), Fault::OtherKind);
    let mut kernel = FakeKernel::snp();
    kernel.provider = "sev_guest2";
    assert_eq!(refused(&kernel, Provider::SevGuest), Fault::OtherKind);
}

#[test]
fn a_report_over_other_bytes_is_not_taken() {
    let mut kernel = FakeKernel::snp();
    kernel.hooks.stale = Some([9; 64]);
    assert_eq!(refused(&kernel, Provider::SevGuest), Fault::Stale);
}

#[test]
fn a_report_beyond_the_limit_is_not_taken() {
    let mut kernel = FakeKernel::tdx();
    kernel.hooks.report_length = limits::TSM_BLOB;
    report(&kernel, Provider::TdxGuest, &DATA).unwrap();
    kernel.hooks.report_length += 1;
    assert_eq!(refused(&kernel, Provider::TdxGuest), Fault::TooLarge);
}

#[test]
fn numbers_are_numbers() {
    assert!(matches!(number(b"18446744073709551615\n"), Ok(u64::MAX)));
    for wrong in [
        b"".as_slice(),
        b"-1\n",
        b"0x1\n",
        b"1 2\n",
        b"18446744073709551616",
        b"\xff",
    ] {
        assert!(matches!(number(wrong), Err(Failure::Lasting(Fault::Malformed))));
    }
}

#[test]
fn the_real_tree_makes_folders_and_reads_files() {
    let root = tempfile::tempdir().unwrap();
    assert!(Folder::open(Path::new("/nonexistent/tsm")).is_none());
    let tree = Folder::open(root.path()).unwrap();
    tree.make("one").unwrap();
    assert_eq!(tree.make("one").unwrap_err().kind(), ErrorKind::AlreadyExists);
    // A plain folder has no attributes until somebody makes them, and none is made by writing.
    let missing = tree.write("one", Attribute::Inblob, &DATA).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    std::fs::write(root.path().join("one/outblob"), DATA).unwrap();
    assert_eq!(tree.read("one", Attribute::Outblob, 64).unwrap(), DATA);
    let large = tree.read("one", Attribute::Outblob, 63).unwrap_err();
    assert_eq!(large.kind(), ErrorKind::FileTooLarge);
    std::fs::remove_file(root.path().join("one/outblob")).unwrap();
    tree.remove("one").unwrap();
    // Without a driver the whole request says so, and removes its entry.
    let error = report(&tree, Provider::SevGuest, &DATA).unwrap_err();
    assert_eq!(error, Interface::Tsm.fails(Fault::Missing));
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
}
