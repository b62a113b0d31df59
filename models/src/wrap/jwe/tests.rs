//! The RFCs' examples, a vector made by another implementation, and every member altered.

use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::aead::tests::hex;

/// A pair from a known private key, for vectors.
fn pair(private: &[u8]) -> TeeKeyPair {
    TeeKeyPair::of(PrivateKey::from_private_key(&ECDH_P256, private).unwrap()).unwrap()
}

fn secret(bytes: &[u8]) -> Secret {
    Secret::filled_by(|key| key.copy_from_slice(bytes))
}

fn refusal(jwe: &Value, pair: TeeKeyPair) -> WrapError {
    ModelKey::unwrap(&serde_json::to_vec(jwe).unwrap(), pair)
        .err()
        .unwrap()
}

/// RFC 7518 appendix C: from Alice's ephemeral and Bob's static key to the derived 128 bits.
#[test]
fn concat_kdf_known_answer() {
    let bob = URL_SAFE_NO_PAD
        .decode("VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw")
        .unwrap();
    let alice = TeePublicKey::from_jwk(&json!({
        "kty": "EC", "crv": "P-256", "alg": ALG,
        "x": "gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0",
        "y": "SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps",
    }))
    .unwrap();
    let peer = UnparsedPublicKey::new(&ECDH_P256, alice.point());
    let derived = agreement::agree(&pair(&bob).private, peer, (), |shared| {
        Ok(concat_kdf(shared, "A128GCM", b"Alice", b"Bob", 128))
    })
    .unwrap();
    assert_eq!(
        URL_SAFE_NO_PAD.encode(&derived.expose()[..16]),
        "VqqN6vgjbSBcIijNcacQGg"
    );
}

/// `tests/vectors/jwe.json`: what this crate makes of fixed keys, and an answer that an independent
/// implementation made for the same enclave key (`tests/vectors/check_sealed.py --make-jwe`).
#[test]
fn published_vectors() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/jwe.json");
    let vectors: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let field = |name: &str| hex(vectors[name].as_str().unwrap());
    let tee = || pair(&field("tee_private_key"));
    assert_eq!(tee().public_jwk(), vectors["tee_public_jwk"]);

    let model_key = ModelKey::from_secret(secret(&field("model_key")));
    let ephemeral = pair(&field("ephemeral_private_key"));
    let nonce = field("iv").try_into().unwrap();
    let jwe = wrap(
        &model_key,
        tee().public(),
        &ephemeral,
        &secret(&field("content_key")),
        nonce,
    );
    assert_eq!(serde_json::to_value(&jwe).unwrap(), vectors["jwe"]);
    for name in ["jwe", "jwe_of_another_implementation"] {
        let json = serde_json::to_vec(&vectors[name]).unwrap();
        let opened = ModelKey::unwrap(&json, tee()).unwrap();
        assert_eq!(opened.secret().expose(), model_key.secret().expose(), "{name}");
    }
}

#[test]
fn a_key_arrives_and_the_header_has_the_order_that_peers_rebuild() {
    let pair = TeeKeyPair::generate();
    let sent = TeePublicKey::from_jwk(&pair.public_jwk()).unwrap();
    assert_eq!(&sent, pair.public());
    let key = ModelKey::generate();
    let jwe = key.wrap_for(&sent);
    let protected = URL_SAFE_NO_PAD.decode(&jwe.protected).unwrap();
    let text = String::from_utf8(protected).unwrap();
    let start = r#"{"alg":"ECDH-ES+A256KW","enc":"A256GCM","epk":{"crv":"P-256","kty":"EC","x":""#;
    assert!(text.starts_with(start), "{text}");
    assert_eq!(Jwe::from_slice(&jwe.to_vec()).unwrap(), jwe);
    let opened = ModelKey::unwrap(&jwe.to_vec(), pair).unwrap();
    assert_eq!(opened.secret().expose(), key.secret().expose());
}

#[test]
fn two_wrappings_share_nothing() {
    let pair = TeeKeyPair::generate();
    let key = ModelKey::generate();
    let (one, two) = (key.wrap_for(pair.public()), key.wrap_for(pair.public()));
    assert_ne!(one.protected, two.protected);
    assert_ne!(one.encrypted_key, two.encrypted_key);
    assert_ne!(one.iv, two.iv);
    assert_ne!(one.ciphertext, two.ciphertext);
}

/// Fixed keys, so that one answer can be opened many times.
struct Session {
    jwe: Value,
}

impl Session {
    fn new() -> Self {
        let jwe = ModelKey::generate().wrap_for(pair(&[7; 32]).public());
        Self {
            jwe: serde_json::to_value(&jwe).unwrap(),
        }
    }

    fn with(&self, change: impl FnOnce(&mut Value)) -> WrapError {
        let mut jwe = self.jwe.clone();
        change(&mut jwe);
        refusal(&jwe, pair(&[7; 32]))
    }

    fn with_protected(&self, change: impl FnOnce(&mut Value)) -> WrapError {
        self.with(|jwe| {
            let text = jwe["protected"].as_str().unwrap().to_owned();
            let mut protected: Value =
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
            change(&mut protected);
            jwe["protected"] = URL_SAFE_NO_PAD
                .encode(serde_json::to_vec(&protected).unwrap())
                .into();
        })
    }
}

#[test]
fn every_bit_of_every_member_counts() {
    let session = Session::new();
    assert_eq!(refusal(&session.jwe, pair(&[8; 32])), WrapError::NotAuthentic);
    for member in ["protected", "encrypted_key", "iv", "ciphertext", "tag"] {
        let bytes = URL_SAFE_NO_PAD
            .decode(session.jwe[member].as_str().unwrap())
            .unwrap();
        for position in 0..bytes.len() {
            session.with(|jwe| {
                let mut altered = bytes.clone();
                altered[position] ^= 1;
                jwe[member] = URL_SAFE_NO_PAD.encode(altered).into();
            });
        }
        session.with(|jwe| jwe[member] = URL_SAFE_NO_PAD.encode(&bytes[1..]).into());
        session.with(|jwe| jwe[member] = URL_SAFE_NO_PAD.encode([&bytes[..], &[0]].concat()).into());
        let padded = format!("{}=", session.jwe[member].as_str().unwrap());
        assert_eq!(session.with(|jwe| jwe[member] = padded.into()), WrapError::Shape);
        assert_eq!(session.with(|jwe| jwe[member] = "+/+/".into()), WrapError::Shape);
        assert_eq!(session.with(|jwe| jwe[member] = Value::Null), WrapError::Shape);
        let removed = session.with(|jwe| drop(jwe.as_object_mut().unwrap().remove(member)));
        assert_eq!(removed, WrapError::Shape);
    }
}

#[test]
fn only_what_was_asked_for_is_accepted() {
    let session = Session::new();
    for (member, value) in [
        ("alg", json!("ECDH-ES")),
        ("alg", json!("ECDH-ES+A128KW")),
        ("alg", json!("RSA-OAEP-256")),
        ("alg", json!("dir")),
        ("alg", json!("none")),
        ("enc", json!("A128GCM")),
        ("enc", json!("A256CBC-HS512")),
        ("zip", json!("DEF")),
        ("crit", json!(["exp"])),
        ("apu", json!("QWxpY2U")),
        ("apv", json!("Qm9i")),
        ("kid", json!("1")),
        ("epk", json!({"crv": "P-521", "kty": "EC", "x": "AA", "y": "AA"})),
        ("epk", json!({"crv": "X25519", "kty": "OKP", "x": "AA"})),
        ("epk", json!(null)),
    ] {
        let refused = session.with_protected(|protected| protected[member] = value.clone());
        assert_eq!(refused, WrapError::Header, "{member}: {value}");
    }
    for (member, value) in [
        ("aad", json!("AA")),
        ("header", json!({})),
        ("unprotected", json!({"alg": "dir"})),
        ("recipients", json!([])),
    ] {
        assert_eq!(session.with(|jwe| jwe[member] = value), WrapError::Shape);
    }
    // A member of the epk too many, and one that is not on the curve.
    let refused = session.with_protected(|protected| protected["epk"]["d"] = "AA".into());
    assert_eq!(refused, WrapError::Header);
    let zero = URL_SAFE_NO_PAD.encode([0; 32]);
    let refused = session.with_protected(|protected| protected["epk"]["x"] = zero.into());
    assert_eq!(refused, WrapError::Header);
    // The same header in another spelling is another header.
    let refused = session.with(|jwe| {
        let bytes = URL_SAFE_NO_PAD
            .decode(jwe["protected"].as_str().unwrap())
            .unwrap();
        jwe["protected"] = URL_SAFE_NO_PAD.encode([&bytes[..], b" "].concat()).into();
    });
    assert_eq!(refused, WrapError::NotAuthentic);
}

#[test]
fn text_that_is_no_jwe_is_refused() {
    for bad in [
        &b""[..],
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b"a.b.c.d.e",
        &vec![b' '; limits::JWE + 1],
    ] {
        assert_eq!(
            ModelKey::unwrap(bad, TeeKeyPair::generate()).err(),
            Some(WrapError::Shape)
        );
    }
    let mut twice = Session::new().jwe.to_string();
    twice.insert_str(1, r#""tag":"AA","#);
    let refused = ModelKey::unwrap(twice.as_bytes(), pair(&[7; 32])).err();
    assert_eq!(refused, Some(WrapError::Shape));
}

#[test]
fn a_secret_of_another_length_is_not_a_model_key() {
    let tee = pair(&[7; 32]);
    let mut jwe = serde_json::to_value(ModelKey::generate().wrap_for(tee.public())).unwrap();
    // An answer that is authentic throughout, with 16 bytes inside.
    let ephemeral = pair(&[9; 32]);
    let content_key = Secret::random();
    let whole = wrap(
        &ModelKey::generate(),
        tee.public(),
        &ephemeral,
        &content_key,
        [3; NONCE],
    );
    let mut text = [5; 16];
    let tag = aead::seal_small(&content_key, [3; NONCE], whole.protected.as_bytes(), &mut text);
    jwe["protected"] = whole.protected.into();
    jwe["encrypted_key"] = whole.encrypted_key.into();
    jwe["iv"] = whole.iv.into();
    jwe["ciphertext"] = URL_SAFE_NO_PAD.encode(text).into();
    jwe["tag"] = URL_SAFE_NO_PAD.encode(tag).into();
    assert_eq!(refusal(&jwe, tee), WrapError::NotAModelKey);
}

#[test]
fn public_keys_are_read_strictly() {
    let good = TeeKeyPair::generate().public_jwk();
    assert!(TeePublicKey::from_jwk(&good).is_ok());
    let zero = URL_SAFE_NO_PAD.encode([0; 32]);
    let short = URL_SAFE_NO_PAD.encode([1; 31]);
    let changes: [(&str, Value); 12] = [
        ("kty", "RSA".into()),
        ("kty", "OKP".into()),
        ("crv", "P-384".into()),
        ("crv", "p-256".into()),
        ("alg", "ECDH-ES".into()),
        ("alg", "RSA-OAEP-256".into()),
        ("x", zero.into()),
        ("x", short.clone().into()),
        ("y", short.into()),
        ("y", Value::Null),
        ("d", "AA".into()),
        ("kid", "1".into()),
    ];
    for (member, value) in changes {
        let mut jwk = good.clone();
        jwk[member] = value;
        assert_eq!(
            TeePublicKey::from_jwk(&jwk),
            Err(WrapError::PublicKey),
            "{member}"
        );
    }
    for member in ["kty", "crv", "alg", "x", "y"] {
        let mut jwk = good.clone();
        jwk.as_object_mut().unwrap().remove(member);
        assert_eq!(
            TeePublicKey::from_jwk(&jwk),
            Err(WrapError::PublicKey),
            "{member}"
        );
    }
}
