//! One ciphertext that two keys open, and why it gains nothing.
//!
//! AES-GCM does not commit to its key: whoever knows two keys can choose one free block of a ciphertext so
//! that the tag is right under both (Dodis, Grubbs, Ristenpart, Woodage, "Fast Message Franking", 2018; Len,
//! Grubbs, Ristenpart, "Partitioning Oracle Attacks", 2021). A sealed file made that way would be one model
//! under one key and another under the second. Here it is made, and the commitment refuses it.

use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::{BlockCipherEncrypt, KeyInit};

use super::*;
use crate::aead::ChunkKey;

/// An element of GF(2^128) in GCM's bit order: the first bit of the block is the highest of the number.
type Element = u128;

const ONE: Element = 1 << 127;

/// Multiplication of NIST SP 800-38D, algorithm 1.
fn multiply(x: Element, y: Element) -> Element {
    let (mut product, mut power) = (0, y);
    for bit in (0..128).rev() {
        if x >> bit & 1 == 1 {
            product ^= power;
        }
        let carry = power & 1;
        power = (power >> 1) ^ ((0xe1 << 120) * carry);
    }
    product
}

fn raise(x: Element, exponent: u128) -> Element {
    (0..128).rev().fold(ONE, |power, bit| {
        let square = multiply(power, power);
        if exponent >> bit & 1 == 1 {
            multiply(square, x)
        } else {
            square
        }
    })
}

/// x^(2^128 - 2): Fermat's little theorem in this field.
fn invert(x: Element) -> Element {
    raise(x, u128::MAX - 1)
}

fn encrypt(key: &[u8; 32], block: u128) -> Element {
    let mut block = block.to_be_bytes().into();
    Aes256::new(key.into()).encrypt_block(&mut block);
    u128::from_be_bytes(block.into())
}

fn blocks(ciphertext: &[u8]) -> Vec<Element> {
    ciphertext
        .chunks(16)
        .map(|block| u128::from_be_bytes(block.try_into().unwrap()))
        .collect()
}

/// The tag of a ciphertext of whole blocks without associated data, by the definition.
fn tag(key: &[u8; 32], nonce: [u8; 12], ciphertext: &[Element]) -> Element {
    let h = encrypt(key, 0);
    let length = ciphertext.len() as u128 * 128;
    let hash = ciphertext
        .iter()
        .chain([&length])
        .fold(0, |hash, block| multiply(hash ^ block, h));
    let mut counter = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    counter[..12].copy_from_slice(&nonce);
    hash ^ encrypt(key, u128::from_be_bytes(counter))
}

/// Chooses the last block so that both keys give one tag; the ciphertext with the tag.
fn collide(one: &[u8; 32], other: &[u8; 32], nonce: [u8; 12], start: &[u8]) -> Vec<u8> {
    let mut ciphertext = blocks(start);
    ciphertext.push(0);
    // The last block x enters each tag as x * h^2: solve x * (h1^2 + h2^2) = tag1 + tag2 at x = 0.
    let square = |key| raise(encrypt(key, 0), 2);
    let difference = tag(one, nonce, &ciphertext) ^ tag(other, nonce, &ciphertext);
    let last = multiply(difference, invert(square(one) ^ square(other)));
    *ciphertext.last_mut().unwrap() = last;
    let tag = tag(one, nonce, &ciphertext);
    ciphertext
        .into_iter()
        .chain([tag])
        .flat_map(u128::to_be_bytes)
        .collect()
}

#[test]
fn the_field_is_gcms() {
    let (x, y) = (0x0123_4567_89ab_cdef_u128 << 40, 0xfedc_ba98_7654_3210_u128 << 3);
    assert_eq!(multiply(x, ONE), x);
    assert_eq!(multiply(x, y), multiply(y, x));
    assert_eq!(multiply(x, invert(x)), ONE);
}

#[test]
fn a_chunk_that_two_keys_open_is_refused_under_the_second() {
    let sealed = Sealed::new(b"text");
    let (key_one, key_two) = (key(1), key(2));
    let length = 1024u64;
    let mut header = sealed.header.clone();
    header.plaintext_length = length;
    let prefix = header.prefix();
    let digest = sha512(&[&prefix]);
    let salt = header.salt.as_bytes();
    let label = "anchorhold sealed v1 chunk key";
    let raw = |key: &ModelKey| *key.derive(salt, label, &digest).expose();
    let (chunk_one, chunk_two) = (raw(&key_one), raw(&key_two));
    let nonce = Layout::new(length).nonce(0);
    let chunk = collide(&chunk_one, &chunk_two, nonce, &bytes(length as usize - 16));

    // The attack works on the cipher: both keys open the chunk, to different plaintexts.
    let open = |raw: &[u8; 32]| {
        let key = ChunkKey::new(&Secret::filled_by(|bytes| *bytes = *raw));
        let mut plaintext = vec![0; length as usize];
        key.open(nonce, &chunk, &mut plaintext).unwrap();
        plaintext
    };
    assert_ne!(open(&chunk_one), open(&chunk_two));

    // It does not work on the format: a file holds one commitment, and only its key reaches the chunk
    // (where this one is stopped by the manifest it does not have).
    for (committed, other) in [(1, 2), (2, 1)] {
        let commitment = Commitment::new(&key(committed), &header.salt, &digest).publish();
        let file = [&prefix, &commitment[..], &chunk].concat();
        let with = |byte| {
            let model = SealedModel::from_reader(&file[..]).unwrap();
            model.unseal(key(byte), &sealed.expected, &()).err().unwrap()
        };
        assert_eq!(with(other), UnsealError::WrongKey);
        assert_eq!(with(committed), UnsealError::Layout);
    }
}
