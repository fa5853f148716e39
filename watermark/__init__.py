"""The visible logo, and what a picture says about its origin: pure functions, pixels in, pixels out."""

from watermark.clean import CleanedPixels, Verdict, clean_pixels
from watermark.files import MAX_PIXELS, CleanedBytes, clean_bytes
from watermark.provenance import declare
from watermark.recode import reformat
from watermark.star import Stars

__all__ = [
    "MAX_PIXELS", "CleanedBytes", "CleanedPixels", "Stars", "Verdict", "clean_bytes", "clean_pixels", "declare",
    "reformat",
]  # fmt: skip
