"""What orders are when not everything is said, and how numbers and errors of the system are worded."""

import contextlib
import io
import pathlib
import socket
import subprocess
import sys
import unittest
from decimal import Decimal

from tollgate import Client, ConnectionLost, NewOrder, OrderType, Reject, Side, TimeInForce
from tollgate.__main__ import main
from tollgate.codes import Code
from tollgate.commands import Commands
from tollgate.enums import Owner


class Kept(Commands):
    def execute(self, action, **_):
        return action


class Defaults(unittest.TestCase):
    def test_the_time_in_force_is_that_of_the_command_line(self):
        commands = Kept()
        made = [
            (commands.market("X", Side.BUY, 1), TimeInForce.IMMEDIATE_OR_CANCEL),
            (commands.limit("X", Side.BUY, 1, 2), TimeInForce.GOOD_TILL_CANCEL),
            (commands.limit("X", Side.BUY, 1, 2, expire_at_ns=5), TimeInForce.GOOD_TILL_DATE),
            (commands.stop("X", Side.BUY, 1, 2), TimeInForce.GOOD_TILL_CANCEL),
            (commands.stop_limit("X", Side.BUY, 1, 2, 3), TimeInForce.GOOD_TILL_CANCEL),
            (commands.market("X", Side.BUY, 1, time_in_force=TimeInForce.FILL_OR_KILL), TimeInForce.FILL_OR_KILL),
            (NewOrder("X", Side.BUY, OrderType.MARKET, Decimal(1)), TimeInForce.IMMEDIATE_OR_CANCEL),
        ]
        for order, expected in made:
            self.assertIs(order.time_in_force, expected, order)

    def test_a_price_off_the_grid_is_answered_in_prices(self):
        reject = Reject(Code.PRICE_NOT_ON_TICK, Owner.SYMBOL, Decimal("1.005"), Decimal("1.00"), Decimal("1.01"))
        self.assertIn("[1.005 was given; 1.00 and 1.01 are the nearest that are valid]", str(reject))


class Words(unittest.TestCase):
    def test_numbers_of_the_command_line(self):
        for line in (["cancel", "１２"], ["cancel", "1_0"], ["--timeout", "nan", "orders"], ["watch", "--resume-after", "-1"]):
            with contextlib.redirect_stderr(io.StringIO()) as told, self.assertRaises(SystemExit) as caught:
                main(line)
            self.assertEqual(caught.exception.code, 2)
            self.assertRegex(told.getvalue(), "digits 0 to 9|expected one argument")

    def test_a_refused_connection_says_what_to_do(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        with self.assertRaises(ConnectionLost) as caught:
            Client.connect("127.0.0.1", port, "k", bytes(32), timeout=2)
        self.assertEqual(
            str(caught.exception),
            f"cannot connect to 127.0.0.1:{port}: nothing listens there; check that the gateway runs, and the address",
        )

    def test_modules_import_each_other_in_one_direction(self):
        folder = pathlib.Path(__file__).resolve().parent.parent
        for first in ("codec", "errors", "model", "reject"):
            code = f"import sys; sys.path.insert(0, {str(folder)!r}); import tollgate.{first}"
            subprocess.run([sys.executable, "-c", code], check=True)
        sources = {name: (folder / "tollgate" / f"{name}.py").read_text() for name in ("errors", "codec", "reject")}
        self.assertNotIn("model", sources["errors"].split('"""', 2)[2].split("class TollgateError")[0])
        self.assertNotIn("from .model", sources["codec"] + sources["reject"])


if __name__ == "__main__":
    unittest.main()
