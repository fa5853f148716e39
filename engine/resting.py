"""Accounts that make no pictures for now. Each replica learns of them by itself.

They serve text all the while, so that the pool, which rests a model as a whole, is not told.
"""

from core.clock import Clock

NOBODY: frozenset[str] = frozenset()


class Resting:
    """Which accounts are not to be asked for pictures, and until when."""

    def __init__(self, clock: Clock) -> None:
        self._now = clock.monotonic
        self._until: dict[str, tuple[float, str]] = {}

    def rest(self, account: str, seconds: float, reason: str) -> None:
        self._until[account] = (self._now() + seconds, reason)

    def accounts(self) -> frozenset[str]:
        if not self._until:
            return NOBODY
        now = self._now()
        self._until = {account: rest for account, rest in self._until.items() if rest[0] > now}
        return frozenset(self._until)

    def first_back(self) -> tuple[float, str]:
        """Seconds until the first of them may be asked again, and why it rests."""
        if not self._until:
            return 1.0, ""
        until, reason = min(self._until.values())
        return max(1.0, until - self._now()), reason
