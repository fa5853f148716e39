"""JSON with pictures in it, coded as base64 only while it is sent.

Ten large pictures are hundreds of megabytes of base64. Their text is never whole in memory: a body knows its exact
length beforehand and is handed out in pieces, between which other requests get their turn.
"""

import binascii
import secrets
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

PIECE = 384 * 1024
"""Bytes of a picture that are coded at a time, a multiple of 3; they become 512 KiB of text."""


class Inline:
    """In a wire struct: stands for a JSON string of `prefix` and the base64 of `data`."""

    __slots__ = ("data", "prefix")

    def __init__(self, data: bytes, prefix: str = "") -> None:
        self.data = data
        self.prefix = prefix

    @classmethod
    def data_url(cls, data: bytes, mime: str) -> "Inline":
        return cls(data, f"data:{mime};base64,")

    @classmethod
    def text(cls, text: str) -> "Inline":
        """No picture but a link to one, where a string may be either."""
        return cls(b"", text)

    def __len__(self) -> int:
        """Of the base64 alone."""
        return (len(self.data) + 2) // 3 * 4


class Pieces:
    """Bytes of a body or of one event of a stream: plain ones, and pictures that become base64."""

    __slots__ = ("_length", "_parts")

    def __init__(self, parts: list[bytes | Inline]) -> None:
        self._parts = parts
        self._length = sum(len(part) for part in parts)

    def __len__(self) -> int:
        """How many bytes `iter` gives in all."""
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            if isinstance(part, bytes):
                if part:
                    yield part
                continue
            view = memoryview(part.data)
            for at in range(0, len(view), PIECE):
                yield binascii.b2a_base64(view[at : at + PIECE], newline=False)

    def within(self, head: bytes, tail: bytes) -> "Pieces":
        """The same between two other pieces."""
        return Pieces([head, *self._parts, tail])

    def rewritten(self, rewrite: Callable[[bytes], bytes]) -> "Pieces":
        """The same with all but the pictures rewritten."""
        return Pieces([rewrite(part) if isinstance(part, bytes) else part for part in self._parts])

    def joined(self) -> bytes:
        return b"".join(self)

    @classmethod
    def chained(cls, pieces: Iterable["Pieces"]) -> "Pieces":
        """One after the other."""
        return cls([part for piece in pieces for part in piece._parts])


def encoded(value: Any) -> Pieces:
    """`value` (wire structs) as JSON, its `Inline`s left to be coded."""
    # No text of a caller or a model can hold it, since it is drawn for this body alone.
    mark = secrets.token_hex(16)
    found: list[bytes | Inline] = []

    def leave_open(item: Any) -> msgspec.Raw:
        if not isinstance(item, Inline):
            raise NotImplementedError(f"{type(item).__name__} is no part of a wire struct")
        found.append(item)
        return msgspec.Raw(msgspec.json.encode(item.prefix + mark))

    plain = msgspec.json.encode(value, enc_hook=leave_open).split(mark.encode())
    parts: list[bytes | Inline] = [plain[0]]
    for inline, after in zip(found, plain[1:], strict=True):
        parts += (inline, after)
    return Pieces(parts)
