//! Weights that are not kept: they come again as they were checked, or not at all.
//!
//! Why apart: here a file changes between two readings.
//!
//! # Invariants
//! What is compared is a matrix packed from a file that is kept.

use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::*;
use crate::model::error::LoadError;
use crate::model::files::ModelFiles;
use crate::sealed::unseal::Expected;
use crate::testdata;
use crate::weights::Weights;

const ROWS: usize = 3000;
const WIDTH: usize = 1024;

/// Two matrices of more than one batch each, with a few numbers between them, sealed.
fn sealed(dir: &Path) -> (PathBuf, SealedSummary) {
    let model = dir.join("model");
    fs::create_dir(&model).unwrap();
    let matrix = |seed: usize| -> Vec<u8> {
        (0..ROWS * WIDTH)
            .flat_map(|index| (((index * 31 + seed) % 4001) as f32).to_le_bytes())
            .collect()
    };
    let file = testdata::safetensors(&[
        ("a", "F32", &[ROWS, WIDTH], &matrix(1)),
        (
            "b",
            "F32",
            &[3],
            &[1.0f32, 2.0, 3.0].map(f32::to_le_bytes).concat(),
        ),
        ("c", "F32", &[ROWS, WIDTH], &matrix(2)),
    ]);
    fs::write(model.join("config.json"), b"{}").unwrap();
    fs::write(model.join("model.safetensors"), file).unwrap();
    let path = dir.join("model.sealed");
    let summary = seal_dir(&model, &path, &key(1), &options(false), &()).unwrap();
    (path, summary)
}

fn expected(summary: &SealedSummary) -> Expected {
    Expected {
        key_id: options(false).key_id,
        class: Class::Insecure,
        manifest_sha256: summary.manifest_sha256,
        max_plaintext: u64::MAX,
    }
}

fn unsealed(path: &Path, summary: &SealedSummary, sparing: bool) -> UnsealedModel {
    let model = SealedModel::open(path).unwrap();
    let expected = expected(summary);
    if sparing {
        model.unseal_sparing(key(1), &expected, &()).unwrap()
    } else {
        model.unseal(key(1), &expected, &()).unwrap()
    }
}

/// All rows of both matrices, and the numbers between them, in another order than the file's.
fn read(model: UnsealedModel) -> Result<Vec<f32>, LoadError> {
    let mut weights = Weights::open(&mut ModelFiles::new(model), &())?;
    let mut all = Vec::new();
    for name in ["c", "a"] {
        let matrix = weights.pack(name, (ROWS, WIDTH), anchorhold_kernels::Precision::of)?;
        let mut row = vec![0.0; WIDTH];
        for index in 0..ROWS {
            matrix.row(index, &mut row);
            all.extend_from_slice(&row);
        }
    }
    all.extend_from_slice(&weights.take("b", &[3])?);
    weights.finish(|_| false)?;
    Ok(all)
}

#[test]
fn what_comes_again_is_what_was_checked() {
    let dir = tempfile::tempdir().unwrap();
    let (path, summary) = sealed(dir.path());
    let model = unsealed(&path, &summary, true);
    assert!(model.get("model.safetensors").is_none(), "it is not kept");
    assert_eq!(model.get("config.json"), Some(&b"{}"[..]));
    assert_eq!(read(model), read(unsealed(&path, &summary, false)));
}

#[test]
fn a_file_that_changes_between_two_readings_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (path, summary) = sealed(dir.path());
    let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let length = file.metadata().unwrap().len();
    // A bit of the first matrix, one of the last, and another file sealed with the same key in its place.
    for at in [length / 3, length - 100_000] {
        let model = unsealed(&path, &summary, true);
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
        let refused = read(model);
        assert!(
            matches!(refused, Err(LoadError::Again(UnsealError::Corrupt { .. }))),
            "{:?}",
            refused.err()
        );
        file.write_all_at(&byte, at).unwrap();
    }
    let model = unsealed(&path, &summary, true);
    file.set_len(length / 2).unwrap();
    assert_eq!(read(model).err(), Some(LoadError::Again(UnsealError::Truncated)));
}

/// Tags alone would not tell: whoever has the key can make other chunks for the same places.
#[test]
fn chunks_that_the_key_opens_and_that_were_not_checked_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (path, summary) = sealed(dir.path());
    let model = unsealed(&path, &summary, true);
    let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let header = SealedModel::open(&path).unwrap();
    let layout = Layout::new(header.header().plaintext_length());
    let size = header.sealed_size();
    let (_, prefix_length, prefix) = Header::read(&mut fs::File::open(&path).unwrap()).unwrap();
    let chunks_at = prefix_length + COMMITMENT as u64;
    assert_eq!(chunks_at + layout.sealed_length(), size);
    let own = chunk_key(&key(1), &header.header().salt(), &prefix);
    let mut forged = vec![0; SEALED_CHUNK];
    own.seal(layout.nonce(5), &vec![7; CHUNK], &mut forged);
    file.write_all_at(&forged, chunks_at + 5 * SEALED_CHUNK as u64)
        .unwrap();
    let refused = read(model);
    assert!(
        matches!(refused, Err(LoadError::Again(UnsealError::Corrupt { .. }))),
        "{:?}",
        refused.err()
    );
}
