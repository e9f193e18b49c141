"""The codes of rejects, refusals and goodbyes: stable numbers with stable names.

Compare codes, not the words of :attr:`Code.meaning`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Dict


class Code(IntEnum):
    """Why something was refused, or why a session ended.

    A code that this version of the client does not know is a member too, named ``CODE_<number>``: compare its
    hundred through :attr:`range` to know what it is about.
    """

    FRAME_MAGIC = 100
    FRAME_VERSION = 101
    FRAME_TOO_LARGE = 102
    FRAME_KIND = 103
    FRAME_BODY = 104
    FRAME_SEQUENCE = 105
    FRAME_MAC = 106
    LOGON_TIMEOUT = 110
    LOGON_FAILED = 111
    LOGON_BLOCKED = 112
    LOGON_BUSY = 113
    SESSION_LIMIT = 120
    SESSION_SLOW_READER = 121
    SESSION_HEARTBEAT_MISSED = 122
    SESSION_SLOW_SENDER = 123
    SESSION_SHUTDOWN = 124
    RESUME_UNAVAILABLE = 125
    SESSION_KEY_ENDED = 126
    SCOPE_NOT_ALLOWED = 200
    ACCOUNT_NOT_ALLOWED = 201
    SYMBOL_NOT_ALLOWED = 202
    SYMBOL_UNKNOWN = 203
    ACCOUNT_MISSING = 204
    DUPLICATE_COMMAND = 300
    COMMAND_EXPIRED = 301
    COMMAND_FROM_FUTURE = 302
    REPEATED_ORDER = 303
    ORDER_UNKNOWN = 310
    ORDER_FINAL = 311
    ORDER_PENDING = 312
    REPLACE_INVALID = 313
    POSITION_NONE = 314
    ORDER_UNKNOWN_AT_VENUE = 315
    PRICE_INVALID = 400
    PRICE_NOT_ON_TICK = 401
    PRICE_BELOW_MINIMUM = 402
    PRICE_EXCEEDS_MAXIMUM = 403
    PRICE_OUTSIDE_COLLAR = 404
    QUANTITY_NOT_ON_STEP = 410
    QUANTITY_BELOW_MINIMUM = 411
    QUANTITY_EXCEEDS_MAXIMUM = 412
    NOTIONAL_BELOW_MINIMUM = 420
    NOTIONAL_EXCEEDS_MAX_PER_ORDER = 421
    NUMBER_OUT_OF_RANGE = 422
    ORDER_INVALID = 430
    NOT_SUPPORTED_BY_VENUE = 431
    POSITION_EXCEEDS_LIMIT = 500
    EXPOSURE_EXCEEDS_LIMIT = 501
    OPEN_ORDERS_EXCEED_LIMIT = 502
    REDUCE_ONLY_WOULD_INCREASE_POSITION = 503
    RATE_LIMIT_EXCEEDED = 504
    ORDER_COUNT_EXCEEDS_LIMIT = 505
    DAILY_LOSS_EXCEEDED = 506
    DRAWDOWN_EXCEEDED = 507
    SELF_TRADE = 508
    PRICE_STALE = 509
    OUTSIDE_TRADING_HOURS = 510
    TRADING_HALTED = 600
    TRADING_STATE_REDUCING = 601
    HALT_NONE = 602
    HALT_INVALID = 603
    QUEUE_FULL = 700
    ORDER_TABLE_FULL = 701
    JOURNAL_FULL = 702
    JOURNAL_FAILED = 703
    RECOVERING = 704
    VENUE_DOWN = 800
    STREAM_RECONCILING = 801
    VENUE_REJECTED = 802
    VENUE_NEVER_REACHED = 803

    @classmethod
    def _missing_(cls, value: object) -> Code:
        if not isinstance(value, int) or not 0 <= value <= 0xFFFF:
            raise ValueError(f"{value!r} is not a code; codes are integers from 0 to 65535")
        code = int.__new__(cls, value)
        code._name_ = f"CODE_{value}"
        code._value_ = value
        return code

    @property
    def known(self) -> bool:
        """Whether this version of the client knows the code."""
        return int(self) in _MEANINGS

    @property
    def meaning(self) -> str:
        """What the code means, one sentence for people."""
        return _MEANINGS.get(int(self), "A code that this version of the client does not know.")

    @property
    def range(self) -> int:
        """The code's hundred: 1 frames and sessions, 2 what the key may do, 3 identity and time of the command,
        4 precision and the instrument's rules, 5 risk, 6 the state of trading, 7 the gateway's own capacity,
        8 the venue."""
        return int(self) // 100

    @property
    def is_frame(self) -> bool:
        """Whether a frame did not pass the receiver's checks."""
        return 100 <= int(self) <= 109


_MEANINGS: Dict[int, str] = {
    100: "The frame does not begin with the magic bytes TG.",
    101: "The frame's version is not one this gateway speaks.",
    102: "The frame is longer than the limit.",
    103: "The frame's kind is unknown, or not allowed at this point of the session.",
    104: "The frame's body does not decode, or bytes are left over.",
    105: "The frame's sequence is not the next one: replayed, reordered or lost.",
    106: "The frame's MAC does not match.",
    110: "The logon was not completed in time.",
    111: "Unknown key, wrong proof, revoked or expired key; never said which.",
    112: "Too many failed logons of this key from this address; see to the key. A right proof is never refused.",
    113: "Too many connections that have not logged on; the oldest make room.",
    120: "No session is free: the gateway's or the client's limit is reached.",
    121: "The client reads too slowly: its outgoing buffer is full.",
    122: "Nothing was heard from the client for the agreed time.",
    123: "A frame was begun and not completed in time.",
    124: "The gateway is stopping.",
    125: "Events after the sequence asked for are no longer in the journal, or the disk holds them back.",
    126: "The key was revoked or has expired while the session stood.",
    200: "The key's scopes do not include this action.",
    201: "The account is unknown, or not the key's.",
    202: "The symbol is not among the key's, or is on the restricted list.",
    203: "The symbol is not configured.",
    204: "The command names no account and the key has more than one.",
    300: "The command id was used before with other content.",
    301: "The deadline has passed, or the command was made before the deduplication window.",
    302: "The command says that it was made in the future, beyond the allowed clock difference.",
    303: "The same order (all but its id) came within the repeat window.",
    310: "No such order of this client.",
    311: "The order is already final.",
    312: "A cancel or replace of the order is under way.",
    313: "The replace changes nothing, or something that this type of order does not have.",
    314: "There is no position to close.",
    315: "The outcome of the order at its venue is not known yet; it can be cancelled, not replaced.",
    400: "A price is missing, or given where the order type has none.",
    401: "The price is not a multiple of the tick.",
    402: "The price is below the instrument's minimum.",
    403: "The price is above the instrument's maximum.",
    404: "The price is too far from the reference price (the venue's percent rule or our collar).",
    410: "The quantity is not a multiple of the step.",
    411: "The quantity is below the minimum, or nothing is left of it after rounding.",
    412: "The quantity is above a maximum.",
    420: "Price times quantity is below the instrument's minimum.",
    421: "Price times quantity is above a maximum for one order.",
    422: "A number is too large, or has too many digits, to be computed with exactly.",
    430: "The combination of order type, time in force and fields is not valid.",
    431: "The venue does not offer what the order asks for.",
    500: "Position and working orders would pass a limit on one symbol.",
    501: "Gross or net notional over all symbols would pass a limit.",
    502: "There would be more open orders than allowed.",
    503: "The reduce-only order would increase or flip the position.",
    504: "More commands in a second than allowed.",
    505: "More orders in a minute, an hour or a day than allowed.",
    506: "Today's loss has reached its limit: entries are rejected until the daily reset.",
    507: "The fall from the day's best result has reached its limit: entries are rejected until the daily reset.",
    508: "The order would trade with one of the account's own.",
    509: "There is no reference price young enough for the checks that need one.",
    510: "Outside the instrument's trading hours.",
    600: "Trading is halted for the gateway, the account or the symbol.",
    601: "Only what makes a position smaller is served.",
    602: "There is no halt of that scope to resume.",
    603: "The halt asks for a state that is not a halt.",
    700: "The way to the venue is full; cancels still pass.",
    701: "The order table is full.",
    702: "The journal is full; cancels and closes still pass.",
    703: "The journal's disk failed; cancels and closes still pass.",
    704: "The gateway is still recovering.",
    800: "The venue is not connected.",
    801: "The venue's state is being reconciled.",
    802: "The venue rejected the order; its own words are in the report.",
    803: "The order never reached the venue: it was asked and does not know it.",
}
