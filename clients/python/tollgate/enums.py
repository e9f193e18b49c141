"""The enums of the protocol whose variants have no fields."""

from __future__ import annotations

from enum import IntEnum


class Side(IntEnum):
    """Which way an order goes."""

    BUY = 0
    SELL = 1


class OrderType(IntEnum):
    """How an order is priced."""

    MARKET = 0
    LIMIT = 1
    STOP = 2
    STOP_LIMIT = 3


class TimeInForce(IntEnum):
    """How long an order works."""

    GOOD_TILL_CANCEL = 0
    IMMEDIATE_OR_CANCEL = 1
    FILL_OR_KILL = 2
    GOOD_TILL_DATE = 3
    POST_ONLY = 4


class TradingState(IntEnum):
    """What is served: all, only what makes positions smaller, only cancels and closes."""

    ACTIVE = 0
    REDUCING = 1
    HALTED = 2


class Durability(IntEnum):
    """What a record survives: nothing, the end of the process, a power loss."""

    NONE = 0
    PROCESS = 1
    DISK = 2


class Owner(IntEnum):
    """Whose rule refused a command."""

    GATEWAY = 0
    FIRM = 1
    ACCOUNT = 2
    CLIENT = 3
    SYMBOL = 4
    VENUE = 5
    SESSION = 6


class OrderStatus(IntEnum):
    """Where an order stands."""

    SENT = 0
    WORKING = 1
    PARTIALLY_FILLED = 2
    FILLED = 3
    CANCELLED = 4
    REJECTED = 5
    EXPIRED = 6
    UNKNOWN = 7

    @property
    def final(self) -> bool:
        """Whether nothing more can happen to the order."""
        return self in (OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED)
