//! What is and is not taken for weights.

use serde_json::json;

use super::safetensors::{INDEX, SINGLE};
use super::*;
use crate::gguf::written::Written;
use crate::gguf::{Gguf, Tensor};
use crate::model::error::FileProblem;
use crate::testdata::safetensors;

fn open(files: Vec<(&str, Vec<u8>)>) -> Result<Weights<'static>, LoadError> {
    let files = files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes));
    Weights::open(&mut ModelFiles::of_bytes(files), &())
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
        let mut found = [0.0];
        assert!(BlockFormat::F16.numbers(&bits.to_le_bytes(), &mut found));
        let [found] = found;
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

/// Tensors of a GGUF file whose names are a decoder's, heads of 4 numbers.
fn of_gguf(tensors: &[(&str, &[u64], u32, &[u8])]) -> Result<Weights<'static>, LoadError> {
    of_gguf_with_heads(4, tensors)
}

fn of_gguf_with_heads(
    width: usize,
    tensors: &[(&str, &[u64], u32, &[u8])],
) -> Result<Weights<'static>, LoadError> {
    let mut file = Written::default();
    for (name, shape, kind, bytes) in tensors {
        file.tensor(name, shape, *kind, bytes);
    }
    let bytes = file.bytes();
    let gguf = Gguf::parse(&bytes, bytes.len() as u64).unwrap();
    let listed = gguf.tensors().iter().map(Tensor::listed).collect();
    let names = Names::GgufDecoder {
        interleaved: Some(width),
        others: &[],
    };
    let mut files = ModelFiles::of_bytes([("m.gguf".to_owned(), bytes.clone())]);
    Weights::of_gguf(files.take("m.gguf").unwrap(), listed, names, &())
}

#[test]
fn rows_of_queries_and_keys_come_in_the_order_of_hugging_face() {
    let rows: Vec<f32> = (0..8).map(|row| row as f32).collect();
    let matrix: Vec<f32> = rows.iter().flat_map(|row| [*row, row + 0.5]).collect();
    let all = || {
        of_gguf(&[
            ("blk.0.attn_q.weight", &[8, 2], 0, &f32s(&matrix)),
            ("blk.0.attn_k.bias", &[8], 0, &f32s(&rows)),
            ("blk.0.attn_v.weight", &[8, 2], 0, &f32s(&matrix)),
        ])
        .unwrap()
    };
    let order = [0, 2, 1, 3, 4, 6, 5, 7].map(|row| row as f32);
    let mut weights = all();
    let queries = weights
        .tensor("model.layers.0.self_attn.q_proj.weight", &[8, 2])
        .unwrap();
    assert_eq!((queries.rows(), queries.width()), (8, 2));
    for (index, row) in order.iter().enumerate() {
        assert_eq!(weights.row(&queries, index).unwrap(), f32s(&[*row, row + 0.5]));
    }
    assert!(weights.row(&queries, 8).is_err());
    weights.done(queries);
    let keys = weights
        .take("model.layers.0.self_attn.k_proj.bias", &[8])
        .unwrap();
    assert_eq!(*keys, order);
    let values = weights
        .take("model.layers.0.self_attn.v_proj.weight", &[8, 2])
        .unwrap();
    assert_eq!(*values, matrix);
    assert_eq!(weights.finish(|_| false), Ok(40));
    // A head that does not divide the rows would be a slip of the configuration.
    let mut weights = of_gguf(&[("blk.0.attn_q.weight", &[6, 2], 0, &f32s(&[0.0; 12]))]).unwrap();
    assert!(
        weights
            .take("model.layers.0.self_attn.q_proj.weight", &[6, 2])
            .is_err()
    );
}

/// One block of each form that is read, by hand: its type's number, its bytes, and the weights it stands for.
fn blocks() -> Vec<(u32, Vec<u8>, Vec<f32>)> {
    // A half of 0.5 and one of 0.25.
    const HALF: [u8; 2] = [0x00, 0x38];
    const QUARTER: [u8; 2] = [0x00, 0x34];
    let low = |value: u8| vec![value; 16];
    let mut all = vec![
        (0, f32s(&[1.5]), vec![1.5]),
        (1, HALF.to_vec(), vec![0.5]),
        (30, vec![0x20, 0xc1], vec![-10.0]),
        // Bytes from -3 on.
        (
            8,
            [HALF.to_vec(), (0..32).map(|index| (index - 3i8) as u8).collect()].concat(),
            (0..32).map(|index| (index as f32 - 3.0) * 0.5).collect(),
        ),
        // Lower halves of the bytes come first: 9 - 8, then 2 - 8.
        (
            2,
            [HALF.to_vec(), low(0x29)].concat(),
            [[0.5; 16], [-3.0; 16]].concat(),
        ),
        // With a minimum that is added.
        (
            3,
            [HALF.to_vec(), QUARTER.to_vec(), low(0x29)].concat(),
            [[4.75; 16], [1.25; 16]].concat(),
        ),
        // The fifth bit of the first 16 only: 9 + 16 - 16, then 2 - 16.
        (
            6,
            [HALF.to_vec(), vec![0xff, 0xff, 0, 0], low(0x29)].concat(),
            [[4.5; 16], [-7.0; 16]].concat(),
        ),
        (
            7,
            [HALF.to_vec(), QUARTER.to_vec(), vec![0xff, 0xff, 0, 0], low(0x29)].concat(),
            [[12.75; 16], [1.25; 16]].concat(),
        ),
    ];
    // Eight parts of 32. The first four have their scale and minimum in the lower six bits of bytes 0 to 7, the others
    // in halves of bytes 8 to 11 with the upper two bits of the former. Scales 1 to 4 and 17 to 20, minima 0 and 2.
    let scales: Vec<u8> = vec![
        1 | 0x40,
        2 | 0x40,
        3 | 0x40,
        4 | 0x40,
        0,
        0,
        0,
        0,
        0x21,
        0x22,
        0x23,
        0x24,
    ];
    let scale = |part: usize| {
        if part < 4 {
            part as f32 + 1.0
        } else {
            part as f32 + 13.0
        }
    };
    let minimum = |part: usize| if part < 4 { 0.0 } else { 2.0 };
    // A byte serves two parts: the lower half the even one.
    let quant = |part: usize| if part.is_multiple_of(2) { 5.0 } else { 12.0 };
    let weight = |part: usize, fifth: f32| 0.5 * scale(part) * (quant(part) + fifth) - 0.25 * minimum(part);
    let parts = |fifth: fn(usize) -> f32| -> Vec<f32> {
        (0..8).flat_map(|part| [weight(part, fifth(part)); 32]).collect()
    };
    let head = [HALF.to_vec(), QUARTER.to_vec(), scales].concat();
    all.push((12, [head.clone(), vec![0xc5; 128]].concat(), parts(|_| 0.0)));
    // Bit n of each byte of fifth bits is of part n: here of parts 0 and 7.
    all.push((
        13,
        [head, vec![0x81; 32], vec![0xc5; 128]].concat(),
        parts(|part| if part == 0 || part == 7 { 16.0 } else { 0.0 }),
    ));
    // Two halves of 128, each of four parts of 32: lower halves of the first and second 32 bytes, then upper ones; two
    // upper bits a part in 32 bytes. Sixteen scales, one for 16 weights, from -4 on.
    let scales: Vec<u8> = (0..16).map(|index| (index - 4i8) as u8).collect();
    let low: Vec<u8> = [[0x51u8; 32], [0x62; 32], [0x51; 32], [0x62; 32]].concat();
    let six = [1.0, 2.0 + 16.0, 5.0 + 32.0, 6.0 + 48.0];
    let weights = (0..256)
        .map(|index| 0.5 * (index as f32 / 16.0).floor().mul_add(1.0, -4.0) * (six[index / 32 % 4] - 32.0))
        .collect();
    all.push((
        14,
        [low, vec![0b1110_0100; 64], scales, HALF.to_vec()].concat(),
        weights,
    ));
    all
}

#[test]
fn a_block_of_each_form_is_the_numbers_it_stands_for() {
    for (kind, bytes, expected) in blocks() {
        // Twice, so that rows are found.
        let shape = [2, expected.len() as u64];
        let bytes = [bytes.clone(), bytes].concat();
        let mut weights = of_gguf(&[("token_embd.weight", &shape, kind, &bytes)]).unwrap();
        let found = weights
            .take("model.embed_tokens.weight", &[2, expected.len()])
            .unwrap();
        assert_eq!(*found, [expected.clone(), expected].concat(), "type {kind}");
        assert_eq!(weights.finish(|_| false), Ok(found.len() as u64));
    }
    assert_eq!(blocks().len(), BlockFormat::ALL.len());
}

#[test]
fn scales_that_are_no_number_are_refused() {
    for (kind, bytes, expected) in blocks().into_iter().skip(3) {
        let mut bytes = bytes;
        // The scale is in front but for Q6_K.
        let at = if kind == 14 { bytes.len() - 2 } else { 0 };
        bytes[at..at + 2].copy_from_slice(&[0x00, 0x7e]);
        let shape = [1, expected.len() as u64];
        let mut weights = of_gguf(&[("token_embd.weight", &shape, kind, &bytes)]).unwrap();
        let refused = weights.take("model.embed_tokens.weight", &[1, expected.len()]);
        assert_eq!(tensor_problem(refused), TensorProblem::NotFinite, "type {kind}");
    }
}

#[test]
fn a_gguf_files_tensors_are_refused_by_the_files_own_names() {
    let mut weights = of_gguf(&[("token_embd.weight", &[2, 2], 0, &f32s(&[0.0; 4]))]).unwrap();
    let missing = weights.take("model.norm.weight", &[2]).unwrap_err();
    assert_eq!(missing.to_string(), "the tensor output_norm.weight is missing");
    let shape = weights.take("model.embed_tokens.weight", &[2, 3]).unwrap_err();
    assert_eq!(
        shape.to_string(),
        "the tensor token_embd.weight has the shape [2, 2] instead of [2, 3]"
    );
    let weights = of_gguf(&[("foreign", &[1], 0, &f32s(&[0.0]))]).unwrap();
    let left = weights.finish(|_| false).unwrap_err();
    assert_eq!(left.to_string(), "the tensor foreign has no place in this model");
}

#[test]
fn what_was_read_is_wiped_and_the_rest_is_not() {
    let large = vec![0xaa; 6 << 20];
    let mut weights = of_gguf(&[
        ("token_embd.weight", &[1 << 10, 3 << 9], 0, &large),
        ("output.weight", &[2], 0, &f32s(&[1.0, 2.0])),
        ("output_norm.weight", &[1 << 10, 3 << 9], 0, &large),
    ])
    .unwrap();
    let table = weights
        .tensor("model.embed_tokens.weight", &[1 << 10, 3 << 9])
        .unwrap();
    let place = table.place.clone();
    weights.done(table);
    let bytes =
        |weights: &Weights<'_>, place: Range<usize>| weights.files[0].bytes.as_ref().unwrap()[place].to_vec();
    assert!(bytes(&weights, place.clone()).iter().all(|byte| *byte == 0));
    assert!(bytes(&weights, 0..place.start).iter().all(|byte| *byte == 0));
    weights.ignore("model.norm.weight");
    let behind = place.end + 32..weights.files[0].bytes.as_ref().unwrap().len();
    assert!(bytes(&weights, behind).iter().all(|byte| *byte == 0));
    assert_eq!(*weights.take("lm_head.weight", &[2]).unwrap(), [1.0, 2.0]);
    assert!(weights.files[0].bytes.is_none());
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
}

/// More rows than are packed at a time, with heads that are no whole number of tiles.
#[test]
fn a_matrix_is_packed_in_order_and_its_file_is_wiped() {
    const HEAD: usize = 24;
    let (rows, width) = (HEAD * 350, 1024);
    assert!(rows * width * 4 > 2 * crate::limits::inference::PACK_BYTES);
    let values: Vec<f32> = (0..rows * width)
        .map(|index| (index / width * 3 + index % 7) as f32)
        .collect();
    let mut weights = of_gguf_with_heads(
        HEAD,
        &[
            (
                "blk.0.attn_q.weight",
                &[rows as u64, width as u64],
                0,
                &f32s(&values),
            ),
            ("output.weight", &[2], 0, &f32s(&[1.0, 2.0])),
        ],
    )
    .unwrap();
    let name = "model.layers.0.self_attn.q_proj.weight";
    let packed = weights
        .pack(name, (rows, width), anchorhold_kernels::Precision::of)
        .unwrap();
    let mut row = vec![0.0; width];
    for index in 0..rows {
        packed.row(index, &mut row);
        let lies = raw::interleaved(index, HEAD);
        assert_eq!(row, values[lies * width..][..width], "row {index}");
    }
    let left = weights.files[0].bytes.as_ref().unwrap();
    let end = left.len() - 8;
    assert!(left[..end].iter().all(|byte| *byte == 0));
    assert_eq!(*weights.take("lm_head.weight", &[2]).unwrap(), [1.0, 2.0]);
    assert_eq!(weights.finish(|_| false), Ok((rows * width + 2) as u64));
}

#[test]
fn the_first_row_that_is_no_number_is_refused_with_its_tensor() {
    let mut values = vec![1.0f32; 64 * 1024];
    values[40 * 1024 + 3] = f32::INFINITY;
    let mut weights = single(safetensors(&[("a", "F32", &[64, 1024], &f32s(&values))])).unwrap();
    let refused = weights.pack("a", (64, 1024), anchorhold_kernels::Precision::of);
    let message = refused.map(|_| ()).unwrap_err().to_string();
    assert!(
        message.contains("tensor a") && message.contains("infinity"),
        "{message}"
    );
}
