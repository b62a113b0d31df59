//! Files and folders, read with limits.
//!
//! Why apart: the one place of this command that touches a disk.
//!
//! # Invariants
//! Only plain files, one level deep, in the order of their names. What a folder holds beside known things is announced and
//! left out.

use std::fs;
use std::path::{Path, PathBuf};

use super::peel::{Peeled, peel};
use crate::client::limits::{EXPLAIN_FILE, EXPLAIN_FILES};
use crate::error::Failure;

fn unreadable(path: &Path, what: &str) -> Failure {
    Failure::new(
        "file",
        format!("cannot read {}: {what}", path.display()),
        "check the path and its permissions",
    )
}

/// What one file holds.
pub(super) fn file(path: &Path) -> Result<Peeled, Failure> {
    use std::io::Read as _;
    let failed = |error: std::io::Error| unreadable(path, &error.kind().to_string());
    let mut bytes = Vec::new();
    fs::File::open(path)
        .map_err(failed)?
        .take(EXPLAIN_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > EXPLAIN_FILE {
        return Err(unreadable(
            path,
            &format!("it is larger than {EXPLAIN_FILE} bytes"),
        ));
    }
    Ok(peel(&path.display().to_string(), &bytes))
}

/// What the files of a folder hold, together.
pub(super) fn files(folder: &Path) -> Result<Peeled, Failure> {
    let failed = |error: std::io::Error| unreadable(folder, &error.kind().to_string());
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_file() {
            paths.push(path);
        }
        if paths.len() > EXPLAIN_FILES {
            return Err(unreadable(
                folder,
                &format!("it has more than {EXPLAIN_FILES} files"),
            ));
        }
    }
    paths.sort();
    let mut all = Peeled::default();
    for path in paths {
        let found = file(&path)?;
        if found.pieces.is_empty() {
            all.said
                .push(format!("{}: left out, of no known form", path.display()));
        }
        all.said.extend(found.said);
        all.pieces.extend(found.pieces);
    }
    Ok(all)
}
