"""Writes what the fuzzers start from: `python3 fuzz/seeds.py DIRECTORY`.

Everything comes from files of the project that are tested elsewhere: the golden frames and the example settings.
Inputs that are there already, such as those of an earlier run, stay.
"""

import hashlib
import json
import re
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
HEADER_BYTES = 16
TAG_BYTES = 32
WITHOUT_MAC = {1, 2, 3, 5}
# The selectors of fuzz_targets/bodies.rs, by kind of frame.
BODIES = {16: 0, 32: 1, 33: 2, 1: 3, 2: 4, 3: 5, 4: 6, 5: 7, 48: 7}
KEYS = """[[key]]
id = "a"
client = "client-1"
kind = "hmac"
scopes = ["trade", "read"]
symbols = ["BTCUSDT"]
accounts = ["main"]
secret = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
expires_at = "2027-01-01T00:00:00Z"

[[key]]
id = "b"
client = "operator"
kind = "ed25519"
scopes = ["operate"]
public_key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
revoked_at = "2026-01-01T00:00:00Z"
"""

# What fuzz_targets/journal_scan.rs once failed on.
JOURNAL_FINDINGS = [
    # Entered, with a durable hint, but without a record.
    bytes.fromhex("036a6f75726e616c2d30303030303030312e74676a00"),
    # A record with the last sequence there is.
    bytes.fromhex("0208fefffed3040604fe0104f406578428ffffffffff29"),
    # The opening of an empty last segment is damaged.
    bytes.fromhex("02afafafafa4a4a4a4a4a431a4a4a4a4af4100ff28"),
    # Bytes behind the closing record of the last segment.
    bytes.fromhex("222c0016ffff000000000000d5d4d4d42b020001"),
]


def frames() -> list[tuple[int, bytes]]:
    """The golden frames, each with its kind."""
    rows = json.loads((PROJECT / "protocol/golden/frames.json").read_text())
    return [(row["kind"], bytes.fromhex(row["frame"])) for row in rows]


def body(kind: int, frame: bytes) -> bytes:
    """The body of a frame."""
    return frame[HEADER_BYTES:] if kind in WITHOUT_MAC else frame[HEADER_BYTES:-TAG_BYTES]


def journals() -> list[bytes]:
    """Scripts for fuzz_targets/journal_scan.rs."""
    record = bytes([0, 1, 40])
    batch = bytes([3, 2, 0, 100, 0])
    close, cut = bytes([4]), bytes([9, 0, 17, 0])
    flip, gap, hint, jump = bytes([5, 40, 16, 1]), bytes([6, 4]), bytes([7, 0, 0]), bytes([8, 1])
    scripts = [
        record * 3,
        record * 3 + close + record * 2,
        record * 2 + hint + record + flip,
        record * 2 + hint + batch + gap + batch,
        record + close + record + close + cut,
        record + jump + record,
        record + close + gap + record,
    ]
    return [b"\2" + script for script in scripts] + [b"\1", b"\0TGJOURN\0"] + JOURNAL_FINDINGS


def seeds() -> dict[str, list[bytes]]:
    """The inputs of every target."""
    golden = frames()
    settings = [(PROJECT / "config" / name).read_bytes() for name in ("example.toml", "demo.toml")]
    tables = [table.encode() for text in settings for table in re.split(r"\n(?=\[)", text.decode())]
    return {
        "frames": [frame for _, frame in golden] + [b"".join(frame for _, frame in golden)[:4096]],
        "bodies": [bytes([BODIES[kind]]) + body(kind, frame) for kind, frame in golden],
        "records": [bytes([kind]) + bytes(200) for kind in range(1, 10)],
        "configuration": settings + tables,
        "keys": [KEYS.encode()] + [key.encode() for key in re.split(r"\n(?=\[)", KEYS)],
        "journal_scan": journals(),
    }


def dictionary() -> str:
    """Words of the settings and keys, for the mutator."""
    text = (PROJECT / "config/example.toml").read_text() + KEYS
    words = set(re.findall(r"[a-z][a-z0-9_]{2,}", text))
    return "".join(f'"{word}"\n' for word in sorted(words)) + '"${"\n":-"\n"file:"\n"[["\n"]]"\n" = "\n'


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    directory = Path(sys.argv[1])
    for target, inputs in seeds().items():
        folder = directory / target
        folder.mkdir(parents=True, exist_ok=True)
        for content in inputs:
            (folder / hashlib.sha256(content).hexdigest()[:16]).write_bytes(content)
    (directory / "words.dict").write_text(dictionary())


if __name__ == "__main__":
    main()
