"""The other golden files: what must be refused, the steps of a logon, and the types."""

import json
import unittest

from tollgate import bodies, codec
from tollgate.codes import Code
from tollgate.errors import DecodeError, ProtocolError
from tollgate.wire import BODY_BYTES_MAX, ClientSession, Kind, Secret, proof_of, session_keys, transcript_of

from .golden import BODIES, PROTOCOL


def golden(name):
    return json.loads((PROTOCOL / "golden" / f"{name}.json").read_text(encoding="utf-8"))


PRIMITIVES = {
    "u8": codec.U8,
    "bool": codec.BOOL,
    "u16": codec.U16,
    "u32": codec.U32,
    "u64": codec.U64,
    "u128": codec.U128,
    "i64": codec.I64,
}
# Where a Python table has another name than the type has.
NAMES = {"MacAlgorithm": "MAC"}


def table(shape):
    """The codec of a type as the golden files write it."""
    if isinstance(shape, str):
        if shape in PRIMITIVES:
            return PRIMITIVES[shape]
        name = "".join("_" + letter if letter.isupper() else letter.upper() for letter in shape).lstrip("_")
        return getattr(bodies, NAMES.get(shape, name.upper()), None) or getattr(codec, name.upper())
    if "text" in shape:
        return codec.Text(shape["text"])
    if "bytes" in shape:
        return codec.BYTES32
    return codec.Maybe(table(shape["optional"]))


def standing(logon):
    """A client of this logon, with the welcome behind it."""
    given, frames = logon["given"], logon["frames"]
    secret = Secret(bytes.fromhex(given["secret"]))
    session = ClientSession("desk-1", secret, software="example/1", nonce=bytes.fromhex(given["client_nonce"]))
    session.start()
    sent = [session.take_output().hex()]
    session.feed(bytes.fromhex(frames["challenge"]))
    assert session.next_message() is None
    sent.append(session.take_output().hex())
    session.feed(bytes.fromhex(frames["welcome"]))
    session.next_message()
    return session, sent


class Malformed(unittest.TestCase):
    def test_no_value_decodes(self):
        for value in golden("malformed")["values"]:
            with self.subTest(value["name"]), self.assertRaises(DecodeError):
                codec.decode(table(value["type"]), bytes.fromhex(value["bytes"]))

    def test_every_frame_ends_the_session_with_its_code(self):
        logon = golden("derivation")[0]
        for frame in golden("malformed")["frames"]:
            with self.subTest(frame["name"]):
                session, _ = standing(logon)
                session.feed(bytes.fromhex(frame["frame"]))
                with self.assertRaises(ProtocolError) as raised:
                    session.next_message()
                self.assertEqual(raised.exception.code.name, frame["code"])


class Derivation(unittest.TestCase):
    def test_every_step_of_the_hmac_logon(self):
        logon = golden("derivation")[0]
        given = {name: bytes.fromhex(value) for name, value in logon["given"].items()}
        frames = {name: bytes.fromhex(value) for name, value in logon["frames"].items()}
        steps = {step["step"]: bytes.fromhex(step["value"]) for step in logon["steps"]}
        secret = Secret(given["secret"])
        transcript = transcript_of(frames["hello"], frames["challenge"])
        self.assertEqual(transcript, steps["transcript"])
        self.assertEqual(proof_of(secret, transcript), steps["proof"])
        keys = session_keys(secret, given["client_nonce"], given["gateway_nonce"], transcript)
        self.assertEqual(keys.client_to_gateway, steps["client_to_gateway_key"])
        self.assertEqual(keys.gateway_to_client, steps["gateway_to_client_key"])
        session, sent = standing(logon)
        self.assertEqual(sent, [logon["frames"]["hello"], logon["frames"]["proof"]])
        session.send_command(steps["command_covered"][16:])
        self.assertEqual(session.take_output(), steps["command_covered"] + steps["command_mac"])


class Types(unittest.TestCase):
    def setUp(self):
        self.document = golden("types")

    def check_fields(self, what, fields, codecs):
        self.assertEqual([field["name"] for field in fields], [name for name, _ in codecs], what)
        for field, (name, found) in zip(fields, codecs):
            self.check(f"{what}.{name}", field["type"], found)

    def check(self, what, shape, found):
        """Goes along a type of the file and a table of this client together."""
        if isinstance(shape, dict) and "optional" in shape:
            self.assertIsInstance(found, codec.Maybe, what)
            self.check(what, shape["optional"], found.inner)
        elif isinstance(shape, dict) and "text" in shape:
            self.assertEqual(found.most_bytes, shape["text"], what)
        elif isinstance(shape, dict):
            self.assertEqual((shape["bytes"], type(found)), (32, codec.Bytes32), what)
        elif shape == "Decimal":
            self.assertIsInstance(found, codec.Exact, what)
        elif shape == "Code":
            self.assertIsInstance(found, codec.CodeNumber, what)
        elif shape in PRIMITIVES:
            expected = PRIMITIVES[shape]
            self.assertEqual((type(found), vars(found)), (type(expected), vars(expected)), what)
        else:
            self.check_named(what, self.document["types"][shape], found)

    def check_named(self, what, described, found):
        if "alias" in described:
            self.check(what, described["alias"], found)
        elif "struct" in described:
            self.check_fields(what, described["struct"], found.fields)
        elif isinstance(found, codec.Plain):
            camel = {int(each): "".join(word.capitalize() for word in each.name.split("_")) for each in found.enum}
            self.assertEqual(camel, {each["number"]: each["name"] for each in described["enum"]}, what)
        else:
            self.assertEqual([each["name"] for each in described["enum"]], [each.name for each in found.variants], what)
            for number, (each, variant) in enumerate(zip(described["enum"], found.variants)):
                self.assertEqual(each["number"], number, what)
                self.check_variant(f"{what}::{each['name']}", each, variant.codec)

    def check_variant(self, what, described, found):
        if "fields" in described:
            self.check_fields(what, described["fields"], found.fields)
        elif "value" not in described:
            self.assertEqual(found.fields, (), what)
        elif isinstance(found, codec.Wrapped):
            self.check(what, described["value"], found.fields[0][1])
        else:
            self.check(what, described["value"], found)

    def test_every_body_is_as_the_file_says(self):
        for frame in self.document["frames"]:
            kind = Kind(frame["kind"])
            self.assertEqual((kind.name.lower(), kind.has_mac), (frame["name"], frame["mac"]))
            self.check(frame["body"], frame["body"], BODIES[kind])
        self.assertEqual({frame["kind"] for frame in self.document["frames"]}, {int(kind) for kind in Kind})
        self.assertEqual(self.document["limits"]["body_bytes_max"], BODY_BYTES_MAX)

    def test_every_code_is_as_the_file_says(self):
        written = {code["number"]: code["name"] for code in self.document["codes"]}
        self.assertEqual({int(code): code.name for code in Code}, written)


if __name__ == "__main__":
    unittest.main()
