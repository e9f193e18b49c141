"""Postcard, version 1: the encoding of bodies.

A :class:`Codec` writes and reads values of one type. :func:`encode` and :func:`decode` deal with whole bodies.
"""

from __future__ import annotations

import re
from decimal import Decimal
from enum import IntEnum
from typing import Any, Dict, Generic, List, Optional, Sequence, Tuple, Type, TypeVar, Union

from .codes import Code
from .errors import DecodeError, EncodeError, UnknownVariant

T = TypeVar("T")
E = TypeVar("E", bound=IntEnum)

Number = Union[Decimal, int, str]
"""What is taken for an exact number: never a float."""

SCALE_MAX = 18
# The form that the gateway's own command line takes. Decimal() takes much more: other digits, spaces, underscores, NaN.
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)")
MANTISSA_MIN = -(1 << 63)
MANTISSA_MAX = (1 << 63) - 1


class Reader:
    """Bytes that are read from front to back."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def remaining_bytes(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._position

    def byte(self) -> int:
        """The next byte."""
        if self._position >= len(self._data):
            raise DecodeError(f"the body ends after {len(self._data)} bytes in the middle of a value")
        value = self._data[self._position]
        self._position += 1
        return value

    def take(self, size_bytes: int) -> bytes:
        """The next ``size_bytes`` bytes."""
        if size_bytes > self.remaining_bytes:
            raise DecodeError(f"{size_bytes} bytes are announced and {self.remaining_bytes} are left")
        start = self._position
        self._position += size_bytes
        return self._data[start : self._position]


class Codec(Generic[T]):
    """Writes and reads values of one type."""

    def write(self, out: bytearray, value: T) -> None:
        """Appends the value's bytes. Raises :class:`EncodeError`, or ``TypeError`` for a value of a wrong type."""
        raise NotImplementedError

    def read(self, source: Reader) -> T:
        """Takes one value. Raises :class:`DecodeError`."""
        raise NotImplementedError


def encode(codec: Codec[T], value: T) -> bytes:
    """The bytes of a whole body."""
    out = bytearray()
    codec.write(out, value)
    return bytes(out)


def decode(codec: Codec[T], data: bytes) -> T:
    """The value of a whole body; bytes left over are an error."""
    source = Reader(data)
    value = codec.read(source)
    if source.remaining_bytes:
        raise DecodeError(f"{source.remaining_bytes} bytes are left over after the body")
    return value


def _write_varint(out: bytearray, value: int) -> None:
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _read_varint(source: Reader, bits: int) -> int:
    value = 0
    for shift in range(0, bits, 7):
        byte = source.byte()
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> bits:
                raise DecodeError(f"a varint holds {value}, which does not fit {bits} bits")
            return value
    raise DecodeError(f"a varint is longer than {bits} bits allow")


class Unsigned(Codec[int]):
    """``u16``, ``u32``, ``u64``, ``u128``: a varint."""

    def __init__(self, bits: int) -> None:
        self.bits = bits

    def write(self, out: bytearray, value: int) -> None:
        _require_integer(value, 0, (1 << self.bits) - 1)
        _write_varint(out, value)

    def read(self, source: Reader) -> int:
        return _read_varint(source, self.bits)


class Signed(Codec[int]):
    """``i64``: zigzag, then a varint."""

    def write(self, out: bytearray, value: int) -> None:
        _require_integer(value, MANTISSA_MIN, MANTISSA_MAX)
        _write_varint(out, value << 1 if value >= 0 else (-value << 1) - 1)

    def read(self, source: Reader) -> int:
        zigzag = _read_varint(source, 64)
        return (zigzag >> 1) ^ -(zigzag & 1)


class Byte(Codec[int]):
    """``u8``: the byte itself."""

    def write(self, out: bytearray, value: int) -> None:
        _require_integer(value, 0, 255)
        out.append(value)

    def read(self, source: Reader) -> int:
        return source.byte()


class Boolean(Codec[bool]):
    """``bool``: 0 or 1, nothing else."""

    def write(self, out: bytearray, value: bool) -> None:
        if not isinstance(value, bool):
            raise TypeError(f"True or False is needed, not {value!r}")
        out.append(1 if value else 0)

    def read(self, source: Reader) -> bool:
        byte = source.byte()
        if byte > 1:
            raise DecodeError(f"a bool is {byte}; it must be 0 or 1")
        return byte == 1


class Bytes32(Codec[bytes]):
    """``bytes32``: 32 bytes as they are."""

    def write(self, out: bytearray, value: bytes) -> None:
        if len(value) != 32:
            raise EncodeError(f"32 bytes are needed, not {len(value)}")
        out += value

    def read(self, source: Reader) -> bytes:
        return source.take(32)


class Text(Codec[str]):
    """``text(N)``: length and UTF-8. ``least_bytes`` holds for writing alone."""

    def __init__(self, most_bytes: int, least_bytes: int = 0) -> None:
        self.most_bytes = most_bytes
        self.least_bytes = least_bytes

    def write(self, out: bytearray, value: str) -> None:
        if not isinstance(value, str):
            raise TypeError(f"text is needed, not {value!r}")
        try:
            data = value.encode("utf-8")
        except UnicodeEncodeError:
            raise EncodeError(f"{value!r} cannot be written as UTF-8") from None
        if not self.least_bytes <= len(data) <= self.most_bytes:
            raise EncodeError(
                f"{value!r} has {len(data)} bytes of UTF-8; from {self.least_bytes} to {self.most_bytes} are allowed"
            )
        _write_varint(out, len(data))
        out += data

    def read(self, source: Reader) -> str:
        size_bytes = _read_varint(source, 64)
        if size_bytes > self.most_bytes:
            raise DecodeError(f"a text has {size_bytes} bytes; at most {self.most_bytes} are allowed")
        try:
            return source.take(size_bytes).decode("utf-8")
        except UnicodeDecodeError:
            raise DecodeError("a text is not UTF-8") from None


class Maybe(Codec[Optional[T]]):
    """``T?``: 0, or 1 and the value."""

    def __init__(self, inner: Codec[T]) -> None:
        self.inner = inner

    def write(self, out: bytearray, value: Optional[T]) -> None:
        if value is None:
            out.append(0)
        else:
            out.append(1)
            self.inner.write(out, value)

    def read(self, source: Reader) -> Optional[T]:
        tag = source.byte()
        if tag > 1:
            raise DecodeError(f"the mark of an optional value is {tag}; it must be 0 or 1")
        return self.inner.read(source) if tag else None


class Exact(Codec[Decimal]):
    """``decimal``: mantissa and scale. The scale of the value is kept: ``1.50`` travels as 150 with scale 2."""

    def write(self, out: bytearray, value: Decimal) -> None:
        mantissa, scale = split_decimal(exact(value, "value"))
        I64.write(out, mantissa)
        out.append(scale)

    def read(self, source: Reader) -> Decimal:
        mantissa = I64.read(source)
        scale = source.byte()
        if scale > SCALE_MAX:
            raise DecodeError(f"a decimal has scale {scale}; at most {SCALE_MAX} is allowed")
        return join_decimal(mantissa, scale)


class CodeNumber(Codec[Code]):
    """A code, known or not."""

    def write(self, out: bytearray, value: Code) -> None:
        U16.write(out, int(value))

    def read(self, source: Reader) -> Code:
        return Code(U16.read(source))


class Plain(Codec[E]):
    """An enum whose variants have no fields."""

    def __init__(self, enum: Type[E]) -> None:
        self.enum = enum

    def write(self, out: bytearray, value: E) -> None:
        if not isinstance(value, self.enum):
            raise TypeError(f"a {self.enum.__name__} is needed, not {value!r}")
        _write_varint(out, int(value))

    def read(self, source: Reader) -> E:
        number = _read_varint(source, 32)
        try:
            return self.enum(number)
        except ValueError:
            raise UnknownVariant(f"{self.enum.__name__} has no variant {number}") from None


class Struct(Codec[T]):
    """A dataclass: its fields in the order of the table."""

    def __init__(self, make: Type[T], *fields: Tuple[str, Codec[Any]]) -> None:
        self.make = make
        self.fields = fields

    def write(self, out: bytearray, value: T) -> None:
        if not isinstance(value, self.make):
            raise TypeError(f"a {self.make.__name__} is needed, not {value!r}")
        for name, codec in self.fields:
            try:
                codec.write(out, getattr(value, name))
            except EncodeError as error:
                raise error.within(name) from None
            except TypeError as error:
                raise TypeError(f"{self.make.__name__}.{name}: {error}") from None

    def read(self, source: Reader) -> T:
        return self.make(*[codec.read(source) for _, codec in self.fields])


class Wrapped(Struct[T]):
    """A dataclass around one value: in JSON it is that value."""


class Variant:
    """A variant of a :class:`Choice`: its name, its codec, and the types of its values."""

    def __init__(self, name: str, codec: Codec[Any], *types: type) -> None:
        self.name = name
        self.codec = codec
        self.types: Sequence[type] = types or (getattr(codec, "make"),)


class Choice(Codec[Any]):
    """An enum whose variants have fields; the type of a value tells its variant."""

    def __init__(self, name: str, *variants: Variant) -> None:
        self.name = name
        self.variants = variants
        self._by_type: Dict[type, Tuple[int, Codec[Any]]] = {}
        for number, variant in enumerate(variants):
            for each in variant.types:
                assert each not in self._by_type, f"{each} stands for two variants of {name}"
                self._by_type[each] = (number, variant.codec)

    @property
    def types(self) -> List[type]:
        """The types of all variants."""
        return list(self._by_type)

    def write(self, out: bytearray, value: Any) -> None:
        found = self._by_type.get(type(value))
        if found is None:
            names = ", ".join(each.__name__ for each in self._by_type)
            raise TypeError(f"one of {names} is needed, not {value!r}")
        number, codec = found
        _write_varint(out, number)
        codec.write(out, value)

    def read(self, source: Reader) -> Any:
        number = _read_varint(source, 32)
        if number >= len(self.variants):
            raise UnknownVariant(f"{self.name} has no variant {number}")
        return self.variants[number].codec.read(source)


def exact(value: object, name: str) -> Decimal:
    """The exact number that a value stands for: a ``Decimal``, an ``int``, or text such as ``"0.010"``.

    Raises ``TypeError`` for a float or any other type, :class:`EncodeError` for what is not a finite number or
    does not fit the protocol (18 digits behind the point, a mantissa of 64 bits)."""
    if isinstance(value, float):
        raise TypeError(f"{name} is the float {value!r}; floats are not exact: give a Decimal, an int or a string")
    if isinstance(value, bool) or not isinstance(value, (Decimal, int, str)):
        raise TypeError(f"{name} must be a Decimal, an int or a string, not {type(value).__name__}")
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        raise EncodeError(f'{value!r} is not a number: write it as "0.010", with the digits 0 to 9', name)
    number = Decimal(value)
    try:
        split_decimal(number)
    except EncodeError as error:
        raise EncodeError(error.message, name) from None
    return number


def exact_or_none(value: object, name: str) -> Optional[Decimal]:
    """:func:`exact`, and None for None."""
    return None if value is None else exact(value, name)


def split_decimal(value: Decimal) -> Tuple[int, int]:
    """Mantissa and scale of a number, without rounding; independent of the decimal context."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise EncodeError(f"{value} is not a finite number")
    if not any(digits):
        return 0, min(max(-exponent, 0), SCALE_MAX)
    # Beyond these bounds nothing fits, and the powers below would be huge.
    if exponent > 19 or len(digits) + exponent > 19 or exponent < -1000:
        raise EncodeError(f"{value} does not fit a mantissa of 64 bits with a scale of at most {SCALE_MAX}")
    mantissa = int("".join(map(str, digits)))
    if exponent > 0:
        mantissa, exponent = mantissa * 10**exponent, 0
    while -exponent > SCALE_MAX and mantissa % 10 == 0:
        mantissa, exponent = mantissa // 10, exponent + 1
    if -exponent > SCALE_MAX:
        raise EncodeError(f"{value} has more than {SCALE_MAX} digits behind the point")
    mantissa = -mantissa if sign else mantissa
    while not MANTISSA_MIN <= mantissa <= MANTISSA_MAX and mantissa % 10 == 0 and exponent < 0:
        mantissa, exponent = mantissa // 10, exponent + 1
    if not MANTISSA_MIN <= mantissa <= MANTISSA_MAX:
        raise EncodeError(f"{value} has more digits than a mantissa of 64 bits can hold")
    return mantissa, -exponent


def join_decimal(mantissa: int, scale: int) -> Decimal:
    """The number *mantissa* × 10^−*scale*; independent of the decimal context."""
    digits = tuple(int(digit) for digit in str(abs(mantissa)))
    return Decimal((1 if mantissa < 0 else 0, digits, -scale))


def _require_integer(value: int, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"an integer is needed, not {value!r}")
    if not least <= value <= most:
        raise EncodeError(f"{value} is outside {least} to {most}")


U8 = Byte()
U16 = Unsigned(16)
U32 = Unsigned(32)
U64 = Unsigned(64)
U128 = Unsigned(128)
I64 = Signed()
BOOL = Boolean()
BYTES32 = Bytes32()
DECIMAL = Exact()
CODE = CodeNumber()
