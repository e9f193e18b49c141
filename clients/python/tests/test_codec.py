"""The encoding: the table of the specification, round trips, and bytes that must be refused."""

import random
import unittest
from decimal import Decimal, localcontext

from tollgate import bodies, model
from tollgate.codec import (
    BOOL,
    DECIMAL,
    I64,
    U8,
    U16,
    U32,
    U64,
    U128,
    Maybe,
    Text,
    decode,
    encode,
    exact,
)
from tollgate.errors import DecodeError, EncodeError, TollgateError, UnknownVariant

TABLE = [
    (U64, 0, "00"),
    (U64, 127, "7f"),
    (U64, 128, "80 01"),
    (U16, 300, "ac 02"),
    (U64, 2**64 - 1, "ff ff ff ff ff ff ff ff ff 01"),
    (U128, 2**128 - 1, "ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff 03"),
    (I64, -1, "01"),
    (I64, 1, "02"),
    (I64, -64, "7f"),
    (I64, 64, "80 01"),
    (I64, 5871020, "d8 d6 cc 05"),
    (Text(31), "EURUSD", "06 45 55 52 55 53 44"),
    (Text(15), "", "00"),
    (Maybe(U64), None, "00"),
    (Maybe(U64), 300, "01 ac 02"),
    (DECIMAL, Decimal("58710.20"), "d8 d6 cc 05 02"),
    (bodies.SIDE, model.Side.SELL, "01"),
    (bodies.TARGET, model.ByOrder(1001), "01 e9 07"),
]

REFUSED = [
    ("u16 of four bytes", U16, "80 80 80 00"),
    ("u16 above its range", U16, "80 80 04"),
    ("u32 above its range", U32, "80 80 80 80 10"),
    ("u64 of eleven bytes", U64, "80 80 80 80 80 80 80 80 80 80 00"),
    ("u64 above its range", U64, "ff ff ff ff ff ff ff ff ff 02"),
    ("u128 above its range", U128, "ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff 04"),
    ("cut varint", U64, "80"),
    ("nothing", U8, ""),
    ("bool of 2", BOOL, "02"),
    ("optional of 2", Maybe(U8), "02 00"),
    ("text too long", Text(3), "04 61 61 61 61"),
    ("text cut", Text(31), "04 61 61"),
    ("text not UTF-8", Text(31), "01 ff"),
    ("scale of 19", DECIMAL, "02 13"),
    ("byte left over", U8, "00 00"),
]


class Table(unittest.TestCase):
    def test_values_of_the_specification(self):
        for table, value, digits in TABLE:
            with self.subTest(digits):
                self.assertEqual(encode(table, value).hex(" "), digits)
                self.assertEqual(decode(table, bytes.fromhex(digits)), value)

    def test_longer_forms_within_the_bounds_are_read(self):
        self.assertEqual(decode(U64, bytes.fromhex("80 00")), 0)
        self.assertEqual(decode(U16, bytes.fromhex("81 80 00")), 1)

    def test_what_must_be_refused(self):
        for name, table, digits in REFUSED:
            with self.subTest(name), self.assertRaises(DecodeError):
                decode(table, bytes.fromhex(digits))

    def test_unknown_variants_are_told_from_damage(self):
        for table in (bodies.SIDE, bodies.TARGET, bodies.EVENT_BODY):
            with self.assertRaises(UnknownVariant):
                decode(table, b"\x63")

    def test_values_outside_their_range_are_not_written(self):
        for table, value in ((U8, 256), (U16, 65536), (U64, -1), (U128, 2**128), (I64, 2**63), (Text(3), "a€")):
            with self.subTest(value), self.assertRaises(EncodeError):
                encode(table, value)

    def test_wrong_types_are_not_written(self):
        for table, value in ((U64, 1.0), (U64, True), (BOOL, 1), (Text(9), b"x"), (bodies.SIDE, 0), (bodies.TARGET, 7)):
            with self.subTest(value), self.assertRaises(TypeError):
                encode(table, value)

    def test_the_field_of_an_error_is_named(self):
        order = model.NewOrder("", model.Side.BUY, model.OrderType.MARKET, Decimal(1))
        with self.assertRaises(EncodeError) as caught:
            encode(bodies.COMMAND, model.Command(1, 2, 3, "main", order))
        self.assertEqual(caught.exception.path, "action.symbol")


class Decimals(unittest.TestCase):
    def test_floats_are_refused_with_the_name_of_the_field(self):
        for make in (
            lambda: model.NewOrder("A", model.Side.BUY, model.OrderType.MARKET, 0.1),
            lambda: model.NewOrder("A", model.Side.BUY, model.OrderType.LIMIT, Decimal(1), price=0.1),
            lambda: model.Replace(model.ByOrder(1), price=1.5),
            lambda: model.Close("A", quantity=1.0),
            lambda: exact(float("nan"), "price"),
        ):
            with self.assertRaisesRegex(TypeError, "float"):
                make()

    def test_only_plain_digits_are_numbers(self):
        for text in ("１２", "٣.٥", "1_000", " 1", "1 ", "1\n", "1e3", "nan", "inf", "", ".", "1.", "-", "0x1"):
            with self.assertRaisesRegex(EncodeError, "price: (?s:.*) is not a number"):
                exact(text, "price")
        for text in ("+1.5", "-0", ".5", "007"):
            self.assertEqual(exact(text, "price"), Decimal(text))

    def test_numbers_and_text_become_exact(self):
        order = model.NewOrder("A", model.Side.BUY, model.OrderType.LIMIT, "0.010", price=5)
        self.assertEqual((str(order.quantity), str(order.price)), ("0.010", "5"))

    def test_what_does_not_fit_is_refused(self):
        for text in ("NaN", "Infinity", "x", "1e-19", "1e19", "1e1000000", "1e-1000000", "9223372036854775808", "1" * 20):
            with self.subTest(text), self.assertRaises(EncodeError):
                encode(DECIMAL, exact(text, "price"))

    def test_bounds_and_zeros(self):
        for text, mantissa, scale in (
            ("9.223372036854775807", 2**63 - 1, 18),
            ("-9223372036854775808", -(2**63), 0),
            (Decimal("1E+3"), 1000, 0),
            ("-0", 0, 0),
            ("0.000", 0, 3),
            ("0e-30", 0, 18),
            ("1.0000000000000000000000", 10**18, 18),
            ("100.000000000000000000", 10**18, 16),
        ):
            with self.subTest(text):
                data = encode(DECIMAL, Decimal(text))
                self.assertEqual((decode(I64, data[:-1]), data[-1]), (mantissa, scale))
                self.assertEqual(decode(DECIMAL, data), Decimal(text))

    def test_the_decimal_context_changes_nothing(self):
        with localcontext() as context:
            context.prec = 2
            value = Decimal("123456789.123456789")
            self.assertEqual(str(decode(DECIMAL, encode(DECIMAL, value))), "123456789.123456789")

    def test_random_decimals_round_trip(self):
        random_numbers = random.Random(7)
        for _ in range(5000):
            mantissa = random_numbers.randint(-(2 ** random_numbers.randint(1, 63)), 2 ** random_numbers.randint(1, 62))
            scale = random_numbers.randint(0, 18)
            data = encode(I64, mantissa) + bytes([scale])
            self.assertEqual(encode(DECIMAL, decode(DECIMAL, data)), data)


class RandomBodies(unittest.TestCase):
    def test_random_values_round_trip(self):
        source = random.Random(11)
        for _ in range(3000):
            for bits, table in ((16, U16), (32, U32), (64, U64), (128, U128)):
                value = source.getrandbits(source.randint(1, bits))
                self.assertEqual(decode(table, encode(table, value)), value)
            signed = source.getrandbits(64) - 2**63
            self.assertEqual(decode(I64, encode(I64, signed)), signed)

    def test_random_commands_round_trip(self):
        source = random.Random(13)
        for _ in range(2000):
            command = random_command(source)
            data = encode(bodies.COMMAND, command)
            self.assertEqual(decode(bodies.COMMAND, data), command)
            self.assertEqual(encode(bodies.COMMAND, decode(bodies.COMMAND, data)), data)

    def test_damaged_bodies_raise_nothing_but_what_is_promised(self):
        source = random.Random(17)
        for _ in range(3000):
            data = bytearray(encode(bodies.COMMAND, random_command(source)))
            data[source.randrange(len(data))] = source.randrange(256)
            cut = bytes(data[: source.randint(0, len(data))])
            for table in (bodies.COMMAND, bodies.EVENT, bodies.ANSWER, bodies.WELCOME, bodies.GOODBYE):
                try:
                    decode(table, cut)
                except TollgateError as error:
                    self.assertIsInstance(error, DecodeError)


def random_decimal(source):
    return Decimal(source.randint(-(10**12), 10**12)).scaleb(-source.randint(0, 9))


def random_target(source):
    return source.choice((model.ByOrder(source.getrandbits(64)), model.ByCommand(source.getrandbits(128))))


def random_command(source):
    def maybe(make):
        return make() if source.random() < 0.5 else None

    symbol = "".join(source.choice("ABCÄ.€") for _ in range(source.randint(1, 9)))
    number = lambda: random_decimal(source)  # noqa: E731
    order = model.NewOrder(
        symbol,
        source.choice(list(model.Side)),
        source.choice(list(model.OrderType)),
        number(),
        maybe(number),
        maybe(number),
        source.choice(list(model.TimeInForce)),
        source.getrandbits(64),
        source.random() < 0.5,
        source.getrandbits(40),
        maybe(number),
        maybe(number),
    )
    scope = source.choice((model.Whole(), model.OfAccount("main"), model.OfSymbol(symbol)))
    action = source.choice(
        (
            order,
            model.Cancel(random_target(source)),
            model.Replace(random_target(source), maybe(number), maybe(number), maybe(number)),
            model.Close(symbol, source.getrandbits(64), maybe(number)),
            model.CancelAll(maybe(lambda: symbol)),
            model.CloseAll(maybe(lambda: symbol)),
            model.Halt(scope, source.choice(list(model.TradingState)), True, False, "why"),
            model.Resume(scope, "over"),
            model.OrderQuery(random_target(source)),
            model.PositionsQuery(maybe(lambda: symbol)),
            model.AccountQuery(),
            model.Heartbeat(),
        )
    )
    return model.Command(
        source.getrandbits(128), source.getrandbits(64), source.getrandbits(64), source.choice(("", "main")), action
    )


if __name__ == "__main__":
    unittest.main()
