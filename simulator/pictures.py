"""Pictures: what each shows and in which size, and the record of which account's chat it belongs to."""

import hashlib
import math
import re
import secrets
from collections import OrderedDict

from msgspec import Struct

from simulator.config import Logo, PictureFormat
from simulator.painting import Look, Painter

KEPT = 2000
PREVIEW_PIXELS = 512
"""Long side of what a generated picture's url gives without a size."""
WEB_PIXELS = 640

_SIZES = {
    (1, 1): (1024, 1024), (2, 3): (848, 1264), (3, 4): (896, 1200), (4, 5): (928, 1152), (9, 16): (768, 1376),
    (21, 9): (1584, 672),
}  # fmt: skip
SIZES = _SIZES | {(high, wide): (height, width) for (wide, high), (width, height) in _SIZES.items()}
"""Pixels of a 1K picture by its aspect; 2K has twice, 4K four times as many on each side."""
_ASPECT = re.compile(r"\baspect ratio:\s*(\d{1,3})\s*:\s*(\d{1,3})", re.IGNORECASE)


class Style(Struct, frozen=True):
    """full_pixels: 1024, 2048 or 4096, the long side of a square original."""

    full_pixels: int
    logo: Logo
    format: PictureFormat


class Picture(Struct, frozen=True):
    """One picture of an answer. Web pictures have no image id and need no cookies."""

    token: str
    account: str
    cid: str
    rid: str
    rcid: str
    image_id: str
    look: Look
    web: bool


class Pictures:
    """Pictures by the token in their urls; the oldest are forgotten."""

    def __init__(self) -> None:
        self.painter = Painter()
        self._pictures: OrderedDict[str, Picture] = OrderedDict()

    def add(
        self, account: str, ids: tuple[str, str, str], number: int, prompt: str, style: Style, *, web: bool
    ) -> Picture:
        seed = int.from_bytes(hashlib.sha256(f"{prompt}:{number}".encode()).digest()[:6])
        if web:
            image_id, look = "", Look(seed, WEB_PIXELS, WEB_PIXELS, "none", "png")
        else:
            image_id = f"http://googleusercontent.com/image_generation_content/{number}"
            width, height = original_size(prompt, style.full_pixels)
            look = Look(seed, width, height, style.logo, style.format)
        picture = Picture("AA" + secrets.token_urlsafe(48), account, *ids, image_id, look, web)
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


def original_size(prompt: str, full_pixels: int) -> tuple[int, int]:
    """Width and height for the aspect that the prompt asks for last, or for the published one that is next to it."""
    asked = [(int(w), int(h)) for w, h in _ASPECT.findall(prompt) if int(w) and int(h)]
    wide, high = asked[-1] if asked else (1, 1)
    aspect = min(SIZES, key=lambda known: abs(math.log(known[0] / known[1] * high / wide)))
    width, height = SIZES[aspect]
    return width * full_pixels // 1024, height * full_pixels // 1024


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
