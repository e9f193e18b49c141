"""A small command line: ``python -m tollgate --key FILE watch``, ``buy``, ``sell``, ``orders``, ``positions`` and more.

Exits with 0 when all went well, 1 when the gateway refused the command, 2 for a wrong call, 3 when there was no session
or no answer.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from dataclasses import fields
from datetime import datetime, timezone
from decimal import Decimal
from enum import IntEnum
from typing import Any, Callable, Dict, List, Optional, Sequence

from . import model
from .client import Client
from .conversation import Reconnect
from .errors import CommandRejected, EncodeError, KeyFileError, TollgateError, Unsupported
from .keyfile import load_key_file
from .version import VERSION

REFUSED = 1
WRONG_CALL = 2
NO_SESSION = 3

TIMES_IN_FORCE = {
    "gtc": model.TimeInForce.GOOD_TILL_CANCEL,
    "ioc": model.TimeInForce.IMMEDIATE_OR_CANCEL,
    "fok": model.TimeInForce.FILL_OR_KILL,
    "post": model.TimeInForce.POST_ONLY,
}


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Runs the command line; gives the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except CommandRejected as error:
        print(f"refused: {error.reject}", file=sys.stderr)
        return REFUSED
    except (EncodeError, KeyFileError, Unsupported, TypeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_CALL
    except TollgateError as error:
        print(f"error: {error}", file=sys.stderr)
        return NO_SESSION
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace) -> int:
    if not options.key:
        raise KeyFileError("no key file: give --key FILE or set TOLLGATE_KEY_FILE")
    key = load_key_file(options.key)
    watching = options.run is _watch
    with Client.connect(
        key.host,
        key.port,
        key.key_id,
        key.secret,
        account=options.account,
        timeout=options.timeout,
        resume_after=getattr(options, "resume_after", None),
        reconnect=Reconnect() if watching else None,
    ) as client:
        run: Callable[[Client, argparse.Namespace], int] = options.run
        return run(client, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tollgate", description="A client of a Tollgate gateway.")
    parser.add_argument("--version", action="version", version=VERSION)
    parser.add_argument("--key", default=os.environ.get("TOLLGATE_KEY_FILE"), help="key file, or TOLLGATE_KEY_FILE")
    parser.add_argument("--account", default="", help="account (default: the key's only one)")
    parser.add_argument("--timeout", type=_seconds, default=10.0, help="seconds for a logon and for an answer")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for side in model.Side:
        _add_order(commands, side)
    _add(commands, "watch", _watch, "print events as they come").add_argument(
        "--resume-after", type=_whole, metavar="N", help="begin after this event, 0 for all there are"
    )
    cancel = _add(commands, "cancel", _cancel, "cancel an order")
    cancel.add_argument("order_id", type=_whole)
    close = _add(commands, "close", _close, "close a position")
    close.add_argument("symbol")
    close.add_argument("--quantity")
    _add_symbol(_add(commands, "cancel-all", _cancel_all, "cancel all orders"))
    _add_symbol(_add(commands, "close-all", _close_all, "close all positions"))
    _add_symbol(_add(commands, "orders", _orders, "list open orders"))
    _add_symbol(_add(commands, "positions", _positions, "list positions"))
    _add_symbol(_add(commands, "limits", _limits, "list limits and their use"))
    _add_symbol(_add(commands, "instruments", _instruments, "list instruments"))
    _add(commands, "account", _account, "show the account's figures")
    return parser


def _whole(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,20}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number: give the digits 0 to 9")
    return int(text)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds: give it as 2.5, with the digits 0 to 9")
    return float(text)


def _add(commands: Any, name: str, run: Callable[..., int], words: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=words, description=words)
    parser.set_defaults(run=run)
    return parser


def _add_symbol(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("symbol", nargs="?", help="this symbol only")


def _add_order(commands: Any, side: model.Side) -> None:
    name = side.name.lower()
    parser = _add(commands, name, _order, f"{name}: a market order, or another with --limit and --stop")
    parser.set_defaults(side=side)
    parser.add_argument("symbol")
    parser.add_argument("quantity")
    parser.add_argument("--limit", metavar="PRICE", help="at this price or better")
    parser.add_argument("--stop", metavar="PRICE", help="when the market reaches this price")
    parser.add_argument("--tif", choices=sorted(TIMES_IN_FORCE), help="time in force (default: ioc at the market, else gtc)")
    parser.add_argument("--reduce-only", action="store_true", help="only make a position smaller")
    parser.add_argument("--wait", type=_seconds, default=0.0, metavar="SECONDS", help="print reports until a final one")


# What the commands do


def _order(client: Client, options: argparse.Namespace) -> int:
    kinds = {
        (False, False): model.OrderType.MARKET,
        (True, False): model.OrderType.LIMIT,
        (False, True): model.OrderType.STOP,
        (True, True): model.OrderType.STOP_LIMIT,
    }
    order = model.NewOrder(
        symbol=options.symbol,
        side=options.side,
        order_type=kinds[options.limit is not None, options.stop is not None],
        quantity=options.quantity,
        price=options.limit,
        stop_price=options.stop,
        time_in_force=TIMES_IN_FORCE[options.tif] if options.tif else None,
        reduce_only=options.reduce_only,
    )
    outcome = client.execute(order).require()
    _print_outcome(outcome)
    while options.wait > 0:
        event = client.next_event(options.wait)
        if event is None:
            print(f"no final report within {options.wait:g} s", file=sys.stderr)
            return NO_SESSION
        body = event.body
        if isinstance(body, model.Report) and body.order_id == outcome.order_id:
            print(event_line(event))
            if body.final:
                return REFUSED if isinstance(body.kind, model.Rejected) else 0
    return 0


def _watch(client: Client, options: argparse.Namespace) -> int:
    for event in client.events():
        print(event_line(event), flush=True)
    return 0


def _cancel(client: Client, options: argparse.Namespace) -> int:
    return _print_outcome(client.cancel(model.ByOrder(options.order_id)).require())


def _close(client: Client, options: argparse.Namespace) -> int:
    return _print_outcome(client.close(options.symbol, quantity=options.quantity).require())


def _cancel_all(client: Client, options: argparse.Namespace) -> int:
    return _print_outcome(client.cancel_all(options.symbol).require())


def _close_all(client: Client, options: argparse.Namespace) -> int:
    return _print_outcome(client.close_all(options.symbol).require())


def _orders(client: Client, options: argparse.Namespace) -> int:
    return _print_rows(client.query_open_orders(options.symbol))


def _positions(client: Client, options: argparse.Namespace) -> int:
    return _print_rows(client.query_positions(options.symbol))


def _limits(client: Client, options: argparse.Namespace) -> int:
    return _print_rows(client.query_limits(options.symbol))


def _instruments(client: Client, options: argparse.Namespace) -> int:
    return _print_rows(client.query_instruments(options.symbol))


def _account(client: Client, options: argparse.Namespace) -> int:
    for name, value in _cells(client.query_account()).items():
        print(f"{name:20} {value}")
    return 0


# How things look


def event_line(event: model.Event) -> str:
    """An event as one line."""
    seconds, fraction = divmod(event.time_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{event.event_sequence} {moment}.{fraction:09}Z {_body_words(event.body)}"


def _body_words(body: model.EventBody) -> str:
    if isinstance(body, model.Acknowledgement):
        command = model.command_id_text(body.command_id)
        return f"acknowledged order={body.order_id} command={command} durability={_show(body.durability)}"
    if isinstance(body, model.Rejection):
        return f"refused command={model.command_id_text(body.command_id)} {body.reject}"
    if isinstance(body, model.Unrecognised):
        return f"unrecognised {body.body.hex()}"
    details = " ".join(f"{name}={value}" for name, value in _cells(body.kind).items())
    words = (
        f"{type(body.kind).__name__.lower()} order={body.order_id} {body.account} {_show(body.side)} {body.symbol} "
        f"filled={_show(body.filled_quantity)} open={_show(body.open_quantity)}"
    )
    return f"{words} {details}" if details else words


def _print_outcome(outcome: model.Outcome) -> int:
    durability = "" if outcome.durability is None else f" durability={_show(outcome.durability)}"
    print(f"accepted order={outcome.order_id} command={model.command_id_text(outcome.command_id)}{durability}")
    return 0


def _print_rows(rows: Sequence[Any]) -> int:
    cells: List[Dict[str, str]] = [_cells(row) for row in rows]
    if not cells:
        print("none")
        return 0
    widths = {name: max(len(name), *(len(row[name]) for row in cells)) for name in cells[0]}
    print("  ".join(name.ljust(width) for name, width in widths.items()).rstrip())
    for row in cells:
        print("  ".join(row[name].ljust(width) for name, width in widths.items()).rstrip())
    return 0


def _cells(value: Any) -> Dict[str, str]:
    return {field.name: _show(getattr(value, field.name), field.name) for field in fields(value)}


def _show(value: Any, name: str = "") -> str:
    if value is None:
        return "-"
    if isinstance(value, IntEnum):
        return value.name.lower()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if name == "command_id":
        return model.command_id_text(value)
    return str(value)


if __name__ == "__main__":
    sys.exit(main())
