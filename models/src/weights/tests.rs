//! What is and is not taken for weights.

use serde_json::json;

use super::*;
use crate::testdata::safetensors;

fn open(files: Vec<(&str, Vec<u8>)>) -> Result<Weights<'static>, LoadError> {
    let files = files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes));
    Weights::open(&mut ModelFiles::for_tests(files), &())
}

fn single(bytes: Vec<u8>) -> Result<Weights<'static>, LoadError> {
    open(vec![(SINGLE, bytes)])
}

fn tensor_problem<T>(result: Result<T, LoadError>) -> TensorProblem {
    match result.map(|_| ()) {
        Err(LoadError::Tensor { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn all_three_types_are_read_exactly() {
    let file = safetensors(&[
        ("a", "F32", &[2], &f32s(&[1.5, -0.1])),
        ("b", "BF16", &[2], &[0x80, 0x3f, 0x20, 0xc1]),
        (
            "c",
            "F16",
            &[2, 2],
            &[0x00, 0x3c, 0xff, 0x7b, 0x01, 0x80, 0x00, 0x02],
        ),
    ]);
    let mut weights = single(file).unwrap();
    assert_eq!(*weights.take("a", &[2]).unwrap(), [1.5, -0.1]);
    assert_eq!(*weights.take("b", &[2]).unwrap(), [1.0, -10.0]);
    let halves = [1.0, 65504.0, -(2.0f32.powi(-24)), 2.0f32.powi(-15)];
    assert_eq!(*weights.take("c", &[2, 2]).unwrap(), halves);
    assert_eq!(weights.finish(|_| false), Ok(8));
}

#[test]
fn every_half_is_read_as_the_tensor_library_reads_it() {
    use candle_core::{DType, Device, Tensor};
    let bits: Vec<u16> = (0..=u16::MAX).collect();
    let bytes: Vec<u8> = bits.iter().flat_map(|bits| bits.to_le_bytes()).collect();
    let halves = Tensor::from_raw_buffer(&bytes, DType::F16, &[65536], &Device::Cpu).unwrap();
    let expected: Vec<f32> = halves.to_dtype(DType::F32).unwrap().to_vec1().unwrap();
    for (bits, expected) in bits.iter().zip(expected) {
        let found = f16_to_f32(bits.to_le_bytes());
        assert!(
            found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()),
            "{bits:x}"
        );
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let file = || {
        safetensors(&[
            ("a", "F32", &[2], &f32s(&[1.0, 2.0])),
            ("b", "I32", &[1], &[0; 4]),
        ])
    };
    assert_eq!(
        tensor_problem(single(file()).unwrap().take("c", &[2])),
        TensorProblem::Missing
    );
    assert_eq!(
        tensor_problem(single(file()).unwrap().take("b", &[1])),
        TensorProblem::Type
    );
    let shape = TensorProblem::Shape {
        expected: vec![2, 1],
        found: vec![2],
    };
    assert_eq!(tensor_problem(single(file()).unwrap().take("a", &[2, 1])), shape);
    assert_eq!(
        tensor_problem(single(file()).unwrap().finish(|name| name == "a")),
        TensorProblem::Unexpected
    );
    assert_eq!(single(file()).unwrap().finish(|_| true), Ok(0));
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let file = safetensors(&[("a", "F32", &[2], &f32s(&[1.0, bad]))]);
        assert_eq!(
            tensor_problem(single(file).unwrap().take("a", &[2])),
            TensorProblem::NotFinite
        );
    }
    for bad in [[0x80, 0x7f], [0xc0, 0xff]] {
        let file = safetensors(&[("a", "BF16", &[1], &bad)]);
        assert_eq!(
            tensor_problem(single(file).unwrap().take("a", &[1])),
            TensorProblem::NotFinite
        );
    }
}

#[test]
fn broken_files_are_refused_without_a_panic() {
    let good = safetensors(&[
        ("a", "F32", &[2], &f32s(&[1.0, 2.0])),
        ("b", "F32", &[1], &f32s(&[3.0])),
    ]);
    assert!(single(good.clone()).is_ok());
    for length in 0..good.len() {
        assert!(single(good[..length].to_vec()).is_err(), "cut to {length}");
    }
    let mut longer = good.clone();
    longer.push(0);
    assert!(single(longer).is_err());
    let mut huge = good;
    huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(matches!(
        single(huge),
        Err(LoadError::File {
            problem: FileProblem::TooLarge(_),
            ..
        })
    ));

    let raw = |header: serde_json::Value, data: usize| {
        let header = header.to_string();
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.into_bytes());
        file.resize(file.len() + data, 0);
        single(file).map(|_| ())
    };
    let entry = |shape: serde_json::Value, from: u64, to: u64| json!({"dtype": "F32", "shape": shape, "data_offsets": [from, to]});
    assert_eq!(raw(json!({"a": entry(json!([2]), 0, 8)}), 8), Ok(()));
    assert!(
        raw(
            json!({"a": entry(json!([2]), 0, 8), "b": entry(json!([2]), 4, 12)}),
            12
        )
        .is_err()
    );
    assert!(
        raw(
            json!({"a": entry(json!([2]), 0, 8), "b": entry(json!([2]), 12, 20)}),
            20
        )
        .is_err()
    );
    assert!(raw(json!({"a": entry(json!([3]), 0, 8)}), 8).is_err());
    assert!(raw(json!({"a": entry(json!([u64::MAX, 2]), 0, 8)}), 8).is_err());
    assert!(raw(json!({"a": entry(json!([2]), 8, 0)}), 8).is_err());
    assert!(raw(json!({"a": entry(json!([2]), 0, u64::MAX)}), 8).is_err());
    assert!(raw(json!([]), 0).is_err());
}

#[test]
fn shards_are_joined_by_their_index_and_tensors_come_once() {
    let first = || safetensors(&[("a", "F32", &[1], &f32s(&[1.0]))]);
    let second = || safetensors(&[("b", "F32", &[1], &f32s(&[2.0]))]);
    let index = || {
        json!({"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}})
            .to_string()
            .into_bytes()
    };
    let mut weights = open(vec![
        (INDEX, index()),
        ("1.safetensors", first()),
        ("2.safetensors", second()),
    ])
    .unwrap();
    assert_eq!(*weights.take("b", &[1]).unwrap(), [2.0]);
    assert_eq!(*weights.take("a", &[1]).unwrap(), [1.0]);
    assert_eq!(tensor_problem(weights.take("a", &[1])), TensorProblem::Missing);

    assert!(open(vec![(INDEX, index()), ("1.safetensors", first())]).is_err());
    let twice = open(vec![
        (INDEX, index()),
        ("1.safetensors", first()),
        ("2.safetensors", first()),
    ]);
    assert_eq!(tensor_problem(twice), TensorProblem::Twice);
    assert!(open(vec![(INDEX, b"{\"weight_map\": {\"a\": 1}}".to_vec())]).is_err());
    assert_eq!(open(vec![]).map(|_| ()), Err(LoadError::MissingFile(SINGLE)));
    let gguf = open(vec![("model.gguf", b"GGUF".to_vec())]).map(|_| ());
    assert!(matches!(
        gguf,
        Err(LoadError::File {
            problem: FileProblem::Gguf,
            ..
        })
    ));
}
