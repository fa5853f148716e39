"""The web app's framing: length-prefixed JSON arrays, counted in UTF-16 units, cut anywhere.

A frame is a decimal count and its payload; the count is the number of UTF-16 code units of all that
follows the digits: a newline, the JSON array, a newline.
"""

import random
from collections.abc import Iterable, Iterator

import msgspec

XSSI = b")]}'\n\n"
"""Precedes the frames of every answer, so that a script tag cannot read them."""

_encode = msgspec.json.encode


def utf16_units(data: bytes) -> int:
    """Length of UTF-8 `data` in UTF-16 code units."""
    if data.isascii():
        return len(data)
    return len(data.decode("utf-8").encode("utf-16-le")) // 2


def frame(payload: bytes, units: int | None = None) -> bytes:
    """One frame around a JSON array. `units`: its length where it is known already."""
    return b"%d\n%b\n" % ((utf16_units(payload) if units is None else units) + 2, payload)


def frame_of(parts: list[object]) -> bytes:
    return frame(_encode(parts))


def embed(text: str) -> bytes:
    """`text` as it stands inside a JSON string that is itself inside a JSON string, without quotes.

    Escaping works character by character, so embed(a) + embed(b) == embed(a + b).
    """
    return _encode(_encode(text)[1:-1].decode("utf-8"))[1:-1]


def embed_json(value: object) -> bytes:
    """A JSON value as it stands inside a JSON string, without quotes."""
    return _encode(_encode(value).decode("utf-8"))[1:-1]


class Growing:
    """Cumulative texts of a growing answer, each encoded once: `upto(n)` costs one slice."""

    def __init__(self, increments: Iterable[str]) -> None:
        encoded = [embed(part) for part in increments]
        self._data = b"".join(encoded)
        self._ends = [0]
        self._units = [0]
        for part in encoded:
            self._ends.append(self._ends[-1] + len(part))
            self._units.append(self._units[-1] + utf16_units(part))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def upto(self, count: int) -> tuple[bytes, int]:
        """The first `count` increments, encoded, and their length in UTF-16 units."""
        return self._data[: self._ends[count]], self._units[count]


def cuts(length: int, mean: int, rng: random.Random) -> Iterator[tuple[int, int]]:
    """Spans that cut `length` bytes into pieces of about `mean`, and into three or more where it can."""
    limit = max(1, min(2 * mean - 1, length * 2 // 3))
    start = 0
    while start < length:
        end = min(length, start + 1 + int(rng.random() * limit))
        yield start, end
        start = end


def cut(data: bytes, mean: int, rng: random.Random) -> list[memoryview]:
    """`data` in pieces, cut at arbitrary bytes (inside a UTF-8 sequence too), none of it copied."""
    view = memoryview(data)
    return [view[start:end] for start, end in cuts(len(data), mean, rng)]
