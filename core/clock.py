"""Time as a collaborator: everything that waits or measures gets a clock passed in."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Where time comes from. Tests pass one that they move by hand."""

    def now(self) -> float:
        """Wall clock, seconds since the epoch."""

    def monotonic(self) -> float:
        """A clock that never goes back, in seconds; only differences mean anything."""

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
