"""How often somebody may be wrong. Pure, and of this replica alone."""

from collections import OrderedDict, deque

from access.rates import Rate

MOST = 4096
"""Sites that are remembered; of more, those that were wrong most lately."""


class Tries:
    """At most `rate.count` failures of one site in any `rate.seconds`. Times are monotonic seconds."""

    def __init__(self, rate: Rate, most: int = MOST) -> None:
        self._rate = rate
        self._most = most
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._failed)

    def wait(self, site: str, now: float) -> float:
        """Seconds until the site may try again; 0 where it may now."""
        times = self._failed.get(site)
        if times is None or len(times) < self._rate.count:
            return 0.0
        return max(0.0, times[0] + self._rate.seconds - now)

    def failed(self, site: str, now: float) -> None:
        """Note that the site was wrong just now."""
        times = self._failed.setdefault(site, deque(maxlen=self._rate.count))
        times.append(now)
        self._failed.move_to_end(site)
        if len(self._failed) > self._most:
            self._failed.popitem(last=False)
