"""How a batch goes on, for a person at a terminal or a log file."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from gateway.batching.following import Standing

EVERY = 5.0
"""Seconds between lines where there is no terminal, at least."""
_BAR = 24


class Progress:
    """One line that is drawn over and over on a terminal; elsewhere a line now and then, and at each change of why it waits."""

    def __init__(self, out: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._live = out.isatty()
        self._now = now
        self._drawn = ""
        self._told: tuple[float, Standing] | None = None
        self._began: tuple[float, int] | None = None

    def show(self, standing: Standing) -> None:
        now = self._now()
        if self._began is None:
            self._began = (now, standing.ended)
        line = line_of(standing, self._left(standing, now))
        if self._live:
            bar = "#" * (_BAR * standing.ended // max(1, standing.total))
            self._draw(f"[{bar:-<{_BAR}}] {line}")
        elif self._is_due(standing, now):
            self._out.write(line + "\n")
            self._out.flush()
            self._told = (now, standing)

    def say(self, text: str) -> None:
        """A line that stays."""
        with self.aside():
            self._out.write(text + "\n")
            self._out.flush()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the line away while something else is written to the terminal."""
        drawn = self._drawn
        self.clear()
        yield
        if drawn:
            self._draw(drawn)

    def clear(self) -> None:
        if self._drawn:
            self._out.write("\r\x1b[K")
            self._out.flush()
            self._drawn = ""

    def _draw(self, line: str) -> None:
        self._out.write("\r" + line[: shutil.get_terminal_size().columns - 1] + "\x1b[K")
        self._out.flush()
        self._drawn = line

    def _is_due(self, standing: Standing, now: float) -> bool:
        if self._told is None:
            return True
        at, before = self._told
        if (standing.why or "") != (before.why or "") or standing.status != before.status:
            return True
        return standing != before and now - at >= EVERY

    def _left(self, standing: Standing, now: float) -> float | None:
        """Seconds until the end, if it goes on as it did since this looks on; None where that is too early to say."""
        if self._began is None or (done := standing.ended - self._began[1]) < 3:
            return None
        return (now - self._began[0]) / done * standing.pending


def line_of(standing: Standing, left: float | None) -> str:
    """One line for a person. left: seconds until the end, None where nobody knows."""
    words = [f"{standing.ended}/{standing.total}"]
    for count, word in (
        (standing.failed, "failed"), (standing.cancelled, "cancelled"), (standing.running, "running"),
    ):  # fmt: skip
        if count:
            words.append(f"{count} {word}")
    if standing.status in ("queued", "cancelling"):
        words.append(standing.status)
    if left is not None and standing.pending:
        words.append(f"about {duration(left)} left")
    if standing.why:
        words.append(f"waits: {printable(standing.why)}")
    return "  ".join(words)


def duration(seconds: float) -> str:
    """`40s`, `12m`, `3h 20m`."""
    if seconds < 60:
        return f"{max(1, round(seconds))}s"
    minutes = round(seconds / 60)
    return f"{minutes}m" if minutes < 60 else f"{minutes // 60}h {minutes % 60}m"


def printable(text: str) -> str:
    """On one line, and without what would steer the terminal."""
    return "".join(c if c.isprintable() else " " for c in text)
