"""The codecs of all bodies: the tables of the protocol."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Optional, Union

from . import model
from .codec import (
    BOOL,
    BYTES32,
    CODE,
    DECIMAL,
    U32,
    U64,
    U128,
    Choice,
    Maybe,
    Plain,
    Struct,
    Text,
    Variant,
    Wrapped,
)

SYMBOL = Text(31, least_bytes=1)
ACCOUNT = Text(15, least_bytes=1)
ACCOUNT_OR_EMPTY = Text(15)
REMARK = Text(63)

SIDE = Plain(model.Side)
ORDER_TYPE = Plain(model.OrderType)
TIME_IN_FORCE = Plain(model.TimeInForce)
TRADING_STATE = Plain(model.TradingState)
DURABILITY = Plain(model.Durability)
OWNER = Plain(model.Owner)
ORDER_STATUS = Plain(model.OrderStatus)

# Commands

TARGET = Choice(
    "Target",
    Variant("Command", Wrapped(model.ByCommand, ("command_id", U128))),
    Variant("Order", Wrapped(model.ByOrder, ("order_id", U64))),
)

HALT_SCOPE = Choice(
    "HaltScope",
    Variant("Whole", Struct(model.Whole)),
    Variant("Account", Wrapped(model.OfAccount, ("account", ACCOUNT))),
    Variant("Symbol", Wrapped(model.OfSymbol, ("symbol", SYMBOL))),
)

NEW_ORDER = Struct(
    model.NewOrder,
    ("symbol", SYMBOL),
    ("side", SIDE),
    ("order_type", ORDER_TYPE),
    ("quantity", DECIMAL),
    ("price", Maybe(DECIMAL)),
    ("stop_price", Maybe(DECIMAL)),
    ("time_in_force", TIME_IN_FORCE),
    ("expire_at_ns", U64),
    ("reduce_only", BOOL),
    ("position_ticket", U64),
    ("stop_loss", Maybe(DECIMAL)),
    ("take_profit", Maybe(DECIMAL)),
)

REPLACE = Struct(
    model.Replace,
    ("target", TARGET),
    ("quantity", Maybe(DECIMAL)),
    ("price", Maybe(DECIMAL)),
    ("stop_price", Maybe(DECIMAL)),
)

CLOSE = Struct(model.Close, ("symbol", SYMBOL), ("position_ticket", U64), ("quantity", Maybe(DECIMAL)))

HALT = Struct(
    model.Halt,
    ("scope", HALT_SCOPE),
    ("state", TRADING_STATE),
    ("cancel_working", BOOL),
    ("flatten", BOOL),
    ("reason", REMARK),
)

QUERY = Choice(
    "Query",
    Variant("Order", Wrapped(model.OrderQuery, ("target", TARGET))),
    Variant("OpenOrders", Struct(model.OpenOrdersQuery, ("symbol", Maybe(SYMBOL)))),
    Variant("Positions", Struct(model.PositionsQuery, ("symbol", Maybe(SYMBOL)))),
    Variant("Account", Struct(model.AccountQuery)),
    Variant("Limits", Struct(model.LimitsQuery, ("symbol", Maybe(SYMBOL)))),
    Variant("Instruments", Struct(model.InstrumentsQuery, ("symbol", Maybe(SYMBOL)))),
)

ACTION = Choice(
    "Action",
    Variant("New", NEW_ORDER),
    Variant("Cancel", Wrapped(model.Cancel, ("target", TARGET))),
    Variant("Replace", REPLACE),
    Variant("Close", CLOSE),
    Variant("CancelAll", Struct(model.CancelAll, ("symbol", Maybe(SYMBOL)))),
    Variant("CloseAll", Struct(model.CloseAll, ("symbol", Maybe(SYMBOL)))),
    Variant("Halt", HALT),
    Variant("Resume", Struct(model.Resume, ("scope", HALT_SCOPE), ("reason", REMARK))),
    Variant("Query", QUERY, *QUERY.types),
    Variant("Heartbeat", Struct(model.Heartbeat)),
)

COMMAND = Struct(
    model.Command,
    ("command_id", U128),
    ("created_at_ns", U64),
    ("deadline_ns", U64),
    ("account", ACCOUNT_OR_EMPTY),
    ("action", ACTION),
)

# Events

ACKNOWLEDGEMENT = Struct(
    model.Acknowledgement, ("command_id", U128), ("order_id", U64), ("durability", DURABILITY)
)

REJECT = Struct(
    model.Reject, ("code", CODE), ("owner", OWNER), ("value", DECIMAL), ("limit", DECIMAL), ("above", DECIMAL)
)

FILLED = Struct(
    model.Filled,
    ("trade_id", U64),
    ("price", DECIMAL),
    ("quantity", DECIMAL),
    ("fee", DECIMAL),
    ("maker", BOOL),
)

REPLACED = Struct(
    model.Replaced, ("quantity", DECIMAL), ("price", Maybe(DECIMAL)), ("stop_price", Maybe(DECIMAL))
)

REPORT_KIND = Choice(
    "ReportKind",
    Variant("Accepted", Struct(model.Accepted, ("venue_order_id", U64))),
    Variant("Filled", FILLED),
    Variant("Rejected", Struct(model.Rejected, ("reason", REMARK))),
    Variant("Cancelled", Struct(model.Cancelled)),
    Variant("CancelRejected", Struct(model.CancelRejected, ("reason", REMARK))),
    Variant("Replaced", REPLACED),
    Variant("ReplaceRejected", Struct(model.ReplaceRejected, ("reason", REMARK))),
    Variant("Expired", Struct(model.Expired)),
    Variant("Unknown", Struct(model.Unknown, ("reason", REMARK))),
)

REPORT = Struct(
    model.Report,
    ("command_id", U128),
    ("order_id", U64),
    ("account", ACCOUNT),
    ("symbol", SYMBOL),
    ("side", SIDE),
    ("filled_quantity", DECIMAL),
    ("open_quantity", DECIMAL),
    ("kind", REPORT_KIND),
)

EVENT_BODY = Choice(
    "EventBody",
    Variant("Acknowledged", ACKNOWLEDGEMENT),
    Variant("Rejected", Struct(model.Rejection, ("command_id", U128), ("reject", REJECT))),
    Variant("Report", REPORT),
)

EVENT = Struct(model.Event, ("event_sequence", U64), ("time_ns", U64), ("body", EVENT_BODY))

# Answers

ORDER_STATE = Struct(
    model.OrderState,
    ("order_id", U64),
    ("command_id", U128),
    ("account", ACCOUNT),
    ("symbol", SYMBOL),
    ("side", SIDE),
    ("order_type", ORDER_TYPE),
    ("time_in_force", TIME_IN_FORCE),
    ("quantity", DECIMAL),
    ("filled_quantity", DECIMAL),
    ("price", Maybe(DECIMAL)),
    ("stop_price", Maybe(DECIMAL)),
    ("status", ORDER_STATUS),
    ("venue_order_id", U64),
)

POSITION_STATE = Struct(
    model.PositionState,
    ("account", ACCOUNT),
    ("symbol", SYMBOL),
    ("quantity", DECIMAL),
    ("average_price", DECIMAL),
    ("working_buy_quantity", DECIMAL),
    ("working_sell_quantity", DECIMAL),
    ("realised_today", DECIMAL),
    ("unrealised", DECIMAL),
)

ACCOUNT_STATE = Struct(
    model.AccountState,
    ("account", ACCOUNT),
    ("trading_state", TRADING_STATE),
    ("realised_today", DECIMAL),
    ("unrealised", DECIMAL),
    ("gross_notional", DECIMAL),
    ("net_notional", DECIMAL),
    ("open_orders", U32),
    ("orders_today", U64),
    ("daily_reset_at_ns", U64),
)

LIMIT_STATE = Struct(
    model.LimitState,
    ("name", Text(31)),
    ("symbol", Text(31)),
    ("owner", OWNER),
    ("limit", DECIMAL),
    ("used", DECIMAL),
)

INSTRUMENT_STATE = Struct(
    model.InstrumentState,
    ("symbol", SYMBOL),
    ("tick", DECIMAL),
    ("step", DECIMAL),
    ("quantity_minimum", DECIMAL),
    ("quantity_maximum", DECIMAL),
    ("price_minimum", DECIMAL),
    ("price_maximum", DECIMAL),
    ("notional_minimum", DECIMAL),
    ("bid", DECIMAL),
    ("ask", DECIMAL),
)

ANSWER_BODY = Choice(
    "AnswerBody",
    Variant("Heartbeat", Struct(model.HeartbeatAnswer, ("time_ns", U64))),
    Variant("Repeated", Wrapped(model.Repeated, ("event", EVENT))),
    Variant("Refused", Wrapped(model.Refused, ("reject", REJECT))),
    Variant("Order", ORDER_STATE),
    Variant("Position", POSITION_STATE),
    Variant("Account", ACCOUNT_STATE),
    Variant("Limit", LIMIT_STATE),
    Variant("Instrument", INSTRUMENT_STATE),
    Variant("End", Struct(model.End, ("rows", U32))),
)

ANSWER = Struct(model.Answer, ("command_id", U128), ("body", ANSWER_BODY))

# Logon and goodbye


class Mac(IntEnum):
    """The MAC of a session."""

    HMAC_SHA256 = 0
    BLAKE3 = 1


@dataclass(frozen=True)
class Hello:
    """The client's first frame."""

    key_id: str
    mac: Mac
    nonce: bytes
    ephemeral: Optional[bytes]
    resume_after: Optional[int]
    software: str


@dataclass(frozen=True)
class Challenge:
    """The gateway's first frame."""

    nonce: bytes
    ephemeral: Optional[bytes]
    gateway: str


@dataclass(frozen=True)
class HmacProof:
    """The proof of an HMAC key."""

    tag: bytes


@dataclass(frozen=True)
class Ed25519Proof:
    """The proof of an Ed25519 key, which this client cannot make."""

    r: bytes
    s: bytes


Proof = Union[HmacProof, Ed25519Proof]


MAC = Plain(Mac)
SIGNATURE = Struct(model.Signature, ("r", BYTES32), ("s", BYTES32))

HELLO = Struct(
    Hello,
    ("key_id", SYMBOL),
    ("mac", MAC),
    ("nonce", BYTES32),
    ("ephemeral", Maybe(BYTES32)),
    ("resume_after", Maybe(U64)),
    ("software", Text(31)),
)

CHALLENGE = Struct(Challenge, ("nonce", BYTES32), ("ephemeral", Maybe(BYTES32)), ("gateway", Text(31)))

PROOF = Choice(
    "Proof",
    Variant("Hmac", Wrapped(HmacProof, ("tag", BYTES32))),
    Variant("Ed25519", Struct(Ed25519Proof, ("r", BYTES32), ("s", BYTES32))),
)

WELCOME = Struct(
    model.Welcome,
    ("session_id", U64),
    ("time_ns", U64),
    ("heartbeat_interval_ms", U32),
    ("heartbeat_timeout_ms", U32),
    ("next_event_sequence", U64),
    ("durability", DURABILITY),
    ("signature", Maybe(SIGNATURE)),
)

GOODBYE = Struct(model.Goodbye, ("code", CODE), ("retry_after_ms", U32))
