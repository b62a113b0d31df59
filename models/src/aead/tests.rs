//! Published known answers, and the two implementations against each other.

use proptest::prelude::*;

use super::*;

/// Bytes from hexadecimal, for tests all over the crate.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digit = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(digit).collect()
}

fn secret(bytes: &[u8]) -> Secret {
    Secret::filled_by(|key| key.copy_from_slice(bytes))
}

/// Test case 16 of "The Galois/Counter Mode of Operation (GCM)", McGrew and Viega, appendix B.
#[test]
fn gcm_known_answer() {
    let key = secret(&hex(
        "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
    ));
    let plaintext = hex(concat!(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72",
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
    ));
    let aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    let nonce: [u8; NONCE] = hex("cafebabefacedbaddecaf888").try_into().unwrap();
    let mut text = plaintext.clone();
    let tag = seal_small(&key, nonce, &aad, &mut text);
    assert_eq!(
        text,
        hex(concat!(
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa",
            "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
        ))
    );
    assert_eq!(tag.as_slice(), hex("76fc6ece0f4e1768cddf8853bb2d551b"));
    assert_eq!(open_small(&key, nonce, &aad, &mut text, tag), Ok(()));
    assert_eq!(text, plaintext);
}

/// RFC 3394 section 4.6: 256 bits of key data with a 256-bit key-encryption key.
#[test]
fn key_wrap_known_answer() {
    let kek = secret(&hex(
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    ));
    let key = secret(&hex(
        "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f",
    ));
    let wrapped = wrap_key(&kek, &key);
    assert_eq!(
        wrapped.as_slice(),
        hex("28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21")
    );
    assert_eq!(unwrap_key(&kek, &wrapped).unwrap().expose(), key.expose());
    for position in 0..WRAPPED {
        let mut altered = wrapped;
        altered[position] ^= 0x80;
        assert!(unwrap_key(&kek, &altered).is_err());
    }
    assert!(unwrap_key(&key, &wrapped).is_err());
}

#[test]
fn a_failed_opening_leaves_no_plaintext_in_small_buffers() {
    let key = Secret::random();
    let mut text = *b"a secret of thirty-two bytes ...";
    let tag = seal_small(&key, [1; NONCE], b"", &mut text);
    let ciphertext = text;
    assert_eq!(
        open_small(&key, [2; NONCE], b"", &mut text, tag),
        Err(NotAuthentic)
    );
    assert_eq!(
        open_small(&key, [1; NONCE], b"x", &mut text, tag),
        Err(NotAuthentic)
    );
    assert_eq!(text, ciphertext);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_bulk_cipher_and_its_oracle_agree(
        key in any::<[u8; 32]>(),
        nonce in any::<[u8; NONCE]>(),
        plaintext in proptest::collection::vec(any::<u8>(), 0..5000),
        flip in any::<prop::sample::Index>(),
    ) {
        let key = secret(&key);
        let bulk = ChunkKey::new(&key);
        let mut sealed = vec![0; plaintext.len() + TAG];
        bulk.seal(nonce, &plaintext, &mut sealed);

        let mut small = plaintext.clone();
        let tag = seal_small(&key, nonce, b"", &mut small);
        small.extend_from_slice(&tag);
        prop_assert_eq!(&sealed, &small);

        let mut opened = vec![0; plaintext.len()];
        prop_assert_eq!(bulk.open(nonce, &small, &mut opened), Ok(()));
        prop_assert_eq!(&opened, &plaintext);

        let place = flip.index(sealed.len());
        sealed[place] ^= 1;
        prop_assert_eq!(bulk.open(nonce, &sealed, &mut opened), Err(NotAuthentic));
        let mut too_short = vec![0; plaintext.len() + 1];
        prop_assert_eq!(bulk.open(nonce, &small, &mut too_short), Err(NotAuthentic));
    }
}
