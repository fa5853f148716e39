"""What the frames of one answer mean. Pure: frames in, deltas and a verdict out.

Every frame repeats the whole answer so far, so an answer that nobody reads as it grows is taken from
its last frame alone, and a streamed one is cut against what was already handed out. Streamed and whole
text are the same because both come from `clean`.
"""

import html
import re
from typing import Any, TypeAlias

import msgspec

from core.chat import Delta

Json: TypeAlias = Any

_ARTIFACT = re.compile(r"https?://googleusercontent\.com/(?:\w+/)+\d+\n*")
_ARTIFACT_TAIL = re.compile(r"(?:\w+/)*\w*\n*")
_ARTIFACT_HEADS = ("http://googleusercontent.com/", "https://googleusercontent.com/")
_CARD = re.compile(r"^https?://googleusercontent\.com/card_content/\d+")
_ESCAPE_TAIL = re.compile(r"(?<!\\)\\++(?:[`*_~]|\Z)")
"""In the last line; begun in a run's middle, or followed to the line's end, searches would take seconds."""
_OVERLONG = re.compile(r"&#[0-9]{4301,};?")
"""A reference to no character, of more digits than Python takes for a number."""
_ENTITY_TAIL = re.compile(r"&#?\w{0,32}\Z")
_WEB_IMAGES = 1
_GENERATED_IMAGES = 7
_ANCHORS = (64, 32, 16, 8)
"""How many characters at the end of what was sent are looked for when the upstream rewrote its text."""


def clean(raw: str) -> str:
    """The text that a reader sees: placeholder links of attachments gone, HTML entities decoded."""
    if "googleusercontent" in raw:
        raw = _ARTIFACT.sub("", raw)
    return html.unescape(_OVERLONG.sub("\ufffd", raw)) if "&" in raw else raw


def settled(raw: str) -> str:
    """The part of a growing text that later frames will not take back.

    Held back at the end: a closing code fence (the web app closes an open block in every frame), an
    escaped Markdown marker, half an HTML entity, and what may become a placeholder link.
    """
    raw = raw.removesuffix("\n```")
    if "\\" in raw:
        escape = _ESCAPE_TAIL.search(raw, raw.rfind("\n") + 1)
        raw = raw[: escape.start()] if escape else raw
    if "&" in raw[-34:]:
        raw = _ENTITY_TAIL.sub("", raw)
    cut = _artifact_start(raw)
    return raw[:cut] if cut >= 0 else raw


def _artifact_start(raw: str) -> int:
    """Where the end of `raw` may be a placeholder link that is still growing, or -1."""
    start = raw.rfind("http")
    if start >= 0:
        tail = raw[start:]
        for head in _ARTIFACT_HEADS:
            if head.startswith(tail):
                return start
            if tail.startswith(head) and _ARTIFACT_TAIL.fullmatch(tail, len(head)):
                return start
    for length in (3, 2, 1):
        if raw.endswith("http"[:length]):
            return len(raw) - length
    return -1


class Grown:
    """One text that grows from frame to frame, cut into deltas that add up to its final form.

    `rewritten` turns True where the upstream changed text that had already been handed out: then the
    deltas go on behind the last words that both versions share.
    """

    __slots__ = ("_shown", "rewritten")

    def __init__(self) -> None:
        self._shown = ""
        self.rewritten = False

    def grow(self, raw: str, *, final: bool) -> str:
        """What `raw`, the whole text so far, adds to what was handed out."""
        shown = self._shown
        now = clean(raw if final else settled(raw))
        if now.startswith(shown):
            self._shown = now
            return now[len(shown) :]
        if shown.startswith(now) and not final:
            return ""
        self.rewritten = True
        self._shown = now
        for length in _ANCHORS:
            anchor = shown[-length:]
            if (at := now.rfind(anchor)) >= 0:
                return now[at + len(anchor) :]
        return now[len(shown) :]


class Refused(Exception):
    """The answer carries an error instead of content; `code` is the web app's own, 7 for 'not allowed'."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the upstream answered with error code {code}")
        self.code = code


class Turn:
    """Reads the frames of one answer.

    `complete` is True once the last candidate seen was marked as finished. `candidate` is that
    candidate as it came, for what stands beside its text. `context` is the web app's mark of a chat that it keeps.
    """

    __slots__ = ("_text", "_thoughts", "candidate", "cid", "complete", "context", "rcid", "rid", "started")

    def __init__(self) -> None:
        self._text = Grown()
        self._thoughts = Grown()
        self.candidate: list[Json] | None = None
        self.cid = ""
        self.rid = ""
        self.rcid = ""
        self.context = ""
        self.complete = False
        self.started = False

    @property
    def rewritten(self) -> bool:
        return self._text.rewritten

    def feed(self, frame: bytes, *, show: bool = True) -> Delta | None:
        """Read one frame. Returns what it added, or None where that is nothing.

        show: False skips the cutting into deltas; the text is then had from `rest`.
        Raises Refused where the frame carries an error code. A frame that is not JSON, or too deep, is passed over,
        as the web app's own page does.
        """
        try:
            parts = msgspec.json.decode(frame)
        except (ValueError, RecursionError):
            return None
        if not isinstance(parts, list):
            return None
        text = thoughts = ""
        for part in parts:
            if not isinstance(part, list) or not self._read_part(part):
                continue
            self.started = self.started or bool(self._raw_text() or self._raw_thoughts() or self.pictured)
            if show and (added := self.show()) is not None:
                text += added.text
                thoughts += added.thoughts
        return Delta(text, thoughts) if text or thoughts else None

    def show(self) -> Delta | None:
        """What the newest candidate adds to what was shown, as far as later frames cannot take it back."""
        return self._grow(final=self.complete)

    def rest(self) -> Delta | None:
        """What is still held back, once no frame will follow."""
        return self._grow(final=True)

    def _grow(self, *, final: bool) -> Delta | None:
        if self.candidate is None:
            return None
        thoughts = self._thoughts.grow(self._raw_thoughts(), final=final)
        text = self._text.grow(self._raw_text(), final=final)
        return Delta(text, thoughts) if text or thoughts else None

    @property
    def pictured(self) -> bool:
        """True where the candidate carries pictures, generated ones or such from the web."""
        block = dig(self.candidate, 12)
        return bool(block) and bool(_rich(block, _GENERATED_IMAGES) or _rich(block, _WEB_IMAGES))

    @property
    def generated(self) -> int:
        """How many pictures the model made, as the candidate tells; some may have no address yet."""
        made = dig(_rich(dig(self.candidate, 12), _GENERATED_IMAGES), 0)
        return len(made) if isinstance(made, list) else 0

    def _read_part(self, part: list[Json]) -> bool:
        code = dig(part, 5, 2, 0, 1, 0)
        if isinstance(code, int) and code:
            raise Refused(code)
        body = dig(part, 2)
        if not isinstance(body, str):
            if body is None and part[:1] == ["wrb.fr"] and dig(part, 5, 0) == 7:
                raise Refused(7)
            return False
        try:
            inner = msgspec.json.decode(body)
        except (ValueError, RecursionError):
            return False
        self.cid = _text(dig(inner, 1, 0)) or self.cid
        self.rid = _text(dig(inner, 1, 1)) or self.rid
        self.context = _text(dig(inner, 25)) or self.context
        candidate = dig(inner, 4, 0)
        rcid = _text(dig(candidate, 0))
        if not rcid:
            return False
        self.rcid = rcid
        self.candidate = candidate
        self.complete = dig(candidate, 8, 0) == 2
        return True

    def _raw_text(self) -> str:
        raw = _text(dig(self.candidate, 1, 0))
        if raw.startswith("http") and _CARD.match(raw):
            return _text(dig(self.candidate, 22, 0)) or raw
        return raw

    def _raw_thoughts(self) -> str:
        return _text(dig(self.candidate, 37, 0, 0))


def last_word(frames: list[bytes], turn: Turn) -> None:
    """Read an answer from its end: the newest frame that holds a candidate has the whole of it.

    Leaves `turn` as if every frame had been fed with `show=False`. Raises Refused as `Turn.feed` does.
    """
    for frame in reversed(frames):
        seen = turn.candidate
        turn.feed(frame, show=False)
        if turn.candidate is not seen:
            return


def dig(value: Json, *path: int) -> Json:
    """The value at `path` in nested lists, or None where the path leads nowhere."""
    for key in path:
        if not isinstance(value, list) or not -len(value) <= key < len(value):
            return None
        value = value[key]
    return value


def _rich(block: Json, field: int) -> Json:
    """A field of a candidate's rich block: by position, or in the dict that ends the list under the
    field's number plus one."""
    value = dig(block, field)
    if isinstance(value, dict) or not value:
        last = dig(block, -1)
        value = last.get(str(field + 1)) if isinstance(last, dict) else None
    return value


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""
