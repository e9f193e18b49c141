"""A gateway for tests of what goes wrong: it logs clients on and then does what a script of the test says."""

import socket
import threading
import time

import tollgate
from tollgate import bodies, model
from tollgate.codec import decode, encode
from tollgate.codes import Code
from tollgate.errors import ProtocolError
from tollgate.wire import (
    FrameBuffer,
    Kind,
    Secret,
    encode_frame,
    proof_of,
    session_keys,
    transcript_of,
)

SECRET = bytes(range(32))
NONCE = bytes(range(100, 132))
WAIT = 10.0


class GatewaySession:
    """The gateway's side of one connection; a test's script drives it from the fake's thread."""

    def __init__(self, connection):
        self.socket = connection
        self.socket.settimeout(WAIT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = FrameBuffer()
        self.sent = 0
        self.received = 0
        self.keys = None
        self.hello = None

    def receive(self):
        """The next frame of the client; None at the end of the connection."""
        while True:
            frame = self.buffer.next_frame()
            if frame is not None:
                break
            data = self.socket.recv(65536)
            if not data:
                return None
            self.buffer.feed(data)
        self.received += 1
        assert frame.sequence == self.received, "the client numbers its frames"
        if frame.kind.has_mac:
            frame.check_mac(self.keys.client_to_gateway)
        return frame

    def receive_command(self, heartbeats=False):
        """The next command; heartbeats are answered and skipped. None after a goodbye or the end."""
        while True:
            frame = self.receive()
            if frame is None or frame.kind is Kind.GOODBYE:
                return None
            command = decode(bodies.COMMAND, frame.body)
            if heartbeats or not isinstance(command.action, model.Heartbeat):
                return command
            self.answer(command.command_id, model.HeartbeatAnswer(time.time_ns()))

    def frame(self, kind, body, sequence=None, key=None):
        self.sent += 1
        gateway_key = self.keys.gateway_to_client if self.keys else None
        return encode_frame(kind, self.sent if sequence is None else sequence, body, key or gateway_key)

    def send(self, kind, body, **changes):
        self.socket.sendall(self.frame(kind, body, **changes))

    def log_on(self, next_event=1, interval_ms=60_000, timeout_ms=120_000, with_welcome=b"", key=None):
        hello = self.receive()
        self.hello = decode(bodies.HELLO, hello.body)
        challenge = self.frame(Kind.CHALLENGE, encode(bodies.CHALLENGE, bodies.Challenge(NONCE, None, "fake")))
        self.socket.sendall(challenge)
        transcript = transcript_of(hello.signed, challenge)
        secret = Secret(SECRET)
        proof = decode(bodies.PROOF, self.receive().body)
        assert proof == bodies.HmacProof(proof_of(secret, transcript)), "the client proves its key"
        self.keys = session_keys(secret, self.hello.nonce, NONCE, transcript)
        welcome = model.Welcome(7, time.time_ns(), interval_ms, timeout_ms, next_event, model.Durability.PROCESS)
        self.send(Kind.WELCOME, encode(bodies.WELCOME, welcome), key=key)

    def refuse(self, code, retry_after_ms=0):
        self.receive()
        self.send(Kind.REFUSAL, encode(bodies.GOODBYE, model.Goodbye(code, retry_after_ms)))

    def event(self, number, body, **changes):
        self.send(Kind.EVENT, encode(bodies.EVENT, model.Event(number, time.time_ns(), body)), **changes)

    def answer(self, command_id, body, **changes):
        self.send(Kind.ANSWER, encode(bodies.ANSWER, model.Answer(command_id, body)), **changes)

    def acknowledge(self, number, command, order_id=1001):
        self.event(number, model.Acknowledgement(command.command_id, order_id, model.Durability.PROCESS))

    def goodbye(self, code, retry_after_ms=0):
        self.send(Kind.GOODBYE, encode(bodies.GOODBYE, model.Goodbye(code, retry_after_ms)))


class FakeGateway:
    """Serves connections one after another, each by the next of the scripts."""

    def __init__(self, *scripts):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(WAIT)
        self.port = self.listener.getsockname()[1]
        self.errors = []
        self.scripts = scripts
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def serve(self):
        for script in self.scripts:
            try:
                connection, _ = self.listener.accept()
                with connection:
                    script(GatewaySession(connection))
            except (OSError, ProtocolError, AssertionError) as error:
                self.errors.append(error)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, error, trace):
        self.thread.join(WAIT)
        alive = self.thread.is_alive()
        self.listener.close()
        if kind is None:
            assert not alive, "the script of the fake gateway has not ended"
            assert not self.errors, self.errors


NO_REJECT = model.Decimal(0)


def reject(code, owner=model.Owner.CLIENT):
    return model.Reject(Code(code), owner, NO_REJECT, NO_REJECT, NO_REJECT)


def connect(gateway, **changes):
    return tollgate.Client.connect("127.0.0.1", gateway.port, "desk-1", SECRET, **changes)


def buy(client, **changes):
    return client.market("BTCUSDT", tollgate.Side.BUY, "0.01", **changes)


def until_goodbye(session):
    while session.receive_command() is not None:
        pass


def serve_one(session):
    session.log_on()
    session.acknowledge(1, session.receive_command())
    until_goodbye(session)
