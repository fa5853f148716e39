"""Pictures: real PNG files, and the record of which account's chat each one belongs to."""

import hashlib
import secrets
import struct
import zlib
from collections import OrderedDict
from functools import lru_cache

from msgspec import Struct

KEPT = 2000
PREVIEW_PIXELS = 1024
FULL_PIXELS = 2048

_COLOURS = ((38, 70, 83), (42, 157, 143), (233, 196, 106), (244, 162, 97), (231, 111, 81), (94, 84, 142))


class Picture(Struct, frozen=True):
    """One picture of an answer. Web pictures have no image id and need no cookies."""

    token: str
    account: str
    cid: str
    rid: str
    rcid: str
    image_id: str
    colour: int
    web: bool


class Pictures:
    """Pictures by the token in their urls; the oldest are forgotten."""

    def __init__(self) -> None:
        self._pictures: OrderedDict[str, Picture] = OrderedDict()

    def add(self, account: str, ids: tuple[str, str, str], number: int, prompt: str, *, web: bool) -> Picture:
        digest = hashlib.sha256(f"{prompt}:{number}".encode()).digest()
        image_id = "" if web else f"http://googleusercontent.com/image_generation_content/{number}"
        picture = Picture(
            "AA" + secrets.token_urlsafe(48), account, *ids, image_id, digest[0] % len(_COLOURS), web
        )
        self._pictures[picture.token] = picture
        while len(self._pictures) > KEPT:
            self._pictures.popitem(last=False)
        return picture

    def get(self, token: str) -> Picture | None:
        return self._pictures.get(token)

    def find(self, cid: str, rid: str, rcid: str, image_id: str) -> Picture | None:
        for picture in self._pictures.values():
            if (picture.cid, picture.rid, picture.rcid, picture.image_id) == (cid, rid, rcid, image_id):
                return picture
        return None


def generated_row(picture: Picture, alt: str) -> list[object]:
    url = f"https://lh3.googleusercontent.com/gg-dl/{picture.token}"
    return [[None, None, None, [None, 1, alt, url]], [picture.image_id, 0]]


def web_row(picture: Picture, alt: str) -> list[object]:
    url = f"https://encrypted-tbn0.gstatic.com/images/{picture.token}"
    return [[[url], None, None, None, alt], None, None]


def rich_block(
    generated: list[list[object]], web: list[list[object]], *, sparse: bool
) -> list[object] | None:
    """A candidate's rich block. sparse: fields in the trailing dict, keyed by their number plus one."""
    if not generated and not web:
        return None
    if sparse:
        fields: dict[str, object] = {}
        if web:
            fields["2"] = web
        if generated:
            fields["8"] = [generated]
        return [fields]
    return [None, web or None, *[None] * 5, [generated] if generated else None]


@lru_cache(maxsize=32)
def png(width: int, height: int, colour: int) -> bytes:
    """A PNG of true size: an 8-bit RGB field in two halves. Made once per size and colour."""
    red, green, blue = _COLOURS[colour % len(_COLOURS)]
    upper = b"\0" + bytes((red, green, blue)) * width
    lower = b"\0" + bytes((255 - red, 255 - green, 255 - blue)) * width
    packer = zlib.compressobj(1)
    packed = (
        b"".join(packer.compress(upper if y < height // 2 else lower) for y in range(height)) + packer.flush()
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
