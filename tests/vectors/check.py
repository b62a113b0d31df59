"""Checks the published vectors with Python's standard library alone: `python3 tests/vectors/check.py`.

It shares no code with the project: an independent reading of docs/report-data.md, docs/key-release.md and
docs/reference-values.md.
Ed25519 signatures are checked too when the `cryptography` package is there.
"""

import base64
import hashlib
import json
import pathlib
import struct

HERE = pathlib.Path(__file__).parent
try:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    Ed25519PublicKey = None
    print("SKIPPED signatures: the cryptography package is not installed")


def load(name):
    return json.loads((HERE / name).read_text(encoding="utf-8"))


def lp(data):
    return struct.pack(">I", len(data)) + data


def sha(bits, data):
    return hashlib.new(f"sha{bits}", data).digest()


def jcs(value):
    """RFC 8785 for what the vectors hold: ASCII keys, strings, no floats."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8")


def unb64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def equal(found, expected, what):
    if found != expected:
        raise SystemExit(f"{what}: differs")


def signed(key, message, signature, what):
    if Ed25519PublicKey is not None:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(bytes.fromhex(signature), message)
    print(f"ok  {what}")


def tree_root(leaves):
    """RFC 9162 section 2.1.1."""
    if len(leaves) == 1:
        return sha(256, b"\x00" + leaves[0])
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return sha(256, b"\x01" + tree_root(leaves[:half]) + tree_root(leaves[half:]))


def root_from_path(nonce, index, size, path):
    """RFC 9162 section 2.1.3.2."""
    fn, sn, node = index, size - 1, sha(256, b"\x00" + nonce)
    for sibling in path:
        assert sn > 0
        if fn % 2 == 1 or fn == sn:
            node = sha(256, b"\x01" + sibling + node)
            while fn % 2 == 0 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            node = sha(256, b"\x01" + node + sibling)
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0
    return node


def devices_digest(devices):
    data = struct.pack(">I", len(devices))
    for device in sorted(devices, key=lambda d: sha(384, bytes.fromhex(d["certificates"][0]))):
        data += lp(device["kind"].encode()) + lp(bytes.fromhex(device["report"]))
        data += struct.pack(">I", len(device["certificates"]))
        data += b"".join(lp(bytes.fromhex(der)) for der in device["certificates"])
    return sha(512, data)


def report_data():
    for case in load("report-data.json")["cases"]:
        nonces = [bytes.fromhex(nonce) for nonce in case["nonces"]]
        root = tree_root(nonces)
        equal(root.hex(), case["root"], "root")
        for nonce, proof in zip(nonces, case["proofs"], strict=True):
            path = [bytes.fromhex(node) for node in proof["path"]]
            equal(root_from_path(nonce, proof["index"], proof["size"], path), root, "proof")
        identity = bytes.fromhex(case["identity_sha512"])
        devices = devices_digest(case["devices"])
        equal(devices.hex(), case["devices_sha512"], "devices")
        middle = lp(struct.pack(">I", len(nonces))) + lp(root) + lp(identity)
        data = lp(b"anchorhold report-data v1") + middle + lp(devices)
        equal(sha(512, data).hex(), case["report_data"], "report data")
        gpu = lp(b"anchorhold gpu-nonce v1") + middle
        equal(sha(256, gpu).hex(), case["gpu_nonce"], "GPU nonce")
        print(f"ok  report data of {len(nonces)} nonces and {len(case['devices'])} devices")


def identity():
    file = load("identity.json")
    equal(jcs(json.loads(file["document"])), file["document"].encode(), "canonical identity")
    equal(sha(512, file["document"].encode()).hex(), file["sha512"], "identity digest")
    print("ok  identity")


def channel():
    file = load("channel.json")
    message = lp(b"anchorhold channel v1")
    for part in ("exporter", "nonce", "identity_sha512"):
        message += lp(bytes.fromhex(file[part]))
    equal(message.hex(), file["message"], "channel message")
    signed(file["public_key"], message, file["signature"], "channel")


def receipt():
    file = load("receipt.json")
    salt = lp(bytes.fromhex(file["salt"]))
    request = lp(b"anchorhold receipt request v1") + salt + lp(file["request"].encode())
    equal(sha(256, request).hex(), file["request_commitment"], "request commitment")
    answer = lp(b"anchorhold receipt answer v1") + salt
    answer += b"".join(lp(event.encode()) for event in file["answer_events"])
    equal(sha(256, answer).hex(), file["answer_commitment"], "answer commitment")
    inner = file["receipt"].encode()
    equal(jcs(json.loads(inner)), inner, "canonical receipt")
    message = lp(b"anchorhold receipt v1") + lp(inner)
    equal(message.hex(), file["message"], "receipt message")
    outer = {
        "receipt": base64.b64encode(inner).decode(),
        "salt": file["salt"],
        "signature": file["signature"],
    }
    equal(unb64url(file["text"]), jcs(outer), "receipt text")
    signed(file["public_key"], message, file["signature"], "receipt")


def release():
    file = load("release.json")
    key = sha(256, jcs(file["tee_pubkey"]))
    equal(key.hex(), file["tee_pubkey_sha256"], "guest key digest")
    message = lp(b"anchorhold release v1") + bytes.fromhex(file["nonce"]) + key
    message += lp(file["resource"].encode()) + lp(file["key_id"].encode())
    message += struct.pack(">I", len(file["manifests"])) + bytes.fromhex("".join(file["manifests"]))
    message += struct.pack(">QQQ", file["lease"]["seconds"], file["lease"]["tokens"], file["broker_time"])
    message += sha(256, file["body"].encode())
    equal(message.hex(), file["message"], "release message")
    header = {name: file[name] for name in ("key_id", "manifests", "lease", "broker_time", "signature")}
    equal(unb64url(file["header"]), jcs(header), "release header")
    signed(file["public_key"], message, file["signature"], "release")


def rcar():
    for case in load("rcar.json")["cases"]:
        preimage = jcs({
            "additional-evidence": case["additional_evidence"],
            "nonce": case["nonce"],
            "tee-pubkey": case["tee_pubkey"],
        })
        bits = {"sha384": 384, "sha512": 512}[case["algorithm"]]
        equal(sha(bits, preimage).ljust(64, b"\0").hex(), case["report_data"], "RCAR report data")
        print(f"ok  RCAR report data, {case['algorithm']}")


def simulated():
    file = load("simulated.json")
    record = file["launch_record"]
    equal(record["bytes"], (b"ANCHLNC1".hex() + record["measurement"] + record["host_data"]), "launch record")
    for case in file["cases"]:
        report = b"ANCHSIM1" + struct.pack(">II", 1, int(case["debug"])) + bytes.fromhex(case["tcb"])
        for part in ("measurement", "host_data", "report_data", "chip_id"):
            report += bytes.fromhex(case[part])
        found = bytes.fromhex(case["report"])
        equal(found[:200], report, "simulated report")
        equal(len(found), 264, "length of a simulated report")
        message = lp(b"anchorhold simulated report v1") + lp(report)
        signed(file["public_key"], message, found[200:].hex(), "simulated report")


def node(left, right):
    return sha(256, b"\x01" + left + right)


def root_of(leaves):
    """RFC 9162 section 2.1.1, over leaf hashes."""
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return node(root_of(leaves[:half]), root_of(leaves[half:]))


def key_id(name, kind, key):
    """C2SP signed-note, Signatures."""
    return sha(256, name.encode() + b"\n" + bytes([kind]) + key)[:4]


def verifier_key(text, kind):
    name, identifier, rest = text.split("+", 2)
    rest = base64.b64decode(rest, validate=True)
    equal(rest[0], kind, "type of a verifier key")
    equal(key_id(name, kind, rest[1:]).hex(), identifier, "key id")
    return name, rest[1:]


def included(leaf, index, size, path):
    """RFC 9162 section 2.1.3.2."""
    found, last = leaf, size - 1
    for sibling in path:
        if index & 1 or index == last:
            found = node(sibling, found)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            found = node(found, sibling)
        index, last = index >> 1, last >> 1
    equal(last, 0, "length of an inclusion path")
    return found


def grown(root, old, new, path):
    """RFC 9162 section 2.1.4.2."""
    path = list(path)
    if old & (old - 1) == 0:
        path.insert(0, root)
    index, last = old - 1, new - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    before = after = path[0]
    for sibling in path[1:]:
        if index & 1 or index == last:
            before, after = node(sibling, before), node(sibling, after)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            after = node(after, sibling)
        index, last = index >> 1, last >> 1
    equal((last, before), (0, root), "a consistency proof's beginning")
    return after


def published():
    file = load("published.json")
    bundle = json.loads(file["bundle"])
    equal(jcs(bundle), file["bundle"].encode(), "canonical form of a bundle")
    statement, signatures = bundle["signed"]["statement"], bundle["signed"]["signatures"]
    equal(jcs(statement).decode(), file["statement"], "statement")
    equal(jcs(bundle["signed"]).decode(), file["entry"], "entry")
    equal(sha(256, jcs(statement)).hex(), file["statement_sha256"], "digest of the statement")
    message = lp(b"anchorhold reference values v1") + lp(jcs(statement))
    equal(message.hex(), file["message"], "signed message of a statement")
    equal([s["key"] for s in signatures], sorted(file["trust"]["publishers"]), "publishers")
    for signature in signatures:
        signed(signature["key"], message, signature["signature"], "publisher's signature")

    leaves = [bytes.fromhex(leaf) for leaf in file["leaves"]]
    for index, leaf in enumerate(leaves[:-1]):
        equal(leaf, sha(256, b"\x00other entry %d" % index), "leaf of another entry")
    leaf = sha(256, b"\x00" + file["entry"].encode())
    equal(leaf, leaves[-1], "leaf")

    head, text, lines = bundle["proof"].split("\n\n")
    first, index, *path = head.split("\n")
    equal(first, "c2sp.org/tlog-proof@v1", "first line of a proof")
    index = int(index.removeprefix("index "))
    path = [base64.b64decode(hash, validate=True) for hash in path]
    equal(text + "\n", file["checkpoint"], "checkpoint")
    origin, size, root = text.split("\n")
    size, root = int(size), base64.b64decode(root, validate=True)
    equal((size, root), (len(leaves), root_of(leaves)), "the log's tree")
    equal(included(leaf, index, size, path), root, "proof of inclusion")
    for proof in bundle["consistency"]:
        old = bytes.fromhex(proof["root"])
        equal(old, root_of(leaves[: proof["size"]]), "an earlier root")
        path = [bytes.fromhex(hash) for hash in proof["path"]]
        equal(grown(old, proof["size"], size, path), root, "proof of consistency")
    print("ok  log, proofs of inclusion and of consistency")

    log_line, witness_line = lines.removesuffix("\n").split("\n")
    for line, text_of_key, kind in (
        (log_line, file["trust"]["log"], 1),
        (witness_line, file["trust"]["witnesses"][0], 4),
    ):
        dash, name, signature = line.split(" ")
        key_name, key = verifier_key(text_of_key, kind)
        signature = base64.b64decode(signature, validate=True)
        equal((dash, name, signature[:4]), ("\u2014", key_name, key_id(name, kind, key)), "signature line")
        message, signature = (text + "\n").encode(), signature[4:]
        if kind == 1:
            equal(name, origin, "origin")
        else:
            time, signature = struct.unpack(">Q", signature[:8])[0], signature[8:]
            message = b"cosignature/v1\ntime %d\n" % time + message
            equal(message.decode(), file["cosigned_message"], "cosigned message")
        signed(key.hex(), message, signature.hex(), "the log's signature" if kind == 1 else "cosignature")


for check in (report_data, identity, channel, receipt, release, rcar, simulated, published):
    check()
