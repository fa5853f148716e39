"""Taking a mark off again.

A marked value has a whole interval of originals, because it was rounded. The interval is known exactly: it is read from a
table of what each original would have become. Within it, the one that agrees best with its neighbours is taken.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.star import Floats, Mark

Bytes = NDArray[np.uint8]
_NEAR = 5
_ROUNDS = 4


@dataclass(frozen=True)
class _Intervals:
    """First and last original by (level of alpha, marked value); last < first where there is none."""

    first: NDArray[np.int16]
    last: NDArray[np.int16]


class Remover:
    """The inverse of one mark. Works on boxes (size, size, channels) of uint8."""

    def __init__(self, mark: Mark) -> None:
        self._mark = mark
        self._alpha = mark.alpha[..., None]
        self._white = self._alpha * np.float32(255)
        self._share = 1 / (1 - self._alpha)
        self._touched = mark.alpha > 0
        levels, index = np.unique(mark.alpha_once, return_inverse=True)
        self._level = index.reshape(mark.alpha.shape)[..., None]
        self._table = _intervals(levels, mark.stamps) if mark.exact else None

    def exactly(self, box: Bytes) -> Bytes:
        """The originals of a picture that was never lossy."""
        value = (box - self._white) * self._share
        if self._table is not None:
            first, last = self._table.first[self._level, box], self._table.last[self._level, box]
            known = last >= first
            value = np.where(known, _within(value, first, last), value)
        return self._laid(box, np.clip(np.rint(value), 0, 255))

    def _laid(self, box: Bytes, value: NDArray[np.floating]) -> Bytes:
        """Only pixels that carry some of the mark change."""
        return np.where(self._touched[..., None], value, box).astype(np.uint8)


def _within(value: Floats, first: NDArray[np.int16], last: NDArray[np.int16]) -> Floats:
    """The originals that agree best with their neighbours. value: the formula's, exact where nothing was stamped."""
    middle = ((first + last) * np.float32(0.5)).astype(np.float32)
    # The inner part of an interval, so that no error is larger than the narrowest possible.
    low = np.maximum(np.minimum(first + 1, last - 1), first).astype(np.float32)
    high = np.minimum(np.maximum(first + 1, last - 1), last).astype(np.float32)
    width = (last - first + 1).astype(np.float32) ** 2 / 12
    guess = middle
    trust: Floats | None = None
    for _ in range(_ROUNDS):
        near = cv2.blur(guess, (_NEAR, _NEAR), borderType=cv2.BORDER_REPLICATE).reshape(middle.shape)
        if trust is None:
            # How far neighbours are to be believed: the interval's own variance against theirs.
            spread = cv2.blur((near - guess) ** 2, (_NEAR, _NEAR)).reshape(middle.shape)
            trust = width / (width + np.maximum(spread - width, 0) * 2 + 1e-3)
        guess = np.clip(middle + (near - middle) * trust, low, high)
    return guess


def _intervals(levels: Floats, stamps: int) -> _Intervals:
    """For both ways in which halves may have been rounded: a picture seldom tells which."""
    alpha = levels.astype(np.float64)[:, None]
    first = np.full((len(levels), 256), 999, np.int16)
    last = np.full((len(levels), 256), -999, np.int16)
    rows = np.arange(len(levels))
    for half_to_even in (False, True):
        marked = np.broadcast_to(np.arange(256.0), (len(levels), 256))
        for _ in range(stamps):
            blended = (1 - alpha) * marked + alpha * 255
            marked = np.rint(blended) if half_to_even else np.floor(blended + 0.5 + 1e-9)
        for original in range(256):
            value = marked[:, original].astype(np.intp)
            first[rows, value] = np.minimum(first[rows, value], original)
            last[rows, value] = np.maximum(last[rows, value], original)
    return _Intervals(first, last)
