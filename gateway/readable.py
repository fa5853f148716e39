"""Log lines for a person at a terminal: time, level and logger in columns, what happened, then the facts in their order.

A request's line begins with its status, method, route and time, so that the eye finds them in the same place. What a caller
wrote cannot move the cursor or begin a line: anything but plain words is quoted.
"""

from collections.abc import MutableMapping
from typing import Any

RESET, BOLD, DIM = "\x1b[0m", "\x1b[1m", "\x1b[2m"
RED, GREEN, YELLOW, CYAN = "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m"
LEVELS = {"debug": DIM, "info": GREEN, "warning": YELLOW, "error": RED, "critical": RED}
OURS = "gempool."
WIDEST = 10
"""Characters of a logger's name that have a column."""


class Readable:
    """A structlog renderer. colors: the stream is a terminal that shows them."""

    def __init__(self, *, colors: bool) -> None:
        self._colors = colors

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
        facts = dict(event)
        time = str(facts.pop("timestamp", ""))[:19].replace("T", " ")
        level = str(facts.pop("level", ""))
        logger = str(facts.pop("logger", "")).removeprefix(OURS)
        what = facts.pop("event", "")
        below = [str(facts.pop(key)) for key in ("stack", "exception") if facts.get(key)]
        if what == "request" and logger == "access":
            said = self._request(facts)
        else:
            said = self._styled(_plain(what), BOLD)
        head = [
            self._styled(f"{time}Z", DIM),
            self._styled(f"{level:<7}", LEVELS.get(level, "")),
            self._styled(f"{logger:<{WIDEST}}", DIM),
            said,
        ]
        told = [f"{self._styled(key, CYAN)}={_word(value)}" for key, value in facts.items()]
        return "\n".join([" ".join([*head, *told]), *below])

    def _request(self, facts: dict[str, Any]) -> str:
        """Takes what it tells from the facts."""
        status, ms = facts.pop("status", 0), facts.pop("ms", 0.0)
        method, route = facts.pop("method", ""), facts.pop("route", "")
        outcome = facts.pop("outcome", "")
        if "request_id" in facts:
            facts["request_id"] = facts.pop("request_id")  # long, and what one looks for last
        color = GREEN if status < 400 else YELLOW if status < 500 else RED
        said = [
            self._styled(str(status or "---"), color),
            self._styled(f"{_plain(method)} {_plain(route)}", BOLD),
        ]
        if outcome != "ok":
            said.append(self._styled(_plain(outcome), color))
        return " ".join([*said, self._styled(f"{ms:g} ms", BOLD)])

    def _styled(self, text: str, style: str) -> str:
        return f"{style}{text}{RESET}" if self._colors and style else text


def _plain(value: object) -> str:
    text = str(value)
    return text if text.isprintable() else repr(text)


def _word(value: object) -> str:
    """Quoted where it could not be told from what stands around it."""
    text = value if isinstance(value, str) else repr(value)
    return text if text and text.isprintable() and not set(text) & set(" '\"=") else repr(value)
