"""Taking a mark off again.

A marked value has a whole interval of originals, because it was rounded. The interval is known exactly: it is read from a
table of what each original would have become. Within it, the one that agrees best with its neighbours is taken.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.star import Floats, Mark

Bytes = NDArray[np.uint8]
_NEAR = 5
_ROUNDS = 4
_MANY, _SEEN = 60, 4
_TO_EVEN, _UP = 0.35, 0.12


@dataclass(frozen=True)
class _Originals:
    """What a marked value may have been, by (level of alpha) * 256 + value.

    middle: of the interval; where no original would have become the value, what the formula says. room: how far from
    the middle an answer may be, so that no error is larger than the narrowest possible. variance: within the interval.
    """

    middle: Floats
    room: Floats
    variance: Floats


class Remover:
    """The inverse of one mark. Works on boxes (size, size, channels) of uint8."""

    def __init__(self, mark: Mark) -> None:
        self._touched = np.ascontiguousarray(
            np.broadcast_to(mark.alpha[..., None] > 0, (*mark.alpha.shape, 3))
        )
        levels, index = np.unique(mark.alpha_once, return_inverse=True)
        self._row = (index.reshape(mark.alpha.shape) * 256)[..., None].astype(np.intp)
        # By how halves were rounded: up, to even, or not known.
        self._up = self._even = self._either = _originals(levels, mark, (False, True))
        self._telling: NDArray[np.floating[Any]] | None = None
        if mark.exact and mark.stamps == 1:
            self._up, self._even = _originals(levels, mark, (False,)), _originals(levels, mark, (True,))
            # Black and white say nothing: pictures are clipped there.
            inner = (self._either.middle > 2) & (self._either.middle < 253)
            self._telling = np.where(inner, np.sign(self._even.variance - self._up.variance), 0)[:, 1:-1]

    def exactly(self, box: Bytes) -> Bytes:
        """The originals of a picture that was never lossy. Only pixels that carry some of the mark change."""
        index = self._row + box
        known = self._rounded_as(index)
        value = _agreed(known.middle.take(index), known.room.take(index), known.variance.take(index))
        cleaned: Bytes = np.rint(value, out=value).astype(np.uint8)
        return np.where(self._touched[..., : box.shape[2]], cleaned, box)

    def _rounded_as(self, index: NDArray[np.intp]) -> _Originals:
        """The table for the way in which halves were rounded, if the box tells.

        Rounded to even, halves make every other value from three originals and those between from one, where rounding
        up makes each from two: so the former stand out among their neighbours by half of their number.
        """
        if self._telling is None:
            return self._either
        counts = np.bincount(index.ravel(), minlength=self._up.middle.size).reshape(-1, 256)
        beside = (counts[:, :-2] + counts[:, 2:]) / 2
        all_three = counts[:, 1:-1] + beside
        seen = (all_three >= _SEEN) & (self._telling != 0)
        if np.count_nonzero(seen) < _MANY:
            return self._either
        outstanding = float(((counts[:, 1:-1] - beside)[seen] / all_three[seen] * self._telling[seen]).mean())
        if outstanding > _TO_EVEN:
            return self._even
        return self._up if outstanding < _UP else self._either


def by_formula(mark: Mark, box: Bytes) -> Bytes:
    """The originals where the map is that of this picture alone, and no table of it exists."""
    alpha = mark.alpha[..., None]
    value = np.clip((box - 255 * alpha) / (1 - alpha), 0, 255)
    return np.where(alpha > 0, np.rint(value).astype(np.uint8), box)


def _agreed(middle: Floats, room: Floats, variance: Floats) -> Floats:
    """The originals that agree best with their neighbours, within their room."""
    low, high = middle - room, middle + room
    guess = middle
    near = cv2.blur(guess, (_NEAR, _NEAR), borderType=cv2.BORDER_REPLICATE)
    # How far neighbours are to be believed: the interval's own variance against theirs.
    spread = cv2.blur((near - guess) ** 2, (_NEAR, _NEAR))
    trust = variance / (variance + np.maximum(spread - variance, 0) * 2 + np.float32(1e-3))
    for again in range(_ROUNDS):
        if again:
            near = cv2.blur(guess, (_NEAR, _NEAR), borderType=cv2.BORDER_REPLICATE)
        toward = middle + (near - middle) * trust
        guess = np.minimum(np.maximum(toward, low), high)
    return guess


def _originals(levels: Floats, mark: Mark, ways: tuple[bool, ...]) -> _Originals:
    """Tables for every level of alpha. ways: of rounding halves, True to even. Without an exact map the formula alone."""
    alpha = 1 - (1 - levels.astype(np.float64)[:, None]) ** mark.stamps
    formula = ((np.arange(256.0) - alpha * 255) / (1 - alpha)).clip(0, 255)
    if not mark.exact:
        nothing = np.zeros(formula.shape, np.float32)
        return _Originals(formula.astype(np.float32), nothing, nothing)
    ends = _intervals(levels, mark.stamps, ways)
    count = (ends.last - ends.first + 1).astype(np.float32)
    known = count > 0
    room = np.where(count <= 2, (count - 1) / 2, (count - 3) / 2)
    return _Originals(
        np.where(known, (ends.first + ends.last) / 2, formula).astype(np.float32),
        np.where(known, room, 0).astype(np.float32),
        np.where(known, count**2 / 12, 0).astype(np.float32),
    )


@dataclass(frozen=True)
class _Intervals:
    """First and last original by (level of alpha, marked value); last < first where there is none."""

    first: NDArray[np.int16]
    last: NDArray[np.int16]


def _intervals(levels: Floats, stamps: int, ways: tuple[bool, ...]) -> _Intervals:
    alpha = levels.astype(np.float64)[:, None]
    first = np.full((len(levels), 256), 999, np.int16)
    last = np.full((len(levels), 256), -999, np.int16)
    rows = np.arange(len(levels))
    for half_to_even in ways:
        marked = np.broadcast_to(np.arange(256.0), (len(levels), 256))
        for _ in range(stamps):
            blended = (1 - alpha) * marked + alpha * 255
            marked = np.rint(blended) if half_to_even else np.floor(blended + 0.5 + 1e-9)
        for original in range(256):
            value = marked[:, original].astype(np.intp)
            first[rows, value] = np.minimum(first[rows, value], original)
            last[rows, value] = np.maximum(last[rows, value], original)
    return _Intervals(first, last)
