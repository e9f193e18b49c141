"""Key files: what is read, what is refused, and that the secret is in no message."""

import os
import pathlib
import tempfile
import unittest

import tollgate
from tollgate.keyfile import parse_flat

SECRET = bytes(range(64, 96)).hex()
GOOD = f"""# A key of a Tollgate gateway.
key_id = "trend-trade"
kind = "hmac"
secret = "{SECRET}"
gateway_address = "127.0.0.1:7000"   # the gateway
gateway_public_key = 'ad99'
mac = "blake3"
"""


class KeyFiles(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = pathlib.Path(directory.name) / "key.toml"

    def load(self, text, mode=0o600):
        self.path.write_text(text, encoding="utf-8")
        self.path.chmod(mode)
        return tollgate.load_key_file(self.path)

    def refused(self, text, words, error=tollgate.KeyFileError):
        with self.assertRaisesRegex(error, words) as caught:
            self.load(text)
        self.assertNotIn(SECRET, str(caught.exception))
        self.assertNotIn(SECRET[:20], str(caught.exception))

    def test_a_good_file(self):
        key = self.load(GOOD)
        self.assertEqual((key.key_id, key.address), ("trend-trade", ("127.0.0.1", 7000)))
        self.assertEqual(key.secret.reveal().hex(), SECRET)
        self.assertNotIn(SECRET, repr(key))
        self.assertEqual(self.load(GOOD.replace("127.0.0.1:7000", "[::1]:7000")).address, ("::1", 7000))

    def test_a_mark_at_the_beginning_is_passed_over(self):
        self.assertEqual(self.load("\ufeff" + GOOD).key_id, "trend-trade")

    def test_a_file_in_another_encoding(self):
        self.path.write_bytes(GOOD.encode("utf-16"))
        self.path.chmod(0o600)
        with self.assertRaisesRegex(tollgate.KeyFileError, "not UTF-8 text; save it as UTF-8"):
            tollgate.load_key_file(self.path)

    def test_the_small_reader_reads_the_same(self):
        values = parse_flat(GOOD + "[table]\nkind = 'other'\n", self.path)
        self.assertEqual((values["key_id"], values["secret"], values["mac"]), ("trend-trade", SECRET, "blake3"))
        self.assertEqual((values["kind"], values["gateway_public_key"]), ("hmac", "ad99"))
        for bad in ("secret", 'secret = "a\\nb"', "secret = ", 'secret = "a" "b"'):
            with self.assertRaisesRegex(tollgate.KeyFileError, "line 1"):
                parse_flat(bad, self.path)

    @unittest.skipUnless(os.name == "posix", "modes are of POSIX")
    def test_a_file_that_others_may_read(self):
        with self.assertRaisesRegex(tollgate.KeyFileError, "chmod 600"):
            self.load(GOOD, mode=0o640)

    def test_what_is_refused(self):
        self.refused(GOOD.replace('"hmac"', '"ed25519"'), "Ed25519|ed25519", tollgate.Unsupported)
        self.refused(GOOD.replace('"hmac"', '"rsa"'), "rsa")
        self.refused(GOOD.replace("key_id", "name"), "key_id is missing")
        self.refused(GOOD.replace(SECRET, SECRET[:62]), "31 bytes")
        self.refused(GOOD.replace(SECRET, SECRET[:-1] + "x"), "hexadecimal")
        self.refused(GOOD.replace(":7000", ""), "host:port")
        self.refused(GOOD.replace(":7000", ":70000"), "host:port")
        self.refused(GOOD.replace("secret =", "secret"), "TOML|line 4")
        with self.assertRaisesRegex(tollgate.KeyFileError, "cannot read the key file .*no such file; check the path"):
            tollgate.load_key_file(self.path.with_name("absent.toml"))


if __name__ == "__main__":
    unittest.main()
