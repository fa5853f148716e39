"""JPEG as it was coded: light, colour of half the size, and blocks that reach beyond the picture's edge."""

import io
import struct
from collections.abc import Container

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from watermark.png import Unreadable

WHOLE, HALVED = 0, 2
"""Pillow's names for colour of the picture's size, and of half of it in both directions."""
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_LONGEST = 65535


def light_and_colour(data: bytes) -> NDArray[np.uint8]:
    """The pixels as they were coded (rows x columns x 3, or rows x columns of a grey picture)."""
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        image.draft("YCbCr", image.size)
        return np.array(image)


def with_whole_blocks(data: bytes, sampling: int) -> bytes:
    """The file, saying that it ends where its last blocks end, so that a decoder shows all that they hold."""
    unit = 16 if sampling == HALVED else 8
    at = _frame(data)
    height, width = (-(-size // unit) * unit for size in struct.unpack_from(">HH", data, at))
    # Scans of single components end with the component, not with the last block of all.
    together = data[at + 4] == data[_marker(data, at + 5 + 3 * data[at + 4], (0xDA,)) + 4]
    return with_size(data, width, height) if together and max(width, height) <= _LONGEST else data


def with_size(data: bytes, width: int, height: int) -> bytes:
    """The file, saying that it has this size."""
    at = _frame(data)
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def _frame(data: bytes) -> int:
    """Where height and width stand in the frame's header (T.81, B.2.2); the number of components follows."""
    return _marker(data, 2, _FRAMES) + 5


def _marker(data: bytes, at: int, wanted: Container[int]) -> int:
    """Where the first of these markers stands, from the marker at `at` on."""
    while data[at] == 0xFF and data[at + 1] not in wanted:
        # Bytes of filling may stand before a marker.
        at += 1 if data[at + 1] == 0xFF else 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    if data[at] != 0xFF:
        raise Unreadable("broken", "a header is missing")
    return at


def fill(pixels: NDArray[np.uint8], planes: list[NDArray[np.uint8]]) -> None:
    """Colour of half the size goes into blocks of four, whose mean, which is what is coded, it then is."""
    height, width = pixels.shape[:2]
    for channel, plane in enumerate(planes):
        whole = plane if plane.shape == (height, width) else plane.repeat(2, 0).repeat(2, 1)
        pixels.reshape(height, width, -1)[..., channel] = whole[:height, :width]


def half_planes(data: bytes) -> list[NDArray[np.uint8]]:
    """Cb and Cr at their own size: at half its size a picture is decoded without interpolating its colour."""
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        image.draft("YCbCr", (image.width // 2, image.height // 2))
        half = np.array(image)
    return [half[..., 1], half[..., 2]]
