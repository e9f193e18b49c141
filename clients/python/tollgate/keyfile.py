"""The key file of a client, as ``tollgate init`` writes it: TOML with flat keys, mode 0600."""

from __future__ import annotations

import os
import re
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Tuple, Union

from .errors import EncodeError, KeyFileError, Unsupported, reason_of
from .wire import Secret

_LINE = re.compile(r"""^\s*([A-Za-z0-9_-]+)\s*=\s*(?:"([^"\\]*)"|'([^']*)'|([A-Za-z0-9_+-]+))\s*(?:\#.*)?$""")


@dataclass(frozen=True)
class KeyFile:
    """What a client needs to log on: the key's name, its secret, and the gateway's address."""

    key_id: str
    secret: Secret
    host: str
    port: int

    @property
    def address(self) -> Tuple[str, int]:
        """Host and port."""
        return self.host, self.port


def load_key_file(path: Union[str, "os.PathLike[str]"]) -> KeyFile:
    """Reads a key file. Raises :class:`KeyFileError`, and :class:`Unsupported` for an Ed25519 key. The secret
    never is in a message."""
    where = Path(path)
    _check_mode(where)
    try:
        # A mark that some programs put at the beginning is no part of the text.
        text = where.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(f"cannot read the key file {where}: {reason_of(error)}") from None
    values = _parse(text, where)
    kind = _text(values, "kind", where)
    if kind == "ed25519":
        raise Unsupported(f"{where}: Python's standard library has no Ed25519: use a key of kind 'hmac'")
    if kind != "hmac":
        raise KeyFileError(f"{where}: kind is {kind!r}; 'hmac' is needed")
    # A `mac` of the file is what other clients may choose; this one chooses hmac-sha256, which any HMAC key allows.
    host, port = _address(_text(values, "gateway_address", where), where)
    try:
        secret = Secret(_text(values, "secret", where))
    except EncodeError as error:
        raise KeyFileError(f"{where}: {error}") from None
    return KeyFile(_text(values, "key_id", where), secret, host, port)


def _check_mode(path: Path) -> None:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise KeyFileError(f"cannot read the key file {path}: {reason_of(error)}") from None
    if os.name == "posix" and mode & 0o077:
        raise KeyFileError(f"{path}: mode {mode:04o} lets others read the secret: chmod 600 {path}")


def _parse(text: str, path: Path) -> Dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib

        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            raise KeyFileError(f"{path}: is not valid TOML") from None
    return parse_flat(text, path)


def parse_flat(text: str, path: Path) -> Dict[str, Any]:
    """The flat keys of a TOML file, for Python before 3.11: strings without escapes and bare words. A table ends the
    reading."""
    values: Dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if stripped.startswith("["):
            break
        match = _LINE.match(line)
        if match is None:
            # The line may hold the secret: it is not shown.
            raise KeyFileError(f"{path}: line {number} is not of the form name = \"text\"")
        name, double, single, bare = match.groups()
        values[name] = next(value for value in (double, single, bare) if value is not None)
    return values


def _text(values: Dict[str, Any], name: str, path: Path, default: str = "") -> str:
    value = values.get(name, default)
    if not isinstance(value, str) or not value:
        raise KeyFileError(f"{path}: {name} is missing or not text")
    return value


def _address(address: str, path: Path) -> Tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise KeyFileError(f"{path}: gateway_address is {address!r}; host:port is needed")
    return host.strip("[]"), int(port)
