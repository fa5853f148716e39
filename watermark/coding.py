"""How a picture was coded with loss, and what can be made of values that carry the coding's noise.

JPEG and WebP keep light (Y) and colour (Cb, Cr; 0 is grey here) apart, colour mostly at half the resolution. Taking a mark
off a plane multiplies the noise of its coding by 1/(1-alpha), so that it stands where the star was; `smoothed` takes from
each neighbourhood what is no larger than that noise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.star import Floats

Bytes = NDArray[np.uint8]
_SIDE = 8
_STRIDE = 3
_THRESHOLD = 2.5**2
_PIECE = 48
_WEBP_DEVIATION = 1.7


@dataclass(frozen=True)
class Coding:
    """light, colour: variance of the noise by the 64 frequencies of an 8 x 8 block. halved: colour is at half size."""

    light: Floats
    colour: Floats
    halved: bool


def even(deviation: float = _WEBP_DEVIATION) -> Coding:
    """Noise that is alike at all frequencies, colour at half size: where no more is known."""
    flat = np.full(64, deviation**2, np.float32)
    return Coding(flat, flat, True)


def of_jpeg(tables: Mapping[int, Sequence[int]], halved: bool) -> Coding:
    """From the file's own tables (row by row): each value was rounded to a multiple of its step."""
    steps = [np.asarray(tables[key], np.float32) for key in sorted(tables)]
    return Coding(steps[0] ** 2 / 12, steps[min(1, len(steps) - 1)] ** 2 / 12, halved)


def of_webp(data: bytes) -> Coding:
    """From the first frame's header; `even` where it cannot be read."""
    at = data.find(b"VP8 ")
    if at < 0 or data[at + 11 : at + 14] != b"\x9d\x01\x2a":
        return even()
    index = _webp_index(data[at + 18 : at + 18 + 64])
    # Steps grow by 1 an index, later faster; the transform's values are twice those of an orthonormal one.
    step = 4 + index + max(index - 54, 0) + max(index - 85, 0)
    return even(max(step / 2 / 12**0.5, 0.7))


def _webp_index(header: bytes) -> int:
    """The quantiser's index (RFC 6386, 9.3 to 9.6), the mean over the segments where these have their own."""
    bits = _Bits(header)
    bits.read(2)  # colour space, clamping
    deltas: list[int] = []
    absolute = False
    if bits.read(1):
        with_map, with_data = bits.read(1), bits.read(1)
        if with_data:
            absolute = bool(bits.read(1))
            deltas = [bits.signed(7) if bits.read(1) else 0 for _ in range(4)]
            for _ in range(4):
                if bits.read(1):
                    bits.signed(6)
        if with_map:
            for _ in range(3):
                if bits.read(1):
                    bits.read(8)
    bits.read(10)  # the loop filter's type, level and sharpness
    if bits.read(1) and bits.read(1):
        for _ in range(8):
            if bits.read(1):
                bits.signed(6)
    bits.read(2)  # partitions
    base = bits.read(7)
    if not deltas:
        return base
    return round(sum(min(max(delta + (0 if absolute else base), 0), 127) for delta in deltas) / len(deltas))


class _Bits:
    """The arithmetic decoder of VP8 at even odds; past its end it reads zeros."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._value = int.from_bytes(data[:2].ljust(2, b"\0"))
        self._at, self._range, self._shifts = 2, 255, 0

    def read(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self._bit()
        return value

    def signed(self, count: int) -> int:
        value = self.read(count)
        return -value if self._bit() else value

    def _bit(self) -> int:
        split = 1 + ((self._range - 1) * 128 >> 8)
        bit = int(self._value >= split << 8)
        if bit:
            self._range -= split
            self._value -= split << 8
        else:
            self._range = split
        while self._range < 128:
            self._range <<= 1
            self._value <<= 1
            self._shifts += 1
            if self._shifts == 8:
                self._shifts = 0
                self._value |= self._data[self._at] if self._at < len(self._data) else 0
                self._at += 1
        return bit


def _cosines() -> Floats:
    row = np.arange(_SIDE)
    basis = np.cos((2 * row[None, :] + 1) * row[:, None] * np.pi / (2 * _SIDE)) * np.sqrt(2 / _SIDE)
    basis[0] /= np.sqrt(2)
    return np.asarray(np.kron(basis, basis), np.float32)


_TO_FREQUENCIES = _cosines()


def _product(rows: Floats, matrix: Floats) -> Floats:
    """rows @ matrix in pieces that numpy's algebra does not spread over threads, which on a busy machine wait for cores."""
    product = np.empty((len(rows), matrix.shape[1]), np.float32)
    for first in range(0, len(rows), _PIECE):
        np.matmul(rows[first : first + _PIECE], matrix, out=product[first : first + _PIECE])
    return product


def smoothed(plane: Floats, gain: Floats, variance: Floats) -> Floats:
    """The plane without what its noise explains.

    gain: by how much each value's noise was multiplied (its square). variance: of the noise before, by frequency.
    Blocks at every third place are taken apart into frequencies, those below 2.5 deviations of their noise dropped,
    and the results averaged, plain blocks counting more (Yaroslavsky's sliding transform).
    """
    height, width = plane.shape
    blocks = np.lib.stride_tricks.sliding_window_view(plane, (_SIDE, _SIDE))[::_STRIDE, ::_STRIDE]
    down, across = blocks.shape[:2]
    values = _product(blocks.reshape(-1, 64), _TO_FREQUENCIES.T)
    mean_gain = cv2.boxFilter(gain, -1, (_SIDE, _SIDE), anchor=(0, 0), borderType=cv2.BORDER_REPLICATE)
    gains = mean_gain[: height - _SIDE + 1 : _STRIDE, : width - _SIDE + 1 : _STRIDE].reshape(-1, 1)
    noise = gains * variance
    kept = values**2 > _THRESHOLD * noise
    kept[:, 0] = True
    values *= kept
    weight = 1 / ((noise * kept).sum(1) + np.float32(1e-3))
    rebuilt = (_product(values, _TO_FREQUENCIES) * weight[:, None]).reshape(down, across, _SIDE, _SIDE)
    placed, total = np.zeros_like(plane), np.zeros_like(plane)
    placed[: down * _STRIDE : _STRIDE, : across * _STRIDE : _STRIDE] = weight.reshape(down, across)
    # How much all blocks that cover a value weigh together.
    last = (_SIDE - 1, _SIDE - 1)
    weights = cv2.boxFilter(
        placed, -1, (_SIDE, _SIDE), anchor=last, normalize=False, borderType=cv2.BORDER_CONSTANT
    )
    rebuilt = np.ascontiguousarray(rebuilt.transpose(2, 3, 0, 1))
    for y in range(_SIDE):
        for x in range(_SIDE):
            total[y : y + down * _STRIDE : _STRIDE, x : x + across * _STRIDE : _STRIDE] += rebuilt[y, x]
    return np.where(weights > 1e-9, total / np.maximum(weights, 1e-12), plane)
