//! Hash trees of RFC 9162, section 2.1: the nonces of a batch, the pieces of a model file, the entries of a log.
//!
//! - `consistency`: a larger tree begins with a smaller one
//!
//! Why apart: the client recomputes what the enclave computed, and an off-by-one here is a forged proof.
//!
//! # Invariants
//! Leaves are hashed under 0x00 and nodes under 0x01, so a node is never a leaf. A path of any other length
//! than the one that (index, size) demands proves nothing.

use crate::digest::{Digest, sha256};

mod consistency;

pub use consistency::{consistency_path, root_from_consistency};

/// Hash of a leaf: SHA-256(0x00 || data), RFC 9162 section 2.1.1.
#[must_use]
pub fn leaf(data: &[u8]) -> Digest<32> {
    sha256(&[&[0], data])
}

fn node(left: &Digest<32>, right: &Digest<32>) -> Digest<32> {
    sha256(&[&[1], left.as_bytes(), right.as_bytes()])
}

/// Largest power of two smaller than `size`, for `size` of 2 or more.
fn split(size: usize) -> usize {
    1 << (usize::BITS - 1 - (size - 1).leading_zeros())
}

/// Root over leaf hashes, RFC 9162 section 2.1.1. The tree of no leaf has SHA-256 of nothing as its root.
#[must_use]
pub fn root(leaves: &[Digest<32>]) -> Digest<32> {
    match leaves {
        [] => sha256(&[]),
        [only] => *only,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(&root(left), &root(right))
        }
    }
}

/// Inclusion proof of leaf `index`, deepest sibling first, RFC 9162 section 2.1.3.1.
/// `None` when there is no such leaf.
#[must_use]
pub fn inclusion_path(leaves: &[Digest<32>], index: usize) -> Option<Vec<Digest<32>>> {
    if index >= leaves.len() {
        return None;
    }
    let mut path = Vec::new();
    let (mut leaves, mut index) = (leaves, index);
    while leaves.len() > 1 {
        let at = split(leaves.len());
        let (left, right) = leaves.split_at(at);
        if index < at {
            path.push(root(right));
            leaves = left;
        } else {
            path.push(root(left));
            leaves = right;
            index -= at;
        }
    }
    path.reverse();
    Some(path)
}

/// The inclusion proofs of all leaves, in their order: what [`inclusion_path`] gives for each, but every node is hashed
/// once, where one path at a time hashes the whole tree each time.
#[must_use]
pub fn inclusion_paths(leaves: &[Digest<32>]) -> Vec<Vec<Digest<32>>> {
    let mut paths = vec![Vec::new(); leaves.len()];
    if !leaves.is_empty() {
        climb(leaves, &mut paths);
    }
    paths
}

/// The root over one leaf or more. Each leaf's path is given its siblings up to it.
fn climb(leaves: &[Digest<32>], paths: &mut [Vec<Digest<32>>]) -> Digest<32> {
    if let [only] = leaves {
        return *only;
    }
    let at = split(leaves.len());
    let (left_paths, right_paths) = paths.split_at_mut(at);
    let left = climb(&leaves[..at], left_paths);
    let right = climb(&leaves[at..], right_paths);
    for path in left_paths {
        path.push(right);
    }
    for path in right_paths {
        path.push(left);
    }
    node(&left, &right)
}

/// The root that `path` leads to from a leaf hash, RFC 9162 section 2.1.3.2.
/// `None` when `index` is not below `size`, or the path has not exactly the length these two give.
#[must_use]
pub fn root_from_path(leaf: Digest<32>, index: u64, size: u64, path: &[Digest<32>]) -> Option<Digest<32>> {
    if index >= size {
        return None;
    }
    let (mut index, mut last) = (index, size - 1);
    let mut hash = leaf;
    for sibling in path {
        if last == 0 {
            return None;
        }
        if index & 1 == 1 || index == last {
            hash = node(sibling, &hash);
            while index & 1 == 0 && index != 0 {
                index >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(&hash, sibling);
        }
        index >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaves(count: usize) -> Vec<Digest<32>> {
        (0..count).map(|index| leaf(&index.to_be_bytes())).collect()
    }

    #[test]
    fn roots_of_small_trees_by_the_definition() {
        let l = leaves(3);
        assert_eq!(root(&[]), sha256(&[]));
        assert_eq!(root(&l[..1]), l[0]);
        assert_eq!(root(&l[..2]), node(&l[0], &l[1]));
        assert_eq!(root(&l), node(&node(&l[0], &l[1]), &l[2]));
    }

    #[test]
    fn all_paths_at_once_are_those_of_one_at_a_time() {
        assert!(inclusion_paths(&[]).is_empty());
        for size in (1..70).chain([127, 128, 129, 1000]) {
            let leaves = leaves(size);
            let single = (0..size).map(|index| inclusion_path(&leaves, index).unwrap());
            assert_eq!(inclusion_paths(&leaves), single.collect::<Vec<_>>(), "{size}");
        }
    }

    proptest! {
        #[test]
        fn every_path_proves_its_leaf_and_no_other(size in 1usize..130, pick in any::<prop::sample::Index>()) {
            let leaves = leaves(size);
            let root = root(&leaves);
            let index = pick.index(size);
            let path = inclusion_path(&leaves, index).expect("the index is in range");
            let size = size as u64;
            for (other, hash) in leaves.iter().enumerate() {
                let proved = root_from_path(*hash, other as u64, size, &path) == Some(root);
                prop_assert_eq!(proved, other == index);
            }
            let mut longer = path.clone();
            longer.push(root);
            prop_assert_ne!(root_from_path(leaves[index], index as u64, size, &longer), Some(root));
            if let Some((_, shorter)) = path.split_last() {
                prop_assert_ne!(root_from_path(leaves[index], index as u64, size, shorter), Some(root));
            }
            prop_assert_eq!(root_from_path(leaves[index], size, size, &path), None);
        }
    }
}
