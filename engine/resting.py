"""Accounts that make no pictures for now. Each replica learns of them by itself.

They serve text all the while, so that the pool, which rests a model as a whole, is not told.
"""

from collections.abc import Collection

from core.clock import Clock

NOBODY: frozenset[str] = frozenset()


class Resting:
    """Which accounts are not to be asked for pictures, and until when. What an account may make it may make with
    each of its models, so that a lane rests by itself."""

    def __init__(self, clock: Clock) -> None:
        self._now = clock.monotonic
        self._rests: dict[tuple[str, str], tuple[float, str]] = {}

    def rest(self, account: str, lane: str, seconds: float, reason: str) -> None:
        self._rests[account, lane] = (self._now() + seconds, reason)

    def accounts(self, lanes: Collection[str]) -> frozenset[str]:
        """Those that rest in one of the lanes."""
        if not self._rests:
            return NOBODY
        now = self._now()
        self._rests = {key: rest for key, rest in self._rests.items() if rest[0] > now}
        return frozenset(account for account, lane in self._rests if lane in lanes)

    def first_back(self, lanes: Collection[str]) -> tuple[float, str]:
        """Seconds until the first of them may be asked again, and why it rests."""
        until, reason = min(
            (rest for (_, lane), rest in self._rests.items() if lane in lanes), default=(0.0, "")
        )
        return max(1.0, until - self._now()), reason
