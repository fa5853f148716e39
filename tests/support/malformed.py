"""Bodies that no route may take: broken JSON, JSON of the wrong kinds, and what is no JSON at all."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from routes.openapi import Operation
from tests.support.openapi import Contract

JSON_TYPE = (b"content-type", b"application/json")
STRANGE: list[Any] = [
    None, True, False, 0, -1, 3, 1.5, -0.0, 10**30, -(10**30), "", "\0", "x", "\U0001f9ff", "\ud83d", [], [[]], [None],
    ["x"], {}, {"": None}, {"type": "x"}, {"text": 1}, [{"role": 3}], {"a": {"b": {"c": []}}},
]  # fmt: skip
RAW = [
    "NaN",
    "-Infinity",
    "1e999",
    "-1e999",
    "9" * 400,
    "0" * 8,
    "+1",
    ".5",
    "1.",
    "0x10",
    "'x'",
    "undefined",
    "{",
    '"\\ud83d"',
]


class Body(Struct, frozen=True):
    """refused: it must be; otherwise it may be taken as well."""

    kind: str
    data: bytes
    headers: tuple[tuple[bytes, bytes], ...] = (JSON_TYPE,)
    refused: bool = True


Maker = Callable[[random.Random, Operation, Any], Body]


class Malformer:
    """Makes bodies out of an operation's examples, by chance of a seed."""

    def __init__(self, contract: Contract, seed: int) -> None:
        self._contract = contract
        self._random = random.Random(seed)  # noqa: S311  # the same bodies in every run
        self._makers: list[Maker] = [
            self._wrong_value, self._wrong_value, self._wrong_value, self._missing, self._raw_value, _truncated,
            _no_object, _bytes, _other_encoding, _deep, _broken_syntax, _null_bytes, _other_type, _compressed, _odd,
            _two_spellings, _long,
        ]  # fmt: skip

    def bodies(self, operations: list[Operation], n: int) -> Iterator[tuple[Operation, Body]]:
        for _ in range(n):
            operation = self._random.choice(operations)
            example = self._random.choice(list(operation.examples.values()))
            make = self._random.choice(self._makers)
            yield operation, make(self._random, operation, json.loads(json.dumps(example)))

    def _breaks(self, operation: Operation, value: Any) -> bool:
        described = self._contract.document["paths"][operation.path][operation.method]
        schema = described["requestBody"]["content"]["application/json"]["schema"]
        return not self._contract.accepts(schema, value)

    def _wrong_value(self, chance: random.Random, operation: Operation, example: Any) -> Body:
        """One value of the example replaced by one of another kind."""
        holder, key = chance.choice(_places(example))
        holder[key] = chance.choice(STRANGE)
        text = json.dumps(example, ensure_ascii=chance.random() < 0.5)
        data = text.encode(errors="surrogatepass")
        # `:predict` takes numbers as text, and what is no JSON for the document's checker is not asked of it.
        sure = not operation.path.endswith(":predict") and "\\ud83d" not in json.dumps(example)
        return Body("wrong value", data, refused=sure and self._breaks(operation, example))

    def _missing(self, chance: random.Random, operation: Operation, example: Any) -> Body:
        holder, key = chance.choice(_places(example))
        del holder[key]
        return Body("missing", json.dumps(example).encode(), refused=self._breaks(operation, example))

    def _raw_value(self, chance: random.Random, operation: Operation, example: Any) -> Body:
        """A number or word that JSON does not know, or that is too large for anybody."""
        holder, key = chance.choice(_places(example))
        holder[key] = "@@@"
        text = json.dumps(example).replace('"@@@"', chance.choice(RAW), 1)
        return Body("raw value", text.encode(), refused=False)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in the value that something stands in."""
    found: list[tuple[Any, Any]] = []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found.append((value, key))
        found += _places(item)
    return found


def _truncated(chance: random.Random, operation: Operation, example: Any) -> Body:
    text = json.dumps(example).encode()
    return Body("truncated", text[: chance.randrange(len(text))])


def _no_object(chance: random.Random, operation: Operation, example: Any) -> Body:
    value = chance.choice([[], [example], "x", 1, 1.5, True, None, json.dumps(example)])
    return Body("no object", json.dumps(value).encode())


def _bytes(chance: random.Random, operation: Operation, example: Any) -> Body:
    return Body(
        "bytes", chance.choice([b"", b" ", b"\0", b"\xff", b"\x80{"]) + chance.randbytes(chance.randrange(40))
    )


def _other_encoding(chance: random.Random, operation: Operation, example: Any) -> Body:
    example["x"] = "\u00e9"
    text = json.dumps(example, ensure_ascii=False)
    return Body("encoding", text.encode(chance.choice(["utf-16", "utf-16-be", "utf-32", "latin-1"])))


def _deep(chance: random.Random, operation: Operation, example: Any) -> Body:
    opening, closing = chance.choice([(b"[", b"]"), (b'{"a":', b"}")])
    depth = chance.choice([900, 2000, 2000, 20_000])
    field = chance.choice([*example, "x"]).encode()
    inner = opening * depth + b"1" + closing * depth
    return Body(
        "deep", json.dumps(example).encode()[:-1] + b',"%s":%s}' % (field, inner), refused=depth > 1000
    )


def _broken_syntax(chance: random.Random, operation: Operation, example: Any) -> Body:
    text = json.dumps(example)
    broken = [
        text.replace('"', "'"), text[:-1] + ",}", text + "}", text + text, "// a\n" + text, text.replace(":", "=", 1),
        text.replace('"', "", 2), "\ufeff\ufeff" + text, text[:-1], "callback(" + text + ")", text.replace("{", "[", 1),
        text.replace("{", '{"\t\n": "\n", ', 1),
    ]  # fmt: skip
    return Body("syntax", chance.choice(broken).encode())


def _null_bytes(chance: random.Random, operation: Operation, example: Any) -> Body:
    text = json.dumps(example).encode()
    at = text.index(b":", chance.randrange(text.index(b":") + 1))
    return Body("null bytes", text[:at] + b"\0" + text[at:])


def _other_type(chance: random.Random, operation: Operation, example: Any) -> Body:
    names = [
        b"text/xml",
        b"image/png",
        b"multipart/form-data",
        b"multipart/form-data; boundary=x",
        b"\xff\xfe",
        b"a" * 300,
    ]
    header = (b"content-type", chance.choice(names))
    return Body("type", json.dumps(example).encode(), (header,))


def _compressed(chance: random.Random, operation: Operation, example: Any) -> Body:
    name = chance.choice([b"gzip", b"br", b"deflate", b"zstd", b"x", b"gzip, identity"])
    return Body("compressed", json.dumps(example).encode(), (JSON_TYPE, (b"content-encoding", name)))


def _odd(chance: random.Random, operation: Operation, example: Any) -> Body:
    """What lax clients write, which is taken where it makes sense."""
    text = json.dumps(example)
    odd = [
        "\ufeff" + text, text[:-1] + ', "x": NaN}', text[:-1] + ', "x": "\\ud800"}', text[:-1] + ', "x": ' + "9" * 5000 + "}",
        text[:-1] + "," + text[1:], text[:-1] + ', "": {"": ""}}', "\r\n\t " + text + " \n", text[:-1] + ', "x": "\\u0000"}',
    ]  # fmt: skip
    return Body("odd", chance.choice(odd).encode(), refused=False)


def _two_spellings(chance: random.Random, operation: Operation, example: Any) -> Body:
    """The same field twice, the second time as something else."""
    field = chance.choice(list(example))
    text = json.dumps(example)[:-1] + f', "{field}": {json.dumps(chance.choice(STRANGE))}}}'
    return Body("twice", text.encode(errors="replace"), refused=False)


def _long(chance: random.Random, operation: Operation, example: Any) -> Body:
    """Many values of no use."""
    many = json.dumps({chance.choice([*example, "x"]): [[]] * 1000}).encode()
    return Body("long", json.dumps(example).encode()[:-1] + b"," + many[1:], refused=False)
