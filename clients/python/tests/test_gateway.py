"""The client against the real gateway with its paper venue.

Needs the gateway's binary: that of the environment's TOLLGATE_BINARY, else the newest of target/release/tollgate and
target/debug/tollgate.
"""

import asyncio
import contextlib
import io
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request
from decimal import Decimal

import tollgate
from tollgate import ByCommand, ByOrder, Code, OrderStatus, Side, TimeInForce, model
from tollgate.__main__ import main as command_line

ROOT = pathlib.Path(__file__).resolve().parents[3]
SYMBOL = "BTCUSDT"
QUANTITY = Decimal("0.001")
START_SECONDS = 60
WAIT = 20
AGAIN = tollgate.Reconnect(first_delay=0.05, longest_delay=0.5)


def binary():
    named = os.environ.get("TOLLGATE_BINARY")
    found = [pathlib.Path(named)] if named else [ROOT / "target" / kind / "tollgate" for kind in ("release", "debug")]
    found = [path for path in found if path.is_file()]
    if not found:
        raise AssertionError(
            f"the gateway's binary is not there ({named or 'target/release/tollgate, target/debug/tollgate'}): build "
            "it with `cargo build --release -p tollgate-cli`, or name it in TOLLGATE_BINARY"
        )
    return max(found, key=lambda path: path.stat().st_mtime)


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Gateway:
    """A gateway in a temporary directory."""

    def __init__(self):
        self.binary = str(binary())
        self.temporary = tempfile.TemporaryDirectory(prefix="tollgate-")
        self.directory = pathlib.Path(self.temporary.name) / "gateway"
        self.port, self.side_port = free_ports(2)
        self.log = open(pathlib.Path(self.temporary.name) / "log", "w+b")
        self.process = None
        subprocess.run([self.binary, "init", str(self.directory)], check=True, stdout=subprocess.DEVNULL)
        settings = self.directory / "tollgate.toml"
        text = settings.read_text(encoding="utf-8")
        for section, port in (("gateway", self.port), ("side", self.side_port)):
            text, changes = re.subn(
                rf"(?ms)(^\[{section}\]\n.*?^listen = )\"[^\"]*\"", rf'\g<1>"127.0.0.1:{port}"', text, count=1
            )
            assert changes == 1, f"the settings have no listen address in [{section}]"
        # One client sends the orders of all tests here: how fast they are is the machine's affair.
        text, changes = re.subn(r"(?m)^(orders_per_second|orders_burst) = \d+$", r"\g<1> = 100000", text)
        assert changes >= 2, "the settings have no rates"
        settings.write_text(text, encoding="utf-8")

    def start(self):
        settings = str(self.directory / "tollgate.toml")
        self.process = subprocess.Popen(
            [self.binary, "run", "--config", settings], stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL
        )
        deadline = time.monotonic() + START_SECONDS
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the gateway is not ready:\n{self.words()}")
            time.sleep(0.02)
        return self

    def ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.side_port}/readyz", timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def words(self):
        self.log.seek(0)
        return self.log.read().decode("utf-8", "replace")[-5000:]

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(WAIT)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(WAIT)
            except subprocess.TimeoutExpired:
                self.kill()
        self.log.close()
        self.temporary.cleanup()

    def key_file(self, name="trend-trade"):
        """The key file of a client, for this gateway's port."""
        path = self.directory / "clients" / f"{name}.toml"
        text = path.read_text(encoding="utf-8")
        path.write_text(
            re.sub(r'(?m)^gateway_address = .*$', f'gateway_address = "127.0.0.1:{self.port}"', text), encoding="utf-8"
        )
        return path

    def arguments(self, name="trend-trade"):
        key = tollgate.load_key_file(self.key_file(name))
        return key.host, key.port, key.key_id, key.secret

    def client(self, name="trend-trade", **changes):
        changes.setdefault("account", "main")
        # All events there are: each test looks for its own orders among them.
        changes.setdefault("resume_after", 0)
        return tollgate.Client.connect(*self.arguments(name), **changes)


def reports_until(client, order_id, done, events=None):
    """The reports of an order, up to one for which ``done`` holds."""
    reports = []
    while True:
        event = client.next_event(WAIT)
        assert event is not None, f"order {order_id}: no further report came after {reports}"
        if events is not None:
            events.append(event)
        body = event.body
        if isinstance(body, model.Report) and body.order_id == order_id:
            reports.append(body)
            if done(body):
                return reports


def is_a(kind):
    return lambda report: isinstance(report.kind, kind)


class WithGateway(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gateway = Gateway()
        cls.addClassCleanup(cls.gateway.stop)
        cls.gateway.start()

    def instrument(self, client):
        """The instrument once it has a price."""
        deadline = time.monotonic() + WAIT
        while True:
            (row,) = client.query_instruments(SYMBOL)
            if row.bid and row.ask:
                return row
            assert time.monotonic() < deadline, "the venue gives no price"

    def price(self, client, side, percent):
        """A valid price so many percent away from the market, where an order rests."""
        row = self.instrument(client)
        wanted = row.bid * (100 - percent) / 100 if side is Side.BUY else row.ask * (100 + percent) / 100
        return (wanted / row.tick).to_integral_value() * row.tick

    def resting(self, client, **changes):
        """An order to buy that rests at the venue."""
        outcome = client.limit(SYMBOL, Side.BUY, QUANTITY, self.price(client, Side.BUY, 3), **changes).require()
        reports_until(client, outcome.order_id, is_a(model.Accepted))
        return outcome


class Orders(WithGateway):
    def test_the_session(self):
        with self.gateway.client() as client:
            self.assertGreater(client.welcome.heartbeat_timeout_ms, client.welcome.heartbeat_interval_ms)
            outcome = client.heartbeat()
            self.assertLess(abs(outcome.time_ns - time.time_ns()), 5_000_000_000)

    def test_a_session_without_resume_begins_at_the_next_event(self):
        with self.gateway.client() as other:
            other.market(SYMBOL, Side.BUY, QUANTITY).require()
            with self.gateway.client(resume_after=None) as client:
                self.assertGreater(client.welcome.next_event_sequence, 1)
                outcome = client.market(SYMBOL, Side.BUY, QUANTITY).require()
                reports_until(client, outcome.order_id, lambda report: report.final)

    def test_instruments(self):
        with self.gateway.client() as client:
            rows = {row.symbol: row for row in client.query_instruments()}
            self.assertEqual((rows[SYMBOL].tick, rows[SYMBOL].step), (Decimal("0.01"), Decimal("0.00001")))
            self.assertEqual([row.symbol for row in client.query_instruments(SYMBOL)], [SYMBOL])

    def test_a_market_order_is_filled_and_becomes_a_position(self):
        with self.gateway.client() as client:
            self.instrument(client)
            before = sum((row.quantity for row in client.query_positions(SYMBOL)), Decimal(0))
            outcome = client.market(SYMBOL, Side.BUY, QUANTITY).require()
            self.assertIn(outcome.durability, list(tollgate.Durability))
            reports = reports_until(client, outcome.order_id, lambda report: report.final)
            fills = [report.kind for report in reports if isinstance(report.kind, model.Filled)]
            self.assertEqual(sum(fill.quantity for fill in fills), QUANTITY)
            self.assertEqual((reports[-1].filled_quantity, reports[-1].open_quantity), (QUANTITY, 0))
            (position,) = client.query_positions(SYMBOL)
            self.assertEqual(position.quantity, before + QUANTITY)
            self.assertEqual(client.query_order(outcome.target).status, OrderStatus.FILLED)
            closed = client.close(SYMBOL).require()
            reports_until(client, closed.order_id, lambda report: report.final)
            self.assertFalse(sum((row.quantity for row in client.query_positions(SYMBOL)), Decimal(0)))

    def test_an_order_of_every_kind(self):
        with self.gateway.client() as client:
            low, high = self.price(client, Side.BUY, 3), self.price(client, Side.SELL, 3)
            day_ns = time.time_ns() + 86_400_000_000_000
            outcomes = [
                client.limit(SYMBOL, Side.BUY, QUANTITY, low),
                client.limit(SYMBOL, Side.SELL, QUANTITY, high, time_in_force=TimeInForce.POST_ONLY),
                client.limit(
                    SYMBOL, Side.BUY, QUANTITY, low, time_in_force=TimeInForce.GOOD_TILL_DATE, expire_at_ns=day_ns
                ),
                client.stop(SYMBOL, Side.BUY, QUANTITY, high),
                client.stop_limit(SYMBOL, Side.BUY, QUANTITY, high, high),
            ]
            for outcome in outcomes:
                self.assertTrue(outcome.accepted, outcome)
            working = {outcome.order_id for outcome in outcomes}
            for outcome in outcomes:
                reports_until(client, outcome.order_id, is_a(model.Accepted))
            rows = {row.order_id: row for row in client.query_open_orders(SYMBOL)}
            self.assertLessEqual(working, set(rows))
            self.assertEqual({rows[order_id].order_type for order_id in working}, set(tollgate.OrderType) - {0})
            for time_in_force in (TimeInForce.IMMEDIATE_OR_CANCEL, TimeInForce.FILL_OR_KILL):
                outcome = client.limit(SYMBOL, Side.BUY, QUANTITY, low, time_in_force=time_in_force).require()
                last = reports_until(client, outcome.order_id, lambda report: report.final)[-1]
                self.assertFalse(last.filled_quantity)
            client.cancel_all(SYMBOL).require()
            while working:
                event = client.next_event(WAIT)
                self.assertIsNotNone(event, f"not cancelled: {working}")
                if isinstance(event.body, model.Report) and event.body.final:
                    working.discard(event.body.order_id)

    def test_cancel_and_replace(self):
        with self.gateway.client() as client:
            outcome = self.resting(client)
            price = self.price(client, Side.BUY, 4)
            client.replace(outcome.target, quantity=QUANTITY * 2, price=price).require()
            replaced = reports_until(client, outcome.order_id, is_a(model.Replaced))[-1].kind
            self.assertEqual((replaced.quantity, replaced.price), (QUANTITY * 2, price))
            client.cancel(ByCommand(outcome.command_id)).require()
            last = reports_until(client, outcome.order_id, lambda report: report.final)[-1]
            self.assertIsInstance(last.kind, model.Cancelled)
            self.assertEqual(client.cancel(outcome.target).code, Code.ORDER_FINAL)

    def test_rejects(self):
        with self.gateway.client() as client:
            price = self.price(client, Side.BUY, 3)
            buy = lambda quantity, price, **changes: client.limit(SYMBOL, Side.BUY, quantity, price, **changes)  # noqa: E731
            off_tick = buy(QUANTITY, price + Decimal("0.005"))
            self.assertEqual(off_tick.code, Code.PRICE_NOT_ON_TICK)
            self.assertEqual((off_tick.reject.limit, off_tick.reject.above), (price, price + Decimal("0.01")))
            self.assertEqual(buy("0.000015", price).code, Code.QUANTITY_NOT_ON_STEP)
            self.assertEqual(buy(5, price).code, Code.QUANTITY_EXCEEDS_MAXIMUM)
            self.assertEqual(buy("0.00001", price).code, Code.NOTIONAL_BELOW_MINIMUM)
            # Of the dear side alone: the collar lets an order rest far away.
            self.assertEqual(buy(QUANTITY, price * 2).code, Code.PRICE_OUTSIDE_COLLAR)
            self.assertEqual(client.market("NOSUCH", Side.BUY, 1).code, Code.SYMBOL_UNKNOWN)
            self.assertEqual(client.market(SYMBOL, Side.BUY, 1, account="other").code, Code.ACCOUNT_NOT_ALLOWED)
            self.assertEqual(client.cancel(ByOrder(2**60)).code, Code.ORDER_UNKNOWN)
            self.assertEqual(buy(QUANTITY, price, deadline_ns=1).code, Code.COMMAND_EXPIRED)
            without_price = model.NewOrder(SYMBOL, Side.BUY, tollgate.OrderType.LIMIT, QUANTITY)
            self.assertEqual(client.new_order(without_price).code, Code.PRICE_INVALID)
            self.assertEqual(client.close("ETHUSDT").code, Code.POSITION_NONE)
            with self.assertRaises(tollgate.CommandRejected):
                client.query_order(ByOrder(2**60))

    def test_scopes(self):
        with self.gateway.client("trend-read") as reader:
            self.assertEqual(reader.market(SYMBOL, Side.BUY, QUANTITY).code, Code.SCOPE_NOT_ALLOWED)
            self.assertEqual(reader.query_account().account, "main")

    def test_halt_and_resume(self):
        with self.gateway.client("operator") as operator, self.gateway.client() as client:
            operator.halt(tollgate.OfSymbol("ETHUSDT"), reason="a test").require()
            self.assertEqual(client.market("ETHUSDT", Side.BUY, "0.01").code, Code.TRADING_HALTED)
            operator.resume(tollgate.OfSymbol("ETHUSDT"), reason="over").require()
            self.assertEqual(operator.resume(tollgate.OfSymbol("ETHUSDT")).code, Code.HALT_NONE)
            (row,) = client.query_instruments("ETHUSDT")
            # Far from the market, so that no position comes of it.
            outcome = client.limit("ETHUSDT", Side.BUY, "0.01", row.bid * 97 / 100 // 1).require()
            client.cancel(outcome.target).require()
            reports_until(client, outcome.order_id, lambda report: report.final)

    def test_duplicates(self):
        with self.gateway.client() as client:
            self.instrument(client)
            command = client.command(model.NewOrder(SYMBOL, Side.BUY, tollgate.OrderType.MARKET, QUANTITY))
            first = client.wait(client.send(command)).require()
            second = client.wait(client.send(command)).require()
            self.assertEqual((first.repeated, second.repeated), (False, True))
            self.assertEqual(
                (first.order_id, first.event_sequence, first.time_ns),
                (second.order_id, second.event_sequence, second.time_ns),
            )
            other = client.market(SYMBOL, Side.BUY, QUANTITY * 2, command_id=command.command_id)
            self.assertEqual(other.code, Code.DUPLICATE_COMMAND)

    def test_limits_and_account(self):
        with self.gateway.client() as client:
            self.assertIn("max_open_orders", {row.name for row in client.query_limits(SYMBOL)})
            self.assertEqual(client.query_account().trading_state, tollgate.TradingState.ACTIVE)

    def test_a_wrong_secret(self):
        host, port, key_id, _ = self.gateway.arguments()
        for wrong_id in (key_id, "nobody"):
            with self.assertRaises(tollgate.LogonRefused) as caught:
                tollgate.Client.connect(host, port, wrong_id, bytes(32))
            self.assertEqual(caught.exception.code, Code.LOGON_FAILED)


class Resuming(WithGateway):
    def test_two_sessions_see_the_same_events(self):
        with self.gateway.client() as one, self.gateway.client() as two:
            self.instrument(one)
            seen_by_one, seen_by_two = [], []
            first = one.market(SYMBOL, Side.BUY, QUANTITY).require()
            second = two.market(SYMBOL, Side.BUY, QUANTITY).require()
            for client, seen in ((one, seen_by_one), (two, seen_by_two)):
                waited = {first.order_id, second.order_id}
                while waited:
                    event = client.next_event(WAIT)
                    self.assertIsNotNone(event)
                    seen.append(event)
                    if isinstance(event.body, model.Report) and event.body.final:
                        waited.discard(event.body.order_id)
            both = min(len(seen_by_one), len(seen_by_two))
            self.assertEqual(seen_by_one[:both], seen_by_two[:both])

    def test_events_missed_by_a_dropped_connection_come_after_the_resume(self):
        with self.gateway.client(reconnect=AGAIN) as client, self.gateway.client() as other:
            self.instrument(client)
            outcome = client.market(SYMBOL, Side.BUY, QUANTITY).require()
            seen = []
            reports_until(client, outcome.order_id, lambda report: report.final, seen)
            client._connection.interrupt()
            missed = other.market(SYMBOL, Side.SELL, QUANTITY).require()
            reports_until(client, missed.order_id, lambda report: report.final, seen)
            numbers = [event.event_sequence for event in seen]
            self.assertEqual(numbers, list(range(1, len(numbers) + 1)))

    def test_a_new_program_resumes_after_the_last_event(self):
        client = self.gateway.client()
        self.instrument(client)
        outcome = client.market(SYMBOL, Side.BUY, QUANTITY).require()
        while True:
            event = client.next_event(WAIT)
            if getattr(event.body, "command_id", None) == outcome.command_id:
                break
        client.abort()
        with self.gateway.client(resume_after=event.event_sequence) as resumed:
            self.assertEqual(resumed.welcome.next_event_sequence, event.event_sequence + 1)
            reports = reports_until(resumed, outcome.order_id, lambda report: report.final)
            self.assertEqual(reports[-1].filled_quantity, QUANTITY)

    def test_threads_and_heartbeats(self):
        with self.gateway.client(heartbeat_thread=True) as client:
            self.instrument(client)
            orders, errors = [], []

            def trade():
                try:
                    for _ in range(3):
                        orders.append(client.market(SYMBOL, Side.BUY, QUANTITY).require().order_id)
                except tollgate.TollgateError as error:
                    errors.append(error)

            threads = [threading.Thread(target=trade) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(WAIT)
            self.assertEqual((len(set(orders)), errors), (9, []))

    def test_asyncio(self):
        async def trade():
            client = await tollgate.AsyncClient.connect(
                *self.gateway.arguments(), account="main", resume_after=0, reconnect=AGAIN
            )
            async with client:
                while not (await client.query_instruments(SYMBOL))[0].bid:
                    pass
                outcomes = await asyncio.gather(*[client.market(SYMBOL, Side.BUY, QUANTITY) for _ in range(5)])
                waited = {outcome.require().order_id for outcome in outcomes}
                client._connection.abort()
                outcomes.append(await client.market(SYMBOL, Side.SELL, QUANTITY))
                waited.add(outcomes[-1].require().order_id)
                numbers = []
                async for event in client.events(timeout=WAIT):
                    numbers.append(event.event_sequence)
                    if isinstance(event.body, model.Report) and event.body.final:
                        waited.discard(event.body.order_id)
                    if not waited:
                        break
                self.assertFalse(waited)
                self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
                await client.query_positions()

        asyncio.run(trade())

    def test_the_command_line(self):
        def run(*arguments):
            out, errors = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
                code = command_line(["--key", str(self.gateway.key_file()), "--account", "main", *arguments])
            return code, out.getvalue(), errors.getvalue()

        with self.gateway.client() as client:
            self.instrument(client)
            price = str(self.price(client, Side.BUY, 3))
        self.assertIn("accepted order=", run("buy", SYMBOL, "0.001", "--limit", price)[1])
        self.assertIn(price, run("orders", SYMBOL)[1])
        self.assertEqual(run("cancel-all", SYMBOL)[0], 0)
        self.assertIn("QUANTITY_NOT_ON_STEP", run("sell", SYMBOL, "0.0000001")[2])
        self.assertEqual(run("sell", SYMBOL, "0.0000001")[0], 1)
        self.assertEqual(run("sell", SYMBOL, "much")[0], 2)
        for words in ("positions", "account", "limits", "instruments"):
            self.assertEqual(run(words)[0], 0)


class Killed(WithGateway):
    def test_kill_and_resume(self):
        with self.gateway.client(reconnect=AGAIN, timeout=START_SECONDS) as client:
            seen = []
            self.instrument(client)
            command = client.command(model.NewOrder(SYMBOL, Side.BUY, tollgate.OrderType.MARKET, QUANTITY))
            filled = client.wait(client.send(command)).require()
            reports_until(client, filled.order_id, lambda report: report.final, seen)
            price = self.price(client, Side.BUY, 3)
            resting = client.limit(SYMBOL, Side.BUY, QUANTITY, price).require()
            reports_until(client, resting.order_id, is_a(model.Accepted), seen)
            self.gateway.kill()
            # Made while there is no gateway: it is sent when there is one again.
            waiting = client.send(client.command(model.Cancel(resting.target)))
            self.gateway.start()
            self.assertTrue(client.wait(waiting).accepted)
            last = reports_until(client, resting.order_id, lambda report: report.final, seen)[-1]
            self.assertIsInstance(last.kind, model.Cancelled)
            again = client.wait(client.send(command)).require()
            self.assertEqual((again.repeated, again.order_id), (True, filled.order_id))
            (position,) = client.query_positions(SYMBOL)
            self.assertEqual(position.quantity, QUANTITY)
            numbers = [event.event_sequence for event in seen]
            self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
            with self.gateway.client() as other:
                self.assertEqual([other.next_event(WAIT) for _ in seen], seen, "the past does not change")


if __name__ == "__main__":
    unittest.main()
