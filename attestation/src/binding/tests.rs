//! The formulas of docs/report-data.md, spelled out once more, and the tree's bounds.

use anchorhold_encoding::{sha256, sha384, sha512};

use super::*;
use crate::fixture::{identity, received};

fn lp(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [&length.to_be_bytes(), bytes].concat()
}

fn batch(count: usize) -> NonceBatch {
    let nonce = |index: usize| Nonce::from_random(*sha256(&[&index.to_be_bytes()]).as_bytes());
    NonceBatch::collect((0..count).map(nonce).collect()).unwrap()
}

#[test]
fn report_data_and_gpu_nonce_are_as_specified() {
    let nonce = [9; 32];
    let batch = NonceBatch::collect(vec![Nonce::from_random(nonce)]).unwrap();
    let root = sha256(&[&[0], &nonce]);
    assert_eq!(batch.root(), root);
    assert_eq!(batch.size(), 1);
    let identity = Digest::new([1; 64]);
    let devices = sha512(&[&[0, 0, 0, 0]]);
    assert_eq!(*DevicesDigest::of(&[]).digest(), devices);
    let expected = sha512(&[
        &lp(b"anchorhold report-data v1"),
        &lp(&[0, 0, 0, 1]),
        &lp(root.as_bytes()),
        &lp(identity.as_bytes()),
        &lp(devices.as_bytes()),
    ]);
    let data = batch.report_data(&identity, &DevicesDigest::of(&[]));
    assert_eq!(data.as_bytes(), expected.as_bytes());
    assert_eq!(data.to_string(), expected.to_string());
    assert_eq!(format!("{data:?}"), expected.to_string());
    let expected = sha256(&[
        &lp(b"anchorhold gpu-nonce v1"),
        &lp(&[0, 0, 0, 1]),
        &lp(root.as_bytes()),
        &lp(identity.as_bytes()),
    ]);
    assert_eq!(batch.gpu_nonce(&identity), expected);
}

#[test]
fn devices_are_hashed_in_the_order_of_their_leaves() {
    let device = |leaf: u8| {
        DeviceEvidence::new("gpu".to_owned(), vec![leaf, 1], vec![vec![leaf], vec![7, 7]]).unwrap()
    };
    let one = |leaf: u8| {
        [
            lp(b"gpu"),
            lp(&[leaf, 1]),
            vec![0, 0, 0, 2],
            lp(&[leaf]),
            lp(&[7, 7]),
        ]
        .concat()
    };
    let mut leaves = [1_u8, 2, 3];
    leaves.sort_by_key(|leaf| sha384(&[&[*leaf]]));
    assert_ne!(
        leaves,
        [1, 2, 3],
        "the leaves' order must differ from their bytes'"
    );
    let mut preimage = vec![0, 0, 0, 3];
    for leaf in leaves {
        preimage.extend(one(leaf));
    }
    let expected = sha512(&[&preimage]);
    for order in [[1, 2, 3], [3, 1, 2], [2, 3, 1]] {
        assert_eq!(*DevicesDigest::of(&order.map(device)).digest(), expected);
    }
}

#[test]
fn a_batch_has_1_to_4096_nonces() {
    assert!(NonceBatch::collect(vec![]).is_err());
    let nonce = Nonce::from_random([0; 32]);
    assert!(NonceBatch::collect(vec![nonce; 4096]).is_ok());
    let error = NonceBatch::collect(vec![nonce; 4097]).err();
    assert_eq!(error, Some(BatchSize));
    assert_eq!(BatchSize.to_string(), "a batch has 1 to 4096 nonces");
}

#[test]
fn every_client_of_a_batch_finds_its_own_nonce() {
    let identity = received(&identity());
    let evidence = Evidence::new(crate::Platform::InsecureSimulated, vec![], vec![]).unwrap();
    for size in [1_usize, 2, 3, 7, 8, 4096] {
        let batch = batch(size);
        let signed = batch.report_data(&identity.digest(), &DevicesDigest::of(&[]));
        let proofs = batch.proofs();
        assert_eq!(proofs.len(), size);
        for index in [0, size / 2, size - 1] {
            let proof = batch.proof(index).unwrap();
            assert_eq!(proofs[index], proof);
            assert!(proof.path.len() <= limits::INCLUSION_PATH);
            assert_eq!(proof.size, size as u64);
            let nonce = Nonce::from_random(*sha256(&[&index.to_be_bytes()]).as_bytes());
            let expected = expected_report_data(&nonce, &proof, &identity, &evidence);
            assert_eq!(expected, Some(signed));
            let stranger = Nonce::from_random([0; 32]);
            let expected = expected_report_data(&stranger, &proof, &identity, &evidence);
            assert_ne!(expected, Some(signed));
        }
        assert_eq!(batch.proof(size), None);
    }
}

#[test]
fn a_tree_larger_than_a_batch_proves_nothing() {
    let identity = received(&identity());
    let evidence = Evidence::new(crate::Platform::InsecureSimulated, vec![], vec![]).unwrap();
    let nonce = Nonce::from_random([0; 32]);
    let proof = |size, path| InclusionProof {
        index: 0,
        size,
        path: vec![Digest::new([0; 32]); path],
    };
    let expected = |proof: &InclusionProof| expected_report_data(&nonce, proof, &identity, &evidence);
    assert!(expected(&proof(4096, 12)).is_some());
    // The right length of path for 4097 leaves and index 0 is 13.
    assert!(expected(&proof(4097, 13)).is_none());
}

#[test]
fn nonces_have_one_text() {
    let nonce = Nonce::from_random([0xab; 32]);
    let text = "ab".repeat(32);
    assert_eq!(nonce.to_string(), text);
    assert_eq!(text.parse(), Ok(nonce));
    for bad in ["", "ab", &text.to_uppercase(), &format!("{text}0")] {
        assert_eq!(bad.parse::<Nonce>(), Err(ParseError::Shape(Part::Nonce)));
    }
    let challenge = Challenge::new([0xab; 32], Timestamp::from_unix(5));
    assert_eq!(*challenge.nonce(), nonce);
    assert_eq!(challenge.drawn_at().unix(), 5);
}

#[test]
fn the_two_preimages_begin_differently() {
    let ours = Preimage::new("anchorhold report-data v1");
    assert_eq!(ours.as_bytes().first(), Some(&0));
    let equal = ReportData::new([1; 64]);
    assert_eq!(equal, ReportData::new([1; 64]));
    assert_ne!(equal, ReportData::new([2; 64]));
}
