"""Bounds on what one request may hold, so that reading it never holds up everybody else's."""

import re

from core.errors import RequestTooLarge
from routes.services import EdgeSettings

VALUES = 200_000
"""Objects, lists and strings in one body. The largest request within the other bounds has far fewer."""
ESCAPES = 2 * 1024 * 1024
"""Backslashes in a body. Decoding that many holds the interpreter for less than 50 ms."""
GAP = 1024 * 1024
"""Bytes between two strings of a body."""
FUNCTIONS = 512
"""Functions that one request may declare, which is Google's own bound."""
DECLARED = 1_000_000
"""Characters of all declarations together: names, descriptions and schemas."""

_SLICE = 256 * 1024
_STRIDE = 4096
_BACKSLASH = 0x5C
_KEY = 80
"""The longest field name that a refusal repeats."""


class Tally:
    """Counts what a request holds. Each method raises `RequestTooLarge`, naming the field and the bound."""

    def __init__(self, settings: EdgeSettings) -> None:
        self._settings = settings
        self._parts = 0
        self._files = 0
        self._characters = 0
        self._functions = 0
        self._declared = 0

    def messages(self, n: int, field: str) -> None:
        limit = self._settings.message_limit
        if n > limit:
            raise RequestTooLarge(
                f"'{field}' has {n} items, and at most {limit} are taken. Shorten the history.", param=field
            )

    def parts(self, n: int, field: str) -> None:
        self._parts += n
        limit = self._settings.part_limit
        if self._parts > limit:
            raise RequestTooLarge(
                f"'{field}' brings the request's parts to {self._parts}, and at most {limit} are taken. Join or"
                " leave out some.",
                param=field,
            )

    def file(self, field: str) -> None:
        self._files += 1
        limit = self._settings.file_limit
        if self._files > limit:
            raise RequestTooLarge(
                f"'{field}' is one file too many: at most {limit} are taken. Leave some out.", param=field
            )

    def text(self, text: str | None, field: str) -> None:
        self._characters += len(text or "")
        limit = self._settings.prompt_limit
        if self._characters > limit:
            raise RequestTooLarge(
                f"'{field}' brings the request's text to more than {limit} characters, which is the most that"
                " is taken. Shorten it.",
                param=field,
            )

    def function(self, size: int, field: str) -> None:
        """size: characters of its name, description and schema."""
        self._functions += 1
        self._declared += size
        if self._functions > FUNCTIONS:
            raise RequestTooLarge(
                f"'{field}' is one function too many: at most {FUNCTIONS} are taken. Leave some out.",
                param=field,
            )
        if self._declared > DECLARED:
            raise RequestTooLarge(
                f"'{field}' brings the declared functions to more than {DECLARED} characters, which is the most that"
                " is taken. Shorten descriptions and schemas, or declare fewer.",
                param=field,
            )


def check_density(body: bytes) -> None:
    """Refuse a body of so many values or escapes that decoding it alone would hold the interpreter for long.

    One pass over the bytes, from string to string, building nothing. It returns to the interpreter again and
    again, so that run in a thread it lets others work. Raises `RequestTooLarge` naming the outermost field.
    """
    escapes = 0
    for at in range(0, len(body), _SLICE):
        escapes += body.count(b"\\", at, at + _SLICE)
        if escapes > ESCAPES:
            raise _too_dense(
                body,
                body.rfind(b"\\", at, at + _SLICE),
                f"holds more than {ESCAPES} escaped characters. Shorten it, or send its text as plain UTF-8.",
            )
    values = 0
    at = 0
    find = body.find
    while True:
        start = find(b'"', at)
        gap_end = len(body) if start < 0 else start
        if gap_end - at > GAP:
            raise _too_dense(
                body, at, f"has more than {GAP} bytes without any string. Leave out what is not read here."
            )
        values += 1 + body.count(b"{", at, gap_end) + body.count(b"[", at, gap_end)
        values += body.count(b",", at, gap_end)
        if values > VALUES:
            raise _too_dense(
                body, at, f"holds more than {VALUES} values. Send fewer messages, parts and other fields."
            )
        if start < 0:
            return
        at = _end_of_string(body, start + 1)


def _too_dense(body: bytes, at: int, complaint: str) -> RequestTooLarge:
    field = outermost_field(body, at)
    subject = f"'{field}'" if field is not None else "The request body"
    return RequestTooLarge(f"{subject} {complaint}", param=field)


def outermost_field(body: bytes, position: int) -> str | None:
    """The key of the body's outermost object under which the byte at `position` stands; None where there is
    none, or where it is no name that anybody would read."""
    key: bytes | None = None
    depth = at = 0
    body = body[: position + _KEY]  # the rest may be long, and does not tell
    while (start := body.find(b'"', at)) >= 0:
        depth += sum(body.count(mark, at, start) for mark in (b"{", b"["))
        depth -= sum(body.count(mark, at, start) for mark in (b"}", b"]"))
        if start > position:
            break
        end = _end_of_string(body, start + 1)
        if depth == 1 and body[end : end + _KEY].lstrip()[:1] == b":":
            key = body[start + 1 : end - 1]
        at = end
    if key is None or len(key) > _KEY or b"\\" in key:
        return None
    return key.decode(errors="replace")


_ESCAPED = re.compile(rb'(?:\\.|[^"\\])*+', re.DOTALL)


def _end_of_string(body: bytes, at: int) -> int:
    """The index behind the quote that closes the string whose text begins at `at`."""
    start = at
    while (end := body.find(b'"', at)) >= 0:
        if body[end - 1] != _BACKSLASH or not _is_escaped(body, start, end):
            return end + 1
        # Where one quote is escaped more follow: some kilobytes at a time are read without the interpreter.
        found = _ESCAPED.match(body, end + 1, end + 1 + _STRIDE)
        at = found.end() if found is not None else end + 1
    return len(body)


def _is_escaped(body: bytes, start: int, end: int) -> bool:
    """Whether an odd number of backslashes stands before `end`; none stands before `start`."""
    width = 64
    while True:
        window = body[max(start, end - width) : end]
        run = len(window) - len(window.rstrip(b"\\"))
        if run < len(window) or len(window) == end - start:
            return run % 2 == 1
        width *= 8
