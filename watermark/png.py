"""PNG files, written fast, and changed without being taken apart: only the rows of the logo are decoded and filtered anew.

A row of a PNG is stored as differences from its neighbours. Rows above the box stay the bytes that they are; the box's
rows, and the one below whose differences refer to them, are written with a filter that refers to no other row.
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 6: 4}
_SUB, _UP = 1, 2
_LEVEL = 1
_SAMPLED = 16


class Unreadable(Exception):
    """Why a file is left as it is: a slug of `Verdict.reason` and words."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class _Chunk:
    kind: bytes
    start: int
    end: int


class Png:
    """A parsed file. Raises Unreadable where the logo cannot be looked for in it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._chunks = _chunks(data)
        if not self._chunks or self._chunks[0].kind != b"IHDR" or len(data) < 33:
            raise Unreadable("broken", "the header is missing")
        self.width, self.height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
        kinds = {chunk.kind for chunk in self._chunks}
        if b"acTL" in kinds:
            raise Unreadable("animated", "it is an animation")
        if depth != 8 or colour not in _CHANNELS or interlaced or b"tRNS" in kinds:
            raise Unreadable("unsupported", f"{depth} bits, colour type {colour}, interlaced {interlaced}")
        self._channels = _CHANNELS[colour]
        self._colour = colour
        stream = b"".join(data[c.start + 8 : c.end - 4] for c in self._chunks if c.kind == b"IDAT")
        size = self.height * (1 + self.width * self._channels)
        try:
            raw = isal_zlib.decompressobj().decompress(stream, size + 1)
        except isal_zlib.error:  # type: ignore[misc]  # its stub does not say that this is an exception
            raise Unreadable("broken", "the pixels' stream is damaged") from None
        if len(raw) != size or b"IEND" not in kinds:
            raise Unreadable("broken", "the pixels are cut off")
        self._rows = np.frombuffer(raw, np.uint8).reshape(self.height, -1)

    def last_rows(self, count: int) -> Bytes:
        """At least so many rows from the bottom, (n, width, channels), in BGR order."""
        first = max(self.height - count, 0)
        # A row whose filter refers to no row above it is where decoding can begin.
        starts = np.nonzero(self._rows[: first + 1, 0] <= _SUB)[0]
        first = int(starts[-1]) if len(starts) else 0
        header = struct.pack(">IIBBBBB", self.width, self.height - first, 8, self._colour, 0, 0, 0)
        stored = zlib.compress(self._rows[first:].tobytes(), 0)
        part = SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", stored) + _chunk(b"IEND", b"")
        pixels = cv2.imdecode(np.frombuffer(part, np.uint8), cv2.IMREAD_UNCHANGED)
        if pixels is None:
            raise Unreadable("broken", "the rows cannot be decoded")
        return np.asarray(pixels, np.uint8).reshape(self.height - first, self.width, -1)

    def with_rows(self, first: int, rows: Bytes) -> bytes:
        """The file with these rows (n, width, channels; BGR) from row `first` on; all else as it is."""
        order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[self._channels]
        plain = rows[..., order]
        filtered = plain.copy()
        filtered[:, 1:] -= plain[:, :-1]
        raw = self._rows.copy()
        raw[first : first + len(rows), 0] = _SUB
        raw[first : first + len(rows), 1:] = filtered.reshape(len(rows), -1)
        stream = _chunk(b"IDAT", isal_zlib.compress(raw.data.cast("B"), _LEVEL))
        parts = [SIGNATURE]
        for chunk in self._chunks:
            if chunk.kind != b"IDAT":
                parts.append(self._data[chunk.start : chunk.end])
            elif stream:
                parts.append(stream)
                stream = b""
        return b"".join(parts)


def write(pixels: Bytes, kept: Mapping[str, bytes]) -> bytes:
    """A file of (height, width, 1, 3 or 4) in RGB order. kept: `icc_profile`, `exif`, `xmp`, each if there is one.

    Ten times as fast as zlib's fastest, for some 10 % more bytes than its best: one filter for all rows, the one
    under which a sample of them is smallest.
    """
    height, width, channels = pixels.shape
    colour = {count: colour for colour, count in _CHANNELS.items()}[channels]
    flat = np.ascontiguousarray(pixels).reshape(height, -1)
    raw = np.empty((height, 1 + width * channels), np.uint8)
    some = flat[:: max(height // _SAMPLED, 1)].astype(np.int16)
    next_ones = flat[1 :: max(height // _SAMPLED, 1)].astype(np.int16)
    beside = np.abs(some[:, channels:] - some[:, :-channels]).mean() if width > 1 else 0
    above = np.abs(next_ones - some[: len(next_ones)]).mean() if height > 1 else 0
    raw[:, 0] = _UP if above < beside else _SUB
    if above < beside:
        raw[0, 1:] = flat[0]
        np.subtract(flat[1:], flat[:-1], out=raw[1:, 1:])
    else:
        raw[:, 1 : 1 + channels] = flat[:, :channels]
        np.subtract(flat[:, channels:], flat[:, :-channels], out=raw[:, 1 + channels :])
    parts = [SIGNATURE, _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))]
    if profile := kept.get("icc_profile"):
        parts.append(_chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(profile)))
    if exif := kept.get("exif"):
        parts.append(_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
    if xmp := kept.get("xmp"):
        parts.append(_chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + xmp))
    parts.append(_chunk(b"IDAT", isal_zlib.compress(raw.data.cast("B"), _LEVEL)))
    return b"".join((*parts, _chunk(b"IEND", b"")))


def _chunks(data: bytes) -> list[_Chunk]:
    found = []
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        if at + 12 + length > len(data):
            break
        found.append(_Chunk(data[at + 4 : at + 8], at, at + 12 + length))
        at += 12 + length
        if found[-1].kind == b"IEND":
            break
    return found


def _chunk(kind: bytes, body: bytes) -> bytes:
    return b"".join(
        (struct.pack(">I", len(body)), kind, body, struct.pack(">I", zlib.crc32(body, zlib.crc32(kind))))
    )
