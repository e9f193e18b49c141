"""What stands over all connections of a client: unanswered commands and the place in the stream of events.

Shared by the blocking and the asyncio client; without I/O, clocks or locks.
"""

from __future__ import annotations

import random
import secrets
import threading
from collections import deque
from dataclasses import dataclass
from typing import Deque, Dict, List, Optional, Tuple

from . import bodies, model
from .codec import decode, encode
from .codes import Code
from .errors import EncodeError, EventGap, EventsOverflow, ProtocolError, SessionError
from .wire import Message

EVENTS_MAX = 65_536
# A session that ends sooner counts as a failed logon, so that a client does not come back in a tight loop.
STABLE_SECONDS = 10.0


class CommandIds:
    """Unique command ids: 64 random bits of this instance, then a counter. Thread-safe."""

    def __init__(self, instance: Optional[int] = None) -> None:
        """``instance``: 64 bits that no other instance of the same client ever uses; random without it."""
        # Never 0, so that every id lies above 2^64 and is written as a UUID.
        self._instance = secrets.randbits(64) | 1 << 63 if instance is None else instance
        if not 0 <= self._instance < 1 << 64:
            raise EncodeError(f"the instance of command ids is {instance}; it must fit 64 bits")
        self._count = 0
        self._lock = threading.Lock()

    def next(self) -> int:
        """A new id."""
        with self._lock:
            self._count += 1
            return self._instance << 64 | self._count


@dataclass(frozen=True)
class Reconnect:
    """How a client logs on again by itself after its session failed.

    It waits ``first_delay`` seconds, each time twice as long up to ``longest_delay``, and never less than the gateway
    asks for. ``attempts``: how many logons in a row may fail; None for no end. A session that stands for less than ten
    seconds counts as a failed logon.
    """

    first_delay: float = 1.0
    longest_delay: float = 30.0
    attempts: Optional[int] = None

    def delay(self, failures: int, error: SessionError) -> Optional[float]:
        """Seconds to wait before the next logon after ``failures`` failed ones, the last by ``error``; None to give
        up. The first logon after a connection broke is tried at once, unless the gateway asked to wait."""
        if not error.recoverable or (self.attempts is not None and failures >= self.attempts):
            return None
        asked = error.retry_after_ms / 1000
        if failures == 0:
            return asked
        delay = min(self.first_delay * 2.0 ** min(failures - 1, 16), self.longest_delay)
        # Many clients of one gateway should not come back in the same moment.
        return max(delay, asked) * (1 + random.random() / 4)


def encode_command(command: model.Command) -> bytes:
    """The bytes of a command's body, to keep it beyond the life of the program."""
    return encode(bodies.COMMAND, command)


def decode_command(body: bytes) -> model.Command:
    """The command that :func:`encode_command` wrote; it encodes to the same bytes again."""
    return decode(bodies.COMMAND, body)


class Pending:
    """A command without an answer yet."""

    def __init__(self, command: model.Command) -> None:
        self.command = command
        self.body = encode_command(command)
        self.sendings = 0
        self.sent_over: Optional[object] = None
        self.rows: List[model.Row] = []
        self.unrecognised_rows = 0
        self.outcome: Optional[model.Outcome] = None

    @property
    def is_order_command(self) -> bool:
        """Whether the command may change something, so that its outcome matters beyond the session."""
        return not isinstance(self.command.action, (*model.QUERY_TYPES, model.Heartbeat))

    def sent(self, connection: object) -> None:
        """Notes that the command is being sent (again) over a connection: rows come from the start."""
        self.sendings += 1
        self.sent_over = connection
        self.rows.clear()
        self.unrecognised_rows = 0


class Conversation:
    """Matches answers with commands and checks the numbers of events."""

    def __init__(self, resume_after: Optional[int], events_max: int = EVENTS_MAX) -> None:
        """``events_max``: how many events may wait to be taken; 0 to keep none."""
        self._events_max = events_max
        self._pending: Dict[int, Pending] = {}
        self._heartbeats: Dict[int, float] = {}
        self.events: Deque[model.Event] = deque()
        self.received_event_sequence = resume_after
        self.taken_event_sequence = resume_after
        self.unrecognised_frames = 0

    @property
    def unanswered(self) -> Tuple[Pending, ...]:
        """Commands without an answer, in the order in which they were made."""
        return tuple(pending for pending in self._pending.values() if pending.outcome is None)

    def open(self, command: model.Command) -> Pending:
        """Notes a command that is about to be sent; a command that waits already is given as it stands."""
        found = self._pending.get(command.command_id)
        if found is not None:
            if found.command != command:
                raise EncodeError(f"command id {command.command_id} is in use by another command without an answer")
            return found
        pending = Pending(command)
        self._pending[command.command_id] = pending
        return pending

    def find(self, command_id: int) -> Optional[Pending]:
        """The command with the id, if it is still here."""
        return self._pending.get(command_id)

    def forget(self, command_id: int) -> None:
        """Drops a command, answered or not."""
        self._pending.pop(command_id, None)

    def welcome(self, welcome: model.Welcome, resume_after: Optional[int]) -> None:
        """Begins a session that was asked to resume after an event, or not to. Raises :class:`EventGap`."""
        self._heartbeats.clear()
        if welcome.next_event_sequence == 0:
            raise ProtocolError(
                Code.FRAME_BODY, "the welcome says that the next event is number 0; events are counted from 1"
            )
        if resume_after is not None and welcome.next_event_sequence != resume_after + 1:
            raise EventGap(
                f"events after {resume_after} were asked for, and the first to come is {welcome.next_event_sequence}"
            )
        self.received_event_sequence = welcome.next_event_sequence - 1
        if not self.events and (self.taken_event_sequence is None or resume_after is None):
            self.taken_event_sequence = self.received_event_sequence

    def heartbeat_sent(self, command_id: int, now: float) -> None:
        """Notes a heartbeat that the client sent by itself."""
        self._heartbeats[command_id] = now

    @property
    def oldest_heartbeat(self) -> Optional[float]:
        """When the oldest heartbeat without an answer was sent."""
        return min(self._heartbeats.values(), default=None)

    def accept(self, message: Message) -> Optional[Pending]:
        """Deals with an event or an answer; gives the command that it answered, if it did."""
        if isinstance(message, model.Event):
            return self._accept_event(message)
        if isinstance(message, model.Answer):
            return self._accept_answer(message)
        raise AssertionError("a session has one welcome")

    def take_event(self) -> Optional[model.Event]:
        """The next event that waits."""
        if not self.events:
            return None
        event = self.events.popleft()
        self.taken_event_sequence = event.event_sequence
        return event

    def _accept_event(self, event: model.Event) -> Optional[Pending]:
        expected = (self.received_event_sequence or 0) + 1
        if event.event_sequence != expected:
            raise EventGap(f"event {event.event_sequence} came, and {expected} is the next one")
        if self._events_max and len(self.events) >= self._events_max:
            raise EventsOverflow(
                f"{self._events_max} events wait and nobody takes them: take them, or connect with events_max=0"
            )
        self.received_event_sequence = event.event_sequence
        if self._events_max:
            self.events.append(event)
        else:
            self.taken_event_sequence = event.event_sequence
        if isinstance(event.body, model.Unrecognised):
            self.unrecognised_frames += 1
            return None
        return self._settle_by_event(event, repeated=False)

    def _settle_by_event(self, event: model.Event, repeated: bool) -> Optional[Pending]:
        body = event.body
        if not isinstance(body, (model.Acknowledgement, model.Rejection)):
            return None
        pending = self._pending.get(body.command_id)
        # Another session of this client may have used the id long ago, with an answer that is now resumed past.
        if pending is None or pending.outcome is not None or not pending.is_order_command:
            return None
        acknowledgement = body if isinstance(body, model.Acknowledgement) else None
        pending.outcome = model.Outcome(
            command_id=body.command_id,
            order_id=acknowledgement.order_id if acknowledgement else None,
            durability=acknowledgement.durability if acknowledgement else None,
            reject=body.reject if isinstance(body, model.Rejection) else None,
            event_sequence=event.event_sequence,
            time_ns=event.time_ns,
            repeated=repeated,
            resent=pending.sendings > 1,
        )
        return pending

    def _accept_answer(self, answer: model.Answer) -> Optional[Pending]:
        body = answer.body
        if isinstance(body, model.Unrecognised):
            self.unrecognised_frames += 1
        if self._heartbeats.pop(answer.command_id, None) is not None:
            return None
        pending = self._pending.get(answer.command_id)
        if pending is None or pending.outcome is not None:
            return None
        if isinstance(body, model.Unrecognised):
            pending.unrecognised_rows += 1
            return None
        if isinstance(body, model.ROW_TYPES):
            pending.rows.append(body)
            return None
        if isinstance(body, model.Repeated):
            return self._settle_by_event(body.event, repeated=True)
        rows = len(pending.rows) + pending.unrecognised_rows
        if isinstance(body, model.End) and body.rows != rows:
            raise ProtocolError(Code.FRAME_BODY, f"a query ended with {body.rows} rows announced and {rows} sent")
        pending.outcome = model.Outcome(
            command_id=answer.command_id,
            reject=body.reject if isinstance(body, model.Refused) else None,
            time_ns=body.time_ns if isinstance(body, model.HeartbeatAnswer) else None,
            resent=pending.sendings > 1,
            rows=tuple(pending.rows),
            unrecognised_rows=pending.unrecognised_rows,
        )
        return pending
