"""Tells calls from prose in an answer that grows. Pure.

Every decision depends on what stands in the answer alone and never on where a piece of it was cut: whatever could still turn
out differently is waited for.
"""

import re
from collections.abc import Callable, Set

from engine.shaping.forms import Broken, Call, calls_in, meant, named_by
from engine.shaping.lenient import Extent, NoJson, lenient, strict
from engine.shaping.openings import (
    CALLS,
    JSON,
    LANGUAGES,
    TAGS,
    Open,
    begins,
    language,
    may_be_call,
    own_line,
)
from engine.shaping.page import Page, Piece

_SPECIAL = re.compile(r"`+|~+|<|[{\[]")
_TICKS = re.compile(r"`{3,}|~{3,}")
_BLANK = re.compile(r"\s*")
_LEAD = 200
"""So many brackets and blanks may stand before the first value of what is JSON."""
_DATA = re.compile(r"[\[{\s]{0,200}[\"'“\]}]")
_INDENT = re.compile(r"[ \t]*")
_UNREAD = "its arguments are no JSON object"
_ENDS = 3
"""So many ends of a miscounted block are tried."""
_TRIED = 50
"""So many blocks of an answer are read in vain, or fewer long ones; behind them all is text."""
_FOLLOWING = 20
"""So many fences are looked at behind a call that may be an example."""
_MUCH = 20_000
_OPENINGS = 5_000
"""So many beginnings that turn out to be none are looked at."""
_TAG = 32


class Reader:
    """Feed it the answer; it gives back text to show, calls, and what was meant as a call. names: of the offered functions.

    A state looks at what has come and returns False where it needs more.
    """

    def __init__(self, names: Set[str]) -> None:
        self._names = names
        self._page = Page()
        self._mark = "`"
        self._found: tuple[list[Call | Broken], int] = ([], 0)
        self._ticks = 0  # of the fence of another language that the page stands in
        self._open: Open | None = None
        self._vain = 0
        self._others = 0
        self._state: Callable[[bool], bool] = self._prose

    def feed(self, text: str) -> list[Piece]:
        self._page.grow(text, forget=self._open is None)
        return self._run(final=False)

    def finish(self) -> list[Piece]:
        """The rest, once the answer is whole."""
        return self._run(final=True)

    @property
    def held(self) -> int:
        """Characters that are not decided yet."""
        return len(self._page.text) - self._page.at

    def _run(self, *, final: bool) -> list[Piece]:
        while self._state(final):
            pass
        return self._page.taken(final=final)

    def _prose(self, final: bool) -> bool:
        page, text, end = self._page, self._page.text, len(self._page.text)
        if self._vain >= _TRIED or self._others >= _OPENINGS:
            page.show(end)
            return False
        for found in _SPECIAL.finditer(text, page.at):
            at, mark = found.start(), found[0]
            if mark[0] in "`~":
                if found.end() == end and not final:
                    page.show(at)
                    return False
                if len(mark) >= 3 and (mark[0] == "`" or page.starts_line(at)):
                    return self._begin(Open(at, found.end(), ticks=len(mark), mark=mark[0]), self._label)
            elif mark == "<":
                tag = next((tag for tag in TAGS if text.startswith(tag, at)), None)
                if tag is not None:
                    return self._begin(Open(at, at + len(tag), tag=tag, sure=True), self._begun)
                if not final and begins(text[at : at + _TAG], TAGS):
                    page.show(at)
                    return False
            elif page.starts_line(at):
                return self._begin(Open(at, at), self._head)
        page.show(end)
        return False

    def _begin(self, open_: Open, state: Callable[[bool], bool]) -> bool:
        self._page.show(open_.start)
        self._open, self._state = open_, state
        return True

    def _here(self) -> Open:
        assert self._open is not None  # noqa: S101  the states that ask have set it
        return self._open

    def _label(self, final: bool) -> bool:
        """Behind the ticks of a fence: its language says what it may hold."""
        open_, text = self._here(), self._page.text
        said, end = language(text, open_.body)
        if end == len(text):
            return False if not final and begins(said, LANGUAGES) else self._other()
        open_.sure = said in CALLS
        fit = open_.sure or (said in JSON and self._page.starts_line(open_.start))
        if text[end] in "`~" or not fit:
            return self._other()
        open_.body = end
        self._state = self._begun
        return True

    def _begun(self, final: bool) -> bool:
        """Before the JSON. The language may stand on a line of its own here."""
        open_, text = self._here(), self._page.text
        blank = _BLANK.match(text, open_.body)
        at = blank.end() if blank else open_.body
        if at == len(text):
            return final and self._other()
        own = own_line(text, at, final)
        if own is None:
            return self._other()
        if isinstance(own, tuple):
            open_.sure = open_.sure or own[0] in CALLS
            open_.body = own[1]
        elif own and text[at] in "{[":
            open_.body = at
            self._state = self._value if open_.sure else self._head
        else:
            return own and self._other()
        return True

    def _head(self, final: bool) -> bool:
        """The first key, and the name where that is it, tell most other JSON from a call."""
        may = may_be_call(self._page.text, self._here().body, self._names, final)
        if may is None:
            return False
        if not may:
            return self._other()
        self._state = self._value
        return True

    def _value(self, final: bool) -> bool:
        """The JSON itself, up to its end."""
        open_ = self._here()
        extent = open_.extent = open_.extent or Extent(open_.body)
        extent.read(self._page.text, len(self._page.text))
        if extent.end is not None:
            if open_.faulty:
                return self._faulty(extent.end, final)
            try:
                value = strict(self._page.text[open_.body : extent.end])
            except NoJson:
                open_.faulty = True
                return self._faulty(extent.end, final)
            if calls := calls_in(value, self._names, exact=not open_.sure):
                return self._made(calls, extent.end)
            name = named_by(value, self._names) if open_.sure else None
            return self._made([Broken(name, _UNREAD)], extent.end) if name else self._vainly(extent.end)
        if extent.stop is not None:
            return self._faulty(extent.stop, final)
        return final and self._broken_off()

    def _faulty(self, at: int, final: bool) -> bool:
        """No correct JSON. All up to the end of its fence or tag is read leniently. at: it ends there or later."""
        open_ = self._here()
        if open_.ticks or open_.tag:
            mark = open_.mark * open_.ticks if open_.ticks else "</"
            end = self._page.text.find(mark, at)
            if end < 0 and not final:
                return False
        else:
            end = at
        return self._repaired(end if end >= 0 else len(self._page.text), whole=end >= 0)

    def _broken_off(self) -> bool:
        """The answer is over and the JSON is not: perhaps quotes were miscounted, and its fence or tag has an end."""
        text = self._page.text
        ends = self._here().ends_in(text, _ENDS)
        for end in ends:
            if self._repaired(end, whole=True, sure=False):
                return True
        return self._repaired(ends[0] if ends else len(text), whole=bool(ends))

    def _repaired(self, end: int, *, whole: bool, sure: bool = True) -> bool:
        """Read leniently up to `end`. sure: this is the end, so that something must come of it."""
        open_ = self._here()
        block, fault = self._page.text[open_.body : end], _UNREAD
        calls: list[Call | Broken] = []
        try:
            for value in lenient(block, whole=whole):
                calls += calls_in(value, self._names, exact=not open_.sure)
        except NoJson as error:
            calls, fault = [], str(error)
        if calls:
            return self._made([_mended(call) for call in calls], end)
        if not sure:
            return False
        name = meant(block, self._names) if open_.sure else None
        return self._made([Broken(name, fault)], end) if name else self._vainly(end)

    def _made(self, pieces: list[Call | Broken], end: int) -> bool:
        """These are calls. In a fence that does not say so itself only what comes after it tells."""
        open_ = self._here()
        if open_.ticks and not open_.sure and not self._page.dropping:
            self._found, self._state = (pieces, end), self._following
            return True
        return self._take(pieces, end)

    def _following(self, final: bool) -> bool:
        """Behind a call in a fence that may as well be an example: it is one where prose follows."""
        text, (pieces, at) = self._page.text, self._found
        mark, ticks = self._here().mark, self._here().ticks
        for _ in range(_FOLLOWING):
            closing = re.compile(mark + "{%d,}" % ticks).search(text, at)  # noqa: UP031
            if closing is None or closing.end() == len(text):
                return final and self._take(*self._found)
            said, end = language(text, closing.end())
            if end == len(text) and not final:
                return False
            if said in CALLS:
                break
            blank = _BLANK.match(text, closing.end())
            at = blank.end() if blank else closing.end()
            rest = text[at : at + _TAG]
            if not rest or (not final and (begins(rest, TAGS) or rest in ("`", "``", "~", "~~"))):
                return final and self._take(*self._found)
            if rest.startswith(TAGS):
                break
            opening = _TICKS.match(text, at)
            if opening is None:
                return self._other()
            said, at = language(text, opening.end())
            if at == len(text) and not final:
                return False
            if said in CALLS:
                break
            if said not in JSON:
                return self._other()
            mark, ticks = opening[0][0], len(opening[0])
        return self._take(pieces, self._found[1])

    def _take(self, pieces: list[Call | Broken], end: int) -> bool:
        """What is shown from here on is none of the answer."""
        open_ = self._here()
        self._page.call(pieces, end)
        if open_.ticks:
            self._open = Open(end, end, ticks=open_.ticks, mark=open_.mark, sure=open_.sure)
            self._state = self._after
        else:
            self._open, self._state = None, self._prose
        return True

    def _after(self, final: bool) -> bool:
        """Behind a call in its fence: another one, or the fence's end."""
        open_, text = self._here(), self._page.text
        while open_.body < len(text) and (text[open_.body].isspace() or text[open_.body] in ",;"):
            open_.body += 1
        if open_.body == len(text):
            return False
        if text[open_.body] in "{[":
            open_.start, open_.extent, open_.inner, open_.faulty = open_.body, None, True, False
            self._page.skip(open_.body)
            self._state = self._value if open_.sure else self._head
            return True
        found = _TICKS.search(text, open_.body)
        if found is None or (found.end() == len(text) and not final):
            return False
        self._page.skip(found.start(), fresh=True)
        said, end = language(text, found.end())
        if end == len(text) and not final and begins(said, CALLS):
            return False
        if said in CALLS:
            opened = Open(found.start(), found.end(), ticks=len(found[0]), mark=found[0][0])
            return self._begin(opened, self._label)
        self._page.skip(found.end())
        self._open, self._state = None, self._prose
        return True

    def _vainly(self, end: int) -> bool:
        """It was read up to `end`, and holds no calls."""
        self._vain += 1 + (end - self._here().body) // _MUCH
        return self._other()

    def _other(self) -> bool:
        """It holds no calls: its first characters are text, and all behind them is looked at anew."""
        open_ = self._here()
        self._others += 1
        fenced = bool(open_.ticks) and (open_.inner or self._page.starts_line(open_.start))
        self._open = None
        if not open_.inner:
            self._page.show(open_.start + (open_.ticks or len(open_.tag)))
        if fenced:
            self._ticks, self._mark, self._state = open_.ticks, open_.mark, self._fence
        elif open_.ticks or open_.tag:
            self._state = self._prose
        else:
            self._open = Open(self._page.at, self._page.at, extent=Extent(self._page.at))
            self._state = self._data
        return True

    def _data(self, final: bool) -> bool:
        """JSON without a fence that is no call: none of its parts is one either. A fence ends it at the latest."""
        open_, text = self._here(), self._page.text
        if _DATA.match(text, open_.start) is None:
            lead = text[open_.start : open_.start + _LEAD + 1]
            if not final and len(lead) <= _LEAD and not lead.strip("[{ \t\r\n"):
                return False
            return self._plain(open_.start + 1)
        extent = open_.extent
        assert extent is not None  # noqa: S101  set together with this state
        while self._page.at < len(text):
            if self._page.fresh:
                blank = _INDENT.match(text, self._page.at)
                at = blank.end() if blank else self._page.at
                if text.startswith(("```", "~~~"), at):
                    return self._plain(self._page.at)
                if not final and text[at : at + 3] in ("", "`", "``", "~", "~~"):
                    return False
            to = text.find("\n", self._page.at) + 1 or len(text)
            extent.read(text, to)
            if extent.end is not None or extent.stop is not None:
                return self._plain(extent.end if extent.stop is None else extent.stop)
            self._page.show(to)
        return False

    def _plain(self, to: int | None) -> bool:
        """Prose again from `to` on."""
        self._open, self._state = None, self._prose
        self._page.show(self._page.at if to is None else to)
        return True

    def _fence(self, final: bool) -> bool:
        """A block of another language, up to its end. A model that forgot the end and begins a call is understood."""
        text = self._page.text
        for found in _TICKS.finditer(text, self._page.at):
            if not self._page.starts_line(found.start()):
                if found.end() == len(text) and not final:
                    break
                continue
            said, end = language(text, found.end())
            if end == len(text) and not final and begins(said, CALLS):
                self._page.show(found.start())
                return False
            if said in CALLS and self._ticks == 3:
                self._ticks = 0
                opened = Open(found.start(), found.end(), ticks=len(found[0]), mark=found[0][0])
                return self._begin(opened, self._label)
            if not said and found[0][0] == self._mark and len(found[0]) >= self._ticks:
                self._ticks = 0
                self._page.show(end)
                self._state = self._prose
                return True
        self._page.show(len(text) if final else max(self._page.at, len(text.rstrip("`~"))))
        return False


def _mended(piece: Call | Broken) -> Call | Broken:
    return Call(piece.name, piece.arguments, repaired=True) if isinstance(piece, Call) else piece
