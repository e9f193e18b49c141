"""What can go wrong.

Every error of this package is a :class:`TollgateError`. A command that the gateway refuses is not an error but an
:class:`~tollgate.Outcome`; only ``query_*`` and :meth:`Outcome.require` raise :class:`CommandRejected` for one.
"""

from __future__ import annotations

import errno
import socket
from typing import Tuple

from .codes import Code
from .reject import Reject


class TollgateError(Exception):
    """The root of all errors of this package."""


class EncodeError(TollgateError, ValueError):
    """A value does not fit the protocol; nothing was sent. ``path`` names the field, such as ``NewOrder.symbol``."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.message = message
        self.path = path

    def within(self, name: str) -> EncodeError:
        """The same error, seen from the struct that holds the field."""
        return EncodeError(self.message, f"{name}.{self.path}" if self.path else name)


class DecodeError(TollgateError, ValueError):
    """Bytes are not what the protocol says they should be."""


class UnknownVariant(DecodeError):
    """A variant of an enum that this version of the client does not know."""


class Unsupported(TollgateError):
    """The standard library of Python cannot do what was asked for: Ed25519 keys and BLAKE3 sessions."""


class KeyFileError(TollgateError):
    """A key file cannot be read or used."""


def reason_of(error: Exception) -> str:
    """What an error of the system means for whoever reads or connects, and what to do."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file; check the path"
    if isinstance(error, IsADirectoryError):
        return "it is a directory; name the file in it"
    if isinstance(error, PermissionError):
        return "this user may not do that; ask its owner, or run as its owner"
    if isinstance(error, UnicodeError):
        return "it is not UTF-8 text; save it as UTF-8"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there; check that the gateway runs, and the address"
    if isinstance(error, (ConnectionResetError, BrokenPipeError, ConnectionAbortedError)):
        return "the other end cut it; connect again, and look into the gateway's log if it goes on"
    if isinstance(error, socket.gaierror):
        return "the name is not known; check the host and the name service"
    if isinstance(error, TimeoutError):
        return "no answer came in time; check the address, and that no firewall is in between"
    if isinstance(error, OSError) and error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return "no route leads there; check the network and the address"
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return "too many files and connections are open; close some, or raise the limit (ulimit -n)"
    words = getattr(error, "strerror", None) or type(error).__name__
    return f"the system says \"{words}\"; check the machine, and try again"


class CommandRejected(TollgateError):
    """The gateway refused a command: ``command_id`` and the ``reject``."""

    def __init__(self, command_id: int, reject: Reject) -> None:
        super().__init__(f"command {command_id} was refused: {reject}")
        self.command_id = command_id
        self.reject = reject

    @property
    def code(self) -> Code:
        """Why."""
        return self.reject.code


class AnswerTimeout(TollgateError, TimeoutError):
    """No answer came in time. The command may or may not have been served: it stays among the unanswered ones;
    wait for it again by ``wait(error.command_id)``."""

    def __init__(self, command_id: int, timeout: float) -> None:
        super().__init__(
            f"no answer to command {command_id} within {timeout:g} s; it may have been served: wait for it again, "
            "or send it again unchanged"
        )
        self.command_id = command_id


class SessionError(TollgateError):
    """The session failed. Commands without an answer may or may not have been served; after a reconnect they are
    sent again unchanged, which is safe."""

    recoverable = True
    """Whether another logon may help without a person doing something first."""

    retry_after_ms = 0
    """How long the gateway asked the client to stay away."""


class ConnectionLost(SessionError):
    """The connection could not be made, broke, or fell silent."""


class EventGap(SessionError):
    """The numbers of events are not consecutive."""


class EventsOverflow(SessionError):
    """More events wait to be taken than ``events_max`` allows; the session was ended rather than an event dropped."""

    recoverable = False


class ClientClosed(SessionError):
    """The client was disconnected by its own program."""

    recoverable = False


class ProtocolError(SessionError):
    """A frame of the gateway did not pass the checks of the protocol; ``code`` says which."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.recoverable = code is not Code.FRAME_VERSION


class SessionEnded(SessionError):
    """The gateway ended the session by a goodbye: ``code`` and ``retry_after_ms``.

    With ``RESUME_UNAVAILABLE`` a disk holds back what was missed: ``reconnect(resume=False)`` gets a session.
    """

    def __init__(self, code: Code, retry_after_ms: int) -> None:
        super().__init__(f"the gateway ended the session with {code.name} ({int(code)}): {code.meaning}")
        self.code = code
        self.retry_after_ms = retry_after_ms
        self.recoverable = not code.is_frame and code not in (Code.SESSION_KEY_ENDED, Code.RESUME_UNAVAILABLE)


_NO_RETRY: Tuple[Code, ...] = (Code.LOGON_FAILED, Code.RESUME_UNAVAILABLE)


class LogonRefused(SessionError):
    """The gateway refused the logon: ``code`` and ``retry_after_ms``. A refusal is not authenticated."""

    def __init__(self, code: Code, retry_after_ms: int) -> None:
        super().__init__(f"the gateway refused the logon with {code.name} ({int(code)}): {code.meaning}")
        self.code = code
        self.retry_after_ms = retry_after_ms
        self.recoverable = not code.is_frame and code not in _NO_RETRY


class ResumeUnavailable(LogonRefused):
    """Events after ``resume_after`` are no longer in the gateway's journal. Log on without it, then query orders
    and positions: events were missed."""
