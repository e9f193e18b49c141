"""The blocking client."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Callable, Iterator, List, Optional, Tuple, Type, Union

from . import model
from .commands import Commands
from .connection import Connection
from .conversation import EVENTS_MAX, STABLE_SECONDS, CommandIds, Conversation, Pending, Reconnect
from .errors import AnswerTimeout, ClientClosed, ConnectionLost, SessionError
from .rows import row_of, rows_of
from .version import SOFTWARE
from .wire import ClientSession, Secret

TIMEOUT = 10.0
# How long the gateway may take to close after a goodbye.
GOODBYE_SECONDS = 1.0


class Client(Commands[model.Outcome]):
    """A blocking client: :meth:`connect`, then the methods of :class:`~tollgate.commands.Commands`.

    All methods may be called from any thread. There is no thread behind it unless ``heartbeat_thread`` is set: the
    client reads and sends heartbeats while one of its methods waits. A program that leaves the client alone for
    longer than the heartbeat timeout needs the thread.

    As a context manager it leaves politely at the end of the block, so that orders stay as they are. When the block
    ends by an exception, it breaks the connection instead: a gateway that is set to cancel on disconnect does so.
    """

    def __init__(
        self,
        host: str,
        port: int,
        key_id: str,
        secret: Union[bytes, str, Secret],
        *,
        resume_after: Optional[int] = None,
        account: str = "",
        timeout: float = TIMEOUT,
        software: str = SOFTWARE,
        heartbeat_thread: bool = False,
        reconnect: Optional[Reconnect] = None,
        events_max: int = EVENTS_MAX,
        command_ids: Optional[CommandIds] = None,
    ) -> None:
        """See :meth:`connect`, which makes the connection too."""
        self._address = (host, port)
        self._key_id = key_id
        self._secret = Secret(secret)
        self._account = account
        self._timeout = timeout
        self._software = software
        self._policy = reconnect
        self._command_ids = command_ids or CommandIds()
        self._conversation = Conversation(resume_after, events_max)
        self._lock = threading.Condition(threading.Lock())
        # All below is guarded by the lock, but for the reading half of the connection, which belongs to the thread
        # that set `_reading`.
        self._connection: Optional[Connection] = None
        self._welcome: Optional[model.Welcome] = None
        self._reading = False
        self._closed = False
        self._failure: Optional[SessionError] = None
        self._logon_failures = 0
        self._retry_at = 0.0
        self._adopted_at = 0.0
        self._resuming = False
        self._wants_thread = heartbeat_thread
        self._thread: Optional[threading.Thread] = None

    @classmethod
    def connect(
        cls,
        host: str,
        port: int,
        key_id: str,
        secret: Union[bytes, str, Secret],
        *,
        resume_after: Optional[int] = None,
        account: str = "",
        timeout: float = TIMEOUT,
        software: str = SOFTWARE,
        heartbeat_thread: bool = False,
        reconnect: Optional[Reconnect] = None,
        events_max: int = EVENTS_MAX,
        command_ids: Optional[CommandIds] = None,
    ) -> Client:
        """Connects and logs on.

        ``secret``: of the HMAC key, as bytes or hexadecimal text. ``resume_after``: the number of the last event
        dealt with, 0 for all there are; None for new ones only (query orders and positions then). ``account``: what
        commands are for that name none; empty for the key's only account. ``timeout``: seconds for a logon and,
        where nothing else is said, for an answer. ``reconnect``: log on again by itself. ``events_max``: how many
        events may wait for :meth:`events`, 0 to keep none.

        Raises :class:`~tollgate.SessionError`: :class:`~tollgate.ConnectionLost`, :class:`~tollgate.LogonRefused`.
        """
        client = cls(
            host,
            port,
            key_id,
            secret,
            resume_after=resume_after,
            account=account,
            timeout=timeout,
            software=software,
            heartbeat_thread=heartbeat_thread,
            reconnect=reconnect,
            events_max=events_max,
            command_ids=command_ids,
        )
        connection, welcome = client._open(resume_after, time.monotonic() + timeout)
        with client._lock:
            client._adopt(connection, welcome, resume_after)
            client._start_thread()
        return client

    def __repr__(self) -> str:
        state = "closed" if self._closed else "failed" if self._failure else "standing"
        return f"Client({self._address[0]}:{self._address[1]}, key_id={self._key_id!r}, {state})"

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if kind is None:
            self.disconnect()
        else:
            self.abort()

    # What stands

    @property
    def welcome(self) -> Optional[model.Welcome]:
        """The welcome of the last session: heartbeat times, durability, session id."""
        return self._welcome

    @property
    def last_event_sequence(self) -> Optional[int]:
        """The number of the last event that was taken from :meth:`events`: what to give as ``resume_after`` to a
        new client once that event is dealt with."""
        with self._lock:
            return self._conversation.taken_event_sequence

    @property
    def unanswered(self) -> Tuple[model.Command, ...]:
        """Commands without an answer: they may or may not have been served."""
        with self._lock:
            return tuple(pending.command for pending in self._conversation.unanswered)

    @property
    def unrecognised_frames(self) -> int:
        """How many frames came that this version of the client does not know. Above 0: update the client."""
        with self._lock:
            return self._conversation.unrecognised_frames

    # Commands

    def command(
        self,
        action: model.Action,
        *,
        account: Optional[str] = None,
        command_id: Optional[int] = None,
        deadline_ns: int = 0,
    ) -> model.Command:
        """Makes a command without sending it, for :meth:`send`."""
        return model.Command(
            command_id=self._command_ids.next() if command_id is None else command_id,
            created_at_ns=time.time_ns(),
            deadline_ns=deadline_ns,
            account=self._account if account is None else account,
            action=action,
        )

    def execute(
        self,
        action: model.Action,
        *,
        account: Optional[str] = None,
        command_id: Optional[int] = None,
        deadline_ns: int = 0,
        timeout: Optional[float] = None,
    ) -> model.Outcome:
        command = self.command(action, account=account, command_id=command_id, deadline_ns=deadline_ns)
        self.send(command)
        return self.wait(command.command_id, timeout)

    def send(self, command: model.Command) -> int:
        """Sends a command without waiting, or the same one again; gives its id for :meth:`wait`.

        With ``reconnect`` set, a command that is given while there is no session is sent by the next one."""
        with self._lock:
            self._raise_if_closed()
            if self._failure is not None and not self._will_recover():
                raise self._failure.with_traceback(None)
            pending = self._conversation.open(command)
            connection = self._connection
            if connection is not None and self._failure is None and not self._resuming:
                self._try_transmit(connection, pending)
        return command.command_id

    def wait(self, command_id: int, timeout: Optional[float] = None) -> model.Outcome:
        """Waits for the answer to a command that was sent. Raises :class:`~tollgate.AnswerTimeout`, after which it
        may be called again, and :class:`~tollgate.SessionError`, after which it may be called again once
        :meth:`reconnect` has been; not for queries and heartbeats, which are given up then."""
        seconds = self._timeout if timeout is None else timeout
        with self._lock:
            pending = self._conversation.find(command_id)
            if pending is None:
                raise KeyError(f"command {command_id} was not sent by this client, or its answer was taken")
            found = pending
            keep = found.is_order_command
            try:
                if not self._wait(lambda: found.outcome is not None, time.monotonic() + seconds):
                    raise AnswerTimeout(command_id, seconds)
                keep = False
            finally:
                if not keep:
                    self._conversation.forget(command_id)
            assert found.outcome is not None
            return found.outcome

    # Queries

    def query_order(
        self, target: model.Target, *, account: Optional[str] = None, timeout: Optional[float] = None
    ) -> model.OrderState:
        """One order. Raises :class:`~tollgate.CommandRejected` when it is unknown."""
        return row_of(self._query(model.OrderQuery(target), account, timeout), model.OrderState)

    def query_open_orders(
        self, symbol: Optional[str] = None, *, account: Optional[str] = None, timeout: Optional[float] = None
    ) -> List[model.OrderState]:
        """The orders that are not final."""
        return rows_of(self._query(model.OpenOrdersQuery(symbol), account, timeout), model.OrderState)

    def query_positions(
        self, symbol: Optional[str] = None, *, account: Optional[str] = None, timeout: Optional[float] = None
    ) -> List[model.PositionState]:
        """The positions."""
        return rows_of(self._query(model.PositionsQuery(symbol), account, timeout), model.PositionState)

    def query_account(
        self, *, account: Optional[str] = None, timeout: Optional[float] = None
    ) -> model.AccountState:
        """The account's figures."""
        return row_of(self._query(model.AccountQuery(), account, timeout), model.AccountState)

    def query_limits(
        self, symbol: Optional[str] = None, *, account: Optional[str] = None, timeout: Optional[float] = None
    ) -> List[model.LimitState]:
        """The limits of this client on the account."""
        return rows_of(self._query(model.LimitsQuery(symbol), account, timeout), model.LimitState)

    def query_instruments(
        self, symbol: Optional[str] = None, *, account: Optional[str] = None, timeout: Optional[float] = None
    ) -> List[model.InstrumentState]:
        """The instruments that the key may trade."""
        return rows_of(self._query(model.InstrumentsQuery(symbol), account, timeout), model.InstrumentState)

    def _query(self, query: model.Query, account: Optional[str], timeout: Optional[float]) -> model.Outcome:
        return self.execute(query, account=account, timeout=timeout)

    # Events

    def next_event(self, timeout: Optional[float] = None) -> Optional[model.Event]:
        """The next event; None when none comes within ``timeout`` seconds (None: for ever). Events that had come
        are given before the failure of a session is raised."""
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        with self._lock:
            events = self._conversation.events
            self._wait(lambda: bool(events), deadline)
            return self._conversation.take_event()

    def events(self, timeout: Optional[float] = None) -> Iterator[model.Event]:
        """Events as they come, until none comes within ``timeout`` seconds (None: for ever)."""
        while True:
            event = self.next_event(timeout)
            if event is None:
                return
            yield event

    # Leaving and coming back

    def disconnect(self) -> None:
        """Leaves politely: orders stay as they are. The client cannot be used again; calling it twice is fine."""
        self._end(polite=True)

    def abort(self) -> None:
        """Breaks the connection without a goodbye: the gateway cancels working orders where it is set to."""
        self._end(polite=False)

    def reconnect(self, *, resume: bool = True, timeout: Optional[float] = None) -> None:
        """Logs on anew: resumes after the last event received, matches what comes with unanswered commands, and
        sends those still without an answer again, unchanged.

        ``resume=False`` gives up the events that were missed; query orders and positions then. Raises
        :class:`~tollgate.SessionError`; :class:`~tollgate.ResumeUnavailable` when only ``resume=False`` can help.
        """
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        with self._lock:
            self._raise_if_closed()
            if self._connection is not None:
                self._connection.interrupt()
            self._take_reading(deadline)
            try:
                self._drop_connection()
                self._log_on_again(resume, deadline)
                self._start_thread()
            except SessionError as error:
                self._failure = error
                raise
            finally:
                self._release_reading()

    # The inside: everything below is called with the lock held, unless it says otherwise

    def _open(self, resume_after: Optional[int], deadline: float) -> Tuple[Connection, model.Welcome]:
        """Without the lock: a connection that is logged on."""
        session = ClientSession(self._key_id, self._secret, resume_after, self._software)
        connection = Connection(self._address, session, deadline)
        try:
            return connection, connection.log_on(deadline)
        except BaseException:
            connection.close()
            raise

    def _adopt(self, connection: Connection, welcome: model.Welcome, resume_after: Optional[int]) -> None:
        try:
            self._conversation.welcome(welcome, resume_after)
        except SessionError:
            connection.close()
            raise
        self._connection = connection
        self._welcome = welcome
        self._failure = None
        self._adopted_at = time.monotonic()
        # What came in one piece with the welcome.
        self._guard(lambda: self._deal_with(connection, b""))

    def _log_on_again(self, resume: bool, deadline: float) -> None:
        """As the reading thread."""
        resume_after = self._conversation.received_event_sequence if resume else None
        self._lock.release()
        try:
            connection, welcome = self._open(resume_after, deadline)
        finally:
            self._lock.acquire()
        if self._closed:
            connection.close()
            raise ClientClosed("the client was disconnected by its own program")
        self._resuming = True
        try:
            self._adopt(connection, welcome, resume_after)
            self._catch_up(connection, deadline)
        finally:
            self._resuming = False

    def _catch_up(self, connection: Connection, deadline: float) -> None:
        """Takes the events that were missed, then sends again what they did not answer. They come before the answer
        to the heartbeat. Were one to come later, nothing would be lost: a command may be sent at any time again."""
        self._send_heartbeat(connection)
        while self._conversation.oldest_heartbeat is not None and self._failure is None:
            if time.monotonic() >= deadline:
                raise ConnectionLost("the missed events did not come in time")
            self._read_turn(deadline)
        for pending in self._conversation.unanswered:
            self._try_transmit(connection, pending)
        if self._failure is not None:
            raise self._failure.with_traceback(None)

    def _wait(self, ready: Callable[[], bool], deadline: float) -> bool:
        """Reads, or lets another thread read, until ``ready``; False when the deadline passes."""
        turned = False
        while not ready():
            self._raise_if_closed()
            if self._failure is not None and not self._will_recover():
                raise self._failure.with_traceback(None)
            if turned and time.monotonic() >= deadline:
                return False
            turned = True
            if self._reading:
                self._lock.wait(_seconds_until(deadline))
                continue
            self._reading = True
            try:
                if self._failure is not None:
                    self._recover(deadline)
                else:
                    self._read_turn(deadline)
            finally:
                self._release_reading()
        return True

    def _take_reading(self, deadline: float) -> None:
        while self._reading:
            if time.monotonic() >= deadline:
                raise ConnectionLost("another thread is busy with the connection")
            self._lock.wait(_seconds_until(deadline))
        self._reading = True

    def _release_reading(self) -> None:
        self._reading = False
        if self._closed or self._failure is not None:
            self._drop_connection()
        self._lock.notify_all()

    def _read_turn(self, deadline: float) -> None:
        """As the reading thread: waits for bytes, deals with them, sends a heartbeat when one is due."""
        connection, welcome = self._connection, self._welcome
        assert connection is not None and welcome is not None, "a session stands while nothing has failed"
        heartbeat_at = connection.last_sent_at + welcome.heartbeat_interval_ms / 1000 * 0.9
        if time.monotonic() >= heartbeat_at:
            self._guard(lambda: self._send_heartbeat(connection))
            return
        until = min(deadline, heartbeat_at)
        data: Optional[bytes] = None
        failure: Optional[SessionError] = None
        self._lock.release()
        try:
            data = connection.read(until - time.monotonic())
        except SessionError as error:
            failure = error
        finally:
            self._lock.acquire()
        if self._closed:
            return
        if failure is not None:
            self._fail(failure)
        elif data is not None:
            received = data
            self._guard(lambda: self._deal_with(connection, received))
        else:
            self._check_alive(welcome)

    def _deal_with(self, connection: Connection, data: bytes) -> None:
        connection.session.feed(data)
        while True:
            message = connection.session.next_message()
            if message is None:
                break
            self._conversation.accept(message)
        self._lock.notify_all()

    def _check_alive(self, welcome: model.Welcome) -> None:
        oldest = self._conversation.oldest_heartbeat
        if oldest is not None and time.monotonic() - oldest > welcome.heartbeat_timeout_ms / 1000:
            self._fail(ConnectionLost(f"the gateway was silent for {welcome.heartbeat_timeout_ms} ms"))

    def _send_heartbeat(self, connection: Connection) -> None:
        command = self.command(model.Heartbeat())
        pending = Pending(command)
        connection.session.send_command(pending.body)
        self._conversation.heartbeat_sent(command.command_id, time.monotonic())
        connection.flush(time.monotonic() + self._timeout)

    def _try_transmit(self, connection: Connection, pending: Pending) -> None:
        if pending.sent_over is connection:
            return
        pending.sent(connection)

        def transmit() -> None:
            connection.session.send_command(pending.body)
            connection.flush(time.monotonic() + self._timeout)

        self._guard(transmit)

    def _guard(self, step: Callable[[], None]) -> None:
        try:
            step()
        except SessionError as error:
            self._fail(error)

    def _fail(self, error: SessionError) -> None:
        """Ends the session; the connection is closed by the reading thread, or here when there is none."""
        if self._failure is not None:
            return
        self._failure = error
        if time.monotonic() - self._adopted_at >= STABLE_SECONDS:
            self._logon_failures = 0
        self._schedule_logon(error)
        if self._connection is not None:
            self._connection.interrupt()
        if not self._reading:
            self._drop_connection()
        self._lock.notify_all()

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _will_recover(self) -> bool:
        return (
            self._policy is not None
            and self._failure is not None
            and self._policy.delay(self._logon_failures, self._failure) is not None
        )

    def _schedule_logon(self, error: SessionError) -> None:
        delay = None if self._policy is None else self._policy.delay(self._logon_failures, error)
        self._retry_at = time.monotonic() + (delay or 0.0)

    def _recover(self, deadline: float) -> None:
        """As the reading thread: waits until the next logon is due and tries it; gives up at the deadline, and goes
        on where it stopped when it is called again."""
        self._drop_connection()
        if time.monotonic() < self._retry_at:
            self._lock.wait(_seconds_until(min(deadline, self._retry_at)))
            return
        self._logon_failures += 1
        try:
            self._log_on_again(True, time.monotonic() + self._timeout)
        except ClientClosed:
            return
        except SessionError as error:
            self._failure = error
            self._drop_connection()
            self._schedule_logon(error)

    def _raise_if_closed(self) -> None:
        if self._closed:
            raise ClientClosed("the client was disconnected by its own program")

    def _end(self, polite: bool) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            connection = self._connection
            if connection is not None and self._failure is None and polite:
                self._say_goodbye(connection)
            if connection is not None:
                connection.interrupt()
            if not self._reading:
                self._drop_connection()
            self._lock.notify_all()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(self._timeout)

    def _say_goodbye(self, connection: Connection) -> None:
        deadline = time.monotonic() + GOODBYE_SECONDS
        connection.session.send_goodbye()
        try:
            connection.flush(deadline)
            connection.finish()
            self._take_reading(deadline)
        except ConnectionLost:
            return
        connection.drain(deadline)
        self._release_reading()

    def _start_thread(self) -> None:
        if self._wants_thread and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self._keep_alive, name="tollgate-heartbeat", daemon=True)
            self._thread.start()

    def _keep_alive(self) -> None:
        """Without the lock: the heartbeat thread. What fails here is raised by the next call of the program."""
        with self._lock:
            try:
                self._wait(lambda: False, float("inf"))
            except SessionError:
                pass


def _seconds_until(deadline: float) -> Optional[float]:
    return None if deadline == float("inf") else max(deadline - time.monotonic(), 0.0)
