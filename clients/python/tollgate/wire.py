"""Frames, MAC, logon and the client's side of a session, without I/O.

:class:`ClientSession` takes bytes that were received and gives bytes to send and messages to deal with.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Optional, Union

from . import bodies, model
from .bodies import Mac
from .codec import U64, U128, Reader, decode, encode
from .codes import Code
from .errors import (
    DecodeError,
    EncodeError,
    LogonRefused,
    ProtocolError,
    ResumeUnavailable,
    SessionEnded,
    UnknownVariant,
    Unsupported,
)

MAGIC = b"TG"
VERSION = 1
HEADER = struct.Struct("<2sBBIQ")
HEADER_BYTES = 16
MAC_BYTES = 32
BODY_BYTES_MAX = 1024
SECRET_BYTES_MIN = 32

CLIENT_PROOF_CONTEXT = b"tollgate v1 client proof"
CLIENT_TO_GATEWAY_CONTEXT = b"tollgate v1 client to gateway"
GATEWAY_TO_CLIENT_CONTEXT = b"tollgate v1 gateway to client"

Message = Union[model.Welcome, model.Event, model.Answer]
"""What a session hands to its owner."""


class Kind(IntEnum):
    """The kinds of frames."""

    HELLO = 1
    CHALLENGE = 2
    PROOF = 3
    WELCOME = 4
    REFUSAL = 5
    COMMAND = 16
    EVENT = 32
    ANSWER = 33
    GOODBYE = 48

    @property
    def has_mac(self) -> bool:
        """Whether a MAC follows the body."""
        return self in (Kind.WELCOME, Kind.COMMAND, Kind.EVENT, Kind.ANSWER, Kind.GOODBYE)


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA256, 32 bytes."""
    tag: bytes = hmac.digest(key, message, "sha256")
    return tag


class Secret:
    """The bytes of a secret, kept out of ``repr``, ``str``, ``format`` and ``pickle``."""

    __slots__ = ("_value",)

    def __init__(self, value: Union[bytes, bytearray, str, Secret]) -> None:
        data: bytes
        if isinstance(value, Secret):
            data = value.reveal()
        elif isinstance(value, str):
            try:
                data = bytes.fromhex(value)
            except ValueError:
                raise EncodeError("the secret is text, but not an even number of hexadecimal digits") from None
        elif isinstance(value, (bytes, bytearray)):
            data = bytes(value)
        else:
            raise TypeError(f"the secret must be bytes or hexadecimal text, not {type(value).__name__}")
        if len(data) < SECRET_BYTES_MIN:
            raise EncodeError(f"the secret has {len(data)} bytes; at least {SECRET_BYTES_MIN} are needed")
        self._value = data

    def reveal(self) -> bytes:
        """The bytes."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(hidden)"

    def __reduce__(self) -> str:
        raise TypeError("a Secret cannot be pickled or copied")


@dataclass(frozen=True)
class SessionKeys:
    """The keys of both directions of one session."""

    client_to_gateway: bytes = field(repr=False)
    gateway_to_client: bytes = field(repr=False)


def transcript_of(hello_frame: bytes, challenge_frame: bytes) -> bytes:
    """The transcript of a logon: 32 bytes."""
    return hashlib.sha256(hello_frame + challenge_frame).digest()


def proof_of(secret: Secret, transcript: bytes) -> bytes:
    """The tag by which the client proves that it holds the secret."""
    return hmac_sha256(secret.reveal(), CLIENT_PROOF_CONTEXT + transcript)


def session_keys(secret: Secret, client_nonce: bytes, gateway_nonce: bytes, transcript: bytes) -> SessionKeys:
    """HKDF-SHA256: one extract, two expands of one block each."""
    pseudorandom_key = hmac_sha256(client_nonce + gateway_nonce, secret.reveal())

    def expand(context: bytes) -> bytes:
        return hmac_sha256(pseudorandom_key, context + transcript + b"\x01")

    return SessionKeys(expand(CLIENT_TO_GATEWAY_CONTEXT), expand(GATEWAY_TO_CLIENT_CONTEXT))


def encode_frame(kind: Kind, sequence: int, body: bytes, key: Optional[bytes] = None) -> bytes:
    """A whole frame; ``key`` is that of the direction, for the kinds with a MAC."""
    if len(body) > BODY_BYTES_MAX:
        raise EncodeError(f"the body has {len(body)} bytes; at most {BODY_BYTES_MAX} are allowed")
    frame = HEADER.pack(MAGIC, VERSION, kind, len(body), sequence) + body
    if not kind.has_mac:
        return frame
    assert key is not None, f"a frame of kind {kind.name} needs a key"
    return frame + hmac_sha256(key, frame)


@dataclass(frozen=True)
class Frame:
    """A frame as it came: ``signed`` is what its MAC covers."""

    kind: Kind
    sequence: int
    body: bytes
    signed: bytes
    tag: bytes

    def check_mac(self, key: bytes) -> None:
        """Raises :class:`ProtocolError` when the MAC does not match."""
        if not hmac.compare_digest(self.tag, hmac_sha256(key, self.signed)):
            raise ProtocolError(Code.FRAME_MAC, f"the MAC of a frame of kind {self.kind.name} does not match")


class FrameBuffer:
    """Gathers bytes to frames. Checks magic, version, kind and length as soon as a header is there."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> None:
        """Adds bytes that were received."""
        self._data += data

    def next_frame(self) -> Optional[Frame]:
        """The next frame, None while it is not complete. Raises :class:`ProtocolError`."""
        if len(self._data) < HEADER_BYTES:
            return None
        magic, version, kind_number, body_bytes, sequence = HEADER.unpack_from(self._data)
        kind = _check_header(magic, version, kind_number, body_bytes)
        signed_bytes = HEADER_BYTES + body_bytes
        frame_bytes = signed_bytes + (MAC_BYTES if kind.has_mac else 0)
        if len(self._data) < frame_bytes:
            return None
        data = bytes(self._data[:frame_bytes])
        del self._data[:frame_bytes]
        return Frame(kind, sequence, data[HEADER_BYTES:signed_bytes], data[:signed_bytes], data[signed_bytes:])


def _check_header(magic: bytes, version: int, kind: int, body_bytes: int) -> Kind:
    if magic != MAGIC:
        raise ProtocolError(Code.FRAME_MAGIC, f"a frame begins with {magic!r}, not {MAGIC!r}")
    if version != VERSION:
        raise ProtocolError(Code.FRAME_VERSION, f"a frame has version {version}; this client speaks {VERSION}")
    try:
        known = Kind(kind)
    except ValueError:
        raise ProtocolError(Code.FRAME_KIND, f"a frame has the unknown kind {kind}") from None
    if body_bytes > BODY_BYTES_MAX:
        raise ProtocolError(Code.FRAME_TOO_LARGE, f"a body has {body_bytes} bytes; at most {BODY_BYTES_MAX} may come")
    return known


def decode_event(body: bytes) -> model.Event:
    """An event; a body of a newer version comes as :class:`~tollgate.Unrecognised`."""
    try:
        return decode(bodies.EVENT, body)
    except UnknownVariant:
        source = Reader(body)
        return model.Event(U64.read(source), U64.read(source), _rest(source))


def decode_answer(body: bytes) -> model.Answer:
    """An answer; a body of a newer version comes as :class:`~tollgate.Unrecognised`."""
    try:
        return decode(bodies.ANSWER, body)
    except UnknownVariant:
        source = Reader(body)
        return model.Answer(U128.read(source), _rest(source))


def _rest(source: Reader) -> model.Unrecognised:
    return model.Unrecognised(source.take(source.remaining_bytes))


class State(Enum):
    """Where a session stands."""

    START = "start"
    GREETING = "greeting"
    PROVING = "proving"
    STANDING = "standing"
    ENDED = "ended"


_MAY_COME = {
    State.START: (),
    State.GREETING: (Kind.CHALLENGE, Kind.REFUSAL),
    State.PROVING: (Kind.WELCOME, Kind.REFUSAL),
    State.STANDING: (Kind.EVENT, Kind.ANSWER, Kind.GOODBYE),
    State.ENDED: (),
}


class ClientSession:
    """The client's side of one connection, without I/O.

    :meth:`start` gives the hello. Give what is received to :meth:`feed`, then call :meth:`next_message` until it
    gives None, and send what :meth:`take_output` gives. Any failed check raises a
    :class:`~tollgate.SessionError` and ends the session: close the connection then.
    """

    def __init__(
        self,
        key_id: str,
        secret: Secret,
        resume_after: Optional[int] = None,
        software: str = "",
        mac: Mac = Mac.HMAC_SHA256,
        nonce: Optional[bytes] = None,
    ) -> None:
        """``nonce`` is for tests alone: 32 fresh random bytes are taken without it."""
        if mac is not Mac.HMAC_SHA256:
            raise Unsupported(
                "BLAKE3 is not in Python's standard library: use a session with hmac-sha256, which any HMAC key can"
            )
        self._secret = secret
        self._nonce = secrets.token_bytes(32) if nonce is None else nonce
        self._hello_body = encode(bodies.HELLO, bodies.Hello(key_id, mac, self._nonce, None, resume_after, software))
        self._hello_frame = b""
        self._keys: Optional[SessionKeys] = None
        self._buffer = FrameBuffer()
        self._output = bytearray()
        self._sent = 0
        self._received = 0
        self.state = State.START
        self.gateway = ""
        self.welcome: Optional[model.Welcome] = None

    def __repr__(self) -> str:
        return f"ClientSession(state={self.state.value}, gateway={self.gateway!r})"

    def start(self) -> None:
        """Writes the hello."""
        assert self.state is State.START, "a session is started once"
        self._hello_frame = self._write(Kind.HELLO, self._hello_body)
        self.state = State.GREETING

    def send_command(self, body: bytes) -> None:
        """Writes a command whose body is encoded already."""
        assert self.state is State.STANDING, "commands are sent over a standing session"
        self._write(Kind.COMMAND, body)

    def send_goodbye(self) -> None:
        """Writes the polite goodbye and ends the session; orders stay as they are."""
        if self.state is State.STANDING:
            self._write(Kind.GOODBYE, encode(bodies.GOODBYE, model.Goodbye(Code.SESSION_SHUTDOWN, 0)))
        self.state = State.ENDED

    def take_output(self) -> bytes:
        """What is to be sent now."""
        data = bytes(self._output)
        self._output.clear()
        return data

    def feed(self, data: bytes) -> None:
        """Adds bytes that were received."""
        self._buffer.feed(data)

    def next_message(self) -> Optional[Message]:
        """The next message, None when more bytes are needed. Raises :class:`~tollgate.SessionError`."""
        while self.state is not State.ENDED:
            try:
                frame = self._buffer.next_frame()
                if frame is None:
                    return None
                message = self._accept(frame)
            except Exception:
                self.state = State.ENDED
                raise
            if message is not None:
                return message
        return None

    def _write(self, kind: Kind, body: bytes) -> bytes:
        key = self._keys.client_to_gateway if self._keys is not None else None
        frame = encode_frame(kind, self._sent + 1, body, key)
        self._sent += 1
        self._output += frame
        return frame

    def _accept(self, frame: Frame) -> Optional[Message]:
        if frame.kind not in _MAY_COME[self.state]:
            raise ProtocolError(
                Code.FRAME_KIND, f"a frame of kind {frame.kind.name} came while the session is {self.state.value}"
            )
        if frame.kind is Kind.REFUSAL:
            raise _refusal(_decoded(frame))
        if frame.kind.has_mac:
            assert self._keys is not None, "a frame with a MAC may come only after the challenge"
            frame.check_mac(self._keys.gateway_to_client)
        if frame.sequence != self._received + 1:
            raise ProtocolError(
                Code.FRAME_SEQUENCE, f"a frame has sequence {frame.sequence}; {self._received + 1} is the next one"
            )
        self._received += 1
        try:
            return self._deal_with(frame)
        except DecodeError as error:
            raise ProtocolError(Code.FRAME_BODY, f"{frame.kind.name}: {error}") from None

    def _deal_with(self, frame: Frame) -> Optional[Message]:
        if frame.kind is Kind.EVENT:
            return decode_event(frame.body)
        if frame.kind is Kind.ANSWER:
            return decode_answer(frame.body)
        if frame.kind is Kind.CHALLENGE:
            self._prove(frame)
            return None
        if frame.kind is Kind.WELCOME:
            self.welcome = decode(bodies.WELCOME, frame.body)
            self.state = State.STANDING
            return self.welcome
        goodbye = decode(bodies.GOODBYE, frame.body)
        raise SessionEnded(goodbye.code, goodbye.retry_after_ms)

    def _prove(self, frame: Frame) -> None:
        challenge = decode(bodies.CHALLENGE, frame.body)
        if challenge.ephemeral is not None:
            raise DecodeError("the challenge has an ephemeral key, and the hello had none")
        transcript = transcript_of(self._hello_frame, frame.signed)
        self.gateway = challenge.gateway
        proof = bodies.HmacProof(proof_of(self._secret, transcript))
        self._write(Kind.PROOF, encode(bodies.PROOF, proof))
        self._keys = session_keys(self._secret, self._nonce, challenge.nonce, transcript)
        self.state = State.PROVING


def _decoded(frame: Frame) -> model.Goodbye:
    try:
        return decode(bodies.GOODBYE, frame.body)
    except DecodeError as error:
        raise ProtocolError(Code.FRAME_BODY, f"REFUSAL: {error}") from None


def _refusal(goodbye: model.Goodbye) -> LogonRefused:
    kind = ResumeUnavailable if goodbye.code is Code.RESUME_UNAVAILABLE else LogonRefused
    return kind(goodbye.code, goodbye.retry_after_ms)
