//! Consistency proofs of RFC 9162 section 2.1.4: a larger tree begins with the smaller one.
//!
//! Why apart: only logs grow; nonces and files have one tree each.
//!
//! # Invariants
//! A path of any other length than the one that the two sizes demand proves nothing.

use super::{node, root, split};
use crate::digest::Digest;

/// The proof that the tree over `leaves` begins with the tree over its first `old` leaves, RFC 9162 section
/// 2.1.4.1. `None` unless `old` is at least 1 and less than the number of leaves.
#[must_use]
pub fn consistency_path(leaves: &[Digest<32>], old: usize) -> Option<Vec<Digest<32>>> {
    if old == 0 || old >= leaves.len() {
        return None;
    }
    let mut path = Vec::new();
    let (mut leaves, mut old, mut whole) = (leaves, old, true);
    while old < leaves.len() {
        let (left, right) = leaves.split_at(split(leaves.len()));
        if old <= left.len() {
            path.push(root(right));
            leaves = left;
        } else {
            path.push(root(left));
            old -= left.len();
            leaves = right;
            whole = false;
        }
    }
    if !whole {
        path.push(root(leaves));
    }
    path.reverse();
    Some(path)
}

/// The root of the tree of `new` leaves that `path` leads to from the tree of `old` leaves with root `old_root`,
/// RFC 9162 section 2.1.4.2. `None` unless 0 < `old` < `new`, the path has exactly the length these two give, and
/// it leads to `old_root` too.
#[must_use]
pub fn root_from_consistency(
    old_root: Digest<32>,
    old: u64,
    new: u64,
    path: &[Digest<32>],
) -> Option<Digest<32>> {
    if old == 0 || old >= new {
        return None;
    }
    let (first, rest) = if old.is_power_of_two() {
        (&old_root, path)
    } else {
        path.split_first()?
    };
    let (mut index, mut last) = (old - 1, new - 1);
    while index & 1 == 1 {
        index >>= 1;
        last >>= 1;
    }
    let (mut before, mut after) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return None;
        }
        if index & 1 == 1 || index == last {
            before = node(sibling, &before);
            after = node(sibling, &after);
            while index & 1 == 0 && index != 0 {
                index >>= 1;
                last >>= 1;
            }
        } else {
            after = node(&after, sibling);
        }
        index >>= 1;
        last >>= 1;
    }
    (last == 0 && before == old_root).then_some(after)
}

#[cfg(test)]
mod tests {
    use super::super::leaf;
    use super::*;

    fn leaves(count: usize) -> Vec<Digest<32>> {
        (0..count).map(|index| leaf(&index.to_be_bytes())).collect()
    }

    #[test]
    fn the_example_of_rfc_9162_section_2_1_5() {
        let d = leaves(7);
        let (c, g) = (d[2], node(&d[0], &d[1]));
        let (h, i, j) = (node(&d[2], &d[3]), node(&d[4], &d[5]), d[6]);
        let (k, l) = (node(&g, &h), node(&i, &j));
        assert_eq!(consistency_path(&d, 3).unwrap(), [c, d[3], g, l]);
        assert_eq!(consistency_path(&d, 4).unwrap(), [l]);
        assert_eq!(consistency_path(&d, 6).unwrap(), [i, j, k]);
    }

    #[test]
    fn every_path_leads_from_its_tree_to_its_tree_and_to_no_other() {
        let leaves = leaves(34);
        for new in 1..=leaves.len() {
            for old in 1..new {
                let path = consistency_path(&leaves[..new], old).unwrap();
                let (from, to) = (root(&leaves[..old]), root(&leaves[..new]));
                let (old, new) = (old as u64, new as u64);
                assert_eq!(root_from_consistency(from, old, new, &path), Some(to));
                // Another size on either side.
                for other in 0..40 {
                    if other != old {
                        assert_ne!(
                            root_from_consistency(from, other, new, &path),
                            Some(to),
                            "{other}"
                        );
                    }
                }
                for place in 0..path.len() {
                    let mut altered = path.clone();
                    let mut bytes = *altered[place].as_bytes();
                    bytes[place % 32] ^= 1;
                    altered[place] = Digest::new(bytes);
                    assert_ne!(root_from_consistency(from, old, new, &altered), Some(to));
                }
                let mut longer = path.clone();
                longer.push(to);
                assert_ne!(root_from_consistency(from, old, new, &longer), Some(to));
                let shorter = &path[..path.len() - 1];
                assert_ne!(root_from_consistency(from, old, new, shorter), Some(to));
                assert_ne!(root_from_consistency(to, old, new, &path), Some(to));
            }
        }
        let all = root(&leaves);
        assert_eq!(consistency_path(&leaves, 0), None);
        assert_eq!(consistency_path(&leaves, 34), None);
        assert_eq!(root_from_consistency(all, 34, 34, &[]), None);
        assert_eq!(root_from_consistency(all, 0, 34, &[]), None);
    }
}
