"""JSON as models write it. Pure, and linear in the length of the text.

What is read is only what stands there: nothing is dropped or made up to make sense of it, and a text that breaks off within a
string is refused, since nobody knows how it would have gone on.
"""

import math
import re
from typing import Any

import msgspec

_LEVELS = 100
_DIGITS = 300
_SPACE = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_BETWEEN = re.compile(r"[\s,;]*")
_BLANK = re.compile(r"\s*")
_WORD = re.compile(r"[^\s,:{}\[\]\"'“”]+")
_KEY = re.compile(r"[A-Za-z_$][\w$\\-]*")
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")
_PLAIN = {'"': re.compile(r'[^"\\]+'), "'": re.compile(r"[^'\\]+"), "“": re.compile(r"[^”\"\\]+")}
_CLOSE = {'"': '"', "'": "'", "“": '”"', "”": '”"'}
_WORDS = {
    "true": True, "True": True, "false": False, "False": False, "null": None, "None": None, "undefined": None,
}  # fmt: skip
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "/": "/", "'": "'"}
_MARKDOWN = "_*`~#<>&="
"""Characters that the web app escapes in prose; any other unknown escape is a backslash that was not doubled."""
_GOES_ON = re.compile(r"\s*(?:[\"'“”{}\[\]\d-]|true|false|null|True|False|None|$|//|[A-Za-z_$][\w$-]*\s*:)")


class NoJson(ValueError):
    """The text is no JSON that can be understood."""


def strict(text: str) -> Any:
    """One value of correct JSON. Raises NoJson."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise NoJson(str(error)) from None


def lenient(text: str, *, whole: bool = True) -> list[Any]:
    """The values that stand in `text` one after another, from its beginning; at least one. Raises NoJson.

    whole: the text was ended by its writer, so that closing brackets at the end may be missing after anything.
    """
    values: list[Any] = []
    at = _BETWEEN.match(text).end()  # type: ignore[union-attr]  # matches anything
    while at < len(text) and (not values or text[at] in "{["):
        reader = _Reader(text, at, whole)
        values.append(reader.value(0))
        at = reader.at
        while at < len(text) and (text[at] in "}],;" or text[at].isspace()):
            at += 1  # brackets too many are as common as brackets too few
    if not values:
        raise NoJson("there is nothing")
    return values


class _Reader:
    def __init__(self, text: str, at: int, whole: bool) -> None:
        self._text = text
        self._whole = whole
        self.at = at

    def value(self, level: int) -> Any:
        if level > _LEVELS:
            raise NoJson("nested too deeply")
        mark = self._skip()
        if mark == "{":
            return self._object(level)
        if mark == "[":
            return self._list(level)
        if mark in _CLOSE:
            return self._string()
        return self._word()

    def _skip(self) -> str:
        """The next character that counts, '' at the end."""
        found = _SPACE.match(self._text, self.at)
        self.at = found.end() if found else self.at
        return self._text[self.at : self.at + 1]

    def _object(self, level: int) -> dict[str, Any]:
        self.at += 1
        out: dict[str, Any] = {}
        while True:
            mark = self._skip()
            if mark == ",":
                self.at += 1
            elif mark == "}" or not mark:
                self.at += bool(mark)
                return out
            else:
                key = self._key(mark)
                if self._skip() != ":":
                    raise NoJson(f"a colon is missing after {key!r:.60}")
                self.at += 1
                out[key] = self.value(level + 1)

    def _key(self, mark: str) -> str:
        if mark in _CLOSE:
            return self._string()
        found = _KEY.match(self._text, self.at)
        if found is None:
            raise NoJson(f"a key was expected at character {self.at}")
        self.at = found.end()
        return found[0].replace("\\_", "_")

    def _list(self, level: int) -> list[Any]:
        self.at += 1
        out: list[Any] = []
        while True:
            mark = self._skip()
            if mark == ",":
                self.at += 1
            elif mark == "]" or not mark:
                self.at += bool(mark)
                return out
            elif mark == "}":
                raise NoJson("a list is closed by a brace")
            else:
                out.append(self.value(level + 1))

    def _word(self) -> Any:
        found = _WORD.match(self._text, self.at)
        if found is None:
            raise NoJson(f"a value was expected at character {self.at}")
        word = found[0]
        self.at = found.end()
        if self.at == len(self._text) and not self._whole:
            raise NoJson("it breaks off")
        if word in _WORDS:
            return _WORDS[word]
        if not _NUMBER.fullmatch(word):
            raise NoJson(f"{word!r:.60} is no value")
        number = int(word) if word.lstrip("+-").isdigit() and len(word) < _DIGITS else float(word)
        if math.isinf(number):
            raise NoJson(f"{word!r:.60} is too large")
        return number

    def _string(self) -> str:
        text, mark = self._text, self._text[self.at]
        plain, close = _PLAIN["“" if mark == "”" else mark], _CLOSE[mark]
        self.at += 1
        pieces: list[str] = []
        while self.at < len(text):
            if found := plain.match(text, self.at):
                pieces.append(found[0])
                self.at = found.end()
            elif text[self.at] == "\\":
                pieces.append(self._escape())
            elif text[self.at] in close and self._ends():
                self.at += 1
                return "".join(pieces)
            else:
                pieces.append(text[self.at])
                self.at += 1
        raise NoJson("it breaks off within a string")

    def _ends(self) -> bool:
        """Whether the quote here closes its string: what comes after it is a place between values."""
        blank = _BLANK.match(self._text, self.at + 1)
        after = blank.end() if blank else self.at + 1
        mark = self._text[after : after + 1]
        if mark == ",":
            return _GOES_ON.match(self._text, after + 1) is not None
        return mark in ("", ":", "}", "]", "/")

    def _escape(self) -> str:
        text = self._text
        mark = text[self.at + 1 : self.at + 2]
        self.at += 2
        if mark in _ESCAPES:
            return _ESCAPES[mark]
        if mark == "u":
            return self._unicode()
        if mark == "\n" or (mark and mark in _MARKDOWN):
            return mark
        return "\\" + mark

    def _unicode(self) -> str:
        code = self._hex(self.at)
        if code is None:
            return "\\u"
        self.at += 4
        if 0xD800 <= code < 0xDC00 and self._text.startswith("\\u", self.at):
            low = self._hex(self.at + 2)
            if low is not None and 0xDC00 <= low < 0xE000:
                self.at += 6
                return chr(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00))
        return "�" if 0xD800 <= code < 0xE000 else chr(code)

    def _hex(self, at: int) -> int | None:
        digits = self._text[at : at + 4]
        try:
            return int(digits, 16) if len(digits) == 4 and digits.isalnum() else None
        except ValueError:
            return None


_TOKENS = re.compile(r"[{}\[\]\"'“`~<]")
_IN_STRING = {'"': re.compile(r'["\\]'), "'": re.compile(r"['\\]"), "“": re.compile(r"[”\\]")}


class Extent:
    """Finds where a JSON value ends that comes in pieces. It begins with a bracket.

    end: just behind it, None as long as it is open. stop: where something stands between its tokens that can be none of it, the
    beginning of a fence or tag.
    """

    def __init__(self, start: int) -> None:
        self._at = start
        self._level = 0
        self._quote = ""
        self.end: int | None = None
        self.stop: int | None = None

    def read(self, text: str, to: int) -> None:
        """Go on in `text`, which begins as it did before, up to `to`."""
        while self.end is None and self.stop is None:
            found = (_IN_STRING[self._quote] if self._quote else _TOKENS).search(text, self._at, to)
            if found is None:
                self._at = max(self._at, to)
                return
            mark, self._at = found[0], found.end()
            if self._quote:
                if mark != "\\":
                    self._quote = ""
                elif self._at < to:
                    self._at += 1
                else:
                    self._at -= 1
                    return
            elif mark in "{[":
                self._level += 1
            elif mark in "}]":
                self._level -= 1
                if self._level <= 0:
                    self.end = self._at
            elif mark in "`~<":
                self.stop = found.start()
            else:
                self._quote = mark
