"""Coming back after a broken connection, and the asyncio client. Against a fake gateway."""

import asyncio
import threading
import unittest

import tollgate
from tollgate import model
from tollgate.codes import Code

from .fake_gateway import SECRET, FakeGateway, buy, connect, reject, serve_one, until_goodbye

AT_ONCE = tollgate.Reconnect(first_delay=0.0, longest_delay=0.0, attempts=5)


class Reconnecting(unittest.TestCase):
    def scripts(self, bodies_seen):
        """The first connection is cut after two commands; the second has acknowledged the first of them already."""

        def cut(session):
            session.log_on(next_event=1)
            for _ in range(2):
                bodies_seen.append(session.receive().body)

        def resumed(session):
            session.log_on(next_event=1)
            assert session.hello.resume_after == 0, session.hello
            first = tollgate.decode_command(bodies_seen[0])
            session.acknowledge(1, first, order_id=1)
            heartbeat = session.receive_command(heartbeats=True)
            session.answer(heartbeat.command_id, model.HeartbeatAnswer(1))
            frame = session.receive()
            bodies_seen.append(frame.body)
            second = tollgate.decode_command(frame.body)
            event = model.Event(2, 5, model.Acknowledgement(second.command_id, 2, model.Durability.PROCESS))
            session.answer(second.command_id, model.Repeated(event))
            until_goodbye(session)

        return cut, resumed

    def check(self, first, second, bodies_seen):
        self.assertEqual((first.order_id, first.repeated, first.resent), (1, False, False))
        self.assertEqual((second.order_id, second.repeated, second.resent), (2, True, True))
        self.assertEqual(len(bodies_seen), 3)
        self.assertEqual(bodies_seen[1], bodies_seen[2], "a resend is the same bytes")

    def test_by_hand(self):
        seen = []
        with FakeGateway(*self.scripts(seen)) as gateway, connect(gateway) as client:
            ids = [client.send(client.command(model.CancelAll(symbol))) for symbol in ("A", "B")]
            with self.assertRaises(tollgate.ConnectionLost):
                client.wait(ids[0])
            self.assertEqual(len(client.unanswered), 2)
            client.reconnect()
            self.check(client.wait(ids[0]), client.wait(ids[1]), seen)

    def test_by_itself(self):
        seen = []
        with FakeGateway(*self.scripts(seen)) as gateway, connect(gateway, reconnect=AT_ONCE) as client:
            ids = [client.send(client.command(model.CancelAll(symbol))) for symbol in ("A", "B")]
            self.check(client.wait(ids[0]), client.wait(ids[1]), seen)

    def test_by_itself_with_a_thread(self):
        seen = []
        with FakeGateway(*self.scripts(seen)) as gateway:
            with connect(gateway, reconnect=AT_ONCE, heartbeat_thread=True) as client:
                ids = [client.send(client.command(model.CancelAll(symbol))) for symbol in ("A", "B")]
                self.check(client.wait(ids[0]), client.wait(ids[1]), seen)

    def test_asyncio(self):
        async def run(gateway, policy):
            async with await tollgate.AsyncClient.connect(
                "127.0.0.1", gateway.port, "desk-1", SECRET, reconnect=policy
            ) as client:
                ids = [client.send(client.command(model.CancelAll(symbol))) for symbol in ("A", "B")]
                if policy is None:
                    with self.assertRaises(tollgate.ConnectionLost):
                        await client.wait(ids[0])
                    await client.reconnect()
                return await client.wait(ids[0]), await client.wait(ids[1])

        for policy in (None, AT_ONCE):
            seen = []
            with self.subTest(policy=policy), FakeGateway(*self.scripts(seen)) as gateway:
                self.check(*asyncio.run(run(gateway, policy)), seen)

    def test_a_refused_logon_is_tried_again_and_a_final_one_is_not(self):
        def cut(session):
            session.log_on()
            session.receive()

        for code, error in ((Code.SESSION_LIMIT, None), (Code.LOGON_FAILED, tollgate.LogonRefused)):
            scripts = [cut, lambda session: session.refuse(code)] + ([serve_one] if error is None else [])
            with self.subTest(code), FakeGateway(*scripts) as gateway:
                client = connect(gateway, reconnect=AT_ONCE)
                if error is None:
                    self.assertTrue(buy(client).accepted)
                else:
                    with self.assertRaises(error):
                        buy(client)
                client.disconnect()

    def test_lost_events_are_never_passed_over(self):
        def cut(session):
            session.log_on()

        def fresh(session):
            session.log_on(next_event=50)
            assert session.hello.resume_after is None, session.hello
            until_goodbye(session)

        refuse = lambda session: session.refuse(Code.RESUME_UNAVAILABLE)  # noqa: E731
        with FakeGateway(cut, refuse, fresh) as gateway, connect(gateway, reconnect=AT_ONCE) as client:
            with self.assertRaises(tollgate.ResumeUnavailable):
                client.next_event(5)
            client.reconnect(resume=False)
            self.assertEqual(client.last_event_sequence, 49)

    def test_an_expired_resend_is_uncertain(self):
        def cut(session):
            session.log_on()
            session.receive()

        def too_old(session):
            session.log_on()
            session.answer(session.receive_command().command_id, model.Refused(reject(Code.COMMAND_EXPIRED)))
            until_goodbye(session)

        with FakeGateway(cut, too_old) as gateway, connect(gateway, reconnect=AT_ONCE) as client:
            outcome = buy(client)
            self.assertFalse(outcome.accepted)
            self.assertTrue(outcome.uncertain)
            self.assertIsInstance(outcome.target, tollgate.ByCommand)

    def test_the_first_expiry_is_certain(self):
        outcome = tollgate.Outcome(5, reject=reject(Code.COMMAND_EXPIRED))
        self.assertFalse(outcome.uncertain)


class Asyncio(unittest.TestCase):
    def run_with(self, script, use, **changes):
        async def run(gateway):
            client = await tollgate.AsyncClient.connect("127.0.0.1", gateway.port, "desk-1", SECRET, **changes)
            async with client:
                await use(client)

        with FakeGateway(script) as gateway:
            asyncio.run(run(gateway))

    def test_commands_side_by_side(self):
        def script(session):
            session.log_on()
            commands = [session.receive_command() for _ in range(20)]
            for number, command in enumerate(reversed(commands), 1):
                session.acknowledge(number, command, order_id=int(command.action.quantity))
            until_goodbye(session)

        async def use(client):
            orders = [client.market("A", tollgate.Side.BUY, quantity) for quantity in range(1, 21)]
            outcomes = await asyncio.gather(*orders)
            self.assertEqual([outcome.order_id for outcome in outcomes], list(range(1, 21)))
            events = [event async for event in client.events(timeout=0.01)]
            self.assertEqual([event.event_sequence for event in events], list(range(1, 21)))

        self.run_with(script, use)

    def test_heartbeats_and_silence(self):
        def script(session):
            session.log_on(interval_ms=20, timeout_ms=100)
            for _ in range(2):
                command = session.receive_command(heartbeats=True)
                session.answer(command.command_id, model.HeartbeatAnswer(1))
            try:
                while session.receive() is not None:
                    pass
            except ConnectionError:
                pass

        async def use(client):
            with self.assertRaisesRegex(tollgate.ConnectionLost, "silent for 100 ms"):
                await client.next_event(10)

        self.run_with(script, use)

    def test_timeouts_and_cancelled_waits_leave_the_command_waiting(self):
        late = threading.Event()

        def script(session):
            session.log_on()
            command = session.receive_command()
            late.wait(10)
            session.acknowledge(1, command)
            until_goodbye(session)

        async def use(client):
            with self.assertRaises(tollgate.AnswerTimeout) as caught:
                await buy(client, timeout=0.02)
            task = asyncio.ensure_future(client.wait(caught.exception.command_id))
            await asyncio.sleep(0)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            late.set()
            self.assertTrue((await client.wait(caught.exception.command_id)).accepted)

        self.run_with(script, use)

    def test_disconnecting_wakes_who_waits(self):
        def script(session):
            session.log_on()
            until_goodbye(session)

        async def use(client):
            waiting = asyncio.ensure_future(client.next_event())
            await asyncio.sleep(0)
            await client.disconnect()
            with self.assertRaises(tollgate.ClientClosed):
                await waiting

        self.run_with(script, use)


if __name__ == "__main__":
    unittest.main()
