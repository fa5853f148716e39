"""The star's exact map from one picture of it on black, and the small file that keeps it.

On black a mark is `alpha * 255` and nothing else. Captures carry a few levels of noise, so their map is averaged over its
four rotations and snapped to sixteenths, which is what the true map consists of.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.pictures import measure
from watermark.files import MAX_PIXELS
from watermark.star import STRONG_PEAK, V1_PEAK, V2_PEAK, Floats, Stars, coverage

_DIGITS = "0123456789abcdefg"
_SIZES = (96, 48)
_FAINTEST = 12
_BLACK = 6
_LEAST_QUALITY = 90
# The sum of the standard table of JPEG's Annex K, which quality 50 uses as it is.
_STANDARD_SUM = 3688
_REACH = 304


@dataclass(frozen=True)
class Calibration:
    """size: the star's side in pixels. right, bottom: its margins. peak: its alpha in the middle, as measured.

    map: coverage, 0 to 1 in sixteenths, (size, size). differs: pixels in which it differs from the formula's.
    """

    size: int
    right: int
    bottom: int
    peak: float
    map: Floats
    differs: int


def calibrate_star(data: bytes) -> Calibration:
    """Read the star off a picture that is black but for it. Raises ValueError, in words for the operator."""
    levels = _levels(data)
    corner = levels[-_REACH:, -_REACH:]
    if int((levels > _BLACK).sum()) - int((corner > _BLACK).sum()) > levels.size // 1000:
        raise ValueError("The picture is not black. Capture the logo on a pure black picture.")
    rows, columns = np.nonzero(corner > _FAINTEST)
    if len(rows) < 100:
        raise ValueError("There is no logo in the picture's lower right corner.")
    middle_y, middle_x = (rows.min() + rows.max() + 1) / 2, (columns.min() + columns.max() + 1) / 2
    across = max(np.ptp(rows), np.ptp(columns)) + 1
    size = min(_SIZES, key=lambda known: abs(known - across))
    top, left = round(middle_y - size / 2), round(middle_x - size / 2)
    if abs(size - across) > size // 12 or top < 0 or left < 0:
        raise ValueError(f"What is not black is {across} pixels across; the logo is 48 or 96.")
    box = corner[top : top + size, left : left + size].astype(np.float64)
    if box.shape != (size, size):
        raise ValueError("The logo is cut off at the picture's edge. Use an uncropped capture.")
    around = corner.astype(np.int16)
    around[top : top + size, left : left + size] = 0
    if (around > _BLACK).mean() > 0.001:
        raise ValueError("The picture is not black. Capture the logo on a pure black picture.")
    middle = slice(size // 2 - 2, size // 2 + 2)
    measured = float(box[middle, middle].mean()) / 255
    peak = min((V1_PEAK, V2_PEAK, STRONG_PEAK), key=lambda known: abs(known - measured))
    if abs(peak - measured) > 0.03:
        raise ValueError(
            f"The logo's middle is {measured:.2f} opaque; those that are known are 0.3, 0.5 and 0.7."
        )
    turned = sum(np.rot90(box, turns) for turns in range(4)) / 4 / (255 * peak)
    sixteenths = np.rint(turned * 16).clip(0, 16)
    if float(np.abs(turned * 16 - sixteenths)[turned > 0.03].mean()) > 0.2:
        raise ValueError(
            "The logo's edge is soft or noisy: its map is not in sixteenths. Use a PNG of the full size."
        )
    if float(np.abs(sixteenths / 16 - coverage(size)).mean()) > 0.05:
        raise ValueError("What is not black is not the logo's star.")
    found = np.asarray(sixteenths / 16, np.float32)
    height, width = corner.shape
    return Calibration(
        size=size,
        right=width - left - size,
        bottom=height - top - size,
        peak=round(measured, 3),
        map=found,
        differs=int((found != coverage(size)).sum()),
    )


def write_stars(maps: Mapping[int, Floats]) -> bytes:
    """The file that `read_stars` reads: JSON, a string of the digits 0 to g (16) for each row of each map."""
    rows = {
        str(size): ["".join(_DIGITS[int(value)] for value in np.rint(row * 16)) for row in maps[size]]
        for size in sorted(maps)
    }
    return (json.dumps({"gempool_stars": 1, "maps": rows}, indent=1) + "\n").encode()


def read_maps(data: bytes) -> dict[int, Floats]:
    """Coverage maps by size. Raises ValueError where it is no such file."""
    try:
        rows = json.loads(data)
        if rows["gempool_stars"] != 1:
            raise ValueError
        maps: dict[int, Floats] = {
            int(size): np.array([[_DIGITS.index(digit) for digit in row] for row in map], np.float32) / 16
            for size, map in rows["maps"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(
            "This is not a star file. `gempool watermark calibrate` writes one from a capture on black."
        ) from None
    for size, found in maps.items():
        if size not in _SIZES or found.shape != (size, size) or found.max() < 1:
            raise ValueError(f"The star file's map {size} is not a whole star of 48 or 96 pixels.")
    return maps


def read_stars(data: bytes) -> Stars:
    """The marks to look for, with calibrated maps. Raises ValueError where it is no such file."""
    return Stars(read_maps(data))


def _levels(data: bytes) -> NDArray[np.uint8]:
    """The picture's grey levels. Raises ValueError for what cannot be calibrated from."""
    found = measure(data)
    if found is None or found.format not in ("image/png", "image/jpeg"):
        raise ValueError("Calibrate from a PNG, a capture of the logo on pure black.")
    if found.width * found.height > MAX_PIXELS:
        raise ValueError(f"The picture has more than {MAX_PIXELS} pixels.")
    try:
        with Image.open(io.BytesIO(data), formats=["PNG", "JPEG"]) as image:
            quality = _quality(image)
            if quality < _LEAST_QUALITY:
                raise ValueError(f"A JPEG of quality {quality} is too coarse. Calibrate from a PNG.")
            pixels = np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError):
        # What the decoders raise for damaged files.
        raise ValueError("The picture cannot be decoded.") from None
    if float(np.ptp(pixels, axis=2).max()) > _BLACK:
        raise ValueError("The picture is coloured. Capture the logo on a pure black picture.")
    return np.asarray(np.rint(pixels.mean(2)), np.uint8)


def _quality(image: Image.Image) -> int:
    """100 for PNG; for JPEG, the quality whose table is as fine."""
    tables = getattr(image, "quantization", None)
    if not tables:
        return 100
    scale = sum(tables[min(tables)]) / _STANDARD_SUM
    return max(1, round(float(100 - 50 * scale if scale <= 1 else 50 / scale)))
