#!/usr/bin/env python3
"""Checks the worked examples of WIRE.md and the golden frames, independently of the gateway's code.

Standard library only. Recomputes every frame's header, the transcripts, HKDF, the proof and the tags of the HMAC
session, the HKDF of the Ed25519 logon, and every HMAC tag of frames.json. Signatures, X25519 and BLAKE3 are not in
the standard library and are left to the Rust tests. Exits with 1 when anything differs.
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
        sys.exit(f"WIRE.md: no {label} in the block {self.prefix}.{block}")

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


def check_hmac_session(blocks):
    example = Example(blocks, "hmac")
    check_sequences(example)
    secret = example.value("given", "secret")
    transcript, (client_key, gateway_key) = check_derivation(example, secret)
    check("hmac: proof context", example.value("derived", "proof_context"), b"tollgate v1 client proof")
    proof = b"\x00" + sign(secret, b"tollgate v1 client proof" + transcript)
    check("hmac: proof", example.frame(3)[16:], proof)
    for number, frame in enumerate(example.frames(), 1):
        if frame[3] in KINDS_WITH_MAC:
            from_client = frame[3] in (16, 48)
            tag = sign(client_key if from_client else gateway_key, frame[:-32])
            check(f"hmac.frame.{number}: tag", frame[-32:], tag)


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


def main():
    blocks = read_blocks((HERE.parent / "WIRE.md").read_text(encoding="utf-8"))
    check_hmac_session(blocks)
    check_ed25519_logon(blocks)
    check_golden_frames(json.loads((HERE / "frames.json").read_text(encoding="utf-8")))
    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"{checked} values checked, {len(failures)} differ")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
