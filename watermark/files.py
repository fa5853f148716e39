"""From file to file: PNG, JPEG and WebP. Whatever else comes, comes back as the same bytes with the reason."""

import io
import struct
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin

from core.pictures import measure
from watermark.clean import Cleaner, Patch, Verdict, formula_cleaner
from watermark.find import REACH
from watermark.png import Png, Unreadable
from watermark.star import Stars

MAX_PIXELS = 64_000_000


@dataclass(frozen=True)
class CleanedBytes:
    """data: the very bytes that were given where nothing was found."""

    data: bytes
    verdict: Verdict


def clean_bytes(data: bytes, stars: Stars | None = None, max_pixels: int = MAX_PIXELS) -> CleanedBytes:
    """Take the visible logo off a picture file, if it is there with confidence; never raises for what is in the file.

    The format and its metadata stay. PNG: only the logo's pixels change. JPEG: coded again with the file's own tables.
    WebP: written lossless, so that nothing outside the logo changes. max_pixels: more, by the header, are not decoded.
    """
    cleaner = formula_cleaner() if stars is None else Cleaner(stars)
    picture = measure(data)
    if picture is None or picture.format not in ("image/png", "image/jpeg", "image/webp"):
        return CleanedBytes(data, Verdict(False, "unsupported", detail="not a PNG, JPEG or WebP picture"))
    if picture.width * picture.height > max_pixels:
        detail = f"{picture.width} x {picture.height}, and at most {max_pixels} pixels are decoded"
        return CleanedBytes(data, Verdict(False, "too_many_pixels", detail=detail))
    work = {"image/png": _png, "image/jpeg": _jpeg, "image/webp": _webp}[picture.format]
    try:
        return work(data, cleaner)
    except Unreadable as problem:
        return CleanedBytes(data, Verdict(False, problem.reason, detail=problem.detail))
    except Image.DecompressionBombError:
        return CleanedBytes(
            data, Verdict(False, "too_many_pixels", detail="the header does not tell its true size")
        )
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, cv2.error) as problem:
        # What the decoders raise for damaged files.
        return CleanedBytes(data, Verdict(False, "broken", detail=type(problem).__name__))


def _png(data: bytes, cleaner: Cleaner) -> CleanedBytes:
    png = Png(data)
    if png.width < 36 or png.height < 36:
        return CleanedBytes(data, Verdict(False, "too_small"))
    rows = png.last_rows(REACH)
    patch, verdict = cleaner.patch(_colours(rows))
    if patch is None:
        return CleanedBytes(data, verdict)
    _laid(rows, patch)
    end = min(patch.top + len(patch.box) + 1, len(rows))
    return CleanedBytes(png.with_rows(png.height - len(rows) + patch.top, rows[patch.top : end]), verdict)


def _colours(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Three channels of one, three or four. Raises Unreadable where the corner is transparent."""
    if rows.shape[2] == 1:
        return np.broadcast_to(rows, (*rows.shape[:2], 3))
    if rows.shape[2] == 4 and np.any(rows[-REACH:, -REACH:, 3] != 255):
        raise Unreadable("transparent", "the corner is not opaque")
    return rows[..., :3]


def _laid(rows: NDArray[np.uint8], patch: Patch) -> None:
    height, width = patch.box.shape[:2]
    channels = min(rows.shape[2], 3)
    rows[patch.top : patch.top + height, patch.left : patch.left + width, :channels] = patch.box[
        ..., :channels
    ]


def _jpeg(data: bytes, cleaner: Cleaner) -> CleanedBytes:
    with Image.open(io.BytesIO(data)) as image:
        if not isinstance(image, JpegImagePlugin.JpegImageFile) or image.format != "JPEG":
            raise Unreadable("unsupported", f"{image.format}, several pictures in one file")
        if image.mode not in ("RGB", "L"):
            raise Unreadable("unsupported", f"{image.format} in {image.mode}")
        pixels = np.array(image.convert("RGB"))[..., ::-1]
        patch, verdict = cleaner.patch(pixels, lossy=True)
        if patch is None:
            return CleanedBytes(data, verdict)
        _laid(pixels, patch)
        options: dict[str, Any] = {
            "qtables": image.quantization,
            "subsampling": JpegImagePlugin.get_sampling(image),
            "progressive": bool(image.info.get("progressive")),
            "optimize": True,
        }
        if image.mode == "L":
            options.pop("subsampling")
        return CleanedBytes(_saved(pixels, image, "JPEG", options), verdict)


def _webp(data: bytes, cleaner: Cleaner) -> CleanedBytes:
    with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
        if getattr(image, "n_frames", 1) > 1:
            raise Unreadable("animated", "it is an animation")
        if image.mode not in ("RGB", "RGBA"):
            raise Unreadable("unsupported", f"WebP in {image.mode}")
        pixels = np.array(image)
        pixels[..., :3] = pixels[..., 2::-1]
        patch, verdict = cleaner.patch(_colours(pixels), lossy=b"VP8L" not in data[:64])
        if patch is None:
            return CleanedBytes(data, verdict)
        _laid(pixels, patch)
        return CleanedBytes(
            _saved(pixels, image, "WEBP", {"lossless": True, "exact": True, "method": 2}), verdict
        )


def _saved(pixels: NDArray[np.uint8], image: Image.Image, format: str, options: dict[str, Any]) -> bytes:
    """Written anew with the metadata of the file that it came from."""
    pixels = pixels.copy()
    pixels[..., :3] = pixels[..., 2::-1].copy()
    new = Image.fromarray(pixels)
    if image.mode == "L":
        new = new.convert("L")
    kept = {
        name: image.info[name]
        for name in ("icc_profile", "exif", "xmp", "dpi", "comment")
        if image.info.get(name)
    }
    if format == "WEBP":
        kept = {name: value for name, value in kept.items() if name in ("icc_profile", "exif", "xmp")}
    out = io.BytesIO()
    new.save(out, format, **kept, **options)
    return out.getvalue()
