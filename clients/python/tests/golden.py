"""Values to the JSON of golden/frames.json and back, by the codecs' own tables."""

import pathlib
import re

from tollgate import bodies, codec
from tollgate.codes import Code
from tollgate.wire import Kind

PROTOCOL = pathlib.Path(__file__).resolve().parents[3] / "protocol"

BODIES = {
    Kind.HELLO: bodies.HELLO,
    Kind.CHALLENGE: bodies.CHALLENGE,
    Kind.PROOF: bodies.PROOF,
    Kind.WELCOME: bodies.WELCOME,
    Kind.REFUSAL: bodies.GOODBYE,
    Kind.COMMAND: bodies.COMMAND,
    Kind.EVENT: bodies.EVENT,
    Kind.ANSWER: bodies.ANSWER,
    Kind.GOODBYE: bodies.GOODBYE,
}

LARGEST_JSON_INTEGER = 2**53 - 1


def camel(name):
    return "".join(word.capitalize() for word in name.split("_"))


def integer_to_json(value):
    return int(value) if abs(value) <= LARGEST_JSON_INTEGER else str(int(value))


def to_json(table, value):
    if isinstance(table, codec.Maybe):
        return None if value is None else to_json(table.inner, value)
    if isinstance(table, codec.CodeNumber):
        return value.name
    if isinstance(table, codec.Exact):
        mantissa, scale = codec.split_decimal(value)
        return {"mantissa": integer_to_json(mantissa), "scale": scale}
    if isinstance(table, codec.Bytes32):
        return list(value)
    if isinstance(table, codec.Plain):
        return camel(value.name)
    if isinstance(table, codec.Wrapped):
        ((name, inner),) = table.fields
        return to_json(inner, getattr(value, name))
    if isinstance(table, codec.Struct):
        return {name: to_json(inner, getattr(value, name)) for name, inner in table.fields}
    if isinstance(table, codec.Choice):
        variant = next(each for each in table.variants if type(value) in each.types)
        inner = to_json(variant.codec, value)
        return variant.name if inner == {} else {variant.name: inner}
    if isinstance(table, (codec.Boolean, codec.Text)):
        return value
    return integer_to_json(value)


def from_json(table, value):
    if isinstance(table, codec.Maybe):
        return None if value is None else from_json(table.inner, value)
    if isinstance(table, codec.CodeNumber):
        return Code[value]
    if isinstance(table, codec.Exact):
        return codec.join_decimal(int(value["mantissa"]), value["scale"])
    if isinstance(table, codec.Bytes32):
        return bytes(value)
    if isinstance(table, codec.Plain):
        return next(each for each in table.enum if camel(each.name) == value)
    if isinstance(table, codec.Wrapped):
        return table.make(from_json(table.fields[0][1], value))
    if isinstance(table, codec.Struct):
        assert [name for name, _ in table.fields] == list(value), f"{table.make.__name__}: other fields"
        return table.make(*[from_json(inner, value[name]) for name, inner in table.fields])
    if isinstance(table, codec.Choice):
        name, inner = (value, {}) if isinstance(value, str) else next(iter(value.items()))
        variant = next(each for each in table.variants if each.name == name)
        return from_json(variant.codec, inner)
    if isinstance(table, (codec.Boolean, codec.Text)):
        return value
    return int(value)


def hex_blocks():
    """The worked examples of EXAMPLES.md: name of a block to its pieces of (bytes, label)."""
    markdown = (PROTOCOL / "EXAMPLES.md").read_text(encoding="utf-8")
    blocks = {}
    for name, body in re.findall(r"^```text\n# ([\w.]+)\n(.*?)^```", markdown, re.M | re.S):
        lines = [line.split("  ", 1) for line in body.splitlines()]
        blocks[name] = [(bytes.fromhex(digits), label) for digits, label in lines]
    return blocks
