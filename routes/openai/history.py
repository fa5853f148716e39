"""Pictures of earlier answers in a chat's history, as clients send them back. Pure.

An answer's picture stands in its text, as a link to our own `/files/` or as a data URL, and in `images`. Of OpenAI's own
clients most keep the text alone, so a picture that is to be changed in the next turn is looked for in both.
"""

import re
import urllib.parse
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from msgspec.structs import replace

from core.chat import Blob, Message, Part, Remote, Text
from core.errors import CallerError
from routes import media
from routes.bounds import Tally
from routes.remote import kept
from storage import valid

NOTE = "[picture]"
"""Stands in a text for a picture that was written out in it."""
_DATA = re.compile(r"data:image/[\w.+-]{1,40}(?:;[\w.=+-]{1,60}){0,3};base64,", re.ASCII)
_CODED = re.compile(r"[A-Za-z0-9+/_=-]*+", re.ASCII)
_LEAST = 32
"""Characters of base64; fewer are an example in prose and no picture."""
_STRIDE = 256 * 1024
_IMAGE = re.compile(r"!\[[^\[\]\n]{0,200}\]\(\s?$")
_LINK = re.compile(r"!\[[^\[\]\n]{0,200}\]\([^\s()<>]{0,500}/files/([^\s()<>/]{1,400})\)")
_BEFORE = 210


class Worded(Protocol):
    """A part of a message, in either of OpenAI's spellings."""

    type: str
    text: str | None


P = TypeVar("P", bound=Worded)


class Turn(Protocol[P]):
    """A message, in either of OpenAI's spellings."""

    content: str | list[P] | None
    images: Any

    @property
    def role(self) -> str | None: ...


def pictures_of(
    messages: Sequence[Turn[P]], tally: Tally, field: str = "messages"
) -> dict[int, tuple[Blob | Remote, ...]]:
    """The pictures of the last assistant message that has any besides its parts, by its place.

    Takes data URLs out of the texts of all assistant messages first, so that no base64 is read as text. What is no
    picture is left out: the history is not what a caller can mend. Raises `RequestTooLarge` for too many of them.
    """
    found: dict[int, tuple[Blob | Remote, ...]] = {}
    for i in reversed(range(len(messages))):
        message = messages[i]
        if message.role != "assistant":
            continue
        at = f"{field}[{i}]"
        urls = _rewritten(message, _without_data)
        names = _rewritten(message, _without_links)
        if found or _has_parts(message):
            found = found or {i: ()}
            continue
        # `images` holds what the text only links to.
        written = [url for item in _listed(message.images) if (url := _url_of(item))] or urls
        pictures: list[Blob | Remote] = [
            picture for url in written if (picture := _picture(url, f"{at}.images")) is not None
        ]
        if not pictures:
            pictures += [kept(name, f"{at}.content") for name in names]
        if pictures:
            found[i] = tuple(dict.fromkeys(pictures))
            for _ in found[i]:
                tally.file(f"{at}.images")
    return found


def recalled(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """A conversation that was kept, with the pictures of its last answer that links to any."""
    out = list(messages)
    taken = False
    for i in reversed(range(len(out))):
        if out[i].role != "assistant":
            continue
        names: list[str] = []
        parts: list[Part] = [
            Text(_without_links(part.text, names)) if isinstance(part, Text) else part
            for part in out[i].parts
        ]
        if names and not taken:
            taken = True
            parts += [kept(name, "previous_response_id") for name in dict.fromkeys(names)]
        out[i] = replace(out[i], parts=tuple(parts))
    return tuple(out)


def _has_parts(message: Turn[P]) -> bool:
    return isinstance(message.content, list) and any(
        part.type in ("image_url", "input_image") for part in message.content
    )


def _listed(images: Any) -> list[Any]:
    return images if isinstance(images, list) else []


def _url_of(item: Any) -> str | None:
    """The data URL of `{image_url: {url}}`, in the forms that clients keep it in."""
    if isinstance(item, dict):
        item = item.get("image_url", item.get("url"))
    if isinstance(item, dict):
        item = item.get("url")
    return item if isinstance(item, str) and media.is_data_url(item) else None


def _picture(url: str, at: str) -> Blob | None:
    with suppress(CallerError):
        return media.must_be_picture(media.from_data_url(url, at), at)
    return None


def _rewritten(message: Turn[P], rewrite: Callable[[str, list[str]], str]) -> list[str]:
    """What `rewrite` takes out of the message's texts."""
    found: list[str] = []
    if isinstance(message.content, str):
        message.content = rewrite(message.content, found)
    else:
        for part in message.content or ():
            if part.text:
                part.text = rewrite(part.text, found)
    return found


def _without_links(text: str, names: list[str]) -> str:
    """Each link to a stored picture of ours becomes a note, whichever of our addresses it begins with: nobody else's file
    has such a name. The model would repeat it, and whoever has the link can read the picture."""

    def note(match: re.Match[str]) -> str:
        if not valid(name := urllib.parse.unquote(match[1])):
            return match[0]
        names.append(name)
        return NOTE

    return _LINK.sub(note, text)


def _without_data(text: str, urls: list[str]) -> str:
    pieces: list[str] = []
    done = at = 0
    while (start := text.find("data:image/", at)) >= 0:
        head = _DATA.match(text, start)
        end = at = start + len("data:image/") if head is None else _end_of_data(text, head.end())
        if head is None or end - head.end() < _LEAST:
            continue
        urls.append(text[start:end])
        opened = _IMAGE.search(text, max(done, start - _BEFORE), start)
        if opened is not None and text[end : end + 1] == ")":
            start, end = opened.start(), end + 1
        pieces += (text[done:start], NOTE)
        done = at = end
    return "".join(pieces) + text[done:] if pieces else text


def _end_of_data(text: str, at: int) -> int:
    # Some at a time, so that others get their turn.
    while (match := _CODED.match(text, at, at + _STRIDE)) is not None and match.end() > at:
        at = match.end()
    return at
