"""What goes wrong: refusals, damaged frames, gaps, silence, cut connections. Against a fake gateway."""

import copy
import io
import pickle
import threading
import unittest

import tollgate
from tollgate import model
from tollgate.codes import Code
from tollgate.conversation import CommandIds
from tollgate.wire import ClientSession, Kind, Mac, Secret

from .fake_gateway import SECRET, FakeGateway, buy, connect, reject, serve_one, until_goodbye


class Logon(unittest.TestCase):
    def test_a_command_is_acknowledged(self):
        with FakeGateway(serve_one) as gateway, connect(gateway) as client:
            outcome = buy(client)
            self.assertTrue(outcome.accepted)
            self.assertEqual((outcome.order_id, outcome.event_sequence), (1001, 1))
            self.assertEqual(outcome.target, tollgate.ByOrder(1001))
            self.assertIsInstance(client.next_event(0).body, tollgate.Acknowledgement)
            self.assertEqual(client.last_event_sequence, 1)

    def test_refusals_have_their_code(self):
        for code, kind, recoverable in (
            (Code.LOGON_FAILED, tollgate.LogonRefused, False),
            (Code.LOGON_BUSY, tollgate.LogonRefused, True),
            (Code.RECOVERING, tollgate.LogonRefused, True),
            (Code(130), tollgate.LogonRefused, True),
            (Code.FRAME_VERSION, tollgate.LogonRefused, False),
            (Code.RESUME_UNAVAILABLE, tollgate.ResumeUnavailable, False),
        ):
            with self.subTest(code), FakeGateway(lambda session: session.refuse(code, 1500)) as gateway:
                with self.assertRaises(kind) as caught:
                    connect(gateway)
                self.assertEqual((caught.exception.code, caught.exception.retry_after_ms), (code, 1500))
                self.assertEqual(caught.exception.recoverable, recoverable)

    def test_a_welcome_under_a_wrong_key_is_not_believed(self):
        with FakeGateway(lambda session: session.log_on(key=bytes(32))) as gateway:
            with self.assertRaises(tollgate.ProtocolError) as caught:
                connect(gateway)
        self.assertEqual(caught.exception.code, Code.FRAME_MAC)

    def test_no_gateway_and_no_answer(self):
        with FakeGateway() as gateway:
            pass
        with self.assertRaises(tollgate.ConnectionLost):
            connect(gateway)
        silent = threading.Event()

        def say_nothing(session):
            session.receive()
            silent.wait(10)

        with FakeGateway(say_nothing) as gateway:
            with self.assertRaisesRegex(tollgate.ConnectionLost, "logon"):
                connect(gateway, timeout=0.05)
            silent.set()

    def test_events_in_one_piece_with_the_welcome_are_given(self):
        def script(session):
            held = []
            session.socket, real = Holding(session.socket, held), session.socket
            session.log_on()
            session.event(1, model.Rejection(5, reject(Code.SELF_TRADE)))
            session.socket = real
            real.sendall(b"".join(held[1:]))
            until_goodbye(session)

        with FakeGateway(script) as gateway, connect(gateway, resume_after=0) as client:
            self.assertEqual(client.next_event(5).event_sequence, 1)

    def test_blake3_and_short_secrets_are_refused_with_words(self):
        with self.assertRaisesRegex(tollgate.Unsupported, "BLAKE3.*standard library"):
            ClientSession("desk-1", Secret(SECRET), mac=Mac.BLAKE3)
        with self.assertRaisesRegex(tollgate.EncodeError, "31 bytes"):
            tollgate.Client("127.0.0.1", 1, "desk-1", bytes(31))


class Holding:
    """A socket that sends its first piece and holds back the others."""

    def __init__(self, real, held):
        self.real, self.held = real, held

    def sendall(self, data):
        if not self.held:
            self.real.sendall(data)
        self.held.append(data)

    def __getattr__(self, name):
        return getattr(self.real, name)


class DamagedFrames(unittest.TestCase):
    def expect(self, damage, code):
        def script(session):
            session.log_on()
            session.receive_command()
            damage(session)

        with FakeGateway(script) as gateway:
            client = connect(gateway)
            with self.assertRaises(tollgate.ProtocolError) as caught:
                buy(client)
            self.assertEqual(caught.exception.code, code)
            self.assertEqual(len(client.unanswered), 1)
            client.disconnect()

    BODY = bytes([1, 5, 0, 1, 2, 2])

    def test_wrong_mac(self):
        self.expect(lambda session: session.send(Kind.EVENT, self.BODY, key=bytes(32)), Code.FRAME_MAC)

    def test_a_flipped_bit(self):
        def flip(session):
            frame = bytearray(session.frame(Kind.EVENT, self.BODY))
            frame[17] ^= 1
            session.socket.sendall(bytes(frame))

        self.expect(flip, Code.FRAME_MAC)

    def test_wrong_sequence(self):
        for sequence in (2, 4, 0, 2**64 - 1):
            with self.subTest(sequence):
                self.expect(lambda session: session.send(Kind.EVENT, self.BODY, sequence=sequence), Code.FRAME_SEQUENCE)

    def test_replayed_frame(self):
        def replay(session):
            frame = session.frame(Kind.ANSWER, bytes([9, 0, 1]))
            session.socket.sendall(frame + frame)

        self.expect(replay, Code.FRAME_SEQUENCE)

    def test_header(self):
        def raw(offset, byte):
            def damage(session):
                frame = bytearray(session.frame(Kind.EVENT, self.BODY))
                frame[offset] = byte
                session.socket.sendall(bytes(frame))

            return damage

        self.expect(raw(0, 0), Code.FRAME_MAGIC)
        self.expect(raw(2, 2), Code.FRAME_VERSION)
        self.expect(raw(3, 99), Code.FRAME_KIND)
        self.expect(raw(3, int(Kind.COMMAND)), Code.FRAME_KIND)
        self.expect(raw(5, 5), Code.FRAME_TOO_LARGE)

    def test_body(self):
        self.expect(lambda session: session.send(Kind.EVENT, b"\x80"), Code.FRAME_BODY)
        self.expect(lambda session: session.send(Kind.EVENT, self.BODY + b"\x00"), Code.FRAME_BODY)

    def test_a_refusal_after_the_welcome_is_not_believed(self):
        self.expect(lambda session: session.send(Kind.REFUSAL, bytes([111, 0])), Code.FRAME_KIND)


class Sessions(unittest.TestCase):
    def test_which_ends_of_a_session_a_reconnect_mends(self) -> None:
        for code, recoverable in (
            (Code.SESSION_SHUTDOWN, True),
            (Code.SESSION_HEARTBEAT_MISSED, True),
            (Code.SESSION_KEY_ENDED, False),
            (Code.RESUME_UNAVAILABLE, False),
        ):
            with self.subTest(code=code):
                self.assertEqual(tollgate.SessionEnded(code, 0).recoverable, recoverable)

    def test_a_goodbye_has_its_code(self):
        def script(session):
            session.log_on()
            session.goodbye(Code.SESSION_SLOW_READER, 250)

        with FakeGateway(script) as gateway:
            client = connect(gateway)
            with self.assertRaises(tollgate.SessionEnded) as caught:
                client.next_event(5)
            self.assertEqual((caught.exception.code, caught.exception.retry_after_ms), (Code.SESSION_SLOW_READER, 250))
            with self.assertRaises(tollgate.SessionEnded):
                buy(client)

    def test_events_before_a_goodbye_are_given_first(self):
        def script(session):
            session.log_on()
            session.event(1, model.Rejection(5, reject(Code.SELF_TRADE)))
            session.goodbye(Code.SESSION_SHUTDOWN)

        with FakeGateway(script) as gateway:
            client = connect(gateway)
            self.assertEqual(client.next_event(5).event_sequence, 1)
            with self.assertRaises(tollgate.SessionEnded):
                client.next_event(5)

    def test_a_gap_of_events_ends_the_session(self):
        def script(session):
            session.log_on(next_event=5)
            session.event(6, model.Rejection(5, reject(Code.SELF_TRADE)))

        with FakeGateway(script) as gateway:
            client = connect(gateway)
            with self.assertRaises(tollgate.EventGap):
                client.next_event(5)
            self.assertEqual(client.last_event_sequence, 4)

    def test_a_resume_at_another_event_is_a_gap(self):
        with FakeGateway(lambda session: session.log_on(next_event=9)) as gateway:
            with self.assertRaises(tollgate.EventGap):
                connect(gateway, resume_after=3)

    def test_a_silent_gateway_is_left(self):
        def script(session):
            session.log_on(interval_ms=20, timeout_ms=60)
            while session.receive() is not None:
                pass

        with FakeGateway(script) as gateway:
            client = connect(gateway)
            with self.assertRaisesRegex(tollgate.ConnectionLost, "silent for 60 ms"):
                client.next_event(10)

    def test_heartbeats_keep_the_session_while_the_program_waits(self):
        seen = []

        def script(session):
            session.log_on(interval_ms=20, timeout_ms=10_000)
            while len(seen) < 3:
                command = session.receive_command(heartbeats=True)
                seen.append(command)
                session.answer(command.command_id, model.HeartbeatAnswer(1))
            session.event(1, model.Rejection(5, reject(Code.SELF_TRADE)))
            until_goodbye(session)

        with FakeGateway(script) as gateway, connect(gateway) as client:
            self.assertEqual(client.next_event(10).event_sequence, 1)
        self.assertEqual(len({command.command_id for command in seen}), 3)

    def test_the_heartbeat_thread_needs_no_call(self):
        third = threading.Event()

        def script(session):
            session.log_on(interval_ms=20, timeout_ms=10_000)
            for _ in range(3):
                command = session.receive_command(heartbeats=True)
                session.answer(command.command_id, model.HeartbeatAnswer(1))
            third.set()
            session.acknowledge(1, session.receive_command())
            until_goodbye(session)

        with FakeGateway(script) as gateway, connect(gateway, heartbeat_thread=True) as client:
            self.assertTrue(third.wait(10))
            self.assertTrue(buy(client).accepted)

    def test_a_slow_answer_is_waited_for_again(self):
        late = threading.Event()

        def script(session):
            session.log_on()
            command = session.receive_command()
            late.wait(10)
            session.acknowledge(1, command)
            until_goodbye(session)

        with FakeGateway(script) as gateway, connect(gateway) as client:
            with self.assertRaises(tollgate.AnswerTimeout) as caught:
                buy(client, timeout=0.05)
            late.set()
            self.assertTrue(client.wait(caught.exception.command_id, 10).accepted)
            with self.assertRaises(KeyError):
                client.wait(caught.exception.command_id)

    def test_too_many_events_end_the_session_and_none_is_lost(self):
        def flood(session):
            session.log_on(next_event=1)
            for number in range(1, 5):
                session.event(number, model.Rejection(5, reject(Code.SELF_TRADE)))
            while session.receive() is not None:
                pass

        def rest(session):
            session.log_on(next_event=4)
            assert session.hello.resume_after == 3, session.hello
            session.event(4, model.Rejection(5, reject(Code.SELF_TRADE)))
            until_goodbye(session)

        with FakeGateway(flood, rest) as gateway:
            with connect(gateway, events_max=3) as client:
                with self.assertRaises(tollgate.EventsOverflow):
                    client.heartbeat(timeout=10)
                numbers = [client.next_event(0).event_sequence for _ in range(3)]
                client.reconnect()
                numbers.append(client.next_event(10).event_sequence)
                self.assertEqual(numbers, [1, 2, 3, 4])

    def test_two_threads_share_a_client(self):
        def script(session):
            session.log_on()
            commands = [session.receive_command() for _ in range(40)]
            for number, command in enumerate(reversed(commands), 1):
                session.acknowledge(number, command, order_id=int(command.action.quantity))
            until_goodbye(session)

        with FakeGateway(script) as gateway, connect(gateway) as client:
            results = {}

            def run(quantity):
                results[quantity] = client.market("A", tollgate.Side.BUY, quantity).order_id

            threads = [threading.Thread(target=run, args=(quantity,)) for quantity in range(1, 41)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
            self.assertEqual(results, {quantity: quantity for quantity in range(1, 41)})

    def test_the_end_of_a_block_is_polite_and_an_exception_is_not(self):
        frames = []

        def script(session):
            session.log_on()
            try:
                frames.append(session.receive())
            except ConnectionError:
                frames.append(None)

        with FakeGateway(script, script) as gateway:
            with connect(gateway):
                pass
            with self.assertRaises(RuntimeError), connect(gateway) as client:
                raise RuntimeError("the strategy broke")
        self.assertEqual((frames[0].kind, frames[1]), (Kind.GOODBYE, None))
        with self.assertRaises(tollgate.ClientClosed):
            buy(client)

    def test_disconnecting_wakes_a_waiting_thread(self):
        def script(session):
            session.log_on()
            until_goodbye(session)

        with FakeGateway(script) as gateway:
            client = connect(gateway)
            caught = []

            def wait():
                try:
                    client.next_event()
                except tollgate.SessionError as error:
                    caught.append(error)

            thread = threading.Thread(target=wait)
            thread.start()
            client.disconnect()
            thread.join(10)
        self.assertIsInstance(caught[0], tollgate.ClientClosed)


class Queries(unittest.TestCase):
    ROW = model.LimitState("max_long", "", model.Owner.FIRM, model.Decimal(2), model.Decimal(1))

    def test_rows_with_events_between_them(self):
        def script(session):
            session.log_on()
            command = session.receive_command()
            session.answer(command.command_id, self.ROW)
            session.event(1, model.Rejection(5, reject(Code.SELF_TRADE)))
            session.answer(command.command_id, self.ROW)
            session.answer(command.command_id, model.End(2))
            until_goodbye(session)

        with FakeGateway(script) as gateway, connect(gateway) as client:
            self.assertEqual(client.query_limits(), [self.ROW, self.ROW])
            self.assertEqual(client.next_event(0).event_sequence, 1)

    def test_a_missing_row_ends_the_session(self):
        def script(session):
            session.log_on()
            session.answer(session.receive_command().command_id, model.End(1))

        with FakeGateway(script) as gateway:
            with self.assertRaises(tollgate.ProtocolError):
                connect(gateway).query_limits()

    def test_a_refused_query_raises(self):
        def script(session):
            session.log_on()
            session.answer(session.receive_command().command_id, model.Refused(reject(Code.ORDER_UNKNOWN)))
            until_goodbye(session)

        with FakeGateway(script) as gateway, connect(gateway) as client:
            with self.assertRaises(tollgate.CommandRejected) as caught:
                client.query_order(tollgate.ByOrder(5))
            self.assertEqual(caught.exception.code, Code.ORDER_UNKNOWN)

    def test_unknown_rows_and_events_are_counted(self):
        def script(session):
            session.log_on()
            command = session.receive_command()
            row = tollgate.encode_command(command)[:19]
            assert row[-1] & 0x80 == 0, "the command id is 19 bytes long"
            session.send(Kind.ANSWER, row + bytes([77, 1, 2]))
            session.send(Kind.EVENT, bytes([1, 1, 88]))
            session.answer(command.command_id, model.End(1))
            until_goodbye(session)

        with FakeGateway(script) as gateway, connect(gateway) as client:
            outcome = client.execute(model.LimitsQuery())
            self.assertEqual((outcome.rows, outcome.unrecognised_rows, client.unrecognised_frames), ((), 1, 2))
            self.assertIsInstance(client.next_event(0).body, tollgate.Unrecognised)


class Secrets(unittest.TestCase):
    def test_the_secret_is_in_no_words(self):
        secret = bytes(range(200, 232))
        shown = [secret.hex(), repr(secret), repr(secret)[2:-1]]
        client = tollgate.Client("127.0.0.1", 1, "desk-1", secret)
        session = ClientSession("desk-1", Secret(secret))
        words = io.StringIO()
        for thing in (client, session, Secret(secret), tollgate.KeyFile("desk-1", Secret(secret), "h", 1)):
            print(repr(thing), str(thing), f"{thing}", file=words)
        for bad in (secret.hex()[:-1], secret.hex()[:20], secret.hex() + "zz", 7):
            with self.assertRaises((tollgate.EncodeError, TypeError)) as caught:
                Secret(bad)
            print(caught.exception, repr(caught.exception), caught.exception.__cause__, file=words)
        for part in shown + [secret.hex()[:20]]:
            self.assertNotIn(part, words.getvalue())

    def test_a_secret_cannot_be_copied_or_pickled(self):
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with self.assertRaises(TypeError):
                attempt(Secret(SECRET))


class Ids(unittest.TestCase):
    def test_ids_are_unique_and_written_as_uuids(self):
        ids = CommandIds()
        made = [ids.next() for _ in range(1000)] + [CommandIds().next() for _ in range(1000)]
        self.assertEqual(len(set(made)), 2000)
        self.assertTrue(all(2**64 <= each < 2**128 for each in made))
        self.assertRegex(tollgate.command_id_text(made[0]), r"^[0-9a-f-]{36}$")
        self.assertEqual(tollgate.command_id_text(42), "42")

    def test_an_id_in_use_is_refused(self):
        def script(session):
            session.log_on()
            until_goodbye(session)

        with FakeGateway(script) as gateway, connect(gateway) as client:
            client.send(client.command(model.CancelAll(), command_id=5))
            with self.assertRaisesRegex(tollgate.EncodeError, "in use"):
                client.send(client.command(model.CancelAll("A"), command_id=5))

    def test_orders_are_named_by_targets_alone(self):
        with self.assertRaisesRegex(TypeError, "ByOrder"):
            tollgate.Client("127.0.0.1", 1, "desk-1", SECRET).cancel(1001)


if __name__ == "__main__":
    unittest.main()
