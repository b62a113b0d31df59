#!/usr/bin/env python3
"""Reads sealed.json, manifest.json and jwe.json with other libraries than the ones that wrote them.

Follows docs/sealed-model.md and nothing else. Needs the Python package `cryptography`; with `joserfc` the
wrapped keys are also opened by a whole JOSE implementation.

    python3 tests/vectors/check_sealed.py             checks all three, prints what it checked
    python3 tests/vectors/check_sealed.py --make-jwe  prints an answer for jwe.json's key, made by joserfc
"""

import base64
import hashlib
import hmac
import json
import pathlib
import struct
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap

HERE = pathlib.Path(__file__).parent
MIB = 1 << 20


def load(name):
    return json.loads((HERE / name).read_text())


def lp(data):
    return struct.pack(">I", len(data)) + data


def canonical(value):
    """RFC 8785 for what occurs here: objects, lists, ASCII strings, integers."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def content(file):
    if "hex" in file:
        return bytes.fromhex(file["hex"])
    return bytes((7 * i + i // 251) % 256 for i in range(file["pattern_length"]))


def tree(leaves):
    """RFC 9162 section 2.1.1."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    at = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + tree(leaves[:at]) + tree(leaves[at:])).digest()


def root(data):
    pieces = [data[at : at + MIB] for at in range(0, len(data), MIB)]
    return tree([hashlib.sha256(b"\0" + piece).digest() for piece in pieces]).hex()


def check_manifest(vector):
    files = {name: content(file) for name, file in vector["files"].items()}
    listed = [
        {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "tree": root(data)}
        for name, data in sorted(files.items())
    ]
    text = canonical({"files": listed, "version": "anchorhold manifest v1"})
    assert text.decode() == vector["manifest"]
    assert hashlib.sha256(text).hexdigest() == vector["manifest_sha256"]
    return text, files


def check_sealed(vector):
    manifest, files = check_manifest(vector)
    header = vector["header"].encode()
    fields = json.loads(header)
    assert canonical(fields) == header
    prefix = b"ANCHSEAL" + struct.pack(">II", 1, len(header)) + header
    digest = hashlib.sha512(prefix).digest()
    assert digest.hex() == vector["prefix_sha512"]

    def derive(label):
        info = lp(label) + lp(digest)
        kdf = HKDF(hashes.SHA512(), 32, bytes.fromhex(fields["salt"]), info)
        return kdf.derive(bytes.fromhex(vector["model_key"]))

    key = derive(b"anchorhold sealed v1 chunk key")
    commitment = derive(b"anchorhold sealed v1 commitment")
    assert key.hex() == vector["chunk_key"] and commitment.hex() == vector["commitment"]

    plaintext = lp(manifest) + b"".join(data for _, data in sorted(files.items()))
    assert fields["plaintext_length"] == len(plaintext) and fields["chunk_size"] == MIB
    count = max(1, -(-len(plaintext) // MIB))
    chunks = []
    for index in range(count):
        nonce = bytes(3) + struct.pack(">Q", index) + bytes([index == count - 1])
        chunks.append(AESGCM(key).encrypt(nonce, plaintext[index * MIB : (index + 1) * MIB], None))
    sealed = prefix + commitment + b"".join(chunks)
    assert len(sealed) == vector["sealed_length"]
    assert hashlib.sha256(sealed).hexdigest() == vector["sealed_sha256"]
    if "sealed" in vector:
        assert hmac.compare_digest(sealed, bytes.fromhex(vector["sealed"]))
    print(f"sealed.json: {vector['about']}: {count} chunk(s), {len(sealed)} bytes, equal")


def b64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def private_key(hexadecimal):
    return ec.derive_private_key(int(hexadecimal, 16), ec.SECP256R1())


def open_jwe(jwe, private):
    header = json.loads(b64(jwe["protected"]))
    assert header["alg"] == "ECDH-ES+A256KW" and header["enc"] == "A256GCM"
    x, y = (int.from_bytes(b64(header["epk"][name]), "big") for name in "xy")
    shared = private.exchange(ec.ECDH(), ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key())
    info = lp(b"ECDH-ES+A256KW") + lp(b"") + lp(b"") + struct.pack(">I", 256)
    kek = ConcatKDFHash(hashes.SHA256(), 32, info).derive(shared)
    content_key = aes_key_unwrap(kek, b64(jwe["encrypted_key"]))
    text = b64(jwe["ciphertext"]) + b64(jwe["tag"])
    return AESGCM(content_key).decrypt(b64(jwe["iv"]), text, jwe["protected"].encode())


def pem(private):
    kind = serialization.PrivateFormat.PKCS8
    return private.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption())


MEMBERS = ["protected", "encrypted_key", "iv", "ciphertext", "tag"]


def check_jwe(vector):
    private = private_key(vector["tee_private_key"])
    for name in ["jwe", "jwe_of_another_implementation"]:
        assert open_jwe(vector[name], private).hex() == vector["model_key"]
        print(f"jwe.json: {name}: opened by cryptography")
    try:
        from joserfc import jwe as jose
        from joserfc.jwk import ECKey
    except ImportError:
        print("jwe.json: joserfc is not installed, so only cryptography opened it")
        return
    compact = ".".join(vector["jwe"][member] for member in MEMBERS)
    opened = jose.decrypt_compact(compact, ECKey.import_key(pem(private)), ["ECDH-ES+A256KW", "A256GCM"])
    assert opened.plaintext.hex() == vector["model_key"]
    print("jwe.json: jwe: opened by joserfc")


def make_jwe(vector):
    from joserfc import jwe as jose
    from joserfc.jwk import ECKey

    key = ECKey.import_key(pem(private_key(vector["tee_private_key"])))
    names = ["ECDH-ES+A256KW", "A256GCM"]
    made = jose.encrypt_compact(dict(zip(["alg", "enc"], names)), bytes.fromhex(vector["model_key"]), key, names)
    print(json.dumps(dict(zip(MEMBERS, made.split("."))), indent=2))


if __name__ == "__main__":
    if sys.argv[1:] == ["--make-jwe"]:
        make_jwe(load("jwe.json"))
    else:
        check_manifest(load("manifest.json"))
        print("manifest.json: equal")
        for sealed_vector in load("sealed.json"):
            check_sealed(sealed_vector)
        check_jwe(load("jwe.json"))
