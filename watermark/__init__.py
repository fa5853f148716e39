"""The visible logo, and what a picture says about its origin: pure functions, pixels in, pixels out."""

from watermark.clean import CleanedPixels, Verdict, clean_pixels
from watermark.provenance import declare
from watermark.star import Stars

__all__ = ["CleanedPixels", "Stars", "Verdict", "clean_pixels", "declare"]
