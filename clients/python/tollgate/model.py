"""The words of the protocol: commands, events, answers.

Prices, quantities and amounts are :class:`decimal.Decimal`; floats are refused with ``TypeError``. Times are
nanoseconds since 1970-01-01 00:00:00 UTC. All values are immutable.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Optional, Tuple, Union

from .codec import exact, exact_or_none
from .codes import Code
from .enums import Durability as Durability
from .enums import OrderStatus as OrderStatus
from .enums import OrderType as OrderType
from .enums import Owner as Owner
from .enums import Side as Side
from .enums import TimeInForce as TimeInForce
from .enums import TradingState as TradingState
from .errors import CommandRejected
from .reject import Reject as Reject


# Targets and scopes


@dataclass(frozen=True)
class ByCommand:
    """The order that this client's command made."""

    command_id: int


@dataclass(frozen=True)
class ByOrder:
    """The order with the gateway's id."""

    order_id: int


Target = Union[ByCommand, ByOrder]


@dataclass(frozen=True)
class Whole:
    """The whole gateway."""


@dataclass(frozen=True)
class OfAccount:
    """One account."""

    account: str


@dataclass(frozen=True)
class OfSymbol:
    """One symbol, in every account."""

    symbol: str


HaltScope = Union[Whole, OfAccount, OfSymbol]

# Actions


def _make_exact(value: object, *names: str) -> None:
    for name in names:
        number = exact_or_none(getattr(value, name), f"{type(value).__name__}.{name}")
        object.__setattr__(value, name, number)


def _usual_time_in_force(order_type: OrderType, expire_at_ns: int) -> TimeInForce:
    if expire_at_ns:
        return TimeInForce.GOOD_TILL_DATE
    market = order_type is OrderType.MARKET
    return TimeInForce.IMMEDIATE_OR_CANCEL if market else TimeInForce.GOOD_TILL_CANCEL


@dataclass(frozen=True)
class NewOrder:
    """Place an order. ``price`` with limit and stop-limit orders, ``stop_price`` with stop and stop-limit orders;
    ``expire_at_ns`` with ``GOOD_TILL_DATE``, else 0; ``position_ticket`` on hedging accounts, else 0.

    Without ``time_in_force`` it is what ``tollgate send`` takes too: ``GOOD_TILL_DATE`` with ``expire_at_ns``, else
    ``IMMEDIATE_OR_CANCEL`` for a market order and ``GOOD_TILL_CANCEL`` for others."""

    symbol: str
    side: Side
    order_type: OrderType
    quantity: Decimal
    price: Optional[Decimal] = None
    stop_price: Optional[Decimal] = None
    time_in_force: Optional[TimeInForce] = None
    expire_at_ns: int = 0
    reduce_only: bool = False
    position_ticket: int = 0
    stop_loss: Optional[Decimal] = None
    take_profit: Optional[Decimal] = None

    def __post_init__(self) -> None:
        if self.time_in_force is None:
            object.__setattr__(self, "time_in_force", _usual_time_in_force(self.order_type, self.expire_at_ns))
        object.__setattr__(self, "quantity", exact(self.quantity, "NewOrder.quantity"))
        _make_exact(self, "price", "stop_price", "stop_loss", "take_profit")


@dataclass(frozen=True)
class Cancel:
    """Cancel one order."""

    target: Target


@dataclass(frozen=True)
class Replace:
    """Change an order; what is None stays as it is. ``quantity`` is the new total, fills included."""

    target: Target
    quantity: Optional[Decimal] = None
    price: Optional[Decimal] = None
    stop_price: Optional[Decimal] = None

    def __post_init__(self) -> None:
        _make_exact(self, "quantity", "price", "stop_price")


@dataclass(frozen=True)
class Close:
    """Close a position by a reduce-only market order: all of it, or ``quantity``."""

    symbol: str
    position_ticket: int = 0
    quantity: Optional[Decimal] = None

    def __post_init__(self) -> None:
        _make_exact(self, "quantity")


@dataclass(frozen=True)
class CancelAll:
    """Cancel every working order of the account, or of one symbol of it."""

    symbol: Optional[str] = None


@dataclass(frozen=True)
class CloseAll:
    """Close every position of the account, or that of one symbol."""

    symbol: Optional[str] = None


@dataclass(frozen=True)
class Halt:
    """Stop trading: ``state`` is ``REDUCING`` or ``HALTED``. Needs the scope *operate*."""

    scope: HaltScope
    state: TradingState
    cancel_working: bool = False
    flatten: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Resume:
    """Let trading go on in a scope that was halted. Needs the scope *operate*."""

    scope: HaltScope
    reason: str = ""


@dataclass(frozen=True)
class OrderQuery:
    """Ask for one order."""

    target: Target


@dataclass(frozen=True)
class OpenOrdersQuery:
    """Ask for the orders that are not final."""

    symbol: Optional[str] = None


@dataclass(frozen=True)
class PositionsQuery:
    """Ask for positions."""

    symbol: Optional[str] = None


@dataclass(frozen=True)
class AccountQuery:
    """Ask for the account's figures."""


@dataclass(frozen=True)
class LimitsQuery:
    """Ask for the limits of this client on the account."""

    symbol: Optional[str] = None


@dataclass(frozen=True)
class InstrumentsQuery:
    """Ask for the instruments that the key may trade."""

    symbol: Optional[str] = None


@dataclass(frozen=True)
class Heartbeat:
    """Say that the client lives."""


Query = Union[OrderQuery, OpenOrdersQuery, PositionsQuery, AccountQuery, LimitsQuery, InstrumentsQuery]
Action = Union[NewOrder, Cancel, Replace, Close, CancelAll, CloseAll, Halt, Resume, Query, Heartbeat]
QUERY_TYPES = (OrderQuery, OpenOrdersQuery, PositionsQuery, AccountQuery, LimitsQuery, InstrumentsQuery)


@dataclass(frozen=True)
class Command:
    """An action with its id and times. To send it again means to send this very value, times included."""

    command_id: int
    created_at_ns: int
    deadline_ns: int
    account: str
    action: Action


# Events


@dataclass(frozen=True)
class Acknowledgement:
    """The command passed every check and is journaled. For a command that makes an order, ``order_id`` is its id."""

    command_id: int
    order_id: int
    durability: Durability


@dataclass(frozen=True)
class Rejection:
    """The gateway refused the command; it never reached the venue."""

    command_id: int
    reject: Reject


@dataclass(frozen=True)
class Accepted:
    """The venue has the order."""

    venue_order_id: int


@dataclass(frozen=True)
class Filled:
    """A fill; the order is final when the report's ``open_quantity`` is 0. ``fee`` is negative for a rebate."""

    trade_id: int
    price: Decimal
    quantity: Decimal
    fee: Decimal
    maker: bool


@dataclass(frozen=True)
class Rejected:
    """The venue refused the order. Final."""

    reason: str


@dataclass(frozen=True)
class Cancelled:
    """The order is cancelled, by whomever. Final."""


@dataclass(frozen=True)
class CancelRejected:
    """The venue refused to cancel; the order stands as it was."""

    reason: str


@dataclass(frozen=True)
class Replaced:
    """The order has changed: its total quantity and prices now."""

    quantity: Decimal
    price: Optional[Decimal]
    stop_price: Optional[Decimal]


@dataclass(frozen=True)
class ReplaceRejected:
    """The venue refused to change the order; it stands as it was."""

    reason: str


@dataclass(frozen=True)
class Expired:
    """The order's time ran out. Final."""


@dataclass(frozen=True)
class Unknown:
    """The order may or may not be at the venue; the gateway is asking. Wait for its next report, and never send it
    again under a new id: there may be two then. It can be cancelled."""

    reason: str


ReportKind = Union[
    Accepted, Filled, Rejected, Cancelled, CancelRejected, Replaced, ReplaceRejected, Expired, Unknown
]


@dataclass(frozen=True)
class Report:
    """What the venue says of an order. ``command_id`` is the command that made the order."""

    command_id: int
    order_id: int
    account: str
    symbol: str
    side: Side
    filled_quantity: Decimal
    open_quantity: Decimal
    kind: ReportKind

    @property
    def final(self) -> bool:
        """Whether nothing more can happen to the order."""
        if isinstance(self.kind, Filled):
            return not self.open_quantity
        return isinstance(self.kind, (Rejected, Cancelled, Expired))

    @property
    def target(self) -> ByOrder:
        """The order, as cancel, replace and query take it."""
        return ByOrder(self.order_id)


@dataclass(frozen=True)
class Unrecognised:
    """A body that this version of the client does not know: newer than it. After one in an event, query orders and
    positions."""

    body: bytes


EventBody = Union[Acknowledgement, Rejection, Report, Unrecognised]


@dataclass(frozen=True)
class Event:
    """What happened to a command or an order. ``event_sequence`` counts this client's events from 1 without gaps,
    over all connections: store that of the last event dealt with, to resume after it."""

    event_sequence: int
    time_ns: int
    body: EventBody


# Answers


@dataclass(frozen=True)
class HeartbeatAnswer:
    """The gateway's time."""

    time_ns: int


@dataclass(frozen=True)
class Repeated:
    """The first answer to a command that came again."""

    event: Event


@dataclass(frozen=True)
class Refused:
    """The command was refused without a place in the journal."""

    reject: Reject


@dataclass(frozen=True)
class OrderState:
    """An order as it stands. ``venue_order_id`` is 0 before it is known."""

    order_id: int
    command_id: int
    account: str
    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal
    filled_quantity: Decimal
    price: Optional[Decimal]
    stop_price: Optional[Decimal]
    status: OrderStatus
    venue_order_id: int

    @property
    def target(self) -> ByOrder:
        """The order, as cancel, replace and query take it."""
        return ByOrder(self.order_id)


@dataclass(frozen=True)
class PositionState:
    """A position: ``quantity`` above 0 is long, below 0 short. Results in the account's currency."""

    account: str
    symbol: str
    quantity: Decimal
    average_price: Decimal
    working_buy_quantity: Decimal
    working_sell_quantity: Decimal
    realised_today: Decimal
    unrealised: Decimal


@dataclass(frozen=True)
class AccountState:
    """An account's figures, in its currency."""

    account: str
    trading_state: TradingState
    realised_today: Decimal
    unrealised: Decimal
    gross_notional: Decimal
    net_notional: Decimal
    open_orders: int
    orders_today: int
    daily_reset_at_ns: int


@dataclass(frozen=True)
class LimitState:
    """A limit and how much of it is used; ``symbol`` is empty when it is for the account."""

    name: str
    symbol: str
    owner: Owner
    limit: Decimal
    used: Decimal


@dataclass(frozen=True)
class InstrumentState:
    """An instrument's rules and last prices; a bound or price of 0 is none."""

    symbol: str
    tick: Decimal
    step: Decimal
    quantity_minimum: Decimal
    quantity_maximum: Decimal
    price_minimum: Decimal
    price_maximum: Decimal
    notional_minimum: Decimal
    bid: Decimal
    ask: Decimal


@dataclass(frozen=True)
class End:
    """All rows of a query are sent."""

    rows: int


Row = Union[OrderState, PositionState, AccountState, LimitState, InstrumentState]
AnswerBody = Union[HeartbeatAnswer, Repeated, Refused, Row, End, Unrecognised]
ROW_TYPES = (OrderState, PositionState, AccountState, LimitState, InstrumentState)


@dataclass(frozen=True)
class Answer:
    """An answer to this session alone."""

    command_id: int
    body: AnswerBody


# Frames of the session itself


@dataclass(frozen=True)
class Signature:
    """The two halves of an Ed25519 signature, which this client cannot check."""

    r: bytes
    s: bytes


@dataclass(frozen=True)
class Welcome:
    """The session stands."""

    session_id: int
    time_ns: int
    heartbeat_interval_ms: int
    heartbeat_timeout_ms: int
    next_event_sequence: int
    durability: Durability
    signature: Optional[Signature] = None


@dataclass(frozen=True)
class Goodbye:
    """The session ends: why, and how long to stay away."""

    code: Code
    retry_after_ms: int


# What a command came to


@dataclass(frozen=True)
class Outcome:
    """The one answer to a command.

    ``reject`` is None when the command was accepted. ``event_sequence`` is the number of the journaled event, if
    there is one. ``repeated``: the command had been answered before, and this is that answer. ``resent``: the
    client sent it more than once. ``rows``: the answer to a query. ``unrecognised_rows``: how many rows more there
    were that this version of the client does not know.
    """

    command_id: int
    order_id: Optional[int] = None
    durability: Optional[Durability] = None
    reject: Optional[Reject] = None
    event_sequence: Optional[int] = None
    time_ns: Optional[int] = None
    repeated: bool = False
    resent: bool = False
    rows: Tuple[Row, ...] = ()
    unrecognised_rows: int = 0

    @property
    def accepted(self) -> bool:
        """Whether the gateway took the command."""
        return self.reject is None

    @property
    def code(self) -> Optional[Code]:
        """Why it was refused; None when it was accepted."""
        return None if self.reject is None else self.reject.code

    @property
    def uncertain(self) -> bool:
        """Whether an earlier sending may have been served although this one was refused: the command was sent more
        than once and is now older than the gateway's memory. Query the order by its command id before anything
        else."""
        return self.resent and self.event_sequence is None and self.code == Code.COMMAND_EXPIRED

    @property
    def target(self) -> Target:
        """The order that the command made, as cancel, replace and query take it."""
        return ByCommand(self.command_id) if self.order_id is None else ByOrder(self.order_id)

    def require(self) -> Outcome:
        """This outcome if the command was accepted; raises :class:`CommandRejected` otherwise."""
        if self.reject is not None:
            raise CommandRejected(self.command_id, self.reject)
        return self


def command_id_text(command_id: int) -> str:
    """A command id as the gateway writes it: decimal below 2^64, a UUID from there on."""
    return str(command_id) if command_id < 1 << 64 else str(uuid.UUID(int=command_id))
