"""Before and after, for people's eyes."""

import io

import cv2
import numpy as np
from PIL import Image

from watermark.clean import Verdict
from watermark.png import write

_AROUND = 0.5
_SIDE = 512
_GAP = 16


def before_and_after(before: bytes, after: bytes, verdict: Verdict) -> bytes:
    """A PNG: the logo's box with its surroundings, enlarged, left as it was and right as it is.

    verdict: of the cleaning, with found=True. Raises OSError where a file cannot be decoded.
    """
    panes = []
    for data in (before, after):
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            around = round(verdict.size * _AROUND)
            left, top = width - verdict.right - verdict.size, height - verdict.bottom - verdict.size
            region = (
                max(left - around, 0),
                max(top - around, 0),
                min(left + verdict.size + around, width),
                min(top + verdict.size + around, height),
            )
            part = np.asarray(image.convert("RGB").crop(region))
        times = max(_SIDE // max(part.shape[:2]), 1)
        panes.append(
            np.asarray(cv2.resize(part, None, fx=times, fy=times, interpolation=cv2.INTER_NEAREST), np.uint8)
        )
    gap = np.full((panes[0].shape[0], _GAP, 3), 255, np.uint8)
    return write(np.concatenate((panes[0], gap, panes[1]), 1), {})
