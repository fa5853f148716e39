"""The visible logo, and what a picture says about its origin: pure functions, pixels in, pixels out."""

from watermark.calibrate import Calibration, calibrate_star, read_maps, read_stars, write_stars
from watermark.clean import CleanedPixels, Verdict, clean_pixels
from watermark.compare import before_and_after
from watermark.files import MAX_PIXELS, CleanedBytes, clean_bytes
from watermark.provenance import declare
from watermark.recode import reformat
from watermark.star import Stars

__all__ = [
    "MAX_PIXELS", "Calibration", "CleanedBytes", "CleanedPixels", "Stars", "Verdict", "before_and_after",
    "calibrate_star", "clean_bytes", "clean_pixels", "declare", "read_maps", "read_stars", "reformat", "write_stars",
]  # fmt: skip
