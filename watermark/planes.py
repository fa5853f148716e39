"""Taking a mark off light and colour apart, as formats with loss keep them."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.coding import Coding, smoothed
from watermark.star import Floats, Mark

Bytes = NDArray[np.uint8]

LIGHT, GREY = 255, 128
"""What white is in the plane of light, and in those of colour."""
_PAD = 12
_BLUE, _RED = np.float32(0.564), np.float32(0.713)
_LUMA = np.array([[0.114, 0.587, 0.299]], np.float32)


def lift(planes: list[Bytes], mark: Mark, top: int, left: int, coding: Coding) -> None:
    """Take the mark at (top, left) off the planes Y, or Y, Cb, Cr, in place. Only values that carry some of it change."""
    for index, plane in enumerate(planes):
        halved = coding.halved and index > 0
        alpha, y, x = _window(mark, top, left, halved)
        side = len(alpha)
        rows = np.arange(y, y + side).clip(0, plane.shape[0] - 1)
        columns = np.arange(x, x + side).clip(0, plane.shape[1] - 1)
        marked = plane[rows[:, None], columns].astype(np.float32)
        original = _lifted(marked, alpha, GREY if index else LIGHT, coding.colour if index else coding.light)
        at = np.nonzero(alpha > 0)
        plane[rows[at[0]], columns[at[1]]] = np.clip(np.rint(original[at]), 0, 255)


def lifted_box(bgr: Bytes, mark: Mark, top: int, left: int, coding: Coding) -> Bytes:
    """The mark's box without it, where only the colours (BGR) of a decoded picture are at hand."""
    alpha, y, x = _window(mark, top, left, False)
    half_alpha, half_y, half_x = _window(mark, top, left, True)
    side = 2 * len(half_alpha)
    rows = np.arange(2 * half_y, 2 * half_y + side).clip(0, bgr.shape[0] - 1)
    columns = np.arange(2 * half_x, 2 * half_x + side).clip(0, bgr.shape[1] - 1)
    marked = bgr[rows[:, None], columns].astype(np.float32)
    light = np.asarray(cv2.transform(marked, _LUMA))
    # The window of light lies in that of colour, whose place is even.
    at = (
        slice(y - 2 * half_y, y - 2 * half_y + len(alpha)),
        slice(x - 2 * half_x, x - 2 * half_x + len(alpha)),
    )
    new_light = _lifted(light[at], alpha, LIGHT, coding.light)
    new_colours = []
    for channel, share in ((0, _BLUE), (2, _RED)):
        colour = (marked[..., channel] - light) * share
        half = _coded_half(colour)
        change = _lifted(half, half_alpha, 0, coding.colour) - half
        new_colours.append((colour + cv2.resize(change, (side, side), interpolation=cv2.INTER_LINEAR))[at])
    blue, red = new_light + new_colours[0] / _BLUE, new_light + new_colours[1] / _RED
    green = (new_light - _LUMA[0, 0] * blue - _LUMA[0, 2] * red) / _LUMA[0, 1]
    inner = slice(_PAD, _PAD + mark.size)
    box = np.stack((blue, green, red), -1)[inner, inner]
    old = bgr[top : top + mark.size, left : left + mark.size]
    new: Bytes = np.where(mark.alpha[..., None] > 0, np.clip(np.rint(box), 0, 255), old).astype(np.uint8)
    return new


def _lifted(marked: NDArray[Any], alpha: Floats, white: int, variance: Floats) -> Floats:
    gain = 1 / (1 - alpha)
    return smoothed((marked - white * alpha) * gain, gain**2, variance)


def _window(mark: Mark, top: int, left: int, halved: bool) -> tuple[Floats, int, int]:
    """The mark's map with unmarked values around it, and where that lies in the plane."""
    if not halved:
        return np.asarray(np.pad(mark.alpha, _PAD)), top - _PAD, left - _PAD
    y, x = (top - _PAD) // 2 - 1, (left - _PAD) // 2 - 1
    side = mark.size // 2 + _PAD + 3
    whole = np.zeros((2 * side, 2 * side), np.float32)
    whole[top - 2 * y : top - 2 * y + mark.size, left - 2 * x : left - 2 * x + mark.size] = mark.alpha
    return np.asarray(cv2.resize(whole, (side, side), interpolation=cv2.INTER_AREA)), y, x


def _coded_half(colour: Floats) -> Floats:
    """About the half-size plane that was interpolated to this one: its mean, made as much sharper as that blurs."""
    half = cv2.resize(colour, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    kernel = np.array([0.125, 0.75, 0.125], np.float32)
    return np.asarray(2 * half - cv2.sepFilter2D(half, -1, kernel, kernel))
