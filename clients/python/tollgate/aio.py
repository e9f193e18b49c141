"""The asyncio client."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Any, AsyncIterator, Coroutine, Dict, List, Optional, Tuple, Type, Union

from . import model
from .commands import Commands
from .conversation import EVENTS_MAX, STABLE_SECONDS, CommandIds, Conversation, Pending, Reconnect
from .errors import AnswerTimeout, ClientClosed, ConnectionLost, SessionError, reason_of
from .rows import row_of, rows_of
from .version import SOFTWARE
from .wire import ClientSession, Secret

RECEIVE_BYTES = 65_536
TIMEOUT = 10.0
# How long the gateway may take to close after a goodbye.
GOODBYE_SECONDS = 1.0


class AsyncConnection:
    """A stream and its session."""

    def __init__(self, session: ClientSession, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.session = session
        self._reader = reader
        self._writer = writer
        self.last_sent_at = time.monotonic()
        self.fault: Optional[SessionError] = None

    @classmethod
    async def open(cls, address: Tuple[str, int], session: ClientSession) -> AsyncConnection:
        """Connects; asyncio sets TCP_NODELAY. Raises :class:`~tollgate.ConnectionLost`."""
        try:
            reader, writer = await asyncio.open_connection(*address)
        except OSError as error:
            raise ConnectionLost(f"cannot connect to {address[0]}:{address[1]}: {reason_of(error)}") from None
        return cls(session, reader, writer)

    async def log_on(self) -> model.Welcome:
        """Hello to welcome. Raises :class:`~tollgate.SessionError`."""
        self.session.start()
        while True:
            self.flush()
            self.session.feed(await self.read())
            message = self.session.next_message()
            if message is not None:
                assert isinstance(message, model.Welcome), "a logon ends with a welcome"
                return message

    async def read(self) -> bytes:
        """What comes next. Raises :class:`~tollgate.ConnectionLost`."""
        try:
            data = await self._reader.read(RECEIVE_BYTES)
        except OSError as error:
            raise self.fault or ConnectionLost(f"the connection to the gateway broke: {reason_of(error)}") from None
        if not data:
            raise self.fault or ConnectionLost("the gateway closed the connection without a goodbye")
        return data

    def flush(self) -> None:
        """Hands what the session has written to the transport."""
        data = self.session.take_output()
        if data:
            self._writer.write(data)
            self.last_sent_at = time.monotonic()

    async def drained(self) -> None:
        """Waits while too much is on its way to the gateway."""
        try:
            await self._writer.drain()
        except OSError:
            # The reading task finds the same, and deals with it.
            pass

    async def leave(self) -> None:
        """Waits until the goodbye is sent and the gateway has closed, so that no reset overtakes it."""
        try:
            if self._writer.can_write_eof():
                self._writer.write_eof()
            while True:
                await self.read()
        except (OSError, SessionError):
            pass

    def abort(self, fault: Optional[SessionError] = None) -> None:
        """Breaks the connection; ``fault`` is what its reader raises then."""
        self.fault = self.fault or fault
        self._writer.transport.abort()


class AsyncClient(Commands["Coroutine[Any, Any, model.Outcome]"]):
    """A client for asyncio: :meth:`connect`, then the methods of :class:`~tollgate.commands.Commands`, awaited.

    A task reads and another sends heartbeats for as long as the client is connected. All methods belong to the event
    loop on which it was connected.

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
        self._connection: Optional[AsyncConnection] = None
        self._welcome: Optional[model.Welcome] = None
        self._closed = False
        self._failure: Optional[SessionError] = None
        self._logon_failures = 0
        self._adopted_at = 0.0
        self._task: Optional[asyncio.Task[None]] = None
        self._command_waiters: Dict[int, List[asyncio.Future[None]]] = {}
        self._event_waiters: List[asyncio.Future[None]] = []

    @classmethod
    async def connect(
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
        reconnect: Optional[Reconnect] = None,
        events_max: int = EVENTS_MAX,
        command_ids: Optional[CommandIds] = None,
    ) -> AsyncClient:
        """Connects and logs on; the parameters are those of :meth:`tollgate.Client.connect`.

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
            reconnect=reconnect,
            events_max=events_max,
            command_ids=command_ids,
        )
        connection, welcome = await client._open(resume_after)
        client._adopt(connection, welcome, resume_after)
        client._start(connection)
        return client

    def __repr__(self) -> str:
        state = "closed" if self._closed else "failed" if self._failure else "standing"
        return f"AsyncClient({self._address[0]}:{self._address[1]}, key_id={self._key_id!r}, {state})"

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if kind is None:
            await self.disconnect()
        else:
            await self.abort()

    # What stands

    @property
    def welcome(self) -> Optional[model.Welcome]:
        """The welcome of the last session: heartbeat times, durability, session id."""
        return self._welcome

    @property
    def last_event_sequence(self) -> Optional[int]:
        """The number of the last event that was taken from :meth:`events`: what to give as ``resume_after`` to a
        new client once that event is dealt with."""
        return self._conversation.taken_event_sequence

    @property
    def unanswered(self) -> Tuple[model.Command, ...]:
        """Commands without an answer: they may or may not have been served."""
        return tuple(pending.command for pending in self._conversation.unanswered)

    @property
    def unrecognised_frames(self) -> int:
        """How many frames came that this version of the client does not know. Above 0: update the client."""
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

    async def execute(
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
        if self._connection is not None:
            await self._connection.drained()
        return await self.wait(command.command_id, timeout)

    def send(self, command: model.Command) -> int:
        """Sends a command without waiting, or the same one again; gives its id for :meth:`wait`.

        With ``reconnect`` set, a command that is given while there is no session is sent by the next one."""
        self._raise_if_unusable()
        pending = self._conversation.open(command)
        if self._connection is not None:
            self._transmit(self._connection, pending)
        return command.command_id

    async def wait(self, command_id: int, timeout: Optional[float] = None) -> model.Outcome:
        """Waits for the answer to a command that was sent. Raises :class:`~tollgate.AnswerTimeout`, after which it
        may be called again, and :class:`~tollgate.SessionError`, after which it may be called again once
        :meth:`reconnect` has been; not for queries and heartbeats, which are given up then."""
        seconds = self._timeout if timeout is None else timeout
        pending = self._conversation.find(command_id)
        if pending is None:
            raise KeyError(f"command {command_id} was not sent by this client, or its answer was taken")
        waiters = self._command_waiters.setdefault(command_id, [])
        keep = pending.is_order_command
        try:
            if pending.outcome is None and not await self._until(waiters, seconds):
                raise AnswerTimeout(command_id, seconds)
            assert pending.outcome is not None
            keep = False
            return pending.outcome
        finally:
            if not waiters:
                self._command_waiters.pop(command_id, None)
            if not keep:
                self._conversation.forget(command_id)

    # Queries

    async def query_order(
        self, target: model.Target, *, account: Optional[str] = None, timeout: Optional[float] = None
    ) -> model.OrderState:
        """One order. Raises :class:`~tollgate.CommandRejected` when it is unknown."""
        return row_of(await self._query(model.OrderQuery(target), account, timeout), model.OrderState)

    async def query_open_orders(
        self, symbol: Optional[str] = None, *, account: Optional[str] = None, timeout: Optional[float] = None
    ) -> List[model.OrderState]:
        """The orders that are not final."""
        return rows_of(await self._query(model.OpenOrdersQuery(symbol), account, timeout), model.OrderState)

    async def query_positions(
        self, symbol: Optional[str] = None, *, account: Optional[str] = None, timeout: Optional[float] = None
    ) -> List[model.PositionState]:
        """The positions."""
        return rows_of(await self._query(model.PositionsQuery(symbol), account, timeout), model.PositionState)

    async def query_account(
        self, *, account: Optional[str] = None, timeout: Optional[float] = None
    ) -> model.AccountState:
        """The account's figures."""
        return row_of(await self._query(model.AccountQuery(), account, timeout), model.AccountState)

    async def query_limits(
        self, symbol: Optional[str] = None, *, account: Optional[str] = None, timeout: Optional[float] = None
    ) -> List[model.LimitState]:
        """The limits of this client on the account."""
        return rows_of(await self._query(model.LimitsQuery(symbol), account, timeout), model.LimitState)

    async def query_instruments(
        self, symbol: Optional[str] = None, *, account: Optional[str] = None, timeout: Optional[float] = None
    ) -> List[model.InstrumentState]:
        """The instruments that the key may trade."""
        return rows_of(
            await self._query(model.InstrumentsQuery(symbol), account, timeout), model.InstrumentState
        )

    async def _query(self, query: model.Query, account: Optional[str], timeout: Optional[float]) -> model.Outcome:
        return await self.execute(query, account=account, timeout=timeout)

    # Events

    async def next_event(self, timeout: Optional[float] = None) -> Optional[model.Event]:
        """The next event; None when none comes within ``timeout`` seconds (None: for ever). Events that had come
        are given before the failure of a session is raised."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            event = self._conversation.take_event()
            if event is not None:
                return event
            seconds = None if deadline is None else deadline - time.monotonic()
            if not await self._until(self._event_waiters, seconds):
                return self._conversation.take_event()

    async def events(self, timeout: Optional[float] = None) -> AsyncIterator[model.Event]:
        """Events as they come, until none comes within ``timeout`` seconds (None: for ever)."""
        while True:
            event = await self.next_event(timeout)
            if event is None:
                return
            yield event

    # Leaving and coming back

    async def disconnect(self) -> None:
        """Leaves politely: orders stay as they are. The client cannot be used again; calling it twice is fine."""
        connection, polite = self._connection, not self._closed and self._failure is None
        self._closed = True
        if connection is not None and polite:
            connection.session.send_goodbye()
            connection.flush()
        await self._stop()
        if connection is not None and polite:
            await self._within(connection.leave(), GOODBYE_SECONDS)
        self._drop()

    async def abort(self) -> None:
        """Breaks the connection without a goodbye: the gateway cancels working orders where it is set to."""
        self._closed = True
        self._drop()
        await self._stop()

    async def reconnect(self, *, resume: bool = True) -> None:
        """Logs on anew: resumes after the last event received, matches what comes with unanswered commands, and
        sends those still without an answer again, unchanged.

        ``resume=False`` gives up the events that were missed; query orders and positions then. Raises
        :class:`~tollgate.SessionError`; :class:`~tollgate.ResumeUnavailable` when only ``resume=False`` can help.
        """
        if self._closed:
            raise _closed()
        await self._stop()
        try:
            connection = await self._log_on_again(resume)
        except SessionError as error:
            self._fail(error)
            raise
        self._start(connection)

    # The inside

    async def _open(self, resume_after: Optional[int]) -> Tuple[AsyncConnection, model.Welcome]:
        opened: List[AsyncConnection] = []

        async def logged_on() -> model.Welcome:
            session = ClientSession(self._key_id, self._secret, resume_after, self._software)
            opened.append(await AsyncConnection.open(self._address, session))
            return await opened[0].log_on()

        try:
            welcome = await asyncio.wait_for(logged_on(), self._timeout)
            return opened[0], welcome
        except BaseException as error:
            for connection in opened:
                connection.abort()
            if isinstance(error, asyncio.TimeoutError):
                raise ConnectionLost(f"the logon was not completed within {self._timeout:g} s") from None
            raise

    def _adopt(self, connection: AsyncConnection, welcome: model.Welcome, resume_after: Optional[int]) -> None:
        try:
            self._conversation.welcome(welcome, resume_after)
            self._welcome = welcome
            self._adopted_at = time.monotonic()
            self._failure = None
            # What came in one piece with the welcome.
            self._deal_with(connection, b"")
        except SessionError:
            connection.abort()
            raise

    async def _log_on_again(self, resume: bool) -> AsyncConnection:
        self._drop()
        resume_after = self._conversation.received_event_sequence if resume else None
        connection, welcome = await self._open(resume_after)
        try:
            self._adopt(connection, welcome, resume_after)
            await asyncio.wait_for(self._catch_up(connection), self._timeout)
        except BaseException as error:
            connection.abort()
            if isinstance(error, asyncio.TimeoutError):
                raise ConnectionLost("the missed events did not come in time") from None
            raise
        for pending in self._conversation.unanswered:
            self._transmit(connection, pending)
        return connection

    async def _catch_up(self, connection: AsyncConnection) -> None:
        """Takes the events that were missed. They come before the answer to the heartbeat; were one to come later,
        nothing would be lost: a command may be sent at any time again."""
        self._send_heartbeat(connection)
        while self._conversation.oldest_heartbeat is not None:
            self._deal_with(connection, await connection.read())

    def _start(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._failure = None
        self._task = asyncio.get_running_loop().create_task(self._run(connection), name="tollgate-client")

    async def _run(self, connection: AsyncConnection) -> None:
        """The task of the client: sessions, one after another, until one cannot be recovered."""
        current: Optional[AsyncConnection] = connection
        while current is not None:
            error = await self._serve(current)
            self._drop()
            if time.monotonic() - self._adopted_at >= STABLE_SECONDS:
                self._logon_failures = 0
            current = await self._recover(error)

    async def _serve(self, connection: AsyncConnection) -> SessionError:
        heartbeats = asyncio.get_running_loop().create_task(self._keep_alive(connection))
        try:
            while True:
                self._deal_with(connection, await connection.read())
        except SessionError as error:
            return error
        finally:
            heartbeats.cancel()

    async def _recover(self, error: SessionError) -> Optional[AsyncConnection]:
        while True:
            delay = None if self._policy is None else self._policy.delay(self._logon_failures, error)
            if delay is None or self._closed:
                self._fail(error)
                return None
            await asyncio.sleep(delay)
            self._logon_failures += 1
            try:
                connection = await self._log_on_again(True)
            except SessionError as failure:
                error = failure
                continue
            self._connection = connection
            # Commands that came while the missed events were read.
            for pending in self._conversation.unanswered:
                self._transmit(connection, pending)
            return connection

    async def _keep_alive(self, connection: AsyncConnection) -> None:
        welcome = self._welcome
        assert welcome is not None, "a session stands"
        interval = welcome.heartbeat_interval_ms / 1000 * 0.9
        timeout = welcome.heartbeat_timeout_ms / 1000
        while True:
            await asyncio.sleep(max(connection.last_sent_at + interval - time.monotonic(), 0.001))
            oldest = self._conversation.oldest_heartbeat
            if oldest is not None and time.monotonic() - oldest > timeout:
                connection.abort(ConnectionLost(f"the gateway was silent for {welcome.heartbeat_timeout_ms} ms"))
                return
            if time.monotonic() >= connection.last_sent_at + interval:
                self._send_heartbeat(connection)

    def _send_heartbeat(self, connection: AsyncConnection) -> None:
        command = self.command(model.Heartbeat())
        connection.session.send_command(Pending(command).body)
        self._conversation.heartbeat_sent(command.command_id, time.monotonic())
        connection.flush()

    def _transmit(self, connection: AsyncConnection, pending: Pending) -> None:
        if pending.sent_over is connection:
            return
        pending.sent(connection)
        connection.session.send_command(pending.body)
        connection.flush()

    def _deal_with(self, connection: AsyncConnection, data: bytes) -> None:
        connection.session.feed(data)
        try:
            while True:
                message = connection.session.next_message()
                if message is None:
                    return
                settled = self._conversation.accept(message)
                if settled is not None:
                    _wake(self._command_waiters.get(settled.command.command_id, []))
        finally:
            if self._conversation.events:
                _wake(self._event_waiters)

    async def _until(self, waiters: List[asyncio.Future[None]], seconds: Optional[float]) -> bool:
        """Waits to be woken; False when the time passes. Raises what ended the session."""
        self._raise_if_unusable()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters.append(future)
        try:
            await asyncio.wait([future], timeout=None if seconds is None else max(seconds, 0.0))
            if not future.done():
                return False
            future.result()
            return True
        finally:
            waiters.remove(future)
            future.cancel()

    def _fail(self, error: SessionError) -> None:
        self._failure = error
        for waiters in (*self._command_waiters.values(), self._event_waiters):
            for future in waiters:
                if not future.done():
                    future.set_exception(error)

    def _raise_if_unusable(self) -> None:
        if self._closed:
            raise _closed()
        if self._failure is not None:
            raise self._failure.with_traceback(None)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    async def _stop(self) -> None:
        """Ends the client's task, and whoever waits when the client is closed."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        if self._closed:
            self._fail(_closed())

    @staticmethod
    async def _within(step: Coroutine[Any, Any, None], seconds: float) -> None:
        try:
            await asyncio.wait_for(step, seconds)
        except asyncio.TimeoutError:
            pass


def _wake(waiters: List[asyncio.Future[None]]) -> None:
    for future in waiters:
        if not future.done():
            future.set_result(None)


def _closed() -> ClientClosed:
    return ClientClosed("the client was disconnected by its own program")
