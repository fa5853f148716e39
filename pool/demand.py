"""How many accounts live requests use at once."""

from collections import deque
from collections.abc import Callable

WINDOW = 15
"""Seconds for which the most is remembered."""


class Demand:
    """monotonic: where time comes from, in seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._now = monotonic
        self._using = 0
        self._peaks: deque[tuple[int, int]] = deque(maxlen=WINDOW + 1)
        """The most of each second in which any began."""

    def begin(self) -> None:
        self._using += 1
        second = int(self._now())
        if self._peaks and self._peaks[-1][0] == second:
            if self._using > self._peaks[-1][1]:
                self._peaks[-1] = (second, self._using)
        else:
            self._peaks.append((second, self._using))

    def end(self) -> None:
        self._using -= 1

    def peak(self) -> int:
        """The most that were used at once in the last seconds, now included."""
        since = int(self._now()) - WINDOW
        return max(self._using, *(most for second, most in self._peaks if second >= since), 0)
