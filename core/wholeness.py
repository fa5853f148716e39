"""Whether a picture's file has come to its end, as far as its own structure tells. Nothing is decoded."""

from collections.abc import Callable, Mapping
from typing import Literal

from core.pictures import Tag, boxes, dimensions, tiff_tags

_TAIL = 4096
_PADDING = b"\0\r\n\t "
_STEPS = 200_000
"""Pieces of a file that are followed to its end; no whole picture within the other bounds has more."""
_PIECE = 1024 * 1024
_STRIPS = 4096
"""Strips or tiles of a TIFF that are looked at, from its last one."""


def is_whole(data: bytes, mime: str) -> bool:
    """False where the end of a picture of that (true) type is missing. How far it is followed is bounded, whatever it
    is found to be."""
    ends = _ENDS.get(mime)
    return ends is None or ends(data)


def _png_ends(data: bytes) -> bool:
    at, pixels = 8, False
    for _ in range(_STEPS):
        kind = data[at + 4 : at + 8]
        at += 12 + int.from_bytes(data[at : at + 4])
        if len(kind) < 4 or at > len(data):
            return False
        pixels = pixels or kind == b"IDAT"
        if kind == b"IEND":
            return pixels
    return False


def _jpeg_ends(data: bytes) -> bool:
    # A preview within the metadata has an end of its own, so only one behind the picture's own scan counts.
    at = 2
    for _ in range(_STEPS):
        if at + 4 > len(data):
            return False
        if data[at] != 0xFF:
            # Readers skip what stands between two segments; here only the very end counts then.
            return data[-_TAIL:].rstrip(_PADDING).endswith(b"\xff\xd9")
        marker = data[at + 1]
        if marker == 0xDA:
            return _has_end(data, at)
        # Any number of FF may fill the space before a marker.
        at += 1 if marker == 0xFF else 2 + max(2, int.from_bytes(data[at + 2 : at + 4]))
    return False


def _has_end(data: bytes, start: int) -> bool:
    # From the back, where it mostly is, and piece by piece: a search holds the interpreter while it lasts.
    for end in range(len(data), start, -_PIECE):
        if data.rfind(b"\xff\xd9", max(start, end - _PIECE - 1), end) >= 0:
            return True
    return False


def _webp_ends(data: bytes) -> bool:
    return len(data) >= 8 + int.from_bytes(data[4:8], "little")


def _gif_ends(data: bytes) -> bool:
    if len(data) < 13:
        return False
    at = 13 + _colours(data[10])
    within = False
    for _ in range(_STEPS):
        if at >= len(data):
            return False
        kind = data[at]
        if within:
            # Pieces of up to 255 bytes, each behind its length; an empty one is the last.
            at += 1 + kind
            within = kind > 0
            continue
        if kind == 0x3B:
            return True
        within = True
        if kind == 0x21:
            at += 2
        elif kind == 0x2C and at + 10 < len(data):
            at += 11 + _colours(data[at + 9])
        else:
            return data[-_TAIL:].rstrip(_PADDING).endswith(b";")
    return True


def _colours(flags: int) -> int:
    """Bytes of the colour table that follows."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _bitmap_ends(data: bytes) -> bool:
    size = dimensions(data)
    if size is None:
        # Of a whole header it tells no size, which is another fault.
        return len(data) >= 34
    old = int.from_bytes(data[14:18], "little") == 12
    bits = int.from_bytes(data[24:26] if old else data[28:30], "little")
    if not old and int.from_bytes(data[30:34], "little") not in (0, 3, 6):
        return len(data) >= int.from_bytes(data[2:6], "little")
    # Some writers leave the file's size out, and where nothing is compressed the rows tell it.
    rows = (size[0] * bits + 31) // 32 * 4 * size[1]
    return len(data) >= int.from_bytes(data[10:14], "little") + rows


def _tiff_ends(data: bytes) -> bool:
    tags = tiff_tags(data)
    if tags is None or any(_end(tag) > len(data) for tag in tags.values()):
        return False
    order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"

    def last_of(tag: Tag) -> list[int]:
        first = max(tag.start, _end(tag) - tag.width * _STRIPS)
        return [int.from_bytes(data[at : at + tag.width], order) for at in range(first, _end(tag), tag.width)]

    for where, length in ((273, 279), (324, 325)):
        starts, sizes = tags.get(where), tags.get(length)
        if starts is None or sizes is None:
            continue
        if any(
            start + size > len(data) for start, size in zip(last_of(starts), last_of(sizes), strict=False)
        ):
            return False
    return True


def _end(tag: Tag) -> int:
    return tag.start + tag.width * tag.count


def _boxes_end(data: bytes) -> bool:
    seen: set[bytes] = set()
    at = 0
    for _, box in zip(range(_STEPS), boxes(data, 0, len(data)), strict=False):
        if box.end > len(data):
            # Behind a whole picture other programs put what is no box.
            return _is_picture(seen) and not box.kind.isalnum()
        if box.kind == b"meta" and b"meta" not in seen:
            # A tiny picture has its data in here.
            inner = zip(range(_STEPS), boxes(data, box.start + 4, box.end), strict=False)
            seen.update(child.kind for _, child in inner if child.kind == b"idat")
        seen.add(box.kind)
        at = box.end
    return _is_picture(seen) and (at == len(data) or not data[at : at + 8].isalnum())


def _is_picture(seen: set[bytes]) -> bool:
    """Whether both the description and the data are there."""
    return bool(seen & {b"meta", b"moov"} and seen & {b"mdat", b"idat"})


_ENDS: Mapping[str, Callable[[bytes], bool]] = {
    "image/png": _png_ends,
    "image/jpeg": _jpeg_ends,
    "image/webp": _webp_ends,
    "image/gif": _gif_ends,
    "image/bmp": _bitmap_ends,
    "image/tiff": _tiff_ends,
    "image/heic": _boxes_end,
    "image/heif": _boxes_end,
    "image/avif": _boxes_end,
}
