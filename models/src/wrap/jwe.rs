//! A model key for an enclave: flattened JWE with ECDH-ES+A256KW on P-256 and A256GCM.
//!
//! Why apart: this is the wire form of RCAR (protocol 0.4.0), which foreign brokers and guests speak, so its
//! rules are theirs: RFC 7516 (JWE), RFC 7518 section 4.6 (key agreement), RFC 3394 (key wrap).
//!
//! # Invariants
//! `alg` and `enc` are constants, never choices: what a peer sends is compared with them. The protected
//! header is authenticated as received, byte for byte. A key pair opens one answer and is then gone.

use aws_lc_rs::agreement::{self, ECDH_P256, ParsedPublicKey, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::kdf::{SskdfDigestAlgorithmId, get_sskdf_digest_algorithm, sskdf_digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use anchorhold_encoding::{Preimage, canonical};

use crate::aead::{self, NONCE, TAG, WRAPPED};
use crate::key::ModelKey;
use crate::limits;
use crate::secret::{Secret, random_public};
use crate::wrap::WrapError;

const ALG: &str = "ECDH-ES+A256KW";
const ENC: &str = "A256GCM";
const CRV: &str = "P-256";
const KTY: &str = "EC";

/// The pair an enclave makes for one session: evidence commits to its public half, the broker wraps to it.
/// Consumed by [`ModelKey::unwrap`], so it opens one answer:
///
/// ```compile_fail,E0382
/// use anchorhold_models::{ModelKey, TeeKeyPair};
/// let pair = TeeKeyPair::generate();
/// let first = ModelKey::unwrap(b"{}", pair);
/// let second = ModelKey::unwrap(b"{}", pair);
/// ```
pub struct TeeKeyPair {
    private: PrivateKey,
    public: TeePublicKey,
}

impl TeeKeyPair {
    /// A fresh pair on P-256.
    #[must_use]
    pub fn generate() -> Self {
        let private = PrivateKey::generate(&ECDH_P256).expect("P-256 is always there");
        Self::of(private).expect("a generated key has a public half")
    }

    fn of(private: PrivateKey) -> Result<Self, WrapError> {
        let public = private.compute_public_key().map_err(|_| WrapError::PublicKey)?;
        let public = TeePublicKey::from_point(public.as_ref()).ok_or(WrapError::PublicKey)?;
        Ok(Self { private, public })
    }

    /// The half that is sent.
    #[must_use]
    pub fn public(&self) -> &TeePublicKey {
        &self.public
    }

    /// The half that is sent, as the JWK `{kty, crv, alg, x, y}`.
    #[must_use]
    pub fn public_jwk(&self) -> serde_json::Value {
        self.public.to_jwk()
    }
}

/// A point on P-256 to which keys are wrapped. Public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeePublicKey {
    x: [u8; 32],
    y: [u8; 32],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Jwk {
    kty: String,
    crv: String,
    alg: String,
    x: String,
    y: String,
}

impl TeePublicKey {
    /// Reads a JWK that has exactly the members `kty`, `crv`, `alg`, `x`, `y`.
    ///
    /// # Errors
    /// [`WrapError::PublicKey`] for another algorithm, another curve, a missing or unknown member,
    /// coordinates that are not 32 bytes, or a point that is not on the curve.
    pub fn from_jwk(jwk: &serde_json::Value) -> Result<Self, WrapError> {
        let jwk = Jwk::deserialize(jwk).map_err(|_| WrapError::PublicKey)?;
        if jwk.kty != KTY || jwk.crv != CRV || jwk.alg != ALG {
            return Err(WrapError::PublicKey);
        }
        let x = decode(&jwk.x).ok_or(WrapError::PublicKey)?;
        let y = decode(&jwk.y).ok_or(WrapError::PublicKey)?;
        Self::on_curve(x, y).ok_or(WrapError::PublicKey)
    }

    /// The JWK, members in the order `kty`, `crv`, `alg`, `x`, `y`.
    #[must_use]
    pub fn to_jwk(&self) -> serde_json::Value {
        serde_json::json!({
            "kty": KTY, "crv": CRV, "alg": ALG,
            "x": URL_SAFE_NO_PAD.encode(self.x), "y": URL_SAFE_NO_PAD.encode(self.y),
        })
    }

    /// The JWK in canonical form (RFC 8785), for hashing.
    #[must_use]
    pub fn canonical_jwk(&self) -> Vec<u8> {
        canonical::to_vec(&self.to_jwk())
    }

    fn from_point(point: &[u8]) -> Option<Self> {
        let rest = point.strip_prefix(&[4])?;
        let (x, y) = rest.split_first_chunk::<32>()?;
        Self::on_curve(*x, y.try_into().ok()?)
    }

    fn on_curve(x: [u8; 32], y: [u8; 32]) -> Option<Self> {
        let key = Self { x, y };
        ParsedPublicKey::try_from(UnparsedPublicKey::new(&ECDH_P256, key.point()))
            .is_ok()
            .then_some(key)
    }

    /// SEC 1 section 2.3.3, uncompressed.
    fn point(&self) -> [u8; 65] {
        let mut point = [4; 65];
        point[1..33].copy_from_slice(&self.x);
        point[33..].copy_from_slice(&self.y);
        point
    }
}

/// A wrapped model key as it travels: flattened JSON of RFC 7516 section 7.2.2. Public.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwe {
    protected: String,
    encrypted_key: String,
    iv: String,
    ciphertext: String,
    tag: String,
}

impl Jwe {
    /// Reads the JSON object. What its members say is checked when it is opened.
    ///
    /// # Errors
    /// [`WrapError::Shape`] for a missing or unknown member (`aad`, `header` and `unprotected` included).
    pub fn from_slice(json: &[u8]) -> Result<Self, WrapError> {
        if json.len() > limits::JWE {
            return Err(WrapError::Shape);
        }
        serde_json::from_slice(json).map_err(|_| WrapError::Shape)
    }

    /// The JSON object, members in the order of RFC 7516, without whitespace.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("five strings are always JSON")
    }
}

/// In the order in which RCAR's client rebuilds these bytes before it authenticates them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Protected {
    alg: String,
    enc: String,
    epk: Epk,
}

/// Members in alphabetical order, for the same reason.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Epk {
    crv: String,
    kty: String,
    x: String,
    y: String,
}

impl ModelKey {
    /// Wraps this key so that only the holder of `to`'s private half can open it.
    #[must_use]
    pub fn wrap_for(&self, to: &TeePublicKey) -> Jwe {
        wrap(
            self,
            to,
            &TeeKeyPair::generate(),
            &Secret::random(),
            random_public(),
        )
    }

    /// Opens a broker's answer with the pair made for this session, which is wiped whatever comes of it.
    ///
    /// # Errors
    /// [`WrapError`]; which check failed, and nothing of what was in it.
    pub fn unwrap(jwe: &[u8], pair: TeeKeyPair) -> Result<Self, WrapError> {
        let jwe = Jwe::from_slice(jwe)?;
        let protected = URL_SAFE_NO_PAD
            .decode(&jwe.protected)
            .map_err(|_| WrapError::Shape)?;
        let protected: Protected = serde_json::from_slice(&protected).map_err(|_| WrapError::Header)?;
        if protected.alg != ALG
            || protected.enc != ENC
            || protected.epk.kty != KTY
            || protected.epk.crv != CRV
        {
            return Err(WrapError::Header);
        }
        let x = decode(&protected.epk.x).ok_or(WrapError::Header)?;
        let y = decode(&protected.epk.y).ok_or(WrapError::Header)?;
        let ephemeral = TeePublicKey::on_curve(x, y).ok_or(WrapError::Header)?;
        let encrypted_key: [u8; WRAPPED] = decode(&jwe.encrypted_key).ok_or(WrapError::Shape)?;
        let nonce: [u8; NONCE] = decode(&jwe.iv).ok_or(WrapError::Shape)?;
        let tag: [u8; TAG] = decode(&jwe.tag).ok_or(WrapError::Shape)?;
        let mut content = Zeroizing::new(
            URL_SAFE_NO_PAD
                .decode(&jwe.ciphertext)
                .map_err(|_| WrapError::Shape)?,
        );

        let agreed = agree(&pair.private, &ephemeral).ok_or(WrapError::NotAuthentic)?;
        let content_key = aead::unwrap_key(&agreed, &encrypted_key).map_err(|_| WrapError::NotAuthentic)?;
        aead::open_small(&content_key, nonce, jwe.protected.as_bytes(), &mut content, tag)
            .map_err(|_| WrapError::NotAuthentic)?;
        let bytes: &[u8; 32] = content
            .as_slice()
            .try_into()
            .map_err(|_| WrapError::NotAModelKey)?;
        Ok(Self::from_secret(Secret::filled_by(|key| {
            key.copy_from_slice(bytes)
        })))
    }
}

/// The parts that are random in use and fixed in test vectors are arguments.
fn wrap(
    key: &ModelKey,
    to: &TeePublicKey,
    ephemeral: &TeeKeyPair,
    content_key: &Secret,
    nonce: [u8; NONCE],
) -> Jwe {
    let protected = Protected {
        alg: ALG.to_owned(),
        enc: ENC.to_owned(),
        epk: Epk {
            crv: CRV.to_owned(),
            kty: KTY.to_owned(),
            x: URL_SAFE_NO_PAD.encode(ephemeral.public.x),
            y: URL_SAFE_NO_PAD.encode(ephemeral.public.y),
        },
    };
    let protected =
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&protected).expect("a struct of strings is always JSON"));
    let agreed = agree(&ephemeral.private, to).expect("the point was checked to be on the curve");
    let mut content = Zeroizing::new([0; 32]);
    content.copy_from_slice(key.secret().expose());
    let tag = aead::seal_small(content_key, nonce, protected.as_bytes(), content.as_mut_slice());
    Jwe {
        protected,
        encrypted_key: URL_SAFE_NO_PAD.encode(aead::wrap_key(&agreed, content_key)),
        iv: URL_SAFE_NO_PAD.encode(nonce),
        ciphertext: URL_SAFE_NO_PAD.encode(content.as_slice()),
        tag: URL_SAFE_NO_PAD.encode(tag),
    }
}

/// ECDH, then the Concat KDF: RFC 7518 sections 4.6.1 and 4.6.2.
fn agree(private: &PrivateKey, public: &TeePublicKey) -> Option<Secret> {
    let peer = UnparsedPublicKey::new(&ECDH_P256, public.point());
    agreement::agree(private, peer, (), |shared| {
        Ok(concat_kdf(shared, ALG, b"", b"", 256))
    })
    .ok()
}

/// The Concat KDF of NIST SP 800-56A with SHA-256, one round: `bits` is at most 256 and whole bytes.
/// Fewer bits than 256 fill the front of the secret.
fn concat_kdf(shared: &[u8], algorithm: &str, party_u: &[u8], party_v: &[u8], bits: u32) -> Secret {
    let info = Preimage::unlabelled()
        .lp(algorithm.as_bytes())
        .lp(party_u)
        .lp(party_v)
        .be32(bits);
    let sha256 = get_sskdf_digest_algorithm(SskdfDigestAlgorithmId::Sha256).expect("SHA-256 is always there");
    Secret::filled_by(|key| {
        sskdf_digest(sha256, shared, info.as_bytes(), &mut key[..bits as usize / 8])
            .expect("one round gives up to 32 bytes");
    })
}

/// base64url without padding, of exactly `N` bytes.
fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let array = bytes.as_slice().try_into().ok();
    bytes.zeroize();
    array
}

#[cfg(test)]
mod tests;
