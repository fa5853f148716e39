"""An answer as far as it has come, and how far of it has been handed out. Pure."""

import itertools
from typing import TypeAlias

from engine.shaping.forms import Broken, Call

Piece: TypeAlias = str | Call | Broken


class Page:
    """text: what has come and is still needed; at: what stands before it was handed out or dropped.

    fresh: only white space stands between the begin of the line and `at`. White space between text and a call is nobody's;
    after the first call text is dropped, for it is babble.
    """

    def __init__(self) -> None:
        self.text = ""
        self.at = 0
        self.fresh = True
        self._blank = ""
        self._dropping = False
        self._out: list[Piece] = []

    def grow(self, text: str, *, forget: bool) -> None:
        """forget: nothing before `at` is needed any more."""
        if forget:
            self.text, self.at = self.text[self.at :], 0
        self.text += text

    def show(self, to: int) -> None:
        """Text up to `to` is text."""
        text = self.text[self.at : to]
        if not text:
            return
        _, newline, line = text.rpartition("\n")
        self.fresh = not line.strip() and (bool(newline) or self.fresh)
        self.at = to
        if self._dropping:
            return
        kept = text.rstrip()
        if kept:
            self._out.append(self._blank + kept)
            self._blank = text[len(kept) :]
        else:
            self._blank += text

    def skip(self, to: int, *, fresh: bool = False) -> None:
        """Text up to `to` is none of the answer."""
        self.at, self.fresh = to, fresh

    @property
    def dropping(self) -> bool:
        """A call was found, so that text is dropped."""
        return self._dropping

    def call(self, pieces: list[Call | Broken], end: int) -> None:
        """These are calls, and end there."""
        self._out += pieces
        self._dropping, self._blank = True, ""
        self.skip(end)

    def starts_line(self, at: int) -> bool:
        """Whether only white space stands before `at` on its line."""
        while at > self.at and self.text[at - 1] in " \t":
            at -= 1
        return self.fresh if at == self.at else self.text[at - 1] == "\n"

    def taken(self, *, final: bool) -> list[Piece]:
        """What was found since the last time."""
        if final and self._blank:
            self._out.append(self._blank)
        out: list[Piece] = []
        for is_text, pieces in itertools.groupby(self._out, key=lambda piece: isinstance(piece, str)):
            if is_text:
                out.append("".join(piece for piece in pieces if isinstance(piece, str)))
            else:
                out += pieces
        self._out = []
        return out
