"""The socket under the blocking client."""

from __future__ import annotations

import selectors
import socket
import time
from typing import Optional, Tuple

from . import model
from .errors import ConnectionLost, reason_of
from .wire import ClientSession

RECEIVE_BYTES = 65_536


class Connection:
    """A socket and its session. One thread may read while another writes."""

    def __init__(self, address: Tuple[str, int], session: ClientSession, deadline: float) -> None:
        self.session = session
        try:
            self._socket = socket.create_connection(address, max(deadline - time.monotonic(), 0.001))
        except OSError as error:
            raise ConnectionLost(f"cannot connect to {address[0]}:{address[1]}: {reason_of(error)}") from None
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._readable = selectors.DefaultSelector()
        self._readable.register(self._socket, selectors.EVENT_READ)
        self.last_sent_at = time.monotonic()

    def log_on(self, deadline: float) -> model.Welcome:
        """Hello to welcome. Raises :class:`~tollgate.SessionError`."""
        self.session.start()
        while True:
            self.flush(deadline)
            data = self.read(deadline - time.monotonic())
            if data is None and time.monotonic() >= deadline:
                raise ConnectionLost("the logon was not completed in time")
            self.session.feed(data or b"")
            message = self.session.next_message()
            if message is not None:
                assert isinstance(message, model.Welcome), "a logon ends with a welcome"
                return message

    def read(self, wait: float) -> Optional[bytes]:
        """What has come; None when nothing came within ``wait`` seconds. Raises :class:`ConnectionLost`."""
        try:
            if not self._readable.select(max(wait, 0.0)):
                return None
            data = self._socket.recv(RECEIVE_BYTES)
        except (BlockingIOError, InterruptedError):
            return None
        except (OSError, ValueError) as error:
            raise ConnectionLost(f"the connection to the gateway broke: {reason_of(error)}") from None
        if not data:
            raise ConnectionLost("the gateway closed the connection without a goodbye")
        return data

    def flush(self, deadline: float) -> None:
        """Sends what the session has written. Raises :class:`ConnectionLost`."""
        data = memoryview(self.session.take_output())
        while data:
            try:
                data = data[self._socket.send(data) :]
            except (BlockingIOError, InterruptedError):
                self._wait_writable(deadline)
            except OSError as error:
                raise ConnectionLost(f"the connection to the gateway broke: {reason_of(error)}") from None
        self.last_sent_at = time.monotonic()

    def _wait_writable(self, deadline: float) -> None:
        with selectors.DefaultSelector() as writable:
            writable.register(self._socket, selectors.EVENT_WRITE)
            if not writable.select(max(deadline - time.monotonic(), 0.0)):
                raise ConnectionLost("the gateway does not read what is sent to it")

    def interrupt(self) -> None:
        """Ends the connection; a thread that reads it comes back at once."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def finish(self) -> None:
        """Tells the gateway that nothing more will be sent."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def drain(self, deadline: float) -> None:
        """Reads, and drops, until the gateway has closed: unread bytes would make the closing a reset, which may
        overtake the goodbye."""
        try:
            while time.monotonic() < deadline:
                self.read(deadline - time.monotonic())
        except ConnectionLost:
            pass

    def close(self) -> None:
        """Gives the socket back; no thread may be reading it."""
        self._readable.close()
        self._socket.close()
