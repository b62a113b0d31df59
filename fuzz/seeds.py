"""Seeds for fuzzing that are not made by tests: our own vectors, and real evidence where it is at hand.

Usage: fuzz/seeds.py SEEDS SHARED. What is not there is left out, and said.
"""

import base64
import json
import pathlib
import re
import sys

seeds, shared = (pathlib.Path(argument) for argument in sys.argv[1:3])
here = pathlib.Path(__file__).resolve().parent.parent


def put(target, name, data):
    folder = seeds / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def unpadded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def certificates(text):
    for body in re.findall(rb"-----BEGIN CERTIFICATE-----(.*?)-----END", text, re.S):
        yield base64.b64decode(re.sub(rb"\s", b"", body))


def vectors():
    def load(name):
        return json.loads((here / "tests/vectors" / f"{name}.json").read_text())

    def compact(value):
        return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()

    put("identity", "vector", load("identity")["document"].encode())
    put("receipt", "vector", unpadded(load("receipt")["text"]))
    put("release", "vector", unpadded(load("release")["header"]))
    put("manifest", "vector", load("manifest")["manifest"].encode())
    for number, sealed in enumerate(load("sealed")):
        header = sealed["header"].encode()
        data = b"ANCHSEAL" + b"\0\0\0\1" + len(header).to_bytes(4, "big") + header
        put("sealed-header", f"vector-{number}", data)
    jwe = load("jwe")
    put("wrapped-key", "vector", compact(jwe["jwe"]))
    put("rcar", "key", compact(jwe["tee_public_jwk"]))
    put("rcar", "request", b'{"version":"0.4.0","tee":"sample","extra-params":""}')
    put("rcar", "challenge", b'{"nonce":"AA==","extra-params":""}')
    # What cost the most memory for its length, of TOML and of JSON.
    put("policy", "deep", b"".join(b"%x" % i + b".a" * 78 + b"=0\n" for i in range(25)))
    put("rcar", "brackets", b"[" + (b"[" * 100 + b"]" * 100 + b",") * 5 + b"0]")
    put("rcar", "evidence", b'{"primary_evidence":{},"additional_evidence":""}')


def gguf():
    """One file with a setting of each type and a tensor of each form that is read."""

    def text(value):
        return len(value).to_bytes(8, "little") + value

    def number(value, size=4):
        return value.to_bytes(size, "little")

    listed = number(9) + number(8) + number(2, 8) + text(b"one") + text(b"two")
    nested = number(9) + number(9) + number(1, 8) + number(4) + number(1, 8) + number(7)
    settings = [text(b"architecture") + number(8) + text(b"llama"), text(b"list") + listed, text(b"nested") + nested]
    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
    settings += [text(b"type-%d" % kind) + number(kind) + bytes(size) for kind, size in sizes.items()]
    blocks = {0: (1, 4), 1: (1, 2), 30: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
              12: (256, 144), 13: (256, 176), 14: (256, 210)}
    table, data = b"", b""
    for kind, (weights, size) in blocks.items():
        data += bytes(-len(data) % 32)
        shape = number(2) + number(weights, 8) + number(2, 8)
        table += text(b"tensor-%d" % kind) + shape + number(kind) + number(len(data), 8)
        data += bytes(2 * size)
    head = b"GGUF" + number(3) + number(len(blocks), 8) + number(len(settings), 8) + b"".join(settings) + table
    put("gguf", "every-type", head + bytes(-len(head) % 32) + data)
    put("gguf", "nothing", b"GGUF" + number(2) + bytes(16) + bytes(8))


def ours():
    """Schemas of each word that is kept to, with bytes that choose tokens behind them, and calls in each form."""
    number = {"type": "integer", "minimum": -3, "maximum": 120, "multipleOf": 3}
    string = {"type": "string", "minLength": 1, "maxLength": 5}
    for place, schema in enumerate([
        {"type": "object", "properties": {"a": number, "b": string}, "required": ["a"], "additionalProperties": False},
        {"type": "array", "items": number, "minItems": 1, "maxItems": 3, "prefixItems": [{"const": None}]},
        {"anyOf": [{"$ref": "#/$defs/x"}, {"enum": ["a", 1, None]}], "$defs": {"x": {"type": "string", "format": "date"}}},
        {"allOf": [{"properties": {"a": string}}, {"required": ["a"]}], "type": "object", "patternProperties": {"^x": number}},
        {"oneOf": [{"type": "string", "pattern": "^[a-f]{2,9}$"}, {"type": "number", "exclusiveMinimum": 0.5}]},
        {"type": "object", "additionalProperties": {"$ref": "#"}, "minProperties": 1, "maxProperties": 2},
    ]):
        text = json.dumps(schema).encode()
        put("schema", f"words-{place}", text + b"\0" + bytes(range(7, 207)))
        put("schema", f"ends-{place}", text + b"\0" + b"\1\xff" * 50)
    arguments = b'{"a": "}\\"]{", "b": [{}]}'
    cuts = bytes([3, 1, 4, 1, 5, 9, 2, 6])
    hermes = b'Wait <tool_call>\n{"name": "f", "arguments": ' + arguments + b"}\n</tool_call>"
    put("calls", "hermes", b"\x08" + cuts + hermes + b"\n" + hermes[5:])
    llama = b'{"name": "f", "parameters": ' + arguments + b"}"
    put("calls", "llama", b"\x09" + cuts + llama)
    put("calls", "llama-held", b"\x85" + cuts + llama)
    listed = b' [{"name": "f", "arguments": ' + arguments + b'}, {"name": "g", "arguments": {}}]'
    put("calls", "mistral", b"\x0a" + cuts + b"x[TOOL_CALLS]" + listed)
    put("calls", "mistral-token", b"\x0b" + cuts + listed)


def real(evidence):
    for path in sorted(evidence.rglob("*")):
        if not path.is_file():
            continue
        name = "-".join(path.relative_to(evidence).parts)
        data = path.read_bytes()
        folder = path.parent.name
        if path.name == "report.bin":
            put("snp-report", name, data)
        elif path.name.startswith(("vcek", "vlek")):
            for der in list(certificates(data)) or [data]:
                put("snp-vek", name, der)
                put("x509-certificate", name, der)
        elif path.name.startswith(("crl_", "root_ca_crl", "pck_crl")):
            put("x509-crl", name, data)
            put("tdx-certificates", name, data)
        elif path.name == "quote.bin" and path.parent.parent.name == "tdx":
            put("tdx-quote", name, data.rstrip(b"\0"))
            start = data.find(b"-----BEGIN")
            put("tdx-certificates", name, data[start:].rstrip(b"\0"))
        elif path.name == "collateral.json":
            put("tdx-collateral", name, data)
        elif path.name == "ccel_data.bin":
            put("ccel", name, data.rstrip(b"\xff\0"))
        elif path.name == "eventlog.json":
            put("dstack", name, data)
        elif path.name == "hcl.bin":
            put("azure-hcl", name, data)
            length = int.from_bytes(data[1232:1236], "little")
            put("azure-claims", name, data[1236 : 1236 + length])
        elif path.name.startswith("report") and path.suffix == ".hex":
            target = "nvidia-switch" if "ls10" in folder else "nvidia-gpu"
            put(target, name, bytes.fromhex(data.decode().strip()))
        elif path.name == "cert_chain.pem":
            put("nvidia-leaf", name, next(certificates(data)))
        elif path.suffix == ".xml":
            put("nvidia-rim", name, data)


vectors()
gguf()
ours()
if (shared / "evidence").is_dir():
    real(shared / "evidence")
else:
    print(f"no real evidence: {shared}/evidence is not there", file=sys.stderr)
