"""Bounds on what one request may hold, so that reading it never holds up everybody else's."""

from core.errors import RequestTooLarge
from routes.services import EdgeSettings

VALUES = 200_000
"""Objects, lists and strings in one body. The largest request within the other bounds has far fewer."""
QUOTES = 1024 * 1024
"""Escaped quotes inside a body's strings."""
GAP = 1024 * 1024
"""Bytes between two strings of a body."""


class Tally:
    """Counts what a request holds. Each method raises `RequestTooLarge`, naming the field and the bound."""

    def __init__(self, settings: EdgeSettings) -> None:
        self._settings = settings
        self._parts = 0
        self._files = 0
        self._characters = 0

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


def check_density(body: bytes) -> None:
    """Refuse a body of so many values that decoding it alone would hold the interpreter for long.

    One pass over the bytes, from string to string, building nothing. Between two strings it returns to the
    interpreter, so that run in a thread it lets others work. Raises `RequestTooLarge`.
    """
    if body.count(b'\\"') > QUOTES:
        raise RequestTooLarge(f"The request's text holds more than {QUOTES} quotes. Shorten it.")
    values = 0
    at = 0
    find = body.find
    while True:
        start = find(b'"', at)
        gap_end = len(body) if start < 0 else start
        if gap_end - at > GAP:
            raise RequestTooLarge(
                f"The request body has more than {GAP} bytes without any string. Leave out what is not read here."
            )
        values += 1 + body.count(b"{", at, gap_end) + body.count(b"[", at, gap_end)
        values += body.count(b",", at, gap_end)
        if values > VALUES:
            raise RequestTooLarge(
                f"The request body holds more than {VALUES} values. Send fewer messages, parts and other fields."
            )
        if start < 0:
            return
        at = _end_of_string(body, start + 1)


def _end_of_string(body: bytes, at: int) -> int:
    """The index behind the quote that closes the string whose text begins at `at`."""
    while (end := body.find(b'"', at)) >= 0:
        before = end
        while body[before - 1] == 0x5C:  # an even number of backslashes are escaped ones
            before -= 1
        at = end + 1
        if (end - before) % 2 == 0:
            return at
    return len(body)
