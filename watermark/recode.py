"""From one format or size to another: what a caller wished beyond the picture as it came."""

import io
import struct
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.pictures import measure
from watermark.png import write
from watermark.provenance import declare

Bytes = NDArray[np.uint8]

FORMATS = ("image/png", "image/jpeg", "image/webp")
LONGEST_SIDE = 8192
_AS_IT_CAME = 90
_EXIF = b"Exif\0\0"
_SMALL = 1_000_000
"""Values of a picture that is coded in a few milliseconds."""
_KEPT = ("icc_profile", "exif", "xmp")


def reformat(
    data: bytes, mime: str, quality: int = 90, long_side: int = 0, max_pixels: int = 64_000_000
) -> bytes:
    """The picture as `mime` (`image/png`, `image/jpeg`, `image/webp`), with its origin declared in its metadata.

    long_side: pixels of the longer side afterwards; 0 leaves the size as it is. Enlarged with Lanczos, reduced by
    averaging areas. quality: 1 to 100, for JPEG and WebP. ICC profile, EXIF and XMP stay. JPEG has no transparency:
    what is transparent becomes white. A picture that is already of the format and size is not coded again, unless
    it is a lossy one and a quality below 90 makes it smaller. Raises ValueError, in words for the caller, for what
    is no such picture, is damaged, moves, or has more than `max_pixels` before or after.
    """
    if mime not in FORMATS:
        raise ValueError(f"format: {mime} cannot be written. Ask for one of {', '.join(FORMATS)}.")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality: {quality} is not between 1 and 100.")
    if not 0 <= long_side <= LONGEST_SIDE:
        raise ValueError(f"size: the long side can have 1 to {LONGEST_SIDE} pixels, not {long_side}.")
    found = measure(data)
    if found is None or found.format not in FORMATS or not found.width or not found.height:
        raise ValueError("The picture is not a PNG, JPEG or WebP file.")
    width, height = _scaled(found.width, found.height, long_side)
    if max(width * height, found.width * found.height) > max_pixels:
        raise ValueError(f"size: the picture would have more than {max_pixels} pixels.")
    same = found.format == mime and (width, height) == (found.width, found.height)
    if same and (mime == "image/png" or quality >= _AS_IT_CAME):
        return declare(data)
    pixels, kept = _decoded(data)
    new = declare(_ENCODERS[mime](_resized(pixels, width, height), quality, kept))
    return declare(data) if same and len(new) >= len(data) else new


def _scaled(width: int, height: int, long_side: int) -> tuple[int, int]:
    longer = max(width, height)
    if not long_side or longer == long_side:
        return width, height
    return max(1, round(width * long_side / longer)), max(1, round(height * long_side / longer))


def _decoded(data: bytes) -> tuple[Bytes, dict[str, bytes]]:
    """Pixels as (height, width, 1, 3 or 4), RGB order, and the metadata that stays."""
    try:
        with Image.open(io.BytesIO(data), formats=["PNG", "JPEG", "WEBP"]) as image:
            if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
                raise ValueError("The picture is an animation. Send a single picture.")
            image.load()
            kept = {name: image.info[name] for name in _KEPT if image.info.get(name)}
            plain = image if image.mode in ("L", "RGB", "RGBA") else _plain(image)
            if plain.mode != image.mode and image.mode not in ("P", "PA", "LA"):
                # Its profile is one of other colours.
                kept.pop("icc_profile", None)
            pixels = np.asarray(plain, np.uint8)
    except Image.DecompressionBombError:
        raise ValueError("The picture's header does not tell its true size.") from None
    except (OSError, SyntaxError, EOFError, struct.error) as problem:
        # What the decoders raise for damaged files.
        raise ValueError(
            f"The picture cannot be decoded: it is damaged ({type(problem).__name__})."
        ) from None
    return pixels.reshape(*pixels.shape[:2], -1), kept


def _plain(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("1", "LA"):
        return image.convert("L" if image.mode == "1" else "RGBA")
    return image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")


def _resized(pixels: Bytes, width: int, height: int) -> Bytes:
    if pixels.shape[:2] == (height, width):
        return pixels
    way = cv2.INTER_LANCZOS4 if width * height > pixels.shape[0] * pixels.shape[1] else cv2.INTER_AREA
    if pixels.shape[2] < 4:
        plain = np.asarray(cv2.resize(pixels, (width, height), interpolation=way), np.uint8)
        return plain.reshape(height, width, -1)
    # Colour counts as much as it covers, or the invisible colour of transparent pixels would show at their edges.
    cover = pixels[..., 3:].astype(np.float32) / 255
    stacked = cv2.resize(
        np.concatenate((pixels[..., :3] * cover, cover), 2), (width, height), interpolation=way
    )
    colour = stacked[..., :3] / np.maximum(stacked[..., 3:], 1 / 255)
    return _bytes(np.concatenate((colour, stacked[..., 3:] * 255), 2))


def _bytes(values: NDArray[np.floating[Any]]) -> Bytes:
    levels: Bytes = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return levels


def _png(pixels: Bytes, quality: int, kept: dict[str, bytes]) -> bytes:
    return write(pixels, kept)


def _jpeg(pixels: Bytes, quality: int, kept: dict[str, bytes]) -> bytes:
    if pixels.shape[2] == 4:
        cover = pixels[..., 3:].astype(np.float32) / 255
        pixels = _bytes(pixels[..., :3] * cover + 255 * (1 - cover))
    if "exif" in kept:
        kept = kept | {"exif": _EXIF + kept["exif"].removeprefix(_EXIF)}
    # To optimize, Pillow codes the whole file in one call that holds the interpreter: half a second for a 4K picture.
    small = pixels.size < _SMALL
    return _saved(
        pixels, "JPEG", kept, quality=quality, optimize=small, subsampling=0 if quality >= 95 else 2
    )


def _webp(pixels: Bytes, quality: int, kept: dict[str, bytes]) -> bytes:
    return _saved(pixels, "WEBP", kept, quality=quality, method=3)


def _saved(pixels: Bytes, format: str, kept: dict[str, bytes], **options: Any) -> bytes:
    out = io.BytesIO()
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    try:
        image.save(out, format, **kept, **options)
    except (OSError, ValueError, struct.error):
        # JPEG holds 64 KiB of EXIF and XMP each, and WebP 16383 pixels a side.
        raise ValueError(f"The picture, or its metadata, is too large for {format}.") from None
    return out.getvalue()


_ENCODERS: dict[str, Callable[[Bytes, int, dict[str, bytes]], bytes]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/webp": _webp,
}
