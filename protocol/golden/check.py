#!/usr/bin/env python3
"""Checks the worked examples of EXAMPLES.md and the golden files, independently of the gateway's code.

Standard library only. Recomputes every frame's header, the transcripts, HKDF, the proof and the tags of the HMAC
session, the HKDF of the Ed25519 logon, every HMAC tag of frames.json, every step of derivation.json, and the tags of
malformed.json. X25519 and Ed25519 are worked out here by their RFCs, slowly and not in constant time: for checking
alone. BLAKE3 is left to the Rust tests. Exits with 1 when anything differs.
"""

import hashlib
import hmac
import json
import pathlib
import re
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
KINDS_WITH_MAC = {4, 16, 32, 33, 48}
checked = 0
failures = []


def check(what, expected, actual):
    global checked
    checked += 1
    if expected != actual:
        show = lambda value: value.hex() if isinstance(value, bytes) else repr(value)
        failures.append(f"{what}\n  written:    {show(expected)}\n  recomputed: {show(actual)}")


def sign(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


def read_blocks(markdown):
    """The blocks of hex: name → list of (bytes, label)."""
    blocks = {}
    for name, body in re.findall(r"^```text\n# ([\w.]+)\n(.*?)^```", markdown, re.M | re.S):
        lines = [line.split("  ", 1) for line in body.splitlines()]
        blocks[name] = [(bytes.fromhex(digits), label) for digits, label in lines]
    return blocks


class Example:
    def __init__(self, blocks, prefix):
        self.blocks, self.prefix = blocks, prefix

    def value(self, block, label):
        for data, found in self.blocks[f"{self.prefix}.{block}"]:
            if found.split(":")[0] == label:
                return data
        sys.exit(f"EXAMPLES.md: no {label} in the block {self.prefix}.{block}")

    def frame(self, number):
        return b"".join(data for data, _ in self.blocks[f"{self.prefix}.frame.{number}"])

    def frames(self):
        count = sum(name.startswith(f"{self.prefix}.frame.") for name in self.blocks)
        return [self.frame(number) for number in range(1, count + 1)]


def check_header(what, frame, kind=None, sequence=None):
    magic, version, found_kind, length, found_sequence = struct.unpack_from("<2sBBIQ", frame)
    check(f"{what}: magic", b"TG", magic)
    check(f"{what}: version", 1, version)
    tag_bytes = 32 if found_kind in KINDS_WITH_MAC else 0
    check(f"{what}: length", length, len(frame) - 16 - tag_bytes)
    if kind is not None:
        check(f"{what}: kind", kind, found_kind)
    if sequence is not None:
        check(f"{what}: sequence", sequence, found_sequence)
    return found_kind, found_sequence


def check_derivation(example, ikm):
    """Transcript, salt, prk and both keys; returns transcript and keys as recomputed."""
    transcript = hashlib.sha256(example.frame(1) + example.frame(2)).digest()
    check(f"{example.prefix}: transcript", example.value("derived", "transcript"), transcript)
    salt = example.value("given", "client_nonce") + example.value("given", "gateway_nonce")
    written = example.value("derived", "salt, first half") + example.value("derived", "salt, second half")
    check(f"{example.prefix}: salt", written, salt)
    prk = sign(salt, ikm)
    check(f"{example.prefix}: prk", example.value("derived", "prk"), prk)
    keys = []
    for direction in ("client to gateway", "gateway to client"):
        key = sign(prk, b"tollgate v1 " + direction.encode() + transcript + b"\x01")
        label = direction.replace(" ", "_") + "_key"
        check(f"{example.prefix}: {label}", example.value("derived", label), key)
        keys.append(key)
    return transcript, keys


def check_sequences(example):
    """Each direction counts from 1 by 1."""
    expected = {True: 1, False: 1}
    for number, frame in enumerate(example.frames(), 1):
        kind = frame[3]
        last = number == len(example.frames())
        from_client = kind in (1, 3, 16) or (kind == 48 and last)
        check_header(f"{example.prefix}.frame.{number}", frame, sequence=expected[from_client])
        expected[from_client] += 1


def check_hmac_session(blocks, prefix):
    example = Example(blocks, prefix)
    check_sequences(example)
    secret = example.value("given", "secret")
    transcript, (client_key, gateway_key) = check_derivation(example, secret)
    check(f"{prefix}: proof context", example.value("derived", "proof_context"), b"tollgate v1 client proof")
    proof = b"\x00" + sign(secret, b"tollgate v1 client proof" + transcript)
    check(f"{prefix}: proof", example.frame(3)[16:], proof)
    for number, frame in enumerate(example.frames(), 1):
        if frame[3] in KINDS_WITH_MAC:
            from_client = frame[3] in (16, 48)
            tag = sign(client_key if from_client else gateway_key, frame[:-32])
            check(f"{prefix}.frame.{number}: tag", frame[-32:], tag)


def check_ed25519_logon(blocks):
    example = Example(blocks, "ed25519")
    check_sequences(example)
    check_derivation(example, example.value("derived", "ikm"))
    for context in ("proof_context", "gateway_context"):
        role = "client" if context == "proof_context" else "gateway"
        check(f"ed25519: {context}", example.value("derived", context), f"tollgate v1 {role} proof".encode())
    for number, owner in ((1, "client"), (2, "gateway")):
        public = example.value("given", f"{owner}_ephemeral_public")
        check(f"ed25519.frame.{number}: ephemeral", True, public in example.frame(number))


def check_golden_frames(frames):
    for golden in frames:
        frame = bytes.fromhex(golden["frame"])
        name = "frames.json: " + golden["name"]
        kind, _ = check_header(name, frame, golden["kind"], golden["sequence"])
        check(f"{name}: has a MAC", golden["mac"] is not None, kind in KINDS_WITH_MAC)
        if golden["mac"] == "hmac-sha256":
            check(f"{name}: tag", frame[-32:], sign(bytes.fromhex(golden["key"]), frame[:-32]))


# X25519 (RFC 7748) and Ed25519 (RFC 8032). Both work modulo this prime.
PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, PRIME) % PRIME


def x25519(private, public):
    """The shared secret; with the point 9 for ``public``, the public key."""
    scalar = int.from_bytes(private, "little") & ~7 & (2**255 - 1) | 2**254
    base = int.from_bytes(public, "little") & (2**255 - 1)
    # The ladder: (x, z) of two points whose difference is the base.
    low, high = (1, 0), (base, 1)
    for bit in range(254, -1, -1):
        if scalar >> bit & 1:
            low, high = high, low
        total, difference = (low[0] + low[1]) % PRIME, (low[0] - low[1]) % PRIME
        one = total * (high[0] - high[1]) % PRIME
        other = difference * (high[0] + high[1]) % PRIME
        squared, other_squared = total * total % PRIME, difference * difference % PRIME
        gap = (squared - other_squared) % PRIME
        high = ((one + other) ** 2 % PRIME, base * (one - other) ** 2 % PRIME)
        low = (squared * other_squared % PRIME, gap * (squared + 121665 * gap) % PRIME)
        if scalar >> bit & 1:
            low, high = high, low
    return (low[0] * pow(low[1], -1, PRIME) % PRIME).to_bytes(32, "little")


def add_points(one, other):
    """The sum of two points of the Edwards curve."""
    (x1, y1), (x2, y2) = one, other
    product = D * x1 * x2 * y1 * y2 % PRIME
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, PRIME) % PRIME
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, PRIME) % PRIME
    return x, y


def multiply(scalar, point):
    result = (0, 1)
    while scalar:
        if scalar & 1:
            result = add_points(result, point)
        point = add_points(point, point)
        scalar >>= 1
    return result


def base_point():
    y = 4 * pow(5, -1, PRIME) % PRIME
    square = (y * y - 1) * pow(D * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if x * x % PRIME != square:
        x = x * pow(2, (PRIME - 1) // 4, PRIME) % PRIME
    return (PRIME - x if x & 1 else x), y


BASE = base_point()


def encode_point(point):
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def expand_seed(seed):
    digest = hashlib.sha512(seed).digest()
    return int.from_bytes(digest[:32], "little") & ~7 & (2**255 - 1) | 2**254, digest[32:]


def ed25519_public(seed):
    return encode_point(multiply(expand_seed(seed)[0] % ORDER, BASE))


def ed25519_sign(seed, message):
    scalar, prefix = expand_seed(seed)
    nonce = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % ORDER
    point = encode_point(multiply(nonce, BASE))
    challenge = int.from_bytes(hashlib.sha512(point + ed25519_public(seed) + message).digest(), "little")
    return point + ((nonce + challenge * scalar) % ORDER).to_bytes(32, "little")


DER = {
    "ed25519_pkcs8": bytes.fromhex("302e020100300506032b657004220420"),
    "ed25519_spki": bytes.fromhex("302a300506032b6570032100"),
    "x25519_pkcs8": bytes.fromhex("302e020100300506032b656e04220420"),
    "x25519_spki": bytes.fromhex("302a300506032b656e032100"),
}


def ed25519_values(given):
    """What the keys of an Ed25519 logon lead to, by the names of the steps."""
    values = {}
    for owner, private, public, function in (
        ("client", "client_seed", "client_public", "ed25519"),
        ("gateway_identity", "gateway_identity_seed", "gateway_identity_public", "ed25519"),
        ("client_ephemeral", "client_ephemeral_private", "client_ephemeral_public", "x25519"),
    ):
        seed = given[private]
        found = ed25519_public(seed) if function == "ed25519" else x25519(seed, (9).to_bytes(32, "little"))
        values[public] = found
        values[f"{owner}_pkcs8"] = DER[f"{function}_pkcs8"] + seed
        values[f"{owner}_spki"] = DER[f"{function}_spki"] + found
    values["shared_secret"] = x25519(given["client_ephemeral_private"], given["gateway_ephemeral_public"])
    check("derivation.json: both sides agree", values["shared_secret"],
          x25519(given["gateway_ephemeral_private"], given["client_ephemeral_public"]))
    return values


def logon_values(given, frames, steps, uses_hmac):
    """Every step of a logon from what is given, and in part from steps that are checked before."""
    values = {} if "secret" in given else ed25519_values(given)
    values["transcript_message"] = frames["hello"] + frames["challenge"]
    values["transcript"] = transcript = hashlib.sha256(values["transcript_message"]).digest()
    values["proof_message"] = b"tollgate v1 client proof" + transcript
    if "secret" in given:
        values["proof"] = sign(given["secret"], values["proof_message"])
    else:
        values["proof"] = ed25519_sign(given["client_seed"], values["proof_message"])
        values["gateway_message"] = b"tollgate v1 gateway proof" + transcript
        values["gateway_signature"] = ed25519_sign(given["gateway_identity_seed"], values["gateway_message"])
    values["salt"] = given["client_nonce"] + given["gateway_nonce"]
    values["ikm"] = given.get("secret") or values["shared_secret"]
    values["prk"] = sign(values["salt"], values["ikm"])
    for direction in ("client_to_gateway", "gateway_to_client"):
        info = b"tollgate v1 " + direction.replace("_", " ").encode() + transcript
        values[f"{direction}_info"] = info
        values[f"{direction}_block"] = info + b"\x01"
        values[f"{direction}_key"] = sign(values["prk"], info + b"\x01")
    values["welcome_covered"] = frames["welcome"][:-32]
    values["welcome_mac"] = frames["welcome"][-32:]
    if uses_hmac:
        values["welcome_mac"] = sign(values["gateway_to_client_key"], values["welcome_covered"])
        check("derivation.json: the welcome's tag", frames["welcome"][-32:], values["welcome_mac"])
    if "command_covered" in steps:
        values["command_covered"] = steps["command_covered"]
        values["command_mac"] = sign(values["client_to_gateway_key"], steps["command_covered"])
    return values


def check_derivations(logons):
    unhexed = lambda texts: {name: bytes.fromhex(text) for name, text in texts.items()}
    for logon in logons:
        given, frames = unhexed(logon["given"]), unhexed(logon["frames"])
        steps = {step["step"]: bytes.fromhex(step["value"]) for step in logon["steps"]}
        what = f"derivation.json: {logon['name']}"
        values = logon_values(given, frames, steps, logon["mac"] == "hmac-sha256")
        check(f"{what}: the steps", sorted(values), sorted(steps))
        for name, value in values.items():
            check(f"{what}: {name}", steps.get(name), value)
        check(f"{what}: the proof's frame", frames["proof"][17:], values["proof"])
        check(f"{what}: the signature in the welcome", True, values.get("gateway_signature", b"") in frames["welcome"])


def check_malformed(golden):
    """What a malformed frame is refused for is what its name says, and not a wrong tag."""
    key = bytes.fromhex(golden["key"])
    for entry in golden["frames"]:
        frame = bytes.fromhex(entry["frame"])
        right = frame[-32:] == sign(key, frame[:-32])
        wrong_tag_is_the_point = entry["code"] in ("FRAME_MAC", "FRAME_MAGIC", "FRAME_VERSION") or "unknown" in entry["name"]
        check(f"malformed.json: {entry['name']}: the tag is right", not wrong_tag_is_the_point, right)


def read_json(name):
    return json.loads((HERE / name).read_text(encoding="utf-8"))


def main():
    blocks = read_blocks((HERE.parent / "EXAMPLES.md").read_text(encoding="utf-8"))
    check_hmac_session(blocks, "hmac")
    check_hmac_session(blocks, "resumed")
    check_ed25519_logon(blocks)
    check_golden_frames(read_json("frames.json"))
    check_derivations(read_json("derivation.json"))
    check_malformed(read_json("malformed.json"))
    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"{checked} values checked, {len(failures)} differ")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
