"""Generated pictures in text, for those who read only the text."""

import re
from collections.abc import Callable, Sequence

from core.chat import Picture

_AWKWARD = re.compile(r"[\[\]()<>`\\\s]+")
_ALT = 100


def picture_text(picture: Picture, absolute: Callable[[str], str], *, after: bool) -> str:
    """A Markdown image of the picture's link, '' where it has none. after: whether text stands before it."""
    if not picture.link:
        return ""
    alt = _AWKWARD.sub(" ", picture.alt).strip()[:_ALT] or "image"
    # Written bare, a link ends at a space or a closing bracket.
    link = absolute(picture.link).replace("(", "%28").replace(")", "%29").replace(" ", "%20")
    return ("\n\n" if after else "") + f"![{alt}]({link})"


def with_pictures(text: str, pictures: Sequence[Picture], absolute: Callable[[str], str]) -> str:
    """The text, followed by its pictures."""
    for picture in pictures:
        text += picture_text(picture, absolute, after=bool(text))
    return text
