"""Tells calls from prose in an answer that grows. Pure.

Every decision depends on what stands in the answer alone and never on where a piece of it was cut: whatever could still turn
out differently is waited for.
"""

import re
from collections.abc import Callable, Set
from typing import TypeAlias

from msgspec import Struct

from engine.shaping.forms import KEYS, NAMING, Broken, Call, calls_in, known_name, meant, named_by
from engine.shaping.lenient import Extent, NoJson, lenient, strict

Piece: TypeAlias = str | Call | Broken

_CALLS = (
    "tool_call",
    "tool_calls",
    "tool_code",
    "tool_use",
    "function_call",
    "function_calls",
    "functioncall",
    "tool",
)
_JSON = ("json", "jsonc", "json5", "")
_LABELS = (*_CALLS, *_JSON)
_TAGS = ("<tool_call>", "<tool_calls>", "<function_call>", "<tool_use>")
_SPECIAL = re.compile(r"`+|<|[{\[]")
_TICKS = re.compile(r"`{3,}")
_LABEL = re.compile(r"[^\n{\[`]*")
_OWN_LABEL = re.compile(r"([A-Za-z_\\]+)([ \t]*\n)?")
_BLANK = re.compile(r"\s*")
_DATA = re.compile(r"[\[{\s]*[\"'“\]}]")
_INDENT = re.compile(r"[ \t]*")
_NAME = 200
_UNREAD = "its arguments are no JSON object"
_ENDS = 20
"""So many ends of a miscounted block are tried."""
_HEAD = re.compile(r"[\[{\s]*[\"'“]?([\w\\]*)([\"'”]?)\s*(:?)\s*([\"'“]?)([^\"'“”\n]*)([\"'”]?)")


class _Open(Struct):
    """Something that may hold calls. start: where it begins; body: where its JSON begins; ticks: of its fence, 0 for none;
    tag: '' for none; sure: it says itself that it holds calls; inner: it stands behind a call in the same fence."""

    start: int
    body: int
    ticks: int = 0
    tag: str = ""
    sure: bool = False
    inner: bool = False
    extent: Extent | None = None


class Reader:
    """Feed it the answer; it gives back text to show, calls, and what was meant as a call. names: of the offered functions.

    White space between text and a call is nobody's; after the first call text is dropped, for it is babble.
    """

    def __init__(self, names: Set[str]) -> None:
        self._names = names
        self._text = ""
        self._at = 0
        self._fresh = True  # only white space stands between the line's begin and self._at
        self._ticks = 0  # of the fence of another language that self._at stands in
        self._open: _Open | None = None
        self._state: Callable[[bool], bool] = self._prose
        self._blank = ""
        self._dropping = False
        self._out: list[Piece] = []

    def feed(self, text: str) -> list[Piece]:
        self._text = self._text[self._at :] + text if self._open is None else self._text + text
        if self._open is None:
            self._at = 0
        return self._run(False)

    def finish(self) -> list[Piece]:
        """The rest, once the answer is whole."""
        out = self._run(True)
        if not self._dropping and self._blank:
            out.append(self._blank)
        return out

    def _run(self, final: bool) -> list[Piece]:
        while self._state(final):
            pass
        out: list[Piece] = []
        for piece in self._out:
            if isinstance(piece, str) and out and isinstance(out[-1], str):
                out[-1] += piece
            else:
                out.append(piece)
        self._out = []
        return out

    def _show(self, to: int) -> None:
        """Text up to `to` is text."""
        text = self._text[self._at : to]
        if not text:
            return
        line = text.rpartition("\n")
        self._fresh = not line[2].strip() and (bool(line[1]) or self._fresh)
        self._at = to
        if self._dropping:
            return
        kept = text.rstrip()
        if kept:
            self._out.append(self._blank + kept)
            self._blank = text[len(kept) :]
        else:
            self._blank += text

    def _starts_line(self, at: int) -> bool:
        while at > self._at and self._text[at - 1] in " \t":
            at -= 1
        return self._fresh if at == self._at else self._text[at - 1] == "\n"

    def _prose(self, final: bool) -> bool:
        text, end = self._text, len(self._text)
        for found in _SPECIAL.finditer(text, self._at):
            at, mark = found.start(), found[0]
            if mark[0] == "`":
                if found.end() == end and not final:
                    self._show(at)
                    return False
                if len(mark) >= 3:
                    return self._begin(_Open(at, found.end(), ticks=len(mark)), self._label)
            elif mark == "<":
                tag = next((tag for tag in _TAGS if text.startswith(tag, at)), None)
                if tag is not None:
                    return self._begin(_Open(at, at + len(tag), tag=tag, sure=True), self._begun)
                if not final and any(tag.startswith(text[at:]) for tag in _TAGS):
                    self._show(at)
                    return False
            elif self._starts_line(at):
                return self._begin(_Open(at, at), self._head)
        self._show(end)
        return False

    def _begin(self, open_: _Open, state: Callable[[bool], bool]) -> bool:
        self._show(open_.start)
        self._open, self._state = open_, state
        return True

    def _here(self) -> _Open:
        assert self._open is not None  # noqa: S101  the states that ask have set it
        return self._open

    def _label_end(self, at: int) -> int:
        found = _LABEL.match(self._text, at)
        return found.end() if found else at

    def _label(self, final: bool) -> bool:
        """Behind the ticks of a fence: its language says what it may hold."""
        open_ = self._here()
        end = self._label_end(open_.body)
        said = self._text[open_.body : end].strip().lower().replace("\\", "")
        if end == len(self._text):
            if not final and any(label.startswith(said) for label in _LABELS):
                return False
            return self._other()
        open_.sure = said in _CALLS
        if self._text[end] == "`" or not (open_.sure or (said in _JSON and self._starts_line(open_.start))):
            return self._other()
        open_.body = end
        self._state = self._begun
        return True

    def _begun(self, final: bool) -> bool:
        """Before the JSON. The language may stand on a line of its own here."""
        open_, text = self._here(), self._text
        blank = _BLANK.match(text, open_.body)
        at = blank.end() if blank else open_.body
        if at == len(text):
            return final and self._other()
        own = _OWN_LABEL.match(text, at)
        if own is not None:
            said = own[1].lower().replace("\\", "")
            if own[2] is None and not text[own.end() :].strip(" \t"):
                if not final and any(label.startswith(said) for label in _LABELS):
                    return False
                return self._other()
            if own[2] is None or said not in _LABELS:
                return self._other()
            open_.sure = open_.sure or said in _CALLS
            open_.body = own.end()
            return True
        if text[at] not in "{[":
            return self._other()
        open_.body = at
        self._state = self._value if open_.sure else self._head
        return True

    def _head(self, final: bool) -> bool:
        """The first key, and the name where that is it, tell most other JSON from a call."""
        open_, text = self._here(), self._text
        found = _HEAD.match(text, open_.body)
        assert found is not None  # noqa: S101  it matches anything
        key, closed, colon, opened, name, ended = found.groups()
        key = key.replace("\\", "")
        at_end = found.end() == len(text) and not final
        if len(name) > _NAME:
            return self._other()
        if not closed and not colon:
            if at_end and any(known.startswith(key) for known in KEYS):
                return False
            return self._other()
        if key not in KEYS:
            return self._other()
        if key in NAMING and opened:
            if not ended and at_end:
                return False
            if known_name(name, self._names) is None:
                return self._other()
        elif at_end and key in NAMING:
            return False
        self._state = self._value
        return True

    def _value(self, final: bool) -> bool:
        """The JSON itself, up to its end."""
        open_ = self._here()
        extent = open_.extent = open_.extent or Extent(open_.body)
        extent.read(self._text, len(self._text))
        if extent.end is not None:
            try:
                value = strict(self._text[open_.body : extent.end])
            except NoJson:
                return self._faulty(extent.end, final)
            if calls := calls_in(value, self._names, exact=not open_.sure):
                return self._made(calls, extent.end)
            name = named_by(value, self._names) if open_.sure else None
            return self._made([Broken(name, _UNREAD)], extent.end) if name else self._other()
        if extent.stop is not None:
            return self._faulty(extent.stop, final)
        return final and self._broken_off()

    def _faulty(self, at: int, final: bool) -> bool:
        """No correct JSON. All up to the end of its fence or tag is read leniently. at: it ends there or later."""
        open_ = self._here()
        if open_.ticks or open_.tag:
            mark = "`" * open_.ticks if open_.ticks else "</"
            end = self._text.find(mark, at)
            if end < 0 and not final:
                return False
        else:
            end = at
        return self._repaired(end if end >= 0 else len(self._text), whole=end >= 0)

    def _broken_off(self) -> bool:
        """The answer is over and the JSON is not: perhaps quotes were miscounted, and its fence or tag has an end."""
        open_, text = self._here(), self._text
        ends: list[int] = []
        if open_.ticks:
            closing = re.compile(rf"(?<=\n)[ \t]*`{{{open_.ticks},}}[ \t]*(?=\n|\Z)")
            ends = [found.start() for found in closing.finditer(text, open_.body)]
        elif open_.tag:
            ends = [found.start() for found in re.compile("</").finditer(text, open_.body)]
        for end in ends[:_ENDS]:
            if self._repaired(end, whole=True, sure=False):
                return True
        return self._repaired(ends[0] if ends else len(text), whole=bool(ends))

    def _repaired(self, end: int, *, whole: bool, sure: bool = True) -> bool:
        """Read leniently up to `end`. sure: this is the end, so that something must come of it."""
        open_ = self._here()
        block, fault = self._text[open_.body : end], _UNREAD
        calls: list[Call] = []
        try:
            for value in lenient(block, whole=whole):
                calls += calls_in(value, self._names, exact=not open_.sure)
        except NoJson as error:
            calls, fault = [], str(error)
        if calls:
            return self._made([Call(call.name, call.arguments, repaired=True) for call in calls], end)
        if not sure:
            return False
        name = meant(block, self._names) if open_.sure else None
        return self._made([Broken(name, fault)], end) if name else self._other()

    def _made(self, pieces: list[Call] | list[Broken], end: int) -> bool:
        """These are calls; what is shown from here on is none of the answer."""
        open_ = self._here()
        self._out += pieces
        self._dropping, self._blank = True, ""
        self._at, self._fresh = end, False
        if open_.ticks:
            self._open = _Open(end, end, ticks=open_.ticks, sure=open_.sure)
            self._state = self._after
        else:
            self._open, self._state = None, self._prose
        return True

    def _after(self, final: bool) -> bool:
        """Behind a call in its fence: another one, or the fence's end."""
        open_, text = self._here(), self._text
        while open_.body < len(text) and (text[open_.body].isspace() or text[open_.body] in ",;"):
            open_.body += 1
        if open_.body == len(text):
            return False
        if text[open_.body] in "{[":
            open_.start, open_.extent, open_.inner, self._at = open_.body, None, True, open_.body
            self._state = self._value if open_.sure else self._head
            return True
        found = _TICKS.search(text, open_.body)
        if found is None or (found.end() == len(text) and not final):
            return False
        self._at = found.start()
        self._fresh = True
        end = self._label_end(found.end())
        said = text[found.end() : end].strip().lower().replace("\\", "")
        if end == len(text) and not final and any(known.startswith(said) for known in _CALLS):
            return False
        if said in _CALLS:
            return self._begin(_Open(found.start(), found.end(), ticks=len(found[0])), self._label)
        self._at, self._open, self._state = found.end(), None, self._prose
        self._fresh = False
        return True

    def _other(self) -> bool:
        """It holds no calls: its first characters are text, and all behind them is looked at anew."""
        open_ = self._here()
        fenced = bool(open_.ticks) and (open_.inner or self._starts_line(open_.start))
        self._open = None
        if not open_.inner:
            self._show(open_.start + (open_.ticks or len(open_.tag)))
        if fenced:
            self._ticks, self._state = open_.ticks, self._fence
        elif open_.ticks or open_.tag:
            self._state = self._prose
        else:
            self._open = _Open(self._at, self._at, extent=Extent(self._at))
            self._state = self._data
        return True

    def _data(self, final: bool) -> bool:
        """JSON without a fence that is no call: none of its parts is one either. A fence ends it at the latest."""
        open_, text = self._here(), self._text
        if _DATA.match(text, open_.start) is None:
            if not final and not text[open_.start :].strip("[{ \t\r\n"):
                return False
            return self._plain(open_.start + 1)
        extent = open_.extent
        assert extent is not None  # noqa: S101  set together with this state
        while self._at < len(text):
            if self._fresh:
                blank = _INDENT.match(text, self._at)
                at = blank.end() if blank else self._at
                if text.startswith("```", at):
                    return self._plain(self._at)
                if not final and "```".startswith(text[at:]):
                    return False
            to = text.find("\n", self._at) + 1 or len(text)
            extent.read(text, to)
            if extent.end is not None or extent.stop is not None:
                return self._plain(extent.end if extent.stop is None else extent.stop)
            self._show(to)
        return False

    def _plain(self, to: int | None) -> bool:
        """Prose again from `to` on."""
        self._open, self._state = None, self._prose
        self._show(self._at if to is None else to)
        return True

    def _fence(self, final: bool) -> bool:
        """A block of another language, up to its end. A model that forgot the end and begins a call is understood."""
        text = self._text
        for found in _TICKS.finditer(text, self._at):
            if not self._starts_line(found.start()):
                if found.end() == len(text) and not final:
                    break
                continue
            end = self._label_end(found.end())
            said = text[found.end() : end].strip().lower().replace("\\", "")
            if end == len(text) and not final and any(known.startswith(said) for known in ("", *_CALLS)):
                self._show(found.start())
                return False
            if said in _CALLS and self._ticks == 3:
                self._ticks = 0
                return self._begin(_Open(found.start(), found.end(), ticks=len(found[0])), self._label)
            if not said and len(found[0]) >= self._ticks:
                self._ticks = 0
                self._show(end)
                self._state = self._prose
                return True
        held = re.search(r"`+\Z", text[self._at :]) if not final else None
        self._show(self._at + held.start() if held else len(text))
        return False
