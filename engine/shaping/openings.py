"""What may be the beginning of calls: fences, tags and bare JSON. Pure."""

import itertools
import re
from collections.abc import Set

from msgspec import Struct

from engine.shaping.forms import KEYS, NAMING, known_name
from engine.shaping.lenient import Extent

CALLS = (
    "tool_call", "tool_calls", "tool_code", "tool_use", "function_call", "function_calls", "functioncall", "tool",
)  # fmt: skip
"""Languages of fences that say themselves that they hold calls."""
JSON = ("json", "jsonc", "json5", "")
LANGUAGES = (*CALLS, *JSON)
TAGS = ("<tool_call>", "<tool_calls>", "<function_call>", "<tool_use>")

_LABEL = re.compile(r"[^\n{\[`~]*")
_OWN_LABEL = re.compile(r"([A-Za-z_\\]+)([ \t]*\n)?")
_HEAD = re.compile(r"[\[{\s]{0,200}[\"'“]?([\w\\]*)([\"'”]?)\s*(:?)\s*([\"'“]?)([^\"'“”\n]*)([\"'”]?)")
_NAME = 200


class Open(Struct):
    """start: where it begins; body: where its JSON begins; ticks, mark: of its fence, 0 for none; tag: '' for none; sure: it says
    itself that it holds calls; inner: it stands behind a call in the same fence; faulty: it
    is no correct JSON."""

    start: int
    body: int
    ticks: int = 0
    mark: str = "`"
    tag: str = ""
    sure: bool = False
    inner: bool = False
    faulty: bool = False
    extent: Extent | None = None

    def ends_in(self, text: str, most: int) -> list[int]:
        """The first places where its fence or tag may end, whatever its JSON says."""
        if self.ticks:
            closing = re.compile(rf"(?<=\n)[ \t]*{self.mark}{{{self.ticks},}}[ \t]*(?=\n|\Z)")
        elif self.tag:
            closing = re.compile("</")
        else:
            return []
        return [found.start() for found in itertools.islice(closing.finditer(text, self.body), most)]


def language(text: str, at: int) -> tuple[str, int]:
    """What is said behind the ticks of a fence, and where that ends."""
    found = _LABEL.match(text, at)
    end = found.end() if found else at
    return _plain(text[at:end]), end


def begins(said: str, known: tuple[str, ...]) -> bool:
    """Whether it may still become one of these."""
    return any(word.startswith(said) for word in known)


def own_line(text: str, at: int, final: bool) -> tuple[str, int] | bool | None:
    """A language on a line of its own, and where that ends; None where a word stands there that is none; False where it
    may become one; True where there is no word."""
    found = _OWN_LABEL.match(text, at)
    if found is None:
        return True
    said = _plain(found[1])
    if found[2] is None:
        open_end = not text[found.end() :].strip(" \t")
        return False if open_end and not final and begins(said, LANGUAGES) else None
    return (said, found.end()) if said in LANGUAGES else None


def may_be_call(text: str, at: int, names: Set[str], final: bool) -> bool | None:
    """What the first key of the JSON at `at`, and the name where that is it, tell; None where they are not all there yet."""
    found = _HEAD.match(text, at)
    if found is None:
        return False
    key, closed, colon, opened, name, ended = found.groups()
    key = key.replace("\\", "")
    open_end = found.end() == len(text) and not final
    if len(name) > _NAME:
        return False
    if not closed and not colon:
        return None if open_end and begins(key, tuple(KEYS)) else False
    if key not in KEYS:
        return False
    if key in NAMING and opened:
        if not ended and open_end:
            return None
        return known_name(name, names) is not None
    return None if open_end and key in NAMING else True


def _plain(said: str) -> str:
    return said.strip().lower().replace("\\", "")
