"""A file of prompts, one a line, as `gempool batch run` reads it. Pure."""

from typing import Any

import msgspec
from msgspec import Struct

_SHOWN = 10
"""Bad lines that are told one by one."""
_FIELDS = ("prompt", "id", "model")
_FORM = 'Write a line as "a prompt" in quotes, or as {"prompt": "...", "id": "yours"}.'


class BadLines(Exception):
    """The file cannot be a batch. The text names each line, and says what to write."""


class Line(Struct, frozen=True):
    """One prompt. number: of its line in the file, from 1. id: the caller's own name for it."""

    number: int
    prompt: str
    id: str | int | None = None
    model: str = ""


def lines_of(data: bytes, name: str) -> list[Line]:
    """The prompts of a file; blank lines are left out. name: what messages call the file. Raises BadLines."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):  # what PowerShell writes
        data = data.decode("utf-16", errors="replace").encode()
    found, problems = [], []
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not (text := raw.strip()):
            continue
        try:
            found.append(_line(number, text))
        except ValueError as error:
            problems.append(f"{name}:{number}: {error}")
    if problems:
        more = len(problems) - _SHOWN
        raise BadLines("\n".join(problems[:_SHOWN] + ([f"... and {more} more lines."] if more > 0 else [])))
    if not found:
        raise BadLines(f"{name} holds no prompt. {_FORM}")
    return found


def _line(number: int, text: bytes) -> Line:
    try:
        given: Any = msgspec.json.decode(text)
    except (ValueError, RecursionError):  # the first: msgspec's own, and text that is no UTF-8
        raise ValueError(f"is no JSON. {_FORM}") from None
    fields = {"prompt": given} if isinstance(given, str) else given
    if not isinstance(fields, dict):
        raise ValueError(f"is no prompt. {_FORM}")
    if unknown := [field for field in fields if field not in _FIELDS]:
        raise ValueError(
            f"has a field {unknown[0]!r}. A line has {', '.join(_FIELDS)}; everything else is an option of the whole batch."
        )
    prompt, id, model = (fields.get(field) for field in _FIELDS)
    if not isinstance(prompt, str) or not prompt.strip():
        raise ValueError(f"has no prompt. {_FORM}")
    if isinstance(id, bool) or not isinstance(id, str | int | None):
        raise ValueError("has an id that is neither text nor a whole number.")
    if not isinstance(model, str | None):
        raise ValueError("has a model that is no text.")
    return Line(number, prompt, id, model or "")
